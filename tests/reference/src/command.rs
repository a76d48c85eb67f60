//! What the model and the engine are asked alike, and what is compared of their answers.
//!
//! Executions are named by the order of their starts, from 0, and stages and actions by their place. Nothing here
//! comes from the engine.

use std::fmt;

/// How executions share the stages. Source: CodePipeline API, `ExecutionMode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A newer execution overtakes an older one that waits.
    Superseded,
    /// Executions wait in line; the oldest goes first.
    Queued,
    /// Executions do not see each other.
    Parallel,
}

/// A pipeline as far as order goes: its mode and, by stage, the run order of each action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// How executions share the stages.
    pub mode: Mode,
    /// At least two stages, each with at least one action.
    pub stages: Vec<Vec<u32>>,
}

/// A call of the API, the end of an action, or time that passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// `StartPipelineExecution`.
    Start,
    /// An action of the execution's latest attempt at the stage ends.
    Finish {
        /// The execution, by the order of starts.
        run: usize,
        /// The stage, by its place.
        stage: usize,
        /// The action, by its place in the stage.
        action: usize,
        /// Whether it succeeds.
        well: bool,
    },
    /// `DisableStageTransition`, inbound.
    Close(usize),
    /// `EnableStageTransition`, inbound.
    Open(usize),
    /// `StopPipelineExecution`.
    Stop {
        /// The execution, by the order of starts.
        run: usize,
        /// Give up what is in progress, or wait for it.
        abandon: bool,
    },
    /// `RetryStageExecution`.
    Retry {
        /// The execution, by the order of starts.
        run: usize,
        /// The stage, by its place.
        stage: usize,
        /// Whether the mode is `ALL_ACTIONS`; otherwise `FAILED_ACTIONS`.
        all: bool,
    },
    /// `RollbackStage`: a new execution.
    Rollback {
        /// The execution whose artifacts it uses.
        target: usize,
        /// The stage, by its place.
        stage: usize,
    },
    /// `UpdatePipeline`, to a version that differs in its mode only.
    Change(Mode),
    /// More than 30 days pass.
    Month,
    /// `DeletePipeline`.
    Delete,
}

impl Command {
    /// The execution that must exist for the command to have a meaning.
    pub fn run(&self) -> Option<usize> {
        match self {
            Self::Finish { run, .. } | Self::Stop { run, .. } | Self::Retry { run, .. } => Some(*run),
            Self::Rollback { target, .. } => Some(*target),
            Self::Start | Self::Close(_) | Self::Open(_) | Self::Change(_) | Self::Month | Self::Delete => None,
        }
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start => write!(f, "start"),
            Self::Finish { run, stage, action, well } => {
                write!(f, "action {action} of stage {stage} {} in #{run}", if *well { "succeeds" } else { "fails" })
            }
            Self::Close(stage) => write!(f, "close the transition into stage {stage}"),
            Self::Open(stage) => write!(f, "open the transition into stage {stage}"),
            Self::Stop { run, abandon } => write!(f, "stop #{run} and {}", if *abandon { "abandon" } else { "wait" }),
            Self::Retry { run, stage, all } => {
                write!(f, "retry {} actions of stage {stage} in #{run}", if *all { "all" } else { "failed" })
            }
            Self::Rollback { target, stage } => write!(f, "roll stage {stage} back to #{target}"),
            Self::Change(mode) => write!(f, "change the mode to {mode:?}"),
            Self::Month => write!(f, "31 days pass"),
            Self::Delete => write!(f, "delete"),
        }
    }
}

/// Why a command changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// `PipelineNotFoundException`.
    NoPipeline,
    /// The action is not in progress: `InvalidJobStateException` and its like.
    NotInProgress,
    /// `ConcurrentPipelineExecutionsLimitExceededException`.
    TooMany,
    /// `PipelineExecutionNotStoppableException`.
    NotStoppable,
    /// `DuplicatedStopRequestException`.
    StopsAlready,
    /// `StageNotRetryableException`.
    NotRetryable,
    /// `NotLatestPipelineExecutionException`.
    NotLatest,
    /// `UnableToRollbackStageException`.
    NoRollback,
    /// `PipelineExecutionOutdatedException`.
    Outdated,
    /// Transitions of a pipeline of mode PARALLEL: `ValidationException`.
    NoTransitions,
    /// `ConflictException`.
    Busy,
}

/// Status of an execution. Source: CodePipeline API, `PipelineExecutionStatus`.
#[allow(missing_docs, reason = "the API's own names")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    InProgress,
    Succeeded,
    Failed,
    Superseded,
    Stopping,
    Stopped,
    Cancelled,
}

/// Which stage an execution is in, or in front of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In front of a stage.
    Before(usize),
    /// In the stage of this place.
    Inside(usize),
    /// Nowhere: its status is final.
    Out,
}

/// Status of a stage. Source: CodePipeline API, `StageExecutionStatus`.
#[allow(missing_docs, reason = "the API's own names")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StageStatus {
    InProgress,
    Succeeded,
    Failed,
    Stopping,
    Stopped,
    Cancelled,
}

/// Status of an action. Source: CodePipeline API, `ActionExecutionStatus`.
#[allow(missing_docs, reason = "the API's own names")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActionStatus {
    /// Its turn has not come.
    Idle,
    InProgress,
    Succeeded,
    Failed,
    Abandoned,
}

/// The latest attempt of an execution at a stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visit {
    /// The status of the stage in this attempt.
    pub status: StageStatus,
    /// The status of each action.
    pub actions: Vec<ActionStatus>,
}

/// What can be seen of an execution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenRun {
    /// The execution's status.
    pub status: Status,
    /// Which stage it is in, or in front of.
    pub place: Place,
    /// By stage: its latest attempt there.
    pub visits: Vec<Option<Visit>>,
}

/// What can be seen of a stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenStage {
    /// Whether its inbound transition is closed.
    pub closed: bool,
    /// The execution that holds the stage.
    pub locked_by: Option<usize>,
    /// Who waits in front of it, in the order in which they came.
    pub waiting: Vec<usize>,
    /// The execution that entered it last.
    pub latest: Option<usize>,
}

/// All that can be seen from outside; compared after each command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The executions in the order of their starts.
    pub runs: Vec<SeenRun>,
    /// The stages in their order.
    pub stages: Vec<SeenStage>,
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, run) in self.runs.iter().enumerate() {
            write!(f, "    #{number} {:?} {:?}:", run.status, run.place)?;
            for (stage, visit) in run.visits.iter().enumerate() {
                if let Some(visit) = visit {
                    write!(f, " {stage} {:?} {:?}", visit.status, visit.actions)?;
                }
            }
            writeln!(f)?;
        }
        for (number, stage) in self.stages.iter().enumerate() {
            let SeenStage { closed, locked_by, waiting, latest } = stage;
            let way = if *closed { "closed" } else { "open" };
            writeln!(f, "    stage {number} {way}, locked by {locked_by:?}, waiting {waiting:?}, latest {latest:?}")?;
        }
        Ok(())
    }
}
