//! Sends requests of OTLP/HTTP. Source: OpenTelemetry protocol specification, 'OTLP/HTTP', binary encoding.

use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, bail};
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
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
        // The queue tries again.
        let answer = runtime::post(self.client.clone(), request, self.patience).await?;
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
}
