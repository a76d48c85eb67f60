//! Runs every row of the conformance table, in both protocols.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;

use conformance::edges;
use conformance::page;
use conformance::protocol::BOTH;
use conformance::table::rows;
use conformance::world::World;
use testkit::model::{Shape, model, sample};
use wire::{Operation, Protocol};

#[test]
fn every_operation_has_a_row() {
    let rows: Vec<Operation> = rows().iter().map(|row| row.operation).collect();
    for operation in Operation::ALL {
        let found = rows.iter().filter(|found| *found == operation).count();
        assert_eq!(found, 1, "{operation}");
    }
    assert_eq!(model().operations.len(), Operation::ALL.len());
}

#[test]
fn every_documented_error_is_produced_or_excused() {
    for row in rows() {
        let documented: BTreeSet<&str> =
            model().operations[row.operation.name()].errors.iter().map(String::as_str).collect();
        let never: BTreeSet<&str> = row.never.iter().map(|(name, _)| *name).collect();
        let mut produced: BTreeSet<&str> = row.errors.iter().map(|(name, _)| *name).collect();
        if edges::counts(row.operation).0 > 0 {
            produced.insert("ValidationException");
        }
        let operation = row.operation;
        assert!(never.is_disjoint(&produced), "{operation}: an error that cannot occur is produced");
        let covered: BTreeSet<&str> = never.union(&produced).copied().collect();
        assert_eq!(covered, documented, "{operation}");
        assert!(row.never.iter().all(|(_, why)| why.len() > 20), "{operation}: an excuse has a reason");
    }
}

#[tokio::test]
async fn good_calls_are_answered_alike_in_both_protocols() {
    for row in rows() {
        let mut shapes = Vec::new();
        for protocol in BOTH {
            let world = World::new();
            let input = (row.good.0)(&world).await;
            let answer = world.call(protocol, row.operation, &input).await;
            let what = format!("{} in {protocol:?}: {}", row.operation, answer.body);
            assert_eq!((answer.status, &answer.error), (200, &None), "{what}");
            for pointer in row.good.1 {
                assert!(answer.body.pointer(pointer).is_some_and(|it| !it.is_null()), "{pointer} of {what}");
            }
            assert!(!answer.body.to_string().contains("hunter"), "a secret is shown by {what}");
            shapes.push(shape(&answer.body));
        }
        assert_eq!(shapes[0], shapes[1], "{}", row.operation);
    }
}

/// The names and kinds of all that an answer holds, without the values, which differ from world to world.
fn shape(value: &serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::Object(entries) => entries.iter().map(|(key, entry)| (key.clone(), shape(entry))).collect(),
        Value::Array(items) => items.iter().map(shape).collect(),
        Value::String(_) => "text".into(),
        Value::Number(_) => "number".into(),
        other => other.clone(),
    }
}

#[tokio::test]
async fn each_documented_error_has_its_name_and_status_in_both_protocols() {
    for row in rows() {
        for (name, case) in &row.errors {
            for protocol in BOTH {
                let world = World::new();
                let input = case(&world).await;
                let answer = world.call(protocol, row.operation, &input).await;
                let what = format!("{} in {protocol:?} shall be {name}: {}", row.operation, answer.body);
                assert_eq!(answer.body["__type"], *name, "{what}");
                assert_eq!(answer.error.as_deref(), Some(*name), "{what}");
                assert_eq!(answer.status, model().errors[*name], "{what}");
                assert!(answer.body["message"].as_str().is_some_and(|it| it.len() > 10), "{what}");
                assert!(!answer.body.to_string().contains("hunter"), "{what}");
            }
        }
    }
}

async fn constraints(protocol: Protocol) {
    for row in rows() {
        let world = World::new();
        for edge in edges::of(row.operation) {
            let answer = world.call(protocol, row.operation, &edge.input).await;
            let message = answer.body["message"].as_str().unwrap_or_default();
            let what = format!("{} in {protocol:?}, {}: {}", row.operation, edge.what, answer.body);
            if edge.beyond {
                assert_eq!(answer.body["__type"], "ValidationException", "{what}");
                assert_eq!(answer.status, 400, "{what}");
                assert!(message.contains(&format!("at '{}", edge.path)), "{what}");
                assert!(message.contains("failed to satisfy constraint"), "{what}");
            } else {
                assert!(!message.contains("failed to satisfy constraint"), "{what}");
                assert_ne!(answer.body["__type"], "SerializationException", "{what}");
                assert_ne!(answer.body["__type"], "InternalFailure", "{what}");
            }
        }
    }
}

#[tokio::test]
async fn each_constraint_holds_at_its_edge_in_json() {
    constraints(Protocol::AwsJson11).await;
}

#[tokio::test]
async fn each_constraint_holds_at_its_edge_in_cbor() {
    constraints(Protocol::RpcV2Cbor).await;
}

#[test]
fn the_page_says_what_the_table_says() {
    let written = std::fs::read_to_string(page::PATH).unwrap();
    let page = page::page();
    for (written, right) in written.lines().zip(page.lines()) {
        assert_eq!(written, right, "write it anew: cargo run -p conformance");
    }
    assert_eq!(written.len(), page.len(), "write it anew: cargo run -p conformance");
    for line in written.lines().filter(|line| line.starts_with('|')) {
        assert_eq!(line.matches('|').count(), 7, "{line}");
        assert!(!line.contains("|  |"), "an empty cell: {line}");
    }
    for operation in Operation::ALL {
        assert!(written.contains(&format!("\n| {operation} |")), "{operation}");
    }
}

/// Strings are made by padding; a pattern could leave an edge without one, and so untested.
#[test]
fn every_length_has_an_input_on_its_edge() {
    let mut missing = Vec::new();
    for (name, shape) in &model().shapes {
        let Shape::String(text) = shape else { continue };
        for length in [text.length.min, text.length.max].into_iter().flatten().filter(|_| text.one_of.is_none()) {
            if sample::string(text, Some(length)).is_none() {
                missing.push((name.as_str(), length));
            }
        }
    }
    assert_eq!(missing, NO_SUCH_TEXT);
}

/// Lengths for which the shape's own pattern leaves no text.
const NO_SUCH_TEXT: &[(&str, i64)] = &[("LambdaFunctionArn", 1)];
