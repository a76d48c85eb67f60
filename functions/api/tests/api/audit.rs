//! Who changed what, in the table, and who called what, on its way into the audit log.

use conformance::world::{CALLER, World};
use pipeline::PipelineName;
use serde_json::{Value, json};
use store::{ChangeOrigin, Key};

use super::{in_both, refused, release};

/// What happened, of all calls that the auditor was told of.
fn calls(world: &World) -> Vec<Value> {
    let call = |line: Value| {
        let member = |name: &str| line[name].clone();
        assert_eq!([member("caller"), member("source")], [json!(CALLER), json!("127.0.0.1")], "{line}");
        assert_eq!(member("request"), "gateway-request-1", "{line}");
        json!([member("operation"), member("pipeline"), member("result")])
    };
    let sent = world.aws.calls("SendMessage").into_iter().map(|call| call.json()["MessageBody"].clone());
    sent.map(|body| call(serde_json::from_str(body.as_str().unwrap()).unwrap())).collect()
}

fn origin(world: &World, key: &Key) -> ChangeOrigin {
    world.store.changed_by(key).unwrap()
}

#[tokio::test]
async fn each_change_says_who_caused_it_in_the_table_and_each_call_is_told_to_the_auditor() {
    in_both(|world, client| async move {
        client.create_pipeline().pipeline(release("release", &[])).send().await.unwrap();
        let started = client.start_pipeline_execution().name("release").send().await.unwrap();
        client.get_pipeline().name("release").send().await.unwrap();
        client.list_pipelines().send().await.unwrap();
        refused!(client.start_pipeline_execution().name("gone"));
        refused!(client.get_pipeline().name("gone"));
        let expected = json!([
            ["CreatePipeline", "release", "ok"],
            ["StartPipelineExecution", "release", "ok"],
            ["GetPipeline", "release", "asked"],
            ["ListPipelines", null, "asked"],
            ["StartPipelineExecution", "gone", "PipelineNotFoundException"],
            ["GetPipeline", "gone", "asked"],
            ["GetPipeline", "gone", "PipelineNotFoundException"],
        ]);
        assert_eq!(json!(calls(&world)), expected);
        let by = ChangeOrigin {
            caller: CALLER.into(),
            source: Some("127.0.0.1".into()),
            request: "gateway-request-1".into(),
        };
        assert_eq!(origin(&world, &Key::Head(PipelineName::new("release").unwrap())), by);
        let execution = Key::Execution(started.pipeline_execution_id().unwrap().parse().unwrap());
        assert_eq!(origin(&world, &execution), by);
        // What a function does by itself it does in its own name.
        let worker = ChangeOrigin { caller: "millrace-worker".into(), source: None, request: "invocation-1".into() };
        worker.clone().scope(Box::pin(world.work())).await;
        assert_eq!(origin(&world, &execution), worker);
        assert_eq!(calls(&world).len(), 7, "nobody has asked for anything more");
    })
    .await;
}

#[tokio::test]
async fn a_path_for_another_pipeline_is_refused_and_audited() {
    let world = World::new();
    let headers = [("content-type", "application/x-amz-json-1.1")];
    let body = json!({"name": "other"}).to_string();
    let path = "/pipelines/release/StartPipelineExecution";
    let (status, ..) = world.deliver(path, &headers, body.as_bytes()).await;
    assert_eq!(status, 400);
    assert_eq!(calls(&world), [json!(["StartPipelineExecution", "other", "ValidationException"])]);
}

#[tokio::test]
async fn what_cannot_even_be_read_is_audited_too() {
    let world = World::new();
    let headers = [("content-type", "application/x-amz-json-1.1")];
    let operation = |name: &str| format!("/service/CodePipeline_20150709/operation/{name}");
    for (path, body) in [(operation("StopPipelineExecution"), "{"), (operation("DropEverything"), "{}")] {
        assert_eq!(world.deliver(&path, &headers, body.as_bytes()).await.0, 400);
    }
    let expected = [
        json!(["StopPipelineExecution", null, "SerializationException"]),
        json!(["unknown", null, "UnknownOperationException"]),
    ];
    assert_eq!(calls(&world), expected);
}

#[tokio::test]
async fn a_call_is_answered_though_the_auditor_cannot_be_told() {
    let world = World::new();
    world.aws.fail("SendMessage", 500, "InternalError", "no");
    assert_eq!(world.done(wire::Operation::ListPipelines, json!({})).await, json!({"pipelines": []}));
}
