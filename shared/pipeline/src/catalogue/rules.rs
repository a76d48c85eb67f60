//! The rule types that CodePipeline offers for stage conditions: artifact counts, configuration keys, pages, and whether
//! Millrace has built them. Source: CodePipeline user guide, 'Rule structure reference'.

use std::ops::RangeInclusive;

use crate::declaration::TypeId;

/// A rule type. Its category is `Rule`, its owner `AWS`, its version `1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleType {
    /// For example `DeploymentWindow`.
    pub provider: &'static str,
    /// How many artifacts a rule of this type reads.
    pub inputs: RangeInclusive<usize>,
    /// The keys of its configuration.
    pub configuration: &'static [RuleProperty],
    /// The console's page of what a rule looks at, `{Config:Key}` standing for configuration values; none where there is
    /// no such thing.
    pub entity_url: Option<&'static str>,
    /// Whether Millrace checks it. A rule of a type that is not built is accepted and fails with that reason.
    pub built: bool,
}

/// A configuration key of a rule type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuleProperty {
    /// The key, in AWS's spelling.
    pub name: &'static str,
    /// Whether a rule cannot be checked without it.
    pub required: bool,
    /// What values are: `String`, `Number` or `Boolean`.
    pub kind: &'static str,
}

/// The category of all rule types.
pub const CATEGORY: &str = "Rule";
/// The owner of all rule types.
pub const OWNER: &str = "AWS";
/// The version of all rule types.
pub const VERSION: &str = "1";

const fn optional(name: &'static str) -> RuleProperty {
    RuleProperty { name, required: false, kind: "String" }
}

const fn required(name: &'static str) -> RuleProperty {
    RuleProperty { required: true, ..optional(name) }
}

const fn of(kind: &'static str, property: RuleProperty) -> RuleProperty {
    RuleProperty { kind, ..property }
}

static TYPES: &[RuleType] = &[
    RuleType {
        provider: "CloudWatchAlarm",
        inputs: 0..=0,
        configuration: &[required("AlarmName"), optional("AlarmStates"), of("Number", optional("WaitTime"))],
        entity_url: Some("https://console.aws.amazon.com/cloudwatch/home#alarmsV2:alarm/{Config:AlarmName}"),
        built: true,
    },
    RuleType {
        provider: "CodeBuild",
        inputs: 1..=5,
        configuration: &[
            required("ProjectName"),
            optional("PrimarySource"),
            of("Boolean", optional("BatchEnabled")),
            of("Boolean", optional("CombineArtifacts")),
            optional("EnvironmentVariables"),
        ],
        entity_url: Some("https://console.aws.amazon.com/codesuite/codebuild/projects/{Config:ProjectName}"),
        built: false,
    },
    // What it runs is in the rule's own `commands`.
    RuleType { provider: "Commands", inputs: 1..=5, configuration: &[], entity_url: None, built: false },
    RuleType {
        provider: "DeploymentWindow",
        inputs: 0..=0,
        configuration: &[required("Cron"), optional("TimeZone")],
        entity_url: None,
        built: true,
    },
    RuleType {
        provider: "LambdaInvoke",
        inputs: 0..=5,
        configuration: &[required("FunctionName"), optional("UserParameters")],
        entity_url: Some("https://console.aws.amazon.com/lambda/home#/functions/{Config:FunctionName}"),
        built: true,
    },
    RuleType {
        provider: "VariableCheck",
        inputs: 0..=0,
        configuration: &[required("Operator"), required("Value"), required("Variable")],
        entity_url: None,
        built: true,
    },
];

/// Every rule type that CodePipeline offers, by name.
pub fn all() -> &'static [RuleType] {
    TYPES
}

/// The rule type with this id, if CodePipeline offers it. Owner and version may be left out.
pub fn find(id: &TypeId) -> Option<&'static RuleType> {
    let is = |given: &Option<String>, value| given.as_deref().is_none_or(|given| given == value);
    let known = TYPES.iter().find(|known| known.provider == id.provider)?;
    (id.category == CATEGORY && is(&id.owner, OWNER) && is(&id.version, VERSION)).then_some(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(category: &str, owner: Option<&str>, provider: &str, version: Option<&str>) -> TypeId {
        TypeId {
            category: category.into(),
            owner: owner.map(Into::into),
            provider: provider.into(),
            version: version.map(Into::into),
        }
    }

    #[test]
    fn every_type_is_found_by_its_id() {
        for known in all() {
            let found = find(&id(CATEGORY, Some(OWNER), known.provider, Some(VERSION))).unwrap();
            assert!(std::ptr::eq(found, known), "{} is there once", known.provider);
            assert_eq!(find(&id(CATEGORY, None, known.provider, None)), Some(known));
        }
        for wrong in [
            id("Test", Some("AWS"), "CodeBuild", Some("1")),
            id("Rule", Some("Custom"), "CodeBuild", Some("1")),
            id("Rule", Some("AWS"), "codebuild", Some("1")),
            id("Rule", Some("AWS"), "CodeBuild", Some("2")),
        ] {
            assert_eq!(find(&wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn every_entry_is_well_formed() {
        assert!(all().is_sorted_by_key(|known| known.provider));
        for known in all() {
            // Source: CodePipeline API, `ArtifactDetails`, `RuleConfigurationPropertyList`.
            assert!(known.inputs.start() <= known.inputs.end() && *known.inputs.end() <= 5, "{known:?}");
            assert!(known.configuration.len() <= 10);
            for (n, property) in known.configuration.iter().enumerate() {
                assert!(["String", "Number", "Boolean"].contains(&property.kind), "{property:?}");
                assert!(known.configuration[..n].iter().all(|other| other.name != property.name), "{property:?}");
            }
        }
    }

    #[test]
    fn four_are_built() {
        let built: Vec<_> = all().iter().filter(|known| known.built).map(|known| known.provider).collect();
        assert_eq!(built, ["CloudWatchAlarm", "DeploymentWindow", "LambdaInvoke", "VariableCheck"]);
    }
}
