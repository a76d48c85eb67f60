//! Times as events, approval messages and people get them, always in UTC.

use engine::Timestamp;

fn format(time: Timestamp, form: &str) -> String {
    jiff::Timestamp::from_millisecond(time.0).map(|it| it.strftime(form).to_string()).unwrap_or_default()
}

/// To the millisecond, for example `2026-11-23T13:49:39.208Z`.
pub(crate) fn exact(time: Timestamp) -> String {
    format(time, "%Y-%m-%dT%H:%M:%S.%3fZ")
}

/// To the minute, as approval messages have it, for example `2026-11-23T20:22Z`.
pub(crate) fn minute(time: Timestamp) -> String {
    format(time, "%Y-%m-%dT%H:%MZ")
}

/// For people, for example `Monday 23 November 2026, 20:22 UTC`.
pub fn minutes(time: Timestamp) -> String {
    format(time, "%A %-d %B %Y, %H:%M UTC")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_in_utc() {
        let time = Timestamp(1_795_465_379_208);
        assert_eq!(exact(time), "2026-11-23T20:22:59.208Z");
        assert_eq!(minute(time), "2026-11-23T20:22Z");
        assert_eq!(minutes(time), "Monday 23 November 2026, 20:22 UTC");
        assert_eq!(exact(Timestamp(1_795_465_379_000)), "2026-11-23T20:22:59.000Z");
    }
}
