//! Function `tracer`: one trace for each execution, sent to X-Ray or to any collector of OpenTelemetry.
//!
//! Invoked by a queue, with the state-change event of an execution's end. The trace is made from what the table has then; its ids
//! are derived from those of the execution and its actions, so that an event that comes twice makes the same spans again. A
//! collector that is slow, or away, holds up nothing but this queue: what could not be sent comes again, and goes to the
//! queue's dead letters in the end.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod attributes;
mod batches;
mod collector;
mod event;
mod ids;
mod record;
mod spans;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use anyhow::Result;
use driver::Clock as _;
use engine::Timestamp;
use opentelemetry_proto::tonic::resource::v1::Resource;
use runtime::{Clients, Settings, SystemClock};
use serde_json::{Value, json};
use store::{DynamoStore, PipelineVersions, Store};

use crate::collector::Collector;
use crate::event::Ended;
use crate::record::Record;

struct Tracer {
    store: Arc<dyn Store>,
    versions: PipelineVersions,
    collector: Option<Collector>,
    resource: Resource,
    home: String,
}

#[tokio::main]
async fn main() -> Result<()> {
    let settings = Settings::from_environment()?;
    let tracer = &wire(&settings, &Clients::new(&settings).await)?;
    runtime::run(|event: Value, _| async move { tracer.handle(&event, SystemClock.now()).await }).await
}

fn wire(settings: &Settings, clients: &Clients) -> Result<Tracer> {
    Ok(Tracer {
        store: Arc::new(DynamoStore::new(clients.dynamodb().clone(), settings.table()?)),
        versions: PipelineVersions::default(),
        collector: Collector::new(settings, clients)?,
        resource: spans::resource(&settings.installation()?, &settings.account()?, settings.region()),
        home: settings.region().to_owned(),
    })
}

impl Tracer {
    /// Sends the traces of the executions that have ended. After an error the queue delivers them again.
    async fn handle(&self, event: &Value, now: Timestamp) -> Result<Value> {
        let Some(collector) = &self.collector else {
            tracing::warn!("no collector is set: nothing was sent");
            return Ok(json!({"spans": 0}));
        };
        let mut sent = 0;
        for ended in event::read(event) {
            sent += self.trace(collector, &ended, now).await?;
        }
        Ok(json!({"spans": sent}))
    }

    /// Sends what the event tells of; returns how many spans.
    async fn trace(&self, collector: &Collector, ended: &Ended, now: Timestamp) -> Result<usize> {
        let Some(record) = Record::read(&*self.store, &self.versions, ended.execution).await? else {
            tracing::warn!(execution = %ended.execution, "there is no such execution");
            return Ok(0);
        };
        let runs = record.ended_at(ended.time);
        let mut spans: Vec<_> = runs.iter().flat_map(|run| spans::of_run(&record, run, &self.home)).collect();
        if collector.is_xray() {
            let old = batches::without_old(&mut spans, now);
            if old > 0 {
                tracing::warn!(execution = %ended.execution, spans = old, "left out: X-Ray takes nothing older than 14 days");
            }
        }
        let count = spans.len();
        for request in batches::batches(&self.resource, spans) {
            collector.send(&request).await?;
        }
        tracing::info!(execution = %ended.execution, spans = count, "traced");
        Ok(count)
    }
}
