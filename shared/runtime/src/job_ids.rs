//! The ids of jobs.
//!
//! An action's id leads to its place in the table, and is shown in events, mails and pages. Whoever speaks for a job must
//! know more than that. A job's id is therefore the action's, encrypted: a UUID's 128 bits are one block of AES, so that
//! the id still holds the place, needs no index, is the same when a lost worker's job is given out again, and cannot be
//! made from the action's id. What was made up decrypts to an id of no execution.
//!
//! The key is derived by KMS from the installation's HMAC key when a process first needs it, and kept in its memory only.

use std::sync::Arc;

use aes::Aes256;
use aes::cipher::generic_array::GenericArray;
use aes::cipher::{BlockDecrypt, BlockEncrypt, KeyInit};
use aws_sdk_kms::error::DisplayErrorContext;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::MacAlgorithmSpec;
use engine::ActionId;
use tokio::sync::OnceCell;
use uuid::Uuid;

use crate::clients::Clients;
use crate::settings::{SettingError, Settings};

/// What the key is derived from. No approval link is signed over this text.
const PURPOSE: &[u8] = b"millrace: ids of jobs";
const UUID_LENGTH: usize = 36;

/// KMS did not give the key; trying again may help.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key for the ids of jobs cannot be derived: {0}")]
pub struct JobIdError(String);

/// Turns actions' ids into ids of jobs, and back.
#[derive(Clone)]
pub struct JobIds {
    kms: aws_sdk_kms::Client,
    key: String,
    cipher: Arc<OnceCell<Aes256>>,
}

impl std::fmt::Debug for JobIds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JobIds")
    }
}

impl JobIds {
    /// # Errors
    /// [`SettingError::Missing`] for the key of approval links, from which the key for ids is derived.
    pub fn new(settings: &Settings, clients: &Clients) -> Result<Self, SettingError> {
        Ok(Self { kms: clients.kms().clone(), key: settings.hmac_key()?, cipher: Arc::default() })
    }

    /// The id of an action's job.
    ///
    /// # Errors
    /// [`JobIdError`].
    pub async fn job(&self, action: ActionId) -> Result<String, JobIdError> {
        let mut block = GenericArray::from(action.uuid().into_bytes());
        self.cipher().await?.encrypt_block(&mut block);
        Ok(Uuid::from_bytes(block.into()).to_string())
    }

    /// The action whose job has this id; none if no job can have been given this id.
    ///
    /// # Errors
    /// [`JobIdError`].
    pub async fn action(&self, job: &str) -> Result<Option<ActionId>, JobIdError> {
        let Some(uuid) = Some(job).filter(|job| job.len() == UUID_LENGTH).and_then(|job| Uuid::try_parse(job).ok())
        else {
            return Ok(None);
        };
        let mut block = GenericArray::from(uuid.into_bytes());
        self.cipher().await?.decrypt_block(&mut block);
        Ok(Uuid::from_bytes(block.into()).to_string().parse().ok())
    }

    async fn cipher(&self) -> Result<&Aes256, JobIdError> {
        self.cipher.get_or_try_init(|| self.derive()).await
    }

    async fn derive(&self) -> Result<Aes256, JobIdError> {
        let request = self.kms.generate_mac().key_id(&self.key).mac_algorithm(MacAlgorithmSpec::HmacSha256);
        let answer = request.message(Blob::new(PURPOSE)).send().await;
        let answer = answer.map_err(|error| JobIdError(DisplayErrorContext(&error).to_string()))?;
        let mac = answer.mac.ok_or_else(|| JobIdError("KMS gave no signature".to_owned()))?;
        Aes256::new_from_slice(mac.as_ref())
            .map_err(|_| JobIdError("KMS gave a signature of another length".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use engine::ExecutionId;

    use super::*;
    use testkit::{Answer, Stub};

    /// KMS, whose HMAC is 32 bytes of zeros, or of ones for another key.
    fn kms() -> Stub {
        Stub::new(|request| {
            assert_eq!(request.operation(), "GenerateMac");
            let mac =
                if request.body.contains("other-key") { "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=" } else { ZEROS };
            Answer::ok(format!(r#"{{"KeyId":"k","Mac":"{mac}","MacAlgorithm":"HMAC_SHA_256"}}"#))
        })
    }

    const ZEROS: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

    fn ids(stub: &Stub, key: &'static str) -> JobIds {
        let settings = Settings::read(|name| match name {
            "AWS_REGION" => Some("eu-west-1".into()),
            "MILLRACE_HMAC_KEY" => Some(key.into()),
            _ => None,
        });
        JobIds::new(&settings.unwrap(), &Clients::from_config(stub.config())).unwrap()
    }

    fn action() -> ActionId {
        ExecutionId::from_random(Uuid::from_u128(0x1234_5678_9abc_def0_1234_5678_9abc_def0)).action(2, 7, 3)
    }

    #[tokio::test]
    async fn a_job_s_id_leads_back_to_its_action_and_is_the_same_when_it_is_given_out_again() {
        let stub = kms();
        let ids = ids(&stub, "key");
        let job = ids.job(action()).await.unwrap();
        assert_eq!(ids.action(&job).await.unwrap(), Some(action()));
        assert_eq!(ids.job(action()).await.unwrap(), job);
        assert_eq!(job.len(), UUID_LENGTH);
        assert_ne!(ids.job(action().next_turn()).await.unwrap()[..8], job[..8], "nothing of one id is in the next");
        assert_eq!(stub.requests().len(), 1, "the key is derived once");
    }

    #[tokio::test]
    async fn an_action_s_id_and_forged_ids_are_no_job_s() {
        let ids = ids(&kms(), "key");
        let job = ids.job(action()).await.unwrap();
        let changed = job.replace(&job[..1], if job.starts_with('0') { "1" } else { "0" });
        for forged in [action().to_string(), changed, "nonsense".into(), String::new(), format!("{{{job}}}")] {
            let found = ids.action(&forged).await.unwrap();
            // One in 16 has the form of an id by chance, but of no execution that there is.
            assert!(found.is_none_or(|found| found.execution != action().execution), "{forged}");
        }
    }

    #[tokio::test]
    async fn another_installation_s_ids_are_of_no_use() {
        let stub = kms();
        let job = ids(&stub, "other-key").job(action()).await.unwrap();
        assert_ne!(ids(&stub, "key").action(&job).await.unwrap(), Some(action()));
    }

    #[tokio::test]
    async fn a_kms_that_does_not_answer_is_no_lasting_harm() {
        let broken = Stub::new(|_| Answer { status: 500, body: "{}".into() });
        assert!(ids(&broken, "key").job(action()).await.is_err());
        let first = std::sync::atomic::AtomicBool::new(true);
        let stub = Stub::new(move |_| match first.swap(false, std::sync::atomic::Ordering::Relaxed) {
            true => Answer { status: 500, body: "{}".into() },
            false => Answer::ok(format!(r#"{{"KeyId":"k","Mac":"{ZEROS}","MacAlgorithm":"HMAC_SHA_256"}}"#)),
        });
        let ids = ids(&stub, "key");
        assert!(ids.job(action()).await.is_err());
        assert!(ids.job(action()).await.is_ok(), "a failure is not remembered");
    }
}
