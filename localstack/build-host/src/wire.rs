//! Bodies in AWS JSON 1.1 to the SDK's own inputs, and its outputs to bodies: no shape is written by hand.

use aws_sdk_codebuild::operation as op;
use aws_smithy_json::codec::{JsonCodec, JsonCodecSettings};
use aws_smithy_schema::codec::Codec;
use aws_smithy_schema::serde::{SerdeError, SerializableStruct, ShapeDeserializer, ShapeSerializer};

use crate::error::{ApiError, Exception};

/// The input of an operation. Missing members come out as the SDK's defaults, so each operation checks what it needs.
pub(crate) trait Input: Sized {
    type Output: SerializableStruct;
    fn read(from: &mut dyn ShapeDeserializer) -> Result<Self, SerdeError>;
}

macro_rules! inputs {
    ($($module:ident: $input:ident -> $output:ident;)+) => {$(
        impl Input for op::$module::$input {
            type Output = op::$module::$output;
            fn read(from: &mut dyn ShapeDeserializer) -> Result<Self, SerdeError> {
                Self::deserialize(from)
            }
        }
    )+};
}

inputs! {
    create_project: CreateProjectInput -> CreateProjectOutput;
    update_project: UpdateProjectInput -> UpdateProjectOutput;
    delete_project: DeleteProjectInput -> DeleteProjectOutput;
    batch_get_projects: BatchGetProjectsInput -> BatchGetProjectsOutput;
    list_projects: ListProjectsInput -> ListProjectsOutput;
    start_build: StartBuildInput -> StartBuildOutput;
    stop_build: StopBuildInput -> StopBuildOutput;
    batch_get_builds: BatchGetBuildsInput -> BatchGetBuildsOutput;
    list_builds: ListBuildsInput -> ListBuildsOutput;
    list_builds_for_project: ListBuildsForProjectInput -> ListBuildsForProjectOutput;
}

/// Reads the body of a call; an empty one is an empty structure.
pub(crate) fn decode<I: Input>(body: &[u8]) -> Result<I, ApiError> {
    let unreadable = |error: String| Exception::SerializationException.because(error);
    // Through a value first: it bounds the depth, and of a key that comes twice only one is left.
    let body = if body.is_empty() { b"{}" } else { body };
    let value: serde_json::Value = serde_json::from_slice(body).map_err(|error| unreadable(error.to_string()))?;
    let bytes = serde_json::to_vec(&value).map_err(|error| unreadable(error.to_string()))?;
    I::read(&mut codec().create_deserializer(&bytes)).map_err(|error| unreadable(error.to_string()))
}

/// The body of an answer.
pub(crate) fn encode(output: &impl SerializableStruct) -> Result<Vec<u8>, ApiError> {
    let mut serializer = codec().create_serializer();
    serializer
        .write_struct(output.schema(), output)
        .map_err(|error| Exception::InternalFailure.because(format!("The answer cannot be encoded: {error}")))?;
    Ok(serializer.finish())
}

fn codec() -> JsonCodec {
    JsonCodec::new(JsonCodecSettings::builder().enforce_strictness(true).build())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_is_read_and_what_is_no_json_is_refused() {
        let input: op::start_build::StartBuildInput =
            decode(br#"{"projectName":"app","timeoutInMinutesOverride":7,"unknown":[]}"#).unwrap();
        assert_eq!((input.project_name(), input.timeout_in_minutes_override()), (Some("app"), Some(7)));
        for bad in [&b"{"[..], b"[]", br#"{"projectName":1}"#] {
            let error = decode::<op::start_build::StartBuildInput>(bad).unwrap_err();
            assert_eq!(error.exception, Exception::SerializationException, "{bad:?}");
        }
    }

    #[test]
    fn an_output_is_written_under_the_apis_names() {
        let build = aws_sdk_codebuild::types::Build::builder().id("app:1").build();
        let output = op::start_build::StartBuildOutput::builder().build_value(build).build();
        let json: serde_json::Value = serde_json::from_slice(&encode(&output).unwrap()).unwrap();
        assert_eq!(json["build"]["id"], "app:1");
    }
}
