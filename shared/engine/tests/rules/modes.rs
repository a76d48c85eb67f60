//! QUEUED and PARALLEL, and pipelines whose mode was changed.

use engine::{ActionStatus, ExecutionStatus, Position, Refusal};
use pipeline::limits::CONCURRENT_EXECUTIONS;
use serde_json::json;

use crate::environment::{TestEnvironment, declared};

fn env(mode: &str) -> TestEnvironment {
    let stages = [("Test", &[("T", "StepFunctions", 1)][..]), ("Prod", &[("P", "StepFunctions", 1)][..])];
    TestEnvironment::new(declared(&stages, |declaration| declaration["executionMode"] = json!(mode)))
}

#[test]
fn queued_executions_go_one_after_another_and_none_is_lost() {
    let mut env = env("QUEUED");
    let all: Vec<_> = (0..4).map(|_| env.start()).collect();
    env.outbox();
    let waiting: Vec<_> = env.locks.stages["Source"].waiting.iter().map(|it| it.execution).collect();
    assert_eq!(waiting, all[1..], "in the order of their starts");
    for (index, id) in all.iter().enumerate() {
        assert_eq!(env.executions[id].position, Position::In(0));
        env.succeed(*id, "Fetch");
        env.outbox();
        if index == 0 {
            assert_eq!(env.executions[id].position, Position::In(1));
        } else {
            assert_eq!(env.executions[id].position, Position::Waiting(1), "each locked stage has a queue of its own");
        }
    }
    for id in &all {
        env.succeed(*id, "T");
        env.outbox();
        env.succeed(*id, "P");
        env.outbox();
        assert_eq!(env.executions[id].status, ExecutionStatus::Succeeded);
    }
}

#[test]
fn a_failure_lets_the_next_in_the_queue_in() {
    let mut env = env("QUEUED");
    let (first, second, third) = (env.start(), env.start(), env.start());
    env.fail(first, "Fetch");
    env.outbox();
    assert_eq!(env.executions[&second].position, Position::In(0));
    assert_eq!(env.executions[&third].position, Position::Waiting(0));
}

#[test]
fn a_full_queue_takes_no_more_until_one_ends() {
    for mode in ["QUEUED", "PARALLEL"] {
        let mut env = env(mode);
        let first = env.start();
        for _ in 1..CONCURRENT_EXECUTIONS {
            env.start();
        }
        let full = Err(Refusal::TooManyExecutions(CONCURRENT_EXECUTIONS));
        assert_eq!(env.try_start(), full, "{mode}");
        env.fail(first, "Fetch");
        env.try_start().unwrap();
        assert_eq!(env.try_start(), full, "{mode}");
    }
}

#[test]
fn superseded_executions_have_no_such_limit() {
    let mut env = env("SUPERSEDED");
    for _ in 0..2 * CONCURRENT_EXECUTIONS {
        env.start();
        env.outbox();
    }
    assert_eq!(env.locks.active().len(), 2, "one in the stage and one in front of it");
}

#[test]
fn parallel_executions_do_not_see_each_other() {
    let mut env = env("PARALLEL");
    let (first, second) = (env.start(), env.start());
    for id in [first, second] {
        assert_eq!(env.executions[&id].position, Position::In(0));
        env.succeed(id, "Fetch");
        assert_eq!(env.status(id, "T"), ActionStatus::Requested);
    }
    env.fail(first, "T");
    env.succeed(second, "T");
    env.succeed(second, "P");
    assert_eq!(env.executions[&first].status, ExecutionStatus::Failed);
    assert_eq!(env.executions[&second].status, ExecutionStatus::Succeeded);
    assert!(env.locks.running.is_empty() && env.locks.stages.is_empty() && env.locks.outbox.is_empty());
}

#[test]
fn deletion_cancels_parallel_executions_too() {
    let mut env = env("PARALLEL");
    let (first, second) = (env.start(), env.start());
    env.delete();
    env.outbox();
    for id in [first, second] {
        assert_eq!(env.executions[&id].status, ExecutionStatus::Cancelled);
        assert_eq!(env.status(id, "Fetch"), ActionStatus::Abandoned);
    }
    assert!(env.locks.running.is_empty());
}
