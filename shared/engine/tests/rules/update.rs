//! UpdatePipeline while executions run or wait.

use std::sync::Arc;

use engine::{ActionStatus, ApprovalToken, Command, ConditionStatus, ExecutionStatus, Position, Refusal, StageStatus};
use pipeline::{ConditionKind, Pipeline, RetryMode};
use serde_json::{Value, json};

use crate::environment::{Actions, TestEnvironment, declared, failed, pipeline};

const STAGES: &[(&str, Actions<'static>)] = &[
    ("Test", &[("T", "StepFunctions", 1), ("U", "StepFunctions", 1), ("V", "StepFunctions", 2)]),
    ("Prod", &[("P", "StepFunctions", 1)]),
];

fn with(change: impl FnOnce(&mut Value)) -> Arc<Pipeline> {
    declared(STAGES, change)
}

fn of_mode(mode: &str) -> TestEnvironment {
    TestEnvironment::new(with(|it| it["executionMode"] = json!(mode)))
}

/// An execution of this mode with two actions that run in its second stage.
fn running(mode: &str) -> (TestEnvironment, engine::ExecutionId) {
    let mut env = of_mode(mode);
    let id = env.start();
    env.succeed(id, "Fetch");
    (env, id)
}

fn rule() -> Value {
    let id = json!({"category": "Rule", "owner": "AWS", "provider": "VariableCheck", "version": "1"});
    json!({"name": "R", "ruleTypeId": id, "configuration": {"Variable": "x", "Value": "x", "Operator": "EQ"}})
}

fn updated(env: &mut TestEnvironment) {
    let after = env.pipeline.clone();
    env.update(after);
    env.outbox();
}

#[test]
fn running_actions_go_on_to_their_end_then_stage_and_execution_are_cancelled() {
    for mode in ["SUPERSEDED", "QUEUED"] {
        let (mut env, id) = running(mode);
        updated(&mut env);
        assert_eq!(env.executions[&id].status, ExecutionStatus::Cancelling);
        assert_eq!(env.stage(id, "Test").status, StageStatus::Cancelling);
        assert!(env.stage(id, "Test").due().is_some(), "the sweeper still looks at what runs");
        env.succeed(id, "T");
        assert_eq!(env.executions[&id].status, ExecutionStatus::Cancelling);
        env.succeed(id, "U");
        assert_eq!([env.status(id, "T"), env.status(id, "V")], [ActionStatus::Succeeded, ActionStatus::Pending]);
        assert_eq!(env.stage(id, "Test").status, StageStatus::Cancelled);
        let execution = &env.executions[&id];
        assert_eq!((execution.status, execution.position), (ExecutionStatus::Cancelled, Position::Out));
        assert_eq!(execution.summary.as_deref(), Some("The pipeline was updated."));
        assert_eq!(env.locks.stages["Test"].holder, None, "the stage is free");
    }
}

#[test]
fn an_action_that_fails_meanwhile_keeps_its_own_end() {
    let (mut env, id) = running("QUEUED");
    updated(&mut env);
    env.succeed(id, "T");
    env.fail(id, "U");
    assert_eq!(env.status(id, "U"), ActionStatus::Failed);
    assert_eq!(env.stage(id, "Test").status, StageStatus::Cancelled);
    assert_eq!(env.executions[&id].status, ExecutionStatus::Cancelled);
}

#[test]
fn those_who_wait_are_cancelled_at_once() {
    for mode in ["SUPERSEDED", "QUEUED"] {
        let (mut env, first) = running(mode);
        let second = env.start();
        env.succeed(second, "Fetch");
        assert_eq!(env.executions[&second].position, Position::Waiting(1));
        let third = env.start();
        let fourth = env.start();
        env.outbox();
        env.update(env.pipeline.clone());
        assert!(env.locks.stages.values().all(|lock| lock.waiting.is_empty()));
        env.outbox();
        let status = |id| env.executions[&id].status;
        assert_eq!([first, third].map(status), [ExecutionStatus::Cancelling; 2], "these run");
        assert_eq!([second, fourth].map(status), [ExecutionStatus::Cancelled; 2], "these wait");
    }
}

#[test]
fn one_that_was_let_in_and_has_not_entered_is_cancelled_and_the_stage_is_free() {
    let mut env = of_mode("QUEUED");
    let first = env.start();
    let second = env.start();
    env.succeed(first, "Fetch");
    assert_eq!(env.locks.stages["Source"].holder, Some(second));
    updated(&mut env);
    assert_eq!(env.executions[&second].status, ExecutionStatus::Cancelled);
    let third = env.start();
    assert_eq!(env.executions[&third].position, Position::In(0));
}

#[test]
fn executions_of_mode_parallel_go_on_with_their_own_version() {
    let (mut env, id) = running("PARALLEL");
    env.update(pipeline(&[("Other", &[("O", "StepFunctions", 1)])]));
    assert_eq!(env.locks.outbox, []);
    for (stage, action) in [(1, 0), (1, 1), (1, 2), (2, 0)] {
        env.finish_by_id(id.action(stage, action, 1), crate::environment::good());
    }
    let execution = &env.executions[&id];
    assert_eq!((execution.status, execution.version), (ExecutionStatus::Succeeded, 1));
}

#[test]
fn a_change_of_the_mode_ends_the_old_as_any_update_does() {
    let (mut env, id) = running("QUEUED");
    env.update(with(|it| it["executionMode"] = json!("PARALLEL")));
    env.outbox();
    assert_eq!(env.executions[&id].status, ExecutionStatus::Cancelling);
    let new = env.start();
    assert_eq!(env.executions[&new].position, Position::In(0));
}

#[test]
fn a_new_execution_gets_the_stage_when_the_old_one_has_left_it() {
    let (mut env, old) = running("SUPERSEDED");
    updated(&mut env);
    let new = env.start();
    env.succeed(new, "Fetch");
    assert_eq!(env.executions[&new].position, Position::Waiting(1));
    env.succeed(old, "T");
    env.succeed(old, "U");
    env.outbox();
    assert_eq!(env.executions[&new].position, Position::In(1));
    assert_eq!(env.locks.stages["Test"].holder, Some(new));
}

#[test]
fn a_stage_that_ends_between_the_update_and_its_task_begins_nothing_more() {
    let results: [(&str, Value); 3] = [
        ("onFailure", json!({"result": "RETRY"})),
        ("onFailure", json!({"result": "ROLLBACK"})),
        ("onSuccess", json!(null)),
    ];
    for (kind, value) in results {
        let mut env = TestEnvironment::new(with(|it| {
            if !value.is_null() {
                it["stages"][2][kind] = value.clone();
            }
        }));
        let good = env.start();
        let deploy = |id, env: &mut TestEnvironment| {
            for action in ["Fetch", "T", "U", "V"] {
                env.succeed(id, action);
            }
        };
        deploy(good, &mut env);
        env.succeed(good, "P");
        let id = env.start();
        deploy(id, &mut env);
        env.update(env.pipeline.clone());
        env.claim(id, "P", 7).unwrap();
        let end = if value.is_null() { crate::environment::good() } else { failed("no") };
        env.finish(id, "P", end).unwrap();
        assert_eq!(env.stage(id, "Prod").status, StageStatus::Cancelled, "{value}");
        assert_eq!(env.executions[&id].status, ExecutionStatus::Cancelled, "{value}");
        assert_eq!(env.executions[&id].attempts, [1, 1, 1], "{value}");
        env.outbox();
        assert_eq!(env.executions.len(), 2, "{value}: nothing is rolled back");
        assert_eq!(env.locks.stages["Prod"].holder, None, "{value}");
    }
}

#[test]
fn neither_a_retry_nor_a_rollback_by_itself_nor_a_condition_follows() {
    let rule = rule();
    for (kind, value) in [
        ("onFailure", json!({"result": "RETRY"})),
        ("onFailure", json!({"result": "ROLLBACK"})),
        ("onFailure", json!({"conditions": [{"result": "ROLLBACK", "rules": [rule]}]})),
        ("onSuccess", json!({"conditions": [{"result": "FAIL", "rules": [rule]}]})),
    ] {
        let mut env = TestEnvironment::new(with(|it| it["stages"][1][kind] = value.clone()));
        let id = env.start();
        env.succeed(id, "Fetch");
        env.succeed(id, "T");
        env.succeed(id, "U");
        updated(&mut env);
        if kind == "onFailure" {
            env.fail(id, "V")
        } else {
            env.succeed(id, "V")
        }
        assert_eq!(env.stage(id, "Test").status, StageStatus::Cancelled, "{value}");
        assert!(env.stage(id, "Test").conditions.is_empty(), "{value}");
        assert_eq!(env.executions[&id].attempts, [1, 1, 0], "{value}");
        assert_eq!((env.executions[&id].status, env.executions.len()), (ExecutionStatus::Cancelled, 1), "{value}");
    }
}

#[test]
fn rules_that_run_go_on_to_their_end_and_cannot_be_overridden() {
    let rule = rule();
    let before = json!({"conditions": [{"result": "FAIL", "rules": [rule]}]});
    let mut env = TestEnvironment::new(with(|it| it["stages"][1]["beforeEntry"] = before));
    let id = env.start();
    env.succeed(id, "Fetch");
    updated(&mut env);
    let overridden = env.overrule(id, "Test", ConditionKind::BeforeEntry);
    assert!(matches!(overridden, Err(Refusal::NotOverridable { .. })), "{overridden:?}");
    env.rule(id, "Test", ConditionKind::BeforeEntry, 0, true);
    let stage = env.stage(id, "Test");
    assert_eq!(stage.condition(ConditionKind::BeforeEntry).unwrap().status, ConditionStatus::Succeeded);
    assert_eq!((stage.status, &stage.actions[0].status), (StageStatus::Cancelled, &ActionStatus::Pending));
}

#[test]
fn an_approval_may_still_be_answered_and_nothing_follows() {
    let gate: Actions<'_> = &[("Ask", "Manual", 1)];
    let mut env = TestEnvironment::new(pipeline(&[("Gate", gate), ("Prod", &[("P", "StepFunctions", 1)])]));
    let id = env.start();
    env.succeed(id, "Fetch");
    env.update(pipeline(&[("Prod", &[("P", "StepFunctions", 1)])]));
    env.outbox();
    let action = id.action(1, 0, 1);
    let token: ApprovalToken = env.stages[&(id, 1, 1)].actions[0].token.unwrap();
    let answer = Command::Approve {
        action,
        token,
        approved: true,
        summary: "yes".into(),
        by: engine::Approver::Caller("ada".into()),
    };
    env.apply(id, answer).unwrap();
    assert_eq!(env.stages[&(id, 1, 1)].actions[0].status, ActionStatus::Succeeded);
    assert_eq!(env.executions[&id].status, ExecutionStatus::Cancelled);
    assert_eq!(env.executions[&id].attempts, [1, 1, 0]);
}

#[test]
fn a_start_on_a_version_that_is_no_longer_current_is_refused() {
    let mut env = of_mode("SUPERSEDED");
    let (head, old) = (env.head.clone(), env.pipeline.clone());
    env.update(old.clone());
    env.head = head;
    assert_eq!(env.try_start(), Err(Refusal::PipelineUpdated));
}

#[test]
fn what_failed_before_the_update_can_be_neither_retried_nor_a_target_of_a_rollback() {
    let mut env = of_mode("QUEUED");
    let good = env.start();
    for action in ["Fetch", "T", "U", "V", "P"] {
        env.succeed(good, action);
    }
    let bad = env.start();
    env.succeed(bad, "Fetch");
    env.fail(bad, "T");
    env.fail(bad, "U");
    updated(&mut env);
    assert_eq!(env.executions[&bad].status, ExecutionStatus::Failed);
    for mode in [RetryMode::FailedActions, RetryMode::AllActions] {
        let retried = env.retry(bad, "Test", mode);
        assert!(matches!(retried, Err(Refusal::NotRetryable { .. })), "{retried:?}");
    }
    assert_eq!(env.rollback("Test", good), Err(Refusal::Outdated(good)));
}

#[test]
fn an_execution_that_is_about_to_be_cancelled_can_be_stopped_and_not_retried() {
    for abandon in [false, true] {
        let (mut env, id) = running("QUEUED");
        env.fail(id, "T");
        updated(&mut env);
        let retried = env.retry(id, "Test", RetryMode::FailedActions);
        assert!(matches!(retried, Err(Refusal::NotRetryable { .. })), "{retried:?}");
        env.stop(id, abandon).unwrap();
        if !abandon {
            assert_eq!(env.executions[&id].status, ExecutionStatus::Stopping);
            env.succeed(id, "U");
        }
        assert_eq!(env.executions[&id].status, ExecutionStatus::Stopped);
    }
}

#[test]
fn an_execution_that_is_being_stopped_ends_as_stopped() {
    let (mut env, id) = running("QUEUED");
    env.stop(id, false).unwrap();
    updated(&mut env);
    assert_eq!(env.executions[&id].status, ExecutionStatus::Stopping);
    env.succeed(id, "T");
    env.succeed(id, "U");
    assert_eq!(env.executions[&id].status, ExecutionStatus::Stopped);
}

#[test]
fn a_deletion_after_an_update_gives_up_what_still_runs() {
    let (mut env, id) = running("QUEUED");
    env.update(env.pipeline.clone());
    env.update(env.pipeline.clone());
    assert_eq!(env.locks.outbox.len(), 1, "it is cancelled once");
    env.delete();
    env.outbox();
    assert_eq!(env.status(id, "T"), ActionStatus::Abandoned);
    assert_eq!(env.executions[&id].summary.as_deref(), Some("The pipeline was deleted."));
}

#[test]
fn what_waits_in_front_of_a_transition_that_was_closed_for_more_than_30_days_is_cancelled() {
    const DAYS: i64 = 24 * 60 * 60_000;
    for (days, goes_on) in [(30, true), (31, false)] {
        let mut env = of_mode("QUEUED");
        env.transition("Test", Some("holidays")).unwrap();
        let (first, second) = (env.start(), env.start());
        env.succeed(first, "Fetch");
        env.outbox();
        env.now = env.now.plus(days * DAYS);
        env.succeed(second, "Fetch");
        env.transition("Test", None).unwrap();
        env.outbox();
        if goes_on {
            assert_eq!(env.executions[&first].position, Position::In(1));
            assert_eq!(env.executions[&second].position, Position::Waiting(1));
            continue;
        }
        for id in [first, second] {
            assert_eq!(env.executions[&id].status, ExecutionStatus::Cancelled);
            let summary = env.executions[&id].summary.as_deref();
            assert_eq!(summary, Some("The transition was closed for more than 30 days."));
        }
        let third = env.start();
        env.succeed(third, "Fetch");
        assert_eq!(env.executions[&third].position, Position::In(1), "what starts now goes through");
    }
}
