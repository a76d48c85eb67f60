//! The model's constraints, walked over a decoded input: required members, lengths, ranges, patterns, enumerations.
//!
//! The SDK's types cannot tell a missing required member from a default, so the walk goes over the value as it was sent.
//! Messages have the form of AWS's own; what is wrong is said for every member, in the model's order.

pub(crate) mod table;

use serde_json::Value;

pub(crate) use table::table;
use table::{Bounds, Shape, Text};

use crate::{ApiError, Exception, Operation};

/// How many violations are spelt out; the count names all of them.
const MAX_LISTED: usize = 50;
/// How many characters of a caller's value or key are echoed.
const MAX_ECHO: usize = 256;
/// The last second of the year 9999: no later time can be written as a date.
const MAX_SECONDS: f64 = 253_402_300_799.0;

/// Checks `value`, an input of `operation` as it was sent.
///
/// # Errors
/// `SerializationException` at the first value whose type is not the model's, else `ValidationException` with every
/// violation.
pub(crate) fn check(operation: Operation, value: &Value) -> Result<(), ApiError> {
    let mut walk = Walk::default();
    walk.value(table().input_of(operation), value)
        .map_err(|mismatch| Exception::SerializationException.because(mismatch))?;
    match walk.count {
        0 => Ok(()),
        _ => Err(Exception::ValidationException.because(walk.into_message())),
    }
}

#[derive(Default)]
struct Walk {
    /// Where the walk is, in AWS's notation: `pipeline.stages.1.member.name`.
    path: String,
    count: usize,
    listed: Vec<String>,
}

impl Walk {
    fn value(&mut self, shape_name: &str, value: &Value) -> Result<(), String> {
        match (table().shape(shape_name), value) {
            (Some(Shape::String(text)), Value::String(string)) => {
                for constraint in text_constraints(text).filter(|constraint| !constraint.holds_for(string)) {
                    self.violation(echo(shape_name, value), &constraint.to_string());
                }
            }
            (Some(Shape::Integer(bounds)), Value::Number(number)) if is_integral(number) => {
                let number = number.as_f64().unwrap_or(f64::MAX);
                for constraint in range_constraints(bounds).filter(|constraint| !constraint.admits(number)) {
                    self.violation(echo(shape_name, value), &constraint.to_string());
                }
            }
            (Some(Shape::Boolean {}), Value::Bool(_)) | (Some(Shape::Timestamp {}), Value::String(_)) => {}
            (Some(Shape::Timestamp {}), Value::Number(number)) => {
                if number.as_f64().is_none_or(|seconds| seconds.abs() > MAX_SECONDS) {
                    return Err(format!("{}: the time is out of range", self.place()));
                }
            }
            (Some(Shape::List(list)), Value::Array(items)) => {
                self.length(&list.length, items.len(), echo(shape_name, value));
                if is_scalar(&list.member) {
                    self.scalars(&list.member, items.iter(), echo(shape_name, value), "Member must")?;
                } else {
                    for (index, item) in items.iter().enumerate() {
                        self.inside(&format!("{}.member", index + 1), &list.member, item)?;
                    }
                }
            }
            (Some(Shape::Map(map)), Value::Object(entries)) => {
                self.length(&map.length, entries.len(), None);
                let keys: Vec<Value> = entries.keys().map(|key| Value::String(key.clone())).collect();
                self.scalars(&map.key, keys.iter(), None, "Map keys must")?;
                if is_scalar(&map.value) {
                    self.scalars(&map.value, entries.values(), None, "Map value must")?;
                } else {
                    for (key, entry) in entries {
                        self.inside(&format!("{}.member", shortened(key)), &map.value, entry)?;
                    }
                }
            }
            (Some(Shape::Structure { members }), Value::Object(sent)) => {
                for table::Member(name, shape, required) in members {
                    match sent.get(name) {
                        Some(member) if !member.is_null() => self.inside(name, shape, member)?,
                        _ if *required => self.missing(name),
                        _ => {}
                    }
                }
            }
            (Some(expected), found) => {
                return Err(format!("{}: expected {}, found {}", self.place(), kind(expected), kind_of(found)));
            }
            (None, _) => return Err(format!("{}: of no known shape", self.place())),
        }
        Ok(())
    }

    /// Walks into a member, and out of it again.
    fn inside(&mut self, step: &str, shape: &str, value: &Value) -> Result<(), String> {
        let length = self.path.len();
        if length > 0 {
            self.path.push('.');
        }
        self.path.push_str(step);
        self.value(shape, value)?;
        self.path.truncate(length);
        Ok(())
    }

    /// Scalars in a list or map are reported once, at the list or map, with all that would have to hold.
    fn scalars<'v>(
        &mut self,
        shape: &str,
        values: impl Iterator<Item = &'v Value>,
        echo: Option<String>,
        subject: &str,
    ) -> Result<(), String> {
        let mut inner = Self { path: self.path.clone(), ..Self::default() };
        for value in values {
            inner.value(shape, value)?;
        }
        if inner.count > 0 {
            let all: Vec<String> = match table().shape(shape) {
                Some(Shape::String(text)) => text_constraints(text).map(|constraint| constraint.to_string()).collect(),
                Some(Shape::Integer(bounds)) => range_constraints(bounds).map(|limit| limit.to_string()).collect(),
                _ => Vec::new(),
            };
            self.violation(echo, &format!("{subject} satisfy constraint: [{}]", all.join(", ")));
        }
        Ok(())
    }

    fn length(&mut self, bounds: &Bounds, length: usize, echo: Option<String>) {
        let limits = [bounds.max.map(Constraint::MaxLength), bounds.min.map(Constraint::MinLength)];
        for constraint in limits.into_iter().flatten().filter(|constraint| !constraint.admits(length as f64)) {
            self.violation(echo.clone(), &constraint.to_string());
        }
    }

    fn missing(&mut self, member: &str) {
        let dot = if self.path.is_empty() { "" } else { "." };
        let path = format!("{}{dot}{member}", self.path);
        self.add(|| format!("Value null at '{path}' failed to satisfy constraint: Member must not be null"));
    }

    fn violation(&mut self, echo: Option<String>, constraint: &str) {
        let value = echo.map(|echo| format!("'{echo}' ")).unwrap_or_default();
        let path = self.path.clone();
        self.add(|| format!("Value {value}at '{path}' failed to satisfy constraint: {constraint}"));
    }

    fn add(&mut self, message: impl FnOnce() -> String) {
        self.count += 1;
        if self.listed.len() < MAX_LISTED {
            self.listed.push(message());
        }
    }

    fn into_message(self) -> String {
        let plural = if self.count == 1 { "" } else { "s" };
        format!("{} validation error{plural} detected: {}", self.count, self.listed.join("; "))
    }

    fn place(&self) -> &str {
        if self.path.is_empty() { "the input" } else { &self.path }
    }
}

/// One thing that must hold, in AWS's words.
enum Constraint<'t> {
    MaxLength(i64),
    MinLength(i64),
    Max(i64),
    Min(i64),
    Pattern(&'t table::Pattern),
    OneOf(&'t [String]),
}

impl Constraint<'_> {
    fn holds_for(&self, value: &str) -> bool {
        match self {
            Self::Pattern(pattern) => pattern.matches(value),
            Self::OneOf(values) => values.iter().any(|allowed| allowed == value),
            _ => self.admits(value.chars().count() as f64),
        }
    }

    /// Whether a number, or a length, is within the bound. What is asked here is far below 2^53, or wrong in any case.
    fn admits(&self, number: f64) -> bool {
        match self {
            Self::MaxLength(max) | Self::Max(max) => number <= *max as f64,
            Self::MinLength(min) | Self::Min(min) => number >= *min as f64,
            Self::Pattern(_) | Self::OneOf(_) => true,
        }
    }
}

impl std::fmt::Display for Constraint<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::MaxLength(max) => {
                write!(f, "Member must have length less than or equal to {max}")
            }
            Self::MinLength(min) => {
                write!(f, "Member must have length greater than or equal to {min}")
            }
            Self::Max(max) => write!(f, "Member must have value less than or equal to {max}"),
            Self::Min(min) => write!(f, "Member must have value greater than or equal to {min}"),
            Self::Pattern(pattern) => write!(f, "Member must satisfy regular expression pattern: {}", pattern.text),
            Self::OneOf(values) => write!(f, "Member must satisfy enum value set: [{}]", values.join(", ")),
        }
    }
}

/// In the order in which AWS's messages name them: upper bound, lower bound, pattern.
fn text_constraints(text: &Text) -> impl Iterator<Item = Constraint<'_>> {
    [
        text.max.map(Constraint::MaxLength),
        text.min.map(Constraint::MinLength),
        text.pattern.as_ref().map(Constraint::Pattern),
        text.one_of.as_deref().map(Constraint::OneOf),
    ]
    .into_iter()
    .flatten()
}

fn range_constraints(bounds: &Bounds) -> impl Iterator<Item = Constraint<'static>> {
    [bounds.max.map(Constraint::Max), bounds.min.map(Constraint::Min)].into_iter().flatten()
}

fn is_scalar(shape: &str) -> bool {
    matches!(table().shape(shape), Some(Shape::String(_) | Shape::Integer(_) | Shape::Boolean {} | Shape::Timestamp {}))
}

fn is_integral(number: &serde_json::Number) -> bool {
    number.as_f64().is_some_and(|number| number.fract() == 0.0)
}

/// The value as messages show it; nothing of what is sensitive, and nothing of maps and structures, which may hold it.
fn echo(shape: &str, value: &Value) -> Option<String> {
    match (table().shape(shape)?, value) {
        (Shape::String(text), Value::String(string)) if !text.sensitive => Some(shortened(string)),
        (Shape::Integer(_), Value::Number(number)) => Some(number.to_string()),
        (Shape::List(_), Value::Array(items)) if items.is_empty() => Some("[]".to_owned()),
        (Shape::List(list), Value::Array(items)) if is_scalar(&list.member) => {
            // More of them would be cut off anyway.
            let items: Option<Vec<_>> = items.iter().take(MAX_ECHO).map(|item| echo(&list.member, item)).collect();
            Some(shortened(&format!("[{}]", items?.join(", "))))
        }
        _ => None,
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(MAX_ECHO) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

fn kind(shape: &Shape) -> &'static str {
    match shape {
        Shape::String(_) => "a string",
        Shape::Integer(_) => "an integer",
        Shape::Boolean {} => "a boolean",
        Shape::Timestamp {} => "a timestamp",
        Shape::List(_) => "a list",
        Shape::Map(_) => "a map",
        Shape::Structure { .. } => "a structure",
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map or structure",
    }
}

#[cfg(test)]
mod tests;
