//! Bodies to inputs and outputs to bodies, through the SDK's own schemas and AWS's codecs.

use aws_smithy_cbor::codec::{CborCodec, CborCodecSettings};
use aws_smithy_json::codec::{JsonCodec, JsonCodecSettings};
use aws_smithy_schema::codec::{Codec, FinishSerializer};
use aws_smithy_schema::serde::{SerdeError, SerializableStruct, ShapeSerializer};
use serde_json::Value;

use crate::{ApiError, Exception, Input, MAX_BODY, Protocol, Response, Shape, cbor, constraints, json};

/// Reads the body of a call: checks the model's constraints, then decodes it. Unknown members are ignored, and an empty
/// body is an empty structure.
///
/// # Errors
/// `RequestEntityTooLargeException` beyond [`MAX_BODY`]; `SerializationException` when the bytes are malformed, nested
/// deeper than [`crate::MAX_DEPTH`], of more than [`crate::MAX_VALUES`] values or of other types than the model's;
/// `ValidationException` naming every constraint that does not hold.
pub fn decode<I: Input>(protocol: Protocol, body: &[u8]) -> Result<I, ApiError> {
    if body.len() > MAX_BODY {
        return Err(
            Exception::RequestEntityTooLargeException.because(format!("A body holds at most {MAX_BODY} bytes."))
        );
    }
    let value = match protocol {
        _ if body.is_empty() => Value::Object(serde_json::Map::new()),
        Protocol::AwsJson11 => json::parse(body).map_err(unreadable)?,
        Protocol::RpcV2Cbor => cbor::parse(body).map_err(unreadable)?,
    };
    // First, as the SDK's types cannot all be made without their required members.
    constraints::check(I::OPERATION, &value)?;
    match protocol {
        Protocol::AwsJson11 => from_json(&value),
        Protocol::RpcV2Cbor => {
            let codec = CborCodec::new(CborCodecSettings::default().enforce_strictness(true));
            I::read(&mut codec.create_deserializer(body)).map_err(unreadable)
        }
    }
}

/// The answer to a call that succeeded.
pub fn encode(protocol: Protocol, output: &impl SerializableStruct) -> Response {
    let body = match protocol {
        Protocol::AwsJson11 => bytes(json_codec().create_serializer(), output),
        Protocol::RpcV2Cbor => bytes(CborCodec::default().create_serializer(), output),
    };
    match body {
        Ok(body) => protocol.response(200, body),
        Err(error) => unwritable(error).encode(protocol),
    }
}

/// An SDK structure as JSON, in the form of AWS JSON 1.1: members by their names in the API, times as seconds.
///
/// # Errors
/// `InternalFailure` when a value has no JSON form.
pub fn to_json(structure: &impl SerializableStruct) -> Result<Value, ApiError> {
    let bytes = bytes(json_codec().create_serializer(), structure).map_err(unwritable)?;
    serde_json::from_slice(&bytes).map_err(unwritable)
}

/// An SDK structure from JSON in the form of AWS JSON 1.1. It does not check constraints: only [`decode`] does.
///
/// # Errors
/// `SerializationException` when a value's type is not the model's.
pub fn from_json<T: Shape>(value: &Value) -> Result<T, ApiError> {
    // Read from the value, not from what a client sent: where a key came twice, the codec and the walk over constraints
    // must have seen the same one.
    let bytes = serde_json::to_vec(value).map_err(unreadable)?;
    T::read(&mut json_codec().create_deserializer(&bytes)).map_err(unreadable)
}

fn json_codec() -> JsonCodec {
    JsonCodec::new(JsonCodecSettings::builder().enforce_strictness(true).build())
}

fn bytes<S: ShapeSerializer + FinishSerializer>(
    mut serializer: S,
    structure: &impl SerializableStruct,
) -> Result<Vec<u8>, SerdeError> {
    serializer.write_struct(structure.schema(), structure)?;
    Ok(serializer.finish())
}

fn unreadable(error: impl std::fmt::Display) -> ApiError {
    Exception::SerializationException.because(error.to_string())
}

fn unwritable(error: impl std::fmt::Display) -> ApiError {
    Exception::InternalFailure.because(format!("The answer cannot be encoded: {error}"))
}
