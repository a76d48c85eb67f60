//! What both pictures are made of.

use std::borrow::Cow;

use maud::{Markup, PreEscaped, html};
use pages::{PICTURE_STYLE, State};

use crate::width::{cut, width};

/// The size of all text, in pixels.
const SIZE: u32 = 11;
/// How much wider the heavier classes of text are, in percent of the others.
const HEAVY: u32 = 108;
/// For texts of our own, which are short.
pub const ENOUGH: u32 = 1_000;

/// A text of a class as it is drawn where it has so much room, and its width.
pub fn fitted<'a>(class: &str, room: u32, text: &'a str) -> (Cow<'a, str>, u32) {
    let percent = if ["name", "word"].contains(&class) { HEAVY } else { 100 };
    let text = cut(text, SIZE, room * 100 / percent);
    let length = width(&text, SIZE) * percent / 100;
    (text, length)
}

/// A whole picture of this size. `title` and `about` say what it shows to those who do not see it.
pub fn picture(wide: u32, high: u32, title: &str, about: &str, content: &Markup) -> String {
    let svg = html! {
        svg xmlns="http://www.w3.org/2000/svg" width=(wide) height=(high) viewBox={ "0 0 " (wide) " " (high) } role="img" aria-labelledby="t d" {
            title id="t" { (title) }
            desc id="d" { (about) }
            style { (PreEscaped(PICTURE_STYLE)) }
            (content)
        }
    };
    svg.into_string()
}

/// A text that begins here and has at most so much room.
pub fn text(class: &str, (x, y): (u32, u32), room: u32, text: &str) -> Markup {
    let (text, length) = fitted(class, room, text);
    html! { text class=(class) x=(x) y=(y) textLength=(length) lengthAdjust="spacingAndGlyphs" { (text) } }
}

/// The mark of a state, 12 pixels wide and high.
pub fn mark(state: State, x: u32, y: u32) -> Markup {
    html! { svg class="mark" x=(x) y=(y) width="12" height="12" viewBox="0 0 16 16" { (state.shape()) } }
}
