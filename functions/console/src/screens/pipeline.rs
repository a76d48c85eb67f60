//! A pipeline as it stands now.

use engine::{Execution, Position, StageRun, StageStatus};
use maud::{Markup, html};
use pages::{State, absolute, name, readable, shown, since};
use pipeline::{ExecutionMode, Pipeline, PipelineName};

use crate::address;
use crate::board::{Board, Column};
use crate::change;
use crate::handler::{Asked, Console, SCRIPT, Screen, Shown};
use crate::screens::flow::{Drawing, Selected};
use crate::screens::{acts, head, history, panel};
use crate::trouble::Trouble;

/// Of what runs in an execution, this much is told above the stages, which show all of it.
const SENTENCES: usize = 3;
/// Executions that have not ended and are told of one by one: those that wait come before others.
const TOLD: usize = 12;
/// Executions below the stages.
const LATEST: usize = 6;

/// A pipeline as it stands now: its stages, its transitions, and what waits where.
pub async fn show(console: &Console, pipeline: &PipelineName, asked: &Asked<'_>) -> Result<Shown, Trouble> {
    let board = console.board(pipeline, asked.execution()?, &asked.address()).await?;
    let tag = board.version.tag();
    if asked.known.as_ref() == Some(&tag) {
        return Ok(Shown::Same(tag));
    }
    let now = console.now();
    let selected = Selected {
        stage: asked.get("stage"),
        action: asked.get("action"),
        open: asked.get("open").parse().ok(),
        execution: asked.get("execution"),
    };
    let panel = panel::show(console, &board, selected, now).await?;
    let home = console.driver.home();
    let recent = console.recent(&[(&board.locks, board.revision)]).await?.pop().unwrap_or_default().executions;
    let latest = recent.get(..LATEST).unwrap_or(&recent);
    // Whatever these stand on, the board has read it for its version.
    let standings = console.standings(&board.head, latest, &mut board.version.clone()).await?;
    let acts = asked.get("execution").is_empty() || board.pipeline.mode() == ExecutionMode::Parallel;
    let main = html! {
        (head(pipeline.as_str(), "", &facts(&board), &acts::start(&board.pipeline)))
        (waits(&board, now))
        @if let Some(chosen) = board.chosen.and_then(|id| board.executions.get(&id)) { (one(&board, chosen)) }
        (Drawing { board: &board, selected, home, now, acts }.draw())
        (panel)
        @if selected.action.is_empty() { p class="soft small" { "Select an action for its inputs, outputs, variables and what it said." } }
        @if !latest.is_empty() { h2 { "Latest executions" } (history::table(pipeline.as_str(), latest, &standings, now)) }
    };
    Ok(Shown::Screen(Screen { title: pipeline.to_string(), main, version: Some(tag), class: "", script: SCRIPT }))
}

fn facts(board: &Board) -> Markup {
    let (mode, means) = match board.pipeline.mode() {
        ExecutionMode::Superseded => ("SUPERSEDED", "Execution mode: newer executions overtake those that wait"),
        ExecutionMode::Queued => ("QUEUED", "Execution mode: executions wait for each other, in their order"),
        ExecutionMode::Parallel => ("PARALLEL", "Execution mode: executions run side by side"),
    };
    html! {
        span class="chip" title=(means) { "mode " (mode) }
        span class="chip" { "version " (board.head.version) }
    }
}

/// That one execution is shown, where that is not all there is.
fn one(board: &Board, chosen: &Execution) -> Markup {
    html! {
        p class="small soft" {
            "The stages show execution "
            a href=(address::execution(board.head.pipeline.as_str(), chosen.id)) { "#" (chosen.number) } ". "
            @if board.pipeline.mode() != ExecutionMode::Parallel { a href=(address::of(board.head.pipeline.as_str(), "")) { "Show what entered each stage last." } }
        }
    }
}

/// What failed, runs or waits, and why: a line for each stage that failed, and for each execution that has not ended.
fn waits(board: &Board, now: i64) -> Markup {
    let mut told = board.open();
    told.sort_by_key(|it| (board.seen(it).0 != State::Waiting, it.number));
    let more = board.count_open().saturating_sub(TOLD);
    told.truncate(TOLD);
    told.sort_by_key(|it| it.number);
    let failed: Vec<_> = board.columns.iter().filter_map(|column| Some((column, failed(column)?))).collect();
    html! {
        @if !failed.is_empty() {
            ul class="now" aria-label="What failed" {
                @for (column, run) in failed.into_iter().take(SENTENCES) { (failure(board, column, run)) }
            }
        }
        @if told.is_empty() {
            p class="now soft small" { "Nothing runs, and nothing waits." }
        } @else {
            ul class="now" aria-label="What runs and what waits" {
                @for execution in told { (line(board, execution, now)) }
            }
            @if more > 0 {
                p class="small soft" { "And " (more) " more, which " a href=(address::of(board.head.pipeline.as_str(), "history")) { "the history" } " lists." }
            }
        }
    }
}

fn failed(column: &Column) -> Option<&StageRun> {
    column.run.as_ref().filter(|run| run.status == StageStatus::Failed)
}

/// A stage that failed: when, and why in the provider's words, where an action did.
fn failure(board: &Board, column: &Column, run: &StageRun) -> Markup {
    let cause = run.actions.iter().find(|action| action.error.is_some());
    let error = cause.and_then(|action| Some((&action.name, action.error.as_ref()?)));
    let number = board.executions.get(&run.execution).map(|it| it.number);
    html! {
        li class="failed" data-k={ "failed-" (column.index) } {
            (State::Failed.badge(State::Failed.word()))
            @if let Some(number) = number { a class="name" href=(address::execution(board.head.pipeline.as_str(), run.execution)) { "#" (number) } }
            span class="why" {
                span {
                    "Stage " (name(run.name.as_str())) " failed"
                    @if let Some(at) = cause.and_then(|action| action.updated) { " at " (absolute(at.0)) }
                }
                @if let Some((action, error)) = error { span class="soft" { (name(action.as_str())) ": " (shown(&error.message)) } }
            }
        }
    }
}

/// What an approval asks people to look at; nothing where variables stand in it, which its panel shows resolved.
fn to_look_at(run: &StageRun, of: &Pipeline, place: u8) -> Option<String> {
    let text = of.action(run.stage, place)?.configuration.get("CustomData")?;
    (!text.contains("#{")).then(|| text.clone())
}

fn line(board: &Board, execution: &Execution, now: i64) -> Markup {
    let found = board.stage_of(execution);
    let (state, word) = board.seen(execution);
    // The stages show one execution, or who entered each last.
    let is_elsewhere = board.chosen.is_some_and(|chosen| chosen != execution.id) || !is_known(board, execution);
    let pipeline = board.head.pipeline.as_str();
    html! {
        li class=(state.class()) data-k=(execution.id) {
            (state.badge(word))
            a class="name" href=(address::execution(pipeline, execution.id)) { "#" (execution.number) }
            span class="why" {
                span { (change::line(execution)) }
                (why(board, execution))
                @if is_elsewhere { a href=(address::with(&address::of(pipeline, ""), &[("execution", &execution.id.to_string())])) { "Show its stages" } }
            }
            span class="small soft" { (change::trigger(&execution.trigger)) ", " (since(execution.started.0, now)) }
            span class="acts" {
                @if let Some((column, run)) = found {
                    @for place in acts::asked(run, &column.of) { (acts::approval(pipeline, run, &column.of, place)) }
                }
                (acts::stop(execution))
            }
        }
    }
}

/// People know executions by their numbers.
fn numbered(board: &Board, sentence: &str) -> String {
    board
        .executions
        .values()
        .fold(sentence.to_owned(), |text, it| text.replace(&it.id.to_string(), &format!("#{}", it.number)))
}

/// Whether it was read where an execution is: the board has who entered each stage last, or one execution.
fn is_known(board: &Board, execution: &Execution) -> bool {
    board.stage_of(execution).is_some() || !matches!(execution.position, Position::In(_))
}

/// Why an execution waits, in the engine's words, and what its approvals ask.
pub fn why(board: &Board, execution: &Execution) -> Markup {
    if !is_known(board, execution) {
        return html! {};
    }
    let found = board.stage_of(execution);
    let (attempt, of) = (found.map(|(_, run)| run), found.map_or(&board.pipeline, |(column, _)| &column.of));
    let sentences = engine::why(execution, of, &board.locks, attempt);
    html! {
        @for sentence in sentences.iter().take(SENTENCES) { span class="soft" { (shown(&readable(&numbered(board, sentence)))) } }
        @if sentences.len() > SENTENCES { span class="soft" { "And " (sentences.len() - SENTENCES) " more." } }
        @if let Some(run) = attempt {
            @for text in acts::asked(run, of).iter().filter_map(|place| to_look_at(run, of, *place)) { span { "It asks: " (shown(&text)) } }
        }
    }
}
