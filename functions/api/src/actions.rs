//! What ran: action executions, newest first.

use aws_sdk_codepipeline::operation::list_action_executions::{ListActionExecutionsInput, ListActionExecutionsOutput};
use aws_sdk_codepipeline::types::{
    ActionCategory, ActionExecutionDetail, ActionExecutionInput, ActionExecutionOutput, ActionExecutionResult,
    ActionExecutionStatus, ActionOwner, ActionTypeId,
};
use driver::{ActionView, ExecutionView};
use engine::{ActionStatus, StageRun};
use pipeline::TypeId;
use wire::{ApiError, Operation};

use crate::app::App;
use crate::convert;
use crate::history::{self, Query};

/// A page of action executions of a pipeline, or of one of its executions.
pub async fn list(app: &App, input: ListActionExecutionsInput) -> Result<ListActionExecutionsOutput, ApiError> {
    let (execution, latest) = match input.filter {
        Some(filter) => (filter.pipeline_execution_id, filter.latest_in_pipeline_execution),
        None => (None, None),
    };
    let query = Query {
        operation: Operation::ListActionExecutions,
        pipeline: input.pipeline_name,
        execution,
        latest,
        most: input.max_results,
        token: input.next_token,
    };
    let shown = |view: &_, stage: &_, place, action: &_| detail(app, view, stage, place, action);
    let (details, next) = history::list(app, query, &shown).await?;
    Ok(ListActionExecutionsOutput::builder().set_action_execution_details(Some(details)).set_next_token(next).build())
}

/// The status of an action execution; none for an action whose turn has not come.
pub fn status(status: &ActionStatus) -> Option<ActionExecutionStatus> {
    match status {
        ActionStatus::Pending => None,
        ActionStatus::Requested | ActionStatus::Claimed { .. } | ActionStatus::Running | ActionStatus::CarriedOver => {
            Some(ActionExecutionStatus::InProgress)
        }
        ActionStatus::Succeeded => Some(ActionExecutionStatus::Succeeded),
        ActionStatus::Failed => Some(ActionExecutionStatus::Failed),
        ActionStatus::Abandoned => Some(ActionExecutionStatus::Abandoned),
    }
}

fn detail(
    app: &App,
    view: &ExecutionView,
    stage: &StageRun,
    place: u8,
    action: &ActionView,
) -> Result<ActionExecutionDetail, ApiError> {
    let run = stage.run(place).ok_or_else(|| convert::invalid("there is no such action"))?;
    Ok(ActionExecutionDetail::builder()
        .pipeline_execution_id(view.execution.id.to_string())
        .action_execution_id(stage.id_at(place).first_turn().to_string())
        .pipeline_version(i32::try_from(view.execution.version).unwrap_or(i32::MAX))
        .stage_name(stage.name.as_str())
        .action_name(run.name.as_str())
        .set_start_time(run.requested.map(convert::time))
        .set_last_update_time(run.updated.map(convert::time))
        .set_updated_by(run.updated_by.as_ref().map(ToString::to_string))
        .set_status(status(&run.status))
        .input(given(app, action)?)
        .output(left(run, action))
        .build())
}

fn given(app: &App, view: &ActionView) -> Result<ActionExecutionInput, ApiError> {
    let action = &view.action;
    let region = action.region.as_ref().map_or(app.driver.home(), |region| region.as_str());
    let resolved = view.configuration.as_ref().map(|resolved| convert::masked(action, resolved));
    Ok(ActionExecutionInput::builder()
        .action_type_id(type_id(&action.type_id)?)
        .set_configuration(Some(convert::masked(action, &action.configuration)))
        .set_resolved_configuration(resolved)
        .set_role_arn(action.role_arn.as_ref().map(ToString::to_string))
        .region(region)
        .set_input_artifacts(Some(view.inputs.iter().map(convert::artifact).collect()))
        .set_namespace(action.namespace.as_ref().map(ToString::to_string))
        .build())
}

fn left(run: &engine::ActionRun, view: &ActionView) -> ActionExecutionOutput {
    let external = run.external.as_ref();
    // What answers an approval. In PARALLEL mode, where a stage has no common state, it is found here alone.
    let token = run.token.filter(|_| run.status.in_flight()).map(|token| token.to_string());
    let result = ActionExecutionResult::builder()
        .set_external_execution_id(token.or_else(|| external.map(|external| external.id.clone())))
        .set_external_execution_summary(run.summary.clone())
        .set_external_execution_url(external.and_then(|external| external.url.clone()))
        .set_error_details(run.error.as_ref().map(convert::error))
        .build();
    ActionExecutionOutput::builder()
        .set_output_artifacts(Some(run.outputs.iter().map(convert::artifact).collect()))
        .execution_result(result)
        .set_output_variables(Some(view.variables.clone().into_iter().collect()))
        .build()
}

/// An action type's id in the API's form.
pub fn type_id(id: &TypeId) -> Result<ActionTypeId, ApiError> {
    ActionTypeId::builder()
        .category(ActionCategory::from(id.category.as_str()))
        .owner(ActionOwner::from(id.owner.as_deref().unwrap_or_default()))
        .provider(&id.provider)
        .version(id.version.as_deref().unwrap_or_default())
        .build()
        .map_err(convert::incomplete)
}
