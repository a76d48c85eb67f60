//! What a worker does with a message. From top to bottom: the message is for one action, which the worker claims or
//! polls ([`Driver::work`]); then comes its loop ([`Worker::go_on`]), in which it starts the actions that it has claimed
//! ([`Worker::take`]), notes how the calls of their providers end ([`Worker::note`]) and writes that down
//! ([`Worker::write`]), by which it may come to own the next. When there is nothing left to do, it stays for a moment for
//! the results of functions ([`Worker::wait_for_functions`]).
//!
//! Actions that start together are all claimed by the worker that finished the one before them, in the same write, and
//! their providers work side by side. Ends that come while a write goes on are written together in the next one. Workers
//! of their own would all want to write the one item of the stage at the same moment, and most of them would lose, again
//! and again; and no event is quicker than none.

mod functions;

use std::collections::VecDeque;
use std::time::Duration;

use engine::{ActionId, ActionStatus, Command, Effect, End, ExternalId, Progress, Refusal, Timestamp, WorkerId};
use futures::future::{BoxFuture, Either, FutureExt, join, select};
use futures::stream::{FuturesUnordered, StreamExt};
use store::Key;

use crate::driver::Driver;
use crate::error::DriveError;
use crate::ports::{ActionExecutor, ExecutorError, Message, Outcome, Task};
use crate::step::{Applied, Loaded, Place, Stages};

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
    /// The store's; messages that are about no action that a worker takes up do nothing.
    pub async fn work(
        &self,
        message: Message,
        executor: &dyn ActionExecutor,
        until: Timestamp,
    ) -> Result<Worked, DriveError> {
        let worked = match message {
            Message::Run { action } => Worker::new(self, executor, until, action).run(action).await,
            Message::Poll { action, count } => Worker::new(self, executor, until, action).poll(action, count).await,
            Message::PollSource { .. } | Message::CompareFiles { .. } | Message::Replicate { .. } => {
                Ok(Worked::Nothing)
            }
        };
        worked.or_else(late)
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
        Ok(self.store.get::<ExternalId>(key).await?.map(|found| found.entity.action))
    }
}

/// A worker with one message and all that comes of it.
struct Worker<'a> {
    driver: &'a Driver,
    executor: &'a dyn ActionExecutor,
    id: WorkerId,
    /// No further action is begun after this time.
    until: Timestamp,
    /// The stage of the actions that were taken up last. One of an earlier stage that still runs here has been ended by
    /// others, or its stage would not be over; so has one of an earlier attempt, or it was carried over to the latest.
    place: Place,
    /// What the last write left in the table.
    latest: Option<Loaded>,
    /// What goes on beside the writes.
    in_flight: FuturesUnordered<BoxFuture<'a, Done>>,
    /// What is to be written down: how calls of providers ended.
    ended: VecDeque<Command>,
    /// What was started here and goes on elsewhere.
    running: Vec<ActionId>,
    actions: u32,
    failed: Option<DriveError>,
}

/// Something that went on beside the writes: an action's provider is back, with what was read for it; or (none) messages
/// are out.
type Done = Option<(ActionId, Start, Stages)>;

/// What came of a start; none when it was not made because the claim is about to run out. The inner error asks for
/// another try, the outer one is the store's.
type Start = Result<Option<Result<Outcome, ExecutorError>>, DriveError>;

impl<'a> Worker<'a> {
    fn new(driver: &'a Driver, executor: &'a dyn ActionExecutor, until: Timestamp, action: ActionId) -> Self {
        Self {
            driver,
            executor,
            id: WorkerId(driver.clock.random()),
            until,
            place: Place::Action(action),
            latest: None,
            in_flight: FuturesUnordered::new(),
            ended: VecDeque::new(),
            running: Vec::new(),
            actions: 0,
            failed: None,
        }
    }

    /// Claims an action, and goes on with it.
    async fn run(self, action: ActionId) -> Result<Worked, DriveError> {
        let driver = self.driver;
        let loaded = driver.load(self.place).await?;
        // Whatever else the action needs is read while it is being claimed.
        let claim = Command::Claim { action, worker: self.id };
        let claim = driver.apply(self.place, claim, Some(loaded.clone()));
        let (claimed, finished) = join(claim, driver.finished(&loaded, action)).await;
        let mut claimed = claimed?;
        claimed.loaded.finished.extend(finished?);
        self.go_on(claimed).await
    }

    /// Asks about a running action, and goes on with what follows if it has ended.
    async fn poll(self, action: ActionId, count: Option<u32>) -> Result<Worked, DriveError> {
        let driver = self.driver;
        let mut loaded = driver.load(self.place).await?;
        if status(&loaded, action) != Some(&ActionStatus::Running) {
            return Ok(Worked::Nothing);
        }
        let outcome = match driver.task(&mut loaded, action).await? {
            Err(error) => Ok(Outcome::Failed { error, report: Progress::default() }),
            Ok(task) => self.executor.poll(&task).await,
        };
        match outcome {
            Ok(Outcome::Running { report, .. }) => {
                match driver.step(self.place, Command::Report { action, report }, Some(loaded)).await {
                    Ok(_) | Err(DriveError::Refused(Refusal::Nothing)) => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(ended) => {
                let applied = driver.apply(self.place, self.end(action, ended), Some(loaded)).await?;
                return self.go_on(applied).await;
            }
            Err(error) => tracing::warn!(%error, %action, "the poll will be repeated"),
        }
        if let Some(count) = count {
            let count = count.saturating_add(1);
            let delay = driver.policy.poll_delay(count);
            driver.follow(vec![Effect::Poll { action, delay, count: Some(count) }]).await;
        }
        Ok(Worked::Actions(1))
    }

    /// Performs the actions that this worker owns after a step, and all that follow them.
    async fn go_on(mut self, applied: Applied) -> Result<Worked, DriveError> {
        let mut next = Some(applied);
        while let Some(applied) = next {
            self.take(applied);
            while let Some(done) = self.in_flight.next().await {
                self.note(done);
                while !self.ended.is_empty() {
                    while let Some(Some(done)) = self.in_flight.next().now_or_never() {
                        self.note(done);
                    }
                    self.write().await;
                }
            }
            next = self.wait_for_functions().await;
        }
        self.failed.map_or(Ok(Worked::Actions(self.actions)), Err)
    }

    /// Starts what a step gave this worker, and has everything else sent out in the meantime.
    fn take(&mut self, applied: Applied) {
        let driver = self.driver;
        if let Some(stage) = applied.loaded.state.stage.as_ref().filter(|_| !applied.claimed.is_empty()) {
            self.place = Place::Latest(stage.execution, stage.stage, stage.attempt);
        }
        for action in applied.claimed {
            self.actions += 1;
            let (mut loaded, worker, executor) = (applied.loaded.clone(), self.id, self.executor);
            self.in_flight.push(Box::pin(async move {
                let start = driver.start_claimed(&mut loaded, action, worker, executor).await;
                Some((action, start, loaded.finished))
            }));
        }
        let others = applied.effects;
        if !others.is_empty() {
            self.in_flight.push(Box::pin(async move {
                driver.follow(others).await;
                None
            }));
        }
        self.latest = Some(applied.loaded);
    }

    fn note(&mut self, done: Done) {
        let Some((action, start, read)) = done else { return };
        if let Some(latest) = &mut self.latest {
            latest.finished.extend(read);
        }
        match start {
            Ok(Some(Ok(outcome))) => {
                if matches!(outcome, Outcome::Running { .. }) {
                    self.running.push(action);
                }
                self.ended.push_back(self.end(action, outcome));
            }
            // The claim runs out and the sweeper has it tried again; until then people can see why it waits.
            Ok(Some(Err(error))) => {
                let summary = Some(format!("To be tried again: {error}"));
                self.ended.push_back(Command::Report { action, report: Progress { summary, ..Progress::default() } });
            }
            Ok(None) => {}
            Err(error) => self.fail(error),
        }
    }

    /// What is to be written down when a provider's call is over.
    fn end(&self, action: ActionId, outcome: Outcome) -> Command {
        let next_worker = (self.driver.clock.now() < self.until).then_some(self.id);
        match outcome {
            Outcome::Succeeded(success) => Command::Finish { action, end: End::Succeeded(success), next_worker },
            Outcome::Failed { error, report } => {
                Command::Finish { action, end: End::Failed { error, report }, next_worker }
            }
            Outcome::Running { report, poll, event_source } => {
                Command::Started { action, worker: self.id, report, poll, event_source }
            }
            Outcome::Continue { token, report } => Command::Continue { action, continuation: token, report },
        }
    }

    /// Writes down the ends that have come, as far as one commit can hold them, while everything else goes on.
    async fn write(&mut self) {
        let driver = self.driver;
        let mut commands = std::mem::take(&mut self.ended);
        let mut step = Box::pin(driver.apply_together(self.place, &mut commands, self.latest.take()));
        let applied = loop {
            match select(step, self.in_flight.next()).await {
                Either::Left((applied, _)) => break applied,
                Either::Right((Some(done), unfinished)) => {
                    step = unfinished;
                    self.note(done);
                }
                Either::Right((None, unfinished)) => break unfinished.await,
            }
        };
        match applied {
            Ok(applied) => self.take(applied),
            Err(error) => {
                if let Err(error) = late(error) {
                    commands.clear();
                    self.fail(error);
                }
            }
        }
        commands.append(&mut self.ended);
        self.ended = commands;
    }

    /// The others that run here are brought to their ends all the same.
    fn fail(&mut self, error: DriveError) {
        tracing::warn!(%error, "what is claimed is left to the sweeper");
        self.failed.get_or_insert(error);
    }
}

impl Driver {
    /// Starts an action that this worker owns. Not if it stood still for so long that another may own the action by the
    /// time the start takes effect: a provider without idempotency token would start it twice.
    async fn start_claimed(
        &self,
        loaded: &mut Loaded,
        action: ActionId,
        worker: WorkerId,
        executor: &dyn ActionExecutor,
    ) -> Start {
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
        match status(loaded, action) {
            Some(ActionStatus::Claimed { until, .. }) => until.since(self.clock.now()) >= self.policy.lease / 2,
            _ => false,
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
}

fn status(loaded: &Loaded, action: ActionId) -> Option<&ActionStatus> {
    let stage = loaded.state.stage.as_ref()?;
    stage.find(action).map(|run| &run.status)
}

/// A refusal means that the message came late or twice, which changes nothing.
fn late(error: DriveError) -> Result<Worked, DriveError> {
    match error {
        DriveError::Refused(refusal) => {
            tracing::debug!(%refusal, "late or doubled");
            Ok(Worked::Nothing)
        }
        DriveError::ExecutionNotFound(_) => Ok(Worked::Nothing),
        error => Err(error),
    }
}
