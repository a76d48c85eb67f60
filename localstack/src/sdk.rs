//! How clients reach the emulator. Nothing is read from the environment or from the user's AWS files.

use anyhow::{Context, Result};
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use millrace::Account;

/// The account that both emulators answer for.
pub const ACCOUNT: &str = "000000000000";
/// The region of the installation.
pub const HOME: &str = "eu-west-1";
/// The other region of action.
pub const AWAY: &str = "us-west-2";
/// Both regions in which the installation has artifact buckets, home first.
pub const REGIONS: [&str; 2] = [HOME, AWAY];
/// Any key will do for the emulators; this is the one that everybody uses.
pub(crate) const KEY: &str = "test";

/// Configuration for any SDK client of the region.
pub(crate) fn config(endpoint: &str, region: &str) -> SdkConfig {
    let http = aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(region.to_owned()))
        .endpoint_url(endpoint)
        .credentials_provider(SharedCredentialsProvider::new(Credentials::new(KEY, KEY, None, None, "local")))
        .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
        .time_source(aws_smithy_async::time::SystemTimeSource::new())
        .http_client(http)
        .build()
}

/// The account of the emulator, for the library that deploys.
pub(crate) fn account(endpoint: &str) -> Result<Account> {
    Account::new(config(endpoint, HOME)).context("the emulator's account has no region")
}
