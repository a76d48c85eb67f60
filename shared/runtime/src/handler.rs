//! The loop around a function's handler.

use std::future::Future;
use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use lambda_runtime::{Context, Diagnostic, LambdaEvent, service_fn};
use serde::Serialize;
use serde::de::DeserializeOwned;
use store::ChangeOrigin;
use tracing_subscriber::EnvFilter;

use crate::api_gateway::ApiGateway;
use crate::audit;
use crate::calls::{self, CALLS};

/// The function's name and its memory in MiB, as Lambda tells them.
static FUNCTION: LazyLock<(String, u32)> = LazyLock::new(|| {
    let variable = |name| std::env::var(name).unwrap_or_default();
    (variable("AWS_LAMBDA_FUNCTION_NAME"), variable("AWS_LAMBDA_FUNCTION_MEMORY_SIZE").parse().unwrap_or_default())
});

/// Lets log lines go to stderr as JSON, by `RUST_LOG` (default `info`), each with the spans it is in: the outermost
/// holds the request id, an inner one the execution's id. Calls that are missing in the audit log are always among them. Called again it
/// does nothing.
pub fn start_logging() {
    let asked = std::env::var(EnvFilter::DEFAULT_ENV).unwrap_or_else(|_| "info".to_owned());
    let filter =
        EnvFilter::try_new(format!("{asked},{}=error", audit::TARGET)).unwrap_or_else(|_| EnvFilter::new("info"));
    // A second call finds a subscriber; that is no fault.
    let _ = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(true)
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .try_init();
}

/// How long the invocation may still run.
pub fn time_left(context: &Context) -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Duration::from_millis(context.deadline).saturating_sub(now)
}

/// Handles one event after another until Lambda ends the process. An error is logged with its causes and makes the
/// invocation fail; Lambda then does what the event's source says: try again, or put it aside.
///
/// # Errors
/// When the runtime's own interface fails.
pub async fn run<E, R, F>(handler: impl Fn(E, Context) -> F) -> anyhow::Result<()>
where
    E: DeserializeOwned,
    R: Serialize,
    F: Future<Output = anyhow::Result<R>>,
{
    start_logging();
    let handler = &handler;
    let service = service_fn(move |event: LambdaEvent<E>| {
        // What is changed by events is changed by the function that takes them.
        let origin = ChangeOrigin {
            caller: event.context.env_config.function_name.clone(),
            source: None,
            request: event.context.request_id.clone(),
        };
        // In a box of its own: the compiler gives up on futures as deep as the SDK's inside the runtime's.
        let handling = Box::pin(handler(event.payload, event.context));
        report(origin.scope(handling))
    });
    lambda_runtime::run(service).await.map_err(anyhow::Error::from_boxed)
}

/// The same for a function behind API Gateway. A handler answers its callers' faults itself; its error is a fault of
/// ours, and the caller gets API Gateway's own 502. An invocation that did not come through the API fails.
///
/// # Errors
/// When the runtime's own interface fails.
pub async fn run_http<F>(api: &ApiGateway, handler: impl Fn(lambda_http::Request) -> F) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<lambda_http::Response<lambda_http::Body>>> + Send,
{
    start_logging();
    let handler = &handler;
    let service = service_fn(move |request| {
        let through_api = api.check(&request);
        // Nothing happens before it is awaited.
        let handling = handler(request);
        report(Box::pin(async move {
            through_api?;
            handling.await
        }))
    });
    lambda_http::run(service).await.map_err(anyhow::Error::from_boxed)
}

/// Logs how an event went, in a line of its own.
async fn report<R>(handling: impl Future<Output = anyhow::Result<R>>) -> Result<R, Diagnostic> {
    let began = Instant::now();
    CALLS.begin();
    let result = handling.await;
    calls::write(&CALLS.end(&FUNCTION.0, FUNCTION.1, began.elapsed()));
    let milliseconds = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    match result {
        Ok(answer) => {
            tracing::info!(milliseconds, "handled");
            Ok(answer)
        }
        Err(error) => {
            let message = format!("{error:#}");
            tracing::error!(milliseconds, error = %message, "not handled");
            Err(Diagnostic { error_type: "MillraceError".to_owned(), error_message: message })
        }
    }
}
