//! A name and a state, as large as a line of text.

use maud::html;
use pages::{State, shown};

use crate::snapshot::Snapshot;
use crate::svg::{ENOUGH, fitted, mark, picture, text};

const HIGH: u32 = 20;
/// Space on both sides of a text, in pixels.
const PAD: u32 = 7;
/// The widest name, in pixels.
const NAME: u32 = 280;

/// The badge of a pipeline, or of one of its stages: nothing if there is no such stage.
///
/// ```
/// # let snapshot = pictures::Snapshot { pipeline: "shop".into(), stages: vec![] };
/// assert!(pictures::badge(&snapshot, None).unwrap().contains("<title id=\"t\">shop: did not run</title>"));
/// ```
#[must_use]
pub fn badge(snapshot: &Snapshot, stage: Option<&str>) -> Option<String> {
    let Some(stage) = stage else {
        let state = snapshot.state();
        return Some(draw(&snapshot.pipeline, state, state.word()));
    };
    let stage = snapshot.stages.iter().find(|it| it.name == stage)?;
    let (state, word) = stage.seen;
    Some(draw(&format!("{} · {}", snapshot.pipeline, stage.name), state, word))
}

fn draw(name: &str, state: State, word: &str) -> String {
    let left = fitted("", NAME, name).1 + 2 * PAD;
    let right = PAD + 12 + 4 + fitted("word", ENOUGH, word).1 + PAD;
    let wide = left + right;
    let title = format!("{}: {word}", shown(name));
    let content = html! {
        rect class="card" x=".5" y=".5" width=(wide - 1) height=(HIGH - 1) rx="4" {}
        g class=(state.class()) {
            // Its right corners are those of the card.
            path class="tint" d={ "M" (left) " 1h" (right - 5) "a4 4 0 0 1 4 4v10a4 4 0 0 1-4 4H" (left) "z" } {}
            (mark(state, left + PAD, 4))
            (text("word", (left + PAD + 16, 14), ENOUGH, word))
        }
        (text("", (PAD, 14), NAME, name))
    };
    picture(wide, HIGH, &title, "State of a pipeline at Millrace", &content)
}
