//! What can go wrong when something is to be changed.

use engine::{ActionId, ExecutionId, Refusal};
use pipeline::PipelineName;
use store::StoreError;

use crate::ports::{DispatchError, ExecutorError};

/// Why the driver did not do what it was asked. The API maps each to CodePipeline's exception.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum DriveError {
    /// There is no such pipeline.
    #[error("The pipeline with name '{0}' does not exist.")]
    PipelineNotFound(String),
    /// The pipeline has no such version.
    #[error("The pipeline '{pipeline}' has no version {version}.")]
    VersionNotFound {
        /// The pipeline's name.
        pipeline: String,
        /// The version that was asked for, from 1.
        version: u32,
    },
    /// An update began with a version that is no longer the current one.
    #[error(
        "The update began with version {version} of the pipeline '{pipeline}', and version {newest} is the newest. Nothing was \
         changed."
    )]
    VersionIsOld {
        /// The pipeline that was to be updated.
        pipeline: String,
        /// The version with which the update began.
        version: u32,
        /// The version that somebody else has stored since.
        newest: u32,
    },
    /// There is a pipeline of this name.
    #[error("A pipeline with name '{0}' already exists.")]
    NameInUse(String),
    /// The declaration breaks at least one rule; all violations are in it.
    #[error(transparent)]
    Invalid(#[from] pipeline::Invalid),
    /// A name does not have the required form.
    #[error(transparent)]
    Name(#[from] pipeline::InvalidName),
    /// The start's variables do not fit the pipeline's.
    #[error(transparent)]
    Variables(#[from] engine::InvalidVariables),
    /// There is no such execution.
    #[error("The pipeline execution '{0}' does not exist.")]
    ExecutionNotFound(String),
    /// The pipeline has no such stage.
    #[error("The pipeline '{pipeline}' has no stage '{stage}'.")]
    StageNotFound {
        /// The pipeline's name.
        pipeline: String,
        /// The name that was asked for, cut to 100 characters.
        stage: String,
    },
    /// The stage has no such action.
    #[error("The stage '{stage}' of pipeline '{pipeline}' has no action '{action}'.")]
    ActionNotFound {
        /// The pipeline's name.
        pipeline: String,
        /// The stage's name, cut to 100 characters.
        stage: String,
        /// The name that was asked for, cut to 100 characters.
        action: String,
    },
    /// A start prescribes a revision that cannot be.
    #[error(transparent)]
    Overrides(#[from] engine::InvalidOverride),
    /// The action takes no reports of revisions.
    #[error(
        "The action '{action}' of pipeline '{pipeline}' takes no reports of revisions: it is no source action, or one that finds its revisions by itself."
    )]
    NotReported {
        /// The pipeline's name.
        pipeline: String,
        /// The action's name.
        action: String,
    },
    /// There is no such webhook.
    #[error("The webhook with name '{0}' does not exist.")]
    WebhookNotFound(String),
    /// The account has as many webhooks as it may.
    #[error("There are {} webhooks already, and no more are possible.", pipeline::webhook::MOST)]
    WebhookLimit,
    /// A function was not sent what it is to do.
    #[error(transparent)]
    Dispatch(DispatchError),
    /// The service of a source did not answer as it should.
    #[error("the source could not be asked: {0}")]
    Source(ExecutorError),
    /// As many pipelines are polled for changes as may be.
    #[error(
        "{} pipelines are polled for changes of their sources already, and no more are possible: leave out PollForSourceChanges where events tell of changes, or set it to false.",
        pipeline::limits::POLLED_PIPELINES
    )]
    PollingLimit,
    /// The webhook does not fit its pipeline.
    #[error(transparent)]
    WebhookTarget(#[from] pipeline::webhook::InvalidTarget),
    /// The webhook's authentication is not whole.
    #[error(transparent)]
    WebhookAuthentication(#[from] pipeline::webhook::InvalidAuthentication),
    /// No third party can be told to call the webhook.
    #[error("The webhook '{0}' cannot be registered: the third party of its target action is not GitHub.")]
    NoThirdParty(String),
    /// There is no such action type, or it was deleted.
    #[error("{0} is not available")]
    ActionTypeNotFound(String),
    /// The definition of an action type breaks rules, or what is asked does not fit the type.
    #[error("{0}")]
    ActionType(String),
    /// There are as many custom action types as there may be.
    #[error("There are {0} custom action types, and more are not allowed.")]
    ActionTypeLimit(usize),
    /// There is no such job.
    #[error("The job '{0}' does not exist.")]
    JobNotFound(String),
    /// What a job has stored could not be looked at; trying again may help.
    #[error("The artifact store did not answer: {0}")]
    ArtifactStore(String),
    /// A rule of execution forbids the command, or it came too late.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The table has an inconsistency that no rule makes.
    #[error("{0} is missing from the table")]
    Missing(String),
    /// The store failed, or there were too many writers.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl DriveError {
    pub(crate) fn no_pipeline(name: &PipelineName) -> Self {
        Self::PipelineNotFound(name.to_string())
    }

    pub(crate) fn no_stage(pipeline: &PipelineName, stage: &str) -> Self {
        Self::StageNotFound { pipeline: pipeline.to_string(), stage: short(stage) }
    }

    pub(crate) fn no_such_action(pipeline: &PipelineName, stage: &str, action: &str) -> Self {
        Self::ActionNotFound { pipeline: pipeline.to_string(), stage: short(stage), action: short(action) }
    }

    pub(crate) fn no_execution(id: ExecutionId) -> Self {
        Self::ExecutionNotFound(id.to_string())
    }

    pub(crate) fn no_action(id: ActionId) -> Self {
        Self::JobNotFound(id.to_string())
    }
}

/// What a caller sent, but not all of it.
pub(crate) fn short(text: &str) -> String {
    text.chars().take(100).collect()
}

/// The same error, but whatever is unknown about a job is its action.
pub(crate) fn no_job(error: DriveError, id: ActionId) -> DriveError {
    match error {
        DriveError::ExecutionNotFound(_) | DriveError::Refused(Refusal::UnknownAction(_)) => DriveError::no_action(id),
        error => error,
    }
}
