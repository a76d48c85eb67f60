//! Requests that no SDK makes, through the SDK's own HTTP client.

use std::time::Duration;

use anyhow::{Context as _, Error, Result};
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::{HttpConnector as _, HttpConnectorSettings};
use aws_smithy_types::body::SdkBody;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Limited};

const CONNECT: Duration = Duration::from_secs(5);
/// Shorter than servers keep idle connections open, so that none is used which is just being closed.
const IDLE: Duration = Duration::from_secs(20);
/// The longest answer, in bytes: API Gateway's own limit.
const LONGEST: usize = 10 * 1024 * 1024;

/// A client that keeps its connections for a while. It follows no redirects.
#[derive(Debug)]
pub(crate) struct HttpClient(Connector);

impl HttpClient {
    pub fn new() -> Self {
        let settings = HttpConnectorSettings::builder().connect_timeout(CONNECT).build();
        let connector = Connector::builder().connector_settings(settings).sleep_impl(TokioSleep::new());
        Self(connector.pool_idle_timeout(IDLE).tls_provider(Provider::Rustls(CryptoMode::Ring)).build())
    }

    /// Sends a request and reads the whole answer, whatever its status. How long that may take is the caller's business.
    ///
    /// # Errors
    /// When nobody answers, or with more than 10 MiB.
    pub async fn send(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>> {
        let request = request.map(SdkBody::from).try_into().context("the request cannot be sent")?;
        let answer = self.0.call(request).await?;
        let mut head = Response::builder().status(answer.status().as_u16());
        for (name, value) in answer.headers() {
            head = head.header(name, value);
        }
        let body = Limited::new(answer.into_body(), LONGEST).collect().await.map_err(Error::from_boxed)?;
        Ok(head.body(body.to_bytes().to_vec())?)
    }
}
