//! Why a provider came to nothing: worth repeating, or final, in the words of the service that refused.

use std::fmt::Display;

use artifacts::{chain, is_transient_code};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use engine::{ActionError, Progress};
use runtime::ArtifactError;

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
        /// The last news: external id, summary, per cent done.
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
        E: ClassifyError + ProvideErrorMetadata + std::error::Error + 'static,
    {
        let words = match (error.code(), error.message()) {
            (Some(code), Some(message)) => format!("{code}: {message}"),
            (Some(code), None) => code.to_owned(),
            (None, Some(message)) => message.to_owned(),
            (None, None) => chain(error),
        };
        let message = format!("{operation} of {resource} failed: {words}");
        let class = match error {
            SdkError::ServiceError(service) => {
                let status = service.raw().status().as_u16();
                service.err().class().unwrap_or_else(|| common(error.code(), status))
            }
            SdkError::TimeoutError(_) | SdkError::ResponseError(_) => ErrorClass::Retryable,
            SdkError::DispatchFailure(failure) if !failure.is_user() => ErrorClass::Retryable,
            _ => ErrorClass::Failed,
        };
        match class {
            ErrorClass::Retryable => Self::Retryable(message),
            ErrorClass::Permission => Self::failed(PERMISSION_ERROR, message),
            ErrorClass::Configuration => Self::configuration(message),
            ErrorClass::Failed => Self::failed(JOB_FAILED, message),
        }
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
        match error.failure_type() {
            None => Self::Retryable(error.to_string()),
            Some(code) => Self::failed(code, error.to_string()),
        }
    }
}

impl From<ArtifactError> for ProviderError {
    fn from(error: ArtifactError) -> Self {
        match error {
            ArtifactError::Role(error) => error.into(),
            ArtifactError::Store(error) => error.into(),
            ArtifactError::Region(error) => Self::configuration(error.to_string()),
        }
    }
}

/// What a service's refusal means for an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ErrorClass {
    /// The role lacks a right.
    Permission,
    /// The configuration names what is not there or cannot be.
    Configuration,
    /// Throttled, or not ready: the same call may succeed later.
    Retryable,
    /// The action's own work failed, or is gone.
    Failed,
}

/// Sorts the errors that the SDK has types for; none for all others, which [`common`] sorts.
pub(crate) trait ClassifyError {
    fn class(&self) -> Option<ErrorClass> {
        None
    }
}

/// Sorts the errors that every service can answer and no operation's model names. Source: 'Common Errors' in the API
/// references; they reach us as a code and a status.
fn common(code: Option<&str>, status: u16) -> ErrorClass {
    let code = code.unwrap_or_default();
    match code {
        "AccessDenied"
        | "AccessDeniedException"
        | "AuthorizationError"
        | "NotAuthorized"
        | "UnauthorizedOperation"
        | "InvalidClientTokenId"
        | "UnrecognizedClientException"
        | "OptInRequired" => ErrorClass::Permission,
        "ValidationException" | "ValidationError" | "InvalidParameterValue" | "InvalidParameterCombination" => {
            ErrorClass::Configuration
        }
        _ if is_transient_code(code) => ErrorClass::Retryable,
        _ => match status {
            // Nobody is there who knows the operation, as on an emulator without the service.
            501 => ErrorClass::Failed,
            408 | 429 | 500.. => ErrorClass::Retryable,
            403 => ErrorClass::Permission,
            404 => ErrorClass::Configuration,
            _ => ErrorClass::Failed,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_without_a_type_are_sorted_by_code_and_status() {
        for (code, status, expected) in [
            (Some("AccessDeniedException"), 400, ErrorClass::Permission),
            (Some("AuthorizationError"), 403, ErrorClass::Permission),
            (None, 403, ErrorClass::Permission),
            (Some("NotFound"), 404, ErrorClass::Configuration),
            (Some("ValidationException"), 400, ErrorClass::Configuration),
            (Some("ThrottlingException"), 400, ErrorClass::Retryable),
            (Some("Throttling"), 400, ErrorClass::Retryable),
            (Some("ExpiredToken"), 403, ErrorClass::Retryable),
            (Some("InternalFailure"), 500, ErrorClass::Retryable),
            (Some("InternalFailure"), 501, ErrorClass::Failed),
            (None, 429, ErrorClass::Retryable),
            (Some("Strange"), 400, ErrorClass::Failed),
            (Some("MyAccessDenied"), 400, ErrorClass::Failed),
        ] {
            assert_eq!(common(code, status), expected, "{code:?} {status}");
        }
    }
}
