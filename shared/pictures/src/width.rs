//! How wide a text is, without the font that it will have.

use std::borrow::Cow;

use pages::shown;

/// In thousandths of the font's size: rounded from what the faces have in common that systems show by default.
fn of_character(character: char) -> u32 {
    match character {
        'i' | 'j' | 'l' | '.' | ',' | ':' | ';' | '\'' | '|' | '!' => 260,
        ' ' | 'f' | 't' | 'r' | 'I' | '(' | ')' | '[' | ']' | '/' | '-' | '·' => 350,
        'm' | 'w' | 'M' | 'W' | '@' | '%' | '…' => 880,
        'A'..='Z' | '&' | '+' | '<' | '>' | '=' => 670,
        '\u{0}'..='\u{10ff}' => 570,
        // Ideographs and all that is as wide as they are.
        _ => 1_000,
    }
}

/// A text's width in pixels, rounded up, at a font size in pixels.
#[must_use]
pub fn width(text: &str, size: u32) -> u32 {
    (text.chars().map(of_character).sum::<u32>() * size).div_ceil(1_000)
}

/// As much of a text as has room in so many pixels, with what hides or turns text made visible; `…` stands for the rest.
#[must_use]
pub fn cut(text: &str, size: u32, room: u32) -> Cow<'_, str> {
    let text = shown(text);
    if width(&text, size) <= room {
        return text;
    }
    let room = room.saturating_sub(width("…", size)) * 1_000;
    let mut taken = 0;
    let fits = |character: &char| {
        taken += of_character(*character) * size;
        taken <= room
    };
    Cow::Owned(text.chars().take_while(fits).chain(['…']).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_no_more_than_its_room() {
        for text in ["release", "WWWWWWWWWWWWWWWWWWWW", "iiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiii", "漢字漢字漢字漢字", ""]
        {
            let cut = cut(text, 11, 60);
            assert!(width(&cut, 11) <= 60, "{cut}");
            assert_eq!(cut.ends_with('…'), width(text, 11) > 60, "{cut}");
        }
        assert_eq!(cut("a\u{202e}b", 11, 100), "a[U+202E]b");
        assert_eq!(cut("anything", 11, 0), "…");
    }
}
