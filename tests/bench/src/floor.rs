//! The function of the floor: takes an event, makes one conditional put, and logs when that is done. It is built as
//! Millrace's own functions are, so that nothing but the work differs.

use std::time::Duration;

use anyhow::{Context as _, Result};
use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::Value;

/// Whether Lambda, or an emulator of it, started this process.
#[must_use]
pub fn is_wanted() -> bool {
    std::env::var_os("AWS_LAMBDA_RUNTIME_API").is_some()
}

/// Serves events until Lambda ends the process.
///
/// # Errors
/// When the environment has no table, or the runtime's interface fails.
pub async fn serve() -> Result<()> {
    let table = std::env::var("BENCH_TABLE").context("BENCH_TABLE is not set")?;
    let clients = runtime::Clients::new(&runtime::Settings::from_environment()?).await;
    let (table, clients) = (&table, &clients);
    runtime::run(|event: Value, _| async move {
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
