//! Small pieces of inputs and outputs that several operations share.

use std::collections::BTreeMap;

use aws_sdk_codepipeline::error::BuildError;
use aws_sdk_codepipeline::primitives::DateTime;
use aws_sdk_codepipeline::types::{
    ArtifactDetail, ErrorDetails, ExecutionMode, ExecutionTrigger, ExecutionType, PipelineType, S3Location, TriggerType,
};
use engine::{ActionError, Artifact, Timestamp, Trigger};
use pipeline::{Action, MASK, PipelineName};
use wire::{ApiError, Exception};

/// A time in the API's form.
pub fn time(at: Timestamp) -> DateTime {
    DateTime::from_millis(at.0)
}

/// The same from the API's form.
pub fn timestamp(at: &DateTime) -> Timestamp {
    Timestamp(at.to_millis().unwrap_or_default())
}

/// The name of a pipeline, which has been checked with the input's other constraints.
///
/// # Errors
/// `ValidationException`.
pub fn pipeline_name(name: Option<String>) -> Result<PipelineName, ApiError> {
    PipelineName::new(name.unwrap_or_default()).map_err(invalid)
}

/// A value of a wrong form.
pub fn invalid(error: impl std::fmt::Display) -> ApiError {
    Exception::ValidationException.because(error.to_string())
}

/// A structure of ours that lacks a member which the model requires: cannot happen with what the domain has checked.
pub fn incomplete(error: BuildError) -> ApiError {
    Exception::InternalFailure.because(format!("The answer cannot be made: {error}"))
}

/// The trigger of an execution: its type, and the detail that says who or what it was.
pub fn trigger(trigger: &Trigger) -> ExecutionTrigger {
    ExecutionTrigger::builder()
        .trigger_type(TriggerType::from(trigger.kind.as_str()))
        .trigger_detail(&trigger.detail)
        .build()
}

/// The SDK's word for an execution mode.
pub fn mode(mode: pipeline::ExecutionMode) -> ExecutionMode {
    match mode {
        pipeline::ExecutionMode::Superseded => ExecutionMode::Superseded,
        pipeline::ExecutionMode::Queued => ExecutionMode::Queued,
        pipeline::ExecutionMode::Parallel => ExecutionMode::Parallel,
    }
}

/// The SDK's word for a pipeline's type.
pub fn kind(kind: pipeline::PipelineType) -> PipelineType {
    match kind {
        pipeline::PipelineType::V1 => PipelineType::V1,
        pipeline::PipelineType::V2 => PipelineType::V2,
    }
}

/// Whether an execution runs the pipeline or rolls a stage back.
pub fn execution_type(rolls_back: bool) -> ExecutionType {
    if rolls_back { ExecutionType::Rollback } else { ExecutionType::Standard }
}

/// The code and message of an action's failure.
pub fn error(error: &ActionError) -> ErrorDetails {
    ErrorDetails::builder().code(&error.code).message(&error.message).build()
}

/// An artifact's name, and the bucket and key where it was first stored.
pub fn artifact(artifact: &Artifact) -> ArtifactDetail {
    let place = S3Location::builder().bucket(&artifact.bucket).key(&artifact.key).build();
    ArtifactDetail::builder().name(artifact.name.as_str()).s3_location(place).build()
}

/// An action's configuration, its secrets masked.
pub fn masked(action: &Action, configuration: &BTreeMap<String, String>) -> std::collections::HashMap<String, String> {
    configuration
        .iter()
        .map(|(key, value)| (key.clone(), if action.is_secret(key) { MASK.to_owned() } else { value.clone() }))
        .collect()
}
