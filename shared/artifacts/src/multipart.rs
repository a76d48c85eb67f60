//! Objects in parts: how they are cut, and the frame around a multipart upload.

use aws_sdk_s3::config::StalledStreamProtectionConfig;
use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart};
use engine::Pin;
use futures::{StreamExt, TryStreamExt};

use crate::bucket::Bucket;
use crate::encryption::{Settings, with_settings};
use crate::error::Error;

/// Most parts that an upload may have. Source: S3 user guide, 'Multipart upload limits'.
const MOST_PARTS: u64 = 10_000;

/// From which size on, and how, an object is written in parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts {
    /// Objects larger than this many bytes go in parts.
    pub threshold: u64,
    /// Bytes of a part; grows where an object would need more than S3's 10,000. S3 refuses parts under 5 MiB, but for
    /// the last.
    pub size: u64,
    /// Parts under way at once.
    pub parallel: usize,
}

impl Parts {
    /// For copies inside S3: above 5 GiB, the most that one CopyObject takes (S3 user guide, 'Copying objects').
    pub const COPY: Self = Self { threshold: 5 << 30, size: 512 << 20, parallel: 8 };
    /// For uploads by the function, whose memory and network are small.
    pub const UPLOAD: Self = Self { threshold: 32 << 20, size: 16 << 20, parallel: 4 };

    /// The parts of an object of `size` bytes.
    pub(crate) fn cut(self, size: u64) -> Vec<Part> {
        let length = self.size.max(size.div_ceil(MOST_PARTS)).max(1);
        (1..)
            .zip((0..size).step_by(usize::try_from(length).unwrap_or(usize::MAX)))
            .map(|(number, start)| Part { number, start, length: length.min(size - start) })
            .collect()
    }
}

/// One part of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// From 1.
    pub number: i32,
    pub start: u64,
    /// Never 0.
    pub length: u64,
}

/// S3 answers some calls only when its work is done, which may take minutes. The SDK's watch over slow answers would
/// end them.
pub(crate) fn patient() -> aws_sdk_s3::config::Builder {
    aws_sdk_s3::config::Builder::new().stalled_stream_protection(StalledStreamProtectionConfig::disabled())
}

impl Bucket {
    /// Makes the object `key` out of parts, several at once, each by `send(upload id, part)`. A failure takes the
    /// upload back, so that no part is left behind to be paid for. S3 computes the checksum for which `checksum` asks.
    pub(crate) async fn multipart<F, R>(
        &self,
        key: &str,
        size: u64,
        parts: Parts,
        settings: &Settings,
        checksum: Option<ChecksumAlgorithm>,
        send: F,
    ) -> Result<Pin, Error>
    where
        F: Fn(String, Part) -> R,
        R: Future<Output = Result<CompletedPart, Error>>,
    {
        let object = self.describe(key);
        let begin = self.client().create_multipart_upload().bucket(self.name()).key(key);
        let begun = with_settings!(begin, settings)
            .set_expected_bucket_owner(self.owner())
            .set_checksum_algorithm(checksum)
            .send()
            .await
            .map_err(|error| Error::s3("CreateMultipartUpload", &object, error))?;
        let upload = begun.upload_id.ok_or_else(|| Error::Incomplete {
            operation: "CreateMultipartUpload",
            object: object.clone(),
            missing: "upload id",
        })?;

        let sent = futures::stream::iter(parts.cut(size))
            .map(|part| send(upload.clone(), part))
            .buffer_unordered(parts.parallel.max(1))
            .try_collect::<Vec<_>>()
            .await;
        let result = match sent {
            Ok(sent) => self.complete(key, &upload, sent, size).await,
            Err(error) => Err(error),
        };
        if result.is_err() {
            let abort = self.client().abort_multipart_upload().bucket(self.name()).key(key).upload_id(&upload);
            if let Err(error) = abort.set_expected_bucket_owner(self.owner()).send().await {
                let error = Error::s3("AbortMultipartUpload", &object, error);
                tracing::warn!(%error, upload, "parts are left for the bucket's lifecycle rule to remove");
            }
        }
        result
    }

    async fn complete(&self, key: &str, upload: &str, mut parts: Vec<CompletedPart>, size: u64) -> Result<Pin, Error> {
        parts.sort_by_key(|part| part.part_number);
        let done = self
            .client()
            .complete_multipart_upload()
            .bucket(self.name())
            .key(key)
            .upload_id(upload)
            .set_expected_bucket_owner(self.owner())
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_last_part_is_the_rest() {
        let parts = Parts { threshold: 0, size: 5, parallel: 1 };
        let cut: Vec<_> = parts.cut(12).iter().map(|part| (part.number, part.start, part.length)).collect();
        assert_eq!(cut, [(1, 0, 5), (2, 5, 5), (3, 10, 2)]);
        assert_eq!(parts.cut(10).len(), 2);
    }

    proptest! {
        #[test]
        fn parts_cover_the_object_once_and_are_never_too_many(size in 1..(50_u64 << 40), part in (5_u64 << 20)..(5 << 30)) {
            let cut = Parts { threshold: 0, size: part, parallel: 1 }.cut(size);
            prop_assert!(cut.len() <= 10_000);
            let mut next = 0;
            for (index, part) in cut.iter().enumerate() {
                prop_assert_eq!(usize::try_from(part.number).unwrap(), index + 1);
                prop_assert_eq!(part.start, next);
                prop_assert!(part.length > 0 && part.length <= 6 << 30);
                next += part.length;
            }
            prop_assert_eq!(next, size);
        }
    }
}
