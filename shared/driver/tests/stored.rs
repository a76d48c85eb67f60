//! Declarations that were stored under the rules of an earlier release.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::sync::Arc;

use driver::{DriveError, Driver, Outcome, StartRequest};
use engine::{ExecutionStatus, Success, Timestamp, Trigger};
use futures::executor::block_on;
use pipeline::{Declaration, PipelineName};
use serde_json::json;
use store::{Entity, Expect, MemoryStore, Store, Write};
use testkit::{Outbox, TestClock, TestExecutor, create, setup};

fn declaration() -> Declaration {
    let kind = |category: &str| json!({"category": category, "owner": "AWS", "provider": "S3", "version": "1"});
    serde_json::from_value(json!({
        "name": "release", "roleArn": "arn:aws:iam::111122223333:role/release", "pipelineType": "V2",
        "artifactStore": {"type": "S3", "location": "artifacts"},
        "stages": [
            {"name": "Source", "actions": [{"name": "Fetch", "outputArtifacts": [{"name": "App"}],
                "actionTypeId": kind("Source"), "configuration": {"S3Bucket": "sources", "S3ObjectKey": "app.zip"}}]},
            {"name": "Deploy", "actions": [{"name": "Copy", "inputArtifacts": [{"name": "App"}],
                "actionTypeId": kind("Deploy"), "configuration": {"BucketName": "site", "Extract": "true"}}]},
        ],
    }))
    .unwrap()
}

#[test]
fn a_version_that_a_newer_rule_would_refuse_still_runs_and_can_be_updated() {
    let (store, outbox) = (Arc::new(MemoryStore::default()), Arc::new(Outbox::default()));
    let driver = || Driver::new(setup(&store, &outbox, &Arc::new(TestClock::ticking(Timestamp(0)))));
    block_on(create(&driver(), declaration()));

    // An earlier release stored it with a key that is refused today.
    let mut old = declaration();
    old.stages[1].actions[0].configuration.as_mut().unwrap().insert("Colour".into(), "red".into());
    let Err(DriveError::Invalid(_)) = block_on(driver().update_pipeline(old.clone())) else {
        panic!("a new declaration is checked");
    };
    for item in store.dump() {
        if let Entity::Declaration(mut stored) = item.entity {
            stored.declaration = Declaration { version: Some(1), ..old.clone() };
            block_on(store.commit(vec![Write::put(stored, Expect::Revision(item.revision))])).unwrap();
        }
    }

    let driver = driver();
    let name = PipelineName::new("release").unwrap();
    let request = StartRequest {
        pipeline: name.clone(),
        trigger: Trigger { kind: "StartPipelineExecution".into(), detail: String::new() },
        variables: BTreeMap::new(),
        overrides: Vec::new(),
        client_token: None,
    };
    let started = block_on(driver.start(request)).unwrap();
    let executor =
        TestExecutor::new(|task| Outcome::Succeeded(Success { outputs: task.outputs.clone(), ..Success::default() }));
    block_on(outbox.work(&driver, &executor));
    let execution = block_on(driver.execution(&name, started.execution)).unwrap();
    assert_eq!(execution.status, ExecutionStatus::Succeeded);
    assert_eq!(block_on(driver.update_pipeline(declaration())).unwrap().version, 2);
}
