//! What the sweeper does: find intent that nobody took up, and deadlines that have passed.

use engine::{Command, Refusal};
use store::{Entity, Key};

use crate::commit::{Driver, Place};
use crate::error::DriveError;

/// Items looked at in one sweep; the most overdue come first, the rest in the next.
const SWEEP_ITEMS: usize = 100;

impl Driver {
    /// Looks at what is due. Answers how many items it did something about.
    ///
    /// # Errors
    /// The store's, for the list of due items; an item that fails is logged and does not hold up the others.
    pub async fn sweep(&self) -> Result<usize, DriveError> {
        let due = self.store.due(self.clock.now(), SWEEP_ITEMS).await?;
        let mut done = 0;
        for key in due {
            match self.sweep_one(&key).await {
                Ok(()) => done += 1,
                Err(DriveError::Refused(Refusal::Nothing)) => {}
                Err(error) => tracing::error!(%error, ?key, "not swept"),
            }
        }
        Ok(done)
    }

    async fn sweep_one(&self, key: &Key) -> Result<(), DriveError> {
        match key {
            Key::Stage(execution, stage, attempt) => {
                let place = Place::Stage(*execution, *stage, *attempt);
                self.step(place, Command::Sweep, None).await.map(|_| ())
            }
            Key::StageLocks(..) => {
                if let Some(Entity::StageLocks(locks)) = self.load_one(key.clone()).await?.map(|found| found.entity) {
                    for task in &locks.outbox {
                        if let Err(error) = self.do_outbox_task(task).await {
                            tracing::error!(%error, ?task, "task not done");
                        }
                    }
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}
