//! What a worker does with a message: claim an action, or look after one that runs. What follows is in `in_hand`.

use std::time::Duration;

use engine::{ActionId, ActionStatus, Command, End, Progress, Refusal, Timestamp, WorkerId};
use futures::future::{Either, join, select};
use store::{Entity, Key, Versioned};

use crate::commit::{Driver, Loaded, Place};
use crate::error::DriveError;
use crate::ports::{ActionExecutor, ExecutorError, Message, Outcome, Task};

/// Milliseconds until an action that asks to be continued is started again. Source: CodePipeline user guide, 'Integration
/// model reference'.
const NEXT_JOB: i64 = 30_000;

/// What came of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Worked {
    /// Somebody else has it, or it is over: the message came late or twice.
    Nothing,
    /// This many actions were taken up.
    Actions(u32),
}

impl Driver {
    /// Handles a message to a worker. `until`: no further action is begun after this time.
    ///
    /// # Errors
    /// The store's; [`Message::Replicate`] is not for workers and does nothing.
    pub async fn work(
        &self,
        message: Message,
        executor: &dyn ActionExecutor,
        until: Timestamp,
    ) -> Result<Worked, DriveError> {
        match message {
            Message::Run { action } => self.run(action, executor, until).await,
            Message::Poll { action, count } => self.poll(action, count, executor, until).await,
            Message::Replicate { .. } => Ok(Worked::Nothing),
        }
    }

    /// The action that was last started under an id that its service chose, for events that have no other; none for ids
    /// that are not known, or not yet.
    ///
    /// # Errors
    /// The store's.
    pub async fn action_by_external_id(
        &self,
        source: &str,
        region: &str,
        id: &str,
    ) -> Result<Option<ActionId>, DriveError> {
        let key = Key::ExternalId { source: source.to_owned(), region: region.to_owned(), id: id.to_owned() };
        match self.load_one(key).await? {
            Some(Versioned { entity: Entity::ExternalId(found), .. }) => Ok(Some(found.action)),
            _ => Ok(None),
        }
    }

    async fn run(
        &self,
        action: ActionId,
        executor: &dyn ActionExecutor,
        until: Timestamp,
    ) -> Result<Worked, DriveError> {
        let worker = WorkerId(self.clock.random());
        let place = Place::Action(action);
        let loaded = match self.load(place).await {
            Ok(loaded) => loaded,
            Err(error) => return late(error),
        };
        // What the action will read besides is read while it is claimed.
        let claim = self.apply(place, Command::Claim { action, worker }, Some(loaded.clone()));
        let (claimed, finished) = join(claim, self.finished(&loaded, action)).await;
        match claimed {
            Ok(mut applied) => {
                applied.loaded.finished.extend(finished?);
                self.go_on(place, applied, worker, executor, until).await
            }
            Err(error) => late(error),
        }
    }

    /// Starts an action that this worker owns; the inner error asks for another try, the outer one is the store's.
    /// Nothing, if this worker stood still for so long that another may own the action by the time the start takes
    /// effect: a provider without idempotency token would start it twice.
    pub(crate) async fn perform(
        &self,
        loaded: &mut Loaded,
        action: ActionId,
        worker: WorkerId,
        executor: &dyn ActionExecutor,
    ) -> Result<Option<Result<Outcome, ExecutorError>>, DriveError> {
        Ok(Some(match self.task(loaded, action).await? {
            Err(error) => Ok(Outcome::Failed { error, report: Progress::default() }),
            Ok(_) if !self.holds(loaded, action) => {
                tracing::warn!(%action, "not started: the claim is about to run out");
                return Ok(None);
            }
            Ok(task) => match self.unavailable(&task).await? {
                Some(error) => Ok(Outcome::Failed { error, report: Progress::default() }),
                None => self.start_and_renew(&task, worker, executor).await,
            },
        }))
    }

    /// Whether at least half of the lease is left.
    fn holds(&self, loaded: &Loaded, action: ActionId) -> bool {
        match self.status(loaded, action) {
            Some(ActionStatus::Claimed { until, .. }) => until.since(self.clock.now()) >= self.policy.lease / 2,
            _ => false,
        }
    }

    pub(crate) fn ended(&self, action: ActionId, outcome: Outcome, worker: WorkerId, until: Timestamp) -> Command {
        let next_worker = (self.clock.now() < until).then_some(worker);
        match outcome {
            Outcome::Succeeded(success) => Command::Finish { action, end: End::Succeeded(success), next_worker },
            Outcome::Failed { error, report } => {
                Command::Finish { action, end: End::Failed { error, report }, next_worker }
            }
            Outcome::Running { report, .. } => Command::Report { action, report },
            Outcome::Continue { token, report } => {
                Command::Continue { action, continuation: token, delay: NEXT_JOB, report }
            }
        }
    }

    /// Starts a task, and renews the claim as long as that takes; stops when the claim is lost.
    async fn start_and_renew(
        &self,
        task: &Task,
        worker: WorkerId,
        executor: &dyn ActionExecutor,
    ) -> Result<Outcome, ExecutorError> {
        tracing::info!(action = %task.id, name = %task.action.name, at = self.clock.now().0, "start");
        let mut started = executor.start(task);
        let half = Duration::from_millis(u64::try_from(self.policy.lease / 2).unwrap_or(0));
        let outcome = loop {
            match select(started, self.clock.sleep(half)).await {
                Either::Left((outcome, _)) => break outcome,
                Either::Right(((), unfinished)) => {
                    started = unfinished;
                    let renew = Command::Renew { action: task.id, worker };
                    if let Err(error) = self.step(Place::Action(task.id), renew, None).await {
                        return Err(ExecutorError(format!("the claim could not be renewed: {error}")));
                    }
                }
            }
        };
        tracing::info!(action = %task.id, name = %task.action.name, at = self.clock.now().0, "back from the provider");
        outcome
    }

    async fn poll(
        &self,
        action: ActionId,
        count: Option<u32>,
        executor: &dyn ActionExecutor,
        until: Timestamp,
    ) -> Result<Worked, DriveError> {
        let mut loaded = match self.load(Place::Action(action)).await {
            Err(DriveError::ExecutionNotFound(_)) => return Ok(Worked::Nothing),
            loaded => loaded?,
        };
        if self.status(&loaded, action) != Some(&ActionStatus::Running) {
            return Ok(Worked::Nothing);
        }
        let worker = WorkerId(self.clock.random());
        let outcome = match self.task(&mut loaded, action).await? {
            Err(error) => Ok(Outcome::Failed { error, report: Progress::default() }),
            Ok(task) => executor.poll(&task).await,
        };
        match outcome {
            Ok(outcome @ (Outcome::Succeeded(_) | Outcome::Failed { .. } | Outcome::Continue { .. })) => {
                let finish = self.ended(action, outcome, worker, until);
                match self.apply(Place::Action(action), finish, Some(loaded)).await {
                    Ok(applied) => return self.go_on(Place::Action(action), applied, worker, executor, until).await,
                    Err(error) => return late(error),
                }
            }
            Ok(Outcome::Running { report, .. }) => {
                let report = Command::Report { action, report };
                match self.step(Place::Action(action), report, Some(loaded)).await {
                    Ok(_) | Err(DriveError::Refused(Refusal::Nothing)) => {}
                    Err(error) => return late(error),
                }
            }
            Err(error) => tracing::warn!(%error, %action, "the poll will be repeated"),
        }
        if let Some(count) = count {
            let count = count.saturating_add(1);
            self.follow(vec![engine::Effect::Poll {
                action,
                delay: self.policy.poll_delay(count),
                count: Some(count),
            }])
            .await;
        }
        Ok(Worked::Actions(1))
    }

    fn status<'a>(&self, loaded: &'a Loaded, action: ActionId) -> Option<&'a ActionStatus> {
        let stage = loaded.state.stage.as_ref()?;
        stage.find(action).map(|run| &run.status)
    }
}

/// A refusal means that the message came late or twice, which changes nothing.
pub(crate) fn late(error: DriveError) -> Result<Worked, DriveError> {
    match error {
        DriveError::Refused(refusal) => {
            tracing::debug!(%refusal, "late or doubled");
            Ok(Worked::Nothing)
        }
        DriveError::ExecutionNotFound(_) => Ok(Worked::Nothing),
        error => Err(error),
    }
}
