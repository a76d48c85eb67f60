//! Making a zip that has the same bytes whenever it is made of the same files.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufWriter, Cursor, Seek, Write};

use bytes::Bytes;
use tempfile::TempPath;
use zip::DateTime;
use zip::result::ZipError;
use zip::write::{SimpleFileOptions, ZipWriter};

use super::archive::{Archive, Links, Stop};
use super::contents::blocking;
use super::error::{InvalidZip, ZipLimits};
use super::names::{quote, safe};
use crate::content::TempFile;
use crate::error::Error;

/// Makes a zip of files in memory, as for an output artifact. The same files give the same bytes, whenever it is made:
/// a repeated attempt writes the same object.
///
/// # Errors
/// [`Error::Zip`] for a name that a reader would refuse, or that comes twice.
pub fn write_zip<N: AsRef<str>, B: AsRef<[u8]>>(files: impl IntoIterator<Item = (N, B)>) -> Result<Bytes, Error> {
    let label = "the zip to be written";
    let mut writer = Writer::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        writer.add(name.as_ref(), false, bytes.as_ref()).map_err(|stop| stopped(label, stop))?;
    }
    Ok(writer.finish().map_err(|stop| stopped(label, stop))?.into_inner().into())
}

/// A zip that grows in temporary storage, file by file, so that only the file that is being added is in memory. The same
/// files in the same order give the same bytes.
#[derive(Debug)]
pub struct ZipBuilder {
    writer: Writer<BufWriter<File>>,
    path: TempPath,
    label: String,
    limit: u64,
}

impl ZipBuilder {
    /// A zip without files. `label` is how messages call it; it may grow to `limit` bytes.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub fn new(label: impl Into<String>, limit: u64) -> Result<Self, Error> {
        let (file, path) = TempFile::create()?;
        Ok(Self { writer: Writer::new(BufWriter::new(file)), path, label: label.into(), limit })
    }

    /// Adds a file.
    ///
    /// # Errors
    /// As [`write_zip`]; also [`Error::TooLarge`], [`Error::StorageFull`].
    pub async fn file(mut self, name: String, executable: bool, content: Bytes) -> Result<Self, Error> {
        blocking(self.label.clone(), move || {
            self.writer.add(&name, executable, &content).map_err(|stop| stopped(&self.label, stop))?;
            self.check_size()?;
            Ok(self)
        })
        .await
    }

    /// The zip.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::StorageFull`].
    pub async fn finish(self) -> Result<TempFile, Error> {
        blocking(self.label.clone(), move || self.end()).await
    }

    fn end(self) -> Result<TempFile, Error> {
        let Self { writer, path, label, limit } = self;
        writer.finish().and_then(|mut file| file.flush().map_err(Stop::Sink)).map_err(|stop| stopped(&label, stop))?;
        let size = size(&path, &label, limit)?;
        Ok(TempFile::finished(path, size))
    }

    fn check_size(&self) -> Result<(), Error> {
        size(&self.path, &self.label, self.limit).map(drop)
    }
}

/// Bytes of a file that grows, as far as they have been written.
fn size(path: &TempPath, label: &str, limit: u64) -> Result<u64, Error> {
    let size = path.metadata().map_err(|source| Error::storage(format!("look at {label}"), source))?.len();
    if size > limit {
        return Err(Error::TooLarge { object: label.to_owned(), size, limit });
    }
    Ok(size)
}

/// Makes of an archive in which everything lies in one folder, as code hosts give them out, one of that folder's
/// content. The files keep their modes and times and are not packed anew. Symbolic links are left out.
///
/// # Errors
/// [`Error::Zip`] when it is not such an archive, or one that a reader would refuse; those of [`ZipBuilder`].
pub async fn without_top_folder(
    archive: TempFile,
    label: impl Into<String>,
    limits: ZipLimits,
    limit: u64,
) -> Result<TempFile, Error> {
    let label = label.into();
    blocking(label.clone(), move || {
        let refused = |error| stopped(&label, Stop::Zip(error));
        let file = archive.open().map_err(|source| Error::storage(format!("open {label}"), source))?;
        let mut from = Archive::open(file, limits, Links::LeftOut).map_err(refused)?;
        let mut to = ZipBuilder::new(label.clone(), limit)?;
        let mut top: Option<String> = None;
        for entry in from.files().to_vec() {
            let lost =
                || InvalidZip::UnsafeName { entry: quote(&entry.name), why: "it is not in the archive's one folder" };
            let (folder, rest) = entry.name.split_once('/').ok_or_else(|| refused(lost()))?;
            if top.get_or_insert_with(|| folder.to_owned()) != folder {
                return Err(refused(lost()));
            }
            from.copy_packed(&entry, &mut to.writer.zip, rest).map_err(|stop| stopped(&label, stop))?;
            to.check_size()?;
        }
        to.end()
    })
    .await
}

fn stopped(label: &str, stop: Stop) -> Error {
    match stop {
        Stop::Zip(error) => Error::Zip { archive: label.to_owned(), error },
        Stop::Sink(source) => Error::storage(format!("write {label}"), source),
    }
}

/// What went wrong with one entry, or with the place to which it was written.
pub(super) fn of_entry(name: &str, error: ZipError) -> Stop {
    match error {
        ZipError::Io(error) => Stop::Sink(error),
        error => Stop::Zip(InvalidZip::Damaged { entry: quote(name), reason: error.to_string() }),
    }
}

/// Writes entries under names that every reader takes.
#[derive(Debug)]
struct Writer<W: Write + Seek> {
    zip: ZipWriter<W>,
    seen: HashSet<String>,
}

impl<W: Write + Seek> Writer<W> {
    fn new(to: W) -> Self {
        Self { zip: ZipWriter::new(to), seen: HashSet::new() }
    }

    fn add(&mut self, name: &str, executable: bool, content: &[u8]) -> Result<(), Stop> {
        let path = safe(name)?;
        if path.is_empty() {
            return Err(InvalidZip::UnsafeName { entry: quote(name), why: "it has no name" }.into());
        }
        if !self.seen.insert(path.clone()) {
            return Err(InvalidZip::Duplicate { entry: quote(name) }.into());
        }
        let mode = if executable { 0o755 } else { 0o644 };
        let options = SimpleFileOptions::default().last_modified_time(DateTime::default()).unix_permissions(mode);
        self.zip.start_file(path, options).map_err(|error| of_entry(name, error))?;
        self.zip.write_all(content).map_err(Stop::Sink)
    }

    fn finish(self) -> Result<W, Stop> {
        self.zip.finish().map_err(|error| of_entry("", error))
    }
}
