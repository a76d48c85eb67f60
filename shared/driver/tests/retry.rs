//! A stage is retried while a worker of ours is busy with one of its actions.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use driver::{ActionExecutor, Driver, ExecutorError, Outcome, Task};
use engine::{ActionError, ActionStatus, Execution, Progress, StageRun, Success, Timestamp};
use futures::executor::block_on;
use pipeline::{Declaration, PipelineName, RetryMode};
use serde_json::json;
use store::{Entity, MemoryStore};
use testkit::{Outbox, TestClock, create, setup};

/// `Slow` has the stage retried, as soon as `Broken` has failed, and then succeeds; `Broken` fails the first time.
#[derive(Default)]
struct Providers(OnceLock<Arc<Driver>>);

impl Providers {
    fn driver(&self) -> &Driver {
        self.0.get().unwrap()
    }
}

#[async_trait]
impl ActionExecutor for Providers {
    async fn start(&self, task: &Task) -> Result<Outcome, ExecutorError> {
        match task.action.name.as_str() {
            "Broken" if task.id.attempt == 1 => {
                let error = ActionError { code: "JobFailed".into(), message: "no".into() };
                return Ok(Outcome::Failed { error, report: Progress::default() });
            }
            "Slow" => {
                let failed = |run: &StageRun| run.actions[1].status == ActionStatus::Failed;
                while !stage_runs(self.driver(), task).await.iter().any(failed) {
                    yield_now().await;
                }
                let retried =
                    self.driver().retry(&task.pipeline, "Build", task.id.execution, RetryMode::FailedActions).await;
                retried.unwrap();
            }
            _ => {}
        }
        Ok(Outcome::Succeeded(Success { outputs: task.outputs.clone(), ..Success::default() }))
    }

    async fn poll(&self, _: &Task) -> Result<Outcome, ExecutorError> {
        Err(ExecutorError("nothing is polled".into()))
    }
}

/// Lets whatever else goes on in this thread have its turn.
async fn yield_now() {
    let mut yielded = false;
    futures::future::poll_fn(|context| {
        if std::mem::replace(&mut yielded, true) {
            return std::task::Poll::Ready(());
        }
        context.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}

async fn stage_runs(driver: &Driver, task: &Task) -> Vec<StageRun> {
    let all = driver.stage_runs(task.id.execution).await.unwrap();
    all.into_iter().filter(|run| run.stage == usize::from(task.id.stage)).collect()
}

fn declaration() -> Declaration {
    let deploy = |name: &str| {
        json!({"name": name, "inputArtifacts": [{"name": "App"}], "configuration": {"BucketName": "site", "Extract": "true"},
            "actionTypeId": {"category": "Deploy", "owner": "AWS", "provider": "S3", "version": "1"}})
    };
    serde_json::from_value(json!({
        "name": "release", "roleArn": "arn:aws:iam::111122223333:role/release", "pipelineType": "V2",
        "artifactStore": {"type": "S3", "location": "artifacts"},
        "stages": [
            {"name": "Source", "actions": [{"name": "Fetch", "outputArtifacts": [{"name": "App"}],
                "actionTypeId": {"category": "Source", "owner": "AWS", "provider": "S3", "version": "1"},
                "configuration": {"S3Bucket": "sources", "S3ObjectKey": "app.zip"}}]},
            {"name": "Build", "actions": [deploy("Slow"), deploy("Broken")]},
        ],
    }))
    .unwrap()
}

#[test]
fn what_a_worker_was_busy_with_during_a_retry_ends_in_the_new_attempt() {
    let outbox = Arc::new(Outbox::default());
    let (store, clock) = (Arc::new(MemoryStore::default()), Arc::new(TestClock::ticking(Timestamp(0))));
    let driver = Arc::new(Driver::new(setup(&store, &outbox, &clock)));
    let providers = Providers::default();
    assert!(providers.0.set(driver.clone()).is_ok());
    let name = PipelineName::new("release").unwrap();
    block_on(create(&driver, declaration()));
    block_on(outbox.work(&driver, &providers));
    let page = block_on(driver.executions(&name, None, 1)).unwrap();
    let [Entity::Execution(Execution { id, status, .. })] = &page.entities[..] else { panic!("{:?}", page.entities) };
    let runs = block_on(driver.stage_runs(*id)).unwrap();
    let [_, first, second] = &runs[..] else { panic!("{runs:?}") };
    assert_eq!(first.actions[0].status, ActionStatus::CarriedOver);
    assert_eq!((&second.actions[0].status, second.actions[0].claims), (&ActionStatus::Succeeded, 1), "started once");
    assert_eq!(second.actions[1].status, ActionStatus::Succeeded);
    assert_eq!(*status, engine::ExecutionStatus::Succeeded, "nobody but the workers did anything");
}
