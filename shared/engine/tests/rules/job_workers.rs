//! Jobs that job workers poll for.

use std::sync::Arc;

use engine::{
    ActionId, ActionStatus, Command, Effect, ExecutionId, ExecutionStatus, Job, JobChange, Progress, Queue, Refusal,
};
use pipeline::custom::{Term, Terms};
use pipeline::{Pipeline, TypeId};
use serde_json::json;
use uuid::Uuid;

use crate::rig::{MINUTE, Rig, declared, failed, good};

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
    let terms = Terms { id: type_id, properties, ..Terms::default() };
    Arc::new(Pipeline::with_types(plain.declaration().clone(), &[terms].into_iter().collect()).unwrap())
}

/// The first Jenkins action runs; its job waits.
fn queued() -> (Rig, ExecutionId, ActionId) {
    let mut rig = Rig::new(pipeline("Custom", 1));
    let id = rig.start();
    rig.succeed(id, "Fetch");
    rig.claim(id, "J0", 1).unwrap();
    assert!(rig.jobs.is_empty(), "a claimed action has no job yet");
    rig.started(id, "J0", 1, false).unwrap();
    let action = rig.action(id, "J0");
    (rig, id, action)
}

fn nonce(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

fn offer(rig: &mut Rig, job: ActionId, n: u128) -> Result<(), Refusal> {
    rig.apply(job.execution, Command::Offer { action: job, nonce: nonce(n) })
}

fn acknowledge(rig: &mut Rig, job: ActionId, n: u128, timeout: Option<i64>) -> Result<(), Refusal> {
    rig.apply(job.execution, Command::Acknowledge { action: job, nonce: nonce(n), timeout })
}

fn result(rig: &mut Rig, job: ActionId) -> Result<(), Refusal> {
    rig.apply(job.execution, Command::Result { action: job, end: good() })
}

fn proceed(rig: &mut Rig, job: ActionId) -> Result<(), Refusal> {
    let report = Progress { percent: Some(50), ..Progress::default() };
    rig.apply(job.execution, Command::Continue { action: job, continuation: "half".into(), delay: 0, report })
}

fn taken(rig: &mut Rig, job: ActionId) {
    offer(rig, job, 1).unwrap();
    acknowledge(rig, job, 1, None).unwrap();
}

#[test]
fn a_running_action_has_a_job_in_the_queue_of_its_type_and_value() {
    let (rig, id, action) = queued();
    let queue = Queue { type_id: jenkins("Custom"), query: Some("shop".into()) };
    let job = Job { queue, queued: rig.now, action, free: rig.now };
    assert_eq!(rig.jobs, [JobChange::Put(job)]);
    assert_eq!(rig.status(id, "J0"), ActionStatus::Running);
    assert!(rig.effects.is_empty() && rig.run(id, "J0").check.is_none(), "nobody is woken: workers come by themselves");
}

#[test]
fn a_job_is_offered_to_one_worker_at_a_time() {
    let (mut rig, id, job) = queued();
    offer(&mut rig, job, 1).unwrap();
    let [JobChange::Put(entry)] = &rig.jobs[..] else { panic!("{:?}", rig.jobs) };
    assert_eq!(entry.free, rig.now.plus(rig.policy.lease), "the entry says until when nobody else gets it");
    assert_eq!(offer(&mut rig, job, 2), Err(Refusal::JobTaken(job)));
    rig.now = rig.now.plus(rig.policy.lease - 1);
    assert_eq!(offer(&mut rig, job, 2), Err(Refusal::JobTaken(job)));
    acknowledge(&mut rig, job, 1, None).unwrap();
    assert!(matches!(&rig.jobs[..], [JobChange::Remove(removed)] if removed.action == job));
    rig.now = rig.now.plus(10 * rig.policy.lease);
    assert_eq!(offer(&mut rig, job, 2), Err(Refusal::JobTaken(job)), "acknowledged is for good");
    assert!(rig.run(id, "J0").check.is_none(), "without a time-out of its type only the action's own holds");
}

#[test]
fn an_offer_that_nobody_acknowledges_lapses() {
    let (mut rig, _, job) = queued();
    offer(&mut rig, job, 1).unwrap();
    rig.now = rig.now.plus(rig.policy.lease);
    offer(&mut rig, job, 2).unwrap();
    assert_eq!(acknowledge(&mut rig, job, 1, None), Err(Refusal::WrongNonce(job)), "the old nonce is worth nothing");
    acknowledge(&mut rig, job, 2, None).unwrap();
    assert_eq!(acknowledge(&mut rig, job, 1, None), Err(Refusal::WrongNonce(job)));
    assert_eq!(acknowledge(&mut rig, job, 2, None), Err(Refusal::Nothing), "said twice it changes nothing");
    result(&mut rig, job).unwrap();
}

#[test]
fn a_late_acknowledgement_counts_as_long_as_nobody_else_was_offered_the_job() {
    let (mut rig, _, job) = queued();
    assert_eq!(acknowledge(&mut rig, job, 0, None), Err(Refusal::WrongNonce(job)), "nothing was offered");
    offer(&mut rig, job, 1).unwrap();
    rig.now = rig.now.plus(3 * rig.policy.lease);
    acknowledge(&mut rig, job, 1, None).unwrap();
}

#[test]
fn only_who_acknowledged_may_report() {
    let (mut rig, id, job) = queued();
    assert_eq!(result(&mut rig, job), Err(Refusal::NotAcknowledged(job)));
    offer(&mut rig, job, 1).unwrap();
    assert_eq!(result(&mut rig, job), Err(Refusal::NotAcknowledged(job)));
    assert_eq!(proceed(&mut rig, job), Err(Refusal::NotAcknowledged(job)));
    let bad = Command::Result { action: job, end: failed("no") };
    assert_eq!(rig.apply(id, bad), Err(Refusal::NotAcknowledged(job)));
    acknowledge(&mut rig, job, 1, None).unwrap();
    result(&mut rig, job).unwrap();
    assert_eq!(rig.status(id, "J0"), ActionStatus::Succeeded);
    assert_eq!(rig.status(id, "After"), ActionStatus::Requested, "what follows is requested in the same decision");
    assert!(matches!(result(&mut rig, job), Err(Refusal::WrongState { .. })), "twice");
    assert!(matches!(acknowledge(&mut rig, job, 1, None), Err(Refusal::WrongState { .. })));
    assert!(matches!(offer(&mut rig, job, 1), Err(Refusal::WrongState { .. })));
}

#[test]
fn a_continued_job_is_offered_again_under_another_id() {
    let (mut rig, id, job) = queued();
    taken(&mut rig, job);
    rig.now = rig.now.plus(1_000);
    proceed(&mut rig, job).unwrap();
    let next = job.next_turn();
    assert!(matches!(&rig.jobs[..], [JobChange::Put(entry)] if entry.action == next && entry.queued == rig.now));
    let run = rig.run(id, "J0");
    assert_eq!(
        (run.continuation.as_deref(), run.percent, &run.status),
        (Some("half"), Some(50), &ActionStatus::Running)
    );
    for stale in [result(&mut rig, job), proceed(&mut rig, job), offer(&mut rig, job, 5)] {
        assert_eq!(stale, Err(Refusal::StaleJob(job)));
    }
    assert_eq!(acknowledge(&mut rig, next, 1, None), Err(Refusal::WrongNonce(next)));
    taken(&mut rig, next);
    result(&mut rig, next).unwrap();
    assert_eq!(rig.status(id, "J0"), ActionStatus::Succeeded);
}

#[test]
fn a_worker_that_is_lost_after_its_acknowledgement_loses_the_job() {
    let (mut rig, id, job) = queued();
    offer(&mut rig, job, 1).unwrap();
    acknowledge(&mut rig, job, 1, Some(MINUTE)).unwrap();
    rig.now = rig.now.plus(MINUTE - 1);
    assert_eq!(rig.apply(id, Command::Sweep), Err(Refusal::Nothing));
    rig.now = rig.now.plus(1);
    rig.apply(id, Command::Sweep).unwrap();
    let next = job.next_turn();
    assert!(matches!(&rig.jobs[..], [JobChange::Put(entry)] if entry.action == next));
    assert!(rig.effects.is_empty(), "there is no provider to be asked");
    assert_eq!(result(&mut rig, job), Err(Refusal::StaleJob(job)), "the lost worker comes too late");
    taken(&mut rig, next);
    result(&mut rig, next).unwrap();
    assert_eq!(rig.status(id, "J0"), ActionStatus::Succeeded);
}

#[test]
fn many_lost_jobs_come_back_in_small_commits() {
    let mut rig = Rig::new(pipeline("Custom", 9));
    let id = rig.start();
    rig.succeed(id, "Fetch");
    for n in 0..9 {
        let name = format!("J{n}");
        rig.claim(id, &name, 1).unwrap();
        rig.started(id, &name, 1, false).unwrap();
        let job = rig.action(id, &name);
        offer(&mut rig, job, 1).unwrap();
        acknowledge(&mut rig, job, 1, Some(MINUTE)).unwrap();
    }
    rig.now = rig.now.plus(MINUTE);
    let mut sizes = Vec::new();
    while rig.apply(id, Command::Sweep).is_ok() {
        sizes.push(rig.jobs.len());
    }
    assert_eq!(sizes, [4, 4, 1]);
}

#[test]
fn a_job_ends_with_its_action() {
    let (mut rig, id, job) = queued();
    let minutes = i64::from(rig.pipeline.stages()[1].actions[0].timeout_minutes());
    rig.now = rig.now.plus(minutes * MINUTE);
    rig.apply(id, Command::Sweep).unwrap();
    assert_eq!(rig.executions[&id].status, ExecutionStatus::Failed);
    assert!(matches!(&rig.jobs[..], [JobChange::Remove(entry)] if entry.action == job));
    assert_eq!(rig.effects.first(), Some(&Effect::Cancel(job)));
    assert!(matches!(offer(&mut rig, job, 1), Err(Refusal::WrongState { .. })));
}

#[test]
fn the_jobs_of_a_cancelled_execution_are_neither_offered_nor_reported() {
    let (mut rig, id, job) = queued();
    taken(&mut rig, job);
    let lanes = rig.lanes.clone();
    let mut random = Uuid::nil;
    let policy = rig.policy;
    let mut context = engine::Context { now: rig.now, policy: &policy, home: "eu-west-1", random: &mut random };
    let decision = engine::delete(lanes, &mut context);
    rig.keep(decision);
    rig.chores();
    assert_eq!(rig.status(id, "J0"), ActionStatus::Abandoned);
    assert!(result(&mut rig, job).is_err() && proceed(&mut rig, job).is_err() && offer(&mut rig, job, 2).is_err());
}

#[test]
fn a_function_s_job_needs_no_acknowledgement_and_waits_in_no_queue() {
    let mut rig = Rig::new(crate::rig::pipeline(&[("Test", &[("L", "Lambda", 1)])]));
    let id = rig.start();
    rig.succeed(id, "Fetch");
    rig.claim(id, "L", 1).unwrap();
    rig.started(id, "L", 1, false).unwrap();
    assert!(rig.jobs.is_empty());
    let job = rig.action(id, "L");
    assert_eq!(offer(&mut rig, job, 1), Err(Refusal::JobTaken(job)));
    assert_eq!(acknowledge(&mut rig, job, 1, None), Err(Refusal::WrongNonce(job)));
    result(&mut rig, job).unwrap();
    assert_eq!(rig.executions[&id].status, ExecutionStatus::Succeeded);
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
    let mut rig = Rig::new(pipeline("Custom", 2));
    let id = rig.start();
    rig.succeed(id, "Fetch");
    let worker = nonce(7);
    let mut commands = Vec::new();
    for name in ["J0", "J1"] {
        rig.claim(id, name, 7).unwrap();
        commands.push(Command::Started {
            action: rig.action(id, name),
            worker,
            report: Progress::default(),
            poll: false,
        });
    }
    // One is offered and ends before anybody could have seen its entry.
    let action = rig.action(id, "J0");
    commands.push(Command::Offer { action, nonce: nonce(1) });
    commands.push(Command::Acknowledge { action, nonce: nonce(1), timeout: None });
    rig.apply_together(id, &commands);
    let changes: Vec<_> = rig.jobs.iter().map(|change| matches!(change, JobChange::Put(_))).collect();
    assert_eq!(changes, [true, false], "{:?}", rig.jobs);
    assert!(matches!(&rig.jobs[1], JobChange::Remove(entry) if entry.action == action));
}
