//! Lines, and how each is chained to the one before.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::record::Record;

/// What the first line of all names as the one before it.
const NONE_BEFORE: &str = "0000000000000000000000000000000000000000000000000000000000000000";
/// What stands between the line and its own hash.
const SEAL: &str = ",\"hash\":\"";
/// The hexadecimal digits of a SHA-256.
const DIGITS: usize = 64;

/// The last line of a chain: where it is, and its hash, which stands for all lines up to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tip {
    /// The number of the object in which the line is, from 1.
    pub object: u64,
    /// The line's number in the whole chain, from 1.
    pub line: u64,
    /// The line's SHA-256, in hexadecimal digits.
    pub hash: String,
}

impl Tip {
    /// Of a chain that has no line yet.
    #[must_use]
    pub fn start() -> Self {
        Self { object: 0, line: 0, hash: NONE_BEFORE.to_owned() }
    }
}

/// A line as it is in an object.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Line {
    /// The line's number in the whole chain, from 1.
    pub n: u64,
    /// When it was put into the chain, as [`crate::exact`] writes it.
    pub recorded: String,
    /// The hash of the line before.
    pub previous: String,
    /// The hash that the line has of itself.
    pub hash: String,
    /// The call or the change.
    #[serde(flatten)]
    pub record: Record,
    /// Whether that hash is right.
    #[serde(skip)]
    pub intact: bool,
}

/// Something in an object that is no line of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a line of the audit log")]
pub struct Unreadable;

#[derive(Serialize)]
struct Unsealed<'a> {
    n: u64,
    recorded: &'a str,
    previous: &'a str,
    #[serde(flatten)]
    record: &'a Record,
}

impl Line {
    /// Reads a line, without its line break.
    ///
    /// # Errors
    /// [`Unreadable`] when it is not of the form that [`extend`] writes.
    pub fn read(bytes: &[u8]) -> Result<Self, Unreadable> {
        let text = std::str::from_utf8(bytes).map_err(|_| Unreadable)?;
        let (content, rest) = text.rsplit_once(SEAL).ok_or(Unreadable)?;
        // Nothing may stand behind the hash, where it would not be covered.
        let hash = rest.strip_suffix("\"}").filter(|hash| hash.len() == DIGITS).ok_or(Unreadable)?;
        let line: Self = serde_json::from_str(text).map_err(|_| Unreadable)?;
        Ok(Self { intact: self::hash(content) == hash, ..line })
    }
}

/// The lines of an object, each with its line break taken off; the last one must have had one, too.
pub fn lines(object: &[u8]) -> impl Iterator<Item = Result<Line, Unreadable>> + '_ {
    object.split_inclusive(|byte| *byte == b'\n').map(|line| Line::read(line.strip_suffix(b"\n").ok_or(Unreadable)?))
}

/// The object that continues a chain with these records, and the chain's tip with it. There must be at least one record.
#[must_use]
pub fn extend(tip: &Tip, records: &[Record], recorded: &str) -> (Vec<u8>, Tip) {
    let mut end = Tip { object: tip.object + 1, ..tip.clone() };
    let mut object = Vec::new();
    for record in records {
        let line = end.line + 1;
        let unsealed = Unsealed { n: line, recorded, previous: &end.hash, record };
        // Only maps with keys that are no texts, and failing writers, cannot be written as JSON.
        let content = serde_json::to_string(&unsealed).unwrap_or_default();
        let content = content.strip_suffix('}').unwrap_or_default();
        let hash = hash(content);
        object.extend_from_slice(format!("{content}{SEAL}{hash}\"}}\n").as_bytes());
        end = Tip { line, hash, ..end };
    }
    (object, end)
}

/// SHA-256, as 64 hexadecimal digits.
#[must_use]
pub fn hash(content: impl AsRef<[u8]>) -> String {
    hex::encode(Sha256::digest(content))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::tests::record;

    #[test]
    fn a_line_is_read_as_it_was_written() {
        let (object, tip) = extend(&Tip::start(), &[record(1), record(2)], "2026-11-26T15:48:05.123Z");
        let read: Vec<_> = lines(&object).map(Result::unwrap).collect();
        assert_eq!(read.iter().map(|line| (line.n, line.intact)).collect::<Vec<_>>(), [(1, true), (2, true)]);
        assert_eq!([&read[0].record, &read[1].record], [&record(1), &record(2)]);
        assert_eq!((read[0].previous.as_str(), &read[1].previous), (NONE_BEFORE, &read[0].hash));
        assert_eq!(tip, Tip { object: 1, line: 2, hash: read[1].hash.clone() });
    }

    #[test]
    fn what_stands_behind_the_hash_is_no_line() {
        let (object, _) = extend(&Tip::start(), &[record(1)], "now");
        let text = String::from_utf8(object).unwrap();
        let line = text.trim_end();
        let more = format!("{},\"caller\":\"somebody else\"}}", line.strip_suffix('}').unwrap());
        assert_eq!(Line::read(more.as_bytes()), Err(Unreadable));
        assert!(Line::read(line.as_bytes()).unwrap().intact);
        assert_eq!(lines(line.as_bytes()).next(), Some(Err(Unreadable)), "without its line break");
    }
}
