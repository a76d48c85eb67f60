//! Sources: ZIP objects of S3, unpacked into folders. Source: CodeBuild API, `ProjectSource`; user guide, 'Multiple input
//! sources and output artifacts sample'.

use std::path::Path;

use artifacts::{Content, Unpacked, Zip, ZipLimits};
use engine::Pin;
use tokio::io::AsyncWriteExt;

use crate::buildspec::is_inline;
use crate::cloud::{Cloud, bucket_and_key};
use crate::error::PhaseError;

/// The largest buildspec that is read from S3.
const BUILDSPEC: u64 = 1 << 20;

fn pin(version: Option<&str>) -> Pin {
    Pin { version: version.map(str::to_owned), sha256: None }
}

fn place(location: &str) -> Result<(&str, &str), PhaseError> {
    bucket_and_key(location).ok_or_else(|| PhaseError::client(format!("{location:?} is not bucket/key")))
}

/// Fetches the ZIP at `bucket/key` and unpacks it into `folder`, which is made. The crate `artifacts` checks the ZIP before
/// anything is written: no path leads out of the folder, nothing is a link, nothing unpacks to more than the limits.
pub(crate) async fn fetch(
    cloud: &Cloud,
    location: &str,
    version: Option<&str>,
    folder: &Path,
) -> Result<(), PhaseError> {
    let (bucket, key) = place(location)?;
    let limits = ZipLimits::default();
    let refused =
        |error: artifacts::Error| PhaseError::client(format!("source {location}: {}", artifacts::chain(&error)));
    let file = cloud.bucket(bucket).download(key, &pin(version), limits.total_bytes).await.map_err(refused)?;
    let zip = Zip::open(file, format!("source {location}"), limits).await.map_err(refused)?;
    let failed = |error: std::io::Error| PhaseError::internal(format!("unpack source {location}"), error);
    tokio::fs::create_dir_all(folder).await.map_err(failed)?;
    let mut contents = zip.contents();
    while let Some((entry, content)) = contents.next().await.map_err(refused)? {
        let path = folder.join(&entry.name);
        if let Some(parent) = path.parent() {
            tokio::fs::create_dir_all(parent).await.map_err(failed)?;
        }
        match content {
            Unpacked::Whole(Content::Memory(bytes)) => tokio::fs::write(&path, bytes).await.map_err(failed)?,
            Unpacked::Whole(Content::File(file)) => {
                tokio::fs::copy(file.path(), &path).await.map_err(failed)?;
            }
            Unpacked::Stream(mut stream) => {
                let mut file = tokio::fs::File::create(&path).await.map_err(failed)?;
                while let Some(bytes) = stream.next().await.map_err(refused)? {
                    file.write_all(&bytes).await.map_err(failed)?;
                }
                file.flush().await.map_err(failed)?;
            }
        }
        let mode = if entry.executable { 0o755 } else { 0o644 };
        let permissions = std::os::unix::fs::PermissionsExt::from_mode(mode);
        tokio::fs::set_permissions(&path, permissions).await.map_err(failed)?;
    }
    Ok(())
}

/// The text of the buildspec: inline, an object in S3, or a file of the source, by default `buildspec.yml`.
pub(crate) async fn buildspec(cloud: &Cloud, buildspec: Option<&str>, source: &Path) -> Result<String, PhaseError> {
    let buildspec = buildspec.map(str::trim_end).filter(|it| !it.is_empty()).unwrap_or("buildspec.yml");
    if is_inline(buildspec) {
        return Ok(buildspec.to_owned());
    }
    let bytes = if buildspec.starts_with("arn:") {
        let (bucket, key) = place(buildspec)?;
        let read = cloud.bucket(bucket).read(key, &pin(None), BUILDSPEC).await;
        read.map_err(|error| PhaseError::yaml(artifacts::chain(&error)))?.to_vec()
    } else {
        let outside = || PhaseError::yaml(format!("{buildspec} leads out of the source"));
        let path = source.join(buildspec);
        let real = tokio::fs::canonicalize(&path).await;
        let real = real.map_err(|_| PhaseError::yaml(format!("YAML file does not exist: {buildspec}")))?;
        let folder = tokio::fs::canonicalize(source).await.map_err(|_| outside())?;
        if !real.starts_with(folder) {
            return Err(outside());
        }
        tokio::fs::read(&real).await.map_err(|error| PhaseError::yaml(format!("{buildspec}: {error}")))?
    };
    String::from_utf8(bytes).map_err(|_| PhaseError::yaml(format!("{buildspec} is not UTF-8")))
}
