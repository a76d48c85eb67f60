//! Function `replicator`: copies an artifact to the regions in which actions will read it, as soon as it exists.
//!
//! Invoked by the bus (`Replicate`). It only saves time: an action whose input is not in its region when it starts
//! copies it itself, so what is lost here is made up for there, and what fails for good is told there.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod copy;

use driver::{DriveError, Message};
use runtime::{Clients, Roles, Settings};
use serde::Deserialize;
use tracing::Instrument;

/// An event of the bus.
#[derive(Deserialize)]
struct Event {
    detail: Message,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let settings = Settings::from_environment()?;
    let clients = Clients::new(&settings).await;
    let driver = runtime::driver(&settings, &clients, providers::SOURCES)?;
    let roles = Roles::new(clients.config(), settings.account()?);
    let (driver, roles) = (&driver, &roles);
    runtime::run(|event: Event, _| async move {
        let Message::Replicate { action, artifact, regions } = event.detail else {
            tracing::warn!("a message that is not for the replicator");
            return Ok(());
        };
        let span = tracing::info_span!("replicate", execution = %action.execution, artifact = %artifact.name);
        let pipeline = match driver.pipeline_of(action.execution).await {
            Err(DriveError::ExecutionNotFound(_)) => return Ok(()),
            found => found?,
        };
        copy::everywhere(roles, &pipeline, driver.home(), &artifact, &regions).instrument(span).await
    })
    .await
}
