//! RetryStageExecution and automatic retry.

use engine::{ActionStatus, ExecutionStatus, Position, Refusal, RetryTrigger, StageStatus};
use pipeline::RetryMode::{AllActions, FailedActions};
use serde_json::json;

use crate::environment::{Actions, TestEnvironment, declared, failed, pipeline};

const TEST: Actions<'static> = &[("T", "StepFunctions", 1), ("U", "StepFunctions", 1), ("V", "StepFunctions", 2)];

fn env() -> TestEnvironment {
    TestEnvironment::new(pipeline(&[("Test", TEST), ("Prod", &[("P", "StepFunctions", 1)])]))
}

fn automatic(mode: Option<&str>) -> TestEnvironment {
    TestEnvironment::new(declared(&[("Test", TEST)], |declaration| {
        declaration["stages"][1]["onFailure"] = json!({"result": "RETRY"});
        if let Some(mode) = mode {
            declaration["stages"][1]["onFailure"]["retryConfiguration"] = json!({"retryMode": mode});
        }
    }))
}

fn fail_u(env: &mut TestEnvironment) -> engine::ExecutionId {
    let id = env.start();
    env.succeed(id, "Fetch");
    env.succeed(id, "T");
    env.fail(id, "U");
    id
}

#[test]
fn failed_actions_run_again_and_what_succeeded_is_kept() {
    let mut env = env();
    let id = fail_u(&mut env);
    let first = env.action(id, "T");
    assert_eq!(env.executions[&id].status, ExecutionStatus::Failed);
    env.retry(id, "Test", FailedActions).unwrap();
    let stage = env.stage(id, "Test").clone();
    assert_eq!((stage.attempt, stage.status), (2, StageStatus::InProgress));
    assert_eq!(
        (stage.retries.manual, stage.retries.automatic, stage.retries.latest),
        (1, 0, Some(RetryTrigger::Manual))
    );
    assert_eq!(env.status(id, "T"), ActionStatus::Succeeded);
    assert_eq!(stage.action_id(0), first, "it keeps the id of the attempt in which it ran");
    assert_eq!(env.status(id, "U"), ActionStatus::Requested);
    assert_eq!(env.status(id, "V"), ActionStatus::Pending);
    assert_eq!(env.locks.stages["Test"].holder, Some(id));
    env.succeed(id, "U");
    env.succeed(id, "V");
    env.succeed(id, "P");
    assert_eq!(env.executions[&id].status, ExecutionStatus::Succeeded, "it goes on to the end");
}

#[test]
fn all_actions_run_again_from_the_first() {
    let mut env = env();
    let id = fail_u(&mut env);
    env.retry(id, "Test", AllActions).unwrap();
    assert_eq!([env.status(id, "T"), env.status(id, "U")], [ActionStatus::Requested, ActionStatus::Requested]);
    assert_eq!(env.status(id, "V"), ActionStatus::Pending);
}

#[test]
fn a_third_attempt_keeps_the_first_ones_results() {
    let mut env = env();
    let id = fail_u(&mut env);
    let first = env.action(id, "T");
    for _ in 0..2 {
        env.retry(id, "Test", FailedActions).unwrap();
        env.fail(id, "U");
    }
    assert_eq!(env.stage(id, "Test").action_id(0), first);
    assert_eq!(env.stage(id, "Test").retries.manual, 2);
}

#[test]
fn what_has_not_failed_is_not_retried() {
    let mut env = env();
    let id = env.start();
    let refused = |env: &mut TestEnvironment, stage| {
        matches!(env.retry(id, stage, AllActions), Err(Refusal::NotRetryable { .. }))
    };
    assert!(refused(&mut env, "Source"), "it runs");
    env.succeed(id, "Fetch");
    assert!(refused(&mut env, "Source"), "it succeeded");
    env.succeed(id, "T");
    env.claim(id, "U", 7).unwrap();
    assert!(refused(&mut env, "Test"), "nothing failed in it");
    env.succeed_claimed(id, "U");
    env.succeed(id, "V");
    env.succeed(id, "P");
    assert!(refused(&mut env, "Prod"), "all of it succeeded");
}

#[test]
fn a_retry_of_failed_actions_waits_for_those_that_still_run() {
    let mut env = env();
    let id = env.start();
    env.succeed(id, "Fetch");
    env.fail(id, "U");
    assert_eq!(env.retry(id, "Test", AllActions), Err(Refusal::Busy("Test".into())), "none may be in progress");
    env.retry(id, "Test", FailedActions).unwrap();
    let again = env.retry(id, "Test", FailedActions);
    assert!(matches!(again, Err(Refusal::NotRetryable { .. })), "it is wanted already");
    assert_eq!(env.status(id, "U"), ActionStatus::Failed, "the others go on first");
    env.succeed(id, "T");
    let stage = env.stage(id, "Test").clone();
    assert_eq!((stage.attempt, stage.retries.manual, stage.retries.wanted), (2, 1, false));
    assert_eq!([env.status(id, "T"), env.status(id, "U")], [ActionStatus::Succeeded, ActionStatus::Requested]);
    env.fail(id, "U");
    assert_eq!(env.executions[&id].status, ExecutionStatus::Failed, "it was wanted once");
}

#[test]
fn a_stop_comes_before_a_retry_that_is_wanted() {
    let mut env = env();
    let id = env.start();
    env.succeed(id, "Fetch");
    env.fail(id, "U");
    env.retry(id, "Test", FailedActions).unwrap();
    env.stop(id, false).unwrap();
    env.succeed(id, "T");
    assert_eq!(env.executions[&id].status, ExecutionStatus::Stopped);
    env.retry(id, "Test", FailedActions).unwrap();
    assert_eq!(env.status(id, "U"), ActionStatus::Requested);
}

#[test]
fn only_the_latest_execution_of_a_stage_is_retried() {
    let mut env = env();
    let first = fail_u(&mut env);
    let second = env.start();
    env.succeed(second, "Fetch");
    let late = Err(Refusal::NotLatest { execution: first, stage: "Test".into() });
    assert_eq!(env.retry(first, "Test", FailedActions), late);
    env.fail(second, "T");
    env.fail(second, "U");
    assert_eq!(env.retry(first, "Test", FailedActions), late, "not after the later one has failed, either");
    env.retry(second, "Test", FailedActions).unwrap();
}

#[test]
fn a_stage_that_was_changed_meanwhile_is_not_retried() {
    let mut env = env();
    let id = fail_u(&mut env);
    let changed = pipeline(&[("Test", &TEST[..2]), ("Prod", &[("P", "StepFunctions", 1)])]);
    let stage = pipeline::StageName::new("Test").unwrap();
    let retry = engine::Command::Retry { stage: stage.clone(), mode: FailedActions, current: changed };
    assert!(matches!(env.apply(id, retry), Err(Refusal::NotRetryable { .. })));
    let elsewhere = pipeline(&[("Test", TEST), ("Prod", &[("Q", "StepFunctions", 1)])]);
    env.apply(id, engine::Command::Retry { stage, mode: FailedActions, current: elsewhere }).unwrap();
}

#[test]
fn a_stopped_stage_is_retried_with_what_was_given_up_and_what_had_not_begun() {
    let mut env = env();
    let id = env.start();
    env.succeed(id, "Fetch");
    env.succeed(id, "T");
    env.stop(id, true).unwrap();
    env.retry(id, "Test", FailedActions).unwrap();
    assert_eq!(env.executions[&id].status, ExecutionStatus::InProgress);
    assert_eq!(env.executions[&id].stop, None);
    assert_eq!([env.status(id, "T"), env.status(id, "U")], [ActionStatus::Succeeded, ActionStatus::Requested]);
    env.succeed(id, "U");
    env.succeed(id, "V");
    assert_eq!(env.executions[&id].position, Position::In(2), "it is not stopped again");
}

#[test]
fn a_failed_stage_tries_itself_again_once() {
    for (mode, t) in [(Some("ALL_ACTIONS"), ActionStatus::Requested), (None, ActionStatus::Succeeded)] {
        let mut env = automatic(mode);
        let id = fail_u(&mut env);
        assert_eq!(env.executions[&id].status, ExecutionStatus::InProgress);
        let stage = env.stage(id, "Test").clone();
        assert_eq!((stage.attempt, stage.retries.automatic), (2, 1));
        assert_eq!(stage.retries.latest, Some(RetryTrigger::Automatic));
        assert_eq!(env.stages[&(id, 1, 1)].status, StageStatus::Failed);
        assert_eq!(env.status(id, "T"), t, "{mode:?}");
        if t == ActionStatus::Requested {
            env.succeed(id, "T");
        }
        env.fail(id, "U");
        assert_eq!(env.executions[&id].status, ExecutionStatus::Failed);
        env.retry(id, "Test", FailedActions).unwrap();
        env.fail(id, "U");
        assert_eq!(env.executions[&id].status, ExecutionStatus::Failed, "a person's retry gives it no other try");
        let retries = env.stage(id, "Test").retries;
        assert_eq!((retries.automatic, retries.manual), (1, 1));
    }
}

#[test]
fn a_stage_of_a_deleted_pipeline_does_not_try_itself_again() {
    let mut env = automatic(None);
    let id = env.start();
    env.succeed(id, "Fetch");
    env.succeed(id, "T");
    env.claim(id, "U", 1).unwrap();
    env.delete();
    // Before the task that cancels it is done.
    env.finish(id, "U", failed("no")).unwrap();
    assert_eq!(env.executions[&id].status, ExecutionStatus::Cancelled);
    assert_eq!(env.stage(id, "Test").attempt, 1);
}

#[test]
fn parallel_executions_are_each_the_latest() {
    let mut env = TestEnvironment::new(declared(&[("Test", TEST)], |it| it["executionMode"] = json!("PARALLEL")));
    let first = fail_u(&mut env);
    let second = fail_u(&mut env);
    for id in [first, second] {
        env.retry(id, "Test", FailedActions).unwrap();
        assert!(env.locks.running.contains(&id));
    }
}
