//! Where something is in a JSON text.

use std::collections::HashSet;

use jsonc_parser::ast::{Object, ObjectProp, Value};
use jsonc_parser::common::{Range, Ranged as _};
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};

/// A part of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its line, from 1.
    pub line: usize,
    /// Its first character in the line, from 1, as people count.
    pub column: usize,
    /// Where it begins and ends in the whole text, from 0 in UTF-16 code units, as browsers count.
    pub span: (usize, usize),
}

impl Place {
    /// Of a range of bytes. One that ends within a character is taken up to its beginning.
    pub fn of(text: &str, start: usize, end: usize) -> Self {
        let before = &text[..text.floor_char_boundary(start)];
        let within = &text[before.len()..text.floor_char_boundary(end.max(start))];
        let line = before.rfind('\n').map_or(0, |at| at + 1);
        let begins = before.encode_utf16().count();
        Self {
            line: before.matches('\n').count() + 1,
            column: before[line..].chars().count() + 1,
            span: (begins, begins + within.encode_utf16().count()),
        }
    }

    /// Where a reader of JSON has stopped: line and column from 1, the column in bytes.
    pub fn stopped(text: &str, line: usize, column: usize) -> Self {
        let start: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
        let at = (start + column.saturating_sub(1)).min(text.len());
        Self::of(text, at, at)
    }
}

/// A JSON text in which places can be found.
pub struct Places<'a> {
    text: &'a str,
    root: Option<Value<'a>>,
}

impl<'a> Places<'a> {
    /// Of a text that is JSON.
    pub fn of(text: &'a str) -> Self {
        let root = parse_to_ast(text, &CollectOptions::default(), &ParseOptions::default()).ok();
        Self { text, root: root.and_then(|parsed| parsed.value) }
    }

    /// What a path leads to, in the notation of AWS's messages without `pipeline.` in front. What is not there has the place of
    /// what it would be in.
    pub fn find(&self, path: &str) -> Option<Place> {
        let mut at = self.root.as_ref()?;
        let mut range = start_of(at);
        let mut rest: Vec<&str> = path.split('.').filter(|step| !step.is_empty()).collect();
        while !rest.is_empty() {
            let (found, next, taken) = match at {
                Value::Object(object) => {
                    let Some((property, taken)) = property(object, &rest) else { break };
                    (named(property), &property.value, taken)
                }
                Value::Array(array) => {
                    let index = rest[0].parse::<usize>().ok().and_then(|number| number.checked_sub(1));
                    let Some(element) = index.and_then(|index| array.elements.get(index)) else { break };
                    (start_of(element), element, 1)
                }
                _ => break,
            };
            (range, at) = (found, next);
            rest.drain(..taken);
            // `stages.2.member.name`: the word says that the number counts members, of a list or a map.
            if rest.first() == Some(&"member") {
                rest.remove(0);
            }
        }
        Some(Place::of(self.text, range.start, range.end))
    }

    /// Keys that an object has twice, each with its place; `most` of them.
    pub fn doubled(&self, most: usize) -> Vec<(String, Place)> {
        let mut found = Vec::new();
        let mut open: Vec<&Value<'_>> = self.root.iter().collect();
        while let Some(value) = open.pop() {
            match value {
                Value::Object(object) => {
                    let mut seen = HashSet::new();
                    for property in &object.properties {
                        let name = property.name.as_str();
                        if !seen.insert(name) && found.len() < most {
                            let Range { start, end } = named(property);
                            found.push((name.to_owned(), Place::of(self.text, start, end)));
                        }
                        open.push(&property.value);
                    }
                }
                Value::Array(array) => open.extend(&array.elements),
                _ => {}
            }
        }
        found
    }
}

/// The property that the first steps name, and how many they are: names may have points in them.
fn property<'a, 'b>(object: &'a Object<'b>, steps: &[&str]) -> Option<(&'a ObjectProp<'b>, usize)> {
    (1..=steps.len()).rev().find_map(|taken| {
        let name = steps[..taken].join(".");
        Some((object.properties.iter().rfind(|it| it.name.as_str() == name)?, taken))
    })
}

/// What is shown of a property: all of it, or only its name where the value has parts.
fn named(property: &ObjectProp<'_>) -> Range {
    match &property.value {
        Value::Object(_) | Value::Array(_) => property.name.range(),
        _ => property.range,
    }
}

/// What is shown of a value: all of it, or where it begins if it has parts.
fn start_of(value: &Value<'_>) -> Range {
    let range = value.range();
    match value {
        Value::Object(_) | Value::Array(_) => Range::new(range.start, range.start + 1),
        _ => range,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "{\n  \"name\": \"größe 🙂\",\n  \"stages\": [\n    {\"name\": \"A\"},\n    {\"actions\": [{\"configuration\": \
                        {\"a.b\": \"1\"}}], \"name\": 7}\n  ],\n  \"artifactStores\": {\"eu-west-1\": {\"type\": \"S3\"}}\n}";

    fn found(path: &str) -> (usize, String) {
        let place = Places::of(TEXT).find(path).unwrap();
        let units: Vec<u16> = TEXT.encode_utf16().collect();
        (place.line, String::from_utf16(&units[place.span.0..place.span.1]).unwrap())
    }

    #[test]
    fn a_path_leads_to_what_it_names_or_to_what_that_would_be_in() {
        for (path, line, text) in [
            ("name", 2, "\"name\": \"größe 🙂\""),
            ("stages", 3, "\"stages\""),
            ("stages.2.member", 5, "{"),
            ("stages.2.member.name", 5, "\"name\": 7"),
            ("stages.2.member.actions.1.member.configuration.a.b", 5, "\"a.b\": \"1\""),
            ("stages.2.member.actions.1.member.configuration.absent", 5, "\"configuration\""),
            ("stages.1.member.actions", 4, "{"),
            ("stages.9.member.name", 3, "\"stages\""),
            ("artifactStores.eu-west-1.member.type", 7, "\"type\": \"S3\""),
            ("roleArn", 1, "{"),
        ] {
            assert_eq!(found(path), (line, text.to_owned()), "{path}");
        }
    }

    #[test]
    fn columns_are_counted_in_characters_and_spans_as_browsers_count() {
        let place = Place::stopped("{\n \"ä🙂\" x}", 2, 11);
        assert_eq!((place.line, place.column, place.span), (2, 7, (9, 9)));
        assert_eq!(Place::stopped("", 1, 0).line, 1);
    }

    #[test]
    fn a_key_that_is_there_twice_is_found_behind_the_first() {
        let doubled = Places::of("{\"a\": 1,\n\"b\": [{\"c\": 1,\n\"c\": 2}],\n\"a\": 3}").doubled(9);
        let doubled: Vec<_> = doubled.iter().map(|(name, place)| (name.as_str(), place.line)).collect();
        assert_eq!(doubled, [("a", 4), ("c", 3)]);
    }
}
