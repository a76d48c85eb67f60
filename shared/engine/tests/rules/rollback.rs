//! RollbackStage and automatic rollback.

use engine::{ExecutionStatus, OutboxTask, Position, Refusal, StageStatus};
use serde_json::json;

use crate::environment::{Actions, TestEnvironment, declared};

const STAGES: &[(&str, Actions<'static>)] =
    &[("Test", &[("T", "StepFunctions", 1)]), ("Prod", &[("P", "StepFunctions", 1)])];

fn env() -> TestEnvironment {
    TestEnvironment::new(declared(STAGES, |_| ()))
}

fn automatic() -> TestEnvironment {
    TestEnvironment::new(declared(STAGES, |it| it["stages"][1]["onFailure"] = json!({"result": "ROLLBACK"})))
}

fn release(env: &mut TestEnvironment) -> engine::ExecutionId {
    let id = env.start();
    env.succeed(id, "Fetch");
    env.succeed(id, "T");
    env.succeed(id, "P");
    id
}

#[test]
fn a_stage_goes_back_to_an_execution_that_succeeded_in_it_and_no_further() {
    let mut env = env();
    let good = release(&mut env);
    let bad = release(&mut env);
    let back = env.rollback("Test", good).unwrap();
    let execution = env.executions[&back].clone();
    assert_eq!(execution.position, Position::In(1));
    assert_eq!(execution.rollback.as_ref().map(|target| target.execution), Some(good));
    assert_eq!(execution.attempt_at(0), Some((good, 1)), "it reads what the target's earlier stages made");
    assert_eq!(execution.attempt_at(1), Some((back, 1)));
    assert_eq!(execution.revisions, env.executions[&good].revisions);
    env.succeed(back, "T");
    assert_eq!(env.executions[&back].status, ExecutionStatus::Succeeded);
    assert_eq!(env.executions[&back].position, Position::Out);
    assert_eq!(env.locks.stages["Prod"].latest.unwrap().execution, bad, "the next stage is left alone");
    assert_eq!(env.locks.stages["Test"].succeeded.unwrap().execution, bad, "a rollback is no target");
}

#[test]
fn what_cannot_be_rolled_back_is_refused() {
    let mut env = env();
    let good = release(&mut env);
    let not = |result| matches!(result, Err(Refusal::NotRollable { .. }));
    assert!(not(env.rollback("Source", good)), "the source stage");
    let failing = env.start();
    assert!(!not(env.rollback("Test", good)), "a stage in which nobody is");
    env.succeed(failing, "Fetch");
    assert!(not(env.rollback("Test", good)), "it is running");
    env.outbox();
    let back = env.locks.stages["Test"].holder.unwrap();
    env.succeed(back, "T");
    env.outbox();
    assert!(not(env.rollback("Prod", back)), "the target was not there");
    env.fail(failing, "T");
    assert!(not(env.rollback("Test", failing)), "the target did not succeed in it");
    assert_eq!(env.stage(back, "Test").status, engine::StageStatus::Succeeded);
    assert!(
        not(env.rollback("Test", back)),
        "the target is a rollback, though the stage is free and it succeeded there"
    );
    env.update(env.pipeline.clone());
    assert_eq!(env.rollback("Test", good), Err(Refusal::Outdated(good)));
}

#[test]
fn a_failed_stage_goes_back_by_itself_before_anybody_else_gets_in() {
    let mut env = automatic();
    let good = release(&mut env);
    let bad = env.start();
    env.succeed(bad, "Fetch");
    let next = env.start();
    env.succeed(next, "Fetch");
    env.fail(bad, "T");
    assert_eq!(env.executions[&bad].status, ExecutionStatus::Failed);
    assert!(env.executions[&bad].summary.as_ref().unwrap().contains(&good.to_string()));
    let Some(OutboxTask::RollBack { execution: back, target, .. }) = env.locks.outbox.first().cloned() else {
        panic!("{:?}", env.locks.outbox);
    };
    assert_eq!(target, good);
    env.outbox();
    assert_eq!(env.executions[&back].trigger.kind, "AutomatedRollback");
    assert_eq!(env.executions[&next].position, Position::Waiting(1), "it waits until the stage is back");
    env.fail(back, "T");
    assert_eq!(env.executions[&back].status, ExecutionStatus::Failed, "a rollback that fails leads to no other");
    env.outbox();
    assert_eq!(env.executions[&next].position, Position::In(1));
}

#[test]
fn without_a_success_of_this_version_a_failure_is_a_failure() {
    let mut env = automatic();
    let first = env.start();
    env.succeed(first, "Fetch");
    env.fail(first, "T");
    assert_eq!(env.executions[&first].status, ExecutionStatus::Failed);
    assert_eq!(env.locks.stages["Test"].holder, None);
    release(&mut env);
    env.update(env.pipeline.clone());
    let third = env.start();
    env.succeed(third, "Fetch");
    env.fail(third, "T");
    assert!(env.locks.outbox.is_empty(), "the success was another version's");
}

#[test]
fn a_deleted_pipeline_rolls_nothing_back() {
    let mut env = automatic();
    release(&mut env);
    let bad = env.start();
    env.succeed(bad, "Fetch");
    env.fail(bad, "T");
    env.delete();
    assert!(env.locks.outbox.is_empty() && env.locks.stages["Test"].holder.is_none());
}

#[test]
fn a_rollback_that_was_not_made_before_an_update_is_not_made_after_it() {
    let mut env = automatic();
    release(&mut env);
    let bad = env.start();
    env.succeed(bad, "Fetch");
    env.fail(bad, "T");
    assert_eq!(env.locks.outbox.len(), 1);
    env.update(env.pipeline.clone());
    assert!(env.locks.outbox.is_empty() && env.locks.stages["Test"].holder.is_none());
}

#[test]
fn a_rollback_that_can_no_longer_be_made_gives_the_stage_to_the_next() {
    let mut env = automatic();
    release(&mut env);
    let bad = env.start();
    env.succeed(bad, "Fetch");
    let next = env.start();
    env.succeed(next, "Fetch");
    env.fail(bad, "T");
    let back = env.locks.stages["Test"].holder.unwrap();
    env.give_up_rollback(back).unwrap();
    env.outbox();
    assert_eq!(env.executions[&next].position, Position::In(1));
    assert_eq!(env.give_up_rollback(back), Err(Refusal::Nothing));
    assert_eq!(env.stage(next, "Test").status, StageStatus::InProgress);
}
