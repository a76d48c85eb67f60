//! RetryStageExecution and automatic retry.

use engine::{ActionStatus, Effect, ExecutionStatus, Position, Refusal, RetryTrigger, StageStatus};
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

/// T runs, U has failed, and the stage is retried.
fn beside_t() -> (TestEnvironment, engine::ExecutionId) {
    let mut env = env();
    let id = env.start();
    env.succeed(id, "Fetch");
    env.claim(id, "T", 1).unwrap();
    env.started(id, "T", 1, true).unwrap();
    env.fail(id, "U");
    env.retry(id, "Test", FailedActions).unwrap();
    (env, id)
}

#[test]
fn a_retry_of_failed_actions_begins_while_others_run() {
    let (mut env, id) = beside_t();
    let u = env.action(id, "U");
    assert_eq!(env.effects, [Effect::Run { action: u, delay: 0 }], "nobody is told of what goes on");
    let stage = env.stage(id, "Test").clone();
    assert_eq!((stage.attempt, stage.status, stage.retries.manual), (2, StageStatus::InProgress, 1));
    assert_eq!([env.status(id, "T"), env.status(id, "U")], [ActionStatus::Running, ActionStatus::Requested]);
    assert_eq!((env.action(id, "T").attempt, u.attempt), (1, 2), "what runs keeps its id");
    let first = &env.stages[&(id, 1, 1)];
    assert_eq!((first.status, &first.actions[0].status), (StageStatus::Failed, &ActionStatus::CarriedOver));
    assert_eq!(first.due(), None, "the sweeper finds it in the new attempt only");
    assert!(stage.due().is_some());
    env.succeed(id, "U");
    assert_eq!(env.status(id, "V"), ActionStatus::Pending, "its group is not done");
    env.succeed_claimed(id, "T");
    env.succeed(id, "V");
    env.succeed(id, "P");
    assert_eq!(env.executions[&id].status, ExecutionStatus::Succeeded);
}

#[test]
fn what_is_carried_over_is_no_business_of_the_attempt_that_it_left() {
    let (mut env, id) = beside_t();
    let t = env.action(id, "T");
    let left = engine::State {
        pipeline: env.pipeline.clone(),
        locks: Some(env.locks.clone()),
        execution: env.executions[&id].clone(),
        stage: Some(env.stages[&(id, 1, 1)].clone()),
    };
    let finish = engine::Command::Finish { action: t, end: failed("no"), next_worker: None };
    let mut random = uuid::Uuid::nil;
    let mut context = engine::Context { now: env.now, policy: &env.policy, home: "eu-west-1", random: &mut random };
    assert_eq!(engine::decide(left, finish, &mut context), Err(Refusal::UnknownAction(t)));
    env.finish(id, "T", failed("no")).unwrap();
    assert_eq!(env.status(id, "T"), ActionStatus::Failed, "where it is now it can fail");
    env.succeed(id, "U");
    assert_eq!(env.executions[&id].status, ExecutionStatus::Failed);
}

#[test]
fn an_action_may_be_carried_over_again_and_again() {
    let (mut env, id) = beside_t();
    for _ in 0..3 {
        env.fail(id, "U");
        env.retry(id, "Test", FailedActions).unwrap();
    }
    assert_eq!((env.stage(id, "Test").attempt, env.action(id, "T").attempt), (5, 1));
    env.succeed_claimed(id, "T");
    env.fail(id, "U");
    assert_eq!(env.executions[&id].status, ExecutionStatus::Failed);
    env.retry(id, "Test", FailedActions).unwrap();
    assert_eq!((env.status(id, "T"), env.action(id, "T").attempt), (ActionStatus::Succeeded, 1));
}

#[test]
fn a_carried_over_action_times_out_in_the_new_attempt() {
    let (mut env, id) = beside_t();
    env.claim(id, "U", 1).unwrap();
    env.now = env.run(id, "T").deadline.unwrap();
    env.apply(id, engine::Command::Sweep).unwrap();
    assert_eq!(env.run(id, "T").error.as_ref().unwrap().code, "TimeoutError");
}

#[test]
fn a_stop_gives_up_what_was_carried_over() {
    let (mut env, id) = beside_t();
    env.stop(id, true).unwrap();
    assert_eq!(env.status(id, "T"), ActionStatus::Abandoned);
    env.retry(id, "Test", FailedActions).unwrap();
    assert_eq!((env.status(id, "T"), env.action(id, "T").attempt), (ActionStatus::Requested, 3), "it runs anew");
}

#[test]
fn a_retry_beside_running_actions_is_refused_where_it_makes_no_sense() {
    let reason = |refused| match refused {
        Err(Refusal::NotRetryable { reason, .. }) => reason,
        other => panic!("{other:?}"),
    };
    let mut env = env();
    let id = env.start();
    env.succeed(id, "Fetch");
    assert_eq!(reason(env.retry(id, "Test", FailedActions)), "it has not failed");
    env.fail(id, "U");
    assert_eq!(env.retry(id, "Test", AllActions), Err(Refusal::Busy("Test".into())), "none may be in progress");
    let elsewhere = pipeline(&[("Test", &TEST[..2]), ("Prod", &[("P", "StepFunctions", 1)])]);
    let stage = pipeline::StageName::new("Test").unwrap();
    let retry = engine::Command::Retry { stage, mode: FailedActions, current: elsewhere };
    assert_eq!(reason(env.apply(id, retry)), "the pipeline's structure has changed");
    env.retry(id, "Test", FailedActions).unwrap();
    assert_eq!(reason(env.retry(id, "Test", FailedActions)), "it is being retried already");
    env.fail(id, "U");
    env.stop(id, false).unwrap();
    assert_eq!(reason(env.retry(id, "Test", FailedActions)), "the execution is being stopped");
}

#[test]
fn a_stage_of_a_deleted_pipeline_is_not_retried_beside_running_actions() {
    let mut env = env();
    let id = env.start();
    env.succeed(id, "Fetch");
    env.fail(id, "U");
    env.delete();
    let late = Err(Refusal::NotLatest { execution: id, stage: "Test".into() });
    assert_eq!(env.retry(id, "Test", FailedActions), late);
}

#[test]
fn a_stage_is_not_retried_while_its_failure_condition_is_evaluated() {
    let mut env = TestEnvironment::new(declared(&[("Test", TEST)], |it| {
        it["stages"][1]["onFailure"] = json!({"conditions": [{"result": "ROLLBACK", "rules": [{"name": "Alarm",
            "ruleTypeId": {"category": "Rule", "owner": "AWS", "provider": "CloudWatchAlarm", "version": "1"},
            "configuration": {"AlarmName": "errors"}}]}]});
    }));
    let id = fail_u(&mut env);
    assert_eq!(env.executions[&id].status, ExecutionStatus::InProgress, "a rule runs");
    let refused = env.retry(id, "Test", FailedActions);
    assert!(matches!(refused, Err(Refusal::NotRetryable { .. })), "{refused:?}");
    env.rule(id, "Test", pipeline::ConditionKind::OnFailure, 0, false);
    env.retry(id, "Test", FailedActions).unwrap();
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
    for (mode, t) in [
        (None, ActionStatus::Requested),
        (Some("ALL_ACTIONS"), ActionStatus::Requested),
        (Some("FAILED_ACTIONS"), ActionStatus::Succeeded),
    ] {
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
