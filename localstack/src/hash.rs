//! Content by its hash.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// SHA-256, in hexadecimal digits.
pub(crate) fn hash(content: impl AsRef<[u8]>) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Hashes of files, remembered for as long as a file keeps its size and its time: hashing all functions takes seconds in
/// a debug build, and `up` shall not when there is nothing to do.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Hashes(BTreeMap<String, Known>);

#[derive(Debug, Serialize, Deserialize)]
struct Known {
    size: u64,
    modified: SystemTime,
    hash: String,
}

impl Hashes {
    /// Those that were written into `file`; none when there is no such file, or nobody can read it.
    pub fn read(file: &Path) -> Self {
        fs::read(file).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
    }

    /// Remembers them for the next command.
    pub fn write(&self, file: &Path) -> Result<()> {
        fs::write(file, serde_json::to_vec(self)?).with_context(|| format!("cannot write {}", file.display()))
    }

    /// The hash of the file's content.
    pub fn of(&mut self, file: &Path) -> Result<String> {
        let about = || format!("cannot read {}", file.display());
        let metadata = fs::metadata(file).with_context(about)?;
        let (size, modified) = (metadata.len(), metadata.modified()?);
        let name = file.display().to_string();
        if let Some(known) = self.0.get(&name).filter(|known| known.size == size && known.modified == modified) {
            return Ok(known.hash.clone());
        }
        let hash = hash(fs::read(file).with_context(about)?);
        self.0.insert(name, Known { size, modified, hash: hash.clone() });
        Ok(hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_file_has_another_hash_and_an_unchanged_one_is_remembered() {
        let folder = tempfile::tempdir().unwrap();
        let (file, memory) = (folder.path().join("file"), folder.path().join("memory"));
        fs::write(&file, "one").unwrap();
        let mut hashes = Hashes::default();
        let one = hashes.of(&file).unwrap();
        assert_eq!(one, hash("one"));
        hashes.write(&memory).unwrap();
        let mut hashes = Hashes::read(&memory);
        assert_eq!(hashes.0.len(), 1);
        assert_eq!(hashes.of(&file).unwrap(), one);
        fs::write(&file, "three").unwrap();
        assert_eq!(hashes.of(&file).unwrap(), hash("three"));
    }
}
