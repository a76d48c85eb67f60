//! Closing and opening the way into a stage.

use aws_sdk_codepipeline::operation::disable_stage_transition::{
    DisableStageTransitionInput, DisableStageTransitionOutput,
};
use aws_sdk_codepipeline::operation::enable_stage_transition::{
    EnableStageTransitionInput, EnableStageTransitionOutput,
};
use aws_sdk_codepipeline::types::StageTransitionType;
use wire::{ApiError, Operation};

use crate::app::App;
use crate::convert;

/// Closes a stage's inbound transition.
pub async fn disable(
    app: &App,
    caller: &str,
    input: DisableStageTransitionInput,
) -> Result<DisableStageTransitionOutput, ApiError> {
    let name = convert::pipeline_name(input.pipeline_name)?;
    inbound(input.transition_type)?;
    let (stage, reason) = (input.stage_name.unwrap_or_default(), input.reason.unwrap_or_default());
    app.driver
        .set_transition(&name, &stage, Some(reason), caller.to_owned())
        .await
        .map_err(app.refusal(Operation::DisableStageTransition))?;
    Ok(DisableStageTransitionOutput::builder().build())
}

/// Opens it; what waits in front of it may enter.
pub async fn enable(
    app: &App,
    caller: &str,
    input: EnableStageTransitionInput,
) -> Result<EnableStageTransitionOutput, ApiError> {
    let name = convert::pipeline_name(input.pipeline_name)?;
    inbound(input.transition_type)?;
    let stage = input.stage_name.unwrap_or_default();
    app.driver
        .set_transition(&name, &stage, None, caller.to_owned())
        .await
        .map_err(app.refusal(Operation::EnableStageTransition))?;
    Ok(EnableStageTransitionOutput::builder().build())
}

/// `GetPipelineState` shows inbound transitions only, so an outbound one that was closed could be seen nowhere.
fn inbound(kind: Option<StageTransitionType>) -> Result<(), ApiError> {
    match kind {
        Some(StageTransitionType::Inbound) => Ok(()),
        _ => Err(convert::invalid(
            "Millrace opens and closes inbound transitions only (at transitionType): name the next stage's instead.",
        )),
    }
}
