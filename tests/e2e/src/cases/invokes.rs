//! Pipelines that start other pipelines.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use aws_sdk_codepipeline::types::{ActionExecutionDetail, PipelineExecution, PipelineVariable};
use local::HOME;

use crate::case::Case;
use crate::check::{fails_with, named};
use crate::declare::{Action, Draft};
use crate::pipeline::Pipeline;

/// An action that starts a pipeline with this value of its variable, and waits for the end.
pub(super) fn invoke(pipeline: &Pipeline, color: &str) -> Action {
    let action = Action::new("Release", "Invoke", "CodePipeline").set("PipelineName", &pipeline.name);
    let action = action.set("Variables", &format!(r#"[{{"name": "COLOR", "value": "{color}"}}]"#));
    action.set("WaitForCompletion", "true")
}

/// QUEUED, so that no execution overtakes another.
pub(super) async fn with_color(case: &Arc<Case>, purpose: &str, color: &str) -> Result<Draft> {
    case.draft(purpose).mode("QUEUED").variable("COLOR", color).source().await
}

/// The one execution that an action of a parent's started.
async fn invoked(child: &Pipeline, action: &ActionExecutionDetail) -> Result<PipelineExecution> {
    let result = action.output().and_then(|output| output.execution_result());
    let id = result.and_then(|result| result.external_execution_id()).context("no external execution id")?;
    let executions = child.executions().await?;
    ensure!(executions.len() == 2, "beside its first execution the child has one: {executions:?}");
    child.execution(id).await
}

/// A parent starts a child with a variable and goes on when it has ended; starting it again starts nothing.
pub async fn another_pipeline_awaited(case: &Arc<Case>) -> Result<()> {
    let child = with_color(case, "child", "none").await?;
    let child = child.stage("Test", [Action::machine("Run", case.machine(HOME, "slow")?, "{}")]).create().await?;
    child.ends(&child.first().await?, "Succeeded").await?;
    let parent = with_color(case, "parent", "red").await?;
    let echo = Action::machine("Say", case.machine(HOME, "echo")?, "{}").with("runOrder", 2);
    let parent = parent.stage("Release", [invoke(&child, "#{variables.COLOR}"), echo]).create().await?;
    let first = parent.first().await?;
    parent.ends(&first, "Succeeded").await?;

    let actions = parent.actions(&first).await?;
    let release = named(&actions, "Release")?;
    let execution = invoked(&child, release).await?;
    let status = execution.status().map_or("-", |status| status.as_str());
    ensure!(status == "Succeeded", "the parent went on while its child was {status}");
    let variables = execution.variables();
    let color = variables.iter().find(|variable| variable.name() == Some("COLOR"));
    ensure!(color.and_then(|variable| variable.resolved_value()) == Some("red"), "{variables:?}");
    let began = child.actions(execution.pipeline_execution_id().unwrap_or_default()).await?;
    let ended = named(&began, "Run")?.last_update_time().context("no end")?;
    let next = named(&actions, "Say")?.start_time().context("no begin")?;
    ensure!(next >= ended, "the next action began before the child had ended");

    // A worker that is lost after the start asks again under the same token.
    let token = release.action_execution_id().context("no action execution id")?;
    let again = case.pipelines.start_pipeline_execution().name(&child.name).client_request_token(token);
    let again = again.variables(PipelineVariable::builder().name("COLOR").value("red").build()?).send().await?;
    ensure!(again.pipeline_execution_id() == execution.pipeline_execution_id(), "another execution: {again:?}");
    ensure!(child.executions().await?.len() == 2, "it was started again");
    Ok(())
}

/// The child's reason is the parent's; who does not wait has started it all the same.
pub async fn another_pipeline_fails(case: &Arc<Case>) -> Result<()> {
    let child = with_color(case, "bad-child", "none").await?;
    let child = child.stage("Test", [Action::machine("Run", case.machine(HOME, "broken")?, "{}")]).create().await?;
    child.ends(&child.first().await?, "Failed").await?;
    let parent = with_color(case, "bad-parent", "red").await?;
    let parent = parent.stage("Release", [invoke(&child, "blue")]).create().await?;
    let first = parent.first().await?;
    let words = [child.name.as_str(), "ended as Failed", "Action Run in stage Test failed", "3 of 7 were red"];
    fails_with(&parent, &first, "Release", "JobFailed", &words).await?;
    invoked(&child, named(&parent.actions(&first).await?, "Release")?).await?;

    let parent = with_color(case, "careless", "red").await?;
    let careless = invoke(&child, "green").set("WaitForCompletion", "false");
    let itself = Action::new("Itself", "Invoke", "CodePipeline").set("PipelineName", &parent.handle().name);
    let parent = parent.stage("Release", [careless]).stage("Again", [itself]).create().await?;
    let first = parent.first().await?;
    fails_with(&parent, &first, "Itself", "ConfigurationError", &["the pipeline in which it runs itself"]).await?;
    ensure!(child.executions().await?.len() == 3, "it was started without being waited for");
    Ok(())
}
