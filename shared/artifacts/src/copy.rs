//! Copies inside S3: no byte passes through the function.

use aws_sdk_s3::types::{AnnotationDirective, CompletedPart, MetadataDirective, TaggingDirective};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest, Sha256};

use crate::bucket::{Bucket, Object};
use crate::encryption::{Encryption, Settings, with_settings};
use crate::error::Error;
use crate::multipart::{Part, patient};

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
    /// It was made.
    Copied,
    /// It was there: same source, same size, same settings.
    Found,
}

/// Brings the artifact `key` from one store to the same key in another store, as a rule in another region, encrypted
/// with that store's key. S3 does it, asked through the destination's client, whose credentials must be allowed to read
/// the source and use both keys; above 5 GiB in parallel parts. Safe to repeat and to race.
///
/// # Errors
/// [`Error::S3`]: about the source when that is missing or forbidden, otherwise about the destination. No parts are left
/// behind.
pub async fn replicate(from: &Bucket, to: &Bucket, key: &str, encryption: &Encryption) -> Result<CopyOutcome, Error> {
    let source = from.head(key, None).await?;
    to.copy(&source, key, &Settings::encrypted(encryption.clone())).await
}

impl Bucket {
    /// Copies `source` to `key` in this bucket, inside S3: how the S3 source action takes an object into the store, and
    /// how an artifact comes to another region or is deployed as it is. `source` comes from [`Bucket::head`] of its own
    /// bucket. Looks first whether the copy is there. An object that is replaced between the look and the copy is refused
    /// (retryable), so a copy is never a mixture. Tags, annotations and metadata of the source are not taken over, only
    /// its content type.
    ///
    /// # Errors
    /// [`Error::S3`]. No parts are left behind.
    pub async fn copy(&self, source: &Object, key: &str, settings: &Settings) -> Result<CopyOutcome, Error> {
        let settings = marked(source, settings);
        match self.head_object(key, None).await {
            Ok(there) if is_copy(&there, source, &settings) => return Ok(CopyOutcome::Found),
            Ok(_) => {}
            // Who may write but not list gets 403 for an object that is not there.
            Err(error) if error.is_not_found() || error.is_denied() => {}
            Err(error) => return Err(error),
        }
        if source.size > self.copying.threshold {
            let send = |upload, part| self.copy_part(source, key, upload, part);
            self.multipart(key, source.size, self.copying, &settings, send).await?;
        } else {
            self.copy_whole(source, key, &settings).await?;
        }
        Ok(CopyOutcome::Copied)
    }

    async fn copy_whole(&self, source: &Object, key: &str, settings: &Settings) -> Result<(), Error> {
        let request = self
            .client()
            .copy_object()
            .bucket(self.name())
            .key(key)
            .copy_source(copy_source(source))
            .copy_source_if_match(&source.etag)
            .metadata_directive(MetadataDirective::Replace)
            // Otherwise the role would need rights to the source's tags and annotations as well.
            .tagging_directive(TaggingDirective::Replace)
            .annotation_directive(AnnotationDirective::Exclude);
        let copied = with_settings!(request, settings)
            .send()
            .await
            .map_err(|error| Error::s3("CopyObject", self.route(source, key), error))?;
        match copied.copy_object_result.and_then(|result| result.e_tag) {
            Some(_) => Ok(()),
            None => {
                Err(Error::Incomplete { operation: "CopyObject", object: self.route(source, key), missing: "ETag" })
            }
        }
    }

    async fn copy_part(&self, source: &Object, key: &str, upload: String, part: Part) -> Result<CompletedPart, Error> {
        let object = || format!("part {} of {}", part.number, self.route(source, key));
        let copied = self
            .client()
            .upload_part_copy()
            .bucket(self.name())
            .key(key)
            .upload_id(upload)
            .part_number(part.number)
            .copy_source(copy_source(source))
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
            .set_checksum_crc32(result.checksum_crc32)
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
    let identity: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
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
