//! Several decisions in one commit leave what they would have left one after another.

use engine::{ActionId, Command, Effect, End, ExecutionId, ExecutionStatus, Revision, StageStatus, Success, WorkerId};
use serde_json::json;
use uuid::Uuid;

use crate::environment::{TestEnvironment, declared, good};

fn two_sources() -> (TestEnvironment, ExecutionId) {
    let mut env =
        TestEnvironment::new(declared(&[("Test", &[("T1", "StepFunctions", 1), ("T2", "StepFunctions", 1)])], |it| {
            let mut other = it["stages"][0]["actions"][0].clone();
            other["name"] = json!("Fetch2");
            other["outputArtifacts"] = json!([{"name": "Other"}]);
            it["stages"][0]["actions"].as_array_mut().unwrap().push(other);
        }));
    let id = env.start();
    for name in ["Fetch", "Fetch2"] {
        env.claim(id, name, 7).unwrap();
    }
    (env, id)
}

fn ends(env: &TestEnvironment, id: ExecutionId) -> Vec<Command> {
    let worker = WorkerId(Uuid::from_u128(7));
    let end = |action: ActionId| {
        let id = format!("r{}", action.action);
        let revision = Some(Revision { id, summary: None, url: None, created: None, change: None });
        Command::Finish {
            action,
            end: End::Succeeded(Success { revision, ..Success::default() }),
            next_worker: Some(worker),
        }
    };
    let mut commands = vec![end(env.action(id, "Fetch")), end(env.action(id, "Fetch2"))];
    // Those that the last end gave to the worker.
    for name in ["T1", "T2"] {
        let report = engine::Progress { summary: Some(name.into()), ..engine::Progress::default() };
        commands.push(Command::Started {
            action: env.action(id, name),
            worker,
            report,
            poll: true,
            event_source: None,
        });
    }
    commands
}

#[test]
fn the_last_of_them_says_how_the_execution_stands() {
    let mut env = TestEnvironment::new(declared(&[("Test", &[("T", "StepFunctions", 1)])], |_| ()));
    let id = env.start();
    env.claim(id, "Fetch", 7).unwrap();
    let end = |action| Command::Finish { action, end: good(), next_worker: Some(WorkerId(Uuid::from_u128(7))) };
    let commands = [end(env.action(id, "Fetch")), end(env.action(id, "T"))];
    env.apply_together(id, &commands);
    assert_eq!(env.executions[&id].status, ExecutionStatus::Succeeded);
    assert_eq!(env.stage(id, "Source").status, StageStatus::Succeeded);
    assert_eq!(env.stage(id, "Test").status, StageStatus::Succeeded);
}

#[test]
fn they_leave_the_same_items_and_ask_for_the_same() {
    let (mut apart, id) = two_sources();
    let (mut effects, mut claimed) = (Vec::new(), Vec::new());
    for command in ends(&apart, id) {
        apart.apply(id, command).unwrap();
        effects.append(&mut apart.effects);
        claimed.append(&mut apart.claimed);
    }
    let (mut together, id) = two_sources();
    together.apply_together(id, &ends(&together, id));
    assert_eq!(together.executions, apart.executions);
    assert_eq!(together.executions[&id].revisions.len(), 2);
    assert_eq!(together.stages, apart.stages);
    assert_eq!(together.locks, apart.locks);
    assert_eq!(together.effects, effects);
    assert!(effects.iter().filter(|effect| matches!(effect, Effect::Poll { .. })).count() == 2, "{effects:?}");
    assert_eq!(together.claimed, claimed);
    assert_eq!(claimed, ["T1", "T2"].map(|name| together.action(id, name)));
}
