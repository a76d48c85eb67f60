//! Who changed what: in the table and in the audit log.

use conformance::world::{CALLER, World};
use pipeline::PipelineName;
use serde_json::{Value, json};
use store::{ChangeOrigin, Key};
use testkit::TestLog;

use super::{in_both, refused, release};

/// The members of the lines that are about what happened.
fn lines(log: &TestLog) -> Vec<Value> {
    let line = |line: Value| {
        let member = |name: &str| line[name].clone();
        assert_eq!([member("caller"), member("source")], [json!(CALLER), json!("127.0.0.1")], "{line}");
        assert_eq!(member("request"), "gateway-request-1", "{line}");
        json!([member("operation"), member("pipeline"), member("result")])
    };
    log.of("audit").into_iter().map(line).collect()
}

fn origin(world: &World, key: &Key) -> ChangeOrigin {
    world.store.changed_by(key).unwrap()
}

#[tokio::test]
async fn each_change_says_who_caused_it_in_the_table_and_in_one_line_of_the_audit_log() {
    in_both(|world, client| async move {
        let log = TestLog::begin();
        client.create_pipeline().pipeline(release("release", &[])).send().await.unwrap();
        let started = client.start_pipeline_execution().name("release").send().await.unwrap();
        client.get_pipeline().name("release").send().await.unwrap();
        client.list_pipelines().send().await.unwrap();
        refused!(client.start_pipeline_execution().name("gone"));
        refused!(client.get_pipeline().name("gone"));
        let expected = json!([
            ["CreatePipeline", "release", "ok"],
            ["StartPipelineExecution", "release", "ok"],
            ["StartPipelineExecution", "gone", "PipelineNotFoundException"],
        ]);
        assert_eq!(json!(lines(&log)), expected);
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
        assert_eq!(log.of("audit").len(), 3, "nobody has asked for anything more");
    })
    .await;
}

#[tokio::test]
async fn a_path_for_another_pipeline_is_refused_and_audited() {
    let world = World::new();
    let log = TestLog::begin();
    let headers = [("content-type", "application/x-amz-json-1.1")];
    let body = json!({"name": "other"}).to_string();
    let path = "/pipelines/release/StartPipelineExecution";
    let (status, ..) = world.deliver(path, &headers, body.as_bytes()).await;
    assert_eq!(status, 400);
    assert_eq!(lines(&log), [json!(["StartPipelineExecution", "other", "ValidationException"])]);
}
