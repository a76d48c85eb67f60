//! Which attempts at a stage are remembered, so that `GetPipelineState` finds each action's last run.

use engine::{ActionStatus, ExecutionId};
use pipeline::RetryMode;
use serde_json::json;

use crate::environment::{Actions, TestEnvironment, declared, pipeline};

const TEST: Actions<'static> = &[("A", "StepFunctions", 1), ("B", "StepFunctions", 2), ("C", "StepFunctions", 3)];

/// The execution and attempt in which the last run of each action is found, the latest attempt first.
fn last_runs(env: &TestEnvironment) -> [Option<(ExecutionId, u16)>; 3] {
    let lock = &env.locks.stages["Test"];
    let mut entries: Vec<_> = lock.latest.into_iter().collect();
    entries.extend(lock.ended.iter().map(|ended| ended.entry));
    ["A", "B", "C"].map(|name| {
        entries.iter().find_map(|at| {
            let run = &env.stages[&(at.execution, at.stage, at.attempt)];
            let index = run.actions.iter().position(|action| action.name.as_str() == name)?;
            (run.actions[index].status != ActionStatus::Pending).then_some((at.execution, at.attempt))
        })
    })
}

/// An execution that fails in this action of the stage, or succeeds in all.
fn run(env: &mut TestEnvironment, fails: Option<&str>) -> ExecutionId {
    let id = env.start();
    env.succeed(id, "Fetch");
    for name in ["A", "B", "C"] {
        if fails == Some(name) {
            env.fail(id, name);
            break;
        }
        env.succeed(id, name);
    }
    id
}

#[test]
fn a_run_is_found_until_its_action_runs_again() {
    let mut env = TestEnvironment::new(pipeline(&[("Test", TEST)]));
    let all = run(&mut env, None);
    let two = run(&mut env, Some("B"));
    let one = run(&mut env, Some("A"));
    let now = env.start();
    env.succeed(now, "Fetch");
    assert_eq!(last_runs(&env), [Some((now, 1)), Some((two, 1)), Some((all, 1))]);
    assert!(env.locks.stages["Test"].ended.iter().any(|ended| ended.entry.execution == one));
    env.succeed(now, "A");
    assert_eq!(last_runs(&env), [Some((now, 1)), Some((now, 1)), Some((all, 1))]);
    env.succeed(now, "B");
    env.succeed(now, "C");
    assert_eq!(last_runs(&env), [Some((now, 1)); 3]);
    assert_eq!(env.locks.stages["Test"].ended.len(), 1, "it holds the last runs of all");
}

#[test]
fn a_retry_is_found_before_what_it_tries_again() {
    for mode in [RetryMode::FailedActions, RetryMode::AllActions] {
        let mut env = TestEnvironment::new(pipeline(&[("Test", TEST)]));
        let all = run(&mut env, None);
        let bad = run(&mut env, Some("B"));
        env.retry(bad, "Test", mode).unwrap();
        let b = if mode == RetryMode::FailedActions { 2 } else { 1 };
        assert_eq!(last_runs(&env), [Some((bad, 2)), Some((bad, b)), Some((all, 1))]);
    }
    let mut env = TestEnvironment::new(declared(&[("Test", TEST)], |it| {
        it["stages"][1]["onFailure"] = json!({"result": "RETRY", "retryConfiguration": {"retryMode": "ALL_ACTIONS"}});
    }));
    let all = run(&mut env, None);
    let bad = run(&mut env, Some("B"));
    assert_eq!(last_runs(&env), [Some((bad, 2)), Some((bad, 1)), Some((all, 1))], "by itself as well");
}

#[test]
fn few_attempts_are_remembered_however_many_fail_and_however_often_the_pipeline_is_updated() {
    let mut env = TestEnvironment::new(pipeline(&[("Test", TEST)]));
    let all = run(&mut env, None);
    for _ in 0..100 {
        run(&mut env, Some("B"));
        run(&mut env, Some("A"));
    }
    assert_eq!(env.locks.stages["Test"].ended.len(), 3);
    assert_eq!(last_runs(&env)[2], Some((all, 1)));
    for _ in 0..100 {
        env.update(env.pipeline.clone());
        run(&mut env, Some("A"));
    }
    assert!(env.locks.stages["Test"].ended.len() <= 10);
}
