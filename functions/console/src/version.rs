//! The version of what a page shows.

use driver::PipelineRecord;
use engine::Execution;
use pages::STYLE;
use sha2::{Digest, Sha256};

use crate::handler::EDITOR;

/// Grows out of the revisions of all items that a page is made of.
#[derive(Clone, Debug)]
pub struct Version(Sha256);

impl Version {
    /// Of a page of this program at this address.
    pub fn of(address: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update(STYLE);
        hash.update(EDITOR);
        hash.update(address);
        Self(hash)
    }

    /// Of a page about a pipeline's declaration, which is another one as soon as a version is stored.
    pub fn of_declaration(address: &str, newest: &PipelineRecord) -> Self {
        let mut version = Self::of(address);
        version.text(&newest.head.incarnation.to_string());
        version.item(Some(newest.version.into()));
        version
    }

    /// An item, by its revision; none where there is no item.
    pub fn item(&mut self, revision: Option<u64>) {
        self.0.update(revision.unwrap_or(0).to_be_bytes());
    }

    /// Executions that were listed: which they are, and when each changed last.
    pub fn executions(&mut self, executions: &[Execution]) {
        for execution in executions {
            self.text(&execution.id.to_string());
            self.item(u64::try_from(execution.updated.0).ok());
        }
    }

    /// Something that has no revision.
    pub fn text(&mut self, text: &str) {
        self.0.update((text.len() as u64).to_be_bytes());
        self.0.update(text);
    }

    /// As `ETag` has it.
    pub fn tag(&self) -> String {
        let digest = self.0.clone().finalize();
        let hex = hex::encode(&digest[..12]);
        format!("\"{hex}\"")
    }
}
