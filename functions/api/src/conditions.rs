//! How the conditions of stages stand, and which of their rules ran.

use aws_sdk_codepipeline::operation::list_rule_executions::{ListRuleExecutionsInput, ListRuleExecutionsOutput};
use aws_sdk_codepipeline::types::{
    ConditionExecution, ConditionExecutionStatus, ConditionState, RuleCategory, RuleExecution, RuleExecutionDetail,
    RuleExecutionInput, RuleExecutionOutput, RuleExecutionResult, RuleExecutionStatus, RuleOwner, RuleState,
    RuleTypeId, StageConditionState, StageConditionsExecution, StartTimeRange,
};
use driver::{ActionView, ExecutionView};
use engine::{ActionRun, ActionStatus, ConditionRun, ConditionStatus, StageRun};
use pipeline::{ConditionKind, Stage, TypeId};
use wire::{ApiError, Operation};

use crate::app::App;
use crate::{control, page, shape};

/// Rule executions on a page at most, and by default. Source: CodePipeline API, `ListRuleExecutions`.
const MOST: usize = 100;
/// How many executions are read at once.
const AT_ONCE: usize = 10;

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
                .last_status_change(shape::time(run.updated))
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
        ActionStatus::Requested | ActionStatus::Claimed { .. } | ActionStatus::Running => {
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
            .set_last_status_change(run.updated.map(shape::time))
            .set_last_updated_by(run.updated_by.clone())
            .set_external_execution_id(external.map(|external| external.id.clone()))
            .set_external_execution_url(external.and_then(|external| external.url.clone()))
            .set_error_details(run.error.as_ref().map(shape::error))
            .build(),
    )
}

/// A rule's place in its execution: the newest has the largest. It does not change while the execution goes on.
type Place = (i64, usize, u16, u8);

/// A page of rule executions of a pipeline, or of one of its executions, the newest first.
pub async fn list(app: &App, input: ListRuleExecutionsInput) -> Result<ListRuleExecutionsOutput, ApiError> {
    let operation = Operation::ListRuleExecutions;
    let name = shape::pipeline_name(input.pipeline_name)?;
    let filter = input.filter;
    let latest = filter.as_ref().and_then(|filter| filter.latest_in_pipeline_execution.clone());
    let only = filter.and_then(|filter| filter.pipeline_execution_id);
    if only.is_some() && latest.is_some() {
        return Err(shape::invalid("Only one of pipelineExecutionId and latestInPipelineExecution goes (at filter)."));
    }
    let last_attempts = latest.as_ref().is_some_and(|latest| latest.start_time_range == StartTimeRange::Latest);
    let only = only.or_else(|| latest.map(|latest| latest.pipeline_execution_id));
    let scope = [name.as_str(), only.as_deref().unwrap_or_default(), if last_attempts { "latest" } else { "" }];
    let from: Option<(Option<String>, u64, Place)> = page::position(operation, &scope, input.next_token.as_deref())?;
    let refusal = app.refusal(operation);
    let size = page::size(input.max_results, MOST);
    let mut details = Vec::new();
    let mut last = None;
    let mut after = from.as_ref().and_then(|(after, ..)| after.clone());
    loop {
        let (executions, next) = match &only {
            Some(id) => {
                let id = control::execution(app, operation, &name, Some(id.clone())).await?;
                (vec![app.driver.execution(&name, id).await.map_err(&refusal)?], None)
            }
            None => {
                let found = app.driver.executions(&name, after.as_deref(), AT_ONCE).await.map_err(&refusal)?;
                let executions = found.entities.into_iter().filter_map(|entity| match entity {
                    store::Entity::Execution(execution) => Some(execution),
                    _ => None,
                });
                (executions.collect(), found.next)
            }
        };
        for execution in executions {
            let number = execution.number;
            if from.as_ref().is_some_and(|(_, at, _)| number > *at) {
                continue;
            }
            let view = app.driver.execution_view(execution).await.map_err(&refusal)?;
            let latest = |run: &StageRun| view.execution.attempts.get(run.stage) == Some(&run.attempt);
            let runs = view.runs.iter().filter(|run| !last_attempts || latest(run));
            let mut places: Vec<(Place, &StageRun)> = runs.flat_map(|run| places(run, last_attempts)).collect();
            places.sort_by_key(|(place, _)| std::cmp::Reverse(*place));
            for (place, run) in places {
                if from.as_ref().is_some_and(|(_, at, before)| *at == number && place >= *before) {
                    continue;
                }
                if details.len() == size {
                    return answer(details, Some(page::token(operation, &scope, last)?));
                }
                if let Some(rule) = app.driver.action_view(&view, run, place.3).await.map_err(&refusal)? {
                    details.push(detail(app, &view, run, place.3, &rule)?);
                    last = Some((after.clone(), number, place));
                }
            }
        }
        match next {
            Some(next) => after = Some(next),
            None => return answer(details, None),
        }
    }
}

fn answer(details: Vec<RuleExecutionDetail>, next: Option<String>) -> Result<ListRuleExecutionsOutput, ApiError> {
    Ok(ListRuleExecutionsOutput::builder().set_rule_execution_details(Some(details)).set_next_token(next).build())
}

/// The places of the rules of a stage attempt that ran; what an attempt took over is shown where it ran, unless only
/// latest attempts are.
fn places(run: &StageRun, taken_over: bool) -> impl Iterator<Item = (Place, &StageRun)> {
    run.runs()
        .filter(move |(place, rule)| ConditionKind::at(*place).is_some() && (taken_over || rule.attempt == 0))
        .filter_map(move |(place, rule)| Some(((rule.requested?.0, run.stage, run.attempt, place), run)))
}

fn detail(
    app: &App,
    view: &ExecutionView,
    stage: &StageRun,
    place: u8,
    rule: &ActionView,
) -> Result<RuleExecutionDetail, ApiError> {
    let run = stage.run(place).ok_or_else(|| shape::invalid("there is no such rule"))?;
    let action = &rule.action;
    let region = action.region.as_ref().map_or(app.driver.home(), |region| region.as_str());
    let input = RuleExecutionInput::builder()
        .rule_type_id(type_id(&action.type_id)?)
        .set_configuration(Some(action.configuration.clone().into_iter().collect()))
        .set_resolved_configuration(rule.configuration.clone().map(|resolved| resolved.into_iter().collect()))
        .set_role_arn(action.role_arn.as_ref().map(ToString::to_string))
        .region(region)
        .set_input_artifacts(Some(rule.inputs.iter().map(shape::artifact).collect()))
        .build();
    let external = run.external.as_ref();
    let result = RuleExecutionResult::builder()
        .set_external_execution_id(external.map(|external| external.id.clone()))
        .set_external_execution_summary(run.summary.clone())
        .set_external_execution_url(external.and_then(|external| external.url.clone()))
        .set_error_details(run.error.as_ref().map(shape::error))
        .build();
    Ok(RuleExecutionDetail::builder()
        .pipeline_execution_id(view.execution.id.to_string())
        .rule_execution_id(stage.id_at(place).first_turn().to_string())
        .pipeline_version(i32::try_from(view.execution.version).unwrap_or(i32::MAX))
        .stage_name(stage.name.as_str())
        .rule_name(run.name.as_str())
        .set_start_time(run.requested.map(shape::time))
        .set_last_update_time(run.updated.map(shape::time))
        .set_updated_by(run.updated_by.clone())
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
        .map_err(shape::incomplete)
}
