//! Names of entries: from bytes that anybody wrote to a path that leads nowhere else.

use super::error::InvalidZip;

/// Most bytes of a name: the most that an S3 key can have.
const LONGEST: usize = 1024;

/// A name for a message: quoted, control characters escaped, cut.
pub(crate) fn quote(name: &str) -> String {
    let cut: String = name.chars().take(200).collect();
    format!("{cut:?}")
}

/// The name as a relative path with single slashes, without `.` parts; empty for the root directory itself.
///
/// # Errors
/// [`InvalidZip::UnsafeName`] for everything that a file system somewhere would take for another place. Refused, not
/// mended: a zip with such names was made to deceive, or by a broken tool.
pub(crate) fn safe(name: &str) -> Result<String, InvalidZip> {
    let refuse = |why| Err(InvalidZip::UnsafeName { entry: quote(name), why });
    if name.len() > LONGEST {
        return refuse("its name is longer than 1024 bytes");
    }
    if name.contains('\\') {
        return refuse("its name has a backslash");
    }
    if name.starts_with('/') {
        return refuse("its path is absolute");
    }
    if name.chars().any(char::is_control) {
        return refuse("its name has a control character");
    }
    let mut parts = Vec::new();
    for part in name.split('/') {
        match part {
            "" | "." => {}
            ".." => return refuse("its path climbs with `..`"),
            part => parts.push(part),
        }
    }
    let path = parts.join("/");
    // Asked of the path that is left: `./C:` loses its `.` above and would be a drive then.
    if let [letter, b':', ..] = path.as_bytes()
        && letter.is_ascii_alphabetic()
    {
        return refuse("its path has a drive letter");
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ordinary_names_stay() {
        for name in ["index.html", "a/b/c.txt", "Größe/naïve 日本.txt", "..a/b..", "ab:c", "%2e%2e/x", ".hidden"] {
            assert_eq!(safe(name).unwrap(), name);
        }
        assert_eq!(safe("./a//b/./c").unwrap(), "a/b/c");
        assert_eq!(safe("dir/").unwrap(), "dir");
        assert_eq!(safe("./").unwrap(), "");
    }

    #[test]
    fn ways_out_are_refused() {
        for (name, why) in [
            ("../a", "climbs"),
            ("a/../../b", "climbs"),
            ("a/..", "climbs"),
            ("/etc/passwd", "absolute"),
            ("//server/share", "absolute"),
            ("C:/x", "drive"),
            ("c:x", "drive"),
            ("./C:", "drive"),
            (".//./c:/x", "drive"),
            ("..\\a", "backslash"),
            ("a\\b", "backslash"),
            ("a\0.txt", "control"),
            ("a\nb", "control"),
        ] {
            let text = safe(name).unwrap_err().to_string();
            assert!(text.contains(why), "{name:?}: {text}");
            assert!(!text.contains('\n') && !text.contains('\0'), "{text:?}");
        }
        assert!(safe(&"x".repeat(1025)).unwrap_err().to_string().len() < 300);
    }

    proptest! {
        #[test]
        fn what_passes_is_relative_and_stays_inside(name in "([a.:C]|/|\\.\\.|\\\\|\\PC){0,12}") {
            if let Ok(path) = safe(&name) {
                prop_assert!(!path.starts_with('/') && !path.contains('\\') && !path.contains("//"));
                prop_assert!(path.split('/').all(|part| part != ".." && part != "."));
                prop_assert_eq!(safe(&path).unwrap(), path);
            }
        }
    }
}
