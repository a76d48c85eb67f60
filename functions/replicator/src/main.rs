//! Function `replicator`: copies an artifact to the regions in which actions will read it, as soon as it exists.
//!
//! Invoked by the bus (`Replicate`). It only saves time: an action whose input is not in its region when it starts
//! copies it itself, so a copy that is lost here is made there, and a permanent error is reported there. The event only
//! says which artifact is meant: what is copied, and where to, is in the table.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod copy;

use driver::{Driver, Message};
use runtime::{Clients, Roles, SettingError, Settings};
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
    let (driver, roles) = &wire(&settings, &Clients::new(&settings).await)?;
    runtime::run(|event: Event, _| handle(driver, roles, event)).await
}

fn wire(settings: &Settings, clients: &Clients) -> Result<(Driver, Roles), SettingError> {
    let driver = runtime::reading_driver(settings, clients, providers::SOURCES)?;
    Ok((driver, Roles::of(settings, clients)?))
}

/// Makes the copies of the artifact that the event names, if the table knows it.
async fn handle(driver: &Driver, roles: &Roles, event: Event) -> anyhow::Result<()> {
    let Message::Replicate { action, artifact } = event.detail else {
        tracing::warn!("a message that is not for the replicator");
        return Ok(());
    };
    let span = tracing::info_span!("replicate", execution = %action.execution, %artifact);
    let Some(replication) = driver.replication(action, &artifact).await? else {
        tracing::warn!(%action, %artifact, "the table knows of no such artifact");
        return Ok(());
    };
    copy::everywhere(roles, driver.home(), &replication).instrument(span).await
}

#[cfg(test)]
mod tests;
