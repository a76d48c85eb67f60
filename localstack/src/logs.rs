//! What functions have logged, from CloudWatch Logs: Millrace's own and the user's.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::{Context, Result};
use aws_sdk_cloudwatchlogs::Client;
use aws_sdk_cloudwatchlogs::error::ProvideErrorMetadata;
use jiff::{SignedDuration, Timestamp};
use local::{REGIONS, Stack};

use millrace::output::outln;

mod about;

use about::About;

/// What a function's log group is called, before the function's name.
const GROUP: &str = "/aws/lambda/";
/// The pause between two looks of `--follow`.
const TICK: Duration = Duration::from_secs(1);
/// Lines may come to light later than their time says; `--follow` looks so far back, in milliseconds.
const LATE: i64 = 10_000;

/// Which lines to print, as given on the command line.
#[derive(clap::Args, Debug)]
pub struct Wanted {
    /// Only what concerns this pipeline: lines that name it or one of its executions, and all lines of the functions that
    /// its actions and rules invoke.
    pub pipeline: Option<String>,
    /// Only what concerns this execution of the pipeline.
    #[arg(long, requires = "pipeline")]
    pub execution: Option<String>,
    /// Go on with what is logged from now on, until interrupted.
    #[arg(long, short)]
    pub follow: bool,
    /// Only what is newer than an age (90s, 10m, 2h) or a time (2026-11-24T20:00:00Z).
    #[arg(long, value_parser = since)]
    pub since: Option<Timestamp>,
}

fn since(text: &str) -> Result<Timestamp, String> {
    if let Ok(age) = text.parse::<SignedDuration>() {
        return Timestamp::now()
            .checked_sub(age.abs())
            .map_err(|_| format!("{text} is longer ago than time goes back"));
    }
    text.parse().map_err(|_| format!("{text} is neither an age, such as 10m, nor a time, such as 2026-11-24T20:00:00Z"))
}

/// A line of a log.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Line {
    /// When the line was logged, in milliseconds since 1970.
    time: i64,
    function: String,
    /// CloudWatch's id of the line.
    id: String,
    text: String,
}

/// Prints the wanted lines, oldest first, each with its time and its function.
pub async fn print(stack: &Stack, wanted: &Wanted) -> Result<()> {
    let clients = REGIONS.map(|region| Client::new(&stack.sdk(region)));
    let mut from = wanted.since.map_or(0, Timestamp::as_millisecond);
    let mut printed = HashSet::new();
    loop {
        // Asked for each time: executions have come, and the pipeline may invoke other functions.
        let about = match &wanted.pipeline {
            Some(pipeline) => Some(About::read(stack, pipeline, wanted.execution.as_deref()).await?),
            None => None,
        };
        let mut lines = Vec::new();
        for client in &clients {
            for function in functions(client).await? {
                lines.extend(read(client, &function, from).await?);
            }
        }
        // What a function said in one millisecond stays in its order.
        lines.sort_by_key(|line| line.time);
        let concerns = |line: &&Line| about.as_ref().is_none_or(|it| it.concerns(line));
        for line in lines.iter().filter(|line| !printed.contains(*line)).filter(concerns) {
            let time = Timestamp::from_millisecond(line.time).unwrap_or_default();
            let function = line.function.strip_prefix(&stack.function_name("")).unwrap_or(&line.function);
            outln!("{time:.3} {function:10} {}", line.text)?;
        }
        if !wanted.follow {
            return Ok(());
        }
        if let Some(newest) = lines.last() {
            from = from.max(newest.time - LATE);
        }
        printed = lines.into_iter().collect();
        tokio::time::sleep(TICK).await;
    }
}

/// Names of the functions that have logged anything.
async fn functions(client: &Client) -> Result<Vec<String>> {
    let mut pages = client.describe_log_groups().log_group_name_prefix(GROUP).into_paginator().send();
    let mut names = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.context("cannot list the log groups")?;
        let groups = page.log_groups().iter().filter_map(|group| group.log_group_name()?.strip_prefix(GROUP));
        names.extend(groups.map(str::to_owned));
    }
    Ok(names)
}

async fn read(client: &Client, function: &str, from: i64) -> Result<Vec<Line>> {
    let group = format!("{GROUP}{function}");
    let mut pages = client.filter_log_events().log_group_name(&group).start_time(from).into_paginator().send();
    let mut lines = Vec::new();
    while let Some(page) = pages.next().await {
        let page = match page {
            Err(error) if error.code() == Some("ResourceNotFoundException") => break, // deleted meanwhile
            page => page.with_context(|| format!("cannot read the log group {group}"))?,
        };
        lines.extend(page.events().iter().map(|event| Line {
            time: event.timestamp().unwrap_or_default(),
            function: function.to_owned(),
            id: event.event_id().unwrap_or_default().to_owned(),
            text: event.message().unwrap_or_default().trim_end().to_owned(),
        }));
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_takes_an_age_or_a_time() {
        let then = since("10m").unwrap();
        let age = Timestamp::now().duration_since(then).as_secs();
        assert!((600..610).contains(&age), "{age}");
        assert_eq!(since("2026-11-24T20:00:00Z").unwrap().as_second(), 1_795_550_400);
        let error = since("yesterday").unwrap_err();
        assert!(error.contains("10m") && error.contains("yesterday"), "{error}");
    }
}
