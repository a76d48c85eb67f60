//! What a zip may not be, and why one was refused.

/// Limits on a zip, which are for hostile ones: what people deploy keeps the defaults. One entry may be as large as all
/// together, since large ones are streamed. The list of entries is in memory: about 1 KB for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ZipLimits {
    /// The most entries that a zip may have, directories among them.
    pub entries: usize,
    /// Bytes of all entries together, unpacked; and of the zip itself, where it is downloaded.
    pub total_bytes: u64,
    /// Unpacked bytes for each byte of the archive. It counts from 16 MiB unpacked bytes on: a small file of zeros is no
    /// bomb.
    pub ratio: u64,
}

impl ZipLimits {
    /// Where [`ZipLimits::ratio`] begins to count, in bytes.
    pub(crate) const RATIO_FROM: u64 = 16 << 20;

    /// The most bytes that are read to find out what the archive holds. An entry of the central directory takes 46 bytes,
    /// its name and its extra field. Until the reader has seen too much, all of that is in memory, up to twice.
    pub(crate) fn directory_bytes(&self) -> u64 {
        (4 << 20) + (self.entries as u64).saturating_mul(400)
    }
}

impl Default for ZipLimits {
    /// 250,000 entries, 8 GiB in all, 200 to 1.
    fn default() -> Self {
        Self { entries: 250_000, total_bytes: 8 << 30, ratio: 200 }
    }
}

/// Why a zip was refused. Names of entries are quoted, escaped and cut to 200 characters.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidZip {
    /// Something else, or a zip whose end is missing.
    #[error("not a zip: {0}")]
    NotAZip(String),
    /// The entry's bytes are not what the archive says of them.
    #[error("entry {entry} is damaged: {reason}")]
    Damaged {
        /// The name of the entry.
        entry: String,
        /// What the reader found wrong with its bytes.
        reason: String,
    },
    /// The zip has more entries than [`ZipLimits::entries`].
    #[error("the zip has {count} entries, more than the {limit} that are allowed")]
    TooManyEntries {
        /// How many entries it has.
        count: usize,
        /// How many it may have.
        limit: usize,
    },
    /// The list of entries is too long to be read.
    #[error("the zip's directory is larger than the {limit} bytes that are read for it")]
    DirectoryTooLarge {
        /// How many bytes are read.
        limit: u64,
    },
    /// A name that leads out of the place where the zip is unpacked, or that no object can have.
    #[error("entry {entry} is refused: {why}")]
    UnsafeName {
        /// The name of the entry.
        entry: String,
        /// What is wrong with its name.
        why: &'static str,
    },
    /// A link, device, pipe or socket.
    #[error("entry {entry} is refused: it is a {kind}, and only files and directories are taken")]
    Special {
        /// The name of the entry.
        entry: String,
        /// What it is instead of a file, for example `symbolic link`.
        kind: &'static str,
    },
    /// Two entries would be the same file.
    #[error("entry {entry} is in the zip twice")]
    Duplicate {
        /// The name that two entries have.
        entry: String,
    },
    /// An entry is encrypted, so it cannot be read without a password.
    #[error("entry {entry} is encrypted")]
    Encrypted {
        /// The name of the entry.
        entry: String,
    },
    /// It is packed in a way that is not understood.
    #[error("entry {entry} is compressed by method {method}; only stored and deflated entries are understood")]
    Method {
        /// The name of the entry.
        entry: String,
        /// The method's name or number.
        method: String,
    },
    /// More than the reader takes of one entry.
    #[error("entry {entry} is larger than the {limit} bytes that are allowed for one entry")]
    EntryTooLarge {
        /// The name of the entry.
        entry: String,
        /// The most bytes that the caller takes of one entry.
        limit: u64,
    },
    /// The entries together unpack to more than [`ZipLimits::total_bytes`].
    #[error("the zip unpacks to more than the {limit} bytes that are allowed")]
    TotalTooLarge {
        /// The most bytes that all entries may unpack to.
        limit: u64,
    },
    /// The zip unpacks to more than [`ZipLimits::ratio`] times its size.
    #[error("the zip unpacks to more than {ratio} times its size, like a bomb (seen at entry {entry})")]
    Bomb {
        /// Where the limit was passed.
        entry: String,
        /// Unpacked bytes for each byte of the zip that are allowed.
        ratio: u64,
    },
    /// The entry that was asked for is not there.
    #[error("the zip has no file {entry}")]
    NoEntry {
        /// The name that was asked for.
        entry: String,
    },
}
