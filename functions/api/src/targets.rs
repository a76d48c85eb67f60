//! What deploy actions deploy to.
//!
//! AWS lists machines and services, with what went on on each. Here a provider names one target at most, whose status is
//! that of the action.

use aws_sdk_codepipeline::operation::list_deploy_action_execution_targets::{
    ListDeployActionExecutionTargetsInput, ListDeployActionExecutionTargetsOutput,
};
use aws_sdk_codepipeline::types::{DeployActionExecutionTarget, TargetFilter, TargetFilterName};
use driver::{ActionExecutionView, DriveError};
use engine::ActionId;
use wire::{ApiError, Exception, Operation};

use crate::actions::status;
use crate::app::App;
use crate::convert;

/// The targets of a deploy action's execution.
pub async fn list(
    app: &App,
    input: ListDeployActionExecutionTargetsInput,
) -> Result<ListDeployActionExecutionTargetsOutput, ApiError> {
    let operation = Operation::ListDeployActionExecutionTargets;
    let name = input.pipeline_name.map(|name| convert::pipeline_name(Some(name))).transpose()?;
    // All targets have room on one page, so no token is ever given.
    if input.next_token.is_some() {
        return Err(Exception::InvalidNextTokenException.because("The next token is not one that this listing gave."));
    }
    let id = input.action_execution_id.unwrap_or_default();
    let unknown = |_| DriveError::JobNotFound(id.chars().take(100).collect());
    let parsed: Result<ActionId, DriveError> = id.parse().map_err(unknown);
    let found = app.driver.action_execution(name.as_ref(), parsed).await.map_err(app.refusal(operation))?;
    if found.view.action.type_id.category != "Deploy" {
        return Err(convert::invalid(format!("The action '{}' is no deploy action.", found.view.action.name)));
    }
    let filters = input.filters.unwrap_or_default();
    let targets = target(&found).into_iter().filter(|target| filters.iter().all(|filter| passes(filter, target)));
    Ok(ListDeployActionExecutionTargetsOutput::builder().set_targets(Some(targets.collect())).build())
}

/// None where nothing is known of a target: of providers that name none, and while the configuration is not resolved.
fn target(found: &ActionExecutionView) -> Option<DeployActionExecutionTarget> {
    let target = providers::find(&found.view.action)?.deploy_target?;
    let ended = found.run.updated.filter(|_| !found.run.status.in_flight());
    Some(
        DeployActionExecutionTarget::builder()
            .target_id(found.view.configuration.as_ref()?.get(target.key)?)
            .target_type(target.kind)
            .status(status(&found.run.status)?.as_str())
            .set_start_time(found.run.requested.map(convert::time))
            .set_end_time(ended.map(convert::time))
            .set_events(Some(Vec::new()))
            .build(),
    )
}

/// A filter without values lets everything pass.
fn passes(filter: &TargetFilter, target: &DeployActionExecutionTarget) -> bool {
    match filter.name() {
        Some(TargetFilterName::TargetStatus) => {
            let values = filter.values();
            values.is_empty() || values.iter().any(|value| target.status() == Some(value))
        }
        _ => true,
    }
}
