//! Webhooks: kept, listed, changed. What becomes of their calls is in `webhook_calls`.

use std::collections::BTreeMap;

use pipeline::webhook::{Authentication, MOST, Secret, Webhook};
use pipeline::{Action, MASK, WebhookName};
use store::{Expect, Key, Listing, Page, SecretOwner, StoredWebhook, Versioned, Write};

use crate::commit::Change;
use crate::driver::Driver;
use crate::error::DriveError;
use crate::webhook_calls::calls_key;

impl Driver {
    /// Stores a webhook, or changes the one of that name, which keeps its URL and its registration. Tags that are given
    /// replace those that it has.
    ///
    /// # Errors
    /// [`DriveError::PipelineNotFound`], [`DriveError::WebhookTarget`], [`DriveError::WebhookAuthentication`],
    /// [`DriveError::WebhookLimit`].
    pub async fn put_webhook(
        &self,
        webhook: Webhook,
        tags: Option<BTreeMap<String, String>>,
    ) -> Result<StoredWebhook, DriveError> {
        let webhook = self.sealed(webhook).await?;
        self.transact(|| {
            Box::pin(async {
                let record = self.pipeline(&webhook.target_pipeline, None).await?;
                webhook.check(&record.pipeline)?;
                let found = self.find_webhook(&webhook.name).await?;
                let mut webhook = webhook.clone();
                let before = found.as_ref().map(|found| &found.entity.webhook.authentication);
                webhook.authentication = webhook.authentication.unmask_from(before)?;
                let now = self.clock.now();
                let (stored, expect) = match found {
                    Some(found) => {
                        let (known, before) = (found.unchanged(), found.entity);
                        // Only what it was registered for stays registered.
                        let registered = before.registered
                            && before.webhook.target_pipeline == webhook.target_pipeline
                            && webhook.third_party(&record.pipeline);
                        let tags = tags.clone().unwrap_or_else(|| before.tags.clone());
                        (StoredWebhook { webhook, registered, tags, updated: now, ..before }, known)
                    }
                    None => {
                        // Of those who put the last ones at the same moment, each may see room for its own: the limit keeps
                        // the list short, and nothing breaks with a few more.
                        if self.store.list(&Listing::Webhooks, None, MOST).await?.entities.len() >= MOST {
                            return Err(DriveError::WebhookLimit);
                        }
                        let key = format!("{}{}", self.clock.random().simple(), self.clock.random().simple());
                        let stored = StoredWebhook {
                            webhook,
                            key: Secret::new(key),
                            registered: false,
                            tags: tags.clone().unwrap_or_default(),
                            created: now,
                            updated: now,
                        };
                        (stored, Expect::Absent)
                    }
                };
                Ok(Change::of(vec![Write::put(stored.clone(), expect)], stored))
            })
        })
        .await
    }

    /// The same with its token as it goes into the table; `****` stands for the one that is there.
    async fn sealed(&self, mut webhook: Webhook) -> Result<Webhook, DriveError> {
        if let Authentication::GithubHmac { secret } = &mut webhook.authentication
            && secret.reveal() != MASK
        {
            let (owner, token) = (SecretOwner::Webhook(&webhook.name), secret.reveal().to_owned());
            let sealed = self.store.secrets().seal(owner, vec![token]).await?;
            *secret = Secret::new(sealed.concat());
        }
        Ok(webhook)
    }

    /// A webhook.
    ///
    /// # Errors
    /// [`DriveError::WebhookNotFound`].
    pub async fn webhook(&self, name: &WebhookName) -> Result<StoredWebhook, DriveError> {
        let found = self.find_webhook(name).await?;
        Ok(found.ok_or_else(|| DriveError::WebhookNotFound(name.to_string()))?.entity)
    }

    /// A page of webhooks by name.
    ///
    /// # Errors
    /// [`store::StoreError::Cursor`] for a cursor that this store did not issue.
    pub async fn webhooks(&self, after: Option<&str>, limit: usize) -> Result<Page, DriveError> {
        Ok(self.store.list(&Listing::Webhooks, after, limit).await?)
    }

    /// Deletes a webhook; one that is not there is no error, as on AWS.
    ///
    /// # Errors
    /// The store's.
    pub async fn delete_webhook(&self, name: &WebhookName) -> Result<(), DriveError> {
        self.transact(|| {
            Box::pin(async {
                let delete = |key| Write::Delete { key, expect: Expect::Any };
                let calls = self.find_webhook(name).await?.map(|found| delete(calls_key(&found.entity)));
                let webhook = delete(Key::Webhook(name.clone()));
                Ok(Change::of([webhook].into_iter().chain(calls).collect(), ()))
            })
        })
        .await
    }

    /// A webhook, and the action whose host is to be told to call it, or to call it no more; none where the pipeline is gone,
    /// and with it what is needed to tell anybody.
    ///
    /// # Errors
    /// [`DriveError::WebhookNotFound`]; [`DriveError::NoThirdParty`] where the host cannot be told.
    pub async fn third_party(&self, name: &WebhookName) -> Result<(StoredWebhook, Option<Action>), DriveError> {
        let stored = self.webhook(name).await?;
        let pipeline = match self.pipeline(&stored.webhook.target_pipeline, None).await {
            Err(DriveError::PipelineNotFound(_)) => return Ok((stored, None)),
            found => found?.pipeline,
        };
        match stored.webhook.target(&pipeline) {
            Ok(action) if stored.webhook.third_party(&pipeline) => Ok((stored, Some(action.clone()))),
            _ => Err(DriveError::NoThirdParty(name.to_string())),
        }
    }

    /// Notes that the third party was told to call a webhook, or to call it no more.
    ///
    /// # Errors
    /// [`DriveError::WebhookNotFound`].
    pub async fn note_registration(&self, name: &WebhookName, registered: bool) -> Result<(), DriveError> {
        let change = |stored: &mut StoredWebhook| {
            let changed = stored.registered != registered;
            stored.registered = registered;
            changed
        };
        self.change_webhook(name, change).await.map(|_| ())
    }

    /// Changes a webhook's tags. Answers whether it did: the change says whether what it made is to be stored.
    ///
    /// # Errors
    /// [`DriveError::WebhookNotFound`].
    pub async fn change_webhook_tags(
        &self,
        name: &WebhookName,
        change: impl Fn(&mut BTreeMap<String, String>) -> bool + Send + Sync,
    ) -> Result<bool, DriveError> {
        self.change_webhook(name, |stored| change(&mut stored.tags)).await
    }

    async fn change_webhook(
        &self,
        name: &WebhookName,
        change: impl Fn(&mut StoredWebhook) -> bool + Send + Sync,
    ) -> Result<bool, DriveError> {
        self.transact(|| {
            Box::pin(async {
                let found = self.find_webhook(name).await?;
                let found = found.ok_or_else(|| DriveError::WebhookNotFound(name.to_string()))?;
                Ok(Change::to(found, &change))
            })
        })
        .await
    }

    async fn find_webhook(&self, name: &WebhookName) -> Result<Option<Versioned<StoredWebhook>>, DriveError> {
        Ok(self.store.get(Key::Webhook(name.clone())).await?)
    }
}
