//! What people are told of something that waits.

use engine::Command;
use pipeline::ConditionKind;
use serde_json::json;

use crate::environment::{TestEnvironment, declared, pipeline};

fn told(env: &TestEnvironment, id: engine::ExecutionId) -> Vec<String> {
    let execution = &env.executions[&id];
    let stage = match execution.position {
        engine::Position::In(index) => env.stages.get(&(id, index, execution.attempts[index])),
        _ => None,
    };
    engine::why(execution, &env.pipeline, &env.locks, stage)
}

fn one(env: &TestEnvironment, id: engine::ExecutionId) -> String {
    let told = told(env, id);
    assert_eq!(told.len(), 1, "{told:?}");
    told[0].clone()
}

fn holds(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in {text:?}");
    }
}

#[test]
fn behind_an_execution_and_behind_a_closed_transition() {
    let mut env = TestEnvironment::new(pipeline(&[("Prod", &[("P", "StepFunctions", 1)])]));
    let (first, second) = (env.start(), env.start());
    holds(&one(&env, second), &["in front of stage Source", &first.to_string(), "is in it"]);
    env.transition("Prod", Some("freeze")).unwrap();
    env.succeed(first, "Fetch");
    holds(&one(&env, first), &["in front of stage Prod", "closed by someone", "1970-01-01T00:16:40Z", "\"freeze\""]);
    holds(&one(&env, second), &["let into stage Source"]);
}

#[test]
fn an_approval_a_provider_a_worker_and_a_job() {
    let actions = &[("A", "Manual", 1), ("S", "StepFunctions", 1), ("L", "Lambda", 1), ("W", "StepFunctions", 1)];
    let mut env = TestEnvironment::new(pipeline(&[("Test", actions)]));
    let id = env.start();
    env.succeed(id, "Fetch");
    for (name, poll) in [("A", false), ("S", true), ("L", false)] {
        env.claim(id, name, 7).unwrap();
        env.started(id, name, 7, poll).unwrap();
    }
    let told = told(&env, id);
    holds(&told[0], &["Action A in stage Test", "approve or reject", "fails at 1970-01-08T00:16:40Z"]);
    holds(&told[1], &["Action S", "asked again by"]);
    holds(&told[2], &["Action L", "the result of its job"]);
    holds(&told[3], &["Action W", "waits for a worker", "called again at 1970-01-01T00:17:00Z"]);
    env.stop(id, false).unwrap();
    holds(&self::told(&env, id)[0], &["was stopped", "still runs"]);
}

#[test]
fn one_that_is_to_be_continued() {
    let mut env = TestEnvironment::new(pipeline(&[("Prod", &[("F", "Lambda", 1)])]));
    let id = env.start();
    env.succeed(id, "Fetch");
    env.claim(id, "F", 1).unwrap();
    let report = engine::Progress { summary: Some("build 7 runs".into()), ..engine::Progress::default() };
    let action = env.action(id, "F");
    env.apply(id, Command::Continue { action, continuation: "7".into(), report }).unwrap();
    holds(&one(&env, id), &["Action F in stage Prod has asked to be continued", "begins by 1970", "(build 7 runs)"]);
}

#[test]
fn a_rule_and_an_end() {
    let rule = json!({"name": "Check", "configuration": {"FunctionName": "f"},
        "ruleTypeId": {"category": "Rule", "provider": "LambdaInvoke"}});
    let mut env = TestEnvironment::new(declared(&[("Test", &[("T", "StepFunctions", 1)])], |it| {
        it["stages"][1]["beforeEntry"] = json!({"conditions": [{"result": "FAIL", "rules": [rule]}]});
    }));
    let id = env.start();
    env.succeed(id, "Fetch");
    holds(&one(&env, id), &["Before stage Test is entered", "rule Check"]);
    env.rule(id, "Test", ConditionKind::BeforeEntry, 0, true);
    env.stop(id, true).unwrap();
    holds(&one(&env, id), &["waits for nothing", "was stopped", "enough"]);
    assert!(env.apply(id, Command::Sweep).is_err());
}

/// The summary of an execution that ended.
fn summary(env: &TestEnvironment, id: engine::ExecutionId) -> String {
    env.executions[&id].summary.clone().expect("it says how it ended")
}

#[test]
fn a_failure_names_stage_action_and_cause() {
    let actions = &[("A", "StepFunctions", 1), ("B", "StepFunctions", 1)];
    let mut env = TestEnvironment::new(pipeline(&[("Prod", actions)]));
    let id = env.start();
    env.succeed(id, "Fetch");
    env.fail(id, "A");
    env.fail(id, "B");
    let cause = env.run(id, "A").error.as_ref().unwrap().message.clone();
    holds(&summary(&env, id), &["Action A in stage Prod failed", &cause, "Action B in stage Prod failed"]);
    holds(&one(&env, id), &["failed at", "Action A in stage Prod failed"]);
}

#[test]
fn a_failure_names_the_rule_that_did_not_hold() {
    let rule = json!({"name": "Check", "configuration": {"FunctionName": "f"},
        "ruleTypeId": {"category": "Rule", "provider": "LambdaInvoke"}});
    let mut env = TestEnvironment::new(declared(&[("Test", &[("T", "StepFunctions", 1)])], |it| {
        it["stages"][1]["beforeEntry"] = json!({"conditions": [{"result": "FAIL", "rules": [rule]}]});
    }));
    let id = env.start();
    env.succeed(id, "Fetch");
    env.rule(id, "Test", ConditionKind::BeforeEntry, 0, false);
    holds(&summary(&env, id), &["Before stage Test is entered, rule Check failed"]);
}

#[test]
fn a_rollback_that_does_not_follow_says_why() {
    let mut env = TestEnvironment::new(declared(&[("Test", &[("T", "StepFunctions", 1)])], |it| {
        it["stages"][1]["onFailure"] = json!({"result": "ROLLBACK"});
    }));
    let first = env.start();
    env.succeed(first, "Fetch");
    env.fail(first, "T");
    let expected = "The stage was not rolled back: no execution has succeeded in it before.";
    holds(&summary(&env, first), &["Action T in stage Test failed", expected]);
    let good = env.start();
    env.succeed(good, "Fetch");
    env.succeed(good, "T");
    env.update(env.pipeline.clone());
    let other = env.start();
    env.succeed(other, "Fetch");
    env.fail(other, "T");
    holds(&summary(&env, other), &["not rolled back", &good.to_string(), "ran version 1"]);
}

#[test]
fn a_second_automatic_retry_that_does_not_follow_says_why() {
    let mut env = TestEnvironment::new(declared(&[("Test", &[("T", "StepFunctions", 1)])], |it| {
        it["stages"][1]["onFailure"] = json!({"result": "RETRY"});
    }));
    let id = env.start();
    env.succeed(id, "Fetch");
    env.fail(id, "T");
    env.fail(id, "T");
    holds(&summary(&env, id), &["Action T in stage Test failed", "not retried again", "one automatic retry"]);
}

#[test]
fn one_whose_pipeline_was_updated_is_about_to_be_cancelled() {
    let mut env = TestEnvironment::new(pipeline(&[("Prod", &[("P", "StepFunctions", 1)])]));
    let (first, second) = (env.start(), env.start());
    env.update(env.pipeline.clone());
    holds(&one(&env, second), &["about to be cancelled", "The pipeline was updated."]);
    env.outbox();
    let told = told(&env, first);
    holds(&told[0], &["Its pipeline was updated", "cancelled when what still runs has ended"]);
    holds(&told[1], &["Action Fetch in stage Source"]);
    env.succeed(first, "Fetch");
    holds(&one(&env, first), &["was cancelled at", "The pipeline was updated."]);
}
