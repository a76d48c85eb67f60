//! What the executions of a pipeline wait for: the status summaries of those that have not ended.

use anyhow::{Context, Result};
use aws_sdk_codepipeline::types::PipelineExecutionStatus;
use local::Stack;

use millrace::output::outln;

/// Prints a sentence for each thing that an execution waits for; where none goes on, how the newest ended.
pub async fn print(stack: &Stack, pipeline: &str) -> Result<()> {
    let client = stack.codepipeline();
    let mut open = Vec::new();
    let mut newest = None;
    let mut pages = client.list_pipeline_executions().pipeline_name(pipeline).into_paginator().send();
    while let Some(page) = pages.next().await {
        for execution in page.context("the executions cannot be listed")?.pipeline_execution_summaries() {
            let id = execution.pipeline_execution_id().unwrap_or_default().to_owned();
            let status = execution.status().cloned();
            if matches!(status, Some(PipelineExecutionStatus::InProgress | PipelineExecutionStatus::Stopping)) {
                open.push(id.clone());
            }
            newest.get_or_insert(id);
        }
    }
    if open.is_empty() {
        open.extend(newest);
    }
    if open.is_empty() {
        outln!("The pipeline {pipeline} has had no execution.")?;
    }
    // The oldest first: those behind it wait for it.
    for id in open.iter().rev() {
        let found = client.get_pipeline_execution().pipeline_name(pipeline).pipeline_execution_id(id).send().await;
        let execution = found.with_context(|| format!("execution {id} cannot be read"))?.pipeline_execution;
        let Some(execution) = execution else { continue };
        let status = execution.status().map(|status| status.as_str().to_owned()).unwrap_or_default();
        outln!("{id} ({status}): {}", execution.status_summary().unwrap_or("It waits for nothing."))?;
    }
    Ok(())
}
