//! The table of facts about the model, `data/constraints.json`; `data/make.py` makes it.

use std::collections::{BTreeMap, HashMap};
use std::sync::{LazyLock, OnceLock};

use regex::{Regex, RegexBuilder};
use serde::Deserialize;

use crate::Operation;

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    #[allow(clippy::expect_used, reason = "the table is compiled in, and every test reads it")]
    serde_json::from_str(include_str!("../../data/constraints.json")).expect("the committed table is well-formed")
});

/// The facts, read when first asked for.
pub(crate) fn table() -> &'static Table {
    &TABLE
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Table {
    /// The input and the documented errors of each operation, by its name.
    pub(crate) operations: BTreeMap<String, OperationFacts>,
    /// HTTP status by the exception's name; a test holds `Exception` against it.
    #[cfg_attr(not(test), expect(dead_code, reason = "the enumeration has the statuses at compile time"))]
    pub(crate) errors: BTreeMap<String, u16>,
    /// Every shape that an input reaches, by its name in the model.
    pub(crate) shapes: HashMap<String, Shape>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OperationFacts {
    pub(crate) input: String,
    pub(crate) errors: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub(crate) enum Shape {
    String(Text),
    Integer(Bounds),
    Boolean {},
    Timestamp {},
    List(List),
    Map(Entries),
    Structure { members: Vec<Member> },
}

/// A member of a structure: its name, its shape, whether it is required.
#[derive(Debug, Deserialize)]
pub(crate) struct Member(pub(crate) String, pub(crate) String, pub(crate) bool);

/// What limits a string; its length is counted in characters.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Text {
    pub(crate) min: Option<i64>,
    pub(crate) max: Option<i64>,
    pub(crate) pattern: Option<Pattern>,
    #[serde(rename = "enum")]
    pub(crate) one_of: Option<Vec<String>>,
    #[serde(default)]
    pub(crate) sensitive: bool,
}

/// Bounds of a number or of a length, both inclusive.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Bounds {
    pub(crate) min: Option<i64>,
    pub(crate) max: Option<i64>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct List {
    pub(crate) member: String,
    #[serde(flatten)]
    pub(crate) length: Bounds,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Entries {
    pub(crate) key: String,
    pub(crate) value: String,
    #[serde(flatten)]
    pub(crate) length: Bounds,
}

/// A pattern of the model, which is of Java's dialect and must match the whole value.
#[derive(Debug, Deserialize)]
#[serde(from = "String")]
pub(crate) struct Pattern {
    /// As the model has it, for messages.
    pub(crate) text: String,
    regex: OnceLock<Regex>,
}

impl From<String> for Pattern {
    fn from(text: String) -> Self {
        Self { text, regex: OnceLock::new() }
    }
}

impl Pattern {
    pub(crate) fn matches(&self, value: &str) -> bool {
        self.regex
            .get_or_init(|| {
                // In Java `\w` is ASCII, and `.` does not match a carriage return either.
                let pattern = format!(r"\A(?:{})\z", self.text.replace(r"\w", "[0-9A-Za-z_]"));
                #[allow(clippy::expect_used, reason = "a test compiles every pattern of the committed table")]
                RegexBuilder::new(&pattern).crlf(true).build().expect("the model's patterns compile")
            })
            .is_match(value)
    }
}

impl Table {
    /// The name of the operation's input shape.
    pub(crate) fn input_of(&self, operation: Operation) -> &str {
        self.operations.get(operation.name()).map_or("", |facts| &facts.input)
    }

    /// The names of the errors that the model lists for the operation.
    pub(crate) fn errors_of(&self, operation: Operation) -> &[String] {
        self.operations.get(operation.name()).map_or(&[], |facts| &facts.errors)
    }

    /// A shape of the table by its name.
    pub(crate) fn shape(&self, name: &str) -> Option<&Shape> {
        self.shapes.get(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operations_are_exactly_the_models() {
        let ours: Vec<_> = Operation::ALL.iter().map(|operation| operation.name()).collect();
        assert_eq!(ours, table().operations.keys().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(ours.len(), 44);
        for &operation in Operation::ALL {
            assert_eq!(operation.name().parse(), Ok(operation));
        }
    }

    #[test]
    fn every_shape_that_is_named_exists() {
        let table = table();
        for facts in table.operations.values() {
            assert!(matches!(table.shape(&facts.input), Some(Shape::Structure { .. })), "{}", facts.input);
        }
        for (name, shape) in &table.shapes {
            let inner: Vec<&String> = match shape {
                Shape::List(list) => vec![&list.member],
                Shape::Map(map) => vec![&map.key, &map.value],
                Shape::Structure { members } => members.iter().map(|member| &member.1).collect(),
                _ => vec![],
            };
            assert!(inner.iter().all(|inner| table.shapes.contains_key(*inner)), "{name}");
        }
    }

    #[test]
    fn every_pattern_compiles_and_matches_whole_values_only() {
        let mut seen = 0;
        for shape in table().shapes.values() {
            if let Shape::String(Text { pattern: Some(pattern), .. }) = shape {
                assert!(!pattern.matches("a\nb"), "{}", pattern.text);
                seen += 1;
            }
        }
        assert!(seen >= 25, "{seen} patterns");
        let owner = Pattern::from("AWS|ThirdParty".to_owned());
        assert!(owner.matches("AWS") && owner.matches("ThirdParty"));
        assert!(!owner.matches("AWSome") && !owner.matches("NotThirdParty"));
        let arn = Pattern::from(r"arn:aws(-[\w]+)*:iam::[0-9]{12}:role/.*".to_owned());
        assert!(
            arn.matches("arn:aws-us-gov:iam::123456789012:role/a")
                && !arn.matches("arn:aws-\u{e9}:iam::123456789012:role/a")
        );
        let any = Pattern::from(".*".to_owned());
        assert!(any.matches("") && any.matches("é") && !any.matches("a\r"));
    }
}
