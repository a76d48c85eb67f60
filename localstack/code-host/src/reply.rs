//! Answers, and how they are sent.

use std::fs::File;
use std::io::{Cursor, Read, Seek};
use std::process::Child;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tiny_http::{Header, Request, Response};

/// An answer that has not been sent.
pub(crate) struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Box<dyn Read + Send>,
    length: Option<usize>,
    /// What writes the body; it is waited for when that has been sent.
    writer: Option<Child>,
}

impl Reply {
    fn whole(status: u16, kind: &str, body: Vec<u8>) -> Self {
        let length = Some(body.len());
        let headers = vec![("Content-Type".to_owned(), kind.to_owned())];
        Self { status, headers, body: Box::new(Cursor::new(body)), length, writer: None }
    }

    /// Text for people and for Git, which repeats it. Browsers must not take it for a page.
    pub(crate) fn text(status: u16, text: impl Into<String>) -> Self {
        let mut reply = Self::whole(status, "text/plain; charset=utf-8", text.into().into_bytes());
        for (name, value) in [
            ("X-Content-Type-Options", "nosniff"),
            ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
            ("Referrer-Policy", "no-referrer"),
        ] {
            reply.headers.push((name.to_owned(), value.to_owned()));
        }
        reply
    }

    pub(crate) fn json(status: u16, value: &Value) -> Self {
        Self::whole(status, "application/json; charset=utf-8", value.to_string().into_bytes())
    }

    /// An error as GitHub's API has it.
    pub(crate) fn message(status: u16, message: &str) -> Self {
        Self::json(status, &json!({"message": message}))
    }

    /// What has been written to a file.
    pub(crate) fn file(kind: &str, mut file: File) -> Result<Self> {
        file.rewind().context("cannot read what was written")?;
        let length = usize::try_from(file.metadata().context("a file without a length")?.len())?;
        let headers = vec![("Content-Type".to_owned(), kind.to_owned())];
        Ok(Self { status: 200, headers, body: Box::new(file), length: Some(length), writer: None })
    }

    /// What a program is about to write.
    pub(crate) fn streamed(
        status: u16,
        headers: Vec<(String, String)>,
        body: Box<dyn Read + Send>,
        writer: Child,
    ) -> Self {
        Self { status, headers, body, length: None, writer: Some(writer) }
    }

    /// Sends status, headers and body. Whoever has hung up meanwhile is no error.
    pub(crate) fn send(self, request: Request) {
        let headers =
            self.headers.iter().filter_map(|(name, value)| Header::from_bytes(name.as_str(), value.as_str()).ok());
        let response = Response::new(self.status.into(), headers.collect(), self.body, self.length, None);
        if let Err(error) = request.respond(response) {
            tracing::debug!(%error, "a connection broke");
        }
        if let Some(mut writer) = self.writer {
            match writer.wait() {
                Ok(status) if status.success() => {}
                Ok(status) => tracing::warn!(%status, "git failed while it answered"),
                Err(error) => tracing::warn!(%error, "git cannot be waited for"),
            }
        }
    }
}
