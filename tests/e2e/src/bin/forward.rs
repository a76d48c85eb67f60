//! A function that does nothing itself, so that the case can act in its place. For a job of an Invoke action, it puts
//! the event into the queue that `UserParameters` names. For a job of a third-party action it does the same with
//! `Queue`, and returns what `Answer` says, or `Next` if the job is a continuation.

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
        let event = event.payload;
        let invoked = &event["CodePipeline.job"]["data"]["actionConfiguration"]["configuration"];
        let executed = &event["data"]["actionConfiguration"];
        let queue = invoked["UserParameters"].as_str().or(executed["Queue"].as_str()).context("no queue is named")?;
        queues.send_message().queue_url(queue).message_body(event.to_string()).send().await?;
        let answer = if event["data"]["continuationToken"].is_null() { "Answer" } else { "Next" };
        let answer = executed[answer].as_str().map(serde_json::from_str::<Value>);
        Ok::<_, Error>(answer.transpose().context("made to fail")?)
    }))
    .await
}
