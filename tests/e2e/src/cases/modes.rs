//! QUEUED and PARALLEL: executions one after the other, and side by side.

use std::sync::Arc;

use anyhow::{Context, Result};
use aws_sdk_codepipeline::types::{ExecutionMode, StageTransitionType};
use local::HOME;

use super::changes::approve;
use crate::case::Case;
use crate::check::named;
use crate::declare::Action;
use crate::pipeline::Pipeline;
use crate::wait::{PATIENCE, until};

/// Begin and end of an action of an execution, in seconds.
async fn time(pipeline: &Pipeline, execution: &str, action: &str) -> Result<(f64, f64)> {
    let actions = pipeline.actions(execution).await?;
    let action = named(&actions, action)?;
    let begin = action.start_time().context("no begin")?.as_secs_f64();
    Ok((begin, action.last_update_time().context("no end")?.as_secs_f64()))
}

/// Three starts at once go through the stage in their order, none overtaken and none beside another.
pub async fn queued_one_after_the_other(case: &Arc<Case>) -> Result<()> {
    let draft = case.draft("queue").mode("QUEUED").source().await?;
    // The first stays in its stage until it has been seen there.
    let pipeline = draft.stage("Gate", [Action::approval("Ask")]).create().await?;
    let ids = [pipeline.first().await?, pipeline.start().await?, pipeline.start().await?];
    until(
        PATIENCE,
        || "the second does not wait for the first".to_owned(),
        || async {
            let stage = pipeline.stage("Gate").await?;
            let inside = stage.latest_execution().map(|it| it.pipeline_execution_id());
            let waits = stage.inbound_executions().first().map(|it| it.pipeline_execution_id());
            Ok((inside == Some(&ids[0]) && waits == Some(&ids[1])).then_some(()))
        },
    )
    .await?;
    let mut free = 0.0;
    for id in &ids {
        approve(case, &pipeline).await?;
        pipeline.ends(id, "Succeeded").await?;
        let (begin, end) = time(&pipeline, id, "Ask").await?;
        assert!(begin >= free, "{id} began {} s before the one in front of it ended", free - begin);
        free = end;
    }
    let newest_first: Vec<_> =
        pipeline.executions().await?.into_iter().filter_map(|it| it.pipeline_execution_id).collect();
    assert_eq!(newest_first, [ids[2].clone(), ids[1].clone(), ids[0].clone()]);
    Ok(())
}

/// Two executions are in one stage at the same time; the pipeline as such has no state, and nothing that could close.
pub async fn parallel_side_by_side(case: &Arc<Case>) -> Result<()> {
    let machine = case.machine(HOME, "slow")?;
    let draft = case.draft("side").mode("PARALLEL").source().await?;
    let pipeline = draft.stage("Test", [Action::machine("Run", machine, "{}")]).create().await?;
    let ids = [pipeline.first().await?, pipeline.start().await?];
    for stage in pipeline.state().await?.stage_states() {
        assert!(stage.latest_execution().is_none() && stage.inbound_executions().is_empty(), "{stage:?}");
        assert!(stage.action_states().iter().all(|action| action.latest_execution().is_none()), "{stage:?}");
    }
    let close = case.pipelines.disable_stage_transition().pipeline_name(&pipeline.name).stage_name("Test");
    let close = close.transition_type(StageTransitionType::Inbound).reason("Freeze").send().await;
    let error = close.err().context("a transition of a PARALLEL pipeline closes")?.into_service_error();
    assert_eq!(error.meta().code(), Some("ValidationException"), "{error:?}");

    for id in &ids {
        let ended = pipeline.ends(id, "Succeeded").await?;
        assert_eq!(ended.execution_mode(), Some(&ExecutionMode::Parallel));
    }
    let (one, other) = (time(&pipeline, &ids[0], "Run").await?, time(&pipeline, &ids[1], "Run").await?);
    assert!(one.0 < other.1 && other.0 < one.1, "one after the other: {one:?}, {other:?}");
    let back = case.pipelines.rollback_stage().pipeline_name(&pipeline.name).stage_name("Test");
    let back = back.target_pipeline_execution_id(&ids[0]).send().await;
    let error = back.err().context("a PARALLEL pipeline is rolled back")?.into_service_error();
    assert!(error.is_unable_to_rollback_stage_exception(), "{error:?}");
    Ok(())
}
