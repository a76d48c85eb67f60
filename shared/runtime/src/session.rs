//! Clients under an assumed role.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::timeout::TimeoutConfig;

/// A region seen with the rights of a pipeline's or an action's role. Clients share the function's HTTPS client;
/// credentials are renewed as long as the session is used.
#[derive(Clone, Debug)]
pub struct Session {
    config: SdkConfig,
}

/// For what may rightly take long: a part of 5 GiB copied by S3, a synchronous execution or a function of five minutes.
const LONG: Duration = Duration::from_secs(330);

impl Session {
    pub(crate) fn new(config: SdkConfig) -> Self {
        Self { config }
    }

    /// What clients of other services can be made from.
    pub fn config(&self) -> &SdkConfig {
        &self.config
    }

    /// S3. Emulators get the bucket in the path: their names for buckets as hosts do not resolve everywhere.
    pub fn s3(&self) -> aws_sdk_s3::Client {
        let config = aws_sdk_s3::config::Builder::from(&self.config)
            .force_path_style(self.config.endpoint_url().is_some())
            .timeout_config(self.patient())
            .build();
        aws_sdk_s3::Client::from_conf(config)
    }

    /// A Step Functions client under the role, which waits for synchronous executions.
    pub fn sfn(&self) -> aws_sdk_sfn::Client {
        let config = aws_sdk_sfn::config::Builder::from(&self.config).timeout_config(self.patient()).build();
        aws_sdk_sfn::Client::from_conf(config)
    }

    /// A Lambda client under the role, which waits for functions of five minutes.
    pub fn lambda(&self) -> aws_sdk_lambda::Client {
        let config = aws_sdk_lambda::config::Builder::from(&self.config).timeout_config(self.patient()).build();
        aws_sdk_lambda::Client::from_conf(config)
    }

    /// An SNS client under the role.
    pub fn sns(&self) -> aws_sdk_sns::Client {
        aws_sdk_sns::Client::new(&self.config)
    }

    fn patient(&self) -> TimeoutConfig {
        let timeouts = self.config.timeout_config().map_or_else(TimeoutConfig::builder, TimeoutConfig::to_builder);
        timeouts.operation_timeout(LONG).build()
    }
}
