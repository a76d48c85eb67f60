//! Errors of the API, under the names that clients of CodeBuild know, and errors of a build's phases.

use aws_sdk_codebuild::types::PhaseContext;

/// The name of an error on the wire. Source: CodeBuild API, errors of each operation and common errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::enum_variant_names, reason = "the variants are the API's own names")]
pub(crate) enum Exception {
    ResourceNotFoundException,
    ResourceAlreadyExistsException,
    InvalidInputException,
    SerializationException,
    MissingAuthenticationTokenException,
    AccessDeniedException,
    RequestEntityTooLargeException,
    NotImplemented,
    InternalFailure,
}

impl Exception {
    pub(crate) const fn status(self) -> u16 {
        match self {
            Self::ResourceNotFoundException
            | Self::ResourceAlreadyExistsException
            | Self::InvalidInputException
            | Self::SerializationException => 400,
            Self::MissingAuthenticationTokenException | Self::AccessDeniedException => 403,
            Self::RequestEntityTooLargeException => 413,
            Self::InternalFailure => 500,
            Self::NotImplemented => 501,
        }
    }

    pub(crate) fn because(self, message: impl Into<String>) -> ApiError {
        ApiError { exception: self, message: message.into() }
    }
}

/// Why a call is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{exception:?}: {message}")]
pub(crate) struct ApiError {
    pub exception: Exception,
    pub message: String,
}

/// Why a phase failed: the code and message of its context. Source: CodeBuild API, `PhaseContext`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub(crate) struct PhaseError {
    pub code: &'static str,
    pub message: String,
}

impl PhaseError {
    /// What the client, not CodeBuild, got wrong: a source that is not there, artifacts that match no file.
    pub(crate) fn client(message: impl Into<String>) -> Self {
        Self { code: "CLIENT_ERROR", message: message.into() }
    }

    /// A buildspec that is missing or not valid.
    pub(crate) fn yaml(message: impl Into<String>) -> Self {
        Self { code: "YAML_FILE_ERROR", message: message.into() }
    }

    /// A command that ended with another status than 0. Wording as in CodeBuild's logs.
    pub(crate) fn command(command: &str, reason: impl std::fmt::Display) -> Self {
        let message = format!("Error while executing command: {command}. Reason: {reason}");
        Self { code: "COMMAND_EXECUTION_ERROR", message }
    }

    /// What this machine could not do.
    pub(crate) fn internal(doing: impl std::fmt::Display, error: impl std::fmt::Display) -> Self {
        Self { code: "INTERNAL_SERVICE_ERROR", message: format!("The build host cannot {doing}: {error}") }
    }

    pub(crate) fn context(&self) -> PhaseContext {
        PhaseContext::builder().status_code(self.code).message(&self.message).build()
    }
}
