//! What the demo releases: a web site that is new each time, built from its sources.

use std::collections::BTreeMap;
use std::io::{Cursor, Write};

use anyhow::Result;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

const BUILDSPEC: &str = include_str!("../../samples/buildspec.yml");
/// The folder of the sources that the build copies.
const PUBLIC: &str = "public/";
/// Where the build writes the source's version into a page.
const VERSION: &str = "@VERSION@";

/// The site's sources as a zip, with the buildspec.
pub(super) fn sources() -> Result<Vec<u8>> {
    let now = jiff::Timestamp::now();
    let index = format!(
        "<!doctype html>\n<title>Millrace</title>\n<h1>Released at {now}</h1>\n<p>Built from version {VERSION}.</p>\n\
         <link rel=stylesheet href=style/main.css>\n"
    );
    let style = "h1 { font-family: sans-serif }\n";
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in
        [("buildspec.yml", BUILDSPEC), ("public/index.html", &index), ("public/style/main.css", style)]
    {
        zip.start_file(name, SimpleFileOptions::default())?;
        zip.write_all(content.as_bytes())?;
    }
    Ok(zip.finish()?.into_inner())
}

/// What a build of this version of the sources must make of them, by name.
pub(super) fn built(sources: &[u8], version: &str) -> Result<BTreeMap<String, Vec<u8>>> {
    let public = files(sources)?.into_iter().filter_map(|(name, content)| {
        let text = String::from_utf8_lossy(&content).replace(VERSION, version);
        Some((name.strip_prefix(PUBLIC)?.to_owned(), text.into_bytes()))
    });
    Ok(public.collect())
}

/// The files of a zip, by name.
pub(super) fn files(archive: &[u8]) -> Result<BTreeMap<String, Vec<u8>>> {
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
    use std::process::Command;

    use super::*;

    #[test]
    fn the_buildspec_makes_of_the_sources_what_is_expected() {
        let sources = sources().unwrap();
        let folder = tempfile::tempdir().unwrap();
        zip::ZipArchive::new(Cursor::new(&sources)).unwrap().extract(folder.path()).unwrap();
        let spec: serde_yaml_ng::Value = serde_yaml_ng::from_str(BUILDSPEC).unwrap();
        for phase in ["build", "post_build"] {
            for command in spec["phases"][phase]["commands"].as_sequence().unwrap() {
                let mut shell = Command::new("sh");
                shell.args(["-c", command.as_str().unwrap()]).current_dir(folder.path());
                assert!(shell.env("SOURCE_VERSION", "v/1").status().unwrap().success());
            }
        }
        let expected = built(&sources, "v/1").unwrap();
        assert_eq!(expected.keys().collect::<Vec<_>>(), ["index.html", "style/main.css"]);
        assert!(String::from_utf8_lossy(&expected["index.html"]).contains("version v/1."));
        for (name, content) in expected {
            assert_eq!(std::fs::read(folder.path().join("out").join(&name)).unwrap(), content, "{name}");
        }
    }
}
