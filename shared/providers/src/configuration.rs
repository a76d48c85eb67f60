//! An action's configuration, read into a type of its provider's own.
//!
//! Every value is text. A field of type `bool` takes `true` or `false` in any case, a number its digits, an enum the names
//! of its variants; an `Option`, or a field with a default, may be missing.

use std::fmt::{self, Display};

use driver::Task;
use engine::Timestamp;
use pipeline::catalogue::{self, rules};
use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{DeserializeSeed, IntoDeserializer, MapAccess, Visitor};

use crate::error::ProviderError;

/// Characters of a value that a message shows.
const SHOWN: usize = 200;

/// The configuration of an action or rule. A value that is empty counts as missing: that is what a variable without a
/// value resolves to.
pub(crate) fn read<'a, T: Deserialize<'a>>(task: &'a Task) -> Result<T, ProviderError> {
    parse(task, |value| !value.is_empty())
}

/// The same where an empty value means something.
pub(crate) fn read_with_empty<'a, T: Deserialize<'a>>(task: &'a Task) -> Result<T, ProviderError> {
    parse(task, |_| true)
}

fn parse<'a, T: Deserialize<'a>>(task: &'a Task, counts: fn(&str) -> bool) -> Result<T, ProviderError> {
    let pairs = task.configuration.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    let pairs = Pairs { rest: pairs.filter(move |(_, value)| counts(value)), current: ("", "") };
    T::deserialize(MapAccessDeserializer::new(pairs)).map_err(|problem| {
        ProviderError::configuration(match problem {
            Problem::Missing(key) => missing(task, key),
            Problem::Wrong { key, value, why } => {
                let value = if is_secret(task, &key) { "****" } else { &value };
                format!("{key} is {:?}: {why}", shown(value))
            }
            Problem::Other(why) => format!("the configuration of {} cannot be read: {why}", title(task)),
        })
    })
}

/// That a key which the other keys demand has no value.
pub(crate) fn missing(task: &Task, key: &str) -> String {
    format!("{} needs a value for {key}", title(task))
}

fn is_secret(task: &Task, key: &str) -> bool {
    catalogue::find(&task.action.type_id).and_then(|known| known.property(key)).is_some_and(|it| it.secret)
}

/// The beginning of a value that may be long.
pub(crate) fn shown(text: &str) -> String {
    let mut start: String = text.chars().take(SHOWN).collect();
    if start.len() < text.len() {
        start.push('…');
    }
    start
}

/// How messages call the action or rule.
pub(crate) fn title(task: &Task) -> String {
    if task.action.type_id.category == rules::CATEGORY {
        return format!("{} rule {}", task.action.type_id.provider, task.action.name);
    }
    format!("{}/{} action {}", task.action.type_id.category, task.action.type_id.provider, task.action.name)
}

/// When the attempt was requested: its time-out counts from there.
pub(crate) fn requested(task: &Task) -> Option<Timestamp> {
    task.deadline.map(|deadline| deadline.plus(-60_000 * i64::from(task.action.timeout_minutes())))
}

/// The artifact store of the action's region and its key.
pub(crate) fn store(task: &Task) -> Result<(&str, artifacts::Encryption), ProviderError> {
    let (bucket, key) = task.store.as_ref().ok_or_else(|| {
        ProviderError::configuration(format!("the pipeline has no artifact store in region {}", task.region))
    })?;
    Ok((bucket, artifacts::Encryption::key(key.as_deref().unwrap_or_default())))
}

/// What is wrong with a configuration.
#[derive(Debug)]
enum Problem {
    Missing(&'static str),
    Wrong {
        key: String,
        value: String,
        why: String,
    },
    /// Of a value whose key is not known here.
    Other(String),
}

impl Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(key) => write!(f, "{key} is missing"),
            Self::Wrong { why, .. } | Self::Other(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for Problem {}

impl serde::de::Error for Problem {
    fn custom<T: Display>(why: T) -> Self {
        Self::Other(why.to_string())
    }

    fn missing_field(key: &'static str) -> Self {
        Self::Missing(key)
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        let expected = match expected {
            [first @ .., last] if !first.is_empty() => format!("{} or {last}", first.join(", ")),
            all => all.concat(),
        };
        Self::Other(format!("it can be {expected}"))
    }
}

/// The pairs of a configuration.
struct Pairs<'a, I> {
    rest: I,
    current: (&'a str, &'a str),
}

impl<'a, I: Iterator<Item = (&'a str, &'a str)>> MapAccess<'a> for Pairs<'a, I> {
    type Error = Problem;

    fn next_key_seed<K: DeserializeSeed<'a>>(&mut self, seed: K) -> Result<Option<K::Value>, Problem> {
        let Some(pair) = self.rest.next() else { return Ok(None) };
        self.current = pair;
        let key: StrDeserializer<'_, Problem> = pair.0.into_deserializer();
        seed.deserialize(key).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'a>>(&mut self, seed: V) -> Result<V::Value, Problem> {
        let (key, value) = self.current;
        seed.deserialize(Text(value)).map_err(|problem| Problem::Wrong {
            key: key.to_owned(),
            value: value.to_owned(),
            why: problem.to_string(),
        })
    }
}

/// Reads the value of one key as the field's type: text, a boolean, a whole number or one of an enum's words.
struct Text<'de>(&'de str);

impl<'de> serde::Deserializer<'de> for Text<'de> {
    type Error = Problem;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_borrowed_str(self.0)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        match self.0 {
            value if value.eq_ignore_ascii_case("true") => visitor.visit_bool(true),
            value if value.eq_ignore_ascii_case("false") => visitor.visit_bool(false),
            _ => Err(Problem::Other("it must be true or false".to_owned())),
        }
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        match self.0.trim().parse() {
            Ok(number) => visitor.visit_u32(number),
            Err(_) => Err(Problem::Other("it must be a whole number".to_owned())),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Problem> {
        visitor.visit_enum(IntoDeserializer::<Problem>::into_deserializer(self.0))
    }

    serde::forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier ignored_any
    }
}

/// A list for a request that must leave out an empty one.
pub(crate) fn non_empty<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

/// The items of a value that is a list with commas; empty ones are left out.
pub(crate) fn items(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(str::trim).filter(|item| !item.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "PascalCase")]
    struct Sample<'a> {
        name: &'a str,
        #[serde(default)]
        flag: bool,
        minutes: Option<u32>,
        kind: Option<Kind>,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    enum Kind {
        Literal,
        FilePath,
    }

    fn sample<'a>(pairs: &'a [(&'a str, &'a str)]) -> Result<Sample<'a>, Problem> {
        Sample::deserialize(MapAccessDeserializer::new(Pairs { rest: pairs.iter().copied(), current: ("", "") }))
    }

    #[test]
    fn values_are_read_as_what_they_are() {
        let read = sample(&[("Name", "a"), ("Flag", "True"), ("Minutes", "20"), ("Kind", "FilePath"), ("Other", "x")]);
        let expected = Sample { name: "a", flag: true, minutes: Some(20), kind: Some(Kind::FilePath) };
        assert_eq!(read.unwrap(), expected);
        assert_eq!(sample(&[("Name", "")]).unwrap(), Sample { name: "", flag: false, minutes: None, kind: None });
    }

    #[test]
    fn what_is_wrong_names_the_key_and_what_may_stand_there() {
        assert!(matches!(sample(&[("Flag", "true")]), Err(Problem::Missing("Name"))));
        for (key, value, expected) in [
            ("Flag", "maybe", "it must be true or false"),
            ("Minutes", "soon", "it must be a whole number"),
            ("Minutes", "-1", "it must be a whole number"),
            ("Minutes", "99999999999", "it must be a whole number"),
            ("Kind", "literal", "it can be Literal or FilePath"),
        ] {
            match sample(&[("Name", "a"), (key, value)]) {
                Err(Problem::Wrong { key: at, value: of, why }) => {
                    assert_eq!((at.as_str(), of.as_str(), why.as_str()), (key, value, expected));
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn long_values_are_cut_in_messages() {
        assert_eq!(shown(&"é".repeat(SHOWN)), "é".repeat(SHOWN));
        assert_eq!(shown(&"é".repeat(SHOWN + 1)).chars().count(), SHOWN + 1);
    }
}
