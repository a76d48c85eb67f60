//! Secrets of the table under the installation's KMS key.
//!
//! Envelope encryption: one data key of KMS's for all texts that are sealed together, and AES-256-GCM under it. A sealed text
//! is base64 of the length of the encrypted data key (two bytes), that key, the text's number among its companions (four
//! bytes) and the ciphertext, so that it needs nothing beside it. The number is the nonce: a data key seals once. KMS is told
//! whose secrets they are (encryption context `pipeline` or `webhook`), which IAM policies can demand, and refuses to
//! decrypt them as anybody else's.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use aes_gcm::aead::{Aead, KeyInit};
use aes_gcm::{Aes256Gcm, Nonce};
use async_trait::async_trait;
use aws_sdk_kms::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::DataKeySpec;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pipeline::webhook::{MOST, Secret};
use store::{SecretOwner, Secrets, StoreError, UNREADABLE};

use crate::clients::Clients;
use crate::settings::{SettingError, Settings};

/// Seals and opens with the installation's key.
#[derive(Clone, Debug)]
pub struct KmsSecrets {
    kms: aws_sdk_kms::Client,
    key: String,
}

/// A sealed text, taken apart.
struct Sealed {
    data_key: Vec<u8>,
    nonce: [u8; 12],
    ciphertext: Vec<u8>,
}

impl KmsSecrets {
    /// # Errors
    /// [`SettingError::Missing`] for the key.
    pub fn new(settings: &Settings, clients: &Clients) -> Result<Self, SettingError> {
        Ok(Self { kms: clients.kms().clone(), key: settings.secrets_key()? })
    }

    async fn decrypted(&self, owner: SecretOwner<'_>, data_key: &[u8]) -> Result<Aes256Gcm, StoreError> {
        let (kind, name) = owner.pair();
        let request = self.kms.decrypt().key_id(&self.key).ciphertext_blob(Blob::new(data_key));
        let answer = request.encryption_context(kind, name).send().await;
        let answer = answer.map_err(|error| match error.code() {
            Some("InvalidCiphertextException" | "IncorrectKeyException") => corrupt(owner, "KMS does not know its key"),
            _ => unavailable(owner, "opened", &error),
        })?;
        let key = answer.plaintext.map(Blob::into_inner).unwrap_or_default();
        Aes256Gcm::new_from_slice(&key).map_err(|_| corrupt(owner, "KMS gave a key of another length"))
    }
}

#[async_trait]
impl Secrets for KmsSecrets {
    async fn seal(&self, owner: SecretOwner<'_>, texts: Vec<String>) -> Result<Vec<String>, StoreError> {
        let (kind, name) = owner.pair();
        let request = self.kms.generate_data_key().key_id(&self.key).key_spec(DataKeySpec::Aes256);
        let made = request.encryption_context(kind, name).send().await;
        let made = made.map_err(|error| unavailable(owner, "sealed", &error))?;
        let refused =
            |cause: &str| StoreError::Refused(format!("the secrets of {kind} {name} were not sealed: {cause}"));
        let encrypted = made.ciphertext_blob.map(Blob::into_inner).unwrap_or_default();
        let key = made.plaintext.map(Blob::into_inner).unwrap_or_default();
        let cipher = Aes256Gcm::new_from_slice(&key).map_err(|_| refused("KMS gave a key of another length"))?;
        let length = u16::try_from(encrypted.len()).map_err(|_| refused("KMS gave an encrypted key too long"))?;
        let seal = |(number, text): (u32, String)| {
            let ciphertext = cipher.encrypt(&Nonce::from(nonce(number)), text.as_bytes());
            let ciphertext = ciphertext.map_err(|_| refused("a text is too long"))?;
            let parts = [&length.to_be_bytes()[..], &encrypted, &number.to_be_bytes(), &ciphertext];
            Ok(STANDARD.encode(parts.concat()))
        };
        (0..).zip(texts).map(seal).collect()
    }

    async fn open(&self, owner: SecretOwner<'_>, sealed: Vec<String>) -> Result<Vec<String>, StoreError> {
        let mut texts = Vec::with_capacity(sealed.len());
        // Texts that were sealed together have one key.
        let mut last: Option<(Vec<u8>, Aes256Gcm)> = None;
        for text in sealed {
            let sealed = take_apart(&text).ok_or_else(|| corrupt(owner, "it was not sealed"))?;
            let cipher = match last.take().filter(|(data_key, _)| *data_key == sealed.data_key) {
                Some((_, cipher)) => cipher,
                None => self.decrypted(owner, &sealed.data_key).await?,
            };
            let text = cipher.decrypt(&Nonce::from(sealed.nonce), &sealed.ciphertext[..]).ok();
            let text = text.and_then(|text| String::from_utf8(text).ok());
            texts.push(text.ok_or_else(|| corrupt(owner, "it has been changed"))?);
            last = Some((sealed.data_key, cipher));
        }
        Ok(texts)
    }
}

/// The secrets of webhooks, for a function that may open those alone. What a text was sealed from never changes, so each is asked of
/// KMS once in a process: whoever calls a webhook's URL must not be able to spend KMS's capacity.
#[derive(Debug)]
pub struct WebhookSecrets {
    secrets: KmsSecrets,
    opened: Mutex<HashMap<String, Secret>>,
}

impl WebhookSecrets {
    /// Those that are sealed with the key of `secrets`.
    pub fn new(secrets: KmsSecrets) -> Self {
        Self { secrets, opened: Mutex::default() }
    }

    fn known(&self, sealed: &[String]) -> Option<Vec<String>> {
        let opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        sealed.iter().map(|text| opened.get(text).map(|secret| secret.reveal().to_owned())).collect()
    }
}

#[async_trait]
impl Secrets for WebhookSecrets {
    async fn seal(&self, owner: SecretOwner<'_>, _: Vec<String>) -> Result<Vec<String>, StoreError> {
        Err(StoreError::Refused(format!("this function may not store secrets of {owner:?}")))
    }

    async fn open(&self, owner: SecretOwner<'_>, sealed: Vec<String>) -> Result<Vec<String>, StoreError> {
        if !matches!(owner, SecretOwner::Webhook(_)) {
            return Ok(sealed.iter().map(|_| UNREADABLE.to_owned()).collect());
        }
        if let Some(known) = self.known(&sealed) {
            return Ok(known);
        }
        let texts = self.secrets.open(owner, sealed.clone()).await?;
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if opened.len() >= MOST {
            opened.clear();
        }
        opened.extend(sealed.into_iter().zip(texts.iter().map(Secret::new)));
        Ok(texts)
    }
}

fn nonce(number: u32) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[8..].copy_from_slice(&number.to_be_bytes());
    nonce
}

fn take_apart(text: &str) -> Option<Sealed> {
    let bytes = STANDARD.decode(text).ok()?;
    let (length, rest) = bytes.split_first_chunk()?;
    let (data_key, rest) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
    let (number, ciphertext) = rest.split_first_chunk()?;
    let nonce = nonce(u32::from_be_bytes(*number));
    Some(Sealed { data_key: data_key.to_vec(), nonce, ciphertext: ciphertext.to_vec() })
}

fn corrupt(owner: SecretOwner<'_>, cause: &str) -> StoreError {
    let (kind, name) = owner.pair();
    StoreError::Corrupt { key: format!("with a secret of {kind} {name}"), cause: cause.to_owned() }
}

fn unavailable<E>(owner: SecretOwner<'_>, done: &str, error: &SdkError<E>) -> StoreError
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
{
    let (kind, name) = owner.pair();
    StoreError::Unavailable(format!("secrets of {kind} {name} cannot be {done}: {}", DisplayErrorContext(error)))
}

#[cfg(test)]
mod tests {
    use pipeline::{PipelineName, WebhookName};
    use testkit::{Answer, Stub};

    use super::*;

    /// KMS, whose data keys are sealed for the encryption context of the request alone.
    fn kms() -> Stub {
        let made = std::sync::atomic::AtomicU8::new(0);
        Stub::new(move |request| {
            let body: serde_json::Value = serde_json::from_str(&request.body).unwrap();
            let context = body["EncryptionContext"].to_string();
            assert_eq!(body["KeyId"], "the-key");
            match request.operation() {
                "GenerateDataKey" => {
                    let number = made.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    let sealed = STANDARD.encode(format!("{}{context}", char::from(b'a' + number)));
                    let key = STANDARD.encode([b'a' + number; 32]);
                    Answer::ok(format!(r#"{{"CiphertextBlob":"{sealed}","Plaintext":"{key}","KeyId":"k"}}"#))
                }
                "Decrypt" => {
                    let blob = STANDARD.decode(body["CiphertextBlob"].as_str().unwrap()).unwrap();
                    if blob[1..] != *context.as_bytes() {
                        return Answer { status: 400, body: r#"{"__type":"InvalidCiphertextException"}"#.into() };
                    }
                    Answer::ok(format!(r#"{{"Plaintext":"{}","KeyId":"k"}}"#, STANDARD.encode([blob[0]; 32])))
                }
                other => panic!("{other}"),
            }
        })
    }

    fn secrets(stub: &Stub) -> KmsSecrets {
        KmsSecrets { kms: Clients::from_config(stub.config()).kms().clone(), key: "the-key".into() }
    }

    fn texts() -> Vec<String> {
        ["ghp_token", "", "ghp_token"].map(str::to_owned).to_vec()
    }

    #[tokio::test]
    async fn what_is_sealed_shows_nothing_and_is_opened_for_its_owner_alone() {
        let stub = kms();
        let secrets = secrets(&stub);
        let (one, other) = (PipelineName::new("one").unwrap(), PipelineName::new("other").unwrap());
        let sealed = secrets.seal(SecretOwner::Pipeline(&one), texts()).await.unwrap();
        for text in &sealed {
            assert!(!text.contains("ghp_token"));
            assert!(!String::from_utf8_lossy(&STANDARD.decode(text).unwrap()).contains("ghp_token"));
        }
        assert_ne!(sealed[0], sealed[2], "equal secrets do not look equal");
        assert_eq!(secrets.open(SecretOwner::Pipeline(&one), sealed.clone()).await.unwrap(), texts());
        assert_eq!(stub.requests().len(), 2, "one data key for all");
        let webhook = WebhookName::new("one").unwrap();
        for owner in [SecretOwner::Pipeline(&other), SecretOwner::Webhook(&webhook)] {
            let error = secrets.open(owner, sealed.clone()).await.unwrap_err();
            assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
        }
    }

    #[tokio::test]
    async fn what_was_changed_or_never_sealed_is_refused() {
        let secrets = secrets(&kms());
        let name = PipelineName::new("one").unwrap();
        let owner = SecretOwner::Pipeline(&name);
        let sealed = secrets.seal(owner, texts()).await.unwrap().remove(0);
        let mut changed = STANDARD.decode(&sealed).unwrap();
        *changed.last_mut().unwrap() ^= 1;
        for text in [STANDARD.encode(changed), "ghp_token".into(), String::new()] {
            let error = secrets.open(owner, vec![text]).await.unwrap_err();
            assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
        }
    }

    #[tokio::test]
    async fn the_door_for_webhooks_opens_their_secrets_alone_and_asks_for_each_once() {
        let stub = kms();
        let (webhook, pipeline) = (WebhookName::new("one").unwrap(), PipelineName::new("one").unwrap());
        let sealed = secrets(&stub).seal(SecretOwner::Webhook(&webhook), texts()).await.unwrap();
        let door = WebhookSecrets::new(secrets(&stub));
        for _ in 0..3 {
            assert_eq!(door.open(SecretOwner::Webhook(&webhook), sealed.clone()).await.unwrap(), texts());
        }
        assert_eq!(stub.requests().len(), 2, "one to seal, one to open");
        assert!(!format!("{door:?}").contains("ghp_token"));
        let unreadable = door.open(SecretOwner::Pipeline(&pipeline), sealed).await.unwrap();
        assert_eq!(unreadable, [UNREADABLE; 3]);
        assert!(door.seal(SecretOwner::Webhook(&webhook), texts()).await.is_err());
        assert_eq!(stub.requests().len(), 2);
    }

    #[tokio::test]
    async fn a_kms_that_does_not_answer_can_be_asked_again() {
        let secrets = secrets(&Stub::new(|_| Answer { status: 500, body: "{}".into() }));
        let name = PipelineName::new("one").unwrap();
        let error = secrets.seal(SecretOwner::Pipeline(&name), texts()).await.unwrap_err();
        assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
    }
}
