//! The executions of a pipeline, the newest first.

use engine::{Execution, Head};
use maud::{Markup, html};
use pages::{State, ago, since, took};
use pipeline::PipelineName;
use store::Listing;

use crate::address;
use crate::board::execution;
use crate::change;
use crate::handler::{Asked, Console, SCRIPT, Screen, Shown};
use crate::recent::MOST;
use crate::screens::head;
use crate::screens::plot::{Figures, duration};
use crate::standing::Standings;
use crate::trouble::Trouble;
use crate::version::Version;
use pictures::states::Seen;

/// Executions that are looked at for a page of those that a filter lets through.
const LOOKED_AT: usize = 1_000;
/// How many are read at once.
const AT_ONCE: usize = 500;

/// What started an execution, by the words of the API, for the filter.
const TRIGGERS: [(&str, &str); 6] = [
    ("StartPipelineExecution", "a person or program"),
    ("CloudWatchEvent", "an event"),
    ("Webhook", "a webhook"),
    ("PollForSourceChanges", "a change in the source"),
    ("ManualRollback", "a rollback"),
    ("AutomatedRollback", "an automatic rollback"),
];

/// A pipeline's executions, the newest first, a page at a time.
pub async fn show(console: &Console, pipeline: &PipelineName, asked: &Asked<'_>) -> Result<Shown, Trouble> {
    let mut version = Version::of(&asked.address());
    let first = ["state", "trigger", "after"].iter().all(|name| asked.get(name).is_empty());
    let (pipeline_head, found, next) = if first {
        let (head, recent) = console.lately(pipeline, &mut version).await?;
        (head, recent.executions, recent.next)
    } else {
        let head = console.driver.pipeline_head(pipeline).await?;
        let listing = Listing::Executions(pipeline.clone(), head.incarnation);
        let (found, next) = filtered(console, &head, &listing, asked).await?;
        (head, found, next)
    };
    version.executions(&found);
    let standings = console.standings(&pipeline_head, &found, &mut version).await?;
    let tag = version.tag();
    if asked.known.as_ref() == Some(&tag) {
        return Ok(Shown::Same(tag));
    }
    let main = page(pipeline.as_str(), &found, &standings, next.as_deref(), asked, console.now());
    Ok(Shown::Screen(Screen {
        title: format!("History of {pipeline}"),
        main,
        version: Some(tag),
        class: "",
        script: SCRIPT,
    }))
}

async fn filtered(
    console: &Console,
    head: &Head,
    listing: &Listing,
    asked: &Asked<'_>,
) -> Result<(Vec<Execution>, Option<String>), Trouble> {
    let (state, trigger) = (State::of_class(asked.get("state")), asked.get("trigger"));
    let plain = state.is_none() && trigger.is_empty();
    let mut after = Some(asked.get("after").to_owned()).filter(|after| !after.is_empty());
    let (mut found, mut looked_at) = (Vec::new(), 0);
    loop {
        let page = console.driver.store().list(listing, after.as_deref(), if plain { MOST } else { AT_ONCE }).await?;
        looked_at += page.entities.len();
        let mut listed: Vec<Execution> = page.entities.into_iter().filter_map(execution).collect();
        listed.retain(|it| trigger.is_empty() || it.trigger.kind.starts_with(trigger));
        if let Some(state) = state {
            // What it shows counts for the version once it is known what is shown.
            let standings = console.standings(head, &listed, &mut Version::of("")).await?;
            listed.retain(|it| standings.of(it).0 == state);
        }
        found.extend(listed);
        after = page.next;
        // A page of those that fit may be longer than one of all: it ends where the reading ended.
        if plain || after.is_none() || found.len() >= MOST || looked_at >= LOOKED_AT {
            return Ok((found, after));
        }
    }
}

fn page(
    pipeline: &str,
    found: &[Execution],
    standings: &Standings,
    next: Option<&str>,
    asked: &Asked<'_>,
    now: i64,
) -> Markup {
    let here = address::of(pipeline, "history");
    let (state, trigger, after) = (asked.get("state"), asked.get("trigger"), asked.get("after"));
    html! {
        (head(pipeline, "history", &html! {}, &html! {}))
        form class="filter" action=(here) {
            label { "Ended as"
                select name="state" {
                    option value="" { "anything" }
                    @for it in State::ALL.into_iter().filter(|it| *it != State::DidNotRun) {
                        option value=(it.class()) selected[it.class() == state] { (it.word()) }
                    }
                }
            }
            label { "Started by"
                select name="trigger" {
                    option value="" { "anything" }
                    @for (kind, words) in TRIGGERS { option value=(kind) selected[kind == trigger] { (words) } }
                }
            }
            button type="submit" { "Show" }
        }
        @if found.is_empty() {
            div class="empty" {
                @if state.is_empty() && trigger.is_empty() && after.is_empty() {
                    p { "This pipeline has never run." } p { "Its executions appear here as soon as a change or a person starts it." }
                } @else {
                    p { "No execution here is like that." }
                    @if next.is_some() { p { "The next page looks further back." } }
                }
            }
        } @else {
            (table(pipeline, found, standings, now))
        }
        nav class="pager" aria-label="Pages" {
            @if !after.is_empty() { a class="button" href=(address::with(&here, &[("state", state), ("trigger", trigger)])) { "Newest" } }
            @if let Some(next) = next { a class="button" rel="next" href=(address::with(&here, &[("state", state), ("trigger", trigger), ("after", next)])) { "Older" } }
        }
    }
}

/// Executions, a line each.
pub fn table(pipeline: &str, found: &[Execution], standings: &Standings, now: i64) -> Markup {
    let figures = Figures::of(found, now);
    let longest = found.iter().map(|it| duration(it, now)).max().unwrap_or(1).max(1);
    html! {
        div class="scroll" { table class="cards runs" {
            thead { tr { th { "Execution" } th { "Change" } th { "Started" } th { "By" } th class="right" { "Took" } th { "Against the usual" } } }
            tbody { @for it in found { (line(pipeline, it, standings.of(it), figures.usual, longest, now)) } }
        } }
    }
}

fn line(pipeline: &str, it: &Execution, (state, word): Seen, usual: Option<i64>, longest: i64, now: i64) -> Markup {
    let took_so_far = duration(it, now);
    html! {
        tr class=(state.class()) data-k=(it.id) {
            td { a class="name" href=(address::execution(pipeline, it.id)) { "#" (it.number) } div { (state.badge(word)) } }
            td { (change::change(it, None)) }
            td { (ago(it.started.0, now)) }
            td { (change::trigger(&it.trigger)) }
            td class="right" { @if it.status.is_open() { (since(it.started.0, now)) } @else { (took(took_so_far)) } }
            td {
                svg class="plot" viewBox="0 0 100 14" preserveAspectRatio="none" aria-hidden="true" {
                    rect class=(state.class()) x="0" y="3" height="8" width=((took_so_far * 100 / longest).max(1)) {}
                    @if let Some(usual) = usual {
                        @let x = usual * 100 / longest;
                        line class="usual" x1=(x) x2=(x) y1="0" y2="14" {}
                    }
                }
            }
        }
    }
}
