//! A valid input for each operation, with every member present, made from the model's table.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use crate::Operation;
use crate::constraints::table;
use crate::constraints::table::{Entries, List, Member, Shape, Text};

/// Values that between them satisfy every string shape of the model.
const CANDIDATES: [&str; 13] = [
    "a",
    "sample-value",
    "1",
    "AWS",
    "us-east-1",
    "123456789012",
    "https://example.com/{Entity}",
    "arn:aws:iam::123456789012:role/release",
    "arn:aws:codepipeline:us-east-1:123456789012:release",
    "arn:aws:lambda:us-east-1:123456789012:function:build",
    "11112222-3333-4444-5555-666677778888",
    "11112222-3333-4444-5555-666677778888-1111",
    "a value that is long enough",
];

/// The sample of an operation.
pub(crate) fn of(operation: Operation) -> Value {
    value(table().input_of(operation))
}

/// A valid value of a shape.
pub(crate) fn value(shape: &str) -> Value {
    match table().shape(shape).unwrap() {
        Shape::String(text) => Value::String(string(shape, text)),
        Shape::Integer(bounds) => json!(bounds.min.unwrap_or(1)),
        Shape::Boolean {} => json!(true),
        Shape::Timestamp {} => json!(1_700_000_000.5),
        Shape::List(List { member, length }) => vec![value(member); length.min.unwrap_or(1).max(1) as usize].into(),
        Shape::Map(Entries { key, value: inner, .. }) => {
            let key = value(key).as_str().unwrap().to_owned();
            Value::Object(Map::from_iter([(key, value(inner))]))
        }
        Shape::Structure { members } => {
            Value::Object(members.iter().map(|Member(name, shape, _)| (name.clone(), value(shape))).collect())
        }
    }
}

fn string(name: &str, text: &Text) -> String {
    if let Some(values) = &text.one_of {
        return values[0].clone();
    }
    let fits = |candidate: &&str| {
        let length = candidate.chars().count() as i64;
        text.min.is_none_or(|min| length >= min)
            && text.max.is_none_or(|max| length <= max)
            && text.pattern.as_ref().is_none_or(|pattern| pattern.matches(candidate))
    };
    CANDIDATES.iter().copied().find(fits).unwrap_or_else(|| panic!("no candidate satisfies {name}")).to_owned()
}

/// Where the sample's required members are: as a JSON pointer, and as messages call it.
pub(crate) fn required(operation: Operation) -> Vec<(String, String)> {
    let mut found = Vec::new();
    visit(table().input_of(operation), String::new(), String::new(), &mut |_, pointer, path, required| {
        if required {
            found.push((pointer.to_owned(), path.to_owned()));
        }
    });
    found
}

/// Where the sample has a value of the shape.
pub(crate) fn places(operation: Operation, wanted: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    visit(table().input_of(operation), String::new(), String::new(), &mut |shape, pointer, path, _| {
        if shape == wanted {
            found.push((pointer.to_owned(), path.to_owned()));
        }
    });
    found
}

/// The names of all shapes of which the sample has a value.
pub(crate) fn shapes(operation: Operation) -> HashSet<String> {
    let input = table().input_of(operation);
    let mut found = HashSet::from([input.to_owned()]);
    visit(input, String::new(), String::new(), &mut |shape, _, _, _| {
        found.insert(shape.to_owned());
        match table().shape(shape).unwrap() {
            Shape::List(list) => found.insert(list.member.clone()),
            Shape::Map(map) => found.insert(map.key.clone()) | found.insert(map.value.clone()),
            _ => false,
        };
    });
    found
}

/// Calls `then` with each member of the sample: shape, pointer, path, whether it is required. Members of lists and maps
/// are gone into, but are not members themselves.
fn visit(shape: &str, pointer: String, path: String, then: &mut impl FnMut(&str, &str, &str, bool)) {
    match table().shape(shape).unwrap() {
        Shape::Structure { members } => {
            for Member(name, shape, required) in members {
                let pointer = format!("{pointer}/{name}");
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                then(shape, &pointer, &path, *required);
                visit(shape, pointer, path, then);
            }
        }
        Shape::List(list) => visit(&list.member, format!("{pointer}/0"), format!("{path}.1.member"), then),
        Shape::Map(map) => {
            let key = value(&map.key).as_str().unwrap().to_owned();
            visit(&map.value, format!("{pointer}/{key}"), format!("{path}.{key}.member"), then);
        }
        _ => {}
    }
}
