//! The pages, in the look of all pages of Millrace. Nothing that comes from outside gets into one unescaped.

use engine::{Artifact, Proposal, Timestamp};
use maud::{Markup, html};
use notify::{digest, minutes};
use pages::{Layout, State, name, shown, text};
use url::Url;

use crate::decision::decision;
use crate::form::{COMMENT_MOST, Form, NAME_MOST};
use crate::notice::Notice;

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
    /// The ARN of the topic to which the question was sent.
    pub asked: Option<&'a str>,
    /// What the approval decides.
    pub proposal: &'a Proposal,
    /// The artifacts that would go on, with their digests.
    pub artifacts: &'a [Artifact],
    /// Whether this page can approve as well as reject.
    pub approves: bool,
}

impl Page {
    /// A page with a notice and nothing to answer.
    pub fn notice(notice: &Notice) -> Self {
        let (title, said) = notice.words();
        let state = match notice {
            Notice::Done { approved: true, .. } => Some(State::Succeeded),
            Notice::Done { approved: false, .. } => Some(State::Failed),
            _ => None,
        };
        let content = html! {
            section class={ "notice " (state.map_or("", State::class)) } {
                h1 { (title) }
                div class="words" role="status" { (text(&said)) }
            }
        };
        Self { title: title.to_owned(), content: content.into_string() }
    }

    /// The page with the form. A form that was sent with mistakes comes back with them explained and its entries kept.
    pub fn request(request: &ApprovalRequest<'_>, sent: Option<&Form>, besides: Option<&str>) -> Self {
        let content = html! {
            h1 { "Approve " (name(request.action)) "?" }
            p class="lead" {
                "Pipeline " strong { (name(request.pipeline)) } " waits in its stage " strong { (name(request.stage)) }
                " for your answer."
            }
            @if let Some(words) = request.words { blockquote { (text(words)) } }
            @if let Some(link) = request.link {
                p { "To be reviewed: " @match web(link) {
                    Some(address) => (anchor(&address, link)),
                    None => bdi { (shown(link)) },
                } }
            }
            (decision(request.proposal))
            (form(request, sent, besides))
            h2 { "Besides" }
            (facts(request))
        };
        let title = format!("Approve {} in {}?", request.action, request.pipeline);
        Self { title: shown(&title).into_owned(), content: content.into_string() }
    }

    /// The whole page as an HTML document, with its style and without script.
    pub fn html(&self) -> String {
        Layout {
            title: &self.title,
            home: None,
            nav: html! {},
            main: maud::PreEscaped(self.content.clone()),
            rest: html! {},
            class: "ask",
            script: None,
            version: None,
        }
        .html()
    }
}

fn facts(request: &ApprovalRequest<'_>) -> Markup {
    html! {
        dl class="facts" {
            @for artifact in request.artifacts {
                dt { "Artifact " (name(artifact.name.as_str())) }
                dd { code { (digest(&artifact.pin)) } }
            }
            @if let Some(topic) = request.asked { dt { "Asked" } dd { "Everybody who reads the topic " (name(topic)) } }
            dt { "Execution started" } dd { (minutes(request.started)) }
            dt { "Waiting since" } dd { (minutes(request.since)) }
            dt { "Can be answered until" } dd { (minutes(request.until)) }
        }
    }
}

/// The address, if it leads to the web: an author's `javascript:` stays text.
pub fn web(address: &str) -> Option<Url> {
    Url::parse(address).ok().filter(|url| ["http", "https"].contains(&url.scheme()))
}

/// A link away from the page, which takes nothing along.
pub fn anchor(address: &Url, said: &str) -> Markup {
    html! { a href=(address) rel="noopener noreferrer nofollow" { bdi { (shown(said)) } } }
}

/// Without an action the form is sent to the page's own address, link and all. The first button is what the Enter key
/// presses: it does nothing. `besides`: what else is wrong with what was sent.
fn form(request: &ApprovalRequest<'_>, sent: Option<&Form>, besides: Option<&str>) -> Markup {
    let faults: Vec<String> =
        sent.map(Form::faults).unwrap_or_default().into_iter().chain(besides.map(str::to_owned)).collect();
    let (named, comment) = sent.map_or(("", ""), |form| (form.name.as_str(), form.comment.as_str()));
    let favours = request.proposal.newer.as_ref().and_then(notify::proposal::in_favour).is_some();
    html! {
        @if !request.approves {
            p {
                "This page can only reject. Somebody else than who started the execution must approve it, and a link cannot \
                 prove who uses it: approve with " code { "aws codepipeline put-approval-result" } "."
            }
        }
        form method="post" {
            @if !faults.is_empty() { div role="alert" { ul class="faults" { @for fault in &faults { li { (fault) } } } } }
            button type="submit" disabled hidden {}
            label for="name" { "Your name" }
            input id="name" name="name" required maxlength=(NAME_MOST) autocomplete="name" value=(named);
            label for="comment" { "Comment " small { "(optional)" } }
            // A browser drops the first line end of a text area.
            textarea id="comment" name="comment" rows="4" maxlength=(COMMENT_MOST) { "\n" (comment) }
            div class="acts" {
                @if request.approves { button class="main" name="decision" value="approve" { "Approve" } }
                button class="danger" name="decision" value="reject" { "Reject" }
                @if favours {
                    button class="danger" name="decision" value="reject-for-newer" { "Reject this in favour of the newest" }
                }
            }
            p class="small soft" {
                "The answer is final. Name and comment are kept with the execution; nobody checks the name."
            }
        }
    }
}
