//! Secrets in the table: nobody who reads an item can read them.
//!
//! Secret values of action configurations are sealed where a declaration is made ready for the table, and opened where it is
//! read; a webhook's token is sealed before it is stored. With which key, and who may use it, is not the store's to know.

use std::fmt::Debug;

use async_trait::async_trait;
use pipeline::{PipelineName, WebhookName};

use crate::{StoreError, StoredDeclaration};

/// Whose secrets they are. What was sealed for one owner cannot be opened as another's.
#[derive(Clone, Copy, Debug)]
pub enum SecretOwner<'a> {
    /// Configurations of a pipeline's actions.
    Pipeline(&'a PipelineName),
    /// The token of a webhook, by the webhook's name.
    Webhook(&'a WebhookName),
}

impl SecretOwner<'_> {
    /// Its kind and its name.
    pub fn pair(&self) -> (&'static str, &str) {
        match self {
            Self::Pipeline(name) => ("pipeline", name.as_str()),
            Self::Webhook(name) => ("webhook", name.as_str()),
        }
    }
}

/// Encrypts secrets before they are stored, and decrypts them after they are read.
#[async_trait]
pub trait Secrets: Debug + Send + Sync {
    /// Texts without the secrets in them, in the same order.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when trying later may help, else [`StoreError::Refused`].
    async fn seal(&self, owner: SecretOwner<'_>, texts: Vec<String>) -> Result<Vec<String>, StoreError>;

    /// The secrets again, in the same order.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when trying later may help, else [`StoreError::Corrupt`].
    async fn open(&self, owner: SecretOwner<'_>, sealed: Vec<String>) -> Result<Vec<String>, StoreError>;
}

/// For functions that may not use the key: they store no secrets, and read [`UNREADABLE`] in their place.
#[derive(Clone, Copy, Debug)]
pub struct NoSecrets;

/// What stands for a secret that a function may not read.
pub const UNREADABLE: &str = "(a secret)";

#[async_trait]
impl Secrets for NoSecrets {
    async fn seal(&self, owner: SecretOwner<'_>, _: Vec<String>) -> Result<Vec<String>, StoreError> {
        Err(StoreError::Refused(format!("this function may not store secrets of {owner:?}")))
    }

    async fn open(&self, _: SecretOwner<'_>, sealed: Vec<String>) -> Result<Vec<String>, StoreError> {
        Ok(sealed.iter().map(|_| UNREADABLE.to_owned()).collect())
    }
}

impl StoredDeclaration {
    /// The same as it goes into the table.
    ///
    /// # Errors
    /// Those of [`Secrets::seal`].
    pub async fn sealed(mut self, secrets: &dyn Secrets) -> Result<Self, StoreError> {
        let texts = self.secrets();
        if !texts.is_empty() {
            let sealed = secrets.seal(SecretOwner::Pipeline(&self.pipeline), texts).await?;
            self.replace_secrets(sealed);
        }
        Ok(self)
    }

    /// The same as it was before.
    ///
    /// # Errors
    /// Those of [`Secrets::open`].
    pub(crate) async fn opened(mut self, secrets: &dyn Secrets) -> Result<Self, StoreError> {
        let sealed = self.secrets();
        if !sealed.is_empty() {
            let texts = secrets.open(SecretOwner::Pipeline(&self.pipeline), sealed).await?;
            self.replace_secrets(texts);
        }
        Ok(self)
    }

    fn secrets(&mut self) -> Vec<String> {
        let types = self.types.iter().cloned().collect();
        self.declaration.secrets_mut(&types).map(|value| value.clone()).collect()
    }

    fn replace_secrets(&mut self, texts: Vec<String>) {
        let types = self.types.iter().cloned().collect();
        for (value, text) in self.declaration.secrets_mut(&types).zip(texts) {
            *value = text;
        }
    }
}
