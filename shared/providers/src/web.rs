//! Requests to hosts of code: HTTPS with a token, over the same client as those to AWS. Only the code host of a local stack is
//! reached without TLS, at its one address.
//!
//! The token goes to the host for which it is, and nowhere else: a redirect is followed without it when it leads to another
//! host, and not at all when that host is of another family. Neither headers nor queries, which may contain tokens of
//! the host's own, are in any message.

use std::time::Duration;

use artifacts::chain;
use aws_smithy_runtime::client::orchestrator::operation::Operation;
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_runtime_api::client::interceptors::context::{Error, Output};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse, OrchestratorError};
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_runtime_api::client::ser_de::DeserializeResponse;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use aws_smithy_types::timeout::TimeoutConfig;
use http::{HeaderValue, Method};
use serde_json::Value;
use url::Url;

use crate::error::{JOB_FAILED, ProviderError};

/// Redirects of one request that are followed.
const REDIRECTS: usize = 5;
/// Until the beginning of an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// A host, by the address of its API, and the token that it takes.
pub(crate) struct Web {
    client: SharedHttpClient,
    api: Url,
    authorization: HeaderValue,
}

/// An answer whose body has not been read.
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The request that it answers, as messages name it.
    pub(crate) request: String,
    response: HttpResponse,
}

/// What goes with a request.
#[derive(Default)]
struct Sent<'a> {
    body: Option<String>,
    /// The page is wanted only if it is not the one that had this ETag.
    etag: Option<&'a str>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.response.headers().get(name)
    }

    /// How long the body is, where the host says so.
    pub(crate) fn length(&self) -> Option<u64> {
        self.header("content-length")?.parse().ok()
    }

    pub(crate) fn body(&mut self) -> ByteStream {
        ByteStream::new(std::mem::replace(self.response.body_mut(), SdkBody::taken()))
    }

    /// The body, if it has at most `limit` bytes.
    pub(crate) async fn read(mut self, limit: usize) -> Result<Vec<u8>, ProviderError> {
        let (request, length) = (self.request.clone(), self.length());
        let mut body = self.body();
        let mut bytes = Vec::new();
        let broken = |why: String| ProviderError::Retryable(format!("the answer to {request} broke off: {why}"));
        while let Some(piece) = body.try_next().await.map_err(|error| broken(chain(&error)))? {
            bytes.extend_from_slice(&piece);
            if bytes.len() > limit {
                let message = format!("the answer to {request} has more than the {limit} bytes that are read of it");
                return Err(ProviderError::failed(JOB_FAILED, message));
            }
        }
        match length {
            Some(length) if length != bytes.len() as u64 => {
                Err(broken(format!("{} bytes came of {length}", bytes.len())))
            }
            _ => Ok(bytes),
        }
    }
}

impl Web {
    /// # Errors
    /// A configuration error for a token that is no value of a header.
    pub(crate) fn new(client: SharedHttpClient, api: Url, token: &str) -> Result<Self, ProviderError> {
        let plain = !token.is_empty() && token.chars().all(|character| character.is_ascii_graphic());
        let value = plain.then(|| HeaderValue::try_from(format!("Bearer {token}")).ok()).flatten();
        let mut authorization = value.ok_or_else(|| {
            ProviderError::configuration(format!(
                "the token for {} is empty, or has characters that no token has",
                api.host_str().unwrap_or_default()
            ))
        })?;
        // The SDK's finest log hides this header by its name, that of the client below it by this mark.
        authorization.set_sensitive(true);
        Ok(Self { client, api, authorization })
    }

    pub(crate) fn api(&self) -> &Url {
        &self.api
    }

    /// Asks for a page of the API's host, or of its family, and follows where that leads to.
    pub(crate) async fn get(&self, url: Url) -> Result<Answer, ProviderError> {
        self.get_changed(url, None).await
    }

    /// The same, where the host is to answer 304 if the page is still the one to which it gave this ETag.
    pub(crate) async fn get_changed(&self, mut url: Url, etag: Option<&str>) -> Result<Answer, ProviderError> {
        for _ in 0..=REDIRECTS {
            let request = named(&Method::GET, &url);
            if !self.is_family(&url) {
                let api = self.api.host_str().unwrap_or_default();
                let message = format!("{request} is refused: it is not a place of {api} that is reached by HTTPS");
                return Err(ProviderError::failed(JOB_FAILED, message));
            }
            let answer = self.answer(Method::GET, &url, request, Sent { etag, ..Sent::default() }).await?;
            if !matches!(answer.status, 301 | 302 | 303 | 307 | 308) {
                return Ok(answer);
            }
            let to = answer.header("location").and_then(|location| url.join(location).ok());
            url = to.ok_or_else(|| {
                ProviderError::failed(JOB_FAILED, format!("the answer to {} leads nowhere", answer.request))
            })?;
        }
        let message = format!("{} was redirected more than {REDIRECTS} times", named(&Method::GET, &url));
        Err(ProviderError::failed(JOB_FAILED, message))
    }

    /// Changes something at the API's host, with what is to be there as JSON. No redirect is followed.
    pub(crate) async fn change(
        &self,
        method: Method,
        url: &Url,
        body: Option<&Value>,
    ) -> Result<Answer, ProviderError> {
        let request = named(&method, url);
        if url.origin() != self.api.origin() {
            let message = format!("{request} is refused: it is not a place of {}", self.api);
            return Err(ProviderError::failed(JOB_FAILED, message));
        }
        self.answer(method, url, request, Sent { body: body.map(Value::to_string), etag: None }).await
    }

    async fn answer(
        &self,
        method: Method,
        url: &Url,
        request: String,
        sent: Sent<'_>,
    ) -> Result<Answer, ProviderError> {
        let response = self.send(method, url, sent).await.map_err(|error| match error {
            SdkError::ConstructionFailure(_) => {
                ProviderError::failed(JOB_FAILED, format!("{request} failed: {}", chain(&error)))
            }
            error => ProviderError::Retryable(format!("{request} failed: {}", chain(&error))),
        })?;
        Ok(Answer { status: response.status().as_u16(), request, response })
    }

    /// `codeload.github.com` is of the family of `api.github.com`.
    fn is_family(&self, url: &Url) -> bool {
        if url.origin() == self.api.origin() {
            return true;
        }
        let api = self.api.host_str().unwrap_or_default();
        let domain = api.strip_prefix("api.").unwrap_or(api);
        let host = url.host_str().unwrap_or_default();
        let below = host.strip_suffix(domain).is_some_and(|below| below.is_empty() || below.ends_with('.'));
        url.scheme() == "https" && below && url.port() == self.api.port()
    }

    async fn send(
        &self,
        method: Method,
        url: &Url,
        sent: Sent<'_>,
    ) -> Result<HttpResponse, SdkError<Error, HttpResponse>> {
        let operation = Operation::builder()
            .service_name("code-host")
            .operation_name("Request")
            .behavior_version(BehaviorVersion::latest())
            .http_client(self.client.clone())
            .endpoint_url(&url.origin().ascii_serialization())
            .no_auth()
            .no_retry()
            .timeout_config(TimeoutConfig::builder().operation_timeout(PATIENCE).build())
            .serializer(|request: http::Request<String>| Ok(HttpRequest::try_from(request.map(SdkBody::from))?))
            .deserializer_impl::<Taken, Error>(Take)
            .build();
        let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
        let request = http::Request::builder().method(method).uri(path);
        let mut request = request.header("user-agent", "millrace").header("accept", "*/*");
        if sent.body.is_some() {
            request = request.header("content-type", "application/json");
        }
        if url.origin() == self.api.origin() {
            request = request.header("authorization", self.authorization.clone());
        }
        if let Some(etag) = sent.etag {
            request = request.header("if-none-match", etag);
        }
        let request = request.body(sent.body.unwrap_or_default()).map_err(SdkError::construction_failure)?;
        Ok(operation.invoke(request).await?.0)
    }
}

/// A request without its query.
fn named(method: &Method, url: &Url) -> String {
    format!("{method} {}{}", url.origin().ascii_serialization(), url.path())
}

/// An answer of whatever status, with its body unread.
#[derive(Debug)]
struct Taken(HttpResponse);

#[derive(Debug)]
struct Take;

impl DeserializeResponse for Take {
    fn deserialize_streaming(&self, response: &mut HttpResponse) -> Option<Result<Output, OrchestratorError<Error>>> {
        let empty = HttpResponse::new(response.status(), SdkBody::taken());
        Some(Ok(Output::erase(Taken(std::mem::replace(response, empty)))))
    }

    fn deserialize_nonstreaming(&self, _: &HttpResponse) -> Result<Output, OrchestratorError<Error>> {
        Err(OrchestratorError::other("the answer has been taken already"))
    }
}
