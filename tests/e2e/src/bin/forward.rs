//! A function for Invoke actions that does nothing itself: it puts its event into the queue that `UserParameters` names,
//! so that a case can be the worker of the job.

use anyhow::Context;
use aws_config::BehaviorVersion;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::Value;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let http = aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    let config = aws_config::defaults(BehaviorVersion::latest()).http_client(http).load().await;
    let queues = &aws_sdk_sqs::Client::new(&config);
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| async move {
        let parameters = &event.payload["CodePipeline.job"]["data"]["actionConfiguration"]["configuration"];
        let queue = parameters["UserParameters"].as_str().context("UserParameters must name a queue")?;
        queues.send_message().queue_url(queue).message_body(event.payload.to_string()).send().await?;
        Ok::<(), Error>(())
    }))
    .await
}
