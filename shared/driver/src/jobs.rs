//! Jobs as their workers see them: polled for, acknowledged, looked at, answered.

use std::collections::BTreeMap;

use engine::{
    ActionError, ActionId, ActionStatus, Artifact, Command, End, Job, JobNonce, Progress, Queue, Refusal, Revision,
    Success,
};
use pipeline::{Action, TypeId};
use store::{Entity, Expect, Key, Listing, Write};

use crate::commit::Change;
use crate::driver::Driver;
use crate::error::{DriveError, no_job};
use crate::ports::{ArtifactStore, Task};
use crate::step::{Loaded, Place};

/// Most jobs that one poll gives out: each is a commit, and credentials.
pub const MOST_JOBS: usize = 10;
/// Entries of a queue that one poll looks at; those that are offered already cost nothing but this.
const LOOKED_AT: usize = 1_000;
/// Entries that are read at once.
const PAGE: usize = 100;

/// Who speaks for a job.
#[derive(Clone, Copy, Debug)]
pub enum JobCaller<'a> {
    /// The account's own job worker, or a function.
    Account,
    /// A third party, which knows its client's token.
    ThirdParty {
        /// The token that it gave.
        token: &'a str,
    },
}

/// A job that was offered.
#[derive(Clone, Debug)]
pub struct Offered {
    /// What is to be done.
    pub task: Task,
    /// What the worker must name to acknowledge it.
    pub nonce: JobNonce,
}

/// How a job stands. Source: CodePipeline API, `JobState`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobState {
    /// Its action has not ended.
    InProgress,
    /// Its worker reported success.
    Succeeded,
    /// Its action failed, timed out or was given up.
    Failed,
}

/// What a job worker or function reports.
#[derive(Clone, Debug)]
pub enum JobResult {
    /// The job and with it the action succeeded.
    Succeeded {
        /// The last news: external id, summary, per cent done.
        report: Progress,
        /// Output variables by name, without the action's namespace.
        variables: BTreeMap<String, String>,
        /// The revision that the job made or found.
        revision: Option<Revision>,
    },
    /// The job is done, and its action is to be continued with another job.
    Continue {
        /// The continuation token, which the next job is given.
        token: String,
        /// The last news: external id, summary, per cent done.
        report: Progress,
    },
    /// The job and with it the action failed.
    Failed {
        /// The failure type and message that the worker gave.
        error: ActionError,
        /// The last news: external id, summary, per cent done.
        report: Progress,
    },
}

impl JobResult {
    /// With the page of the external execution that it names, where the action's type says where that is.
    fn linked(mut self, action: &Action) -> Self {
        let (Self::Succeeded { report, .. } | Self::Continue { report, .. } | Self::Failed { report, .. }) = &mut self;
        if let (Some(external), Some(custom)) = (&mut report.external, &action.custom) {
            external.url = custom.execution_page(&action.configuration, &external.id);
        }
        self
    }
}

impl Driver {
    /// Offers jobs of an action type to a worker, the oldest first; `query` is the property by which it polls, and its
    /// value.
    ///
    /// # Errors
    /// [`DriveError::ActionTypeNotFound`], also for a deleted one; [`DriveError::ActionType`] when the type is polled
    /// by another property.
    pub async fn poll_jobs(
        &self,
        type_id: &TypeId,
        query: Option<(&str, &str)>,
        most: usize,
    ) -> Result<Vec<Offered>, DriveError> {
        let terms = self.action_type(type_id).await?.definition.terms();
        let query = match (terms.queryable(), query) {
            (None, None) => None,
            (Some(name), Some((given, value))) if name == given => Some(value.to_owned()),
            (Some(name), _) => {
                return Err(DriveError::ActionType(format!("queryParam must name the queryable property {name}")));
            }
            (None, Some(_)) => {
                return Err(DriveError::ActionType("queryParam: the action type has no queryable property".into()));
            }
        };
        let listing = Listing::Jobs(Queue { type_id: type_id.clone(), query });
        let (mut offered, mut after, mut seen) = (Vec::new(), None, 0);
        loop {
            let page = self.store.list(&listing, after.as_deref(), PAGE).await?;
            seen += page.entities.len();
            for entity in page.entities {
                let Entity::Job(job) = entity else { continue };
                if job.free <= self.clock.now() {
                    offered.extend(self.offer(job).await?);
                }
                if offered.len() >= most.min(MOST_JOBS) {
                    return Ok(offered);
                }
            }
            match page.next {
                Some(next) if seen < LOOKED_AT => after = Some(next),
                _ => return Ok(offered),
            }
        }
    }

    /// Offers a job if it is still available; an entry that no longer stands for a job is removed.
    async fn offer(&self, job: Job) -> Result<Option<Offered>, DriveError> {
        let (id, nonce) = (job.action, JobNonce(self.clock.random()));
        let mut loaded = match self.apply(Place::Action(id), Command::Offer { action: id, nonce }, None).await {
            Ok(applied) => applied.loaded,
            Err(DriveError::Refused(Refusal::JobTaken(_))) => return Ok(None),
            Err(DriveError::Refused(_) | DriveError::ExecutionNotFound(_)) => {
                let key = Key::Job(job.queue, job.queued, id);
                let remove = || Write::Delete { key: key.clone(), expect: Expect::Any };
                self.transact(|| Box::pin(async { Ok(Change::of(vec![remove()], ())) })).await?;
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        match self.task(&mut loaded, id).await? {
            Ok(task) => Ok(Some(Offered { task: *task, nonce })),
            Err(error) => {
                self.refuse_job(id, error).await?;
                Ok(None)
            }
        }
    }

    /// Ends the action of a job that cannot be given to anybody.
    ///
    /// # Errors
    /// The store's.
    pub async fn refuse_job(&self, id: ActionId, error: ActionError) -> Result<(), DriveError> {
        let end = End::Failed { error, report: Progress::default() };
        match self.step(Place::Action(id), Command::Finish { action: id, end, next_worker: None }, None).await {
            Ok(_) | Err(DriveError::Refused(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// A worker takes the job that it was offered. Said twice it changes nothing.
    ///
    /// # Errors
    /// [`DriveError::JobNotFound`], [`Refusal::WrongNonce`], [`Refusal::StaleJob`], [`Refusal::WrongClientToken`].
    pub async fn acknowledge(&self, id: ActionId, nonce: &str, caller: JobCaller<'_>) -> Result<JobState, DriveError> {
        let loaded = self.load_job(id, caller).await?;
        let wrong = || DriveError::from(Refusal::WrongNonce(id));
        let nonce: JobNonce = nonce.parse().map_err(|_| wrong())?;
        let timeout = match declared(&loaded, id) {
            Some(declared) if declared.is_polled() => self.job_timeout(&declared.type_id).await?,
            _ => None,
        };
        let command = Command::Acknowledge { action: id, nonce, timeout };
        match self.step(Place::Action(id), command, Some(loaded)).await {
            Ok(_) | Err(DriveError::Refused(Refusal::Nothing)) => Ok(JobState::InProgress),
            // It is over: the worker that had it is told how it ended, any other that it was never its own.
            Err(DriveError::Refused(Refusal::WrongState { .. })) => {
                let loaded = self.load(Place::Action(id)).await?;
                let run = loaded.state.stage.as_ref().and_then(|stage| stage.find(id));
                let run = run.filter(|run| run.turn == id.turn && engine::offered_with(run, nonce));
                match run.map(|run| &run.status) {
                    Some(ActionStatus::Succeeded) => Ok(JobState::Succeeded),
                    Some(ActionStatus::Failed | ActionStatus::Abandoned) => Ok(JobState::Failed),
                    _ => Err(wrong()),
                }
            }
            Err(error) => Err(no_job(error, id)),
        }
    }

    /// The task of a job that is being worked on, with the nonce of its last offer.
    ///
    /// # Errors
    /// [`DriveError::JobNotFound`]; [`Refusal::StaleJob`] for one that is over; [`Refusal::WrongClientToken`].
    pub async fn job(&self, id: ActionId, caller: JobCaller<'_>) -> Result<(Task, Option<JobNonce>), DriveError> {
        let mut loaded = self.load_job(id, caller).await?;
        let run = loaded.state.stage.as_ref().and_then(|stage| stage.find(id));
        let run = run.filter(|run| run.status != ActionStatus::Pending).ok_or_else(|| DriveError::no_action(id))?;
        if run.turn != id.turn || !run.status.in_flight() {
            return Err(Refusal::StaleJob(id).into());
        }
        let nonce = run.job.as_ref().and_then(|job| job.nonce);
        match self.task(&mut loaded, id).await? {
            Ok(task) => Ok((*task, nonce)),
            Err(error) => Err(DriveError::Missing(error.message)),
        }
    }

    /// Takes a job's result. The artifacts of a success are those that its worker has stored by now.
    ///
    /// # Errors
    /// [`DriveError::ArtifactStore`], [`DriveError::JobNotFound`]; [`Refusal::StaleJob`] and [`Refusal::WrongState`] for one that is over,
    /// [`Refusal::NotAcknowledged`] for one that belongs to no worker yet; [`Refusal::WrongClientToken`].
    pub async fn job_result(
        &self,
        id: ActionId,
        caller: JobCaller<'_>,
        result: JobResult,
        artifacts: &dyn ArtifactStore,
    ) -> Result<(), DriveError> {
        let mut loaded = self.load_job(id, caller).await?;
        let declared = loaded.state.pipeline.action(usize::from(id.stage), id.action);
        let declared = declared.ok_or_else(|| DriveError::no_action(id))?;
        let result = result.linked(declared);
        let command = match result {
            JobResult::Succeeded { report, variables, revision } => {
                let end = match self.job_outputs(&mut loaded, id, artifacts).await? {
                    Ok(outputs) => End::Succeeded(Success { report, outputs, variables, revision }),
                    Err(error) => End::Failed { error, report },
                };
                Command::Result { action: id, end }
            }
            JobResult::Continue { token, report } => Command::Continue { action: id, continuation: token, report },
            JobResult::Failed { error, report } => Command::Result { action: id, end: End::Failed { error, report } },
        };
        match self.step(Place::Action(id), command, Some(loaded)).await {
            Ok(_) => Ok(()),
            Err(error) => Err(no_job(error, id)),
        }
    }

    /// The artifacts that a job has stored. A job that is over is asked for none: the engine refuses its result.
    async fn job_outputs(
        &self,
        loaded: &mut Loaded,
        id: ActionId,
        artifacts: &dyn ArtifactStore,
    ) -> Result<Result<Vec<Artifact>, ActionError>, DriveError> {
        let declared = loaded.state.pipeline.action(usize::from(id.stage), id.action);
        let run = loaded.state.stage.as_ref().and_then(|stage| stage.run(id.action));
        let in_flight = run.is_some_and(|run| run.turn == id.turn && run.status.in_flight());
        if !in_flight || declared.is_none_or(|declared| declared.outputs.is_empty()) {
            return Ok(Ok(Vec::new()));
        }
        match self.task(loaded, id).await? {
            Ok(task) => artifacts.stored_outputs(&task).await.map_err(|error| DriveError::ArtifactStore(error.0)),
            Err(error) => Ok(Err(error)),
        }
    }

    /// What is known of a job, for whoever may speak for it.
    pub(crate) async fn load_job(&self, id: ActionId, caller: JobCaller<'_>) -> Result<Loaded, DriveError> {
        let loaded = self.load(Place::Action(id)).await.map_err(|error| no_job(error, id))?;
        let declared = declared(&loaded, id).filter(|declared| engine::is_job(declared));
        let declared = declared.ok_or_else(|| DriveError::no_action(id))?;
        let third_party = declared.type_id.owner.as_deref() == Some("ThirdParty");
        match caller {
            JobCaller::Account if !third_party => {}
            JobCaller::ThirdParty { token } if third_party => engine::check_client(id, declared, token)?,
            _ => return Err(DriveError::no_action(id)),
        }
        Ok(loaded)
    }
}

/// The declaration of a job's action.
fn declared(loaded: &Loaded, id: ActionId) -> Option<&Action> {
    loaded.state.pipeline.action(usize::from(id.stage), id.action)
}
