//! RollbackStage and automatic rollback.

use engine::{Chore, ExecutionStatus, Position, Refusal, StageStatus};
use serde_json::json;

use crate::rig::{Actions, Rig, declared};

const STAGES: &[(&str, Actions<'static>)] =
    &[("Test", &[("T", "StepFunctions", 1)]), ("Prod", &[("P", "StepFunctions", 1)])];

fn rig() -> Rig {
    Rig::new(declared(STAGES, |_| ()))
}

fn automatic() -> Rig {
    Rig::new(declared(STAGES, |it| it["stages"][1]["onFailure"] = json!({"result": "ROLLBACK"})))
}

fn release(rig: &mut Rig) -> engine::ExecutionId {
    let id = rig.start();
    rig.succeed(id, "Fetch");
    rig.succeed(id, "T");
    rig.succeed(id, "P");
    id
}

#[test]
fn a_stage_goes_back_to_an_execution_that_succeeded_in_it_and_no_further() {
    let mut rig = rig();
    let good = release(&mut rig);
    let bad = release(&mut rig);
    let back = rig.rollback("Test", good).unwrap();
    let execution = rig.executions[&back].clone();
    assert_eq!(execution.position, Position::In(1));
    assert_eq!(execution.rollback.as_ref().map(|target| target.execution), Some(good));
    assert_eq!(execution.attempt_at(0), Some((good, 1)), "it reads what the target's earlier stages made");
    assert_eq!(execution.attempt_at(1), Some((back, 1)));
    assert_eq!(execution.revisions, rig.executions[&good].revisions);
    rig.succeed(back, "T");
    assert_eq!(rig.executions[&back].status, ExecutionStatus::Succeeded);
    assert_eq!(rig.executions[&back].position, Position::Out);
    assert_eq!(rig.lanes.lanes["Prod"].latest.unwrap().execution, bad, "the next stage is left alone");
    assert_eq!(rig.lanes.lanes["Test"].succeeded.unwrap().execution, bad, "a rollback is no target");
}

#[test]
fn what_cannot_be_rolled_back_is_refused() {
    let mut rig = rig();
    let good = release(&mut rig);
    let not = |result| matches!(result, Err(Refusal::NotRollable { .. }));
    assert!(not(rig.rollback("Source", good)), "the source stage");
    let failing = rig.start();
    assert!(!not(rig.rollback("Test", good)), "a stage in which nobody is");
    rig.succeed(failing, "Fetch");
    assert!(not(rig.rollback("Test", good)), "it is running");
    rig.chores();
    let back = rig.lanes.lanes["Test"].holder.unwrap();
    rig.succeed(back, "T");
    rig.chores();
    assert!(not(rig.rollback("Prod", back)), "the target was not there");
    rig.fail(failing, "T");
    assert!(not(rig.rollback("Test", failing)), "the target did not succeed in it");
    assert_eq!(rig.stage(back, "Test").status, engine::StageStatus::Succeeded);
    assert!(
        not(rig.rollback("Test", back)),
        "the target is a rollback, though the stage is free and it succeeded there"
    );
    rig.head.version = 2;
    assert_eq!(rig.rollback("Test", good), Err(Refusal::Outdated(good)));
}

#[test]
fn a_failed_stage_goes_back_by_itself_before_anybody_else_gets_in() {
    let mut rig = automatic();
    let good = release(&mut rig);
    let bad = rig.start();
    rig.succeed(bad, "Fetch");
    let next = rig.start();
    rig.succeed(next, "Fetch");
    rig.fail(bad, "T");
    assert_eq!(rig.executions[&bad].status, ExecutionStatus::Failed);
    assert!(rig.executions[&bad].summary.as_ref().unwrap().contains(&good.to_string()));
    let Some(Chore::RollBack { execution: back, target, .. }) = rig.lanes.chores.first().cloned() else {
        panic!("{:?}", rig.lanes.chores);
    };
    assert_eq!(target, good);
    rig.chores();
    assert_eq!(rig.executions[&back].trigger.kind, "AutomatedRollback");
    assert_eq!(rig.executions[&next].position, Position::Waiting(1), "it waits until the stage is back");
    rig.fail(back, "T");
    assert_eq!(rig.executions[&back].status, ExecutionStatus::Failed, "a rollback that fails leads to no other");
    rig.chores();
    assert_eq!(rig.executions[&next].position, Position::In(1));
}

#[test]
fn without_a_success_of_this_version_a_failure_is_a_failure() {
    let mut rig = automatic();
    let first = rig.start();
    rig.succeed(first, "Fetch");
    rig.fail(first, "T");
    assert_eq!(rig.executions[&first].status, ExecutionStatus::Failed);
    assert_eq!(rig.lanes.lanes["Test"].holder, None);
    release(&mut rig);
    rig.head.version = 2;
    let third = rig.start();
    rig.succeed(third, "Fetch");
    rig.fail(third, "T");
    assert!(rig.lanes.chores.is_empty(), "the success was another version's");
}

#[test]
fn a_deleted_pipeline_rolls_nothing_back() {
    let mut rig = automatic();
    release(&mut rig);
    let bad = rig.start();
    rig.succeed(bad, "Fetch");
    rig.fail(bad, "T");
    rig.delete();
    assert!(rig.lanes.chores.is_empty() && rig.lanes.lanes["Test"].holder.is_none());
}

#[test]
fn a_rollback_that_can_no_longer_be_made_gives_the_stage_to_the_next() {
    let mut rig = automatic();
    release(&mut rig);
    let bad = rig.start();
    rig.succeed(bad, "Fetch");
    let next = rig.start();
    rig.succeed(next, "Fetch");
    rig.fail(bad, "T");
    let back = rig.lanes.lanes["Test"].holder.unwrap();
    rig.give_up_rollback(back).unwrap();
    rig.chores();
    assert_eq!(rig.executions[&next].position, Position::In(1));
    assert_eq!(rig.give_up_rollback(back), Err(Refusal::Nothing));
    assert_eq!(rig.stage(next, "Test").status, StageStatus::InProgress);
}
