//! One bucket: objects looked at and read.

use std::collections::HashMap;
use std::fmt;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::ResponseChecksumValidation;
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::primitives::DateTime;
use aws_sdk_s3::types::ChecksumMode;
use bytes::{Bytes, BytesMut};
use engine::Pin;
use pipeline::Region;
use tokio::io::AsyncWriteExt;

use crate::content::TempFile;
use crate::error::{Error, chain};
use crate::multipart::Parts;
use crate::reading::Reading;

/// A bucket, with the client that reaches it: one for the bucket's region, with the rights of whoever acts.
#[derive(Clone, Debug)]
pub struct Bucket {
    client: Client,
    region: Region,
    name: String,
    owner: Option<String>,
    pub(crate) upload: Parts,
    pub(crate) copying: Parts,
}

/// An object as S3 describes it; what a copy is made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// The region of its bucket.
    pub region: Region,
    /// The name of its bucket.
    pub bucket: String,
    /// The account that must own the bucket, as [`Bucket::owned_by`] says.
    pub bucket_owner: Option<String>,
    /// Its key as S3 lists it, without percent-encoding.
    pub key: String,
    /// Its version; none in a bucket without versions.
    pub version_id: Option<String>,
    /// Its ETag, with the quotes that S3 puts around it.
    pub etag: String,
    /// Its size in bytes, as S3 says.
    pub size: u64,
    /// When it was last changed.
    pub last_modified: Option<DateTime>,
    /// `Content-Type`, where it has one.
    pub content_type: Option<String>,
    /// Its user metadata, names in lower case, without `x-amz-meta-`.
    pub metadata: HashMap<String, String>,
    /// How S3 encrypts it: `aws:kms`, `AES256` ...
    pub encryption: Option<String>,
    /// The ARN of the KMS key that encrypts it.
    pub key_id: Option<String>,
    /// S3's SHA-256 of it, where [`Bucket::find`] asked for that and S3 has one.
    pub sha256: Option<String>,
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.key)?;
        match &self.version_id {
            Some(version) => write!(f, " version {version} ({})", self.region),
            None => write!(f, " ({})", self.region),
        }
    }
}

impl Bucket {
    /// The bucket `name` in `region`; `client` must be one for that region.
    pub fn new(client: Client, region: Region, name: impl Into<String>) -> Self {
        Self { client, region, name: name.into(), owner: None, upload: Parts::UPLOAD, copying: Parts::COPY }
    }

    /// The same bucket, if this account owns it: S3 denies every call to one of somebody else's. Names of buckets are
    /// free again once a bucket is deleted; without this an artifact store could become a stranger's.
    #[must_use]
    pub fn owned_by(self, account: impl Into<String>) -> Self {
        Self { owner: Some(account.into()), ..self }
    }

    /// The same bucket, with other sizes for what is written in parts: [`Parts::UPLOAD`] and [`Parts::COPY`] are used
    /// without this.
    #[must_use]
    pub fn with_parts(mut self, upload: Parts, copying: Parts) -> Self {
        self.upload = upload;
        self.copying = copying;
        self
    }

    /// The bucket's name, without `s3://`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The region that the bucket is in and its client is for.
    pub fn region(&self) -> &Region {
        &self.region
    }

    /// The account that must own it, for S3 to check.
    pub(crate) fn owner(&self) -> Option<String> {
        self.owner.clone()
    }

    /// The client that reaches it.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// How messages call an object of this bucket.
    pub(crate) fn describe(&self, key: &str) -> String {
        format!("s3://{}/{key} ({})", self.name, self.region)
    }

    /// What S3 knows about an object, or about one version of it.
    ///
    /// # Errors
    /// [`Error::S3`]; [`Error::is_not_found`] tells whether there is none. S3 answers 403 instead of 404 to those who may
    /// not list the bucket.
    pub async fn head(&self, key: &str, version: Option<&str>) -> Result<Object, Error> {
        match self.head_object(key, version, None).await {
            Err(error) if error.is_not_found() => Err(self.which_is_missing(key, version, error).await),
            found => found,
        }
    }

    /// The same with the object's checksum, which takes the right to decrypt it, and without asking S3 what is missing.
    pub(crate) async fn head_with_checksum(&self, key: &str, version: Option<&str>) -> Result<Object, Error> {
        self.head_object(key, version, Some(ChecksumMode::Enabled)).await
    }

    pub(crate) async fn head_object(
        &self,
        key: &str,
        version: Option<&str>,
        checksums: Option<ChecksumMode>,
    ) -> Result<Object, Error> {
        let found = self
            .client
            .head_object()
            .bucket(&self.name)
            .set_expected_bucket_owner(self.owner())
            .key(key)
            .set_version_id(version.map(str::to_owned))
            .set_checksum_mode(checksums)
            .send()
            .await
            .map_err(|error| Error::s3("HeadObject", self.describe(key), error))?;
        let missing = |missing| Error::Incomplete { operation: "HeadObject", object: self.describe(key), missing };
        Ok(Object {
            region: self.region.clone(),
            bucket: self.name.clone(),
            bucket_owner: self.owner(),
            key: key.to_owned(),
            size: found.content_length.and_then(|size| u64::try_from(size).ok()).ok_or_else(|| missing("size"))?,
            etag: found.e_tag.ok_or_else(|| missing("ETag"))?,
            version_id: found.version_id,
            last_modified: found.last_modified,
            content_type: found.content_type,
            metadata: found.metadata.unwrap_or_default(),
            encryption: found.server_side_encryption.map(|kind| kind.as_str().to_owned()),
            key_id: found.ssekms_key_id,
            sha256: found.checksum_sha256,
        })
    }

    /// Why there is no such object: S3's answer to HEAD cannot say whether the bucket, the object or its version is missing,
    /// its answer to GET does.
    pub(crate) async fn which_is_missing(&self, key: &str, version: Option<&str>, error: Error) -> Error {
        let request = self.client.get_object().bucket(&self.name).key(key).range("bytes=0-0");
        let request = request.set_expected_bucket_owner(self.owner());
        match request.set_version_id(version.map(str::to_owned)).send().await {
            Ok(_) => error,
            Err(said) => {
                let version = version.map(|version| format!(" version {version}")).unwrap_or_default();
                let said = Error::s3("GetObject", format!("{}{version}", self.describe(key)), said);
                if said.is_not_found() { said } else { error }
            }
        }
    }

    async fn get(&self, key: &str, pin: &Pin, limit: u64) -> Result<GetObjectOutput, Error> {
        let got = self
            .client
            .get_object()
            .bucket(&self.name)
            .set_expected_bucket_owner(self.owner())
            .key(key)
            .set_version_id(pin.version.clone())
            .checksum_mode(ChecksumMode::Enabled)
            .send()
            .await
            .map_err(|error| Error::s3("GetObject", self.describe(key), error))?;
        // Said beforehand, so that nothing is read in vain; counted afterwards all the same.
        match got.content_length.and_then(|size| u64::try_from(size).ok()) {
            Some(size) if size > limit => Err(self.too_large(key, size, limit)),
            _ => Ok(got),
        }
    }

    fn too_large(&self, key: &str, size: u64, limit: u64) -> Error {
        Error::TooLarge { object: self.describe(key), size, limit }
    }

    fn broken_off(&self, key: &str, error: &dyn std::error::Error) -> Error {
        Error::BrokenOff { object: self.describe(key), reason: chain(error) }
    }

    /// Reads an object as a stream into temporary storage, and nothing but what `pin` says it is.
    ///
    /// # Errors
    /// [`Error::Changed`] when it is something else, [`Error::TooLarge`] above `limit` bytes, [`Error::StorageFull`],
    /// [`Error::S3`], [`Error::BrokenOff`]. Nothing is left in temporary storage.
    pub async fn download(&self, key: &str, pin: &Pin, limit: u64) -> Result<TempFile, Error> {
        let got = self.get(key, pin, limit).await?;
        let mut reading = Reading::new(pin, &got);
        let mut body = got.body;
        let full = |source| Error::storage(format!("store {}", self.describe(key)), source);
        let (file, path) = TempFile::create()?;
        let mut file = tokio::fs::File::from_std(file);
        let mut size = 0;
        while let Some(bytes) = body.try_next().await.map_err(|error| self.broken_off(key, &error))? {
            size += bytes.len() as u64;
            if size > limit {
                return Err(self.too_large(key, size, limit));
            }
            reading.update(&bytes);
            file.write_all(&bytes).await.map_err(full)?;
        }
        file.flush().await.map_err(full)?;
        reading.end().map_err(|found| self.changed(key, pin, found))?;
        Ok(TempFile::finished(path, size))
    }

    /// Reads an object into memory, and nothing but what `pin` says it is.
    ///
    /// # Errors
    /// [`Error::Changed`] when it is something else, [`Error::TooLarge`] above `limit` bytes, [`Error::S3`],
    /// [`Error::BrokenOff`].
    pub async fn read(&self, key: &str, pin: &Pin, limit: u64) -> Result<Bytes, Error> {
        let got = self.get(key, pin, limit).await?;
        let mut reading = Reading::new(pin, &got);
        let mut body = got.body;
        let mut read = BytesMut::new();
        while let Some(bytes) = body.try_next().await.map_err(|error| self.broken_off(key, &error))? {
            let size = (read.len() + bytes.len()) as u64;
            if size > limit {
                return Err(self.too_large(key, size, limit));
            }
            reading.update(&bytes);
            read.extend_from_slice(&bytes);
        }
        reading.end().map_err(|found| self.changed(key, pin, found))?;
        Ok(read.freeze())
    }

    /// Reads a part of an object, which must still be the one that was found. It lies within the object.
    pub(crate) async fn read_range(&self, object: &Object, start: u64, length: u64) -> Result<Bytes, Error> {
        let key = object.key.as_str();
        let last = (start + length).saturating_sub(1);
        let get = self.client.get_object().bucket(&self.name).set_expected_bucket_owner(self.owner()).key(key);
        let get = get.set_version_id(object.version_id.clone()).if_match(&object.etag);
        // Checksums are of whole objects.
        let without = ResponseChecksumValidation::WhenRequired;
        let without = aws_sdk_s3::config::Builder::new().response_checksum_validation(without);
        let get = get.range(format!("bytes={start}-{last}")).customize().config_override(without);
        let got = get.send().await.map_err(|error| Error::s3("GetObject", self.describe(key), error))?;
        let mut body = got.body;
        let mut read = BytesMut::new();
        while let Some(bytes) = body.try_next().await.map_err(|error| self.broken_off(key, &error))? {
            read.extend_from_slice(&bytes);
            if read.len() as u64 > length {
                break;
            }
        }
        if read.len() as u64 != length {
            let reason = format!("{} bytes came of the {length} from byte {start} on", read.len());
            return Err(Error::BrokenOff { object: self.describe(key), reason });
        }
        Ok(read.freeze())
    }

    /// That an object is not what was recorded.
    pub(crate) fn changed(&self, key: &str, pin: &Pin, found: Option<String>) -> Error {
        let version = pin.version.as_ref().map(|version| format!(" version {version}")).unwrap_or_default();
        let unknown = || "not known to S3".to_owned();
        Error::Changed {
            object: format!("{}{version}", self.describe(key)),
            recorded: pin.sha256.clone().unwrap_or_else(unknown),
            found: found.unwrap_or_else(unknown),
        }
    }
}
