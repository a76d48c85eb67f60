//! Many executions in all modes while function processes are killed at random.
//!
//! `E2E_EXECUTIONS=200 cargo test --workspace --test ministack -- under_fire` runs as many as that, a third in each mode.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use aws_sdk_cloudwatchlogs::Client as Logs;
use aws_sdk_codepipeline::types::{PipelineExecutionStatus, PipelineExecutionSummary};
use futures::future::try_join_all;
use local::HOME;
use serde_json::json;

use super::killed::{kill, start};
use crate::case::Case;
use crate::declare::Action;
use crate::pipeline::Pipeline;
use crate::runner::say;

const MODES: [&str; 3] = ["SUPERSEDED", "QUEUED", "PARALLEL"];
/// Executions where nobody says how many.
const EXECUTIONS: usize = 12;
/// Starts that are asked for at once: with what still runs, no more than a pipeline may have.
const WAVE: usize = 20;
/// For so long each of so many executions is shot at.
const FIRE: Duration = Duration::from_secs(2);
/// So long after the fire all of a wave must have ended.
const PATIENCE: Duration = Duration::from_secs(400);

/// How many executions `E2E_EXECUTIONS` asks for.
pub fn asked() -> Result<Option<usize>> {
    let asked = std::env::var("E2E_EXECUTIONS").ok().map(|count| count.parse()).transpose();
    asked.context("E2E_EXECUTIONS must be a number")
}

pub async fn under_fire(case: &Arc<Case>) -> Result<()> {
    let executions = asked()?.unwrap_or(EXECUTIONS);
    let machine = case.sfn.create_state_machine().name("e2e-under-fire").role_arn(case.role()?);
    let definition = r#"{"StartAt": "Pass", "States": {"Pass": {"Type": "Pass", "End": true}}}"#;
    let machine = machine.definition(definition).send().await?.state_machine_arn;
    let began = Instant::now();
    let mut pipelines = Vec::new();
    for mode in MODES {
        let draft = case.draft(&format!("fire-{}", mode.to_lowercase())).source().await?;
        let draft =
            draft.stage("Test", [Action::machine("One", &machine, "{}"), Action::machine("Two", &machine, "{}")]);
        let draft = draft.stage("Last", [Action::machine("Three", &machine, "{}")]);
        let mut declaration = draft.json()?;
        declaration["executionMode"] = json!(mode);
        let declaration = wire::from_json(&declaration).map_err(|error| anyhow::anyhow!("{error}"))?;
        case.pipelines.create_pipeline().pipeline(declaration).send().await?;
        pipelines.push(draft.handle());
    }
    let (over, kills) = (AtomicBool::new(false), AtomicUsize::new(0));
    let each = executions / MODES.len();
    let fire = FIRE * u32::try_from(executions)?;
    let released = async {
        let ended = try_join_all(pipelines.iter().map(|pipeline| waves(case, pipeline, each, fire + PATIENCE))).await;
        over.store(true, Ordering::Relaxed);
        ended
    };
    let (ended, killing) = tokio::join!(released, kill(case, &over, &kills, fire));
    killing?;
    let ended = ended.with_context(|| format!("after {} kills", kills.load(Ordering::Relaxed)))?;
    let mut runs = 0;
    for (mode, all) in MODES.iter().zip(&ended) {
        ensure!(all.len() == each + 1, "{mode}: {} executions, started were {each} and the first", all.len());
        let status = |wanted: PipelineExecutionStatus| all.iter().filter(|it| it.status() == Some(&wanted)).count();
        let (good, overtaken) =
            (status(PipelineExecutionStatus::Succeeded), status(PipelineExecutionStatus::Superseded));
        let may_be_overtaken = *mode == "SUPERSEDED";
        ensure!(good + overtaken == all.len() && (may_be_overtaken || overtaken == 0), "{mode}: {all:?}");
        runs += good;
    }
    in_order(case, &pipelines[1]).await?;
    let mut started = 0;
    let mut pages = case.sfn.list_executions().state_machine_arn(&machine).into_paginator().send();
    while let Some(page) = pages.next().await {
        started += page?.executions.len();
    }
    // An execution that was overtaken between the stages has run the first of them.
    ensure!(started >= 3 * runs && started <= 3 * runs + 2 * each, "{started} state machines for {runs} executions");
    let (starts, actions, sweeps) = logged(case).await?;
    let kills = kills.load(Ordering::Relaxed);
    say(&format!(
        "    under fire: {} executions ({runs} succeeded) in {} s; {kills} kills, {sweeps} logged sweeps that found something, \
         {} of {starts} starts of actions were repeats",
        ended.iter().map(Vec::len).sum::<usize>(),
        began.elapsed().as_secs(),
        starts - actions,
    ));
    ensure!(kills >= 10, "only {kills} processes were killed: this shows nothing");
    ensure!(
        starts >= actions && actions >= 3 * runs,
        "{actions} actions were started, says the log, in {runs} executions"
    );
    Ok(())
}

/// Starts executions of a pipeline, a wave at a time, and waits for their ends. Gives all executions, the newest first.
async fn waves(
    case: &Arc<Case>,
    pipeline: &Pipeline,
    count: usize,
    patience: Duration,
) -> Result<Vec<PipelineExecutionSummary>> {
    let mut begun = 0;
    loop {
        let ended = all_ended(case, pipeline, patience).await?;
        if begun == count {
            return Ok(ended);
        }
        for _ in 0..WAVE.min(count - begun) {
            start(case, pipeline, begun).await?;
            begun += 1;
        }
    }
}

async fn all_ended(case: &Case, pipeline: &Pipeline, patience: Duration) -> Result<Vec<PipelineExecutionSummary>> {
    let began = Instant::now();
    loop {
        // The API's processes are killed as well.
        if let Ok(all) = list(case, pipeline).await
            && all.iter().all(|it| it.status() != Some(&PipelineExecutionStatus::InProgress))
        {
            return Ok(all);
        }
        if began.elapsed() > patience {
            bail!("{} still runs after {} s", pipeline.name, patience.as_secs());
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

async fn list(case: &Case, pipeline: &Pipeline) -> Result<Vec<PipelineExecutionSummary>> {
    let mut all = Vec::new();
    let mut pages = case.pipelines.list_pipeline_executions().pipeline_name(&pipeline.name).into_paginator().send();
    while let Some(page) = pages.next().await {
        all.extend(page?.pipeline_execution_summaries.unwrap_or_default());
    }
    Ok(all)
}

/// Executions of mode QUEUED enter the last stage in the order of their starts.
async fn in_order(case: &Case, pipeline: &Pipeline) -> Result<()> {
    let order: Vec<String> =
        list(case, pipeline).await?.iter().rev().filter_map(|it| it.pipeline_execution_id.clone()).collect();
    let mut entered = BTreeMap::new();
    let mut pages = case.pipelines.list_action_executions().pipeline_name(&pipeline.name).into_paginator().send();
    while let Some(page) = pages.next().await {
        for action in page?.action_execution_details() {
            if let (Some("Three"), Some(id), Some(time)) =
                (action.action_name(), action.pipeline_execution_id(), action.start_time())
            {
                entered.insert((time.as_nanos(), id.to_owned()), ());
            }
        }
    }
    let entered: Vec<String> = entered.into_keys().map(|(_, id)| id).collect();
    ensure!(entered == order, "the queue was not kept: {entered:?} of {order:?}");
    Ok(())
}

/// What the functions logged: starts of actions, different actions among them, sweeps that did something.
async fn logged(case: &Case) -> Result<(usize, usize, usize)> {
    let client = Logs::new(&case.stack.sdk(HOME));
    let (mut starts, mut actions, mut sweeps) = (0, BTreeSet::new(), 0);
    for function in ["worker", "sweeper"] {
        let group = format!("/aws/lambda/{}", case.stack.function_name(function));
        let mut pages = client.filter_log_events().log_group_name(group).into_paginator().send();
        while let Some(page) = pages.next().await {
            for event in page?.events() {
                let Ok(line) = serde_json::from_str::<serde_json::Value>(event.message().unwrap_or_default()) else {
                    continue;
                };
                if line["message"] == "start" {
                    starts += 1;
                    actions.insert(line["action"].to_string());
                }
                sweeps += usize::from(line["message"] == "swept");
            }
        }
    }
    Ok((starts, actions.len(), sweeps))
}
