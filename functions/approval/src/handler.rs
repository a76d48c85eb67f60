//! What the approval page answers to a request.

use std::sync::Arc;

use driver::{ApprovalAnswer, ApprovalView, Clock, DriveError, Driver};
use engine::{Approver, Refusal};
use lambda_http::http::{Method, StatusCode, header};
use lambda_http::request::RequestContext;
use lambda_http::{Body, Request, RequestExt, Response};
use notify::{LinkError, Links, Ticket};
use runtime::CallLog;
use store::ChangeOrigin;

use crate::form::{Form, Unreadable};
use crate::notice::Notice;
use crate::page::{ApprovalRequest, Page};
use crate::reply::reply;

/// Answers requests for the approval page.
pub struct ApprovalHandler {
    driver: Driver,
    /// None where links are off.
    links: Option<Links>,
    /// Whether a link can approve as well as reject.
    approves: bool,
    clock: Arc<dyn Clock>,
    calls: CallLog,
}

/// Somebody else has done something about the newer execution while the page was open.
const NO_NEWER: &str = "No newer execution waits behind this one any more.";

/// As the audit log names it when somebody looks at the page.
const OPENED: &str = "OpenApprovalLink";

impl ApprovalHandler {
    /// A handler to what this driver drives, opened by these links, which can approve as well as reject; none where links
    /// are off. `calls` hears of everybody whose link is right.
    pub fn new(driver: Driver, links: Option<Links>, clock: Arc<dyn Clock>, calls: CallLog) -> Self {
        Self { driver, links, approves: true, clock, calls }
    }

    /// The same with links that can only reject: they do not prove who approves.
    #[must_use]
    pub fn rejecting_only(self) -> Self {
        Self { approves: false, ..self }
    }

    /// Answers a request. Every mistake of the caller has a page that explains it.
    ///
    /// # Errors
    /// When no answer can be made at all.
    pub async fn open(&self, request: &Request) -> anyhow::Result<Response<Body>> {
        let (status, page) = match *request.method() {
            Method::GET | Method::HEAD => self.show(request).await,
            Method::POST => self.answer(request).await,
            _ => (StatusCode::METHOD_NOT_ALLOWED, Page::notice(&Notice::Method)),
        };
        reply(status, &page, request.method() != Method::HEAD)
    }

    async fn show(&self, request: &Request) -> (StatusCode, Page) {
        let ticket = match self.ticket(request).await {
            Ok(ticket) => ticket,
            Err(notice) => return told(&notice),
        };
        let by = Approver::Link { name: String::new() };
        let showing = Box::pin(async {
            let found = self.view(&ticket).await;
            self.calls.answered(OPENED, Some(&ticket.pipeline), result_of(&found)).await;
            found
        });
        match origin(&by, request).scope(showing).await {
            Ok(view) => (StatusCode::OK, Page::request(&self.approval_request(&ticket, &view), None, None)),
            Err(notice) => told(&notice),
        }
    }

    async fn answer(&self, request: &Request) -> (StatusCode, Page) {
        let ticket = match self.ticket(request).await {
            Ok(ticket) => ticket,
            Err(notice) => return told(&notice),
        };
        let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let form = Form::read(content_type, request.body().as_ref());
        let name = form.as_ref().map_or_else(|_| String::new(), |form| form.name.clone());
        let by = Approver::Link { name };
        let origin = origin(&by, request);
        // Boxed: with the engine's states in it, the future is large.
        let answering = Box::pin(async {
            let answered = self.answer_with(&ticket, form, by).await;
            self.calls.answered("PutApprovalResult", Some(&ticket.pipeline), result_of(&answered)).await;
            answered
        });
        origin.scope(answering).await.unwrap_or_else(|refused| refused)
    }

    /// Gives the form's answer; what is shown then, and if it was not taken, what is shown instead.
    async fn answer_with(
        &self,
        ticket: &Ticket,
        form: Result<Form, Unreadable>,
        by: Approver,
    ) -> Result<(StatusCode, Page), (StatusCode, Page)> {
        let view = self.view(ticket).await.map_err(|notice| told(&notice))?;
        let form = form.map_err(|unreadable| match unreadable {
            Unreadable::TooLarge => told(&Notice::TooLarge),
            Unreadable::NoForm => told(&Notice::NoForm),
        })?;
        let (Some(approved), true) = (form.approved, form.faults().is_empty()) else {
            return Err(self.sent_back(ticket, &view, &form, None));
        };
        if approved && !self.approves {
            return Err(told(&Notice::CannotApprove));
        }
        let summary = match (form.for_newer, view.proposal.newer.as_ref().and_then(notify::proposal::in_favour)) {
            (false, _) => form.comment,
            (true, Some(reason)) => form.comment_with(&reason),
            (true, None) => return Err(self.sent_back(ticket, &view, &form, Some(NO_NEWER))),
        };
        let answer = ApprovalAnswer { approved, summary, by };
        match self.driver.approve_by_id(ticket.action_id, ticket.token, answer).await {
            Ok(()) => {
                tracing::info!(action = %ticket.action_id, approved, "answered by link");
                Ok(told(&Notice::Done { approved, ticket: Box::new(ticket.clone()) }))
            }
            // Somebody else was first.
            Err(DriveError::Refused(Refusal::AlreadyAnswered { .. })) => Err(match self.view(ticket).await {
                Err(notice) => told(&notice),
                Ok(_) => told(&Notice::Superseded),
            }),
            Err(error) => Err(told(&refused(&error))),
        }
    }

    /// The page once more, with what is wrong with the form that was sent; `besides`: what no look at the form alone tells.
    fn sent_back(
        &self,
        ticket: &Ticket,
        view: &ApprovalView,
        form: &Form,
        besides: Option<&str>,
    ) -> (StatusCode, Page) {
        (StatusCode::BAD_REQUEST, Page::request(&self.approval_request(ticket, view), Some(form), besides))
    }

    /// What a link says, if it is one of ours.
    async fn ticket(&self, request: &Request) -> Result<Ticket, Notice> {
        let links = self.links.as_ref().ok_or(Notice::LinksOff)?;
        let query = request.query_string_parameters();
        links.verify(query.iter(), self.clock.now()).await.map_err(|error| match error {
            LinkError::Malformed => Notice::NoLink,
            LinkError::Forged => Notice::Forged,
            LinkError::Expired(ticket) => Notice::Expired(ticket),
            LinkError::Base(_) | LinkError::Unavailable { .. } => {
                tracing::error!(%error);
                Notice::Unavailable
            }
        })
    }

    /// The approval that a link opens, if it can still be answered.
    async fn view(&self, ticket: &Ticket) -> Result<ApprovalView, Notice> {
        let view = self.driver.approval(ticket.action_id).await.map_err(|error| refused(&error))?;
        if view.run.token != Some(ticket.token) {
            return Err(Notice::Superseded);
        }
        if !view.run.status.in_flight() {
            return Err(Notice::Used(Box::new(view.run)));
        }
        if !view.stage_status.is_open() {
            return Err(Notice::Superseded);
        }
        Ok(view)
    }

    fn approval_request<'a>(&self, ticket: &'a Ticket, view: &'a ApprovalView) -> ApprovalRequest<'a> {
        let setting = |key: &str| view.configuration.get(key).map(String::as_str).filter(|value| !value.is_empty());
        ApprovalRequest {
            pipeline: view.pipeline.as_str(),
            stage: view.stage.as_str(),
            action: view.run.name.as_str(),
            started: view.started,
            since: view.run.requested.unwrap_or(view.started),
            until: ticket.expires,
            words: setting("CustomData"),
            link: setting("ExternalEntityLink"),
            asked: setting("NotificationArn"),
            proposal: &view.proposal,
            artifacts: &view.artifacts,
            approves: self.approves,
        }
    }
}

/// The result of a call as the audit log has it.
fn result_of<T, E>(result: &Result<T, E>) -> &'static str {
    if result.is_ok() { "ok" } else { "refused" }
}

/// Who answers: whoever has the link. IAM vouches for nobody here.
fn origin(by: &Approver, request: &Request) -> ChangeOrigin {
    let (mut source, mut id) = (None, None);
    if let Some(RequestContext::ApiGatewayV1(context)) = request.request_context_ref() {
        source.clone_from(&context.identity.source_ip);
        id.clone_from(&context.request_id);
    }
    ChangeOrigin { caller: by.to_string(), source, request: id.unwrap_or_default() }
}

/// The page for an approval that cannot be found or an answer that is refused.
fn refused(error: &DriveError) -> Notice {
    match error {
        DriveError::Refused(Refusal::Unproven { .. }) => Notice::CannotApprove,
        DriveError::ExecutionNotFound(_) | DriveError::JobNotFound(_) | DriveError::Refused(_) => Notice::Superseded,
        _ => {
            tracing::error!(%error);
            Notice::Unavailable
        }
    }
}

fn told(notice: &Notice) -> (StatusCode, Page) {
    (notice.status(), Page::notice(notice))
}
