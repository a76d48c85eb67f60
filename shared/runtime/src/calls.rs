//! What an invocation costs: every request to AWS is counted where it leaves, and the sum is one line of the function's log for each
//! execution that the invocation was about.
//!
//! Counted is below the SDK, at its HTTP client: there are all requests, those of providers' own clients too, and each try, which
//! AWS charges for like the first. Nothing is sent or written for it but the line. Which executions an invocation is about is seen
//! from the items of the table that it reads and writes.
//!
//! A process handles one invocation at a time, so that there is one account of it, for tasks that were spawned too.

mod units;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::{RuntimeComponents, RuntimeComponentsBuilder};
use aws_smithy_types::config_bag::ConfigBag;
use engine::ExecutionId;
use serde::{Deserialize, Serialize};

pub(crate) use self::units::CountUnits;

/// On whose behalf a request is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Behalf {
    /// Millrace's own, with the function's key: the table, the bus, queues, keys.
    Own,
    /// A pipeline's, under its role: what its actions do at their services.
    Pipeline,
}

/// What one invocation spent on one execution: the line in a function's log. One that was about several executions has a line for
/// each, and its calls and its time are shared among them in equal parts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spent {
    /// The id of the execution that is charged.
    pub execution: String,
    /// The function, by its name.
    pub function: String,
    /// How much of an invocation it was: 1, or less where that was about several executions.
    pub invocations: f64,
    /// How long the invocation took, in milliseconds.
    pub milliseconds: f64,
    /// The function's memory, in MiB.
    pub memory: u32,
    /// Requests of Millrace's own, by service and operation (`dynamodb UpdateItem`).
    pub own: BTreeMap<String, f64>,
    /// Requests on the pipeline's behalf.
    pub pipeline: BTreeMap<String, f64>,
    /// Read units that DynamoDB charged.
    pub reads: f64,
    /// DynamoDB's write units, those of its indexes among them.
    pub writes: f64,
    /// Events that were put on buses; one request may have ten.
    pub events: f64,
}

/// All functions count here.
pub(crate) static CALLS: LazyLock<Calls> = LazyLock::new(Calls::default);

/// The member of the log line that has [`Spent`] in it.
pub const MEMBER: &str = "cost";

/// What was counted since the invocation began.
#[derive(Clone, Debug, Default)]
pub struct Calls(Arc<Mutex<Counted>>);

#[derive(Debug, Default)]
struct Counted {
    calls: BTreeMap<(Behalf, String), u32>,
    executions: BTreeSet<ExecutionId>,
    reads: f64,
    writes: f64,
    events: usize,
}

impl Calls {
    fn counted(&self) -> MutexGuard<'_, Counted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets what was counted until now.
    pub fn begin(&self) {
        *self.counted() = Counted::default();
    }

    /// What was spent since then on each execution; nothing where there was none.
    pub fn end(&self, function: &str, memory: u32, took: Duration) -> Vec<Spent> {
        let counted = std::mem::take(&mut *self.counted());
        let share = 1.0 / counted.executions.len().max(1) as f64;
        let calls = |behalf: Behalf| {
            let of = counted.calls.iter().filter(move |((of, _), _)| *of == behalf);
            of.map(|((_, name), count)| (name.clone(), f64::from(*count) * share)).collect::<BTreeMap<_, _>>()
        };
        let spent = |execution: &ExecutionId| Spent {
            execution: execution.to_string(),
            function: function.to_owned(),
            invocations: share,
            milliseconds: took.as_secs_f64() * 1_000.0 * share,
            memory,
            own: calls(Behalf::Own),
            pipeline: calls(Behalf::Pipeline),
            reads: counted.reads * share,
            writes: counted.writes * share,
            events: counted.events as f64 * share,
        };
        counted.executions.iter().map(spent).collect()
    }

    /// An HTTP client that counts what it sends. `key`: the id of the function's own access key.
    pub fn client(&self, inner: SharedHttpClient, key: &str) -> SharedHttpClient {
        SharedHttpClient::new(Counting { inner, calls: self.clone(), key: key.into() })
    }

    fn count(&self, request: &HttpRequest, own: &str) {
        let Some((key, name)) = signed_name(request) else { return };
        let behalf = if key == own { Behalf::Own } else { Behalf::Pipeline };
        *self.counted().calls.entry((behalf, name)).or_default() += 1;
    }

    /// Events are about to be put on a bus.
    pub(crate) fn events(&self, count: usize) {
        self.counted().events += count;
    }

    /// An item of the table was asked for or written.
    pub(crate) fn item(&self, partition: &str) {
        let execution = partition.strip_prefix("E#").and_then(|id| id.parse().ok());
        if let Some(execution) = execution {
            self.counted().executions.insert(execution);
        }
    }

    /// The table was charged these units.
    pub(crate) fn units(&self, reads: f64, writes: f64) {
        let mut counted = self.counted();
        counted.reads += reads;
        counted.writes += writes;
    }
}

/// Writes lines into the function's log.
pub(crate) fn write(lines: &[Spent]) {
    let mut log = std::io::stderr().lock();
    for spent in lines {
        // Nobody can be told of a log that is gone.
        let _ = writeln!(log, "{}", serde_json::json!({ MEMBER: spent }));
    }
}

/// Whose key signed a request, and its service and operation. The service is the one that it is signed for. Protocols that name no operation in a
/// header or in the body go by their HTTP method, as S3's prices do.
fn signed_name(request: &HttpRequest) -> Option<(&str, String)> {
    let headers = request.headers();
    // AWS4-HMAC-SHA256 Credential=KEY/DATE/REGION/SERVICE/aws4_request, ...
    let scope = headers.get("authorization")?.strip_prefix("AWS4-")?;
    let mut scope = scope.split_once("Credential=")?.1.split('/');
    let (key, service) = (scope.next()?, scope.nth(2)?);
    let body = request.body().bytes().unwrap_or_default();
    let operation = if let Some(target) = headers.get("x-amz-target") {
        target.rsplit('.').next().unwrap_or_default()
    } else if let Some(query) = body.strip_prefix(b"Action=") {
        let end = query.iter().position(|byte| *byte == b'&').unwrap_or(query.len());
        std::str::from_utf8(&query[..end]).unwrap_or_default()
    } else if service == "s3" && request.uri().contains("list-type=") {
        "LIST"
    } else if service == "s3" && headers.get("x-amz-copy-source").is_some() {
        "COPY"
    } else {
        request.method()
    };
    Some((key, format!("{service} {operation}")))
}

/// An HTTP client that counts.
#[derive(Debug)]
struct Counting {
    inner: SharedHttpClient,
    calls: Calls,
    key: Arc<str>,
}

impl HttpClient for Counting {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, components);
        SharedHttpConnector::new(CountingConnector { inner, calls: self.calls.clone(), key: self.key.clone() })
    }

    fn validate_base_client_config(
        &self,
        components: &RuntimeComponentsBuilder,
        bag: &ConfigBag,
    ) -> Result<(), BoxError> {
        self.inner.validate_base_client_config(components, bag)
    }

    fn validate_final_config(&self, components: &RuntimeComponents, bag: &ConfigBag) -> Result<(), BoxError> {
        self.inner.validate_final_config(components, bag)
    }
}

#[derive(Debug)]
struct CountingConnector {
    inner: SharedHttpConnector,
    calls: Calls,
    key: Arc<str>,
}

impl HttpConnector for CountingConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        self.calls.count(&request, &self.key);
        self.inner.call(request)
    }
}

#[cfg(test)]
mod tests;
