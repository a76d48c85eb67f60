//! The sweep over the in-memory store.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Arc;
use std::time::Duration;

use driver::Driver;
use engine::{ExecutionId, Timestamp};
use futures::executor::block_on;
use pipeline::Declaration;
use serde_json::json;
use store::{Expect, Key, MemoryStore, Store, Write};
use testkit::{Outbox, TestClock, create, setup};

struct Environment {
    store: Arc<MemoryStore>,
    clock: Arc<TestClock>,
    outbox: Arc<Outbox>,
    driver: Driver,
}

impl Environment {
    fn new() -> Self {
        let (store, outbox) = (Arc::new(MemoryStore::new()), Arc::new(Outbox::default()));
        let clock = Arc::new(TestClock::standing(Timestamp(0)));
        let driver = Driver::new(setup(&store, &outbox, &clock));
        Self { store, clock, outbox, driver }
    }

    fn dispatched(&self) -> Vec<ExecutionId> {
        let mut all: Vec<_> =
            std::iter::from_fn(|| self.outbox.take()).filter_map(|message| message.execution()).collect();
        all.sort();
        all
    }

    /// As many pipelines, each with an execution whose source nobody takes up; the executions.
    fn create(&self, from: usize, count: usize) -> Vec<ExecutionId> {
        let kind = |category: &str, provider: &str| json!({"category": category, "owner": "AWS", "provider": provider, "version": "1"});
        for number in from..from + count {
            let declaration: Declaration = serde_json::from_value(json!({
            "name": format!("p{number}"), "roleArn": "arn:aws:iam::111122223333:role/r",
            "artifactStore": {"type": "S3", "location": "artifacts"},
            "stages": [
                {"name": "Source", "actions": [{"name": "S", "outputArtifacts": [{"name": "App"}],
                    "actionTypeId": kind("Source", "S3"), "configuration": {"S3Bucket": "b", "S3ObjectKey": "k"}}]},
                {"name": "Gate", "actions": [{"name": "Ask", "actionTypeId": kind("Approval", "Manual")}]},
            ]}))
            .unwrap();
            block_on(create(&self.driver, declaration));
        }
        self.dispatched()
    }

    /// What a sweep has taken up again.
    fn sweep(&self) -> Vec<ExecutionId> {
        block_on(self.driver.sweep(Duration::from_secs(60))).unwrap();
        self.dispatched()
    }
}

#[test]
fn one_sweep_drains_all_that_is_due() {
    let environment = Environment::new();
    let lost = environment.create(0, 500);
    environment.clock.pass(19_999);
    assert_eq!(environment.sweep(), [], "not due yet");
    environment.clock.pass(1);
    assert_eq!(environment.sweep(), lost);
    assert_eq!(environment.sweep(), [], "each once");
}

#[test]
fn items_that_fail_do_not_starve_those_behind_them() {
    let environment = Environment::new();
    let broken = environment.create(0, 400);
    for id in &broken {
        let write = Write::Delete { key: Key::Execution(*id), expect: Expect::Any };
        block_on(environment.store.commit(vec![write])).unwrap();
    }
    environment.clock.pass(1_000);
    let lost = environment.create(400, 50);
    environment.clock.pass(20_000);
    for _ in 0..3 {
        assert_eq!(environment.sweep(), lost);
        environment.clock.pass(20_000);
    }
}

#[test]
fn a_sweep_without_time_leaves_everything_to_the_next() {
    let environment = Environment::new();
    let lost = environment.create(0, 10);
    environment.clock.pass(20_000);
    assert_eq!(block_on(environment.driver.sweep(Duration::ZERO)).unwrap(), 0);
    assert_eq!(environment.sweep(), lost);
}

#[test]
fn what_no_sweep_can_do_is_overdue_the_longer_the_more() {
    let environment = Environment::new();
    let overdue = || block_on(environment.driver.overdue()).unwrap();
    let broken = environment.create(0, 2);
    environment.clock.pass(20_000);
    assert_eq!(environment.sweep().len(), 2);
    assert_eq!(overdue(), Duration::ZERO, "all was done");
    let write = Write::Delete { key: Key::Execution(broken[0]), expect: Expect::Any };
    block_on(environment.store.commit(vec![write])).unwrap();
    environment.clock.pass(25_000);
    environment.sweep();
    assert_eq!(overdue(), Duration::from_secs(5));
    environment.clock.pass(60_000);
    environment.sweep();
    assert_eq!(overdue(), Duration::from_secs(65));
}
