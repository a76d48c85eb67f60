//! StopPipelineExecution.

use engine::{ActionStatus, Effect, ExecutionStatus, Position, Refusal, StageStatus};

use crate::rig::{Rig, failed, pipeline};

fn rig() -> Rig {
    let test = &[("T", "StepFunctions", 1), ("U", "StepFunctions", 1), ("V", "StepFunctions", 2)];
    Rig::new(pipeline(&[("Test", test), ("Prod", &[("P", "StepFunctions", 1)])]))
}

#[test]
fn stop_and_wait_lets_what_runs_end_and_begins_nothing_more() {
    let mut rig = rig();
    let id = rig.start();
    rig.succeed(id, "Fetch");
    rig.stop(id, false).unwrap();
    assert_eq!(rig.executions[&id].status, ExecutionStatus::Stopping);
    assert_eq!(rig.stage(id, "Test").status, StageStatus::Stopping);
    assert!(rig.stage(id, "Test").due().is_some(), "the sweeper still looks at what runs");
    rig.succeed(id, "T");
    assert_eq!(rig.executions[&id].status, ExecutionStatus::Stopping);
    rig.succeed(id, "U");
    assert_eq!(rig.status(id, "V"), ActionStatus::Pending);
    assert_eq!(rig.executions[&id].status, ExecutionStatus::Stopped);
    assert_eq!(rig.executions[&id].summary.as_deref(), Some("Stopped: enough"));
    assert_eq!(rig.stage(id, "Test").status, StageStatus::Stopped);
    assert_eq!(rig.lanes.lanes["Test"].holder, None, "the stage is free");
}

#[test]
fn a_failure_while_stopping_fails_the_stage_and_stops_the_execution() {
    let mut rig = rig();
    let id = rig.start();
    rig.succeed(id, "Fetch");
    rig.stop(id, false).unwrap();
    rig.succeed(id, "T");
    rig.claim(id, "U", 7).unwrap();
    rig.finish(id, "U", failed("no")).unwrap();
    assert_eq!(rig.stage(id, "Test").status, StageStatus::Failed);
    assert_eq!(rig.executions[&id].status, ExecutionStatus::Stopped);
}

#[test]
fn the_last_action_of_a_stage_may_succeed_and_the_next_stage_is_not_entered() {
    let mut rig = rig();
    let id = rig.start();
    rig.stop(id, false).unwrap();
    rig.succeed(id, "Fetch");
    assert_eq!(rig.stage(id, "Source").status, StageStatus::Succeeded);
    assert_eq!(rig.executions[&id].status, ExecutionStatus::Stopped);
    assert_eq!(rig.executions[&id].position, Position::Out);
}

#[test]
fn stop_and_abandon_ends_at_once_and_has_providers_stop() {
    let mut rig = rig();
    let id = rig.start();
    rig.succeed(id, "Fetch");
    rig.claim(id, "T", 7).unwrap();
    let (t, u) = (rig.action(id, "T"), rig.action(id, "U"));
    rig.stop(id, true).unwrap();
    assert_eq!(rig.effects, [Effect::Cancel(t), Effect::Cancel(u)]);
    assert_eq!([rig.status(id, "T"), rig.status(id, "U")], [ActionStatus::Abandoned, ActionStatus::Abandoned]);
    assert_eq!(rig.executions[&id].status, ExecutionStatus::Stopped);
    assert!(rig.finish(id, "T", failed("late")).is_err(), "a late result changes nothing");
}

#[test]
fn one_that_waits_is_stopped_at_once_and_enters_nothing_afterwards() {
    let mut rig = rig();
    let first = rig.start();
    let second = rig.start();
    rig.stop(second, false).unwrap();
    assert_eq!(rig.executions[&second].status, ExecutionStatus::Stopped);
    assert!(rig.lanes.lanes["Source"].waiting.is_empty());
    rig.succeed(first, "Fetch");
    rig.chores();
    assert_eq!(rig.lanes.lanes["Source"].holder, None);
}

#[test]
fn one_that_was_let_in_and_stopped_before_it_entered_gives_the_stage_to_the_next() {
    let mut rig = rig();
    let first = rig.start();
    let second = rig.start();
    rig.succeed(first, "Fetch");
    let third = rig.start();
    rig.stop(second, false).unwrap();
    rig.chores();
    assert_eq!(rig.executions[&second].status, ExecutionStatus::Stopped);
    assert_eq!(rig.lanes.lanes["Source"].holder, Some(third));
    assert_eq!(rig.executions[&third].position, Position::In(0));
}

#[test]
fn one_that_is_stopped_before_it_learns_that_it_is_superseded_stays_stopped() {
    let mut rig = rig();
    rig.start();
    let overtaken = rig.start();
    rig.start();
    assert!(matches!(rig.lanes.chores[..], [engine::Chore::Supersede { execution, .. }] if execution == overtaken));
    rig.stop(overtaken, false).unwrap();
    rig.chores();
    assert_eq!(rig.executions[&overtaken].status, ExecutionStatus::Stopped);
}

#[test]
fn waiting_for_the_end_can_be_made_abandoning_and_nothing_else_twice() {
    let mut rig = rig();
    let id = rig.start();
    rig.stop(id, false).unwrap();
    assert_eq!(rig.stop(id, false), Err(Refusal::AlreadyStopping(id)));
    rig.stop(id, true).unwrap();
    assert_eq!(rig.executions[&id].status, ExecutionStatus::Stopped);
    for abandon in [false, true] {
        assert_eq!(rig.stop(id, abandon), Err(Refusal::NotStoppable { execution: id, status: "stopped" }));
    }
}

#[test]
fn what_has_ended_cannot_be_stopped() {
    let mut rig = rig();
    let id = rig.start();
    rig.fail(id, "Fetch");
    assert_eq!(rig.stop(id, true), Err(Refusal::NotStoppable { execution: id, status: "failed" }));
}
