//! Reading a zip, checked. Nothing here is async: [`super::contents`] runs it where blocking is allowed.

use std::collections::HashSet;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use zip::CompressionMethod;
use zip::read::ZipArchive;
use zip::result::ZipError;
use zip::write::ZipWriter;

use super::error::{InvalidZip, ZipLimits};
use super::names::{quote, safe};
use super::recognize::{FIRST, recognize};
use super::write::of_entry;

/// A file in a zip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its path: relative, with `/`, without `.` and `..`. At most 1,024 bytes.
    pub name: String,
    /// Whether its owner may execute it, where the zip says so.
    pub executable: bool,
    /// Bytes, unpacked, as the archive says. No entry is believed to be shorter than it is.
    pub(crate) size: u64,
    /// The entry's index in the zip's central directory, from 0.
    pub(crate) index: usize,
}

/// What becomes of symbolic links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Links {
    /// A zip that has one is refused.
    Refused,
    /// They are not among the files.
    LeftOut,
}

/// Why reading stopped: the zip, or the place that its bytes went to.
#[derive(Debug)]
pub(crate) enum Stop {
    Zip(InvalidZip),
    Sink(io::Error),
}

impl From<InvalidZip> for Stop {
    fn from(error: InvalidZip) -> Self {
        Self::Zip(error)
    }
}

/// A zip whose list of entries was checked; their bytes are checked as they are read.
#[derive(Debug)]
pub(crate) struct Archive<R> {
    zip: ZipArchive<Capped<R>>,
    size: u64,
    limits: ZipLimits,
    files: Arc<[Entry]>,
    /// Bytes unpacked so far, of all entries together.
    total: u64,
}

impl<R: Clone + Read> Archive<R> {
    /// The same zip for another reader, who counts from the beginning. The list of entries is not copied.
    pub fn again(&self) -> Self {
        Self { zip: self.zip.clone(), files: Arc::clone(&self.files), total: 0, ..*self }
    }
}

impl<R: Read + Seek> Archive<R> {
    /// Reads the list of entries and refuses the zip if one of them is not acceptable.
    pub fn open(mut reader: R, limits: ZipLimits, links: Links) -> Result<Self, InvalidZip> {
        let unreadable = |error: io::Error| InvalidZip::NotAZip(error.to_string());
        let size = reader.seek(SeekFrom::End(0)).map_err(unreadable)?;
        let mut first = Vec::new();
        reader.seek(SeekFrom::Start(0)).map_err(unreadable)?;
        reader.by_ref().take(FIRST as u64).read_to_end(&mut first).map_err(unreadable)?;
        let left = Arc::new(AtomicU64::new(limits.directory_bytes()));
        let capped = Capped { inner: BufReader::new(reader), left: Arc::clone(&left) };
        let zip = ZipArchive::new(capped).map_err(|error| {
            if left.load(Ordering::Relaxed) == 0 {
                InvalidZip::DirectoryTooLarge { limit: limits.directory_bytes() }
            } else {
                InvalidZip::NotAZip(recognize(&first).map_or_else(|| error.to_string(), str::to_owned))
            }
        })?;
        left.store(u64::MAX, Ordering::Relaxed);
        if zip.len() > limits.entries {
            return Err(InvalidZip::TooManyEntries { count: zip.len(), limit: limits.entries });
        }
        if zip.has_duplicate_names() {
            // The reader keeps one entry of each name and does not say which it dropped.
            let start = zip.central_directory_start();
            let name = repeated_name(zip.into_inner(), start).unwrap_or_default();
            return Err(InvalidZip::Duplicate { entry: quote(&name) });
        }
        let files = Self::check_entries(&zip, links)?.into();
        Ok(Self { zip, size, limits, files, total: 0 })
    }

    fn check_entries(zip: &ZipArchive<Capped<R>>, links: Links) -> Result<Vec<Entry>, InvalidZip> {
        let mut files = Vec::with_capacity(zip.len());
        for index in 0..zip.len() {
            let data = zip.by_index_data(index).map_err(|error| InvalidZip::NotAZip(error.to_string()))?;
            // Most tools write UTF-8 whether they say so or not; the rest is in the zip's own old code page.
            let name = match std::str::from_utf8(data.name_raw()) {
                Ok(name) => name.to_owned(),
                Err(_) => match data.name() {
                    Ok(name) => name.into_owned(),
                    Err(error) => {
                        let entry = quote(&String::from_utf8_lossy(data.name_raw()));
                        return Err(InvalidZip::Damaged { entry, reason: error.to_string() });
                    }
                },
            };
            let path = safe(&name)?;
            // Whatever system the zip says it comes from: some tools believe the mode all the same.
            let kind = match (data.external_attributes() >> 16) & 0o170_000 {
                0 | 0o100_000 => None,
                0o040_000 => continue,
                0o120_000 if links == Links::LeftOut => continue,
                0o120_000 => Some("symbolic link"),
                0o020_000 | 0o060_000 => Some("device"),
                0o010_000 => Some("named pipe"),
                0o140_000 => Some("socket"),
                _ => Some("file of an unknown kind"),
            };
            if let Some(kind) = kind {
                return Err(InvalidZip::Special { entry: quote(&name), kind });
            }
            if data.is_dir() || path.is_empty() {
                continue;
            }
            if data.encrypted() {
                return Err(InvalidZip::Encrypted { entry: quote(&name) });
            }
            if !matches!(data.compression(), CompressionMethod::Stored | CompressionMethod::Deflated) {
                return Err(InvalidZip::Method { entry: quote(&name), method: data.compression().to_string() });
            }
            let executable = data.external_attributes() >> 16 & 0o100 != 0;
            files.push(Entry { name: path, executable, size: data.size(), index });
        }
        let mut seen = HashSet::with_capacity(files.len());
        match files.iter().find(|file: &&Entry| !seen.insert(file.name.as_str())) {
            Some(twice) => Err(InvalidZip::Duplicate { entry: quote(&twice.name) }),
            None => Ok(files),
        }
    }

    /// The files, in the archive's order; directories are left out.
    pub fn files(&self) -> &[Entry] {
        &self.files
    }

    /// Finds a file by its path; a leading `./` and doubled slashes do not matter.
    pub fn find(&self, name: &str) -> Result<Entry, InvalidZip> {
        safe(name)
            .ok()
            .and_then(|path| self.files.iter().find(|entry| entry.name == path))
            .cloned()
            .ok_or_else(|| InvalidZip::NoEntry { entry: quote(name) })
    }

    /// Counts anew what is unpacked, for a file that is read apart from others.
    pub fn forget_total(&mut self) {
        self.total = 0;
    }

    /// Copies one file as it is packed, its checksum unchecked, to another zip.
    pub fn copy_packed<W: Write + Seek>(
        &mut self,
        entry: &Entry,
        to: &mut ZipWriter<W>,
        name: &str,
    ) -> Result<(), Stop> {
        let file = self.zip.by_index_raw(entry.index).map_err(|error| of_entry(&entry.name, error))?;
        to.raw_copy_file_rename(file, name).map_err(|error| of_entry(&entry.name, error))
    }

    /// Unpacks one file into `sink`, and counts. Returns its size in bytes, which is not above `limit` and not above what
    /// the archive says.
    pub fn unpack(&mut self, entry: &Entry, limit: u64, sink: &mut dyn Write) -> Result<u64, Stop> {
        let name = || quote(&entry.name);
        let damaged = |error: String| InvalidZip::Damaged { entry: name(), reason: error };
        let mut file = self.zip.by_index(entry.index).map_err(|error| match error {
            ZipError::CompressionMethodNotSupported(method) => {
                InvalidZip::Method { entry: name(), method: method.to_string() }
            }
            error => damaged(error.to_string()),
        })?;
        let mut size = 0;
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let read = match file.read(&mut buffer) {
                Ok(0) => return Ok(size),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(damaged(error.to_string()).into()),
            };
            size += read as u64;
            self.total += read as u64;
            if size > limit {
                return Err(InvalidZip::EntryTooLarge { entry: name(), limit }.into());
            }
            if size > entry.size {
                return Err(damaged(format!("it is larger than the {} bytes that the zip says", entry.size)).into());
            }
            if self.total > self.limits.total_bytes {
                return Err(InvalidZip::TotalTooLarge { limit: self.limits.total_bytes }.into());
            }
            if self.total > ZipLimits::RATIO_FROM && self.total > self.size.saturating_mul(self.limits.ratio) {
                return Err(InvalidZip::Bomb { entry: name(), ratio: self.limits.ratio }.into());
            }
            sink.write_all(&buffer[..read]).map_err(Stop::Sink)?;
        }
    }
}

/// The first name that the central directory at `start` has twice. Layout: APPNOTE.TXT, 4.3.12.
fn repeated_name(mut reader: impl Read + Seek, start: u64) -> io::Result<String> {
    let mut seen = HashSet::new();
    reader.seek(SeekFrom::Start(start))?;
    loop {
        let mut header = [0; 46];
        reader.read_exact(&mut header)?;
        let length = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
        let mut name = vec![0; usize::from(length(28))];
        reader.read_exact(&mut name)?;
        reader.seek_relative(i64::from(length(30)) + i64::from(length(32)))?;
        if let Some(name) = seen.replace(name) {
            return Ok(String::from_utf8_lossy(&name).into_owned());
        }
    }
}

/// A reader that gives no more than so many bytes: what a directory of a million entries would cost is not known before
/// it is read.
#[derive(Debug)]
struct Capped<R> {
    inner: BufReader<R>,
    left: Arc<AtomicU64>,
}

impl<R: Clone + Read> Clone for Capped<R> {
    fn clone(&self) -> Self {
        Self { inner: BufReader::new(self.inner.get_ref().clone()), left: Arc::clone(&self.left) }
    }
}

impl<R: Read> Read for Capped<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.left.load(Ordering::Relaxed);
        if left == 0 {
            return Err(io::Error::other("the zip's directory is too large"));
        }
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.inner.read(&mut buffer[..most])?;
        if left != u64::MAX {
            self.left.store(left - read as u64, Ordering::Relaxed);
        }
        Ok(read)
    }
}

impl<R: Seek> Seek for Capped<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.inner.seek(to)
    }
}
