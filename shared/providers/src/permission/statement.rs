//! Statements of policies.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::{Value, json};

/// Conditions of a statement: operator, key, values.
pub type Conditions = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

/// The condition that `key` has one of these values, by an operator of IAM such as `StringLike`.
pub fn condition<'a>(operator: &str, key: &str, values: impl IntoIterator<Item = &'a str>) -> Conditions {
    let values = values.into_iter().map(str::to_owned).collect();
    Conditions::from([(operator.to_owned(), BTreeMap::from([(key.to_owned(), values)]))])
}

/// A statement that allows something.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Statement {
    /// As IAM writes them, for example `s3:GetObject`.
    pub actions: BTreeSet<String>,
    /// ARNs, in which `*` stands for anything.
    pub resources: BTreeSet<String>,
    /// All must hold; empty allows without any.
    pub conditions: Conditions,
}

impl Statement {
    /// A statement about these resources; there is none where there are no resources.
    pub fn new(actions: &[&str], resources: impl IntoIterator<Item = String>, conditions: Conditions) -> Option<Self> {
        let resources: BTreeSet<String> = resources.into_iter().collect();
        let actions = actions.iter().map(|action| (*action).to_owned()).collect();
        (!resources.is_empty()).then_some(Self { actions, resources, conditions })
    }

    /// As a policy has it.
    #[must_use]
    pub fn json(&self) -> Value {
        let list = |of: &BTreeSet<String>| match of.iter().collect::<Vec<_>>()[..] {
            [one] => json!(one),
            _ => json!(of),
        };
        let mut statement =
            json!({"Effect": "Allow", "Action": list(&self.actions), "Resource": list(&self.resources)});
        if !self.conditions.is_empty() {
            let keys = |keys: &BTreeMap<String, BTreeSet<String>>| {
                keys.iter().map(|(key, values)| (key.clone(), list(values))).collect::<serde_json::Map<_, _>>()
            };
            let conditions: serde_json::Map<_, _> =
                self.conditions.iter().map(|(operator, of)| (operator.clone(), Value::Object(keys(of)))).collect();
            statement["Condition"] = Value::Object(conditions);
        }
        statement
    }

    /// Whether it allows an action on a resource, whatever its conditions.
    #[must_use]
    pub fn names(&self, action: &str, resource: &str) -> bool {
        self.actions.iter().any(|it| like(it, action)) && self.resources.iter().any(|it| like(it, resource))
    }
}

/// Whether a pattern with `*` matches a text.
fn like(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((before, rest)) => text.strip_prefix(before).is_some_and(|text| {
            // The end of the text, or any place at which the rest may go on.
            (0..=text.len()).filter(|at| text.is_char_boundary(*at)).any(|at| like(rest, &text[at..]))
        }),
    }
}

/// The same rights in as few statements: what is allowed on the same resources, or the same that is allowed on several.
#[must_use]
pub fn merge(statements: impl IntoIterator<Item = Statement>) -> Vec<Statement> {
    let mut by_resources: BTreeMap<(BTreeSet<String>, Conditions), BTreeSet<String>> = BTreeMap::new();
    let mut by_actions: BTreeMap<(BTreeSet<String>, Conditions), BTreeSet<String>> = BTreeMap::new();
    for Statement { actions, resources, conditions } in statements {
        by_actions.entry((actions, conditions)).or_default().extend(resources);
    }
    for ((actions, conditions), resources) in by_actions {
        let resources = if resources.contains("*") { BTreeSet::from(["*".to_owned()]) } else { resources };
        by_resources.entry((resources, conditions)).or_default().extend(actions);
    }
    let merged = by_resources.into_iter();
    let mut all: Vec<Statement> =
        merged.map(|((resources, conditions), actions)| Statement { actions, resources, conditions }).collect();
    all.sort();
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement(actions: &[&str], resources: &[&str]) -> Statement {
        Statement::new(actions, resources.iter().map(|it| (*it).to_owned()), Conditions::new()).unwrap()
    }

    #[test]
    fn statements_are_merged_without_allowing_more() {
        let merged = merge([
            statement(&["s3:GetObject"], &["a"]),
            statement(&["s3:GetObject"], &["b"]),
            statement(&["s3:PutObject"], &["a", "b"]),
            statement(&["s3:PutObject"], &["c"]),
            statement(&["s3:PutObject"], &["a"]),
            statement(&["ecr:DescribeImages"], &["*"]),
            statement(&["ecr:DescribeImages"], &["d"]),
        ]);
        let expected = [
            statement(&["ecr:DescribeImages"], &["*"]),
            statement(&["s3:GetObject"], &["a", "b"]),
            statement(&["s3:PutObject"], &["a", "b", "c"]),
        ];
        assert_eq!(merged, expected);
        let held = Statement {
            conditions: condition("StringEquals", "iam:PassedToService", ["x"]),
            ..statement(&["iam:PassRole"], &["r"])
        };
        assert_eq!(merge([held.clone(), statement(&["iam:PassRole"], &["r"])]).len(), 2, "conditions are kept apart");
        let json = held.json();
        assert_eq!(json["Condition"]["StringEquals"]["iam:PassedToService"], "x");
        assert_eq!((json["Action"].as_str(), json["Resource"].as_str()), (Some("iam:PassRole"), Some("r")));
    }

    #[test]
    fn stars_stand_for_anything() {
        let it = statement(&["s3:Get*"], &["arn:aws:s3:::b/*/x"]);
        assert!(it.names("s3:GetObject", "arn:aws:s3:::b/a/é/x"));
        assert!(!it.names("s3:GetObject", "arn:aws:s3:::b/a/y"));
        assert!(!it.names("s3:PutObject", "arn:aws:s3:::b/a/x"));
        assert!(like("*", "") && like("a*", "a") && !like("a*b", "a"));
    }
}
