//! Time zones as deployment windows name them. Source: CodePipeline user guide, 'DeploymentWindow': `Region/City`, `UTC`
//! with or without an offset, or an abbreviation.

use jiff::tz::{Offset, TimeZone, TimeZoneDatabase};

/// Abbreviations, most of which mean several zones: these are what Java takes them for, as the page leads to a table of
/// Java's names. Source: `java.time.ZoneId`, `SHORT_IDS`.
const SHORT: &[(&str, &str)] = &[
    ("ACT", "Australia/Darwin"),
    ("AET", "Australia/Sydney"),
    ("AGT", "America/Argentina/Buenos_Aires"),
    ("ART", "Africa/Cairo"),
    ("AST", "America/Anchorage"),
    ("BET", "America/Sao_Paulo"),
    ("BST", "Asia/Dhaka"),
    ("CAT", "Africa/Harare"),
    ("CNT", "America/St_Johns"),
    ("CST", "America/Chicago"),
    ("CTT", "Asia/Shanghai"),
    ("EAT", "Africa/Addis_Ababa"),
    ("ECT", "Europe/Paris"),
    ("EST", "UTC-05:00"),
    ("HST", "UTC-10:00"),
    ("IET", "America/Indiana/Indianapolis"),
    ("IST", "Asia/Kolkata"),
    ("JST", "Asia/Tokyo"),
    ("MIT", "Pacific/Apia"),
    ("MST", "UTC-07:00"),
    ("NET", "Asia/Yerevan"),
    ("NST", "Pacific/Auckland"),
    ("PLT", "Asia/Karachi"),
    ("PNT", "America/Phoenix"),
    ("PRT", "America/Puerto_Rico"),
    ("PST", "America/Los_Angeles"),
    ("SST", "Pacific/Guadalcanal"),
    ("VST", "Asia/Ho_Chi_Minh"),
];

/// Hours from UTC that an offset can have at most.
const MOST_HOURS: i8 = 18;

/// The zone of this name, if there is one.
pub fn time_zone(name: &str) -> Option<TimeZone> {
    let name = SHORT.iter().find(|(short, _)| *short == name).map_or(name, |(_, zone)| zone);
    match name.strip_prefix("UTC") {
        Some("") => Some(TimeZone::UTC),
        Some(offset) => fixed(offset),
        // Not the system's: the same name is the same zone on every machine.
        None => TimeZoneDatabase::bundled().get(name).ok(),
    }
}

/// A zone with a fixed offset from UTC, such as `+05:30`.
fn fixed(offset: &str) -> Option<TimeZone> {
    let (hours, minutes) = offset.get(1..)?.split_once(':')?;
    let digits = |text: &str| if text.len() == 2 { text.parse::<u8>().ok() } else { None };
    let (hours, minutes) = (i8::try_from(digits(hours)?).ok()?, i32::from(digits(minutes)?));
    let sign = match offset.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    if minutes > 59 || hours > MOST_HOURS {
        return None;
    }
    Offset::from_seconds(sign * (i32::from(hours) * 3600 + minutes * 60)).ok().map(TimeZone::fixed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_name_is_a_zone() {
        for (name, at_new_year) in [
            ("UTC", "2026-01-01T00:00:00+00:00"),
            ("UTC+05:30", "2026-01-01T05:30:00+05:30"),
            ("UTC-03:00", "2025-12-31T21:00:00-03:00"),
            ("America/New_York", "2025-12-31T19:00:00-05:00"),
            ("America/Argentina/Buenos_Aires", "2025-12-31T21:00:00-03:00"),
            ("Europe/Berlin", "2026-01-01T01:00:00+01:00"),
            ("PST", "2025-12-31T16:00:00-08:00"),
            ("EST", "2025-12-31T19:00:00-05:00"),
            ("IST", "2026-01-01T05:30:00+05:30"),
            ("CET", "2026-01-01T01:00:00+01:00"),
            ("GMT", "2026-01-01T00:00:00+00:00"),
        ] {
            let new_year: jiff::Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
            let local = new_year.to_zoned_datetime(time_zone(name).unwrap_or_else(|| panic!("{name}")));
            assert_eq!(local.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(), at_new_year, "{name}");
        }
    }

    #[test]
    fn every_abbreviation_is_known() {
        for (short, _) in SHORT {
            assert!(time_zone(short).is_some(), "{short}");
        }
    }

    #[test]
    fn what_is_no_zone_is_none() {
        for name in
            ["", "XYZ", "Mars/Base", "UTC+5", "UTC+05", "UTC+05:60", "UTC+19:00", "UTC 01:00", "UTC+é1:00", "+01:00"]
        {
            assert!(time_zone(name).is_none(), "{name}");
        }
    }
}
