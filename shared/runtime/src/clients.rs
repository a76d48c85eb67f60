//! AWS clients under the function's own role, each made when it is first used.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_smithy_http_client::tls::{self, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::SharedHttpClient;

use crate::calls::{CALLS, CountUnits};
use crate::settings::Settings;

/// Tries of a request in all, with back-off between them, for throttling and passing faults.
const TRIES: u32 = 3;
const CONNECT: Duration = Duration::from_secs(2);
const OPERATION: Duration = Duration::from_secs(30);

/// The function's own AWS clients: cheap to clone, each client is made when it is first used.
///
/// Credentials are those of the environment, as Lambda gives them; nothing looks for a profile or an instance role.
/// `AWS_ENDPOINT_URL` (and `AWS_ENDPOINT_URL_{SERVICE}`) lead to an emulator.
#[derive(Clone, Debug)]
pub struct Clients {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: SdkConfig,
    /// Whether the configuration's HTTP client reaches an emulator only.
    plain: bool,
    web: OnceLock<SharedHttpClient>,
    dynamodb: OnceLock<aws_sdk_dynamodb::Client>,
    eventbridge: OnceLock<aws_sdk_eventbridge::Client>,
    iam: OnceLock<aws_sdk_iam::Client>,
    kms: OnceLock<aws_sdk_kms::Client>,
    sqs: OnceLock<aws_sdk_sqs::Client>,
}

impl Clients {
    /// Clients for the settings' region. Makes no connection.
    pub async fn new(settings: &Settings) -> Self {
        // An emulator: reading the system's certificates would take longer than all else of a function's start.
        let plain = settings.endpoint_url().is_some_and(|url| url.starts_with("http://"));
        let http = if plain { aws_smithy_http_client::Builder::new().build_http() } else { https() };
        let key = std::env::var("AWS_ACCESS_KEY_ID").unwrap_or_default();
        let http = CALLS.client(http, &key);
        let config = aws_config::defaults(BehaviorVersion::latest())
            .http_client(http)
            .region(Region::new(settings.region().to_owned()))
            .credentials_provider(EnvironmentVariableCredentialsProvider::new())
            .retry_config(RetryConfig::standard().with_max_attempts(TRIES))
            .timeout_config(TimeoutConfig::builder().connect_timeout(CONNECT).operation_timeout(OPERATION).build())
            .load()
            .await;
        Self::over(config, plain)
    }

    /// Clients over a configuration made elsewhere, for tools and tests.
    pub fn from_config(config: SdkConfig) -> Self {
        Self::over(config, false)
    }

    fn over(config: SdkConfig, plain: bool) -> Self {
        let inner = Inner {
            config,
            plain,
            web: OnceLock::new(),
            dynamodb: OnceLock::new(),
            eventbridge: OnceLock::new(),
            iam: OnceLock::new(),
            kms: OnceLock::new(),
            sqs: OnceLock::new(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// What the clients are made from: region, credentials, HTTPS client, time-outs.
    pub fn config(&self) -> &SdkConfig {
        &self.inner.config
    }

    /// An HTTPS client for what is not AWS: a host of code. On AWS it is the one of all other clients.
    pub fn web(&self) -> SharedHttpClient {
        let make = || self.inner.config.http_client().filter(|_| !self.inner.plain).unwrap_or_else(https);
        self.inner.web.get_or_init(make).clone()
    }

    /// A DynamoDB client under the function's own role.
    pub fn dynamodb(&self) -> &aws_sdk_dynamodb::Client {
        let config =
            || aws_sdk_dynamodb::config::Builder::from(&self.inner.config).interceptor(CountUnits(CALLS.clone()));
        self.inner.dynamodb.get_or_init(|| aws_sdk_dynamodb::Client::from_conf(config().build()))
    }

    /// An EventBridge client under the function's own role.
    pub fn eventbridge(&self) -> &aws_sdk_eventbridge::Client {
        let config =
            || aws_sdk_eventbridge::config::Builder::from(&self.inner.config).interceptor(CountUnits(CALLS.clone()));
        self.inner.eventbridge.get_or_init(|| aws_sdk_eventbridge::Client::from_conf(config().build()))
    }

    /// An IAM client under the function's own role.
    pub fn iam(&self) -> &aws_sdk_iam::Client {
        self.inner.iam.get_or_init(|| aws_sdk_iam::Client::new(&self.inner.config))
    }

    /// A KMS client under the function's own role.
    pub fn kms(&self) -> &aws_sdk_kms::Client {
        self.inner.kms.get_or_init(|| aws_sdk_kms::Client::new(&self.inner.config))
    }

    /// An SQS client under the function's own role.
    pub fn sqs(&self) -> &aws_sdk_sqs::Client {
        self.inner.sqs.get_or_init(|| aws_sdk_sqs::Client::new(&self.inner.config))
    }
}

fn https() -> SharedHttpClient {
    aws_smithy_http_client::Builder::new().tls_provider(tls::Provider::Rustls(CryptoMode::Ring)).build_https()
}
