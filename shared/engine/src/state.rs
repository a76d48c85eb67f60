//! What is kept of a pipeline and its executions: plain data, one struct an item of the table.

use std::collections::BTreeMap;
use std::fmt;

use pipeline::{ActionName, ArtifactName, ConditionKind, ExecutionMode, PipelineName, StageName};
use serde::{Deserialize, Serialize};

use crate::id::{ActionId, ApprovalToken, ExecutionId, Incarnation, JobNonce, WorkerId};
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
    /// When it was created.
    pub created: Timestamp,
    /// When it was last updated.
    pub updated: Timestamp,
    /// `V1` or `V2`, and the mode, for lists that do not read the declaration.
    pub kind: pipeline::PipelineType,
    /// The execution mode of the current version.
    pub mode: ExecutionMode,
    /// Tags by key.
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
    /// When it was deleted.
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
    /// The inbound transition.
    #[serde(default)]
    pub transition: Transition,
}

/// The execution that succeeded in a stage last. Those that rolled back do not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastSuccess {
    /// Which execution.
    pub execution: ExecutionId,
    /// The version of the pipeline that it ran.
    pub version: u32,
}

/// That an execution entered a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Which execution.
    pub execution: ExecutionId,
    /// The stage's index in the execution's version of the pipeline.
    pub stage: usize,
    /// Which attempt, from 1.
    pub attempt: u16,
}

/// An attempt at a stage that has ended, and how far it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedAttempt {
    /// Which attempt.
    pub entry: Entry,
    /// The version of the pipeline that it ran.
    pub version: u32,
    /// The highest run order to which it came; none: it came to all actions.
    pub reached: Option<u32>,
}

/// An execution in front of a stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Waiting {
    /// Which execution.
    pub execution: ExecutionId,
    /// Its number: a larger one started later.
    pub number: u64,
    /// Since when it waits.
    pub since: Timestamp,
}

/// The inbound transition of a stage. Open unless somebody closed it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Transition {
    /// Whether it is closed.
    pub disabled: bool,
    /// Why it was closed.
    #[serde(default)]
    pub reason: Option<String>,
    /// Who changed it last.
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
        /// Which execution.
        execution: ExecutionId,
        /// Which stage.
        stage: StageName,
    },
    /// The execution was overtaken while it waited.
    Supersede {
        /// Which execution.
        execution: ExecutionId,
        /// The one that overtook it.
        by: ExecutionId,
    },
    /// The execution cannot go on.
    Cancel {
        /// Which execution.
        execution: ExecutionId,
        /// Why.
        cause: CancelCause,
    },
    /// A stage failed and is to be rolled back: an execution must be made for it, to which the stage has been given.
    RollBack {
        /// The id of the execution to be made.
        execution: ExecutionId,
        /// Which stage.
        stage: StageName,
        /// The execution that succeeded in the stage last.
        target: ExecutionId,
        /// The execution that failed.
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

/// Status of an execution. Source: CodePipeline API, `PipelineExecutionStatus`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExecutionStatus {
    /// Runs or waits.
    InProgress,
    /// All stages succeeded.
    Succeeded,
    /// A stage failed.
    Failed,
    /// A newer execution overtook it.
    Superseded,
    /// Its pipeline was updated while actions ran; they go on to their end, then it is cancelled. The API has no word
    /// for it and shows it as in progress.
    Cancelling,
    /// Its pipeline was updated or deleted before it had completed.
    Cancelled,
    /// Somebody stopped it; what runs goes on to its end.
    Stopping,
    /// It was stopped.
    Stopped,
}

impl ExecutionStatus {
    /// Whether it has not ended.
    pub fn is_open(self) -> bool {
        matches!(self, Self::InProgress | Self::Cancelling | Self::Stopping)
    }
}

/// One pipeline execution.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Execution {
    /// Its id.
    pub id: ExecutionId,
    /// The pipeline's name.
    pub pipeline: PipelineName,
    /// Which pipeline of that name.
    pub incarnation: Incarnation,
    /// The version with which it started; it keeps to it.
    pub version: u32,
    /// Its place in the order of starts, from 1.
    pub number: u64,
    /// Its mode.
    pub mode: ExecutionMode,
    /// Its status.
    pub status: ExecutionStatus,
    /// A sentence about the status.
    #[serde(default)]
    pub summary: Option<String>,
    /// What started it.
    pub trigger: Trigger,
    /// Pipeline variables with their values in this execution.
    #[serde(default)]
    pub variables: BTreeMap<String, String>,
    /// Revisions that the start prescribed, by source action.
    #[serde(default)]
    pub overrides: Vec<RevisionOverride>,
    /// What the source actions found.
    #[serde(default)]
    pub revisions: Vec<SourceRevision>,
    /// When it started.
    pub started: Timestamp,
    /// When its status, stage or position last changed.
    pub updated: Timestamp,
    /// Where it is.
    pub position: Position,
    /// By stage index: its latest attempt there; 0 where it never was.
    pub attempts: Vec<u16>,
    /// That somebody stopped it.
    #[serde(default)]
    pub stop: Option<Stop>,
    /// That it rolls one stage back.
    #[serde(default)]
    pub rollback: Option<RollbackTarget>,
}

/// That an execution was stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// Whether the actions that ran were given up.
    pub abandon: bool,
    /// What the person wrote.
    #[serde(default)]
    pub reason: Option<String>,
}

/// What an execution that rolls a stage back takes from another one. It runs that stage alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RollbackTarget {
    /// The execution that succeeded in the stage before.
    pub execution: ExecutionId,
    /// Its attempts by stage index: where the artifacts and variables of earlier stages are.
    pub attempts: Vec<u16>,
}

impl Execution {
    /// Where the latest attempt at a stage is, as this execution sees it: (execution, attempt). None where there was
    /// none. One that rolls back sees its target's earlier stages.
    pub fn attempt_at(&self, stage: usize) -> Option<(ExecutionId, u16)> {
        let attempt = |attempts: &[u16]| attempts.get(stage).copied().filter(|attempt| *attempt > 0);
        match (attempt(&self.attempts), &self.rollback) {
            (Some(own), _) => Some((self.id, own)),
            (None, Some(target)) => Some((target.execution, attempt(&target.attempts)?)),
            (None, None) => None,
        }
    }
}

/// Where an execution is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Position {
    /// In front of the stage of this index.
    Waiting(usize),
    /// In the stage of this index.
    In(usize),
    /// Nowhere any more: the status is final.
    Out,
}

/// What started an execution.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trigger {
    /// CodePipeline's `TriggerType`, for example `StartPipelineExecution` or `CloudWatchEvent`.
    pub kind: String,
    /// For example the ARN of the caller or of the event rule.
    pub detail: String,
}

/// A revision that the start prescribed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RevisionOverride {
    /// The source action.
    pub action: ActionName,
    /// CodePipeline's `SourceRevisionType`, for example `S3_OBJECT_VERSION_ID`.
    pub kind: String,
    /// For example the version id.
    pub value: String,
    /// What a report says besides: see [`Revision::change`].
    #[serde(default, skip_serializing_if = "unset")]
    pub change: Option<String>,
    /// When the revision was made, where a report says so.
    #[serde(default, skip_serializing_if = "unset")]
    pub created: Option<Timestamp>,
}

impl RevisionOverride {
    /// A revision of which nothing but itself is known.
    pub fn new(action: ActionName, kind: impl Into<String>, value: impl Into<String>) -> Self {
        Self { action, kind: kind.into(), value: value.into(), change: None, created: None }
    }
}

/// What a source action found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SourceRevision {
    /// The source action.
    pub action: ActionName,
    /// The artifact that holds it.
    pub artifact: Option<ArtifactName>,
    /// The revision.
    pub revision: Revision,
}

/// A revision of a source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Revision {
    /// Commit id, S3 version id, image digest.
    pub id: String,
    /// For example the commit message.
    #[serde(default)]
    pub summary: Option<String>,
    /// Where a person can look at it.
    #[serde(default)]
    pub url: Option<String>,
    /// When it was made, where the source tells.
    #[serde(default)]
    pub created: Option<Timestamp>,
    /// CodePipeline's `revisionChangeIdentifier`: the ETag of an S3 object, for example.
    #[serde(default, skip_serializing_if = "unset")]
    pub change: Option<String>,
}

/// Status of a stage attempt. Source: CodePipeline API, `StageExecutionStatus`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StageStatus {
    /// Actions run or are still to run.
    InProgress,
    /// All actions succeeded.
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
    /// The execution.
    pub execution: ExecutionId,
    /// The pipeline's name.
    pub pipeline: PipelineName,
    /// The stage's index in the execution's version of the pipeline.
    pub stage: usize,
    /// The stage's name.
    pub name: StageName,
    /// Which attempt, from 1.
    pub attempt: u16,
    /// Its status.
    pub status: StageStatus,
    /// When the execution entered.
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
    /// Which condition.
    pub kind: ConditionKind,
    /// How it stands.
    pub status: ConditionStatus,
    /// When its status last changed.
    pub updated: Timestamp,
    /// Who overrode it.
    #[serde(default)]
    pub overridden_by: Option<String>,
    /// Its rules, in the declaration's order.
    pub rules: Vec<ActionRun>,
}

/// How a condition stands. Source: CodePipeline API, `ConditionExecutionStatus`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConditionStatus {
    /// Its rules run.
    InProgress,
    /// All rules hold.
    Succeeded,
    /// A rule does not hold.
    Failed,
    /// Somebody let the execution go on without it.
    Overridden,
    /// The execution was stopped meanwhile.
    Abandoned,
    /// The pipeline was deleted meanwhile.
    Cancelled,
}

/// How often a stage was tried again. Source: CodePipeline API, `RetryStageMetadata`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retries {
    /// By itself, at most once.
    pub automatic: u16,
    /// By people.
    pub manual: u16,
    /// Which was the last.
    pub latest: Option<RetryTrigger>,
}

/// What had a stage tried again. Source: CodePipeline API, `RetryTrigger`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RetryTrigger {
    /// Its failure.
    Automatic,
    /// A person.
    Manual,
}

/// Where an action's attempt stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ActionStatus {
    /// Its turn has not come.
    Pending,
    /// Nobody has taken it up yet.
    Requested,
    /// A worker is starting it, or does all its work itself.
    Claimed {
        /// Which worker.
        worker: WorkerId,
        /// Until when the claim holds.
        until: Timestamp,
    },
    /// Its provider, a person or a job worker is at it.
    Running,
    /// It is done.
    Succeeded,
    /// It failed.
    Failed,
    /// It was given up before its end.
    Abandoned,
    /// The stage was retried while it ran: it goes on, under the same id, in the next attempt at the stage.
    CarriedOver,
}

impl ActionStatus {
    /// Whether anybody may still be at it.
    pub fn in_flight(&self) -> bool {
        matches!(self, Self::Requested | Self::Claimed { .. } | Self::Running)
    }
}

/// One attempt at one action.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActionRun {
    /// The action's name.
    pub name: ActionName,
    /// Where it stands.
    pub status: ActionStatus,
    /// The attempt at the stage in which it was requested, where a later one took it over; 0: the attempt that it is in.
    #[serde(default, skip_serializing_if = "unset")]
    pub attempt: u16,
    /// When it was requested.
    #[serde(default, skip_serializing_if = "unset")]
    pub requested: Option<Timestamp>,
    /// When anything of it last changed.
    #[serde(default, skip_serializing_if = "unset")]
    pub updated: Option<Timestamp>,
    /// When it fails by time-out.
    #[serde(default, skip_serializing_if = "unset")]
    pub deadline: Option<Timestamp>,
    /// When the sweeper must look at it next, while it is in flight.
    #[serde(default, skip_serializing_if = "unset")]
    pub check: Option<Timestamp>,
    /// How many claims were made; more than one means that a worker was lost.
    #[serde(default, skip_serializing_if = "unset")]
    pub claims: u32,
    /// How often a job was continued.
    #[serde(default, skip_serializing_if = "unset")]
    pub turn: u16,
    /// What its job handed over for the continuation.
    #[serde(default, skip_serializing_if = "unset")]
    pub continuation: Option<String>,
    /// Its job, where job workers poll for it.
    #[serde(default, skip_serializing_if = "unset")]
    pub job: Option<JobRun>,
    /// The secret that an approval's answer must name.
    #[serde(default, skip_serializing_if = "unset")]
    pub token: Option<ApprovalToken>,
    /// The provider's own id and page.
    #[serde(default, skip_serializing_if = "unset")]
    pub external: Option<External>,
    /// A sentence about the status.
    #[serde(default, skip_serializing_if = "unset")]
    pub summary: Option<String>,
    /// 0 to 100, where the provider or the job worker tells.
    #[serde(default, skip_serializing_if = "unset")]
    pub percent: Option<u8>,
    /// Who answered an approval.
    #[serde(default, skip_serializing_if = "unset")]
    pub updated_by: Option<Approver>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "unset")]
    pub error: Option<ActionError>,
    /// Artifacts it made.
    #[serde(default, skip_serializing_if = "unset")]
    pub outputs: Vec<Artifact>,
    /// Its output variables.
    #[serde(default, skip_serializing_if = "unset")]
    pub variables: Outputs,
    /// What a source action found.
    #[serde(default, skip_serializing_if = "unset")]
    pub revision: Option<Revision>,
}

/// The current job of an action, where job workers poll for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobRun {
    /// Since when it waits in its queue.
    pub queued: Timestamp,
    /// From when on it may be offered: an offer that nobody acknowledges lapses.
    pub free: Timestamp,
    /// The secret of the last offer.
    #[serde(default)]
    pub nonce: Option<JobNonce>,
    /// Whether a worker has acknowledged that offer: the job is its own.
    #[serde(default)]
    pub acknowledged: bool,
}

impl JobRun {
    /// A job that nobody has seen yet.
    pub(crate) fn queued(now: Timestamp) -> Self {
        Self { queued: now, free: now, nonce: None, acknowledged: false }
    }
}

/// Who answered an approval. Its text is what people are shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Approver {
    /// Who signed the call: the ARN that IAM vouches for.
    Caller(String),
    /// Whoever had the link that was sent out. Nothing vouches for the name.
    Link {
        /// The name that was given.
        name: String,
    },
}

impl fmt::Display for Approver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Caller(arn) => f.write_str(arn),
            // Begins with words, so that a name that looks like an ARN is not taken for one.
            Self::Link { name } => write!(f, "approval link (name given: {name})"),
        }
    }
}

/// The provider's own name for what it runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct External {
    /// For example the ARN of a Step Functions execution.
    pub id: String,
    /// Where a person can look at it.
    #[serde(default, skip_serializing_if = "unset")]
    pub url: Option<String>,
}

/// The way back from an id that a service chose to the action for which it runs: events of the service have nothing else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExternalId {
    /// EventBridge's `source` of those events.
    pub source: String,
    /// The region of the action, and so of the events.
    pub region: String,
    /// The service's id, as in [`External`].
    pub id: String,
    /// The action.
    pub action: ActionId,
    /// When the action was started.
    pub started: Timestamp,
}

impl ExternalId {
    /// Whether both say where one id leads.
    pub(crate) fn same_id(&self, other: &Self) -> bool {
        (&self.source, &self.region, &self.id) == (&other.source, &other.region, &other.id)
    }
}

/// Why an action failed. `code` is one of CodePipeline's `FailureType`s or the provider's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionError {
    /// For example `JobFailed`, `ConfigurationError`, `PermissionError`, `TimeoutError`.
    pub code: String,
    /// The cause in the words of the provider.
    pub message: String,
}

/// An artifact and where it was first stored; copies in other regions have the same key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Artifact {
    /// Its name in the declaration.
    pub name: ArtifactName,
    /// The region of the action that made it.
    pub region: String,
    /// The bucket of that region's artifact store.
    pub bucket: String,
    /// The object's key.
    pub key: String,
    /// Which object under that key it is: what is written there later is another.
    #[serde(default, skip_serializing_if = "unset")]
    pub pin: Pin,
}

/// What tells one object from all others that are written under its key. Recorded with the end of the action that made
/// it, so that whatever is written later is never taken for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// S3's `VersionId`; none in a bucket without versions.
    #[serde(default, skip_serializing_if = "unset")]
    pub version: Option<String>,
    /// S3's `ChecksumSHA256`: base64, over the whole object. An object that was made in parts has one over its parts'
    /// checksums, which ends with a hyphen and their number. None where S3 was not told to compute it.
    #[serde(default, skip_serializing_if = "unset")]
    pub sha256: Option<String>,
}

impl Pin {
    /// Whether anything is known of the object.
    pub fn is_known(&self) -> bool {
        *self != Self::default()
    }
}

/// What is not there is not written: a stage has up to 50 runs in its item, which each step writes whole.
fn unset<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Output variables of an action: small ones inside the stage's item, large ones in an item of their own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum Outputs {
    /// There are none.
    #[default]
    None,
    /// All of them.
    Inline(BTreeMap<String, String>),
    /// They are in [`StoredOutputs`].
    Stored,
}

/// Output variables that are too large for the stage's item.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredOutputs {
    /// The attempt that made them.
    pub action: ActionId,
    /// The variables.
    pub variables: BTreeMap<String, String>,
}

impl ActionRun {
    /// A run whose turn has not come.
    pub fn pending(name: ActionName) -> Self {
        Self {
            name,
            status: ActionStatus::Pending,
            attempt: 0,
            requested: None,
            updated: None,
            deadline: None,
            check: None,
            claims: 0,
            turn: 0,
            continuation: None,
            job: None,
            token: None,
            external: None,
            summary: None,
            percent: None,
            updated_by: None,
            error: None,
            outputs: Vec::new(),
            variables: Outputs::None,
            revision: None,
        }
    }
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
