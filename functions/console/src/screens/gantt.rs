//! An execution as a timeline: one line for each attempt at a stage and for each action, told apart by how they are drawn: work,
//! waits for a person or in front of a stage, and the gaps between one group of actions and the next.

use driver::ExecutionView;
use engine::{ActionRun, StageRun};
use maud::{Markup, html};
use pages::{absolute, shown, took_words};
use pictures::states;

use crate::screens::scrolling;

/// Where the names end and time begins, in the drawing's own units.
const LEFT: i64 = 230;
/// The width of all time.
const WIDTH: i64 = 900;
/// The height of a line.
const LINE: i64 = 22;
/// Lines that are drawn; of more it is said how many there are.
const MOST: usize = 600;

struct Scale {
    from: i64,
    length: i64,
}

impl Scale {
    fn x(&self, time: i64) -> i64 {
        LEFT + (time - self.from).clamp(0, self.length) * WIDTH / self.length
    }
}

/// What stands on a line.
enum Line<'a> {
    Stage { run: &'a StageRun, before: Option<(i64, i64)> },
    Action { stage: &'a StageRun, place: u8, run: &'a ActionRun, gap: Option<(i64, i64)> },
}

/// When something ended, or now.
fn end(run: &ActionRun, now: i64) -> i64 {
    if run.status.in_flight() { now } else { run.updated.map_or(now, |at| at.0) }
}

fn lines<'a>(view: &'a ExecutionView, now: i64) -> Vec<Line<'a>> {
    let mut stages: Vec<&StageRun> = view.runs.iter().collect();
    stages.sort_by_key(|run| run.started);
    let (mut all, mut ended) = (Vec::new(), view.execution.started.0);
    for run in stages {
        let before = (run.started.0 > ended).then_some((ended, run.started.0));
        all.push(Line::Stage { run, before });
        ended = if run.status.is_open() { now } else { run.updated.0 };
        let mut ran: Vec<(u8, &ActionRun, i64)> =
            run.runs().filter_map(|(place, it)| Some((place, it, it.requested?.0))).collect();
        ran.sort_by_key(|(place, _, began)| (*began, *place));
        for (place, it, began) in &ran {
            // From the end of the last that had ended before, if anything had.
            let last = ran.iter().map(|(_, other, _)| end(other, now)).filter(|end| end <= began).max();
            let gap = last.filter(|last| last < began).map(|last| (last, *began));
            all.push(Line::Action { stage: run, place: *place, run: it, gap });
        }
    }
    all
}

/// Draws an execution's stages and actions along the time, with what lies between them.
pub fn draw(view: &ExecutionView, now: i64) -> Markup {
    let lines = lines(view, now);
    if lines.is_empty() {
        return html! { p class="soft small" { "It has not entered any stage." } };
    }
    let from = view.execution.started.0;
    let last = lines.iter().map(|line| match line {
        Line::Stage { run, .. } => {
            if run.status.is_open() {
                now
            } else {
                run.updated.0
            }
        }
        Line::Action { run, .. } => end(run, now),
    });
    let to = last.max().unwrap_or(now).max(if view.execution.status.is_open() { now } else { 0 });
    let scale = Scale { from, length: (to - from).max(1) };
    let height = LINE * (lines.len().min(MOST) as i64 + 1);
    html! {
        ul class="legend" {
            li { svg viewBox="0 0 24 12" class="gantt" aria-hidden="true" { rect class="work succeeded" x="0" y="1" width="24" height="10" {} } "work" }
            li { svg viewBox="0 0 24 12" class="gantt" aria-hidden="true" { rect class="wait" x="1" y="1" width="22" height="10" {} } "waits for a person, or in front of a stage" }
            li { svg viewBox="0 0 24 12" class="gantt" aria-hidden="true" { rect class="gap" x="1" y="3" width="22" height="6" {} } "between one group and the next" }
        }
        (scrolling("When what ran", &html! { svg class="gantt" viewBox={ "0 0 " (LEFT + WIDTH + 90) " " (height) } width=(LEFT + WIDTH + 90) height=(height) preserveAspectRatio="xMinYMin meet" role="img" aria-label={ "Timeline of execution " (view.execution.number) ", " (took_words(scale.length)) } {
                @for quarter in 0..=4 {
                    @let x = LEFT + WIDTH * quarter / 4;
                    line class="grid" x1=(x) x2=(x) y1=(LINE - 4) y2=(height) {}
                    text class="soft" x=(x) y="12" text-anchor="middle" { (took_words(scale.length * quarter / 4)) }
                }
                @for (place, line) in lines.iter().take(MOST).enumerate() { (drawn(view, line, &scale, (place as i64 + 1) * LINE, now)) }
            } }))
        @if lines.len() > MOST { p class="soft small" { "And " (lines.len() - MOST) " more lines." } }
    }
}

fn label(text: &str, most: usize) -> String {
    let text = shown(text);
    let cut: String = text.chars().take(most).collect();
    if cut.len() < text.len() { format!("{cut}…") } else { cut }
}

fn drawn(view: &ExecutionView, line: &Line<'_>, scale: &Scale, y: i64, now: i64) -> Markup {
    let bar = |class: &str, from: i64, to: i64, top: i64, height: i64| {
        let x = scale.x(from);
        html! { rect class=(class) x=(x) y=(y + top) width=((scale.x(to) - x).max(2)) height=(height) {} }
    };
    match line {
        Line::Stage { run, before } => {
            let (state, word) = states::stage(run, &view.pipeline);
            let to = if run.status.is_open() { now } else { run.updated.0 };
            let attempt = if run.attempt > 1 { format!(" (attempt {})", run.attempt) } else { String::new() };
            html! {
                g class={ "row " (state.class()) } {
                    title { (shown(run.name.as_str())) (attempt) ": " (word) ", " (took_words(to - run.started.0)) ", from " (absolute(run.started.0)) }
                    rect class="hit" x="0" y=(y) width=(LEFT + WIDTH + 90) height=(LINE) {}
                    text x="4" y=(y + 15) font-weight="600" { (label(run.name.as_str(), 24)) (attempt) }
                    @if let Some((from, to)) = before { (bar("wait", *from, *to, 6, 10)) }
                    (bar("work", run.started.0, to, 10, 3))
                }
            }
        }
        Line::Action { stage, place, run, gap } => {
            let declared = view.pipeline.action(stage.stage, *place);
            let (state, word) = states::action(run, declared);
            let (from, to) = (run.requested.map_or(0, |at| at.0), end(run, now));
            let waits = declared.is_some_and(states::is_approval);
            html! {
                g class={ "row " (state.class()) } {
                    title { (shown(run.name.as_str())) ": " (word) ", " (took_words(to - from)) ", from " (absolute(from)) }
                    rect class="hit" x="0" y=(y) width=(LEFT + WIDTH + 90) height=(LINE) {}
                    text x="20" y=(y + 15) { (label(run.name.as_str(), 26)) }
                    @if let Some((from, to)) = gap { (bar("gap", *from, *to, 8, 6)) }
                    (bar(if waits { "wait" } else { "work" }, from, to, 5, 12))
                    text class="soft" x=(scale.x(to) + 6) y=(y + 15) { (took_words(to - from)) @if state == pages::State::Failed { " failed" } }
                }
            }
        }
    }
}
