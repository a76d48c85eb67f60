//! What the sweeper does: find intent that nobody took up, and deadlines that have passed.

use std::collections::HashSet;
use std::time::Duration;

use engine::{Command, Refusal, StageLocks, Timestamp};
use futures::StreamExt;
use futures::future::join_all;
use store::{DUE_SHARDS, Due, Key};

use crate::driver::Driver;
use crate::error::DriveError;
use crate::step::Place;

/// Items of a shard that are read at once.
const PAGE: usize = 25;
/// Items of a shard that are dealt with side by side: one that fails slowly holds up no other.
const SIDE_BY_SIDE: usize = 4;

impl Driver {
    /// Deals once with each item that is due now, all shards side by side; begins with no further one when the time is
    /// up. What is left then, the next sweep finds. Sweeps may overlap: each item is changed on the condition that it is as it was
    /// read. Answers how many items something was done about.
    ///
    /// # Errors
    /// The store's, for a list of due items, when the other shards have been dealt with; an item that fails is logged,
    /// stays due, and does not hold up the others.
    pub async fn sweep(&self, time: Duration) -> Result<usize, DriveError> {
        let now = self.clock.now();
        let until = now.plus(i64::try_from(time.as_millis()).unwrap_or(i64::MAX));
        let shards = join_all((0..DUE_SHARDS).map(|shard| self.sweep_shard(shard, now, until))).await;
        shards.into_iter().sum()
    }

    /// For how long the item has been due that has been so the longest. After a sweep this is what no sweep can do.
    ///
    /// # Errors
    /// The store's.
    pub async fn overdue(&self) -> Result<Duration, DriveError> {
        let now = self.clock.now();
        let shards = join_all((0..DUE_SHARDS).map(|shard| self.store.due(shard, Timestamp(0), now, 1))).await;
        let mut longest = 0;
        for due in shards {
            longest = due?.first().map_or(0, |due| now.since(due.at)).max(longest);
        }
        Ok(Duration::from_millis(u64::try_from(longest).unwrap_or_default()))
    }

    async fn sweep_shard(&self, shard: u64, now: Timestamp, until: Timestamp) -> Result<usize, DriveError> {
        let mut done = 0;
        // Read on from the time of the last item; those of that very time that have been dealt with are known.
        let mut from = Timestamp(0);
        let mut known = HashSet::new();
        while self.clock.now() < until {
            let mut page = self.store.due(shard, from, now, PAGE + known.len()).await?;
            page.retain(|due| !known.contains(&due.key));
            let Some(last) = page.last().map(|due| due.at) else {
                break;
            };
            if last > from {
                from = last;
                known.clear();
            }
            known.extend(page.iter().filter(|due| due.at == last).map(|due| due.key.clone()));
            let swept = futures::stream::iter(page).map(|due| self.sweep_due(due, until));
            done += swept.buffer_unordered(SIDE_BY_SIDE).filter(|done| std::future::ready(*done)).count().await;
        }
        Ok(done)
    }

    /// Deals with one item. Whether something was done about it.
    async fn sweep_due(&self, due: Due, until: Timestamp) -> bool {
        if self.clock.now() >= until {
            return false;
        }
        match self.sweep_one(&due.key).await {
            Ok(()) => true,
            Err(DriveError::Refused(Refusal::Nothing)) => false,
            Err(error) => {
                tracing::error!(%error, key = ?due.key, "not swept");
                false
            }
        }
    }

    async fn sweep_one(&self, key: &Key) -> Result<(), DriveError> {
        match key {
            Key::Stage(execution, stage, attempt) => {
                let place = Place::Stage(*execution, *stage, *attempt);
                self.step(place, Command::Sweep, None).await.map(|_| ())
            }
            Key::StageLocks(..) => {
                if let Some(locks) = self.store.get::<StageLocks>(key.clone()).await? {
                    for task in &locks.entity.outbox {
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
