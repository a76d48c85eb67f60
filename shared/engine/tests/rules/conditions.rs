//! Conditions of stages: when their rules run, what their results bring, and who may override them.

use engine::{ActionStatus, ConditionStatus, Effect, ExecutionStatus, Position, Refusal, StageStatus};
use pipeline::ConditionKind::{self, BeforeEntry, OnFailure, OnSuccess};
use pipeline::RetryMode;
use serde_json::json;

use crate::rig::{Actions, Rig, declared};

const STAGES: &[(&str, Actions<'static>)] =
    &[("Test", &[("T", "StepFunctions", 1)]), ("Prod", &[("P", "StepFunctions", 1)])];

/// The stage Test has one condition of two rules.
fn rig(member: &str, result: &str) -> Rig {
    let rule = |name: &str| {
        json!({"name": name, "ruleTypeId": {"category": "Rule", "owner": "AWS", "provider": "VariableCheck", "version": "1"},
            "configuration": {"Variable": "a", "Value": "a", "Operator": "EQ"}})
    };
    Rig::new(declared(STAGES, |it| {
        it["stages"][1][member] = json!({"conditions": [{"result": result, "rules": [rule("One"), rule("Two")]}]});
    }))
}

fn before(result: &str) -> (Rig, engine::ExecutionId) {
    let mut rig = rig("beforeEntry", result);
    let id = rig.start();
    rig.succeed(id, "Fetch");
    (rig, id)
}

fn after(result: &str) -> (Rig, engine::ExecutionId) {
    let mut rig = rig("onSuccess", result);
    let id = rig.start();
    rig.succeed(id, "Fetch");
    rig.succeed(id, "T");
    (rig, id)
}

fn condition(rig: &Rig, id: engine::ExecutionId, kind: ConditionKind) -> ConditionStatus {
    rig.stage(id, "Test").condition(kind).unwrap().status
}

#[test]
fn rules_run_as_actions_do_before_any_action_of_the_stage() {
    let (mut rig, id) = before("FAIL");
    let rules: Vec<_> = (0..2).map(|rule| rig.stage(id, "Test").id_at(BeforeEntry.place(rule))).collect();
    assert_eq!(rig.effects, [Effect::Run { action: rules[0], delay: 0 }, Effect::Run { action: rules[1], delay: 0 }]);
    assert_eq!(rig.status(id, "T"), ActionStatus::Pending);
    assert!(rig.stage(id, "Test").due().is_some());
    rig.rule(id, "Test", BeforeEntry, 0, true);
    assert_eq!(rig.status(id, "T"), ActionStatus::Pending, "all rules must hold");
    rig.rule(id, "Test", BeforeEntry, 1, true);
    assert_eq!(condition(&rig, id, BeforeEntry), ConditionStatus::Succeeded);
    assert_eq!(rig.status(id, "T"), ActionStatus::Requested);
}

#[test]
fn an_entry_that_is_denied_fails_the_stage() {
    let (mut rig, id) = before("FAIL");
    rig.rule(id, "Test", BeforeEntry, 0, false);
    assert_eq!(rig.executions[&id].status, ExecutionStatus::InProgress, "the other rule still runs");
    rig.rule(id, "Test", BeforeEntry, 1, true);
    assert_eq!(condition(&rig, id, BeforeEntry), ConditionStatus::Failed);
    assert_eq!(rig.stage(id, "Test").status, StageStatus::Failed);
    assert_eq!(rig.executions[&id].status, ExecutionStatus::Failed);
    assert_eq!(rig.status(id, "T"), ActionStatus::Pending);
}

#[test]
fn an_entry_may_be_skipped() {
    let (mut rig, id) = before("SKIP");
    rig.rule(id, "Test", BeforeEntry, 0, false);
    rig.rule(id, "Test", BeforeEntry, 1, false);
    assert_eq!(rig.stage(id, "Test").status, StageStatus::Skipped);
    assert_eq!(rig.executions[&id].position, Position::In(2));
    assert_eq!(rig.status(id, "P"), ActionStatus::Requested);
    assert_eq!(rig.lanes.lanes["Test"].holder, None);
    rig.fail(id, "P");
    let refused = rig.retry(id, "Test", RetryMode::AllActions);
    assert!(matches!(refused, Err(Refusal::NotRetryable { .. })), "a skipped stage is not retried");
}

#[test]
fn a_success_is_checked_before_the_next_stage() {
    let (mut rig, id) = after("FAIL");
    assert_eq!(rig.executions[&id].position, Position::In(1));
    rig.rule(id, "Test", OnSuccess, 0, true);
    rig.rule(id, "Test", OnSuccess, 1, true);
    assert_eq!(rig.executions[&id].position, Position::In(2));
    let (mut rig, id) = after("FAIL");
    rig.rule(id, "Test", OnSuccess, 0, true);
    rig.rule(id, "Test", OnSuccess, 1, false);
    assert_eq!(rig.stage(id, "Test").status, StageStatus::Failed);
    assert_eq!(rig.executions[&id].status, ExecutionStatus::Failed);
}

#[test]
fn a_success_that_does_not_hold_may_go_back() {
    let (mut rig, good) = after("ROLLBACK");
    rig.rule(good, "Test", OnSuccess, 0, true);
    rig.rule(good, "Test", OnSuccess, 1, true);
    let bad = rig.start();
    rig.succeed(bad, "Fetch");
    rig.succeed(bad, "T");
    rig.rule(bad, "Test", OnSuccess, 0, true);
    rig.rule(bad, "Test", OnSuccess, 1, false);
    rig.chores();
    let back = rig.lanes.lanes["Test"].holder.unwrap();
    assert_eq!(rig.executions[&back].rollback.as_ref().unwrap().execution, good);
    rig.succeed(back, "T");
    assert_eq!(rig.executions[&back].status, ExecutionStatus::Succeeded, "conditions are not asked on the way back");
}

#[test]
fn a_failures_result_comes_when_all_its_rules_hold() {
    for holds in [true, false] {
        let mut rig = rig("onFailure", "ROLLBACK");
        let good = rig.start();
        for action in ["Fetch", "T", "P"] {
            rig.succeed(good, action);
        }
        let bad = rig.start();
        rig.succeed(bad, "Fetch");
        rig.fail(bad, "T");
        assert_eq!(rig.executions[&bad].status, ExecutionStatus::InProgress, "the rules run first");
        rig.rule(bad, "Test", OnFailure, 0, true);
        rig.rule(bad, "Test", OnFailure, 1, holds);
        assert_eq!(rig.executions[&bad].status, ExecutionStatus::Failed);
        assert_eq!(!rig.lanes.chores.is_empty(), holds);
    }
}

#[test]
fn a_person_overrides_a_condition_that_runs() {
    let (mut rig, id) = before("FAIL");
    let two = rig.stage(id, "Test").id_at(BeforeEntry.place(1));
    rig.rule(id, "Test", BeforeEntry, 0, true);
    rig.overrule(id, "Test", BeforeEntry).unwrap();
    let stage = rig.stage(id, "Test").clone();
    let condition = stage.condition(BeforeEntry).unwrap();
    assert_eq!(condition.status, ConditionStatus::Overridden);
    assert_eq!(condition.overridden_by.as_deref(), Some("ada"));
    assert_eq!(condition.rules[1].status, ActionStatus::Abandoned);
    assert!(rig.effects.contains(&Effect::Cancel(two)));
    assert_eq!(rig.status(id, "T"), ActionStatus::Requested);
}

#[test]
fn a_person_overrides_a_condition_that_failed_the_stage() {
    let (mut rig, id) = before("FAIL");
    rig.rule(id, "Test", BeforeEntry, 0, false);
    rig.rule(id, "Test", BeforeEntry, 1, true);
    rig.overrule(id, "Test", BeforeEntry).unwrap();
    assert_eq!(rig.executions[&id].status, ExecutionStatus::InProgress);
    assert_eq!((rig.stage(id, "Test").attempt, rig.status(id, "T")), (2, ActionStatus::Requested));
    assert_eq!(condition(&rig, id, BeforeEntry), ConditionStatus::Overridden);
    let (mut rig, id) = after("FAIL");
    rig.rule(id, "Test", OnSuccess, 0, false);
    rig.rule(id, "Test", OnSuccess, 1, true);
    rig.overrule(id, "Test", OnSuccess).unwrap();
    assert_eq!(rig.stage(id, "Test").status, StageStatus::Succeeded);
    assert_eq!(rig.stages[&(id, 1, 1)].status, StageStatus::Failed, "the attempt before stays what it was");
    assert_eq!(rig.executions[&id].position, Position::In(2));
}

#[test]
fn what_cannot_be_overridden_is_refused() {
    let not = |result| matches!(result, Err(Refusal::NotOverridable { .. }));
    let (mut rig, id) = before("SKIP");
    assert!(not(rig.overrule(id, "Test", BeforeEntry)), "its result is SKIP");
    assert!(not(rig.overrule(id, "Test", OnSuccess)), "there is no such condition");
    let (mut rig, id) = before("FAIL");
    rig.rule(id, "Test", BeforeEntry, 0, true);
    rig.rule(id, "Test", BeforeEntry, 1, true);
    assert!(not(rig.overrule(id, "Test", BeforeEntry)), "it is met");
    let (mut rig, first) = before("FAIL");
    rig.rule(first, "Test", BeforeEntry, 0, false);
    rig.rule(first, "Test", BeforeEntry, 1, false);
    let second = rig.start();
    rig.succeed(second, "Fetch");
    let late = Err(Refusal::NotLatest { execution: first, stage: "Test".into() });
    assert_eq!(rig.overrule(first, "Test", BeforeEntry), late, "another has come to the stage");
}

#[test]
fn a_retry_does_not_ask_again_what_let_the_execution_in() {
    let (mut rig, id) = before("FAIL");
    rig.rule(id, "Test", BeforeEntry, 0, true);
    rig.rule(id, "Test", BeforeEntry, 1, true);
    let rule = rig.stage(id, "Test").id_at(BeforeEntry.place(0));
    rig.fail(id, "T");
    rig.retry(id, "Test", RetryMode::FailedActions).unwrap();
    assert_eq!(rig.status(id, "T"), ActionStatus::Requested);
    assert_eq!(condition(&rig, id, BeforeEntry), ConditionStatus::Succeeded);
    assert_eq!(rig.stage(id, "Test").id_at(BeforeEntry.place(0)), rule);
}

#[test]
fn a_retry_asks_again_what_denied_the_entry() {
    let (mut rig, id) = before("FAIL");
    rig.rule(id, "Test", BeforeEntry, 0, false);
    rig.rule(id, "Test", BeforeEntry, 1, false);
    rig.retry(id, "Test", RetryMode::AllActions).unwrap();
    assert_eq!(condition(&rig, id, BeforeEntry), ConditionStatus::InProgress);
    assert_eq!(rig.status(id, "T"), ActionStatus::Pending);
}

#[test]
fn an_execution_that_is_stopped_gives_its_rules_up_or_waits_for_them() {
    let (mut rig, id) = before("FAIL");
    rig.stop(id, true).unwrap();
    assert_eq!(condition(&rig, id, BeforeEntry), ConditionStatus::Abandoned);
    let (mut rig, id) = before("SKIP");
    rig.stop(id, false).unwrap();
    rig.rule(id, "Test", BeforeEntry, 0, true);
    rig.rule(id, "Test", BeforeEntry, 1, false);
    assert_eq!(rig.executions[&id].status, ExecutionStatus::Stopped, "the condition's result does not come");
    assert_eq!(rig.stage(id, "Test").status, StageStatus::Stopped);
    assert_eq!(condition(&rig, id, BeforeEntry), ConditionStatus::Failed);
}

#[test]
fn a_rule_that_takes_too_long_fails_the_condition() {
    let (mut rig, id) = before("FAIL");
    rig.now = rig.now.plus_minutes(24 * 60 + 1);
    rig.apply(id, engine::Command::Sweep).unwrap();
    assert_eq!(condition(&rig, id, BeforeEntry), ConditionStatus::Failed);
    let error = rig.stage(id, "Test").condition(BeforeEntry).unwrap().rules[0].error.clone().unwrap();
    assert_eq!(error.code, "TimeoutError");
}
