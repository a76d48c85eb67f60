//! Function `webhook`: the unsigned door at `POST /webhooks/...`, behind which starts are asked for.
//!
//! Invoked by API Gateway without a login: each receiver has a proof of its own (see `webhooks`). This function starts nothing:
//! it puts what is to be started into the queue of `trigger`, which delivers it until it has been started, and may write only
//! what became of deliveries. `http` is the door itself, for all who receive something there.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod http;
mod queue;
mod signature;
#[cfg(test)]
mod tests;
mod webhooks;

use std::sync::Arc;

use lambda_http::{Body, Request, Response};
use runtime::{ApiGateway, Clients, SettingError, Settings};

use crate::http::{Answer, Delivery};
use crate::queue::StartQueue;
use crate::webhooks::Webhooks;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let settings = Settings::from_environment()?;
    let (api, webhooks) = wire(&settings, &Clients::new(&settings).await)?;
    let webhooks = Arc::new(webhooks);
    runtime::run_http(&api, |request| {
        let webhooks = webhooks.clone();
        async move { open(&webhooks, &request).await }
    })
    .await
}

fn wire(settings: &Settings, clients: &Clients) -> Result<(ApiGateway, Webhooks), SettingError> {
    let driver = runtime::webhook_driver(settings, clients, providers::SOURCES)?;
    let queue = StartQueue::new(clients.sqs().clone(), settings.trigger_queue_url()?);
    Ok((ApiGateway::new(settings)?, Webhooks::new(driver, queue, settings.account()?)))
}

/// Leads a request to its receiver, by its path. An error is a fault of ours, after which the sender may deliver again.
async fn open(webhooks: &Webhooks, request: &Request) -> anyhow::Result<Response<Body>> {
    let answer = match Delivery::read(request) {
        Ok(delivery) => match delivery.path.as_slice() {
            [name] => webhooks.receive(name, &delivery).await?,
            _ => Answer::UNKNOWN,
        },
        Err(answer) => answer,
    };
    answer.response()
}
