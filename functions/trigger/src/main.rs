//! Function `trigger`: starts executions because something happened.
//!
//! S3's `Object Created` events and `Start Pipeline` events come through a queue, which delivers them until they have been
//! dealt with, whatever this function dies of. Any rule whose input names a pipeline may invoke it, too.
//! See `event` for the forms; what starts, and what a second delivery does, is in `start`.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod event;
mod start;

use driver::Driver;
use runtime::{Clients, Settings};
use serde_json::{Value, json};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let settings = Settings::from_environment()?;
    let clients = Clients::new(&settings).await;
    let driver = runtime::driver(&settings, &clients)?;
    let driver = &driver;
    runtime::run(|event, context| async move { handle(driver, event, &context.request_id).await }).await
}

/// Handles every event that was delivered. After a failure all are delivered again, which starts none of them again.
async fn handle(driver: &Driver, event: Value, invocation: &str) -> anyhow::Result<Value> {
    let mut started = 0;
    for delivery in event::deliveries(invocation, event) {
        match event::read(&delivery.event) {
            Ok(signal) => started += start::start(driver, signal, &delivery.name).await?,
            Err(error) => tracing::error!(%error),
        }
    }
    Ok(json!({"started": started}))
}
