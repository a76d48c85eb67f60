//! Pages as HTTP answers, with the headers that keep a link from leaking and a page from being abused.

use lambda_http::http::{HeaderValue, StatusCode, header};
use lambda_http::{Body, Response};

use crate::page::Page;

/// The answer that shows a page; one to HEAD has no body.
pub fn reply(status: StatusCode, page: &Page, with_body: bool) -> anyhow::Result<Response<Body>> {
    let mut response = Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, "text/html; charset=utf-8")
        .header(header::CACHE_CONTROL, "no-store")
        .header(header::CONTENT_SECURITY_POLICY, HeaderValue::from_str(&pages::policy(None))?)
        .header(header::REFERRER_POLICY, "no-referrer")
        .header(header::X_CONTENT_TYPE_OPTIONS, "nosniff")
        .header(header::X_FRAME_OPTIONS, "DENY")
        .header("x-robots-tag", "noindex, nofollow");
    if status == StatusCode::METHOD_NOT_ALLOWED {
        response = response.header(header::ALLOW, "GET, HEAD, POST");
    }
    Ok(response.body(if with_body { Body::from(page.html()) } else { Body::Empty })?)
}
