//! What people are told of something that waits.

use engine::{Command, TransitionChange};
use pipeline::{ConditionKind, StageName};
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
    let change = TransitionChange {
        mode: env.pipeline.mode(),
        stage: StageName::new("Prod").unwrap(),
        disable: Some("freeze".into()),
        by: "ada".into(),
    };
    let (locks, now, policy) = (env.locks.clone(), env.now, env.policy);
    let mut random = || uuid::Uuid::nil();
    let mut context = engine::Context { now, policy: &policy, home: "eu-west-1", random: &mut random };
    env.keep(engine::set_transition(locks, change, &mut context).unwrap());
    env.succeed(first, "Fetch");
    holds(&one(&env, first), &["in front of stage Prod", "closed by ada", "1970-01-01T00:16:40Z", "\"freeze\""]);
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
    env.apply(id, Command::Continue { action, continuation: "7".into(), delay: 30_000, report }).unwrap();
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
