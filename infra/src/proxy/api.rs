//! The way to the API and back.
//!
//! AWS JSON 1.1 on `/` says in a header what it calls, so it is sent to a path that says it too, where IAM policies see it. For a
//! request that is for one pipeline there are two: the pipeline's own, then that of the operation for all pipelines. Policies may
//! allow either, and only IAM knows which, so where API Gateway refuses the first, the second is tried. The function has not been
//! called then, and the caller could have taken the second path at once: nothing is done twice, and nobody gains a right.

use std::time::{Duration, SystemTime};

use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, USER_AGENT};
use http::{HeaderValue, Method, Response};
use pipeline::PipelineName;
use runtime::{CannotSign, signed};
use serde_json::Value;
use tokio::time::timeout;
use wire::{ApiError, Call, Exception, Operation, Path, Protocol};

use super::credentials::Credentials;
use super::gateway::Refusal;
use super::said;
use super::url::ApiUrl;
use crate::http_client::HttpClient;
use crate::output::words;

/// The name under which API Gateway is signed for.
const SERVICE: &str = "execute-api";
/// API Gateway gives a function 29 seconds.
const PATIENCE: Duration = Duration::from_secs(32);

/// The headers that go on to the API, beside the content type. Nothing that concerns the client's signature or connection does.
const SENT: [&str; 7] = [
    "amz-sdk-invocation-id",
    "amz-sdk-request",
    "smithy-protocol",
    "x-amz-target",
    "x-amz-user-agent",
    "x-amzn-trace-id",
    "x-millrace-of-version",
];
/// The headers that come back, beside all that begin with `x-amzn-`.
const RETURNED: [&str; 3] = ["content-type", "smithy-protocol", "x-amz-apigw-id"];
/// The headers that go on to the console.
const SENT_FOR_PAGES: [&str; 3] = ["accept", "if-none-match", "x-millrace-live"];
/// The headers that come back with a page.
const RETURNED_WITH_PAGES: [&str; 8] = [
    "cache-control",
    "content-security-policy",
    "content-type",
    "etag",
    "location",
    "referrer-policy",
    "x-content-type-options",
    "x-frame-options",
];

/// Millrace's API, called with the credentials of whoever runs the proxy.
#[derive(Debug)]
pub struct Api {
    url: ApiUrl,
    region: String,
    credentials: Credentials,
    http: HttpClient,
    patience: Duration,
}

/// An answer, and the path that it came from.
#[derive(Debug)]
pub struct Answered {
    /// As the client gets it.
    pub answer: wire::Response,
    /// Behind the API's base.
    pub path: String,
}

/// What a client asks for.
#[derive(Debug)]
pub struct Asked<'a> {
    /// Operation and protocol, and what the client's own path names.
    pub call: Call<'a>,
    /// The pipeline that it is for, if it is for one.
    pub pipeline: Option<&'a str>,
    /// The headers as they came, the client's own signature among them; what goes on is chosen from them.
    pub headers: &'a HeaderMap,
    /// The body as it came, at most `wire::MAX_BODY`.
    pub body: &'a [u8],
}

impl Api {
    /// The API at `url`, whose requests are signed for `region`.
    #[must_use]
    pub fn new(url: ApiUrl, region: String, credentials: Credentials) -> Self {
        Self { url, region, credentials, http: HttpClient::new(), patience: PATIENCE }
    }

    /// The same, waiting this long for each answer.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Where the API answers, its stage included.
    pub(super) fn url(&self) -> &ApiUrl {
        &self.url
    }

    /// In whose name calls are made.
    pub(super) fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// Makes a call of the proxy's own, for a pipeline, in AWS JSON 1.1. Returns the body of the answer.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub(super) async fn ask(&self, operation: Operation, pipeline: &str, body: &Value) -> Result<Vec<u8>, String> {
        let call = Call { protocol: Protocol::AwsJson11, operation, path: Path::Operation };
        let body = body.to_string().into_bytes();
        let asked = Asked { call, pipeline: Some(pipeline), headers: &HeaderMap::new(), body: &body };
        let answer = self.call(&asked).await.map_err(|error| error.message)?.answer;
        if answer.status().is_success() {
            return Ok(answer.into_body());
        }
        let error: Value = serde_json::from_slice(answer.body()).unwrap_or_default();
        let words = error["message"].as_str().map_or_else(|| format!("status {}", answer.status()), str::to_owned);
        Err(format!("{}: {words}", operation.name()))
    }

    /// Passes a call on.
    ///
    /// # Errors
    /// What API Gateway itself refuses, and what does not reach it, as an exception for the client.
    pub(super) async fn call(&self, asked: &Asked<'_>) -> Result<Answered, ApiError> {
        let (path, other) = paths(asked);
        let refusal = match self.send(asked, &path).await? {
            Ok(answer) => return Ok(Answered { answer, path }),
            Err(refusal) => refusal,
        };
        let Some(other) = other.filter(|_| refusal.is_of_path()) else {
            return Err(self.exception(&refusal, &[&path]));
        };
        match self.send(asked, &other).await? {
            Ok(answer) => Ok(Answered { answer, path: other }),
            Err(refusal) => Err(self.exception(&refusal, &[&path, &other])),
        }
    }

    /// Reads a page of the console, or what it says of a text that is posted. `target` is the path with its query.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub(crate) async fn page(
        &self,
        (method, target): (Method, &str),
        headers: &HeaderMap,
        body: Vec<u8>,
    ) -> Result<wire::Response, ApiError> {
        let request = || {
            let request = http::Request::builder().method(&method).uri(self.url.at(target)).body(body.clone());
            let mut request = request.map_err(|_| unsendable())?;
            if method == Method::POST {
                request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
            }
            for name in SENT_FOR_PAGES.map(HeaderName::from_static) {
                if let Some(value) = headers.get(&name).filter(|value| value.to_str().is_ok()) {
                    request.headers_mut().insert(name, value.clone());
                }
            }
            Ok(request)
        };
        let answer = self.send_signed(&request, &Refusal::of_page).await?.map_err(|refusal| {
            let path = target.split('?').next().unwrap_or_default();
            refusal.exception(&self.url, &[self.url.arn(&self.region, method.as_str(), path)])
        })?;
        Ok(returned(answer, |name| RETURNED_WITH_PAGES.contains(&name)))
    }

    fn exception(&self, refusal: &Refusal, paths: &[&str]) -> ApiError {
        let arns: Vec<String> = paths.iter().map(|path| self.url.arn(&self.region, "POST", path)).collect();
        refusal.exception(&self.url, &arns)
    }

    /// Sends a call to one path.
    async fn send(&self, asked: &Asked<'_>, path: &str) -> Result<Result<wire::Response, Refusal>, ApiError> {
        let uri = self.url.at(path);
        let answer =
            self.send_signed(&|| request(asked, &uri), &|answer| Refusal::of(answer, asked.call.protocol)).await?;
        Ok(answer.map(|answer| returned(answer, |name| RETURNED.contains(&name))))
    }

    /// Sends a request, signed; once more if other credentials can be had than those that AWS does not take. `refusal`: what
    /// API Gateway itself has said, if it was not Millrace that answered.
    async fn send_signed(
        &self,
        request: &(dyn Fn() -> Result<http::Request<Vec<u8>>, ApiError> + Sync),
        refusal: &(dyn Fn(&Response<Vec<u8>>) -> Option<Refusal> + Sync),
    ) -> Result<Result<Response<Vec<u8>>, Refusal>, ApiError> {
        let credentials = self.credentials.get().await.map_err(|error| {
            let why = said(error);
            Exception::ExpiredTokenException
                .because(format!("The proxy has no valid AWS credentials: {}. {why}", Credentials::HOW))
        })?;
        let answer = self.send_as(request()?, &credentials).await?;
        let refused = match refusal(&answer) {
            None => return Ok(Ok(answer)),
            Some(refusal) if !refusal.is_of_credentials() => return Ok(Err(refusal)),
            Some(refusal) => refusal,
        };
        let Some(others) = self.credentials.instead_of(&credentials).await else { return Ok(Err(refused)) };
        let answer = self.send_as(request()?, &others).await?;
        Ok(match refusal(&answer) {
            None => Ok(answer),
            Some(refusal) => Err(refusal),
        })
    }

    async fn send_as(
        &self,
        request: http::Request<Vec<u8>>,
        credentials: &aws_credential_types::Credentials,
    ) -> Result<Response<Vec<u8>>, ApiError> {
        let request = signed(request, credentials, (SERVICE, &self.region), SystemTime::now()).map_err(unsigned)?;
        match timeout(self.patience, self.http.send(request)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(self.unreachable(&error)),
            Err(_) => {
                let seconds = self.patience.as_secs();
                Err(Exception::ServiceUnavailableException.because(format!(
                    "{} has not answered for {seconds} s. It may have done what was asked: look before you ask again.",
                    self.url.host()
                )))
            }
        }
    }

    fn unreachable(&self, error: &anyhow::Error) -> ApiError {
        Exception::ServiceUnavailableException.because(format!(
            "The proxy gets no answer from {}: is there a network, and is the API's URL right? {}",
            self.url.host(),
            words(error)
        ))
    }
}

/// The path on which a call is made first, and the one that may be open where that is not.
fn paths(asked: &Asked<'_>) -> (String, Option<String>) {
    let operation = asked.call.operation;
    match (asked.call.path, asked.pipeline.filter(|name| is_segment(name))) {
        // Who names a pipeline in the path wants it held against the body's.
        (path @ Path::Pipeline(_), _) => (path.to(operation), None),
        (_, Some(pipeline)) => (Path::Pipeline(pipeline).to(operation), Some(Path::Operation.to(operation))),
        (_, None) => (Path::Operation.to(operation), None),
    }
}

/// Whether a name can stand in a path: it is a pipeline's, and means nothing there.
fn is_segment(name: &str) -> bool {
    PipelineName::new(name).is_ok() && !name.trim_matches('.').is_empty()
}

fn request(asked: &Asked<'_>, uri: &str) -> Result<http::Request<Vec<u8>>, ApiError> {
    let media_type = HeaderValue::from_static(asked.call.protocol.media_type());
    let mut request = http::Request::post(uri).body(asked.body.to_vec()).map_err(|_| unsendable())?;
    let headers = request.headers_mut();
    for name in SENT.map(HeaderName::from_static).into_iter().chain([USER_AGENT]) {
        if let Some(value) = asked.headers.get(&name).filter(|value| value.to_str().is_ok()) {
            headers.insert(name, value.clone());
        }
    }
    if asked.call.protocol == Protocol::RpcV2Cbor {
        // API Gateway hands on bytes as bytes only to who accepts them.
        headers.insert(ACCEPT, media_type.clone());
    }
    headers.insert(CONTENT_TYPE, media_type);
    Ok(request)
}

/// What of the API's answer the client gets: these headers, and all that begin with `x-amzn-`.
fn returned(answer: Response<Vec<u8>>, goes_back: impl Fn(&str) -> bool) -> wire::Response {
    let (mut head, body) = answer.into_parts();
    head.headers = head
        .headers
        .iter()
        .filter(|(name, _)| goes_back(name.as_str()) || name.as_str().starts_with("x-amzn-"))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    Response::from_parts(head, body)
}

fn unsigned(error: CannotSign) -> ApiError {
    Exception::InvalidSignatureException.because(said(error))
}

fn unsendable() -> ApiError {
    Exception::ValidationException.because("The request cannot be sent on: a header or the path is malformed.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(path: Path<'_>, pipeline: Option<&str>) -> (String, Option<String>) {
        let call = Call { protocol: Protocol::AwsJson11, operation: Operation::GetPipeline, path };
        paths(&Asked { call, pipeline, headers: &HeaderMap::new(), body: b"" })
    }

    #[test]
    fn the_pipeline_s_own_path_comes_first_and_the_root_is_never_used() {
        let general = "/service/CodePipeline_20150709/operation/GetPipeline".to_owned();
        for path in [Path::Root, Path::Operation] {
            let own = "/pipelines/a.b@c_d-1/GetPipeline".to_owned();
            assert_eq!(of(path, Some("a.b@c_d-1")), (own, Some(general.clone())));
            assert_eq!(of(path, None), (general.clone(), None));
        }
        let named = "/pipelines/a/GetPipeline".to_owned();
        assert_eq!(of(Path::Pipeline("a"), Some("b")), (named, None), "the API refuses that");
    }

    #[test]
    fn what_would_mean_something_in_a_path_does_not_get_there() {
        let long = "a".repeat(101);
        for name in ["", ".", "..", "...", "a/b", "a?b", "a#b", "a%2fb", "a b", "ä", "a\r\nb", long.as_str()] {
            assert_eq!(of(Path::Root, Some(name)).1, None, "{name:?}");
        }
    }
}
