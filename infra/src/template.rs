//! The templates, and what a deployment has to know of one.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use serde_yaml_ng::Value;

use crate::hash;

/// The control plane: one stack in the home region.
pub const HOME: &str = include_str!("../home.yaml");

/// What a region of action needs: one stack in each.
pub const REGION: &str = include_str!("../region.yaml");

/// Longest template that CloudFormation takes in a request, in bytes. It reads a longer one from S3.
const INLINE: usize = 51_200;

/// A template in YAML or JSON.
pub(crate) struct Template<'a> {
    pub body: &'a str,
    document: Value,
}

impl<'a> Template<'a> {
    pub fn parse(body: &'a str) -> Result<Self> {
        let document = serde_yaml_ng::from_str(body).context("the template is not YAML")?;
        Ok(Self { body, document })
    }

    /// The names of its parameters.
    pub fn parameters(&self) -> BTreeSet<&str> {
        self.section("Parameters").map(|(name, _)| name).collect()
    }

    /// The outputs that it always has.
    pub fn outputs(&self) -> BTreeSet<&str> {
        self.section("Outputs").filter(|(_, output)| output.get("Condition").is_none()).map(|(name, _)| name).collect()
    }

    /// Logical ids of what outlives its stack, because it holds what nobody can make again.
    pub fn retained(&self) -> Vec<&str> {
        let retained = |resource: &Value| resource.get("DeletionPolicy").is_some_and(|policy| policy == "Retain");
        self.section("Resources").filter(|(_, resource)| retained(resource)).map(|(name, _)| name).collect()
    }

    /// The key under which it must be in S3, if it is too long for a request.
    pub fn key(&self, stack: &str) -> Option<String> {
        (self.body.len() > INLINE).then(|| format!("templates/{stack}-{}.yaml", &hash(self.body)[..16]))
    }

    fn section(&self, name: &str) -> impl Iterator<Item = (&str, &Value)> {
        let entries = self.document.get(name).and_then(Value::as_mapping);
        entries.into_iter().flatten().filter_map(|(name, value)| Some((name.as_str()?, value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_must_not_be_lost_is_retained() {
        assert_eq!(
            Template::parse(HOME).unwrap().retained(),
            ["Table", "ApprovalKey", "BadgeKey", "SecretsKey", "AuditLog"]
        );
        assert_eq!(Template::parse(REGION).unwrap().retained(), ["ArtifactKey", "Artifacts"]);
    }

    #[test]
    fn a_long_template_is_read_from_s3() {
        assert!(Template::parse(HOME).unwrap().key("millrace").unwrap().starts_with("templates/millrace-"));
        assert_eq!(Template::parse(REGION).unwrap().key("millrace-region"), None);
    }

    #[test]
    fn an_output_with_a_condition_is_not_waited_for() {
        let body = "Outputs: {A: {Value: !Ref X}, B: {Condition: C, Value: b}}";
        assert_eq!(Template::parse(body).unwrap().outputs(), BTreeSet::from(["A"]));
    }
}
