//! How the conditions of stages stand, and which of their rules ran.

use aws_sdk_codepipeline::operation::list_rule_executions::{ListRuleExecutionsInput, ListRuleExecutionsOutput};
use aws_sdk_codepipeline::types::{
    ConditionExecution, ConditionExecutionStatus, ConditionState, RuleCategory, RuleExecution, RuleExecutionDetail,
    RuleExecutionInput, RuleExecutionOutput, RuleExecutionResult, RuleExecutionStatus, RuleOwner, RuleState,
    RuleTypeId, StageConditionState, StageConditionsExecution,
};
use driver::{ActionView, ExecutionView};
use engine::{ActionRun, ActionStatus, ConditionRun, ConditionStatus, StageRun};
use pipeline::{ConditionKind, Stage, TypeId};
use wire::{ApiError, Operation};

use crate::app::App;
use crate::convert;
use crate::history::{self, Query};

/// A condition of a stage of the current version, as the latest attempt at the stage left it; none where the stage
/// declares none.
pub fn state(declared: &Stage, latest: Option<&StageRun>, kind: ConditionKind) -> Option<StageConditionState> {
    let rules = &declared.condition(kind)?.rules;
    let run = latest.and_then(|stage| Some((stage, stage.condition(kind)?)));
    let execution = run.map(|(_, run)| {
        StageConditionsExecution::builder().status(status(run.status)).set_summary(summary(run)).build()
    });
    let of_rule = |(index, rule): (usize, &pipeline::Action)| {
        let ran = run.and_then(|(stage, run)| Some((stage, run.rules.get(index).filter(|it| it.name == rule.name)?)));
        RuleState::builder()
            .rule_name(rule.name.as_str())
            .set_latest_execution(ran.and_then(|(stage, run)| rule_execution(stage, kind.place(index), run)))
            .build()
    };
    let condition = ConditionState::builder()
        .set_latest_execution(run.map(|(_, run)| {
            ConditionExecution::builder()
                .status(status(run.status))
                .set_summary(summary(run))
                .last_status_change(convert::time(run.updated))
                .build()
        }))
        .set_rule_states(Some(rules.iter().enumerate().map(of_rule).collect()))
        .build();
    Some(StageConditionState::builder().set_latest_execution(execution).condition_states(condition).build())
}

fn summary(run: &ConditionRun) -> Option<String> {
    run.overridden_by.as_ref().map(|by| format!("Overridden by {by}"))
}

fn status(status: ConditionStatus) -> ConditionExecutionStatus {
    match status {
        ConditionStatus::InProgress => ConditionExecutionStatus::InProgress,
        ConditionStatus::Succeeded => ConditionExecutionStatus::Succeeded,
        ConditionStatus::Failed => ConditionExecutionStatus::Failed,
        ConditionStatus::Overridden => ConditionExecutionStatus::Overridden,
        ConditionStatus::Abandoned => ConditionExecutionStatus::Abandoned,
        ConditionStatus::Cancelled => ConditionExecutionStatus::Cancelled,
    }
}

fn rule_status(status: &ActionStatus) -> Option<RuleExecutionStatus> {
    match status {
        ActionStatus::Pending => None,
        ActionStatus::Requested | ActionStatus::Claimed { .. } | ActionStatus::Running | ActionStatus::CarriedOver => {
            Some(RuleExecutionStatus::InProgress)
        }
        ActionStatus::Succeeded => Some(RuleExecutionStatus::Succeeded),
        ActionStatus::Failed => Some(RuleExecutionStatus::Failed),
        ActionStatus::Abandoned => Some(RuleExecutionStatus::Abandoned),
    }
}

/// None for a rule whose turn has not come.
fn rule_execution(stage: &StageRun, place: u8, run: &ActionRun) -> Option<RuleExecution> {
    let external = run.external.as_ref();
    Some(
        RuleExecution::builder()
            .rule_execution_id(stage.id_at(place).first_turn().to_string())
            .status(rule_status(&run.status)?)
            .set_summary(run.summary.clone())
            .set_last_status_change(run.updated.map(convert::time))
            .set_last_updated_by(run.updated_by.as_ref().map(ToString::to_string))
            .set_external_execution_id(external.map(|external| external.id.clone()))
            .set_external_execution_url(external.and_then(|external| external.url.clone()))
            .set_error_details(run.error.as_ref().map(convert::error))
            .build(),
    )
}

/// A page of rule executions of a pipeline, or of one of its executions.
pub async fn list(app: &App, input: ListRuleExecutionsInput) -> Result<ListRuleExecutionsOutput, ApiError> {
    let (execution, latest) = match input.filter {
        Some(filter) => (filter.pipeline_execution_id, filter.latest_in_pipeline_execution),
        None => (None, None),
    };
    let query = Query {
        operation: Operation::ListRuleExecutions,
        pipeline: input.pipeline_name,
        execution,
        latest,
        most: input.max_results,
        token: input.next_token,
    };
    let shown = |view: &_, stage: &_, place, rule: &_| detail(app, view, stage, place, rule);
    let (details, next) = history::list(app, query, &shown).await?;
    Ok(ListRuleExecutionsOutput::builder().set_rule_execution_details(Some(details)).set_next_token(next).build())
}

fn detail(
    app: &App,
    view: &ExecutionView,
    stage: &StageRun,
    place: u8,
    rule: &ActionView,
) -> Result<RuleExecutionDetail, ApiError> {
    let run = stage.run(place).ok_or_else(|| convert::invalid("there is no such rule"))?;
    let action = &rule.action;
    let region = action.region.as_ref().map_or(app.driver.home(), |region| region.as_str());
    let input = RuleExecutionInput::builder()
        .rule_type_id(type_id(&action.type_id)?)
        .set_configuration(Some(action.configuration.clone().into_iter().collect()))
        .set_resolved_configuration(rule.configuration.clone().map(|resolved| resolved.into_iter().collect()))
        .set_role_arn(action.role_arn.as_ref().map(ToString::to_string))
        .region(region)
        .set_input_artifacts(Some(rule.inputs.iter().map(convert::artifact).collect()))
        .build();
    let external = run.external.as_ref();
    let result = RuleExecutionResult::builder()
        .set_external_execution_id(external.map(|external| external.id.clone()))
        .set_external_execution_summary(run.summary.clone())
        .set_external_execution_url(external.and_then(|external| external.url.clone()))
        .set_error_details(run.error.as_ref().map(convert::error))
        .build();
    Ok(RuleExecutionDetail::builder()
        .pipeline_execution_id(view.execution.id.to_string())
        .rule_execution_id(stage.id_at(place).first_turn().to_string())
        .pipeline_version(i32::try_from(view.execution.version).unwrap_or(i32::MAX))
        .stage_name(stage.name.as_str())
        .rule_name(run.name.as_str())
        .set_start_time(run.requested.map(convert::time))
        .set_last_update_time(run.updated.map(convert::time))
        .set_updated_by(run.updated_by.as_ref().map(ToString::to_string))
        .set_status(rule_status(&run.status))
        .input(input)
        .output(RuleExecutionOutput::builder().execution_result(result).build())
        .build())
}

fn type_id(id: &TypeId) -> Result<RuleTypeId, ApiError> {
    RuleTypeId::builder()
        .category(RuleCategory::from(id.category.as_str()))
        .set_owner(id.owner.as_deref().map(RuleOwner::from))
        .provider(&id.provider)
        .set_version(id.version.clone())
        .build()
        .map_err(convert::incomplete)
}
