//! Sends requests of OTLP/HTTP. Source: OpenTelemetry protocol specification, 'OTLP/HTTP', binary encoding.

use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, bail};
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_smithy_runtime::client::orchestrator::operation::Operation;
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_runtime_api::client::interceptors::context::{Error, Output};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse, OrchestratorError};
use aws_smithy_runtime_api::client::ser_de::DeserializeResponse;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::timeout::TimeoutConfig;
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use prost::Message as _;
use runtime::{Clients, Settings};

/// The parameter's word for X-Ray in the installation's own region.
const XRAY: &str = "xray";
/// Until an answer is there. A request has a few MB at most, and whoever hangs is asked again later.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Where traces go.
#[derive(Debug)]
pub struct Collector {
    url: http::Uri,
    client: SharedHttpClient,
    /// For X-Ray: whose name requests are signed with, and its region.
    signs: Option<(SharedCredentialsProvider, String)>,
    patience: Duration,
}

impl Collector {
    /// The collector of the settings; none where they name none.
    ///
    /// # Errors
    /// When the endpoint is neither `xray` nor a URL.
    pub fn new(settings: &Settings, clients: &Clients) -> Result<Option<Self>> {
        let Some(endpoint) = settings.trace_endpoint() else { return Ok(None) };
        let region = settings.region().to_owned();
        let xray = endpoint == XRAY;
        let url = if xray {
            let suffix = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
            format!("https://xray.{region}.{suffix}/v1/traces")
        } else {
            endpoint
        };
        let unusable = || format!("MILLRACE_TRACE_ENDPOINT is {url:?}: it must be xray or the URL of a collector");
        let url: http::Uri = url.parse().with_context(unusable)?;
        let plain = url.scheme_str() == Some("http");
        let client = clients.config().http_client().filter(|_| plain).unwrap_or_else(|| clients.web());
        let signs = xray.then(|| clients.config().credentials_provider()).flatten().map(|it| (it, region));
        Ok(Some(Self { url, client, signs, patience: PATIENCE }))
    }

    /// Another patience, for tests.
    #[cfg(test)]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Whether it has X-Ray's limits on age.
    pub fn is_xray(&self) -> bool {
        self.signs.is_some()
    }

    /// Sends a request. What the collector takes in part is logged: sent again, it would be taken no better.
    ///
    /// # Errors
    /// When nobody answers in time, or with another status than 2xx; the message has the collector's own words.
    pub async fn send(&self, request: &ExportTraceServiceRequest) -> Result<()> {
        let request = http::Request::post(self.url.clone())
            .header("content-type", "application/x-protobuf")
            .body(request.encode_to_vec())?;
        let request = match &self.signs {
            Some((provider, region)) => {
                let credentials =
                    provider.provide_credentials().await.context("there are no credentials to sign with")?;
                runtime::signed(request, &credentials, (XRAY, region), SystemTime::now())?
            }
            None => request,
        };
        let host = self.url.authority().map(ToString::to_string).unwrap_or_default();
        let answer = self.post(request).await.with_context(|| format!("no answer from {host}"))?;
        if !(200..300).contains(&answer.status) {
            let said: String = String::from_utf8_lossy(&answer.body).trim().chars().take(1_000).collect();
            bail!("{host} answered with status {}: {said}", answer.status);
        }
        // An empty body is a success without more words.
        let partial = ExportTraceServiceResponse::decode(&*answer.body).unwrap_or_default().partial_success;
        if let Some(partial) = partial.filter(|it| it.rejected_spans > 0 || !it.error_message.is_empty()) {
            tracing::warn!(
                rejected = partial.rejected_spans,
                reason = partial.error_message,
                "the collector took not all"
            );
        }
        Ok(())
    }

    async fn post(&self, request: http::Request<Vec<u8>>) -> Result<Answer> {
        let timeouts = TimeoutConfig::builder().operation_timeout(self.patience).connect_timeout(self.patience);
        let origin = format!(
            "{}://{}",
            self.url.scheme_str().unwrap_or("https"),
            self.url.authority().context("the URL of the collector names no host")?
        );
        let operation = Operation::builder()
            .service_name("otlp")
            .operation_name("ExportTraces")
            .behavior_version(BehaviorVersion::latest())
            .http_client(self.client.clone())
            .endpoint_url(&origin)
            .no_auth()
            // The queue tries again.
            .no_retry()
            .timeout_config(timeouts.build())
            .serializer(|request: http::Request<SdkBody>| Ok(HttpRequest::try_from(request)?))
            .deserializer_impl::<Answer, Error>(Read)
            .build();
        let (mut head, body) = request.into_parts();
        let path = self.url.path_and_query().map_or("/", |it| it.as_str());
        head.uri = path.parse()?;
        head.headers.insert(http::header::CONTENT_LENGTH, body.len().into());
        Ok(operation.invoke(http::Request::from_parts(head, SdkBody::from(body))).await?)
    }
}

/// An answer that was read to its end.
#[derive(Debug)]
struct Answer {
    status: u16,
    body: Vec<u8>,
}

/// Takes every answer as it is: a status is no error here.
#[derive(Debug)]
struct Read;

impl DeserializeResponse for Read {
    fn deserialize_nonstreaming(&self, response: &HttpResponse) -> Result<Output, OrchestratorError<Error>> {
        let body = response.body().bytes().unwrap_or_default().to_vec();
        Ok(Output::erase(Answer { status: response.status().as_u16(), body }))
    }
}
