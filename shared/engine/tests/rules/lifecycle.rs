//! Locks, waiting, superseding, transitions, deletion.

use engine::{ActionStatus, Command, Effect, ExecutionStatus, OutboxTask, Position, Refusal, StageStatus};
use pipeline::StageName;

use crate::environment::{TestEnvironment, declared, failed, pipeline};

fn env() -> TestEnvironment {
    TestEnvironment::new(pipeline(&[("Test", &[("T", "StepFunctions", 1)]), ("Prod", &[("P", "StepFunctions", 1)])]))
}

fn transition(env: &mut TestEnvironment, stage: &str, disable: Option<&str>) {
    env.transition(stage, disable).unwrap();
}

#[test]
fn in_parallel_mode_there_are_no_transitions() {
    let stages: &[(&str, crate::environment::Actions<'_>)] = &[("Prod", &[("P", "StepFunctions", 1)])];
    let mut env = TestEnvironment::new(declared(stages, |it| it["executionMode"] = serde_json::json!("PARALLEL")));
    assert_eq!(env.transition("Prod", Some("freeze")), Err(Refusal::NoTransitions));
    assert_eq!(env.transition("Prod", None), Err(Refusal::NoTransitions));
}

#[test]
fn the_locks_of_stages_that_are_no_more_are_forgotten_when_nobody_is_in_them() {
    let mut env = env();
    let id = env.start();
    env.succeed(id, "Fetch");
    let after = pipeline(&[("Other", &[("O", "StepFunctions", 1)])]);
    env.update(after.clone());
    let names: Vec<_> = env.locks.stages.keys().map(|name| name.as_str()).collect();
    assert_eq!(names, ["Source", "Test"], "an execution is in Test");
    env.outbox();
    env.finish_by_id(id.action(1, 0, 1), failed("no"));
    env.update(after);
    assert!(!env.locks.stages.contains_key("Test"));
}

#[test]
fn a_stage_holds_one_execution() {
    let mut env = env();
    let first = env.start();
    let second = env.start();
    assert_eq!(env.executions[&second].position, Position::Waiting(0));
    assert_eq!(env.locks.stages["Source"].holder, Some(first));
    env.succeed(first, "Fetch");
    assert!(env.effects.contains(&Effect::Outbox(env.locks.outbox[0].clone())));
    env.outbox();
    assert_eq!(env.executions[&second].position, Position::In(0));
    assert_eq!(env.executions[&first].position, Position::In(1));
}

#[test]
fn one_that_waits_is_superseded_by_a_newer_one() {
    let mut env = env();
    let first = env.start();
    let second = env.start();
    let third = env.start();
    env.outbox();
    assert_eq!(env.executions[&second].status, ExecutionStatus::Superseded);
    assert!(env.executions[&second].summary.as_ref().unwrap().contains(&third.to_string()));
    env.succeed(first, "Fetch");
    env.outbox();
    assert_eq!(env.locks.stages["Source"].holder, Some(third));
    assert_eq!(env.executions[&first].status, ExecutionStatus::InProgress, "the one in a stage is left alone");
}

#[test]
fn a_failure_lets_the_next_one_in() {
    let mut env = env();
    let first = env.start();
    let second = env.start();
    env.fail(first, "Fetch");
    env.outbox();
    assert_eq!(env.executions[&first].status, ExecutionStatus::Failed);
    assert_eq!(env.executions[&second].position, Position::In(0));
}

#[test]
fn a_closed_transition_holds_executions_until_it_opens() {
    let mut env = env();
    transition(&mut env, "Test", Some("freeze"));
    let first = env.start();
    env.succeed(first, "Fetch");
    assert_eq!(env.executions[&first].position, Position::Waiting(1));
    assert_eq!(env.locks.stages["Test"].transition.reason.as_deref(), Some("freeze"));
    let second = env.start();
    env.succeed(second, "Fetch");
    env.outbox();
    assert_eq!(env.executions[&first].status, ExecutionStatus::Superseded);
    transition(&mut env, "Test", None);
    assert!(!env.locks.stages["Test"].transition.disabled);
    env.outbox();
    assert_eq!(env.executions[&second].position, Position::In(1));
    assert_eq!(env.status(second, "T"), ActionStatus::Requested);
}

#[test]
fn opening_what_is_open_lets_nobody_in_twice() {
    let mut env = env();
    let first = env.start();
    let _second = env.start();
    transition(&mut env, "Source", None);
    assert!(env.locks.outbox.is_empty());
    assert_eq!(env.locks.stages["Source"].holder, Some(first));
}

#[test]
fn an_outbox_task_is_done_once() {
    let mut env = env();
    let first = env.start();
    let second = env.start();
    env.succeed(first, "Fetch");
    let stage = StageName::new("Source").unwrap();
    env.apply(second, Command::Enter { stage: stage.clone() }).unwrap();
    assert_eq!(env.apply(second, Command::Enter { stage }), Err(Refusal::Nothing));
    assert_eq!(env.executions[&second].attempts[0], 1);
}

#[test]
fn outbox_tasks_can_be_found_by_the_sweeper_until_they_are_done() {
    let mut env = env();
    let first = env.start();
    let _second = env.start();
    assert_eq!(env.locks.due, None);
    env.succeed(first, "Fetch");
    assert_eq!(env.locks.due, Some(env.now.plus(env.policy.grace)));
    env.outbox();
    assert_eq!(env.locks.due, None);
}

#[test]
fn deletion_cancels_what_runs_and_what_waits() {
    let mut env = env();
    let first = env.start();
    let second = env.start();
    env.delete();
    assert!(env.locks.outbox.iter().all(|task| matches!(task, OutboxTask::Cancel { .. })));
    env.outbox();
    for id in [first, second] {
        assert_eq!(env.executions[&id].status, ExecutionStatus::Cancelled);
    }
    assert_eq!(env.stages[&(first, 0, 1)].status, StageStatus::Cancelled);
    assert_eq!(env.status(first, "Fetch"), ActionStatus::Abandoned);
}

#[test]
fn a_deleted_pipeline_starts_nothing() {
    let mut env = env();
    env.start();
    env.delete();
    assert_eq!(env.try_start(), Err(Refusal::Nothing));
}

#[test]
fn the_revisions_of_the_source_stage_are_kept_with_the_execution() {
    let mut env = env();
    let id = env.start();
    env.claim(id, "Fetch", 1).unwrap();
    let revision = engine::Revision { id: "v1".into(), summary: None, url: None, created: None, change: None };
    let success = engine::Success { revision: Some(revision.clone()), ..engine::Success::default() };
    env.finish(id, "Fetch", engine::End::Succeeded(success)).unwrap();
    assert_eq!(env.executions[&id].revisions[0].revision, revision);
    env.succeed(id, "T");
    assert_eq!(env.executions[&id].revisions.len(), 1, "later stages do not forget them");
}

#[test]
fn a_busy_pipeline_does_not_put_off_the_sweep_for_a_lost_outbox_task() {
    let mut env = env();
    let first = env.start();
    let _second = env.start();
    env.succeed(first, "Fetch");
    let due = env.locks.due;
    assert!(due.is_some());
    for _ in 0..5 {
        env.now = env.now.plus(env.policy.grace / 2);
        env.start();
        assert_eq!(env.locks.due, due);
    }
}
