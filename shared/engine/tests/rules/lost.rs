//! What the sweeper does about lost events and lost workers.

use engine::{ActionStatus, Command, Effect, ExecutionStatus, Refusal};

use crate::environment::{MINUTE, TestEnvironment, pipeline};

fn env() -> TestEnvironment {
    TestEnvironment::new(pipeline(&[("Test", &[("T", "StepFunctions", 1)])]))
}

#[test]
fn a_lost_event_is_sent_again_after_the_grace() {
    let mut env = env();
    let id = env.start();
    assert_eq!(env.apply(id, Command::Sweep), Err(Refusal::Nothing));
    env.now = env.now.plus(env.policy.grace);
    env.apply(id, Command::Sweep).unwrap();
    assert_eq!(env.effects, [Effect::Run { action: env.action(id, "Fetch"), delay: 0 }]);
    assert_eq!(env.apply(id, Command::Sweep), Err(Refusal::Nothing), "not again before another grace");
}

#[test]
fn a_lost_worker_is_replaced_when_its_claim_runs_out() {
    let mut env = env();
    let id = env.start();
    env.claim(id, "Fetch", 1).unwrap();
    env.now = env.now.plus(env.policy.lease);
    env.apply(id, Command::Sweep).unwrap();
    assert_eq!(env.status(id, "Fetch"), ActionStatus::Requested);
    assert_eq!(env.effects, [Effect::Run { action: env.action(id, "Fetch"), delay: 0 }], "under the same attempt id");
    env.claim(id, "Fetch", 2).unwrap();
    assert_eq!(env.run(id, "Fetch").claims, 2);
}

#[test]
fn a_lost_poll_is_made_up_for() {
    let mut env = env();
    let id = env.start();
    env.succeed(id, "Fetch");
    env.claim(id, "T", 1).unwrap();
    env.started(id, "T", 1, true).unwrap();
    let action = env.action(id, "T");
    assert_eq!(env.effects, [Effect::Poll { action, delay: env.policy.poll_first, count: Some(0) }]);
    env.now = env.now.plus(env.policy.poll_first + env.policy.poll_most + env.policy.grace);
    env.apply(id, Command::Sweep).unwrap();
    assert_eq!(env.effects, [Effect::Poll { action, delay: 0, count: None }], "one poll, not a second chain");
}

#[test]
fn an_action_fails_at_its_deadline_and_its_provider_is_told_nothing() {
    let mut env = env();
    let id = env.start();
    env.succeed(id, "Fetch");
    env.claim(id, "T", 1).unwrap();
    env.started(id, "T", 1, true).unwrap();
    let minutes = env.pipeline.stages()[1].actions[0].timeout_minutes();
    env.now = env.now.plus(i64::from(minutes) * MINUTE);
    env.apply(id, Command::Sweep).unwrap();
    assert_eq!(env.status(id, "T"), ActionStatus::Failed);
    assert_eq!(env.run(id, "T").error.as_ref().unwrap().code, "TimeoutError");
    assert_eq!(env.effects, []);
    assert_eq!(env.executions[&id].status, ExecutionStatus::Failed);
}

#[test]
fn nothing_is_due_in_a_stage_that_is_over() {
    let mut env = env();
    let id = env.start();
    assert!(env.stages[&(id, 0, 1)].due().is_some());
    env.succeed(id, "Fetch");
    assert_eq!(env.stages[&(id, 0, 1)].due(), None);
}
