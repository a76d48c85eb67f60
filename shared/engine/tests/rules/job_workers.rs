//! Jobs that job workers poll for.

use std::sync::Arc;

use engine::{
    ActionId, ActionStatus, Command, Effect, ExecutionId, ExecutionStatus, Job, JobChange, JobNonce, Progress, Queue,
    Refusal, WorkerId,
};
use pipeline::custom::{Term, Terms};
use pipeline::{Pipeline, TypeId};
use serde_json::json;
use uuid::Uuid;

use crate::environment::{MINUTE, TestEnvironment, declared, failed, good};

fn jenkins(owner: &str) -> TypeId {
    TypeId {
        category: "Build".into(),
        owner: Some(owner.into()),
        provider: "Jenkins".into(),
        version: Some("1".into()),
    }
}

/// A stage with this many Jenkins actions side by side, `J0`, `J1` ..., and one after them.
fn pipeline(owner: &str, count: usize) -> Arc<Pipeline> {
    by_function(owner, count, None)
}

/// The same with a type that names a function in place of job workers.
fn by_function(owner: &str, count: usize, function: Option<&str>) -> Arc<Pipeline> {
    let names: Vec<String> = (0..count).map(|n| format!("J{n}")).collect();
    let mut actions: Vec<(&str, &str, u32)> = names.iter().map(|name| (name.as_str(), "Lambda", 1)).collect();
    actions.push(("After", "StepFunctions", 2));
    let type_id = jenkins(owner);
    let plain = declared(&[("Build", &actions)], |json| {
        for action in json["stages"][1]["actions"].as_array_mut().unwrap() {
            if action["name"] != "After" {
                action["actionTypeId"] = serde_json::to_value(&type_id).unwrap();
                action["configuration"] = json!({"Project": "shop", "ClientToken": "token-1"});
            }
        }
    });
    let term = |name: &str, queryable| Term { name: name.into(), required: true, secret: false, queryable };
    let properties = vec![term("Project", true), term("ClientToken", false)];
    let terms = Terms { id: type_id, properties, function: function.map(str::to_owned), ..Terms::default() };
    Arc::new(Pipeline::with_types(plain.declaration().clone(), &[terms].into_iter().collect()).unwrap())
}

/// The first Jenkins action runs; its job waits.
fn queued() -> (TestEnvironment, ExecutionId, ActionId) {
    let mut env = TestEnvironment::new(pipeline("Custom", 1));
    let id = env.start();
    env.succeed(id, "Fetch");
    env.claim(id, "J0", 1).unwrap();
    assert!(env.jobs.is_empty(), "a claimed action has no job yet");
    env.started(id, "J0", 1, false).unwrap();
    let action = env.action(id, "J0");
    (env, id, action)
}

#[test]
fn a_function_that_a_type_names_is_called_again_after_thirty_seconds() {
    let mut env =
        TestEnvironment::new(by_function("ThirdParty", 1, Some("arn:aws:lambda:eu-west-1:111122223333:function:f")));
    let id = env.start();
    env.succeed(id, "Fetch");
    env.claim(id, "J0", 1).unwrap();
    let job = env.action(id, "J0");
    proceed(&mut env, job).unwrap();
    assert_eq!(env.effects, [Effect::Run { action: job.next_turn(), delay: 30_000 }]);
    let swept = env.run(id, "J0").check.unwrap();
    assert_eq!(swept, env.now.plus(30_000 + env.policy.grace), "and not before it was to begin");
    let requested = |env: &TestEnvironment, after| env.stage(id, "Build").requested(&env.policy, env.now.plus(after));
    assert_eq!(requested(&env, 29_999), [], "nor does a worker that looks at the table take it up before");
    assert_eq!(requested(&env, 30_000), [job.next_turn()]);
}

fn nonce(n: u128) -> JobNonce {
    JobNonce(Uuid::from_u128(n))
}

fn offer(env: &mut TestEnvironment, job: ActionId, n: u128) -> Result<(), Refusal> {
    env.apply(job.execution, Command::Offer { action: job, nonce: nonce(n) })
}

fn acknowledge(env: &mut TestEnvironment, job: ActionId, n: u128, timeout: Option<i64>) -> Result<(), Refusal> {
    env.apply(job.execution, Command::Acknowledge { action: job, nonce: nonce(n), timeout })
}

fn result(env: &mut TestEnvironment, job: ActionId) -> Result<(), Refusal> {
    env.apply(job.execution, Command::Result { action: job, end: good() })
}

fn proceed(env: &mut TestEnvironment, job: ActionId) -> Result<(), Refusal> {
    let report = Progress { percent: Some(50), ..Progress::default() };
    env.apply(job.execution, Command::Continue { action: job, continuation: "half".into(), report })
}

fn taken(env: &mut TestEnvironment, job: ActionId) {
    offer(env, job, 1).unwrap();
    acknowledge(env, job, 1, None).unwrap();
}

#[test]
fn a_running_action_has_a_job_in_the_queue_of_its_type_and_value() {
    let (env, id, action) = queued();
    let queue = Queue { type_id: jenkins("Custom"), query: Some("shop".into()) };
    let job = Job { queue, queued: env.now, action, free: env.now };
    assert_eq!(env.jobs, [JobChange::Put(job)]);
    assert_eq!(env.status(id, "J0"), ActionStatus::Running);
    assert!(env.effects.is_empty() && env.run(id, "J0").check.is_none(), "nobody is woken: workers come by themselves");
}

#[test]
fn a_job_is_offered_to_one_worker_at_a_time() {
    let (mut env, id, job) = queued();
    offer(&mut env, job, 1).unwrap();
    let [JobChange::Put(entry)] = &env.jobs[..] else { panic!("{:?}", env.jobs) };
    assert_eq!(entry.free, env.now.plus(env.policy.lease), "the entry says until when nobody else gets it");
    assert_eq!(offer(&mut env, job, 2), Err(Refusal::JobTaken(job)));
    env.now = env.now.plus(env.policy.lease - 1);
    assert_eq!(offer(&mut env, job, 2), Err(Refusal::JobTaken(job)));
    acknowledge(&mut env, job, 1, None).unwrap();
    assert!(matches!(&env.jobs[..], [JobChange::Remove(removed)] if removed.action == job));
    env.now = env.now.plus(10 * env.policy.lease);
    assert_eq!(offer(&mut env, job, 2), Err(Refusal::JobTaken(job)), "acknowledged is for good");
    assert!(env.run(id, "J0").check.is_none(), "without a time-out of its type only the action's own holds");
}

#[test]
fn an_offer_that_nobody_acknowledges_lapses() {
    let (mut env, _, job) = queued();
    offer(&mut env, job, 1).unwrap();
    env.now = env.now.plus(env.policy.lease);
    offer(&mut env, job, 2).unwrap();
    assert_eq!(acknowledge(&mut env, job, 1, None), Err(Refusal::WrongNonce(job)), "the old nonce is worth nothing");
    acknowledge(&mut env, job, 2, None).unwrap();
    assert_eq!(acknowledge(&mut env, job, 1, None), Err(Refusal::WrongNonce(job)));
    assert_eq!(acknowledge(&mut env, job, 2, None), Err(Refusal::Nothing), "said twice it changes nothing");
    result(&mut env, job).unwrap();
}

#[test]
fn a_late_acknowledgement_counts_as_long_as_nobody_else_was_offered_the_job() {
    let (mut env, _, job) = queued();
    assert_eq!(acknowledge(&mut env, job, 0, None), Err(Refusal::WrongNonce(job)), "nothing was offered");
    offer(&mut env, job, 1).unwrap();
    env.now = env.now.plus(3 * env.policy.lease);
    acknowledge(&mut env, job, 1, None).unwrap();
}

#[test]
fn only_who_acknowledged_may_report() {
    let (mut env, id, job) = queued();
    assert_eq!(result(&mut env, job), Err(Refusal::NotAcknowledged(job)));
    offer(&mut env, job, 1).unwrap();
    assert_eq!(result(&mut env, job), Err(Refusal::NotAcknowledged(job)));
    assert_eq!(proceed(&mut env, job), Err(Refusal::NotAcknowledged(job)));
    let bad = Command::Result { action: job, end: failed("no") };
    assert_eq!(env.apply(id, bad), Err(Refusal::NotAcknowledged(job)));
    acknowledge(&mut env, job, 1, None).unwrap();
    result(&mut env, job).unwrap();
    assert_eq!(env.status(id, "J0"), ActionStatus::Succeeded);
    assert_eq!(env.status(id, "After"), ActionStatus::Requested, "what follows is requested in the same decision");
    assert!(matches!(result(&mut env, job), Err(Refusal::WrongState { .. })), "twice");
    assert!(matches!(acknowledge(&mut env, job, 1, None), Err(Refusal::WrongState { .. })));
    assert!(matches!(offer(&mut env, job, 1), Err(Refusal::WrongState { .. })));
}

#[test]
fn a_continued_job_is_offered_again_under_another_id() {
    let (mut env, id, job) = queued();
    taken(&mut env, job);
    env.now = env.now.plus(1_000);
    proceed(&mut env, job).unwrap();
    let next = job.next_turn();
    assert!(matches!(&env.jobs[..], [JobChange::Put(entry)] if entry.action == next && entry.queued == env.now));
    let run = env.run(id, "J0");
    assert_eq!(
        (run.continuation.as_deref(), run.percent, &run.status),
        (Some("half"), Some(50), &ActionStatus::Running)
    );
    for stale in [result(&mut env, job), proceed(&mut env, job), offer(&mut env, job, 5)] {
        assert_eq!(stale, Err(Refusal::StaleJob(job)));
    }
    assert_eq!(acknowledge(&mut env, next, 1, None), Err(Refusal::WrongNonce(next)));
    taken(&mut env, next);
    result(&mut env, next).unwrap();
    assert_eq!(env.status(id, "J0"), ActionStatus::Succeeded);
}

#[test]
fn a_worker_that_is_lost_after_its_acknowledgement_loses_the_job() {
    let (mut env, id, job) = queued();
    offer(&mut env, job, 1).unwrap();
    acknowledge(&mut env, job, 1, Some(MINUTE)).unwrap();
    env.now = env.now.plus(MINUTE - 1);
    assert_eq!(env.apply(id, Command::Sweep), Err(Refusal::Nothing));
    env.now = env.now.plus(1);
    env.apply(id, Command::Sweep).unwrap();
    let next = job.next_turn();
    assert!(matches!(&env.jobs[..], [JobChange::Put(entry)] if entry.action == next));
    assert!(env.effects.is_empty(), "there is no provider to be asked");
    assert_eq!(result(&mut env, job), Err(Refusal::StaleJob(job)), "the lost worker comes too late");
    taken(&mut env, next);
    result(&mut env, next).unwrap();
    assert_eq!(env.status(id, "J0"), ActionStatus::Succeeded);
}

#[test]
fn many_lost_jobs_come_back_in_small_commits() {
    let mut env = TestEnvironment::new(pipeline("Custom", 9));
    let id = env.start();
    env.succeed(id, "Fetch");
    for n in 0..9 {
        let name = format!("J{n}");
        env.claim(id, &name, 1).unwrap();
        env.started(id, &name, 1, false).unwrap();
        let job = env.action(id, &name);
        offer(&mut env, job, 1).unwrap();
        acknowledge(&mut env, job, 1, Some(MINUTE)).unwrap();
    }
    env.now = env.now.plus(MINUTE);
    let mut sizes = Vec::new();
    while env.apply(id, Command::Sweep).is_ok() {
        sizes.push(env.jobs.len());
    }
    assert_eq!(sizes, [4, 4, 1]);
}

#[test]
fn a_job_ends_with_its_action() {
    let (mut env, id, job) = queued();
    let minutes = i64::from(env.pipeline.stages()[1].actions[0].timeout_minutes());
    env.now = env.now.plus(minutes * MINUTE);
    env.apply(id, Command::Sweep).unwrap();
    assert_eq!(env.executions[&id].status, ExecutionStatus::Failed);
    assert!(matches!(&env.jobs[..], [JobChange::Remove(entry)] if entry.action == job));
    assert!(matches!(offer(&mut env, job, 1), Err(Refusal::WrongState { .. })));
}

#[test]
fn the_jobs_of_a_cancelled_execution_are_neither_offered_nor_reported() {
    let (mut env, id, job) = queued();
    taken(&mut env, job);
    let locks = env.locks.clone();
    let mut random = Uuid::nil;
    let policy = env.policy;
    let mut context = engine::Context { now: env.now, policy: &policy, home: "eu-west-1", random: &mut random };
    let decision = engine::delete(locks, &mut context);
    env.keep(decision);
    env.outbox();
    assert_eq!(env.status(id, "J0"), ActionStatus::Abandoned);
    assert!(result(&mut env, job).is_err() && proceed(&mut env, job).is_err() && offer(&mut env, job, 2).is_err());
}

#[test]
fn a_function_s_job_needs_no_acknowledgement_and_waits_in_no_queue() {
    let mut env = TestEnvironment::new(crate::environment::pipeline(&[("Test", &[("L", "Lambda", 1)])]));
    let id = env.start();
    env.succeed(id, "Fetch");
    env.claim(id, "L", 1).unwrap();
    env.started(id, "L", 1, false).unwrap();
    assert!(env.jobs.is_empty());
    let job = env.action(id, "L");
    assert_eq!(offer(&mut env, job, 1), Err(Refusal::JobTaken(job)));
    assert_eq!(acknowledge(&mut env, job, 1, None), Err(Refusal::WrongNonce(job)));
    result(&mut env, job).unwrap();
    assert_eq!(env.executions[&id].status, ExecutionStatus::Succeeded);
}

#[test]
fn a_third_party_must_know_its_client_s_token() {
    let pipeline = pipeline("ThirdParty", 1);
    let action = &pipeline.stages()[1].actions[0];
    let id = ExecutionId::from_random(Uuid::nil()).action(1, 0, 1);
    assert!(engine::is_job(action) && action.is_polled());
    engine::check_client(id, action, "token-1").unwrap();
    for wrong in ["token-2", "token-", "token-11", ""] {
        assert_eq!(engine::check_client(id, action, wrong), Err(Refusal::WrongClientToken(id)), "{wrong}");
    }
    let after = &pipeline.stages()[1].actions[1];
    assert!(engine::check_client(id, after, "").is_err(), "an action without a token is nobody's");
}

#[test]
fn decisions_in_one_commit_change_an_entry_once() {
    let mut env = TestEnvironment::new(pipeline("Custom", 2));
    let id = env.start();
    env.succeed(id, "Fetch");
    let worker = WorkerId(Uuid::from_u128(7));
    let mut commands = Vec::new();
    for name in ["J0", "J1"] {
        env.claim(id, name, 7).unwrap();
        commands.push(Command::Started {
            action: env.action(id, name),
            worker,
            report: Progress::default(),
            poll: false,
            event_source: None,
        });
    }
    // One is offered and ends before anybody could have seen its entry.
    let action = env.action(id, "J0");
    commands.push(Command::Offer { action, nonce: nonce(1) });
    commands.push(Command::Acknowledge { action, nonce: nonce(1), timeout: None });
    env.apply_together(id, &commands);
    let changes: Vec<_> = env.jobs.iter().map(|change| matches!(change, JobChange::Put(_))).collect();
    assert_eq!(changes, [true, false], "{:?}", env.jobs);
    assert!(matches!(&env.jobs[1], JobChange::Remove(entry) if entry.action == action));
}

#[test]
fn a_job_stays_in_its_queue_when_its_action_is_carried_over() {
    let mut env = TestEnvironment::new(pipeline("Custom", 2));
    let id = env.start();
    env.succeed(id, "Fetch");
    env.claim(id, "J0", 1).unwrap();
    env.started(id, "J0", 1, false).unwrap();
    let job = env.action(id, "J0");
    env.fail(id, "J1");
    env.retry(id, "Build", pipeline::RetryMode::FailedActions).unwrap();
    assert!(env.jobs.is_empty(), "its entry names it by its id, which it keeps: {:?}", env.jobs);
    taken(&mut env, job);
    assert!(matches!(&env.jobs[..], [JobChange::Remove(removed)] if removed.action == job));
    result(&mut env, job).unwrap();
    assert_eq!(env.status(id, "J0"), ActionStatus::Succeeded);
}
