//! The HTTP server: who may call, how large a call may be, and the way from a request to its operation and back.

use std::io::{Cursor, Read};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use tiny_http::{Header, Method, Request, Response};
use tokio::runtime::Handle;

use crate::api::App;
use crate::cloud::Settings;
use crate::error::{ApiError, Exception};

/// The largest body. An inline buildspec is a few kilobytes; the SDK's largest input stays far below this.
const MAX_BODY: u64 = 2 << 20;
/// What stands before the operation's name in `X-Amz-Target`.
const TARGET: &str = "CodeBuild_20161006.";

/// A running build host. It and its builds end when this is dropped.
pub struct Server {
    address: SocketAddr,
    http: Arc<tiny_http::Server>,
    app: Arc<App>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.http.unblock();
        self.app.stop_all();
    }
}

impl Server {
    /// Listens on this machine's loopback address; port 0 lets the system choose one. Builds run on the Tokio runtime of
    /// the caller.
    ///
    /// # Errors
    /// When the port is taken or the settings' folder cannot be made.
    pub async fn start(port: u16, settings: Settings) -> Result<Self> {
        let folder = settings.root.display().to_string();
        tokio::fs::create_dir_all(&settings.root).await.with_context(|| format!("cannot make {folder}"))?;
        let settings = Settings { root: std::path::absolute(&settings.root)?, ..settings };
        let http = tiny_http::Server::http((Ipv4Addr::LOCALHOST, port))
            .map_err(|error| anyhow!("cannot listen on port {port} of 127.0.0.1: {error}"))?;
        let address = http.server_addr().to_ip().context("the server has no address")?;
        let (http, app) = (Arc::new(http), Arc::new(App::new(settings)));
        let server = Self { address, http: Arc::clone(&http), app: Arc::clone(&app) };
        let runtime = Handle::current();
        std::thread::spawn(move || {
            for request in http.incoming_requests() {
                let app = Arc::clone(&app);
                // Of its own, since a body may come slowly.
                runtime.spawn_blocking(move || answer(&app, request));
            }
        });
        Ok(server)
    }

    /// The URL under which clients reach it.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }
}

fn answer(app: &App, mut request: Request) {
    let (status, body, kind) = match handle(app, &mut request) {
        Ok(body) => (200, body, None),
        Err(ApiError { exception, message }) => {
            let kind = format!("{exception:?}");
            tracing::info!(exception = kind, message, "refused");
            let body = serde_json::json!({"__type": kind, "message": message}).to_string().into_bytes();
            (exception.status(), body, Some(kind))
        }
    };
    let length = body.len();
    let kind = kind.and_then(|kind| Header::from_bytes("x-amzn-errortype", kind).ok());
    let headers = Header::from_bytes("content-type", "application/x-amz-json-1.1").into_iter().chain(kind).collect();
    let response = Response::new(status.into(), headers, Cursor::new(body), Some(length), None);
    if let Err(error) = request.respond(response) {
        tracing::debug!(%error, "a connection broke");
    }
}

fn handle(app: &App, request: &mut Request) -> Result<Vec<u8>, ApiError> {
    let headers = request.headers();
    if !is_local(value(headers, "host")) {
        return Err(Exception::AccessDeniedException.because(
            "The host in the request is neither localhost nor 127.0.0.1, so it was not meant for this server.",
        ));
    }
    let caller = value(headers, "authorization").and_then(Caller::of).ok_or_else(|| {
        Exception::MissingAuthenticationTokenException
            .because("The request has no AWS Authorization header (AWS4-HMAC-SHA256 Credential=...).")
    })?;
    let target = value(headers, "x-amz-target").and_then(|it| it.strip_prefix(TARGET));
    let operation = match target {
        Some(operation) if *request.method() == Method::Post => operation.to_owned(),
        _ => {
            return Err(Exception::NotImplemented.because(
                "Only CodeBuild in AWS JSON 1.1 is spoken here: POST with X-Amz-Target CodeBuild_20161006.*.",
            ));
        }
    };
    let mut body = Vec::new();
    let read = request.as_reader().take(MAX_BODY + 1).read_to_end(&mut body);
    read.map_err(|error| Exception::SerializationException.because(format!("The body cannot be read: {error}")))?;
    if body.len() as u64 > MAX_BODY {
        let message = format!("The body has more than the {MAX_BODY} bytes that are taken.");
        return Err(Exception::RequestEntityTooLargeException.because(message));
    }
    app.call(&operation, &caller, &body)
}

fn value<'a>(headers: &'a [Header], name: &'static str) -> Option<&'a str> {
    headers.iter().find(|header| header.field.equiv(name)).map(|header| header.value.as_str())
}

/// Whether the request names this machine as its host: what a web page sends under its own name, which it has pointed
/// here, does not.
fn is_local(host: Option<&str>) -> bool {
    let Some(host) = host else { return false };
    let name = host.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok()).map_or(host, |(name, _)| name);
    name == "localhost" || name == "127.0.0.1"
}

/// Who calls, and in which region, as the credential of the signature says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    pub access_key: String,
    pub region: String,
}

impl Caller {
    /// Reads `AWS4-HMAC-SHA256 Credential=KEY/DATE/REGION/codebuild/aws4_request, ...`. Source: IAM user guide, 'Create a
    /// signed AWS API request'.
    fn of(header: &str) -> Option<Self> {
        let header = header.strip_prefix("AWS4-HMAC-SHA256 ")?;
        let scope = header.split(',').find_map(|part| part.trim().strip_prefix("Credential="))?;
        let mut parts = scope.split('/');
        let (access_key, _date, region) = (parts.next()?, parts.next()?, parts.next()?);
        let region = pipeline::Region::new(region).ok()?;
        Some(Self { access_key: access_key.to_owned(), region: region.to_string() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machines_names_are_hosts() {
        for host in ["localhost", "localhost:4580", "127.0.0.1:4580", "127.0.0.1"] {
            assert!(is_local(Some(host)), "{host}");
        }
        for host in ["example.com", "localhost.example.com", "127.0.0.1.example.com:80", "10.0.0.1", ""] {
            assert!(!is_local(Some(host)), "{host}");
        }
        assert!(!is_local(None));
    }

    #[test]
    fn the_credential_names_key_and_region() {
        let value = "AWS4-HMAC-SHA256 Credential=test/20261125/us-west-2/codebuild/aws4_request, \
                     SignedHeaders=host, Signature=00";
        let caller = Caller::of(value).unwrap();
        assert_eq!((caller.access_key.as_str(), caller.region.as_str()), ("test", "us-west-2"));
        for bad in ["Bearer x", "AWS4-HMAC-SHA256 Signature=00", "AWS4-HMAC-SHA256 Credential=a/b/../x"] {
            assert_eq!(Caller::of(bad), None, "{bad}");
        }
    }
}
