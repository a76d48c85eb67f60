//! Creating, reading, changing, deleting and listing pipelines.

use aws_sdk_codepipeline::operation::create_pipeline::{CreatePipelineInput, CreatePipelineOutput};
use aws_sdk_codepipeline::operation::delete_pipeline::{DeletePipelineInput, DeletePipelineOutput};
use aws_sdk_codepipeline::operation::get_pipeline::{GetPipelineInput, GetPipelineOutput};
use aws_sdk_codepipeline::operation::list_pipelines::{ListPipelinesInput, ListPipelinesOutput};
use aws_sdk_codepipeline::operation::update_pipeline::{UpdatePipelineInput, UpdatePipelineOutput};
use aws_sdk_codepipeline::types::{PipelineDeclaration, PipelineMetadata, PipelineSummary};
use driver::PipelineRecord;
use engine::{Head, Trigger};
use pipeline::Declaration;
use runtime::PassRoleError;
use store::Entity;
use wire::{ApiError, Exception, Operation};

use crate::app::App;
use crate::{convert, page, tags};

/// Pipelines on a page at most, and by default. Source: CodePipeline API, `ListPipelines`.
const MOST: usize = 1_000;

/// Stores a pipeline and starts its first execution, as AWS does.
pub async fn create(app: &App, caller: &str, input: CreatePipelineInput) -> Result<CreatePipelineOutput, ApiError> {
    let operation = Operation::CreatePipeline;
    let tags = tags::checked(input.tags.unwrap_or_default(), Some(&app.topics))?;
    let declaration = declared(input.pipeline)?;
    may_pass_roles(app, caller, &declaration).await?;
    let trigger = Trigger { kind: "CreatePipeline".to_owned(), detail: caller.to_owned() };
    let record = app.driver.create_pipeline(declaration, tags, trigger).await.map_err(app.refusal(operation))?;
    Ok(CreatePipelineOutput::builder()
        .pipeline(shown(&record)?)
        .set_tags(Some(tags::listed(record.head.tags.iter())?))
        .build())
}

/// A pipeline at its current version, or at the one asked for.
pub async fn get(app: &App, input: GetPipelineInput) -> Result<GetPipelineOutput, ApiError> {
    let name = convert::pipeline_name(input.name)?;
    let version = input.version.map(u32::try_from).transpose().map_err(convert::invalid)?;
    let record = app.driver.pipeline(&name, version).await.map_err(app.refusal(Operation::GetPipeline))?;
    let metadata = PipelineMetadata::builder()
        .pipeline_arn(app.arn(&name))
        .created(convert::time(record.head.created))
        .updated(convert::time(record.head.updated))
        .build();
    Ok(GetPipelineOutput::builder().pipeline(shown(&record)?).metadata(metadata).build())
}

/// Stores the declaration as the pipeline's next version, if the caller may pass all roles in it.
pub async fn update(app: &App, caller: &str, input: UpdatePipelineInput) -> Result<UpdatePipelineOutput, ApiError> {
    let declaration = declared(input.pipeline)?;
    may_pass_roles(app, caller, &declaration).await?;
    let record = app.driver.update_pipeline(declaration).await.map_err(app.refusal(Operation::UpdatePipeline))?;
    Ok(UpdatePipelineOutput::builder().pipeline(shown(&record)?).build())
}

/// Deletes a pipeline; one that is not there is no error, as on AWS.
pub async fn delete(app: &App, input: DeletePipelineInput) -> Result<DeletePipelineOutput, ApiError> {
    let name = convert::pipeline_name(input.name)?;
    app.driver.delete_pipeline(&name).await.map_err(app.refusal(Operation::DeletePipeline))?;
    Ok(DeletePipelineOutput::builder().build())
}

/// A page of pipelines by name.
pub async fn list(app: &App, input: ListPipelinesInput) -> Result<ListPipelinesOutput, ApiError> {
    let operation = Operation::ListPipelines;
    let after: Option<String> = page::position(operation, &[], input.next_token.as_deref())?;
    let size = page::size(input.max_results, MOST);
    let found = app.driver.pipelines(after.as_deref(), size).await.map_err(app.refusal(operation))?;
    let pipelines = found.entities.iter().filter_map(|entity| match entity {
        Entity::Head(head) => Some(summary(head)),
        _ => None,
    });
    let next = found.next.as_ref().map(|next| page::token(operation, &[], next)).transpose()?;
    Ok(ListPipelinesOutput::builder().set_pipelines(Some(pipelines.collect())).set_next_token(next).build())
}

fn summary(head: &Head) -> PipelineSummary {
    PipelineSummary::builder()
        .name(head.pipeline.as_str())
        .version(i32::try_from(head.version).unwrap_or(i32::MAX))
        .pipeline_type(convert::kind(head.kind))
        .execution_mode(convert::mode(head.mode))
        .created(convert::time(head.created))
        .updated(convert::time(head.updated))
        .build()
}

/// The declaration in an input, in the domain's form.
fn declared(declaration: Option<PipelineDeclaration>) -> Result<Declaration, ApiError> {
    let declaration = declaration.ok_or_else(|| convert::invalid("pipeline is missing"))?;
    let mut declaration: Declaration =
        serde_json::from_value(wire::to_json(&declaration)?).map_err(convert::invalid)?;
    // Versions are assigned here; what a client read and sends back may say an old one.
    declaration.version = None;
    Ok(declaration)
}

/// Refuses a caller who may not pass every role that the declaration names.
async fn may_pass_roles(app: &App, caller: &str, declaration: &Declaration) -> Result<(), ApiError> {
    app.pass_role.check(caller, &declaration.roles()).await.map_err(|error| match &error {
        PassRoleError::Denied { .. } => Exception::AccessDeniedException.because(error.to_string()),
        PassRoleError::Unavailable { .. } => {
            tracing::error!(%error, "roles cannot be checked");
            Exception::InternalFailure
                .because("IAM could not say whether you may pass the pipeline's roles: try again.")
        }
    })
}

/// A declaration as answers show it: secrets masked, and with the values that AWS fills in where none were given.
fn shown(record: &PipelineRecord) -> Result<PipelineDeclaration, ApiError> {
    let mut declaration = record.pipeline.masked();
    declaration.version = Some(record.version);
    let mode = convert::mode(record.pipeline.mode());
    declaration.execution_mode.get_or_insert_with(|| mode.as_str().to_owned());
    let kind = convert::kind(record.pipeline.kind());
    declaration.pipeline_type.get_or_insert_with(|| kind.as_str().to_owned());
    declaration.triggers = Some(record.pipeline.triggers()).filter(|triggers| !triggers.is_empty());
    for action in declaration.stages.iter_mut().flat_map(|stage| &mut stage.actions) {
        action.run_order.get_or_insert(1);
        action.configuration.get_or_insert_default();
        action.input_artifacts.get_or_insert_default();
        action.output_artifacts.get_or_insert_default();
    }
    let json = serde_json::to_value(&declaration)
        .map_err(|error| Exception::InternalFailure.because(format!("The pipeline cannot be shown: {error}")))?;
    wire::from_json(&json)
}
