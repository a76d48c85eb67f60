//! Objects that are written: at once, in parts, or as they come.

use aws_sdk_s3::config::StalledStreamProtectionConfig;
use aws_sdk_s3::primitives::{ByteStream, Length};
use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart};
use bytes::{Bytes, BytesMut};
use engine::Pin;
use tokio::task::{JoinError, JoinSet};

use crate::bucket::Bucket;
use crate::content::Content;
use crate::encryption::{Settings, with_settings};
use crate::error::{Error, chain};
use crate::multipart::{Part, Sent};
use crate::zips::{ContentStream, Unpacked};

/// S3 answers some calls only when its work is done, which may take minutes. The SDK's watch over slow answers would
/// end them.
pub(crate) fn patient() -> aws_sdk_s3::config::Builder {
    aws_sdk_s3::config::Builder::new().stalled_stream_protection(StalledStreamProtectionConfig::disabled())
}

impl Bucket {
    /// Writes an object; in parts, several at once, when it is large.
    ///
    /// # Errors
    /// [`Error::S3`], or [`Error::Storage`] when the file cannot be read. A failed upload leaves no parts behind.
    pub async fn put(&self, key: &str, content: &Content, settings: &Settings) -> Result<(), Error> {
        if content.size() > self.upload.threshold {
            let upload = self.begin(key, settings, None).await?;
            let sent = self.upload.each(content.size(), |part| self.put_content(key, &upload, content, part)).await;
            self.finish(key, &upload, sent).await?;
            return Ok(());
        }
        let body = self.body(key, content, None).await?;
        let put = self.client().put_object().bucket(self.name()).key(key).body(body);
        with_settings!(put, settings)
            .set_expected_bucket_owner(self.owner())
            .send()
            .await
            .map_err(|error| Error::s3("PutObject", self.describe(key), error))?;
        Ok(())
    }

    /// Writes a file of a zip. One that is unpacked meanwhile goes in parts, of which only those under way are in memory.
    ///
    /// # Errors
    /// As [`Bucket::put`], and those of the stream. A failed upload leaves neither object nor parts behind.
    pub async fn put_unpacked(&self, key: &str, content: Unpacked, settings: &Settings) -> Result<(), Error> {
        match content {
            Unpacked::Whole(content) => self.put(key, &content, settings).await,
            Unpacked::Stream(stream) => {
                let upload = self.begin(key, settings, None).await?;
                let sent = self.put_stream(key, &upload, stream).await;
                self.finish(key, &upload, sent).await?;
                Ok(())
            }
        }
    }

    /// Sends a stream in parts, each as soon as it is there.
    async fn put_stream(&self, key: &str, upload: &str, mut stream: ContentStream) -> Result<Sent, Error> {
        let mut sent = Sent { parts: Vec::new(), size: 0 };
        let mut under_way = JoinSet::new();
        for number in 1.. {
            let bytes = part(&mut stream, self.upload.size).await?;
            if bytes.is_empty() {
                break;
            }
            sent.size += bytes.len() as u64;
            if under_way.len() >= self.upload.parallel.max(1) {
                sent.parts.extend(self.joined(key, under_way.join_next().await)?);
            }
            let (bucket, key, upload) = (self.clone(), key.to_owned(), upload.to_owned());
            under_way.spawn(async move { bucket.put_part(&key, &upload, number, bytes.into()).await });
        }
        while let Some(part) = self.joined(key, under_way.join_next().await)? {
            sent.parts.push(part);
        }
        Ok(sent)
    }

    /// A part that was sent by a task of its own; none where there is no task.
    fn joined(
        &self,
        key: &str,
        task: Option<Result<Result<CompletedPart, Error>, JoinError>>,
    ) -> Result<Option<CompletedPart>, Error> {
        task.map(|sent| sent.unwrap_or_else(|_| Err(Error::Interrupted(self.describe(key))))).transpose()
    }

    async fn put_content(
        &self,
        key: &str,
        upload: &str,
        content: &Content,
        part: Part,
    ) -> Result<CompletedPart, Error> {
        self.put_part(key, upload, part.number, self.body(key, content, Some(part)).await?).await
    }

    async fn put_part(&self, key: &str, upload: &str, number: i32, body: ByteStream) -> Result<CompletedPart, Error> {
        let sent = self
            .client()
            .upload_part()
            .bucket(self.name())
            .set_expected_bucket_owner(self.owner())
            .key(key)
            .upload_id(upload)
            .part_number(number)
            .body(body)
            .send()
            .await
            .map_err(|error| Error::s3("UploadPart", self.describe(key), error))?;
        Ok(CompletedPart::builder()
            .part_number(number)
            .set_e_tag(sent.e_tag)
            .set_checksum_crc32(sent.checksum_crc32)
            .build())
    }

    pub(crate) async fn body(&self, key: &str, content: &Content, part: Option<Part>) -> Result<ByteStream, Error> {
        match content {
            Content::Memory(bytes) => {
                let slice = match part {
                    Some(part) => {
                        // No part ends behind the bytes that it was cut from.
                        let start = usize::try_from(part.start).unwrap_or(usize::MAX).min(bytes.len());
                        let end = usize::try_from(part.start + part.length).unwrap_or(usize::MAX).min(bytes.len());
                        bytes.slice(start..end)
                    }
                    None => bytes.clone(),
                };
                Ok(ByteStream::from(slice))
            }
            Content::File(file) => {
                let part = part.unwrap_or(Part { number: 1, start: 0, length: file.size() });
                ByteStream::read_from()
                    .path(file.path())
                    .offset(part.start)
                    .length(Length::Exact(part.length))
                    .build()
                    .await
                    .map_err(|error| {
                        let doing = format!("read the content of {}", self.describe(key));
                        Error::storage(doing, std::io::Error::other(chain(&error)))
                    })
            }
        }
    }

    /// Begins an upload in parts; answers its id. S3 computes the checksum for which `checksum` asks.
    pub(crate) async fn begin(
        &self,
        key: &str,
        settings: &Settings,
        checksum: Option<ChecksumAlgorithm>,
    ) -> Result<String, Error> {
        let object = self.describe(key);
        let begin = self.client().create_multipart_upload().bucket(self.name()).key(key);
        let begun = with_settings!(begin, settings)
            .set_expected_bucket_owner(self.owner())
            .set_checksum_algorithm(checksum)
            .send()
            .await
            .map_err(|error| Error::s3("CreateMultipartUpload", &object, error))?;
        let missing = "upload id";
        begun.upload_id.ok_or(Error::Incomplete { operation: "CreateMultipartUpload", object, missing })
    }

    /// Makes the object `key` out of all that was sent. A failure, now or before, takes the upload back, so that no part
    /// is left behind to be paid for.
    pub(crate) async fn finish(&self, key: &str, upload: &str, sent: Result<Sent, Error>) -> Result<Pin, Error> {
        let result = match sent {
            Ok(sent) => self.complete(key, upload, sent).await,
            Err(error) => Err(error),
        };
        if result.is_err() {
            let abort = self.client().abort_multipart_upload().bucket(self.name()).key(key).upload_id(upload);
            if let Err(error) = abort.set_expected_bucket_owner(self.owner()).send().await {
                let error = Error::s3("AbortMultipartUpload", self.describe(key), error);
                tracing::warn!(%error, upload, "parts are left for the bucket's lifecycle rule to remove");
            }
        }
        result
    }

    async fn complete(&self, key: &str, upload: &str, Sent { mut parts, size }: Sent) -> Result<Pin, Error> {
        parts.sort_by_key(|part| part.part_number);
        let done = self
            .client()
            .complete_multipart_upload()
            .bucket(self.name())
            .set_expected_bucket_owner(self.owner())
            .key(key)
            .upload_id(upload)
            .multipart_upload(CompletedMultipartUpload::builder().set_parts(Some(parts)).build())
            .customize()
            .config_override(patient())
            .send()
            .await;
        match done.map_err(|error| Error::s3("CompleteMultipartUpload", self.describe(key), error)) {
            Ok(done) if done.e_tag.is_some() => Ok(Pin { version: done.version_id, sha256: done.checksum_sha256 }),
            Ok(_) => Err(Error::Incomplete {
                operation: "CompleteMultipartUpload",
                object: self.describe(key),
                missing: "ETag",
            }),
            // The SDK repeats a call whose answer was lost; then the upload is gone because it is complete.
            Err(error) if error.is_not_found() => match self.head_with_checksum(key, None).await {
                Ok(object) if object.size == size => Ok(object.pin()),
                _ => Err(error),
            },
            Err(error) => Err(error),
        }
    }
}

/// The next part of a stream: about `size` bytes, fewer at its end, none behind it.
async fn part(stream: &mut ContentStream, size: u64) -> Result<Bytes, Error> {
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    let mut part = BytesMut::new();
    while part.len() < size
        && let Some(piece) = stream.next().await?
    {
        part.extend_from_slice(&piece);
    }
    Ok(part.freeze())
}
