//! The folder that is the content of every source.

use std::fs;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use ignore::WalkBuilder;
use sha2::{Digest, Sha256};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::repository;

/// A folder, and what of it a repository would hand over: without `.git`, and without what its `.gitignore` names.
#[derive(Debug)]
pub struct Source {
    folder: PathBuf,
    /// All of it as a zip.
    pub(super) zip: Vec<u8>,
}

impl Source {
    /// Makes a zip of what a repository would have of the folder.
    pub(super) fn read(folder: &Path) -> Result<Self> {
        ensure!(folder.is_dir(), "--source {}: there is no such folder", folder.display());
        Ok(Self { folder: folder.to_owned(), zip: zipped(folder)? })
    }

    /// The text of a file in the folder; none: there is no such file.
    pub(super) fn text(&self, file: &str) -> Option<String> {
        fs::read_to_string(self.folder.join(file)).ok()
    }

    /// Pushes it as the first commit of a branch.
    pub(super) fn push(&self, url: &str, branch: &str) -> Result<()> {
        repository::push(&self.folder, url, branch)
    }

    /// What stands where a repository has the id of a commit: 40 hexadecimal digits that are those of the content.
    pub(super) fn commit(&self) -> String {
        hex::encode(&Sha256::digest(&self.zip)[..20])
    }
}

/// A folder as a zip, without what a repository would not have.
pub(super) fn zipped(folder: &Path) -> Result<Vec<u8>> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let walk = WalkBuilder::new(folder)
        .hidden(false)
        .git_global(false)
        .ignore(false)
        .require_git(false)
        .filter_entry(|entry| entry.file_name() != ".git")
        .sort_by_file_name(std::cmp::Ord::cmp)
        .build();
    for entry in walk {
        let entry = entry.with_context(|| format!("cannot read {}", folder.display()))?;
        let path = entry.path();
        let failed = || format!("cannot read {}", path.display());
        let name = path.strip_prefix(folder)?.to_str().with_context(|| format!("{} is not UTF-8", path.display()))?;
        let kind = entry.file_type().with_context(failed)?;
        if kind.is_symlink() {
            let target = fs::read_link(path).with_context(failed)?;
            zip.add_symlink(name, target.to_string_lossy(), SimpleFileOptions::default())?;
        } else if kind.is_file() {
            let content = fs::read(path).with_context(failed)?;
            zip.start_file(name, options(path).with_context(failed)?)?;
            zip.write_all(&content)?;
        }
    }
    Ok(zip.finish()?.into_inner())
}

/// A zip with one file.
pub(super) fn zip_of(name: &str, content: &str) -> Result<Vec<u8>> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file(name, SimpleFileOptions::default())?;
    zip.write_all(content.as_bytes())?;
    Ok(zip.finish()?.into_inner())
}

fn options(path: &Path) -> std::io::Result<SimpleFileOptions> {
    use std::os::unix::fs::PermissionsExt as _;
    let executable = fs::metadata(path)?.permissions().mode() & 0o111 != 0;
    Ok(SimpleFileOptions::default().unix_permissions(if executable { 0o755 } else { 0o644 }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_what_a_repository_hands_over() {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in
            [("src/main.c", "int"), (".gitignore", "out/\n"), (".env", "x"), ("out/main", "bin"), (".git/HEAD", "ref")]
        {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        let source = Source::read(folder.path()).unwrap();
        let mut archive = zip::ZipArchive::new(Cursor::new(&source.zip)).unwrap();
        let mut names = Vec::new();
        for index in 0..archive.len() {
            names.push(archive.by_index(index).unwrap().name().unwrap().into_owned());
        }
        assert_eq!(names, [".env", ".gitignore", "src/main.c"]);
        assert!(source.text("src/main.c").is_some() && source.text("src").is_none());
        assert_eq!(source.commit().len(), 40);
        let missing = Source::read(&folder.path().join("elsewhere")).unwrap_err().to_string();
        assert!(missing.contains("elsewhere") && missing.contains("no such folder"), "{missing}");
    }
}
