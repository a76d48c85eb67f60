//! Function `trigger`: starts executions because something happened.
//!
//! Invoked by S3's `Object Created` events, by `Start Pipeline` events, and by any rule whose input names a pipeline.
//! See `event` for the forms; what starts, and what a second delivery does, is in `start`.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod event;
mod start;

use runtime::{Clients, Settings};
use serde_json::{Value, json};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let settings = Settings::from_environment()?;
    let clients = Clients::new(&settings).await;
    let driver = runtime::driver(&settings, &clients)?;
    let driver = &driver;
    runtime::run(|event: Value, context| async move {
        match event::read(&event) {
            Ok(asked) => Ok(json!({"started": start::start(driver, asked, &context.request_id).await?})),
            Err(error) => {
                tracing::error!(%error);
                Ok(json!({"started": 0, "reason": error.to_string()}))
            }
        }
    })
    .await
}
