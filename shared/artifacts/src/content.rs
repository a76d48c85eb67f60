//! Bytes on their way: in memory, or in temporary storage.

use std::io;
use std::path::Path;

use aws_smithy_types::byte_stream::ByteStream;
use bytes::Bytes;
use tempfile::TempPath;
use tokio::io::AsyncWriteExt;

use crate::Error;
use crate::error::chain;

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

    /// Stores what comes from elsewhere than S3, up to `limit` bytes of it. `label` is how messages call it. `expected`: how
    /// many bytes its sender promised.
    ///
    /// # Errors
    /// [`Error::BrokenOff`] also when it ends too early; [`Error::TooLarge`], [`Error::StorageFull`].
    pub async fn receive(mut body: ByteStream, label: &str, expected: Option<u64>, limit: u64) -> Result<Self, Error> {
        let broken = |reason| Error::BrokenOff { object: label.to_owned(), reason };
        let full = |source| Error::storage(format!("store {label}"), source);
        let (file, path) = Self::create()?;
        let mut file = tokio::fs::File::from_std(file);
        let mut size = 0;
        while let Some(bytes) = body.try_next().await.map_err(|error| broken(chain(&error)))? {
            size += bytes.len() as u64;
            if size > limit {
                return Err(Error::TooLarge { object: label.to_owned(), size, limit });
            }
            file.write_all(&bytes).await.map_err(full)?;
        }
        file.flush().await.map_err(full)?;
        match expected {
            Some(expected) if size != expected => Err(broken(format!("{size} bytes came of {expected}"))),
            _ => Ok(Self { path, size }),
        }
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
    /// Its bytes as the body of a request.
    ///
    /// # Errors
    /// [`Error::Storage`] when the file cannot be read.
    pub async fn stream(&self) -> Result<ByteStream, Error> {
        match self {
            Self::Memory(bytes) => Ok(ByteStream::from(bytes.clone())),
            Self::File(file) => ByteStream::from_path(file.path())
                .await
                .map_err(|error| Error::storage("read what is to be sent", io::Error::other(chain(&error)))),
        }
    }

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
