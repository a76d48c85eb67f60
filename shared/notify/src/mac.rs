//! Proofs that KMS makes and checks (HMAC-SHA-256): who has one has it from us.

use aws_sdk_kms::Client;
use aws_sdk_kms::error::DisplayErrorContext;
use aws_sdk_kms::operation::verify_mac::VerifyMacError;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::MacAlgorithmSpec;

/// How many bytes a proof has: those of an HMAC-SHA-256.
pub const MAC_LENGTH: usize = 32;

/// KMS could not be asked; trying later may help.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key {key} could not be used: {message}")]
pub struct MacError {
    /// The id of the KMS key, as the settings name it.
    pub key: String,
    /// KMS's error, or why no answer came.
    pub message: String,
}

/// A key that makes and checks proofs. What is proven begins with what it is for (see [`message`]), so that a proof for one
/// purpose is good for no other, whatever key it was made with.
#[derive(Clone, Debug)]
pub struct Macs {
    client: Client,
    key: String,
}

impl Macs {
    /// Proofs by this KMS key (of type HMAC_256).
    pub fn new(client: Client, key: impl Into<String>) -> Self {
        Self { client, key: key.into() }
    }

    /// The proof of a message of at most 4,096 bytes.
    ///
    /// # Errors
    /// [`MacError`].
    pub async fn make(&self, message: Vec<u8>) -> Result<Vec<u8>, MacError> {
        let asked = self.client.generate_mac().key_id(&self.key).mac_algorithm(MacAlgorithmSpec::HmacSha256);
        let answer = asked.message(Blob::new(message)).send().await;
        let answer = answer.map_err(|error| self.unavailable(DisplayErrorContext(&error).to_string()))?;
        let mac = answer.mac.ok_or_else(|| self.unavailable("KMS gave no signature".to_owned()))?;
        Ok(mac.into_inner())
    }

    /// Whether this is the proof of the message. KMS compares, so no time tells how much of it is right.
    ///
    /// # Errors
    /// [`MacError`].
    pub async fn verify(&self, message: Vec<u8>, mac: &[u8]) -> Result<bool, MacError> {
        let asked = self.client.verify_mac().key_id(&self.key).mac_algorithm(MacAlgorithmSpec::HmacSha256);
        match asked.message(Blob::new(message)).mac(Blob::new(mac)).send().await {
            Ok(answer) => Ok(answer.mac_valid),
            Err(error) if error.as_service_error().is_some_and(VerifyMacError::is_kms_invalid_mac_exception) => {
                Ok(false)
            }
            Err(error) => Err(self.unavailable(DisplayErrorContext(&error).to_string())),
        }
    }

    fn unavailable(&self, message: String) -> MacError {
        MacError { key: self.key.clone(), message }
    }
}

/// What is proven, as bytes: each part after its length, so that no two lists give the same.
#[must_use]
pub fn message(parts: &[&str]) -> Vec<u8> {
    parts.iter().flat_map(|part| format!("{}:{part};", part.len()).into_bytes()).collect()
}
