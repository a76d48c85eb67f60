//! Pages as HTTP answers, with the headers that keep a link from leaking and a page from being abused.

use std::sync::LazyLock;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use lambda_http::http::{HeaderValue, StatusCode, header};
use lambda_http::{Body, Response};
use sha2::{Digest, Sha256};

use crate::page::{Page, STYLE};

/// Nothing is loaded, framed or run; the one style is known by its hash; the form goes to where the page came from.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = BASE64_STANDARD.encode(Sha256::digest(STYLE));
    format!(
        "default-src 'none'; style-src 'sha256-{hash}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
});

/// The answer that shows a page; one to HEAD has no body.
pub fn reply(status: StatusCode, page: &Page, with_body: bool) -> anyhow::Result<Response<Body>> {
    let mut response = Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, "text/html; charset=utf-8")
        .header(header::CACHE_CONTROL, "no-store")
        .header(header::CONTENT_SECURITY_POLICY, HeaderValue::from_str(&POLICY)?)
        .header(header::REFERRER_POLICY, "no-referrer")
        .header(header::X_CONTENT_TYPE_OPTIONS, "nosniff")
        .header(header::X_FRAME_OPTIONS, "DENY")
        .header("x-robots-tag", "noindex, nofollow");
    if status == StatusCode::METHOD_NOT_ALLOWED {
        response = response.header(header::ALLOW, "GET, HEAD, POST");
    }
    Ok(response.body(if with_body { Body::from(page.html()) } else { Body::Empty })?)
}
