//! RetryStageExecution and automatic retry.

use engine::{ActionStatus, ExecutionStatus, Position, Refusal, RetryTrigger, StageStatus};
use pipeline::RetryMode::{AllActions, FailedActions};
use serde_json::json;

use crate::rig::{Actions, Rig, declared, failed, pipeline};

const TEST: Actions<'static> = &[("T", "StepFunctions", 1), ("U", "StepFunctions", 1), ("V", "StepFunctions", 2)];

fn rig() -> Rig {
    Rig::new(pipeline(&[("Test", TEST), ("Prod", &[("P", "StepFunctions", 1)])]))
}

fn automatic(mode: Option<&str>) -> Rig {
    Rig::new(declared(&[("Test", TEST)], |declaration| {
        declaration["stages"][1]["onFailure"] = json!({"result": "RETRY"});
        if let Some(mode) = mode {
            declaration["stages"][1]["onFailure"]["retryConfiguration"] = json!({"retryMode": mode});
        }
    }))
}

fn fail_u(rig: &mut Rig) -> engine::ExecutionId {
    let id = rig.start();
    rig.succeed(id, "Fetch");
    rig.succeed(id, "T");
    rig.fail(id, "U");
    id
}

#[test]
fn failed_actions_run_again_and_what_succeeded_is_kept() {
    let mut rig = rig();
    let id = fail_u(&mut rig);
    let first = rig.action(id, "T");
    assert_eq!(rig.executions[&id].status, ExecutionStatus::Failed);
    rig.retry(id, "Test", FailedActions).unwrap();
    let stage = rig.stage(id, "Test").clone();
    assert_eq!((stage.attempt, stage.status), (2, StageStatus::InProgress));
    assert_eq!(
        (stage.retries.manual, stage.retries.automatic, stage.retries.latest),
        (1, 0, Some(RetryTrigger::Manual))
    );
    assert_eq!(rig.status(id, "T"), ActionStatus::Succeeded);
    assert_eq!(stage.action_id(0), first, "it keeps the id of the attempt in which it ran");
    assert_eq!(rig.status(id, "U"), ActionStatus::Requested);
    assert_eq!(rig.status(id, "V"), ActionStatus::Pending);
    assert_eq!(rig.lanes.lanes["Test"].holder, Some(id));
    rig.succeed(id, "U");
    rig.succeed(id, "V");
    rig.succeed(id, "P");
    assert_eq!(rig.executions[&id].status, ExecutionStatus::Succeeded, "it goes on to the end");
}

#[test]
fn all_actions_run_again_from_the_first() {
    let mut rig = rig();
    let id = fail_u(&mut rig);
    rig.retry(id, "Test", AllActions).unwrap();
    assert_eq!([rig.status(id, "T"), rig.status(id, "U")], [ActionStatus::Requested, ActionStatus::Requested]);
    assert_eq!(rig.status(id, "V"), ActionStatus::Pending);
}

#[test]
fn a_third_attempt_keeps_the_first_ones_results() {
    let mut rig = rig();
    let id = fail_u(&mut rig);
    let first = rig.action(id, "T");
    for _ in 0..2 {
        rig.retry(id, "Test", FailedActions).unwrap();
        rig.fail(id, "U");
    }
    assert_eq!(rig.stage(id, "Test").action_id(0), first);
    assert_eq!(rig.stage(id, "Test").retries.manual, 2);
}

#[test]
fn what_has_not_failed_is_not_retried() {
    let mut rig = rig();
    let id = rig.start();
    let refused = |rig: &mut Rig, stage| matches!(rig.retry(id, stage, AllActions), Err(Refusal::NotRetryable { .. }));
    assert!(refused(&mut rig, "Source"), "it runs");
    rig.succeed(id, "Fetch");
    assert!(refused(&mut rig, "Source"), "it succeeded");
    rig.succeed(id, "T");
    rig.claim(id, "U", 7).unwrap();
    assert!(refused(&mut rig, "Test"), "nothing failed in it");
    rig.succeed_claimed(id, "U");
    rig.succeed(id, "V");
    rig.succeed(id, "P");
    assert!(refused(&mut rig, "Prod"), "all of it succeeded");
}

#[test]
fn a_retry_of_failed_actions_waits_for_those_that_still_run() {
    let mut rig = rig();
    let id = rig.start();
    rig.succeed(id, "Fetch");
    rig.fail(id, "U");
    assert_eq!(rig.retry(id, "Test", AllActions), Err(Refusal::Busy("Test".into())), "none may be in progress");
    rig.retry(id, "Test", FailedActions).unwrap();
    let again = rig.retry(id, "Test", FailedActions);
    assert!(matches!(again, Err(Refusal::NotRetryable { .. })), "it is wanted already");
    assert_eq!(rig.status(id, "U"), ActionStatus::Failed, "the others go on first");
    rig.succeed(id, "T");
    let stage = rig.stage(id, "Test").clone();
    assert_eq!((stage.attempt, stage.retries.manual, stage.retries.wanted), (2, 1, false));
    assert_eq!([rig.status(id, "T"), rig.status(id, "U")], [ActionStatus::Succeeded, ActionStatus::Requested]);
    rig.fail(id, "U");
    assert_eq!(rig.executions[&id].status, ExecutionStatus::Failed, "it was wanted once");
}

#[test]
fn a_stop_comes_before_a_retry_that_is_wanted() {
    let mut rig = rig();
    let id = rig.start();
    rig.succeed(id, "Fetch");
    rig.fail(id, "U");
    rig.retry(id, "Test", FailedActions).unwrap();
    rig.stop(id, false).unwrap();
    rig.succeed(id, "T");
    assert_eq!(rig.executions[&id].status, ExecutionStatus::Stopped);
    rig.retry(id, "Test", FailedActions).unwrap();
    assert_eq!(rig.status(id, "U"), ActionStatus::Requested);
}

#[test]
fn only_the_latest_execution_of_a_stage_is_retried() {
    let mut rig = rig();
    let first = fail_u(&mut rig);
    let second = rig.start();
    rig.succeed(second, "Fetch");
    let late = Err(Refusal::NotLatest { execution: first, stage: "Test".into() });
    assert_eq!(rig.retry(first, "Test", FailedActions), late);
    rig.fail(second, "T");
    rig.fail(second, "U");
    assert_eq!(rig.retry(first, "Test", FailedActions), late, "not after the later one has failed, either");
    rig.retry(second, "Test", FailedActions).unwrap();
}

#[test]
fn a_stage_that_was_changed_meanwhile_is_not_retried() {
    let mut rig = rig();
    let id = fail_u(&mut rig);
    let changed = pipeline(&[("Test", &TEST[..2]), ("Prod", &[("P", "StepFunctions", 1)])]);
    let stage = pipeline::StageName::new("Test").unwrap();
    let retry = engine::Command::Retry { stage: stage.clone(), mode: FailedActions, current: changed };
    assert!(matches!(rig.apply(id, retry), Err(Refusal::NotRetryable { .. })));
    let elsewhere = pipeline(&[("Test", TEST), ("Prod", &[("Q", "StepFunctions", 1)])]);
    rig.apply(id, engine::Command::Retry { stage, mode: FailedActions, current: elsewhere }).unwrap();
}

#[test]
fn a_stopped_stage_is_retried_with_what_was_given_up_and_what_had_not_begun() {
    let mut rig = rig();
    let id = rig.start();
    rig.succeed(id, "Fetch");
    rig.succeed(id, "T");
    rig.stop(id, true).unwrap();
    rig.retry(id, "Test", FailedActions).unwrap();
    assert_eq!(rig.executions[&id].status, ExecutionStatus::InProgress);
    assert_eq!(rig.executions[&id].stop, None);
    assert_eq!([rig.status(id, "T"), rig.status(id, "U")], [ActionStatus::Succeeded, ActionStatus::Requested]);
    rig.succeed(id, "U");
    rig.succeed(id, "V");
    assert_eq!(rig.executions[&id].position, Position::In(2), "it is not stopped again");
}

#[test]
fn a_failed_stage_tries_itself_again_once() {
    for (mode, t) in [(Some("ALL_ACTIONS"), ActionStatus::Requested), (None, ActionStatus::Succeeded)] {
        let mut rig = automatic(mode);
        let id = fail_u(&mut rig);
        assert_eq!(rig.executions[&id].status, ExecutionStatus::InProgress);
        let stage = rig.stage(id, "Test").clone();
        assert_eq!((stage.attempt, stage.retries.automatic), (2, 1));
        assert_eq!(stage.retries.latest, Some(RetryTrigger::Automatic));
        assert_eq!(rig.stages[&(id, 1, 1)].status, StageStatus::Failed);
        assert_eq!(rig.status(id, "T"), t, "{mode:?}");
        if t == ActionStatus::Requested {
            rig.succeed(id, "T");
        }
        rig.fail(id, "U");
        assert_eq!(rig.executions[&id].status, ExecutionStatus::Failed);
        rig.retry(id, "Test", FailedActions).unwrap();
        rig.fail(id, "U");
        assert_eq!(rig.executions[&id].status, ExecutionStatus::Failed, "a person's retry gives it no other try");
        let retries = rig.stage(id, "Test").retries;
        assert_eq!((retries.automatic, retries.manual), (1, 1));
    }
}

#[test]
fn a_stage_of_a_deleted_pipeline_does_not_try_itself_again() {
    let mut rig = automatic(None);
    let id = rig.start();
    rig.succeed(id, "Fetch");
    rig.succeed(id, "T");
    rig.claim(id, "U", 1).unwrap();
    rig.delete();
    // Before the chore that cancels it is done.
    rig.finish(id, "U", failed("no")).unwrap();
    assert_eq!(rig.executions[&id].status, ExecutionStatus::Failed);
    assert_eq!(rig.stage(id, "Test").attempt, 1);
}

#[test]
fn parallel_executions_are_each_the_latest() {
    let mut rig = Rig::new(declared(&[("Test", TEST)], |it| it["executionMode"] = json!("PARALLEL")));
    let first = fail_u(&mut rig);
    let second = fail_u(&mut rig);
    for id in [first, second] {
        rig.retry(id, "Test", FailedActions).unwrap();
        assert!(rig.lanes.running.contains(&id));
    }
}
