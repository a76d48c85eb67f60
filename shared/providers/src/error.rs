//! Why a provider came to nothing: worth repeating, or final, in the words of the service that refused.

use std::fmt::Display;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use engine::{ActionError, Progress};

/// CodePipeline's `FailureType`: the action's own work failed.
pub(crate) const JOB_FAILED: &str = "JobFailed";
/// CodePipeline's `FailureType`: the configuration names something that is not there or cannot be.
pub(crate) const CONFIGURATION_ERROR: &str = "ConfigurationError";
/// CodePipeline's `FailureType`: the role lacks a right.
pub(crate) const PERMISSION_ERROR: &str = "PermissionError";
/// CodePipeline's `FailureType`: the revision that was asked for is not there.
pub(crate) const REVISION_UNAVAILABLE: &str = "RevisionUnavailable";

/// An attempt that came to nothing.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ProviderError {
    /// The same call may succeed later.
    Retryable(String),
    /// It stays wrong until somebody changes something.
    Failed {
        /// One of the `FailureType`s above.
        code: &'static str,
        /// The words of the service, with what they are about.
        message: String,
        /// What else is known.
        report: Progress,
    },
}

impl ProviderError {
    pub(crate) fn configuration(message: impl Into<String>) -> Self {
        Self::failed(CONFIGURATION_ERROR, message)
    }

    pub(crate) fn failed(code: &'static str, message: impl Into<String>) -> Self {
        Self::Failed { code, message: message.into(), report: Progress::default() }
    }

    /// What a service's SDK reports: `operation` about `resource`.
    pub(crate) fn aws<E>(operation: &str, resource: impl Display, error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let status = error.raw_response().map(|response| response.status().as_u16());
        let words = match (error.code(), error.message()) {
            (Some(code), Some(message)) => format!("{code}: {message}"),
            (Some(code), None) => code.to_owned(),
            (None, Some(message)) => message.to_owned(),
            (None, None) => chain(error),
        };
        let message = format!("{operation} of {resource} failed: {words}");
        let passes = match error {
            SdkError::ServiceError(_) => {
                status.is_some_and(|status| status >= 500 || status == 429 || status == 408)
                    || error.code().is_some_and(passes)
            }
            SdkError::TimeoutError(_) | SdkError::ResponseError(_) => true,
            SdkError::DispatchFailure(failure) => !failure.is_user(),
            _ => false,
        };
        if passes { Self::Retryable(message) } else { Self::failed(kind(error.code(), status), message) }
    }

    /// What [`ActionError`] and report an action ends with; the text alone when it is worth repeating.
    pub(crate) fn into_failure(self) -> Result<(ActionError, Progress), String> {
        match self {
            Self::Retryable(message) => Err(message),
            Self::Failed { code, message, report } => Ok((ActionError { code: code.to_owned(), message }, report)),
        }
    }
}

impl From<artifacts::Error> for ProviderError {
    fn from(error: artifacts::Error) -> Self {
        let message = error.to_string();
        if error.is_retryable() {
            Self::Retryable(message)
        } else if error.is_denied() {
            Self::failed(PERMISSION_ERROR, message)
        } else if error.is_not_found() {
            Self::failed(CONFIGURATION_ERROR, message)
        } else {
            Self::failed(JOB_FAILED, message)
        }
    }
}

/// Codes that come with a status under 500 and yet pass by themselves.
fn passes(code: &str) -> bool {
    code.contains("Throttl")
        || matches!(
            code,
            "TooManyRequestsException"
                | "RequestLimitExceeded"
                | "ExecutionLimitExceeded"
                | "InternalError"
                | "ResourceConflictException"
                | "ResourceNotReadyException"
                | "ServiceUnavailable"
                | "SlowDown"
                | "RequestTimeout"
        )
}

fn kind(code: Option<&str>, status: Option<u16>) -> &'static str {
    let code = code.unwrap_or_default();
    let denied = ["AccessDenied", "NotAuthorized", "Unauthorized", "AuthorizationError", "InvalidClientTokenId"];
    if denied.iter().any(|word| code.contains(word)) || status == Some(403) {
        return PERMISSION_ERROR;
    }
    let wrong = ["NotFound", "DoesNotExist", "NoSuch", "Invalid", "Validation", "StateMachineDeleting"];
    if wrong.iter().any(|word| code.contains(word)) || status == Some(404) {
        return CONFIGURATION_ERROR;
    }
    JOB_FAILED
}

/// The error and its causes, each in its own words.
fn chain(error: &dyn std::error::Error) -> String {
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
    fn codes_are_sorted_into_failure_types() {
        for (code, status, expected) in [
            (Some("StateMachineDoesNotExist"), Some(400), CONFIGURATION_ERROR),
            (Some("ResourceNotFoundException"), Some(404), CONFIGURATION_ERROR),
            (Some("NotFound"), Some(404), CONFIGURATION_ERROR),
            (Some("InvalidExecutionInput"), Some(400), CONFIGURATION_ERROR),
            (Some("AccessDeniedException"), Some(400), PERMISSION_ERROR),
            (Some("KmsAccessDeniedException"), Some(400), PERMISSION_ERROR),
            (Some("AuthorizationError"), Some(403), PERMISSION_ERROR),
            (None, Some(403), PERMISSION_ERROR),
            (Some("Strange"), Some(400), JOB_FAILED),
        ] {
            assert_eq!(kind(code, status), expected, "{code:?} {status:?}");
        }
    }

    #[test]
    fn throttling_passes_and_a_missing_thing_does_not() {
        assert!(passes("ThrottlingException") && passes("Throttling") && passes("KMSThrottlingException"));
        assert!(passes("TooManyRequestsException") && passes("ExecutionLimitExceeded"));
        assert!(!passes("ResourceNotFoundException") && !passes("AccessDeniedException"));
    }
}
