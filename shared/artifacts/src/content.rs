//! Bytes on their way: in memory, or in temporary storage.

use std::io;
use std::path::Path;

use bytes::Bytes;
use tempfile::TempPath;

use crate::Error;

/// A file in temporary storage (`/tmp` in Lambda, 512 MB unless the function asks for more), gone when this is dropped.
#[derive(Debug)]
pub struct TempFile {
    path: TempPath,
    size: u64,
}

impl TempFile {
    /// An empty file, open for writing, with the path that deletes it when dropped.
    pub(crate) fn create() -> Result<(std::fs::File, TempPath), Error> {
        let file = tempfile::Builder::new()
            .prefix("artifact-")
            .tempfile()
            .map_err(|source| Error::storage("make a temporary file", source))?;
        Ok(file.into_parts())
    }

    pub(crate) fn finished(path: TempPath, size: u64) -> Self {
        Self { path, size }
    }

    /// The file's path, which is gone when this is dropped.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many bytes were written to it.
    pub fn size(&self) -> u64 {
        self.size
    }

    pub(crate) fn open(&self) -> io::Result<std::fs::File> {
        std::fs::File::open(&self.path)
    }
}

/// What is to be written, or was read.
#[derive(Debug)]
pub enum Content {
    /// All of it, in memory.
    Memory(Bytes),
    /// All of it, in a file that is gone when this is dropped.
    File(TempFile),
}

impl Content {
    /// How many bytes it is, wherever they are.
    pub fn size(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File(file) => file.size(),
        }
    }
}

impl From<Bytes> for Content {
    fn from(bytes: Bytes) -> Self {
        Self::Memory(bytes)
    }
}

impl From<Vec<u8>> for Content {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Memory(bytes.into())
    }
}

impl From<TempFile> for Content {
    fn from(file: TempFile) -> Self {
        Self::File(file)
    }
}
