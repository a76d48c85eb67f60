//! Function processes that die at any time: no release ends otherwise because of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use aws_sdk_sfn::types::ExecutionStatus;
use futures::future::try_join_all;
use local::{AWAY, HOME};
use rand::RngExt;
use rustix::process::{Pid, Signal, kill_process};

use crate::case::Case;
use crate::cases::audited;
use crate::check::{deployed, encrypted};
use crate::declare::{Action, SOURCE_KEY};
use crate::pipeline::Pipeline;
use crate::wait::{PATIENCE, until};
use crate::zips;

/// Functions of a release; each of them is killed.
const VICTIMS: &[&str] = &["worker", "sweeper", "replicator", "publisher", "trigger", "api", "auditor"];
/// Pipelines that run at once.
const PIPELINES: usize = 4;
/// Releases of each, one after another.
const ROUNDS: usize = 3;
/// After this time what still runs is left in peace. A killed sweeper wakes with its next minute.
const KILLING: Duration = Duration::from_secs(25);

pub async fn killed_functions(case: &Arc<Case>) -> Result<()> {
    // A state machine of its own, whose executions can be counted.
    let machine = case.sfn.create_state_machine().name("e2e-counted").role_arn(case.role()?);
    let machine = machine
        .definition(r#"{"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": 1, "End": true}}}"#)
        .send()
        .await?
        .state_machine_arn;
    let mut pipelines = Vec::new();
    let mut targets = Vec::new();
    for number in 0..PIPELINES {
        let target = case.bucket(AWAY, &format!("target{number}")).await?;
        let test = [Action::check("Unit", "index.html"), Action::machine("Integration", &machine, "{}")];
        let draft = case.draft(&format!("victim{number}")).source().await?.stage("Test", test);
        let draft = draft.stage("Slow", [Action::machine("Slow", &machine, "{}")]);
        let draft = draft.stage("Deploy", [Action::unpack("Unpack", &target).away()]);
        let pipeline = draft.create().await?;
        let first = pipeline.first().await?;
        pipelines.push((pipeline, first));
        targets.push(target);
    }

    let over = AtomicBool::new(false);
    let killed = AtomicUsize::new(0);
    let releases = async {
        let released = try_join_all(pipelines.iter().map(|(pipeline, first)| async {
            patiently(pipeline, first).await?;
            for round in 1..ROUNDS {
                patiently(pipeline, &start(case, pipeline, round).await?).await?;
            }
            Ok::<_, anyhow::Error>(())
        }))
        .await;
        over.store(true, Ordering::Relaxed);
        released
    };
    let (released, killing) = tokio::join!(releases, kill(case, &over, &killed, KILLING));
    killing?;
    released.with_context(|| format!("after {} kills", killed.load(Ordering::Relaxed)))?;
    let kills = killed.load(Ordering::Relaxed);
    ensure!(kills >= 20, "only {kills} processes were killed: this shows nothing");

    for (pipeline, target) in pipelines.iter().map(|(pipeline, _)| pipeline).zip(&targets) {
        deployed(case, AWAY, target, &["assets/app.js", "assets/site.css", "index.html"]).await?;
        assert_eq!(pipeline.executions().await?.len(), ROUNDS, "a start that is asked for twice is one");
        let artifacts = encrypted(case, pipeline, HOME).await?;
        assert_eq!(artifacts.len(), ROUNDS, "an attempt that is repeated writes the same object");
        assert_eq!(encrypted(case, pipeline, AWAY).await?, artifacts);
    }
    let executions = case.sfn.list_executions().state_machine_arn(&machine).send().await?.executions;
    assert_eq!(executions.len(), 2 * ROUNDS * PIPELINES, "each action started its state machine once");
    assert!(executions.iter().all(|execution| execution.status == ExecutionStatus::Succeeded));
    for (pipeline, _) in &pipelines {
        audited::all_ended(case, &pipeline.name, ROUNDS).await?;
    }
    audited::right(case).await
}

/// Nothing but the event tells that an object has changed: it outlives whoever is to start the pipelines.
pub async fn killed_trigger(case: &Arc<Case>) -> Result<()> {
    let check = Action::check("Unit", "index.html");
    let pipeline = case.draft("heard").source().await?.stage("Test", [check]).create().await?;
    let first = pipeline.first().await?;
    pipeline.ends(&first, "Succeeded").await?;
    case.notify(&pipeline.bucket).await?;

    let version = case.put(HOME, &pipeline.bucket, SOURCE_KEY, zips::zipped(&[("index.html", "new")])?).await?;
    let (began, mut kills) = (Instant::now(), 0);
    while kills == 0 || began.elapsed() < Duration::from_secs(2) {
        ensure!(began.elapsed() < PATIENCE, "no trigger was there to be killed");
        kills += kill_all(case, "trigger")?;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let second = pipeline.another(&[&first]).await.with_context(|| format!("after {kills} kills"))?;
    let ended = pipeline.ends(second.pipeline_execution_id().context("no id")?, "Succeeded").await?;
    assert_eq!(ended.artifact_revisions()[0].revision_id(), Some(version.as_str()));
    assert_eq!(pipeline.executions().await?.len(), 2, "an event that comes again starts nothing again");
    Ok(())
}

/// Kills the processes in which a function runs now; returns how many.
fn kill_all(case: &Case, function: &str) -> Result<usize> {
    let pids = case.stack.pids(function)?.into_iter().filter_map(Pid::from_raw);
    Ok(pids.filter(|pid| kill_process(*pid, Signal::KILL).is_ok()).count())
}

/// Starts a release, as a client does that may get no answer: again with the same token.
pub(super) async fn start(case: &Case, pipeline: &Pipeline, round: usize) -> Result<String> {
    until(
        PATIENCE,
        || format!("{} does not start", pipeline.name),
        || async {
            let start = case.pipelines.start_pipeline_execution().name(&pipeline.name);
            Ok(start.client_request_token(format!("round-{round}")).send().await?.pipeline_execution_id)
        },
    )
    .await
}

/// The end of a release, for which a lost event and a lost claim may have to be waited out several times.
async fn patiently(pipeline: &Pipeline, execution: &str) -> Result<()> {
    let began = Instant::now();
    loop {
        match pipeline.ends(execution, "Succeeded").await {
            Ok(_) => return Ok(()),
            Err(error) if began.elapsed() > Duration::from_secs(120) => return Err(error),
            Err(error) if format!("{error:#}").contains(" ended as ") => return Err(error),
            Err(_) => {}
        }
    }
}

/// Kills a process of some function several times a second, as long as there is something to disturb.
pub(super) async fn kill(case: &Case, over: &AtomicBool, killed: &AtomicUsize, limit: Duration) -> Result<()> {
    let began = Instant::now();
    while began.elapsed() < limit && !over.load(Ordering::Relaxed) {
        let (victim, pause) = {
            let mut random = rand::rng();
            (VICTIMS[random.random_range(0..VICTIMS.len())], random.random_range(20..200))
        };
        killed.fetch_add(kill_all(case, victim)?, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
    Ok(())
}
