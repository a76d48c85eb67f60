//! What the value of a configuration key may be.

use crate::schedule::{Cron, time_zone};
use crate::variables::references;

/// What the value of a configuration key may be, where nothing else is said: any text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueKind {
    /// Any text; nothing is checked.
    Text,
    /// `true` or `false`, in any case.
    Boolean,
    /// A whole number that is not negative.
    Number,
    /// Exactly one of these words, in this spelling.
    OneOf(&'static [&'static str]),
    /// Some of these words, with commas between them.
    SomeOf(&'static [&'static str]),
    /// A cron expression, as [`Cron`] reads it.
    Cron,
    /// A time zone that [`time_zone`] knows.
    TimeZone,
}

impl ValueKind {
    /// Checks a value as it is declared. One that names variables passes: only the run of the action knows it.
    ///
    /// # Errors
    /// What the value must be, in words that do not repeat it: it may be a secret in the wrong place.
    pub fn check(self, value: &str) -> Result<(), String> {
        if self == Self::Text || !references(value).is_empty() {
            return Ok(());
        }
        let holds = match self {
            Self::Text => true,
            Self::Boolean => value.eq_ignore_ascii_case("true") || value.eq_ignore_ascii_case("false"),
            Self::Number => value.trim().parse::<u32>().is_ok(),
            Self::OneOf(words) => words.contains(&value),
            Self::SomeOf(words) => value.split(',').all(|word| words.contains(&word.trim())),
            Self::Cron => {
                return Cron::parse(value).map(|_| ()).map_err(|why| format!("must be a cron expression: {why}"));
            }
            Self::TimeZone => time_zone(value).is_some(),
        };
        if holds { Ok(()) } else { Err(self.expectation()) }
    }

    fn expectation(self) -> String {
        match self {
            Self::Text => "may be any text".to_owned(),
            Self::Boolean => "must be true or false".to_owned(),
            Self::Number => "must be a whole number".to_owned(),
            Self::OneOf(words) => format!("must be one of {}", words.join(", ")),
            Self::SomeOf(words) => format!("must be a list, with commas, of some of {}", words.join(", ")),
            Self::Cron => "must be a cron expression".to_owned(),
            Self::TimeZone => {
                "must be a time zone such as Europe/Berlin, UTC, UTC+05:30 or an abbreviation such as PST".to_owned()
            }
        }
    }

    /// The API's name for it: `Boolean`, `Number` or `String`. Source: CodePipeline API,
    /// `ActionConfigurationPropertyType` and `RuleConfigurationPropertyType`.
    pub fn api_name(self) -> &'static str {
        match self {
            Self::Boolean => "Boolean",
            Self::Number => "Number",
            Self::Text | Self::OneOf(_) | Self::SomeOf(_) | Self::Cron | Self::TimeZone => "String",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_takes_its_values_and_says_what_it_takes() {
        const WORDS: &[&str] = &["OK", "ALARM"];
        for (kind, good, bad, says) in [
            (ValueKind::Boolean, &["true", "FALSE"][..], &["maybe", "1", " true"][..], "true or false"),
            (ValueKind::Number, &["0", " 20 "], &["-1", "1.5", "soon"], "whole number"),
            (ValueKind::OneOf(WORDS), &["OK"], &["ok", "OK,ALARM"], "one of OK, ALARM"),
            (ValueKind::SomeOf(WORDS), &["OK", "ALARM, OK"], &["", "OK,", "OK ALARM"], "some of OK, ALARM"),
            (ValueKind::Cron, &["0 0 9-17 ? * MON-FRI *"], &["daily"], "cron expression: "),
            (ValueKind::TimeZone, &["UTC", "Europe/Berlin", "UTC+05:30"], &["Mars/Base", "CEST+2"], "Europe/Berlin"),
        ] {
            for value in good {
                assert_eq!(kind.check(value), Ok(()), "{value}");
            }
            for value in bad {
                let why = kind.check(value).unwrap_err();
                assert!(why.contains(says), "{value}: {why}");
            }
            assert_eq!(kind.check("#{variables.Later}"), Ok(()));
        }
        assert_eq!(ValueKind::Text.check("anything"), Ok(()));
    }
}
