//! The objects of the log, in S3.

use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::get_object::GetObjectError;
use aws_sdk_s3::types::ChecksumAlgorithm;
use futures::{Stream, StreamExt, stream};

use crate::append::{Objects, PortError};
use crate::line::Tip;

/// What the keys of the log begin with.
const PREFIX: &str = "audit/";
/// Digits of an object's number in its key, so that keys are in the order of numbers.
const DIGITS: usize = 14;
/// Bytes of an object in which its first line says when it was recorded.
const BEGINNING: u64 = 256;
/// Objects that are read at the same time.
const AT_ONCE: usize = 16;

/// The key of an object, for example `audit/00000000000123.jsonl`.
#[must_use]
pub fn key(object: u64) -> String {
    format!("{PREFIX}{object:0DIGITS$}.jsonl")
}

fn number(key: &str) -> Option<u64> {
    let digits = key.strip_prefix(PREFIX)?.strip_suffix(".jsonl")?;
    digits.parse().ok().filter(|_| digits.len() == DIGITS)
}

/// A bucket that holds the log, or a copy of it.
#[derive(Clone, Debug)]
pub struct Bucket {
    client: Client,
    name: String,
}

/// An object as a list of the bucket shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The number in its key; the first object of a log has 1.
    pub object: u64,
    /// Its first version, which counts.
    version: Option<String>,
    /// Whether it has others, or was deleted.
    pub overwritten: bool,
}

impl Bucket {
    /// The bucket of this name.
    pub fn new(client: Client, name: impl Into<String>) -> Self {
        Self { client, name: name.into() }
    }

    /// All objects from this number on, in the order of their numbers, with their first versions.
    ///
    /// # Errors
    /// When S3 does not list them.
    pub async fn list(&self, from: u64) -> Result<Vec<Listed>, PortError> {
        let mut objects: Vec<Listed> = Vec::new();
        let mut deleted: Vec<u64> = Vec::new();
        let (mut marker, mut version) = (from.checked_sub(1).map(key), None);
        loop {
            let list = self.client.list_object_versions().bucket(&self.name).prefix(PREFIX);
            let page = list.set_key_marker(marker).set_version_id_marker(version).send().await;
            let page = page.map_err(|error| self.failed("list", &error))?;
            for found in page.versions() {
                let Some(object) = found.key().and_then(number).filter(|object| *object >= from) else { continue };
                let listed = Listed { object, version: found.version_id().map(str::to_owned), overwritten: false };
                match objects.last_mut().filter(|last| last.object == object) {
                    // The newest version comes first.
                    Some(last) => *last = Listed { overwritten: true, ..listed },
                    None => objects.push(listed),
                }
            }
            deleted.extend(page.delete_markers().iter().filter_map(|it| it.key().and_then(number)));
            marker = page.next_key_marker().map(str::to_owned);
            version = page.next_version_id_marker().map(str::to_owned);
            if !page.is_truncated().unwrap_or_default() || marker.is_none() {
                break;
            }
        }
        for object in &mut objects {
            object.overwritten |= deleted.contains(&object.object);
        }
        Ok(objects)
    }

    /// The contents of listed objects, in their order.
    pub fn contents(&self, objects: Vec<Listed>) -> impl Stream<Item = Result<(Listed, Vec<u8>), PortError>> + use<> {
        let bucket = self.clone();
        stream::iter(objects)
            .map(move |listed| {
                let bucket = bucket.clone();
                async move {
                    let content = bucket.read(listed.object, listed.version.as_deref(), None).await?;
                    let gone = || PortError(format!("{} was listed, and cannot be found", key(listed.object)));
                    Ok((listed.clone(), content.ok_or_else(gone)?))
                }
            })
            .buffered(AT_ONCE)
    }

    /// The number of an object at which to begin to look for records that are not older than `since`: those before it were all
    /// recorded earlier. `tip` is the log's last line. It needs as many requests as the number of objects has binary digits.
    ///
    /// # Errors
    /// When S3 does not answer.
    pub async fn first_since(&self, since: &str, tip: &Tip) -> Result<u64, PortError> {
        let (mut low, mut high) = (1, tip.object.max(1));
        while low < high {
            let middle = u64::midpoint(low, high);
            // What is missing or cannot be read is looked at rather than left out.
            let earlier = match self.recorded(middle).await? {
                Some(recorded) => recorded.as_str() < since,
                None => false,
            };
            if earlier { low = middle + 1 } else { high = middle }
        }
        Ok(low)
    }

    /// When an object was recorded, as its first line says.
    async fn recorded(&self, object: u64) -> Result<Option<String>, PortError> {
        let beginning = self.read(object, None, Some(BEGINNING)).await?.unwrap_or_default();
        let beginning = String::from_utf8_lossy(&beginning);
        let found = beginning.split_once("\"recorded\":\"").and_then(|(_, rest)| rest.split_once('"'));
        Ok(found.map(|(recorded, _)| recorded.to_owned()))
    }

    async fn read(&self, object: u64, version: Option<&str>, most: Option<u64>) -> Result<Option<Vec<u8>>, PortError> {
        // A bucket without versions says "null" and takes it, too.
        let get = self.client.get_object().bucket(&self.name).key(key(object));
        let get = get.set_version_id(version.map(str::to_owned));
        let got = get.set_range(most.map(|most| format!("bytes=0-{}", most - 1))).send().await;
        match got {
            Ok(got) => {
                let content = got.body.collect().await.map_err(|error| PortError(error.to_string()))?;
                Ok(Some(content.to_vec()))
            }
            Err(error) if matches!(error.as_service_error(), Some(GetObjectError::NoSuchKey(_))) => Ok(None),
            Err(error) => Err(self.failed("read", &error)),
        }
    }

    fn failed<E>(&self, what: &str, error: &SdkError<E>) -> PortError
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let words = match error.as_service_error().filter(|service| service.code().is_some()) {
            Some(it) => format!("{}: {}", it.code().unwrap_or_default(), it.message().unwrap_or_default()),
            None => DisplayErrorContext(error).to_string(),
        };
        PortError(format!("cannot {what} the audit log in the bucket {}: {words}", self.name))
    }
}

#[async_trait]
impl Objects for Bucket {
    async fn put(&self, object: u64, content: &[u8]) -> Result<bool, PortError> {
        let put = self.client.put_object().bucket(&self.name).key(key(object)).if_none_match("*");
        // A bucket with object lock takes nothing without a checksum.
        let put = put.checksum_algorithm(ChecksumAlgorithm::Sha256).content_type("application/jsonl");
        match put.body(content.to_vec().into()).send().await {
            Ok(_) => Ok(true),
            // 412; and 409 when two of the same key are put at once. Source: S3 user guide, 'Conditional writes'.
            Err(error)
                if matches!(
                    error.as_service_error().and_then(ProvideErrorMetadata::code),
                    Some("PreconditionFailed" | "ConditionalRequestConflict")
                ) =>
            {
                Ok(false)
            }
            Err(error) => Err(self.failed("write", &error)),
        }
    }

    async fn get(&self, object: u64) -> Result<Option<Vec<u8>>, PortError> {
        self.read(object, None, None).await
    }
}
