//! One screen for all: what is red and by which change, what waits for a person, what runs, and which revision is where.

use std::collections::HashMap;

use engine::{Execution, ExecutionId};
use maud::{Markup, html};
use pages::{State, ago, name, since};
use store::Key;

use crate::address;
use crate::board;
use crate::change;
use crate::handler::{Asked, Console, SCRIPT, Screen, Shown};
use crate::screens::pipelines::strip;
use crate::screens::scrolling;
use crate::shelf::{Cell, Row};
use crate::trouble::Trouble;
use crate::version::Version;

/// Pipelines on a wall: as many as can be read from afar.
const PAGE: usize = 25;
/// What the wall counts, in this order.
const COUNTED: [State; 4] = [State::Failed, State::Waiting, State::InProgress, State::Succeeded];

/// What is red, what waits and what runs, for everybody in the room.
pub async fn show(console: &Console, asked: &Asked<'_>) -> Result<Shown, Trouble> {
    let mut version = Version::of(&asked.address());
    let heads = console.heads(asked.get("search"), None, PAGE).await?;
    let more = heads.next.is_some();
    let mut rows = console.rows(heads.heads, &mut version).await?;
    let tag = version.tag();
    if asked.known.as_ref() == Some(&tag) {
        return Ok(Shown::Same(tag));
    }
    let ids = rows.iter().flat_map(|row| &row.stages).filter_map(|cell| cell.run.as_ref()).map(|run| run.execution);
    let keys: Vec<Key> = ids.map(Key::Execution).collect();
    let read = if keys.is_empty() { Vec::new() } else { console.driver.store().load(&keys).await? };
    let executions: HashMap<ExecutionId, Execution> =
        read.into_iter().flatten().filter_map(|it| board::execution(it.entity)).map(|it| (it.id, it)).collect();
    // What needs attention first, and of that what has needed it longest.
    rows.sort_by_key(|row| (row.state(), row.place().and_then(|(cell, _)| cell.run.as_ref()).map(|run| run.updated)));
    let main = page(&rows, &executions, asked.get("search"), more, console.now());
    Ok(Shown::Screen(Screen { title: "Wall".into(), main, version: Some(tag), class: "wall", script: SCRIPT }))
}

fn page(rows: &[Row], executions: &HashMap<ExecutionId, Execution>, search: &str, more: bool, now: i64) -> Markup {
    let count = |state| rows.iter().filter(|row| row.state() == state).count();
    let urgent: Vec<&Row> = rows.iter().filter(|row| row.state() <= State::InProgress).collect();
    html! {
        h1 class="vh" { "Wall" }
        @if rows.is_empty() {
            div class="empty" { p { "There is nothing to show yet. Each pipeline appears here as soon as it is created." } }
        } @else {
            ul class="sum" {
                @for state in COUNTED {
                    @let count = count(state);
                    li class={ (state.class()) @if count == 0 { " zero" } } { span class="n" { (count) } (state.badge(state.word())) }
                }
            }
            @if urgent.is_empty() { p class="soft" { "Nothing is red, nothing waits, nothing runs." } }
            div class="tiles" { @for row in urgent { (tile(row, executions, now)) } }
            h2 { "Which revision is where" }
            (matrix(rows, executions, now))
            @if more { p class="soft small" { "The wall shows the first " (PAGE) " pipelines" @if search.is_empty() { "; " code { "?search=" } " with a part of their names shows others" } "." } }
        }
    }
}

fn tile(row: &Row, executions: &HashMap<ExecutionId, Execution>, now: i64) -> Markup {
    let state = row.state();
    let place = row.place();
    let run = place.and_then(|(cell, _)| cell.run.as_ref());
    let execution = run.and_then(|run| executions.get(&run.execution));
    html! {
        a class={ "tile " (state.class()) } href=(address::of(row.head.pipeline.as_str(), "")) data-k={ "tile-" (row.head.pipeline) } {
            span class="name" { (name(row.head.pipeline.as_str())) }
            @if let Some((cell, word)) = place {
                span {
                    (state.badge(word)) " in " (name(cell.name.as_str())) " "
                    @if let Some(run) = run {
                        span class="soft" { @if run.status.is_open() { "for " (since(run.started.0, now)) } @else { (ago(run.updated.0, now)) } }
                    }
                }
            }
            @if let Some(execution) = execution {
                span class="small" { (change::line(execution)) }
                span class="small soft" { "#" (execution.number) ", " (change::trigger(&execution.trigger)) }
            }
            (strip(&row.stages, Some(row.head.pipeline.as_str())))
        }
    }
}

fn matrix(rows: &[Row], executions: &HashMap<ExecutionId, Execution>, now: i64) -> Markup {
    let most = rows.iter().map(|row| row.stages.len()).max().unwrap_or(0);
    let mut by_name: Vec<&Row> = rows.iter().collect();
    by_name.sort_by(|one, other| one.head.pipeline.cmp(&other.head.pipeline));
    html! {
        (scrolling("Which revision is where", &html! { table class="matrix" {
            thead { tr { th { "Pipeline" } @for stage in 1..=most { th { "Stage " (stage) } } } }
            tbody { @for row in by_name {
                tr data-k={ "row-" (row.head.pipeline) } {
                    td { a class="name" href=(address::of(row.head.pipeline.as_str(), "")) { (name(row.head.pipeline.as_str())) } }
                    @for cell in &row.stages { (revision(cell, executions, now)) }
                    @for _ in row.stages.len()..most { td {} }
                }
            } }
        } }))
    }
}

fn revision(cell: &Cell, executions: &HashMap<ExecutionId, Execution>, now: i64) -> Markup {
    let run = cell.run.as_ref();
    let execution = run.and_then(|run| executions.get(&run.execution));
    html! {
        td class={ "cell " (cell.state.class()) } {
            div class="rev" {
                (cell.state.mark_as(cell.word))
                @match execution.and_then(|it| it.revisions.first()) {
                    Some(first) => { code title=(pages::shown(&first.revision.id)) { (change::short(&first.revision.id)) } }
                    None => { "–" }
                }
                @if cell.closed { span class="chip" { "closed" } }
                @if cell.waiting > 0 { span class="chip" { (cell.waiting) " waiting" } }
            }
            div class="soft" { (name(cell.name.as_str())) @if let Some(run) = run { ", " (ago(run.updated.0, now)) } }
        }
    }
}
