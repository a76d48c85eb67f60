//! What no SDK client sends.

use conformance::gateway::deliver;
use conformance::protocol::{BOTH, address, body};
use conformance::world::{CALLER, World};
use serde_json::{Value, json};
use wire::{Operation, Protocol};

use super::{client, release};

async fn in_json(world: &World, operation: &str, body: &str) -> (u16, Value) {
    let (path, headers) = address(Protocol::AwsJson11, operation);
    let (status, headers, body) = world.deliver(&path, &headers, body.as_bytes()).await;
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
            let (path, headers) = address(Protocol::RpcV2Cbor, operation.name());
            let (status, _, answer) = world.deliver(&path, &headers, body).await;
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
    let (path, headers) = address(Protocol::RpcV2Cbor, "MakePipeline");
    let (status, _, _) = world.deliver(&path, &headers, b"\xa0").await;
    assert_eq!(status, 404);
    let (status, _, body) = world.deliver("/", &[("content-type", "text/xml")], b"<a/>").await;
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
async fn on_pipeline_path(world: &World, pipeline: &str, operation: Operation, input: &Value) -> ([u16; 2], String) {
    let path = format!("/pipelines/{pipeline}/{operation}");
    let (mut statuses, mut last) = ([0; 2], Vec::new());
    for (protocol, status) in BOTH.into_iter().zip(&mut statuses) {
        let (_, headers) = address(protocol, operation.name());
        (*status, _, last) = world.deliver(&path, &headers, &body(protocol, operation, input)).await;
    }
    (statuses, String::from_utf8_lossy(&last).into_owned())
}

#[tokio::test]
async fn a_pipeline_s_path_reaches_that_pipeline_and_no_other() {
    let world = World::new();
    for name in ["release", "other"] {
        client(&world).create_pipeline().pipeline(release(name, &[])).send().await.unwrap();
    }
    for (operation, member) in [(Operation::GetPipeline, "name"), (Operation::ListPipelineExecutions, "pipelineName")] {
        let (statuses, _) = on_pipeline_path(&world, "release", operation, &json!({ member: "release" })).await;
        assert_eq!(statuses, [200, 200], "{operation}");
    }
    for (operation, body) in [
        (Operation::DeletePipeline, json!({"name": "other"})),
        (Operation::StartPipelineExecution, json!({"name": "other"})),
        (Operation::ListPipelineExecutions, json!({"pipelineName": "other"})),
        (Operation::DeleteWebhook, json!({"name": "release"})),
        (Operation::ListPipelines, json!({})),
    ] {
        let (statuses, answer) = on_pipeline_path(&world, "release", operation, &body).await;
        assert_eq!(statuses, [400, 400], "{operation}");
        assert!(answer.contains("ValidationException") && answer.contains("path"), "{operation}: {answer}");
    }
    let client = client(&world);
    assert_eq!(client.list_pipelines().send().await.unwrap().pipelines().len(), 2);
    let runs = client.list_pipeline_executions().pipeline_name("other").send().await.unwrap();
    assert_eq!(runs.pipeline_execution_summaries().len(), 1, "only the one of its creation");
}

#[tokio::test]
async fn an_execution_of_another_pipeline_is_not_reached_through_a_pipeline_s_path() {
    let world = World::new();
    let client = client(&world);
    for name in ["release", "other"] {
        client.create_pipeline().pipeline(release(name, &[])).send().await.unwrap();
    }
    let runs = client.list_pipeline_executions().pipeline_name("other").send().await.unwrap();
    let foreign = runs.pipeline_execution_summaries()[0].pipeline_execution_id().unwrap().to_owned();
    let body = |more: Value| {
        let mut body = json!({"pipelineName": "release", "pipelineExecutionId": foreign});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    for (operation, body) in [
        (Operation::GetPipelineExecution, body(json!({}))),
        (Operation::StopPipelineExecution, body(json!({}))),
        (Operation::RetryStageExecution, body(json!({"stageName": "Source", "retryMode": "ALL_ACTIONS"}))),
        (Operation::OverrideStageCondition, body(json!({"stageName": "Source", "conditionType": "BEFORE_ENTRY"}))),
        (
            Operation::RollbackStage,
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
    let (path, headers) = address(Protocol::AwsJson11, "ListPipelines");
    let (status, _, body) = deliver(Some(CALLER), &app, &path, &headers, b"{}").await;
    let body = String::from_utf8_lossy(&body).into_owned();
    assert_eq!(status, 400);
    assert!(body.contains("UnknownOperationException") && body.contains("JsonOnRoot"), "{body}");
    let (path, _) = address(Protocol::RpcV2Cbor, "ListPipelines");
    let (status, ..) = deliver(Some(CALLER), &app, &path, &headers, b"{}").await;
    assert_eq!(status, 200, "AWS JSON 1.1 on the operation's own path");
}

#[tokio::test]
async fn on_aws_nobody_is_served_who_did_not_sign_whatever_the_body_and_its_headers_say() {
    let world = World::new();
    let (root, mut headers) = address(Protocol::AwsJson11, "ListPipelines");
    let (own, _) = address(Protocol::RpcV2Cbor, "ListPipelines");
    for name in ["x-amzn-user-arn", "authorization", "x-forwarded-user"] {
        headers.push((name, CALLER.to_owned()));
    }
    let body = json!({"userArn": CALLER}).to_string();
    for path in [root, own] {
        let (status, _, answer) = deliver(None, &world.app, &path, &headers, body.as_bytes()).await;
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        assert_eq!((status, answer["__type"].as_str()), (400, Some("AccessDeniedException")), "{path}");
    }
}

#[tokio::test]
async fn an_update_of_an_older_version_is_refused_where_its_header_says_which_it_began_with() {
    let world = World::new();
    client(&world).create_pipeline().pipeline(release("release", &[])).send().await.unwrap();
    let body = json!({"pipeline": wire::to_json(&release("release", &[])).unwrap()}).to_string();
    let update = async |of: Option<&str>| {
        let (path, mut headers) = address(Protocol::AwsJson11, "UpdatePipeline");
        headers.extend(of.map(|of| ("x-millrace-of-version", of.to_owned())));
        let (status, _, answer) = world.deliver(&path, &headers, body.as_bytes()).await;
        (status, String::from_utf8(answer).unwrap())
    };
    assert_eq!(update(Some("1")).await.0, 200);
    for stale in ["1", "3"] {
        let (status, answer) = update(Some(stale)).await;
        assert_eq!(status, 400, "{answer}");
        assert!(answer.contains("ValidationException") && answer.contains("version 2 is the newest"), "{answer}");
    }
    assert_eq!(update(Some("two")).await.0, 400);
    assert_eq!(update(None).await.0, 200, "who names none changes whichever is the newest, as on AWS");
    let newest = client(&world).get_pipeline().name("release").send().await.unwrap().pipeline.unwrap();
    assert_eq!(newest.version(), Some(3), "what was refused changed nothing");
}
