//! The actions that one worker has in hand: those that it claimed, and those that it comes to own by finishing them.
//!
//! Actions that start together are all taken by the worker that finished the one before them, in the same write, and
//! their providers work side by side; their ends are written one after another. Workers of their own would all want to
//! write the one item of the stage at the same moment, and most of them would lose, again and again; and no event is
//! quicker than none.

use std::collections::VecDeque;

use engine::{ActionId, Command, Progress, Timestamp};
use futures::future::{BoxFuture, Either, select, select_all};
use uuid::Uuid;

use crate::commit::{Applied, Driver, Loaded, Place};
use crate::error::DriveError;
use crate::ports::{Outcome, Perform, PerformError};
use crate::resolve::Stages;
use crate::work::{Worked, late};

/// What came of a provider's call; none, when it was not made because the claim is about to run out.
type End = Result<Option<Result<Outcome, PerformError>>, DriveError>;

/// Something that went on beside the writes: an action's provider is back, with what was read for it; or (none) messages
/// are out.
type Done = Option<(ActionId, End, Stages)>;

struct InHand<'a> {
    driver: &'a Driver,
    perform: &'a dyn Perform,
    worker: Uuid,
    /// No further action is begun after this time.
    until: Timestamp,
    /// What the last write left in the table.
    latest: Option<Loaded>,
    /// Ends that are to be written down.
    ended: VecDeque<(ActionId, Result<Outcome, PerformError>)>,
    going_on: Vec<BoxFuture<'a, Done>>,
    actions: u32,
    failed: Option<DriveError>,
}

impl Driver {
    /// Performs the action that this worker owns after a step, and all that follow it.
    pub(crate) async fn go_on(
        &self,
        applied: Applied,
        worker: Uuid,
        perform: &dyn Perform,
        until: Timestamp,
    ) -> Result<Worked, DriveError> {
        let mut hand = InHand {
            driver: self,
            perform,
            worker,
            until,
            latest: None,
            ended: VecDeque::new(),
            going_on: Vec::new(),
            actions: 0,
            failed: None,
        };
        hand.take(applied);
        loop {
            if let Some((action, end)) = hand.ended.pop_front() {
                hand.write(action, end).await;
            } else if hand.going_on.is_empty() {
                break;
            } else {
                let (done, _, others) = select_all(std::mem::take(&mut hand.going_on)).await;
                hand.going_on = others;
                hand.note(done);
            }
        }
        hand.failed.map_or(Ok(Worked::Actions(hand.actions)), Err)
    }
}

impl<'a> InHand<'a> {
    /// Takes up what a step gave this worker, and has everything else sent out meanwhile.
    fn take(&mut self, applied: Applied) {
        let driver = self.driver;
        for action in applied.claimed {
            self.actions += 1;
            let (mut loaded, worker, perform) = (applied.loaded.clone(), self.worker, self.perform);
            self.going_on.push(Box::pin(async move {
                let end = driver.perform(&mut loaded, action, worker, perform).await;
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
            Ok(Some(end)) => self.ended.push_back((action, end)),
            Ok(None) => {}
            Err(error) => self.fail(error),
        }
    }

    /// Writes down an end, while everything else goes on.
    async fn write(&mut self, action: ActionId, end: Result<Outcome, PerformError>) {
        let (driver, worker) = (self.driver, self.worker);
        let command = match end {
            Ok(Outcome::Running { report, poll }) => Command::Started { action, worker, report, poll },
            Ok(outcome) => driver.ended(action, outcome, worker, self.until),
            // The claim runs out and the sweeper has it tried again; meanwhile people can see why it waits.
            Err(error) => {
                let summary = Some(format!("To be tried again: {error}"));
                Command::Report { action, report: Progress { summary, ..Progress::default() } }
            }
        };
        let mut step = Box::pin(driver.apply(Place::Action(action), command, self.latest.take()));
        let applied = loop {
            if self.going_on.is_empty() {
                break step.await;
            }
            match select(step, select_all(std::mem::take(&mut self.going_on))).await {
                Either::Left((applied, others)) => {
                    self.going_on = others.into_inner();
                    break applied;
                }
                Either::Right(((done, _, others), unfinished)) => {
                    self.going_on = others;
                    step = unfinished;
                    self.note(done);
                }
            }
        };
        match applied {
            Ok(applied) => self.take(applied),
            Err(error) => {
                if let Err(error) = late(error) {
                    self.fail(error);
                }
            }
        }
    }

    /// The others in hand are brought to their ends all the same.
    fn fail(&mut self, error: DriveError) {
        tracing::warn!(%error, "an action in hand is left to the sweeper");
        self.failed.get_or_insert(error);
    }
}
