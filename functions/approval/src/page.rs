//! The pages. Nothing that comes from outside gets into one unescaped.

use std::fmt::Write;

use engine::{ActionRun, ActionStatus, Artifact, SourceRevision, Timestamp};
use html_escape::encode_quoted_attribute;
use lambda_http::http::StatusCode;
use notify::{Ticket, digest, minutes};
use url::Url;

use crate::form::{COMMENT_MOST, Form, NAME_MOST};

/// The only style. The pages' policy names it by its hash.
pub const STYLE: &str = include_str!("style.css");

/// A page to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    title: String,
    /// The content of `main`, as HTML.
    content: String,
}

/// What the page of an approval shows that can still be answered.
#[derive(Clone, Copy, Debug)]
pub struct ApprovalRequest<'a> {
    pub pipeline: &'a str,
    pub stage: &'a str,
    pub action: &'a str,
    /// When the execution was started.
    pub started: Timestamp,
    /// When the approval's turn came.
    pub since: Timestamp,
    /// Until when it can be answered.
    pub until: Timestamp,
    /// What the pipeline's author wrote: `CustomData` of the configuration.
    pub words: Option<&'a str>,
    /// What the approver is to review: `ExternalEntityLink` of the configuration.
    pub link: Option<&'a str>,
    /// The revisions that an approval lets through.
    pub revisions: &'a [SourceRevision],
    /// The artifacts that would go on, with their digests.
    pub artifacts: &'a [Artifact],
    /// Whether this page can approve as well as reject.
    pub approves: bool,
}

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
    fn words(&self) -> (&'static str, String) {
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

impl Page {
    /// A page with a notice and nothing to answer.
    pub fn notice(notice: &Notice) -> Self {
        let (title, text) = notice.words();
        let kind = match notice {
            Notice::Done { approved: true, .. } => "good",
            Notice::Done { approved: false, .. } => "bad",
            _ => "plain",
        };
        let content = format!(
            "<h1 class=\"{kind}\">{}</h1><p class=\"words\" role=\"status\">{}</p>",
            encode_quoted_attribute(title),
            encode_quoted_attribute(&text)
        );
        Self { title: title.to_owned(), content }
    }

    /// The page with the form. A form that was sent with mistakes comes back with them explained and its entries kept.
    pub fn request(request: &ApprovalRequest<'_>, sent: Option<&Form>) -> Self {
        let mut content = format!(
            "<h1>Approve {}?</h1><p>Pipeline <strong>{}</strong> waits in its stage <strong>{}</strong> for your answer.</p>",
            encode_quoted_attribute(request.action),
            encode_quoted_attribute(request.pipeline),
            encode_quoted_attribute(request.stage)
        );
        if let Some(words) = request.words {
            content += &format!("<blockquote class=\"words\">{}</blockquote>", encode_quoted_attribute(words));
        }
        if let Some(link) = request.link {
            content += &match web(link) {
                Some(address) => format!("<p>To be reviewed: {}</p>", anchor(&address, link)),
                None => {
                    format!("<p>To be reviewed: <span class=\"words\">{}</span></p>", encode_quoted_attribute(link))
                }
            };
        }
        content += &facts(request);
        content += &form(request.approves, sent);
        Self { title: format!("Approve {} in {}?", request.action, request.pipeline), content }
    }

    /// The whole page as an HTML document, with its style and without script.
    pub fn html(&self) -> String {
        format!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
             <meta name=\"color-scheme\" content=\"light dark\"><title>{}</title><style>{STYLE}</style></head>\
             <body><main><p class=\"mark\">Millrace</p>{}</main></body></html>\n",
            encode_quoted_attribute(&self.title),
            self.content
        )
    }
}

fn facts(request: &ApprovalRequest<'_>) -> String {
    let mut rows = String::new();
    for found in request.revisions {
        let revision = &found.revision;
        let id = match revision.url.as_deref().and_then(web) {
            Some(address) => anchor(&address, &revision.id),
            None => format!("<code>{}</code>", encode_quoted_attribute(&revision.id)),
        };
        let summary = revision.summary.as_deref().filter(|text| !text.is_empty());
        let summary =
            summary.map(|text| format!("<br><small class=\"words\">{}</small>", encode_quoted_attribute(text)));
        row(&mut rows, &format!("Revision of {}", found.action), &format!("{id}{}", summary.unwrap_or_default()));
    }
    for artifact in request.artifacts {
        let digest = digest(&artifact.pin);
        row(
            &mut rows,
            &format!("Artifact {}", artifact.name),
            &format!("<code>{}</code>", encode_quoted_attribute(&digest)),
        );
    }
    for (name, time) in [
        ("Execution started", request.started),
        ("Waiting since", request.since),
        ("Can be answered until", request.until),
    ] {
        row(&mut rows, name, &encode_quoted_attribute(&minutes(time)));
    }
    format!("<dl>{rows}</dl>")
}

fn row(rows: &mut String, name: &str, value: &str) {
    // Writing to a string cannot fail.
    let _ = write!(rows, "<div><dt>{}</dt><dd>{value}</dd></div>", encode_quoted_attribute(name));
}

/// The address, if it leads to the web: an author's `javascript:` stays text.
fn web(address: &str) -> Option<Url> {
    Url::parse(address).ok().filter(|url| ["http", "https"].contains(&url.scheme()))
}

fn anchor(address: &Url, text: &str) -> String {
    format!(
        "<a href=\"{}\" rel=\"noopener noreferrer nofollow\">{}</a>",
        encode_quoted_attribute(address.as_str()),
        encode_quoted_attribute(text)
    )
}

/// Without an action the form is sent to the page's own address, link and all. The first button is what the Enter key
/// presses: it does nothing.
fn form(approves: bool, sent: Option<&Form>) -> String {
    let faults: String = sent.map(Form::faults).unwrap_or_default().iter().map(|it| format!("<li>{it}</li>")).collect();
    let faults = if faults.is_empty() {
        faults
    } else {
        format!("<div role=\"alert\"><ul class=\"faults\">{faults}</ul></div>")
    };
    let (approve, words) = if approves {
        ("<button class=\"good\" name=\"decision\" value=\"approve\">Approve</button>", "")
    } else {
        (
            "",
            "<p>This page can only reject. Somebody else than who started the execution must approve it, and a link cannot \
             prove who uses it: approve with <code>aws codepipeline put-approval-result</code>.</p>",
        )
    };
    let (name, comment) = sent.map_or(("", ""), |form| (form.name.as_str(), form.comment.as_str()));
    format!(
        "{words}<form method=\"post\">{faults}<button type=\"submit\" disabled hidden></button>\
         <label for=\"name\">Your name</label>\
         <input id=\"name\" name=\"name\" required maxlength=\"{NAME_MOST}\" autocomplete=\"name\" value=\"{}\">\
         <label for=\"comment\">Comment <small>(optional)</small></label>\
         <textarea id=\"comment\" name=\"comment\" rows=\"4\" maxlength=\"{COMMENT_MOST}\">\n{}</textarea>\
         <p class=\"buttons\">{approve}<button class=\"bad\" name=\"decision\" value=\"reject\">Reject</button></p>\
         <p><small>The answer is final. Name and comment are kept with the execution; nobody checks \
         the name.</small></p></form>",
        encode_quoted_attribute(name),
        encode_quoted_attribute(comment)
    )
}
