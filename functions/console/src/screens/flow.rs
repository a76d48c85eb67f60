//! The stages of a pipeline, drawn: a channel from left to right, with a gate before each stage, and in each stage the groups of
//! its actions from top to bottom, those of one group side by side.

use engine::{ActionRun, ConditionRun, Execution, StageLock, StageRun};
use maud::{Markup, html};
use pages::{State, ago, name, shown, since, took, took_words};
use pictures::states;
use pipeline::{Action, Condition, ConditionKind, ExecutionMode, PipelineType};

use crate::address;
use crate::board::{Board, Column, WAITING};
use crate::change;
use crate::screens::acts;

/// What is selected on the page.
#[derive(Clone, Copy, Debug)]
pub struct Selected<'a> {
    /// A stage's name; empty where nothing is selected.
    pub stage: &'a str,
    /// The name of an action in it.
    pub action: &'a str,
    /// The execution that the page shows, as the address names it; empty for who entered each stage last.
    pub execution: &'a str,
}

/// From so many stages on, a map stands above the drawing.
const MAPPED: usize = 5;
/// How much of a failure's message a card shows, in characters; the panel has all of it.
const SAID: usize = 240;

/// The drawing. `acts`: whether its buttons are there.
pub fn draw(board: &Board, selected: Selected<'_>, home: &str, now: i64, acts: bool) -> Markup {
    html! {
        @if board.columns.len() >= MAPPED { (map(board)) }
        div class="flow" id="flow" {
            @for (place, column) in board.columns.iter().enumerate() {
                (gate(board, column, place, now, acts))
                (stage(board, column, place, selected, home, now, acts))
            }
        }
    }
}

/// All stages on one line, each a link to its place in the drawing.
fn map(board: &Board) -> Markup {
    html! {
        nav class="map" aria-label="Stages" {
            ol class="strip" {
                @for (place, column) in board.columns.iter().enumerate() {
                    @let (state, word) = seen(column);
                    @let words = format!("{}: {word}", shown(column.stage().name.as_str()));
                    li class=(state.class()) { a href={ "#stage-" (place) } title=(words) { (state.mark_as(&words)) } }
                }
            }
        }
    }
}

fn seen(column: &Column) -> states::Seen {
    column.run.as_ref().map_or((State::DidNotRun, State::DidNotRun.word()), |run| states::stage(run, &column.of))
}

fn gate(board: &Board, column: &Column, place: usize, now: i64, acts: bool) -> Markup {
    let nobody = StageLock::default();
    let lock = column.lock.as_ref().unwrap_or(&nobody);
    let closed = lock.transition.disabled;
    // Nothing comes before the first stage but executions that wait for it.
    if place == 0 && lock.waiting.is_empty() && !closed {
        return html! { div class="first" {} };
    }
    let stage = column.stage();
    let goods: Vec<_> = goods(column);
    let wide = closed || !lock.waiting.is_empty();
    html! {
        div class={ "gate" @if closed { " closed" } @if wide { " wide" } } data-k={ "gate-" (place) } {
            (drawn(closed))
            @if column.lock.is_some() {
                p class="state" {
                    @if closed { "closed" @if let Some(by) = lock.transition.changed_by.as_deref().filter(|by| !by.is_empty()) { " by " bdi title=(shown(by)) { (shown(by.rsplit(['/', ':']).next().unwrap_or(by))) } } }
                    @else { span class="vh" { "The gate into " (stage.name) " is open" } }
                }
                @if closed {
                    @if let Some(reason) = lock.transition.reason.as_deref() { p class="text" { "“" (name(reason)) "”" } }
                    @if let Some(at) = lock.transition.changed_at { p { (ago(at.0, now)) } }
                }
            }
            @if !goods.is_empty() {
                ul class="goods" aria-label={ "Artifacts into " (stage.name) } {
                    @for artifact in &goods { li class="chip" title=(artifact.0) { (artifact.1) } }
                }
            }
            @if !lock.waiting.is_empty() {
                ol class="queue" aria-label={ "In front of " (stage.name) } {
                    @for waiting in lock.waiting.iter().take(WAITING) {
                        li {
                            a href=(address::execution(board.head.pipeline.as_str(), waiting.execution)) { "#" (waiting.number) }
                            " " @if let Some(it) = board.executions.get(&waiting.execution) { (change::line(it)) }
                            " " span class="soft" { (since(waiting.since.0, now)) }
                        }
                    }
                    @if lock.waiting.len() > WAITING { li { "and " (lock.waiting.len() - WAITING) " more" } }
                }
            }
            @if acts && place > 0 && column.lock.is_some() { (acts::transition(board.head.pipeline.as_str(), &stage.name, closed)) }
        }
    }
}

/// The artifacts that a stage reads from earlier ones: who made each, and its name.
fn goods(column: &Column) -> Vec<(String, String)> {
    let mut seen = Vec::new();
    for input in column.stage().actions.iter().flat_map(|action| &action.inputs) {
        let Some((stage, action)) = column.of.producer(input) else { continue };
        if stage >= column.index || seen.iter().any(|(_, known)| known == input.as_str()) {
            continue;
        }
        let from = &column.of.stages()[stage];
        seen.push((format!("{input}, made by {} in {}", from.actions[action].name, from.name), input.to_string()));
    }
    seen
}

fn drawn(closed: bool) -> Markup {
    let (top, height) = if closed { (11, 20) } else { (1, 12) };
    html! {
        svg viewBox="0 0 100 40" preserveAspectRatio="none" aria-hidden="true" {
            path class="bank" d="M0 14H100M0 30H100" {}
            path class="water" d="M0 20q6-4 12 0t12 0 12 0 8 0M0 26q6-4 12 0t12 0 12 0 8 0" {}
            path class="water after" d="M56 20q6-4 12 0t12 0 12 0 8 0M56 26q6-4 12 0t12 0 12 0 8 0" {}
            path class="post" d="M45 1V33M55 1V33" {}
            rect class="board" x="46.5" y=(top) width="7" height=(height) {}
        }
    }
}

fn stage(
    board: &Board,
    column: &Column,
    place: usize,
    selected: Selected<'_>,
    home: &str,
    now: i64,
    acts: bool,
) -> Markup {
    let (state, word) = seen(column);
    let declared = column.stage();
    let run = column.run.as_ref();
    let execution = run.and_then(|run| board.executions.get(&run.execution));
    html! {
        section class={ "stage " (state.class()) } id={ "stage-" (place) } aria-label=(shown(declared.name.as_str())) {
            header {
                div class="title" { h2 class="thing" { (name(declared.name.as_str())) } (state.badge(word)) }
                @match (run, execution) {
                    (Some(run), Some(execution)) => {
                        p class="rev" {
                            a href=(address::execution(board.head.pipeline.as_str(), execution.id)) { "#" (execution.number) } " "
                            @if run.rolls_back { "rolls back to " }
                            (change::line(execution))
                        }
                        p class="small soft" {
                            @if run.status.is_open() { "for " (since(run.started.0, now)) }
                            @else { (ago(run.updated.0, now)) ", took " (took(run.updated.since(run.started))) }
                            @if run.attempt > 1 { ", attempt " (run.attempt) }
                        }
                    }
                    (Some(_), None) => { p class="small soft" { "of an execution that is no longer kept" } }
                    _ => { p class="small soft" { "nothing has been here" } }
                }
            }
            (groups(board, column, selected, home, now, acts))
            @if acts { (stage_acts(board, column)) }
        }
    }
}

fn stage_acts(board: &Board, column: &Column) -> Markup {
    let Some(run) = &column.run else { return html! {} };
    let pipeline = board.head.pipeline.as_str();
    let asked = acts::asked(run, &column.of);
    let failed = run.status == engine::StageStatus::Failed;
    let rolls_back = board.pipeline.kind() == PipelineType::V2 && board.pipeline.mode() != ExecutionMode::Parallel;
    let back = rolls_back && column.index > 0 && !run.status.is_open();
    html! {
        @if failed || back || !asked.is_empty() {
            div class="acts" {
                @for place in asked { (acts::approval(pipeline, run, &column.of, place)) }
                @if failed { (acts::retry(pipeline, run)) }
                @if back { a class="button quiet" href=(address::with(&address::of(pipeline, "rollback"), &[("stage", run.name.as_str())])) { "Roll back…" } }
            }
        }
    }
}

fn groups(board: &Board, column: &Column, selected: Selected<'_>, home: &str, now: i64, acts: bool) -> Markup {
    let declared = column.stage();
    let condition = |kind| declared.condition(kind).map(|it| conditioned(board, column, kind, it, now, acts));
    html! {
        div class="groups" {
            (condition(ConditionKind::BeforeEntry).unwrap_or_default())
            @for order in declared.run_orders() {
                @let group: Vec<(usize, &Action)> = declared.actions.iter().enumerate().filter(|(_, it)| it.run_order == order).collect();
                @let side = match group.len() { 1 => "", 2 | 4 => " side c2", 3 => " side c3", _ => " side c4" };
                div class={ "group" (side) } data-k={ "group-" (order) } {
                    @if group.len() > 1 { p class="label" { (group.len()) " side by side" } }
                    ul class="actions" {
                        @for (index, action) in group { li data-k=(action.name) { (card(board, column, index, action, selected, home, now)) } }
                    }
                }
            }
            (condition(ConditionKind::OnSuccess).unwrap_or_default())
            (condition(ConditionKind::OnFailure).unwrap_or_default())
        }
    }
}

fn card(
    board: &Board,
    column: &Column,
    index: usize,
    action: &Action,
    selected: Selected<'_>,
    home: &str,
    now: i64,
) -> Markup {
    let run = column.run.as_ref().and_then(|stage| stage.actions.get(index));
    let (state, word) =
        run.map_or((State::DidNotRun, State::DidNotRun.word()), |run| states::action(run, Some(action)));
    let stage = column.stage().name.as_str();
    let here = (selected.stage == stage && selected.action == action.name.as_str()).then_some("true");
    let query = [("execution", selected.execution), ("stage", stage), ("action", action.name.as_str())];
    let target = address::with(&address::of(board.head.pipeline.as_str(), ""), &query);
    let region = action.region.as_ref().map(|region| region.as_str()).filter(|region| *region != home);
    let failure = run.and_then(|run| run.error.as_ref()).filter(|_| state == State::Failed);
    html! {
        a class={ "action " (state.class()) } href={ (target) "#panel" } data-soft aria-current=[here] {
            (state.mark_as(word))
            span class="an" { (name(action.name.as_str())) }
            span class="t" { (duration(run, now)) }
            span class="who" {
                (shown(&action.type_id.provider))
                @if let Some(region) = region { " " span class="chip" { (region) } }
                @if let Some(percent) = run.filter(|run| run.status.in_flight()).and_then(|run| run.percent) { " " (percent) " %" }
                @if state == State::Waiting { " " strong { "waits for a person" } }
            }
            @if let Some(failure) = failure { span class="said" { (cut(&failure.message)) } }
        }
    }
}

/// How long an action has taken, or has been going on.
pub fn duration(run: Option<&ActionRun>, now: i64) -> Markup {
    match run.and_then(|run| Some((run, run.requested?))) {
        Some((run, began)) if run.status.in_flight() => since(began.0, now),
        Some((run, began)) => html! { (took_words(run.updated.unwrap_or(began).since(began))) },
        None => html! {},
    }
}

fn cut(message: &str) -> String {
    let message = shown(message);
    let mut cut: String = message.chars().take(SAID).collect();
    if cut.len() < message.len() {
        cut.push('…');
    }
    cut
}

fn conditioned(
    board: &Board,
    column: &Column,
    kind: ConditionKind,
    declared: &Condition,
    now: i64,
    acts: bool,
) -> Markup {
    let run: Option<(&StageRun, &ConditionRun)> =
        column.run.as_ref().and_then(|stage| Some((stage, stage.condition(kind)?)));
    let (state, word) = run.map_or((State::DidNotRun, State::DidNotRun.word()), |(_, it)| states::condition(it.status));
    let title = match kind {
        ConditionKind::BeforeEntry => "Entry condition",
        ConditionKind::OnSuccess => "Success condition",
        ConditionKind::OnFailure => "Failure condition",
    };
    let overridable = run.is_some_and(|(_, it)| {
        matches!(it.status, engine::ConditionStatus::Failed | engine::ConditionStatus::InProgress)
    });
    html! {
        div class={ "cond " (state.class()) } data-k={ "condition-" (title) } {
            div { strong { (title) } " " (state.badge(word)) }
            ul class="rules" {
                @for (index, rule) in declared.rules.iter().enumerate() {
                    @let ran = run.and_then(|(_, it)| it.rules.get(index));
                    @let (state, word) = ran.map_or((State::DidNotRun, "did not run"), |run| states::action(run, Some(rule)));
                    li {
                        (state.mark_as(word)) " " (name(rule.name.as_str())) " " span class="soft" { (shown(&rule.type_id.provider)) " " (duration(ran, now)) }
                        @if let Some(error) = ran.and_then(|run| run.error.as_ref()) { div class="text small" { (cut(&error.message)) } }
                    }
                }
            }
            @if let Some(by) = run.and_then(|(_, it)| it.overridden_by.as_deref()) { p class="small soft" { "overridden by " (name(by)) } }
            @if let (true, true, Some((stage, _))) = (acts, overridable, run) {
                div class="acts" { (acts::override_condition(board.head.pipeline.as_str(), stage, kind)) }
            }
        }
    }
}

/// The attempt and the execution of a stage, where both are there.
pub fn of<'a>(board: &'a Board, column: &'a Column) -> Option<(&'a StageRun, &'a Execution)> {
    let run = column.run.as_ref()?;
    Some((run, board.executions.get(&run.execution)?))
}
