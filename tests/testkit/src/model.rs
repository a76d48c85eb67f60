//! What the public model says of each operation: its input's shape with its constraints, and its errors. The data are
//! those that `wire` compiles in, read here apart from `wire`; `shared/wire/data/make.py` makes them.

pub mod sample;

use std::collections::BTreeMap;
use std::sync::{LazyLock, OnceLock};

use regex::Regex;
use serde::Deserialize;

/// Operations, errors and shapes of the public model.
#[derive(Debug, Deserialize)]
pub struct Model {
    /// What the model says of each operation, by its name.
    pub operations: BTreeMap<String, OperationFacts>,
    /// HTTP status by the exception's name.
    pub errors: BTreeMap<String, u16>,
    /// Every shape that an input reaches.
    pub shapes: BTreeMap<String, Shape>,
}

/// What the model says of one operation.
#[derive(Debug, Deserialize)]
pub struct OperationFacts {
    /// The name of its input's shape.
    pub input: String,
    /// The errors that its documentation names.
    pub errors: Vec<String>,
}

/// A shape of the model, with its constraints.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names are Smithy's")]
pub enum Shape {
    String(Text),
    Integer(Bounds),
    Boolean {},
    Timestamp {},
    List {
        member: String,
        #[serde(flatten)]
        length: Bounds,
    },
    Map {
        key: String,
        value: String,
        #[serde(flatten)]
        length: Bounds,
    },
    Structure {
        members: Vec<Member>,
    },
}

/// A member of a structure: its name, its shape, whether it is required.
#[derive(Debug, Deserialize)]
pub struct Member(pub String, pub String, pub bool);

/// The constraints on a string.
#[derive(Debug, Deserialize)]
pub struct Text {
    /// Its length in characters.
    #[serde(flatten)]
    pub length: Bounds,
    /// A pattern of Java's dialect that the whole value must match.
    pub pattern: Option<Pattern>,
    /// The values of an enumeration; none: any text.
    #[serde(rename = "enum")]
    pub one_of: Option<Vec<String>>,
}

/// The least and the most that is allowed, both included.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub struct Bounds {
    /// The smallest value or length; none: no bound.
    pub min: Option<i64>,
    /// The largest value or length; none: no bound.
    pub max: Option<i64>,
}

/// A pattern, compiled when it is first needed.
#[derive(Debug, Deserialize)]
#[serde(from = "String")]
pub struct Pattern {
    text: String,
    regex: OnceLock<Regex>,
}

impl From<String> for Pattern {
    fn from(text: String) -> Self {
        Self { text, regex: OnceLock::new() }
    }
}

impl Pattern {
    /// Whether the whole text matches.
    pub fn matches(&self, value: &str) -> bool {
        let whole = || format!(r"\A(?:{})\z", self.text.replace(r"\w", "[0-9A-Za-z_]"));
        self.regex.get_or_init(|| Regex::new(&whole()).unwrap()).is_match(value)
    }
}

impl Text {
    /// Whether the whole text matches the pattern, if there is one.
    pub fn matches(&self, value: &str) -> bool {
        self.pattern.as_ref().is_none_or(|pattern| pattern.matches(value))
    }
}

impl Model {
    /// A shape by its name.
    pub fn shape(&self, name: &str) -> &Shape {
        &self.shapes[name]
    }
}

/// The model's data, read when first asked for.
pub fn model() -> &'static Model {
    static MODEL: LazyLock<Model> =
        LazyLock::new(|| serde_json::from_str(include_str!("../../../shared/wire/data/constraints.json")).unwrap());
    &MODEL
}
