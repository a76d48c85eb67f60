//! Why a page cannot be shown.

use driver::DriveError;
use engine::ExecutionId;
use lambda_http::http::StatusCode;
use maud::{Markup, html};
use pages::shown;
use pipeline::InvalidName;
use store::StoreError;

/// What a person is told instead of a page.
#[derive(Debug)]
pub enum Trouble {
    /// No page has this address.
    Nowhere,
    /// The text that is to be checked is longer than any definition.
    TooLong,
    /// It could not be read, or is not there.
    Drive(DriveError),
}

impl From<DriveError> for Trouble {
    fn from(error: DriveError) -> Self {
        Self::Drive(error)
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self::Drive(error.into())
    }
}

impl From<InvalidName> for Trouble {
    fn from(error: InvalidName) -> Self {
        Self::Drive(error.into())
    }
}

impl Trouble {
    /// For an id of an execution that cannot be one.
    pub fn no_execution(id: &str) -> Self {
        DriveError::ExecutionNotFound(id.chars().take(100).collect()).into()
    }

    /// The execution that a text names.
    pub fn execution(id: &str) -> Result<ExecutionId, Self> {
        id.parse().map_err(|_| Self::no_execution(id))
    }

    /// The status, the heading and the words of its page.
    pub fn explained(&self) -> (StatusCode, &'static str, Markup) {
        match self {
            Self::Nowhere => (
                StatusCode::NOT_FOUND,
                "There is no such page",
                html! { p { "The address leads nowhere. It may be of another version of Millrace, or cut short." } },
            ),
            Self::TooLong => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "The text is too long",
                html! { p { "No definition is as long as this." } },
            ),
            Self::Drive(DriveError::Store(StoreError::Cursor)) => (
                StatusCode::BAD_REQUEST,
                "This page of the list is not there",
                html! { p { "Its address is not one that this list has given. Begin at its first page." } },
            ),
            Self::Drive(
                error @ (DriveError::PipelineNotFound(_)
                | DriveError::ExecutionNotFound(_)
                | DriveError::VersionNotFound { .. }
                | DriveError::StageNotFound { .. }
                | DriveError::ActionNotFound { .. }
                | DriveError::JobNotFound(_)
                | DriveError::Name(_)),
            ) => (
                StatusCode::NOT_FOUND,
                "This is not there",
                html! {
                    p { (shown(&error.to_string())) }
                    p { "It may have been deleted, or be of another installation." }
                },
            ),
            Self::Drive(error) => {
                tracing::error!(%error, "a page could not be read");
                (
                    StatusCode::SERVICE_UNAVAILABLE,
                    "Temporarily unavailable",
                    html! { p { "The table could not be read. Nothing was changed; try again in a moment." } },
                )
            }
        }
    }
}
