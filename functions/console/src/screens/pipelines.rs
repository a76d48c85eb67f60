//! All pipelines: how each stands, its last change, and how it usually goes.

use maud::{Markup, html};
use pages::{State, ago, name, since, took, took_words};

use crate::address::{self, PIPELINES};
use crate::change;
use crate::handler::{Asked, Console, SCRIPT, Screen, Shown};
use crate::screens::plot::{Figures, bars, duration};
use crate::shelf::{Cell, Row};
use crate::trouble::Trouble;
use crate::version::Version;

/// Pipelines on a page.
const PAGE: usize = 25;
/// Pipelines that are looked at for a page of those in one state: fewer than the versions that are remembered.
const LOOKED_AT: usize = 90;
/// From so many stages on, a strip has bars in place of marks.
const MANY: usize = 14;

/// All pipelines, a page at a time, with the state of each stage.
pub async fn show(console: &Console, asked: &Asked<'_>) -> Result<Shown, Trouble> {
    let mut version = Version::of(&asked.address());
    let wanted = State::of_class(asked.get("state"));
    let after = Some(asked.get("after")).filter(|after| !after.is_empty());
    let limit = if wanted.is_some() { LOOKED_AT } else { PAGE };
    let heads = console.heads(asked.get("search"), after, limit).await?;
    let (mut next, cut) = (heads.next, heads.cut);
    let mut rows = console.rows(heads.heads, &mut version).await?;
    if let Some(wanted) = wanted {
        rows.retain(|row| row.state() == wanted);
        if rows.len() > PAGE {
            rows.truncate(PAGE);
            next = rows.last().map(|row| row.head.pipeline.to_string());
        }
    }
    let tag = version.tag();
    if asked.known.as_ref() == Some(&tag) {
        return Ok(Shown::Same(tag));
    }
    console.with_recent(&mut rows).await?;
    let main = page(&rows, asked, next.as_deref(), cut, console.now());
    Ok(Shown::Screen(Screen { title: "Pipelines".into(), main, version: Some(tag), class: "", script: SCRIPT }))
}

fn page(rows: &[Row], asked: &Asked<'_>, next: Option<&str>, cut: bool, now: i64) -> Markup {
    let (search, state) = (asked.get("search"), asked.get("state"));
    let filtered = !search.is_empty() || !state.is_empty() || !asked.get("after").is_empty();
    html! {
        noscript { p class="noscript" { "Without script this page can be read. It does not update itself, and nothing can be done from it." } }
        div class="head" { h1 { "Pipelines" } }
        form class="filter" action=(PIPELINES) role="search" {
            label { "Name contains" input name="search" type="search" value=(search) maxlength="100" autocomplete="off" spellcheck="false"; }
            label { "State"
                select name="state" {
                    option value="" { "anything" }
                    @for it in [State::Failed, State::Waiting, State::InProgress, State::Succeeded, State::Stopped, State::DidNotRun] {
                        option value=(it.class()) selected[it.class() == state] { (it.word()) }
                    }
                }
            }
            button type="submit" { "Show" }
        }
        @if rows.is_empty() {
            div class="empty" {
                @if filtered {
                    p { "No pipeline is like that." } p { a href=(PIPELINES) { "Show all pipelines" } }
                } @else {
                    p { "There is no pipeline yet." }
                    p { "One appears here as soon as it is created: with " code { "aws codepipeline create-pipeline" } ", CloudFormation, or on a laptop "
                        code { "cargo run -p local -- demo" } "." }
                }
            }
        } @else {
            div class="scroll" { table class="cards list" {
                thead { tr {
                    th { "Pipeline" } th { "Stages" } th { "Last change" } th { "Started" } th class="right" { "Took" } th { "Last 30 days" }
                } }
                tbody { @for row in rows { (line(row, now)) } }
            } }
        }
        @if cut { p class="soft small" { "The search stopped after 2,000 names. A longer part of the name finds the rest." } }
        nav class="pager" aria-label="Pages" {
            @if !asked.get("after").is_empty() {
                a class="button" href=(address::with(PIPELINES, &[("search", search), ("state", state)])) { "First page" }
            }
            @if let Some(next) = next {
                a class="button" rel="next" href=(address::with(PIPELINES, &[("search", search), ("state", state), ("after", next)])) { "Next page" }
            }
        }
    }
}

fn line(row: &Row, now: i64) -> Markup {
    let pipeline = row.head.pipeline.as_str();
    let state = row.state();
    let figures = Figures::of(&row.recent.executions, now);
    let newest = row.recent.executions.first();
    html! {
        tr class=(state.class()) data-k=(pipeline) {
            td {
                a class="name" href=(address::of(pipeline, "")) { (name(pipeline)) }
                div class="small" { (state.badge(row.place().map_or(state.word(), |(_, word)| word))) " " (attention(row)) }
            }
            td { (strip(&row.stages, Some(pipeline))) }
            td { @match newest {
                Some(newest) => (change::change(newest, row.recent.source.as_ref())),
                None => { span class="soft" { "never ran" } }
            } }
            td { @if let Some(newest) = newest {
                (ago(newest.started.0, now))
                div class="small soft" { (change::trigger(&newest.trigger)) }
            } }
            td class="right" { @if let Some(newest) = newest {
                @if newest.status.is_open() { (since(newest.started.0, now)) } @else { (took(duration(newest, now))) }
                @if let Some(usual) = figures.usual { div class="small soft" { "usually " (took_words(usual)) } }
            } }
            td {
                (bars(&row.recent.executions, now))
                @if let Some(rate) = figures.rate() { div class="small soft" { (rate) " % of " (figures.ended) " succeeded" } }
            }
        }
    }
}

/// What a person may have to do, beside the state.
fn attention(row: &Row) -> Markup {
    let waiting: usize = row.stages.iter().map(|cell| cell.waiting).sum();
    let closed = row.stages.iter().filter(|cell| cell.closed).count();
    html! {
        @if closed > 0 { span class="chip" { (closed) @if closed == 1 { " transition" } @else { " transitions" } " closed" } " " }
        @if waiting > 0 { span class="chip" { (waiting) " more waiting" } }
    }
}

/// The stages as a strip of marks; links to them, where the pipeline's page is told.
pub fn strip(stages: &[Cell], pipeline: Option<&str>) -> Markup {
    let class = if stages.len() > MANY { "strip many" } else { "strip" };
    html! {
        ol class=(class) aria-label="Stages" {
            @for cell in stages {
                @let words = format!("{}: {}", pages::shown(cell.name.as_str()), cell.word);
                li class=(cell.state.class()) title=(words) {
                    @match pipeline {
                        Some(_) if stages.len() <= MANY => (cell.state.mark_as(&words)),
                        _ => { span class="vh" { (words) } }
                    }
                }
            }
        }
    }
}
