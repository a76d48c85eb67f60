//! Where time goes: of the last executions of a pipeline, what each stage and action usually takes, what lies between, and what
//! failed for which reasons.

use std::collections::BTreeMap;

use engine::{ActionStatus, Execution, ExecutionId, ExecutionStatus, StageRun};
use maud::{Markup, html};
use pages::{State, name, shown, text, took_words};
use pictures::states;
use pipeline::{PipelineName, Stage};

use crate::address;
use crate::handler::{Asked, Console, SCRIPT, Screen, Shown};
use crate::screens::execution::runs_of;
use crate::screens::plot::{median, percentile};
use crate::screens::{head, scrolling};
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

/// What was measured of an action.
struct OfAction {
    name: String,
    /// Whether a person answers it.
    asks: bool,
    measured: Measured,
    /// By the error's code.
    failures: BTreeMap<String, Failures>,
}

/// Failures of an action that have one code.
struct Failures {
    times: usize,
    /// What the newest of them says, and in which execution.
    message: String,
    execution: (u64, ExecutionId),
}

/// What was measured of a stage.
struct OfStage {
    name: String,
    /// From the end of the stage before, or the start, to its own start.
    before: Measured,
    whole: Measured,
    /// In the order in which they run.
    actions: Vec<OfAction>,
}

impl OfStage {
    fn of(stage: &Stage) -> Self {
        let mut actions: Vec<_> = stage.actions.iter().collect();
        actions.sort_by_key(|action| action.run_order);
        let action = |declared: &&pipeline::Action| OfAction {
            name: declared.name.to_string(),
            asks: states::is_approval(declared),
            measured: Measured::default(),
            failures: BTreeMap::new(),
        };
        Self {
            name: stage.name.to_string(),
            before: Measured::default(),
            whole: Measured::default(),
            actions: actions.iter().map(action).collect(),
        }
    }

    /// Takes note of an attempt, for which the execution was ready at `ready`.
    fn note(&mut self, execution: &Execution, run: &StageRun, ready: i64) {
        self.before.took.push((run.started.0 - ready).max(0));
        self.whole.took.push(run.updated.since(run.started));
        self.whole.failed += usize::from(run.status == engine::StageStatus::Failed);
        for it in &run.actions {
            let Some(of) = self.actions.iter_mut().find(|of| of.name == it.name.as_str()) else { continue };
            let (Some(began), Some(updated)) = (it.requested, it.updated) else { continue };
            of.measured.took.push(updated.since(began));
            of.measured.failed += usize::from(it.status == ActionStatus::Failed);
            if let Some(error) = it.error.as_ref().filter(|_| it.status == ActionStatus::Failed) {
                let newest = || Failures {
                    times: 0,
                    message: error.message.clone(),
                    execution: (execution.number, execution.id),
                };
                of.failures.entry(error.code.clone()).or_insert_with(newest).times += 1;
            }
        }
    }
}

/// What each stage and action of a pipeline usually takes, and what failed lately.
pub async fn show(console: &Console, pipeline: &PipelineName, asked: &Asked<'_>) -> Result<Shown, Trouble> {
    let mut version = Version::of(&asked.address());
    let (pipeline_head, recent) = console.lately(pipeline, &mut version).await?;
    let declared = console.stored(pipeline, &pipeline_head, pipeline_head.version).await?;
    let ended = |it: &engine::Execution| {
        matches!(it.status, ExecutionStatus::Succeeded | ExecutionStatus::Failed) && it.rollback.is_none()
    };
    let found: Vec<_> = recent.executions.into_iter().take(LOOKED_AT).filter(ended).collect();
    version.executions(&found);
    let tag = version.tag();
    if asked.known.as_ref() == Some(&tag) {
        return Ok(Shown::Same(tag));
    }
    let all = runs_of(console, found).await?;
    let mut stages: Vec<OfStage> = declared.stages().iter().map(OfStage::of).collect();
    for (execution, runs) in &all {
        let mut ready = execution.started.0;
        for stage in &mut stages {
            let Some(run) = runs.get(&stage.name) else { continue };
            stage.note(execution, run, ready);
            ready = run.updated.0;
        }
    }
    let main = html! {
        (head(pipeline.as_str(), "time", &html! {}, &html! {}))
        @if all.is_empty() {
            div class="empty" { p { "No execution has ended yet. When some have, this page says what each stage and action usually takes." } }
        } @else { (table(&stages, all.len())) (failures(pipeline.as_str(), &stages)) }
    };
    Ok(Shown::Screen(Screen {
        title: format!("Where time goes in {pipeline}"),
        main,
        version: Some(tag),
        class: "",
        script: SCRIPT,
    }))
}

fn table(stages: &[OfStage], executions: usize) -> Markup {
    let medians = stages.iter().flat_map(|of| [&of.before, &of.whole]).filter_map(|it| median(it.took.clone()));
    let longest = medians.max().unwrap_or(1).max(1);
    let person = State::Waiting.class();
    html! {
        p class="soft small" { "Of the last " (executions) " executions that ended, without rollbacks; each stage by its latest attempt. 95 of 100 took no longer than what the fourth column says." }
        (scrolling("Where time goes", &html! { table {
            thead { tr { th { "Stage and action" } th { "Usually" } th class="right" { "Median" } th class="right" { "95 %" } th class="right" { "Failed" } } }
            tbody {
                @for of in stages {
                    @if median(of.before.took.clone()).is_some_and(|it| it >= 1_000) {
                        (row(&html! { span class="soft" { "before " (name(&of.name)) } }, &of.before, longest, "before", false))
                    }
                    (row(&html! { strong { (name(&of.name)) } }, &of.whole, longest, "whole", true))
                    @for action in &of.actions {
                        (row(&html! { span class="soft" { "· " (name(&action.name)) } }, &action.measured, longest, if action.asks { person } else { "part" }, true))
                    }
                }
            }
        } }))
        ul class="legend" {
            li class="before" { "waits before a stage" } li class="person" { "waits for a person" } li class="whole" { "a stage" } li class="part" { "an action of it" }
        }
    }
}

fn row(what: &Markup, measured: &Measured, longest: i64, class: &str, fails: bool) -> Markup {
    let words = |value: Option<i64>| value.map_or_else(|| "–".to_owned(), took_words);
    let usual = median(measured.took.clone());
    html! {
        tr {
            td { (what) }
            td { svg class="plot" viewBox="0 0 100 14" preserveAspectRatio="none" aria-hidden="true" {
                rect class=(class) x="0" y="3" height="8" width=((usual.unwrap_or(0) * 100 / longest).clamp(0, 100)) {}
            } }
            td class="right" { (words(usual)) }
            td class="right" { (words(percentile(measured.took.clone(), 95))) }
            td class="right" { @if fails && !measured.took.is_empty() { (measured.failed) " of " (measured.took.len()) } }
        }
    }
}

/// What failed, by action and reason.
fn failures(pipeline: &str, stages: &[OfStage]) -> Markup {
    let failed = || stages.iter().flat_map(|of| of.actions.iter().map(move |action| (of, action)));
    if failed().all(|(_, action)| action.failures.is_empty()) {
        return html! {};
    }
    html! {
        h2 { "What failed" }
        (scrolling("What failed", &html! { table {
            thead { tr { th { "Action" } th { "Reason" } th class="right" { "Times" } th { "Last in" } } }
            tbody { @for (of, action) in failed() { @for (code, it) in &action.failures {
                tr {
                    td { (name(&of.name)) " / " (name(&action.name)) }
                    td { strong { (shown(code)) } " " (text(&it.message)) }
                    td class="right" { (it.times) }
                    td { a href=(address::execution(pipeline, it.execution.1)) { "#" (it.execution.0) } }
                }
            } } }
        } }))
    }
}
