//! Function `worker`: starts and polls actions.
//!
//! Invoked by the bus (`Work`), by the queue of delayed polls, and by providers' own events, which are hints to poll
//! now. The work itself is `driver::Driver::work` over `providers::Registry`.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod event;

use std::sync::Arc;

use driver::{Clock, DriveError, Driver, Message};
use engine::Timestamp;
use lambda_runtime::Context;
use providers::Registry;
use runtime::{Clients, SettingError, Settings, SystemClock, time_left};
use serde_json::{Value, json};
use tracing::Instrument;

use crate::event::Request;

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
    let worker = Arc::new(Worker::new(&settings, &Clients::new(&settings).await)?);
    runtime::run(|event, context| {
        let worker = worker.clone();
        async move { worker.handle(&event, &context).await }
    })
    .await
}

impl Worker {
    fn new(settings: &Settings, clients: &Clients) -> Result<Self, SettingError> {
        let driver = runtime::driver_with_secrets(settings, clients, providers::SOURCES)?;
        Ok(Self { driver, registry: Registry::new(settings, clients)? })
    }

    /// Handles every message of the event. Returns the messages that the queue must keep.
    async fn handle(&self, event: &Value, context: &Context) -> anyhow::Result<Value> {
        let left = i64::try_from(time_left(context).as_millis()).unwrap_or(i64::MAX);
        let until = SystemClock.now().plus(left / SHARE);
        let mut failed = Vec::new();
        for received in event::read(event, providers::all()) {
            match (self.answer(received.request, until).await, received.queue_id) {
                (Ok(()), _) => {}
                (Err(error), None) => return Err(error.into()),
                (Err(error), Some(id)) => {
                    tracing::error!(%error, "the queue keeps the message");
                    failed.push(json!({"itemIdentifier": id}));
                }
            }
        }
        Ok(json!({"batchItemFailures": failed}))
    }

    async fn answer(&self, request: Request, until: Timestamp) -> Result<(), DriveError> {
        let message = match request {
            Request::Message(Message::PollSource { pipeline, action }) => {
                self.driver.poll_source(&pipeline, &action, &self.registry).await?;
                return Ok(());
            }
            Request::Message(Message::CompareFiles { pipeline, action, delivery }) => {
                self.driver.compare_files(&pipeline, &action, &delivery, &self.registry).await?;
                return Ok(());
            }
            Request::Message(message) => message,
            Request::External { source, region, id } => {
                match self.driver.action_by_external_id(&source, &region, &id).await? {
                    Some(action) => Message::Poll { action, count: None },
                    None => {
                        tracing::debug!(source, region, id, "not of an action of ours");
                        return Ok(());
                    }
                }
            }
            Request::Nothing => {
                tracing::debug!("nothing for us");
                return Ok(());
            }
        };
        let execution = message.execution().map(tracing::field::display);
        let span = tracing::info_span!("message", execution, message = ?message);
        let worked = self.driver.work(message, &self.registry, until).instrument(span).await?;
        tracing::debug!(?worked);
        Ok(())
    }
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod environment {
    use runtime::{Clients, Settings};
    use testkit::{Stub, Template};

    #[test]
    fn its_environment_is_what_it_reads_and_nothing_else() {
        let environment = Template::home().environment("WorkerFunction");
        let settings = Settings::read(environment.lookup()).unwrap();
        super::Worker::new(&settings, &Clients::from_config(Stub::unused().config())).unwrap();
        environment.assert_read();
    }
}
