use std::sync::Arc;

use driver::{Driver, Message, Outcome};
use engine::{ActionId, Artifact, Pin, Success, Timestamp};
use pipeline::declaration::{ArtifactStore, EncryptionKey};
use pipeline::{ArtifactName, Declaration};
use runtime::Roles;
use serde_json::{Value, json};
use store::MemoryStore;
use testkit::{Aws, Outbox, TestClock, TestExecutor, create, setup};

use super::{Event, handle};

const HOME: &str = "eu-west-1";
const MADE: &str = "store-eu-west-1/release/App/x";

/// A pipeline whose artifact is made in eu-west-1 and read in two other regions.
fn declaration() -> Declaration {
    let mut declaration = pipeline::testing::example();
    declaration.artifact_store = None;
    let store = |region: &str| ArtifactStore {
        kind: "S3".into(),
        location: format!("store-{region}"),
        encryption_key: (region == "us-west-2")
            .then(|| EncryptionKey { id: "arn:aws:kms:us-west-2:111122223333:key/k".into(), kind: "KMS".into() }),
    };
    let regions = [HOME, "us-west-2", "ap-southeast-1"];
    declaration.artifact_stores = Some(regions.iter().map(|region| ((*region).to_owned(), store(region))).collect());
    let publish = declaration.stages[1].actions[0].clone();
    for (index, region) in regions[1..].iter().enumerate() {
        let mut action = publish.clone();
        action.name = format!("Publish{index}");
        action.region = Some((*region).to_owned());
        declaration.stages[1].actions.push(action);
    }
    declaration
}

fn artifact() -> Artifact {
    Artifact {
        name: ArtifactName::new("App").unwrap(),
        region: HOME.into(),
        bucket: format!("store-{HOME}"),
        key: "release/App/x".into(),
        pin: Pin { version: None, sha256: Some(testkit::sha256(b"data")) },
    }
}

/// An installation in which the source has made its artifact.
struct TestEnvironment {
    aws: Aws,
    driver: Driver,
    /// What the source's end has dispatched for the replicator.
    message: Message,
}

impl TestEnvironment {
    async fn new() -> Self {
        let outbox = Arc::new(Outbox::default());
        let (store, clock) = (Arc::new(MemoryStore::new()), Arc::new(TestClock::ticking(Timestamp(0))));
        let driver = Driver::new(setup(&store, &outbox, &clock));
        create(&driver, declaration()).await;
        let source =
            TestExecutor::new(|_: &_| Outcome::Succeeded(Success { outputs: vec![artifact()], ..Success::default() }));
        // The worker does the source and has no time for more.
        driver.work(outbox.take().unwrap(), &source, Timestamp(0)).await.unwrap();
        let message = std::iter::from_fn(|| outbox.take()).find(|it| matches!(it, Message::Replicate { .. }));
        Self { aws: Aws::default(), driver, message: message.unwrap() }
    }

    fn make_artifact(&self) {
        self.aws.plain_object(MADE, b"data");
        self.aws.checksummed(MADE);
    }

    async fn bring(&self, detail: Value) -> anyhow::Result<()> {
        let event = json!({"source": "millrace.internal", "detail-type": "Replicate", "detail": detail});
        let event: Event = serde_json::from_value(event).unwrap();
        handle(&self.driver, &Roles::new(&self.aws.config(), "111122223333"), event).await
    }

    async fn replicate(&self) -> anyhow::Result<()> {
        self.bring(serde_json::to_value(&self.message).unwrap()).await
    }
}

#[tokio::test]
async fn every_region_gets_its_copy_under_its_own_key_and_a_second_message_copies_nothing() {
    let environment = TestEnvironment::new().await;
    environment.make_artifact();
    environment.replicate().await.unwrap();
    environment.replicate().await.unwrap();
    let aws = &environment.aws;
    let mut copies = aws.calls("CopyObject");
    copies.sort_by(|one, other| one.region.cmp(&other.region));
    let seen: Vec<_> = copies.iter().map(|copy| (copy.region.as_str(), copy.path.as_str())).collect();
    let expected =
        [("ap-southeast-1", "store-ap-southeast-1/release/App/x"), ("us-west-2", "store-us-west-2/release/App/x")];
    assert_eq!(seen, expected);
    let key = "x-amz-server-side-encryption-aws-kms-key-id";
    assert_eq!(copies[0].header(key), "alias/aws/s3");
    assert_eq!(copies[1].header(key), "arn:aws:kms:us-west-2:111122223333:key/k");
    assert!(copies.iter().all(|copy| copy.role == "release"));
    assert!(aws.calls("GetObject").is_empty(), "no byte passes through");
}

#[tokio::test]
async fn only_what_may_succeed_later_is_tried_again() {
    let environment = TestEnvironment::new().await;
    // There is no artifact: nothing to wait for.
    environment.replicate().await.unwrap();
    environment.make_artifact();
    environment.aws.on("CopyObject", 403, "<Error><Code>AccessDenied</Code><Message>No.</Message></Error>");
    environment.replicate().await.unwrap();
    environment.aws.on("CopyObject", 503, "<Error><Code>SlowDown</Code><Message>Later.</Message></Error>");
    let error = environment.replicate().await.unwrap_err().to_string();
    assert!(error.contains("store-us-west-2") && error.contains("store-ap-southeast-1"), "{error}");
}

#[tokio::test]
async fn what_the_table_does_not_know_is_not_copied_whatever_the_event_says() {
    let environment = TestEnvironment::new().await;
    environment.make_artifact();
    environment.aws.plain_object("store-eu-west-1/secret", b"data");
    environment.aws.checksummed("store-eu-west-1/secret");
    let Message::Replicate { action, .. } = environment.message else { unreachable!() };
    let of = |action: ActionId, artifact: &str| json!({"kind": "replicate", "action": action, "artifact": artifact});
    environment.bring(of(action, "Other")).await.unwrap();
    environment.bring(of(action.execution.action(1, 0, 1), "App")).await.unwrap();
    let unknown = engine::ExecutionId::from_random(uuid::Uuid::from_u128(99 << 64)).action(0, 0, 1);
    environment.bring(of(unknown, "App")).await.unwrap();
    assert!(environment.aws.calls("CopyObject").is_empty());
    // Places beside the names have no effect.
    let mut forged = of(action, "App");
    forged["bucket"] = "store-eu-west-1".into();
    forged["key"] = "secret".into();
    forged["regions"] = json!(["eu-central-1"]);
    environment.bring(forged).await.unwrap();
    let copies = environment.aws.calls("CopyObject");
    assert_eq!(copies.len(), 2);
    assert!(copies.iter().all(|copy| copy.path.ends_with("/release/App/x") && copy.region != "eu-central-1"));
}

#[test]
fn its_environment_is_what_it_reads_and_nothing_else() {
    let environment = testkit::Template::home().environment("ReplicatorFunction");
    let settings = runtime::Settings::read(environment.lookup()).unwrap();
    crate::wire(&settings, &runtime::Clients::from_config(testkit::Stub::unused().config())).unwrap();
    environment.assert_read();
}
