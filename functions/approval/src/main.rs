//! Function `approval`: the pages behind the links of approval messages.
//!
//! Invoked by API Gateway without a login: the link itself is the proof (see `notify::Links`). GET shows what is to be
//! approved and changes nothing, since mail scanners open links; POST answers, once. The answer is treated like any
//! other: `driver` lets the engine decide.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod decision;
mod form;
mod handler;
mod notice;
mod page;
mod reply;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use notify::Links;
use runtime::{ApiGateway, CallLog, Clients, SettingError, Settings, SystemClock};

use crate::handler::ApprovalHandler;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let settings = Settings::from_environment()?;
    let (api, handler) = wire(&settings, &Clients::new(&settings).await)?;
    let handler = Arc::new(handler);
    runtime::run_http(&api, |request| {
        let handler = handler.clone();
        async move { handler.open(&request).await }
    })
    .await
}

fn wire(settings: &Settings, clients: &Clients) -> Result<(ApiGateway, ApprovalHandler), SettingError> {
    let driver = runtime::driver(settings, clients, providers::SOURCES)?;
    let links = match settings.approval_links()? {
        true => Some(Links::new(clients.kms().clone(), settings.hmac_key()?)),
        false => None,
    };
    let handler = ApprovalHandler::new(driver, links, Arc::new(SystemClock), CallLog::new(settings, clients)?);
    let handler = if settings.separate_approver()? { handler.rejecting_only() } else { handler };
    Ok((ApiGateway::new(settings)?, handler))
}
