//! Function `trigger`: starts executions because something happened.
//!
//! Events about changes that sources watch for, and `Start Pipeline` events, come through a queue, which delivers them
//! until they have been handled, whatever this function dies of. Any rule whose input names a pipeline may invoke it,
//! too. Once a minute it asks for the polls of sources that are polled (`polls`). See `event` for the forms of events; which pipelines start, and what a second delivery does, is in `start`. An
//! event that asks for something impossible goes to the dead-letter queue with the reason, where an alarm sees it.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod event;
mod polls;
mod start;
#[cfg(test)]
mod tests;

use anyhow::Context;
use aws_sdk_sqs::types::MessageAttributeValue;
use driver::Driver;
use runtime::{CallLog, Clients, SettingError, Settings};
use serde_json::{Value, json};

/// Longest reason that goes with a dead letter, in characters.
const LONGEST_REASON: usize = 2_000;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let settings = Settings::from_environment()?;
    let clients = &Clients::new(&settings).await;
    let (driver, calls, queue) = &wire(&settings, clients)?;
    runtime::run(|event: Value, context| async move {
        if polls::are_requested(&event) {
            return Ok(json!({"polls": polls::request(driver).await?}));
        }
        let handled = handle(driver, calls, &event, &context.request_id).await?;
        for refused in &handled.refused {
            tracing::error!(reason = refused.reason, "not started");
            leave(clients.sqs(), queue, refused).await?;
        }
        Ok(json!({"started": handled.started, "refused": handled.refused.len()}))
    })
    .await
}

/// The driver, where starts are noted, and the queue for dead letters.
fn wire(settings: &Settings, clients: &Clients) -> Result<(Driver, CallLog, String), SettingError> {
    let driver = runtime::driver(settings, clients, providers::SOURCES)?;
    Ok((driver, CallLog::new(settings, clients)?, settings.dead_letters_url()?))
}

/// What came of an invocation.
#[derive(Debug, Default, PartialEq)]
struct Handled {
    /// How many executions are new.
    started: usize,
    /// Events that ask for what cannot be done.
    refused: Vec<Refused>,
}

/// An event that asks for what cannot be done.
#[derive(Debug, PartialEq)]
struct Refused {
    body: String,
    reason: String,
}

/// Handles every event that was delivered. After an error all are delivered again, which starts none of them again.
async fn handle(driver: &Driver, calls: &CallLog, event: &Value, invocation: &str) -> anyhow::Result<Handled> {
    let mut handled = Handled::default();
    for delivery in event::deliveries(invocation, event) {
        let reasons = match event::read(&delivery) {
            Ok(signal) => {
                let starts = start::start(driver, calls, signal, &delivery.name).await?;
                handled.started += starts.new;
                starts.refused
            }
            Err(error) => vec![error.to_string()],
        };
        if !reasons.is_empty() {
            handled.refused.push(Refused { body: delivery.body, reason: reasons.join("; ") });
        }
    }
    Ok(handled)
}

/// Puts an event among the dead letters, as it came, so that it can be sent again when its reason is gone.
async fn leave(sqs: &aws_sdk_sqs::Client, queue: &str, refused: &Refused) -> anyhow::Result<()> {
    let reason: String = refused.reason.chars().take(LONGEST_REASON).collect();
    let reason = MessageAttributeValue::builder().data_type("String").string_value(reason).build()?;
    let message = sqs.send_message().queue_url(queue).message_body(&refused.body);
    message
        .message_attributes("Reason", reason)
        .send()
        .await
        .context("the event cannot be put among the dead letters")?;
    Ok(())
}
