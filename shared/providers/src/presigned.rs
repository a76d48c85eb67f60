//! Files that a service takes at an address which it has signed. Whoever knows the address can use it, so it is in no
//! message.

use std::time::Duration;

use artifacts::{Content, chain};
use aws_smithy_runtime::client::orchestrator::operation::Operation;
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_runtime_api::client::interceptors::context::{Error, Output};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse, OrchestratorError};
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_runtime_api::client::ser_de::DeserializeResponse;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::timeout::TimeoutConfig;
use url::Url;

use crate::configuration::shown;
use crate::error::{JOB_FAILED, ProviderError};

/// For a file of several GiB.
const PATIENCE: Duration = Duration::from_secs(600);

/// Puts a file there. `label` is how messages call it.
///
/// # Errors
/// A failure that is worth repeating when nobody answers, or with an error of the server's own; final when the file is refused.
pub(crate) async fn put(
    client: SharedHttpClient,
    address: &str,
    content: &Content,
    label: &str,
) -> Result<(), ProviderError> {
    let unusable =
        || ProviderError::failed(JOB_FAILED, format!("the address to which {label} is to be sent is no URL"));
    let url = Url::parse(address).map_err(|_| unusable())?;
    let operation = Operation::builder()
        .service_name("presigned")
        .operation_name("Put")
        .behavior_version(BehaviorVersion::latest())
        .http_client(client)
        .endpoint_url(&url.origin().ascii_serialization())
        .no_auth()
        .no_retry()
        .timeout_config(TimeoutConfig::builder().operation_timeout(PATIENCE).build())
        .serializer(|request: http::Request<SdkBody>| Ok(HttpRequest::try_from(request)?))
        .deserializer_impl::<Answer, Error>(Read)
        .build();
    let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
    let body = content.stream().await?.into_inner();
    let request = http::Request::put(path).header("content-length", content.size()).body(body);
    let answer = operation.invoke(request.map_err(|_| unusable())?).await.map_err(|error| match error {
        SdkError::ConstructionFailure(_) => unusable(),
        error => ProviderError::Retryable(format!("{label} could not be sent: {}", chain(&error))),
    })?;
    match answer.status {
        200..=299 => Ok(()),
        status => {
            let message = format!("{label} was answered with {status}: {}", shown(answer.text.trim()));
            Err(if status >= 500 {
                ProviderError::Retryable(message)
            } else {
                ProviderError::failed(JOB_FAILED, message)
            })
        }
    }
}

/// An answer of whatever status.
#[derive(Debug)]
struct Answer {
    status: u16,
    text: String,
}

#[derive(Debug)]
struct Read;

impl DeserializeResponse for Read {
    fn deserialize_nonstreaming(&self, response: &HttpResponse) -> Result<Output, OrchestratorError<Error>> {
        let text = String::from_utf8_lossy(response.body().bytes().unwrap_or_default()).into_owned();
        Ok(Output::erase(Answer { status: response.status().as_u16(), text }))
    }
}
