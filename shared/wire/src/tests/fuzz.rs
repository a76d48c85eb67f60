//! No bytes make an operation panic, whatever they are; what is refused is refused by name. CONTRIBUTING.md
//! says how to try more inputs.

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};
use testkit::model::sample;

use super::{BOTH, decoded, in_cbor};
use crate::{ApiError, Exception, Operation, Protocol, route};

fn any_operation() -> impl Strategy<Value = Operation> {
    any::<Index>().prop_map(|index| *index.get(Operation::ALL))
}

/// Refusals have the form of the protocol's errors, and a bounded length however much was sent.
fn is_shaped(error: &ApiError, protocol: Protocol) {
    assert!((1..20_000).contains(&error.message.len()), "{error}");
    let response = error.encode(protocol);
    assert!((400..500).contains(&response.status().as_u16()), "{error}");
    assert_eq!(response.headers()["x-amzn-errortype"], error.exception.name());
    let body = match protocol {
        Protocol::AwsJson11 => serde_json::from_slice::<Value>(response.body()).unwrap(),
        Protocol::RpcV2Cbor => crate::cbor::parse(response.body()).unwrap(),
    };
    assert!(body["__type"].as_str().unwrap().ends_with(error.exception.name()));
    assert_eq!(body["message"], error.message);
}

/// Whether two values are the same, times to the microsecond or to what a double holds of them.
fn alike(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) if one.is_f64() || other.is_f64() => one
            .as_f64()
            .zip(other.as_f64())
            .is_some_and(|(one, other)| (one - other).abs() <= (one.abs() * 1e-15).max(1e-6)),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| alike(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(key, value)| other.get(key).is_some_and(|other| alike(value, other)))
        }
        _ => one == other,
    }
}

/// Decodes; refusals may only have the names that decoding gives. What is taken must be taken again once encoded.
fn survives(operation: Operation, protocol: Protocol, body: &[u8]) {
    match decoded(operation, protocol, body) {
        Ok(taken) => {
            let again = decoded(operation, Protocol::AwsJson11, taken.to_string().as_bytes());
            assert!(again.as_ref().is_ok_and(|again| alike(again, &taken)), "{operation}: {taken} and again {again:?}");
            assert!(decoded(operation, Protocol::RpcV2Cbor, &in_cbor(operation, &taken)).is_ok(), "{operation}");
        }
        Err(error) => {
            let names = [Exception::SerializationException, Exception::ValidationException];
            assert!(names.contains(&error.exception), "{operation}: {error}");
            is_shaped(&error, protocol);
        }
    }
}

/// One change of bytes: what to do, where, with which byte.
fn mutated(mut body: Vec<u8>, changes: &[(u8, Index, u8)]) -> Vec<u8> {
    for (what, at, byte) in changes {
        if body.is_empty() {
            break;
        }
        let at = at.index(body.len());
        match what % 5 {
            0 => body[at] = *byte,
            1 => body.insert(at, *byte),
            2 => drop(body.remove(at)),
            3 => body.truncate(at),
            _ => body.extend_from_within(at..),
        }
    }
    body
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,40}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            vec((".{0,10}", inner), 0..6).prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

/// The head of a CBOR item: its major type, and an argument in any width, which is often a length that lies.
fn any_head(major: u8) -> impl Strategy<Value = Vec<u8>> {
    let argument = prop_oneof![4 => 0_u64..6, 1 => any::<u64>(), 1 => Just(u64::MAX)];
    (argument, 0_u8..5).prop_map(move |(argument, width)| {
        let bytes = argument.to_be_bytes();
        let (first, rest) = match width {
            0 if argument < 24 => (argument as u8, 8),
            0 | 1 => (24, 7),
            2 => (25, 6),
            3 => (26, 4),
            _ => (27, 0),
        };
        [&[major << 5 | first][..], &bytes[rest..]].concat()
    })
}

/// CBOR as no encoder would write it: lengths that lie, strings in pieces, tags on tags, breaks out of place.
fn any_cbor() -> impl Strategy<Value = Vec<u8>> {
    let leaf =
        prop_oneof![
            any_head(0),
            any_head(1),
            (any_head(2), vec(any::<u8>(), 0..6)).prop_map(|(head, bytes)| [head, bytes].concat()),
            (any_head(3), vec(any::<u8>(), 0..6)).prop_map(|(head, bytes)| [head, bytes].concat()),
            prop::sample::select(vec!["name", "pipeline", "stages", "pipelineName", "tags", "version"])
                .prop_map(|name| [&[0x60 | name.len() as u8], name.as_bytes()].concat()),
            any_head(7),
            vec(any::<u8>(), 1..4),
        ];
    leaf.prop_recursive(5, 64, 8, |inner| {
        let several = || vec(inner.clone(), 0..8).prop_map(|items| items.concat());
        let open = |first: u8, end: bool| {
            several().prop_map(move |items| [vec![first], items, if end { vec![0xff] } else { Vec::new() }].concat())
        };
        prop_oneof![
            (any_head(4), several()).prop_map(|(head, items)| [head, items].concat()),
            (any_head(5), several()).prop_map(|(head, items)| [head, items].concat()),
            (any_head(6), inner.clone()).prop_map(|(head, item)| [head, item].concat()),
            open(0x9f, true),
            open(0xbf, true),
            open(0xbf, false),
            open(0x5f, true),
            open(0x7f, true),
        ]
    })
}

/// Where the values of a JSON value are, as pointers.
fn pointers(value: &Value, at: String, into: &mut Vec<String>) {
    match value {
        Value::Object(entries) => entries.iter().for_each(|(key, inner)| {
            let key = key.replace('~', "~0").replace('/', "~1");
            pointers(inner, format!("{at}/{key}"), into);
        }),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, inner)| pointers(inner, format!("{at}/{index}"), into));
        }
        _ => {}
    }
    into.push(at);
}

/// JSON as CBOR, whether or not the model allows it.
fn cbor_of(value: &Value, into: &mut aws_smithy_cbor::Encoder) {
    match value {
        Value::Null => drop(into.null()),
        Value::Bool(value) => drop(into.boolean(*value)),
        Value::Number(number) => match number.as_i64() {
            Some(number) => drop(into.long(number)),
            None => drop(into.double(number.as_f64().unwrap_or(f64::NAN))),
        },
        Value::String(value) => drop(into.str(value)),
        Value::Array(items) => {
            into.begin_array();
            items.iter().for_each(|item| cbor_of(item, into));
            into.end();
        }
        Value::Object(entries) => {
            into.begin_map();
            for (key, entry) in entries {
                into.str(key);
                cbor_of(entry, into);
            }
            into.end();
        }
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes(operation in any_operation(), body in vec(any::<u8>(), 0..300)) {
        for protocol in BOTH {
            survives(operation, protocol, &body);
        }
    }

    #[test]
    fn mutated_bytes(operation in any_operation(), changes in vec((any::<u8>(), any::<Index>(), any::<u8>()), 1..8)) {
        let sample = sample::of(operation.name());
        survives(operation, Protocol::AwsJson11, &mutated(sample.to_string().into_bytes(), &changes));
        survives(operation, Protocol::RpcV2Cbor, &mutated(in_cbor(operation, &sample), &changes));
    }

    #[test]
    fn mutated_values(operation in any_operation(), place in any::<Index>(), other in any_json()) {
        let mut sent = sample::of(operation.name());
        let mut places = Vec::new();
        pointers(&sent, String::new(), &mut places);
        *sent.pointer_mut(&places[place.index(places.len())]).unwrap() = other;
        survives(operation, Protocol::AwsJson11, sent.to_string().as_bytes());
        let mut body = aws_smithy_cbor::Encoder::new(Vec::new());
        cbor_of(&sent, &mut body);
        survives(operation, Protocol::RpcV2Cbor, &body.into_writer());
    }

    #[test]
    fn unruly_cbor(operation in any_operation(), body in any_cbor()) {
        survives(operation, Protocol::RpcV2Cbor, &body);
    }

    #[test]
    fn any_request_is_routed_or_refused(
        method in prop_oneof![9 => Just("POST".to_owned()), 1 => "[A-Z]{1,8}"],
        path in prop_oneof![
            Just("/".to_owned()),
            "(/[a-z]{0,4})?/service/CodePipeline_20150709/operation/(ListPipelines|GetPipeline|[A-Za-z/%]{0,9})",
            ".{0,40}",
        ],
        headers in vec((
            prop::sample::select(vec!["content-type", "x-amz-target", "smithy-protocol", "accept"]),
            prop_oneof![
                prop::sample::select(vec!["application/x-amz-json-1.1", "application/cbor", "rpc-v2-cbor"])
                    .prop_map(|value| value.as_bytes().to_vec()),
                "CodePipeline_20150709.(GetPipeline|[A-Za-z.]{0,9})".prop_map(String::into_bytes),
                vec(any::<u8>(), 0..20),
            ],
        ), 0..5),
    ) {
        let mut sent = HeaderMap::new();
        for (name, value) in headers {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                sent.append(HeaderName::from_static(name), value);
            }
        }
        let protocol = Protocol::of(&sent);
        match route(&Method::from_bytes(method.as_bytes()).unwrap(), &path, &sent) {
            Ok(call) => assert_eq!(call.protocol, protocol),
            Err(error) => {
                let names = [Exception::UnknownOperationException, Exception::UnsupportedMediaTypeException];
                assert!(names.contains(&error.exception), "{error}");
                is_shaped(&error, protocol);
            }
        }
    }
}

#[test]
fn every_value_of_every_sample_survives_each_other_type() {
    let others = [json!(null), json!(true), json!(-1), json!(1e300), json!(""), json!([]), json!({}), json!([[null]])];
    for &operation in Operation::ALL {
        let sample = sample::of(operation.name());
        let mut places = Vec::new();
        pointers(&sample, String::new(), &mut places);
        for place in &places {
            for other in &others {
                let mut sent = sample.clone();
                *sent.pointer_mut(place).unwrap() = other.clone();
                survives(operation, Protocol::AwsJson11, sent.to_string().as_bytes());
                let mut body = aws_smithy_cbor::Encoder::new(Vec::new());
                cbor_of(&sent, &mut body);
                survives(operation, Protocol::RpcV2Cbor, &body.into_writer());
            }
        }
    }
}
