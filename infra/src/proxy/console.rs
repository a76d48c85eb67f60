//! The way to the console's pages, and the pages that are shown where they cannot be.

use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY, X_FRAME_OPTIONS};
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode};
use maud::{Markup, html};
use pages::{Layout, notice, policy, shown};
use wire::{ApiError, Exception};

use super::api::Api;
use super::log::{self, Logs};

/// Where the console's pages are.
pub const PATH: &str = "/console";

/// Every browser asks for it, and the pages have none.
const PATH_OF_ICON: &str = "/favicon.ico";

/// Whether a person asks for a page, and not a client for an operation.
pub fn is_page(request: &Parts) -> bool {
    let path = request.uri.path();
    let below = path == PATH || path.strip_prefix(PATH).is_some_and(|rest| rest.starts_with('/'));
    below || ([PATH_OF_ICON, "/"].contains(&path) && [Method::GET, Method::HEAD].contains(&request.method))
}

/// Below this, and with a pipeline's name behind it, a definition is checked while somebody types it.
const PATH_OF_CHECKS: &str = "/console/check/";

/// Whether a request has a text with it that is to be checked.
pub fn is_check(request: &Parts) -> bool {
    request.method == Method::POST && request.uri.path().starts_with(PATH_OF_CHECKS)
}

/// A page, or one that says why there is none; or the log of an action, where this proxy reads `logs`. `body`: the text that is to be
/// checked.
pub async fn page(api: &Api, logs: Option<&Logs>, request: &Parts, body: Vec<u8>) -> wire::Response {
    if ![Method::GET, Method::HEAD].contains(&request.method) && !is_check(request) {
        return told(
            StatusCode::METHOD_NOT_ALLOWED,
            "That is not possible here",
            &html! { p { "Pages are read, nothing else." } },
        );
    }
    match request.uri.path() {
        "/" => return elsewhere(),
        PATH_OF_ICON => return no_icon(),
        _ => {}
    }
    if let (Some(named), Some(logs)) = (request.uri.path().strip_prefix(log::PATH), logs) {
        return logs.answer(api, named, request.uri.query()).await;
    }
    let target = request.uri.path_and_query().map_or(PATH, http::uri::PathAndQuery::as_str);
    let method = if is_check(request) { Method::POST } else { Method::GET };
    match api.page((method, target), &request.headers, body).await {
        Ok(page) => page,
        Err(error) => refused(&error),
    }
}

fn elsewhere() -> wire::Response {
    let mut answer = Response::new(Vec::new());
    *answer.status_mut() = StatusCode::FOUND;
    answer.headers_mut().insert(LOCATION, HeaderValue::from_static(PATH));
    answer
}

fn no_icon() -> wire::Response {
    let mut answer = Response::new(Vec::new());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("max-age=86400"));
    answer
}

/// The page for somebody who comes from another site: nothing was asked of the API in their name. They can still go on, by a link
/// that is theirs to follow.
pub fn foreign(request: &Parts, error: &ApiError) -> wire::Response {
    let words = html! {
        p { (error.message) }
        p { "The console acts as you. So it opens when you ask for it, and not when another site does." }
    };
    let target = request.uri.path_and_query().map_or(PATH, http::uri::PathAndQuery::as_str);
    let then = html! { a class="button" href=(target) { "Open this page" } };
    shown_as(StatusCode::FORBIDDEN, "This was asked for from elsewhere", &words, &then)
}

/// The page for what the proxy or API Gateway refuses, or what cannot be answered.
pub fn refused(error: &ApiError) -> wire::Response {
    let (status, heading) = match error.exception {
        Exception::RequestEntityTooLargeException => (StatusCode::PAYLOAD_TOO_LARGE, "The text is too long"),
        Exception::AccessDeniedException => (StatusCode::FORBIDDEN, "You may not see this page"),
        Exception::ExpiredTokenException => (StatusCode::UNAUTHORIZED, "Your session has expired"),
        Exception::UnrecognizedClientException | Exception::InvalidSignatureException => {
            (StatusCode::UNAUTHORIZED, "AWS does not know you")
        }
        Exception::ThrottlingException => (StatusCode::TOO_MANY_REQUESTS, "Too much at once"),
        _ => (StatusCode::BAD_GATEWAY, "The console does not answer"),
    };
    told(status, heading, &html! { p { (shown(&error.message)) } })
}

fn told(status: StatusCode, heading: &str, words: &Markup) -> wire::Response {
    shown_as(status, heading, words, &html! { a class="button" href=(PATH) { "To the console" } })
}

fn shown_as(status: StatusCode, heading: &str, words: &Markup, then: &Markup) -> wire::Response {
    let page = Layout {
        title: heading,
        home: Some(PATH),
        nav: html! {},
        main: notice(heading, words, then),
        rest: html! {},
        class: "",
        script: None,
        version: None,
    };
    let mut answer = Response::new(page.html().into_bytes());
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    if let Ok(policy) = HeaderValue::from_str(&policy(None)) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    answer
}
