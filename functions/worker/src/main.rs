//! Function `worker`: starts, polls and cancels actions.
//!
//! Invoked by the bus (`Work`), by the queue of delayed polls, and by providers' own events, which are hints to poll.
//! The work itself is `driver::Driver::work` over `providers::Registry`.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod event;

use std::sync::Arc;

use driver::{Clock, Driver};
use lambda_runtime::Context;
use providers::Registry;
use runtime::{Clients, Settings, SystemClock, time_left};
use serde_json::{Value, json};
use tracing::Instrument;

/// The share of an invocation's time within which a finished action's follower is begun in the same process. The rest
/// is for the one that was begun last; what takes longer is taken up by another worker when its claim runs out.
const SHARE: i64 = 2;

struct Worker {
    driver: Driver,
    registry: Registry,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let settings = Settings::from_environment()?;
    let clients = Clients::new(&settings).await;
    let driver = runtime::driver(&settings, &clients)?;
    let registry = Registry::new(&settings, &clients)?;
    let worker = Arc::new(Worker { driver, registry });
    runtime::run(|event, context| {
        let worker = worker.clone();
        async move { worker.handle(&event, &context).await }
    })
    .await
}

impl Worker {
    /// Handles every message of the event. Answers which messages the queue shall keep.
    async fn handle(&self, event: &Value, context: &Context) -> anyhow::Result<Value> {
        let left = i64::try_from(time_left(context).as_millis()).unwrap_or(i64::MAX);
        let until = SystemClock.now().plus(left / SHARE);
        let mut failed = Vec::new();
        for received in event::read(event) {
            let Some(message) = received.message else {
                tracing::debug!("nothing for us");
                continue;
            };
            let span = tracing::info_span!("message", execution = %message.execution(), message = ?message);
            match (self.driver.work(message, &self.registry, until).instrument(span).await, received.queue_id) {
                (Ok(worked), _) => tracing::debug!(?worked),
                (Err(error), None) => return Err(error.into()),
                (Err(error), Some(id)) => {
                    tracing::error!(%error, "the queue keeps the message");
                    failed.push(json!({"itemIdentifier": id}));
                }
            }
        }
        Ok(json!({"batchItemFailures": failed}))
    }
}
