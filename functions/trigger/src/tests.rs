//! What comes of events, over a real driver and the in-memory store.

use std::sync::Arc;

use driver::Setup;
use engine::Timestamp;
use pipeline::PipelineName;
use runtime::{Clients, Settings};
use store::MemoryStore;
use testkit::{Answer, Outbox, Stub, TestClock, create, setup};

use super::*;

/// A driver that knows the pipeline `release` of the domain's example.
async fn driver() -> Driver {
    let (store, outbox) = (Arc::new(MemoryStore::new()), Arc::new(Outbox::default()));
    let clock = Arc::new(TestClock::standing(Timestamp(1_700_000_000_000)));
    let driver = Driver::new(Setup { sources: providers::SOURCES, ..setup(&store, &outbox, &clock) });
    create(&driver, pipeline::testing::example()).await;
    driver
}

/// A queue that takes every call.
fn queue() -> Stub {
    Stub::new(|_| Answer::ok(r#"{"MessageId": "m"}"#))
}

fn calls(queue: &Stub) -> CallLog {
    let environment = |name| match name {
        "AWS_REGION" => Some("eu-west-1".into()),
        "MILLRACE_AUDIT_QUEUE_URL" => Some("https://queue".into()),
        _ => None,
    };
    CallLog::new(&Settings::read(environment).unwrap(), &Clients::from_config(queue.config())).unwrap()
}

async fn handled(driver: &Driver, event: &Value, invocation: &str) -> anyhow::Result<Handled> {
    handle(driver, &calls(&queue()), event, invocation).await
}

fn queued(body: &Value) -> Value {
    json!({"Records": [{"messageId": "m1", "body": body.to_string()}]})
}

#[tokio::test]
async fn a_rule_gives_its_pipeline_source_revisions() {
    let driver = driver().await;
    let event = json!({"pipeline": "release", "sourceRevisions": [
        {"actionName": "Fetch", "revisionType": "S3_OBJECT_VERSION_ID", "revisionValue": "v7"}]});
    assert_eq!(handled(&driver, &event, "i1").await.unwrap(), Handled { started: 1, refused: vec![] });
    assert_eq!(handled(&driver, &event, "i1").await.unwrap().started, 0, "the same invocation again");
    let name = PipelineName::new("release").unwrap();
    let newest = driver.executions(&name, None, 1).await.unwrap().entities.pop().unwrap();
    let store::Entity::Execution(execution) = newest else { panic!("{newest:?}") };
    assert_eq!(execution.overrides[0].value, "v7");
    assert_eq!(execution.trigger.kind, "CloudWatchEvent");
}

#[tokio::test]
async fn a_start_by_an_event_comes_into_the_audit_log_in_the_functions_own_name() {
    let driver = driver().await;
    let queue = queue();
    let function = store::ChangeOrigin { caller: "millrace-trigger".into(), source: None, request: "i1".into() };
    let events = [json!({"pipeline": "release"}), json!({"pipeline": "gone"})];
    for event in &events {
        function.clone().scope(Box::pin(handle(&driver, &calls(&queue), event, "i1"))).await.unwrap();
    }
    let members = |line: Value| ["operation", "pipeline", "caller", "request", "result"].map(|name| line[name].clone());
    let line = |pipeline, result| {
        ["StartPipelineExecution", pipeline, "millrace-trigger", "i1", result].map(|text: &str| Value::from(text))
    };
    let sent = queue.requests().into_iter().map(|request| {
        let request: Value = serde_json::from_str(&request.body).unwrap();
        serde_json::from_str(request["MessageBody"].as_str().unwrap()).unwrap()
    });
    let found: Vec<_> = sent.map(members).collect();
    assert_eq!(found, [line("release", "ok"), line("gone", "refused")]);
}

#[tokio::test]
async fn what_a_webhook_asks_for_is_started_once_on_behalf_of_its_caller() {
    let driver = driver().await;
    let arn = "arn:aws:codepipeline:eu-west-1:111122223333:webhook:push";
    let queued = json!({
        "start": {
            "pipeline": "release", "trigger": {"kind": "Webhook", "detail": arn}, "variables": {},
            "overrides": [{"action": "Fetch", "kind": "S3_OBJECT_VERSION_ID", "value": "v7"}], "clientToken": "webhook#1",
        },
        "by": {"caller": arn, "source": "192.0.2.7", "request": "r1"},
    });
    let queue = queue();
    for started in [1, 0] {
        let event = json!({"Records": [{"messageId": format!("m{started}"), "body": queued.to_string()}]});
        let handled = handle(&driver, &calls(&queue), &event, "i").await.unwrap();
        assert_eq!(handled, Handled { started, refused: vec![] });
    }
    let name = PipelineName::new("release").unwrap();
    let newest = driver.executions(&name, None, 2).await.unwrap().entities;
    let [store::Entity::Execution(execution)] = newest.as_slice() else { panic!("{newest:?}") };
    assert_eq!((execution.trigger.kind.as_str(), execution.trigger.detail.as_str()), ("Webhook", arn));
    assert_eq!(execution.overrides[0].value, "v7");
    let noted: Value = serde_json::from_str(&queue.requests()[0].body).unwrap();
    let noted: Value = serde_json::from_str(noted["MessageBody"].as_str().unwrap()).unwrap();
    assert_eq!([&noted["caller"], &noted["source"], &noted["request"]], [arn, "192.0.2.7", "r1"]);
    // A rule of somebody's own can start a pipeline, but not in the name of a webhook.
    let refused = handled(&driver, &queued, "i").await.unwrap().refused;
    assert!(refused[0].reason.contains("unknown field `start`"), "{}", refused[0].reason);
}

#[tokio::test]
async fn what_cannot_be_started_is_refused_with_its_reason() {
    let driver = driver().await;
    for (body, reason) in [
        (json!({"name": "release"}), "unknown field `name`"),
        (json!({"pipeline": "gone"}), "the pipeline gone was not started"),
        (json!({"pipeline": "release", "variables": [{"name": "Nothing", "value": "x"}]}), "'Nothing'"),
        (
            json!({"pipeline": "release", "sourceRevisions": [
                {"actionName": "Other", "revisionType": "COMMIT_ID", "revisionValue": "1"}]}),
            "'Other'",
        ),
    ] {
        let handled = handled(&driver, &queued(&body), "i").await.unwrap();
        let [refused] = handled.refused.as_slice() else { panic!("{body}: {handled:?}") };
        assert_eq!((handled.started, refused.body.as_str()), (0, body.to_string().as_str()));
        assert!(refused.reason.contains(reason), "{}", refused.reason);
    }
}

#[tokio::test]
async fn an_object_that_nobody_watches_is_nothing_to_speak_of() {
    let event = json!({"id": "e", "source": "aws.s3", "detail-type": "Object Created", "detail": {
        "bucket": {"name": "other"}, "object": {"key": "app.zip", "version-id": "v1"}}});
    assert_eq!(handled(&driver().await, &queued(&event), "i").await.unwrap(), Handled::default());
}

#[test]
fn its_environment_is_what_it_reads_and_nothing_else() {
    let environment = testkit::Template::home().environment("TriggerFunction");
    let settings = runtime::Settings::read(environment.lookup()).unwrap();
    crate::wire(&settings, &runtime::Clients::from_config(testkit::Stub::unused().config())).unwrap();
    environment.assert_read();
}
