//! Making a zip that has the same bytes whenever it is made of the same files.

use std::collections::HashSet;
use std::io::{Cursor, Write};

use bytes::Bytes;
use zip::DateTime;
use zip::write::{SimpleFileOptions, ZipWriter};

use super::error::InvalidZip;
use super::names::{quote, safe};
use crate::error::Error;

/// Makes a zip of files in memory, as for an output artifact. The same files give the same bytes, whenever it is made:
/// a repeated attempt writes the same object.
///
/// # Errors
/// [`Error::Zip`] for a name that a reader would refuse, or that comes twice.
pub fn write_zip<N: AsRef<str>, B: AsRef<[u8]>>(files: impl IntoIterator<Item = (N, B)>) -> Result<Bytes, Error> {
    let failed = |error| Error::Zip { archive: "the zip to be written".to_owned(), error };
    let options = SimpleFileOptions::default().last_modified_time(DateTime::default()).unix_permissions(0o644);
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let mut seen = HashSet::new();
    for (name, bytes) in files {
        let name = name.as_ref();
        let path = safe(name).map_err(failed)?;
        if path.is_empty() {
            return Err(failed(InvalidZip::UnsafeName { entry: quote(name), why: "it has no name" }));
        }
        let damaged = |reason: String| failed(InvalidZip::Damaged { entry: quote(name), reason });
        if !seen.insert(path.clone()) {
            return Err(failed(InvalidZip::Duplicate { entry: quote(name) }));
        }
        zip.start_file(path, options).map_err(|error| damaged(error.to_string()))?;
        zip.write_all(bytes.as_ref()).map_err(|error| damaged(error.to_string()))?;
    }
    let written = zip.finish().map_err(|error| failed(InvalidZip::NotAZip(error.to_string())))?;
    Ok(written.into_inner().into())
}
