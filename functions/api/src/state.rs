//! How a pipeline stands: who is in and in front of each stage, and how each action went last.

use aws_sdk_codepipeline::operation::get_pipeline_state::{GetPipelineStateInput, GetPipelineStateOutput};
use aws_sdk_codepipeline::types::{
    ActionExecution, ActionRevision, ActionState, RetryStageMetadata, RetryTrigger, StageExecution,
    StageExecutionStatus, StageState, TransitionState,
};
use driver::{PipelineView, StageView};
use engine::{ActionRun, ActionStatus, ExecutionId, Retries, StageLock, StageRun, StageStatus, Transition};
use pipeline::{Action, ConditionKind, Stage};
use wire::{ApiError, Operation};

use crate::actions::status;
use crate::app::App;
use crate::{conditions, convert, links};

/// The state of a pipeline.
pub async fn get(app: &App, input: GetPipelineStateInput) -> Result<GetPipelineStateOutput, ApiError> {
    let name = convert::pipeline_name(input.name)?;
    let view = app.driver.state(&name).await.map_err(app.refusal(Operation::GetPipelineState))?;
    let PipelineView { record, locks, stages } = &view;
    let nobody = StageLock::default();
    let mut states = Vec::with_capacity(stages.len());
    for (declared, stage) in record.pipeline.stages().iter().zip(stages) {
        let lock = locks.stages.get(&stage.name).unwrap_or(&nobody);
        states.push(stage_state(declared, stage, lock, app.driver.home())?);
    }
    Ok(GetPipelineStateOutput::builder()
        .pipeline_name(name.as_str())
        .pipeline_version(i32::try_from(record.version).unwrap_or(i32::MAX))
        .set_stage_states(Some(states))
        .created(convert::time(record.head.created))
        .updated(convert::time(record.head.updated))
        .build())
}

fn stage_state(declared: &Stage, stage: &StageView, lock: &StageLock, home: &str) -> Result<StageState, ApiError> {
    let inbound: Vec<StageExecution> = lock
        .waiting
        .iter()
        .map(|waiting| stage_execution(waiting.execution, StageExecutionStatus::InProgress, false))
        .collect::<Result<_, _>>()?;
    let latest = stage.latest.as_ref();
    let actions: Vec<ActionState> =
        declared.actions.iter().map(|action| action_state(action, stage, home)).collect::<Result<_, _>>()?;
    Ok(StageState::builder()
        .stage_name(stage.name.as_str())
        .set_inbound_execution(inbound.first().cloned())
        .set_inbound_executions(Some(inbound))
        .inbound_transition_state(transition(&lock.transition))
        .set_action_states(Some(actions))
        .set_latest_execution(
            latest.map(|run| stage_execution(run.execution, stage_status(run.status), run.rolls_back)).transpose()?,
        )
        .set_before_entry_condition_state(conditions::state(declared, latest, ConditionKind::BeforeEntry))
        .set_on_success_condition_state(conditions::state(declared, latest, ConditionKind::OnSuccess))
        .set_on_failure_condition_state(conditions::state(declared, latest, ConditionKind::OnFailure))
        .set_retry_stage_metadata(latest.and_then(|run| retries(&run.retries)))
        .build())
}

fn stage_execution(
    execution: ExecutionId,
    status: StageExecutionStatus,
    rolls_back: bool,
) -> Result<StageExecution, ApiError> {
    StageExecution::builder()
        .pipeline_execution_id(execution.to_string())
        .status(status)
        .r#type(convert::execution_type(rolls_back))
        .build()
        .map_err(convert::incomplete)
}

fn stage_status(status: StageStatus) -> StageExecutionStatus {
    match status {
        StageStatus::InProgress | StageStatus::Cancelling => StageExecutionStatus::InProgress,
        StageStatus::Succeeded => StageExecutionStatus::Succeeded,
        StageStatus::Failed => StageExecutionStatus::Failed,
        StageStatus::Cancelled => StageExecutionStatus::Cancelled,
        StageStatus::Stopping => StageExecutionStatus::Stopping,
        StageStatus::Stopped => StageExecutionStatus::Stopped,
        StageStatus::Skipped => StageExecutionStatus::Skipped,
    }
}

fn retries(retries: &Retries) -> Option<RetryStageMetadata> {
    let trigger = match retries.latest? {
        engine::RetryTrigger::Automatic => RetryTrigger::AutomatedStageRetry,
        engine::RetryTrigger::Manual => RetryTrigger::ManualStageRetry,
    };
    let count = |attempts: u16| Some(i32::from(attempts)).filter(|attempts| *attempts > 0);
    Some(
        RetryStageMetadata::builder()
            .set_auto_stage_retry_attempt(count(retries.automatic))
            .set_manual_stage_retry_attempt(count(retries.manual))
            .latest_retry_trigger(trigger)
            .build(),
    )
}

fn transition(transition: &Transition) -> TransitionState {
    TransitionState::builder()
        .enabled(!transition.disabled)
        .set_last_changed_by(transition.changed_by.clone())
        .set_last_changed_at(transition.changed_at.map(convert::time))
        .set_disabled_reason(transition.reason.clone())
        .build()
}

/// An action of the current version, with its last run: the latest attempt at its stage may not have come to it, or be of
/// another version, without it.
fn action_state(declared: &Action, stage: &StageView, home: &str) -> Result<ActionState, ApiError> {
    let found = stage.latest.iter().chain(&stage.earlier).find_map(|stage| {
        let index = stage.actions.iter().position(|run| run.name == declared.name)?;
        let run = &stage.actions[index];
        (run.status != ActionStatus::Pending).then_some((stage, index, run))
    });
    let revision = found.and_then(|(_, _, run)| Some((run, run.revision.as_ref()?)));
    let current = revision.map(|(run, revision)| {
        let seen = revision.created.or(run.updated).unwrap_or_default();
        ActionRevision::builder()
            .revision_id(&revision.id)
            .revision_change_id(&revision.id)
            .created(convert::time(seen))
            .build()
            .map_err(convert::incomplete)
    });
    Ok(ActionState::builder()
        .action_name(declared.name.as_str())
        .set_current_revision(current.transpose()?)
        .set_latest_execution(found.and_then(|(stage, index, run)| action_execution(stage, index, run)))
        .set_entity_url(links::entity(declared, home))
        .set_revision_url(revision.and_then(|(_, revision)| revision.url.clone()))
        .build())
}

/// None for an action whose turn has not come.
fn action_execution(stage: &StageRun, index: usize, run: &ActionRun) -> Option<ActionExecution> {
    let status = status(&run.status)?;
    let token = run.token.filter(|_| run.status.in_flight()).map(|token| token.to_string());
    Some(
        ActionExecution::builder()
            .action_execution_id(stage.action_id(index).first_turn().to_string())
            .status(status)
            .set_summary(run.summary.clone())
            .set_last_status_change(run.updated.map(convert::time))
            .set_token(token)
            .set_last_updated_by(run.updated_by.as_ref().map(ToString::to_string))
            .set_external_execution_id(run.external.as_ref().map(|external| external.id.clone()))
            .set_external_execution_url(run.external.as_ref().and_then(|external| external.url.clone()))
            .set_percent_complete(run.percent.map(i32::from))
            .set_error_details(run.error.as_ref().map(convert::error))
            .build(),
    )
}
