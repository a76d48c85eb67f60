//! JSONPath expressions of webhook filters. Source: CodePipeline API, `WebhookFilterRule`, which refers to the Java
//! implementation of JSONPath.
//!
//! Of that implementation's language, expressions here have the root, members, elements, lists and slices of elements,
//! wildcards and deep scans. Filter expressions and functions, which compute, are refused when the webhook is put, so
//! that none is accepted which would never match.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A JSONPath expression that can be applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct JsonPath(String);

/// Why a text is no such expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is no JSONPath expression: {cause} (character {at})")]
pub struct InvalidJsonPath {
    text: String,
    cause: &'static str,
    /// Which character is wrong, counted from 1.
    at: usize,
}

impl JsonPath {
    /// Reads an expression.
    ///
    /// # Errors
    /// [`InvalidJsonPath`].
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidJsonPath> {
        let text = text.into();
        let characters: Vec<char> = text.chars().collect();
        let mut reader = Reader { characters: &characters, at: 0 };
        match reader.path() {
            Ok(()) => Ok(Self(text)),
            Err(cause) => Err(InvalidJsonPath { text: text.chars().take(150).collect(), cause, at: reader.at + 1 }),
        }
    }

    /// The expression as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for JsonPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for JsonPath {
    type Error = InvalidJsonPath;
    fn try_from(text: String) -> Result<Self, InvalidJsonPath> {
        Self::new(text)
    }
}

impl From<JsonPath> for String {
    fn from(path: JsonPath) -> String {
        path.0
    }
}

struct Reader<'a> {
    characters: &'a [char],
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<char> {
        self.characters.get(self.at).copied()
    }

    fn take(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        self.at += usize::from(found);
        found
    }

    /// Goes past all characters that are `wanted`, and says how many they were.
    fn past(&mut self, wanted: impl Fn(char) -> bool) -> usize {
        let start = self.at;
        while self.peek().is_some_and(&wanted) {
            self.at += 1;
        }
        self.at - start
    }

    fn path(&mut self) -> Result<(), &'static str> {
        if !self.take('$') {
            return Err("it begins with $, the root");
        }
        while self.peek().is_some() {
            if self.take('[') {
                self.brackets()?;
            } else if self.take('.') {
                // Two points: at any depth.
                if self.take('.') && self.take('[') {
                    self.brackets()?;
                } else {
                    self.member()?;
                }
            } else {
                return Err("a point or a bracket is expected");
            }
        }
        Ok(())
    }

    fn member(&mut self) -> Result<(), &'static str> {
        if self.take('*') {
            return Ok(());
        }
        let length = self.past(|it| !" .[](){}'\"*,:?@$".contains(it));
        match self.peek() {
            Some('(') => Err("functions are not offered"),
            _ if length == 0 => Err("a member's name is expected"),
            _ => Ok(()),
        }
    }

    /// What is between brackets, and the closing one.
    fn brackets(&mut self) -> Result<(), &'static str> {
        self.past(|it| it == ' ');
        match self.peek() {
            Some('*') => self.at += 1,
            Some('?') => return Err("filter expressions are not offered"),
            Some('\'' | '"') => self.listed(Self::quoted)?,
            Some(':') => self.slice()?,
            _ => {
                self.number()?;
                self.past(|it| it == ' ');
                match self.peek() {
                    Some(':') => self.slice()?,
                    Some(',') => {
                        self.at += 1;
                        self.listed(Self::number)?;
                    }
                    _ => {}
                }
            }
        }
        self.past(|it| it == ' ');
        if self.take(']') { Ok(()) } else { Err("a closing bracket is expected") }
    }

    fn listed(&mut self, one: fn(&mut Self) -> Result<(), &'static str>) -> Result<(), &'static str> {
        loop {
            self.past(|it| it == ' ');
            one(self)?;
            self.past(|it| it == ' ');
            if !self.take(',') {
                return Ok(());
            }
        }
    }

    fn quoted(&mut self) -> Result<(), &'static str> {
        let quote = self.peek().filter(|it| "'\"".contains(*it)).ok_or("a name in quotes is expected")?;
        self.at += 1;
        while let Some(character) = self.peek() {
            self.at += 1;
            match character {
                '\\' => self.at += 1,
                it if it == quote => return Ok(()),
                _ => {}
            }
        }
        Err("a closing quote is expected")
    }

    fn number(&mut self) -> Result<(), &'static str> {
        self.take('-');
        match self.past(|it| it.is_ascii_digit()) {
            1..=9 => Ok(()),
            _ => Err("an element's number, a name in quotes or * is expected"),
        }
    }

    /// What follows the first number of a slice, if any.
    fn slice(&mut self) -> Result<(), &'static str> {
        self.at += 1;
        if matches!(self.peek(), Some('-' | '0'..='9')) { self.number() } else { Ok(()) }
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
        ] {
            assert_eq!(JsonPath::new(path).map(String::from).as_deref(), Ok(path));
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
            ("$.a b", "a point"),
            ("$[", "an element's number"),
            ("$[]", "an element's number"),
            ("$['a]", "a closing quote"),
            ("$['a\\", "a closing quote"),
            ("$['a'", "a closing bracket"),
            ("$['a',1]", "a name in quotes"),
            ("$[1,'a']", "an element's number"),
            ("$[a]", "an element's number"),
            ("$[1", "a closing bracket"),
            ("$[9999999999]", "an element's number"),
            ("$[*", "a closing bracket"),
            ("$.commits[?(@.id)]", "filter expressions are not offered"),
            ("$.commits.length()", "functions are not offered"),
        ] {
            let error = JsonPath::new(path).unwrap_err().to_string();
            assert!(error.contains(cause) && error.contains(path), "{path}: {error}");
        }
    }
}
