//! A valid input for each operation, with every member present, made from the model's data; and valid strings of any
//! length that a shape allows.

use serde_json::{Map, Value, json};

use super::{Member, Shape, Text, model};

/// Values that between them satisfy every string shape of the model.
const CANDIDATES: [&str; 13] = [
    "a",
    "ThirdParty",
    "sample-value",
    "1",
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

/// The sample of an operation, by its name.
pub fn of(operation: &str) -> Value {
    value(&model().operations[operation].input)
}

/// A valid value of a shape.
pub fn value(shape: &str) -> Value {
    match model().shape(shape) {
        Shape::String(text) => string(text, None).unwrap_or_else(|| panic!("no candidate satisfies {shape}")).into(),
        Shape::Integer(bounds) => json!(bounds.min.unwrap_or(1)),
        Shape::Boolean {} => json!(true),
        Shape::Timestamp {} => json!(1_700_000_000.5),
        Shape::List { length, .. } => list(shape, length.min.unwrap_or(1).max(1)),
        Shape::Map { .. } => map(shape, 1).unwrap(),
        Shape::Structure { members } => {
            members.iter().map(|Member(name, shape, _)| (name.clone(), value(shape))).collect::<Map<_, _>>().into()
        }
    }
}

/// A list of this many equal members.
pub fn list(shape: &str, length: i64) -> Value {
    let Shape::List { member, .. } = model().shape(shape) else { panic!("{shape} is no list") };
    vec![value(member); usize::try_from(length).unwrap()].into()
}

/// A map of this many entries; none if there are not enough valid keys.
pub fn map(shape: &str, length: i64) -> Option<Value> {
    let Shape::Map { key, value: inner, .. } = model().shape(shape) else { panic!("{shape} is no map") };
    let Shape::String(text) = model().shape(key) else { panic!("{key} is no string") };
    let key = |number| match &text.one_of {
        Some(values) => values.get(usize::try_from(number).unwrap()).cloned(),
        None => Some(format!("us-east-{number}")).filter(|key| fits(text, key)),
    };
    (0..length).map(|number| Some((key(number)?, value(inner)))).collect::<Option<Map<_, _>>>().map(Value::Object)
}

/// A valid string, of this many characters where that matters; none if none was found.
pub fn string(text: &Text, length: Option<i64>) -> Option<String> {
    if let Some(values) = &text.one_of {
        return values.first().filter(|_| length.is_none()).cloned();
    }
    let Some(length) = length else {
        return CANDIDATES.into_iter().find(|candidate| fits(text, candidate)).map(ToOwned::to_owned);
    };
    let length = usize::try_from(length).ok()?;
    let padded = |candidate: &str| {
        let missing = length.checked_sub(candidate.chars().count())?;
        let value = format!("{candidate}{}", "a".repeat(missing));
        text.matches(&value).then_some(value)
    };
    std::iter::once("").chain(CANDIDATES).find_map(padded)
}

/// Whether a string is within the length and of the pattern.
fn fits(text: &Text, value: &str) -> bool {
    let length = i64::try_from(value.chars().count()).unwrap();
    text.length.min.is_none_or(|min| length >= min)
        && text.length.max.is_none_or(|max| length <= max)
        && text.matches(value)
}
