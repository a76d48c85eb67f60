//! Calls that contradict each other at the same moment: one wins, the others are told.

use std::sync::Arc;

use anyhow::{Context, Result};
use aws_sdk_codepipeline::types::{ApprovalResult, ApprovalStatus, ExecutionMode};
use futures::future::join_all;

use crate::case::Case;
use crate::declare::Action;

/// Answers to one approval, then stops of one execution, all at once.
pub async fn one_winner(case: &Arc<Case>) -> Result<()> {
    let draft = case.draft("race").source().await?.stage("Gate", [Action::approval("Ask")]);
    let pipeline = draft.create().await?;
    let first = pipeline.first().await?;
    let token = pipeline.until_asked("Ask").await?.token.context("no token")?;
    let answers = [ApprovalStatus::Approved, ApprovalStatus::Rejected].into_iter().cycle().take(6);
    let answers =
        join_all(
            answers.map(|status| {
                let put = case.pipelines.put_approval_result().pipeline_name(&pipeline.name).stage_name("Gate");
                let result = ApprovalResult::builder().summary(status.as_str()).status(status.clone()).build();
                let token = token.clone();
                async move {
                    Ok::<_, anyhow::Error>((status, put.action_name("Ask").token(token).result(result?).send().await))
                }
            }),
        );
    let mut winners = Vec::new();
    for answer in answers.await {
        match answer? {
            (status, Ok(_)) => winners.push(status),
            (_, Err(error)) => {
                let error = error.into_service_error();
                assert!(error.is_approval_already_completed_exception(), "{error:?}");
            }
        }
    }
    assert_eq!(winners.len(), 1, "{winners:?}");
    pipeline.ends(&first, if winners[0] == ApprovalStatus::Approved { "Succeeded" } else { "Failed" }).await?;

    let second = pipeline.start().await?;
    pipeline.until_action(&second, "Ask", "InProgress").await?;
    let stops = join_all((0..4).map(|_| {
        let stop = case.pipelines.stop_pipeline_execution().pipeline_name(&pipeline.name);
        stop.pipeline_execution_id(&second).abandon(true).send()
    }));
    let refusals: Vec<_> = stops.await.into_iter().filter_map(Result::err).collect();
    assert_eq!(refusals.len(), 3);
    for refusal in refusals {
        let error = refusal.into_service_error();
        assert!(error.is_pipeline_execution_not_stoppable_exception(), "{error:?}");
    }
    pipeline.ends(&second, "Stopped").await?;
    Ok(())
}

/// Executions that begin after a change of the mode have the new one, whatever an older one still waits for.
pub async fn mode_changed_while_it_runs(case: &Arc<Case>) -> Result<()> {
    let draft = case.draft("mode").mode("QUEUED").source().await?.stage("Gate", [Action::approval("Ask")]);
    let pipeline = draft.create().await?;
    let queued = pipeline.first().await?;
    pipeline.until_action(&queued, "Ask", "InProgress").await?;
    draft.mode("PARALLEL").update().await?;
    let parallel = pipeline.start().await?;
    // In a queue it would wait in front of the gate.
    pipeline.until_action(&parallel, "Ask", "InProgress").await?;
    for (id, mode) in [(&queued, ExecutionMode::Queued), (&parallel, ExecutionMode::Parallel)] {
        assert_eq!(pipeline.execution(id).await?.execution_mode(), Some(&mode));
        let stop = case.pipelines.stop_pipeline_execution().pipeline_name(&pipeline.name).pipeline_execution_id(id);
        stop.abandon(true).send().await?;
        pipeline.ends(id, "Stopped").await?;
    }
    Ok(())
}
