//! A stage attempt: one item, with the runs of its actions and of its conditions' rules inside.

use pipeline::{ConditionKind, PipelineName, StageName};
use serde::{Deserialize, Serialize};

use crate::id::{ActionId, ExecutionId};
use crate::state::action::{ActionRun, ActionStatus};
use crate::time::{Policy, Timestamp};

/// Status of a stage attempt. Source: CodePipeline API, `StageExecutionStatus`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StageStatus {
    /// Actions run or are still to run.
    InProgress,
    /// All actions succeeded, and no condition held the execution back.
    Succeeded,
    /// An action failed and none runs any more.
    Failed,
    /// The pipeline was updated while actions ran; they go on to their end, then it is cancelled.
    Cancelling,
    /// The pipeline was updated or deleted before it had completed.
    Cancelled,
    /// The execution is being stopped; actions that run go on to their end.
    Stopping,
    /// The execution was stopped in it.
    Stopped,
    /// A condition let the execution go on without it.
    Skipped,
}

impl StageStatus {
    /// Whether the attempt has not ended.
    pub fn is_open(self) -> bool {
        matches!(self, Self::InProgress | Self::Cancelling | Self::Stopping)
    }
}

/// One attempt of one execution at one stage, with its actions inside.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StageRun {
    /// The execution whose attempt it is.
    pub execution: ExecutionId,
    /// The pipeline's name.
    pub pipeline: PipelineName,
    /// The stage's index in the execution's version of the pipeline.
    pub stage: usize,
    /// The stage's name.
    pub name: StageName,
    /// The number of the attempt in this execution, from 1; each retry adds one.
    pub attempt: u16,
    /// How the attempt stands.
    pub status: StageStatus,
    /// When this attempt began.
    pub started: Timestamp,
    /// When anything in it last changed.
    pub updated: Timestamp,
    /// The actions, in the declaration's order.
    pub actions: Vec<ActionRun>,
    /// The conditions to which the attempt has come.
    #[serde(default)]
    pub conditions: Vec<ConditionRun>,
    /// How often the stage was tried again.
    #[serde(default)]
    pub retries: Retries,
    /// Whether its execution rolls the stage back.
    #[serde(default)]
    pub rolls_back: bool,
}

/// One evaluation of a stage's condition. It is decided once for each entry into the stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConditionRun {
    /// The entry, success or failure condition.
    pub kind: ConditionKind,
    /// Whether its rules still run, and how it was decided.
    pub status: ConditionStatus,
    /// When its status last changed.
    pub updated: Timestamp,
    /// The ARN of the caller who overrode it; none if nobody did.
    #[serde(default)]
    pub overridden_by: Option<String>,
    /// Its rules, in the declaration's order.
    pub rules: Vec<ActionRun>,
}

/// How a condition stands. Source: CodePipeline API, `ConditionExecutionStatus`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConditionStatus {
    /// At least one of its rules has not ended.
    InProgress,
    /// All rules hold, so the condition is met.
    Succeeded,
    /// At least one rule does not hold, so the condition is not met.
    Failed,
    /// Somebody let the execution go on without it.
    Overridden,
    /// The execution was stopped before the condition was decided.
    Abandoned,
    /// The pipeline was deleted before the condition was decided.
    Cancelled,
}

/// How often a stage was tried again. Source: CodePipeline API, `RetryStageMetadata`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retries {
    /// Retries that the stage's failure caused; one at most.
    pub automatic: u16,
    /// Retries that people asked for.
    pub manual: u16,
    /// What caused the last retry; none before the first.
    pub latest: Option<RetryTrigger>,
}

/// What had a stage tried again. Source: CodePipeline API, `RetryTrigger`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RetryTrigger {
    /// The stage's failure, as its declaration asks.
    Automatic,
    /// A call of `RetryStageExecution`.
    Manual,
}

impl StageRun {
    /// Whether both are the same attempt at the same stage, at different times.
    pub(crate) fn same_attempt(&self, other: &Self) -> bool {
        (self.execution, self.stage, self.attempt) == (other.execution, other.stage, other.attempt)
    }

    /// What is at a place of the stage: an action by its index, or a rule by [`ConditionKind::place`].
    pub fn run(&self, place: u8) -> Option<&ActionRun> {
        match ConditionKind::at(place) {
            Some((kind, rule)) => self.condition(kind)?.rules.get(rule),
            None => self.actions.get(usize::from(place)),
        }
    }

    /// The run with this id. One that this attempt took over has the id of the attempt in which it was requested.
    pub fn find(&self, action: ActionId) -> Option<&ActionRun> {
        self.run(action.action).filter(|_| self.id_at(action.action).first_turn() == action.first_turn())
    }

    /// The attempt in which an action of this one goes on, where the stage was retried while it ran.
    pub fn carried_over_to(&self, action: ActionId) -> Option<u16> {
        self.find(action).filter(|run| run.status == ActionStatus::CarriedOver)?;
        self.attempt.checked_add(1)
    }

    /// What is at a place of the stage, to be changed.
    pub fn run_mut(&mut self, place: u8) -> Option<&mut ActionRun> {
        match ConditionKind::at(place) {
            Some((kind, rule)) => {
                self.conditions.iter_mut().find(|it| it.kind == kind).and_then(|it| it.rules.get_mut(rule))
            }
            None => self.actions.get_mut(usize::from(place)),
        }
    }

    /// All actions, then all rules, with their places.
    pub fn runs(&self) -> impl Iterator<Item = (u8, &ActionRun)> {
        // A checked stage has at most 50 actions.
        let actions = self.actions.iter().enumerate().map(|(index, run)| (index as u8, run));
        let rules = self.conditions.iter().flat_map(|condition| {
            condition.rules.iter().enumerate().map(|(rule, run)| (condition.kind.place(rule), run))
        });
        actions.chain(rules)
    }

    /// The evaluation of a condition, if the attempt came to it.
    pub fn condition(&self, kind: ConditionKind) -> Option<&ConditionRun> {
        self.conditions.iter().find(|condition| condition.kind == kind)
    }

    /// The id of the attempt at what is at this place.
    pub fn id_at(&self, place: u8) -> ActionId {
        let run = self.run(place);
        let attempt = run.map(|run| run.attempt).filter(|attempt| *attempt > 0).unwrap_or(self.attempt);
        let turn = run.map_or(0, |run| run.turn);
        ActionId { turn, ..self.execution.action(self.stage, usize::from(place), attempt) }
    }

    /// The id of the attempt at the action of this index.
    pub fn action_id(&self, action: usize) -> ActionId {
        self.id_at(action as u8)
    }

    /// The actions and rules that a worker may take up: requested, by nobody claimed, and not for later as the next job of a
    /// function that is called again.
    pub fn requested(&self, policy: &Policy, now: Timestamp) -> Vec<ActionId> {
        let due = |run: &ActionRun| run.check.is_some_and(|check| check.plus(-policy.grace) <= now);
        let runs = self.runs().filter(|(_, run)| run.status == ActionStatus::Requested && due(run));
        runs.map(|(place, _)| self.id_at(place)).collect()
    }

    /// When the sweeper must look at this item: the earliest check or deadline of what runs in it.
    pub fn due(&self) -> Option<Timestamp> {
        if !self.status.is_open() {
            return None;
        }
        self.runs()
            .filter(|(_, run)| run.status.in_flight())
            .flat_map(|(_, run)| [run.check, run.deadline])
            .flatten()
            .min()
    }
}
