//! What is known of a function that has not reported its job's result, for whoever wonders why.
//! What the role may not read is left out.

use aws_sdk_cloudwatch::types::{Dimension, Metric, MetricDataQuery, MetricStat};
use aws_smithy_types::DateTime;
use engine::Timestamp;
use futures::future::join;

use crate::configuration::shown;
use crate::context::ActionContext;
use crate::permission::Scope;

/// Pages of a log that are read.
const PAGES: usize = 5;
/// What a line says that tells of an error, in the languages of Lambda's runtimes.
const ERROR_WORDS: &[&str] = &["ERROR", "Error", "Exception", "Task timed out"];

/// A function's name: `function` is that, or one of its ARNs, with a version or an alias.
pub(crate) fn name(function: &str) -> &str {
    let name = function.split_once(":function:").map_or(function, |(_, rest)| rest);
    name.split(':').next().unwrap_or(name)
}

/// The ARN of the function that `FunctionName` names, without a version or an alias.
pub(crate) fn arn(scope: &Scope<'_>) -> String {
    let arn = scope.named("FunctionName", "lambda", "function:");
    arn.split(':').take(7).collect::<Vec<_>>().join(":")
}

/// How often a function was invoked and failed while its action ran, the last error in its log, and where that is.
pub(crate) async fn function_report(context: ActionContext<'_>, function: &str) -> String {
    let name = name(function);
    let group = format!("/aws/lambda/{name}");
    let (counts, error) = match context.session().await {
        Ok(session) => {
            let since = context.requested();
            let metrics = aws_sdk_cloudwatch::Client::new(session.config());
            let logs = aws_sdk_cloudwatchlogs::Client::new(session.config());
            join(counts(&metrics, name, since, context.now), last_error(&logs, &group, since)).await
        }
        Err(_) => (None, None),
    };
    let counts = counts.map(|(invocations, errors)| {
        format!("CloudWatch counts {invocations:.0} invocations of the function {name} in that time, {errors:.0} of them failed; ")
    });
    let log = match error {
        Some(line) => format!("the last error in its log group {group} is: {line}"),
        None => format!("its log group is {group}"),
    };
    counts.unwrap_or_default() + &log
}

/// Invocations of a function, and those that failed. Source: Lambda developer guide, 'Types of metrics for Lambda functions'.
async fn counts(
    client: &aws_sdk_cloudwatch::Client,
    name: &str,
    since: Timestamp,
    now: Timestamp,
) -> Option<(f64, f64)> {
    const MINUTE: i64 = 60_000;
    let query = |id: &str, metric: &str| {
        let function = Dimension::builder().name("FunctionName").value(name).build();
        let metric = Metric::builder().namespace("AWS/Lambda").metric_name(metric).dimensions(function).build();
        let sum = MetricStat::builder().metric(metric).period(60).stat("Sum").build();
        MetricDataQuery::builder().id(id).metric_stat(sum).build()
    };
    let found = client
        .get_metric_data()
        .start_time(DateTime::from_millis(since.0 - since.0.rem_euclid(MINUTE)))
        .end_time(DateTime::from_millis(now.0 + MINUTE))
        .metric_data_queries(query("invocations", "Invocations"))
        .metric_data_queries(query("errors", "Errors"))
        .send()
        .await
        .ok()?;
    let sum = |id: &str| {
        let results = found.metric_data_results().iter().filter(|it| it.id() == Some(id));
        results.flat_map(|it| it.values()).sum()
    };
    Some((sum("invocations"), sum("errors")))
}

/// The last line of a log that tells of an error.
async fn last_error(client: &aws_sdk_cloudwatchlogs::Client, group: &str, since: Timestamp) -> Option<String> {
    let any: Vec<String> = ERROR_WORDS.iter().map(|words| format!("?\"{words}\"")).collect();
    // Emulators may look for all of these words in one line, and find none.
    for pattern in [Some(any.join(" ")), None] {
        let events = client.filter_log_events().log_group_name(group).start_time(since.0).set_filter_pattern(pattern);
        let mut pages = events.into_paginator().send();
        let mut last = None;
        for _ in 0..PAGES {
            let Some(Ok(page)) = pages.next().await else { break };
            let lines = page.events().iter().rev().filter_map(|event| error_line(event.message()?));
            last = lines.map(shown).next().or(last);
        }
        if last.is_some() {
            return last;
        }
    }
    None
}

/// The line of a message that says what is wrong, rather than where. What Lambda itself reports of an invocation's end
/// says neither.
fn error_line(message: &str) -> Option<&str> {
    let told = |line: &&str| ERROR_WORDS.iter().any(|words| line.contains(words)) && !line.starts_with("REPORT ");
    let lines = || message.lines().filter(told);
    lines().find(|line| !line.starts_with(char::is_whitespace)).or_else(|| lines().next()).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_is_found_by_any_of_its_names() {
        for function in ["check", "check:live", "arn:aws:lambda:eu-west-1:111122223333:function:check:7"] {
            assert_eq!(name(function), "check");
        }
    }

    #[test]
    fn a_message_is_cut_to_the_line_that_says_what_is_wrong() {
        let traceback =
            "Traceback (most recent call last):\n  File \"a.py\"\n    raise ValueError(\"boom\")\nValueError: boom\n";
        for (message, line) in [
            (
                "[ERROR] ValueError: boom\nTraceback (most recent call last):\n  raise ValueError",
                Some("[ERROR] ValueError: boom"),
            ),
            (traceback, Some("ValueError: boom")),
            ("  indented Error: x", Some("indented Error: x")),
            (
                "2026-11-25 7f Task timed out after 3.00 seconds\n",
                Some("2026-11-25 7f Task timed out after 3.00 seconds"),
            ),
            ("REPORT RequestId: 7f Status: error Error Type: Runtime.ExitError", None),
            ("all is well", None),
        ] {
            assert_eq!(error_line(message), line, "{message}");
        }
    }
}
