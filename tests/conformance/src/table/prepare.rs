//! Worlds as rows need them.

use serde_json::{Value, json};
use wire::Operation;

use crate::declaration::{self, action};
use crate::world::World;

/// An id that no API has given out.
pub const UNKNOWN: &str = "11111111-2222-8333-8444-000000000000";
/// An action execution's id of that kind.
pub const UNKNOWN_ACTION: &str = "11111111-2222-8333-8444-000000010000";
/// A page token that no listing has given.
pub const FORGED: &str = "bm9uc2Vuc2U";

/// How many executions may run at the same time, in the modes that have such a limit.
pub const MANY: usize = 50;
/// The token of a third party's client.
pub const CLIENT_TOKEN: &str = "token-1";

/// A pipeline of the name `release`, changed by JSON pointer.
pub fn release(changes: &[(&str, Value)]) -> Value {
    declaration::release("release", changes)
}

/// The same with its source at GitHub.
pub fn github() -> Value {
    let source = json!({
        "name": "Fetch",
        "actionTypeId": {"category": "Source", "owner": "ThirdParty", "provider": "GitHub", "version": "1"},
        "configuration": {"Owner": "us", "Repo": "app", "Branch": "main", "OAuthToken": "hunter2"},
        "outputArtifacts": [{"name": "App"}],
    });
    release(&[
        ("/stages/0/actions", json!([source])),
        ("/stages/3/actions/0/configuration/ObjectKey", json!("app.zip")),
    ])
}

/// A declaration that keeps all rules and is larger than an item of the table.
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
    world.job(latest(world, 2).await["actionExecutionId"].as_str().unwrap()).await
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

fn deploy(name: &str, bucket: &str) -> Value {
    let mut publish = action(name, "Deploy", "S3", json!({"BucketName": bucket, "Extract": "true"}));
    publish["inputArtifacts"] = json!([{"name": "App"}]);
    publish
}

/// The same pipeline with nothing but deployments after its source: it goes to its end by itself, or fails in its second
/// stage where that one deploys to the bucket `broken`.
pub fn straight(bucket: &str, changes: &[(&str, Value)]) -> Value {
    let second = ("/stages/1/actions", json!([deploy("Publish", bucket)]));
    let third = ("/stages/2/actions", json!([deploy("Check", "site")]));
    release(&[&[second, third], changes].concat())
}

/// The declaration of a manual approval action.
pub fn approve() -> Value {
    action("Approve", "Approval", "Manual", json!({}))
}

/// A pipeline whose third stage is entered when two functions say so, with this result when one does not.
pub fn checked(result: &str, changes: &[(&str, Value)]) -> Value {
    let rule = |name: &str| {
        json!({
            "name": name,
            "ruleTypeId": {"category": "Rule", "owner": "AWS", "provider": "LambdaInvoke", "version": "1"},
            "configuration": {"FunctionName": "check"},
        })
    };
    let conditions = json!({"conditions": [{"result": result, "rules": [rule("Calm"), rule("Free")]}]});
    let condition = [("/stages/2/beforeEntry", conditions)];
    straight("site", &[&condition, changes].concat())
}

/// Has the functions say no that the third stage's condition asks, and everything that follows from it happen.
pub async fn forbidden(world: &World) {
    let state = world.done(Operation::GetPipelineState, json!({"name": "release"})).await;
    let condition = &state["stageStates"][2]["beforeEntryConditionState"]["conditionStates"][0];
    for rule in condition["ruleStates"].as_array().unwrap() {
        let details = json!({"type": "JobFailed", "message": "It rains"});
        let job = world.job(rule["latestExecution"]["ruleExecutionId"].as_str().unwrap()).await;
        let answer = json!({"jobId": job, "failureDetails": details});
        world.done(Operation::PutJobFailureResult, answer).await;
    }
    world.work().await;
}

/// Starts this many executions, and does none of their work.
pub async fn started(world: &World, count: usize) {
    for _ in 0..count {
        world.done(Operation::StartPipelineExecution, json!({"name": "release"})).await;
    }
}

/// The input that stops the newest execution, which has been stopped that way.
pub async fn stopping(world: &World, abandon: bool) -> Value {
    let id = newest(world).await;
    let input = json!({"pipelineName": "release", "pipelineExecutionId": id, "abandon": abandon});
    world.done(Operation::StopPipelineExecution, input.clone()).await;
    input
}

/// The account's type Build/Jenkins of this version: a queryable project, a secret password.
pub fn jenkins(version: &str) -> Value {
    json!({
        "category": "Build", "provider": "Jenkins", "version": version,
        "settings": {"entityUrlTemplate": "https://jenkins.example.com/job/{Config:Project}/"},
        "configurationProperties": [
            {"name": "Project", "required": true, "key": true, "secret": false, "queryable": true},
            {"name": "Password", "required": false, "key": false, "secret": true, "queryable": false},
        ],
        "inputArtifactDetails": {"minimumCount": 1, "maximumCount": 1},
        "outputArtifactDetails": {"minimumCount": 0, "maximumCount": 1},
    })
}

/// A worker's poll for jobs of it.
pub fn polled() -> Value {
    let id = json!({"category": "Build", "owner": "Custom", "provider": "Jenkins", "version": "1"});
    json!({"actionTypeId": id, "queryParam": {"Project": "shop"}})
}

/// The third party's type Test/Probe.
pub fn probe() -> Value {
    let property = |name: &str, secret: bool| json!({"name": name, "optional": false, "key": true, "noEcho": secret, "queryable": false});
    json!({
        "description": "Probes things",
        "id": {"category": "Test", "owner": "ThirdParty", "provider": "Probe", "version": "1"},
        "executor": {
            "type": "JobWorker", "jobTimeout": 60,
            "configuration": {"jobWorkerExecutorConfiguration": {"pollingAccounts": ["111122223333"]}},
        },
        "inputArtifactDetails": {"minimumCount": 0, "maximumCount": 5},
        "outputArtifactDetails": {"minimumCount": 0, "maximumCount": 0},
        "permissions": {"allowedAccounts": ["*"]},
        "properties": [property("Depth", false), property("Pin", true)],
        "urls": {"configurationUrl": "https://probe.example.com"},
    })
}

/// A pipeline that has come to this action in its second stage.
async fn arrived(world: &World, category: &str, owner: &str, provider: &str, configuration: Value) {
    let call = json!({
        "name": "Call",
        "actionTypeId": {"category": category, "owner": owner, "provider": provider, "version": "1"},
        "configuration": configuration,
        "inputArtifacts": [{"name": "App"}],
    });
    created(world, release(&[("/stages/1/actions", json!([call]))])).await;
}

/// A job of Jenkins waits for a worker.
pub async fn queued(world: &World) {
    world.done(Operation::CreateCustomActionType, jenkins("1")).await;
    arrived(world, "Build", "Custom", "Jenkins", json!({"Project": "shop", "Password": "sesame"})).await;
}

/// The job as a worker was offered it.
pub async fn offered(world: &World) -> Value {
    queued(world).await;
    world.done(Operation::PollForJobs, polled()).await["jobs"][0].clone()
}

/// The id of the job that a worker took.
pub async fn acknowledged(world: &World) -> Value {
    let job = offered(world).await;
    let taken = json!({"jobId": job["id"], "nonce": job["nonce"]});
    world.done(Operation::AcknowledgeJob, taken).await;
    job["id"].clone()
}

/// A job of Probe waits for its worker.
pub async fn probe_queued(world: &World) {
    world.done(Operation::UpdateActionType, json!({"actionType": probe()})).await;
    let client = json!({"Depth": "3", "Pin": "1234", "ClientId": "client-1", "ClientToken": CLIENT_TOKEN});
    arrived(world, "Test", "ThirdParty", "Probe", client).await;
}

/// The job's id and nonce, as its worker was offered it.
pub async fn probe_offered(world: &World) -> (String, String) {
    probe_queued(world).await;
    let id = probe()["id"].clone();
    let polled = world.done(Operation::PollForThirdPartyJobs, json!({"actionTypeId": id})).await;
    let job = &polled["jobs"][0]["jobId"];
    let asked = json!({"jobId": job, "clientToken": CLIENT_TOKEN});
    let details = world.done(Operation::GetThirdPartyJobDetails, asked).await;
    let nonce = &details["jobDetails"]["nonce"];
    (job.as_str().unwrap().to_owned(), nonce.as_str().unwrap().to_owned())
}

/// The id of the job that its worker took.
pub async fn probe_taken(world: &World) -> String {
    let (job, nonce) = probe_offered(world).await;
    let taken = json!({"jobId": job, "nonce": nonce, "clientToken": CLIENT_TOKEN});
    world.done(Operation::AcknowledgeThirdPartyJob, taken).await;
    job
}

/// This many tags with different keys.
pub fn tags(count: usize) -> Value {
    (0..count).map(|number| json!({"key": format!("key-{number}"), "value": ""})).collect()
}
