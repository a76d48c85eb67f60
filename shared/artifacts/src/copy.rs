//! Copies inside S3: no byte passes through the function.

use aws_sdk_s3::types::{AnnotationDirective, ChecksumAlgorithm, CompletedPart, MetadataDirective, TaggingDirective};
use engine::Pin;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest, Sha256};

use crate::bucket::{Bucket, Object};
use crate::encryption::{Encryption, Settings, with_settings};
use crate::error::Error;
use crate::multipart::Part;
use crate::reading::is_whole;
use crate::upload::patient;

/// Metadata of a copy: a hash over the source's identity and the settings, key first, by which the copy is known again. A hash, because a key of 1,024 bytes does not fit into S3's 2 KB of ASCII.
const IDENTITY: &str = "millrace-source-id";
/// Metadata of a copy, for people: the bucket that it came from.
const SOURCE_BUCKET: &str = "millrace-source-bucket";
/// As above: the version, or the ETag where there are no versions.
const SOURCE_VERSION: &str = "millrace-source-version";

/// What stays as it is in `x-amz-copy-source`.
const COPY_SOURCE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');

/// Whether a copy was needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyOutcome {
    /// There was none, or another object.
    Copied,
    /// It was there: same source, same size, same settings.
    Found,
}

/// A copy of an artifact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replica {
    /// Whether it had to be made.
    pub outcome: CopyOutcome,
    /// Version and SHA-256 of the object in the destination.
    pub pin: Pin,
}

/// Brings the artifact `key` from one store to the same key in another store, as a rule in another region, encrypted
/// with that store's key. S3 does it, asked through the destination's client, whose credentials must be allowed to read
/// the source and use both keys; above 5 GiB in parallel parts. Safe to repeat and to race.
///
/// What lies there already is taken only if S3 knows its SHA-256 and it is the recorded one. Anything else may have been
/// put there by somebody, so the recorded object is copied again, and the copy's own version is what is read. An object
/// that was made in parts has another SHA-256 when it is copied in other parts; then it is copied again as well.
///
/// # Errors
/// [`Error::Changed`] when the artifact, or what became of its copy, is not what was recorded. [`Error::S3`]: about the
/// source when that is missing or forbidden, otherwise about the destination. No parts are left behind.
pub async fn replicate(
    from: &Bucket,
    to: &Bucket,
    key: &str,
    pin: &Pin,
    encryption: &Encryption,
) -> Result<Replica, Error> {
    if pin.sha256.is_some() {
        match to.head_with_checksum(key, None).await {
            Ok(there) if there.sha256 == pin.sha256 => {
                return Ok(Replica { outcome: CopyOutcome::Found, pin: there.pin() });
            }
            Ok(_) => {}
            // Who may write but not list gets 403 for an object that is not there.
            Err(error) if error.is_not_found() || error.is_denied() => {}
            Err(error) => return Err(error),
        }
    }
    let source = from.find(key, pin).await?;
    let made = to.copy_anew(&source, key, &Settings::encrypted(encryption.clone())).await?;
    if let (Some(recorded), Some(found)) = (&pin.sha256, &made.sha256)
        && is_whole(recorded)
        && is_whole(found)
        && recorded != found
    {
        return Err(to.changed(key, pin, Some(found.clone())));
    }
    Ok(Replica { outcome: CopyOutcome::Copied, pin: made })
}

impl Bucket {
    /// Copies `source` to `key` in this bucket, inside S3, as [`Bucket::copy_anew`] does, unless the copy is there: how an
    /// artifact is deployed as it is.
    ///
    /// # Errors
    /// [`Error::S3`]. No parts are left behind.
    pub async fn copy(&self, source: &Object, key: &str, settings: &Settings) -> Result<CopyOutcome, Error> {
        match self.head_object(key, None, None).await {
            Ok(there) if is_copy(&there, source, &marked(source, settings)) => return Ok(CopyOutcome::Found),
            Ok(_) => {}
            // Who may write but not list gets 403 for an object that is not there.
            Err(error) if error.is_not_found() || error.is_denied() => {}
            Err(error) => return Err(error),
        }
        self.copy_anew(source, key, settings).await?;
        Ok(CopyOutcome::Copied)
    }

    /// Copies `source` to `key` in this bucket, inside S3, whatever is there: how the S3 source action takes an object
    /// into the store, and how an artifact comes to another region. `source` comes from [`Bucket::head`] of its own
    /// bucket. An object that is replaced between the look and the copy is refused (retryable), so a copy is never a
    /// mixture. Tags, annotations and metadata of the source are not taken over, only its content type. Answers which
    /// object was made; S3 computes its SHA-256.
    ///
    /// # Errors
    /// [`Error::S3`]. No parts are left behind.
    pub async fn copy_anew(&self, source: &Object, key: &str, settings: &Settings) -> Result<Pin, Error> {
        self.copy_exactly(source, key, &marked(source, settings)).await
    }

    /// The same with no more metadata than the settings say.
    pub(crate) async fn copy_exactly(&self, source: &Object, key: &str, settings: &Settings) -> Result<Pin, Error> {
        if source.size > self.copying.threshold {
            let upload = self.begin(key, settings, Some(ChecksumAlgorithm::Sha256)).await?;
            let sent = self.copying.each(source.size, |part| self.copy_part(source, key, &upload, part)).await;
            self.finish(key, &upload, sent).await
        } else {
            self.copy_whole(source, key, settings).await
        }
    }

    async fn copy_whole(&self, source: &Object, key: &str, settings: &Settings) -> Result<Pin, Error> {
        let request = self
            .client()
            .copy_object()
            .bucket(self.name())
            .key(key)
            .copy_source(copy_source(source))
            .set_expected_bucket_owner(self.owner())
            .set_expected_source_bucket_owner(source.bucket_owner.clone())
            .copy_source_if_match(&source.etag)
            .checksum_algorithm(ChecksumAlgorithm::Sha256)
            .metadata_directive(MetadataDirective::Replace)
            // Otherwise the role would need rights to the source's tags and annotations as well.
            .tagging_directive(TaggingDirective::Replace)
            .annotation_directive(AnnotationDirective::Exclude);
        let copied = with_settings!(request, settings)
            .send()
            .await
            .map_err(|error| Error::s3("CopyObject", self.route(source, key), error))?;
        match copied.copy_object_result.filter(|result| result.e_tag.is_some()) {
            Some(result) => Ok(Pin { version: copied.version_id, sha256: result.checksum_sha256 }),
            None => {
                Err(Error::Incomplete { operation: "CopyObject", object: self.route(source, key), missing: "ETag" })
            }
        }
    }

    async fn copy_part(&self, source: &Object, key: &str, upload: &str, part: Part) -> Result<CompletedPart, Error> {
        let object = || format!("part {} of {}", part.number, self.route(source, key));
        let copied = self
            .client()
            .upload_part_copy()
            .bucket(self.name())
            .key(key)
            .upload_id(upload)
            .part_number(part.number)
            .copy_source(copy_source(source))
            .set_expected_bucket_owner(self.owner())
            .set_expected_source_bucket_owner(source.bucket_owner.clone())
            .copy_source_if_match(&source.etag)
            .copy_source_range(format!("bytes={}-{}", part.start, part.start + part.length - 1))
            .customize()
            .config_override(patient())
            .send()
            .await
            .map_err(|error| Error::s3("UploadPartCopy", object(), error))?;
        let result = copied
            .copy_part_result
            .filter(|result| result.e_tag.is_some())
            .ok_or_else(|| Error::Incomplete { operation: "UploadPartCopy", object: object(), missing: "ETag" })?;
        Ok(CompletedPart::builder()
            .part_number(part.number)
            .set_e_tag(result.e_tag)
            .set_checksum_sha256(result.checksum_sha256)
            .build())
    }

    fn route(&self, source: &Object, key: &str) -> String {
        format!("{source} to {}", self.describe(key))
    }
}

/// The settings of the copy, with what tells later where it came from.
fn marked(source: &Object, settings: &Settings) -> Settings {
    let mut settings = settings.clone();
    if settings.content_type.is_none() {
        settings.content_type.clone_from(&source.content_type);
    }
    let version = source.version_id.as_deref().unwrap_or("");
    let key = settings.encryption.as_ref().map_or("", Encryption::key_id);
    let content_type = settings.content_type.as_deref().unwrap_or("");
    let cache_control = settings.cache_control.as_deref().unwrap_or("");
    let acl = settings.acl.as_ref().map_or("", |acl| acl.as_str());
    let mut hash = Sha256::new();
    for part in [&source.bucket, &source.key, version, &source.etag, key, content_type, cache_control, acl] {
        // With its length in front, no part can be taken for two.
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    let identity = hex::encode(hash.finalize());
    let version = source.version_id.as_deref().unwrap_or_else(|| source.etag.trim_matches('"'));
    settings.metadata.insert(IDENTITY.to_owned(), identity);
    settings.metadata.insert(SOURCE_BUCKET.to_owned(), source.bucket.clone());
    settings.metadata.insert(SOURCE_VERSION.to_owned(), version.to_owned());
    settings
}

fn is_copy(there: &Object, source: &Object, settings: &Settings) -> bool {
    there.size == source.size && there.metadata.get(IDENTITY) == settings.metadata.get(IDENTITY)
}

/// `x-amz-copy-source`: bucket and key percent-encoded, and the version where there is one.
fn copy_source(source: &Object) -> String {
    let key = utf8_percent_encode(&source.key, COPY_SOURCE);
    match &source.version_id {
        Some(version) => {
            format!("{}/{key}?versionId={}", source.bucket, utf8_percent_encode(version, COPY_SOURCE))
        }
        None => format!("{}/{key}", source.bucket),
    }
}
