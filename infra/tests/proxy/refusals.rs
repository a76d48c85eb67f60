//! What is not sent on.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::{JSON, call, raw, send};
use crate::gateway::answered;
use crate::world::World;

const TARGET: (&str, &str) = ("x-amz-target", "CodePipeline_20150709.ListPipelines");

#[tokio::test]
async fn no_page_gets_through() {
    let world = World::new(|_| answered("{}")).await;
    let own = format!("http://127.0.0.1:{}", world.port);
    for header in [
        ("origin", "http://evil.example"),
        ("origin", "null"),
        ("origin", "http://127.0.0.1:1"),
        ("host", "evil.example"),
        ("host", "127.0.0.1"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ] {
        let answer = send(world.port, "POST /", &[JSON, TARGET, header], b"{}").await;
        assert_eq!((answer.status, answer.exception().0.as_str()), (403, "AccessDeniedException"), "{header:?}");
    }
    let rebound = format!("evil.example:{}", world.port);
    assert_eq!(send(world.port, "POST /", &[JSON, TARGET, ("host", &rebound)], b"{}").await.status, 403);
    // What a browser asks before it sends a request that is not a plain form.
    for asks in [vec![], vec![("origin", "http://evil.example")], vec![("origin", own.as_str())]] {
        let mut headers = asks.clone();
        headers.push(("access-control-request-method", "POST"));
        let answer = send(world.port, "OPTIONS /", &headers, b"").await;
        assert!(answer.status >= 400, "{asks:?}");
        assert!(!answer.headers.iter().any(|(name, _)| name.starts_with("access-control")), "{answer:?}");
    }
    // What it sends without asking.
    for media_type in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"] {
        let answer = send(world.port, "POST /", &[TARGET, ("content-type", media_type)], b"{}").await;
        assert_eq!(answer.exception().0, "UnsupportedMediaTypeException", "{media_type}");
    }
    let answer = send(world.port, "POST /", &[TARGET], b"{}").await;
    assert_eq!(answer.exception().0, "UnsupportedMediaTypeException");
    assert_eq!(world.gateway.received().len(), 0);
    let of_its_own = [JSON, TARGET, ("origin", own.as_str()), ("sec-fetch-site", "same-origin")];
    assert_eq!(send(world.port, "POST /", &of_its_own, b"{}").await.status, 403, "without the console's header");
    let proven = [&of_its_own[..], &[("x-millrace-console", "1")]].concat();
    assert_eq!(send(world.port, "POST /", &proven, b"{}").await.status, 200, "its own pages may");
}

#[tokio::test]
async fn only_three_paths_are_served_and_only_with_post() {
    let world = World::new(|_| answered("{}")).await;
    for line in [
        "GET /x",
        "GET /service/CodePipeline_20150709/operation/ListPipelines",
        "PUT /",
        "DELETE /",
        "OPTIONS *",
        "POST /live",
        "POST //",
        "POST /?x=y",
        "POST /approve",
        "POST /live/service/CodePipeline_20150709/operation/ListPipelines",
        "POST /service/CodePipeline_20150709/operation/ListPipelines?x",
        "POST /service/CodePipeline_20150709/operation/ListPipelines/",
        "POST /service/CodePipeline_20150709/operation/GetPipeline",
        "POST /x/pipelines/a/ListPipelines",
        "POST /../pipelines/a/ListPipelines",
    ] {
        let answer = send(world.port, line, &[JSON, TARGET], b"{}").await;
        assert!(answer.status >= 400, "{line}");
    }
    let foreign = [JSON, ("x-amz-target", "DynamoDB_20120810.ListTables")];
    assert_eq!(send(world.port, "POST /", &foreign, b"{}").await.exception().0, "UnknownOperationException");
    assert_eq!(world.gateway.received().len(), 0);
}

#[tokio::test]
async fn a_body_that_is_too_large_is_not_sent_on() {
    let world = World::new(|_| answered("{}")).await;
    let body = |length: usize| format!("\"{}\"", "a".repeat(length - 2));
    let most = 6 * 1024 * 1024;
    assert_eq!(call(world.port, "ListPipelines", &body(most)).await.status, 200);
    for length in [most + 1, 2 * most] {
        let answer = call(world.port, "ListPipelines", &body(length)).await;
        assert_eq!((answer.status, answer.exception().0.as_str()), (413, "RequestEntityTooLargeException"));
    }
    // Without its length being said before.
    let chunk = format!("{:x}\r\n{}\r\n", most + 1, body(most + 1));
    let chunked = [JSON, TARGET, ("transfer-encoding", "chunked")];
    let answer = send(world.port, "POST /", &chunked, format!("{chunk}0\r\n\r\n").as_bytes()).await;
    assert_eq!(answer.status, 413);
    assert_eq!(world.gateway.received().len(), 1);
}

#[tokio::test]
async fn headers_have_limits() {
    let world = World::new(|_| answered("{}")).await;
    let long = "a".repeat(40 * 1024);
    assert_eq!(send(world.port, "POST /", &[JSON, TARGET, ("x-long", &long)], b"{}").await.status, 431);
    let names: Vec<String> = (0..80).map(|number| format!("x-{number}")).collect();
    let many: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "1")).chain([JSON, TARGET]).collect();
    assert_eq!(send(world.port, "POST /", &many, b"{}").await.status, 431);
    assert!(raw(world.port, b"no HTTP\r\n\r\n").await.is_none_or(|answer| answer.status == 400));
    assert_eq!(world.gateway.received().len(), 0);
}

#[tokio::test]
async fn a_body_that_does_not_come_to_its_end_is_not_sent_on() {
    let world = World::new(|_| answered("{}")).await;
    let mut stream = TcpStream::connect(("127.0.0.1", world.port)).await.unwrap();
    let head = format!(
        "POST / HTTP/1.1\r\nhost: 127.0.0.1:{}\r\n{}: {}\r\n{}: {}\r\ncontent-length: 10\r\n\r\n{{}}",
        world.port, JSON.0, JSON.1, TARGET.0, TARGET.1
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let began = Instant::now();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(10), "it does not wait for what cannot come");
    assert_eq!(world.gateway.received().len(), 0);
}

#[tokio::test]
async fn a_connection_serves_call_after_call() {
    let world = World::new(|_| answered("{}")).await;
    let mut stream = TcpStream::connect(("127.0.0.1", world.port)).await.unwrap();
    for turn in 1..=3 {
        let head = format!(
            "POST / HTTP/1.1\r\nhost: 127.0.0.1:{}\r\n{}: {}\r\n{}: {}\r\ncontent-length: 2\r\n\r\n{{}}",
            world.port, JSON.0, JSON.1, TARGET.0, TARGET.1
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n{}") {
            let mut part = [0; 1024];
            let length = stream.read(&mut part).await.unwrap();
            assert_ne!(length, 0, "it was closed after {turn}");
            answer.extend(&part[..length]);
        }
    }
    assert_eq!(world.gateway.received().len(), 3);
}
