//! Groups by run order, claims, and ends of actions.

use std::collections::BTreeMap;

use engine::{
    ActionStatus, Command, Effect, End, ExecutionId, ExecutionStatus, External, Outputs, Position, Progress, Refusal,
    Success, WorkerId,
};
use uuid::Uuid;

use crate::environment::{TestEnvironment, declared, good, pipeline};

#[test]
fn a_start_requests_the_source_and_nothing_else() {
    let mut env = TestEnvironment::new(pipeline(&[("Test", &[("T", "StepFunctions", 1)])]));
    let id = env.start();
    assert_eq!(env.executions[&id].position, Position::In(0));
    assert_eq!(env.status(id, "Fetch"), ActionStatus::Requested);
    assert_eq!(env.effects, [Effect::Run { action: env.action(id, "Fetch"), delay: 0 }]);
    assert_eq!(env.stages.len(), 1);
}

#[test]
fn groups_follow_each_other_by_run_order() {
    let mut env = TestEnvironment::new(pipeline(&[(
        "Test",
        &[("B", "StepFunctions", 5), ("A1", "StepFunctions", 2), ("A2", "StepFunctions", 2)],
    )]));
    let id = env.start();
    env.succeed(id, "Fetch");
    assert_eq!(env.status(id, "A1"), ActionStatus::Requested);
    assert_eq!(env.status(id, "A2"), ActionStatus::Requested);
    assert_eq!(env.status(id, "B"), ActionStatus::Pending);
    env.succeed(id, "A1");
    assert_eq!(env.status(id, "B"), ActionStatus::Pending, "A2 still runs");
    env.succeed(id, "A2");
    assert_eq!(env.status(id, "B"), ActionStatus::Requested);
    env.succeed(id, "B");
    assert_eq!(env.executions[&id].status, ExecutionStatus::Succeeded);
    assert_eq!(env.executions[&id].position, Position::Out);
}

#[test]
fn after_a_failure_others_end_but_no_group_starts() {
    let stages: &[(&str, &[_])] =
        &[("Test", &[("A1", "StepFunctions", 1), ("A2", "StepFunctions", 1), ("B", "StepFunctions", 2)])];
    let mut env = TestEnvironment::new(pipeline(stages));
    let id = env.start();
    env.succeed(id, "Fetch");
    env.fail(id, "A1");
    assert_eq!(env.executions[&id].status, ExecutionStatus::InProgress, "A2 goes on");
    env.succeed(id, "A2");
    assert_eq!(env.status(id, "B"), ActionStatus::Pending);
    assert_eq!(env.executions[&id].status, ExecutionStatus::Failed);
    assert_eq!(env.run(id, "A1").error.as_ref().unwrap().message, "no");
    assert!(env.locks.stages["Test"].holder.is_none(), "a failure unlocks the stage");
}

#[test]
fn an_action_has_one_owner() {
    let mut env = TestEnvironment::new(pipeline(&[("Test", &[("T", "StepFunctions", 1)])]));
    let id = env.start();
    env.claim(id, "Fetch", 1).unwrap();
    assert_eq!(env.claimed, [env.action(id, "Fetch")]);
    assert!(matches!(env.claim(id, "Fetch", 2), Err(Refusal::WrongState { .. })));
    assert_eq!(env.started(id, "Fetch", 2, false), Err(Refusal::ClaimLost));
    env.started(id, "Fetch", 1, false).unwrap();
    assert!(matches!(env.claim(id, "Fetch", 3), Err(Refusal::WrongState { .. })), "it runs");
}

#[test]
fn a_claim_that_ran_out_can_be_taken_over_and_the_first_owner_notices() {
    let mut env = TestEnvironment::new(pipeline(&[("Test", &[("T", "StepFunctions", 1)])]));
    let id = env.start();
    env.claim(id, "Fetch", 1).unwrap();
    env.now = env.now.plus(env.policy.lease - 1);
    assert!(env.claim(id, "Fetch", 2).is_err(), "a moment too early");
    let action = env.action(id, "Fetch");
    env.apply(id, Command::Renew { action, worker: WorkerId(Uuid::from_u128(1)) }).unwrap();
    env.now = env.now.plus(1);
    assert!(env.claim(id, "Fetch", 2).is_err(), "it was renewed");
    env.now = env.now.plus(env.policy.lease);
    env.claim(id, "Fetch", 2).unwrap();
    assert_eq!(env.run(id, "Fetch").claims, 2);
    let renew = Command::Renew { action, worker: WorkerId(Uuid::from_u128(1)) };
    assert_eq!(env.apply(id, renew), Err(Refusal::ClaimLost));
}

#[test]
fn an_end_is_taken_once() {
    let mut env = TestEnvironment::new(pipeline(&[("Test", &[("T", "StepFunctions", 1)])]));
    let id = env.start();
    env.succeed(id, "Fetch");
    let before = env.stages.clone();
    assert!(matches!(env.finish(id, "Fetch", good()), Err(Refusal::WrongState { .. })));
    assert_eq!(env.stages, before);
}

#[test]
fn the_worker_that_ends_an_action_may_own_the_next_ones_at_once() {
    let mut env =
        TestEnvironment::new(pipeline(&[("Test", &[("A1", "StepFunctions", 1), ("A2", "StepFunctions", 1)])]));
    let id = env.start();
    env.claim(id, "Fetch", 1).unwrap();
    let worker = WorkerId(Uuid::from_u128(1));
    let action = env.action(id, "Fetch");
    env.apply(id, Command::Finish { action, end: good(), next_worker: Some(worker) }).unwrap();
    for name in ["A1", "A2"] {
        assert!(
            matches!(env.status(id, name), ActionStatus::Claimed { worker: owner, .. } if owner == worker),
            "{name}"
        );
    }
    assert_eq!(env.claimed, [env.action(id, "A1"), env.action(id, "A2")]);
    assert_eq!(env.effects, [], "nobody else is told");
}

#[test]
fn artifacts_go_ahead_to_the_regions_that_will_read_them() {
    let pipeline = declared(&[("Test", &[("T", "Lambda", 1)])], |declaration| {
        declaration["artifactStores"] = serde_json::json!({
            "eu-west-1": {"type": "S3", "location": "artifacts"}, "us-west-2": {"type": "S3", "location": "there"}});
        declaration.as_object_mut().unwrap().remove("artifactStore");
        let action = &mut declaration["stages"][1]["actions"][0];
        action["region"] = "us-west-2".into();
        action["inputArtifacts"] = serde_json::json!([{"name": "App"}]);
    });
    let mut env = TestEnvironment::new(pipeline);
    let id = env.start();
    env.succeed(id, "Fetch");
    let replicated: Vec<_> = env
        .effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Replicate { artifact, .. } => Some(artifact.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(replicated, ["App"]);
}

#[test]
fn large_output_variables_have_an_item_of_their_own() {
    for (length, inline) in [(2_000, true), (2_100, false)] {
        let mut env = TestEnvironment::new(pipeline(&[("Test", &[("T", "StepFunctions", 1)])]));
        let id = env.start();
        env.claim(id, "Fetch", 1).unwrap();
        let variables = BTreeMap::from([("Key".to_owned(), "x".repeat(length))]);
        env.finish(id, "Fetch", End::Succeeded(Success { variables, ..Success::default() })).unwrap();
        assert_eq!(matches!(env.run(id, "Fetch").variables, Outputs::Inline(_)), inline, "{length}");
        assert_eq!(env.run(id, "Fetch").variables == Outputs::Stored, !inline, "{length}");
    }
}

#[test]
fn too_many_output_variables_fail_the_action() {
    let mut env = TestEnvironment::new(pipeline(&[("Test", &[("T", "StepFunctions", 1)])]));
    let id = env.start();
    env.claim(id, "Fetch", 1).unwrap();
    let variables = BTreeMap::from([("Key".to_owned(), "x".repeat(122_880))]);
    env.finish(id, "Fetch", End::Succeeded(Success { variables, ..Success::default() })).unwrap();
    assert_eq!(env.status(id, "Fetch"), ActionStatus::Failed);
    assert_eq!(env.executions[&id].status, ExecutionStatus::Failed);
}

/// Starts an action under an id of the service's own, whose events come from this source.
fn started_as(
    env: &TestEnvironment,
    id: ExecutionId,
    name: &str,
    external: &str,
    event_source: Option<&str>,
) -> Command {
    let external = Some(External { id: external.into(), url: None });
    Command::Started {
        action: env.action(id, name),
        worker: WorkerId(Uuid::from_u128(7)),
        report: Progress { external, ..Progress::default() },
        poll: true,
        event_source: event_source.map(str::to_owned),
    }
}

fn two_builds() -> (TestEnvironment, ExecutionId) {
    let builds = [("A", "StepFunctions", 1), ("B", "StepFunctions", 1)];
    let mut env = TestEnvironment::new(declared(&[("Test", &builds)], |it| {
        it["stages"][1]["actions"][1]["region"] = "us-west-2".into();
    }));
    let id = env.start();
    env.succeed(id, "Fetch");
    for name in ["A", "B"] {
        env.claim(id, name, 7).unwrap();
    }
    (env, id)
}

#[test]
fn a_service_s_own_id_is_committed_with_the_start_where_its_events_have_no_other() {
    let (mut env, id) = two_builds();
    env.apply(id, started_as(&env, id, "A", "build:7", None)).unwrap();
    assert_eq!(env.external_ids, []);
    let started = started_as(&env, id, "B", "build:8", Some("aws.codebuild"));
    env.apply(id, started).unwrap();
    let [kept] = &env.external_ids[..] else { panic!("{:?}", env.external_ids) };
    assert_eq!(
        (kept.source.as_str(), kept.region.as_str(), kept.id.as_str()),
        ("aws.codebuild", "us-west-2", "build:8")
    );
    assert_eq!(kept.action, env.action(id, "B"));
    assert_eq!(env.status(id, "B"), ActionStatus::Running);
}

#[test]
fn an_id_that_is_too_long_for_a_key_is_left_to_the_polls() {
    let (mut env, id) = two_builds();
    let started = started_as(&env, id, "A", &"x".repeat(1_025), Some("aws.codebuild"));
    env.apply(id, started).unwrap();
    assert_eq!(env.external_ids, []);
    assert_eq!(env.status(id, "A"), ActionStatus::Running);
}

#[test]
fn of_two_starts_under_one_id_in_one_commit_the_last_counts() {
    let builds = [("A", "StepFunctions", 1), ("B", "StepFunctions", 1)];
    let mut env = TestEnvironment::new(pipeline(&[("Test", &builds)]));
    let id = env.start();
    env.succeed(id, "Fetch");
    for name in ["A", "B"] {
        env.claim(id, name, 7).unwrap();
    }
    let commands = ["A", "B"].map(|name| started_as(&env, id, name, "stack", Some("aws.cloudformation")));
    env.apply_together(id, &commands);
    let actions: Vec<_> = env.external_ids.iter().map(|it| it.action).collect();
    assert_eq!(actions, [env.action(id, "B")], "two writes of one key would be refused");
}
