//! What is sent on, and what comes back.

use http::Response;

use crate::client::{JSON, call, send};
use crate::gateway::{answered, refused};
use crate::signature::{KEY, SECRET};
use crate::world::World;

const GENERAL: &str = "/service/CodePipeline_20150709/operation/";

#[tokio::test]
async fn a_call_on_the_root_goes_to_its_pipeline_s_path_signed_again() {
    let world = World::new(|_| answered(r#"{"pipeline":{}}"#)).await;
    let answer = call(world.port, "GetPipeline", r#"{"name":"release@home"}"#).await;
    assert_eq!((answer.status, answer.body.as_slice()), (200, br#"{"pipeline":{}}"#.as_slice()));
    assert_eq!(answer.header("content-type"), "application/x-amz-json-1.1");
    assert_eq!(answer.header("x-amzn-requestid"), "r-1");

    let [request] = &world.gateway.received()[..] else { panic!("one request") };
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/live/pipelines/release@home/GetPipeline"));
    assert_eq!(request.body, br#"{"name":"release@home"}"#);
    assert_eq!(request.header("x-amz-target"), "CodePipeline_20150709.GetPipeline");
    assert_eq!(request.header("amz-sdk-invocation-id"), "i-1");
    assert_eq!(request.header("user-agent"), "aws-cli/1");
    assert_eq!(request.header("x-amz-security-token"), "the session's token", "and not the client's");
    assert!(!request.header("authorization").contains("OTHER"));
    assert_ne!(request.header("x-amz-date"), "20260101T000000Z");
    for dropped in ["cookie", "accept-encoding", "connection"] {
        assert_eq!(request.header(dropped), "", "{dropped}");
    }
    assert_eq!(request.header("host"), format!("127.0.0.1:{}", world.gateway.port()));
}

#[tokio::test]
async fn what_is_for_no_pipeline_goes_to_its_operation_s_path() {
    let world = World::new(|_| answered("{}")).await;
    for (operation, body) in [
        ("ListPipelines", "{}"),
        ("PutJobSuccessResult", r#"{"jobId":"j"}"#),
        ("DeleteWebhook", r#"{"name":"release"}"#),
        ("GetPipeline", r#"{"name":"../../admin"}"#),
        ("GetPipeline", r#"{"name":".."}"#),
        ("GetPipeline", "no JSON"),
        ("GetPipeline", ""),
    ] {
        assert_eq!(call(world.port, operation, body).await.status, 200);
        assert_eq!(world.paths().last().unwrap(), &format!("{GENERAL}{operation}"), "{body}");
    }
    assert_eq!(world.paths().len(), 7, "each once");
}

#[tokio::test]
async fn each_of_the_three_paths_is_served() {
    let world = World::new(|_| answered("{}")).await;
    for (path, expected) in [
        ("/service/CodePipeline_20150709/operation/GetPipeline", "/pipelines/a/GetPipeline"),
        ("/pipelines/a/GetPipeline", "/pipelines/a/GetPipeline"),
        ("/pipelines/other/GetPipeline", "/pipelines/other/GetPipeline"),
    ] {
        assert_eq!(send(world.port, &format!("POST {path}"), &[JSON], br#"{"name":"a"}"#).await.status, 200);
        assert_eq!(world.paths().last().unwrap(), expected);
    }
}

#[tokio::test]
async fn cbor_stays_cbor() {
    let cbor = |status: u16, body: &[u8]| {
        let answer = Response::builder().status(status).header("content-type", "application/cbor");
        answer.header("smithy-protocol", "rpc-v2-cbor").body(body.to_vec()).unwrap()
    };
    let world = World::new(move |_| cbor(400, b"\xa1\x61a\x01")).await;
    let mut body = b"\xbf\x6cpipelineName\x67release\xff".to_vec();
    let headers = [("content-type", "application/cbor"), ("smithy-protocol", "rpc-v2-cbor"), ("accept", "*/*")];
    let line = format!("POST {GENERAL}PutApprovalResult");
    let answer = send(world.port, &line, &headers, &body).await;
    assert_eq!((answer.status, answer.body.as_slice()), (400, b"\xa1\x61a\x01".as_slice()));
    assert_eq!(answer.header("smithy-protocol"), "rpc-v2-cbor");
    let [request] = &world.gateway.received()[..] else { panic!("one request") };
    assert_eq!(request.path, "/live/pipelines/release/PutApprovalResult");
    assert_eq!(request.header("accept"), "application/cbor", "or API Gateway would answer in base64");
    assert_eq!(request.body, body);

    // A refusal of the proxy's own is in the client's protocol too.
    body.clear();
    let answer = send(world.port, "POST /pipelines/a/NoSuchOperation", &headers, &body).await;
    assert_eq!((answer.status, answer.header("content-type")), (404, "application/cbor"));
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    assert!(text.contains("com.amazonaws.codepipeline#UnknownOperationException"), "{text}");
}

#[tokio::test]
async fn an_exception_of_the_api_comes_back_as_it_is() {
    let world = World::new(|_| {
        let body = r#"{"__type":"PipelineNotFoundException","message":"no a"}"#;
        let mut answer = answered(body);
        *answer.status_mut() = 400.try_into().unwrap();
        answer.headers_mut().insert("x-amzn-errortype", "PipelineNotFoundException".parse().unwrap());
        answer.headers_mut().insert("set-cookie", "a=b".parse().unwrap());
        answer
    })
    .await;
    let answer = call(world.port, "GetPipeline", r#"{"name":"a"}"#).await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.exception(), ("PipelineNotFoundException".to_owned(), "no a".to_owned()));
    assert_eq!(answer.header("set-cookie"), "");
    assert_eq!(world.paths().len(), 1, "the function has answered: no other path is tried");
}

#[tokio::test]
async fn a_policy_for_all_pipelines_works_as_well_as_one_for_a_single_pipeline() {
    let denied = "User: arn:aws:iam::1:user/ada is not authorized to perform: execute-api:Invoke on resource: x";
    let world = World::new(move |request| {
        if request.path.contains("/pipelines/") {
            refused(403, "AccessDeniedException", denied)
        } else {
            answered("{}")
        }
    })
    .await;
    assert_eq!(call(world.port, "GetPipeline", r#"{"name":"a"}"#).await.status, 200);
    assert_eq!(world.paths(), ["/pipelines/a/GetPipeline".to_owned(), format!("{GENERAL}GetPipeline")]);
    // Who names the pipeline in the path wants it held against the body.
    let answer = send(world.port, "POST /pipelines/a/GetPipeline", &[JSON], br#"{"name":"a"}"#).await;
    assert_eq!(answer.exception().0, "AccessDeniedException");
    assert_eq!(world.paths().len(), 3);
}

#[tokio::test]
async fn who_may_take_neither_path_is_told_what_a_policy_must_allow() {
    let denied = "User: ada is not authorized to perform: execute-api:Invoke on resource: arn:aws:execute-api:eu-west-1:********2222:abc";
    let world = World::new(move |_| refused(403, "AccessDeniedException", denied)).await;
    let (name, message) = call(world.port, "GetPipeline", r#"{"name":"a"}"#).await.exception();
    assert_eq!(name, "AccessDeniedException");
    for words in [
        "arn:aws:execute-api:eu-west-1:*:*/*/POST/pipelines/a/GetPipeline",
        " or on arn:aws:execute-api:eu-west-1:*:*/*/POST/service/CodePipeline_20150709/operation/GetPipeline",
        "User: ada is not",
    ] {
        assert!(message.contains(words), "{message}");
    }
    assert_eq!(world.paths().len(), 2);
}

#[tokio::test]
async fn an_explicit_deny_is_not_gone_round() {
    let denied = "User: ada is not authorized to perform: execute-api:Invoke on resource: x with an explicit deny";
    let world = World::new(move |_| refused(403, "AccessDeniedException", denied)).await;
    assert_eq!(call(world.port, "GetPipeline", r#"{"name":"a"}"#).await.exception().0, "AccessDeniedException");
    assert_eq!(world.paths(), ["/pipelines/a/GetPipeline"]);
}

#[tokio::test]
async fn each_call_leaves_one_line_and_no_secret() {
    let world = World::new(|request| match request.path.contains("/pipelines/") {
        true => answered("{}"),
        false => refused(429, "TooManyRequestsException", "slower"),
    })
    .await;
    call(world.port, "GetPipeline", r#"{"name":"a","token":"in the body"}"#).await;
    call(world.port, "PutJobSuccessResult", r#"{"jobId":"in the body"}"#).await;
    send(world.port, "POST /", &[JSON, ("host", "evil.example")], b"in the body").await;
    let log = world.log.lock().unwrap().clone();
    let lines: Vec<serde_json::Value> = log.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [get, put, foreign] = &lines[..] else { panic!("three lines: {log:?}") };
    assert_eq!(
        (&get["operation"], &get["pipeline"], &get["status"]),
        (&"GetPipeline".into(), &"a".into(), &200.into())
    );
    assert_eq!(get["path"], "/pipelines/a/GetPipeline");
    assert!(get["ms"].is_u64());
    assert_eq!((&put["operation"], &put["exception"]), (&"PutJobSuccessResult".into(), &"ThrottlingException".into()));
    assert_eq!((&foreign["operation"], &foreign["status"]), (&serde_json::Value::Null, &403.into()));
    for secret in ["in the body", SECRET, KEY, "session's token", "client's", "evil"] {
        assert!(!log.iter().any(|line| line.contains(secret)), "{secret}");
    }
}
