//! A zip that lies in temporary storage, for async callers: its entries as a stream that is never all in memory.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use tempfile::TempPath;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_blocking};

use super::archive::{Archive, Entry, Links, Stop};
use super::error::{InvalidZip, ZipLimits};
use crate::content::{Content, TempFile};
use crate::error::Error;

/// Entries up to this many bytes stay in memory; larger ones go through temporary storage.
const IN_MEMORY: usize = 1 << 20;
/// Entries above this many bytes go through neither: they are streamed.
const STREAMED_FROM: u64 = 32 << 20;
/// Pieces of a stream, of 64 KiB at most, that are unpacked before the caller has taken them.
const PIECES_AHEAD: usize = 16;
/// Entries that are unpacked before the caller has taken them.
const AHEAD: usize = 2;

/// A zip in temporary storage whose list of entries has been checked: no path leads out, nothing is a link, nothing is
/// there twice. The entries' bytes are checked when they are read: all at once by [`Zip::verify`], or by each reader.
///
/// ```no_run
/// # async fn example(store: artifacts::Bucket, target: artifacts::Bucket, pin: engine::Pin) -> Result<(), artifacts::Error> {
/// use artifacts::{Settings, Zip, ZipLimits};
///
/// let file = store.download("pipeline/Artifact/key", &pin, 1 << 30).await?;
/// let zip = Zip::open(file, "input artifact Build", ZipLimits::default()).await?;
/// zip.verify().await?; // before the first object is written, so that a bad zip leaves nothing half done
/// let mut contents = zip.contents();
/// while let Some((entry, content)) = contents.next().await? {
///     target.put_unpacked(&entry.name, content, &Settings::default()).await?;
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Zip {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// Holds what the archive reads in temporary storage.
    _file: TempFile,
    label: String,
    archive: Archive<FileReader>,
}

impl Shared {
    fn zip_error(&self, error: InvalidZip) -> Error {
        Error::Zip { archive: self.label.clone(), error }
    }

    fn stopped(&self, stop: Stop, entry: &Entry) -> Error {
        match stop {
            Stop::Zip(error) => self.zip_error(error),
            Stop::Sink(source) => Error::storage(format!("unpack {:?} of {}", entry.name, self.label), source),
        }
    }
}

/// A file that several readers share, each at its own place in it.
#[derive(Clone, Debug)]
struct FileReader {
    file: Arc<File>,
    size: u64,
    at: u64,
}

impl Read for FileReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

impl Seek for FileReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.at = sought(to, self.at, self.size)?;
        Ok(self.at)
    }
}

/// Where a reader of `size` bytes that is at `at` comes to, counted from the beginning.
pub(super) fn sought(to: SeekFrom, at: u64, size: u64) -> io::Result<u64> {
    let target = match to {
        SeekFrom::Start(at) => Some(at),
        SeekFrom::End(by) => size.checked_add_signed(by),
        SeekFrom::Current(by) => at.checked_add_signed(by),
    };
    target.ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

/// Runs what blocks where it may.
pub(super) async fn blocking<T: Send + 'static>(
    label: String,
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    spawn_blocking(work).await.unwrap_or(Err(Error::Interrupted(label)))
}

impl Zip {
    /// Takes a file as a zip. `label` is how messages call it, for example `input artifact Build`.
    ///
    /// # Errors
    /// [`Error::Zip`] with the reason why it is not a zip or is refused.
    pub async fn open(file: TempFile, label: impl Into<String>, limits: ZipLimits) -> Result<Self, Error> {
        let label = label.into();
        blocking(label.clone(), move || {
            let opened = file.open().map_err(|source| Error::storage(format!("open {label}"), source))?;
            let opened = FileReader { file: Arc::new(opened), size: file.size(), at: 0 };
            match Archive::open(opened, limits, Links::Refused) {
                Ok(archive) => Ok(Self { shared: Arc::new(Shared { _file: file, label, archive }) }),
                Err(error) => Err(Error::Zip { archive: label, error }),
            }
        })
        .await
    }

    /// Its files in the archive's order. Directories are left out.
    pub fn files(&self) -> &[Entry] {
        self.shared.archive.files()
    }

    /// Unpacks everything into nothing: afterwards no checksum is wrong, no end is missing and no limit is passed.
    ///
    /// # Errors
    /// [`Error::Zip`].
    pub async fn verify(&self) -> Result<(), Error> {
        let shared = Arc::clone(&self.shared);
        blocking(shared.label.clone(), move || {
            let mut archive = shared.archive.again();
            for entry in shared.archive.files() {
                archive.unpack(entry, u64::MAX, &mut io::sink()).map_err(|stop| shared.stopped(stop, entry))?;
            }
            Ok(())
        })
        .await
    }

    /// Reads one file by its path, into memory.
    ///
    /// # Errors
    /// [`Error::Zip`]: it is not there, it is larger than `limit` bytes, or it is damaged.
    pub async fn read(&self, name: &str, limit: u64) -> Result<Bytes, Error> {
        let (shared, name) = (Arc::clone(&self.shared), name.to_owned());
        blocking(shared.label.clone(), move || {
            let mut archive = shared.archive.again();
            let entry = archive.find(&name).map_err(|error| shared.zip_error(error))?;
            let mut bytes = Vec::new();
            archive.unpack(&entry, limit, &mut bytes).map_err(|stop| shared.stopped(stop, &entry))?;
            Ok(bytes.into())
        })
        .await
    }

    /// All files with their content, one after another, in the archive's order.
    pub fn contents(&self) -> Contents {
        let shared = Arc::clone(&self.shared);
        let label = shared.label.clone();
        let (sender, receiver) = mpsc::channel(AHEAD);
        let task = spawn_blocking(move || {
            let mut archive = shared.archive.again();
            for entry in shared.archive.files() {
                let taken = if entry.size > STREAMED_FROM {
                    let (mut pieces, receiver) = mpsc::channel(PIECES_AHEAD);
                    let stream = ContentStream { receiver, ended: false, label: shared.label.clone() };
                    let taken = sender.blocking_send((entry.clone(), Unpacked::Stream(stream)));
                    taken.is_ok() && shared.stream(&mut archive, entry, &mut pieces)
                } else {
                    let mut spill = Spill::default();
                    archive.unpack(entry, u64::MAX, &mut spill).map_err(|stop| shared.stopped(stop, entry))?;
                    sender.blocking_send((entry.clone(), Unpacked::Whole(spill.finish()))).is_ok()
                };
                if !taken {
                    break; // the caller has gone away, or knows already why nothing follows
                }
            }
            Ok(())
        });
        Contents { receiver, task: Some(task), label }
    }
}

/// The content of a file of a zip.
#[derive(Debug)]
pub enum Unpacked {
    /// A small file, complete: in memory or in temporary storage.
    Whole(Content),
    /// A large one while it is unpacked. The next file comes when this has been read.
    Stream(ContentStream),
}

/// A file of a zip, piece by piece.
#[derive(Debug)]
pub struct ContentStream {
    receiver: mpsc::Receiver<Piece>,
    ended: bool,
    label: String,
}

/// Some bytes, the end, or why there is none.
type Piece = Result<Option<Bytes>, Error>;

impl ContentStream {
    /// The next bytes; none at the end.
    ///
    /// # Errors
    /// [`Error::Zip`]; [`Error::Interrupted`] when the end did not come. What was read is not the file then.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        if self.ended {
            return Ok(None);
        }
        let piece = self.receiver.recv().await.unwrap_or_else(|| Err(Error::Interrupted(self.label.clone())))?;
        self.ended = piece.is_none();
        Ok(piece)
    }
}

impl Shared {
    /// Unpacks a file into a stream. Whether that was taken to its end; an error goes to whoever reads the stream.
    fn stream(&self, archive: &mut Archive<FileReader>, entry: &Entry, pieces: &mut mpsc::Sender<Piece>) -> bool {
        let end = match archive.unpack(entry, u64::MAX, &mut Pieces(pieces)) {
            Ok(_) => Ok(None),
            Err(stop) => Err(self.stopped(stop, entry)),
        };
        let good = end.is_ok();
        pieces.blocking_send(end).is_ok() && good
    }
}

/// Passes on what is written.
struct Pieces<'a>(&'a mpsc::Sender<Piece>);

impl Write for Pieces<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = self.0.blocking_send(Ok(Some(Bytes::copy_from_slice(bytes))));
        sent.map(|()| bytes.len()).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The files of a zip with their content. Small ones are in memory, larger ones in temporary storage until they are
/// dropped, and the largest are streamed; only a few are unpacked ahead.
#[derive(Debug)]
pub struct Contents {
    receiver: mpsc::Receiver<(Entry, Unpacked)>,
    task: Option<JoinHandle<Result<(), Error>>>,
    label: String,
}

impl Contents {
    /// The next file; none at the end.
    ///
    /// # Errors
    /// [`Error::Zip`], [`Error::StorageFull`], [`Error::Storage`]. Nothing follows after an error.
    pub async fn next(&mut self) -> Result<Option<(Entry, Unpacked)>, Error> {
        if let Some(next) = self.receiver.recv().await {
            return Ok(Some(next));
        }
        // The channel ends as well when the unpacking failed: the end is one only when the task says so.
        match self.task.take() {
            Some(task) => task.await.unwrap_or_else(|_| Err(Error::Interrupted(self.label.clone()))).map(|()| None),
            None => Ok(None),
        }
    }
}

/// Keeps what is written in memory until it is too much for that.
#[derive(Default)]
pub(super) struct Spill {
    memory: Vec<u8>,
    file: Option<(File, TempPath)>,
    size: u64,
}

impl Write for Spill {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.file.is_none() && self.memory.len() + bytes.len() > IN_MEMORY {
            let (mut file, path) = TempFile::create().map_err(|error| match error {
                Error::Storage { source, .. } => source,
                _ => io::ErrorKind::StorageFull.into(),
            })?;
            file.write_all(&self.memory)?;
            self.memory = Vec::new();
            self.file = Some((file, path));
        }
        match &mut self.file {
            Some((file, _)) => file.write_all(bytes)?,
            None => self.memory.extend_from_slice(bytes),
        }
        self.size += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Spill {
    pub(super) fn finish(self) -> Content {
        match self.file {
            Some((_, path)) => Content::File(TempFile::finished(path, self.size)),
            None => Content::Memory(self.memory.into()),
        }
    }
}
