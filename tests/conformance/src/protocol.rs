//! Inputs and answers in the two protocols, written here apart from what the API itself reads and writes with.

use aws_smithy_cbor::data::Type;
use aws_smithy_cbor::{Decoder, Encoder};
use aws_smithy_types::DateTime;
use serde_json::{Map, Value};
use testkit::model::{Member, Shape, model};
use wire::{Operation, Protocol};

/// Every protocol in which an operation is called.
pub const BOTH: [Protocol; 2] = [Protocol::AwsJson11, Protocol::RpcV2Cbor];

/// Where a request goes, and with which headers.
pub type Address = (String, Vec<(&'static str, String)>);

/// How the protocol addresses an operation, if there is one of that name.
pub fn address(protocol: Protocol, operation: &str) -> Address {
    match protocol {
        Protocol::AwsJson11 => {
            let target = format!("CodePipeline_20150709.{operation}");
            ("/".to_owned(), vec![("content-type", "application/x-amz-json-1.1".into()), ("x-amz-target", target)])
        }
        Protocol::RpcV2Cbor => {
            let kind = || "application/cbor".to_owned();
            let smithy = ("smithy-protocol", "rpc-v2-cbor".into());
            let path = format!("/service/CodePipeline_20150709/operation/{operation}");
            (path, vec![("content-type", kind()), ("accept", kind()), smithy])
        }
    }
}

/// An input as the protocol encodes it.
pub fn body(protocol: Protocol, operation: Operation, input: &Value) -> Vec<u8> {
    match protocol {
        Protocol::AwsJson11 => input.to_string().into_bytes(),
        Protocol::RpcV2Cbor => {
            let mut body = Encoder::new(Vec::new());
            encode(&mut body, Some(&model().operations[operation.name()].input), input);
            body.into_writer()
        }
    }
}

/// An answer's body as JSON. A time is a number of seconds, and an error's type its bare name.
pub fn answer(protocol: Protocol, body: &[u8]) -> Value {
    let mut answer = match protocol {
        Protocol::AwsJson11 => serde_json::from_slice(body).unwrap(),
        Protocol::RpcV2Cbor => {
            let mut decoder = Decoder::new(body);
            let value = decode(&mut decoder);
            assert_eq!(decoder.position(), body.len(), "nothing follows the answer");
            value
        }
    };
    if let Some(kind) = answer.get("__type").and_then(Value::as_str).map(ToOwned::to_owned) {
        let name = match protocol {
            Protocol::AwsJson11 => kind,
            Protocol::RpcV2Cbor => kind.strip_prefix("com.amazonaws.codepipeline#").expect(&kind).to_owned(),
        };
        answer["__type"] = name.into();
    }
    answer
}

/// The shape tells times from numbers; what it does not know is encoded by what it looks like.
fn encode(into: &mut Encoder, shape: Option<&str>, value: &Value) {
    let shape = shape.map(|name| model().shape(name));
    match value {
        Value::Null => into.null(),
        Value::Bool(value) => into.boolean(*value),
        Value::Number(number) if matches!(shape, Some(Shape::Timestamp {})) => {
            into.timestamp(&DateTime::from_secs_f64(number.as_f64().unwrap()))
        }
        Value::Number(number) => match number.as_i64() {
            Some(number) => into.long(number),
            None => into.double(number.as_f64().unwrap()),
        },
        Value::String(text) => into.str(text),
        Value::Array(items) => {
            into.array(items.len());
            let inner = match shape {
                Some(Shape::List { member, .. }) => Some(member.as_str()),
                _ => None,
            };
            items.iter().for_each(|item| encode(into, inner, item));
            into
        }
        Value::Object(entries) => {
            into.map(entries.len());
            for (key, entry) in entries {
                into.str(key);
                let inner = match shape {
                    Some(Shape::Map { value, .. }) => Some(value.as_str()),
                    Some(Shape::Structure { members }) => {
                        members.iter().find(|Member(name, ..)| name == key).map(|Member(_, shape, _)| shape.as_str())
                    }
                    _ => None,
                };
                encode(into, inner, entry);
            }
            into
        }
    };
}

fn decode(from: &mut Decoder<'_>) -> Value {
    match from.datatype().unwrap() {
        Type::Null => {
            from.skip().unwrap();
            Value::Null
        }
        Type::Bool => from.boolean().unwrap().into(),
        Type::String | Type::StringIndef => from.str().unwrap().into_owned().into(),
        Type::F16 | Type::F32 | Type::F64 => from.double().unwrap().into(),
        Type::Tag => from.timestamp().unwrap().as_secs_f64().into(),
        Type::Array | Type::ArrayIndef => {
            let length = from.list().unwrap();
            let mut items = Vec::new();
            while more(from, length, items.len()) {
                items.push(decode(from));
            }
            items.into()
        }
        Type::Map | Type::MapIndef => {
            let length = from.map().unwrap();
            let mut entries = Map::new();
            while more(from, length, entries.len()) {
                let key = from.str().unwrap().into_owned();
                entries.insert(key, decode(from));
            }
            entries.into()
        }
        _ => from.long().unwrap().into(),
    }
}

fn more(from: &mut Decoder<'_>, length: Option<u64>, read: usize) -> bool {
    match length {
        Some(length) => (read as u64) < length,
        None if from.datatype().unwrap() == Type::Break => {
            from.skip().unwrap();
            false
        }
        None => true,
    }
}
