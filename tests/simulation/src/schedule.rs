//! The scheduler: one thread, virtual time, and every choice from the seed.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use driver::{Driver, Message, Setup, SourceRules};
use engine::{Policy, Timestamp};
use futures::FutureExt;
use rand::RngExt;
use store::Store;

use crate::clients::{self, Operation};
use crate::declare::{HOME, polled, watched};
use crate::job_workers;
use crate::outside::{self, SimPerform, SimSources};
use crate::ports::{SimClock, SimDispatch, SimStore};
use crate::summary::{Counts, status};
use crate::world::{Mail, Sim};

/// No world takes more choices than this: one that does moves and gets nowhere.
const MOST_STEPS: u64 = 500_000;
/// How often a message comes back when its function fails.
const MOST_TRIES: u32 = 2;

/// What became of a world.
pub struct Ended {
    /// The seed that made it.
    pub seed: u64,
    /// What happened, in numbers.
    pub counts: Counts,
    /// What broke, if anything did.
    pub violation: Option<String>,
    /// What happened, in words, where that was asked for.
    pub trace: Vec<String>,
}

/// One invocation of a function. Its future answers whether its message must come again.
struct Invocation {
    future: Pin<Box<dyn Future<Output = bool> + Send>>,
    mail: Option<Mail>,
}

struct Scheduler {
    sim: Sim,
    /// The driver of the API, which alone may change pipelines.
    api: Arc<Driver>,
    /// That of all other functions.
    driver: Arc<Driver>,
    invocations: BTreeMap<u64, Invocation>,
    next_sweep: i64,
    heal_at: i64,
}

/// Runs the world of a seed to its end.
pub fn run(seed: u64, traced: bool) -> Ended {
    let sim = Sim::new(seed, traced);
    let mut scheduler = Scheduler::new(sim.clone());
    scheduler.live();
    let Scheduler { invocations, .. } = scheduler;
    drop(invocations);
    let mut world = sim.world();
    let statuses: Vec<_> = world.checker.executions.values().map(|execution| status(execution.status)).collect();
    for status in statuses {
        *world.counts.executions.entry(status).or_default() += 1;
    }
    world.counts.approved_themselves = world.checker.approved_themselves;
    Ended {
        seed,
        counts: world.counts.clone(),
        violation: world.violation.take(),
        trace: world.trace.take().unwrap_or_default(),
    }
}

impl Scheduler {
    fn new(sim: Sim) -> Self {
        let dials = sim.world().dials;
        let driver = |api: bool| {
            Arc::new(Driver::new(Setup {
                store: Arc::new(SimStore::new(sim.clone(), api)),
                dispatch: Arc::new(SimDispatch(sim.clone())),
                clock: Arc::new(SimClock(sim.clone())),
                policy: dials.policy,
                home: HOME.into(),
                sources: SourceRules {
                    watched: |action, _| Some(watched(action)),
                    polled: |action, _| polled(action),
                    takes_revision: |_, _| Ok(()),
                },
            }))
        };
        let (api, driver) = (driver(true), driver(false));
        let stored = sim.store.commit(job_workers::types()).now_or_never();
        let mut world = sim.world();
        if !matches!(stored, Some(Ok(()))) {
            world.violated(format!("the action types are not stored: {stored:?}"));
        }
        world.note(|| format!("{dials:?}"));
        let now = world.now;
        let heal_at = match clients::plan(&mut world) {
            Ok(span) => now + span + world.rng.random_range(0..60_000),
            Err(error) => {
                world.violated(format!("the simulation makes no plan: {error}"));
                now
            }
        };
        drop(world);
        Self { sim, api, driver, invocations: BTreeMap::new(), next_sweep: now, heal_at }
    }

    fn live(&mut self) {
        self.until_rest();
        // Polls go on for ever. One makes the start that is due, the next one looks for more.
        for minute in [0, 60_000] {
            self.sim.world().plan(minute, Operation::RequestPolls);
            self.until_rest();
        }
        self.check_rest(false);
        let polls = self.sim.world().polls_caught_up();
        self.sim.world().must(polls);
        // Then every transition is opened, and what waited must get through.
        let closed: Vec<_> = {
            let world = self.sim.world();
            let heads = world.checker.heads.values().cloned();
            heads
                .filter_map(|head| Some((world.checker.locks.get(&head.incarnation)?.clone(), head)))
                .flat_map(|(locks, head)| locks.stages.into_iter().map(move |lock| (head.pipeline.clone(), lock)))
                .filter(|(_, (_, lock))| lock.transition.disabled)
                .map(|(pipeline, (name, _))| (pipeline, name))
                .collect()
        };
        if closed.is_empty() || self.sim.world().violation.is_some() {
            return;
        }
        // In some worlds so late that what waits has waited for too long.
        {
            let mut world = self.sim.world();
            if world.rng.random_bool(0.3) {
                world.now += 31 * 24 * 60 * 60_000;
            }
        }
        for (pipeline, stage) in closed {
            let open = Operation::Transition { pipeline, stage: stage.to_string(), close: false };
            self.sim.world().plan(0, open);
        }
        self.until_rest();
        self.check_rest(true);
    }

    fn check_rest(&self, all_open: bool) {
        let dump = self.sim.store.dump();
        let mut world = self.sim.world();
        if world.violation.is_none() {
            let held = world.checker.at_rest(all_open).and_then(|()| world.checker.same(dump));
            world.must(held);
        }
    }

    /// Until nothing happens any more by itself.
    fn until_rest(&mut self) {
        loop {
            {
                let mut world = self.sim.world();
                world.counts.steps += 1;
                if world.counts.steps > MOST_STEPS {
                    world.violated(format!("no rest after {MOST_STEPS} steps"));
                }
                if world.violation.is_some() {
                    return;
                }
            }
            if !self.choose() && !self.pass_time() {
                return;
            }
        }
    }

    /// Lets one of the things happen whose time has come. Answers whether there was one.
    fn choose(&mut self) -> bool {
        let mut world = self.sim.world();
        let now = world.now;
        let gates = world.ready();
        let mail: Vec<_> = world.mail.range(..(now + 1, 0)).map(|(at, _)| *at).collect();
        let plan: Vec<_> = world.plan.range(..(now + 1, 0)).map(|(at, _)| *at).collect();
        let count = gates.len() + mail.len() + plan.len();
        if count == 0 {
            return false;
        }
        let chosen = world.rng.random_range(0..count);
        if let Some(gate) = gates.get(chosen) {
            let task = world.open(*gate);
            let crash = world.dials.crash;
            let dies = world.fault(crash);
            drop(world);
            if let Some(task) = task {
                if dies { self.crash(task) } else { self.go_on(task) }
            }
        } else if let Some(at) = mail.get(chosen - gates.len()) {
            if let Some(mail) = world.mail.remove(at) {
                drop(world);
                self.deliver(mail);
            }
        } else if let Some(at) = plan.get(chosen - gates.len() - mail.len())
            && let Some(operation) = world.plan.remove(at)
        {
            world.note(|| format!("client: {operation:?}"));
            drop(world);
            let driver = if operation.changes_pipeline() { &self.api } else { &self.driver };
            let (sim, driver) = (self.sim.clone(), driver.clone());
            self.invoke(None, async move {
                clients::perform(sim, driver, operation).await;
                false
            });
        }
        true
    }

    /// Lets time pass to the next thing that can happen. Answers whether there is one.
    fn pass_time(&mut self) -> bool {
        let mut world = self.sim.world();
        let others =
            [world.next_gate(), world.mail.keys().next().map(|at| at.0), world.plan.keys().next().map(|at| at.0)];
        let others = others.into_iter().flatten().min();
        // Sweeps that would find nothing are left out: only so can a week pass in no time.
        let sweep = world.checker.due().map(|due| {
            let every = world.dials.sweep_every;
            let late = (due - self.next_sweep).max(0);
            self.next_sweep + late.div_euclid(every) * every + if late % every == 0 { 0 } else { every }
        });
        let next = others.into_iter().chain(sweep).min();
        let Some(next) = next else {
            if world.faulty {
                world.faulty = false;
                return true;
            }
            return false;
        };
        world.now = world.now.max(next);
        if !world.faulty {
            let Policy { lease, grace, .. } = world.dials.policy;
            let patience = 60_000 + 2 * (lease + grace + world.dials.sweep_every);
            let healed = world.now > self.heal_at + patience;
            let held = if healed { world.checker.taken_up(world.now - patience) } else { Ok(()) };
            world.must(held);
        }
        if world.faulty && world.now >= self.heal_at {
            world.faulty = false;
            world.note(|| "from here on nothing goes wrong".into());
        }
        if sweep.is_some_and(|sweep| sweep <= world.now) {
            self.next_sweep = world.now + world.dials.sweep_every;
            let skipped = world.fault(0.1);
            let hurried = world.fault(0.2);
            if !skipped {
                world.counts.sweeps += 1;
                drop(world);
                let (sim, driver) = (self.sim.clone(), self.driver.clone());
                // Some run out of time.
                let patience = if hurried { 2_000 } else { 60_000 };
                self.invoke(None, async move {
                    match driver.sweep(Duration::from_millis(patience)).await {
                        Ok(done) => sim.world().note(|| format!("swept {done}")),
                        Err(error) => clients::check_internal(&sim, "the sweeper", &error),
                    }
                    false
                });
            }
        }
        true
    }

    fn deliver(&mut self, mail: Mail) {
        let (sim, driver, message) = (self.sim.clone(), self.driver.clone(), mail.message.clone());
        sim.world().note(|| format!("delivered: {message:?}"));
        if let Message::Replicate { action, artifact } = message {
            return self.invoke(Some(mail), async move {
                match outside::replicate(&sim, &driver, action, &artifact).await {
                    Ok(()) => false,
                    Err(error) => {
                        clients::check_internal(&sim, "the replicator", &error);
                        true
                    }
                }
            });
        }
        if let Message::PollSource { pipeline, action } = message {
            return self.invoke(Some(mail), async move {
                match driver.poll_source(&pipeline, &action, &SimSources(sim.clone())).await {
                    Ok(started) => {
                        sim.world().counts.polled_starts += u64::from(started.is_some_and(|it| it.new));
                        false
                    }
                    Err(error) => {
                        clients::check_internal(&sim, "the worker", &error);
                        true
                    }
                }
            });
        }
        let time = sim.world().rng.random_range(0..60_000);
        self.invoke(Some(mail), async move {
            let until = Timestamp(sim.now().0 + time);
            match driver.work(message, &SimPerform(sim.clone()), until).await {
                Ok(_) => false,
                Err(error) => {
                    clients::check_internal(&sim, "the worker", &error);
                    true
                }
            }
        });
    }

    fn invoke(&mut self, mail: Option<Mail>, future: impl Future<Output = bool> + Send + 'static) {
        let task = {
            let mut world = self.sim.world();
            world.task = world.serial();
            world.task
        };
        self.invocations.insert(task, Invocation { future: Box::pin(future), mail });
        self.go_on(task);
    }

    fn go_on(&mut self, task: u64) {
        let Some(invocation) = self.invocations.get_mut(&task) else {
            return;
        };
        if let Poll::Ready(failed) = invocation.future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            let mail = self.invocations.remove(&task).and_then(|invocation| invocation.mail);
            if failed {
                self.back_off(mail);
            }
        }
    }

    fn crash(&mut self, task: u64) {
        {
            let mut world = self.sim.world();
            world.counts.crashes += 1;
            world.note(|| "CRASH".into());
        }
        let mail = self.invocations.remove(&task).and_then(|invocation| invocation.mail);
        if self.sim.world().rng.random_bool(0.5) {
            self.back_off(mail);
        }
    }

    /// Lambda and SQS deliver a message again when its function fails.
    fn back_off(&mut self, mail: Option<Mail>) {
        if let Some(mail) = mail.filter(|mail| mail.tries < MOST_TRIES) {
            let mut world = self.sim.world();
            let after = world.rng.random_range(500..30_000);
            world.send(after, Mail { tries: mail.tries + 1, ..mail });
        }
    }
}
