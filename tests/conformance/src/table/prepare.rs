//! Worlds as rows need them.

use serde_json::{Value, json};
use wire::Operation;

use crate::world::World;

/// An id that no API has given out.
pub const UNKNOWN: &str = "11111111-2222-8333-8444-000000000000";
/// An action execution's id of that kind.
pub const UNKNOWN_ACTION: &str = "11111111-2222-8333-8444-000000010000";
/// A page token that no listing has given.
pub const FORGED: &str = "bm9uc2Vuc2U";

fn action(name: &str, category: &str, provider: &str, configuration: Value) -> Value {
    json!({
        "name": name,
        "actionTypeId": {"category": category, "owner": "AWS", "provider": provider, "version": "1"},
        "configuration": configuration,
    })
}

/// A pipeline of the name `release`: source in S3, approval, function, deployment to S3. `changes` sets values by JSON
/// pointer.
pub fn release(changes: &[(&str, Value)]) -> Value {
    let mut fetch = action("Fetch", "Source", "S3", json!({"S3Bucket": "sources", "S3ObjectKey": "app.zip"}));
    fetch["outputArtifacts"] = json!([{"name": "App"}]);
    let mut publish = action("Publish", "Deploy", "S3", json!({"BucketName": "site", "Extract": "true"}));
    publish["inputArtifacts"] = json!([{"name": "App"}]);
    let mut declaration = json!({
        "name": "release",
        "roleArn": "arn:aws:iam::111122223333:role/release",
        "pipelineType": "V2",
        "artifactStore": {"type": "S3", "location": "artifacts-bucket"},
        "stages": [
            {"name": "Source", "actions": [fetch]},
            {"name": "Ask", "actions": [action("Approve", "Approval", "Manual", json!({}))]},
            {"name": "Test", "actions": [action("Call", "Invoke", "Lambda", json!({"FunctionName": "smoke-test"}))]},
            {"name": "Deploy", "actions": [publish]},
        ],
    });
    for (pointer, value) in changes {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        declaration.pointer_mut(parent).unwrap()[key] = value.clone();
    }
    declaration
}

/// The same with its source at GitHub.
pub fn github() -> Value {
    let source = json!({
        "name": "Fetch",
        "actionTypeId": {"category": "Source", "owner": "ThirdParty", "provider": "GitHub", "version": "1"},
        "configuration": {"Owner": "us", "Repo": "app", "Branch": "main", "OAuthToken": "hunter2"},
        "outputArtifacts": [{"name": "App"}],
    });
    release(&[("/stages/0/actions", json!([source]))])
}

/// A declaration that keeps all rules and is larger than what can be stored.
pub fn large() -> Value {
    let stage = |number: usize| {
        let actions: Vec<Value> = (0..50)
            .map(|n| {
                let configuration = json!({"FunctionName": "smoke-test", "UserParameters": "x".repeat(1_000)});
                action(&format!("Call{n}"), "Invoke", "Lambda", configuration)
            })
            .collect();
        json!({"name": format!("Stage{number}"), "actions": actions})
    };
    let mut declaration = release(&[]);
    let stages = declaration["stages"].as_array_mut().unwrap();
    stages.truncate(1);
    stages.extend((0..9).map(stage));
    declaration
}

/// Stores a pipeline, whose first execution waits for its approval.
pub async fn created(world: &World, declaration: Value) {
    world.done(Operation::CreatePipeline, json!({"pipeline": declaration})).await;
    world.work().await;
}

/// The id of the pipeline's newest execution.
pub async fn newest(world: &World) -> String {
    let runs = world.done(Operation::ListPipelineExecutions, json!({"pipelineName": "release"})).await;
    runs["pipelineExecutionSummaries"][0]["pipelineExecutionId"].as_str().unwrap().to_owned()
}

/// The latest execution of an action, as the pipeline's state shows it.
pub async fn latest(world: &World, stage: usize) -> Value {
    let state = world.done(Operation::GetPipelineState, json!({"name": "release"})).await;
    state["stageStates"][stage]["actionStates"][0]["latestExecution"].clone()
}

/// An answer to the approval of the pipeline's newest execution.
pub async fn approval(world: &World) -> Value {
    let token = latest(world, 1).await["token"].clone();
    json!({
        "pipelineName": "release", "stageName": "Ask", "actionName": "Approve", "token": token,
        "result": {"summary": "Looks good", "status": "Approved"},
    })
}

/// A pipeline whose function has been called: gives the job's id.
pub async fn called(world: &World) -> String {
    created(world, release(&[])).await;
    let approval = approval(world).await;
    world.done(Operation::PutApprovalResult, approval).await;
    world.work().await;
    latest(world, 2).await["actionExecutionId"].as_str().unwrap().to_owned()
}

/// A pipeline that has gone to its end: gives the id of its deployment.
pub async fn deployed(world: &World) -> String {
    let job = called(world).await;
    world.done(Operation::PutJobSuccessResult, json!({"jobId": job})).await;
    world.work().await;
    latest(world, 3).await["actionExecutionId"].as_str().unwrap().to_owned()
}

/// The same value in one place changed.
pub fn with(mut value: Value, pointer: &str, other: Value) -> Value {
    *value.pointer_mut(pointer).unwrap() = other;
    value
}

/// So many different tags.
pub fn tags(count: usize) -> Value {
    (0..count).map(|number| json!({"key": format!("key-{number}"), "value": ""})).collect()
}
