//! Times: how long ago or how long, and the time itself in UTC behind it. Script counts on; without it they stand as they were.

use std::borrow::Cow;

use jiff::Timestamp;
use maud::{Markup, html};

const SECOND: i64 = 1_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// A time in milliseconds since 1970 as people and programs read it: `2026-11-26 19:12:39 UTC`.
#[must_use]
pub fn absolute(time: i64) -> String {
    let time = Timestamp::from_millisecond(time).unwrap_or_default();
    time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// A sentence with each time in it, which programs write as `2026-11-26T19:12:39Z`, as people read it.
#[must_use]
pub fn readable(sentence: &str) -> Cow<'_, str> {
    let mut words = String::new();
    let mut rest = sentence;
    while let Some((before, time, after)) = first_time(rest) {
        words = words + before + &absolute(time);
        rest = after;
    }
    if words.is_empty() { Cow::Borrowed(sentence) } else { Cow::Owned(words + rest) }
}

/// The first time in a text, in milliseconds since 1970, with what stands before it and behind it.
fn first_time(text: &str) -> Option<(&str, i64, &str)> {
    const LENGTH: usize = "2026-11-26T19:12:39Z".len();
    text.match_indices('T').find_map(|(at, _)| {
        let start = at.checked_sub("2026-11-26".len())?;
        let time = text.get(start..start + LENGTH)?;
        let parsed: Timestamp = time.ends_with('Z').then(|| time.parse().ok()).flatten()?;
        Some((&text[..start], parsed.as_millisecond(), &text[start + LENGTH..]))
    })
}

fn machine(time: i64) -> String {
    Timestamp::from_millisecond(time).unwrap_or_default().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// How long ago a time is. Both in milliseconds since 1970.
#[must_use]
pub fn ago(time: i64, now: i64) -> Markup {
    html! {
        time datetime=(machine(time)) title=(absolute(time)) data-ago { (ago_words(now - time)) }
    }
}

/// How long something has been going on that began then; goes on counting.
#[must_use]
pub fn since(began: i64, now: i64) -> Markup {
    html! {
        time datetime=(machine(began)) title={ "since " (absolute(began)) } data-since { (took_words(now - began)) }
    }
}

/// How long something took, in milliseconds.
#[must_use]
pub fn took(milliseconds: i64) -> Markup {
    html! { span class="took" { (took_words(milliseconds)) } }
}

fn ago_words(milliseconds: i64) -> String {
    match milliseconds {
        ..MINUTE => "just now".to_owned(),
        MINUTE..HOUR => format!("{} min ago", milliseconds / MINUTE),
        HOUR..DAY => format!("{} h ago", milliseconds / HOUR),
        _ => format!("{} d ago", milliseconds / DAY),
    }
}

/// A duration in two units at most: `0.4 s`, `13 s`, `2 m 13 s`, `3 h 5 m`, `2 d 4 h`.
#[must_use]
pub fn took_words(milliseconds: i64) -> String {
    let two = |large: i64, small: i64, units: [&str; 2]| {
        let (whole, rest) = (milliseconds / large, milliseconds % large / small);
        if rest == 0 { format!("{whole} {}", units[0]) } else { format!("{whole} {} {rest} {}", units[0], units[1]) }
    };
    match milliseconds {
        ..0 => "0 s".to_owned(),
        0..10_000 => format!("{}.{} s", milliseconds / SECOND, milliseconds % SECOND / 100),
        10_000..MINUTE => format!("{} s", milliseconds / SECOND),
        MINUTE..HOUR => two(MINUTE, SECOND, ["m", "s"]),
        HOUR..DAY => two(HOUR, MINUTE, ["h", "m"]),
        _ => two(DAY, HOUR, ["d", "h"]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_two_units_at_most() {
        for (milliseconds, words) in [
            (-5, "0 s"),
            (430, "0.4 s"),
            (13_900, "13 s"),
            (60_000, "1 m"),
            (133_000, "2 m 13 s"),
            (11_100_000, "3 h 5 m"),
            (187_200_000, "2 d 4 h"),
        ] {
            assert_eq!(took_words(milliseconds), words);
        }
    }

    #[test]
    fn times_in_sentences_are_for_people() {
        let sentence =
            "The Test waits; it fails at 2026-12-03T19:00:39Z at the latest (asked again by 2026-11-26T19:00:00Z).";
        assert_eq!(
            readable(sentence),
            "The Test waits; it fails at 2026-12-03 19:00:39 UTC at the latest (asked again by 2026-11-26 19:00:00 UTC)."
        );
        for other in ["", "T", "ÄÄÄÄÄT00:00:00Z", "2026-13-03T19:00:39Z", "2026-12-03T19:00:39+", "v2026-12-03T19:00"]
        {
            assert!(matches!(readable(other), Cow::Borrowed(same) if same == other), "{other}");
        }
    }

    #[test]
    fn a_time_has_words_for_people_and_a_date_for_programs() {
        let html = ago(1_795_441_779_208, 1_795_441_779_208 + 3 * HOUR).into_string();
        assert!(html.contains("3 h ago") && html.contains("2026-11-23 13:49:39 UTC"), "{html}");
        assert!(html.contains("datetime=\"2026-11-23T13:49:39Z\""), "{html}");
        assert_eq!((ago_words(-9), ago_words(59_999), ago_words(3 * DAY)).0, "just now");
    }
}
