//! What both pictures are made of.

use maud::{Markup, PreEscaped, html};
use pages::{PICTURE_STYLE, State};

use crate::width::{cut, width};

/// The size of all text, in pixels.
pub const SIZE: u32 = 11;

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
    let text = cut(text, SIZE, room);
    let length = width(&text, SIZE);
    html! { text class=(class) x=(x) y=(y) textLength=(length) lengthAdjust="spacingAndGlyphs" { (text) } }
}

/// The mark of a state, 12 pixels wide and high.
pub fn mark(state: State, x: u32, y: u32) -> Markup {
    html! { svg class="mark" x=(x) y=(y) width="12" height="12" viewBox="0 0 16 16" { (state.shape()) } }
}
