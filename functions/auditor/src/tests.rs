//! What of events comes into the log, over S3 as the SDK's client sees it.

use async_trait::async_trait;
use audit::{Checker, Fault, PortError, Tip, What, lines};
use engine::{ActionStatus, ExecutionStatus, StageStatus};
use futures::future::join_all;
use store::{Entity, MemoryStore};
use testkit::samples::{execution, stage_run};
use testkit::{Aws, Stub, Template};

use super::*;

struct World {
    aws: Aws,
    bucket: Bucket,
    tips: TableTips,
}

impl World {
    fn new() -> Self {
        let aws = Aws::default();
        let s3 = aws_sdk_s3::config::Builder::from(&aws.config()).force_path_style(true).build();
        let bucket = Bucket::new(aws_sdk_s3::Client::from_conf(s3), "log");
        Self { aws, bucket, tips: TableTips::new(Arc::new(MemoryStore::default())) }
    }

    async fn deliver(&self, records: Vec<Value>) -> Value {
        handle(&self.bucket, &self.tips, &json!({"Records": records})).await.unwrap()
    }

    /// All that is in the log, which must be as it was written.
    async fn recorded(&self) -> Vec<Record> {
        let mut checker = Checker::whole();
        if let Some(tip) = self.tips.load().await.unwrap() {
            checker = checker.noted(tip);
        }
        let mut records = Vec::new();
        for (number, path) in (1..).zip(self.aws.paths("log")) {
            assert_eq!(path, audit::key(number));
            let object = self.aws.stored(&format!("log/{path}")).data;
            records.extend(lines(&object).map(|line| line.unwrap().record));
            checker.object(number, &object);
        }
        assert_eq!(checker.finish(), Vec::<Fault>::new());
        records
    }
}

fn image(entity: &Entity, caller: &str) -> Value {
    json!({
        "rev": {"N": "3"}, "kind": {"S": entity.kind()}, "body": {"S": entity.to_json().unwrap()},
        "changed_by": {"M": {"caller": {"S": caller}, "source": {"S": "203.0.113.7"}, "request": {"S": "r1"}}},
    })
}

fn change(id: &str, key: (&str, &str), old: Value, new: Value) -> Value {
    let mut change = json!({"ApproximateCreationDateTime": 1_795_441_779, "SequenceNumber": "1",
        "Keys": {"pk": {"S": key.0}, "sk": {"S": key.1}}});
    let name = match (&old, &new) {
        (Value::Null, _) => "INSERT",
        (_, Value::Null) => "REMOVE",
        _ => "MODIFY",
    };
    for (member, image) in [("OldImage", old), ("NewImage", new)] {
        if !image.is_null() {
            change[member] = image;
        }
    }
    json!({"eventID": id, "eventName": name, "eventSource": "aws:dynamodb", "dynamodb": change})
}

fn call(id: &str, time: &str) -> Value {
    let record = Record {
        id: id.into(),
        time: time.into(),
        what: What::Call { operation: "GetPipeline".into(), result: "ok".into() },
        pipeline: Some("release".into()),
        execution: None,
        caller: Some("arn:aws:iam::111122223333:user/ada".into()),
        source: None,
        request: Some("r2".into()),
    };
    let body = serde_json::to_string(&record).unwrap();
    json!({"eventSource": "aws:sqs", "messageId": format!("message-{id}"), "body": body})
}

#[tokio::test]
async fn a_change_is_recorded_with_who_caused_it_and_what_it_meant() {
    let world = World::new();
    let (mut running, mut failed) = (stage_run(), stage_run());
    running.status = StageStatus::InProgress;
    running.actions[0].status = ActionStatus::Running;
    failed.status = StageStatus::Failed;
    let ended = engine::Execution { status: ExecutionStatus::Failed, ..execution() };
    let id = execution().id;
    let partition = format!("E#{id}");
    let ada = "arn:aws:iam::111122223333:user/ada";
    let image = |entity| image(&entity, ada);
    world
        .deliver(vec![
            change("e1", (&partition, "STAGE#001#00001"), image(Entity::Stage(running)), image(Entity::Stage(failed))),
            change(
                "e2",
                (&partition, "EXECUTION"),
                image(Entity::Execution(execution())),
                image(Entity::Execution(ended.clone())),
            ),
        ])
        .await;
    let [stage, execution] = &world.recorded().await[..] else { panic!("two changes") };
    assert_eq!((stage.id.as_str(), stage.time.as_str()), ("e1", "2026-11-23T13:49:39.000Z"));
    let members = [&stage.pipeline, &stage.execution, &stage.caller, &stage.source, &stage.request];
    let expected = ["release", &id.to_string(), ada, "203.0.113.7", "r1"].map(|text| Some(text.to_owned()));
    assert_eq!(members, expected.each_ref());
    let What::Change { change, item, key, revision, states, before, after } = &stage.what else { panic!("{stage:?}") };
    assert_eq!([change, item, key], ["MODIFY", "STAGE", &format!("{partition}/STAGE#001#00001")]);
    assert_eq!(
        (*revision, states.as_slice()),
        (Some(3), &["Deploy/Publish FAILED", "Deploy FAILED"].map(str::to_owned)[..])
    );
    assert!(before.is_some() && before != after);
    let What::Change { states, after, .. } = &execution.what else { panic!("{execution:?}") };
    assert_eq!(states, &["FAILED"]);
    let body = Entity::Execution(ended).to_json().unwrap();
    assert_eq!(after.as_deref().map(|hash| &hash[..8]), Some(&testkit_hash(&body)[..8]), "of the item's content");
}

fn testkit_hash(text: &str) -> String {
    use sha2::{Digest, Sha256};
    hex::encode(Sha256::digest(text))
}

#[tokio::test]
async fn what_an_item_holds_is_in_no_line() {
    let world = World::new();
    let body = json!({"pipeline": "release", "declaration": {"token": "the-secret"}}).to_string();
    let image = json!({"rev": {"N": "1"}, "kind": {"S": "DECLARATION"}, "body": {"S": body}});
    world.deliver(vec![change("e1", ("P#release", "V#1#0000000001"), Value::Null, image)]).await;
    let object = world.aws.stored("log/audit/00000000000001.jsonl").data;
    assert!(!String::from_utf8(object).unwrap().contains("the-secret"));
    assert_eq!(world.recorded().await[0].pipeline.as_deref(), Some("release"));
}

#[tokio::test]
async fn removals_and_what_cannot_be_read_are_recorded_with_what_is_known() {
    let world = World::new();
    let gone = json!({"rev": {"N": "1"}, "kind": {"S": "TOKEN"}, "body": {"S": "{\"pipeline\": \"release\"}"}});
    let mut expired = change("e1", ("L#release", "TOKEN#1#t"), gone.clone(), Value::Null);
    expired["userIdentity"] = json!({"principalId": "dynamodb.amazonaws.com", "type": "Service"});
    let removed = change("e2", ("L#release", "TOKEN#1#u"), gone, Value::Null);
    let broken = json!({"kind": {"S": "EXECUTION"}, "body": {"S": "{"}});
    world
        .deliver(vec![
            expired,
            removed,
            change("e3", ("E#1", "EXECUTION"), Value::Null, broken),
            json!({"eventSource": "aws:dynamodb"}),
        ])
        .await;
    let recorded = world.recorded().await;
    let told: Vec<_> =
        recorded.iter().map(|it| (it.id.as_str(), it.caller.as_deref(), it.pipeline.as_deref())).collect();
    let expected = [
        ("", None, None),
        ("e1", Some("dynamodb.amazonaws.com"), Some("release")),
        ("e2", None, Some("release")),
        ("e3", None, None),
    ];
    assert_eq!(told, expected, "the one without a time comes first");
}

#[tokio::test]
async fn the_log_does_not_record_itself() {
    let world = World::new();
    let tip = Entity::AuditTip(Tip::start());
    world.deliver(vec![change("e1", ("A#AUDIT", "TIP"), Value::Null, image(&tip, "millrace-auditor"))]).await;
    assert_eq!(world.aws.paths("log"), Vec::<String>::new(), "an object without a line would be none");
}

#[tokio::test]
async fn calls_are_in_their_order_and_a_message_that_is_none_stays_in_the_queue() {
    let world = World::new();
    let strange = json!({"eventSource": "aws:sqs", "messageId": "strange", "body": "{\"operation\": \"GetPipeline\"}"});
    let (late, early) = (call("2", "2026-11-26T15:48:05.002Z"), call("1", "2026-11-26T15:48:05.001Z"));
    let answer = world.deliver(vec![late, strange, early]).await;
    assert_eq!(answer, json!({"batchItemFailures": [{"itemIdentifier": "strange"}]}));
    let ids: Vec<_> = world.recorded().await.into_iter().map(|record| record.id).collect();
    assert_eq!(ids, ["1", "2"]);
}

#[tokio::test]
async fn each_object_is_put_on_the_condition_that_there_is_none_and_with_its_checksum() {
    let world = World::new();
    world.deliver(vec![call("1", "now")]).await;
    let [put] = &world.aws.calls("PutObject")[..] else { panic!("one object") };
    assert_eq!((put.path.as_str(), put.header("if-none-match")), ("log/audit/00000000000001.jsonl", "*"));
    assert!(!put.header("x-amz-checksum-sha256").is_empty(), "a bucket with object lock takes nothing without");
}

#[tokio::test]
async fn several_auditors_at_once_make_one_chain() {
    let world = World::new();
    let world = &world;
    join_all((0..8).map(|batch| async move {
        for part in 0..3 {
            world.deliver(vec![call(&format!("{batch}.{part}"), "now")]).await;
        }
    }))
    .await;
    assert_eq!(world.recorded().await.len(), 24);
    assert_eq!(world.tips.load().await.unwrap().map(|tip| (tip.object, tip.line)), Some((24, 24)));
}

/// A table that fails when the tip is to be noted.
struct Unwritable<'a>(&'a TableTips);

#[async_trait]
impl Tips for Unwritable<'_> {
    async fn load(&self) -> Result<Option<Tip>, PortError> {
        self.0.load().await
    }

    async fn note(&self, _: &Tip) -> Result<(), PortError> {
        Err(PortError("the table is away".into()))
    }
}

#[tokio::test]
async fn who_dies_between_the_object_and_the_tip_has_the_batch_again_and_it_is_recorded_once() {
    let world = World::new();
    world.deliver(vec![call("1", "now")]).await;
    let batch = json!({"Records": [call("2", "now"), call("3", "now")]});
    let error = handle(&world.bucket, &Unwritable(&world.tips), &batch).await.unwrap_err();
    assert!(error.to_string().contains("the table is away"), "{error}");
    // The same again, and with others: by then somebody else may have been there.
    handle(&world.bucket, &world.tips, &batch).await.unwrap();
    world.deliver(vec![call("4", "now")]).await;
    let ids: Vec<_> = world.recorded().await.into_iter().map(|record| record.id).collect();
    assert_eq!(ids, ["1", "2", "3", "4"]);
}

#[tokio::test]
async fn what_s3_refuses_fails_and_is_delivered_again() {
    let world = World::new();
    let denied = "<Error><Code>AccessDenied</Code><Message>The words of S3.</Message></Error>";
    world.aws.on("PutObject", 403, denied);
    let batch = json!({"Records": [call("1", "now")]});
    let error = format!("{:#}", handle(&world.bucket, &world.tips, &batch).await.unwrap_err());
    assert!(error.contains("AccessDenied: The words of S3.") && error.contains("bucket log"), "{error}");
    assert!(world.tips.load().await.unwrap().is_none());
}

#[test]
fn its_environment_is_what_it_reads_and_nothing_else() {
    let environment = Template::home().environment("AuditorFunction");
    let settings = Settings::read(environment.lookup()).unwrap();
    wire(&settings, &Clients::from_config(Stub::unused().config())).unwrap();
    environment.assert_read();
}
