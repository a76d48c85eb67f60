//! Everything about one action.

use std::collections::BTreeMap;

use engine::{ActionRun, Artifact, Execution, StageRun};
use maud::{Markup, html};
use pages::{State, absolute, ago, name, shown, text, took_words};
use pictures::states;
use pipeline::{Action, MASK};

use crate::address;
use crate::board::{Board, Column};
use crate::change;
use crate::handler::Console;
use crate::screens::flow::Selected;
use crate::screens::{acts, flow};
use crate::trouble::Trouble;

/// The panel of what is selected; nothing where nothing is, or where it is not there.
pub async fn show(console: &Console, board: &Board, selected: Selected<'_>, now: i64) -> Result<Markup, Trouble> {
    if selected.stage.is_empty() || selected.action.is_empty() {
        return Ok(html! {});
    }
    let column = board.columns.iter().find(|column| column.stage().name.as_str() == selected.stage);
    let found = column.and_then(|column| {
        let index = column.stage().actions.iter().position(|it| it.name.as_str() == selected.action)?;
        Some((column, index))
    });
    let Some((column, index)) = found else {
        return Ok(html! {
            section class="panel pending" id="panel" tabindex="-1" { p { "The action that was selected is not in this version of the pipeline." } }
        });
    };
    let action = &column.stage().actions[index];
    let ran =
        flow::of(board, column).filter(|(stage, _)| stage.actions.get(index).is_some_and(|it| it.requested.is_some()));
    let details = match ran {
        Some((stage, execution)) => details(console, execution, stage, index).await?,
        None => Details::default(),
    };
    Ok(panel(console, board, column, action, ran.map(|(stage, _)| (stage, index)), &details, now))
}

/// What is read beside the stage's item.
#[derive(Default)]
struct Details {
    configuration: Option<BTreeMap<String, String>>,
    inputs: Vec<Artifact>,
    variables: BTreeMap<String, String>,
}

async fn details(console: &Console, execution: &Execution, stage: &StageRun, index: usize) -> Result<Details, Trouble> {
    let view = console.driver.execution_view(execution.clone()).await?;
    // An action's place is its index.
    let found = console.driver.action_view(&view, stage, index as u8).await?;
    Ok(found.map_or_else(Details::default, |found| Details {
        configuration: found.configuration,
        inputs: found.inputs,
        variables: found.variables,
    }))
}

fn panel(
    console: &Console,
    board: &Board,
    column: &Column,
    action: &Action,
    ran: Option<(&StageRun, usize)>,
    details: &Details,
    now: i64,
) -> Markup {
    let run = ran.and_then(|(stage, index)| stage.actions.get(index));
    let (state, word) =
        run.map_or((State::DidNotRun, State::DidNotRun.word()), |run| states::action(run, Some(action)));
    let pipeline = board.head.pipeline.as_str();
    let configuration = details.configuration.as_ref().unwrap_or(&action.configuration);
    let entity = match &action.custom {
        Some(custom) => custom.entity_page(&action.configuration),
        None => providers::entity_page(action, console.driver.home()),
    };
    html! {
        section class={ "panel " (state.class()) } id="panel" tabindex="-1" aria-label={ "Action " (action.name) } {
            div class="head" {
                h2 class="thing" { (name(column.stage().name.as_str())) " / " (name(action.name.as_str())) } (state.badge(word))
                div class="acts" {
                    @if let Some((stage, index)) = ran { (acts::approval(pipeline, stage, &column.of, index as u8)) }
                }
            }
            @if let Some(error) = run.and_then(|run| run.error.as_ref()) {
                div class="said" role="note" { strong { (shown(&error.code)) } (text(&error.message)) }
            }
            @if let Some(summary) = run.and_then(|run| run.summary.as_deref()).filter(|it| !it.is_empty()) { div class="said" { (text(summary)) } }
            @if let Some((stage, index)) = ran { (log(pipeline, action, stage, index, configuration)) }
            div class="cols" {
                div {
                    h3 class="label" { "Run" }
                    dl class="facts" {
                        dt { "Provider" } dd { (shown(&action.type_id.category)) " / " (change::link(entity.as_deref(), &html! { (shown(&action.type_id.provider)) })) }
                        dt { "Region" } dd { (action.region.as_ref().map_or(console.driver.home(), |region| region.as_str())) }
                        @if let Some(run) = run { (times(run, now)) }
                        @if let Some((stage, index)) = ran { dt { "Action execution" } dd { code { (acts::action_id(stage, index as u8).uuid()) } } }
                        @if let Some(external) = run.and_then(|run| run.external.as_ref()) {
                            dt { "In the service" } dd { (change::link(external.url.as_deref(), &html! { code { (shown(&external.id)) } })) }
                        }
                        @if let Some(by) = run.and_then(|run| run.updated_by.as_ref()) { dt { "Answered by" } dd { (name(&by.to_string())) } }
                        @if let Some(revision) = run.and_then(|run| run.revision.as_ref()) {
                            dt { "Revision" } dd { (change::link(revision.url.as_deref(), &html! { code { (shown(&revision.id)) } })) @if let Some(summary) = &revision.summary { (text(summary)) } }
                        }
                        @if let Some(role) = &action.role_arn { dt { "Role" } dd { code { (role) } } }
                    }
                }
                div {
                    h3 class="label" { "Reads" }
                    (artifacts(&details.inputs, action.inputs.iter().map(|it| it.as_str())))
                    h3 class="label" { "Makes" }
                    (artifacts(run.map_or(&[], |run| run.outputs.as_slice()), action.outputs.iter().map(|it| it.as_str())))
                    @if let Some(namespace) = &action.namespace { h3 class="label" { "Variables, in the namespace " code { (namespace) } } } @else { h3 class="label" { "Variables" } }
                    @if details.variables.is_empty() { p class="soft small" { "None." } }
                    (pairs(&details.variables, |_| false))
                }
                div {
                    h3 class="label" { "Configuration" @if details.configuration.is_none() { " as declared" } }
                    @if configuration.is_empty() { p class="soft small" { "None." } }
                    (pairs(configuration, |key| action.is_secret(key)))
                    @if !action.compute.commands.is_empty() {
                        h3 class="label" { "Commands as declared" } pre class="text small" { code { (shown(&action.compute.commands.join("\n"))) } }
                    }
                }
            }
        }
    }
}

/// The place of the last lines of its log, which the script reads in the person's own name.
fn log(
    pipeline: &str,
    action: &Action,
    stage: &StageRun,
    index: usize,
    configuration: &BTreeMap<String, String>,
) -> Markup {
    let run = &stage.actions[index];
    let runs = run.status.in_flight();
    if !(runs || run.external.is_some()) || providers::log(&action.type_id, configuration).is_none() {
        return html! {};
    }
    let id = acts::action_id(stage, index as u8);
    html! {
        div class="log" data-k={ "log-" (id.uuid()) } data-log=(address::log(pipeline, id)) data-runs[runs] {
            h3 class="label" { "Last lines of its log" }
            p class="small soft" { "Reading…" }
            pre class="small" tabindex="0" role="region" aria-label="Last lines of its log" hidden {}
        }
    }
}

fn times(run: &ActionRun, now: i64) -> Markup {
    html! {
        @if let Some(began) = run.requested { dt { "Its turn came" } dd { (absolute(began.0)) ", " (ago(began.0, now)) } }
        @if let (Some(began), Some(updated), false) = (run.requested, run.updated, run.status.in_flight()) {
            dt { "Ended" } dd { (absolute(updated.0)) ", after " (took_words(updated.since(began))) }
        }
        @if let (Some(deadline), true) = (run.deadline, run.status.in_flight()) { dt { "Fails by time-out" } dd { (absolute(deadline.0)) } }
    }
}

fn artifacts<'a>(found: &[Artifact], declared: impl Iterator<Item = &'a str>) -> Markup {
    let declared: Vec<&str> = declared.collect();
    html! {
        dl class="facts" {
            @for declared in &declared {
                dt { (name(declared)) }
                dd {
                    @match found.iter().find(|it| it.name.as_str() == *declared) {
                        Some(artifact) => {
                            code class="small" { "s3://" (shown(&artifact.bucket)) "/" (shown(&artifact.key)) }
                            div class="small soft" {
                                @match &artifact.pin.sha256 {
                                    Some(digest) => { "SHA-256 " code { (shown(digest)) } }
                                    None => { "no digest is known" }
                                }
                                @if let Some(version) = &artifact.pin.version { ", version " code { (shown(version)) } }
                            }
                        }
                        None => { span class="soft" { "not there yet" } }
                    }
                }
            }
        }
        @if declared.is_empty() { p class="soft small" { "Nothing." } }
    }
}

fn pairs(values: &BTreeMap<String, String>, is_secret: impl Fn(&str) -> bool) -> Markup {
    html! {
        dl class="facts" {
            @for (key, value) in values {
                dt { (name(key)) }
                dd { @if is_secret(key) { (MASK) } @else { (text(value)) } }
            }
        }
    }
}
