//! The account that commands work in.

use anyhow::{Context, Result};
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::ProvideCredentials;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};

/// An AWS account, or an emulator of one, as the caller sees it.
#[derive(Clone, Debug)]
pub struct Account {
    config: SdkConfig,
    home: String,
}

impl Account {
    /// What the SDK's default chain finds: `profile` and `region`, if they are given, then the environment and the shared
    /// files. Credentials are looked for only when they are needed.
    ///
    /// # Errors
    /// When no region is named anywhere.
    pub async fn from_environment(profile: Option<&str>, region: Option<&str>) -> Result<Self> {
        let mut loader = aws_config::defaults(BehaviorVersion::latest()).http_client(
            aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https(),
        );
        if let Some(profile) = profile {
            loader = loader.profile_name(profile);
        }
        if let Some(region) = region {
            loader = loader.region(Region::new(region.to_owned()));
        }
        Self::new(loader.load().await)
            .context("say which region is the installation's home: --region, AWS_REGION, or `region` in the profile")
    }

    /// The account that `config` leads to; its region is the installation's home.
    #[must_use]
    pub fn new(config: SdkConfig) -> Option<Self> {
        let home = config.region()?.to_string();
        Some(Self { config, home })
    }

    /// The region of the installation's home stack.
    #[must_use]
    pub fn home(&self) -> &str {
        &self.home
    }

    /// Configuration for SDK clients of `region`.
    #[must_use]
    pub fn sdk(&self, region: &str) -> SdkConfig {
        self.config.to_builder().region(Region::new(region.to_owned())).build()
    }

    /// Where an emulator answers; nothing on AWS.
    #[must_use]
    pub fn endpoint(&self) -> Option<&str> {
        self.config.endpoint_url()
    }

    /// The account's number, and with it the proof that the credentials are valid.
    ///
    /// # Errors
    /// When there are no credentials, or AWS does not take them; the message says how to get some.
    pub async fn number(&self) -> Result<String> {
        let provider = self.config.credentials_provider().context(NO_CREDENTIALS)?;
        provider.provide_credentials().await.context(NO_CREDENTIALS)?;
        let caller = aws_sdk_sts::Client::new(&self.config).get_caller_identity().send().await;
        let caller = caller.context("AWS does not take the credentials; `aws sts get-caller-identity` says more")?;
        Ok(caller.account().context("STS does not say which account this is")?.to_owned())
    }
}

/// What to do without credentials.
const NO_CREDENTIALS: &str =
    "there are no AWS credentials; set AWS_PROFILE or --profile, or log in with `aws sso login`";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_region_there_is_no_home() {
        let config = SdkConfig::builder().behavior_version(BehaviorVersion::latest()).build();
        assert!(Account::new(config).is_none());
    }

    #[test]
    fn clients_of_another_region_go_to_the_same_endpoint() {
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-west-1"))
            .endpoint_url("http://127.0.0.1:4566")
            .build();
        let account = Account::new(config).unwrap();
        assert_eq!(account.home(), "eu-west-1");
        let away = account.sdk("us-west-2");
        assert_eq!(away.region().map(Region::as_ref), Some("us-west-2"));
        assert_eq!(away.endpoint_url(), account.endpoint());
    }

    #[tokio::test]
    async fn without_credentials_the_message_says_how_to_get_some() {
        let config =
            SdkConfig::builder().behavior_version(BehaviorVersion::latest()).region(Region::new("eu-west-1")).build();
        let error = Account::new(config).unwrap().number().await.unwrap_err();
        assert!(error.to_string().contains("aws sso login"), "{error}");
    }
}
