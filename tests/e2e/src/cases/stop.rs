//! Executions that are stopped.

use std::sync::Arc;

use anyhow::{Context, Result};
use aws_sdk_codepipeline::types::StageRetryMode;
use aws_sdk_sfn::types::ExecutionStatus;
use local::HOME;

use super::jobs;
use crate::case::Case;
use crate::check::{deployed, named};
use crate::declare::Action;
use crate::fixture::Fixture;
use crate::pipeline::Pipeline;
use crate::wait::{PATIENCE, until};

async fn stop(case: &Case, pipeline: &Pipeline, id: &str, abandon: bool) -> Result<()> {
    let stop = case.pipelines.stop_pipeline_execution().pipeline_name(&pipeline.name).pipeline_execution_id(id);
    stop.abandon(abandon).reason("wrong branch").send().await?;
    Ok(())
}

/// What runs ends first; nothing behind it begins.
pub async fn stopped_when_its_action_ends(case: &Arc<Case>) -> Result<()> {
    let (queue, _) = case.queue("jobs").await?;
    let target = case.bucket(HOME, "target").await?;
    let run = Action::function("Run", Fixture::FORWARD, &queue);
    let never = Action::unpack("Never", &target).with("runOrder", 2);
    let pipeline = case.draft("wait").source().await?.stage("Test", [run, never]).create().await?;
    let id = pipeline.first().await?;
    let job = jobs::job(case, &queue).await?;
    stop(case, &pipeline, &id, false).await?;
    let again = case.pipelines.stop_pipeline_execution().pipeline_name(&pipeline.name).pipeline_execution_id(&id);
    let error = again.send().await.err().context("it is stopped twice")?.into_service_error();
    assert!(error.is_duplicated_stop_request_exception(), "{error:?}");
    assert_eq!(pipeline.execution(&id).await?.status().map(|it| it.as_str()), Some("Stopping"));
    case.pipelines.put_job_success_result().job_id(jobs::id(&job)?).send().await?;
    until(
        PATIENCE,
        || "it does not stop".to_owned(),
        || async {
            Ok((pipeline.execution(&id).await?.status().is_some_and(|it| it.as_str() == "Stopped")).then_some(()))
        },
    )
    .await?;
    assert_eq!(pipeline.stage("Test").await?.latest_execution().map(|it| it.status().as_str()), Some("Stopped"));
    pipeline.until_action(&id, "Run", "Succeeded").await?;
    deployed(case, HOME, &case.named("target"), &[]).await?;
    let listed = pipeline.executions().await?;
    assert_eq!(listed[0].stop_trigger().and_then(|stop| stop.reason()), Some("wrong branch"));

    // The stage in which it stopped can be retried: what succeeded stays, what never began runs.
    let retry = case.pipelines.retry_stage_execution().pipeline_name(&pipeline.name).stage_name("Test");
    retry.pipeline_execution_id(&id).retry_mode(StageRetryMode::FailedActions).send().await?;
    pipeline.ends(&id, "Succeeded").await?;
    deployed(case, HOME, &case.named("target"), &["assets/app.js", "assets/site.css", "index.html"]).await?;
    let ran = pipeline.actions(&id).await?;
    assert_eq!(ran.iter().filter(|action| action.action_name() == Some("Run")).count(), 1);
    Ok(())
}

/// What runs is given up; the state machine knows nothing of it and goes on.
pub async fn stopped_and_abandoned(case: &Arc<Case>) -> Result<()> {
    let target = case.bucket(HOME, "target").await?;
    let run = Action::machine("Run", case.machine(HOME, "endless")?, "{}");
    let never = Action::unpack("Never", &target).with("runOrder", 2);
    let pipeline = case.draft("abandon").source().await?.stage("Test", [run, never]).create().await?;
    let id = pipeline.first().await?;
    let machine = until(
        PATIENCE,
        || "the state machine is not started".to_owned(),
        || async {
            let actions = pipeline.actions(&id).await?;
            let result = named(&actions, "Run")?.output().and_then(|output| output.execution_result());
            Ok(result.and_then(|result| result.external_execution_id()).map(str::to_owned))
        },
    )
    .await?;
    stop(case, &pipeline, &id, true).await?;
    pipeline.ends(&id, "Stopped").await?;
    pipeline.until_action(&id, "Run", "Abandoned").await?;
    // Time for a worker to hear of it.
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    let described = case.sfn.describe_execution().execution_arn(&machine).send().await?;
    assert_eq!(described.status(), &ExecutionStatus::Running);
    case.sfn.stop_execution().execution_arn(&machine).send().await?;
    deployed(case, HOME, &case.named("target"), &[]).await?;
    let late = case.pipelines.stop_pipeline_execution().pipeline_name(&pipeline.name).pipeline_execution_id(&id);
    let error = late.abandon(true).send().await.err().context("it is stopped again")?.into_service_error();
    assert!(error.is_pipeline_execution_not_stoppable_exception(), "{error:?}");
    Ok(())
}
