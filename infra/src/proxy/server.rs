//! Connections on this machine, their limits, and a line in the log for each call.

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use wire::{ApiError, Exception, MAX_BODY, Path, Protocol};

use super::api::{Answered, Api, Asked};
use super::log::Logs;
use super::{console, guard};
use crate::output::report;

/// Connections at a time; further ones wait.
const CONNECTIONS: usize = 128;
const HEADERS: usize = 64;
/// All headers together, in bytes. A session token has up to 4 KB.
const HEADER_BYTES: usize = 32 * 1024;
/// How long a client may take for its headers. An idle connection is closed after this time too.
const HEADER_TIME: Duration = Duration::from_secs(60);
/// How long a client may take for its body.
const BODY_TIME: Duration = Duration::from_secs(30);
/// A body that is too long is read up to this length, and thrown away: many clients read no answer while they send.
const READ: usize = 4 * MAX_BODY;
/// How long calls may go on when the proxy is told to end: as long as any takes.
const LAST_CALLS: Duration = Duration::from_secs(35);

/// A proxy that listens.
pub struct Proxy {
    listener: TcpListener,
    door: Door,
}

/// A line of the log.
#[derive(Debug, Default, Serialize)]
struct Line {
    /// Nothing for a request that is not a call.
    #[serde(skip_serializing_if = "Option::is_none")]
    operation: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pipeline: Option<String>,
    /// Where the answer came from, behind the API's base.
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    status: u16,
    /// The exception's name, if it is the proxy's.
    #[serde(skip_serializing_if = "Option::is_none")]
    exception: Option<&'static str>,
    ms: u128,
}

impl Proxy {
    /// Listens on a port of 127.0.0.1; 0 takes a free one.
    ///
    /// # Errors
    /// When the port is taken, or the API's URL leads back here.
    pub async fn bind(port: u16, api: Api) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.with_context(|| {
            format!("cannot listen on port {port} of 127.0.0.1: does a proxy run already? --port takes another")
        })?;
        let port = listener.local_addr()?.port();
        ensure!(
            !guard::is_here(api.url().host(), port),
            "{} is the proxy itself: it leads to the API, whose URL is the home stack's output ApiUrl",
            api.url()
        );
        Ok(Self { listener, door: Door { port, api, logs: None, log: Box::new(report) } })
    }

    /// The same with another place for the lines of the log than standard error.
    #[must_use]
    pub fn with_log(mut self, log: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.door.log = Box::new(log);
        self
    }

    /// The same, which also reads the logs of actions for the console.
    #[must_use]
    pub fn with_logs(mut self, logs: Logs) -> Self {
        self.door.logs = Some(logs);
        self
    }

    /// The endpoint for clients.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.door.port)
    }

    /// Where a person opens the console.
    #[must_use]
    pub fn console_url(&self) -> String {
        format!("{}{}", self.url(), console::PATH)
    }

    /// Serves until `end`, and then ends the calls that are under way.
    pub async fn serve(self, end: impl Future<Output = ()>) {
        let Self { listener, door } = self;
        let door = Arc::new(door);
        let (connections, turns) = (GracefulShutdown::new(), Arc::new(Semaphore::new(CONNECTIONS)));
        let accepting = async {
            loop {
                let Ok(turn) = turns.clone().acquire_owned().await else { return };
                let stream = match listener.accept().await {
                    Ok((stream, _)) => stream,
                    Err(error) => {
                        report(&format!("no connection can be taken: {error}"));
                        sleep(Duration::from_millis(100)).await;
                        continue;
                    }
                };
                let door = door.clone();
                let service = service_fn(move |request| {
                    let door = door.clone();
                    async move { Ok::<_, Infallible>(door.answer(request).await) }
                });
                let connection = connections.watch(settings().serve_connection(TokioIo::new(stream), service));
                tokio::spawn(async move {
                    // A connection that breaks is the client's to see.
                    let _ = connection.await;
                    drop(turn);
                });
            }
        };
        tokio::select! { () = accepting => {}, () = end => {} }
        drop(listener);
        let _ = timeout(LAST_CALLS, connections.shutdown()).await;
    }
}

fn settings() -> http1::Builder {
    let mut settings = http1::Builder::new();
    settings.timer(TokioTimer::new()).header_read_timeout(HEADER_TIME);
    settings.max_headers(HEADERS).max_header_size(HEADER_BYTES);
    settings
}

/// What all connections share.
struct Door {
    port: u16,
    api: Api,
    /// Reads the logs of actions.
    logs: Option<Logs>,
    log: Box<dyn Fn(&str) + Send + Sync>,
}

impl Door {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let began = Instant::now();
        let (head, body) = request.into_parts();
        let mut line = Line::default();
        if console::is_page(&head) {
            let answer = match guard::check(&head, self.port) {
                Ok(()) => self.page(&head, body).await,
                Err(error) => console::foreign(&head, &error),
            };
            line.path = Some(head.uri.path().to_owned());
            return self.logged(line, began, answer);
        }
        let (called, foreign) = match guard::check(&head, self.port) {
            Ok(()) => (self.call(&head, body, &mut line).await, false),
            Err(error) => (Err(error), true),
        };
        let mut answer = called.unwrap_or_else(|error| {
            line.exception = Some(error.exception.name());
            error.encode(Protocol::of(&head.headers))
        });
        if foreign {
            *answer.status_mut() = StatusCode::FORBIDDEN;
        }
        self.logged(line, began, answer)
    }

    async fn page(&self, head: &Parts, body: Incoming) -> wire::Response {
        let body = if console::is_check(head) { whole(body).await } else { Ok(Vec::new()) };
        match body {
            Ok(body) => console::page(&self.api, self.logs.as_ref(), head, body).await,
            Err(error) => console::refused(&error),
        }
    }

    fn logged(&self, mut line: Line, began: Instant, answer: wire::Response) -> Response<Full<Bytes>> {
        line.status = answer.status().as_u16();
        line.ms = began.elapsed().as_millis();
        // A page that looks every two seconds whether there is anything new would fill the log.
        if ![StatusCode::NOT_MODIFIED, StatusCode::NO_CONTENT].contains(&answer.status()) {
            (self.log)(&serde_json::to_string(&line).unwrap_or_default());
        }
        answer.map(|body| Full::new(Bytes::from(body)))
    }

    async fn call(&self, head: &Parts, body: Incoming, line: &mut Line) -> Result<wire::Response, ApiError> {
        let call = wire::route(&head.method, head.uri.path(), &head.headers)?;
        line.operation = Some(call.operation.name());
        let exactly = head.uri.path() == call.path.to(call.operation) && head.uri.query().is_none();
        if !exactly {
            return Err(Exception::UnknownOperationException.because(format!(
                "Operations are called on / or {}, with nothing before or behind.",
                Path::Operation.to(call.operation)
            )));
        }
        let body = whole(body).await?;
        line.pipeline = wire::pipeline_in(call.operation, call.protocol, &body);
        let asked = Asked { call, pipeline: line.pipeline.as_deref(), headers: &head.headers, body: &body };
        let Answered { answer, path } = self.api.call(&asked).await?;
        line.path = Some(path);
        Ok(answer)
    }
}

/// The whole body, if it comes in time and is not too long.
async fn whole(body: Incoming) -> Result<Vec<u8>, ApiError> {
    timeout(BODY_TIME, read(body)).await.unwrap_or_else(|_| Err(incomplete("it took too long")))
}

/// The whole body, if it is not too long.
async fn read<B: Body<Data = Bytes, Error = hyper::Error> + Unpin>(mut body: B) -> Result<Vec<u8>, ApiError> {
    let (mut all, mut length) = (Vec::new(), 0);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| incomplete(&error.to_string()))?;
        let data = frame.into_data().unwrap_or_default();
        length += data.len();
        if length <= MAX_BODY {
            all.extend_from_slice(&data);
        } else if length > READ {
            break;
        }
    }
    if length > MAX_BODY {
        let why = format!("A body holds at most {MAX_BODY} bytes.");
        return Err(Exception::RequestEntityTooLargeException.because(why));
    }
    Ok(all)
}

fn incomplete(why: &str) -> ApiError {
    Exception::SerializationException.because(format!("The body did not come to its end: {why}."))
}
