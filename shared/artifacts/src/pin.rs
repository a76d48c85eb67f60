//! Artifacts are what they were: which object an action left, and whether what is read is still that one.
//!
//! A version of an object never changes, so its `VersionId` alone is enough where a bucket has versions. The SHA-256, which
//! S3 computes itself, is for everything else: copies in other regions, buckets without versions, and people who compare.

use aws_smithy_types::base64;
use engine::Pin;
use sha2::{Digest, Sha256};
use tokio::io::AsyncReadExt;

use crate::bucket::{Bucket, Object};
use crate::content::Content;
use crate::encryption::{Encryption, Settings, with_settings};
use crate::error::Error;

/// What somebody else has stored without a SHA-256 is given one by a copy onto itself, up to this size in bytes: S3 is
/// done with that within seconds, and whoever reports the end of an action waits for it.
const DIGESTED_MOST: u64 = 1 << 30;

impl Object {
    /// Version and SHA-256, as far as S3 has said them.
    pub fn pin(&self) -> Pin {
        Pin { version: self.version_id.clone(), sha256: self.sha256.clone() }
    }
}

impl Bucket {
    /// Writes an artifact at once, with its SHA-256, by which S3 checks what it receives. S3 takes up to 5 GiB so.
    ///
    /// # Errors
    /// [`Error::S3`], or [`Error::Storage`] when the file cannot be read.
    pub async fn put_artifact(
        &self,
        key: &str,
        content: impl Into<Content>,
        encryption: &Encryption,
    ) -> Result<Pin, Error> {
        let content = content.into();
        let sha256 = base64::encode(self.digest(key, &content).await?);
        let body = self.body(key, &content, None).await?;
        let put = self.client().put_object().bucket(self.name()).key(key).body(body);
        let put = with_settings!(put, &Settings::encrypted(encryption.clone()));
        let done = put
            .set_expected_bucket_owner(self.owner())
            .checksum_sha256(&sha256)
            .send()
            .await
            .map_err(|error| Error::s3("PutObject", self.describe(key), error))?;
        Ok(Pin { version: done.version_id, sha256: Some(sha256) })
    }

    /// The SHA-256 of what is to be written.
    async fn digest(&self, key: &str, content: &Content) -> Result<impl AsRef<[u8]> + use<>, Error> {
        let mut sha256 = Sha256::new();
        match content {
            Content::Memory(bytes) => sha256.update(bytes),
            Content::File(file) => {
                let unreadable = |source| Error::storage(format!("read the content of {}", self.describe(key)), source);
                let mut file = tokio::fs::File::open(file.path()).await.map_err(unreadable)?;
                let mut buffer = vec![0; 256 << 10];
                loop {
                    match file.read(&mut buffer).await.map_err(unreadable)? {
                        0 => break,
                        read => sha256.update(&buffer[..read]),
                    }
                }
            }
        }
        Ok(sha256.finalize())
    }

    /// Looks for the object that was recorded.
    ///
    /// # Errors
    /// [`Error::Changed`] when it is another, [`Error::S3`]; [`Error::is_not_found`] when the version is gone.
    pub async fn find(&self, key: &str, pin: &Pin) -> Result<Object, Error> {
        let version = pin.version.as_deref();
        let found = match self.head_with_checksum(key, version).await {
            Err(error) if error.is_not_found() => return Err(self.which_is_missing(key, version, error).await),
            found => found?,
        };
        match (&pin.sha256, &found.sha256) {
            (Some(recorded), sha256) if sha256.as_ref() == Some(recorded) => Ok(found),
            // S3 may have no checksum of a version, but no version has two contents.
            (Some(_), None) if pin.version.is_some() => Ok(found),
            (Some(_), sha256) => Err(self.changed(key, pin, sha256.clone())),
            (None, _) => Ok(found),
        }
    }

    /// Checks that whoever reads the key without a version gets the object that was recorded.
    ///
    /// # Errors
    /// As [`Bucket::find`]; also [`Error::Changed`] when another version is the newest.
    pub async fn check_newest(&self, key: &str, pin: &Pin) -> Result<(), Error> {
        if !pin.is_known() {
            return Ok(());
        }
        let newest = self.head_with_checksum(key, None).await?;
        let same_version = pin.version.is_some() && newest.version_id == pin.version;
        let same_content = pin.sha256.is_some() && newest.sha256 == pin.sha256;
        if same_version || same_content {
            return Ok(());
        }
        Err(self.changed(key, pin, newest.sha256))
    }

    /// Which object somebody else has left as an artifact; none where there is nothing. One without a SHA-256 is given
    /// it by S3, which copies it onto itself, unless it is very large; then its version alone is known.
    ///
    /// # Errors
    /// [`Error::S3`].
    pub async fn pin(&self, key: &str, encryption: &Encryption) -> Result<Option<Pin>, Error> {
        let found = match self.head_with_checksum(key, None).await {
            Ok(found) => found,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error),
        };
        if found.sha256.is_some() || found.size > DIGESTED_MOST {
            return Ok(Some(found.pin()));
        }
        let settings = Settings {
            content_type: found.content_type.clone(),
            metadata: found.metadata.clone().into_iter().collect(),
            ..Settings::encrypted(encryption.clone())
        };
        self.copy_exactly(&found, key, &settings).await.map(Some)
    }
}
