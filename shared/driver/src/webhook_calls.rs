//! What becomes of the calls of webhooks. It is kept apart from the webhooks themselves, under keys that an unsigned door may
//! write, which can thereby change nothing else.

use engine::Timestamp;
use pipeline::webhook::{Authentication, Secret};
use store::{Delivery, Expect, Key, SecretOwner, StoredWebhook, Versioned, WebhookCalls, WebhookError, Write};

use crate::commit::Change;
use crate::driver::Driver;
use crate::error::DriveError;

/// While the same goes wrong, it is noted once in this many milliseconds: what a stranger sends is no reason to write.
const SAME_ERROR: i64 = 60_000;

impl Driver {
    /// The secret by which calls of a webhook are signed; none where they are not.
    ///
    /// # Errors
    /// The store's, when the secret cannot be opened.
    pub async fn webhook_secret(&self, stored: &StoredWebhook) -> Result<Option<Secret>, DriveError> {
        let Authentication::GithubHmac { secret } = &stored.webhook.authentication else { return Ok(None) };
        let sealed = vec![secret.reveal().to_owned()];
        let opened = self.store.secrets().open(SecretOwner::Webhook(&stored.webhook.name), sealed).await?;
        Ok(Some(Secret::new(opened.concat())))
    }

    /// What became of the calls of these webhooks, in their order; none of one that was not called yet.
    ///
    /// # Errors
    /// The store's.
    pub async fn webhook_calls(&self, webhooks: &[&StoredWebhook]) -> Result<Vec<Option<WebhookCalls>>, DriveError> {
        let keys: Vec<_> = webhooks.iter().map(|it| calls_key(it)).collect();
        let found = self.store.load(&keys).await?.into_iter();
        let calls = found.map(|found| Ok(found.map(Versioned::typed::<WebhookCalls>).transpose()?.map(|it| it.entity)));
        calls.collect()
    }

    /// When this was delivered to this receiver before, if it was in the last 30 days.
    ///
    /// # Errors
    /// The store's.
    pub async fn delivered(&self, receiver: &str, id: &str) -> Result<Option<Timestamp>, DriveError> {
        let key = Key::Delivery(receiver.to_owned(), id.to_owned());
        Ok(self.store.get::<Delivery>(key).await?.map(|found| found.entity.received))
    }

    /// Notes that a call of a webhook was accepted, under the id of what was delivered.
    ///
    /// # Errors
    /// The store's.
    pub async fn note_webhook_triggered(
        &self,
        stored: &StoredWebhook,
        receiver: &str,
        id: &str,
    ) -> Result<(), DriveError> {
        let now = self.clock.now();
        let delivery = Delivery { receiver: receiver.to_owned(), id: id.to_owned(), received: now };
        let calls = WebhookCalls { triggered: Some(now), ..never_called(stored) };
        Ok(self.store.commit(vec![Write::put(delivery, Expect::Any), Write::put(calls, Expect::Any)]).await?)
    }

    /// Notes that something was delivered to a receiver that has nothing else to note.
    ///
    /// # Errors
    /// The store's.
    pub async fn note_delivery(&self, receiver: &str, id: &str) -> Result<(), DriveError> {
        let delivery = Delivery { receiver: receiver.to_owned(), id: id.to_owned(), received: self.clock.now() };
        Ok(self.store.commit(vec![Write::put(delivery, Expect::Any)]).await?)
    }

    /// Notes that a call of a webhook was refused, unless the same was noted a moment ago.
    ///
    /// # Errors
    /// The store's.
    pub async fn note_webhook_error(
        &self,
        stored: &StoredWebhook,
        code: &str,
        message: &str,
    ) -> Result<(), DriveError> {
        self.transact(|| {
            Box::pin(async {
                let now = self.clock.now();
                let found = self.store.get::<WebhookCalls>(calls_key(stored)).await?;
                let expect = found.as_ref().map_or(Expect::Absent, |found| found.unchanged());
                let calls = found.map_or_else(|| never_called(stored), |found| found.entity);
                let same = |error: &WebhookError| error.code == code && now.since(error.at) < SAME_ERROR;
                if calls.error.as_ref().is_some_and(same) {
                    return Ok(Change::of(Vec::new(), ()));
                }
                let error = WebhookError { code: code.to_owned(), message: message.to_owned(), at: now };
                Ok(Change::of(vec![Write::put(WebhookCalls { error: Some(error), ..calls }, expect)], ()))
            })
        })
        .await
    }
}

pub(crate) fn calls_key(stored: &StoredWebhook) -> Key {
    Key::WebhookCalls(stored.webhook.name.clone(), stored.created)
}

fn never_called(stored: &StoredWebhook) -> WebhookCalls {
    WebhookCalls { webhook: stored.webhook.name.clone(), created: stored.created, triggered: None, error: None }
}
