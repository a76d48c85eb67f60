//! The configuration of an SDK client that talks to a fake.

use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_runtime_api::client::http::{HttpConnector, SharedHttpConnector, http_client_fn};

/// With the key `FUNCTION`, in eu-west-1; without an endpoint, services have their usual hosts. Nothing is tried twice.
pub(crate) fn of(fake: impl HttpConnector + 'static, endpoint: Option<&str>) -> SdkConfig {
    let connector = SharedHttpConnector::new(fake);
    let own = Credentials::new("FUNCTION", "secret", None, None, "test");
    let mut config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-west-1"))
        .retry_config(RetryConfig::disabled())
        .credentials_provider(SharedCredentialsProvider::new(own))
        .http_client(http_client_fn(move |_, _| connector.clone()));
    config.set_endpoint_url(endpoint.map(ToOwned::to_owned));
    config.build()
}
