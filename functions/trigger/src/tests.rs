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
    let newest = driver.executions(&name, None, 3).await.unwrap().entities;
    // The other one is the pipeline's first.
    let [store::Entity::Execution(execution), _] = newest.as_slice() else { panic!("{newest:?}") };
    assert_eq!((execution.trigger.kind.as_str(), execution.trigger.detail.as_str()), ("Webhook", arn));
    assert_eq!(execution.overrides[0].value, "v7");
    let noted: Value = serde_json::from_str(&queue.requests()[0].body).unwrap();
    let noted: Value = serde_json::from_str(noted["MessageBody"].as_str().unwrap()).unwrap();
    assert_eq!([&noted["caller"], &noted["source"], &noted["request"]], [arn, "192.0.2.7", "r1"]);
    // A rule of somebody's own can start a pipeline, but not in the name of a webhook.
    let refused = handled(&driver, &queued, "i").await.unwrap().refused;
    assert!(refused[0].reason.contains("unknown field"), "{}", refused[0].reason);
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

/// A driver that knows a pipeline `release` with this trigger, whose source reads `us/app` through the connection `c`.
async fn connected(triggers: Value) -> (Driver, Arc<Outbox>) {
    let (store, outbox) = (Arc::new(MemoryStore::new()), Arc::new(Outbox::default()));
    let clock = Arc::new(TestClock::standing(Timestamp(1_700_000_000_000)));
    let driver = Driver::new(Setup { sources: providers::SOURCES, ..setup(&store, &outbox, &clock) });
    let mut declaration = serde_json::to_value(pipeline::testing::example()).unwrap();
    let source = &mut declaration["stages"][0]["actions"][0];
    source["actionTypeId"]["provider"] = json!("CodeStarSourceConnection");
    let arn = "arn:aws:codestar-connections:eu-west-1:111122223333:connection/c";
    source["configuration"] = json!({"ConnectionArn": arn, "FullRepositoryId": "Us/App", "BranchName": "main"});
    declaration["stages"][1]["actions"][0]["configuration"]["ObjectKey"] = json!("site.zip");
    declaration["triggers"] = triggers;
    create(&driver, serde_json::from_value(declaration).unwrap()).await;
    while outbox.take().is_some() {}
    (driver, outbox)
}

/// A push to a branch as the door for deliveries puts it into the queue.
fn pushed(branch: &str, token: &str, files: Value) -> Value {
    queued(&json!({"git": {
        "watched": "connection/c/us/app", "token": token,
        "by": {"caller": "connection/c", "source": "192.0.2.7", "request": "r1"},
        "event": {"repository": "us/app", "commit": "c0ffee00", "message": "Faster", "author": "Kim", "files": files,
            "change": {"branch": {"name": branch, "before": "decade00"}}},
    }}))
}

async fn newest(driver: &Driver) -> engine::Execution {
    let name = PipelineName::new("release").unwrap();
    let newest = driver.executions(&name, None, 1).await.unwrap().entities.pop().unwrap();
    let store::Entity::Execution(execution) = newest else { panic!("{newest:?}") };
    execution
}

#[tokio::test]
async fn a_push_to_the_action_s_branch_starts_its_pipeline_once_with_its_commit() {
    let (driver, _) = connected(json!([])).await;
    let started = async |event: &Value| handled(&driver, event, "i").await.unwrap().started;
    assert_eq!(started(&pushed("other", "t1", json!(null))).await, 0);
    assert_eq!(started(&pushed("main", "t2", json!(null))).await, 1);
    assert_eq!(started(&pushed("main", "t2", json!(null))).await, 0, "the same delivery again");
    let execution = newest(&driver).await;
    assert_eq!(
        (execution.overrides[0].kind.as_str(), execution.overrides[0].value.as_str()),
        ("COMMIT_ID", "c0ffee00")
    );
    assert_eq!(execution.overrides[0].change.as_deref(), Some("refs/heads/main"));
    assert_eq!(execution.trigger.kind, "Webhook");
    // Whoever may invoke the function cannot say what a host delivered.
    let body: Value =
        serde_json::from_str(pushed("main", "t3", json!(null))["Records"][0]["body"].as_str().unwrap()).unwrap();
    assert_eq!(handled(&driver, &body, "i").await.unwrap().refused.len(), 1);
}

#[tokio::test]
async fn a_filter_decides_and_its_trigger_says_which() {
    let filter = json!([{"branches": {"includes": ["feature/**"]}, "filePaths": {"includes": ["src/**"]}}]);
    let git = json!({"sourceActionName": "Fetch", "push": filter});
    let triggers = json!([{"providerType": "CodeStarSourceConnection", "gitConfiguration": git}]);
    let (driver, outbox) = connected(triggers).await;
    let started = async |event: &Value| handled(&driver, event, "i").await.unwrap().started;
    assert_eq!(started(&pushed("main", "t1", json!(["src/a"]))).await, 0, "the action's branch counts no more");
    assert_eq!(started(&pushed("feature/x", "t2", json!(["docs/a"]))).await, 0);
    assert_eq!(started(&pushed("feature/x", "t3", json!(["docs/a", "src/a"]))).await, 1);
    let trigger = newest(&driver).await.trigger;
    let detail: Value = serde_json::from_str(&trigger.detail).unwrap();
    assert_eq!(trigger.kind, "WebhookV2");
    assert_eq!((&detail["trigger"], &detail["branch"]), (&json!("push filter 1"), &json!("feature/x")));
    assert_eq!(detail["connectionArn"], "arn:aws:codestar-connections:eu-west-1:111122223333:connection/c");
    while outbox.take().is_some() {}
    // Without the files a worker asks the host.
    assert_eq!(started(&pushed("feature/x", "t4", json!(null))).await, 0);
    let Some(driver::Message::CompareFiles { pipeline, action, delivery }) = outbox.take() else {
        panic!("no message")
    };
    for (files, new) in [(vec!["docs/a"], None), (vec!["src/a"], Some(true)), (vec!["src/a"], Some(false))] {
        let host = Host(Ok(files));
        let started = driver.compare_files(&pipeline, &action, &delivery, &host).await.unwrap();
        assert_eq!(started.map(|it| it.new), new);
    }
    let error = driver.compare_files(&pipeline, &action, &delivery, &Host(Err("busy"))).await.unwrap_err();
    assert!(error.to_string().contains("busy"), "so that the queue delivers it again: {error}");
}

/// A host that says which files differ.
struct Host(Result<Vec<&'static str>, &'static str>);

#[async_trait::async_trait]
impl driver::SourceReader for Host {
    async fn newest(
        &self,
        _: &driver::Task,
        _: Option<&str>,
    ) -> Result<Option<driver::NewestRevision>, driver::ExecutorError> {
        panic!("nothing is polled")
    }

    async fn changed_files(
        &self,
        task: &driver::Task,
        event: &pipeline::git_trigger::GitEvent,
    ) -> Result<Vec<String>, driver::ExecutorError> {
        assert_eq!((task.configuration["FullRepositoryId"].as_str(), event.commit.as_str()), ("Us/App", "c0ffee00"));
        let files = self.0.clone().map_err(|why| driver::ExecutorError(why.into()))?;
        Ok(files.into_iter().map(str::to_owned).collect())
    }
}

/// What is started by an event, and what is refused, where `release` watches this and nothing else.
async fn watched(source: Value, event: &Value) -> Handled {
    let (store, outbox) = (Arc::new(MemoryStore::new()), Arc::new(Outbox::default()));
    let clock = Arc::new(TestClock::standing(Timestamp(1_700_000_000_000)));
    let driver = Driver::new(Setup { sources: providers::SOURCES, ..setup(&store, &outbox, &clock) });
    for name in ["release", "other"] {
        let mut declaration = pipeline::testing::example();
        declaration.name = name.into();
        let action = &mut declaration.stages[0].actions[0];
        action.action_type_id.provider = source["provider"].as_str().unwrap().into();
        action.role_arn = source["role"].as_str().map(str::to_owned);
        action.configuration = Some(serde_json::from_value(source["configuration"].clone()).unwrap());
        declaration.stages[1].actions[0].configuration.as_mut().unwrap().insert("ObjectKey".into(), "app.zip".into());
        create(&driver, declaration).await;
    }
    let first = handled(&driver, &queued(event), "i").await.unwrap();
    let again = handled(&driver, &queued(event), "i").await.unwrap();
    assert_eq!(again.started, 0, "{event}");
    first
}

#[tokio::test]
async fn events_of_each_kind_start_every_pipeline_once_or_none() {
    let s3 = json!({"provider": "S3", "configuration": {"S3Bucket": "b", "S3ObjectKey": "k", "PollForSourceChanges": "true"}});
    let image = json!({"provider": "ECR", "configuration": {"RepositoryName": "team/shop", "ImageTag": "v1"}});
    let branch = json!({"provider": "CodeCommit", "configuration": {"RepositoryName": "shop", "BranchName": "main"}});
    let away = json!({"provider": "CodeCommit", "role": "arn:aws:iam::444455556666:role/reader",
        "configuration": {"RepositoryName": "shop", "BranchName": "main"}});
    let event = |source: &str, kind: &str, account: &str, region: &str, detail: Value| {
        json!({"version": "0", "id": "e1", "source": source, "detail-type": kind, "account": account, "region": region,
            "time": "2026-11-26T10:00:00Z", "resources": [], "detail": detail})
    };
    let object = |key: &str| json!({"bucket": {"name": "b"}, "object": {"key": key, "version-id": "v1"}});
    let call = |name: &str, key: &str, error: Value| {
        json!({"eventSource": "s3.amazonaws.com", "eventName": name, "eventID": "1", "errorCode": error,
            "requestParameters": {"bucketName": "b", "key": key}, "responseElements": {"x-amz-version-id": "v1"}})
    };
    let push = |action: &str, result: &str, tag: &str| json!({"action-type": action, "result": result, "repository-name": "team/shop", "image-digest": "sha256:1", "image-tag": tag});
    let moved = |kind: &str, of: &str, name: &str| json!({"event": kind, "referenceType": of, "referenceName": name, "repositoryName": "shop", "commitId": "1a"});
    let (home, other) = ("111122223333", "444455556666");
    let (created, called) = ("Object Created", "AWS API Call via CloudTrail");
    let (image_kind, branch_kind) = ("ECR Image Action", "CodeCommit Repository State Change");
    let region = "eu-west-1";
    for (source, event, started) in [
        (&s3, event("aws.s3", created, home, region, object("k")), 2),
        (&s3, event("aws.s3", created, other, "us-east-1", object("k")), 2),
        (&s3, event("aws.s3", created, home, region, object("other")), 0),
        (&s3, event("aws.s3", called, home, region, call("PutObject", "k", Value::Null)), 2),
        (&s3, event("aws.s3", called, home, region, call("CompleteMultipartUpload", "k", Value::Null)), 2),
        (&s3, event("aws.s3", called, home, region, call("PutObject", "k", "AccessDenied".into())), 0),
        (&s3, event("aws.s3", called, home, region, call("DeleteObject", "k", Value::Null)), 0),
        (&s3, event("aws.s3", called, home, region, call("CopyObject", "other", Value::Null)), 0),
        (&image, event("aws.ecr", image_kind, home, region, push("PUSH", "SUCCESS", "v1")), 2),
        (&image, event("aws.ecr", image_kind, home, region, push("PUSH", "FAILURE", "v1")), 0),
        (&image, event("aws.ecr", image_kind, home, region, push("DELETE", "SUCCESS", "v1")), 0),
        (&image, event("aws.ecr", image_kind, home, region, push("PUSH", "SUCCESS", "v2")), 0),
        (&image, event("aws.ecr", image_kind, home, "us-east-1", push("PUSH", "SUCCESS", "v1")), 0),
        (&image, event("aws.ecr", image_kind, other, region, push("PUSH", "SUCCESS", "v1")), 0),
        (&branch, event("aws.codecommit", branch_kind, home, region, moved("referenceUpdated", "branch", "main")), 2),
        (&branch, event("aws.codecommit", branch_kind, home, region, moved("referenceCreated", "branch", "main")), 2),
        (&branch, event("aws.codecommit", branch_kind, home, region, moved("referenceDeleted", "branch", "main")), 0),
        (&branch, event("aws.codecommit", branch_kind, home, region, moved("referenceUpdated", "tag", "main")), 0),
        (&branch, event("aws.codecommit", branch_kind, home, region, moved("referenceUpdated", "branch", "dev")), 0),
        (&branch, event("aws.codecommit", branch_kind, other, region, moved("referenceUpdated", "branch", "main")), 0),
        (&away, event("aws.codecommit", branch_kind, other, region, moved("referenceUpdated", "branch", "main")), 2),
        (&away, event("aws.codecommit", branch_kind, home, region, moved("referenceUpdated", "branch", "main")), 0),
    ] {
        assert_eq!(watched(source.clone(), &event).await, Handled { started, refused: vec![] }, "{event}");
    }
}

#[tokio::test]
async fn a_pipeline_with_two_sources_that_change_together_starts_once_with_both() {
    let (store, outbox) = (Arc::new(MemoryStore::new()), Arc::new(Outbox::default()));
    let clock = Arc::new(TestClock::standing(Timestamp(1_700_000_000_000)));
    let driver = Driver::new(Setup { sources: providers::SOURCES, ..setup(&store, &outbox, &clock) });
    let mut declaration = pipeline::testing::example();
    let mut second = declaration.stages[0].actions[0].clone();
    second.name = "Again".into();
    second.namespace = None;
    second.output_artifacts.as_mut().unwrap()[0].name = "Second".into();
    declaration.stages[0].actions.push(second);
    let configuration = declaration.stages[0].actions[0].configuration.clone().unwrap();
    create(&driver, declaration).await;
    let event = json!({"id": "e", "source": "aws.s3", "detail-type": "Object Created", "detail": {
        "bucket": {"name": configuration["S3Bucket"]}, "object": {"key": configuration["S3ObjectKey"], "version-id": "v9"}}});
    assert_eq!(handled(&driver, &queued(&event), "i").await.unwrap().started, 1);
    let newest =
        driver.executions(&PipelineName::new("release").unwrap(), None, 1).await.unwrap().entities.pop().unwrap();
    let store::Entity::Execution(execution) = newest else { panic!("{newest:?}") };
    let mut revisions: Vec<_> = execution.overrides.iter().map(|it| (it.action.as_str(), it.value.as_str())).collect();
    revisions.sort_unstable();
    assert_eq!(revisions, [("Again", "v9"), ("Fetch", "v9")]);
}
