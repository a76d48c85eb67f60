//! What the release has left behind, looked up where it should be.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aws_sdk_codepipeline::Client;
use aws_sdk_codepipeline::primitives::DateTime;
use aws_sdk_codepipeline::types::{ActionExecutionDetail, ActionExecutionFilter};
use local::{AWAY, HOME, Stack};

use super::setup::{self, Demo};
use super::site;
use millrace::output::outln;

/// Prints how long each part took and, after a success, what lies where; a success that left something else behind than
/// what the build had to make is an error.
pub(super) async fn print(
    stack: &Stack,
    client: &Client,
    demo: &Demo,
    execution: &str,
    site: &BTreeMap<String, Vec<u8>>,
    succeeded: bool,
    total: Duration,
) -> Result<()> {
    outln!("\nwhere the time went")?;
    for action in actions(client, execution).await? {
        let name =
            format!("{} / {}", action.stage_name().unwrap_or_default(), action.action_name().unwrap_or_default());
        let seconds = match (action.start_time(), action.last_update_time()) {
            (Some(start), Some(end)) => seconds(end) - seconds(start),
            _ => 0.0,
        };
        outln!("  {name:<22} {seconds:>7.2} s  {}", action.status().map_or("", |status| status.as_str()))?;
    }
    outln!("  {:<22} {:>7.2} s", "from the object on", total.as_secs_f64())?;
    if !succeeded {
        outln!("\nthe release did not succeed; see: cargo run -p local -- logs")?;
        return Ok(());
    }
    outln!("\ndeployed")?;
    for (key, content) in site {
        let found = read(&stack.s3(AWAY), AWAY, &demo.site_bucket, key).await?;
        ensure!(found == *content, "s3://{}/{key} is not what was built", demo.site_bucket);
    }
    let key = format!("site-{execution}.zip");
    let archive = read(&stack.s3(HOME), HOME, &demo.releases_bucket, &key).await?;
    ensure!(site::files(&archive)? == *site, "s3://{}/{key} does not hold what was built", demo.releases_bucket);
    Ok(())
}

/// Reads an object back, and prints where it lies.
async fn read(s3: &aws_sdk_s3::Client, region: &str, bucket: &str, key: &str) -> Result<Vec<u8>> {
    let object = s3
        .get_object()
        .bucket(bucket)
        .key(key)
        .send()
        .await
        .with_context(|| format!("the release succeeded, but s3://{bucket}/{key} cannot be read"))?;
    let kind = object.content_type().unwrap_or_default().to_owned();
    let found = object.body.collect().await?.to_vec();
    outln!("  {region}  s3://{bucket}/{key}  {} bytes, {kind}", found.len())?;
    Ok(found)
}

/// The release's actions, in the order in which they began.
async fn actions(client: &Client, execution: &str) -> Result<Vec<ActionExecutionDetail>> {
    let filter = ActionExecutionFilter::builder().pipeline_execution_id(execution).build();
    let mut pages =
        client.list_action_executions().pipeline_name(setup::PIPELINE).filter(filter).into_paginator().send();
    let mut actions = Vec::new();
    while let Some(page) = pages.next().await {
        actions.extend(page.context("cannot list the release's actions")?.action_execution_details.unwrap_or_default());
    }
    actions.sort_by_key(|action| action.start_time().map(DateTime::as_nanos));
    Ok(actions)
}

fn seconds(time: &DateTime) -> f64 {
    time.as_secs_f64()
}
