//! The emulator that stands for AWS: where it is, and clients of it for one region.

use std::path::PathBuf;
use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_s3::config::RequestChecksumCalculation;
use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};

/// How long the emulator may take to accept a connection: it is on this machine.
const CONNECT: Duration = Duration::from_secs(3);

/// What a build host is told when it starts.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The folder in which each build gets one of its own, gone when the build has ended.
    pub root: PathBuf,
    /// The emulator's URL, for the host and for what the builds run.
    pub endpoint: String,
    /// The account in ARNs.
    pub account: String,
    /// The access key and secret key with which the host and its builds call the emulator.
    pub credentials: (String, String),
    /// How many builds run at once; others wait in the phase QUEUED.
    pub parallel: usize,
    /// What a minute of a time-out lasts. Tests shorten it, since CodeBuild's shortest time-out is five minutes.
    pub minute: Duration,
}

impl Settings {
    /// Settings for an emulator with its usual account and keys.
    pub fn new(root: impl Into<PathBuf>, endpoint: impl Into<String>) -> Self {
        Self {
            root: root.into(),
            endpoint: endpoint.into(),
            account: "000000000000".to_owned(),
            credentials: ("test".to_owned(), "test".to_owned()),
            parallel: 8,
            minute: Duration::from_secs(60),
        }
    }

    /// Clients for any region. Nothing is read from the environment or from the user's AWS files.
    pub(crate) fn config(&self) -> SdkConfig {
        let tls = Provider::Rustls(CryptoMode::Ring);
        let (key, secret) = &self.credentials;
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url(&self.endpoint)
            .credentials_provider(SharedCredentialsProvider::new(Credentials::new(
                key,
                secret,
                None,
                None,
                "build-host",
            )))
            .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
            .timeout_config(TimeoutConfig::builder().connect_timeout(CONNECT).build())
            .time_source(aws_smithy_async::time::SystemTimeSource::new())
            .http_client(aws_smithy_http_client::Builder::new().tls_provider(tls).build_https())
            .build()
    }
}

/// Clients of the services that a build touches, in its region.
#[derive(Clone, Debug)]
pub(crate) struct Cloud {
    pub region: pipeline::Region,
    pub s3: aws_sdk_s3::Client,
    pub logs: aws_sdk_cloudwatchlogs::Client,
    pub events: aws_sdk_eventbridge::Client,
    pub parameters: aws_sdk_ssm::Client,
    pub secrets: aws_sdk_secretsmanager::Client,
}

impl Cloud {
    /// Clients over `config`, with the bucket in the path, as emulators want it.
    pub(crate) fn new(config: &SdkConfig, region: pipeline::Region) -> Self {
        let config = config.to_builder().region(Region::new(region.to_string())).build();
        let s3 = aws_sdk_s3::config::Builder::from(&config)
            .force_path_style(true)
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired);
        Self {
            region,
            s3: aws_sdk_s3::Client::from_conf(s3.build()),
            logs: aws_sdk_cloudwatchlogs::Client::new(&config),
            events: aws_sdk_eventbridge::Client::new(&config),
            parameters: aws_sdk_ssm::Client::new(&config),
            secrets: aws_sdk_secretsmanager::Client::new(&config),
        }
    }

    /// A bucket of the build's region.
    pub(crate) fn bucket(&self, name: &str) -> artifacts::Bucket {
        artifacts::Bucket::new(self.s3.clone(), self.region.clone(), name)
    }
}

/// Splits `bucket/key` or `arn:aws:s3:::bucket/key`.
pub(crate) fn bucket_and_key(location: &str) -> Option<(&str, &str)> {
    let location = location.strip_prefix("arn:aws:s3:::").unwrap_or(location);
    location.split_once('/').filter(|(bucket, key)| !bucket.is_empty() && !key.is_empty())
}
