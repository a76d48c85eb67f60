//! What can go wrong, said so that a person who reads it in the console knows what to do.

use std::fmt;
use std::io;

use aws_runtime::retries::classifiers::{THROTTLING_ERRORS, TRANSIENT_ERRORS};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::RequestId;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

use crate::InvalidZip;

/// Anything that can go wrong with an artifact. The text names the object, its region and the reason.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// S3 refused, or could not be reached.
    #[error("{operation} of {object} failed: {failure}")]
    S3 {
        /// The S3 operation, for example `GetObject`.
        operation: &'static str,
        /// The object, as `s3://bucket/key (region)`.
        object: String,
        /// The error that S3 answered with, or why there was no answer.
        failure: S3Failure,
    },
    /// S3 answered, but not with what its contract promises.
    #[error("{operation} of {object} failed: S3's answer has no {missing}")]
    Incomplete {
        /// The S3 operation, for example `HeadObject`.
        operation: &'static str,
        /// The object, as `s3://bucket/key (region)`.
        object: String,
        /// The member that the answer lacks, for example `ETag`.
        missing: &'static str,
    },
    /// The object is larger than the caller takes.
    #[error("{object} has {size} bytes, more than the {limit} that are allowed here")]
    TooLarge {
        /// The object, as `s3://bucket/key (region)`.
        object: String,
        /// Its size in bytes, or as much of it as was read.
        size: u64,
        /// The most bytes that the caller takes.
        limit: u64,
    },
    /// The object is not the one that was recorded.
    #[error(
        "{object} is not the artifact that was recorded when the action that made it ended: its SHA-256 was {recorded} and is {found}"
    )]
    Changed {
        /// The object, as `s3://bucket/key (region)`.
        object: String,
        /// The SHA-256 that was recorded, as S3 writes it.
        recorded: String,
        /// What S3 or the bytes themselves say now.
        found: String,
    },
    /// The connection broke in the middle of the object.
    #[error("{object} could not be read to its end: {reason}")]
    BrokenOff {
        /// The object, as `s3://bucket/key (region)`.
        object: String,
        /// The error of the connection, with its causes.
        reason: String,
    },
    /// The disk of temporary files is full, or its quota is used up.
    #[error(
        "no room left in temporary storage ({directory}) to {doing}: give the function more ephemeral storage, or make the artifact smaller"
    )]
    StorageFull {
        /// The action that failed, to go after `to`, for example `store s3://b/k (eu-west-1)`.
        doing: String,
        /// The directory of temporary files.
        directory: String,
    },
    /// Temporary storage failed in another way.
    #[error("could not {doing} in temporary storage: {source}")]
    Storage {
        /// The action that failed, to go after `could not`, for example `open x`.
        doing: String,
        /// The operating system's error.
        source: io::Error,
    },
    /// The artifact is no zip, or one that is refused.
    #[error("{archive}: {error}")]
    Zip {
        /// The artifact, as its reader called it.
        archive: String,
        /// What is wrong with it.
        error: InvalidZip,
    },
    /// A task that worked on a zip was stopped, as when the process ends.
    #[error("work on {0} was interrupted")]
    Interrupted(String),
}

impl Error {
    /// Whether the same call may succeed later: throttling, S3's own errors, the network, an object that was replaced
    /// while it was copied. Everything else stays wrong until somebody changes something.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::S3 { failure, .. } => failure.retryable,
            Self::Incomplete { .. } | Self::BrokenOff { .. } | Self::Interrupted(_) => true,
            Self::Changed { .. }
            | Self::TooLarge { .. }
            | Self::StorageFull { .. }
            | Self::Storage { .. }
            | Self::Zip { .. } => false,
        }
    }

    /// CodePipeline's `FailureType` of an action that fails because of this; none when it is worth trying again.
    pub fn failure_type(&self) -> Option<&'static str> {
        if self.is_retryable() {
            None
        } else if self.is_changed() {
            Some("RevisionOutOfSync")
        } else if self.is_denied() {
            Some("PermissionError")
        } else if self.is_not_found() {
            Some("ConfigurationError")
        } else {
            Some("JobFailed")
        }
    }

    /// Whether the bucket, the object or its version does not exist.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::S3 { failure, .. } if failure.status == Some(404))
    }

    /// Whether the object is another than the one that was recorded.
    pub fn is_changed(&self) -> bool {
        matches!(self, Self::Changed { .. })
    }

    /// Whether S3 or KMS denied access.
    pub fn is_denied(&self) -> bool {
        matches!(self, Self::S3 { failure, .. } if failure.status == Some(403))
    }

    pub(crate) fn s3<E>(operation: &'static str, object: impl fmt::Display, error: SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        Self::S3 { operation, object: object.to_string(), failure: S3Failure::from(error) }
    }

    pub(crate) fn storage(doing: impl Into<String>, source: io::Error) -> Self {
        let doing = doing.into();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                Self::StorageFull { doing, directory: std::env::temp_dir().display().to_string() }
            }
            _ => Self::Storage { doing, source },
        }
    }
}

/// What S3 said, or what kept it from saying anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S3Failure {
    /// S3's error code, for example `AccessDenied`. An answer to HEAD has none.
    pub code: Option<String>,
    /// The HTTP status; none when no answer came.
    pub status: Option<u16>,
    /// S3's message, or why no answer came.
    pub message: String,
    /// S3's id of the request, for AWS's support.
    pub request_id: Option<String>,
    /// Whether the same call may succeed later.
    pub retryable: bool,
}

impl fmt::Display for S3Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(code) = &self.code {
            write!(f, "{code}: ")?;
        }
        f.write_str(&self.message)?;
        match (self.status, &self.request_id) {
            (Some(status), Some(id)) => write!(f, " (HTTP {status}, request id {id})"),
            (Some(status), None) => write!(f, " (HTTP {status})"),
            _ => Ok(()),
        }
    }
}

/// Whether an error of this code passes by itself, whatever service answers it: throttled, timed out, or credentials that
/// have run out and are renewed with the next attempt.
pub fn is_transient_code(code: &str) -> bool {
    THROTTLING_ERRORS.contains(&code)
        || TRANSIENT_ERRORS.contains(&code)
        || matches!(code, "ExpiredToken" | "ExpiredTokenException" | "RequestExpired")
}

/// The same for S3, which hands on what KMS says with `KMS.` in front. Source: Amazon S3 API, 'Error responses'.
fn is_transient_of_s3(code: &str) -> bool {
    is_transient_code(code.strip_prefix("KMS.").unwrap_or(code))
        || matches!(
            code,
            "InternalError"
                | "ServiceUnavailable"
                | "RequestTimeTooSkewed"
                | "OperationAborted"
                | "PreconditionFailed"
                | "ConditionalRequestConflict"
        )
}

impl<E> From<SdkError<E, HttpResponse>> for S3Failure
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    fn from(error: SdkError<E, HttpResponse>) -> Self {
        let status = error.raw_response().map(|response| response.status().as_u16());
        let code = error.code().map(str::to_owned);
        let message = match (error.message(), status) {
            (Some(message), _) if !message.is_empty() => message.to_owned(),
            // HEAD has no body, so S3 cannot say why.
            (_, Some(403)) => {
                "access denied, or the object is not there and listing the bucket is not allowed".to_owned()
            }
            (_, Some(404)) => "there is no such object, version or bucket: S3 does not say which".to_owned(),
            (_, Some(301)) => "the bucket is in another region".to_owned(),
            (_, Some(status)) if matches!(error, SdkError::ServiceError(_)) => {
                format!("S3 gave no reason for status {status}")
            }
            _ => chain(&error),
        };
        let retryable = match &error {
            SdkError::ServiceError(_) => {
                status.is_some_and(|status| status >= 500 || status == 429 || status == 408 || status == 412)
                    || code.as_deref().is_some_and(is_transient_of_s3)
            }
            SdkError::TimeoutError(_) | SdkError::ResponseError(_) => true,
            SdkError::DispatchFailure(failure) => !failure.is_user(),
            _ => false,
        };
        Self { retryable, request_id: error.request_id().map(str::to_owned), code, status, message }
    }
}

/// The error and its causes, each in its own words.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let words = inner.to_string();
        if !text.ends_with(&words) {
            text = format!("{text}: {words}");
        }
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_says_what_to_do() {
        for kind in [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded] {
            let text = Error::storage("store s3://b/k (eu-west-1)", kind.into()).to_string();
            assert!(text.starts_with("no room left in temporary storage (/"), "{text}");
            assert!(text.contains(" to store s3://b/k (eu-west-1): give the function more"), "{text}");
        }
        let text = Error::storage("open x", io::ErrorKind::PermissionDenied.into()).to_string();
        assert_eq!(text, "could not open x in temporary storage: permission denied");
    }

    #[test]
    fn what_passes_by_itself_is_known_by_its_whole_code() {
        for code in
            ["SlowDown", "Throttling", "KMS.ThrottlingException", "RequestTimeout", "ExpiredToken", "InternalError"]
        {
            assert!(is_transient_of_s3(code), "{code}");
        }
        for code in ["MyThrottlingException", "ThrottlingExceptions", "KMS.NotFoundException", "AccessDenied", ""] {
            assert!(!is_transient_of_s3(code), "{code}");
        }
    }

    #[test]
    fn causes_are_told_once_and_in_order() {
        #[derive(Debug, thiserror::Error)]
        #[error("outer")]
        struct Outer(#[source] io::Error);
        assert_eq!(chain(&Outer(io::Error::other("inner"))), "outer: inner");
        assert_eq!(chain(&io::Error::other("alone")), "alone");
    }
}
