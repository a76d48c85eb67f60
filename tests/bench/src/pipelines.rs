//! The pipelines of the bench, and how they are run.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use aws_sdk_codepipeline::Client;
use aws_sdk_codepipeline::types::{
    ActionCategory, ActionDeclaration, ActionExecutionFilter, ActionOwner, ActionTypeId, ArtifactStore,
    ArtifactStoreType, EncryptionKey, EncryptionKeyType, ExecutionMode, InputArtifact, OutputArtifact,
    PipelineDeclaration, PipelineExecutionStatus, PipelineExecutionSummary, PipelineType, StageDeclaration,
};

/// How long an execution may take.
const LIMIT: Duration = Duration::from_secs(240);
/// How often it is looked at. Each look is work for the same machine.
const LOOK: Duration = Duration::from_millis(700);
/// Name and object of the source.
pub const SOURCE_KEY: &str = "app.zip";

/// How the work of an action is done and reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// S3 deploy: over when its provider's call returns.
    Synchronous,
    /// Step Functions: started, and told of later. The state machine waits a second.
    Asynchronous,
    /// Lambda: a function that reports at once.
    Function,
}

/// An action of the bench: its run order and what it does.
pub type Step = (i32, Kind);

/// What pipelines refer to.
#[derive(Clone, Debug)]
pub struct Places {
    /// The ARN of the role of all pipelines.
    pub role: String,
    /// The bucket of the artifact store.
    pub artifacts: String,
    /// The KMS key of the artifact store.
    pub key: String,
    /// The bucket of the source object.
    pub source: String,
    /// The bucket that S3 actions deploy to.
    pub target: String,
    /// The ARN of the state machine that Step Functions actions run.
    pub state_machine: String,
    /// The ARN of the function that Lambda actions and tasks of state machines run.
    pub function: String,
}

/// An action that has been run.
#[derive(Clone, Debug)]
pub struct Ran {
    /// When it was requested, milliseconds since 1970.
    pub requested: f64,
    /// When its end was written down.
    pub ended: f64,
    /// The id of what the provider made.
    pub external: String,
}

/// The name of an action.
#[must_use]
pub fn name(stage: usize, action: usize) -> String {
    format!("s{stage}a{action}")
}

fn declaration(places: &Places, pipeline: &str, stages: &[Vec<Step>]) -> Result<PipelineDeclaration> {
    let key = EncryptionKey::builder().id(&places.key).r#type(EncryptionKeyType::Kms).build()?;
    let store = ArtifactStore::builder()
        .r#type(ArtifactStoreType::S3)
        .location(&places.artifacts)
        .encryption_key(key)
        .build()?;
    let source = action("Source", 1, ActionCategory::Source, "S3")?
        .configuration("S3Bucket", &places.source)
        .configuration("S3ObjectKey", SOURCE_KEY)
        .output_artifacts(OutputArtifact::builder().name("App").build()?)
        .build()?;
    let mut declaration = PipelineDeclaration::builder()
        .name(pipeline)
        .role_arn(&places.role)
        .artifact_store(store)
        .stages(StageDeclaration::builder().name("Source").actions(source).build()?);
    for (number, steps) in stages.iter().enumerate() {
        let mut stage = StageDeclaration::builder().name(format!("s{number}"));
        for (index, (order, kind)) in steps.iter().enumerate() {
            let name = name(number, index);
            stage = stage.actions(match kind {
                Kind::Synchronous => action(&name, *order, ActionCategory::Deploy, "S3")?
                    .configuration("BucketName", &places.target)
                    .configuration("Extract", "false")
                    .configuration("ObjectKey", format!("{pipeline}/{name}.zip"))
                    .input_artifacts(InputArtifact::builder().name("App").build()?)
                    .build()?,
                Kind::Asynchronous => action(&name, *order, ActionCategory::Invoke, "StepFunctions")?
                    .configuration("StateMachineArn", &places.state_machine)
                    .build()?,
                Kind::Function => action(&name, *order, ActionCategory::Invoke, "Lambda")?
                    .configuration("FunctionName", &places.function)
                    .build()?,
            });
        }
        declaration = declaration.stages(stage.build()?);
    }
    Ok(declaration.build()?)
}

fn action(
    name: &str,
    order: i32,
    category: ActionCategory,
    provider: &str,
) -> Result<aws_sdk_codepipeline::types::builders::ActionDeclarationBuilder> {
    let kind = ActionTypeId::builder().category(category).owner(ActionOwner::Aws).provider(provider).version("1");
    Ok(ActionDeclaration::builder().name(name).run_order(order).action_type_id(kind.build()?))
}

/// Makes a pipeline: a source stage, and these stages after it. It runs once, by being made.
///
/// # Errors
/// When CodePipeline refuses it, or that run does not succeed.
pub async fn create(client: &Client, places: &Places, pipeline: &str, stages: &[Vec<Step>]) -> Result<()> {
    make(client, pipeline, declaration(places, pipeline, stages)?).await
}

/// The same, of mode PARALLEL.
///
/// # Errors
/// As [`create`].
pub async fn create_parallel(client: &Client, places: &Places, pipeline: &str, stages: &[Vec<Step>]) -> Result<()> {
    let mut declaration = declaration(places, pipeline, stages)?;
    declaration.execution_mode = Some(ExecutionMode::Parallel);
    declaration.pipeline_type = Some(PipelineType::V2);
    make(client, pipeline, declaration).await
}

async fn make(client: &Client, pipeline: &str, declaration: PipelineDeclaration) -> Result<()> {
    let created = client.create_pipeline().pipeline(declaration).send().await;
    created.with_context(|| format!("cannot create the pipeline {pipeline}"))?;
    let executions = client.list_pipeline_executions().pipeline_name(pipeline).send().await?;
    let first = executions.pipeline_execution_summaries().first().and_then(|first| first.pipeline_execution_id());
    let first = first.with_context(|| format!("{pipeline} was made and does not run"))?;
    wait(client, pipeline, first).await
}

/// Runs a pipeline to its end; returns the execution's id.
///
/// # Errors
/// When it does not succeed, or takes too long.
pub async fn run(client: &Client, pipeline: &str) -> Result<String> {
    let started = client.start_pipeline_execution().name(pipeline).send().await;
    let started = started.with_context(|| format!("cannot start {pipeline}"))?;
    let id = started.pipeline_execution_id.context("an execution has an id")?;
    wait(client, pipeline, &id).await?;
    Ok(id)
}

async fn wait(client: &Client, pipeline: &str, id: &str) -> Result<()> {
    let began = tokio::time::Instant::now();
    loop {
        tokio::time::sleep(LOOK).await;
        let found = client.get_pipeline_execution().pipeline_name(pipeline).pipeline_execution_id(id).send().await?;
        match found.pipeline_execution.and_then(|execution| execution.status) {
            Some(PipelineExecutionStatus::Succeeded) => return Ok(()),
            Some(PipelineExecutionStatus::InProgress) if began.elapsed() < LIMIT => {}
            status => {
                let actions = client.list_action_executions().pipeline_name(pipeline).send().await?;
                bail!("execution {id} of {pipeline} is {status:?} after {:?}: {actions:?}", began.elapsed());
            }
        }
    }
}

/// Waits until no execution of a pipeline runs or waits.
///
/// # Errors
/// When that takes too long.
pub async fn rest(client: &Client, pipeline: &str) -> Result<()> {
    let began = tokio::time::Instant::now();
    loop {
        let newest = client.list_pipeline_executions().pipeline_name(pipeline).send().await?;
        let open = |it: &PipelineExecutionSummary| it.status() == Some(&PipelineExecutionStatus::InProgress);
        if !newest.pipeline_execution_summaries().iter().any(open) {
            return Ok(());
        }
        if began.elapsed() > LIMIT {
            bail!("{pipeline} does not come to rest");
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// The actions of an execution, by name, without the source.
///
/// # Errors
/// When they cannot be listed.
pub async fn actions(client: &Client, pipeline: &str, execution: &str) -> Result<Vec<(String, Ran)>> {
    let filter = ActionExecutionFilter::builder().pipeline_execution_id(execution).build();
    let mut pages = client.list_action_executions().pipeline_name(pipeline).filter(filter).into_paginator().send();
    let mut found = Vec::new();
    while let Some(page) = pages.next().await {
        for detail in page?.action_execution_details() {
            let name = detail.action_name().unwrap_or_default();
            let time = |time: Option<&aws_sdk_codepipeline::primitives::DateTime>| -> Result<f64> {
                Ok(time.with_context(|| format!("action {name} has no time"))?.as_secs_f64() * 1_000.0)
            };
            if name != "Source" {
                let result = detail.output().and_then(|output| output.execution_result());
                found.push((
                    name.to_owned(),
                    Ran {
                        requested: time(detail.start_time())?,
                        ended: time(detail.last_update_time())?,
                        external: result.and_then(|it| it.external_execution_id()).unwrap_or_default().to_owned(),
                    },
                ));
            }
        }
    }
    Ok(found)
}
