//! What several cases look at.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aws_sdk_codepipeline::types::ActionExecutionDetail;
use aws_sdk_s3::types::ServerSideEncryption;

use crate::case::Case;
use crate::pipeline::Pipeline;
use crate::wait::{PATIENCE, until};

/// The action of this name among those of an execution.
pub fn named<'a>(actions: &'a [ActionExecutionDetail], name: &str) -> Result<&'a ActionExecutionDetail> {
    let found = actions.iter().find(|action| action.action_name() == Some(name));
    found.with_context(|| format!("the action {name} did not run"))
}

/// Every artifact object of the pipeline in a region is encrypted with that store's key. Returns their keys.
pub async fn encrypted(case: &Case, pipeline: &Pipeline, region: &str) -> Result<Vec<String>> {
    let (store, key) = case.store(region)?;
    encrypted_in(case, pipeline, region, store, key).await
}

/// The same in a store that is not the installation's.
pub async fn encrypted_in(
    case: &Case,
    pipeline: &Pipeline,
    region: &str,
    store: &str,
    key: &str,
) -> Result<Vec<String>> {
    let prefix: String = pipeline.name.chars().take(20).collect();
    let objects = case.keys(region, store, &format!("{prefix}/")).await?;
    for object in &objects {
        let head = case.s3(region).head_object().bucket(store).key(object).send().await?;
        let with = head.server_side_encryption();
        ensure!(with == Some(&ServerSideEncryption::AwsKms), "{object} in {region} is encrypted with {with:?}");
        let by = head.ssekms_key_id().unwrap_or_default();
        ensure!(by == key, "{object} in {region} is encrypted by {by}, not by {key}");
    }
    Ok(objects)
}

/// Waits until a bucket holds exactly these keys.
pub async fn deployed(case: &Case, region: &str, bucket: &str, keys: &[&str]) -> Result<()> {
    until(
        Duration::from_secs(5),
        || format!("{bucket} does not hold just {keys:?}"),
        || async {
            let found = case.keys(region, bucket, "").await?;
            Ok((found == keys).then_some(()))
        },
    )
    .await
}

/// The execution fails, the action says why, and a later stage is not entered.
pub async fn fails_with(pipeline: &Pipeline, execution: &str, action: &str, code: &str, words: &[&str]) -> Result<()> {
    pipeline.ends(execution, "Failed").await?;
    let failed = until(PATIENCE, || format!("{action} has no result"), || pipeline.action(action)).await?;
    let status = failed.status().map_or("-", |status| status.as_str());
    ensure!(status == "Failed", "{}: {action} is {status}", pipeline.name);
    let error = failed.error_details().context("no error details")?;
    let message = error.message().unwrap_or_default();
    ensure!(error.code() == Some(code), "{}: the code is {:?}, not {code}: {message}", pipeline.name, error.code());
    for word in words {
        ensure!(message.contains(word), "{}: {word:?} is not in the reason {message:?}", pipeline.name);
    }
    let details = pipeline.actions(execution).await?;
    let detail = named(&details, action)?;
    let told = detail.output().and_then(|output| output.execution_result()).and_then(|result| result.error_details());
    ensure!(
        told.and_then(|told| told.message()) == Some(message),
        "ListActionExecutions tells something else: {told:?}"
    );
    ensure!(
        details.last().and_then(|last| last.stage_name()) == detail.stage_name(),
        "{}: something ran in a stage behind the failed one",
        pipeline.name
    );
    Ok(())
}
