//! Spans in requests that a collector takes.
//!
//! Source of the limits: CloudWatch user guide, 'OTLP endpoints', traces: 5 MB, 10,000 spans and 24 hours in a request, 200 KB a
//! span, nothing older than 14 days. Other collectors take more.

use engine::Timestamp;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message as _;

/// Most spans in a request.
pub const SPANS: usize = 5_000;
/// Most bytes of the spans in a request; the rest of it has less than 16 KB.
pub const BYTES: usize = 4 << 20;
/// Nanoseconds between the beginning of a request's first span and the end of its last.
pub const WINDOW: u64 = 24 * 3_600 * NANOSECONDS;
const NANOSECONDS: u64 = 1_000_000_000;
/// Beyond this age X-Ray refuses the whole request in which a span is; a quarter of an hour less, since it takes some time to
/// get there.
const OLDEST: u64 = (14 * 24 * 3_600 - 900) * NANOSECONDS;

/// Takes out what X-Ray would refuse, with all that is sent beside it: spans that ended more than 14 days ago. Returns how many.
pub fn without_old(spans: &mut Vec<Span>, now: Timestamp) -> usize {
    let oldest = nanoseconds(now).saturating_sub(OLDEST);
    let before = spans.len();
    spans.retain(|span| span.end_time_unix_nano >= oldest);
    before - spans.len()
}

/// The same spans in requests. One that alone takes more than 24 hours has a request of its own.
pub fn batches(resource: &Resource, mut spans: Vec<Span>) -> Vec<ExportTraceServiceRequest> {
    spans.sort_by_key(|span| (span.start_time_unix_nano, span.end_time_unix_nano));
    let mut batches: Vec<Batch> = Vec::new();
    for span in spans {
        // Those that take long are apart, so that they do not part the others.
        let fitting = batches.iter_mut().rev().find(|batch| batch.takes(&span));
        match fitting {
            Some(batch) => batch.add(span),
            None => batches.push(Batch::of(span)),
        }
    }
    batches.into_iter().map(|batch| request(resource.clone(), batch.spans)).collect()
}

struct Batch {
    spans: Vec<Span>,
    bytes: usize,
    first: u64,
    last: u64,
}

impl Batch {
    fn of(span: Span) -> Self {
        let (first, last) = (span.start_time_unix_nano, span.end_time_unix_nano);
        Self { bytes: span.encoded_len(), spans: vec![span], first, last }
    }

    fn takes(&self, span: &Span) -> bool {
        let last = self.last.max(span.end_time_unix_nano);
        self.spans.len() < SPANS
            && self.bytes + span.encoded_len() <= BYTES
            && last.saturating_sub(self.first.min(span.start_time_unix_nano)) <= WINDOW
    }

    fn add(&mut self, span: Span) {
        self.bytes += span.encoded_len();
        self.last = self.last.max(span.end_time_unix_nano);
        self.spans.push(span);
    }
}

fn request(resource: Resource, spans: Vec<Span>) -> ExportTraceServiceRequest {
    let scope = InstrumentationScope {
        name: "millrace".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    };
    let scope_spans = vec![ScopeSpans { scope: Some(scope), spans, schema_url: String::new() }];
    let schema_url = crate::spans::SCHEMA.to_owned();
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans { resource: Some(resource), scope_spans, schema_url }],
    }
}

/// A time as OTLP has it, in nanoseconds since 1970.
pub fn nanoseconds(time: Timestamp) -> u64 {
    u64::try_from(time.0).unwrap_or_default().saturating_mul(1_000_000)
}
