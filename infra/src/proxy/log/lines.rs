//! What was written as text that a page can show.

use anstream::adapter::strip_str;
use pages::shown;

/// Lines of one answer.
pub const LINES: usize = 200;
/// The longest line, in bytes; of longer ones the beginning is shown.
const LINE: usize = 2_000;
/// All lines together, in bytes; of more, the last.
const BYTES: usize = 64 * 1024;

/// The last lines of these messages: colours and other commands to a terminal are left out, what hides or turns text is made visible.
pub fn plain<'a>(messages: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut lines: Vec<String> = messages.flat_map(lines_of).collect();
    let mut bytes = 0;
    let kept = lines.iter().rev().take(LINES).take_while(|line| {
        bytes += line.len() + 1;
        bytes <= BYTES
    });
    let kept = kept.count();
    lines.drain(..lines.len() - kept);
    lines
}

/// Some runtimes of Lambda part the lines of one message by carriage returns, and so do bars that show progress.
fn lines_of(message: &str) -> impl Iterator<Item = String> {
    let message = message.trim_end_matches(['\r', '\n']).replace("\r\n", "\n").replace('\r', "\n");
    let lines: Vec<String> = message.split('\n').map(line).collect();
    lines.into_iter()
}

fn line(text: &str) -> String {
    let bare = strip_str(text).to_string();
    match bare.len() > LINE {
        true => format!("{}…", shown(&bare[..bare.floor_char_boundary(LINE)])),
        false => shown(&bare).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(messages: &[&str]) -> Vec<String> {
        plain(messages.iter().copied())
    }

    #[test]
    fn commands_to_a_terminal_are_left_out_and_what_hides_is_shown() {
        let coloured =
            "\u{1b}[1;31merror\u{1b}[0m: no \u{1b}]8;;https://example.com\u{1b}\\gate\u{1b}]8;;\u{1b}\\\u{1b}[2K\n";
        assert_eq!(of(&[coloured]), ["error: no gate"]);
        assert_eq!(of(&["a\u{202e}b\u{200b}<script>"]), ["a[U+202E]b[U+200B]<script>"]);
        assert_eq!(of(&["\u{1b}[", "\u{1b}]8;;never ends"]).len(), 2);
        assert!(!of(&["bell\u{7}, null\u{0}, escape\u{1b}"])[0].contains(['\u{7}', '\u{0}', '\u{1b}']));
    }

    #[test]
    fn one_message_may_have_many_lines() {
        assert_eq!(of(&["one\r\ntwo\rthree\n\nfour\r\n", ""]), ["one", "two", "three", "", "four", ""]);
    }

    #[test]
    fn the_last_lines_are_kept_within_limits() {
        let many: Vec<String> = (0..1_000).map(|number| number.to_string()).collect();
        let lines = plain(many.iter().map(String::as_str));
        assert_eq!((lines.len(), lines[0].as_str(), lines[199].as_str()), (200, "800", "999"));
        let long = "ä".repeat(100_000);
        let lines = plain(std::iter::repeat_n(long.as_str(), 100));
        assert!(lines.iter().all(|line| line.len() <= LINE + 3 && line.ends_with('…')));
        let bytes: usize = lines.iter().map(|line| line.len() + 1).sum();
        assert!(bytes <= BYTES && bytes > BYTES - 2 * LINE, "{bytes}");
    }
}
