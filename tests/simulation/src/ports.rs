//! The store, the dispatcher and the clock as the code under test sees them: each call is a gate or two, and may fail
//! in every way in which the real one can.

use std::time::Duration;

use async_trait::async_trait;
use driver::{Clock, Dispatch, DispatchError, Message};
use engine::{ExecutionId, Timestamp};
use futures::FutureExt;
use rand::RngExt;
use store::{Due, EXECUTION_PARTITIONS, Key, Listing, Page, Secrets, Store, StoreError, Versioned, Write};
use uuid::Uuid;

use crate::world::{BEGIN, Mail, Sim};

/// More than one page of what is due.
const STUCK: u128 = 40;

/// The store over the in-memory twin.
pub struct SimStore {
    sim: Sim,
    /// Whether the API writes, which alone may write everything.
    api: bool,
}

impl SimStore {
    /// The store as the API sees it, or the other functions.
    pub fn new(sim: Sim, api: bool) -> Self {
        Self { sim, api }
    }
}

fn lost(what: &str) -> StoreError {
    StoreError::Unavailable(format!("{what}: made to fail"))
}

/// The in-memory twin never waits.
fn at_once<T>(future: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    future.now_or_never().unwrap_or_else(|| Err(lost("the twin waits")))
}

#[async_trait]
impl Store for SimStore {
    fn secrets(&self) -> &dyn Secrets {
        self.sim.store.secrets()
    }

    /// Reads one key after the other: DynamoDB's reads of several items are no snapshot.
    async fn load(&self, keys: &[Key]) -> Result<Vec<Option<Versioned>>, StoreError> {
        let mut found = Vec::with_capacity(keys.len());
        for key in keys {
            self.sim.step().await;
            {
                let mut world = self.sim.world();
                world.counts.loads += 1;
                let unavailable = world.dials.unavailable;
                if world.fault(unavailable) {
                    world.note(|| format!("load {key:?}: unavailable"));
                    return Err(lost("load"));
                }
            }
            found.extend(at_once(self.sim.store.load(std::slice::from_ref(key)))?);
        }
        Ok(found)
    }

    async fn commit(&self, writes: Vec<Write>) -> Result<(), StoreError> {
        for (partition, _) in writes.iter().map(|write| write.key().pair()) {
            if !self.api && !EXECUTION_PARTITIONS.iter().any(|prefix| partition.starts_with(prefix)) {
                self.sim.world().violated(format!("{partition} is written by a function that may not"));
            }
        }
        self.sim.step().await;
        let unavailable = self.sim.world().dials.unavailable;
        if self.sim.world().fault(unavailable / 2.0) {
            self.sim.world().note(|| "commit: unavailable, not done".into());
            return Err(lost("commit"));
        }
        let result = at_once(self.sim.store.commit(writes.clone()));
        {
            let mut world = self.sim.world();
            world.note(|| crate::summary::describe(&writes, &result));
            match &result {
                Ok(()) => {
                    world.counts.commits += 1;
                    let now = Timestamp(world.now);
                    let held = world.checker.committed(now, &writes);
                    world.must(held);
                    crate::outside::timed_out(&mut world, &writes);
                    crate::job_workers::committed(&mut world, &writes);
                    crate::clients::committed(&mut world, &writes);
                    crate::outside::tamper(&mut world, &writes);
                }
                Err(StoreError::Conflict(_)) => world.counts.conflicts += 1,
                Err(error) => {
                    let error = format!("the store refuses a commit: {error}");
                    world.violated(error);
                }
            }
        }
        // The answer has its way back as well: a crash here is a commit that nobody heard of.
        self.sim.step().await;
        if self.sim.world().fault(unavailable / 2.0) {
            self.sim.world().note(|| "commit: unavailable, done".into());
            return Err(lost("commit"));
        }
        result
    }

    async fn list(&self, listing: &Listing, after: Option<&str>, limit: usize) -> Result<Page, StoreError> {
        self.sim.step().await;
        let unavailable = self.sim.world().dials.unavailable;
        if self.sim.world().fault(unavailable) {
            return Err(lost("list"));
        }
        at_once(self.sim.store.list(listing, after, limit))
    }

    /// The index lags: something due may be missing, and something that no longer is may be there. In some worlds one
    /// shard is full of what cannot be dealt with.
    async fn due(&self, shard: u64, from: Timestamp, to: Timestamp, limit: usize) -> Result<Vec<Due>, StoreError> {
        self.sim.step().await;
        let unavailable = self.sim.world().dials.unavailable;
        if self.sim.world().fault(unavailable) {
            return Err(lost("due"));
        }
        let mut due = at_once(self.sim.store.due(shard, from, to, usize::MAX))?;
        let mut world = self.sim.world();
        if world.faulty {
            due.retain(|_| world.rng.random_bool(0.8));
            let chance = world.rng.random();
            if let Some(key) = world.checker.any_stage(chance) {
                due.push(Due { at: from, key });
            }
        }
        if world.dials.stuck_shard == Some(shard) {
            let gone = |number: u128| Key::Stage(ExecutionId::from_random(Uuid::from_u128(number << 64)), 0, 1);
            due.extend((1..=STUCK).map(|number| Due { at: Timestamp(BEGIN), key: gone(number) }));
            due.retain(|due| due.at >= from);
        }
        due.sort();
        due.dedup_by(|one, other| one.key == other.key);
        due.truncate(limit);
        Ok(due)
    }
}

/// Event bus and poll queue.
pub struct SimDispatch(pub Sim);

#[async_trait]
impl Dispatch for SimDispatch {
    async fn dispatch(&self, messages: Vec<(Message, Duration)>) -> Result<(), DispatchError> {
        {
            // Everything that is said must have been committed before.
            let mut world = self.0.world();
            for (message, _) in &messages {
                let held = world.checker.dispatched(message);
                world.must(held);
            }
        }
        self.0.step().await;
        let mut world = self.0.world();
        let (lost, doubled) = (world.dials.lost, world.dials.doubled);
        for (message, delay) in messages {
            let delay = i64::try_from(delay.as_millis()).unwrap_or(i64::MAX);
            if world.fault(lost) {
                world.counts.lost += 1;
                world.note(|| format!("lost: {message:?}"));
                continue;
            }
            // Each copy of a poll makes a chain of its own: were they as frequent as others, they would grow without end.
            let rate = if matches!(message, Message::Poll { .. }) { doubled / 10.0 } else { doubled };
            let copies = 1 + u32::from(world.fault(rate));
            world.counts.doubled += u64::from(copies - 1);
            world.note(|| format!("sent {copies}x: {message:?}"));
            for _ in 0..copies {
                // Different ways for different messages: they overtake each other.
                let way = if world.faulty { world.rng.random_range(0..2_000) } else { world.rng.random_range(0..50) };
                world.send(delay + way, Mail { message: message.clone(), tries: 0 });
            }
        }
        if world.fault(lost / 4.0) { Err(DispatchError("made to fail".into())) } else { Ok(()) }
    }
}

/// The world's clock, which goes on only when the scheduler lets it.
pub struct SimClock(pub Sim);

#[async_trait]
impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        self.0.now()
    }

    fn random(&self) -> Uuid {
        self.0.world().uuid()
    }

    async fn sleep(&self, duration: Duration) {
        self.0.gate(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)).await;
    }
}
