//! A pipeline as a drawing: its stages from left to right, and in each its actions downwards as they run.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use maud::{Markup, html};
use pages::{State, shown};

use crate::snapshot::{ActionSnapshot, Snapshot, StageSnapshot};
use crate::svg::{ENOUGH, fitted, mark, picture, text};

/// Around the whole, and below the name.
const MARGIN: u32 = 12;
/// What the name of the pipeline takes.
const HEAD: u32 = 30;
/// Between two stages: room for an arrow and a gate.
const BETWEEN: u32 = 52;
/// Inside of a stage, beside its actions.
const PAD: u32 = 12;
/// What the name and the state of a stage take.
const STAGE_HEAD: u32 = 44;
/// Width and height of an action, in pixels.
const CARD: (u32, u32) = (168, 38);
/// Between actions of a group.
const GAP: u32 = 8;
/// Between groups: room for an arrow.
const THEN: u32 = 18;
/// What the words above a group of several take.
const LABEL: u32 = 18;
/// Actions of a group in one row; more of them make further rows.
const SIDE_BY_SIDE: usize = 3;
/// Actions of a stage that the description names, for those who do not see the picture.
const TOLD: usize = 3;

/// The drawing of a pipeline. Its size follows from the number of actions: with the 500 that a pipeline may have, and the longest
/// names, it has less than 400,000 bytes.
#[must_use]
pub fn graph(snapshot: &Snapshot) -> String {
    let columns: Vec<Column<'_>> = snapshot.stages.iter().map(Column::of).collect();
    let high = columns.iter().map(|column| column.high).max().unwrap_or_default();
    let wide: u32 = columns.iter().map(|column| column.wide).sum();
    let between = BETWEEN * u32::try_from(columns.len().saturating_sub(1)).unwrap_or_default();
    let wide = (wide + between + 2 * MARGIN).max(2 * MARGIN + CARD.0);
    let state = snapshot.state();
    let mut x = MARGIN;
    let mut drawn = Vec::with_capacity(columns.len());
    for (index, column) in columns.iter().enumerate() {
        drawn.push(html! {
            @if index > 0 { (way(x - BETWEEN, column.stage.is_closed)) }
            (column.draw(x))
        });
        x += column.wide + BETWEEN;
    }
    let room = wide - 2 * MARGIN - CARD.0 / 2;
    let behind = MARGIN + fitted("name", room, &snapshot.pipeline).1 + 2 * GAP;
    let content = html! {
        defs { @for state in State::ALL { symbol id={ "s-" (state.class()) } viewBox="0 0 16 16" { (state.shape()) } } }
        rect class="paper" width="100%" height="100%" rx="6" {}
        (text("name", (MARGIN, MARGIN + 11), room, &snapshot.pipeline))
        g class=(state.class()) {
            (mark(state, behind, MARGIN + 1))
            (text("word", (behind + 16, MARGIN + 11), ENOUGH, state.word()))
        }
        @for column in drawn { (column) }
    };
    let title = format!("{}: {}", shown(&snapshot.pipeline), state.word());
    picture(wide, HEAD + 2 * MARGIN + high, &title, &about(snapshot), &content)
}

/// A stage, and how much room it takes.
struct Column<'a> {
    stage: &'a StageSnapshot,
    /// Its actions by run order.
    groups: Vec<Vec<&'a ActionSnapshot>>,
    wide: u32,
    high: u32,
}

/// Columns, and the size in pixels, of a group of so many actions.
fn size(actions: usize) -> (u32, u32, u32) {
    let columns = u32::try_from(actions.clamp(1, SIDE_BY_SIDE)).unwrap_or(1);
    if actions < 2 {
        return (columns, CARD.0, CARD.1);
    }
    let rows = u32::try_from(actions.div_ceil(SIDE_BY_SIDE)).unwrap_or(1);
    (columns, columns * (CARD.0 + GAP) + GAP, LABEL + rows * (CARD.1 + GAP))
}

impl<'a> Column<'a> {
    fn of(stage: &'a StageSnapshot) -> Self {
        let mut groups: BTreeMap<u32, Vec<&ActionSnapshot>> = BTreeMap::new();
        for action in &stage.actions {
            groups.entry(action.run_order).or_default().push(action);
        }
        let groups: Vec<Vec<&ActionSnapshot>> = groups.into_values().collect();
        let wide = groups.iter().map(|group| size(group.len()).1).max().unwrap_or(CARD.0);
        let high: u32 = groups.iter().map(|group| size(group.len()).2 + THEN).sum();
        Self { stage, groups, wide: wide + 2 * PAD, high: STAGE_HEAD + high.max(THEN) - THEN + PAD }
    }

    fn draw(&self, x: u32) -> Markup {
        let (state, word) = self.stage.seen;
        let (top, middle) = (MARGIN + HEAD, x + self.wide / 2);
        let room = self.wide - 2 * PAD - 18;
        let mut y = top + STAGE_HEAD;
        let mut groups = Vec::with_capacity(self.groups.len());
        for (index, group) in self.groups.iter().enumerate() {
            let (_, wide, high) = size(group.len());
            groups.push(html! {
                @if index > 0 { path class="way" d={ "M" (middle) " " (y - THEN + 2) "v" (THEN - 4) "m-3-4l3 4 3-4" } {} }
                (together(group, middle - wide / 2, y))
            });
            y += high + THEN;
        }
        html! {
            g class=(state.class()) {
                rect class="stage" x=(x) y=(top) width=(self.wide) height=(self.high) rx="6" {}
                (mark(state, x + PAD, top + 10))
                (text("name", (x + PAD + 18, top + 20), room, &self.stage.name))
                (text("word", (x + PAD + 18, top + 35), room, word))
            }
            @for group in groups { (group) }
        }
    }
}

/// A group: one action, or several that run side by side, in a frame that says so.
fn together(group: &[&ActionSnapshot], x: u32, y: u32) -> Markup {
    if let [action] = group {
        return card(action, x, y);
    }
    let (columns, wide, high) = size(group.len());
    let place = |index: usize| {
        let index = u32::try_from(index).unwrap_or_default();
        (x + GAP + index % columns * (CARD.0 + GAP), y + LABEL + index / columns * (CARD.1 + GAP))
    };
    html! {
        rect class="together" x=(x) y=(y) width=(wide) height=(high) rx="4" {}
        text class="soft" x=(x + GAP) y=(y + 13) { (group.len()) " in parallel" }
        @for (index, action) in group.iter().enumerate() { @let (x, y) = place(index); (card(action, x, y)) }
    }
}

fn card(action: &ActionSnapshot, x: u32, y: u32) -> Markup {
    let (state, word) = action.seen;
    let room = CARD.0 - 34;
    let below = match &action.region {
        Some(region) => format!("{word} · {region}"),
        None => word.to_owned(),
    };
    html! {
        g class=(state.class()) transform={ "translate(" (x) " " (y) ")" } {
            @if fitted("", room, &action.name).0 != action.name { title { (shown(&action.name)) } }
            rect class="card" width=(CARD.0) height=(CARD.1) rx="4" {}
            use class="mark" href={ "#s-" (state.class()) } x="8" y="13" width="12" height="12" {}
            (text("", (28, 16), room, &action.name))
            (text("word", (28, 30), room, &below))
        }
    }
}

/// The way into a stage, which begins here; with a gate where it is closed.
fn way(x: u32, is_closed: bool) -> Markup {
    let y = MARGIN + HEAD + 20;
    html! {
        path class="way" d={ "M" (x + 6) " " (y) "h" (BETWEEN - 12) "m-5-4l5 4-5 4" } {}
        @if is_closed {
            path class="gate" d={ "M" (x + 23) " " (y - 9) "v18m6-18v18" } {}
            text class="shut" text-anchor="middle" x=(x + BETWEEN / 2) y=(y + 22) { "closed" }
        }
    }
}

/// The same in words.
fn about(snapshot: &Snapshot) -> String {
    let mut about = String::new();
    for stage in &snapshot.stages {
        let _ = write!(about, "{}: {}", shown(&stage.name), stage.seen.1);
        let tell = |it: &&ActionSnapshot| ![State::Succeeded, State::DidNotRun].contains(&it.seen.0);
        for action in stage.actions.iter().filter(tell).take(TOLD) {
            let _ = write!(about, ", {} {}", shown(&action.name), action.seen.1);
        }
        about.push_str(if stage.is_closed { "; the transition into it is closed. " } else { ". " });
    }
    about.truncate(about.trim_end().len());
    about
}
