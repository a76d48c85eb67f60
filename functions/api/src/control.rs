//! What people do to executions: stop, retry, roll back, override a condition.

use aws_sdk_codepipeline::operation::override_stage_condition::{
    OverrideStageConditionInput, OverrideStageConditionOutput,
};
use aws_sdk_codepipeline::operation::retry_stage_execution::{RetryStageExecutionInput, RetryStageExecutionOutput};
use aws_sdk_codepipeline::operation::rollback_stage::{RollbackStageInput, RollbackStageOutput};
use aws_sdk_codepipeline::operation::stop_pipeline_execution::{
    StopPipelineExecutionInput, StopPipelineExecutionOutput,
};
use aws_sdk_codepipeline::types::{ConditionType, StageRetryMode};
use driver::DriveError;
use engine::{ExecutionId, Trigger};
use pipeline::{ConditionKind, PipelineName, RetryMode};
use wire::{ApiError, Operation};

use crate::app::App;
use crate::convert;

/// Stops an execution: when its running actions have ended, or at once where they are to be abandoned.
pub async fn stop(app: &App, input: StopPipelineExecutionInput) -> Result<StopPipelineExecutionOutput, ApiError> {
    let operation = Operation::StopPipelineExecution;
    let name = convert::pipeline_name(input.pipeline_name)?;
    let id = execution(app, operation, &name, input.pipeline_execution_id).await?;
    app.driver
        .stop(&name, id, input.abandon.unwrap_or_default(), input.reason)
        .await
        .map_err(app.refusal(operation))?;
    Ok(StopPipelineExecutionOutput::builder().pipeline_execution_id(id.to_string()).build())
}

/// Has a failed stage tried again.
pub async fn retry(app: &App, input: RetryStageExecutionInput) -> Result<RetryStageExecutionOutput, ApiError> {
    let operation = Operation::RetryStageExecution;
    let name = convert::pipeline_name(input.pipeline_name)?;
    let stage = input.stage_name.unwrap_or_default();
    let id = execution(app, operation, &name, input.pipeline_execution_id).await?;
    let mode = match input.retry_mode {
        Some(StageRetryMode::FailedActions) => RetryMode::FailedActions,
        Some(StageRetryMode::AllActions) => RetryMode::AllActions,
        _ => return Err(convert::invalid("retryMode is missing")),
    };
    app.driver.retry(&name, &stage, id, mode).await.map_err(app.refusal(operation))?;
    Ok(RetryStageExecutionOutput::builder().pipeline_execution_id(id.to_string()).build())
}

/// Rolls a stage back to an execution that succeeded in it.
pub async fn roll_back(app: &App, caller: &str, input: RollbackStageInput) -> Result<RollbackStageOutput, ApiError> {
    let operation = Operation::RollbackStage;
    let name = convert::pipeline_name(input.pipeline_name)?;
    let stage = input.stage_name.unwrap_or_default();
    let target = execution(app, operation, &name, input.target_pipeline_execution_id).await?;
    let trigger = Trigger { kind: "ManualRollback".to_owned(), detail: caller.to_owned() };
    let id = app.driver.roll_back(&name, &stage, target, trigger).await.map_err(app.refusal(operation))?;
    RollbackStageOutput::builder().pipeline_execution_id(id.to_string()).build().map_err(convert::incomplete)
}

/// Lets an execution go on though a condition is not met.
pub async fn override_condition(
    app: &App,
    caller: &str,
    input: OverrideStageConditionInput,
) -> Result<OverrideStageConditionOutput, ApiError> {
    let operation = Operation::OverrideStageCondition;
    let name = convert::pipeline_name(input.pipeline_name)?;
    let stage = input.stage_name.unwrap_or_default();
    let id = execution(app, operation, &name, input.pipeline_execution_id).await?;
    let kind = match input.condition_type {
        Some(ConditionType::BeforeEntry) => ConditionKind::BeforeEntry,
        Some(ConditionType::OnSuccess) => ConditionKind::OnSuccess,
        _ => return Err(convert::invalid("conditionType is missing")),
    };
    let refusal = app.refusal(operation);
    app.driver.override_condition(&name, &stage, id, kind, caller.to_owned()).await.map_err(refusal)?;
    Ok(OverrideStageConditionOutput::builder().build())
}

/// An execution's id. One that cannot be Millrace's is not there, if its pipeline is.
pub async fn execution(
    app: &App,
    operation: Operation,
    name: &PipelineName,
    id: Option<String>,
) -> Result<ExecutionId, ApiError> {
    let id = id.unwrap_or_default();
    if let Ok(id) = id.parse() {
        return Ok(id);
    }
    app.driver.pipeline_head(name).await.map_err(app.refusal(operation))?;
    Err(app.refusal(operation)(DriveError::ExecutionNotFound(id.chars().take(100).collect())))
}
