//! From a signal to executions.

use std::collections::BTreeMap;

use driver::{DriveError, Driver, QueuedStart, StartRequest};
use engine::{RevisionOverride, Trigger};
use pipeline::{ActionName, PipelineName};
use runtime::CallLog;

use crate::event::StartSignal;

/// What came of a signal.
#[derive(Debug, Default, PartialEq)]
pub struct Starts {
    /// How many executions are new.
    pub new: usize,
    /// Why others could not be started; another delivery would not help.
    pub refused: Vec<String>,
}

/// Starts what a signal asks for, and notes each start in the audit log; an event that comes twice, with the same id or `delivery`, starts nothing again.
///
/// # Errors
/// The store's, for which the event is to be delivered again.
pub async fn start(
    driver: &Driver,
    calls: &CallLog,
    signal: StartSignal,
    delivery: &str,
) -> Result<Starts, DriveError> {
    if let StartSignal::Queued(queued) = signal {
        let QueuedStart { start, by } = *queued;
        return by.scope(Box::pin(all(driver, calls, vec![start]))).await;
    }
    if let StartSignal::Git(git) = signal {
        let starts = driver.git_starts(&git).await?;
        return git.by.scope(Box::pin(all(driver, calls, starts))).await;
    }
    let requests = requests(driver, signal, delivery).await?;
    all(driver, calls, requests).await
}

async fn all(driver: &Driver, calls: &CallLog, requests: Vec<StartRequest>) -> Result<Starts, DriveError> {
    let mut starts = Starts::default();
    for request in requests {
        let pipeline = request.pipeline.clone();
        let started = driver.start(request).await;
        let result = if started.is_ok() { "ok" } else { "refused" };
        calls.answered("StartPipelineExecution", Some(pipeline.as_str()), result).await;
        match started {
            Ok(it) => {
                starts.new += usize::from(it.new);
                tracing::info!(%pipeline, execution = %it.execution, new = it.new, "started");
            }
            Err(error @ DriveError::Store(_)) => return Err(error),
            Err(error) => starts.refused.push(format!("the pipeline {pipeline} was not started: {error}")),
        }
    }
    Ok(starts)
}

async fn requests(driver: &Driver, signal: StartSignal, delivery: &str) -> Result<Vec<StartRequest>, DriveError> {
    let trigger = |detail: String| Trigger { kind: "CloudWatchEvent".into(), detail };
    match signal {
        StartSignal::Queued(queued) => Ok(vec![queued.start]),
        StartSignal::Git(git) => driver.git_starts(&git).await,
        StartSignal::Named { pipeline, variables, overrides, token, detail } => Ok(vec![StartRequest {
            pipeline,
            trigger: trigger(detail),
            variables,
            overrides,
            client_token: Some(token.unwrap_or_else(|| format!("delivery#{delivery}"))),
        }]),
        StartSignal::Changed(None) => Ok(Vec::new()),
        StartSignal::Changed(Some(change)) => {
            let mut watchers: BTreeMap<PipelineName, Vec<ActionName>> = BTreeMap::new();
            for (pipeline, action) in driver.watchers(&change.watched, change.account.as_deref()).await? {
                watchers.entry(pipeline).or_default().push(action);
            }
            let overrides = |actions: Vec<ActionName>| {
                let revision = change.revision.as_ref();
                let given = |action| revision.map(|(kind, value)| RevisionOverride::new(action, *kind, value.clone()));
                actions.into_iter().filter_map(given).collect()
            };
            let request = |(pipeline, actions)| StartRequest {
                pipeline,
                trigger: trigger(change.detail.clone()),
                variables: BTreeMap::new(),
                overrides: overrides(actions),
                client_token: Some(change.token.clone()),
            };
            Ok(watchers.into_iter().map(request).collect())
        }
    }
}
