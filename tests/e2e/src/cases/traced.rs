//! What executions tell of themselves: traces, and what they cost.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use aws_sdk_codepipeline::types::{ApprovalResult, ApprovalStatus, StageRetryMode};
use local::{Emulator, HOME};
use millrace::{Account, Installation, cost};
use serde_json::Value;
use testkit::collector::{Span, assert_trees, attribute};

use crate::case::Case;
use crate::declare::Action;
use crate::wait::{PATIENCE, until};

/// A release with an approval and a stage that failed and was retried is one trace in two parts, each sent when the execution
/// ended.
pub async fn release_traced(case: &Arc<Case>) -> Result<()> {
    let good = case.bucket(HOME, "good").await?;
    let missing = case.named("missing");
    let draft = case.draft("traced").source().await?.stage("Gate", [Action::approval("Ask")]);
    let actions = [Action::archive("One", &good, "one.zip"), Action::unpack("Two", &missing)];
    let pipeline = draft.stage("Deploy", actions).create().await?;
    let execution = pipeline.first().await?;

    let asked = pipeline.until_asked("Ask").await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    ensure!(of(case, &execution).is_empty(), "an execution is traced that has not ended");
    let answer = ApprovalResult::builder().status(ApprovalStatus::Approved).summary("go").build()?;
    let put = case.pipelines.put_approval_result().pipeline_name(&pipeline.name).stage_name("Gate").action_name("Ask");
    put.token(asked.token().context("no token")?).result(answer).send().await?;
    pipeline.ends(&execution, "Failed").await?;
    let first = traced(case, &execution, 1).await?;
    assert_trees(&first);
    let mut names: Vec<&str> = first.iter().map(|span| span.name.as_str()).collect();
    names.sort_unstable();
    let run = format!("RUN {}", pipeline.name);
    let mut expected = vec!["Ask", "Deploy", "Fetch", "Gate", "One", &run, "Source", "Two"];
    expected.sort_unstable();
    assert_eq!(names, expected);
    let ask = one(&first, "Ask")?;
    ensure!(ask.end_time_unix_nano - ask.start_time_unix_nano >= 1_000_000_000, "the wait for the approver: {ask:?}");
    assert_eq!(attribute(ask, "millrace.wait.for"), "person");
    assert_eq!(attribute(one(&first, &run)?, "cicd.pipeline.result"), "failure");
    let two = one(&first, "Two")?;
    let status = two.status.as_ref().context("the failed action has no status")?;
    ensure!(status.message.contains(&missing), "{status:?}");
    let told = pipeline.until_action(&execution, "Two", "Failed").await?;
    assert_eq!(Some(attribute(two, "cicd.pipeline.task.run.id").as_str()), told.action_execution_id());

    case.plain_bucket(HOME, &missing).await?;
    let retry = case.pipelines.retry_stage_execution().pipeline_name(&pipeline.name).stage_name("Deploy");
    retry.pipeline_execution_id(&execution).retry_mode(StageRetryMode::FailedActions).send().await?;
    pipeline.ends(&execution, "Succeeded").await?;
    let all = traced(case, &execution, 2).await?;
    assert_trees(&all);
    let second: Vec<Span> = all.into_iter().filter(|span| !first.contains(span)).collect();
    let mut names: Vec<&str> = second.iter().map(|span| span.name.as_str()).collect();
    names.sort_unstable();
    let mut expected = vec!["Deploy", run.as_str(), "Two"];
    expected.sort_unstable();
    assert_eq!(names, expected, "what succeeded before is not told again");
    for name in ["Two", "Deploy", &run] {
        let link = one(&second, name)?.links.first().with_context(|| format!("{name} has no link"))?;
        assert_eq!(link.span_id, one(&first, name)?.span_id, "{name}");
    }
    assert_eq!(attribute(one(&second, &run)?, "cicd.pipeline.result"), "success");
    Ok(())
}

/// The spans of an execution's trace, each once: the same event may come twice.
fn of(case: &Case, execution: &str) -> Vec<Span> {
    let all = case.collector.spans();
    let root = all.iter().find(|span| attribute(span, "cicd.pipeline.run.id") == execution);
    let trace = root.map(|root| root.trace_id.clone()).unwrap_or_default();
    let mut found: Vec<Span> = Vec::new();
    for span in all.into_iter().filter(|span| span.trace_id == trace) {
        if !found.contains(&span) {
            found.push(span);
        }
    }
    found
}

/// The same, as soon as it has so many root spans.
async fn traced(case: &Case, execution: &str, roots: usize) -> Result<Vec<Span>> {
    until(
        PATIENCE,
        || format!("the execution {execution} is not traced {roots} times"),
        || async {
            let spans = of(case, execution);
            Ok((spans.iter().filter(|span| span.parent_span_id.is_empty()).count() >= roots).then_some(spans))
        },
    )
    .await
}

fn one<'a>(spans: &'a [Span], name: &str) -> Result<&'a Span> {
    spans.iter().find(|span| span.name == name).with_context(|| format!("no span {name}"))
}

/// What the functions have counted for a release is what the emulator saw of them.
pub async fn cost_counted(case: &Arc<Case>) -> Result<()> {
    let deploy = Action::machine("Echo", case.machine(HOME, "echo")?, "{}");
    let pipeline = case.draft("cost").source().await?.stage("Run", [deploy]).create().await?;
    let first = pipeline.first().await?;
    pipeline.ends(&first, "Succeeded").await?;
    tokio::time::sleep(SETTLED).await;

    let account = Account::new(case.stack.sdk(HOME)).context("no region")?;
    let installation = Installation::find(&account, "millrace").await?;
    let all = cost::spent(&account, &installation, &first, 0).await?;
    let functions: BTreeSet<&str> = all.iter().map(|spent| spent.function.as_str()).collect();
    for function in ["api", "worker", "publisher", "tracer"] {
        ensure!(functions.contains(&*case.stack.function_name(function)), "{function} has told nothing: {functions:?}");
    }
    let worker = case.stack.function_name("worker");
    let worked = cost::Sum::of(all.iter().filter(|spent| spent.function == worker));
    ensure!(worked.own.contains_key("dynamodb UpdateItem") && worked.own.contains_key("sts AssumeRole"), "{worked:?}");
    ensure!(worked.pipeline.contains_key("s3 COPY"), "the copy of the source is the pipeline's: {worked:?}");
    ensure!(worked.pipeline.contains_key("states StartExecution"), "{worked:?}");
    ensure!(worked.writes > 0.0 && worked.reads > 0.0, "the table's units: {worked:?}");
    let (invocations, gb_seconds) = worked.functions[&worker];
    ensure!(invocations >= 1.0 && gb_seconds > 0.0, "{worked:?}");

    if case.stack.emulator == Emulator::Localstack {
        return Ok(());
    }
    // An invocation that has begun before, or is about no execution, can be in between. It is not in between each time.
    let mut differs = Vec::new();
    for _ in 0..ATTEMPTS {
        let (since, before) = (SystemTime::now(), decided(case)?);
        let execution = pipeline.start().await?;
        pipeline.ends(&execution, "Succeeded").await?;
        tokio::time::sleep(SETTLED).await;
        let (after, counted) = (decided(case)?, told(case, since).await?);
        differs = different(&before, &after, &counted);
        if differs.is_empty() {
            return Ok(());
        }
    }
    bail!("each time something else was counted than seen, last {}", differs.join(", "))
}

/// What was counted and what was seen, where that differs.
fn different(
    before: &BTreeMap<String, usize>,
    after: &BTreeMap<String, usize>,
    counted: &BTreeMap<String, f64>,
) -> Vec<String> {
    let count = |of: &BTreeMap<String, usize>, action: &str| of.get(action).copied().unwrap_or_default();
    let compared = [
        (&["dynamodb GetItem"][..], "dynamodb:GetItem"),
        (&["dynamodb BatchGetItem"], "dynamodb:BatchGetItem"),
        (&["events PutEvents"], "events:PutEvents"),
        // There is no permission of its own for batches.
        (&["sqs SendMessage", "sqs SendMessageBatch"], "sqs:SendMessage"),
        (&["sts AssumeRole"], "sts:AssumeRole"),
    ];
    let compared = compared.into_iter().map(|(operations, action)| {
        let counted: f64 = operations.iter().filter_map(|operation| counted.get(*operation)).sum();
        (action, counted.round() as usize, count(after, action) - count(before, action))
    });
    compared
        .filter(|(_, counted, seen)| counted != seen)
        .map(|(action, counted, seen)| format!("{action}: {counted} counted, {seen} seen"))
        .collect()
}

/// Releases that are compared at most.
const ATTEMPTS: usize = 4;

/// After this long a release has nothing left to do.
const SETTLED: Duration = Duration::from_secs(8);

/// Millrace's own requests that workers have counted since then, for any execution.
async fn told(case: &Case, since: SystemTime) -> Result<BTreeMap<String, f64>> {
    let logs = aws_sdk_cloudwatchlogs::Client::new(&case.stack.sdk(HOME));
    let group = format!("/aws/lambda/{}", case.stack.function_name("worker"));
    let since = i64::try_from(since.duration_since(UNIX_EPOCH)?.as_millis())?;
    let mut pages = logs.filter_log_events().log_group_name(group).start_time(since).into_paginator().send();
    let mut counted: BTreeMap<String, f64> = BTreeMap::new();
    while let Some(page) = pages.next().await {
        for line in page?.events().iter().filter_map(|event| event.message()) {
            let Ok(line) = serde_json::from_str::<Value>(line) else { continue };
            for (operation, count) in line["cost"]["own"].as_object().into_iter().flatten() {
                *counted.entry(operation.clone()).or_default() += count.as_f64().unwrap_or_default();
            }
        }
    }
    Ok(counted)
}

/// How often the worker's role was allowed something until now, by action.
fn decided(case: &Case) -> Result<BTreeMap<String, usize>> {
    let mut counts = BTreeMap::new();
    for line in case.stack.decisions()?.lines() {
        let decision: Value = serde_json::from_str(line)?;
        if decision["caller"].as_str().is_some_and(|caller| caller.contains("/millrace-WorkerRole-")) {
            *counts.entry(decision["action"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
        }
    }
    Ok(counts)
}
