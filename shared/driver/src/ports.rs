//! What the driver needs from outside.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use engine::{
    ActionError, ActionId, ApprovalToken, Artifact, ExecutionId, External, Pin, Progress, Proposal, Revision,
    RevisionOverride, Success, Timestamp,
};
use pipeline::git_trigger::GitEvent;
use pipeline::{Action, ActionName, ArtifactName, Compute, Pipeline, PipelineName, StageName};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::git_starts::GitDelivery;

/// The driver's source of time and random ids, which tests and the simulation replace.
#[async_trait]
pub trait Clock: Send + Sync {
    /// Milliseconds since 1970, as the engine and the table use them.
    fn now(&self) -> Timestamp;
    /// A random UUID: for execution ids, tokens and worker ids.
    fn random(&self) -> Uuid;
    /// Returns when this much time has passed.
    async fn sleep(&self, duration: Duration);
}

/// What providers say about the source actions that they run.
#[derive(Clone, Copy)]
pub struct SourceRules {
    /// The key of what an action in a region watches, for example `s3/bucket/key`; none where no change starts its
    /// pipeline.
    pub watched: fn(&Action, region: &str) -> Option<String>,
    /// The key of what is polled for an action in a region; none where nothing is.
    pub polled: fn(&Action, region: &str) -> Option<String>,
    /// Whether an execution can be started with a revision of this type for the action; otherwise why not.
    pub takes_revision: fn(&Action, revision_type: &str) -> Result<(), &'static str>,
}

/// What goes from one function to another. Losing one only costs time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum Message {
    /// A worker is to take up an action.
    Run {
        /// The attempt to be taken up.
        action: ActionId,
    },
    /// A worker is to ask the provider about an action.
    Poll {
        /// The attempt to be asked about.
        action: ActionId,
        /// How many polls there have been in this chain; none: this poll makes no chain.
        count: Option<u32>,
    },
    /// A worker is to look whether a source has changed.
    PollSource {
        /// The pipeline that a change starts.
        pipeline: PipelineName,
        /// The source action whose newest revision is asked for.
        action: ActionName,
    },
    /// A worker is to ask a host of code which files differ, since these decide whether a pipeline starts.
    CompareFiles {
        /// The pipeline that may start.
        pipeline: PipelineName,
        /// The source action that reads the repository.
        action: ActionName,
        /// The push or pull request whose files are to be compared.
        delivery: Box<GitDelivery>,
    },
    /// An artifact is to be copied to other regions.
    Replicate {
        /// The attempt that made it.
        action: ActionId,
        /// The artifact's name. Where it is and where its copies belong, the table says: [`crate::Driver::replication`].
        artifact: ArtifactName,
    },
}

impl Message {
    /// The execution that it is about; none where it is about none.
    pub fn execution(&self) -> Option<ExecutionId> {
        match self {
            Self::Run { action } | Self::Poll { action, .. } | Self::Replicate { action, .. } => Some(action.execution),
            Self::PollSource { .. } | Self::CompareFiles { .. } => None,
        }
    }
}

/// A message that could not be dispatched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the event could not be sent: {0}")]
pub struct DispatchError(pub String);

/// Sends messages to other functions.
#[async_trait]
pub trait Dispatch: Send + Sync {
    /// Sends messages, each after a delay (zero: at once); several at once go in one request where that is possible.
    ///
    /// # Errors
    /// [`DispatchError`] when some were not sent; the sweeper makes up for them.
    async fn dispatch(&self, messages: Vec<(Message, Duration)>) -> Result<(), DispatchError>;
}

/// An action to be performed: everything a provider needs, with variables resolved.
#[derive(Clone, Debug)]
pub struct Task {
    /// The attempt; its text is the idempotency token for providers that take one.
    pub id: ActionId,
    /// The name of the pipeline.
    pub pipeline: PipelineName,
    /// The version of the pipeline that the execution runs.
    pub version: u32,
    /// The name of the stage.
    pub stage: StageName,
    /// The action as declared (its configuration still with variables in it).
    pub action: Action,
    /// The configuration with variables resolved.
    pub configuration: BTreeMap<String, String>,
    /// What it runs on managed compute, with variables resolved.
    pub compute: Compute,
    /// The region in which it runs.
    pub region: String,
    /// The ARN of the pipeline's service role.
    pub pipeline_role: String,
    /// The ARN of the action's own role, assumed from the pipeline's; none where it names none.
    pub action_role: Option<String>,
    /// Artifacts to read, in the declaration's order, by their first place; copies in other regions have the same key.
    pub inputs: Vec<TaskInput>,
    /// Where its output artifacts belong, in the declaration's order: the store of its region, under keys that an
    /// attempt which is repeated writes again.
    pub outputs: Vec<Artifact>,
    /// The artifact store of the action's region: (bucket, KMS key id).
    pub store: Option<(String, Option<String>)>,
    /// Whether an earlier worker claimed this attempt and was lost: look for what it may have started.
    pub reclaimed: bool,
    /// What an earlier job of this attempt handed over.
    pub continuation: Option<String>,
    /// The token of an approval.
    pub token: Option<ApprovalToken>,
    /// When the action fails by time-out.
    pub deadline: Option<Timestamp>,
    /// The provider's own id, once known.
    pub external: Option<External>,
    /// Revisions that the start prescribed for this source action, of different kinds.
    pub overrides: Vec<RevisionOverride>,
    /// What changes start the pipeline by itself, as its sources' providers name it, for example `s3/bucket/key`.
    pub watched: Vec<String>,
    /// For an approval: the artifacts that would go on, which actions behind it read.
    pub reviewed: Vec<Artifact>,
    /// For an approval: what it decides.
    pub proposal: Option<Box<Proposal>>,
    /// For an approval: whether it needs nobody.
    pub approves_itself: bool,
    /// Revisions that the execution's source actions found so far, for people: (action, revision).
    pub revisions: Vec<(String, Revision)>,
}

impl Task {
    /// What is known of an action by its declaration alone.
    pub(crate) fn declared(
        id: ActionId,
        pipeline: &Pipeline,
        version: u32,
        stage: &StageName,
        action: &Action,
        region: &str,
    ) -> Self {
        Self {
            id,
            pipeline: pipeline.name().clone(),
            version,
            stage: stage.clone(),
            action: action.clone(),
            configuration: action.configuration.clone(),
            compute: action.compute.clone(),
            region: region.to_owned(),
            pipeline_role: pipeline.role_arn().to_string(),
            action_role: action.role_arn.as_ref().map(ToString::to_string),
            inputs: Vec::new(),
            outputs: Vec::new(),
            store: None,
            reclaimed: false,
            continuation: None,
            token: None,
            deadline: None,
            external: None,
            overrides: Vec::new(),
            watched: Vec::new(),
            reviewed: Vec::new(),
            proposal: None,
            approves_itself: false,
            revisions: Vec::new(),
        }
    }

    /// The execution to which the attempt belongs; its id is part of the attempt's.
    pub fn execution(&self) -> ExecutionId {
        self.id.execution
    }
}

/// An artifact that a task reads.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskInput {
    /// Where it was first stored.
    pub artifact: Artifact,
    /// The bucket of the task's region in which a copy under the same key belongs; the same bucket where the regions
    /// are the same.
    pub bucket: String,
    /// The KMS key of that bucket's store.
    pub key_id: Option<String>,
    /// Which object of that bucket it is. Nothing is known of a copy before it has been looked for.
    pub pin: Pin,
}

/// Looks at the artifacts that somebody else has stored: job workers and functions write them themselves.
#[async_trait]
pub trait ArtifactStore: Send + Sync {
    /// The output artifacts of a task, as far as they are there, each with its [`Pin`]; or why the action fails.
    ///
    /// # Errors
    /// [`ExecutorError`] when it should be tried again later.
    async fn stored_outputs(&self, task: &Task) -> Result<Result<Vec<Artifact>, ActionError>, ExecutorError>;
}

/// How an action stands after its start or a poll.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It is done, and its artifacts are recorded with their pins: what is stored later under their keys is not theirs.
    Succeeded(Success),
    /// It failed for good. Whatever is worth repeating is an [`ExecutorError`].
    Failed {
        /// Why, in the words of the provider.
        error: ActionError,
        /// The last news: external id, summary, per cent done.
        report: Progress,
    },
    /// It is in progress: with the provider, a person or a job worker.
    Running {
        /// External id, summary and per cent done, as far as the provider tells.
        report: Progress,
        /// Whether it must be polled (not for people and job workers: they come by themselves).
        poll: bool,
        /// EventBridge's `source` of events that name the action by the external id of the report, if there are any:
        /// then [`crate::Driver::action_by_external_id`] finds the action.
        event_source: Option<String>,
    },
    /// Its job is done and it is not: it is to be started again, as its next job, after a while.
    Continue {
        /// What the next job is given.
        token: String,
        /// External id, summary and per cent done, as far as the provider tells.
        report: Progress,
    },
}

/// That an attempt to perform came to nothing, and is worth repeating: throttled, unreachable. What is final is an
/// [`Outcome::Failed`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ExecutorError(pub String);

/// Runs actions with their providers.
#[async_trait]
pub trait ActionExecutor: Send + Sync {
    /// Starts an attempt (or does all of it). Called again for the same attempt when a worker was lost: must not
    /// start it twice.
    ///
    /// # Errors
    /// [`ExecutorError`] when it should be tried again later.
    async fn start(&self, task: &Task) -> Result<Outcome, ExecutorError>;

    /// Asks how a running attempt stands.
    ///
    /// # Errors
    /// [`ExecutorError`] when it should be tried again later.
    async fn poll(&self, task: &Task) -> Result<Outcome, ExecutorError>;
}

/// What a source is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewestRevision {
    /// CodePipeline's `SourceRevisionType`, for example `S3_OBJECT_VERSION_ID`.
    pub kind: &'static str,
    /// For example the object's version.
    pub value: String,
    /// What the service takes to tell whether anything has changed since, where it has such a thing.
    pub validator: Option<String>,
    /// Names the change, where events of it name it in the same way: a change that both tell of starts one execution.
    pub token: Option<String>,
    /// What people see as the trigger's detail.
    pub detail: String,
}

/// Asks the services of sources about them. Of a task, only what its pipeline and its action say is there.
#[async_trait]
pub trait SourceReader: Send + Sync {
    /// What the source of a task's action is now; none where nothing is there, or where the service says that nothing has changed
    /// since it gave this validator.
    ///
    /// # Errors
    /// [`ExecutorError`]: the source is asked again a minute later, whatever the reason.
    async fn newest(&self, task: &Task, validator: Option<&str>) -> Result<Option<NewestRevision>, ExecutorError>;

    /// The paths of the files that an event changed in the repository that a task's action reads.
    ///
    /// # Errors
    /// [`ExecutorError`]: to be tried again, whatever the reason.
    async fn changed_files(&self, task: &Task, event: &GitEvent) -> Result<Vec<String>, ExecutorError>;
}
