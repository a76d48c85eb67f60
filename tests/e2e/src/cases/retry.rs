//! Failed stages that are tried again.

use std::sync::Arc;

use anyhow::{Context, Result};
use aws_sdk_codepipeline::types::{FailureDetails, FailureType, RetryTrigger, StageRetryMode};
use local::HOME;
use serde_json::json;

use super::jobs::{id, job};
use crate::case::Case;
use crate::check::deployed;
use crate::declare::Action;
use crate::fixture::Fixture;
use crate::wait::{PATIENCE, until};

/// The cause is mended, and only what failed runs again.
pub async fn retried_by_hand(case: &Arc<Case>) -> Result<()> {
    let good = case.bucket(HOME, "good").await?;
    let missing = case.named("missing");
    let draft = case.draft("hand").source().await?;
    let actions = [Action::archive("One", &good, "one.zip"), Action::unpack("Two", &missing)];
    let pipeline = draft.stage("Deploy", actions).create().await?;
    let execution = pipeline.first().await?;
    pipeline.ends(&execution, "Failed").await?;

    case.plain_bucket(HOME, &missing).await?;
    let retry = case.pipelines.retry_stage_execution().pipeline_name(&pipeline.name).stage_name("Deploy");
    let retry = retry.pipeline_execution_id(&execution).retry_mode(StageRetryMode::FailedActions);
    assert_eq!(retry.clone().send().await?.pipeline_execution_id(), Some(execution.as_str()), "it goes on as itself");
    pipeline.ends(&execution, "Succeeded").await?;
    deployed(case, HOME, &missing, &["assets/app.js", "assets/site.css", "index.html"]).await?;
    let ran = pipeline.actions(&execution).await?;
    let times = |name: &str| ran.iter().filter(|action| action.action_name() == Some(name)).count();
    assert_eq!((times("One"), times("Two")), (1, 2));
    let shown = pipeline.stage("Deploy").await?;
    let retries = shown.retry_stage_metadata().context("nothing tells of the retry")?;
    assert_eq!(retries.latest_retry_trigger(), Some(&RetryTrigger::ManualStageRetry));
    assert_eq!(retries.manual_stage_retry_attempt(), Some(1));
    let error = retry.send().await.err().context("what succeeded is retried")?.into_service_error();
    assert!(error.is_stage_not_retryable_exception(), "{error:?}");
    Ok(())
}

/// The stage retries once by itself, which is enough.
pub async fn retried_by_itself(case: &Arc<Case>) -> Result<()> {
    let (queue, _) = case.queue("jobs").await?;
    let failure = json!({"result": "RETRY", "retryConfiguration": {"retryMode": "FAILED_ACTIONS"}});
    let act = Action::function("Act", Fixture::FORWARD, &queue);
    let draft = case.draft("itself").source().await?.stage("Act", [act]).with("onFailure", failure);
    let pipeline = draft.create().await?;
    let execution = pipeline.first().await?;

    let first = job(case, &queue).await?;
    let details = FailureDetails::builder().r#type(FailureType::JobFailed).message("a flaky test").build()?;
    case.pipelines.put_job_failure_result().job_id(id(&first)?).failure_details(details).send().await?;
    let second = job(case, &queue).await?;
    assert_ne!(id(&first)?, id(&second)?);
    let retries = until(
        PATIENCE,
        || "nothing tells of the retry".to_owned(),
        || async { Ok(pipeline.stage("Act").await?.retry_stage_metadata().cloned()) },
    )
    .await?;
    assert_eq!(retries.latest_retry_trigger(), Some(&RetryTrigger::AutomatedStageRetry));
    assert_eq!(retries.auto_stage_retry_attempt(), Some(1));
    assert_eq!(pipeline.execution(&execution).await?.status().map(|it| it.as_str()), Some("InProgress"));
    case.pipelines.put_job_success_result().job_id(id(&second)?).send().await?;
    pipeline.ends(&execution, "Succeeded").await?;
    Ok(())
}
