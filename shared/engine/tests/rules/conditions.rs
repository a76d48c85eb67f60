//! Conditions of stages: when their rules run, what their results bring, and who may override them.

use engine::{
    ActionStatus, Command, ConditionStatus, Effect, ExecutionStatus, Position, Progress, Refusal, StageStatus, WorkerId,
};
use pipeline::ConditionKind::{self, BeforeEntry, OnFailure, OnSuccess};
use pipeline::RetryMode;
use serde_json::json;
use uuid::Uuid;

use crate::environment::{Actions, TestEnvironment, declared, failed, good};

const STAGES: &[(&str, Actions<'static>)] =
    &[("Test", &[("T", "StepFunctions", 1)]), ("Prod", &[("P", "StepFunctions", 1)])];

/// The stage Test has one condition of two rules.
fn env(member: &str, result: &str) -> TestEnvironment {
    let rule = |name: &str| {
        json!({"name": name, "ruleTypeId": {"category": "Rule", "owner": "AWS", "provider": "VariableCheck", "version": "1"},
            "configuration": {"Variable": "a", "Value": "a", "Operator": "EQ"}})
    };
    TestEnvironment::new(declared(STAGES, |it| {
        it["stages"][1][member] = json!({"conditions": [{"result": result, "rules": [rule("One"), rule("Two")]}]});
    }))
}

fn before(result: &str) -> (TestEnvironment, engine::ExecutionId) {
    let mut env = env("beforeEntry", result);
    let id = env.start();
    env.succeed(id, "Fetch");
    (env, id)
}

fn after(result: &str) -> (TestEnvironment, engine::ExecutionId) {
    let mut env = env("onSuccess", result);
    let id = env.start();
    env.succeed(id, "Fetch");
    env.succeed(id, "T");
    (env, id)
}

fn condition(env: &TestEnvironment, id: engine::ExecutionId, kind: ConditionKind) -> ConditionStatus {
    env.stage(id, "Test").condition(kind).unwrap().status
}

#[test]
fn rules_run_as_actions_do_before_any_action_of_the_stage() {
    let (mut env, id) = before("FAIL");
    let rules: Vec<_> = (0..2).map(|rule| env.stage(id, "Test").id_at(BeforeEntry.place(rule))).collect();
    assert_eq!(env.effects, [Effect::Run { action: rules[0], delay: 0 }, Effect::Run { action: rules[1], delay: 0 }]);
    assert_eq!(env.status(id, "T"), ActionStatus::Pending);
    assert!(env.stage(id, "Test").due().is_some());
    env.rule(id, "Test", BeforeEntry, 0, true);
    assert_eq!(env.status(id, "T"), ActionStatus::Pending, "all rules must hold");
    env.rule(id, "Test", BeforeEntry, 1, true);
    assert_eq!(condition(&env, id, BeforeEntry), ConditionStatus::Succeeded);
    assert_eq!(env.status(id, "T"), ActionStatus::Requested);
}

#[test]
fn an_entry_that_is_denied_fails_the_stage() {
    let (mut env, id) = before("FAIL");
    env.rule(id, "Test", BeforeEntry, 0, false);
    assert_eq!(env.executions[&id].status, ExecutionStatus::InProgress, "the other rule still runs");
    env.rule(id, "Test", BeforeEntry, 1, true);
    assert_eq!(condition(&env, id, BeforeEntry), ConditionStatus::Failed);
    assert_eq!(env.stage(id, "Test").status, StageStatus::Failed);
    assert_eq!(env.executions[&id].status, ExecutionStatus::Failed);
    assert_eq!(env.status(id, "T"), ActionStatus::Pending);
}

#[test]
fn an_entry_may_be_skipped() {
    let (mut env, id) = before("SKIP");
    env.rule(id, "Test", BeforeEntry, 0, false);
    env.rule(id, "Test", BeforeEntry, 1, false);
    assert_eq!(env.stage(id, "Test").status, StageStatus::Skipped);
    assert_eq!(env.executions[&id].position, Position::In(2));
    assert_eq!(env.status(id, "P"), ActionStatus::Requested);
    assert_eq!(env.locks.stages["Test"].holder, None);
    env.fail(id, "P");
    let refused = env.retry(id, "Test", RetryMode::AllActions);
    assert!(matches!(refused, Err(Refusal::NotRetryable { .. })), "a skipped stage is not retried");
}

#[test]
fn a_success_is_checked_before_the_next_stage() {
    let (mut env, id) = after("FAIL");
    assert_eq!(env.executions[&id].position, Position::In(1));
    env.rule(id, "Test", OnSuccess, 0, true);
    env.rule(id, "Test", OnSuccess, 1, true);
    assert_eq!(env.executions[&id].position, Position::In(2));
    let (mut env, id) = after("FAIL");
    env.rule(id, "Test", OnSuccess, 0, true);
    env.rule(id, "Test", OnSuccess, 1, false);
    assert_eq!(env.stage(id, "Test").status, StageStatus::Failed);
    assert_eq!(env.executions[&id].status, ExecutionStatus::Failed);
}

#[test]
fn a_success_that_does_not_hold_may_go_back() {
    let (mut env, good) = after("ROLLBACK");
    env.rule(good, "Test", OnSuccess, 0, true);
    env.rule(good, "Test", OnSuccess, 1, true);
    let bad = env.start();
    env.succeed(bad, "Fetch");
    env.succeed(bad, "T");
    env.rule(bad, "Test", OnSuccess, 0, true);
    env.rule(bad, "Test", OnSuccess, 1, false);
    env.outbox();
    let back = env.locks.stages["Test"].holder.unwrap();
    assert_eq!(env.executions[&back].rollback.as_ref().unwrap().execution, good);
    env.succeed(back, "T");
    assert_eq!(env.executions[&back].status, ExecutionStatus::Succeeded, "conditions are not asked on the way back");
}

#[test]
fn a_failures_result_comes_when_all_its_rules_hold() {
    for holds in [true, false] {
        let mut env = env("onFailure", "ROLLBACK");
        let good = env.start();
        for action in ["Fetch", "T", "P"] {
            env.succeed(good, action);
        }
        let bad = env.start();
        env.succeed(bad, "Fetch");
        env.fail(bad, "T");
        assert_eq!(env.executions[&bad].status, ExecutionStatus::InProgress, "the rules run first");
        env.rule(bad, "Test", OnFailure, 0, true);
        env.rule(bad, "Test", OnFailure, 1, holds);
        assert_eq!(env.executions[&bad].status, ExecutionStatus::Failed);
        assert_eq!(!env.locks.outbox.is_empty(), holds);
    }
}

#[test]
fn a_person_overrides_a_condition_that_runs() {
    let (mut env, id) = before("FAIL");
    env.rule(id, "Test", BeforeEntry, 0, true);
    env.overrule(id, "Test", BeforeEntry).unwrap();
    let stage = env.stage(id, "Test").clone();
    let condition = stage.condition(BeforeEntry).unwrap();
    assert_eq!(condition.status, ConditionStatus::Overridden);
    assert_eq!(condition.overridden_by.as_deref(), Some("ada"));
    assert_eq!(condition.rules[1].status, ActionStatus::Abandoned);
    assert_eq!(env.status(id, "T"), ActionStatus::Requested);
}

#[test]
fn a_person_overrides_a_condition_that_failed_the_stage() {
    let (mut env, id) = before("FAIL");
    env.rule(id, "Test", BeforeEntry, 0, false);
    env.rule(id, "Test", BeforeEntry, 1, true);
    env.overrule(id, "Test", BeforeEntry).unwrap();
    assert_eq!(env.executions[&id].status, ExecutionStatus::InProgress);
    assert_eq!((env.stage(id, "Test").attempt, env.status(id, "T")), (2, ActionStatus::Requested));
    assert_eq!(condition(&env, id, BeforeEntry), ConditionStatus::Overridden);
    let (mut env, id) = after("FAIL");
    env.rule(id, "Test", OnSuccess, 0, false);
    env.rule(id, "Test", OnSuccess, 1, true);
    env.overrule(id, "Test", OnSuccess).unwrap();
    assert_eq!(env.stage(id, "Test").status, StageStatus::Succeeded);
    assert_eq!(env.stages[&(id, 1, 1)].status, StageStatus::Failed, "the attempt before stays what it was");
    assert_eq!(env.executions[&id].position, Position::In(2));
}

#[test]
fn what_cannot_be_overridden_is_refused() {
    let not = |result| matches!(result, Err(Refusal::NotOverridable { .. }));
    let (mut env, id) = before("SKIP");
    assert!(not(env.overrule(id, "Test", BeforeEntry)), "its result is SKIP");
    assert!(not(env.overrule(id, "Test", OnSuccess)), "there is no such condition");
    let (mut env, id) = before("FAIL");
    env.rule(id, "Test", BeforeEntry, 0, true);
    env.rule(id, "Test", BeforeEntry, 1, true);
    assert!(not(env.overrule(id, "Test", BeforeEntry)), "it is met");
    let (mut env, first) = before("FAIL");
    env.rule(first, "Test", BeforeEntry, 0, false);
    env.rule(first, "Test", BeforeEntry, 1, false);
    let second = env.start();
    env.succeed(second, "Fetch");
    let late = Err(Refusal::NotLatest { execution: first, stage: "Test".into() });
    assert_eq!(env.overrule(first, "Test", BeforeEntry), late, "another has come to the stage");
}

#[test]
fn a_retry_does_not_ask_again_what_let_the_execution_in() {
    let (mut env, id) = before("FAIL");
    env.rule(id, "Test", BeforeEntry, 0, true);
    env.rule(id, "Test", BeforeEntry, 1, true);
    let rule = env.stage(id, "Test").id_at(BeforeEntry.place(0));
    env.fail(id, "T");
    env.retry(id, "Test", RetryMode::FailedActions).unwrap();
    assert_eq!(env.status(id, "T"), ActionStatus::Requested);
    assert_eq!(condition(&env, id, BeforeEntry), ConditionStatus::Succeeded);
    assert_eq!(env.stage(id, "Test").id_at(BeforeEntry.place(0)), rule);
}

#[test]
fn a_retry_asks_again_what_denied_the_entry() {
    let (mut env, id) = before("FAIL");
    env.rule(id, "Test", BeforeEntry, 0, false);
    env.rule(id, "Test", BeforeEntry, 1, false);
    env.retry(id, "Test", RetryMode::AllActions).unwrap();
    assert_eq!(condition(&env, id, BeforeEntry), ConditionStatus::InProgress);
    assert_eq!(env.status(id, "T"), ActionStatus::Pending);
}

#[test]
fn an_execution_that_is_stopped_gives_its_rules_up_or_waits_for_them() {
    let (mut env, id) = before("FAIL");
    env.stop(id, true).unwrap();
    assert_eq!(condition(&env, id, BeforeEntry), ConditionStatus::Abandoned);
    let (mut env, id) = before("SKIP");
    env.stop(id, false).unwrap();
    env.rule(id, "Test", BeforeEntry, 0, true);
    env.rule(id, "Test", BeforeEntry, 1, false);
    assert_eq!(env.executions[&id].status, ExecutionStatus::Stopped, "the condition's result does not come");
    assert_eq!(env.stage(id, "Test").status, StageStatus::Stopped);
    assert_eq!(condition(&env, id, BeforeEntry), ConditionStatus::Failed);
}

#[test]
fn a_rule_that_takes_too_long_fails_the_condition() {
    let (mut env, id) = before("FAIL");
    env.now = env.now.plus_minutes(24 * 60 + 1);
    env.apply(id, engine::Command::Sweep).unwrap();
    assert_eq!(condition(&env, id, BeforeEntry), ConditionStatus::Failed);
    let error = env.stage(id, "Test").condition(BeforeEntry).unwrap().rules[0].error.clone().unwrap();
    assert_eq!(error.code, "TimeoutError");
}

#[test]
fn an_error_of_its_function_meets_a_rule_of_on_failure_and_no_other() {
    let rule = json!({"name": "Ask", "configuration": {"FunctionName": "check"},
        "ruleTypeId": {"category": "Rule", "owner": "AWS", "provider": "LambdaInvoke", "version": "1"}});
    for (kind, member, result) in [(OnFailure, "onFailure", "ROLLBACK"), (OnSuccess, "onSuccess", "FAIL")] {
        for error in [true, false] {
            let mut env = TestEnvironment::new(declared(STAGES, |it| {
                it["stages"][1][member] = json!({"conditions": [{"result": result, "rules": [rule]}]});
            }));
            let id = env.start();
            env.succeed(id, "Fetch");
            if kind == OnFailure {
                env.fail(id, "T")
            } else {
                env.succeed(id, "T")
            }
            let action = env.stage(id, "Test").id_at(kind.place(0));
            let worker = WorkerId(Uuid::from_u128(7));
            env.apply(id, Command::Claim { action, worker }).unwrap();
            let report = Progress::default();
            env.apply(id, Command::Started { action, worker, report, poll: false, event_source: None }).unwrap();
            let end = if error { failed("too many errors") } else { good() };
            env.apply(id, Command::Result { action, end }).unwrap();
            let met = condition(&env, id, kind) == ConditionStatus::Succeeded;
            assert_eq!(met, error == (kind == OnFailure), "{kind:?}, error: {error}");
        }
    }
}
