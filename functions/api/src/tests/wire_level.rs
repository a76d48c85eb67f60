//! What no SDK client sends.

use serde_json::{Value, json};
use wire::Operation;

use super::{World, deliver};

fn json_headers(operation: &str) -> Vec<(String, String)> {
    [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", &format!("CodePipeline_20150709.{operation}"))]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
}

fn cbor_headers() -> Vec<(String, String)> {
    [("content-type", "application/cbor"), ("accept", "application/cbor"), ("smithy-protocol", "rpc-v2-cbor")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
}

fn cbor_path(operation: &str) -> String {
    format!("/service/CodePipeline_20150709/operation/{operation}")
}

async fn in_json(world: &World, operation: &str, body: &str) -> (u16, Value) {
    let (status, headers, body) = deliver(&world.app, "/", &json_headers(operation), body.as_bytes()).await;
    assert!(headers.contains(&("content-type".to_owned(), "application/x-amz-json-1.1".to_owned())));
    (status, serde_json::from_slice(&body).unwrap())
}

#[tokio::test]
async fn what_is_built_takes_no_empty_input_for_a_whole_one() {
    let world = World::new();
    for &operation in Operation::ALL {
        let (status, body) = in_json(&world, operation.name(), "{}").await;
        let lists = [(Operation::ListPipelines, "pipelines"), (Operation::ListWebhooks, "webhooks")];
        if operation == Operation::ListRuleTypes {
            assert_eq!((status, body["ruleTypes"].as_array().map(Vec::len)), (200, Some(6)));
        } else if let Some((_, name)) = lists.iter().find(|(list, _)| *list == operation) {
            assert_eq!((status, body), (200, json!({*name: []})));
        } else if operation == Operation::ListActionTypes {
            assert_eq!(status, 200, "it has no required member");
        } else {
            assert_eq!((status, &body["__type"]), (400, &json!("ValidationException")), "{operation}");
        }
    }
}

#[tokio::test]
async fn malformed_bodies_are_refused_in_every_operation() {
    let world = World::new();
    for &operation in Operation::ALL {
        for body in [
            "{",
            "[]",
            "nothing",
            "{\"name\": 7, \"pipelineName\": 7, \"resourceArn\": 7, \"webhookName\": 7}",
            "\u{0}",
        ] {
            let (status, answer) = in_json(&world, operation.name(), body).await;
            let bare = [
                Operation::ListActionTypes,
                Operation::ListPipelines,
                Operation::ListRuleTypes,
                Operation::ListWebhooks,
            ];
            if bare.contains(&operation) && body.contains("name") {
                assert_eq!(status, 200, "it has no such members");
                continue;
            }
            assert_eq!(status, 400, "{operation} {body}");
            let kind = answer["__type"].as_str().unwrap();
            assert!(["SerializationException", "ValidationException"].contains(&kind), "{operation} {body} {kind}");
        }
        for body in [&b"\xa1"[..], b"\x80", b"\xff", b"\xa1\x61a", b"{}"] {
            let (status, _, answer) = deliver(&world.app, &cbor_path(operation.name()), &cbor_headers(), body).await;
            assert_eq!(status, 400, "{operation}");
            assert!(String::from_utf8_lossy(&answer).contains("Exception"), "{operation}");
        }
    }
}

#[tokio::test]
async fn requests_that_name_no_operation_are_refused() {
    let world = World::new();
    let (status, body) = in_json(&world, "MakePipeline", "{}").await;
    assert_eq!((status, &body["__type"]), (400, &json!("UnknownOperationException")));
    let (status, _, _) = deliver(&world.app, &cbor_path("MakePipeline"), &cbor_headers(), b"\xa0").await;
    assert_eq!(status, 404);
    let foreign = vec![("content-type".to_owned(), "text/xml".to_owned())];
    let (status, _, body) = deliver(&world.app, "/", &foreign, b"<a/>").await;
    assert_eq!(status, 415);
    assert!(String::from_utf8_lossy(&body).contains("UnsupportedMediaTypeException"));
}

#[tokio::test]
async fn unknown_members_are_ignored_as_aws_does() {
    let world = World::new();
    let (status, _) = in_json(&world, "ListPipelines", r#"{"maxResults": 3, "color": "blue"}"#).await;
    assert_eq!(status, 200);
}
