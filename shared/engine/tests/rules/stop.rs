//! StopPipelineExecution.

use engine::{ActionStatus, ExecutionStatus, Position, Refusal, StageStatus};

use crate::environment::{TestEnvironment, failed, pipeline};

fn env() -> TestEnvironment {
    let test = &[("T", "StepFunctions", 1), ("U", "StepFunctions", 1), ("V", "StepFunctions", 2)];
    TestEnvironment::new(pipeline(&[("Test", test), ("Prod", &[("P", "StepFunctions", 1)])]))
}

#[test]
fn stop_and_wait_lets_what_runs_end_and_begins_nothing_more() {
    let mut env = env();
    let id = env.start();
    env.succeed(id, "Fetch");
    env.stop(id, false).unwrap();
    assert_eq!(env.executions[&id].status, ExecutionStatus::Stopping);
    assert_eq!(env.stage(id, "Test").status, StageStatus::Stopping);
    assert!(env.stage(id, "Test").due().is_some(), "the sweeper still looks at what runs");
    env.succeed(id, "T");
    assert_eq!(env.executions[&id].status, ExecutionStatus::Stopping);
    env.succeed(id, "U");
    assert_eq!(env.status(id, "V"), ActionStatus::Pending);
    assert_eq!(env.executions[&id].status, ExecutionStatus::Stopped);
    assert_eq!(env.executions[&id].summary.as_deref(), Some("Stopped: enough"));
    assert_eq!(env.stage(id, "Test").status, StageStatus::Stopped);
    assert_eq!(env.locks.stages["Test"].holder, None, "the stage is free");
}

#[test]
fn a_failure_while_stopping_fails_the_stage_and_stops_the_execution() {
    let mut env = env();
    let id = env.start();
    env.succeed(id, "Fetch");
    env.stop(id, false).unwrap();
    env.succeed(id, "T");
    env.claim(id, "U", 7).unwrap();
    env.finish(id, "U", failed("no")).unwrap();
    assert_eq!(env.stage(id, "Test").status, StageStatus::Failed);
    assert_eq!(env.executions[&id].status, ExecutionStatus::Stopped);
}

#[test]
fn the_last_action_of_a_stage_may_succeed_and_the_next_stage_is_not_entered() {
    let mut env = env();
    let id = env.start();
    env.stop(id, false).unwrap();
    env.succeed(id, "Fetch");
    assert_eq!(env.stage(id, "Source").status, StageStatus::Succeeded);
    assert_eq!(env.executions[&id].status, ExecutionStatus::Stopped);
    assert_eq!(env.executions[&id].position, Position::Out);
}

#[test]
fn stop_and_abandon_ends_at_once_and_leaves_the_provider_s_work_running() {
    let mut env = env();
    let id = env.start();
    env.succeed(id, "Fetch");
    env.claim(id, "T", 7).unwrap();
    env.stop(id, true).unwrap();
    assert_eq!(env.effects, [], "nobody is told");
    assert_eq!([env.status(id, "T"), env.status(id, "U")], [ActionStatus::Abandoned, ActionStatus::Abandoned]);
    assert_eq!(env.executions[&id].status, ExecutionStatus::Stopped);
    assert!(env.finish(id, "T", failed("late")).is_err(), "a late result changes nothing");
}

#[test]
fn one_that_waits_is_stopped_at_once_and_enters_nothing_afterwards() {
    let mut env = env();
    let first = env.start();
    let second = env.start();
    env.stop(second, false).unwrap();
    assert_eq!(env.executions[&second].status, ExecutionStatus::Stopped);
    assert!(env.locks.stages["Source"].waiting.is_empty());
    env.succeed(first, "Fetch");
    env.outbox();
    assert_eq!(env.locks.stages["Source"].holder, None);
}

#[test]
fn one_that_was_let_in_and_stopped_before_it_entered_gives_the_stage_to_the_next() {
    let mut env = env();
    let first = env.start();
    let second = env.start();
    env.succeed(first, "Fetch");
    let third = env.start();
    env.stop(second, false).unwrap();
    env.outbox();
    assert_eq!(env.executions[&second].status, ExecutionStatus::Stopped);
    assert_eq!(env.locks.stages["Source"].holder, Some(third));
    assert_eq!(env.executions[&third].position, Position::In(0));
}

#[test]
fn one_that_is_stopped_before_it_learns_that_it_is_superseded_stays_stopped() {
    let mut env = env();
    env.start();
    let overtaken = env.start();
    env.start();
    assert!(
        matches!(env.locks.outbox[..], [engine::OutboxTask::Supersede { execution, .. }] if execution == overtaken)
    );
    env.stop(overtaken, false).unwrap();
    env.outbox();
    assert_eq!(env.executions[&overtaken].status, ExecutionStatus::Stopped);
}

#[test]
fn waiting_for_the_end_can_be_made_abandoning_and_nothing_else_twice() {
    let mut env = env();
    let id = env.start();
    env.stop(id, false).unwrap();
    assert_eq!(env.stop(id, false), Err(Refusal::AlreadyStopping(id)));
    env.stop(id, true).unwrap();
    assert_eq!(env.executions[&id].status, ExecutionStatus::Stopped);
    for abandon in [false, true] {
        assert_eq!(env.stop(id, abandon), Err(Refusal::NotStoppable { execution: id, status: "stopped" }));
    }
}

#[test]
fn what_has_ended_cannot_be_stopped() {
    let mut env = env();
    let id = env.start();
    env.fail(id, "Fetch");
    assert_eq!(env.stop(id, true), Err(Refusal::NotStoppable { execution: id, status: "failed" }));
}
