//! A worker that has invoked functions stays for their results.
//!
//! A function puts its job's result through the API, which then sends an event for what follows. The event takes longer
//! than many functions do, so whoever invoked the function looks at the table meanwhile, and takes up what it finds. The
//! event still goes out, and finds nothing left to do: if this worker dies, nothing is lost and nobody waits for it.

use std::time::Duration;

use engine::{ActionId, ActionStatus, Command, ExecutionId};

use super::{Worker, status};
use crate::error::DriveError;
use crate::step::{Applied, Loaded, Place};

/// For how long a worker stays, in milliseconds. Where a function takes longer, the event's way is short beside it.
const STAY: i64 = 2_000;
/// From the start of a function to the first look. Each further pause is a fifth longer than the one before it, so that
/// what follows begins late by no more than about a fifth of the time that the function took, and a stay costs no more
/// than 17 reads.
const FIRST_PAUSE: Duration = Duration::from_millis(20);

impl Worker<'_> {
    /// Stays for the results of functions that were invoked here, and claims what follows them. None: nothing has
    /// followed yet, or others have it.
    pub(super) async fn wait_for_functions(&mut self) -> Option<Applied> {
        let driver = self.driver;
        let until = self.until.min(driver.clock.now().plus(STAY));
        let mut pause = FIRST_PAUSE;
        let latest = self.latest.as_ref()?;
        self.running.retain(|action| with_function(latest, *action));
        while driver.clock.now() < until {
            let execution = self.running.last()?.execution;
            driver.clock.sleep(pause).await;
            pause = pause * 6 / 5;
            match self.claim_what_follows(execution).await {
                Ok(None) => {}
                Ok(applied) => return applied,
                Err(error) => {
                    tracing::debug!(%error, "what follows is left to its event");
                    return None;
                }
            }
        }
        None
    }

    async fn claim_what_follows(&mut self, execution: ExecutionId) -> Result<Option<Applied>, DriveError> {
        let (driver, place) = (self.driver, Place::Current(execution));
        let loaded = driver.load(place).await?;
        let stage = loaded.state.stage.as_ref();
        let requested = stage.map(|stage| stage.requested(&driver.policy, driver.clock.now())).unwrap_or_default();
        if requested.is_empty() {
            self.running.retain(|action| with_function(&loaded, *action));
            return Ok(None);
        }
        let mut claims = requested.into_iter().map(|action| Command::Claim { action, worker: self.id }).collect();
        driver.apply_together(place, &mut claims, Some(loaded)).await.map(Some)
    }
}

/// Whether an action runs, as the job of a function.
fn with_function(loaded: &Loaded, action: ActionId) -> bool {
    let declared = loaded.state.pipeline.action(usize::from(action.stage), action.action);
    declared.is_some_and(engine::is_function_job) && status(loaded, action) == Some(&ActionStatus::Running)
}
