//! The actions that one worker has in hand: those that it claimed, and those that it comes to own by finishing them.
//!
//! Actions that start together are all taken by the worker that finished the one before them, in the same write, and
//! their providers work side by side. Ends that come while a write goes on are written together in the next one. Workers
//! of their own would all want to write the one item of the stage at the same moment, and most of them would lose, again
//! and again; and no event is quicker than none.

use std::collections::VecDeque;

use engine::{ActionId, Command, Progress, Timestamp, WorkerId};
use futures::future::{BoxFuture, Either, FutureExt, select};
use futures::stream::{FuturesUnordered, StreamExt};

use crate::commit::{Applied, Driver, Loaded, Place};
use crate::error::DriveError;
use crate::ports::{ActionExecutor, ExecutorError, Outcome};
use crate::resolve::Stages;
use crate::work::{Worked, late};

/// What came of a provider's call; none, when it was not made because the claim is about to run out.
type End = Result<Option<Result<Outcome, ExecutorError>>, DriveError>;

/// Something that went on beside the writes: an action's provider is back, with what was read for it; or (none) messages
/// are out.
type Done = Option<(ActionId, End, Stages)>;

struct InHand<'a> {
    driver: &'a Driver,
    executor: &'a dyn ActionExecutor,
    worker: WorkerId,
    /// No further action is begun after this time.
    until: Timestamp,
    /// What the last write left in the table.
    latest: Option<Loaded>,
    /// The stage of the actions that were taken up last. One of an earlier stage that is still in hand has been ended by
    /// others, or its stage would not be over; so has one of an earlier attempt, or it was carried over to the latest.
    place: Place,
    /// What is to be written down: how calls of providers ended.
    ended: VecDeque<Command>,
    going_on: FuturesUnordered<BoxFuture<'a, Done>>,
    actions: u32,
    failed: Option<DriveError>,
}

impl Driver {
    /// Performs the actions that this worker owns after a step in the stage attempt at `place`, and all that follow them.
    pub(crate) async fn go_on(
        &self,
        place: Place,
        applied: Applied,
        worker: WorkerId,
        executor: &dyn ActionExecutor,
        until: Timestamp,
    ) -> Result<Worked, DriveError> {
        let mut hand = InHand {
            driver: self,
            executor,
            worker,
            until,
            latest: None,
            place,
            ended: VecDeque::new(),
            going_on: FuturesUnordered::new(),
            actions: 0,
            failed: None,
        };
        hand.take(applied);
        while let Some(done) = hand.going_on.next().await {
            hand.note(done);
            while !hand.ended.is_empty() {
                while let Some(Some(done)) = hand.going_on.next().now_or_never() {
                    hand.note(done);
                }
                hand.write().await;
            }
        }
        hand.failed.map_or(Ok(Worked::Actions(hand.actions)), Err)
    }
}

impl<'a> InHand<'a> {
    /// Takes up what a step gave this worker, and has everything else sent out meanwhile.
    fn take(&mut self, applied: Applied) {
        let driver = self.driver;
        if let Some(stage) = applied.loaded.state.stage.as_ref().filter(|_| !applied.claimed.is_empty()) {
            self.place = Place::Latest(stage.execution, stage.stage, stage.attempt);
        }
        for action in applied.claimed {
            self.actions += 1;
            let (mut loaded, worker, executor) = (applied.loaded.clone(), self.worker, self.executor);
            self.going_on.push(Box::pin(async move {
                let end = driver.perform(&mut loaded, action, worker, executor).await;
                Some((action, end, loaded.finished))
            }));
        }
        let others = applied.effects;
        if !others.is_empty() {
            self.going_on.push(Box::pin(async move {
                driver.follow(others).await;
                None
            }));
        }
        self.latest = Some(applied.loaded);
    }

    fn note(&mut self, done: Done) {
        let Some((action, end, read)) = done else { return };
        if let Some(latest) = &mut self.latest {
            latest.finished.extend(read);
        }
        match end {
            Ok(Some(end)) => self.ended.push_back(self.command(action, end)),
            Ok(None) => {}
            Err(error) => self.fail(error),
        }
    }

    fn command(&self, action: ActionId, end: Result<Outcome, ExecutorError>) -> Command {
        match end {
            Ok(Outcome::Running { report, poll, event_source }) => {
                Command::Started { action, worker: self.worker, report, poll, event_source }
            }
            Ok(outcome) => self.driver.ended(action, outcome, self.worker, self.until),
            // The claim runs out and the sweeper has it tried again; meanwhile people can see why it waits.
            Err(error) => {
                let summary = Some(format!("To be tried again: {error}"));
                Command::Report { action, report: Progress { summary, ..Progress::default() } }
            }
        }
    }

    /// Writes down the ends that have come, as far as one commit can hold them, while everything else goes on.
    async fn write(&mut self) {
        let driver = self.driver;
        let mut commands = std::mem::take(&mut self.ended);
        let mut step = Box::pin(driver.apply_together(self.place, &mut commands, self.latest.take()));
        let applied = loop {
            match select(step, self.going_on.next()).await {
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

    /// The others in hand are brought to their ends all the same.
    fn fail(&mut self, error: DriveError) {
        tracing::warn!(%error, "what is in hand is left to the sweeper");
        self.failed.get_or_insert(error);
    }
}
