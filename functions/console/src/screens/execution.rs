//! One execution: what started it, what it carried, where its time went, and how that compares.

use std::collections::HashMap;

use driver::ExecutionView;
use engine::{Execution, StageRun};
use maud::{Markup, html};
use pages::{State, ago, name, since, text, took, took_words};
use pipeline::{ExecutionMode, PipelineName};
use store::{Key, Listing};

use crate::address;
use crate::board;
use crate::change;
use crate::handler::{Asked, Console, SCRIPT, Screen, Shown};
use crate::screens::plot::{duration, median};
use crate::screens::{acts, gantt, head, scrolling};
use crate::trouble::Trouble;
use crate::version::Version;
use pictures::states::{self, Seen};

/// Executions before this one that it is compared with.
const BEFORE: usize = 10;
/// Differences that nobody feels, in milliseconds.
const UNFELT: i64 = 1_000;

/// One execution: what it ran with, its timeline, and how it compares with those before.
pub async fn show(console: &Console, pipeline: &PipelineName, id: &str, asked: &Asked<'_>) -> Result<Shown, Trouble> {
    let execution = console.driver.execution(pipeline, Trouble::execution(id)?).await?;
    let view = console.driver.execution_view(execution).await?;
    let mut version = Version::of(&asked.address());
    let times = [view.execution.updated].into_iter().chain(view.runs.iter().map(|run| run.updated));
    for time in times {
        version.item(u64::try_from(time.0).ok());
    }
    version.text(&format!("{:?}", view.execution.status));
    let board = if view.execution.status.is_open() {
        let alone = (view.execution.mode == ExecutionMode::Parallel).then_some(view.execution.id);
        let board = console.board(pipeline, alone, &asked.address()).await?;
        version.text(&board.version.tag());
        Some(board)
    } else {
        None
    };
    let tag = version.tag();
    if asked.known.as_ref() == Some(&tag) {
        return Ok(Shown::Same(tag));
    }
    let before = before(console, &view.execution).await?;
    let (seen, why) = match &board {
        Some(board) => (board.seen(&view.execution), super::pipeline::why(board, &view.execution)),
        None => (states::execution(&view.execution), Markup::default()),
    };
    let main = page(pipeline.as_str(), &view, seen, &why, &before, console.now());
    let title = format!("{pipeline} #{}", view.execution.number);
    Ok(Shown::Screen(Screen { title, main, version: Some(tag), class: "", script: SCRIPT }))
}

/// Executions before this one, the newest first, with their latest attempts by the stage's name.
async fn before(
    console: &Console,
    execution: &Execution,
) -> Result<Vec<(Execution, HashMap<String, StageRun>)>, Trouble> {
    let (_, recent) = console.lately(&execution.pipeline, &mut Version::of("")).await?;
    let all = recent.next.is_none();
    let earlier = recent.executions.into_iter().filter(|it| it.number < execution.number);
    let found: Vec<Execution> = earlier.take(BEFORE).collect();
    if all || found.len() == BEFORE {
        return runs_of(console, found).await;
    }
    let listing = Listing::Executions(execution.pipeline.clone(), execution.incarnation);
    // A cursor of the listing names the place behind which it goes on.
    let after = format!("{:020}/{}", u64::MAX - execution.number, execution.id);
    let page = console.driver.store().list(&listing, Some(&after), BEFORE).await?;
    let found: Vec<Execution> = page.entities.into_iter().filter_map(board::execution).collect();
    runs_of(console, found).await
}

/// Executions with their latest attempts by the stage's name, all read at once.
pub async fn runs_of(
    console: &Console,
    found: Vec<Execution>,
) -> Result<Vec<(Execution, HashMap<String, StageRun>)>, Trouble> {
    let keys: Vec<(usize, Key)> = found
        .iter()
        .enumerate()
        .flat_map(|(place, it)| {
            let attempts = it.attempts.iter().enumerate().filter(|(_, attempt)| **attempt > 0);
            attempts.map(move |(stage, attempt)| (place, Key::Stage(it.id, stage, *attempt)))
        })
        .collect();
    let wanted: Vec<Key> = keys.iter().map(|(_, key)| key.clone()).collect();
    let read = if wanted.is_empty() { Vec::new() } else { console.driver.store().load(&wanted).await? };
    let mut all: Vec<(Execution, HashMap<String, StageRun>)> =
        found.into_iter().map(|it| (it, HashMap::new())).collect();
    for ((place, _), run) in keys.into_iter().zip(read) {
        if let Some(run) = run.and_then(|run| board::stage(run.entity)) {
            all[place].1.insert(run.name.to_string(), run);
        }
    }
    Ok(all)
}

fn page(
    pipeline: &str,
    view: &ExecutionView,
    (state, word): Seen,
    why: &Markup,
    before: &[(Execution, HashMap<String, StageRun>)],
    now: i64,
) -> Markup {
    let execution = &view.execution;
    let facts = html! { span class="name" { "#" (execution.number) } (state.badge(word)) };
    let acts = html! { @if execution.status.is_open() { (acts::stop(execution)) } };
    html! {
        (head(pipeline, "history", &facts, &acts))
        @if let Some(summary) = execution.summary.as_deref().filter(|it| !it.is_empty()) {
            div class={ "panel " (state.class()) } { (text(summary)) }
        }
        @if !why.0.is_empty() { ul class="now" { li class=(state.class()) { span class="why" { (why) } } } }
        div class="card" { div class="cols" {
            dl class="facts" {
                dt { "Execution" } dd { code { (execution.id) } }
                dt { "Started" } dd { (ago(execution.started.0, now)) ", by " (change::trigger(&execution.trigger)) }
                dt { "Took" } dd { @if execution.status.is_open() { (since(execution.started.0, now)) " so far" } @else { (took(duration(execution, now))) } }
                dt { "Version of the pipeline" } dd { (execution.version) }
                @if let Some(target) = &execution.rollback {
                    dt { "Rolls back to" } dd { a href=(address::execution(pipeline, target.execution)) { code { (target.execution) } } }
                }
                @if let Some(stop) = &execution.stop { dt { "Stopped" } dd { (stop.reason.as_deref().map(name).unwrap_or_else(|| html! { "without a reason" })) } }
                @for (variable, value) in &execution.variables { dt { "Variable " (name(variable)) } dd { (text(value)) } }
            }
            (change::revisions(execution, view.runs.iter().rfind(|run| run.stage == 0)))
        } }
        h2 { "When what ran" }
        (gantt::draw(view, now))
        p { a class="button" href=(address::with(&address::of(pipeline, ""), &[("execution", &execution.id.to_string())])) { "Its stages, with inputs, outputs and variables" } }
        (compared(pipeline, view, before, now))
    }
}

fn compared(
    pipeline: &str,
    view: &ExecutionView,
    before: &[(Execution, HashMap<String, StageRun>)],
    now: i64,
) -> Markup {
    let Some((last, _)) = before.first() else {
        return html! { h2 { "Compared" } p class="soft small" { "It is the first: there is nothing to compare it with." } };
    };
    let whole = before.iter().filter(|(it, _)| !it.status.is_open() && it.rollback.is_none());
    let usual = median(whole.map(|(it, _)| duration(it, now)).collect());
    let of = |run: &StageRun| if run.status.is_open() { now - run.started.0 } else { run.updated.since(run.started) };
    let latest = |stage: &str| view.runs.iter().rfind(|run| run.name.as_str() == stage);
    html! {
        h2 { "Compared with the run before and the median of the last " (before.len()) }
        (scrolling("Comparison", &html! { table {
            thead { tr { th { "Stage" } th class="right" { "This" } th class="right" { a href=(address::execution(pipeline, last.id)) { "#" (last.number) } } th class="right" { "Median" } th class="right" { "Against the median" } } }
            tbody {
                @for stage in view.pipeline.stages() {
                    @let this = latest(stage.name.as_str()).map(of);
                    @let earlier: Vec<i64> = before.iter().filter_map(|(_, runs)| runs.get(stage.name.as_str())).map(of).collect();
                    @let one = before[0].1.get(stage.name.as_str()).map(of);
                    (row(&html! { (name(stage.name.as_str())) }, this, one, median(earlier)))
                }
                (row(&html! { strong { "All, with waits" } }, Some(duration(&view.execution, now)), Some(duration(last, now)), usual))
            }
        } }))
    }
}

fn row(what: &Markup, this: Option<i64>, before: Option<i64>, usual: Option<i64>) -> Markup {
    let cell = |value: Option<i64>| html! { td class="right" { (value.map_or_else(|| "–".to_owned(), took_words)) } };
    html! {
        tr {
            td { (what) } (cell(this)) (cell(before)) (cell(usual))
            td class="right" {
                @if let (Some(this), Some(usual)) = (this, usual.filter(|usual| *usual > 0)) { (against(this, usual)) }
            }
        }
    }
}

/// How much longer or shorter than usual something took; both in milliseconds.
fn against(this: i64, usual: i64) -> Markup {
    let (differs, percent) = (this - usual, (this - usual) * 100 / usual);
    if differs.abs() < UNFELT || percent.abs() < 10 {
        return html! { "as usual" };
    }
    match percent {
        ..0 => html! { (-percent) " % shorter" },
        0..200 => State::Failed.badge(&format!("{percent} % longer")),
        _ => State::Failed.badge(&format!("{} times as long", this / usual)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_feels_is_as_usual() {
        let words = |this, usual| {
            let html = against(this, usual).into_string();
            html.rsplit_once("</svg>").map_or(html.clone(), |(_, words)| words.replace("</span>", "").trim().to_owned())
        };
        assert_eq!(words(265, 1), "as usual");
        assert_eq!(words(65_000, 60_000), "as usual");
        assert_eq!(words(30_000, 60_000), "50 % shorter");
        assert_eq!(words(90_000, 60_000), "50 % longer");
        assert_eq!(words(265_000, 1_000), "265 times as long");
    }
}
