//! Zips for sources: sound ones, and some that must be refused.

use std::io::{Cursor, Read, Write};

use anyhow::Result;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// The site that most cases release.
pub const SITE: &[(&str, &str)] = &[
    ("index.html", "<h1>Millrace</h1>"),
    ("assets/app.js", "console.log('millrace')"),
    ("assets/site.css", "h1 { color: teal }"),
];

/// A zip of these files; no name is looked at.
pub fn zipped(files: &[(&str, &str)]) -> Result<Vec<u8>> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in files {
        zip.start_file(*name, SimpleFileOptions::default())?;
        zip.write_all(content.as_bytes())?;
    }
    Ok(zip.finish()?.into_inner())
}

/// [`SITE`] as a zip.
pub fn site() -> Result<Vec<u8>> {
    zipped(SITE)
}

/// A zip with a good file and a link.
pub fn with_link() -> Result<Vec<u8>> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file("index.html", SimpleFileOptions::default())?;
    zip.write_all(b"hello")?;
    zip.add_symlink("secrets", "/etc/passwd", SimpleFileOptions::default())?;
    Ok(zip.finish()?.into_inner())
}

/// A small zip that unpacks to 64 MiB.
pub fn bomb() -> Result<Vec<u8>> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file("index.html", SimpleFileOptions::default())?;
    zip.write_all(b"hello")?;
    zip.start_file("zeros", SimpleFileOptions::default())?;
    let zeros = vec![0; 1 << 20];
    for _ in 0..64 {
        zip.write_all(&zeros)?;
    }
    Ok(zip.finish()?.into_inner())
}

/// A Lambda package of this program.
pub fn package(program: &[u8]) -> Result<Vec<u8>> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let executable = SimpleFileOptions::default().compression_level(Some(1)).unix_permissions(0o755);
    zip.start_file("bootstrap", executable)?;
    zip.write_all(program)?;
    Ok(zip.finish()?.into_inner())
}

/// The content of a file in a zip.
pub fn unzipped(zip: &[u8], name: &str) -> Result<String> {
    let mut archive = zip::ZipArchive::new(Cursor::new(zip))?;
    let mut content = String::new();
    archive.by_name(name)?.read_to_string(&mut content)?;
    Ok(content)
}
