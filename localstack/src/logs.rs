//! What the functions wrote, from CloudWatch Logs.

use std::io::{ErrorKind, Write as _};

use anyhow::{Context, Result};
use aws_sdk_cloudwatchlogs::Client;
use aws_sdk_cloudwatchlogs::error::ProvideErrorMetadata;
use local::{FUNCTIONS, HOME, Stack};

/// Prints every function's lines, oldest first, each with its time and its function.
pub async fn print(stack: &Stack) -> Result<()> {
    let client = Client::new(&stack.sdk(HOME));
    let mut lines = Vec::new();
    for function in FUNCTIONS {
        let group = format!("/aws/lambda/{}", stack.function_name(function));
        let mut pages = client.filter_log_events().log_group_name(&group).into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = match page {
                Err(error) if error.code() == Some("ResourceNotFoundException") => break, // never ran
                page => page.with_context(|| format!("cannot read the log group {group}"))?,
            };
            lines.extend(page.events().iter().map(|event| {
                (
                    event.timestamp().unwrap_or_default(),
                    *function,
                    event.message().unwrap_or_default().trim_end().to_owned(),
                )
            }));
        }
    }
    lines.sort_by_key(|(time, ..)| *time);
    let mut out = std::io::stdout().lock();
    for (time, function, line) in lines {
        let time = jiff::Timestamp::from_millisecond(time).unwrap_or_default();
        match writeln!(out, "{time:.3} {function:10} {line}") {
            // Whoever reads has seen enough: `logs | head`.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
            written => written.context("cannot print")?,
        }
    }
    Ok(())
}
