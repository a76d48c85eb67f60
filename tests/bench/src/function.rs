//! The functions that Millrace's are measured beside. They are this program, built as Millrace's own functions are, so
//! that nothing but the work differs. Which one it is, the variable `BENCH_FUNCTION` says.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use aws_sdk_dynamodb::types::AttributeValue;
use runtime::Clients;
use serde_json::{Value, json};

/// Whether Lambda, or an emulator of it, started this process.
#[must_use]
pub fn is_wanted() -> bool {
    std::env::var_os("AWS_LAMBDA_RUNTIME_API").is_some()
}

/// Serves events until Lambda ends the process.
///
/// # Errors
/// When the environment does not say which function this is, or the runtime's interface fails.
pub async fn serve() -> Result<()> {
    let clients = Clients::new(&runtime::Settings::from_environment()?).await;
    match std::env::var("BENCH_FUNCTION").as_deref() {
        Ok("floor") => floor(&clients).await,
        Ok("empty") => runtime::run(async |_: Value, _| Ok(nothing())).await,
        Ok("task") => task(&clients).await,
        other => bail!("BENCH_FUNCTION is {other:?}: it must be floor, empty or task"),
    }
}

/// Takes an event, makes one conditional put, and logs when that is done.
async fn floor(clients: &Clients) -> Result<()> {
    let table = std::env::var("BENCH_TABLE").context("BENCH_TABLE is not set")?;
    let table = &table;
    runtime::run(async |event: Value, _| {
        let id = event["detail"]["id"].as_str().context("the event has no id")?;
        let put = clients.dynamodb().put_item().table_name(table).item("pk", AttributeValue::S(id.to_owned()));
        put.condition_expression("attribute_not_exists(pk)").send().await?;
        tracing::info!(id, "put");
        // An emulator may drop what is written while it already takes the answer.
        tokio::time::sleep(Duration::from_millis(30)).await;
        Ok(Value::Null)
    })
    .await
}

/// What API Gateway hands on to a client as an answer with nothing in it.
fn nothing() -> Value {
    json!({"statusCode": 200, "headers": {"Content-Type": "application/x-amz-json-1.1"}, "body": "{}"})
}

/// A task that has nothing to do. A pipeline's action waits for its report, a state machine for its answer.
async fn task(clients: &Clients) -> Result<()> {
    let codepipeline = aws_sdk_codepipeline::Client::new(clients.config());
    let codepipeline = &codepipeline;
    runtime::run(async |event: Value, _| {
        if let Some(job) = event["CodePipeline.job"]["id"].as_str() {
            codepipeline.put_job_success_result().job_id(job).send().await?;
        }
        Ok(json!({}))
    })
    .await
}
