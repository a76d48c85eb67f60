//! A collector of OpenTelemetry: what OTLP/HTTP sends, taken apart.

use std::fmt;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
pub use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Received {
    headers: Vec<(String, String)>,
    /// The path of the request.
    pub path: String,
    /// How many bytes its body has.
    pub bytes: usize,
    /// The request's body, decoded.
    pub traces: ExportTraceServiceRequest,
}

impl Received {
    /// A header's value, or nothing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// All spans of the request, whatever their resource.
    pub fn spans(&self) -> Vec<Span> {
        let scopes = self.traces.resource_spans.iter().flat_map(|it| &it.scope_spans);
        scopes.flat_map(|it| it.spans.clone()).collect()
    }
}

/// What a [`Collector`] does with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reaction {
    /// It answers with this status and body.
    Answer(u16, Vec<u8>),
    /// It takes the request and never answers.
    Hang,
}

/// A server on this machine that takes traces and remembers them.
#[derive(Clone)]
pub struct Collector {
    server: Arc<tiny_http::Server>,
    received: Arc<Mutex<Vec<Received>>>,
}

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Collector")
    }
}

impl Collector {
    /// One that takes everything.
    pub fn start() -> Self {
        Self::reacting(|_| Reaction::Answer(200, Vec::new()))
    }

    /// One that reacts by a function of the requests so far, the last of which is the one at hand.
    pub fn reacting(react: impl Fn(&[Received]) -> Reaction + Send + 'static) -> Self {
        let server = Arc::new(tiny_http::Server::http((Ipv4Addr::LOCALHOST, 0)).unwrap());
        let received = Arc::<Mutex<Vec<Received>>>::default();
        let collector = Self { server: server.clone(), received: received.clone() };
        std::thread::spawn(move || {
            let mut hanging = Vec::new();
            for mut request in server.incoming_requests() {
                let mut body = Vec::new();
                request.as_reader().read_to_end(&mut body).unwrap();
                let name = |header: &tiny_http::Header| header.field.as_str().as_str().to_lowercase();
                let headers = request.headers().iter().map(|it| (name(it), it.value.as_str().to_owned())).collect();
                let traces = ExportTraceServiceRequest::decode(&*body).unwrap();
                let mut received = received.lock().unwrap();
                received.push(Received { headers, path: request.url().to_owned(), bytes: body.len(), traces });
                match react(&received) {
                    Reaction::Answer(status, body) => {
                        // Whoever has gone meanwhile gets no answer.
                        let _ = request.respond(tiny_http::Response::from_data(body).with_status_code(status));
                    }
                    Reaction::Hang => hanging.push(request),
                }
            }
        });
        collector
    }

    /// Where traces are to be sent.
    pub fn url(&self) -> String {
        format!("http://{}/v1/traces", self.server.server_addr())
    }

    /// The requests so far.
    pub fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    /// The spans of all requests so far.
    pub fn spans(&self) -> Vec<Span> {
        self.received().iter().flat_map(Received::spans).collect()
    }
}

/// An attribute of a span as text; empty where it has none.
pub fn attribute(span: &Span, name: &str) -> String {
    let found = span.attributes.iter().find(|it| it.key == name).and_then(|it| it.value.clone()?.value);
    match found {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        Some(other) => panic!("{name} is {other:?}"),
        None => String::new(),
    }
}

/// Fails unless the spans are trees, in each of which a span is within its parent's time, and each id is there once.
pub fn assert_trees(spans: &[Span]) {
    for span in spans {
        assert_eq!((span.trace_id.len(), span.span_id.len()), (16, 8), "{}", span.name);
        let same = spans.iter().filter(|it| (&it.trace_id, &it.span_id) == (&span.trace_id, &span.span_id));
        assert_eq!(same.count(), 1, "{} is there twice", span.name);
        assert!(span.start_time_unix_nano <= span.end_time_unix_nano, "{} ends before it begins", span.name);
        if span.parent_span_id.is_empty() {
            continue;
        }
        let parent = spans.iter().find(|it| (&it.trace_id, &it.span_id) == (&span.trace_id, &span.parent_span_id));
        let parent = parent.unwrap_or_else(|| panic!("{} has no parent", span.name));
        let within = parent.start_time_unix_nano <= span.start_time_unix_nano
            && span.end_time_unix_nano <= parent.end_time_unix_nano;
        assert!(within, "{} is not within {}", span.name, parent.name);
    }
}
