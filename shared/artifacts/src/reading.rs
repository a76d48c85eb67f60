//! Whether what is read is what was recorded.

use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_smithy_types::base64;
use engine::Pin;
use sha2::{Digest, Sha256};

/// Whether a SHA-256, as S3 writes it, is the whole object's; otherwise it is one over the checksums of its parts.
pub(crate) fn is_whole(sha256: &str) -> bool {
    !sha256.contains('-')
}

/// Looks at what is read, as it comes.
pub(crate) struct Reading {
    recorded: Option<String>,
    /// The SHA-256 that S3 says the object has.
    told: Option<String>,
    hash: Sha256,
    versioned: bool,
}

impl Reading {
    pub fn new(pin: &Pin, got: &GetObjectOutput) -> Self {
        Self {
            recorded: pin.sha256.clone(),
            told: got.checksum_sha256.clone(),
            hash: Sha256::new(),
            versioned: pin.version.is_some(),
        }
    }

    pub fn update(&mut self, bytes: &[u8]) {
        if self.recorded.as_deref().is_some_and(is_whole) {
            self.hash.update(bytes);
        }
    }

    /// What was found instead of what was recorded, if it is something else.
    pub fn end(self) -> Result<(), Option<String>> {
        let Some(recorded) = self.recorded else { return Ok(()) };
        if is_whole(&recorded) {
            let read = base64::encode(self.hash.finalize());
            return if read == recorded { Ok(()) } else { Err(Some(read)) };
        }
        match self.told {
            Some(told) if told == recorded => Ok(()),
            None if self.versioned => Ok(()),
            told => Err(told),
        }
    }
}
