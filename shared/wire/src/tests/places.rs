//! Where the samples of operations have which members.

use std::collections::HashSet;

use testkit::model::{Member, Shape, model, sample};

use crate::Operation;

fn input_of(operation: Operation) -> &'static str {
    &model().operations[operation.name()].input
}

/// Where the sample's required members are: as a JSON pointer, and as messages call it.
pub(crate) fn required(operation: Operation) -> Vec<(String, String)> {
    let mut found = Vec::new();
    visit(input_of(operation), String::new(), String::new(), &mut |_, pointer, path, required| {
        if required {
            found.push((pointer.to_owned(), path.to_owned()));
        }
    });
    found
}

/// Where the sample has a value of the shape.
pub(crate) fn of(operation: Operation, wanted: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    visit(input_of(operation), String::new(), String::new(), &mut |shape, pointer, path, _| {
        if shape == wanted {
            found.push((pointer.to_owned(), path.to_owned()));
        }
    });
    found
}

/// The names of all shapes of which the sample has a value.
pub(crate) fn shapes(operation: Operation) -> HashSet<String> {
    let input = input_of(operation);
    let mut found = HashSet::from([input.to_owned()]);
    visit(input, String::new(), String::new(), &mut |shape, _, _, _| {
        found.insert(shape.to_owned());
        match model().shape(shape) {
            Shape::List { member, .. } => found.insert(member.clone()),
            Shape::Map { key, value, .. } => found.insert(key.clone()) | found.insert(value.clone()),
            _ => false,
        };
    });
    found
}

/// Calls `then` with each member of the sample: shape, pointer, path, whether it is required. Members of lists and maps
/// are gone into, but are not members themselves.
fn visit(shape: &str, pointer: String, path: String, then: &mut impl FnMut(&str, &str, &str, bool)) {
    match model().shape(shape) {
        Shape::Structure { members } => {
            for Member(name, shape, required) in members {
                let pointer = format!("{pointer}/{name}");
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                then(shape, &pointer, &path, *required);
                visit(shape, pointer, path, then);
            }
        }
        Shape::List { member, .. } => visit(member, format!("{pointer}/0"), format!("{path}.1.member"), then),
        Shape::Map { value, .. } => {
            let map = sample::value(shape);
            let key = map.as_object().unwrap().keys().next().unwrap();
            visit(value, format!("{pointer}/{key}"), format!("{path}.{key}.member"), then);
        }
        _ => {}
    }
}
