//! What comes of events, over a real driver and the in-memory store.

use driver::Setup;
use store::MemoryStore;
use testkit::{Aws, Outbox, TestClock, create, setup};

use super::*;

#[tokio::test]
async fn an_event_for_an_unknown_external_id_changes_nothing() {
    let (store, outbox, aws) = (Arc::new(MemoryStore::new()), Arc::new(Outbox::default()), Aws::default());
    let clock = Arc::new(TestClock::standing(Timestamp(1_700_000_000_000)));
    let driver = Driver::new(Setup { sources: providers::SOURCES, ..setup(&store, &outbox, &clock) });
    create(&driver, pipeline::testing::example()).await;
    let settings = Settings::read(|name| match name {
        "AWS_REGION" => Some("eu-west-1".to_owned()),
        "MILLRACE_ACCOUNT" => Some("111122223333".to_owned()),
        "MILLRACE_HMAC_KEY" => Some("hmac-key".to_owned()),
        "MILLRACE_API_URL" => Some("http://aws.test/api/live".to_owned()),
        "MILLRACE_APPROVAL_URL" => Some("https://gate.example/approve".to_owned()),
        _ => None,
    });
    let registry = Registry::new(&settings.unwrap(), &Clients::from_config(aws.config())).unwrap();
    let worker = Worker { driver, registry };

    let (before, waiting) = (store.dump(), outbox.waiting());
    assert!(!before.is_empty() && waiting > 0, "an execution has begun");
    let (source, region, id) = ("aws.builder".to_owned(), "eu-west-1".to_owned(), "build-7".to_owned());
    worker.answer(Request::External { source, region, id }, Timestamp(i64::MAX)).await.unwrap();
    assert_eq!((store.dump(), outbox.waiting()), (before, waiting));
    assert!(aws.operations().is_empty(), "no provider is asked");
}
