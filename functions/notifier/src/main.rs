//! Function `notifier`: tells people what the notification rules of pipelines ask for, and nobody twice.
//!
//! Invoked by a queue, with state-change events of pipelines, stages and approvals, and with its own reminders to look whether an
//! execution still runs. What an event is about is read from the table, where the rules are too: as tags of the pipeline. A message
//! is claimed in the table, sent, and noted as sent ([`ledger`]); what breaks and is fixed is told by the order of executions, not
//! of events ([`outcome`]). A receiver that is slow, or away, holds up nothing but this queue.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod event;
mod facts;
mod happenings;
mod ledger;
mod line;
mod outcome;
mod receivers;
mod slow;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow};
use driver::Clock;
use pipeline::notification::Rule;
use runtime::{Clients, Settings, SystemClock};
use serde_json::{Value, json};
use store::{DynamoStore, PipelineVersions, Store};

use crate::event::Message;
use crate::facts::Facts;
use crate::ledger::Ledger;
use crate::line::Console;
use crate::receivers::Receivers;
use crate::slow::Reminders;

struct Notifier {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    versions: PipelineVersions,
    /// The rule of all pipelines that have none in its place.
    own: Option<Rule>,
    console: Console,
    ledger: Ledger,
    receivers: Receivers,
    reminders: Reminders,
}

/// What became of a delivery.
#[derive(Debug, Default)]
struct Dealt {
    /// Messages that were sent to people.
    sent: usize,
    /// Messages of the queue that are to come again, by their ids, and why.
    failed: Vec<(String, anyhow::Error)>,
}

/// After this many milliseconds nothing more of a delivery is begun: what may take longest, a chat that does not answer, must still end
/// before the function's time does.
const PATIENCE: i64 = 30_000;

#[tokio::main]
async fn main() -> Result<()> {
    let settings = Settings::from_environment()?;
    let notifier = &wire(&settings, &Clients::new(&settings).await)?;
    runtime::run(|event: Value, _| async move { Ok(notifier.handle(&event).await) }).await
}

fn wire(settings: &Settings, clients: &Clients) -> Result<Notifier> {
    let store: Arc<dyn Store> = Arc::new(DynamoStore::new(clients.dynamodb().clone(), settings.table()?));
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    Ok(Notifier {
        ledger: Ledger::new(store.clone(), clock.clone()),
        store,
        clock,
        versions: PipelineVersions::default(),
        own: settings.notify_rule()?,
        console: Console(settings.console_url()),
        receivers: Receivers::new(settings, clients),
        reminders: Reminders::new(clients.sqs().clone(), settings.notify_queue_url()?),
    })
}

impl Notifier {
    /// Deals with a delivery of the queue, and answers which of its messages are to come again.
    async fn handle(&self, delivery: &Value) -> Value {
        let failed = self.deal(delivery).await.failed;
        let failed: Vec<Value> = failed.into_iter().map(|(id, _)| json!({"itemIdentifier": id})).collect();
        json!({"batchItemFailures": failed})
    }

    async fn deal(&self, delivery: &Value) -> Dealt {
        let until = self.clock.now().0 + PATIENCE;
        let mut dealt = Dealt::default();
        for (id, body) in event::messages(delivery) {
            let taken = match event::read(body) {
                Some(_) if self.clock.now().0 > until => Err(anyhow!("those before it took too long")),
                Some(message) => self.take(message, body).await,
                None => {
                    // It would be none the next time either.
                    tracing::error!("not a change of a pipeline that rules tell of");
                    continue;
                }
            };
            match taken {
                Ok(sent) => dealt.sent += sent,
                Err(error) => {
                    tracing::error!("{error:#}");
                    dealt.failed.push((id.to_owned(), error));
                }
            }
        }
        dealt
    }

    async fn take(&self, message: Message, body: &str) -> Result<usize> {
        let (pipeline, execution) = message.about();
        let Some(facts) = Facts::read(self, pipeline, execution).await? else { return Ok(0) };
        if facts.rules.is_empty() {
            return Ok(0);
        }
        let told = match &message {
            Message::Change(change) => happenings::of(self, &facts, change, body).await?,
            Message::Look(look) => slow::look(self, &facts, look).await?,
        };
        let sent = futures::future::join_all(told.iter().map(|told| self.tell(&facts, told))).await;
        let mut count = 0;
        let mut failed = None;
        for sent in sent {
            match sent {
                Ok(sent) => count += usize::from(sent),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(count), Err)
    }

    /// Sends a message unless it was sent. Returns whether it was sent now.
    async fn tell(&self, facts: &Facts, told: &happenings::Told<'_>) -> Result<bool> {
        let Some(claim) = self.ledger.claim(facts, told).await? else { return Ok(false) };
        let (rule, id) = (told.rule, claim.id());
        match self.receivers.send(&told.rule.1.target, &told.line, id).await {
            Ok(()) => {
                tracing::info!(pipeline = %facts.head.pipeline, rule = rule.0, to = %rule.1.target, "told");
                self.ledger.sent(claim).await;
                Ok(true)
            }
            Err(error) => {
                self.ledger.release(claim).await;
                let to = &rule.1.target;
                Err(error)
                    .with_context(|| format!("rule {} of pipeline {} could not tell {to}", rule.0, facts.head.pipeline))
            }
        }
    }
}
