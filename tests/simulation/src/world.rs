//! Time, chance, and the points at which anything may happen: what all parts of one simulated world share.
//!
//! Every I/O step of the code under test waits at a [`Gate`]. The scheduler opens one gate at a time, so between any
//! two I/O steps it can let others go first, let time pass, or drop the whole invocation as a crash would.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use driver::Message;
use engine::{Policy, Timestamp};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use store::MemoryStore;
use uuid::Uuid;

use crate::check::Checker;
use crate::clients::Operation;
use crate::outside::Outside;
use crate::summary::Counts;

/// The time at which every world begins, in milliseconds since 1970.
pub const BEGIN: i64 = 1_700_000_000_000;

/// How rough this world is: probabilities, and the engine's periods. Drawn from the seed.
#[derive(Clone, Copy, Debug)]
pub struct Dials {
    /// Lease, grace and poll periods, and who may approve.
    pub policy: Policy,
    /// Milliseconds between two sweeps.
    pub sweep_every: i64,
    /// The probability that a function dies at one I/O step.
    pub crash: f64,
    /// The probability that the store does not answer, for each read and write.
    pub unavailable: f64,
    /// The probability that a message is lost.
    pub lost: f64,
    /// The probability that a message comes twice.
    pub doubled: f64,
    /// The probability that a function stands still for longer than a lease, for each I/O step.
    pub pause: f64,
    /// The probability that an action fails.
    pub failing: f64,
    /// The probability that a poll or a start must be repeated.
    pub throttled: f64,
    /// A shard of what is due that is full of items that cannot be read.
    pub stuck_shard: Option<u64>,
}

/// A message on its way to a worker or the replicator.
#[derive(Clone, Debug)]
pub struct Mail {
    /// The message as the driver dispatched it.
    pub message: Message,
    /// How often it came back because its function failed.
    pub tries: u32,
}

/// One wait of an invocation.
struct Waiting {
    task: u64,
    at: i64,
    /// The scheduler lets it go on. An invocation that waits for several things may look at it later.
    open: bool,
    /// For those who wait for many things and look only at what was woken.
    waker: Waker,
}

/// Everything in a simulated world but the store.
pub struct World {
    /// Virtual time in milliseconds since 1970.
    pub now: i64,
    /// All chance comes from here.
    pub rng: StdRng,
    /// Whether anything still goes wrong.
    pub faulty: bool,
    /// The probabilities and periods of this world.
    pub dials: Dials,
    /// The invocation that is being polled.
    pub task: u64,
    /// Messages by the time of their delivery.
    pub mail: BTreeMap<(i64, u64), Mail>,
    /// What clients will do, by time.
    pub plan: BTreeMap<(i64, u64), Operation>,
    /// Providers, people, job workers and buckets.
    pub outside: Outside,
    /// Checks the invariants after every commit.
    pub checker: Checker,
    /// What happened so far, in numbers.
    pub counts: Counts,
    /// The first invariant that was broken; the world ends with it.
    pub violation: Option<String>,
    /// What happened, in words; none when nobody wants to know.
    pub trace: Option<Vec<String>>,
    gates: BTreeMap<u64, Waiting>,
    serial: u64,
}

impl World {
    fn new(seed: u64, traced: bool) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let dials = Dials::draw(&mut rng);
        Self {
            now: BEGIN,
            rng,
            faulty: true,
            dials,
            task: 0,
            mail: BTreeMap::new(),
            plan: BTreeMap::new(),
            outside: Outside::default(),
            checker: Checker::default(),
            counts: Counts::default(),
            violation: None,
            trace: traced.then(Vec::new),
            gates: BTreeMap::new(),
            serial: 0,
        }
    }

    /// A number that is given out once.
    pub fn serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    /// Whether something happens that has this probability; never once the world has healed.
    pub fn fault(&mut self, probability: f64) -> bool {
        self.faulty && self.rng.random_bool(probability)
    }

    /// A random id, decided by the seed.
    pub fn uuid(&mut self) -> Uuid {
        uuid::Builder::from_random_bytes(self.rng.random()).into_uuid()
    }

    /// Adds a line to the trace, if there is one.
    pub fn note(&mut self, what: impl FnOnce() -> String) {
        let (now, task) = (self.now - BEGIN, self.task);
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:>10}.{:03}  [{task:>4}]  {}", now / 1_000, now % 1_000, what()));
        }
    }

    /// Remembers the first thing that broke.
    pub fn violated(&mut self, what: String) {
        self.note(|| format!("VIOLATION: {what}"));
        self.violation.get_or_insert(what);
    }

    /// A broken rule, if there is one, is remembered.
    pub fn must(&mut self, held: Result<(), String>) {
        if let Err(what) = held {
            self.violated(what);
        }
    }

    /// Plans something that a client does.
    pub fn plan(&mut self, after: i64, operation: Operation) {
        let at = (self.now + after.max(0), self.serial());
        self.plan.insert(at, operation);
    }

    /// Every change of what is polled was seen.
    pub fn polls_caught_up(&self) -> Result<(), String> {
        self.checker.polls_caught_up(|watched| self.outside.newest(watched))
    }

    /// Puts a message on its way.
    pub fn send(&mut self, after: i64, mail: Mail) {
        let at = (self.now + after.max(0), self.serial());
        self.mail.insert(at, mail);
    }

    /// How long an I/O step takes: mostly no time, sometimes longer than a lease.
    pub fn latency(&mut self) -> i64 {
        let pause = self.dials.pause;
        if self.fault(pause) {
            self.counts.pauses += 1;
            return self.rng.random_range(0..3 * self.dials.policy.lease);
        }
        match self.rng.random_range(0..10) {
            0..6 => 0,
            6..9 => self.rng.random_range(0..40),
            _ => self.rng.random_range(0..400),
        }
    }

    /// The gates whose time has come.
    pub fn ready(&self) -> Vec<u64> {
        self.gates.iter().filter(|(_, gate)| !gate.open && gate.at <= self.now).map(|(id, _)| *id).collect()
    }

    /// When the next gate can be opened.
    pub fn next_gate(&self) -> Option<i64> {
        self.gates.values().filter(|gate| !gate.open).map(|gate| gate.at).min()
    }

    /// Opens a gate; answers which invocation waits there.
    pub fn open(&mut self, gate: u64) -> Option<u64> {
        let gate = self.gates.get_mut(&gate)?;
        gate.open = true;
        gate.waker.wake_by_ref();
        self.task = gate.task;
        Some(gate.task)
    }
}

impl Dials {
    fn draw(rng: &mut StdRng) -> Self {
        let lease = rng.random_range(4_000..20_000);
        // Long polls let actions that never end run for days in few steps.
        let poll_most = [5_000, 30_000, 1_800_000][rng.random_range(0..3)];
        let policy = Policy {
            lease,
            grace: rng.random_range(1_000..8_000),
            poll_first: 1_000,
            poll_most,
            separate_approver: false,
        };
        // Some worlds are calm in one way, so that what goes wrong in another gets further.
        let mut rate = |most: f64| if rng.random_bool(0.25) { 0.0 } else { rng.random_range(0.0..most) };
        Self {
            policy,
            crash: rate(0.03),
            unavailable: rate(0.04),
            lost: rate(0.3),
            doubled: rate(0.3),
            pause: rate(0.02),
            failing: rate(0.1),
            throttled: rate(0.2),
            sweep_every: rng.random_range(1_000..10_000),
            stuck_shard: rng.random_bool(0.05).then(|| rng.random_range(0..store::DUE_SHARDS)),
        }
    }
}

/// A handle on a simulated world.
#[derive(Clone)]
pub struct Sim {
    world: Arc<Mutex<World>>,
    /// What really is in the store.
    pub store: Arc<MemoryStore>,
}

impl Sim {
    /// A world as this seed makes it.
    pub fn new(seed: u64, traced: bool) -> Self {
        Self { world: Arc::new(Mutex::new(World::new(seed, traced))), store: Arc::new(MemoryStore::new()) }
    }

    /// The world. Never kept across an await.
    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The virtual time.
    pub fn now(&self) -> Timestamp {
        Timestamp(self.world().now)
    }

    /// Waits until this many milliseconds have passed and the scheduler lets it go on.
    pub fn gate(&self, milliseconds: i64) -> Gate {
        Gate { sim: self.clone(), delay: milliseconds, id: None }
    }

    /// An I/O step of ordinary length.
    pub fn step(&self) -> Gate {
        let delay = self.world().latency();
        self.gate(delay)
    }
}

/// A point at which an invocation waits for the scheduler.
pub struct Gate {
    sim: Sim,
    delay: i64,
    id: Option<u64>,
}

impl Future for Gate {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let sim = self.sim.clone();
        let mut world = sim.world();
        let Some(id) = self.id else {
            let (id, task, at) = (world.serial(), world.task, world.now + self.delay);
            world.gates.insert(id, Waiting { task, at, open: false, waker: context.waker().clone() });
            self.id = Some(id);
            return Poll::Pending;
        };
        match world.gates.get_mut(&id) {
            Some(gate) if !gate.open => {
                gate.waker.clone_from(context.waker());
                Poll::Pending
            }
            _ => {
                world.gates.remove(&id);
                self.id = None;
                Poll::Ready(())
            }
        }
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.sim.world().gates.remove(&id);
        }
    }
}
