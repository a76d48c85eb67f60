//! A closed transition, and who waits in front of it.

use std::sync::Arc;

use anyhow::{Context, Result};
use aws_sdk_codepipeline::types::StageTransitionType;
use local::HOME;

use crate::case::Case;
use crate::declare::Action;
use crate::wait::{PATIENCE, until};

/// Of three that wait, the newest goes on; the others are superseded.
pub async fn superseded(case: &Arc<Case>) -> Result<()> {
    let target = case.bucket(HOME, "target").await?;
    let draft = case.draft("gate").source().await?;
    let deploy = Action::archive("Archive", &target, "#{codepipeline.PipelineExecutionId}.zip");
    let pipeline = draft.stage("Deploy", [deploy]).create().await?;
    let first = pipeline.first().await?;
    pipeline.ends(&first, "Succeeded").await?;

    let inbound = StageTransitionType::Inbound;
    let close = case.pipelines.disable_stage_transition().pipeline_name(&pipeline.name).stage_name("Deploy");
    close.transition_type(inbound.clone()).reason("Freeze until Monday").send().await?;
    let closed = pipeline.stage("Deploy").await?;
    let transition = closed.inbound_transition_state().context("no transition")?;
    assert!(!transition.enabled() && transition.last_changed_at().is_some());
    assert_eq!(transition.disabled_reason(), Some("Freeze until Monday"));

    let mut waiting = Vec::new();
    for _ in 0..3 {
        let id = pipeline.start().await?;
        until(
            PATIENCE,
            || format!("{id} does not wait in front of Deploy"),
            || async {
                let stage = pipeline.stage("Deploy").await?;
                Ok((stage.inbound_execution().map(|it| it.pipeline_execution_id()) == Some(&id)).then_some(()))
            },
        )
        .await?;
        waiting.push(id);
    }
    for overtaken in &waiting[..2] {
        let ended = pipeline.ends(overtaken, "Superseded").await?;
        assert_eq!(pipeline.actions(overtaken).await?.len(), 1, "only the source ran: {ended:?}");
    }
    let stage = pipeline.stage("Deploy").await?;
    let inside: Vec<_> = stage.inbound_executions().iter().map(|it| it.pipeline_execution_id()).collect();
    assert_eq!(inside, [waiting[2].as_str()]);
    assert_eq!(stage.latest_execution().map(|it| it.pipeline_execution_id()), Some(first.as_str()));

    let open = case.pipelines.enable_stage_transition().pipeline_name(&pipeline.name).stage_name("Deploy");
    open.transition_type(inbound).send().await?;
    pipeline.ends(&waiting[2], "Succeeded").await?;
    let opened = pipeline.stage("Deploy").await?;
    assert!(opened.inbound_transition_state().is_some_and(|transition| transition.enabled()));
    let mut expected = [format!("{first}.zip"), format!("{}.zip", waiting[2])];
    expected.sort();
    assert_eq!(case.keys(HOME, &target, "").await?, expected);
    let listed: Vec<_> = pipeline.executions().await?.into_iter().filter_map(|it| it.pipeline_execution_id).collect();
    assert_eq!(listed, [waiting[2].clone(), waiting[1].clone(), waiting[0].clone(), first], "newest first");
    Ok(())
}
