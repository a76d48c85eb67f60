//! What the page says when there is nothing to answer.

use engine::{ActionRun, ActionStatus};
use lambda_http::http::StatusCode;
use notify::{Ticket, minutes};

/// What the page says when there is nothing to answer.
#[derive(Clone, Debug)]
pub enum Notice {
    /// The person's own answer has been recorded.
    Done {
        /// Whether it was an approval or a rejection.
        approved: bool,
        /// The approval that was answered.
        ticket: Box<Ticket>,
    },
    /// Somebody has answered it already, or it ended without an answer.
    Used(Box<ActionRun>),
    /// The link is genuine, and its time is over.
    Expired(Box<Ticket>),
    /// The execution has moved on, or its stage was retried.
    Superseded,
    /// The signature does not belong to what the link says.
    Forged,
    /// Links are off in this installation.
    LinksOff,
    /// Links of this installation can only reject.
    CannotApprove,
    /// The address lacks parts of a link.
    NoLink,
    /// The body is not an encoded form.
    NoForm,
    /// The body is too large.
    TooLarge,
    /// The method is neither GET nor POST.
    Method,
    /// A temporary failure of ours: trying again helps.
    Unavailable,
}

impl Notice {
    /// The HTTP status of its page.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Done { .. } => StatusCode::OK,
            Self::Used(_) | Self::Expired(_) | Self::Superseded => StatusCode::GONE,
            Self::Forged | Self::LinksOff | Self::CannotApprove => StatusCode::FORBIDDEN,
            Self::NoLink => StatusCode::NOT_FOUND,
            Self::NoForm => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The page's heading and its text.
    pub fn words(&self) -> (&'static str, String) {
        match self {
            Self::Done { approved: true, ticket } => (
                "Approved",
                format!("Pipeline {} continues after {}. You can close this page.", ticket.pipeline, ticket.action),
            ),
            Self::Done { approved: false, ticket } => (
                "Rejected",
                format!("Pipeline {} stops in stage {}. You can close this page.", ticket.pipeline, ticket.stage),
            ),
            Self::Used(run) => used(run),
            Self::Expired(ticket) => (
                "This link has expired",
                format!(
                    "{} in pipeline {} could be answered until {}.",
                    ticket.action,
                    ticket.pipeline,
                    minutes(ticket.expires)
                ),
            ),
            Self::Superseded => (
                "This approval is no longer needed",
                "The execution has moved on, or its stage was run again and a new approval was requested. Look for a newer message."
                    .into(),
            ),
            Self::Forged => (
                "This link is not genuine",
                "Its signature does not belong to what it says. Use the link exactly as it was in the message.".into(),
            ),
            Self::LinksOff => (
                "Approval links are off",
                "This installation takes answers by its API alone. Nothing was changed; answer with aws codepipeline \
                 put-approval-result."
                    .into(),
            ),
            Self::CannotApprove => (
                "This page cannot approve",
                "Somebody else than who started the execution must approve it, and a link cannot prove who uses it. \
                 Nothing was changed; approve with aws codepipeline put-approval-result."
                    .into(),
            ),
            Self::NoLink => (
                "This is not an approval link",
                "The address is incomplete. Use the link exactly as it was in the message.".into(),
            ),
            Self::NoForm => ("The answer could not be read", "Go back and use the form on the page.".into()),
            Self::TooLarge => ("The answer is too long", "Go back and shorten it.".into()),
            Self::Method => ("That is not possible here", "You can read this page and send its form, nothing else.".into()),
            Self::Unavailable => (
                "Temporarily unavailable",
                "The approval could not be looked up. Nothing was changed; try again in a minute.".into(),
            ),
        }
    }
}

fn used(run: &ActionRun) -> (&'static str, String) {
    let Some(by) = &run.updated_by else {
        let reason = run.error.as_ref().map_or("It is no longer in progress.", |error| error.message.as_str());
        return ("This approval is over", format!("Nobody answered {}. {reason}", run.name));
    };
    let answer = if run.status == ActionStatus::Succeeded { "approved" } else { "rejected" };
    let when = run.updated.map(|time| format!(" on {}", minutes(time))).unwrap_or_default();
    let comment = run.summary.as_deref().filter(|text| !text.is_empty());
    let comment = comment.map(|text| format!(" Comment: {text}")).unwrap_or_default();
    ("This approval has been answered", format!("{} was {answer} by {by}{when}.{comment}", run.name))
}
