//! Requests of CodePipeline's client to the installation's own API, on the path that names a pipeline and an operation.

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::BeforeTransmitInterceptorContextMut;
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use aws_types::SigningName;

/// Sends a request to the path that names its pipeline, signed for API Gateway: the SDK would send it to `/`, signed for
/// CodePipeline. An interceptor of one operation.
#[derive(Debug)]
pub struct PipelinePath {
    url: String,
}

impl PipelinePath {
    /// The path of an operation for a pipeline at the API whose address is the output `ApiUrl`.
    pub fn new(api_url: &str, pipeline: &str, operation: &str) -> Self {
        Self { url: format!("{}/pipelines/{pipeline}/{operation}", api_url.trim_end_matches('/')) }
    }

    /// The path of an operation that concerns no single pipeline.
    pub fn of_operation(api_url: &str, operation: &str) -> Self {
        Self { url: format!("{}/service/CodePipeline_20150709/operation/{operation}", api_url.trim_end_matches('/')) }
    }
}

#[dyn_dispatch_hint]
impl Intercept for PipelinePath {
    fn name(&self) -> &'static str {
        "PipelinePath"
    }

    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        context.request_mut().set_uri(self.url.as_str())?;
        config.interceptor_state().store_put(SigningName::from_static("execute-api"));
        Ok(())
    }
}
