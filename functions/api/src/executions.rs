//! Starting, reading and listing pipeline executions.

use std::collections::BTreeMap;

use aws_sdk_codepipeline::operation::get_pipeline_execution::{GetPipelineExecutionInput, GetPipelineExecutionOutput};
use aws_sdk_codepipeline::operation::list_pipeline_executions::{
    ListPipelineExecutionsInput, ListPipelineExecutionsOutput,
};
use aws_sdk_codepipeline::operation::start_pipeline_execution::{
    StartPipelineExecutionInput, StartPipelineExecutionOutput,
};
use aws_sdk_codepipeline::types::{
    ArtifactRevision, PipelineExecution, PipelineExecutionStatus, PipelineExecutionSummary, PipelineRollbackMetadata,
    PipelineVariable, ResolvedPipelineVariable, SourceRevision, SourceRevisionOverride, StopExecutionTrigger,
};
use driver::{DriveError, StartRequest};
use engine::{Execution, ExecutionStatus, RevisionOverride, Trigger};
use pipeline::{ActionName, PipelineName};
use store::Entity;
use wire::{ApiError, Operation};

use crate::app::App;
use crate::{control, convert, page};

/// Executions on a page at most, and by default. Source: CodePipeline API, `ListPipelineExecutions`.
const MOST: usize = 100;

/// Starts an execution; a start with a token that was used starts nothing again.
pub async fn start(
    app: &App,
    caller: &str,
    input: StartPipelineExecutionInput,
) -> Result<StartPipelineExecutionOutput, ApiError> {
    let request = StartRequest {
        pipeline: convert::pipeline_name(input.name)?,
        trigger: Trigger { kind: "StartPipelineExecution".to_owned(), detail: caller.to_owned() },
        variables: variables(input.variables.unwrap_or_default())?,
        overrides: overrides(input.source_revisions.unwrap_or_default())?,
        client_token: input.client_request_token,
    };
    let started = app.driver.start(request).await.map_err(app.refusal(Operation::StartPipelineExecution))?;
    Ok(StartPipelineExecutionOutput::builder().pipeline_execution_id(started.execution.to_string()).build())
}

fn variables(given: Vec<PipelineVariable>) -> Result<BTreeMap<String, String>, ApiError> {
    let mut variables = BTreeMap::new();
    for PipelineVariable { name, value, .. } in given {
        if variables.contains_key(&name) {
            return Err(convert::invalid(format!("The variable '{name}' is given twice.")));
        }
        variables.insert(name, value);
    }
    Ok(variables)
}

fn overrides(given: Vec<SourceRevisionOverride>) -> Result<Vec<RevisionOverride>, ApiError> {
    let one = |given: SourceRevisionOverride| {
        let action = ActionName::new(given.action_name).map_err(convert::invalid)?;
        Ok(RevisionOverride::new(action, given.revision_type.as_str(), given.revision_value))
    };
    given.into_iter().map(one).collect()
}

/// One execution with its revisions, variables, trigger, and why it waits or how it ended.
pub async fn get(app: &App, input: GetPipelineExecutionInput) -> Result<GetPipelineExecutionOutput, ApiError> {
    let refusal = app.refusal(Operation::GetPipelineExecution);
    let name = convert::pipeline_name(input.pipeline_name)?;
    let id = control::execution(app, Operation::GetPipelineExecution, &name, input.pipeline_execution_id).await?;
    let execution = app.driver.execution(&name, id).await.map_err(&refusal)?;
    let summary = summaries(app, &[&execution]).await.map_err(&refusal)?.pop().flatten();
    let mut shown = shown(&execution);
    shown.status_summary = summary;
    Ok(GetPipelineExecutionOutput::builder().pipeline_execution(shown).build())
}

/// The status summaries of executions: what those that go on wait for, how the others ended.
async fn summaries(app: &App, executions: &[&Execution]) -> Result<Vec<Option<String>>, DriveError> {
    let open: Vec<&Execution> = executions.iter().copied().filter(|execution| execution.status.is_open()).collect();
    let mut why = if open.is_empty() { Vec::new() } else { app.driver.why(&open).await? }.into_iter();
    let summary = |execution: &&Execution| match execution.status.is_open() {
        true => why.next().map(|sentences| sentences.join(" ")),
        false => execution.summary.clone(),
    };
    Ok(executions.iter().map(summary).collect())
}

fn shown(execution: &Execution) -> PipelineExecution {
    let revisions = execution.revisions.iter().map(|found| {
        ArtifactRevision::builder()
            .set_name(found.artifact.as_ref().map(ToString::to_string))
            .revision_id(&found.revision.id)
            .set_revision_change_identifier(found.revision.change.clone())
            .set_revision_summary(found.revision.summary.clone())
            .set_revision_url(found.revision.url.clone())
            .set_created(found.revision.created.map(convert::time))
            .build()
    });
    let variables = execution
        .variables
        .iter()
        .map(|(name, value)| ResolvedPipelineVariable::builder().name(name).resolved_value(value).build());
    PipelineExecution::builder()
        .pipeline_name(execution.pipeline.as_str())
        .pipeline_version(i32::try_from(execution.version).unwrap_or(i32::MAX))
        .pipeline_execution_id(execution.id.to_string())
        .status(status(execution.status))
        .set_artifact_revisions(Some(revisions.collect()))
        .set_variables(Some(variables.collect()))
        .trigger(convert::trigger(&execution.trigger))
        .execution_mode(convert::mode(execution.mode))
        .execution_type(convert::execution_type(execution.rollback.is_some()))
        .set_rollback_metadata(rollback(execution))
        .build()
}

fn rollback(execution: &Execution) -> Option<PipelineRollbackMetadata> {
    let target = execution.rollback.as_ref()?.execution.to_string();
    Some(PipelineRollbackMetadata::builder().rollback_target_pipeline_execution_id(target).build())
}

fn status(status: ExecutionStatus) -> PipelineExecutionStatus {
    match status {
        ExecutionStatus::InProgress => PipelineExecutionStatus::InProgress,
        ExecutionStatus::Succeeded => PipelineExecutionStatus::Succeeded,
        ExecutionStatus::Failed => PipelineExecutionStatus::Failed,
        ExecutionStatus::Superseded => PipelineExecutionStatus::Superseded,
        ExecutionStatus::Cancelling => PipelineExecutionStatus::InProgress,
        ExecutionStatus::Cancelled => PipelineExecutionStatus::Cancelled,
        ExecutionStatus::Stopping => PipelineExecutionStatus::Stopping,
        ExecutionStatus::Stopped => PipelineExecutionStatus::Stopped,
    }
}

/// A page of a pipeline's executions, newest first.
pub async fn list(app: &App, input: ListPipelineExecutionsInput) -> Result<ListPipelineExecutionsOutput, ApiError> {
    let operation = Operation::ListPipelineExecutions;
    let name = convert::pipeline_name(input.pipeline_name)?;
    if let Some(filter) = input.filter.and_then(|filter| filter.succeeded_in_stage) {
        let stage =
            filter.stage_name.ok_or_else(|| convert::invalid("filter.succeededInStage.stageName is missing"))?;
        return succeeded(app, &name, &stage, input.next_token.as_deref(), input.max_results).await;
    }
    let scope = [name.as_str()];
    let after: Option<String> = page::position(operation, &scope, input.next_token.as_deref())?;
    let size = page::size(input.max_results, MOST);
    let found = app.driver.executions(&name, after.as_deref(), size).await.map_err(app.refusal(operation))?;
    let executions = found.entities.iter().filter_map(|entity| match entity {
        Entity::Execution(execution) => Some(execution),
        _ => None,
    });
    let listed = listed(app, &executions.collect::<Vec<_>>()).await?;
    let next = found.next.as_ref().map(|next| page::token(operation, &scope, next)).transpose()?;
    Ok(ListPipelineExecutionsOutput::builder()
        .set_pipeline_execution_summaries(Some(listed))
        .set_next_token(next)
        .build())
}

/// Executions as a page shows them.
async fn listed(app: &App, executions: &[&Execution]) -> Result<Vec<PipelineExecutionSummary>, ApiError> {
    let summaries = summaries(app, executions).await.map_err(app.refusal(Operation::ListPipelineExecutions))?;
    executions.iter().zip(summaries).map(|(execution, said)| summary(execution, said)).collect()
}

/// A page of those that succeeded in a stage; it may be short, or empty, and have a token all the same.
async fn succeeded(
    app: &App,
    name: &PipelineName,
    stage: &str,
    token: Option<&str>,
    size: Option<i32>,
) -> Result<ListPipelineExecutionsOutput, ApiError> {
    let operation = Operation::ListPipelineExecutions;
    let scope = [name.as_str(), stage];
    let from = page::position(operation, &scope, token)?;
    let found =
        app.driver.succeeded(name, stage, from, page::size(size, MOST)).await.map_err(app.refusal(operation))?;
    let listed = listed(app, &found.executions.iter().collect::<Vec<_>>()).await?;
    let next = found.next.as_ref().map(|next| page::token(operation, &scope, next)).transpose()?;
    Ok(ListPipelineExecutionsOutput::builder()
        .set_pipeline_execution_summaries(Some(listed))
        .set_next_token(next)
        .build())
}

fn summary(execution: &Execution, said: Option<String>) -> Result<PipelineExecutionSummary, ApiError> {
    let revisions = execution.revisions.iter().map(|found| {
        SourceRevision::builder()
            .action_name(found.action.as_str())
            .revision_id(&found.revision.id)
            .set_revision_summary(found.revision.summary.clone())
            .set_revision_url(found.revision.url.clone())
            .build()
            .map_err(convert::incomplete)
    });
    Ok(PipelineExecutionSummary::builder()
        .pipeline_execution_id(execution.id.to_string())
        .status(status(execution.status))
        .set_status_summary(said)
        .start_time(convert::time(execution.started))
        .last_update_time(convert::time(execution.updated))
        .set_source_revisions(Some(revisions.collect::<Result<_, _>>()?))
        .trigger(convert::trigger(&execution.trigger))
        .set_stop_trigger(
            execution.stop.as_ref().map(|stop| StopExecutionTrigger::builder().set_reason(stop.reason.clone()).build()),
        )
        .execution_mode(convert::mode(execution.mode))
        .execution_type(convert::execution_type(execution.rollback.is_some()))
        .set_rollback_metadata(rollback(execution))
        .build())
}
