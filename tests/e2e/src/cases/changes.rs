//! Pipelines that are changed or deleted while they run.

use std::sync::Arc;

use anyhow::{Context, Result};
use aws_sdk_codepipeline::types::{ApprovalResult, ApprovalStatus};
use local::HOME;
use serde_json::json;

use crate::case::Case;
use crate::declare::{Action, SOURCE_KEY};
use crate::pipeline::Pipeline;
use crate::zips;

/// Waits until `Ask` in the stage `Gate` asks, and says yes.
pub(super) async fn approve(case: &Case, pipeline: &Pipeline) -> Result<()> {
    let token = pipeline.until_asked("Ask").await?.token.context("no token")?;
    let result = ApprovalResult::builder().summary("").status(ApprovalStatus::Approved).build()?;
    let put = case.pipelines.put_approval_result().pipeline_name(&pipeline.name).stage_name("Gate").action_name("Ask");
    put.token(token).result(result).send().await?;
    Ok(())
}

/// An update lets the action that runs end, and then cancels its execution; the next one runs the new version.
pub async fn changed_while_it_runs(case: &Arc<Case>) -> Result<()> {
    let echo = |name: &str| Ok::<_, anyhow::Error>(Action::machine(name, case.machine(HOME, "echo")?, "{}"));
    let draft = case.draft("changed").source().await?.stage("Gate", [Action::approval("Ask")]);
    let pipeline = draft.clone().stage("End", [echo("Old")?]).create().await?;
    let first = pipeline.first().await?;
    pipeline.until_asked("Ask").await?;

    let changed = draft.stage("End", [echo("New")?]).stage("Extra", [echo("More")?]);
    assert_eq!(changed.update().await?, 2);
    let shown = pipeline.execution(&first).await?;
    assert_eq!(shown.status().map(|it| it.as_str()), Some("InProgress"));
    assert!(shown.status_summary().is_some_and(|it| it.contains("pipeline was updated")), "{shown:?}");
    let second = pipeline.start().await?;
    approve(case, &pipeline).await?;
    let ended = pipeline.ends(&first, "Cancelled").await?;
    assert_eq!(ended.pipeline_version(), Some(1));
    let ran = |actions: Vec<aws_sdk_codepipeline::types::ActionExecutionDetail>| -> Vec<String> {
        actions.into_iter().filter_map(|action| action.action_name).collect()
    };
    assert_eq!(ran(pipeline.actions(&first).await?), ["Fetch", "Ask"]);
    pipeline.until_action(&first, "Ask", "Succeeded").await?;

    pipeline.until_action(&second, "Ask", "InProgress").await?;
    pipeline.until_asked("Ask").await?;
    approve(case, &pipeline).await?;
    assert_eq!(pipeline.ends(&second, "Succeeded").await?.pipeline_version(), Some(2));
    assert_eq!(ran(pipeline.actions(&second).await?), ["Fetch", "Ask", "New", "More"]);

    let version = |number| case.pipelines.get_pipeline().name(&pipeline.name).version(number).send();
    let stages = |got: aws_sdk_codepipeline::operation::get_pipeline::GetPipelineOutput| {
        got.pipeline.map(|pipeline| pipeline.stages.len())
    };
    assert_eq!((stages(version(1).await?), stages(version(2).await?)), (Some(3), Some(4)));
    let third = version(3).await.err().context("a version that is not there")?.into_service_error();
    assert!(third.is_pipeline_version_not_found_exception(), "{third:?}");
    Ok(())
}

/// A deleted pipeline is gone, starts no more, and its name is free for one that knows nothing of it.
pub async fn deleted_while_it_runs(case: &Arc<Case>) -> Result<()> {
    let draft = case.draft("deleted").source().await?.stage("Gate", [Action::approval("Ask")]);
    let draft = draft.stage("End", [Action::machine("End", case.machine(HOME, "slow")?, "{}")]);
    let pipeline = draft.create().await?;
    case.notify(&pipeline.bucket).await?;
    let first = pipeline.first().await?;
    let token = pipeline.until_asked("Ask").await?.token.context("no token")?;

    for _ in 0..2 {
        // The second time it is not there, which is no error.
        case.pipelines.delete_pipeline().name(&pipeline.name).send().await?;
    }
    let gone = case.pipelines.get_pipeline().name(&pipeline.name).send().await;
    let error = gone.err().context("a deleted pipeline is shown")?.into_service_error();
    assert!(error.is_pipeline_not_found_exception(), "{error:?}");
    let listed = case.pipelines.list_pipelines().into_paginator().items().send().collect::<Result<Vec<_>, _>>().await?;
    assert!(listed.iter().all(|found| found.name() != Some(&pipeline.name)), "a deleted pipeline is listed");
    let start = case.pipelines.start_pipeline_execution().name(&pipeline.name).send().await;
    let error = start.err().context("a deleted pipeline starts")?.into_service_error();
    assert!(error.is_pipeline_not_found_exception(), "{error:?}");
    let result = ApprovalResult::builder().summary("").status(ApprovalStatus::Approved).build()?;
    let put = case.pipelines.put_approval_result().pipeline_name(&pipeline.name).stage_name("Gate").action_name("Ask");
    let error = put.token(&token).result(result).send().await.err().context("an answer is taken")?.into_service_error();
    assert!(error.is_pipeline_not_found_exception(), "{error:?}");
    // Nobody watches the object any more.
    let event = json!({"source": "aws.s3", "detail-type": "Object Created", "detail": {
        "bucket": {"name": pipeline.bucket}, "object": {"key": SOURCE_KEY, "version-id": "v2", "sequencer": "0"}}});
    assert_eq!(super::triggers::invoke(case, &event).await?, json!({"started": 0, "refused": 0}));

    let reborn = draft.create().await?;
    let second = reborn.first().await?;
    assert_ne!(first, second);
    reborn.until_asked("Ask").await?;
    let executions = reborn.executions().await?;
    assert_eq!(executions.len(), 1, "the new pipeline has executions of the old one: {executions:?}");
    let old =
        case.pipelines.get_pipeline_execution().pipeline_name(&reborn.name).pipeline_execution_id(&first).send().await;
    let error = old.err().context("the old execution is shown as the new pipeline's")?.into_service_error();
    assert!(error.is_pipeline_execution_not_found_exception(), "{error:?}");
    // It watches the object again.
    case.put(HOME, &reborn.bucket, SOURCE_KEY, zips::zipped(&[("index.html", "2")])?).await?;
    reborn.another(&[&second]).await?;
    Ok(())
}
