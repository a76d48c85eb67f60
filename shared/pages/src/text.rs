//! Whatever came from outside, so that it stays where it stands.
//!
//! maud escapes markup. What is left are characters that change how the text around them reads: controls that turn its
//! direction, and those that show nothing. They are made visible, and each name is a `<bdi>`, which no direction leaves.

use std::borrow::Cow;

use maud::{Markup, html};

/// Whether a character shows nothing and may change what others show. Line ends and tabs are text.
fn is_hidden(character: char) -> bool {
    match character {
        '\n' | '\t' => false,
        // Direction, joiners and other marks that take no room: Unicode's general category Cf, as far as text meets them.
        '\u{ad}'
        | '\u{61c}'
        | '\u{180e}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}'
        // No characters at all: XML may not have them.
        | '\u{fffe}'
        | '\u{ffff}'
        | '\u{e0000}'..='\u{e007f}' => true,
        other => other.is_control(),
    }
}

/// A text with its hidden characters made visible: `[U+202E]`.
#[must_use]
pub fn shown(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    for character in text.replace("\r\n", "\n").chars() {
        if is_hidden(character) {
            shown.push_str(&format!("[U+{:04X}]", u32::from(character)));
        } else {
            shown.push(character);
        }
    }
    Cow::Owned(shown)
}

/// A JSON text that means the same, with the hidden characters of its strings as JSON's escapes: `\u202e`.
#[must_use]
pub fn escaped(json: &str) -> Cow<'_, str> {
    if !json.chars().any(is_hidden) {
        return Cow::Borrowed(json);
    }
    let mut escaped = String::with_capacity(json.len());
    for character in json.chars() {
        if is_hidden(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                escaped.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            escaped.push(character);
        }
    }
    Cow::Owned(escaped)
}

/// A name, on a line with other words.
#[must_use]
pub fn name(name: &str) -> Markup {
    html! { bdi { (shown(name)) } }
}

/// A text of several lines, as it was written.
#[must_use]
pub fn text(text: &str) -> Markup {
    html! { div class="text" dir="auto" { (shown(text)) } }
}

/// An id or digest: its first characters, the whole for whoever asks.
#[must_use]
pub fn id(whole: &str) -> Markup {
    let whole = shown(whole);
    let short: String = whole.chars().take(8).collect();
    html! { code class="id" title=(whole) { (short) } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_turns_or_hides_text_is_made_visible() {
        assert_eq!(shown("a\u{202e}b\u{0}c\u{200b}"), "a[U+202E]b[U+0000]c[U+200B]");
        assert_eq!(shown("two\r\nlines\tand a tab"), "two\nlines\tand a tab".replace("\r\n", "\n"));
        assert!(matches!(shown("Größe 漢字 🙂"), Cow::Borrowed(_)));
    }

    #[test]
    fn what_is_hidden_in_json_is_written_as_json_does() {
        assert_eq!(escaped("{\n\"a\": \"b\u{202e}c\u{e0001}ü\"}"), "{\n\"a\": \"b\\u202ec\\udb40\\udc01ü\"}");
        assert!(matches!(escaped("{}"), Cow::Borrowed(_)));
    }

    #[test]
    fn markup_stays_text() {
        let evil = "<script>alert('x')</script>\"><img src=x onerror=y>";
        for markup in [name(evil), text(evil), id(evil)] {
            let html = markup.into_string();
            assert!(!html.contains("<script") && !html.contains("<img"), "{html}");
        }
    }
}
