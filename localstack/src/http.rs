//! Plain HTTP to the emulator: is it there, and what a browser would do with the approval page.

use std::time::Duration;

use anyhow::{Context, Result};

/// The largest body that is read, in bytes.
const BODY_LIMIT: u64 = 1 << 20;

/// An answer, whatever its status.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status, also of an error.
    pub status: u16,
    /// Names in lower case, in the order in which they came.
    pub headers: Vec<(String, String)>,
    /// The body as text, 1 MiB at most.
    pub body: String,
}

/// GET without following redirects.
///
/// # Errors
/// When nobody answers, or with more than 1 MiB.
pub async fn get(url: &str) -> Result<Answer> {
    let request = agent().get(url);
    let what = format!("GET {url}");
    blocking(move || request.call(), what).await
}

/// POST of a filled-in form.
///
/// # Errors
/// When nobody answers, or with more than 1 MiB.
pub async fn post_form(url: &str, fields: &[(String, String)]) -> Result<Answer> {
    let request = agent().post(url);
    let what = format!("POST {url}");
    let fields = fields.to_vec();
    blocking(move || request.send_form(fields), what).await
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .timeout_global(Some(Duration::from_secs(30)))
        .http_status_as_error(false)
        .max_redirects(0)
        .proxy(None)
        .build()
        .new_agent()
}

async fn blocking(
    call: impl FnOnce() -> Result<ureq::http::Response<ureq::Body>, ureq::Error> + Send + 'static,
    what: String,
) -> Result<Answer> {
    tokio::task::spawn_blocking(move || {
        let mut response = call().context(what)?;
        let headers = response
            .headers()
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect();
        let body = response.body_mut().with_config().limit(BODY_LIMIT).read_to_string()?;
        Ok(Answer { status: response.status().as_u16(), headers, body })
    })
    .await?
}
