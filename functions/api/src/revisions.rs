//! Revisions that are reported for source actions.

use aws_sdk_codepipeline::operation::put_action_revision::{PutActionRevisionInput, PutActionRevisionOutput};
use driver::PutRevision;
use wire::{ApiError, Operation};

use crate::app::App;
use crate::convert;

/// Starts an execution for a revision, if it is new.
pub async fn put(app: &App, caller: &str, input: PutActionRevisionInput) -> Result<PutActionRevisionOutput, ApiError> {
    let pipeline = convert::pipeline_name(input.pipeline_name)?;
    let given = input.action_revision.ok_or_else(|| convert::invalid("actionRevision is missing"))?;
    let put = PutRevision {
        pipeline,
        stage: input.stage_name.unwrap_or_default(),
        action: input.action_name.unwrap_or_default(),
        revision: given.revision_id,
        change: given.revision_change_id,
        created: convert::timestamp(&given.created),
        by: caller.to_owned(),
    };
    let started = app.driver.put_revision(put).await.map_err(app.refusal(Operation::PutActionRevision))?;
    Ok(PutActionRevisionOutput::builder()
        .new_revision(started.new)
        .pipeline_execution_id(started.execution.to_string())
        .build())
}
