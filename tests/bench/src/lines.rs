//! What the functions logged: when an action's provider was called, when it was back, when the floor's put was done.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use aws_sdk_cloudwatchlogs::Client;
use aws_sdk_cloudwatchlogs::error::ProvideErrorMetadata;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// How long lines may take to come.
const LIMIT: Duration = Duration::from_secs(15);

/// How long a function logs nothing when it has nothing to do, and how long it may take until then.
const QUIET: Duration = Duration::from_secs(3);
const QUIET_LIMIT: Duration = Duration::from_secs(600);

/// A line of a function's log, as far as the bench looks at it.
#[derive(Clone, Debug, Deserialize)]
pub struct Line {
    /// Milliseconds since 1970, with a fraction.
    #[serde(rename = "timestamp", deserialize_with = "milliseconds")]
    time: f64,
    #[serde(default)]
    message: String,
    /// The name of the action that the line is about; empty where there is none.
    #[serde(default)]
    name: String,
    /// The id of the action execution; empty where there is none.
    #[serde(default)]
    action: String,
    /// The id of the event; empty where there is none.
    #[serde(default)]
    id: String,
    #[serde(default)]
    spans: Vec<Span>,
}

#[derive(Clone, Debug, Deserialize)]
struct Span {
    #[serde(default)]
    execution: String,
}

/// When the provider of an action was called and when it was back, in milliseconds of the machine's clock.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Call {
    /// When the provider was called.
    pub start: f64,
    /// When the call came back.
    pub back: f64,
}

fn milliseconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let time: jiff::Timestamp = String::deserialize(deserializer)?.parse().map_err(D::Error::custom)?;
    Ok(time.as_microsecond() as f64 / 1_000.0)
}

/// When each event's put was done, by the event's id; waits until all `expected` are there.
///
/// # Errors
/// When they do not come, or the log cannot be read.
pub async fn puts(client: &Client, group: &str, expected: &[String]) -> Result<HashMap<String, f64>> {
    wait(client, group, None, |lines| {
        let puts: HashMap<_, _> =
            lines.iter().filter(|line| line.message == "put").map(|line| (line.id.clone(), line.time)).collect();
        expected.iter().all(|id| puts.contains_key(id)).then_some(puts)
    })
    .await
    .context("the function of the floor did not do all of its work")
}

/// The provider calls of an execution, by action name; waits until each of `actions` was called and is back.
///
/// # Errors
/// When they do not come, the log cannot be read, or an action was started twice.
pub async fn calls(client: &Client, group: &str, execution: &str, actions: &[String]) -> Result<HashMap<String, Call>> {
    // MiniStack answers with 10,000 lines at most and has no second page; those of all executions may be more.
    let calls = wait(client, group, Some(execution), |lines| {
        let calls = of_execution(lines, execution);
        actions.iter().all(|name| calls.contains_key(name)).then_some(calls)
    });
    let calls = calls.await.with_context(|| format!("the worker's log does not tell all of execution {execution}"))?;
    calls
        .into_iter()
        .map(|(name, found)| match found.as_slice() {
            [call] => Ok((name, *call)),
            found => bail!("action {name} of execution {execution} was started {} times", found.len()),
        })
        .collect()
}

/// Waits until a function has nothing left to do: each invocation leaves a line in its log.
///
/// # Errors
/// When it does not come to an end, or the log cannot be read.
pub async fn quiet(client: &Client, group: &str) -> Result<()> {
    let began = tokio::time::Instant::now();
    loop {
        let since = jiff::Timestamp::now().as_millisecond() - i64::try_from(QUIET.as_millis())?;
        let lines = client.filter_log_events().log_group_name(group).start_time(since).send().await;
        if lines.with_context(|| format!("cannot read the log group {group}"))?.events().is_empty() {
            return Ok(());
        }
        if began.elapsed() > QUIET_LIMIT {
            bail!("the function of the log group {group} is still at work");
        }
        tokio::time::sleep(QUIET / 3).await;
    }
}

fn of_execution(lines: &[Line], execution: &str) -> HashMap<String, Vec<Call>> {
    let ours = |line: &&Line| line.spans.iter().any(|span| span.execution == execution);
    let mut calls: HashMap<String, Vec<Call>> = HashMap::new();
    for start in lines.iter().filter(ours).filter(|line| line.message == "start") {
        // Lines of one process stay in order; those of several may have come in any.
        let back = lines
            .iter()
            .filter(ours)
            .filter(|line| line.message == "back from the provider" && line.action == start.action)
            .map(|line| line.time)
            .find(|back| *back >= start.time);
        if let Some(back) = back {
            calls.entry(start.name.clone()).or_default().push(Call { start: start.time, back });
        }
    }
    calls
}

async fn wait<T>(
    client: &Client,
    group: &str,
    word: Option<&str>,
    mut found: impl FnMut(&[Line]) -> Option<T>,
) -> Result<T> {
    let began = tokio::time::Instant::now();
    loop {
        let lines = read(client, group, word).await?;
        if let Some(found) = found(&lines) {
            return Ok(found);
        }
        if began.elapsed() > LIMIT {
            bail!("lines are missing in the log group {group}, which has {}", lines.len());
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// All lines of a group, or those with this word in them.
async fn read(client: &Client, group: &str, word: Option<&str>) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    let pattern = word.map(|word| format!("\"{word}\""));
    let mut pages =
        client.filter_log_events().log_group_name(group).set_filter_pattern(pattern).into_paginator().send();
    while let Some(page) = pages.next().await {
        let page = match page {
            Err(error) if error.code() == Some("ResourceNotFoundException") => break, // nothing was logged yet
            page => page.with_context(|| format!("cannot read the log group {group}"))?,
        };
        lines.extend(page.events().iter().filter_map(|event| serde_json::from_str(event.message()?).ok()));
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(time: &str, message: &str, action: &str, execution: &str) -> Line {
        let text = format!(
            r#"{{"timestamp":"2026-11-23T22:00:{time}Z","level":"INFO","message":"{message}","action":"{action}",
            "name":"Deploy","at":5,"target":"driver::work","spans":[{{"requestId":"r","name":"Lambda"}},
            {{"execution":"{execution}","name":"message"}}]}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn a_call_is_a_start_and_its_end() {
        let lines = [
            line("01.000250", "start", "a", "e"),
            line("01.000300", "start", "a", "other"),
            line("02.000000", "back from the provider", "b", "e"),
            line("02.000750", "back from the provider", "a", "e"),
        ];
        let calls = of_execution(&lines, "e");
        let [call] = calls["Deploy"].as_slice() else { panic!("{calls:?}") };
        assert!((call.back - call.start - 1_000.5).abs() < 0.001, "{call:?}");
        assert!(of_execution(&lines, "other").is_empty(), "it is not back");
    }
}
