//! The log of an action: found by the API's answer, read in the person's own name.

use serde_json::{Value, json};
use testkit::{Aws, Call};

use crate::client::{Answer, send};
use crate::gateway::{answered, refused};
use crate::server::{Received, Reply};
use crate::signature::KEY;
use crate::world::World;

const EXECUTION: &str = "0d8b2f5e-9c1a-4f6e-8f3a-000000000001";
const ACTION: &str = "0d8b2f5e-9c1a-4f6e-8f3a-010000010000";
const BUILD: &str = "app:11111111-2222-3333-4444-555555555555";
const CALL: &str = "8f1c9f0e-1111-4222-8333-123456789abc";

/// What the API tells of an action execution.
fn ran(category: &str, provider: &str, configuration: &Value, id: Option<&str>) -> Value {
    json!({
        "actionExecutionId": ACTION, "status": "InProgress", "startTime": 1_795_719_600.25,
        "input": {
            "actionTypeId": {"category": category, "owner": "AWS", "provider": provider, "version": "1"},
            "configuration": {"ProjectName": "#{variables.Project}", "FunctionName": "#{variables.Function}"},
            "resolvedConfiguration": configuration, "region": "us-west-2",
        },
        "output": {"executionResult": id.map_or_else(|| json!({}), |id| json!({"externalExecutionId": id}))},
    })
}

fn listed(details: &[Value]) -> Reply {
    answered(&json!({"actionExecutionDetails": details}).to_string())
}

fn build() -> Value {
    ran("Build", "CodeBuild", &json!({"ProjectName": "app"}), Some(BUILD))
}

fn call() -> Value {
    ran("Invoke", "Lambda", &json!({"FunctionName": "check:live"}), Some(CALL))
}

/// An AWS in which the build has these lines.
fn with_build(lines: &'static [&'static str]) -> Aws {
    let aws = Aws::default();
    let logs = json!({"groupName": "/aws/codebuild/app", "streamName": "1111"});
    aws.on("BatchGetBuilds", 200, json!({"builds": [{"id": BUILD, "buildComplete": false, "logs": logs}]}).to_string());
    aws.reply("GetLogEvents", move |call| events(&call.json(), lines));
    aws
}

/// Lines of a stream, with their numbers as tokens.
fn events(asked: &Value, lines: &[&str]) -> testkit::Reply {
    let limit = asked["limit"].as_u64().unwrap() as usize;
    let token = asked["nextToken"].as_str().map(|token| token.strip_prefix("f/").unwrap().parse::<usize>().unwrap());
    assert_eq!(asked["startFromHead"], token.is_some(), "tokens lead on from the head only");
    let (from, to) = match token {
        Some(from) => (from, lines.len().min(from + limit)),
        None => (lines.len().saturating_sub(limit), lines.len()),
    };
    let events: Vec<_> = lines[from..to].iter().map(|line| json!({"message": line, "timestamp": 1})).collect();
    let body =
        json!({"events": events, "nextForwardToken": format!("f/{to}"), "nextBackwardToken": format!("b/{from}")});
    (200, [].into(), body.to_string().into_bytes())
}

async fn asked(world: &World, after: &str) -> Answer {
    let query = if after.is_empty() { String::new() } else { format!("?after={}", after.replace('/', "%2F")) };
    send(world.port, &format!("GET /console/log/release/{EXECUTION}/{ACTION}{query}"), &[], b"").await
}

async fn told(world: &World, after: &str) -> Value {
    let answer = asked(world, after).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"), "{answer:?}");
    assert_eq!((answer.header("cache-control"), answer.header("x-content-type-options")), ("no-store", "nosniff"));
    serde_json::from_slice(&answer.body).unwrap()
}

#[tokio::test]
async fn the_last_lines_of_a_build_are_read_as_whoever_runs_the_proxy() {
    let aws = with_build(&["one\n", "\u{1b}[31mtwo\u{1b}[0m\n", "<b>\u{202e}three"]);
    let world = World::reading(&aws, |_| listed(&[build()])).await;
    let tail = told(&world, "").await;
    assert_eq!(tail, json!({"lines": ["one", "two", "<b>[U+202E]three"], "after": "f/3", "fresh": true}));

    let [request] = &world.gateway.received()[..] else { panic!("one request") };
    assert_eq!(request.path, "/live/pipelines/release/ListActionExecutions");
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!((&body["pipelineName"], &body["filter"]["pipelineExecutionId"]), (&"release".into(), &EXECUTION.into()));
    let found: Vec<Call> = aws.all_calls();
    for call in &found {
        assert_eq!((call.role.as_str(), call.region.as_str()), (KEY, "us-west-2"), "{}", call.operation);
        assert_eq!(call.header("x-amz-security-token"), "the session's token");
    }
    assert_eq!(aws.calls("BatchGetBuilds")[0].json()["ids"], json!([BUILD]));
    let read = aws.calls("GetLogEvents")[0].json();
    assert_eq!((&read["logGroupName"], &read["logStreamName"]), (&"/aws/codebuild/app".into(), &"1111".into()));
    assert_eq!(read["limit"], 200);
}

#[tokio::test]
async fn what_follows_is_read_from_where_it_was_left() {
    let aws = with_build(&["one", "two", "three"]);
    let world = World::reading(&aws, |_| listed(&[build()])).await;
    assert_eq!(told(&world, "f/1").await, json!({"lines": ["two", "three"], "after": "f/3", "fresh": false}));
    let answer = asked(&world, "f/3").await;
    assert_eq!((answer.status, answer.body.len()), (204, 0), "there is nothing new");
    assert_eq!(world.gateway.received().len(), 1, "what ran stays what it is");
    assert_eq!(world.log.lock().unwrap().len(), 1, "every two seconds a line");
}

#[tokio::test]
async fn who_is_far_behind_gets_the_last_lines() {
    let lines: Vec<&str> = std::iter::repeat_n("line", 1_500).collect();
    let aws = with_build(lines.leak());
    let world = World::reading(&aws, |_| listed(&[build()])).await;
    let tail = told(&world, "f/2").await;
    assert_eq!((&tail["fresh"], &tail["after"]), (&true.into(), &"f/1500".into()));
    assert_eq!(tail["lines"].as_array().unwrap().len(), 200);
    // A token of another stream.
    aws.reply("GetLogEvents", |call| match call.json().get("nextToken") {
        Some(_) => (400, [].into(), br#"{"__type": "InvalidParameterException"}"#.to_vec()),
        None => events(&call.json(), &["again"]),
    });
    assert_eq!(told(&world, "x").await, json!({"lines": ["again"], "after": "f/1", "fresh": true}));
}

#[tokio::test]
async fn the_lines_of_one_call_of_a_function_are_found_by_its_request_id() {
    let aws = Aws::default();
    let event = |stream: &str, time: i64, message: String| json!({"logStreamName": stream, "timestamp": time, "message": message});
    let found = [
        event("first", 100, format!("START RequestId: {CALL}")),
        event("second", 200, format!("START RequestId: {CALL}")),
        event("second", 250, format!("END RequestId: {CALL}")),
        event("second", 251, format!("REPORT RequestId: {CALL}\tDuration: 51 ms")),
    ];
    aws.on("FilterLogEvents", 200, json!({"events": found}).to_string());
    aws.reply("GetLogEvents", |call| events(&call.json(), &["START", "it works", "END"]));
    let world = World::reading(&aws, |_| listed(&[call()])).await;
    assert_eq!(told(&world, "").await["lines"], json!(["START", "it works", "END"]));
    let search = aws.calls("FilterLogEvents")[0].json();
    assert_eq!(search["logGroupName"], "/aws/lambda/check");
    assert_eq!(search["filterPattern"], format!("\"{CALL}\""));
    assert_eq!(search["startTime"], 1_795_719_600_250_i64);
    let read = aws.calls("GetLogEvents")[0].json();
    assert_eq!(
        (&read["logStreamName"], &read["startTime"], &read["endTime"]),
        (&"second".into(), &200.into(), &252.into())
    );

    aws.on("FilterLogEvents", 200, json!({"events": found[..2]}).to_string());
    told(&world, "").await;
    assert_eq!(aws.calls("GetLogEvents")[1].json().get("endTime"), None, "it still runs");
    aws.on("FilterLogEvents", 200, r#"{"events": []}"#);
    let said = told(&world, "").await;
    assert!(said["said"].as_str().unwrap().starts_with("There is no log yet"), "{said}");
}

#[tokio::test]
async fn who_may_not_read_it_is_told_which_permission_is_missing() {
    let denied = |operation: &str| {
        json!({"__type": "AccessDeniedException", "Message": format!("User: ada is not authorized: {operation}")})
            .to_string()
    };
    for (detail, operation, permission) in [
        (build(), "BatchGetBuilds", "codebuild:BatchGetBuilds on arn:aws:codebuild:us-west-2:*:project/app"),
        (build(), "GetLogEvents", "logs:GetLogEvents on arn:aws:logs:us-west-2:*:log-group:/aws/codebuild/app:*"),
        (call(), "FilterLogEvents", "logs:FilterLogEvents on arn:aws:logs:us-west-2:*:log-group:/aws/lambda/check:*"),
    ] {
        let aws = with_build(&[]);
        aws.on(operation, 400, denied(operation));
        let world = World::reading(&aws, move |_| listed(std::slice::from_ref(&detail))).await;
        let said = told(&world, "").await["said"].as_str().unwrap().to_owned();
        assert!(said.contains(permission) && said.contains("User: ada"), "{said}");
    }
    let world = World::reading(&Aws::default(), |_| refused(403, "AccessDeniedException", "not authorized")).await;
    let said = told(&world, "").await["said"].as_str().unwrap().to_owned();
    assert!(said.contains("/POST/pipelines/release/ListActionExecutions"), "{said}");
}

#[tokio::test]
async fn where_there_is_no_log_that_is_said() {
    let batch = json!({"ProjectName": "app", "BatchEnabled": "true"});
    for (detail, words) in [
        (ran("Build", "CodeBuild", &json!({}), None), "There is no log yet"),
        (ran("Build", "CodeBuild", &batch, Some(BUILD)), "no log of its own"),
        (ran("Deploy", "S3", &json!({}), Some("site")), "no log of its own"),
        (ran("Invoke", "Lambda", &json!({"FunctionName": "f"}), Some("\" or")), "no request id"),
    ] {
        let aws = Aws::default();
        let world = World::reading(&aws, move |_| listed(std::slice::from_ref(&detail))).await;
        let said = told(&world, "").await;
        assert!(said["said"].as_str().unwrap().contains(words), "{said}");
        assert!(aws.all_calls().is_empty(), "nobody is asked");
    }
    for (builds, words) in [
        (json!([]), "does not know the build"),
        (json!([{"id": BUILD}]), "There is no log yet"),
        (json!([{"id": BUILD, "buildComplete": true, "logs": {}}]), "has no log in CloudWatch Logs"),
    ] {
        let aws = Aws::default();
        aws.on("BatchGetBuilds", 200, json!({"builds": builds}).to_string());
        let world = World::reading(&aws, |_| listed(&[build()])).await;
        let said = told(&world, "").await;
        assert!(said["said"].as_str().unwrap().contains(words), "{said}");
    }
    let aws = with_build(&[]);
    aws.fail("GetLogEvents", 400, "ResourceNotFoundException", "no such stream");
    let world = World::reading(&aws, |_| listed(&[build()])).await;
    assert!(told(&world, "").await["said"].as_str().unwrap().contains("no such stream"));
}

/// Nobody reads a log by naming it: only actions are named, and the API says of them what the caller may see.
#[tokio::test]
async fn only_actions_that_the_api_knows_have_a_log() {
    let aws = with_build(&["secret"]);
    let pages = |received: Received| match String::from_utf8(received.body).unwrap().contains("nextToken") {
        false => answered(&json!({"actionExecutionDetails": [], "nextToken": "2"}).to_string()),
        true => listed(&[build()]),
    };
    let world = World::reading(&aws, pages).await;
    let other = ACTION.replace('8', "9");
    for path in [
        format!("release/{EXECUTION}/{other}"),
        format!("..%2Fadmin/{EXECUTION}/{ACTION}"),
        format!("release/{ACTION}"),
    ] {
        let answer = send(world.port, &format!("GET /console/log/{path}"), &[], b"").await;
        let said: Value = serde_json::from_slice(&answer.body).unwrap();
        assert!(said["said"].is_string() && said.get("lines").is_none(), "{said}");
    }
    assert!(aws.all_calls().is_empty());
    assert_eq!(told(&world, "").await["lines"], json!(["secret"]), "the second page of the API's answer has it");
    for header in [("origin", "http://evil.example"), ("sec-fetch-site", "cross-site"), ("host", "evil.example")] {
        let line = format!("GET /console/log/release/{EXECUTION}/{ACTION}");
        assert_eq!(send(world.port, &line, &[header], b"").await.status, 403, "{header:?}");
    }
    let log = world.log.lock().unwrap().join("\n");
    assert!(!log.contains("secret"), "{log}");
}
