//! The engine's statuses as states for people.

use engine::{ActionRun, ActionStatus, ConditionStatus, Execution, ExecutionStatus, Position, StageRun, StageStatus};
use pages::State;
use pipeline::{Action, Pipeline};

/// A state and the word for it.
pub type Seen = (State, &'static str);

/// How something stands that waits in front of a closed transition.
pub const HELD: Seen = (State::Waiting, "waiting at a closed transition");

/// Whether a person decides on it.
pub fn is_approval(action: &Action) -> bool {
    action.type_id.category == "Approval"
}

/// How an action or rule stands.
pub fn action(run: &ActionRun, declared: Option<&Action>) -> Seen {
    match run.status {
        ActionStatus::Pending => (State::DidNotRun, "did not run"),
        ActionStatus::Running if declared.is_some_and(is_approval) => (State::Waiting, "waiting for a person"),
        ActionStatus::Requested | ActionStatus::Claimed { .. } | ActionStatus::Running => {
            (State::InProgress, "in progress")
        }
        ActionStatus::Succeeded if declared.is_some_and(is_approval) => (State::Succeeded, "approved"),
        ActionStatus::Succeeded => (State::Succeeded, "succeeded"),
        ActionStatus::Failed => (State::Failed, "failed"),
        ActionStatus::Abandoned => (State::Stopped, "abandoned"),
        ActionStatus::CarriedOver => (State::Superseded, "went on in the next attempt"),
    }
}

/// How an attempt at a stage of this version stands.
pub fn stage(run: &StageRun, of: &Pipeline) -> Seen {
    match run.status {
        StageStatus::InProgress => {
            let mut flying = run.runs().filter(|(_, it)| it.status.in_flight()).peekable();
            let some = flying.peek().is_some();
            let people = flying.all(|(place, it)| action(it, of.action(run.stage, place)).0 == State::Waiting);
            if some && people { (State::Waiting, "waiting for a person") } else { (State::InProgress, "in progress") }
        }
        StageStatus::Succeeded => (State::Succeeded, "succeeded"),
        StageStatus::Failed => (State::Failed, "failed"),
        StageStatus::Cancelling => (State::InProgress, "being cancelled"),
        StageStatus::Cancelled => (State::Stopped, "cancelled"),
        StageStatus::Stopping => (State::InProgress, "being stopped"),
        StageStatus::Stopped => (State::Stopped, "stopped"),
        StageStatus::Skipped => (State::Superseded, "skipped"),
    }
}

/// How an execution stands, as far as its own item says.
pub fn execution(execution: &Execution) -> Seen {
    match execution.status {
        ExecutionStatus::InProgress if matches!(execution.position, Position::Waiting(_)) => {
            (State::Waiting, "waiting")
        }
        ExecutionStatus::InProgress => (State::InProgress, "in progress"),
        ExecutionStatus::Succeeded => (State::Succeeded, "succeeded"),
        ExecutionStatus::Failed => (State::Failed, "failed"),
        ExecutionStatus::Superseded => (State::Superseded, "superseded"),
        ExecutionStatus::Cancelling => (State::InProgress, "being cancelled"),
        ExecutionStatus::Cancelled => (State::Stopped, "cancelled"),
        ExecutionStatus::Stopping => (State::InProgress, "being stopped"),
        ExecutionStatus::Stopped => (State::Stopped, "stopped"),
    }
}

/// How a condition stands.
pub fn condition(status: ConditionStatus) -> Seen {
    match status {
        ConditionStatus::InProgress => (State::InProgress, "in progress"),
        ConditionStatus::Succeeded => (State::Succeeded, "met"),
        ConditionStatus::Failed => (State::Failed, "not met"),
        ConditionStatus::Overridden => (State::Superseded, "overridden"),
        ConditionStatus::Abandoned => (State::Stopped, "abandoned"),
        ConditionStatus::Cancelled => (State::Stopped, "cancelled"),
    }
}

/// How a whole stands, by its parts: what needs attention first. `held`: whether something waits in front of a closed transition.
pub fn whole(parts: impl Iterator<Item = State> + Clone, held: bool) -> State {
    let has = |wanted| parts.clone().any(|state| state == wanted);
    match () {
        () if has(State::Failed) => State::Failed,
        () if held || has(State::Waiting) => State::Waiting,
        () if has(State::InProgress) => State::InProgress,
        () if has(State::Stopped) => State::Stopped,
        () if has(State::Succeeded) => State::Succeeded,
        () => State::DidNotRun,
    }
}
