//! What a file is that is no zip, as far as its first bytes tell: who deployed the wrong file sees at once which.

/// How many of its first bytes are looked at. A tar archive shows what it is after 257.
pub(super) const FIRST: usize = 512;

/// Beginnings of archives of other kinds.
const ARCHIVES: &[(&[u8], &str)] = &[
    (b"\x1f\x8b", "it is a gzip file, such as tar -z makes (.tgz, .tar.gz)"),
    (b"BZh", "it is a bzip2 file"),
    (b"\xfd7zXZ\0", "it is an xz file"),
    (b"\x28\xb5\x2f\xfd", "it is a Zstandard file"),
    (b"7z\xbc\xaf\x27\x1c", "it is a 7-Zip archive"),
    (b"Rar!", "it is a RAR archive"),
];

/// What a file that begins like this is; none where nothing is known of it.
pub(super) fn recognize(first: &[u8]) -> Option<&'static str> {
    if first.is_empty() {
        return Some("the file is empty");
    }
    if let Some((_, what)) = ARCHIVES.iter().find(|(start, _)| first.starts_with(start)) {
        return Some(what);
    }
    if first.get(257..262) == Some(b"ustar") {
        return Some("it is a tar archive");
    }
    if first.starts_with(b"PK\x03\x04") {
        return Some("it begins like a zip, but its end is missing: it was cut off on the way");
    }
    is_text(first).then_some("it is a text file")
}

/// UTF-8 without control characters; the last character may be cut.
fn is_text(first: &[u8]) -> bool {
    let valid = match std::str::from_utf8(first) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&first[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return false,
    };
    !valid.is_empty() && valid.chars().all(|character| !character.is_control() || "\t\r\n\u{c}".contains(character))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_zip_is_called_what_it_is() {
        let mut tar = vec![b'a'; FIRST];
        tar[257..262].copy_from_slice(b"ustar");
        for (first, says) in [
            (&b""[..], "empty"),
            (b"<html>no zip</html>\n", "text"),
            ("caf\u{e9}".as_bytes(), "text"),
            (&"caf\u{e9}".as_bytes()[..4], "text"),
            (b"\x1f\x8b\x08\0", "gzip"),
            (b"PK\x03\x04\x14\0", "end is missing"),
            (b"BZh91AY", "bzip2"),
            (tar.as_slice(), "tar archive"),
        ] {
            assert!(recognize(first).is_some_and(|what| what.contains(says)), "{says}: {:?}", recognize(first));
        }
        assert_eq!(recognize(b"\x7fELF\x02\x01\0"), None);
    }
}
