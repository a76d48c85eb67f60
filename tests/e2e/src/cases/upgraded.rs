//! Releases that run while the functions under them are exchanged: by a deployment, by a rollback, and forward again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use aws_sdk_codepipeline::types::PipelineExecutionStatus;
use futures::future::try_join_all;
use local::{Emulator, HOME};
use millrace::deploy::{Plan, Wanted};
use millrace::rollback::roll_back;
use millrace::{Account, Architecture, Shift};

use super::events::{summary, told};
use crate::case::Case;
use crate::declare::Action;
use crate::pipeline::Pipeline;
use crate::runner::say;
use crate::wait::{PATIENCE, until};

/// Releases that run at any moment: one is begun when another has ended.
const AT_ONCE: usize = 5;
/// Releases in all, at least.
const RELEASES: usize = 50;
const STACK: &str = "millrace";
/// What is told of each release, whose two stages have one action each.
const TOLD: [&str; 10] = [
    "Pipeline  STARTED",
    "Stage Source STARTED",
    "Action Fetch STARTED",
    "Action Fetch SUCCEEDED",
    "Stage Source SUCCEEDED",
    "Stage Deploy STARTED",
    "Action Put STARTED",
    "Action Put SUCCEEDED",
    "Stage Deploy SUCCEEDED",
    "Pipeline  SUCCEEDED",
];

/// Releases are started all the time, and none is lost, fails, or is done twice.
pub async fn released_during_upgrades(case: &Arc<Case>) -> Result<()> {
    if case.stack.emulator == Emulator::Localstack {
        say("released_during_upgrades: not tried, each deployment takes LocalStack too long for releases beside it");
        return Ok(());
    }
    let began = Instant::now();
    let target = case.bucket(HOME, "target").await?;
    // Each release leaves an object of its own.
    let put = Action::archive("Put", &target, "#{codepipeline.PipelineExecutionId}");
    let draft = case.draft("upgraded").mode("PARALLEL").source().await?.stage("Deploy", [put]);
    let queue = told(case, &draft.handle().name).await?;
    let pipeline = draft.create().await?;
    let first = pipeline.first().await?;
    pipeline.ends(&first, "Succeeded").await?;

    let installation = Installation::new(case).await?;
    installation.deploy("old").await?;
    let old = installation.live().await?;
    ensure!(old.values().all(|version| version != "$LATEST"), "from now on deployments publish versions: {old:?}");
    let (begun, ended, over) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicBool::new(false));
    // Whatever runs now has ended when so many more have, and one has run from its start to its end.
    let another = async || {
        let enough = ended.load(Ordering::Relaxed) + AT_ONCE + 1;
        let passed = || async { Ok((ended.load(Ordering::Relaxed) >= enough).then_some(())) };
        until(PATIENCE, || "no release begins and ends any more".to_owned(), passed).await
    };
    let upgrades = async {
        another().await?;
        installation.deploy("new").await?;
        let new = installation.live().await?;
        ensure!(new.iter().all(|(function, version)| old[function] != *version), "{old:?}, then {new:?}");
        another().await?;
        roll_back(&installation.account, STACK, &mut |_| ()).await?;
        ensure!(installation.live().await? == old, "rolled back");
        another().await?;
        installation.deploy("new").await?;
        ensure!(installation.live().await? == new, "and forward again");
        another().await?;
        over.store(true, Ordering::Relaxed);
        Ok::<_, anyhow::Error>(())
    };
    let one_after_the_other = async || {
        let mut done = Vec::new();
        while begun.fetch_add(1, Ordering::Relaxed) < RELEASES || !over.load(Ordering::Relaxed) {
            let id = pipeline.start().await.context("a release does not start")?;
            pipeline.ends(&id, "Succeeded").await?;
            ended.fetch_add(1, Ordering::Relaxed);
            done.push(id);
        }
        Ok::<_, anyhow::Error>(done)
    };
    let ((), done) = tokio::try_join!(upgrades, try_join_all((0..AT_ONCE).map(|_| one_after_the_other())))?;
    let releases: BTreeSet<String> = done.into_iter().flatten().chain([first]).collect();
    let upgraded = began.elapsed();

    all_succeeded(case, &pipeline, &releases).await?;
    each_put_once(case, &target, &releases).await?;
    each_told_once(case, &queue, &releases).await?;
    say(&format!(
        "    upgraded: {} releases during two deployments and a rollback in {} s, and looked at in {} s",
        releases.len(),
        upgraded.as_secs(),
        (began.elapsed() - upgraded).as_secs()
    ));
    Ok(())
}

/// The installation on which all cases run, as `millrace deploy` upgrades it.
struct Installation<'a> {
    case: &'a Case,
    account: Account,
    wanted: Wanted,
}

impl<'a> Installation<'a> {
    async fn new(case: &'a Case) -> Result<Self> {
        let account = Account::new(case.stack.sdk(HOME)).context("no region")?;
        let wanted = Wanted {
            stack: STACK.to_owned(),
            regions: local::REGIONS.map(str::to_owned).into(),
            programs: case.stack.programs().clone(),
            architecture: Architecture::HERE,
            parameters: BTreeMap::new(),
            shift: Some(Shift::ALL),
        };
        Ok(Self { case, account, wanted })
    }

    /// Deploys functions whose environment says this, and a worker whose program differs: a few bytes behind its end.
    async fn deploy(&self, what: &str) -> Result<()> {
        let mut wanted = self.wanted.clone();
        let worker = wanted.programs.get_mut("worker").context("no worker")?;
        let mut program = std::fs::read(&worker)?;
        program.extend_from_slice(what.as_bytes());
        *worker = self.case.stack.folder.join(format!("worker-{what}"));
        std::fs::write(&worker, program)?;
        // The same level under another name, of which the environment of every function has one.
        let level = if what == "old" { "info" } else { "INFO" };
        wanted.parameters.insert("LogLevel".into(), level.into());
        let plan = Plan::new(&self.account, &self.account.caller().await?, &wanted).await?;
        plan.execute(&mut |_| ()).await.with_context(|| format!("cannot deploy the {what} functions"))?;
        Ok(())
    }

    /// To which version the alias of each function leads.
    async fn live(&self) -> Result<BTreeMap<&'static str, String>> {
        let mut live = BTreeMap::new();
        for function in local::FUNCTIONS {
            let alias =
                self.case.lambda.get_alias().function_name(self.case.stack.function_name(function)).name("live");
            live.insert(*function, alias.send().await?.function_version.context("an alias without a version")?);
        }
        Ok(live)
    }
}

/// The pipeline has these executions and no others, and all have succeeded.
async fn all_succeeded(case: &Case, pipeline: &Pipeline, releases: &BTreeSet<String>) -> Result<()> {
    let mut found = BTreeSet::new();
    let mut pages = case.pipelines.list_pipeline_executions().pipeline_name(&pipeline.name).into_paginator().send();
    while let Some(page) = pages.next().await {
        for execution in page?.pipeline_execution_summaries.unwrap_or_default() {
            ensure!(execution.status() == Some(&PipelineExecutionStatus::Succeeded), "{execution:?}");
            found.extend(execution.pipeline_execution_id);
        }
    }
    ensure!(found == *releases, "started were {releases:?}, and there are {found:?}");
    Ok(())
}

/// Each release has put its object, and once only: the bucket keeps versions.
async fn each_put_once(case: &Case, bucket: &str, releases: &BTreeSet<String>) -> Result<()> {
    let mut put = BTreeMap::<String, usize>::new();
    let listed = case.s3(HOME).list_object_versions().bucket(bucket).send().await?;
    ensure!(listed.is_truncated() != Some(true), "more versions than a page has");
    for version in listed.versions() {
        *put.entry(version.key().unwrap_or_default().to_owned()).or_default() += 1;
    }
    let once = releases.iter().map(|id| (id.clone(), 1)).collect();
    ensure!(put == once, "each of {releases:?} is to be put once: {put:?}");
    Ok(())
}

/// Each state change of each release was told once.
async fn each_told_once(case: &Case, queue: &str, releases: &BTreeSet<String>) -> Result<()> {
    let mut told = BTreeMap::<(String, String), usize>::new();
    let wanted = releases.len() * TOLD.len();
    let (began, mut quiet) = (Instant::now(), 0);
    // A queue may show nothing though something is in it.
    while told.len() < wanted || quiet < 3 {
        ensure!(began.elapsed() < PATIENCE, "{} of {wanted} state changes were told: {told:?}", told.len());
        let bodies = case.receive(queue).await?;
        quiet = if bodies.is_empty() { quiet + 1 } else { 0 };
        if bodies.is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        }
        for body in bodies {
            let event = serde_json::from_str(&body)?;
            let execution = event_execution(&event);
            *told.entry((execution, summary(&event))).or_default() += 1;
        }
    }
    let once = releases.iter().flat_map(|id| TOLD.map(|change| ((id.clone(), change.to_owned()), 1))).collect();
    let others: Vec<_> = told.iter().filter(|(_, times)| **times > 1).collect();
    ensure!(told == once, "told more than once: {others:?}; all: {told:?}");
    Ok(())
}

fn event_execution(event: &serde_json::Value) -> String {
    event["detail"]["execution-id"].as_str().unwrap_or_default().to_owned()
}
