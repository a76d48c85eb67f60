//! Artifacts: which files they are, and how they get into S3. Source: CodeBuild user guide, 'Build specification
//! reference', `artifacts`; API, `ProjectArtifacts`.

use std::io::Cursor;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use artifacts::{Content, Encryption, Settings, chain};
use aws_sdk_codebuild::types::{ArtifactNamespace, ArtifactPackaging, BuildArtifacts, ProjectArtifacts};
use bytes::Bytes;
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use sha2::{Digest, Sha256};
use walkdir::WalkDir;
use zip::write::{SimpleFileOptions, ZipWriter};

use crate::buildspec::{Artifacts, Text};
use crate::cloud::Cloud;
use crate::error::PhaseError;
use crate::log::Log;
use crate::plan::Plan;
use crate::shell::Shell;

/// What an upload needs to know of its build.
pub(crate) struct Upload<'a> {
    pub plan: &'a Plan,
    pub cloud: &'a Cloud,
    pub shell: &'a Shell,
    pub log: &'a Log,
    /// The folder of the primary source, to which paths are relative.
    pub source: &'a Path,
}

/// A file, with its path in the artifact.
type File = (String, PathBuf);

impl Upload<'_> {
    /// Collects the files that the buildspec names for an artifact and writes them where the build wants them in S3.
    pub(crate) async fn put(&self, to: &ProjectArtifacts, files: &Artifacts) -> Result<BuildArtifacts, PhaseError> {
        let base = match &files.base_directory {
            Some(Text(base)) => self.source.join(self.expanded(base).await?),
            None => self.source.to_owned(),
        };
        let wanted = files.clone();
        let found = blocking(move || collect(&base, &wanted)).await?;
        self.log.say(format_args!("Found {} file(s)", found.len()));
        let name = match (&files.name, to.override_artifact_name) {
            (Some(Text(name)), Some(true)) => self.expanded(name).await?,
            _ => to.name.clone().unwrap_or_else(|| self.plan.project.clone()),
        };
        let key = key(to, &self.plan.names.uuid, &name);
        let bucket = to.location.as_deref().unwrap_or_default();
        let bucket = bucket.strip_prefix("arn:aws:s3:::").unwrap_or(bucket);
        let store = self.cloud.bucket(bucket);
        let encryption = match to.encryption_disabled {
            Some(true) => None,
            _ => Some(Encryption::key(self.plan.encryption_key.clone().unwrap_or_default())),
        };
        let refused = |error: artifacts::Error| PhaseError::client(chain(&error));
        let written = BuildArtifacts::builder()
            .location(format!("arn:aws:s3:::{bucket}/{key}"))
            .set_artifact_identifier(to.artifact_identifier.clone())
            .set_override_artifact_name(to.override_artifact_name)
            .set_encryption_disabled(to.encryption_disabled);
        if to.packaging == Some(ArtifactPackaging::Zip) {
            let bytes = blocking(move || pack(found)).await?;
            let sha256 = hex::encode(Sha256::digest(&bytes));
            match &encryption {
                Some(encryption) => store.put_artifact(&key, bytes, encryption).await.map(drop).map_err(refused)?,
                None => store.put(&key, &Content::Memory(bytes), &Settings::default()).await.map_err(refused)?,
            }
            return Ok(written.sha256_sum(sha256).build());
        }
        let settings = Settings { encryption, ..Settings::default() };
        for (name, path) in found {
            let bytes = tokio::fs::read(&path).await;
            let bytes = bytes.map_err(|error| PhaseError::internal(format!("read {name}"), error))?;
            let key = if key.is_empty() { name } else { format!("{}/{name}", key.trim_end_matches('/')) };
            store.put(&key, &Content::Memory(bytes.into()), &settings).await.map_err(refused)?;
        }
        Ok(written.build())
    }

    /// A value of the buildspec that may have variables and commands of the shell in it, as names and base directories
    /// have: `app-$(date +%Y-%m-%d)`, `$CODEBUILD_SRC_DIR_other`.
    async fn expanded(&self, text: &str) -> Result<String, PhaseError> {
        if !text.contains(['$', '`']) {
            return Ok(text.to_owned());
        }
        let printed = self.shell.print(&format!("cat <<CODEBUILD_VALUE_ENDS\n{text}\nCODEBUILD_VALUE_ENDS")).await;
        printed.map_err(|error| PhaseError::client(format!("{text:?} cannot be expanded: {error}")))
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, PhaseError> + Send + 'static,
) -> Result<T, PhaseError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(PhaseError::internal("collect artifacts", error)))
}

/// `path/`, the build's id where the namespace is BUILD_ID, and the name. Source: API, `ProjectArtifacts.name`, with its
/// examples; the name `/` stands for the root.
fn key(to: &ProjectArtifacts, uuid: &str, name: &str) -> String {
    let path = to.path.as_deref().unwrap_or_default().trim_matches('/');
    let id = if to.namespace_type == Some(ArtifactNamespace::BuildId) { uuid } else { "" };
    let parts = [path, id, name.trim_matches('/')];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/")
}

fn globs(patterns: &[Text]) -> Result<GlobSet, PhaseError> {
    let mut set = GlobSetBuilder::new();
    for Text(pattern) in patterns {
        let plain = pattern.strip_prefix("./").unwrap_or(pattern);
        let glob = GlobBuilder::new(plain).literal_separator(true).build();
        set.add(glob.map_err(|error| PhaseError::client(format!("invalid path {pattern:?}: {error}")))?);
    }
    set.build().map_err(|error| PhaseError::client(error.to_string()))
}

/// The folder in which files are looked for. It may be a pattern, of which the first folder that matches is taken.
fn base_directory(base: &Path) -> Result<PathBuf, PhaseError> {
    let missing = || PhaseError::client(format!("no matching base directory path found for {}", base.display()));
    if base.is_dir() {
        return Ok(base.to_owned());
    }
    let fixed: PathBuf =
        base.components().take_while(|it| !it.as_os_str().to_string_lossy().contains(['*', '?', '['])).collect();
    let pattern = base.strip_prefix(&fixed).map_err(|_| missing())?.to_string_lossy().into_owned();
    let wanted = globs(&[Text(pattern)])?;
    let folders = WalkDir::new(&fixed).min_depth(1).sort_by_file_name().into_iter().filter_map(Result::ok);
    let mut folders = folders.filter(|it| it.file_type().is_dir());
    let found = folders.find(|it| it.path().strip_prefix(&fixed).is_ok_and(|path| wanted.is_match(path)));
    found.map(walkdir::DirEntry::into_path).ok_or_else(missing)
}

/// The files of an artifact, by their paths.
fn collect(base: &Path, wanted: &Artifacts) -> Result<Vec<File>, PhaseError> {
    if wanted.files.is_empty() {
        return Err(PhaseError::client("the buildspec names no files for this artifact"));
    }
    let base = base_directory(base)?;
    let (included, excluded) = (globs(&wanted.files)?, globs(&wanted.exclude_paths)?);
    let mut found: Vec<File> = Vec::new();
    for entry in WalkDir::new(&base).min_depth(1).sort_by_file_name() {
        let entry = entry.map_err(|error| PhaseError::internal("list the artifact's files", error))?;
        // A link to a file is that file; one to a folder is not followed.
        let Ok(relative) = entry.path().strip_prefix(&base) else { continue };
        if !included.is_match(relative) || excluded.is_match(relative) || !entry.path().is_file() {
            continue;
        }
        let path = if wanted.discard_paths.0 { Path::new(entry.file_name()) } else { relative };
        let name = path.to_str();
        let name = name.ok_or_else(|| PhaseError::client(format!("{} is not UTF-8", path.display())))?;
        if wanted.discard_paths.0 && found.iter().any(|(other, _)| other == name) {
            return Err(PhaseError::client(format!("discard-paths leaves two files of the name {name}")));
        }
        found.push((name.to_owned(), entry.into_path()));
    }
    if found.is_empty() {
        return Err(PhaseError::client("no matching artifact paths found"));
    }
    Ok(found)
}

/// A ZIP in memory, in which files stay executable.
fn pack(files: Vec<File>) -> Result<Bytes, PhaseError> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, path) in files {
        let failed = |error: &dyn std::fmt::Display| PhaseError::internal(format!("pack {name}"), error);
        let mut file = std::fs::File::open(&path).map_err(|error| failed(&error))?;
        let metadata = file.metadata().map_err(|error| failed(&error))?;
        let options = SimpleFileOptions::default()
            .unix_permissions(metadata.permissions().mode() & 0o777)
            .large_file(metadata.len() > u64::from(u32::MAX));
        zip.start_file(&name, options).map_err(|error| failed(&error))?;
        std::io::copy(&mut file, &mut zip).map_err(|error| failed(&error))?;
    }
    let packed = zip.finish().map_err(|error| PhaseError::internal("pack the artifact", error))?;
    Ok(packed.into_inner().into())
}

#[cfg(test)]
mod tests {
    use aws_sdk_codebuild::types::ArtifactsType;

    use super::*;
    use crate::buildspec::Flag;

    fn names(base: &Path, files: &[&str], exclude: &[&str], discard: bool) -> Result<Vec<String>, String> {
        let texts = |list: &[&str]| list.iter().map(|it| Text((*it).to_owned())).collect();
        let discard_paths = Flag(discard);
        let wanted =
            Artifacts { files: texts(files), exclude_paths: texts(exclude), discard_paths, ..Artifacts::default() };
        let found = collect(base, &wanted).map_err(|error| error.to_string())?;
        Ok(found.into_iter().map(|(name, _)| name).collect())
    }

    #[test]
    fn files_are_chosen_as_in_the_reference() {
        let folder = tempfile::tempdir().unwrap();
        for file in ["a.jar", "b.txt", "lib/c.jar", "lib/deep/d.jar"] {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, file).unwrap();
        }
        let base = folder.path();
        assert_eq!(names(base, &["**/*"], &[], false).unwrap(), ["a.jar", "b.txt", "lib/c.jar", "lib/deep/d.jar"]);
        assert_eq!(names(base, &["*.jar"], &[], false).unwrap(), ["a.jar"]);
        assert_eq!(names(base, &["./lib/*"], &[], false).unwrap(), ["lib/c.jar"]);
        assert_eq!(names(base, &["lib/**/*"], &["**/d.*"], false).unwrap(), ["lib/c.jar"]);
        assert_eq!(names(base, &["**/*.jar"], &[], true).unwrap(), ["a.jar", "c.jar", "d.jar"]);
        assert_eq!(names(&base.join("l*"), &["*"], &[], false).unwrap(), ["c.jar"]);
        assert!(names(base, &["*.war"], &[], false).unwrap_err().contains("no matching artifact paths found"));
        assert!(names(&base.join("none"), &["*"], &[], false).unwrap_err().contains("no matching base directory"));
        assert!(names(base, &[], &[], false).unwrap_err().contains("names no files"));
    }

    #[test]
    fn the_key_is_made_of_path_build_and_name() {
        let to = |path: &str, namespace| {
            let to = ProjectArtifacts::builder().r#type(ArtifactsType::S3).path(path).namespace_type(namespace);
            to.build().unwrap()
        };
        assert_eq!(key(&to("MyArtifacts", ArtifactNamespace::BuildId), "id", "My.zip"), "MyArtifacts/id/My.zip");
        assert_eq!(key(&to("", ArtifactNamespace::None), "id", "My.zip"), "My.zip");
        assert_eq!(key(&to("a/b/", ArtifactNamespace::None), "id", "/"), "a/b");
        assert_eq!(key(&to("", ArtifactNamespace::None), "id", "/"), "");
    }
}
