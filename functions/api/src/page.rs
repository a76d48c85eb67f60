//! Page tokens that hold only within the listing that gave them.

use serde::Serialize;
use serde::de::DeserializeOwned;
use wire::{ApiError, Exception, Operation};

/// A token for the next page of a listing: `scope` is what is listed, such as a pipeline's name.
///
/// # Errors
/// As [`wire::page::encode`].
pub fn token<T: Serialize>(operation: Operation, scope: &[&str], position: T) -> Result<String, ApiError> {
    wire::page::encode(&(operation.name(), scope, position))
}

/// The position that a caller's token holds; none without a token.
///
/// # Errors
/// `InvalidNextTokenException` for a token that this listing did not give.
pub fn position<T: DeserializeOwned>(
    operation: Operation,
    scope: &[&str],
    token: Option<&str>,
) -> Result<Option<T>, ApiError> {
    let Some(token) = token else {
        return Ok(None);
    };
    let (of, within, position): (String, Vec<String>, T) = wire::page::decode(token)?;
    if of == operation.name() && within == scope {
        Ok(Some(position))
    } else {
        Err(Exception::InvalidNextTokenException.because("The next token is not one that this listing gave."))
    }
}

/// How many entries a page has at most. The range has been checked with the input's other constraints.
pub fn size(asked: Option<i32>, most: usize) -> usize {
    asked.and_then(|asked| usize::try_from(asked).ok()).unwrap_or(most).clamp(1, most)
}
