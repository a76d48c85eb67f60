//! Inputs at the edge of each constraint that the model has for an operation, and just beyond it.

use serde_json::{Value, json};
use testkit::model::{Bounds, Member, Shape, model, sample};
use wire::Operation;

/// An input at an edge.
#[derive(Debug)]
pub struct Edge {
    /// What it is, for messages.
    pub what: String,
    /// The path of the value, or of the list or map that holds it, as messages call it.
    pub path: String,
    /// The operation's whole input, with one value at or beyond an edge.
    pub input: Value,
    /// Whether it is beyond the edge.
    pub beyond: bool,
}

/// The edges of an operation, from its sample: each has one value changed.
pub fn of(operation: Operation) -> Vec<Edge> {
    let mut found = Found { sample: sample::of(operation.name()), edges: Vec::new() };
    found.inside(&model().operations[operation.name()].input, String::new(), String::new());
    found.edges
}

/// How many of an operation's edges are refused, and how many are not.
pub fn counts(operation: Operation) -> (usize, usize) {
    let edges = of(operation);
    let beyond = edges.iter().filter(|edge| edge.beyond).count();
    (beyond, edges.len() - beyond)
}

struct Found {
    sample: Value,
    edges: Vec<Edge>,
}

impl Found {
    /// Looks at a value of this shape at this JSON pointer.
    fn inside(&mut self, shape: &str, pointer: String, path: String) {
        match model().shape(shape) {
            Shape::String(text) => {
                if text.one_of.is_some() {
                    self.set(&pointer, &path, "no such value", json!("NO_SUCH_VALUE"), true);
                    return;
                }
                for (length, beyond) in lengths_of(&text.length) {
                    // Beyond a length, the pattern need not hold: it is refused all the same.
                    let loose = || "a".repeat(usize::try_from(length).unwrap());
                    let fitting = sample::string(text, Some(length));
                    let Some(value) = fitting.or_else(|| beyond.then(loose)) else { continue };
                    self.set(&pointer, &path, &format!("{length} characters"), value.into(), beyond);
                }
                let odd = ["\u{1}\n", " ", "\u{1}"].into_iter().find(|odd| !text.matches(odd));
                if let Some(odd) = odd.filter(|_| text.pattern.is_some()) {
                    self.set(&pointer, &path, "not of the pattern", odd.into(), true);
                }
            }
            Shape::Integer(bounds) => {
                for (number, beyond) in edges_of(bounds.min, bounds.max) {
                    self.set(&pointer, &path, &number.to_string(), number.into(), beyond);
                }
            }
            Shape::Boolean {} | Shape::Timestamp {} => {}
            Shape::List { member, length } => {
                for (count, beyond) in lengths_of(length) {
                    self.set(&pointer, &path, &format!("{count} members"), sample::list(shape, count), beyond);
                }
                let path = if scalar(member) { path } else { format!("{path}.1.member") };
                self.inside(member, format!("{pointer}/0"), path);
            }
            Shape::Map { key, value, length } => {
                if let Shape::String(text) = model().shape(key) {
                    for (length, beyond) in lengths_of(&text.length) {
                        let loose = || "a".repeat(usize::try_from(length).unwrap());
                        let fitting = sample::string(text, Some(length));
                        let Some(name) = fitting.or_else(|| beyond.then(loose)) else { continue };
                        let one = json!({name: sample::value(value)});
                        self.set(&pointer, &path, &format!("a key of {length} characters"), one, beyond);
                    }
                }
                for (count, beyond) in lengths_of(length) {
                    if let Some(map) = sample::map(shape, count) {
                        self.set(&pointer, &path, &format!("{count} entries"), map, beyond);
                    }
                }
                let key = self.sample.pointer(&pointer).unwrap().as_object().unwrap().keys().next().unwrap().clone();
                let path = if scalar(value) { path } else { format!("{path}.{key}.member") };
                self.inside(value, format!("{pointer}/{key}"), path);
            }
            Shape::Structure { members } => {
                for Member(name, inner, required) in members {
                    let pointer = format!("{pointer}/{name}");
                    let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                    if *required {
                        self.set(&pointer, &path, "missing", Value::Null, true);
                    }
                    self.inside(inner, pointer, path);
                }
            }
        }
    }

    fn set(&mut self, pointer: &str, path: &str, what: &str, value: Value, beyond: bool) {
        let mut input = self.sample.clone();
        *input.pointer_mut(pointer).unwrap() = value;
        self.edges.push(Edge { what: format!("{path}: {what}"), path: path.to_owned(), input, beyond });
    }
}

/// The least and the most, and what is one beyond them.
fn edges_of(min: Option<i64>, max: Option<i64>) -> Vec<(i64, bool)> {
    let least = min.into_iter().flat_map(|min| [(min - 1, true), (min, false)]);
    let most = max.into_iter().flat_map(|max| [(max, false), (max + 1, true)]);
    let mut edges: Vec<_> = least.chain(most).collect();
    edges.dedup();
    edges
}

/// The same of a length, which cannot be below zero.
fn lengths_of(length: &Bounds) -> impl Iterator<Item = (i64, bool)> {
    edges_of(length.min, length.max).into_iter().filter(|(length, _)| *length >= 0)
}

fn scalar(shape: &str) -> bool {
    !matches!(model().shape(shape), Shape::List { .. } | Shape::Map { .. } | Shape::Structure { .. })
}
