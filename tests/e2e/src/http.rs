//! Requests that no SDK makes, signed as theirs are.

use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use local::HOME;

use crate::case::Case;

/// More than any answer here.
const BODY_LIMIT: u64 = 16 << 20;

/// An answer, whatever its status.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status, also of an error.
    pub status: u16,
    /// The headers, their names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body as it was sent.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as text; bytes that are no UTF-8 are replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header's value; empty if it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(found, _)| found == name).map_or("", |(_, value)| value)
    }
}

/// A request to the API, signed. `path` begins behind the API's base.
pub async fn signed(case: &Case, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Answer> {
    let url = format!("{}{path}", case.stack.api_url);
    let identity = Credentials::new("test", "test", None, None, "e2e").into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(HOME)
        .name("codepipeline")
        .time(SystemTime::now())
        .settings(SigningSettings::default())
        .build()?;
    let request = SignableRequest::new("POST", url.as_str(), headers.iter().copied(), SignableBody::Bytes(body))?;
    let (instructions, _) = sign(request, &parameters.into())?.into_parts();
    let signature = instructions.headers().map(|(name, value)| (name.to_owned(), value.to_owned()));
    let mut all: Vec<(String, String)> =
        headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    all.extend(signature);
    send("POST", &url, &all, Some(body)).await
}

/// Sends a request as it is, unsigned.
pub async fn send(method: &str, url: &str, headers: &[(String, String)], body: Option<&[u8]>) -> Result<Answer> {
    let mut request = ureq::http::Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let body = body.map(<[u8]>::to_vec);
    let what = format!("{method} {}", url.split('?').next().unwrap_or_default());
    tokio::task::spawn_blocking(move || {
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(40)))
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .build()
            .new_agent();
        let answered = match body {
            Some(body) => agent.run(request.body(body)?),
            None => agent.run(request.body(())?),
        };
        let mut response = answered.context(what)?;
        let headers = response
            .headers()
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect();
        let body = response.body_mut().with_config().limit(BODY_LIMIT).read_to_vec()?;
        Ok(Answer { status: response.status().as_u16(), headers, body })
    })
    .await?
}
