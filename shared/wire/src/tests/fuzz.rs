//! No bytes make an operation panic, whatever they are; what is refused is refused by name.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};

use super::{BOTH, decoded, in_cbor, sample};
use crate::{Exception, Operation, Protocol};

fn any_operation() -> impl Strategy<Value = Operation> {
    any::<Index>().prop_map(|index| *index.get(Operation::ALL))
}

/// Decodes; refusals may only have the names that decoding gives. What is taken must be taken again once encoded.
fn survives(operation: Operation, protocol: Protocol, body: &[u8]) {
    match decoded(operation, protocol, body) {
        Ok(taken) => {
            let again = decoded(operation, Protocol::AwsJson11, taken.to_string().as_bytes());
            assert_eq!(again.as_ref(), Ok(&taken), "{operation}");
            assert!(decoded(operation, Protocol::RpcV2Cbor, &in_cbor(operation, &taken)).is_ok(), "{operation}");
        }
        Err(error) => {
            let names = [Exception::SerializationException, Exception::ValidationException];
            assert!(names.contains(&error.exception), "{operation}: {error}");
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
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn arbitrary_bytes(operation in any_operation(), body in vec(any::<u8>(), 0..300)) {
        for protocol in BOTH {
            survives(operation, protocol, &body);
        }
    }

    #[test]
    fn mutated_bytes(operation in any_operation(), changes in vec((any::<u8>(), any::<Index>(), any::<u8>()), 1..8)) {
        let sample = sample::of(operation);
        survives(operation, Protocol::AwsJson11, &mutated(sample.to_string().into_bytes(), &changes));
        survives(operation, Protocol::RpcV2Cbor, &mutated(in_cbor(operation, &sample), &changes));
    }

    #[test]
    fn mutated_values(operation in any_operation(), place in any::<Index>(), other in any_json()) {
        let mut sent = sample::of(operation);
        let mut places = Vec::new();
        pointers(&sent, String::new(), &mut places);
        *sent.pointer_mut(&places[place.index(places.len())]).unwrap() = other;
        survives(operation, Protocol::AwsJson11, sent.to_string().as_bytes());
        let mut body = aws_smithy_cbor::Encoder::new(Vec::new());
        cbor_of(&sent, &mut body);
        survives(operation, Protocol::RpcV2Cbor, &body.into_writer());
    }
}

#[test]
fn every_value_of_every_sample_survives_each_other_type() {
    let others = [json!(null), json!(true), json!(-1), json!(1e300), json!(""), json!([]), json!({}), json!([[null]])];
    for &operation in Operation::ALL {
        let sample = sample::of(operation);
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
