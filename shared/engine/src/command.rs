//! What can be asked of an execution, what comes out, and why a request is refused.

use std::collections::BTreeMap;
use std::sync::Arc;

use pipeline::{ArtifactName, ConditionKind, Pipeline, RetryMode, StageName};
use uuid::Uuid;

use crate::id::{ActionId, ApprovalToken, ExecutionId, JobNonce, WorkerId};
use crate::queue::JobChange;
use crate::state::{
    ActionError, Approver, Artifact, Execution, External, ExternalId, OutboxTask, Revision, StageLocks, StageRun,
    StoredOutputs,
};
use crate::time::{Policy, Timestamp};

/// The outside world as a decision may see it.
pub struct Context<'a> {
    /// When the decision is made; the engine reads no clock.
    pub now: Timestamp,
    /// The installation's lease, grace and poll periods, and who may approve.
    pub policy: &'a Policy,
    /// The region in which pipelines live; actions without a region run there.
    pub home: &'a str,
    /// Gives a random UUID at each call; approval tokens come from it.
    pub random: &'a mut dyn FnMut() -> Uuid,
}

/// What is known of the execution that a command is for.
#[derive(Clone, Debug)]
pub struct State {
    /// The execution's version of its pipeline.
    pub pipeline: Arc<Pipeline>,
    /// The locks of the pipeline; none while they have not been loaded. Most commands do not need them: one that
    /// does is refused with [`Refusal::LocksNeeded`].
    pub locks: Option<StageLocks>,
    /// The execution, as it was read or as the last decision left it.
    pub execution: Execution,
    /// The stage attempt in which the command takes place; none while the execution waits for its first.
    pub stage: Option<StageRun>,
}

impl State {
    /// Brings it to what a decision leaves.
    pub fn follow(&mut self, decision: &Decision) {
        if let Some(locks) = &decision.locks {
            self.locks = Some(locks.clone());
        }
        if let Some(execution) = &decision.execution {
            self.execution = execution.clone();
        }
        if let Some(stage) = decision.stages.last() {
            self.stage = Some(stage.clone());
        }
    }
}

/// A command to one execution.
#[derive(Clone, Debug)]
pub enum Command {
    /// A worker takes up an action.
    Claim {
        /// The attempt that the worker takes up.
        action: ActionId,
        /// The worker that owns the attempt until its lease ends.
        worker: WorkerId,
    },
    /// The claiming worker is still working on it, and extends its claim by another lease.
    Renew {
        /// The attempt that the worker has claimed.
        action: ActionId,
        /// The worker that must still hold the claim.
        worker: WorkerId,
    },
    /// The action was started, and is now with its provider, a person or a job worker.
    Started {
        /// The attempt that was started.
        action: ActionId,
        /// The worker that started it, and must still hold the claim.
        worker: WorkerId,
        /// What is known of it.
        report: Progress,
        /// Whether it must be polled.
        poll: bool,
        /// EventBridge's `source` of events that name the action by the external id of the report, if there are any.
        event_source: Option<String>,
    },
    /// News of a running action.
    Report {
        /// The attempt that the news is about.
        action: ActionId,
        /// What is new; a member that is `None` leaves what was known before.
        report: Progress,
    },
    /// A worker, a poll or a failed job says that an action ended.
    Finish {
        /// The attempt that ended.
        action: ActionId,
        /// What it leaves, or why it failed.
        end: End,
        /// The worker that will go on with the actions that become due: they are its own from this write on, so that
        /// none waits for an event, or for others to write the stage's item.
        next_worker: Option<WorkerId>,
    },
    /// A job worker or a function reports the result of its job.
    Result {
        /// The action execution id of the job, turn included.
        action: ActionId,
        /// What the job leaves, or why it failed.
        end: End,
    },
    /// A job is offered to a job worker.
    Offer {
        /// The action execution id of the job, turn included.
        action: ActionId,
        /// What the worker must name to acknowledge it.
        nonce: JobNonce,
    },
    /// A job worker takes a job that it was offered.
    Acknowledge {
        /// The action execution id of the job, turn included.
        action: ActionId,
        /// The nonce that the worker was given with the offer.
        nonce: JobNonce,
        /// Milliseconds after which the job goes to another worker when nothing was heard of it; none: it does not.
        timeout: Option<i64>,
    },
    /// A job asks to be continued.
    Continue {
        /// The action execution id of the job that ends, turn included.
        action: ActionId,
        /// The continuation token, which the next job is given.
        continuation: String,
        /// What the ending job says of its action.
        report: Progress,
    },
    /// A person answered an approval.
    Approve {
        /// The approval action's attempt.
        action: ActionId,
        /// The token that the person was given.
        token: ApprovalToken,
        /// Whether the answer is yes.
        approved: bool,
        /// The comment, possibly empty; it becomes the action's summary.
        summary: String,
        /// The caller who signed the request, or whoever used the link.
        by: Approver,
    },
    /// The execution was given its stage and enters it.
    Enter {
        /// The stage that the locks gave to the execution.
        stage: StageName,
    },
    /// A newer execution overtook this one while it waited.
    Supersede {
        /// The newer execution, which took the waiting place.
        by: ExecutionId,
    },
    /// The execution cannot go on: its task says why.
    Cancel,
    /// A person stops the execution.
    Stop {
        /// Whether what runs is given up, in place of going on to its end.
        abandon: bool,
        /// The reason that the person gave, if any.
        reason: Option<String>,
    },
    /// A person has a failed stage tried again.
    Retry {
        /// The failed stage.
        stage: StageName,
        /// Whether all actions run again, or only those that did not succeed.
        mode: RetryMode,
        /// The current version of the pipeline: a stage that it has in another form is not tried again.
        current: Arc<Pipeline>,
    },
    /// A person lets the execution go on though a condition is not met, or not decided yet.
    Override {
        /// The stage whose condition is overridden.
        stage: StageName,
        /// The entry, success or failure condition of that stage.
        kind: ConditionKind,
        /// The ARN of the caller.
        by: String,
    },
    /// The sweeper looks for lost work and passed deadlines in the stage attempt.
    Sweep,
}

/// News of a running action.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    /// The provider's own id and page.
    pub external: Option<External>,
    /// A sentence for people about how the action stands; cut to 2,000 characters.
    pub summary: Option<String>,
    /// Per cent done, 0 to 100, where the provider or the job worker says so.
    pub percent: Option<u8>,
}

/// What a provider, a person or a job worker says about the end of an action.
#[derive(Clone, Debug, PartialEq)]
pub enum End {
    /// It succeeded. Output variables that CodePipeline would refuse still make it fail.
    Succeeded(Success),
    /// It failed; the stage's failure rules decide what follows.
    Failed {
        /// The failure type and the provider's message.
        error: ActionError,
        /// The last news: external id, summary, per cent done.
        report: Progress,
    },
}

/// What a successful action leaves.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Success {
    /// The last news: external id, summary, per cent done.
    pub report: Progress,
    /// The output artifacts, each with the pin that says which object it is.
    pub outputs: Vec<Artifact>,
    /// Output variables by name, without the action's namespace.
    pub variables: BTreeMap<String, String>,
    /// What a source action found.
    pub revision: Option<Revision>,
}

/// What a command changes. Everything in it is committed together or not at all.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decision {
    /// The locks, where they changed.
    pub locks: Option<StageLocks>,
    /// The execution, where it changed.
    pub execution: Option<Execution>,
    /// Stage attempts that changed or are new.
    pub stages: Vec<StageRun>,
    /// Jobs that come into their queues, or leave them.
    pub jobs: Vec<JobChange>,
    /// Output variables above 2 KB, which go into an item of their own.
    pub stored: Vec<StoredOutputs>,
    /// Ids by which services will name actions that have been started.
    pub external_ids: Vec<ExternalId>,
    /// What to dispatch after the commit. Each effect can be found again in the committed items.
    pub effects: Vec<Effect>,
    /// The actions that the calling worker owns now.
    pub claimed: Vec<ActionId>,
}

impl Decision {
    /// This decision and one that was made on what it leaves, to be committed together.
    #[must_use]
    pub fn and(mut self, later: Self) -> Self {
        self.locks = later.locks.or(self.locks);
        self.execution = later.execution.or(self.execution);
        for stage in later.stages {
            self.stages.retain(|earlier| !earlier.same_attempt(&stage));
            self.stages.push(stage);
        }
        for change in later.jobs {
            self.jobs.retain(|earlier| !earlier.same_entry(&change));
            self.jobs.push(change);
        }
        self.stored.extend(later.stored);
        for id in later.external_ids {
            self.external_ids.retain(|earlier| !earlier.same_id(&id));
            self.external_ids.push(id);
        }
        self.effects.extend(later.effects);
        self.claimed.extend(later.claimed);
        self
    }

    /// How many items this decision and a later one change together.
    pub fn items_with(&self, later: &Self) -> usize {
        let new_stage = |it: &&StageRun| !self.stages.iter().any(|earlier| earlier.same_attempt(it));
        let new_entry = |it: &&JobChange| !self.jobs.iter().any(|earlier| earlier.same_entry(it));
        usize::from(self.locks.is_some() || later.locks.is_some())
            + usize::from(self.execution.is_some() || later.execution.is_some())
            + self.stages.len()
            + later.stages.iter().filter(new_stage).count()
            + self.jobs.len()
            + later.jobs.iter().filter(new_entry).count()
            + self.stored.len()
            + later.stored.len()
            + self.external_ids.len()
            + later.external_ids.len()
    }
}

/// What is to be dispatched after a commit.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// A worker is to take up this action.
    Run {
        /// The attempt to be taken up.
        action: ActionId,
        /// Milliseconds until the message is delivered; 0: at once.
        delay: i64,
    },
    /// The provider is to be asked about the action.
    Poll {
        /// The attempt to be asked about.
        action: ActionId,
        /// Milliseconds until the message is delivered; 0: at once.
        delay: i64,
        /// How many polls there have been in this chain; none: this poll makes no chain.
        count: Option<u32>,
    },
    /// The artifact is to be copied to other regions in which it will be read.
    Replicate {
        /// The attempt that made it.
        action: ActionId,
        /// The artifact's name.
        artifact: ArtifactName,
    },
    /// Something is to be done to another execution of the pipeline.
    Outbox(OutboxTask),
}

/// Why a command changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The attempt is not the execution's latest at that stage, or there is no such action.
    #[error("action execution {0} does not exist or is no longer the latest")]
    UnknownAction(ActionId),
    /// The action is not in a state in which the command has a meaning.
    #[error("action {action} in stage {stage} is {status}")]
    WrongState {
        /// The action's name.
        action: String,
        /// The stage's name.
        stage: String,
        /// The action's status in words, for example `in progress`.
        status: &'static str,
    },
    /// The action is owned by another worker.
    #[error("the claim on this action has passed to another worker")]
    ClaimLost,
    /// The job is not the action's current one.
    #[error("job {0} has been continued or is complete")]
    StaleJob(ActionId),
    /// The job is not available: it was offered to another worker, or belongs to one.
    #[error("job {0} is with another worker")]
    JobTaken(ActionId),
    /// Only who acknowledged a job may report its result.
    #[error("job {0} has not been acknowledged")]
    NotAcknowledged(ActionId),
    /// The nonce is not that of the job's last offer.
    #[error("the nonce is not that of the last offer of job {0}")]
    WrongNonce(ActionId),
    /// The token is not that of the third party's client.
    #[error("the client token is not valid for job {0}")]
    WrongClientToken(ActionId),
    /// The token is not the approval's.
    #[error("the approval token is not valid for action {action} in stage {stage}")]
    WrongToken {
        /// The action's name.
        action: String,
        /// The stage's name.
        stage: String,
    },
    /// The approval has been answered.
    #[error("the approval action {action} in stage {stage} has already been completed")]
    AlreadyAnswered {
        /// The action's name.
        action: String,
        /// The stage's name.
        stage: String,
    },
    /// Whoever starts an execution must not approve it.
    #[error(
        "Action {action} in stage {stage} must be approved by somebody else than {starter}, who started the execution: this installation demands that."
    )]
    OwnExecution {
        /// The action's name.
        action: String,
        /// The stage's name.
        stage: String,
        /// The ARN of the caller who started the execution.
        starter: String,
    },
    /// An approval must say who it comes from, and this one proves nothing.
    #[error(
        "Action {action} in stage {stage} cannot be approved without proof of who approves: this installation demands somebody else than who started the execution. Approve it with PutApprovalResult."
    )]
    Unproven {
        /// The action's name.
        action: String,
        /// The stage's name.
        stage: String,
    },
    /// The pipeline has as many executions as it may have.
    #[error("the pipeline has {0} executions that run or wait, and no more are allowed in its mode")]
    TooManyExecutions(usize),
    /// The execution is being stopped already.
    #[error("the pipeline execution {0} is already being stopped")]
    AlreadyStopping(ExecutionId),
    /// An execution that has ended cannot be stopped.
    #[error("the pipeline execution {execution} has ended ({status}) and cannot be stopped")]
    NotStoppable {
        /// The execution that was to be stopped.
        execution: ExecutionId,
        /// Its final status in words, for example `superseded`.
        status: &'static str,
    },
    /// The stage cannot be tried again.
    #[error("the stage {stage} cannot be retried: {reason}")]
    NotRetryable {
        /// The stage's name.
        stage: String,
        /// The rest of the message, for example `no action in it failed`.
        reason: &'static str,
    },
    /// Another execution has come to the stage since.
    #[error("the pipeline execution {execution} is not the latest in stage {stage}")]
    NotLatest {
        /// The execution in which the stage was to be retried.
        execution: ExecutionId,
        /// The stage's name.
        stage: String,
    },
    /// Something still goes on that must end first.
    #[error("the stage {0} is busy: actions in it still run; try again when they have ended")]
    Busy(String),
    /// The stage cannot be rolled back to that execution.
    #[error("the stage {stage} cannot be rolled back: {reason}")]
    NotRollable {
        /// The stage's name.
        stage: String,
        /// The rest of the message, for example `it is the source stage`.
        reason: &'static str,
    },
    /// The execution ran another version of the pipeline.
    #[error("the pipeline execution {0} ran another version of the pipeline than the current one")]
    Outdated(ExecutionId),
    /// The condition cannot be overridden.
    #[error("the condition of stage {stage} cannot be overridden: {reason}")]
    NotOverridable {
        /// The stage's name.
        stage: String,
        /// The rest of the message, which says what stands against it.
        reason: &'static str,
    },
    /// The pipeline's current version is not the one that was read.
    #[error("the pipeline was updated meanwhile")]
    PipelineUpdated,
    /// Transitions mean nothing in PARALLEL mode.
    #[error("a pipeline of mode PARALLEL has no transitions that could be opened or closed")]
    NoTransitions,
    /// The locks are needed and were not given: load them and decide again.
    #[error("the locks of the pipeline are needed")]
    LocksNeeded,
    /// There is nothing to do.
    #[error("nothing to do")]
    Nothing,
}
