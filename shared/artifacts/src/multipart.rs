//! Objects in parts: how they are cut, and how many are under way.

use aws_sdk_s3::types::CompletedPart;
use futures::{StreamExt, TryStreamExt};

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

    /// Sends all parts of an object of `size` bytes, several at once. Answers them, in any order, and the size.
    pub(crate) async fn each<R>(self, size: u64, send: impl Fn(Part) -> R) -> Result<Sent, Error>
    where
        R: Future<Output = Result<CompletedPart, Error>>,
    {
        let parts = futures::stream::iter(self.cut(size)).map(send).buffer_unordered(self.parallel.max(1));
        Ok(Sent { parts: parts.try_collect().await?, size })
    }
}

/// What has been sent of an object: all of it.
pub(crate) struct Sent {
    /// The parts as S3 acknowledged them, in any order.
    pub parts: Vec<CompletedPart>,
    /// The size of the whole object in bytes.
    pub size: u64,
}

/// One part of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// The number of the part, from 1, as S3 counts.
    pub number: i32,
    pub start: u64,
    /// Bytes of the part; never 0.
    pub length: u64,
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
