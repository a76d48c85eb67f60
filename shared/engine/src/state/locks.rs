//! A pipeline's head and its stage locks: which version is current, who holds a stage, who waits, and what is still to be
//! done to executions.

use std::collections::BTreeMap;
use std::fmt;

use pipeline::{ExecutionMode, PipelineName, StageName};
use serde::{Deserialize, Serialize};

use crate::id::{ExecutionId, Incarnation};
use crate::time::{TRANSITION_DAYS, Timestamp};

/// A pipeline's own item: which version is current.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Head {
    /// The pipeline's name.
    pub pipeline: PipelineName,
    /// Tells this pipeline from a deleted one of the same name.
    pub incarnation: Incarnation,
    /// The current version, from 1.
    pub version: u32,
    /// When the pipeline was created; updates leave it.
    pub created: Timestamp,
    /// When it was last updated.
    pub updated: Timestamp,
    /// The type of the current version, for lists that do not read the declaration.
    pub kind: pipeline::PipelineType,
    /// The execution mode of the current version, for the same lists.
    pub mode: ExecutionMode,
    /// Tags of the pipeline, values by key.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

/// Who holds and who waits for each stage of a pipeline; all rules of the execution modes live on it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StageLocks {
    /// The pipeline's name.
    pub pipeline: PipelineName,
    /// Which pipeline of that name.
    pub incarnation: Incarnation,
    /// The pipeline's current version, as in its [`Head`]: whoever writes the locks sees here that it was updated.
    pub version: u32,
    /// The number that the next execution gets; numbers order executions by their start.
    pub next_number: u64,
    /// By stage name, since executions of different versions share the stages they have in common.
    pub stages: BTreeMap<StageName, StageLock>,
    /// Executions of mode PARALLEL that have not ended: they hold no lock and wait for none.
    #[serde(default)]
    pub running: Vec<ExecutionId>,
    /// What this item's last changes ask of executions other than the one that caused them.
    #[serde(default)]
    pub outbox: Vec<OutboxTask>,
    /// When the sweeper must look for outbox that nobody took up.
    #[serde(default)]
    pub due: Option<Timestamp>,
    /// Whether the pipeline has been deleted: its executions end at their next step.
    #[serde(default)]
    pub deleted: bool,
    /// When it was deleted; none while it exists.
    #[serde(default)]
    pub deleted_at: Option<Timestamp>,
}

impl StageLocks {
    /// The locks of a new pipeline.
    pub fn new(pipeline: PipelineName, incarnation: Incarnation) -> Self {
        Self {
            pipeline,
            incarnation,
            version: 1,
            next_number: 1,
            stages: BTreeMap::new(),
            running: Vec::new(),
            outbox: Vec::new(),
            due: None,
            deleted: false,
            deleted_at: None,
        }
    }
}

/// One stage as executions share it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StageLock {
    /// The execution that is in the stage, or has been let in by a task.
    pub holder: Option<ExecutionId>,
    /// Those in front of the stage, oldest first.
    #[serde(default)]
    pub waiting: Vec<Waiting>,
    /// Who entered last: what `GetPipelineState` shows.
    pub latest: Option<Entry>,
    /// Attempts that have ended, the newest first: with `latest` they hold the last run of every action.
    #[serde(default)]
    pub ended: Vec<EndedAttempt>,
    /// The execution that succeeded in the stage last: to it a failure rolls back.
    #[serde(default)]
    pub succeeded: Option<LastSuccess>,
    /// The execution of which the stage runs what it released: the last that succeeded, by rolling back too. None where nothing has
    /// succeeded since a release of Millrace that did not write it.
    #[serde(default)]
    pub live: Option<ExecutionId>,
    /// The way into the stage, which people can close and open.
    #[serde(default)]
    pub transition: Transition,
}

/// The execution that succeeded in a stage last. Those that rolled back do not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastSuccess {
    /// The execution that succeeded in the stage.
    pub execution: ExecutionId,
    /// The version of the pipeline that it ran.
    pub version: u32,
}

/// That an execution entered a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The execution that entered.
    pub execution: ExecutionId,
    /// The stage's index in the execution's version of the pipeline.
    pub stage: usize,
    /// Its attempt at the stage, from 1.
    pub attempt: u16,
}

/// An attempt at a stage that has ended, and how far it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedAttempt {
    /// Execution, stage and number of the attempt.
    pub entry: Entry,
    /// The version of the pipeline that it ran.
    pub version: u32,
    /// The highest run order to which it came; none: it came to all actions.
    pub reached: Option<u32>,
}

/// An execution in front of a stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Waiting {
    /// The execution that waits.
    pub execution: ExecutionId,
    /// Its number: a larger one started later.
    pub number: u64,
    /// When it came to the stage.
    pub since: Timestamp,
}

/// The inbound transition of a stage. Open unless somebody closed it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Transition {
    /// Whether it is closed: nobody enters while it is.
    pub disabled: bool,
    /// The reason that was given for closing it; none while it is open.
    #[serde(default)]
    pub reason: Option<String>,
    /// The ARN of the caller who closed or opened it last.
    #[serde(default)]
    pub changed_by: Option<String>,
    /// When it was changed last.
    #[serde(default)]
    pub changed_at: Option<Timestamp>,
}

/// Something that must be done to another execution.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum OutboxTask {
    /// The execution has been given the stage and must enter it.
    Enter {
        /// The execution that may enter.
        execution: ExecutionId,
        /// The stage that it has been given.
        stage: StageName,
    },
    /// The execution was overtaken while it waited.
    Supersede {
        /// The older execution, which ends as superseded.
        execution: ExecutionId,
        /// The one that overtook it.
        by: ExecutionId,
    },
    /// The execution cannot go on.
    Cancel {
        /// The execution to be cancelled.
        execution: ExecutionId,
        /// What made it impossible to go on.
        cause: CancelCause,
    },
    /// A stage failed and is to be rolled back: an execution must be made for it, to which the stage has been given.
    RollBack {
        /// The id of the execution to be made.
        execution: ExecutionId,
        /// The stage to roll back.
        stage: StageName,
        /// The execution that succeeded in the stage last.
        target: ExecutionId,
        /// The execution whose failure in the stage caused the rollback.
        failed: ExecutionId,
    },
}

impl OutboxTask {
    /// The execution to which it must be done.
    pub fn execution(&self) -> ExecutionId {
        match self {
            Self::Enter { execution, .. }
            | Self::Supersede { execution, .. }
            | Self::Cancel { execution, .. }
            | Self::RollBack { execution, .. } => *execution,
        }
    }
}

/// Why an execution is cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CancelCause {
    /// Its pipeline was deleted: what runs is given up.
    PipelineDeleted,
    /// Its pipeline was updated: what runs goes on to its end.
    PipelineUpdated,
    /// The transition in front of which it waited was opened after too long a time.
    TransitionExpired,
}

impl fmt::Display for CancelCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PipelineDeleted => write!(f, "The pipeline was deleted."),
            Self::PipelineUpdated => write!(f, "The pipeline was updated."),
            Self::TransitionExpired => {
                write!(f, "The transition was closed for more than {TRANSITION_DAYS} days.")
            }
        }
    }
}
