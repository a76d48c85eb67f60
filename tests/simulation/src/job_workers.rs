//! Job workers: they poll, and take what they are offered; some die before that, some after; some report late, or twice.

use std::collections::BTreeMap;

use driver::{Driver, JobCaller, Offered};
use engine::{ActionId, JobNonce, Timestamp};
use pipeline::TypeId;
use pipeline::custom::{Counts, DefinedProperty, Definition, Executor, ExecutorKind};
use rand::RngExt;
use serde_json::{Value, json};
use store::{Entity, Expect, StoredType, Write};

use crate::clients::{self, JobFate, Operation, insist};
use crate::world::{Sim, World};

/// The token of the third party's client.
const TOKEN: &str = "token-1";
/// Seconds after which a job of the third party's goes to another worker.
const JOB_TIMEOUT: u32 = 60;
/// The value by which the account's own workers poll.
const QUERY: &str = "left";

/// The action types that job workers serve: one of the account's own, and one of a third party.
pub fn type_id(third_party: bool) -> TypeId {
    let (owner, provider) = if third_party { ("ThirdParty", "Partner") } else { ("Custom", "Worker") };
    TypeId { category: "Test".into(), owner: Some(owner.into()), provider: provider.into(), version: Some("1".into()) }
}

/// The action type of another third party, whose jobs a function does.
fn executor_id() -> TypeId {
    TypeId { provider: "Executor".into(), ..type_id(true) }
}

/// The type of an action that a function does, as a declaration has it, and its configuration with this text.
pub fn declared_executor(text: &str) -> (Value, Value) {
    (json!(executor_id()), json!({"Text": text}))
}

/// An action's type as a declaration has it, and its configuration with this text.
pub fn declared(third_party: bool, text: &str) -> (Value, Value) {
    let configuration = if third_party {
        json!({"Text": text, "ClientId": "client-1", "ClientToken": TOKEN})
    } else {
        json!({"Text": text, "Queue": QUERY})
    };
    (json!(type_id(third_party)), configuration)
}

/// All types, as they are stored before anything happens.
pub fn types() -> Vec<Write> {
    let definition = |third_party: bool| {
        let property = |name: &str, queryable| DefinedProperty {
            name: name.into(),
            required: true,
            queryable,
            ..DefinedProperty::default()
        };
        let mut properties = vec![property("Text", false)];
        if !third_party {
            properties.push(property("Queue", true));
        }
        let kind = ExecutorKind::JobWorker { accounts: None, principals: None };
        Definition {
            id: type_id(third_party),
            properties: Some(properties),
            inputs: Counts { least: 0, most: 5 },
            outputs: Counts { least: 0, most: 5 },
            executor: third_party.then_some(Executor { kind, policy: None, job_timeout: Some(JOB_TIMEOUT) }),
            ..Definition::default()
        }
    };
    let kind = ExecutorKind::Lambda { function: "arn:aws:lambda:eu-west-1:111122223333:function:executor".into() };
    let executor = Some(Executor { kind, policy: None, job_timeout: None });
    let stored = |definition: Definition| {
        let stored = StoredType { definition, tags: BTreeMap::new(), created: Timestamp(0), deleted: None };
        Write::Put { entity: Entity::ActionType(stored), expect: Expect::Absent }
    };
    vec![
        stored(definition(false)),
        stored(definition(true)),
        stored(Definition { id: executor_id(), executor, ..definition(true) }),
    ]
}

/// A job came into a queue, or will be free again: workers come by, sooner or later, one or several.
pub fn committed(world: &mut World, writes: &[Write]) {
    for write in writes {
        let Write::Put { entity: Entity::Job(job), .. } = write else { continue };
        let third_party = job.queue.type_id == type_id(true);
        let lease = world.dials.policy.lease;
        for _ in 0..world.rng.random_range(1..4) {
            let after = (job.free.0 - world.now).max(0) + world.rng.random_range(0..lease);
            world.plan(after, Operation::Work { third_party });
        }
    }
}

/// What a worker does with its job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    /// It acknowledges, works, and reports once.
    Good,
    /// It dies with the offer in hand.
    DiesUnacknowledged,
    /// It dies at its work.
    DiesAtWork,
    /// It is slow: perhaps the job has passed to another by then.
    Late,
    /// It reports its result a second time.
    Twice,
    /// It reports without having taken the job.
    Presumptuous,
    /// It does not know the client's token, or is of a third party that the job is not for.
    Stranger,
}

/// A worker polls once, and deals with each job that it is offered.
pub async fn work(sim: &Sim, driver: &Driver, third_party: bool) {
    let (id, most) = (type_id(third_party), sim.world().rng.random_range(1..4));
    let query = (!third_party).then_some(("Queue", QUERY));
    let Ok(offered) = insist(sim, "PollForJobs", || driver.poll_jobs(&id, query, most)).await else {
        return;
    };
    for offer in offered {
        do_job(sim, driver, third_party, offer).await;
    }
}

async fn do_job(sim: &Sim, driver: &Driver, third_party: bool, Offered { task, nonce }: Offered) {
    let job = task.id;
    let caller = if third_party { JobCaller::ThirdParty { token: TOKEN } } else { JobCaller::Account };
    let manner = {
        let mut world = sim.world();
        let manners = [
            Manner::DiesUnacknowledged,
            Manner::DiesAtWork,
            Manner::Late,
            Manner::Twice,
            Manner::Presumptuous,
            Manner::Stranger,
        ];
        let chosen = manners.get(world.rng.random_range(0..18)).copied().unwrap_or(Manner::Good);
        // Where nothing takes a job from a lost worker it is lost with it, and only the time-out of a day ends it.
        let manner = if world.faulty || chosen != Manner::DiesAtWork { chosen } else { Manner::Good };
        world.note(|| format!("offered {job} to a worker that is {manner:?}"));
        manner
    };
    match manner {
        Manner::DiesUnacknowledged => return,
        Manner::Presumptuous => {
            let result = clients::result(&mut sim.world(), job, JobFate::Fail, None);
            // Where another has acknowledged it meanwhile, nothing tells the two apart: the job's id is all they name.
            _ = clients::put_result(sim, driver, job, caller, &result).await;
            return;
        }
        Manner::Stranger => {
            let caller = JobCaller::ThirdParty { token: if third_party { "token-2" } else { TOKEN } };
            let nonce = nonce.to_string();
            if insist(sim, "AcknowledgeJob", || driver.acknowledge(job, &nonce, caller)).await.is_ok() {
                sim.world().violated(format!("the job {job} went to one who may not speak for it"));
            }
            return;
        }
        _ => {}
    }
    if manner == Manner::Late {
        let wait = sim.world().dials.policy.lease * 2;
        sim.gate(wait).await;
    }
    let nonce_text = nonce.to_string();
    match insist(sim, "AcknowledgeJob", || driver.acknowledge(job, &nonce_text, caller)).await {
        Ok(driver::JobState::InProgress) => {
            let mut world = sim.world();
            let held = world.checker.acknowledged(job, nonce);
            world.must(held);
        }
        _ => return,
    }
    let time = if manner == Manner::Late { i64::from(JOB_TIMEOUT) * 1_500 } else { 5_000 };
    let time = sim.world().rng.random_range(0..time);
    sim.gate(time).await;
    if manner == Manner::DiesAtWork {
        return;
    }
    let fate = fate(&mut sim.world(), job);
    let result = clients::result(&mut sim.world(), job, fate, Some(&task));
    for _ in 0..if manner == Manner::Twice { 2 } else { 1 } {
        if clients::put_result(sim, driver, job, caller, &result).await.is_ok() {
            taken(sim, job, nonce);
        }
    }
}

fn fate(world: &mut World, job: ActionId) -> JobFate {
    let failing = world.dials.failing;
    if job.turn < 3 && world.rng.random_bool(0.3) {
        JobFate::Continue
    } else if world.rng.random_bool(failing) {
        JobFate::Fail
    } else {
        JobFate::Succeed
    }
}

fn taken(sim: &Sim, job: ActionId, nonce: JobNonce) {
    let mut world = sim.world();
    world.counts.jobs += 1;
    let held = world.checker.reported(job, nonce);
    world.must(held);
    if !world.outside.taken.insert(job) {
        world.violated(format!("the job {job} took two results"));
    }
}
