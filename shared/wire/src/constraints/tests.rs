use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::model::sample;

use super::table::{List, Member};
use super::*;
use crate::tests::{decoded, in_cbor, places};
use crate::{MAX_BODY, MAX_VALUES, Protocol};

/// The message, without its head, about the sample of `operation` with `value` put at `pointer`; `None` when it is valid.
fn complaint(operation: Operation, pointer: &str, value: Value) -> Option<String> {
    let mut sent = sample::of(operation.name());
    *sent.pointer_mut(pointer).unwrap() = value;
    let error = decoded(operation, Protocol::AwsJson11, sent.to_string().as_bytes()).err()?;
    assert_eq!(error.exception, Exception::ValidationException, "{error}");
    assert_eq!(decoded(operation, Protocol::RpcV2Cbor, &in_cbor(operation, &sent)).unwrap_err(), error);
    Some(error.message)
}

fn one(complaint: Option<String>) -> String {
    let complaint = complaint.expect("the value is refused");
    complaint.strip_prefix("1 validation error detected: ").unwrap_or(&complaint).to_owned()
}

#[test]
fn lengths_hold_at_their_edges() {
    let name = "/pipeline/stages/0/name";
    assert_eq!(complaint(Operation::CreatePipeline, name, json!("a")), None);
    assert_eq!(complaint(Operation::CreatePipeline, name, json!("a".repeat(100))), None);
    let long = "a".repeat(101);
    assert_eq!(
        one(complaint(Operation::CreatePipeline, name, json!(long))),
        format!(
            "Value '{long}' at 'pipeline.stages.1.member.name' failed to satisfy constraint: \
             Member must have length less than or equal to 100"
        )
    );
    assert_eq!(
        complaint(Operation::CreatePipeline, name, json!("")).unwrap(),
        "2 validation errors detected: Value '' at 'pipeline.stages.1.member.name' failed to satisfy constraint: \
         Member must have length greater than or equal to 1; Value '' at 'pipeline.stages.1.member.name' failed to \
         satisfy constraint: Member must satisfy regular expression pattern: [A-Za-z0-9.@\\-_]+"
    );
}

#[test]
fn lengths_count_characters_not_bytes() {
    let path = "/reason";
    let pointer = |reason: &str| complaint(Operation::StopPipelineExecution, path, json!(reason));
    assert_eq!(pointer(&"é".repeat(200)), None);
    assert!(one(pointer(&"é".repeat(201))).ends_with("Member must have length less than or equal to 200"));
}

#[test]
fn ranges_hold_at_their_edges() {
    let at = |value: i64| complaint(Operation::ListPipelines, "/maxResults", json!(value));
    assert_eq!((at(1), at(1000)), (None, None));
    assert_eq!(
        one(at(0)),
        "Value '0' at 'maxResults' failed to satisfy constraint: Member must have value greater than or equal to 1"
    );
    assert_eq!(
        one(at(1001)),
        "Value '1001' at 'maxResults' failed to satisfy constraint: Member must have value less than or equal to 1000"
    );
}

#[test]
fn a_pattern_must_match_the_whole_value() {
    assert_eq!(
        one(complaint(Operation::GetPipeline, "/name", json!("release now"))),
        "Value 'release now' at 'name' failed to satisfy constraint: \
         Member must satisfy regular expression pattern: [A-Za-z0-9.@\\-_]+"
    );
}

#[test]
fn an_enumeration_names_its_values() {
    assert_eq!(
        one(complaint(Operation::RetryStageExecution, "/retryMode", json!("SOME_ACTIONS"))),
        "Value 'SOME_ACTIONS' at 'retryMode' failed to satisfy constraint: \
         Member must satisfy enum value set: [FAILED_ACTIONS, ALL_ACTIONS]"
    );
}

#[test]
fn maps_are_reported_as_a_whole_and_never_echoed() {
    let configuration = "/pipeline/stages/0/actions/0/configuration";
    let value = complaint(Operation::CreatePipeline, configuration, json!({"OAuthToken": "s".repeat(1_001)}));
    assert_eq!(
        one(value),
        "Value at 'pipeline.stages.1.member.actions.1.member.configuration' failed to satisfy constraint: \
         Map value must satisfy constraint: [Member must have length less than or equal to 1000, \
         Member must have length greater than or equal to 1]"
    );
    let key = complaint(Operation::CreatePipeline, configuration, json!({"k".repeat(51): "v"}));
    assert_eq!(
        one(key),
        "Value at 'pipeline.stages.1.member.actions.1.member.configuration' failed to satisfy constraint: \
         Map keys must satisfy constraint: [Member must have length less than or equal to 50, \
         Member must have length greater than or equal to 1]"
    );
    assert_eq!(complaint(Operation::CreatePipeline, configuration, json!({"k".repeat(50): "v".repeat(1_000)})), None);
}

#[test]
fn lists_of_scalars_are_reported_as_a_whole() {
    assert_eq!(
        one(complaint(Operation::UntagResource, "/tagKeys", json!(["a", ""]))),
        "Value '[a, ]' at 'tagKeys' failed to satisfy constraint: Member must satisfy constraint: \
         [Member must have length less than or equal to 128, Member must have length greater than or equal to 1]"
    );
    let empty =
        complaint(Operation::CreatePipeline, "/pipeline/triggers/0/gitConfiguration/push/0/tags/includes", json!([]));
    assert_eq!(
        one(empty),
        "Value '[]' at 'pipeline.triggers.1.member.gitConfiguration.push.1.member.tags.includes' failed to satisfy \
         constraint: Member must have length greater than or equal to 1"
    );
}

#[test]
fn maps_of_structures_are_gone_into_by_key() {
    let store = json!({"us-east-1": {"type": "S3", "location": "ab"}});
    assert_eq!(
        one(complaint(Operation::CreatePipeline, "/pipeline/artifactStores", store)),
        "Value 'ab' at 'pipeline.artifactStores.us-east-1.member.location' failed to satisfy constraint: \
         Member must have length greater than or equal to 3"
    );
}

#[test]
fn secrets_are_not_echoed() {
    for (operation, pointer, secret) in [
        (Operation::PutWebhook, "/webhook/authenticationConfiguration/SecretToken", "s3cret".repeat(50)),
        (Operation::PutApprovalResult, "/token", "s3cret".to_owned()),
        (Operation::AcknowledgeThirdPartyJob, "/clientToken", "s3cret".repeat(50)),
        (Operation::StartPipelineExecution, "/variables/0/value", "s3cret".repeat(1000)),
    ] {
        let message = one(complaint(operation, pointer, json!(secret)));
        assert!(message.starts_with("Value at '"), "{message}");
        assert!(!message.contains("s3cret"), "{message}");
    }
}

#[test]
fn every_string_list_and_number_of_every_input_holds_at_its_edges() {
    let mut tried = 0;
    for &operation in Operation::ALL {
        for (name, shape) in &table().shapes {
            for (pointer, path) in places::of(operation, name) {
                let whole = sample::of(operation.name());
                let found = whole.pointer(&pointer).unwrap();
                let (inside, outside) = match shape {
                    Shape::String(text) => edges_of_text(text, found.as_str().unwrap()),
                    Shape::Integer(bounds) => (
                        [bounds.min, bounds.max].into_iter().flatten().map(|edge| json!(edge)).collect(),
                        [bounds.min.map(|min| min - 1), bounds.max.map(|max| max + 1)]
                            .into_iter()
                            .flatten()
                            .map(|beyond| json!(beyond))
                            .collect(),
                    ),
                    Shape::List(List { length, .. }) => {
                        let items = |count: i64| Value::Array(vec![found[0].clone(); count as usize]);
                        (
                            [length.min, length.max].into_iter().flatten().map(items).collect(),
                            [length.min.filter(|min| *min > 0).map(|min| min - 1), length.max.map(|max| max + 1)]
                                .into_iter()
                                .flatten()
                                .map(items)
                                .collect(),
                        )
                    }
                    _ => (vec![], vec![]),
                };
                for value in inside {
                    assert_eq!(complaint(operation, &pointer, value), None, "{operation} {path}");
                    tried += 1;
                }
                for value in outside {
                    let message = complaint(operation, &pointer, value.clone());
                    let message = message.unwrap_or_else(|| panic!("{operation} {path} admits {value}"));
                    assert!(
                        message.contains(&format!("at '{path}' failed to satisfy constraint: Member must ")),
                        "{message}"
                    );
                    tried += 1;
                }
            }
        }
    }
    assert!(tried > 1000, "{tried} edges were tried");
}

/// Values at the edges of a string's lengths and enumeration, and just beyond. Those at the edge are made by repeating the
/// last character of a valid value, as far as the pattern takes that.
fn edges_of_text(text: &Text, valid: &str) -> (Vec<Value>, Vec<Value>) {
    if let Some(values) = &text.one_of {
        return (values.iter().map(|value| json!(value)).collect(), vec![json!("NoSuchValue")]);
    }
    let last = valid.chars().last().unwrap().to_string();
    let stretched = |length: i64| format!("{valid}{}", last.repeat((length as usize).saturating_sub(valid.len())));
    let longest = text.max.map(stretched);
    let inside = longest.filter(|value| text.pattern.as_ref().is_none_or(|pattern| pattern.matches(value)));
    let mut outside: Vec<Value> = text.max.map(|max| json!(stretched(max + 1))).into_iter().collect();
    if text.min.is_some_and(|min| min > 0) {
        outside.push(json!(""));
    }
    if text.pattern.is_some() {
        outside.push(json!("line\nbreak"));
    }
    (inside.map(|value| json!(value)).into_iter().collect(), outside)
}

#[test]
fn all_violations_are_counted_and_a_bounded_number_is_listed() {
    let mut sent = sample::of(Operation::CreatePipeline.name());
    let action = json!({"name": "not allowed"});
    sent["pipeline"]["stages"] = json!([{"name": "Build", "actions": vec![action; 100]}]);
    let error = decoded(Operation::CreatePipeline, Protocol::AwsJson11, sent.to_string().as_bytes()).unwrap_err();
    assert!(error.message.starts_with("200 validation errors detected: Value 'not allowed' at "), "{}", error.message);
    assert_eq!(error.message.matches("failed to satisfy constraint").count(), MAX_LISTED);
}

#[test]
fn violations_come_in_the_models_order() {
    let error = decoded(Operation::PutApprovalResult, Protocol::AwsJson11, b"{}").unwrap_err();
    let Some(Shape::Structure { members }) = table().shape(table().input_of(Operation::PutApprovalResult)) else {
        panic!("an input is a structure")
    };
    let expected: Vec<_> = members
        .iter()
        .filter(|member| member.2)
        .map(|Member(name, ..)| format!("Value null at '{name}' failed to satisfy constraint: Member must not be null"))
        .collect();
    assert_eq!(error.message, format!("{} validation errors detected: {}", expected.len(), expected.join("; ")));
}

#[test]
fn the_worst_bodies_are_refused_in_bounded_time_with_a_short_message() {
    // As many as a body may hold: each item is one value or two.
    let fill = |item: &str| format!("[{}{item}]", format!("{item},").repeat(MAX_VALUES / 2 - 10));
    let bodies = [
        format!(r#"{{"resourceArn":"a","tagKeys":{}}}"#, fill("\"\"")),
        format!(r#"{{"resourceArn":"a","tags":{}}}"#, fill(r#"{"key":""}"#)),
        format!(r#"{{"resourceArn":"{}"}}"#, "arn:aws".to_owned() + &"-a".repeat(MAX_BODY / 4)),
    ];
    let operations = [Operation::UntagResource, Operation::TagResource, Operation::TagResource];
    for (operation, body) in operations.into_iter().zip(bodies) {
        let start = Instant::now();
        let error = decoded(operation, Protocol::AwsJson11, body.as_bytes()).unwrap_err();
        assert_eq!(error.exception, Exception::ValidationException);
        assert!(error.message.len() < 20_000, "{}", error.message.len());
        assert!(start.elapsed() < Duration::from_secs(60), "{operation}: {:?}", start.elapsed());
    }
}
