//! Requests to hosts that no SDK knows, over the clients of the SDKs.

use std::time::Duration;

use anyhow::{Context as _, Result};
use aws_smithy_runtime::client::orchestrator::operation::Operation;
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_runtime_api::client::interceptors::context::{Error, Output};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse, OrchestratorError};
use aws_smithy_runtime_api::client::ser_de::DeserializeResponse;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::timeout::TimeoutConfig;
use http::Uri;
use tracing::instrument::WithSubscriber as _;
use tracing::subscriber::NoSubscriber;

/// An answer that was read to its end.
#[derive(Debug)]
pub struct WebAnswer {
    /// Its HTTP status; none is an error here.
    pub status: u16,
    /// The bytes as they came, neither decoded nor unpacked.
    pub body: Vec<u8>,
}

/// Posts a request to where its URI leads, once, and follows no redirect: whoever called decides about another try. Nothing of it is
/// logged, at no level, since the path or a header may be a secret.
///
/// # Errors
/// When the URI names no host, or no answer is there in time. The message has nothing of the URI but its host.
pub async fn post(client: SharedHttpClient, request: http::Request<Vec<u8>>, patience: Duration) -> Result<WebAnswer> {
    let timeouts = TimeoutConfig::builder().operation_timeout(patience).connect_timeout(patience).build();
    let url = request.uri().clone();
    let host = url.authority().context("the URL names no host")?;
    let origin = format!("{}://{host}", url.scheme_str().unwrap_or("https"));
    let operation = Operation::builder()
        .service_name("web")
        .operation_name("Post")
        .behavior_version(BehaviorVersion::latest())
        .http_client(client)
        .endpoint_url(&origin)
        .no_auth()
        .no_retry()
        .timeout_config(timeouts)
        .serializer(|request: http::Request<SdkBody>| Ok(HttpRequest::try_from(request)?))
        .deserializer_impl::<WebAnswer, Error>(Read)
        .build();
    let (mut head, body) = request.into_parts();
    head.uri = url.path_and_query().map_or("/", |it| it.as_str()).parse::<Uri>()?;
    head.headers.insert(http::header::CONTENT_LENGTH, body.len().into());
    let request = http::Request::from_parts(head, SdkBody::from(body));
    let answer = operation.invoke(request).with_subscriber(NoSubscriber::default()).await;
    answer.with_context(|| format!("no answer from {host}"))
}

/// Takes every answer as it is.
#[derive(Debug)]
struct Read;

impl DeserializeResponse for Read {
    fn deserialize_nonstreaming(&self, response: &HttpResponse) -> Result<Output, OrchestratorError<Error>> {
        let body = response.body().bytes().unwrap_or_default().to_vec();
        Ok(Output::erase(WebAnswer { status: response.status().as_u16(), body }))
    }
}
