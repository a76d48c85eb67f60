//! What is sent, and what becomes of it when the collector does not take it.

use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::trace::v1::{ExportTracePartialSuccess, ExportTraceServiceResponse};
use prost::Message as _;
use runtime::{Clients, Settings};
use serde_json::Value;
use testkit::collector::{Collector as Server, Reaction};
use testkit::{Stub, Template, TestLog};

use super::*;
use crate::attributes::Attributes;
use crate::batches::{BYTES, SPANS, WINDOW, batches, without_old};
use crate::collector::Collector;
use crate::{Tracer, event};

fn settings(endpoint: &str) -> Settings {
    let endpoint = endpoint.to_owned();
    Settings::read(move |name| match name {
        "AWS_REGION" => Some("eu-west-1".into()),
        "MILLRACE_TRACE_ENDPOINT" => Some(endpoint.clone()),
        _ => None,
    })
    .unwrap()
}

/// A tracer of what the world holds, with the SDK's own HTTP client.
fn tracer(world: &World, url: &str) -> Tracer {
    let config = aws_config::SdkConfig::builder().http_client(aws_smithy_http_client::Builder::new().build_http());
    let config = config.behavior_version(aws_config::BehaviorVersion::latest()).build();
    let collector = Collector::new(&settings(url), &Clients::from_config(config)).unwrap().unwrap();
    Tracer {
        store: world.store.clone(),
        versions: PipelineVersions::default(),
        collector: Some(collector.with_patience(Duration::from_millis(300))),
        resource: spans::resource("millrace", "123456789012", "eu-west-1"),
        home: "eu-west-1".into(),
    }
}

/// A world with an execution that has failed, and the queue's delivery of that.
fn failed() -> (World, Value) {
    let world = World::new();
    world.failing.lock().unwrap().push("Fetch");
    world.work();
    let ended = world.end(world.executions()[0].id);
    let time = jiff::Timestamp::from_millisecond(ended.time.0).unwrap();
    let body = json!({"source": "millrace", "time": time.to_string(), "detail": {"execution-id": ended.execution}});
    (world, json!({"Records": [{"messageId": "1", "body": body.to_string()}]}))
}

#[tokio::test]
async fn a_delivery_is_one_request_and_a_second_one_is_the_same() {
    let (world, delivery) = failed();
    let server = Server::start();
    let tracer = tracer(&world, &server.url());
    for _ in 0..2 {
        assert_eq!(tracer.handle(&delivery, BEGIN).await.unwrap(), json!({"spans": 3}));
    }
    let [first, second] = &server.received()[..] else { panic!("two requests") };
    assert_eq!((first.path.as_str(), first.header("content-type")), ("/v1/traces", "application/x-protobuf"));
    assert_eq!(first.header("authorization"), "", "nobody but X-Ray is signed for");
    assert_eq!(first.traces, second.traces);
    assert_trees(&first.spans());
    let resource = first.traces.resource_spans[0].resource.as_ref().unwrap();
    let names: Vec<_> = resource.attributes.iter().map(|it| it.key.as_str()).collect();
    assert_eq!(names[..2], ["service.name", "service.namespace"]);
}

#[tokio::test]
async fn what_is_not_taken_comes_again() {
    let (world, delivery) = failed();
    for (reaction, said) in [
        (Reaction::Answer(500, b"broken".to_vec()), "status 500: broken"),
        (Reaction::Answer(429, b"slower".to_vec()), "status 429: slower"),
        (Reaction::Answer(400, b"no Transaction Search".to_vec()), "no Transaction Search"),
        (Reaction::Answer(302, Vec::new()), "status 302"),
        (Reaction::Hang, "no answer from 127.0.0.1"),
    ] {
        let server = Server::reacting(move |_| reaction.clone());
        let began = Instant::now();
        let error = tracer(&world, &server.url()).handle(&delivery, BEGIN).await.unwrap_err();
        assert!(format!("{error:#}").contains(said), "{error:#}");
        assert!(began.elapsed() < Duration::from_secs(5), "it waits for ever");
        assert_eq!(server.received().len(), 1, "the queue tries again, nobody else");
    }
    let error = tracer(&world, "http://127.0.0.1:9/v1/traces").handle(&delivery, BEGIN).await.unwrap_err();
    assert!(format!("{error:#}").contains("no answer from 127.0.0.1:9"), "{error:#}");
}

#[tokio::test]
async fn what_is_taken_in_part_is_not_sent_again() {
    let (world, delivery) = failed();
    let partial = ExportTracePartialSuccess { rejected_spans: 2, error_message: "too old".into() };
    let answer = ExportTraceServiceResponse { partial_success: Some(partial) }.encode_to_vec();
    let server = Server::reacting(move |_| Reaction::Answer(200, answer.clone()));
    let log = TestLog::begin();
    tracer(&world, &server.url()).handle(&delivery, BEGIN).await.unwrap();
    assert!(log.text().contains("too old"), "{}", log.text());
}

#[tokio::test]
async fn what_is_no_end_is_passed_over() {
    let (world, mut delivery) = failed();
    let server = Server::start();
    let tracer = tracer(&world, &server.url());
    let unknown = "12345678-1234-8234-abcd-000000000000";
    for body in [
        "{".to_owned(),
        json!({"time": "2026-11-26T12:00:00Z", "detail": {"execution-id": "7"}}).to_string(),
        json!({"time": "2026-11-26T12:00:00Z", "detail": {"execution-id": unknown}}).to_string(),
    ] {
        delivery["Records"][0]["body"] = body.into();
        assert_eq!(tracer.handle(&delivery, BEGIN).await.unwrap(), json!({"spans": 0}));
    }
    assert_eq!(server.received().len(), 0);
    assert!(event::read(&json!({"Records": "none"})).is_empty());
}

#[tokio::test]
async fn what_goes_to_xray_is_signed() {
    let (world, delivery) = failed();
    let stub = Stub::new(|_| testkit::Answer::ok(""));
    let clients = Clients::from_config(stub.config());
    let collector = Collector::new(&settings("xray"), &clients).unwrap();
    let tracer = Tracer { collector, ..tracer(&world, "http://127.0.0.1:9") };
    tracer.handle(&delivery, BEGIN).await.unwrap();
    let [request] = &stub.requests()[..] else { panic!("one request") };
    let signature = request.header("authorization");
    assert!(signature.starts_with("AWS4-HMAC-SHA256 Credential=FUNCTION/"), "{signature}");
    assert!(
        signature.contains("/eu-west-1/xray/aws4_request") && signature.contains("content-type;host"),
        "{signature}"
    );
}

#[test]
fn requests_to_xray_are_signed_for_it_and_others_are_not() {
    let clients = Clients::from_config(Stub::unused().config());
    let xray = Collector::new(&settings("xray"), &clients).unwrap().unwrap();
    assert!(xray.is_xray());
    assert!(format!("{xray:?}").contains("https://xray.eu-west-1.amazonaws.com/v1/traces"), "{xray:?}");
    let other = Collector::new(&settings("https://collector.example.com/v1/traces"), &clients).unwrap().unwrap();
    assert!(!other.is_xray());
    assert!(Collector::new(&settings(""), &clients).unwrap().is_none(), "off");
    let error = Collector::new(&settings("http://a b"), &clients).unwrap_err().to_string();
    assert!(error.contains("MILLRACE_TRACE_ENDPOINT"), "{error}");
}

fn span(id: u64, hours: std::ops::Range<u64>, text: usize) -> Span {
    const HOUR: u64 = 3_600 * 1_000_000_000;
    let begin = crate::batches::nanoseconds(BEGIN);
    Span {
        trace_id: vec![1; 16],
        span_id: id.to_be_bytes().to_vec(),
        start_time_unix_nano: begin + hours.start * HOUR,
        end_time_unix_nano: begin + hours.end * HOUR,
        attributes: Attributes::default().text("text", "t".repeat(text)).0,
        ..Span::default()
    }
}

#[test]
fn requests_keep_within_xrays_limits() {
    let resource = spans::resource("millrace", "123456789012", "eu-west-1");
    let many = (0..12_000).map(|id| span(id, 0..1, 1_000)).collect::<Vec<_>>();
    // Each stage of a release that took a fortnight, and what took all of that time.
    let long = (0..14).map(|day| span(20_000 + day, day * 24..day * 24 + 3, 10));
    let whole = [span(30_000, 0..14 * 24, 10), span(30_001, 0..13 * 24, 10)];
    let all: Vec<Span> = many.into_iter().chain(long).chain(whole).collect();
    let requests = batches(&resource, all.clone());
    let mut found = Vec::new();
    for request in &requests {
        let spans = &request.resource_spans[0].scope_spans[0].spans;
        assert!(spans.len() <= SPANS && request.encoded_len() <= BYTES + 16_384 && request.encoded_len() < 5_000_000);
        let first = spans.iter().map(|it| it.start_time_unix_nano).min().unwrap();
        let last = spans.iter().map(|it| it.end_time_unix_nano).max().unwrap();
        assert!(last - first <= WINDOW || spans.len() == 1, "{} spans in too long a time", spans.len());
        found.extend(spans.iter().map(|it| it.span_id.clone()));
    }
    found.sort();
    let mut expected: Vec<_> = all.iter().map(|it| it.span_id.clone()).collect();
    expected.sort();
    assert_eq!(found, expected, "each once");
    assert!(requests.len() < 24, "{} requests", requests.len());
}

#[test]
fn what_is_too_old_for_xray_is_left_out() {
    let now = BEGIN.plus(15 * 24 * 3_600_000);
    let mut spans = vec![span(1, 0..1, 1), span(2, 0..48, 1), span(3, 300..301, 1)];
    assert_eq!(without_old(&mut spans, now), 1);
    assert_eq!(spans.iter().map(|it| it.span_id[7]).collect::<Vec<_>>(), [2, 3]);
}

#[test]
fn texts_are_cut() {
    let attributes = Attributes::default().text("a", "ä".repeat(5_000)).known("b", Some("")).known("c", None::<&str>);
    let [only] = &attributes.0[..] else { panic!("one attribute") };
    let Some(opentelemetry_proto::tonic::common::v1::any_value::Value::StringValue(text)) =
        only.value.clone().and_then(|it| it.value)
    else {
        panic!("a text")
    };
    assert_eq!(text.chars().count(), 1_024);
}

#[test]
fn its_environment_is_what_it_reads_and_nothing_else() {
    let environment = Template::home().environment("TracerFunction");
    let settings = Settings::read(environment.lookup()).unwrap();
    crate::wire(&settings, &Clients::from_config(Stub::unused().config())).unwrap();
    environment.assert_read();
}
