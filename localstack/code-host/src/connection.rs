//! What the code host and the installation know of each other.

use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// The content of the file that `--connection` names, as JSON. It is read whenever it is needed, so that it may come later than
/// the code host.
#[derive(Clone, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Connection {
    /// The token with which the API is called.
    pub token: String,
    /// Where pushes are delivered.
    pub webhook_url: String,
    /// The secret with which deliveries are signed.
    pub webhook_secret: String,
}

impl Connection {
    /// Reads the file; none where there is none yet.
    pub(crate) fn read(file: &Path) -> Result<Option<Self>> {
        if !file.exists() {
            return Ok(None);
        }
        let text = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        // The reader's words may quote a secret.
        let read = serde_json::from_slice(&text).ok();
        read.map(Some).with_context(|| format!("{} is not what `local up` writes", file.display()))
    }
}
