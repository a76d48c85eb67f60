//! Hashes that show whether content has changed.

use sha2::{Digest, Sha256};

/// SHA-256, as 64 hexadecimal digits.
#[must_use]
pub fn hash(content: impl AsRef<[u8]>) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}
