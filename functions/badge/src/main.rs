//! Function `badge`: the unsigned door at `GET /badges/...`, behind which public pictures of pipelines are.
//!
//! Invoked by API Gateway without a login: each link has a proof of its own (see `pictures::PublicLinks`), and is good only while
//! its pipeline has the tag that makes pictures public. It reads by key and draws, and can do nothing else.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod door;
#[cfg(test)]
mod tests;

use notify::Macs;
use pictures::PublicLinks;
use runtime::{ApiGateway, Clients, SettingError, Settings};

use crate::door::Door;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let settings = Settings::from_environment()?;
    let (api, door) = &wire(&settings, &Clients::new(&settings).await)?;
    runtime::run_http(api, |request| async move { door.open(&request).await }).await
}

fn wire(settings: &Settings, clients: &Clients) -> Result<(ApiGateway, Door), SettingError> {
    let driver = runtime::reading_driver(settings, clients, providers::SOURCES)?;
    let links = PublicLinks::new(Macs::new(clients.kms().clone(), settings.badge_key()?));
    Ok((ApiGateway::new(settings)?, Door::new(driver, links)))
}
