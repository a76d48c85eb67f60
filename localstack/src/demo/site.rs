//! What the demo releases: a web site that is new each time.

use std::io::{Cursor, Write};

use anyhow::Result;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// The site as a zip.
pub(super) fn zipped() -> Result<Vec<u8>> {
    let now = jiff::Timestamp::now();
    let index = format!(
        "<!doctype html>\n<title>Millrace</title>\n<h1>Released at {now}</h1>\n<link rel=stylesheet href=style/main.css>\n"
    );
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in [("index.html", index.as_str()), ("style/main.css", "h1 { font-family: sans-serif }\n")] {
        zip.start_file(name, SimpleFileOptions::default())?;
        zip.write_all(content.as_bytes())?;
    }
    Ok(zip.finish()?.into_inner())
}

/// The files of a site's zip, by name.
pub(super) fn files(archive: &[u8]) -> Result<Vec<(String, Vec<u8>)>> {
    let mut archive = zip::ZipArchive::new(Cursor::new(archive))?;
    (0..archive.len())
        .map(|index| {
            let mut file = archive.by_index(index)?;
            let mut content = Vec::new();
            std::io::copy(&mut file, &mut content)?;
            Ok((file.name()?.into_owned(), content))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_has_a_page_and_a_style() {
        let names: Vec<_> = files(&zipped().unwrap()).unwrap().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["index.html", "style/main.css"]);
    }
}
