//! Tests over every operation, from samples that the model's table yields.

mod fuzz;
mod pipeline;
pub(crate) mod places;

use std::fmt::Debug;

use aws_sdk_codepipeline::operation::get_pipeline_execution::GetPipelineExecutionInput;
use aws_sdk_codepipeline::operation::list_action_executions::ListActionExecutionsOutput;
use aws_sdk_codepipeline::operation::put_action_revision::PutActionRevisionInput;
use aws_sdk_codepipeline::types::{ActionExecutionDetail, ActionRevision};
use aws_smithy_types::DateTime;
use serde_json::{Value, json};
use testkit::model::sample;

use crate::constraints::table;
use crate::*;

const BOTH: [Protocol; 2] = [Protocol::AwsJson11, Protocol::RpcV2Cbor];

macro_rules! functions {
    ($($name:ident, $module:ident, $input:ident, $output:ident;)+) => {
        /// Decodes a body as the operation's input and gives it back as JSON.
        pub(crate) fn decoded(operation: Operation, protocol: Protocol, body: &[u8]) -> Result<Value, ApiError> {
            match operation {
                $(Operation::$name =>
                    to_json(&decode::<aws_sdk_codepipeline::operation::$module::$input>(protocol, body)?),)+
            }
        }

        /// The sample in CBOR, encoded by the SDK's codec from the SDK's type.
        pub(crate) fn in_cbor(operation: Operation, sample: &Value) -> Vec<u8> {
            match operation {
                $(Operation::$name => {
                    let input: aws_sdk_codepipeline::operation::$module::$input = from_json(sample).unwrap();
                    encode(Protocol::RpcV2Cbor, &input).into_body()
                })+
            }
        }

        #[test]
        fn every_input_goes_there_and_back_in_both_protocols() {
            $(there_and_back::<aws_sdk_codepipeline::operation::$module::$input>();)+
        }

        #[test]
        fn every_output_goes_there_and_back_in_both_protocols() {
            $(output_there_and_back::<aws_sdk_codepipeline::operation::$module::$output>();)+
        }
    };
}

with_operations!(functions);

fn there_and_back<I: Input + PartialEq + Debug>() {
    let operation = I::OPERATION;
    let sample = sample::of(operation.name());
    let input: I = decode(Protocol::AwsJson11, sample.to_string().as_bytes()).unwrap();
    assert_eq!(to_json(&input).unwrap(), sample, "{operation}: nothing may be lost on the way in");
    for protocol in BOTH {
        let encoded = encode(protocol, &input);
        assert_eq!(encoded.status(), 200);
        assert_eq!(decode::<I>(protocol, encoded.body()).unwrap(), input, "{operation} in {protocol:?}");
    }
}

fn output_there_and_back<O: Shape + PartialEq + Debug>() {
    let output: O = from_json(&json!({})).unwrap();
    let json: O = from_json(&to_json(&output).unwrap()).unwrap();
    assert_eq!(json, output);
    let cbor = encode(Protocol::RpcV2Cbor, &output);
    assert_eq!(cbor.status(), 200);
    let value = crate::cbor::parse(cbor.body()).unwrap();
    assert_eq!(value, to_json(&output).unwrap());
}

#[test]
fn each_missing_required_member_of_each_operation_is_reported_by_its_path() {
    let mut seen = 0;
    for &operation in Operation::ALL {
        let whole = sample::of(operation.name());
        for (pointer, path) in places::required(operation) {
            for null in [false, true] {
                let mut sent = whole.clone();
                let (parent, name) = pointer.rsplit_once('/').unwrap();
                let parent = sent.pointer_mut(parent).unwrap().as_object_mut().unwrap();
                parent.remove(name).unwrap();
                if null {
                    parent.insert(name.to_owned(), Value::Null);
                }
                let error = decoded(operation, Protocol::AwsJson11, sent.to_string().as_bytes()).unwrap_err();
                let expected = format!(
                    "1 validation error detected: Value null at '{path}' failed to satisfy constraint: Member must not be null"
                );
                assert_eq!(error, Exception::ValidationException.because(expected), "{operation}");
                seen += 1;
            }
        }
    }
    assert!(seen > 300, "{seen} members were tried");
}

#[test]
fn a_required_member_is_missed_in_cbor_too() {
    let error = decoded(Operation::GetPipeline, Protocol::RpcV2Cbor, b"\xa0").unwrap_err();
    assert_eq!(
        error.message,
        "1 validation error detected: Value null at 'name' failed to satisfy constraint: Member must not be null"
    );
    for body in [&b""[..], b"\xa1\x64name\xf6"] {
        assert_eq!(decoded(Operation::GetPipeline, Protocol::RpcV2Cbor, body).unwrap_err(), error);
    }
}

#[test]
fn unknown_members_are_ignored() {
    let body = br#"{"name":"a","colour":{"deep":[1,null,{"x":1.5}]},"__type":"x"}"#;
    assert_eq!(decoded(Operation::GetPipeline, Protocol::AwsJson11, body).unwrap(), json!({"name": "a"}));
    let body = b"\xa3\x64name\x61a\x66colour\xa1\x64deep\x82\x42ab\xc2\x41\x01\x66__type\x61x";
    assert_eq!(decoded(Operation::GetPipeline, Protocol::RpcV2Cbor, body).unwrap(), json!({"name": "a"}));
}

#[test]
fn what_cannot_be_read_is_a_serialization_exception() {
    let json: [&[u8]; 9] = [
        b"{",
        b"null",
        b"[]",
        b"{\"name\":1}",
        b"{\"name\":\"a\",\"version\":\"1\"}",
        b"{\"name\":\"a\",\"version\":1.5}",
        b"{\"name\":\"a\",\"version\":99999999999}",
        b"{\"name\":\"\xff\"}",
        b"{\"name\":\"a\"} x",
    ];
    let cbor: [&[u8]; 8] = [
        b"\xa1",
        b"\xf6",
        b"\x80",
        b"\xa1\x64name\x01",
        b"\xa2\x64name\x61a\x67version\x41a",
        b"\xa2\x64name\x61a\x67version\x1b\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\xa2\x64name\x61a\x64name\x61b",
        b"\xa1\x64name\x61a\x00",
    ];
    let bodies = json.map(|body| (Protocol::AwsJson11, body)).into_iter();
    for (protocol, body) in bodies.chain(cbor.map(|body| (Protocol::RpcV2Cbor, body))) {
        let error = decoded(Operation::GetPipeline, protocol, body).unwrap_err();
        assert_eq!(error.exception, Exception::SerializationException, "{protocol:?} {}", body.escape_ascii());
        assert!(!error.message.is_empty());
    }
}

#[test]
fn a_wrong_type_is_named_with_its_place() {
    let body = br#"{"pipeline":{"name":"p","roleArn":"arn:aws:iam::123456789012:role/r","stages":[{"name":["x"]}]}}"#;
    let error = decoded(Operation::CreatePipeline, Protocol::AwsJson11, body).unwrap_err();
    assert_eq!(error.message, "pipeline.stages.1.member.name: expected a string, found a list");
}

#[test]
fn where_a_key_comes_twice_the_last_one_is_checked_and_read() {
    let body = br#"{"name":"not allowed!","name":"a"}"#;
    assert_eq!(decoded(Operation::GetPipeline, Protocol::AwsJson11, body).unwrap(), json!({"name": "a"}));
    let body = br#"{"name":"a","name":null}"#;
    let error = decoded(Operation::GetPipeline, Protocol::AwsJson11, body).unwrap_err();
    assert_eq!(error.exception, Exception::ValidationException);
}

#[test]
fn a_body_beyond_the_limit_is_refused_unread() {
    let body = vec![b'x'; MAX_BODY + 1];
    for protocol in BOTH {
        let error = decoded(Operation::GetPipeline, protocol, &body).unwrap_err();
        assert_eq!(error.exception, Exception::RequestEntityTooLargeException);
        assert_eq!(error.status(protocol), 413);
    }
}

#[test]
fn deep_nesting_is_refused_and_the_limit_itself_is_not() {
    let json = |levels: usize| {
        format!("{{\"name\":\"a\",\"x\":{}1{}}}", "[".repeat(levels - 1), "]".repeat(levels - 1)).into_bytes()
    };
    let cbor = |levels: usize| [b"\xa2\x64name\x61a\x61x".to_vec(), vec![0x81; levels - 1], vec![0x01]].concat();
    for (protocol, whole) in BOTH.into_iter().zip([json(MAX_DEPTH), cbor(MAX_DEPTH)]) {
        assert_eq!(decoded(Operation::GetPipeline, protocol, &whole).unwrap(), json!({"name": "a"}), "{protocol:?}");
    }
    for levels in [MAX_DEPTH + 1, 1_000_000] {
        for (protocol, body) in BOTH.into_iter().zip([json(levels), cbor(levels)]) {
            let error = decoded(Operation::GetPipeline, protocol, &body).unwrap_err();
            assert_eq!(error.exception, Exception::SerializationException, "{levels} levels in {protocol:?}");
        }
    }
}

#[test]
fn times_are_numbers_of_seconds_with_fractions_in_json_and_tag_1_in_cbor() {
    let detail = ActionExecutionDetail::builder().start_time(DateTime::from_millis(1_700_000_000_123)).build();
    let output = ListActionExecutionsOutput::builder().action_execution_details(detail).build();
    let body = encode(Protocol::AwsJson11, &output).into_body();
    assert_eq!(String::from_utf8(body).unwrap(), r#"{"actionExecutionDetails":[{"startTime":1700000000.123}]}"#);
    let body = encode(Protocol::RpcV2Cbor, &output).into_body();
    let double = 1_700_000_000.123_f64.to_be_bytes();
    let time = [&b"\x69startTime\xc1\xfb"[..], &double].concat();
    assert!(body.windows(time.len()).any(|window| window == time), "{}", body.escape_ascii());
}

#[test]
fn a_time_that_no_date_can_name_is_refused() {
    let sample = sample::of(Operation::PutActionRevision.name());
    for seconds in [json!(1e18), json!(-1e300), json!(253_402_300_800_i64)] {
        let mut sent = sample.clone();
        sent["actionRevision"]["created"] = seconds;
        let error = decode::<PutActionRevisionInput>(Protocol::AwsJson11, sent.to_string().as_bytes()).unwrap_err();
        assert_eq!(error.message, "actionRevision.created: the time is out of range");
    }
}

#[test]
fn times_beyond_all_dates_are_still_encoded() {
    let revision = ActionRevision::builder()
        .revision_id("1")
        .revision_change_id("1")
        .created(DateTime::from_secs(i64::MAX))
        .build()
        .unwrap();
    assert_eq!(to_json(&revision).unwrap()["created"], json!(i64::MAX));
}

#[test]
fn the_bridge_refuses_what_is_not_of_the_models_types() {
    let error = from_json::<GetPipelineExecutionInput>(&json!({"pipelineName": 1})).unwrap_err();
    assert_eq!(error.exception, Exception::SerializationException);
    let error = from_json::<ActionRevision>(&json!([])).unwrap_err();
    assert_eq!(error.exception, Exception::SerializationException);
}

#[test]
fn answers_carry_the_protocols_headers() {
    let output = aws_sdk_codepipeline::operation::delete_pipeline::DeletePipelineOutput::builder().build();
    let json = encode(Protocol::AwsJson11, &output);
    assert_eq!(json.headers()["content-type"], "application/x-amz-json-1.1");
    assert_eq!(json.body(), b"{}");
    let cbor = encode(Protocol::RpcV2Cbor, &output);
    assert_eq!(cbor.headers()["content-type"], "application/cbor");
    assert_eq!(cbor.headers()["smithy-protocol"], "rpc-v2-cbor");
    assert_eq!(cbor.body(), b"\xbf\xff");
}

#[test]
fn every_nested_shape_of_the_model_is_in_the_sample() {
    // So that the journeys above have been through each of them.
    let mut missed: Vec<&String> = table().shapes.keys().collect();
    for &operation in Operation::ALL {
        let seen = places::shapes(operation);
        missed.retain(|name| !seen.contains(*name));
    }
    assert_eq!(missed, Vec::<&String>::new());
}
