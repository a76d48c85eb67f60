//! What somebody must know who looks for the reason of a failed case.

use std::fmt::Write;
use std::time::{Duration, SystemTime};

use aws_sdk_cloudwatchlogs::Client;
use local::{FUNCTIONS, HOME};

use crate::case::Case;

/// Lines of the functions' logs that are shown.
const LINES: usize = 60;

/// The states of the case's pipelines, and what functions logged about them while it ran.
pub async fn of(case: &Case, ran: Duration) -> String {
    let mut text = String::new();
    let names = case.pipeline_names();
    for name in &names {
        let _ = writeln!(text, "  pipeline {name}");
        let Ok(state) = case.pipelines.get_pipeline_state().name(name).send().await else {
            let _ = writeln!(text, "    has no state");
            continue;
        };
        for stage in state.stage_states() {
            let status = stage.latest_execution().map_or("-", |execution| execution.status().as_str());
            let _ = writeln!(text, "    stage {} {status}", stage.stage_name().unwrap_or_default());
            let conditions = [
                stage.before_entry_condition_state(),
                stage.on_success_condition_state(),
                stage.on_failure_condition_state(),
            ];
            let rules = conditions.into_iter().flatten().flat_map(|it| it.condition_states());
            for rule in rules.flat_map(|it| it.rule_states()) {
                let Some(latest) = rule.latest_execution() else { continue };
                let status = latest.status().map_or("-", |status| status.as_str());
                let error = latest.error_details().and_then(|error| error.message());
                let words = error.or(latest.summary()).unwrap_or_default();
                let _ = writeln!(text, "      rule {} {status} {words}", rule.rule_name().unwrap_or_default());
            }
            for action in stage.action_states() {
                let Some(latest) = action.latest_execution() else { continue };
                let status = latest.status().map_or("-", |status| status.as_str());
                let error = latest.error_details().and_then(|error| error.message()).unwrap_or_default();
                let _ = writeln!(text, "      {} {status} {error}", action.action_name().unwrap_or_default());
            }
        }
    }
    let _ = writeln!(text, "  functions (everybody's warnings and errors, and what names these pipelines):");
    let lines = lines(case, ran, &names).await;
    for line in &lines[lines.len().saturating_sub(LINES)..] {
        let _ = writeln!(text, "    {line}");
    }
    text
}

async fn lines(case: &Case, ran: Duration, names: &[String]) -> Vec<String> {
    let client = Client::new(&case.stack.sdk(HOME));
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().saturating_sub(ran);
    let since = i64::try_from(since.as_millis()).unwrap_or_default();
    let mut found = Vec::new();
    for function in FUNCTIONS {
        let group = format!("/aws/lambda/{}", case.stack.function_name(function));
        let mut pages = client.filter_log_events().log_group_name(group).start_time(since).into_paginator().send();
        while let Some(Ok(page)) = pages.next().await {
            for event in page.events() {
                let line = event.message().unwrap_or_default().trim_end();
                let loud = ["ERROR", "WARN", "panicked"].iter().any(|word| line.contains(word));
                if loud || names.iter().any(|name| line.contains(name.as_str())) {
                    found.push((event.timestamp().unwrap_or_default(), format!("{function}: {line}")));
                }
            }
        }
    }
    found.sort();
    found.into_iter().map(|(_, line)| line).collect()
}
