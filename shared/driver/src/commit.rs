//! The one loop in which anything is changed: read, decide, write on the condition that nothing has changed since.

use std::collections::HashMap;
use std::time::Duration;

use engine::{Decision, Effect, JobChange, Refusal};
use futures::future::BoxFuture;
use store::{Entity, Expect, Key, StoreError, Stored, Versioned, Write};

use crate::backoff::{ATTEMPTS, Contention, UNKNOWN};
use crate::driver::Driver;
use crate::error::DriveError;

/// What is to be written, as it was decided on what was read.
pub(crate) struct Change<T> {
    /// Written together or not at all; nothing where nothing is to change.
    pub writes: Vec<Write>,
    /// What follows when that is done.
    pub effects: Vec<Effect>,
    /// What the caller learns then.
    pub answer: T,
    /// Who else may be about to write the same.
    pub contention: Contention,
}

impl<T> Change<T> {
    /// These writes and nothing else.
    pub fn of(writes: Vec<Write>, answer: T) -> Self {
        Self { writes, effects: Vec::new(), answer, contention: UNKNOWN }
    }

    /// A decision that was made on items of these revisions.
    pub fn decided(mut decision: Decision, read: &HashMap<Key, u64>, answer: T) -> Self {
        let effects = std::mem::take(&mut decision.effects);
        Self { effects, ..Self::of(writes(decision, read), answer) }
    }
}

impl Change<bool> {
    /// What `change` makes of something that was read; the answer is its own: whether that is to be stored.
    pub fn to<T: Stored>(found: Versioned<T>, change: impl Fn(&mut T) -> bool) -> Self {
        let (expect, mut entity) = (found.unchanged(), found.entity);
        let changed = change(&mut entity);
        Self::of(changed.then(|| Write::put(entity, expect)).into_iter().collect(), changed)
    }
}

/// The writes of a decision that was made on items of these revisions; what is not among them is new.
pub(crate) fn writes(decision: Decision, read: &HashMap<Key, u64>) -> Vec<Write> {
    let locks = decision.locks.into_iter().map(Entity::from);
    let execution = decision.execution.into_iter().map(Entity::from);
    let stages = decision.stages.into_iter().map(Entity::from);
    let stored = decision.stored.into_iter().map(Entity::from);
    let put = |entity: Entity| {
        let expect = read.get(&entity.key()).map_or(Expect::Absent, |revision| Expect::Revision(*revision));
        Write::Put { entity, expect }
    };
    let mut writes: Vec<Write> = locks.chain(execution).chain(stages).chain(stored).map(put).collect();
    // What an entry says follows from the stage's item, which is written under its own condition beside it.
    writes.extend(decision.jobs.into_iter().map(|change| match change {
        JobChange::Put(job) => Write::put(job, Expect::Any),
        JobChange::Remove(job) => {
            Write::Delete { key: Key::Job(job.queue, job.queued, job.action), expect: Expect::Any }
        }
    }));
    // The last start under an id counts.
    writes.extend(decision.external_ids.into_iter().map(|id| Write::put(id, Expect::Any)));
    writes
}

impl Driver {
    /// Changes something: `attempt` reads and decides, its writes are committed, and what follows is dispatched. When
    /// others were first it is called again.
    ///
    /// # Errors
    /// Those of `attempt`; the store's, [`StoreError::Conflict`] when others were first too often.
    pub(crate) async fn transact<'a, T>(
        &self,
        attempt: impl Fn() -> BoxFuture<'a, Result<Change<T>, DriveError>>,
    ) -> Result<T, DriveError> {
        let mut failed = 0;
        loop {
            let began = self.clock.now();
            let (error, contention) = match attempt().await {
                Ok(change) => match self.store.commit(change.writes).await {
                    Ok(()) => {
                        self.follow(change.effects).await;
                        return Ok(change.answer);
                    }
                    Err(error) => (DriveError::Store(error), change.contention),
                },
                Err(error) => (error, UNKNOWN),
            };
            // Items that were read together may be of different times.
            let others_first = matches!(
                error,
                DriveError::Store(StoreError::Conflict(_)) | DriveError::Refused(Refusal::PipelineUpdated)
            );
            if !others_first || failed >= ATTEMPTS {
                return Err(error);
            }
            failed += 1;
            self.wait(contention.window(failed, self.clock.now().since(began))).await;
        }
    }

    /// Waits for a part of these milliseconds, so that many writers of one item get through one after another.
    async fn wait(&self, window: u64) {
        let chance = self.clock.random().as_u128() as u64;
        self.clock.sleep(Duration::from_millis(chance % window)).await;
    }
}
