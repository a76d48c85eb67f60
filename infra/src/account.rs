//! The account that commands work in.

use std::time::Duration;

use anyhow::{Context, Error, Result};
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::ProvideCredentials;
use aws_sdk_s3::config::RequestChecksumCalculation;
use aws_sdk_sts::error::{ProvideErrorMetadata, SdkError};
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
        Self::new(loader.load().await).with_context(|| {
            let wanted =
                "say which region is the installation's home: --region, AWS_REGION, or `region` in the profile";
            let known = "is there such a profile? `aws configure list-profiles` shows them";
            profile.map_or_else(|| wanted.to_owned(), |profile| format!("{wanted} {profile} ({known})"))
        })
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

    /// How long to wait before a service is asked again how far it is.
    pub(crate) fn pause(&self) -> Duration {
        if self.endpoint().is_some() { Duration::from_millis(50) } else { Duration::from_secs(2) }
    }

    /// An S3 client of `region`. Emulators want the bucket in the path.
    #[must_use]
    pub fn s3(&self, region: &str) -> aws_sdk_s3::Client {
        let mut config = aws_sdk_s3::config::Builder::from(&self.sdk(region));
        if self.endpoint().is_some() {
            let when_required = RequestChecksumCalculation::WhenRequired;
            config = config.force_path_style(true).request_checksum_calculation(when_required);
        }
        aws_sdk_s3::Client::from_conf(config.build())
    }

    /// The account's number, and with it the proof that the credentials are valid.
    ///
    /// # Errors
    /// When there are no credentials, or AWS does not take them; the message says how to get some.
    pub async fn number(&self) -> Result<String> {
        Ok(self.caller().await?.account)
    }

    /// Who calls, and with it the proof that the credentials are valid.
    ///
    /// # Errors
    /// When there are no credentials, they have expired, or AWS does not take them; the message says what to do.
    pub async fn caller(&self) -> Result<Caller> {
        let provider = self.config.credentials_provider().context(NO_CREDENTIALS)?;
        provider.provide_credentials().await.map_err(|error| {
            let error = Error::new(error);
            let advice =
                if error.chain().any(|cause| is_about_a_login(&cause.to_string())) { EXPIRED } else { NO_CREDENTIALS };
            error.context(advice)
        })?;
        let caller = aws_sdk_sts::Client::new(&self.config).get_caller_identity().send().await;
        let caller = caller.map_err(|error| {
            let advice = match (&error, error.code()) {
                (_, Some("ExpiredToken" | "ExpiredTokenException")) => EXPIRED.to_owned(),
                // Also what a region says that the account has not turned on.
                (_, Some("InvalidClientTokenId")) => format!(
                    "AWS does not know the access key in {0}: it was deleted, or the account has not enabled {0} \
                     (`aws sts get-caller-identity` says more)",
                    self.home
                ),
                (SdkError::DispatchFailure(_) | SdkError::TimeoutError(_), _) => match self.endpoint() {
                    Some(endpoint) => {
                        format!("nothing answers at {endpoint}, to which AWS_ENDPOINT_URL or the profile points")
                    }
                    None => {
                        format!("AWS cannot be reached in {}: is that a region, and is this machine online?", self.home)
                    }
                },
                _ => "AWS does not take the credentials; `aws sts get-caller-identity` says more".to_owned(),
            };
            Error::new(error).context(advice)
        })?;
        let account = caller.account().context("STS does not say which account this is")?.to_owned();
        Ok(Caller { account, arn: caller.arn().context("STS does not say who calls")?.to_owned() })
    }
}

/// Who calls AWS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The account's number, 12 digits.
    pub account: String,
    /// The user's ARN, or the session's of an assumed role.
    pub arn: String,
}

impl Caller {
    /// The partition in which the account is: `aws`, `aws-cn` or `aws-us-gov`.
    #[must_use]
    pub fn partition(&self) -> &str {
        self.arn.split(':').nth(1).unwrap_or("aws")
    }
}

/// Whether an error of the credentials' provider says that somebody must log in again.
fn is_about_a_login(text: &str) -> bool {
    let text = text.to_lowercase();
    ["expired", "sso token", "token is invalid", "refresh"].iter().any(|word| text.contains(word))
}

/// What to do without credentials.
const NO_CREDENTIALS: &str =
    "there are no AWS credentials; set AWS_PROFILE or --profile, or log in with `aws sso login`";

/// What to do with old ones.
const EXPIRED: &str =
    "the AWS session has expired; log in again with `aws sso login` (with --profile NAME, if you use one)";

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
