//! Function `webhook`: the unsigned door at `POST /webhooks/...`, behind which starts are asked for.
//!
//! Invoked by API Gateway without a login: each receiver has a proof of its own (see `webhooks`). This function starts nothing:
//! it puts what is to be started into the queue of `trigger`, which delivers it until it has been started, and may write only
//! what became of deliveries. `http` is the door itself, for all who receive something there.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod connections;
mod http;
mod queue;
mod signature;
#[cfg(test)]
mod tests;
mod webhooks;

use std::sync::Arc;

use lambda_http::{Body, Request, Response};
use runtime::{ApiGateway, Clients, SettingError, Settings};

use crate::connections::Connections;
use crate::http::{Answer, Delivery};
use crate::queue::StartQueue;
use crate::webhooks::Webhooks;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let settings = Settings::from_environment()?;
    let (api, receivers) = wire(&settings, &Clients::new(&settings).await)?;
    let receivers = Arc::new(receivers);
    runtime::run_http(&api, |request| {
        let receivers = receivers.clone();
        async move { open(&receivers, &request).await }
    })
    .await
}

/// All to whom something can be delivered.
struct Receivers {
    webhooks: Webhooks,
    connections: Connections,
}

fn wire(settings: &Settings, clients: &Clients) -> Result<(ApiGateway, Receivers), SettingError> {
    let driver = || runtime::webhook_driver(settings, clients, providers::SOURCES);
    let queue = StartQueue::new(clients.sqs().clone(), settings.trigger_queue_url()?);
    let secrets = aws_sdk_secretsmanager::Client::new(clients.config());
    let connections = Connections::new(driver()?, queue.clone(), secrets, settings.connection_secrets());
    let webhooks = Webhooks::new(driver()?, queue, settings.account()?);
    Ok((ApiGateway::new(settings)?, Receivers { webhooks, connections }))
}

/// Leads a request to its receiver, by its path. An error is a fault of ours, after which the sender may deliver again.
async fn open(receivers: &Receivers, request: &Request) -> anyhow::Result<Response<Body>> {
    let answer = match Delivery::read(request) {
        Ok(delivery) => match delivery.path.as_slice() {
            [name] => receivers.webhooks.receive(name, &delivery).await?,
            [kind, id] if kind == "connections" => receivers.connections.receive(id, &delivery).await?,
            _ => Answer::UNKNOWN,
        },
        Err(answer) => answer,
    };
    answer.response()
}
