//! Opaque page tokens: what a listing needs to go on, as base64url of JSON.
//!
//! A token is no proof of anything: a caller can make one up, so whoever decodes it must treat it like any other input and
//! use it only within what the caller asked for.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Serialize, de::DeserializeOwned};

use crate::{ApiError, Exception};

/// Changes when tokens of older releases can no longer be read.
const VERSION: u8 = 1;
/// The longest token, in characters: the model's limit for `nextToken`.
pub const MAX_LENGTH: usize = 2048;

/// A token that holds `position`.
///
/// # Errors
/// `InternalFailure` when the position has no JSON form or makes a token longer than [`MAX_LENGTH`].
pub fn encode<T: Serialize>(position: &T) -> Result<String, ApiError> {
    let failed = |why: String| Exception::InternalFailure.because(format!("No page token can be made: {why}"));
    let json = serde_json::to_vec(&(VERSION, position)).map_err(|error| failed(error.to_string()))?;
    let token = URL_SAFE_NO_PAD.encode(json);
    if token.len() > MAX_LENGTH {
        return Err(failed(format!("it would have {} characters", token.len())));
    }
    Ok(token)
}

/// The position that a token holds.
///
/// # Errors
/// `InvalidNextTokenException` when it is not a token that [`encode`] made from a position of this type.
pub fn decode<T: DeserializeOwned>(token: &str) -> Result<T, ApiError> {
    let invalid =
        || Exception::InvalidNextTokenException.because("The next token is not one that this operation gave.");
    if token.len() > MAX_LENGTH {
        return Err(invalid());
    }
    let json = URL_SAFE_NO_PAD.decode(token).map_err(|_| invalid())?;
    match serde_json::from_slice(&json) {
        Ok((VERSION, position)) => Ok(position),
        _ => Err(invalid()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_position_goes_there_and_back() {
        let position = ("pipeline".to_owned(), 42_u64);
        let token = encode(&position).unwrap();
        assert!(token.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'), "{token}");
        assert_eq!(decode::<(String, u64)>(&token).unwrap(), position);
    }

    #[test]
    fn other_types_versions_and_lengths_are_refused() {
        let other_version = URL_SAFE_NO_PAD.encode(r#"[2,"a"]"#);
        let long = "a".repeat(MAX_LENGTH + 1);
        for token in ["", "a", "AAAA", "=", "é", &other_version, &long, &encode(&7).unwrap()] {
            let error = decode::<String>(token).unwrap_err();
            assert_eq!(error.exception, Exception::InvalidNextTokenException, "{token}");
        }
        assert_eq!(encode(&"a".repeat(MAX_LENGTH)).unwrap_err().exception, Exception::InternalFailure);
    }

    proptest! {
        #[test]
        fn no_token_panics(token in ".{0,200}") {
            prop_assert!(decode::<(String, u64)>(&token).is_err());
        }
    }
}
