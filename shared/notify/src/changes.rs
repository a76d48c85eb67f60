//! What happened between two images of an item of the table.
//!
//! Nearly all writes change nothing that anybody is told of (a worker took an action up, a poll found news): then
//! nothing more need be read. Doubled images give the same changes again.

use std::fmt;

use engine::{ActionRun, ActionStatus, Execution, ExecutionStatus, StageRun, StageStatus};

/// A state that CodePipeline's events name. Source: CodePipeline user guide, 'Monitoring CodePipeline events'.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is a word of AWS's own")]
pub enum State {
    Started,
    Resumed,
    Succeeded,
    Failed,
    Superseded,
    Canceled,
    Abandoned,
    Stopping,
    Stopped,
}

impl State {
    /// The word that AWS's events have for it, for example `STARTED`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Started => "STARTED",
            Self::Resumed => "RESUMED",
            Self::Succeeded => "SUCCEEDED",
            Self::Failed => "FAILED",
            Self::Superseded => "SUPERSEDED",
            Self::Canceled => "CANCELED",
            Self::Abandoned => "ABANDONED",
            Self::Stopping => "STOPPING",
            Self::Stopped => "STOPPED",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A change in a stage attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StageChange {
    /// The attempt as a whole came into this state.
    Stage(State),
    /// Its action of this index.
    Action(usize, State),
}

/// What happened to an execution.
pub fn of_execution(old: Option<&Execution>, new: &Execution) -> Vec<State> {
    let before = old.map(|old| old.status);
    if before == Some(new.status) {
        return Vec::new();
    }
    let now = match new.status {
        ExecutionStatus::InProgress if before.is_some() => return vec![State::Resumed],
        ExecutionStatus::InProgress => return vec![State::Started],
        // CodePipeline tells of the end only.
        ExecutionStatus::Cancelling => return Vec::new(),
        ExecutionStatus::Succeeded => State::Succeeded,
        ExecutionStatus::Failed => State::Failed,
        ExecutionStatus::Superseded => State::Superseded,
        ExecutionStatus::Cancelled => State::Canceled,
        ExecutionStatus::Stopping => State::Stopping,
        ExecutionStatus::Stopped => State::Stopped,
    };
    // An execution can begin and end in one write, and what is abandoned stops in one.
    let started = before.is_none().then_some(State::Started);
    let stopping = (now == State::Stopped && before != Some(ExecutionStatus::Stopping)).then_some(State::Stopping);
    started.into_iter().chain(stopping).chain([now]).collect()
}

/// What happened in a stage attempt, the beginning of the stage before that of its actions, its end after theirs. A stage
/// begins with its first action, not with the rules that let the execution enter: of one that is skipped nobody is told, as
/// CodePipeline's events have no word for it.
pub fn of_stage(old: Option<&StageRun>, new: &StageRun) -> Vec<StageChange> {
    let mut changes = Vec::new();
    if begun(new) && !old.is_some_and(begun) {
        changes.push(StageChange::Stage(if new.attempt > 1 { State::Resumed } else { State::Started }));
    }
    let stopped_at_once = new.status == StageStatus::Stopped
        && old.is_none_or(|old| !matches!(old.status, StageStatus::Stopping | StageStatus::Stopped));
    if stopped_at_once {
        changes.push(StageChange::Stage(State::Stopping));
    }
    for (index, run) in new.actions.iter().enumerate() {
        let before = old.and_then(|old| old.actions.get(index));
        // What a further attempt takes over has begun, and perhaps succeeded, in an earlier one.
        if run.attempt > 0 && before.is_none() {
            continue;
        }
        let states = of_action(before, run, new.status);
        changes.extend(states.into_iter().map(|state| StageChange::Action(index, state)));
    }
    let ended = match new.status {
        StageStatus::InProgress | StageStatus::Cancelling => None,
        StageStatus::Succeeded => Some(State::Succeeded),
        StageStatus::Failed => Some(State::Failed),
        StageStatus::Cancelled => Some(State::Canceled),
        StageStatus::Stopping => Some(State::Stopping),
        StageStatus::Stopped => Some(State::Stopped),
        StageStatus::Skipped => None,
    };
    // A stage that is retried while actions run has not come to an end.
    let carried_over = new.actions.iter().any(|run| run.status == ActionStatus::CarriedOver);
    if old.is_none_or(|old| old.status != new.status) && !carried_over {
        changes.extend(ended.map(StageChange::Stage));
    }
    changes
}

/// Whether the attempt has come to its actions, or to an end without them that CodePipeline tells of.
fn begun(run: &StageRun) -> bool {
    let waits = matches!(run.status, StageStatus::InProgress | StageStatus::Skipped);
    !waits || run.actions.iter().any(|action| action.requested.is_some())
}

fn of_action(old: Option<&ActionRun>, new: &ActionRun, stage: StageStatus) -> Vec<State> {
    let over = |run: &ActionRun| !run.status.in_flight() && run.status != ActionStatus::Pending;
    let mut states = Vec::new();
    if old.is_none_or(|old| old.requested.is_none()) && new.requested.is_some() {
        states.push(State::Started);
    }
    if old.is_none_or(|old| !over(old)) {
        match new.status {
            ActionStatus::Succeeded => states.push(State::Succeeded),
            ActionStatus::Failed => states.push(State::Failed),
            ActionStatus::Abandoned if stage == StageStatus::Cancelled => states.push(State::Canceled),
            ActionStatus::Abandoned => states.push(State::Abandoned),
            ActionStatus::Pending
            | ActionStatus::Requested
            | ActionStatus::Claimed { .. }
            | ActionStatus::Running
            | ActionStatus::CarriedOver => {}
        }
    }
    states
}

#[cfg(test)]
mod tests {
    use engine::{Timestamp, WorkerId};
    use testkit::samples::{execution, stage_run};
    use uuid::Uuid;

    use super::*;

    #[test]
    fn an_execution_begins_and_ends_once() {
        let new = execution();
        assert_eq!(of_execution(None, &new), [State::Started]);
        assert_eq!(of_execution(Some(&new), &new), []);
        for (status, state) in [
            (ExecutionStatus::Succeeded, State::Succeeded),
            (ExecutionStatus::Failed, State::Failed),
            (ExecutionStatus::Superseded, State::Superseded),
            (ExecutionStatus::Cancelled, State::Canceled),
            (ExecutionStatus::Stopping, State::Stopping),
        ] {
            let ended = Execution { status, ..new.clone() };
            assert_eq!(of_execution(Some(&new), &ended), [state]);
            assert_eq!(of_execution(None, &ended), [State::Started, state]);
            assert_eq!(of_execution(Some(&ended), &ended), []);
            assert_eq!(of_execution(Some(&ended), &new), [State::Resumed]);
        }
    }

    #[test]
    fn what_is_abandoned_stops_and_has_stopped_in_one_write() {
        let running = execution();
        let stopped = Execution { status: ExecutionStatus::Stopped, ..running.clone() };
        assert_eq!(of_execution(Some(&running), &stopped), [State::Stopping, State::Stopped]);
        let stopping = Execution { status: ExecutionStatus::Stopping, ..running };
        assert_eq!(of_execution(Some(&stopping), &stopped), [State::Stopped]);

        let mut busy = stage_run();
        busy.status = StageStatus::InProgress;
        busy.actions[0].status = ActionStatus::Running;
        let mut abandoned = busy.clone();
        abandoned.status = StageStatus::Stopped;
        abandoned.actions[0].status = ActionStatus::Abandoned;
        let expected = [
            StageChange::Stage(State::Stopping),
            StageChange::Action(0, State::Abandoned),
            StageChange::Stage(State::Stopped),
        ];
        assert_eq!(of_stage(Some(&busy), &abandoned), expected);
        assert_eq!(of_stage(Some(&abandoned), &abandoned), []);
    }

    #[test]
    fn a_stage_begins_with_its_first_action_and_one_that_is_skipped_sends_nothing() {
        let mut asked = stage_run();
        asked.status = StageStatus::InProgress;
        asked.actions[0].status = ActionStatus::Pending;
        asked.actions[0].requested = None;
        assert_eq!(of_stage(None, &asked), [], "its entry condition is asked");
        let skipped = StageRun { status: StageStatus::Skipped, ..asked.clone() };
        assert_eq!(of_stage(Some(&asked), &skipped), []);
        let refused = StageRun { status: StageStatus::Failed, ..asked.clone() };
        let both = [StageChange::Stage(State::Started), StageChange::Stage(State::Failed)];
        assert_eq!(of_stage(Some(&asked), &refused), both);
        let mut entered = asked.clone();
        entered.actions[0].status = ActionStatus::Requested;
        entered.actions[0].requested = Some(Timestamp(5));
        let both = [StageChange::Stage(State::Started), StageChange::Action(0, State::Started)];
        assert_eq!(of_stage(Some(&asked), &entered), both);
    }

    #[test]
    fn an_update_is_told_when_what_ran_has_ended() {
        let new = execution();
        let marked = Execution { status: ExecutionStatus::Cancelling, ..new.clone() };
        let ended = Execution { status: ExecutionStatus::Cancelled, ..new.clone() };
        assert_eq!(of_execution(Some(&new), &marked), []);
        assert_eq!(of_execution(Some(&marked), &ended), [State::Canceled]);
        let mut running = stage_run();
        running.status = StageStatus::InProgress;
        running.actions[0].status = ActionStatus::Running;
        let marked = StageRun { status: StageStatus::Cancelling, ..running.clone() };
        assert_eq!(of_stage(Some(&running), &marked), []);
        let mut ended = StageRun { status: StageStatus::Cancelled, ..marked.clone() };
        ended.actions[0].status = ActionStatus::Succeeded;
        assert_eq!(
            of_stage(Some(&marked), &ended),
            [StageChange::Action(0, State::Succeeded), StageChange::Stage(State::Canceled)]
        );
    }

    #[test]
    fn a_stage_begins_before_its_actions_and_ends_after_them() {
        let mut begun = stage_run();
        begun.status = StageStatus::InProgress;
        begun.actions[0].status = ActionStatus::Requested;
        assert_eq!(
            of_stage(None, &begun),
            [StageChange::Stage(State::Started), StageChange::Action(0, State::Started)]
        );
        let mut ended = begun.clone();
        ended.actions[0].status = ActionStatus::Failed;
        ended.status = StageStatus::Failed;
        assert_eq!(
            of_stage(Some(&begun), &ended),
            [StageChange::Action(0, State::Failed), StageChange::Stage(State::Failed)]
        );
        assert_eq!(of_stage(Some(&ended), &ended), []);
    }

    #[test]
    fn work_on_an_action_is_nobody_s_business() {
        let mut requested = stage_run();
        requested.status = StageStatus::InProgress;
        requested.actions[0].status = ActionStatus::Requested;
        let mut claimed = requested.clone();
        claimed.actions[0].status = ActionStatus::Claimed { worker: WorkerId(Uuid::from_u128(1)), until: Timestamp(2) };
        let mut running = requested.clone();
        running.actions[0].status = ActionStatus::Running;
        assert_eq!(of_stage(Some(&requested), &claimed), []);
        assert_eq!(of_stage(Some(&claimed), &running), []);
        assert_eq!(of_stage(Some(&running), &requested), [], "a job goes on with its next turn");
    }

    #[test]
    fn what_never_began_is_not_reported() {
        let mut pending = stage_run();
        pending.status = StageStatus::InProgress;
        pending.actions[0].status = ActionStatus::Pending;
        pending.actions[0].requested = None;
        let cancelled = StageRun { status: StageStatus::Cancelled, ..pending.clone() };
        let stage_only = [StageChange::Stage(State::Started), StageChange::Stage(State::Canceled)];
        assert_eq!(of_stage(Some(&pending), &cancelled), stage_only, "nothing of its action");
    }

    #[test]
    fn an_action_under_a_deleted_pipeline_is_cancelled_otherwise_abandoned() {
        let mut running = stage_run();
        running.status = StageStatus::InProgress;
        running.actions[0].status = ActionStatus::Running;
        let mut given_up = running.clone();
        given_up.actions[0].status = ActionStatus::Abandoned;
        assert_eq!(of_stage(Some(&running), &given_up), [StageChange::Action(0, State::Abandoned)]);
        given_up.status = StageStatus::Cancelled;
        assert_eq!(
            of_stage(Some(&running), &given_up),
            [StageChange::Action(0, State::Canceled), StageChange::Stage(State::Canceled)]
        );
    }

    #[test]
    fn an_action_that_goes_on_in_a_further_attempt_begins_and_ends_once() {
        let mut running = stage_run();
        running.status = StageStatus::InProgress;
        running.actions[0].status = ActionStatus::Running;
        let mut left = running.clone();
        left.status = StageStatus::Failed;
        left.actions[0].status = ActionStatus::CarriedOver;
        assert_eq!(of_stage(Some(&running), &left), [], "neither the action nor the stage has ended");
        let mut again = running.clone();
        again.attempt = 2;
        again.actions[0].attempt = 1;
        assert_eq!(of_stage(None, &again), [StageChange::Stage(State::Resumed)]);
        let mut ended = again.clone();
        ended.actions[0].status = ActionStatus::Succeeded;
        assert_eq!(of_stage(Some(&again), &ended), [StageChange::Action(0, State::Succeeded)]);
    }

    #[test]
    fn a_further_attempt_resumes_and_takes_over_what_succeeded() {
        let mut again = stage_run();
        again.attempt = 2;
        again.status = StageStatus::InProgress;
        again.actions[0].status = ActionStatus::Succeeded;
        again.actions[0].attempt = 1;
        assert_eq!(of_stage(None, &again), [StageChange::Stage(State::Resumed)]);
        again.actions[0].status = ActionStatus::Requested;
        again.actions[0].attempt = 0;
        assert_eq!(
            of_stage(None, &again),
            [StageChange::Stage(State::Resumed), StageChange::Action(0, State::Started)]
        );
    }
}
