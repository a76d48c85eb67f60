//! Cron expressions as deployment windows have them: Quartz's, with seconds that mean nothing. Source: CodePipeline
//! user guide, 'DeploymentWindow', whose field table and special characters are Quartz's, and Quartz's documentation
//! for what that page leaves open (`L-3` is three days before the last, a range may run over its end).

use std::fmt;

use jiff::civil::{Date, Time};
use jiff::{RoundMode, ToSpan, Unit, ZonedDateTime, ZonedDateTimeRound};

/// Longest expression that is looked at, in characters.
const LONGEST: usize = 256;

/// Years end here. Source: CodePipeline user guide, 'DeploymentWindow'.
const LAST_YEAR: i16 = 2199;

const MONTHS: [&str; 12] = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

/// Why an expression is refused: which field, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidCron(String);

impl fmt::Display for InvalidCron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The minutes in which a window is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cron {
    minutes: Set,
    hours: Set,
    days: Vec<Day>,
    months: Set,
    weekdays: Vec<Weekday>,
    years: Set,
}

/// Which values of a field are meant.
type Set = Vec<Steps>;

/// Every `step`th value from `from` on; beyond `to` no more, or where `to` comes before, over the field's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Steps {
    from: i16,
    to: i16,
    step: i16,
    /// How many values the field has.
    cycle: i16,
}

/// Which days of a month are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Day {
    On(Steps),
    /// So many days before the last.
    BeforeLast(i8),
    /// The day from Monday to Friday that is nearest to this one, in the same month.
    NearestWorkday(i8),
    LastWorkday,
}

/// Which days of the week are meant; Sunday is 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Weekday {
    On(Steps),
    LastOfMonth(i8),
    /// The so manieth in the month.
    Nth(i8, i8),
}

/// A field while it is read.
#[derive(Clone, Copy)]
struct Field<'a> {
    name: &'static str,
    text: &'a str,
    least: i16,
    most: i16,
    names: &'static [&'static str],
}

impl Cron {
    /// Reads an expression of six or seven fields.
    pub fn parse(text: &str) -> Result<Self, InvalidCron> {
        if text.chars().count() > LONGEST {
            return Err(InvalidCron(format!("it has more than {LONGEST} characters")));
        }
        let upper = text.to_ascii_uppercase();
        let fields: Vec<&str> = upper.split_whitespace().collect();
        let (parts, years) = match fields[..] {
            [s, m, h, d, mo, w] => ([s, m, h, d, mo, w], "*"),
            [s, m, h, d, mo, w, y] => ([s, m, h, d, mo, w], y),
            _ => {
                return Err(InvalidCron(format!(
                    "it has {} fields, and there are six (seconds, minutes, hours, day of month, month, day of week) \
                     and perhaps a year",
                    fields.len()
                )));
            }
        };
        let [seconds, minutes, hours, days, months, weekdays] = parts;
        let field = |name, text, least, most, names| Field { name, text, least, most, names };
        field("seconds", seconds, 0, 59, &[]).set()?;
        match (is_any(days), is_any(weekdays)) {
            (true, true) if days == "?" && weekdays == "?" => {
                return Err(InvalidCron("? is in both the day of month and the day of week".to_owned()));
            }
            (false, false) => {
                let message = "only one of the day of month and the day of week can be given, and the other must be ?";
                return Err(InvalidCron(message.to_owned()));
            }
            _ => {}
        }
        Ok(Self {
            minutes: field("minutes", minutes, 0, 59, &[]).set()?,
            hours: field("hours", hours, 0, 23, &[]).set()?,
            days: field("day of month", days, 1, 31, &[]).parts(Field::day)?,
            months: field("month", months, 1, 12, &MONTHS).set()?,
            weekdays: field("day of week", weekdays, 1, 7, &WEEKDAYS).parts(Field::weekday)?,
            years: field("year", years, 1970, LAST_YEAR, &[]).set()?,
        })
    }

    /// The first minute of the window that has not ended at this time; none when the window never opens again.
    pub fn next(&self, from: &ZonedDateTime) -> Option<ZonedDateTime> {
        let minute = ZonedDateTimeRound::new().smallest(Unit::Minute).mode(RoundMode::Trunc);
        let mut at = from.round(minute).ok()?;
        let mut date = at.date();
        while date.year() <= LAST_YEAR {
            if self.on(date) {
                let tomorrow = date.tomorrow().ok()?;
                while at.date() < tomorrow {
                    if self.at(at.time()) {
                        return Some(at);
                    }
                    at = at.checked_add(1.minute()).ok()?;
                }
            }
            date = date.tomorrow().ok()?;
            while date.year() <= LAST_YEAR && !self.on(date) {
                date = date.tomorrow().ok()?;
            }
            at = date.to_zoned_datetime(from.time_zone().clone()).ok()?;
        }
        None
    }

    fn at(&self, time: Time) -> bool {
        has(&self.hours, time.hour().into()) && has(&self.minutes, time.minute().into())
    }

    fn on(&self, date: Date) -> bool {
        has(&self.years, date.year())
            && has(&self.months, date.month().into())
            && self.days.iter().any(|day| day.is(date))
            && self.weekdays.iter().any(|weekday| weekday.is(date))
    }
}

fn has(set: &Set, value: i16) -> bool {
    set.iter().any(|steps| steps.has(value))
}

fn is_any(text: &str) -> bool {
    text == "?" || text == "*"
}

impl Steps {
    fn has(self, value: i16) -> bool {
        let ahead = |from: i16, to: i16| (to - from).rem_euclid(self.cycle);
        let (reach, distance) = (ahead(self.from, self.to), ahead(self.from, value));
        distance <= reach && distance % self.step == 0
    }
}

/// The day of the week as cron expressions count it: Sunday is 1, Saturday 7.
fn weekday(date: Date) -> i8 {
    date.weekday().to_sunday_one_offset()
}

fn is_workday(date: Date) -> bool {
    (2..=6).contains(&weekday(date))
}

impl Day {
    fn is(self, date: Date) -> bool {
        let (day, last) = (date.day(), date.days_in_month());
        match self {
            Self::On(steps) => steps.has(day.into()),
            Self::BeforeLast(days) => day == last - days,
            Self::NearestWorkday(wanted) => wanted <= last && is_workday(date) && Self::workday(date, wanted) == day,
            Self::LastWorkday => is_workday(date) && Self::workday(date, last) == day,
        }
    }

    /// The workday nearest to a day of this month, without leaving the month.
    fn workday(month: Date, day: i8) -> i8 {
        let last = month.days_in_month();
        let Ok(date) = Date::new(month.year(), month.month(), day) else { return 0 };
        match weekday(date) {
            // Saturday
            7 if day == 1 => 3,
            7 => day - 1,
            // Sunday
            1 if day == last => day - 2,
            1 => day + 1,
            _ => day,
        }
    }
}

impl Weekday {
    fn is(self, date: Date) -> bool {
        match self {
            Self::On(steps) => steps.has(weekday(date).into()),
            Self::LastOfMonth(wanted) => weekday(date) == wanted && date.day() + 7 > date.days_in_month(),
            Self::Nth(wanted, nth) => weekday(date) == wanted && (date.day() - 1) / 7 + 1 == nth,
        }
    }
}

impl Field<'_> {
    fn set(self) -> Result<Set, InvalidCron> {
        self.parts(Self::steps)
    }

    fn parts<T>(self, read: impl Fn(Self, &str) -> Result<T, InvalidCron>) -> Result<Vec<T>, InvalidCron> {
        self.text.split(',').map(|part| read(self, part)).collect()
    }

    fn wrong(self, part: &str) -> InvalidCron {
        InvalidCron(format!("{part:?} is not a valid value for {}", self.name))
    }

    /// A number or a name, within the field's bounds.
    fn value(self, text: &str) -> Result<i16, InvalidCron> {
        let named = self.names.iter().position(|name| *name == text).and_then(|at| i16::try_from(at).ok());
        let value = match named {
            Some(at) => at + self.least,
            None => number(text).ok_or_else(|| self.wrong(text))?,
        };
        if (self.least..=self.most).contains(&value) { Ok(value) } else { Err(self.wrong(text)) }
    }

    /// `*`, `5`, `2-9`, `*/10`, `5/10`, `2-9/3`.
    fn steps(self, part: &str) -> Result<Steps, InvalidCron> {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => {
                let step = number(step).filter(|step| *step > 0).ok_or_else(|| self.wrong(part))?;
                (range, Some(step))
            }
            None => (part, None),
        };
        let (from, to) = match range.split_once('-') {
            _ if range == "*" => (self.least, self.most),
            Some((from, to)) => (self.value(from)?, self.value(to)?),
            None => {
                let from = self.value(range)?;
                (from, if step.is_some() { self.most } else { from })
            }
        };
        // Years do not come again.
        if to < from && self.most == LAST_YEAR {
            return Err(self.wrong(part));
        }
        Ok(Steps { from, to, step: step.unwrap_or(1), cycle: self.most - self.least + 1 })
    }

    fn small(self, text: &str, most: i8) -> Result<i8, InvalidCron> {
        let value = number(text).and_then(|value| i8::try_from(value).ok());
        value.filter(|value| (1..=most).contains(value)).ok_or_else(|| self.wrong(self.text))
    }

    fn day(self, part: &str) -> Result<Day, InvalidCron> {
        if part == "LW" || part == "WL" {
            Ok(Day::LastWorkday)
        } else if part == "L" {
            Ok(Day::BeforeLast(0))
        } else if let Some(days) = part.strip_prefix("L-") {
            Ok(Day::BeforeLast(self.small(days, 30)?))
        } else if let Some(day) = part.strip_suffix('W') {
            Ok(Day::NearestWorkday(self.small(day, 31)?))
        } else {
            Ok(Day::On(self.steps(if self.text == "?" { "*" } else { part })?))
        }
    }

    fn weekday(self, part: &str) -> Result<Weekday, InvalidCron> {
        let one = |text: &str| self.value(text).and_then(|day| i8::try_from(day).map_err(|_| self.wrong(text)));
        if part == "L" {
            Ok(Weekday::On(self.steps("7")?))
        } else if let Some(day) = part.strip_suffix('L') {
            Ok(Weekday::LastOfMonth(one(day)?))
        } else if let Some((day, nth)) = part.split_once('#') {
            Ok(Weekday::Nth(one(day)?, self.small(nth, 5)?))
        } else {
            Ok(Weekday::On(self.steps(if self.text == "?" { "*" } else { part })?))
        }
    }
}

/// A number of digits alone, without a sign.
fn number(text: &str) -> Option<i16> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests;
