//! What tells an artifact from any other, for people who compare.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use engine::Pin;

/// An artifact's SHA-256 as tools print it, or what else is known of it.
pub fn digest(pin: &Pin) -> String {
    let whole = pin.sha256.as_deref().and_then(|sha256| BASE64_STANDARD.decode(sha256).ok());
    match (whole, &pin.sha256, &pin.version) {
        (Some(bytes), ..) => {
            let hex = hex::encode(bytes);
            format!("SHA-256 {hex}")
        }
        (None, Some(parts), _) => format!("SHA-256 {parts} over its parts"),
        (None, None, Some(version)) => format!("S3 version {version}"),
        (None, None, None) => "nothing was recorded".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_shown_what_is_known() {
        let version = Some("v1".to_owned());
        let hello = "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=".to_owned();
        for (sha256, version, text) in [
            (Some(hello), version.clone(), "SHA-256 2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"),
            (Some("q1A=-12".to_owned()), version.clone(), "SHA-256 q1A=-12 over its parts"),
            (None, version, "S3 version v1"),
            (None, None, "nothing was recorded"),
        ] {
            assert_eq!(digest(&Pin { version, sha256 }), text);
        }
    }
}
