//! A zip that stays in its bucket: its list of entries and single files are fetched, and nothing else of it.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use engine::Pin;
use tokio::runtime::Handle;

use super::archive::{Archive, Links, Stop};
use super::contents::{Spill, blocking, sought};
use super::error::{InvalidZip, ZipLimits};
use crate::bucket::{Bucket, Object};
use crate::content::Content;
use crate::error::Error;

/// Objects up to this many bytes are fetched at once: that is quicker than several requests.
const WHOLE: u64 = 256 << 10;
/// How much is fetched where nothing before it was.
const PIECE: u64 = 64 << 10;
/// Pieces that follow each other double up to this size.
const LARGEST_PIECE: u64 = 8 << 20;

/// A zip in a bucket whose list of entries has been checked, as [`super::Zip`] does. Cheap to clone.
///
/// It is read in pieces, so its SHA-256 is not computed: S3 says that the object is the recorded one, and every piece
/// comes from that very object, by its version and ETag.
#[derive(Clone, Debug)]
pub struct RemoteZip {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    label: String,
    archive: Mutex<Archive<ObjectReader>>,
    failure: Failure,
}

impl RemoteZip {
    /// Takes an object as a zip. `label` is how messages call it, for example `input artifact Build`.
    ///
    /// # Errors
    /// As [`Bucket::find`]; [`Error::Zip`] with the reason why it is not a zip or is refused; [`Error::S3`],
    /// [`Error::BrokenOff`].
    pub async fn open(
        bucket: &Bucket,
        key: &str,
        pin: &Pin,
        label: impl Into<String>,
        limits: ZipLimits,
    ) -> Result<Self, Error> {
        let object = bucket.find(key, pin).await?;
        let (label, failure) = (label.into(), Failure::default());
        let reader = ObjectReader::new(bucket.clone(), object, failure.clone());
        blocking(label.clone(), move || {
            let opened = Archive::open(reader, limits, Links::Refused);
            let archive = opened.map_err(|error| failure.or(Error::Zip { archive: label.clone(), error }))?;
            Ok(Self { shared: Arc::new(Shared { label, archive: Mutex::new(archive), failure }) })
        })
        .await
    }

    /// Reads one file by its path, into memory.
    ///
    /// # Errors
    /// [`Error::Zip`]: it is not there, it is larger than `limit` bytes, or it is damaged. [`Error::S3`],
    /// [`Error::BrokenOff`].
    pub async fn read(&self, name: &str, limit: u64) -> Result<Bytes, Error> {
        self.unpack_into(name, limit, Vec::new()).await.map(Bytes::from)
    }

    /// The same of a file that may be large: into temporary storage then.
    ///
    /// # Errors
    /// As [`RemoteZip::read`]; [`Error::StorageFull`], [`Error::Storage`].
    pub async fn unpack(&self, name: &str, limit: u64) -> Result<Content, Error> {
        self.unpack_into(name, limit, Spill::default()).await.map(Spill::finish)
    }

    async fn unpack_into<W: Write + Send + 'static>(&self, name: &str, limit: u64, mut sink: W) -> Result<W, Error> {
        let (shared, name) = (Arc::clone(&self.shared), name.to_owned());
        blocking(shared.label.clone(), move || {
            let failed = |error: InvalidZip| shared.failure.or(Error::Zip { archive: shared.label.clone(), error });
            let mut archive = shared.archive.lock().unwrap_or_else(PoisonError::into_inner);
            let entry = archive.find(&name).map_err(failed)?;
            archive.forget_total();
            match archive.unpack(&entry, limit, &mut sink) {
                Ok(_) => Ok(sink),
                Err(Stop::Zip(error)) => Err(failed(error)),
                Err(Stop::Sink(source)) => {
                    Err(Error::storage(format!("unpack {:?} of {}", entry.name, shared.label), source))
                }
            }
        })
        .await
    }
}

/// Why a piece could not be fetched: readers can only give an [`io::Error`], of which a zip's reader makes its own.
#[derive(Clone, Debug, Default)]
struct Failure(Arc<Mutex<Option<Error>>>);

impl Failure {
    fn put(&self, error: Error) -> io::Error {
        let told = io::Error::other(error.to_string());
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        told
    }

    /// The cause, if a piece is missing; otherwise what was found wrong.
    fn or(&self, error: Error) -> Error {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or(error)
    }
}

/// Reads an object in pieces, where blocking is allowed.
#[derive(Debug)]
struct ObjectReader {
    bucket: Bucket,
    object: Object,
    runtime: Handle,
    failure: Failure,
    position: u64,
    /// The piece that was fetched last, and where it begins.
    piece: Bytes,
    start: u64,
    /// Its size as it was asked for.
    asked: u64,
}

impl ObjectReader {
    fn new(bucket: Bucket, object: Object, failure: Failure) -> Self {
        let runtime = Handle::current();
        Self { bucket, object, runtime, failure, position: 0, piece: Bytes::new(), start: 0, asked: 0 }
    }

    /// What of the piece is from the position on.
    fn rest(&self) -> &[u8] {
        let offset = self.position.checked_sub(self.start).and_then(|offset| usize::try_from(offset).ok());
        offset.and_then(|offset| self.piece.get(offset..)).unwrap_or_default()
    }

    /// Fetches a piece that has the position in it.
    fn fetch(&mut self) -> io::Result<()> {
        let size = self.object.size;
        let follows = !self.piece.is_empty() && self.position == self.start + self.piece.len() as u64;
        self.asked = if follows { (self.asked * 2).min(LARGEST_PIECE) } else { PIECE };
        let start = match size {
            ..=WHOLE => 0,
            _ if follows => self.position,
            // A zip is read from its end.
            _ => self.position.min(size.saturating_sub(self.asked)),
        };
        let length = if size <= WHOLE { size } else { self.asked.min(size - start) };
        let read = self.runtime.block_on(self.bucket.read_range(&self.object, start, length));
        self.piece = read.map_err(|error| self.failure.put(error))?;
        self.start = start;
        Ok(())
    }
}

impl Read for ObjectReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() || self.position >= self.object.size {
            return Ok(0);
        }
        if self.rest().is_empty() {
            self.fetch()?;
        }
        let rest = self.rest();
        let read = rest.len().min(buffer.len());
        buffer[..read].copy_from_slice(&rest[..read]);
        self.position += read as u64;
        Ok(read)
    }
}

impl Seek for ObjectReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.position = sought(to, self.position, self.object.size)?;
        Ok(self.position)
    }
}
