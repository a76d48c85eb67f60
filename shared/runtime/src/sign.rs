//! Signatures (version 4) for requests that no SDK makes.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningError, SigningSettings, sign};
use aws_sigv4::sign::v4::{SigningParams, signing_params::BuildError};
use http::HeaderValue;
use http::header::{HeaderName, InvalidHeaderName, InvalidHeaderValue};

/// Why a request cannot be signed. None of these shows a secret.
#[derive(Debug, thiserror::Error)]
pub enum CannotSign {
    /// Something is missing.
    #[error("cannot sign the request")]
    Incomplete(#[from] BuildError),
    /// The request is not one that can be signed.
    #[error("cannot sign the request")]
    Unsignable(#[from] SigningError),
    /// A line break in a key, for example.
    #[error("the credentials hold a character that no HTTP header can have")]
    Value(#[from] InvalidHeaderValue),
    /// Not with the headers of version 4.
    #[error("cannot sign the request")]
    Name(#[from] InvalidHeaderName),
}

/// Adds `authorization`, `x-amz-date` and, for temporary credentials, `x-amz-security-token`. All headers that are there are
/// signed but those that change on the way, and so is the body. `service` is the name under which AWS has it signed for, such as
/// `execute-api`.
///
/// # Errors
/// When credentials or headers are such that they cannot be sent.
pub fn signed(
    mut request: http::Request<Vec<u8>>,
    credentials: &Credentials,
    (service, region): (&str, &str),
    time: SystemTime,
) -> Result<http::Request<Vec<u8>>, CannotSign> {
    let identity = credentials.clone().into();
    let parameters = SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name(service)
        .time(time)
        .settings(SigningSettings::default())
        .build()?;
    let uri = request.uri().to_string();
    let headers = request.headers().iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    let signable = SignableRequest::new(request.method().as_str(), &uri, headers, SignableBody::Bytes(request.body()))?;
    let (instructions, _) = sign(signable, &parameters.into())?.into_parts();
    let (added, _) = instructions.into_parts();
    for header in added {
        let mut value = HeaderValue::from_str(header.value())?;
        value.set_sensitive(true);
        request.headers_mut().insert(HeaderName::from_bytes(header.name().as_bytes())?, value);
    }
    Ok(request)
}
