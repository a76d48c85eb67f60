//! One AWS service: a function from requests to answers, under the SDK's real clients.

use std::fmt;
use std::sync::{Arc, Mutex};

use aws_config::SdkConfig;
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;

use crate::config;

/// A request as it was sent.
#[derive(Clone, Debug)]
pub struct Request {
    headers: Vec<(String, String)>,
    /// The body as text.
    pub body: String,
}

impl Request {
    /// A header's value, or nothing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// The operation that the header `X-Amz-Target` names; empty where it names none.
    pub fn operation(&self) -> &str {
        self.header("x-amz-target").rsplit('.').next().unwrap_or_default()
    }
}

/// What a [`Stub`] answers to a request.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status of the answer.
    pub status: u16,
    /// As the service encodes it.
    pub body: String,
}

impl Answer {
    /// An answer with status 200.
    pub fn ok(body: impl Into<String>) -> Self {
        Self { status: 200, body: body.into() }
    }
}

type Reply = dyn Fn(&Request) -> Answer + Send + Sync;

/// A service that answers by a function and remembers what it was asked.
#[derive(Clone)]
pub struct Stub {
    reply: Arc<Reply>,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl fmt::Debug for Stub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stub")
    }
}

impl Stub {
    /// For what makes no requests.
    pub fn unused() -> Self {
        Self::new(|request| panic!("{} was not expected", request.operation()))
    }

    /// A service that has not been asked yet.
    pub fn new(reply: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        Self { reply: Arc::new(reply), requests: Arc::default() }
    }

    /// The requests of all clients so far, in their order.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// What clients that talk to the stub are made from; the function's own key is `FUNCTION`. Nothing is tried twice.
    pub fn config(&self) -> SdkConfig {
        config::of(self.clone(), None)
    }
}

impl HttpConnector for Stub {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let request = Request {
            headers: request.headers().iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
            body: String::from_utf8_lossy(request.body().bytes().unwrap_or_default()).into_owned(),
        };
        let answer = (self.reply)(&request);
        self.requests.lock().unwrap().push(request);
        HttpConnectorFuture::ready(Ok(HttpResponse::new(answer.status.try_into().unwrap(), SdkBody::from(answer.body))))
    }
}
