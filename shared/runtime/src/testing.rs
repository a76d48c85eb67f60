//! AWS as tests see it: a function from requests to answers, under the SDK's real clients.

use std::fmt;
use std::sync::{Arc, Mutex};

use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;

/// A request as it was sent.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    headers: Vec<(String, String)>,
    pub body: String,
}

impl Request {
    /// A header's value, or nothing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// The operation in `X-Amz-Target`.
    #[allow(dead_code, reason = "not every crate that includes this file asks")]
    pub fn operation(&self) -> &str {
        self.header("x-amz-target").rsplit('.').next().unwrap_or_default()
    }
}

/// What the service answers.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub status: u16,
    pub body: String,
}

impl Answer {
    pub fn ok(body: impl Into<String>) -> Self {
        Self { status: 200, body: body.into() }
    }
}

type Reply = dyn Fn(&Request) -> Answer + Send + Sync;

/// A service that answers by a function and remembers what it was asked.
#[derive(Clone)]
pub(crate) struct Stub {
    reply: Arc<Reply>,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl fmt::Debug for Stub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stub")
    }
}

impl Stub {
    pub fn new(reply: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        Self { reply: Arc::new(reply), requests: Arc::default() }
    }

    /// Everything asked so far.
    #[allow(dead_code, reason = "not every crate that includes this file looks at requests")]
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// What clients that talk to the stub are made from; the function's own key is `FUNCTION`. Nothing is tried twice.
    pub fn config(&self) -> SdkConfig {
        let connector = SharedHttpConnector::new(self.clone());
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-west-1"))
            .retry_config(RetryConfig::disabled())
            .credentials_provider(SharedCredentialsProvider::new(Credentials::new(
                "FUNCTION", "secret", None, None, "test",
            )))
            .http_client(http_client_fn(move |_, _| connector.clone()))
            .build()
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
