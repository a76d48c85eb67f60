//! Where time goes: of the last executions of a pipeline, what each stage and action usually takes, and what lies between.

use std::collections::BTreeMap;

use engine::{ActionStatus, ExecutionStatus};
use maud::{Markup, html};
use pages::{State, name, took_words};
use pipeline::PipelineName;
use store::Listing;

use crate::board;
use crate::handler::{Asked, Console, Screen, Shown};
use crate::screens::execution::runs_of;
use crate::screens::head;
use crate::screens::plot::median;
use crate::trouble::Trouble;
use crate::version::Version;

/// Executions that are looked at, the newest that have ended.
const LOOKED_AT: usize = 20;

/// What was measured of one thing.
#[derive(Default)]
struct Measured {
    took: Vec<i64>,
    failed: usize,
}

/// What was measured of a stage.
#[derive(Default)]
struct OfStage {
    /// From the end of the stage before, or the start, to its own start.
    before: Measured,
    whole: Measured,
    actions: BTreeMap<String, Measured>,
}

/// The page.
pub async fn show(console: &Console, pipeline: &PipelineName, asked: &Asked<'_>) -> Result<Shown, Trouble> {
    let record = console.driver.pipeline(pipeline, None).await?;
    let listing = Listing::Executions(pipeline.clone(), record.head.incarnation);
    let page = console.driver.store().list(&listing, None, LOOKED_AT).await?;
    let ended = |it: &engine::Execution| {
        matches!(it.status, ExecutionStatus::Succeeded | ExecutionStatus::Failed) && it.rollback.is_none()
    };
    let found: Vec<_> = page.entities.into_iter().filter_map(board::execution).filter(ended).collect();
    let mut version = Version::of(&asked.address());
    for it in &found {
        version.text(&it.id.to_string());
        version.item(u64::try_from(it.updated.0).ok());
    }
    let tag = version.tag();
    if asked.known.as_ref() == Some(&tag) {
        return Ok(Shown::Same(tag));
    }
    let all = runs_of(console, found).await?;
    let mut stages: Vec<(String, OfStage)> =
        record.pipeline.stages().iter().map(|it| (it.name.to_string(), OfStage::default())).collect();
    for (execution, runs) in &all {
        let mut ended = execution.started.0;
        for (stage, of) in &mut stages {
            let Some(run) = runs.get(stage) else { continue };
            of.before.took.push((run.started.0 - ended).max(0));
            of.whole.took.push(run.updated.since(run.started));
            of.whole.failed += usize::from(run.status == engine::StageStatus::Failed);
            ended = run.updated.0;
            for it in &run.actions {
                let (Some(began), Some(updated)) = (it.requested, it.updated) else { continue };
                let measured = of.actions.entry(it.name.to_string()).or_default();
                measured.took.push(updated.since(began));
                measured.failed += usize::from(it.status == ActionStatus::Failed);
            }
        }
    }
    let main = html! {
        (head(pipeline.as_str(), "time", &html! {}, &html! {}))
        @if all.is_empty() {
            div class="empty" { p { "No execution has ended yet. When some have, this page says what each stage and action usually takes." } }
        } @else { (table(&stages, all.len())) }
    };
    Ok(Shown::Screen(Screen { title: format!("Where time goes in {pipeline}"), main, version: Some(tag), class: "" }))
}

fn table(stages: &[(String, OfStage)], executions: usize) -> Markup {
    let medians = stages.iter().flat_map(|(_, of)| [&of.before, &of.whole]).filter_map(|it| median(it.took.clone()));
    let longest = medians.max().unwrap_or(1).max(1);
    html! {
        p class="soft small" { "Medians of the last " (executions) " executions that ended, without rollbacks; each stage by its latest attempt." }
        div class="scroll" { table {
            thead { tr { th { "Stage and action" } th { "Usually" } th class="right" { "Median" } th class="right" { "Longest" } th class="right" { "Failed" } } }
            tbody {
                @for (stage, of) in stages {
                    @if median(of.before.took.clone()).is_some_and(|it| it >= 1_000) {
                        (row(&html! { span class="soft" { "before " (name(stage)) } }, &of.before, longest, State::Waiting.class(), false))
                    }
                    (row(&html! { strong { (name(stage)) } }, &of.whole, longest, "whole", true))
                    @for (action, measured) in &of.actions {
                        (row(&html! { span class="soft" { "· " } (name(action)) }, measured, longest, "part", true))
                    }
                }
            }
        } }
        ul class="legend" { li class="before" { "waits before a stage" } li class="whole" { "a stage" } li class="part" { "an action of it" } }
    }
}

fn row(what: &Markup, measured: &Measured, longest: i64, class: &str, fails: bool) -> Markup {
    let usual = median(measured.took.clone());
    let most = measured.took.iter().max();
    html! {
        tr {
            td { (what) }
            td { svg class="plot" viewBox="0 0 100 14" preserveAspectRatio="none" aria-hidden="true" {
                rect class=(class) x="0" y="3" height="8" width=((usual.unwrap_or(0) * 100 / longest).clamp(0, 100)) {}
            } }
            td class="right" { (usual.map_or_else(|| "–".to_owned(), took_words)) }
            td class="right" { (most.map_or_else(|| "–".to_owned(), |it| took_words(*it))) }
            td class="right" { @if fails && !measured.took.is_empty() { (measured.failed) " of " (measured.took.len()) } }
        }
    }
}
