//! What no SDK client sends.

use serde_json::{Value, json};
use wire::Operation;

use super::{World, deliver, deliver_of};

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

/// Calls an operation on a pipeline's path, in each protocol, and answers the two statuses and the last body as text.
async fn on_pipeline_path(world: &World, pipeline: &str, operation: &str, body: &Value) -> ([u16; 2], String) {
    let path = format!("/pipelines/{pipeline}/{operation}");
    let (json, ..) = deliver(&world.app, &path, &json_headers(operation), body.to_string().as_bytes()).await;
    let encoded = in_cbor(body);
    let (cbor, _, answer) = deliver(&world.app, &path, &cbor_headers(), &encoded).await;
    ([json, cbor], String::from_utf8_lossy(&answer).into_owned())
}

/// A flat map of texts in CBOR.
fn in_cbor(body: &Value) -> Vec<u8> {
    let mut encoder = aws_smithy_cbor::Encoder::new(Vec::new());
    encoder.begin_map();
    for (name, value) in body.as_object().unwrap() {
        encoder.str(name).str(value.as_str().unwrap());
    }
    encoder.end();
    encoder.into_writer()
}

#[tokio::test]
async fn a_pipeline_s_path_reaches_that_pipeline_and_no_other() {
    let world = World::new();
    for name in ["release", "other"] {
        world.client().create_pipeline().pipeline(super::release(name, &[])).send().await.unwrap();
    }
    for (operation, member) in [("GetPipeline", "name"), ("ListPipelineExecutions", "pipelineName")] {
        let (statuses, _) = on_pipeline_path(&world, "release", operation, &json!({ member: "release" })).await;
        assert_eq!(statuses, [200, 200], "{operation}");
    }
    for (operation, body) in [
        ("DeletePipeline", json!({"name": "other"})),
        ("StartPipelineExecution", json!({"name": "other"})),
        ("ListPipelineExecutions", json!({"pipelineName": "other"})),
        ("DeleteWebhook", json!({"name": "release"})),
        ("ListPipelines", json!({})),
    ] {
        let (statuses, answer) = on_pipeline_path(&world, "release", operation, &body).await;
        assert_eq!(statuses, [400, 400], "{operation}");
        assert!(answer.contains("ValidationException") && answer.contains("path"), "{operation}: {answer}");
    }
    let client = world.client();
    assert_eq!(client.list_pipelines().send().await.unwrap().pipelines().len(), 2);
    let runs = client.list_pipeline_executions().pipeline_name("other").send().await.unwrap();
    assert_eq!(runs.pipeline_execution_summaries().len(), 1, "only the one of its creation");
}

#[tokio::test]
async fn an_execution_of_another_pipeline_is_not_reached_through_a_pipeline_s_path() {
    let world = World::new();
    let client = world.client();
    for name in ["release", "other"] {
        client.create_pipeline().pipeline(super::release(name, &[])).send().await.unwrap();
    }
    let runs = client.list_pipeline_executions().pipeline_name("other").send().await.unwrap();
    let foreign = runs.pipeline_execution_summaries()[0].pipeline_execution_id().unwrap().to_owned();
    let body = |more: Value| {
        let mut body = json!({"pipelineName": "release", "pipelineExecutionId": foreign});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    for (operation, body) in [
        ("GetPipelineExecution", body(json!({}))),
        ("StopPipelineExecution", body(json!({}))),
        ("RetryStageExecution", body(json!({"stageName": "Source", "retryMode": "ALL_ACTIONS"}))),
        ("OverrideStageCondition", body(json!({"stageName": "Source", "conditionType": "BEFORE_ENTRY"}))),
        (
            "RollbackStage",
            json!({"pipelineName": "release", "stageName": "Source", "targetPipelineExecutionId": foreign}),
        ),
    ] {
        let (statuses, answer) = on_pipeline_path(&world, "release", operation, &body).await;
        assert_eq!(statuses, [400, 400], "{operation}: {answer}");
    }
    let found = client.get_pipeline_execution().pipeline_name("other").pipeline_execution_id(&foreign).send().await;
    let status = found.unwrap().pipeline_execution.unwrap().status;
    assert_eq!(status, Some(aws_sdk_codepipeline::types::PipelineExecutionStatus::InProgress));
}

#[tokio::test]
async fn the_root_is_served_only_where_the_installation_says_so() {
    let World { app, .. } = World::new();
    let app = std::sync::Arc::into_inner(app).unwrap().with_root(false);
    let headers = json_headers("ListPipelines");
    let (status, _, body) = deliver(&app, "/", &headers, b"{}").await;
    let body = String::from_utf8_lossy(&body).into_owned();
    assert_eq!(status, 400);
    assert!(body.contains("UnknownOperationException") && body.contains("JsonOnRoot"), "{body}");
    let (status, ..) = deliver(&app, &cbor_path("ListPipelines"), &headers, b"{}").await;
    assert_eq!(status, 200, "AWS JSON 1.1 on the operation's own path");
}

#[tokio::test]
async fn on_aws_nobody_is_served_who_did_not_sign_whatever_the_body_and_its_headers_say() {
    let world = World::new();
    let mut headers = json_headers("ListPipelines");
    for name in ["x-amzn-user-arn", "authorization", "x-forwarded-user"] {
        headers.push((name.to_owned(), super::CALLER.to_owned()));
    }
    let body = json!({"userArn": super::CALLER}).to_string();
    for path in ["/", &cbor_path("ListPipelines")] {
        let (status, _, answer) = deliver_of(None, &world.app, path, &headers, body.as_bytes()).await;
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        assert_eq!((status, answer["__type"].as_str()), (400, Some("AccessDeniedException")), "{path}");
    }
}
