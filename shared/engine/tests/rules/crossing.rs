//! Locks, waiting, superseding, transitions, deletion.

use engine::{ActionStatus, Chore, Command, Effect, ExecutionStatus, Position, Refusal, StageStatus, TransitionChange};
use pipeline::StageName;

use crate::rig::{Rig, declared, pipeline};

fn rig() -> Rig {
    Rig::new(pipeline(&[("Test", &[("T", "StepFunctions", 1)]), ("Prod", &[("P", "StepFunctions", 1)])]))
}

fn transition(rig: &mut Rig, stage: &str, disable: Option<&str>) {
    try_transition(rig, stage, disable).unwrap();
}

fn try_transition(rig: &mut Rig, stage: &str, disable: Option<&str>) -> Result<(), Refusal> {
    let change = TransitionChange {
        mode: rig.pipeline.mode(),
        stage: StageName::new(stage).unwrap(),
        disable: disable.map(str::to_owned),
        by: "someone".into(),
    };
    let (lanes, now, policy) = (rig.lanes.clone(), rig.now, rig.policy);
    let mut random = || uuid::Uuid::nil();
    let mut context = engine::Context { now, policy: &policy, home: "eu-west-1", random: &mut random };
    let decision = engine::set_transition(lanes, change, &mut context)?;
    rig.keep(decision);
    Ok(())
}

#[test]
fn in_parallel_mode_nothing_can_be_closed_and_what_was_closed_before_can_be_opened() {
    let mut rig = rig();
    transition(&mut rig, "Test", Some("freeze"));
    let first = rig.start();
    rig.succeed(first, "Fetch");
    let stages: &[(&str, crate::rig::Actions<'_>)] =
        &[("Test", &[("T", "StepFunctions", 1)]), ("Prod", &[("P", "StepFunctions", 1)])];
    rig.pipeline = declared(stages, |it| it["executionMode"] = serde_json::json!("PARALLEL"));
    assert_eq!(try_transition(&mut rig, "Prod", Some("freeze")), Err(Refusal::NoTransitions));
    assert_eq!(try_transition(&mut rig, "Prod", None), Err(Refusal::NoTransitions));
    transition(&mut rig, "Test", None);
    rig.chores();
    assert_eq!(rig.executions[&first].position, Position::In(1));
}

#[test]
fn the_lanes_of_stages_that_are_no_more_are_forgotten_when_nobody_is_in_them() {
    let mut rig = rig();
    let id = rig.start();
    rig.succeed(id, "Fetch");
    let after = pipeline(&[("Other", &[("T", "StepFunctions", 1)])]);
    rig.lanes.forget_unused(&after);
    let names: Vec<_> = rig.lanes.lanes.keys().map(|name| name.as_str()).collect();
    assert_eq!(names, ["Source", "Test"], "an execution is in Test");
    rig.fail(id, "T");
    rig.lanes.forget_unused(&after);
    assert!(!rig.lanes.lanes.contains_key("Test"));
}

#[test]
fn a_stage_holds_one_execution() {
    let mut rig = rig();
    let first = rig.start();
    let second = rig.start();
    assert_eq!(rig.executions[&second].position, Position::Waiting(0));
    assert_eq!(rig.lanes.lanes["Source"].holder, Some(first));
    rig.succeed(first, "Fetch");
    assert!(rig.effects.contains(&Effect::Chore(rig.lanes.chores[0].clone())));
    rig.chores();
    assert_eq!(rig.executions[&second].position, Position::In(0));
    assert_eq!(rig.executions[&first].position, Position::In(1));
}

#[test]
fn one_that_waits_is_superseded_by_a_newer_one() {
    let mut rig = rig();
    let first = rig.start();
    let second = rig.start();
    let third = rig.start();
    rig.chores();
    assert_eq!(rig.executions[&second].status, ExecutionStatus::Superseded);
    assert!(rig.executions[&second].summary.as_ref().unwrap().contains(&third.to_string()));
    rig.succeed(first, "Fetch");
    rig.chores();
    assert_eq!(rig.lanes.lanes["Source"].holder, Some(third));
    assert_eq!(rig.executions[&first].status, ExecutionStatus::InProgress, "the one in a stage is left alone");
}

#[test]
fn a_failure_lets_the_next_one_in() {
    let mut rig = rig();
    let first = rig.start();
    let second = rig.start();
    rig.fail(first, "Fetch");
    rig.chores();
    assert_eq!(rig.executions[&first].status, ExecutionStatus::Failed);
    assert_eq!(rig.executions[&second].position, Position::In(0));
}

#[test]
fn a_closed_transition_holds_executions_until_it_opens() {
    let mut rig = rig();
    transition(&mut rig, "Test", Some("freeze"));
    let first = rig.start();
    rig.succeed(first, "Fetch");
    assert_eq!(rig.executions[&first].position, Position::Waiting(1));
    assert_eq!(rig.lanes.lanes["Test"].transition.reason.as_deref(), Some("freeze"));
    let second = rig.start();
    rig.succeed(second, "Fetch");
    rig.chores();
    assert_eq!(rig.executions[&first].status, ExecutionStatus::Superseded);
    transition(&mut rig, "Test", None);
    assert!(!rig.lanes.lanes["Test"].transition.disabled);
    rig.chores();
    assert_eq!(rig.executions[&second].position, Position::In(1));
    assert_eq!(rig.status(second, "T"), ActionStatus::Requested);
}

#[test]
fn opening_what_is_open_lets_nobody_in_twice() {
    let mut rig = rig();
    let first = rig.start();
    let _second = rig.start();
    transition(&mut rig, "Source", None);
    assert!(rig.lanes.chores.is_empty());
    assert_eq!(rig.lanes.lanes["Source"].holder, Some(first));
}

#[test]
fn a_chore_is_done_once() {
    let mut rig = rig();
    let first = rig.start();
    let second = rig.start();
    rig.succeed(first, "Fetch");
    let stage = StageName::new("Source").unwrap();
    rig.apply(second, Command::Enter { stage: stage.clone() }).unwrap();
    assert_eq!(rig.apply(second, Command::Enter { stage }), Err(Refusal::Nothing));
    assert_eq!(rig.executions[&second].attempts[0], 1);
}

#[test]
fn chores_can_be_found_by_the_sweeper_until_they_are_done() {
    let mut rig = rig();
    let first = rig.start();
    let _second = rig.start();
    assert_eq!(rig.lanes.due, None);
    rig.succeed(first, "Fetch");
    assert_eq!(rig.lanes.due, Some(rig.now.plus(rig.policy.grace)));
    rig.chores();
    assert_eq!(rig.lanes.due, None);
}

#[test]
fn deletion_cancels_what_runs_and_what_waits() {
    let mut rig = rig();
    let first = rig.start();
    let second = rig.start();
    let (lanes, now, policy) = (rig.lanes.clone(), rig.now, rig.policy);
    let mut random = || uuid::Uuid::nil();
    let mut context = engine::Context { now, policy: &policy, home: "eu-west-1", random: &mut random };
    let decision = engine::delete(lanes, &mut context);
    rig.keep(decision);
    assert!(rig.lanes.chores.iter().all(|chore| matches!(chore, Chore::Cancel { .. })));
    rig.chores();
    for id in [first, second] {
        assert_eq!(rig.executions[&id].status, ExecutionStatus::Cancelled);
    }
    assert_eq!(rig.stages[&(first, 0, 1)].status, StageStatus::Cancelled);
    assert_eq!(rig.status(first, "Fetch"), ActionStatus::Abandoned);
}

#[test]
fn a_deleted_pipeline_starts_nothing() {
    let mut rig = rig();
    rig.start();
    rig.delete();
    assert_eq!(rig.try_start(), Err(Refusal::Nothing));
}

#[test]
fn the_revisions_of_the_source_stage_are_kept_with_the_execution() {
    let mut rig = rig();
    let id = rig.start();
    rig.claim(id, "Fetch", 1).unwrap();
    let revision = engine::Revision { id: "v1".into(), summary: None, url: None, created: None };
    let success = engine::Success { revision: Some(revision.clone()), ..engine::Success::default() };
    rig.finish(id, "Fetch", engine::End::Succeeded(success)).unwrap();
    assert_eq!(rig.executions[&id].revisions[0].revision, revision);
    rig.succeed(id, "T");
    assert_eq!(rig.executions[&id].revisions.len(), 1, "later stages do not forget them");
}

#[test]
fn a_busy_pipeline_does_not_put_off_the_sweep_for_a_lost_chore() {
    let mut rig = rig();
    let first = rig.start();
    let _second = rig.start();
    rig.succeed(first, "Fetch");
    let due = rig.lanes.due;
    assert!(due.is_some());
    for _ in 0..5 {
        rig.now = rig.now.plus(rig.policy.grace / 2);
        rig.start();
        assert_eq!(rig.lanes.due, due);
    }
}
