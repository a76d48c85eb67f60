//! Where an artifact is, and which object it is.

use pipeline::ArtifactName;
use serde::{Deserialize, Serialize};

use crate::state::unset::unset;

/// An artifact and where it was first stored; copies in other regions have the same key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Artifact {
    /// Its name in the declaration.
    pub name: ArtifactName,
    /// The region of the action that made it.
    pub region: String,
    /// The bucket of that region's artifact store.
    pub bucket: String,
    /// The object's key, the same in every region's bucket.
    pub key: String,
    /// Which object under that key it is: what is written there later is another.
    #[serde(default, skip_serializing_if = "unset")]
    pub pin: Pin,
}

/// What tells one object from all others that are written under its key. Recorded with the end of the action that made
/// it, so that whatever is written later is never taken for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// S3's `VersionId`; none in a bucket without versions.
    #[serde(default, skip_serializing_if = "unset")]
    pub version: Option<String>,
    /// S3's `ChecksumSHA256`: base64, over the whole object. An object that was made in parts has one over its parts'
    /// checksums, which ends with a hyphen and their number. None where S3 was not told to compute it.
    #[serde(default, skip_serializing_if = "unset")]
    pub sha256: Option<String>,
}

impl Pin {
    /// Whether anything is known of the object.
    pub fn is_known(&self) -> bool {
        *self != Self::default()
    }
}
