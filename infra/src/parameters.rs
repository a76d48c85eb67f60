//! The templates' parameters: those that a person gives, over those that a stack has.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

/// Reads a file with parameters: a JSON object (`{"PollSeconds": 5}`), or CloudFormation's own form, a list of
/// `{"ParameterKey": ..., "ParameterValue": ...}`.
pub(crate) fn read(file: &Path) -> Result<BTreeMap<String, String>> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    parse(&text).with_context(|| format!("in {}", file.display()))
}

fn parse(text: &str) -> Result<BTreeMap<String, String>> {
    let document: Value = serde_json::from_str(text).context("this is not JSON")?;
    let mut parameters = BTreeMap::new();
    let mut add = |name: &str, value: &Value| {
        let added = parameters.insert(name.to_owned(), scalar(name, value)?);
        ensure!(added.is_none(), "the parameter {name} stands there twice");
        Ok(())
    };
    match document {
        Value::Object(members) => members.iter().try_for_each(|(name, value)| add(name, value))?,
        Value::Array(entries) => entries.iter().enumerate().try_for_each(|(at, entry)| {
            let name = entry.get("ParameterKey").and_then(Value::as_str);
            let name = name.with_context(|| format!("entry {} has no ParameterKey", at + 1))?;
            let value = entry.get("ParameterValue");
            add(name, value.with_context(|| format!("entry {} ({name}) has no ParameterValue", at + 1))?)
        })?,
        _ => bail!(
            "parameters are an object, such as {{\"PollSeconds\": 5}}, or a list of \
             {{\"ParameterKey\": \"PollSeconds\", \"ParameterValue\": \"5\"}}"
        ),
    }
    Ok(parameters)
}

/// A value as CloudFormation takes it: a text.
fn scalar(name: &str, value: &Value) -> Result<String> {
    Ok(match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(truth) => truth.to_string(),
        Value::Array(values) => values.iter().map(|value| scalar(name, value)).collect::<Result<Vec<_>>>()?.join(","),
        Value::Null | Value::Object(_) => bail!("the parameter {name} must be a text, a number, true, false or a list"),
    })
}

/// Refuses names that no template has, and those that are `taken` by the deployment itself.
pub(crate) fn check<'a>(
    given: impl IntoIterator<Item = &'a String>,
    known: &BTreeSet<&str>,
    taken: &BTreeSet<String>,
) -> Result<()> {
    for name in given {
        ensure!(!taken.contains(name), "the parameter {name} is set by the deployment itself");
        if !known.contains(name.as_str()) {
            let free = known.iter().filter(|known| !taken.contains(**known));
            match free.min_by_key(|known| distance(known, name)) {
                Some(nearest) if distance(nearest, name) <= name.len() / 2 => {
                    bail!("there is no parameter {name}; did you mean {nearest}?")
                }
                _ => bail!("there is no parameter {name}: infra/home.yaml and infra/region.yaml say which there are"),
            }
        }
    }
    Ok(())
}

/// How many letters must be inserted, removed or changed to make one word the other (Levenshtein), without regard to case.
fn distance(one: &str, other: &str) -> usize {
    let (one, other) = (one.to_lowercase(), other.to_lowercase());
    let letters: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=letters.len()).collect();
    for (above, letter) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = above + 1;
        for (at, wanted) in letters.iter().enumerate() {
            let changed = diagonal + usize::from(letter != *wanted);
            diagonal = row[at + 1];
            row[at + 1] = changed.min(row[at] + 1).min(diagonal + 1);
        }
    }
    row[letters.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        crate::output::words(&parse(text).unwrap_err())
    }

    #[test]
    fn both_forms_of_a_file_mean_the_same() {
        let object = parse(r#"{"PollSeconds": 5, "AccessLogs": true, "LogLevel": "info", "L": ["a", "b"]}"#).unwrap();
        let list = r#"[{"ParameterKey": "PollSeconds", "ParameterValue": "5"}, {"ParameterKey": "AccessLogs",
            "ParameterValue": "true"}, {"ParameterKey": "LogLevel", "ParameterValue": "info"},
            {"ParameterKey": "L", "ParameterValue": "a,b"}]"#;
        assert_eq!(object, parse(list).unwrap());
        assert_eq!(object["PollSeconds"], "5");
    }

    #[test]
    fn a_file_that_cannot_be_parameters_says_why() {
        assert!(error("{").contains("not JSON"));
        assert!(error("5").contains("are an object"));
        assert!(error(r#"{"A": {}}"#).contains("parameter A must be"));
        assert!(error(r#"[{"ParameterKey": "A"}]"#).contains("entry 1 (A) has no ParameterValue"));
        assert!(error(r#"[{}]"#).contains("entry 1 has no ParameterKey"));
        let twice = r#"[{"ParameterKey": "A", "ParameterValue": "1"}, {"ParameterKey": "A", "ParameterValue": "2"}]"#;
        assert!(error(twice).contains("A stands there twice"));
    }

    #[test]
    fn an_unknown_name_is_refused_with_the_nearest_known_one() {
        let known = BTreeSet::from(["PollSeconds", "SweepSeconds", "CodeBucket"]);
        let taken = BTreeSet::from(["CodeBucket".to_owned()]);
        let check = |name: &str| check([&name.to_owned()], &known, &taken).map_err(|error| error.to_string());
        assert_eq!(check("PollSeconds"), Ok(()));
        assert!(check("pollsecond").unwrap_err().ends_with("did you mean PollSeconds?"));
        assert!(check("Frobnicate").unwrap_err().contains("say which there are"));
        assert!(check("CodeBucket").unwrap_err().contains("set by the deployment itself"));
        assert!(!check("CodeBuckets").unwrap_err().contains("mean CodeBucket"));
    }

    #[test]
    fn a_distance_counts_letters() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("Same", "same"), 0);
    }
}
