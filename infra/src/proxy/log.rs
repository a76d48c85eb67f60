//! The log of an action, read in the name of whoever runs the proxy.
//!
//! The console's function may read nothing but Millrace's own table, so it cannot show what a build or a function has written. The
//! script of its page asks here for that. Of which action, the request says; where its log is, the API is asked, as the same
//! person: so no caller can name a log, and nobody reads that of an action of a pipeline that they may not see. Then the person's own
//! rights at CloudWatch Logs decide.
//!
//! - [`Logs`]: from a request to an answer.
//! - `cloud_watch`: reads a log.
//! - `lines`: its lines as text that a page can show.

mod cloud_watch;
mod lines;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_credential_types::Credentials as Keys;
use futures::future::BoxFuture;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Response, StatusCode};
use percent_encoding::percent_decode_str;
use pipeline::{PipelineName, TypeId};
use providers::ActionLog;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::timeout;
use wire::Operation;

use super::api::Api;
use super::said;

pub use cloud_watch::CloudWatch;

/// Where the script asks: behind it stand the pipeline, the execution and the action's execution.
pub const PATH: &str = "/console/log/";

/// How long AWS may take.
const PATIENCE: Duration = Duration::from_secs(15);
/// The longest id or token that is taken, in bytes.
const LONGEST: usize = 256;
/// Action executions in one answer of the API, its own limit, and how many answers are read: the largest pipeline has 500 actions, which
/// may have been tried several times.
const PAGE: usize = 100;
const PAGES: usize = 20;
/// When it is known of more actions what ran, all are forgotten.
const MOST_KNOWN: usize = 100;

/// An action execution, as the path names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Named {
    pipeline: String,
    execution: String,
    action: String,
}

/// What ran: never another thing once a service has given it an id.
#[derive(Clone, Debug)]
pub struct Ran {
    /// Where the service is.
    pub region: String,
    /// Which of the service's logs it is.
    pub log: ActionLog,
    /// The action's external id.
    pub id: String,
    /// When the action's turn came, in milliseconds since 1970.
    pub since: i64,
}

/// The end of a log, or what was added to it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tail {
    /// At most 200 lines, the oldest first, without line ends.
    pub lines: Vec<String>,
    /// With what to ask for the lines behind these.
    pub after: String,
    /// Whether these are the last lines there are, and not those that follow on what was read before.
    pub fresh: bool,
}

/// Reads logs. The program of the layer is built without, and with it without the SDKs of the services.
pub trait ReadLog: fmt::Debug + Send + Sync {
    /// The last lines of the log of what ran, or those `after` others. The error says in words why there are none.
    fn read<'a>(&'a self, keys: Keys, ran: &'a Ran, after: Option<&'a str>) -> BoxFuture<'a, Result<Tail, String>>;
}

/// Finds logs, and has them read.
#[derive(Debug)]
pub struct Logs {
    reader: Box<dyn ReadLog>,
    known: Mutex<HashMap<Named, Ran>>,
}

/// A page of `ListActionExecutions`, as far as it is needed. Source: CodePipeline API.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    #[serde(default)]
    action_execution_details: Vec<Detail>,
    next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Detail {
    action_execution_id: String,
    /// In seconds since 1970.
    start_time: Option<f64>,
    input: Given,
    output: Option<Left>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Given {
    action_type_id: TypeId,
    #[serde(default)]
    configuration: BTreeMap<String, String>,
    resolved_configuration: Option<BTreeMap<String, String>>,
    #[serde(default)]
    region: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Left {
    execution_result: Option<ExternalResult>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ExternalResult {
    external_execution_id: Option<String>,
}

impl Logs {
    /// Logs that this reads.
    pub fn new(reader: impl ReadLog + 'static) -> Self {
        Self { reader: Box::new(reader), known: Mutex::default() }
    }

    /// Answers a request: the path behind [`PATH`], and its query. The answer is JSON: a [`Tail`], or the member `said`, which says in
    /// words why there is none; or it is empty (204), if there is nothing new.
    pub(super) async fn answer(&self, api: &Api, path: &str, query: Option<&str>) -> wire::Response {
        let after = query.and_then(|query| query.strip_prefix("after=")).and_then(decoded);
        match self.tail(api, path, after.as_deref()).await {
            Ok(tail) if tail.lines.is_empty() && Some(&tail.after) == after.as_ref() => nothing_new(),
            Ok(tail) => told(serde_json::to_vec(&tail)),
            Err(why) => told(serde_json::to_vec(&json!({"said": why}))),
        }
    }

    async fn tail(&self, api: &Api, path: &str, after: Option<&str>) -> Result<Tail, String> {
        let named = Named::of(path).ok_or("This is no action.")?;
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&named).cloned();
        let ran = match known {
            Some(ran) => ran,
            None => {
                let ran = find(api, &named).await?;
                let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
                if known.len() >= MOST_KNOWN {
                    known.clear();
                }
                known.entry(named).or_insert(ran).clone()
            }
        };
        let keys = api.credentials().get().await.map_err(said)?;
        let read = timeout(PATIENCE, self.reader.read(keys, &ran, after)).await;
        read.unwrap_or_else(|_| Err(format!("AWS has not answered for {} s.", PATIENCE.as_secs())))
    }
}

impl Named {
    fn of(path: &str) -> Option<Self> {
        let mut parts = path.split('/').map(decoded);
        let (pipeline, execution, action) = (parts.next()??, parts.next()??, parts.next()??);
        let whole = parts.next().is_none() && PipelineName::new(&pipeline).is_ok();
        whole.then_some(Self { pipeline, execution, action })
    }
}

fn decoded(text: &str) -> Option<String> {
    let text = percent_decode_str(text).decode_utf8().ok()?;
    (!text.is_empty() && text.len() <= LONGEST).then(|| text.into_owned())
}

/// Asks the API what ran. The error says in words why that is not known, or has no log.
async fn find(api: &Api, named: &Named) -> Result<Ran, String> {
    let mut body = json!({
        "pipelineName": named.pipeline,
        "filter": {"pipelineExecutionId": named.execution},
        "maxResults": PAGE,
    });
    for _ in 0..PAGES {
        let answer = api.ask(Operation::ListActionExecutions, &named.pipeline, &body).await?;
        let listed: Listed =
            serde_json::from_slice(&answer).map_err(|error| format!("The API's answer cannot be read: {error}"))?;
        let found = listed.action_execution_details.into_iter().find(|it| it.action_execution_id == named.action);
        match (found, listed.next_token) {
            (Some(found), _) => return found.ran(),
            (None, Some(token)) => body["nextToken"] = token.into(),
            (None, None) => break,
        }
    }
    Err("The execution has no such action.".to_owned())
}

impl Detail {
    fn ran(self) -> Result<Ran, String> {
        let configuration = self.input.resolved_configuration.as_ref().unwrap_or(&self.input.configuration);
        let log = providers::log(&self.input.action_type_id, configuration)
            .ok_or("An action of this kind has no log of its own in CloudWatch Logs.")?;
        let id = self.output.and_then(|it| it.execution_result).and_then(|it| it.external_execution_id);
        let id = id.ok_or("There is no log yet: the service has not begun.")?;
        #[allow(clippy::cast_possible_truncation, reason = "a time of this age in milliseconds")]
        let since = (self.start_time.unwrap_or_default() * 1_000.0) as i64;
        Ok(Ran { region: self.input.region, log, id, since })
    }
}

fn nothing_new() -> wire::Response {
    let mut answer = Response::new(Vec::new());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

fn told(json: serde_json::Result<Vec<u8>>) -> wire::Response {
    let mut answer = Response::new(json.unwrap_or_default());
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}
