use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::*;
use crate::schedule::time_zone;

fn cron(text: &str) -> Cron {
    Cron::parse(text).unwrap_or_else(|why| panic!("{text}: {why}"))
}

fn time(text: &str, zone: &TimeZone) -> ZonedDateTime {
    text.parse::<jiff::civil::DateTime>().unwrap().to_zoned_datetime(zone.clone()).unwrap()
}

/// The next opening from a time, in UTC, as a text.
fn next(expression: &str, from: &str) -> String {
    let opening = cron(expression).next(&time(from, &TimeZone::UTC));
    opening.map_or("never".to_owned(), |opening| opening.strftime("%Y-%m-%d %H:%M:%S").to_string())
}

#[test]
fn a_window_is_open_in_its_minutes() {
    // 24 November 2026 is a Tuesday.
    for (expression, from, opening) in [
        ("* * * * * *", "2026-11-24T12:34:56", "2026-11-24 12:34:00"),
        ("* * 9-17 ? * MON-FRI *", "2026-11-24T12:34:56", "2026-11-24 12:34:00"),
        ("* * 9-17 ? * MON-FRI *", "2026-11-24T18:00:00", "2026-11-25 09:00:00"),
        ("* * 9-17 ? * MON-FRI", "2026-11-27T18:00:00", "2026-11-30 09:00:00"),
        ("0 0 9-17 ? * MON-FRI *", "2026-11-24T12:34:56", "2026-11-24 13:00:00"),
        ("0 30 6 1 * ? *", "2026-11-24T00:00:00", "2026-12-01 06:30:00"),
        ("* 0/15 * ? * *", "2026-11-24T12:34:56", "2026-11-24 12:45:00"),
        ("* 5/20 * ? * *", "2026-11-24T12:34:56", "2026-11-24 12:45:00"),
        ("* */30 2-8/3 * * ?", "2026-11-24T05:31:00", "2026-11-24 08:00:00"),
        ("* * 22-2 * * ?", "2026-11-24T03:00:00", "2026-11-24 22:00:00"),
        ("* * 22-2 * * ?", "2026-11-24T01:59:59", "2026-11-24 01:59:00"),
        ("* * * ? NOV-FEB *", "2026-03-01T00:00:00", "2026-11-01 00:00:00"),
        ("* * * ? jan,3 *", "2026-02-01T00:00:00", "2026-03-01 00:00:00"),
        ("* 0 0 ? * fri-mon", "2026-11-24T12:00:00", "2026-11-27 00:00:00"),
        ("* 0 0 ? * 1", "2026-11-24T12:00:00", "2026-11-29 00:00:00"),
        ("* * * 1 1 ? 2028", "2026-11-24T12:00:00", "2028-01-01 00:00:00"),
        ("* * * 29 2 ?", "2097-01-01T00:00:00", "2104-02-29 00:00:00"),
        ("* * * ? * * 2026/2", "2027-01-01T00:00:00", "2028-01-01 00:00:00"),
    ] {
        assert_eq!(next(expression, from), opening, "{expression} from {from}");
    }
}

#[test]
fn special_days_of_the_month() {
    for (day, openings) in [
        // 31 January 2026 is a Saturday, 1 February a Sunday, 28 February a Saturday.
        ("L", ["2026-01-31", "2026-02-28"]),
        ("L-3", ["2026-01-28", "2026-02-25"]),
        ("LW", ["2026-01-30", "2026-02-27"]),
        ("1W", ["2026-01-01", "2026-02-02"]),
        ("31W", ["2026-01-30", "2026-03-31"]),
        ("17W", ["2026-01-16", "2026-02-17"]),
        ("18W", ["2026-01-19", "2026-02-18"]),
        ("10,L", ["2026-01-10", "2026-01-31"]),
    ] {
        let expression = format!("* 0 0 {day} * ?");
        let first = next(&expression, "2026-01-01T00:00:00");
        assert_eq!(first, format!("{} 00:00:00", openings[0]), "{day}");
        let second = next(&expression, &format!("{}T00:01:00", openings[0]));
        assert_eq!(second, format!("{} 00:00:00", openings[1]), "{day}");
    }
    // 1 August 2026 is a Saturday: the nearest workday in August is Monday.
    assert_eq!(next("* * * 1W 8 ?", "2026-07-01T00:00:00"), "2026-08-03 00:00:00");
    // 31 May 2026 is a Sunday.
    assert_eq!(next("* * * 31W 5 ?", "2026-05-01T00:00:00"), "2026-05-29 00:00:00");
}

#[test]
fn special_days_of_the_week() {
    for (weekday, opening) in [
        ("L", "2026-11-28"),
        ("6L", "2026-11-27"),
        ("FRIL", "2026-11-27"),
        ("2#1", "2026-12-07"),
        ("TUE#4", "2026-11-24"),
        ("6#5", "2027-01-29"),
        ("MON,WED", "2026-11-25"),
        ("2/2", "2026-11-25"),
    ] {
        let expression = format!("* * * ? * {weekday}");
        assert_eq!(next(&expression, "2026-11-24T00:00:00"), format!("{opening} 00:00:00"), "{weekday}");
    }
}

#[test]
fn a_window_that_does_not_open_again_is_none() {
    for expression in
        ["* * * ? * * 2020", "* * * 30 2 ?", "* * * 31 4,6 ?", "* * * L-30 2 ?", "* * * ? 2 6#5 2025-2027"]
    {
        assert_eq!(next(expression, "2026-11-24T12:00:00"), "never", "{expression}");
    }
    assert_eq!(next("* * * * * *", "2200-01-01T00:00:00"), "never");
    assert_eq!(next("* 59 23 31 12 ? 2199", "2026-11-24T12:00:00"), "2199-12-31 23:59:00");
    assert_eq!(next("* 59 23 31 12 ? 2199", "2200-01-01T00:00:00"), "never");
}

#[test]
fn a_wrong_expression_says_which_field() {
    for (expression, part) in [
        ("", "has 0 fields"),
        ("* * * * *", "has 5 fields"),
        ("* * * * * * * *", "has 8 fields"),
        ("60 * * * * *", "\"60\" is not a valid value for seconds"),
        ("* 60 * * * *", "\"60\" is not a valid value for minutes"),
        ("* x * * * *", "\"x\" is not a valid value for minutes"),
        ("* 1-x * * * *", "\"X\" is not a valid value for minutes"),
        ("* -5 * * * *", "is not a valid value for minutes"),
        ("* 5/0 * * * *", "is not a valid value for minutes"),
        ("* 5/ * * * *", "is not a valid value for minutes"),
        ("* 1,,2 * * * *", "is not a valid value for minutes"),
        ("* ? * * * *", "is not a valid value for minutes"),
        ("* * 24 * * *", "\"24\" is not a valid value for hours"),
        ("* * L * * *", "is not a valid value for hours"),
        ("* * * 0 * ?", "\"0\" is not a valid value for day of month"),
        ("* * * 32W * ?", "is not a valid value for day of month"),
        ("* * * L-31 * ?", "is not a valid value for day of month"),
        ("* * * W * ?", "is not a valid value for day of month"),
        ("* * * MON * ?", "is not a valid value for day of month"),
        ("* * * ? 13 *", "\"13\" is not a valid value for month"),
        ("* * * ? JANUARY *", "is not a valid value for month"),
        ("* * * ? * 0", "\"0\" is not a valid value for day of week"),
        ("* * * ? * 8", "\"8\" is not a valid value for day of week"),
        ("* * * ? * 6#6", "is not a valid value for day of week"),
        ("* * * ? * 6#0", "is not a valid value for day of week"),
        ("* * * ? * #1", "is not a valid value for day of week"),
        ("* * * ? * W", "is not a valid value for day of week"),
        ("* * * ? * * 1969", "\"1969\" is not a valid value for year"),
        ("* * * ? * * 2030-2020", "is not a valid value for year"),
        ("* * * ? * ?", "? is in both"),
        ("* * * 1 * MON", "only one of"),
        ("* * * ?,1 * *", "is not a valid value for day of month"),
    ] {
        let why = Cron::parse(expression).unwrap_err().to_string();
        assert!(why.to_lowercase().contains(&part.to_lowercase()), "{expression}: {why}");
    }
    assert!(Cron::parse(&format!("* {} * * * *", ["1"; 200].join(","))).is_err());
}

#[test]
fn a_window_is_in_the_time_of_its_zone() {
    let zone = time_zone("America/New_York").unwrap();
    let window = cron("* * 9-16 ? * MON-FRI");
    let opening = |from: &str| window.next(&time(from, &zone)).unwrap().timestamp().to_string();
    assert_eq!(opening("2026-11-24T08:59:59"), "2026-11-24T14:00:00Z");
    assert_eq!(opening("2026-07-24T17:00:00"), "2026-07-27T13:00:00Z");
}

#[test]
fn clocks_that_are_put_forward_or_back_open_no_window_that_they_do_not_show() {
    let zone = time_zone("America/New_York").unwrap();
    // 2:30 does not exist on 8 March 2026, and 1:30 comes twice on 1 November.
    let opening = |expression: &str, from: &str| {
        cron(expression).next(&time(from, &zone)).unwrap().strftime("%Y-%m-%d %H:%M %:z").to_string()
    };
    assert_eq!(opening("* 30 2 * * ?", "2026-03-07T03:00:00"), "2026-03-09 02:30 -04:00");
    assert_eq!(opening("* 30 1 * * ?", "2026-10-31T02:00:00"), "2026-11-01 01:30 -04:00");
    let first = cron("* 30 1 * * ?").next(&time("2026-10-31T02:00:00", &zone)).unwrap();
    let after = first.checked_add(1.minute()).unwrap();
    let second = cron("* 30 1 * * ?").next(&after).unwrap();
    assert_eq!(second.strftime("%Y-%m-%d %H:%M %:z").to_string(), "2026-11-01 01:30 -05:00");
}

/// An expression of the forms that fields have, often a valid one.
fn any_expression() -> impl Strategy<Value = String> {
    let field = |most: u8| {
        prop_oneof![
            3 => Just("*".to_owned()),
            2 => (0..=most).prop_map(|value| value.to_string()),
            1 => (0..=most, 0..=most).prop_map(|(from, to)| format!("{from}-{to}")),
            1 => (0..=most, 0..9_u8).prop_map(|(from, step)| format!("{from}/{step}")),
            1 => (0..=most, 0..=most).prop_map(|(one, other)| format!("{one},{other}")),
        ]
    };
    let day = prop_oneof![
        field(31),
        Just("?".to_owned()),
        Just("L".to_owned()),
        Just("LW".to_owned()),
        "[0-9]{1,2}W",
        "L-[0-9]"
    ];
    let weekday = prop_oneof![field(7), Just("?".to_owned()), Just("L".to_owned()), "[1-7]L", "[1-7]#[1-5]"];
    (field(59), field(23), day, field(12), weekday, prop::option::of(2024..2032_u16)).prop_map(
        |(minutes, hours, day, month, weekday, year)| {
            let year = year.map_or_else(String::new, |year| format!(" {year}"));
            format!("0 {minutes} {hours} {day} {month} {weekday}{year}")
        },
    )
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in any::<String>()) {
        let _ = Cron::parse(&text);
    }

    /// The next opening is one, is not before its time, and nothing lies between: looked for minute by minute.
    #[test]
    fn the_next_opening_is_the_first(expression in any_expression(), from in 1_760_000_000_i64..1_800_000_000) {
        let Ok(window) = Cron::parse(&expression) else { return Ok(()) };
        let from = jiff::Timestamp::from_second(from).unwrap().to_zoned_datetime(time_zone("Europe/Berlin").unwrap());
        let open = |at: &ZonedDateTime| window.on(at.date()) && window.at(at.time());
        let opening = window.next(&from);
        let mut at = from.checked_sub(i64::from(from.second()).seconds()).unwrap();
        // Two days and a bit, so that a day's end and a change of the clocks are in it.
        for _ in 0..3000 {
            if open(&at) {
                prop_assert_eq!(opening.as_ref(), Some(&at));
                return Ok(());
            }
            at = at.checked_add(1.minute()).unwrap();
        }
        if let Some(opening) = opening {
            prop_assert!(opening >= at && open(&opening));
        }
    }
}
