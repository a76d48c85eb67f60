//! What a worker does that has invoked a function: it stays for the result, and goes on with what follows.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use driver::{
    ActionExecutor, ArtifactStore, Clock, Driver, ExecutorError, JobCaller, JobResult, Message, Outcome, Task,
};
use engine::{ActionError, ActionId, Artifact, Progress, Success, Timestamp};
use futures::executor::block_on;
use futures::future::join;
use pipeline::Declaration;
use serde_json::json;
use store::MemoryStore;
use testkit::{Outbox, TestClock, create, setup};

/// Runs a source at once and leaves functions running. Notes each start with its time.
#[derive(Default)]
struct Providers {
    clock: Option<Arc<TestClock>>,
    started: Mutex<Vec<(ActionId, String, i64)>>,
}

impl Providers {
    /// The id of the last start of an action of this name.
    fn last(&self, name: &str) -> Option<ActionId> {
        let started = self.started.lock().unwrap();
        started.iter().rev().find(|(_, started, _)| started == name).map(|(id, ..)| *id)
    }

    fn times(&self, name: &str) -> Vec<i64> {
        let started = self.started.lock().unwrap();
        started.iter().filter(|(_, started, _)| started == name).map(|(.., at)| *at).collect()
    }
}

#[async_trait]
impl ActionExecutor for Providers {
    async fn start(&self, task: &Task) -> Result<Outcome, ExecutorError> {
        let now = self.clock.as_ref().unwrap().now();
        self.started.lock().unwrap().push((task.id, task.action.name.to_string(), now.0));
        if task.action.type_id.category == "Source" {
            return Ok(Outcome::Succeeded(Success { outputs: task.outputs.clone(), ..Success::default() }));
        }
        Ok(Outcome::Running { report: Progress::default(), poll: false, event_source: None })
    }

    async fn poll(&self, _: &Task) -> Result<Outcome, ExecutorError> {
        Err(ExecutorError("nothing is polled".into()))
    }
}

#[async_trait]
impl ArtifactStore for Providers {
    async fn stored_outputs(&self, _: &Task) -> Result<Result<Vec<Artifact>, ActionError>, ExecutorError> {
        Ok(Ok(Vec::new()))
    }
}

struct Environment {
    clock: Arc<TestClock>,
    outbox: Arc<Outbox>,
    driver: Driver,
    providers: Providers,
}

impl Environment {
    /// With a release that has been requested and not begun.
    fn new() -> Self {
        let (store, outbox) = (Arc::new(MemoryStore::default()), Arc::new(Outbox::default()));
        let clock = Arc::new(TestClock::standing(Timestamp(0)));
        let driver = Driver::new(setup(&store, &outbox, &clock));
        block_on(create(&driver, declaration()));
        let providers = Providers { clock: Some(clock.clone()), ..Providers::default() };
        Self { clock, outbox, driver, providers }
    }

    /// One worker with the message that has waited longest, beside something else; no action is begun after `until`.
    fn work_beside<T>(&self, until: i64, other: impl Future<Output = T>) -> T {
        let message = self.outbox.take().unwrap();
        let work = self.driver.work(message, &self.providers, Timestamp(until));
        block_on(join(async { work.await.unwrap() }, other)).1
    }

    async fn wait_until(&self, time: i64) {
        while self.clock.now() < Timestamp(time) {
            self.clock.sleep(Duration::ZERO).await;
        }
    }

    /// Answers when it was put.
    async fn put_result(&self, name: &str, result: JobResult) -> i64 {
        let id = self.providers.last(name).unwrap();
        self.driver.job_result(id, JobCaller::Account, result, &self.providers).await.unwrap();
        self.clock.now().0
    }
}

fn succeeded() -> JobResult {
    JobResult::Succeeded { report: Progress::default(), variables: [].into(), revision: None }
}

/// A source, two functions one after another, and one in the next stage.
fn declaration() -> Declaration {
    let function = |name: &str, order: u32| {
        json!({"name": name, "runOrder": order, "configuration": {"FunctionName": "f"},
            "actionTypeId": {"category": "Invoke", "owner": "AWS", "provider": "Lambda", "version": "1"}})
    };
    serde_json::from_value(json!({
        "name": "release", "roleArn": "arn:aws:iam::111122223333:role/release", "pipelineType": "V2",
        "artifactStore": {"type": "S3", "location": "artifacts"},
        "stages": [
            {"name": "Source", "actions": [{"name": "Fetch", "outputArtifacts": [{"name": "App"}],
                "actionTypeId": {"category": "Source", "owner": "AWS", "provider": "S3", "version": "1"},
                "configuration": {"S3Bucket": "sources", "S3ObjectKey": "app.zip"}}]},
            {"name": "Build", "actions": [function("One", 1), function("Two", 2)]},
            {"name": "Check", "actions": [function("Three", 1)]},
        ],
    }))
    .unwrap()
}

#[test]
fn the_worker_that_invoked_a_function_goes_on_with_what_follows_also_in_the_next_stage() {
    let environment = Environment::new();
    let put = environment.work_beside(60_000, async {
        environment.wait_until(500).await;
        let one = environment.put_result("One", succeeded()).await;
        environment.wait_until(2_300).await;
        [one, environment.put_result("Two", succeeded()).await]
    });
    for (name, put) in ["Two", "Three"].into_iter().zip(put) {
        let [began] = environment.providers.times(name)[..] else { panic!("{name} started once") };
        let late = began - put;
        // Each function has a stay of its own.
        assert!((0..=put / 5 + 30).contains(&late), "{name} began {late} ms after the result before it");
    }
    // The results' events went out all the same; whoever gets them finds nothing left to do.
    let started = environment.providers.started.lock().unwrap().len();
    let runs = std::iter::from_fn(|| environment.outbox.take());
    let runs: Vec<_> = runs.filter(|message| matches!(message, Message::Run { .. })).collect();
    assert_eq!(runs.len(), 2);
    for message in runs {
        block_on(environment.driver.work(message, &environment.providers, Timestamp(i64::MAX))).unwrap();
    }
    assert_eq!(environment.providers.started.lock().unwrap().len(), started);
}

#[test]
fn a_worker_stays_for_two_seconds_and_no_longer_than_its_own_time() {
    for (until, longest) in [(60_000, 2_400), (1_000, 1_200)] {
        let environment = Environment::new();
        environment.work_beside(until, async {});
        let left = environment.clock.now().0;
        assert!((until.min(2_000)..longest).contains(&left), "left after {left} ms");
        block_on(environment.put_result("One", succeeded()));
        assert_eq!(environment.providers.last("Two"), None, "it is for whoever gets the event");
        block_on(environment.outbox.work(&environment.driver, &environment.providers));
        assert!(environment.providers.last("Two").is_some());
    }
}

#[test]
fn a_worker_whose_function_failed_leaves_at_once() {
    let environment = Environment::new();
    let put = environment.work_beside(60_000, async {
        environment.wait_until(500).await;
        let error = ActionError { code: "JobFailed".into(), message: "no".into() };
        environment.put_result("One", JobResult::Failed { error, report: Progress::default() }).await
    });
    let left = environment.clock.now().0;
    assert!(left <= put + put / 5 + 30, "nothing follows what ended at {put} ms, and {left} ms were spent");
}

#[test]
fn a_function_that_asks_to_be_continued_is_invoked_again_by_the_same_worker() {
    let environment = Environment::new();
    environment.work_beside(60_000, async {
        environment.wait_until(500).await;
        let next = JobResult::Continue { token: "half".into(), report: Progress::default() };
        environment.put_result("One", next).await;
        environment.wait_until(1_000).await;
        environment.put_result("One", succeeded()).await;
    });
    assert_eq!(environment.providers.times("One").len(), 2);
    assert_eq!(environment.providers.times("Two").len(), 1);
}
