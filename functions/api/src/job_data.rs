//! A job as its worker is given it. No other answer contains secrets in plain text.

use aws_sdk_codepipeline::types::{
    ActionConfiguration, ActionContext, Artifact, ArtifactLocation, ArtifactLocationType, AwsSessionCredentials,
    EncryptionKey, EncryptionKeyType, JobData, PipelineContext, S3ArtifactLocation, StageContext, ThirdPartyJobData,
};
use driver::Task;
use runtime::ArtifactError;
use wire::{ApiError, Exception};

use crate::app::App;
use crate::{actions, convert};

/// Credentials that reach the job's artifacts, for an hour; none for a job without artifacts. Nobody is given an artifact
/// that is not what it was.
///
/// # Errors
/// [`ArtifactError`].
pub async fn credentials(app: &App, task: &Task) -> Result<Option<AwsSessionCredentials>, ArtifactError> {
    if task.inputs.is_empty() && task.outputs.is_empty() {
        return Ok(None);
    }
    app.roles.check_job_inputs(task).await?;
    let given = app.roles.for_job(task).await?;
    let credentials = AwsSessionCredentials::builder()
        .access_key_id(given.access_key_id())
        .secret_access_key(given.secret_access_key())
        .session_token(given.session_token().unwrap_or_default());
    Ok(credentials.build().ok())
}

/// Why no credentials can be had, where the operation has no exception of its own for it.
pub fn no_credentials(error: &ArtifactError) -> ApiError {
    Exception::InternalFailure.because(format!("The job cannot be given out: {error}"))
}

/// What a job of a custom action is about.
pub fn own(app: &App, task: &Task, credentials: Option<AwsSessionCredentials>) -> Result<JobData, ApiError> {
    let context = context(task)
        .set_pipeline_arn(Some(app.arn(&task.pipeline)))
        .set_pipeline_execution_id(Some(task.execution().to_string()))
        .build();
    Ok(JobData::builder()
        .action_type_id(actions::type_id(&task.action.type_id)?)
        .action_configuration(configuration(task))
        .pipeline_context(context)
        .set_input_artifacts(Some(inputs(task)?))
        .set_output_artifacts(Some(outputs(task)?))
        .set_artifact_credentials(credentials)
        .set_continuation_token(task.continuation.clone())
        .set_encryption_key(key(task)?)
        .build())
}

/// What a job of a third party's action is about. Source: CodePipeline API, `PipelineContext`: neither the pipeline's
/// ARN nor the execution's id are for third parties.
pub fn third_party(task: &Task, credentials: Option<AwsSessionCredentials>) -> Result<ThirdPartyJobData, ApiError> {
    Ok(ThirdPartyJobData::builder()
        .action_type_id(actions::type_id(&task.action.type_id)?)
        .action_configuration(configuration(task))
        .pipeline_context(context(task).build())
        .set_input_artifacts(Some(inputs(task)?))
        .set_output_artifacts(Some(outputs(task)?))
        .set_artifact_credentials(credentials)
        .set_continuation_token(task.continuation.clone())
        .set_encryption_key(key(task)?)
        .build())
}

fn context(task: &Task) -> aws_sdk_codepipeline::types::builders::PipelineContextBuilder {
    let action = ActionContext::builder()
        .name(task.action.name.as_str())
        .action_execution_id(task.id.first_turn().to_string())
        .build();
    PipelineContext::builder()
        .pipeline_name(task.pipeline.as_str())
        .stage(StageContext::builder().name(task.stage.as_str()).build())
        .action(action)
}

fn configuration(task: &Task) -> ActionConfiguration {
    ActionConfiguration::builder().set_configuration(Some(task.configuration.clone().into_iter().collect())).build()
}

fn inputs(task: &Task) -> Result<Vec<Artifact>, ApiError> {
    let inputs = task.inputs.iter();
    inputs.map(|input| artifact(input.artifact.name.as_str(), &input.bucket, &input.artifact.key)).collect()
}

fn outputs(task: &Task) -> Result<Vec<Artifact>, ApiError> {
    task.outputs.iter().map(|output| artifact(output.name.as_str(), &output.bucket, &output.key)).collect()
}

fn artifact(name: &str, bucket: &str, key: &str) -> Result<Artifact, ApiError> {
    let place =
        S3ArtifactLocation::builder().bucket_name(bucket).object_key(key).build().map_err(convert::incomplete)?;
    let location = ArtifactLocation::builder().r#type(ArtifactLocationType::S3).s3_location(place).build();
    Ok(Artifact::builder().name(name).location(location).build())
}

fn key(task: &Task) -> Result<Option<EncryptionKey>, ApiError> {
    let Some((_, Some(id))) = &task.store else {
        return Ok(None);
    };
    EncryptionKey::builder().id(id).r#type(EncryptionKeyType::Kms).build().map(Some).map_err(convert::incomplete)
}
