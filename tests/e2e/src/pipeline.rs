//! A pipeline, watched from outside.

use std::sync::Arc;

use anyhow::{Context, Result};
use aws_sdk_codepipeline::operation::get_pipeline_state::GetPipelineStateOutput;
use aws_sdk_codepipeline::types::{
    ActionExecution, ActionExecutionDetail, ActionExecutionFilter, PipelineExecution, PipelineExecutionStatus,
    PipelineExecutionSummary, StageState,
};

use crate::case::Case;
use crate::wait::{PATIENCE, until};

/// A pipeline of a case.
#[derive(Clone, Debug)]
pub struct Pipeline {
    case: Arc<Case>,
    /// The pipeline's name, made of the case's name.
    pub name: String,
    /// The bucket of its source object.
    pub bucket: String,
}

impl Pipeline {
    pub(crate) const fn new(case: Arc<Case>, name: String, bucket: String) -> Self {
        Self { case, name, bucket }
    }

    /// The first page of `ListPipelineExecutions`, newest first.
    pub async fn executions(&self) -> Result<Vec<PipelineExecutionSummary>> {
        let listed = self.case.pipelines.list_pipeline_executions().pipeline_name(&self.name).send().await?;
        Ok(listed.pipeline_execution_summaries.unwrap_or_default())
    }

    /// The execution that its creation started.
    pub async fn first(&self) -> Result<String> {
        let executions = self.executions().await?;
        let first = executions.last().and_then(|execution| execution.pipeline_execution_id.clone());
        first.with_context(|| format!("{} has not started", self.name))
    }

    /// Starts an execution, and gives its id.
    pub async fn start(&self) -> Result<String> {
        let started = self.case.pipelines.start_pipeline_execution().name(&self.name).send().await?;
        started.pipeline_execution_id.context("an execution without an id")
    }

    /// Waits until there is another execution beside those `known`.
    pub async fn another(&self, known: &[&str]) -> Result<PipelineExecutionSummary> {
        until(
            PATIENCE,
            || format!("{} has not started by itself", self.name),
            || async {
                let new = |execution: &PipelineExecutionSummary| {
                    execution.pipeline_execution_id().is_some_and(|id| !known.contains(&id))
                };
                Ok(self.executions().await?.into_iter().find(new))
            },
        )
        .await
    }

    /// What `GetPipelineExecution` answers.
    pub async fn execution(&self, id: &str) -> Result<PipelineExecution> {
        let get = self.case.pipelines.get_pipeline_execution().pipeline_name(&self.name).pipeline_execution_id(id);
        get.send().await?.pipeline_execution.context("no execution")
    }

    /// Waits for the end of an execution, which must be this.
    pub async fn ends(&self, id: &str, expected: &str) -> Result<PipelineExecution> {
        let ended = until(
            PATIENCE,
            || format!("execution {id} of {} has not ended", self.name),
            || async {
                let execution = self.execution(id).await?;
                Ok((execution.status != Some(PipelineExecutionStatus::InProgress)).then_some(execution))
            },
        )
        .await?;
        let status = ended.status().map_or("none", PipelineExecutionStatus::as_str);
        anyhow::ensure!(status == expected, "execution {id} of {} ended as {status}, not {expected}", self.name);
        Ok(ended)
    }

    /// What `GetPipelineState` answers.
    pub async fn state(&self) -> Result<GetPipelineStateOutput> {
        Ok(self.case.pipelines.get_pipeline_state().name(&self.name).send().await?)
    }

    /// A stage, as `GetPipelineState` shows it.
    pub async fn stage(&self, name: &str) -> Result<StageState> {
        let stages = self.state().await?.stage_states.unwrap_or_default();
        let stage = stages.into_iter().find(|stage| stage.stage_name() == Some(name));
        stage.with_context(|| format!("{} has no stage {name}", self.name))
    }

    /// The latest execution of an action, as `GetPipelineState` shows it.
    pub async fn action(&self, name: &str) -> Result<Option<ActionExecution>> {
        let stages = self.state().await?.stage_states.unwrap_or_default();
        let actions = stages.into_iter().flat_map(|stage| stage.action_states.unwrap_or_default());
        let action = actions.into_iter().find(|action| action.action_name() == Some(name));
        Ok(action.with_context(|| format!("{} has no action {name}", self.name))?.latest_execution)
    }

    /// Waits until an action of an execution is as expected.
    pub async fn until_action(&self, execution: &str, name: &str, status: &str) -> Result<ActionExecutionDetail> {
        until(
            PATIENCE,
            || format!("action {name} of {} is not {status}", self.name),
            || async {
                let actions = self.actions(execution).await?;
                let found = actions.into_iter().find(|action| action.action_name() == Some(name));
                Ok(found.filter(|action| action.status().is_some_and(|found| found.as_str() == status)))
            },
        )
        .await
    }

    /// Waits until an action waits for its worker or approver, and tells so with an external id or a token.
    pub async fn until_asked(&self, name: &str) -> Result<ActionExecution> {
        until(
            PATIENCE,
            || format!("action {name} of {} asks for no approval", self.name),
            || async { Ok(self.action(name).await?.filter(|action| action.token.is_some())) },
        )
        .await
    }

    /// What ran in an execution, in the order in which it was asked for.
    pub async fn actions(&self, execution: &str) -> Result<Vec<ActionExecutionDetail>> {
        let filter = ActionExecutionFilter::builder().pipeline_execution_id(execution).build();
        let listed = self.case.pipelines.list_action_executions().pipeline_name(&self.name).filter(filter);
        let mut details = listed.send().await?.action_execution_details.unwrap_or_default();
        details.reverse();
        Ok(details)
    }
}
