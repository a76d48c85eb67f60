//! Function `auditor`: writes the audit log.
//!
//! Invoked by the table's stream, with what changed, and by a queue, with the calls that other functions have answered. A batch
//! of either becomes one object of the log (`audit::append`). Any number may run at a time: objects are put on the condition
//! that nobody else was first. Who fails gets the same batch again.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod change;
mod tips;

use std::sync::Arc;

use anyhow::Context;
use audit::{Bucket, Record, Tips};
use driver::Clock;
use runtime::{Clients, SettingError, Settings, SystemClock};
use serde_json::{Value, json};
use store::DynamoStore;

use crate::tips::TableTips;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let settings = Settings::from_environment()?;
    let (bucket, tips) = &wire(&settings, &Clients::new(&settings).await)?;
    runtime::run(|event: Value, _| async move { handle(bucket, tips, &event).await }).await
}

fn wire(settings: &Settings, clients: &Clients) -> Result<(Bucket, TableTips), SettingError> {
    let s3 = aws_sdk_s3::config::Builder::from(clients.config()).force_path_style(settings.endpoint_url().is_some());
    let bucket = Bucket::new(aws_sdk_s3::Client::from_conf(s3.build()), settings.audit_bucket()?);
    let store = DynamoStore::new(clients.dynamodb().clone(), settings.table()?);
    Ok((bucket, TableTips::new(Arc::new(store))))
}

/// Puts a batch into the log. Returns the messages that are none: their queue puts them among the dead letters in the end.
async fn handle(bucket: &Bucket, tips: &dyn Tips, event: &Value) -> anyhow::Result<Value> {
    let batch = event["Records"].as_array().context("the event is of no queue and no stream")?;
    let (mut records, mut unreadable) = (Vec::new(), Vec::new());
    for delivered in batch {
        if delivered["eventSource"] == "aws:dynamodb" {
            records.extend(change::read(delivered));
            continue;
        }
        match serde_json::from_str::<Record>(delivered["body"].as_str().unwrap_or_default()) {
            Ok(record) => records.push(record.bounded()),
            Err(error) => {
                tracing::error!(%error, message = %delivered["messageId"], "not a call");
                unreadable.push(json!({"itemIdentifier": delivered["messageId"]}));
            }
        }
    }
    // A queue has no order.
    records.sort_by(|a: &Record, b| a.time.cmp(&b.time));
    let count = records.len();
    audit::append(bucket, tips, records, || audit::exact(SystemClock.now().0)).await?;
    tracing::info!(records = count, unreadable = unreadable.len(), "recorded");
    Ok(json!({"batchItemFailures": unreadable}))
}

#[cfg(test)]
mod tests;
