//! JSONPath expressions of webhook filters. Source: CodePipeline API, `WebhookFilterRule`, which refers to the Java
//! implementation of JSONPath.
//!
//! The crate `serde_json_path` evaluates them, which has RFC 9535's language. The Java implementation takes more names of members
//! after a point, such as `$.pull-request`: they are put into brackets. What both have is offered: members, elements, lists
//! and slices of elements, wildcards, deep scans, filter expressions. Functions are not.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Deep scans in one expression. A second one would visit, for everything that the first has found, all that is below it, and
/// remember each of them as often: whoever calls chooses how deep that is, and a body of 4 MiB could cost a GiB.
const DEEP_SCANS: usize = 1;

/// A JSONPath expression that can be applied. One that an earlier release has stored is read as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JsonPath(String);

/// Why a text is no such expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is no JSONPath expression: {cause} (character {at})")]
pub struct InvalidJsonPath {
    text: String,
    cause: String,
    /// Which character is wrong, counted from 1.
    at: usize,
}

impl JsonPath {
    /// Reads an expression.
    ///
    /// # Errors
    /// [`InvalidJsonPath`].
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidJsonPath> {
        let path = Self(text.into());
        path.compiled()?;
        Ok(path)
    }

    /// The expression as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// All that the expression selects.
    ///
    /// # Errors
    /// [`InvalidJsonPath`] for one that an earlier release has taken and that cannot be applied.
    pub fn find<'a>(&self, value: &'a Value) -> Result<Vec<&'a Value>, InvalidJsonPath> {
        Ok(self.compiled()?.query(value).all())
    }

    fn compiled(&self) -> Result<serde_json_path::JsonPath, InvalidJsonPath> {
        let characters: Vec<char> = self.0.chars().collect();
        let mut reader = Reader { characters: &characters, at: 0, path: String::with_capacity(self.0.len()) };
        let invalid = |cause: String, at| InvalidJsonPath { text: self.0.chars().take(150).collect(), cause, at };
        reader.path().map_err(|cause| invalid(cause.to_owned(), reader.at + 1))?;
        serde_json_path::JsonPath::parse(&reader.path).map_err(|error| {
            // Where it is wrong is said of the path in brackets; near enough for who reads it.
            invalid(error.message().to_owned(), (error.position() + 1).min(characters.len().max(1)))
        })
    }
}

impl fmt::Display for JsonPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Writes an expression with every member in brackets.
struct Reader<'a> {
    characters: &'a [char],
    at: usize,
    path: String,
}

impl Reader<'_> {
    fn peek(&self) -> Option<char> {
        self.characters.get(self.at).copied()
    }

    /// Goes past the next character, which is the wanted one, without writing it.
    fn skip(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        self.at += usize::from(found);
        found
    }

    /// Writes the next character.
    fn copy(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.path.push(next);
        self.at += 1;
        Some(next)
    }

    fn path(&mut self) -> Result<(), &'static str> {
        if self.peek() != Some('$') {
            return Err("it begins with $, the root");
        }
        self.copy();
        while let Some(next) = self.peek() {
            match next {
                '[' => self.brackets()?,
                '.' => {
                    self.at += 1;
                    if self.skip('.') {
                        self.path.push_str("..");
                    }
                    if self.peek() == Some('[') && self.path.ends_with("..") {
                        self.brackets()?;
                    } else {
                        self.member()?;
                    }
                }
                _ => return Err("a point or a bracket is expected"),
            }
        }
        if self.path.matches("..").count() > DEEP_SCANS {
            return Err("it has more than one deep scan (..)");
        }
        Ok(())
    }

    fn member(&mut self) -> Result<(), &'static str> {
        if self.skip('*') {
            self.path.push_str("[*]");
            return Ok(());
        }
        let start = self.at;
        let plain = |it: char| !it.is_control() && !" .[](){}'\"*,:?@$".contains(it);
        while self.peek().is_some_and(plain) {
            self.at += 1;
        }
        match self.peek() {
            Some('(') => Err("functions are not offered"),
            _ if self.at == start => Err("a member's name is expected"),
            _ => {
                let name: String = self.characters[start..self.at].iter().collect();
                self.path.push_str(&format!("['{}']", name.replace('\\', "\\\\")));
                Ok(())
            }
        }
    }

    /// What is between brackets, with them, as it is: up to the bracket that closes the first one.
    fn brackets(&mut self) -> Result<(), &'static str> {
        let mut open = 0_usize;
        while let Some(next) = self.copy() {
            match next {
                '[' => open += 1,
                ']' if open == 1 => return Ok(()),
                ']' => open -= 1,
                '\'' | '"' => self.quoted(next)?,
                _ => {}
            }
        }
        Err("a closing bracket is expected")
    }

    fn quoted(&mut self, quote: char) -> Result<(), &'static str> {
        while let Some(next) = self.copy() {
            match next {
                '\\' => _ = self.copy(),
                it if it == quote => return Ok(()),
                _ => {}
            }
        }
        Err("a closing quote is expected")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_path() {
        for path in [
            "$",
            "$.ref",
            "$.*",
            "$..id",
            "$..*",
            "$..['id']",
            "$.repository.full_name",
            "$['repository'][\"full name\"]",
            "$['a', 'b'].c",
            "$['it\\'s']",
            "$.commits[0].id",
            "$.commits[-1]",
            "$.commits[0, 2 ,4]",
            "$.commits[*]",
            "$.commits[1:3]",
            "$.commits[:3]",
            "$.commits[-2:]",
            "$.größe-1",
            "$.a\\b",
            "$.commits[?(@.id == 'a]b')].id",
            "$.commits[?@.added[0]]",
            "$..a[?(@.b)]",
        ] {
            assert_eq!(JsonPath::new(path).as_ref().map(JsonPath::as_str), Ok(path));
        }
    }

    #[test]
    fn what_is_none() {
        for (path, cause) in [
            ("", "root"),
            ("ref", "root"),
            (".ref", "root"),
            ("$ref", "a point"),
            ("$.", "a member's name"),
            ("$..", "a member's name"),
            ("$...a", "a member's name"),
            ("$.a.", "a member's name"),
            ("$.[0]", "a member's name"),
            ("$.a b", "a point"),
            ("$.a\u{0}", "a point"),
            ("$[", "a closing bracket"),
            ("$[]", ""),
            ("$['a]", "a closing quote"),
            ("$['a\\", "a closing quote"),
            ("$['a'", "a closing bracket"),
            ("$[a]", ""),
            ("$[1", "a closing bracket"),
            ("$[99999999999999999999]", ""),
            ("$[*", "a closing bracket"),
            ("$.commits[?(@.id]", ""),
            ("$.commits[?match(@.id, 'a')]", ""),
            ("$.commits.length()", "functions are not offered"),
            ("$..a..b", "one deep scan"),
            ("$..a[?(@..b)]", "one deep scan"),
        ] {
            let error = JsonPath::new(path).unwrap_err().to_string();
            assert!(error.contains(cause) && error.contains(path), "{path}: {error}");
        }
    }

    #[test]
    fn what_is_found() {
        let body = serde_json::json!({
            "ref": "refs/heads/main", "pull-request": {"größe": 1}, "a\\b": true,
            "commits": [{"id": "a", "n": 1}, {"id": "b"}, {"id": "c"}],
        });
        for (path, found) in [
            ("$.ref", serde_json::json!(["refs/heads/main"])),
            ("$.pull-request.größe", serde_json::json!([1])),
            ("$.a\\b", serde_json::json!([true])),
            ("$.commits[-1].id", serde_json::json!(["c"])),
            ("$.commits[1:].id", serde_json::json!(["b", "c"])),
            ("$.commits[0, 2]['id']", serde_json::json!(["a", "c"])),
            ("$.commits[?(@.n == 1)].id", serde_json::json!(["a"])),
            ("$..id", serde_json::json!(["a", "b", "c"])),
            ("$.commits.*.n", serde_json::json!([1])),
            ("$.nothing.at.all", serde_json::json!([])),
        ] {
            let selected = JsonPath::new(path).unwrap().find(&body).unwrap();
            assert_eq!(serde_json::json!(selected), found, "{path}");
        }
    }

    #[test]
    fn what_an_earlier_release_has_stored_is_read_and_matches_nothing_if_it_cannot_be_applied() {
        let stored: JsonPath = serde_json::from_str(r#""$..a..b..c""#).unwrap();
        assert!(stored.find(&Value::Null).is_err());
    }
}
