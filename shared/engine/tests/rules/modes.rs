//! QUEUED and PARALLEL, and pipelines whose mode was changed.

use engine::{ActionStatus, ExecutionStatus, Position, Refusal};
use pipeline::limits::CONCURRENT_EXECUTIONS;
use serde_json::json;

use crate::rig::{Rig, declared};

fn rig(mode: &str) -> Rig {
    let stages = [("Test", &[("T", "StepFunctions", 1)][..]), ("Prod", &[("P", "StepFunctions", 1)][..])];
    Rig::new(declared(&stages, |declaration| declaration["executionMode"] = json!(mode)))
}

#[test]
fn queued_executions_go_one_after_another_and_none_is_lost() {
    let mut rig = rig("QUEUED");
    let all: Vec<_> = (0..4).map(|_| rig.start()).collect();
    rig.chores();
    let waiting: Vec<_> = rig.lanes.lanes["Source"].waiting.iter().map(|it| it.execution).collect();
    assert_eq!(waiting, all[1..], "in the order of their starts");
    for (index, id) in all.iter().enumerate() {
        assert_eq!(rig.executions[id].position, Position::In(0));
        rig.succeed(*id, "Fetch");
        rig.chores();
        if index == 0 {
            assert_eq!(rig.executions[id].position, Position::In(1));
        } else {
            assert_eq!(rig.executions[id].position, Position::Waiting(1), "each locked stage has a queue of its own");
        }
    }
    for id in &all {
        rig.succeed(*id, "T");
        rig.chores();
        rig.succeed(*id, "P");
        rig.chores();
        assert_eq!(rig.executions[id].status, ExecutionStatus::Succeeded);
    }
}

#[test]
fn a_failure_lets_the_next_in_the_queue_in() {
    let mut rig = rig("QUEUED");
    let (first, second, third) = (rig.start(), rig.start(), rig.start());
    rig.fail(first, "Fetch");
    rig.chores();
    assert_eq!(rig.executions[&second].position, Position::In(0));
    assert_eq!(rig.executions[&third].position, Position::Waiting(0));
}

#[test]
fn a_full_queue_takes_no_more_until_one_ends() {
    for mode in ["QUEUED", "PARALLEL"] {
        let mut rig = rig(mode);
        let first = rig.start();
        for _ in 1..CONCURRENT_EXECUTIONS {
            rig.start();
        }
        let full = Err(Refusal::TooManyExecutions(CONCURRENT_EXECUTIONS));
        assert_eq!(rig.try_start(), full, "{mode}");
        rig.fail(first, "Fetch");
        rig.try_start().unwrap();
        assert_eq!(rig.try_start(), full, "{mode}");
    }
}

#[test]
fn superseded_executions_have_no_such_limit() {
    let mut rig = rig("SUPERSEDED");
    for _ in 0..2 * CONCURRENT_EXECUTIONS {
        rig.start();
        rig.chores();
    }
    assert_eq!(rig.lanes.active().len(), 2, "one in the stage and one in front of it");
}

#[test]
fn parallel_executions_do_not_see_each_other() {
    let mut rig = rig("PARALLEL");
    let (first, second) = (rig.start(), rig.start());
    for id in [first, second] {
        assert_eq!(rig.executions[&id].position, Position::In(0));
        rig.succeed(id, "Fetch");
        assert_eq!(rig.status(id, "T"), ActionStatus::Requested);
    }
    rig.fail(first, "T");
    rig.succeed(second, "T");
    rig.succeed(second, "P");
    assert_eq!(rig.executions[&first].status, ExecutionStatus::Failed);
    assert_eq!(rig.executions[&second].status, ExecutionStatus::Succeeded);
    assert!(rig.lanes.running.is_empty() && rig.lanes.lanes.is_empty() && rig.lanes.chores.is_empty());
}

#[test]
fn deletion_cancels_parallel_executions_too() {
    let mut rig = rig("PARALLEL");
    let (first, second) = (rig.start(), rig.start());
    rig.delete();
    rig.chores();
    for id in [first, second] {
        assert_eq!(rig.executions[&id].status, ExecutionStatus::Cancelled);
        assert_eq!(rig.status(id, "Fetch"), ActionStatus::Abandoned);
    }
    assert!(rig.lanes.running.is_empty());
}

#[test]
fn executions_keep_their_mode_when_the_pipelines_changes() {
    let mut rig = rig("QUEUED");
    let (first, second, third) = (rig.start(), rig.start(), rig.start());
    let superseded = self::rig("SUPERSEDED").pipeline;
    rig.pipeline = superseded;
    let fourth = rig.start();
    let fifth = rig.start();
    rig.chores();
    let status = |rig: &Rig, id| rig.executions[&id].status;
    assert_eq!(status(&rig, fourth), ExecutionStatus::Superseded, "by the fifth");
    for id in [first, second, third, fifth] {
        assert_eq!(status(&rig, id), ExecutionStatus::InProgress, "a queued one is not overtaken");
    }
    let waiting: Vec<_> = rig.lanes.lanes["Source"].waiting.iter().map(|it| it.execution).collect();
    assert_eq!(waiting, [second, third, fifth]);
}
