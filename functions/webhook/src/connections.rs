//! Connections: what hosts of code deliver of all repositories that pipelines read through a connection. Who sends proves himself by
//! a secret of the connection's own, which is for deliveries alone: this function cannot read the host's token.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use anyhow::Context;
use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueError;
use driver::{Driver, GitDelivery};
use engine::Timestamp;
use pipeline::webhook::Secret;
use providers::{Delivered, Undelivered};
use store::ChangeOrigin;

use crate::http::{Answer, Delivery};
use crate::queue::StartQueue;

/// Behind the name of the connection's secret.
const DELIVERIES: &str = "/deliveries";
/// A secret is asked for again after this many milliseconds: strangers cannot make us ask for it with each request.
const FRESH: i64 = 60_000;
/// When more are remembered than this, all are forgotten.
const MOST: usize = 1_000;
/// Most characters of a connection's id. Source: CodeConnections API, `ConnectionArn`.
const LONGEST_ID: usize = 64;
/// A message with more bytes than this goes without the paths of files, which a worker then asks the host for. Source: SQS
/// quotas, 'Message size'.
const LARGEST_MESSAGE: usize = 200_000;

/// Receives what is delivered to connections.
pub struct Connections {
    driver: Driver,
    queue: StartQueue,
    secrets: Client,
    prefix: String,
    known: Mutex<HashMap<String, (Timestamp, Option<Secret>)>>,
}

impl Connections {
    /// Connections whose secrets have names that begin with `prefix`.
    pub fn new(driver: Driver, queue: StartQueue, secrets: Client, prefix: String) -> Self {
        Self { driver, queue, secrets, prefix, known: Mutex::default() }
    }

    /// Takes a delivery to the connection of this id.
    ///
    /// # Errors
    /// When the table, the secret or the queue cannot be reached: the sender may deliver again.
    pub async fn receive(&self, id: &str, delivery: &Delivery<'_>) -> anyhow::Result<Answer> {
        let is_id = |it: &str| it.chars().all(|character| character.is_ascii_alphanumeric() || character == '-');
        if id.is_empty() || id.len() > LONGEST_ID || !is_id(id) {
            return Ok(Answer::UNKNOWN);
        }
        let Some(secret) = self.secret(id).await? else { return Ok(Answer::UNKNOWN) };
        let now = self.driver.now().0 / 1_000;
        let read = providers::delivered(|name| delivery.header(name), delivery.body, secret.reveal().trim(), now);
        match read {
            Ok(delivered) => self.accept(id, delivery, delivered).await,
            Err(error) => {
                tracing::info!(connection = id, %error, request = delivery.request, "refused");
                Ok(match error {
                    Undelivered::UnknownHost | Undelivered::Unproven => Answer::UNPROVEN,
                    Undelivered::Unreadable(_) => Answer::UNREADABLE,
                })
            }
        }
    }

    /// Asks for what the events start, once for each delivery. Whoever dies before the note is made is delivered to again; the
    /// starts' tokens then say that there were some.
    async fn accept(&self, id: &str, delivery: &Delivery<'_>, delivered: Delivered) -> anyhow::Result<Answer> {
        if delivered.events.is_empty() {
            return Ok(Answer::PASSED_OVER);
        }
        let receiver = format!("connection/{id}");
        if self.driver.delivered(&receiver, &delivered.id).await?.is_some() {
            return Ok(Answer::REPEATED);
        }
        for (index, event) in delivered.events.into_iter().enumerate() {
            let mut git = GitDelivery {
                watched: providers::connected(id, &event.repository),
                token: format!("{id}#{}#{index}", delivered.id),
                event,
                by: ChangeOrigin {
                    caller: receiver.clone(),
                    source: delivery.source.map(|source| source.to_string()),
                    request: delivery.request.clone(),
                },
            };
            if serde_json::to_string(&git)?.len() > LARGEST_MESSAGE {
                git.event.files = None;
            }
            self.queue.put_git(&git).await?;
        }
        self.driver.note_delivery(&receiver, &delivered.id).await?;
        tracing::info!(connection = id, request = delivery.request, "accepted");
        Ok(Answer::ACCEPTED)
    }

    /// The secret for deliveries; none where the connection has none.
    async fn secret(&self, id: &str) -> anyhow::Result<Option<Secret>> {
        let now = self.driver.now();
        if let Some((at, secret)) = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(id)
            && now.since(*at) < FRESH
        {
            return Ok(secret.clone());
        }
        let name = format!("{}{id}{DELIVERIES}", self.prefix);
        let got = match self.secrets.get_secret_value().secret_id(&name).send().await {
            Ok(got) => got.secret_string.map(Secret::new),
            Err(error)
                if error.as_service_error().is_some_and(GetSecretValueError::is_resource_not_found_exception) =>
            {
                None
            }
            Err(error) => return Err(error).with_context(|| format!("the secret {name} cannot be read")),
        };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(id.to_owned(), (now, got.clone()));
        Ok(got)
    }
}
