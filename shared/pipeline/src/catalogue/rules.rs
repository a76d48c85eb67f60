//! The types of rules of stage conditions: artifact counts, configuration keys, time-outs. Source: CodePipeline user guide, 'Rule structure reference', whose pages name the keys. They say
//! nothing of artifact counts and time-outs: those are the counts of the action types of the same name, and what
//! 'Quotas' and the page of Commands say of such work.

use std::ops::RangeInclusive;

use super::{Property, ValueKind};
use crate::declaration::TypeId;

/// The category of every rule type.
pub const CATEGORY: &str = "Rule";

/// The owner of every rule type.
pub const OWNER: &str = "AWS";

/// The version of every rule type.
pub const VERSION: &str = "1";

/// Longest value of a rule's configuration key, in characters. Source: CodePipeline API, `RuleConfigurationValue`.
pub const MAX_VALUE_LENGTH: usize = 10_000;

const HOUR: u32 = 60;
const DAY: u32 = 24 * HOUR;

/// A type of rules; its category is [`CATEGORY`], its owner [`OWNER`], its version [`VERSION`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleType {
    /// The provider's name in AWS's spelling, for example `DeploymentWindow`.
    pub provider: &'static str,
    /// How many artifacts a rule of this type reads.
    pub inputs: RangeInclusive<usize>,
    /// The keys of its configuration; no others pass.
    pub configuration: &'static [Property],
    /// Whether it has `commands` in place of a configuration.
    pub commands: bool,
    /// Whether it can stand in a condition whose result is `SKIP`. Source: CodePipeline user guide, 'Stage conditions'.
    pub can_skip: bool,
    /// Minutes after which a rule fails that has not ended, where its declaration says nothing.
    pub default_timeout_minutes: u32,
    /// Minutes of silence after which it fails, as [`super::ActionType::silence_timeout_minutes`].
    pub silence_timeout_minutes: Option<u32>,
    /// The console's page of what a rule looks at, `{Config:Key}` standing for configuration values; none where there is
    /// no such thing.
    pub entity_url: Option<&'static str>,
}

const fn optional(name: &'static str) -> Property {
    Property {
        name,
        required: false,
        secret: false,
        queryable: false,
        max_length: MAX_VALUE_LENGTH,
        kind: ValueKind::Text,
    }
}

const fn required(name: &'static str) -> Property {
    Property { required: true, ..optional(name) }
}

/// What most types have in common.
const RULE: RuleType = RuleType {
    provider: "",
    inputs: 0..=0,
    configuration: &[],
    commands: false,
    can_skip: false,
    default_timeout_minutes: HOUR,
    silence_timeout_minutes: None,
    entity_url: None,
};

static TYPES: &[RuleType] = &[
    RuleType {
        provider: "CloudWatchAlarm",
        entity_url: Some("https://console.aws.amazon.com/cloudwatch/home#alarmsV2:alarm/{Config:AlarmName}"),
        configuration: &[
            required("AlarmName"),
            optional("AlarmStates").of(ValueKind::SomeOf(&["ALARM", "INSUFFICIENT_DATA", "OK"])),
            optional("WaitTime").of(ValueKind::Number),
        ],
        // It waits for as long as its own `WaitTime` says.
        default_timeout_minutes: DAY,
        ..RULE
    },
    RuleType {
        provider: "CodeBuild",
        entity_url: Some("https://console.aws.amazon.com/codesuite/codebuild/projects/{Config:ProjectName}"),
        inputs: 1..=5,
        configuration: &[
            required("ProjectName"),
            optional("PrimarySource"),
            optional("BatchEnabled").of(ValueKind::Boolean),
            optional("CombineArtifacts").of(ValueKind::Boolean),
            optional("EnvironmentVariables"),
        ],
        default_timeout_minutes: 36 * HOUR,
        ..RULE
    },
    RuleType { provider: "Commands", inputs: 1..=10, commands: true, default_timeout_minutes: 55, ..RULE },
    RuleType {
        provider: "DeploymentWindow",
        configuration: &[required("Cron").of(ValueKind::Cron), optional("TimeZone").of(ValueKind::TimeZone)],
        // An hour would not outlast a night, let alone a weekend: as long as an approval waits.
        default_timeout_minutes: 7 * DAY,
        ..RULE
    },
    RuleType {
        provider: "LambdaInvoke",
        entity_url: Some("https://console.aws.amazon.com/lambda/home#/functions/{Config:FunctionName}"),
        inputs: 0..=5,
        configuration: &[required("FunctionName"), optional("UserParameters")],
        can_skip: true,
        default_timeout_minutes: DAY,
        silence_timeout_minutes: Some(20),
        ..RULE
    },
    RuleType {
        provider: "VariableCheck",
        configuration: &[
            required("Variable"),
            required("Value"),
            required("Operator").of(ValueKind::OneOf(&["EQ", "NE", "CONTAINS", "MATCHES"])),
        ],
        can_skip: true,
        ..RULE
    },
];

impl RuleType {
    /// The id with the category, owner and version that all rule types share.
    pub fn id(&self) -> TypeId {
        TypeId {
            category: CATEGORY.to_owned(),
            owner: Some(OWNER.to_owned()),
            provider: self.provider.to_owned(),
            version: Some(VERSION.to_owned()),
        }
    }

    /// A configuration key by name.
    pub fn property(&self, name: &str) -> Option<&'static Property> {
        self.configuration.iter().find(|property| property.name == name)
    }
}

/// The rule type with this id. Owner and version may be left out, as only one of each exists. Source: CodePipeline API,
/// `RuleTypeId`.
pub fn find(id: &TypeId) -> Option<&'static RuleType> {
    let known = |part: &Option<String>, only: &str| part.as_deref().is_none_or(|part| part == only);
    if id.category != CATEGORY || !known(&id.owner, OWNER) || !known(&id.version, VERSION) {
        return None;
    }
    TYPES.iter().find(|known| known.provider == id.provider)
}

/// Every rule type, by provider.
pub fn all() -> &'static [RuleType] {
    TYPES
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits;
    use crate::{Action, ActionName, Compute};

    #[test]
    fn types_are_found_by_their_ids() {
        for known in all() {
            assert_eq!(find(&known.id()), Some(known));
            let short = TypeId { owner: None, version: None, ..known.id() };
            assert_eq!(find(&short), Some(known));
        }
        let id = all()[0].id();
        for wrong in [
            TypeId { category: "Invoke".into(), ..id.clone() },
            TypeId { owner: Some("Custom".into()), ..id.clone() },
            TypeId { provider: "Lambda".into(), ..id.clone() },
            TypeId { version: Some("2".into()), ..id },
        ] {
            assert_eq!(find(&wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn the_table_is_in_order_and_keeps_the_api_s_limits() {
        assert!(all().is_sorted_by(|one, other| one.provider < other.provider));
        for known in all() {
            assert!(known.provider.len() <= 35 && known.configuration.len() <= 10, "{}", known.provider);
            assert!(limits::TIMEOUT_MINUTES.contains(&known.default_timeout_minutes), "{}", known.provider);
            assert!(known.commands == known.configuration.is_empty(), "{}", known.provider);
            for property in known.configuration {
                assert!(!property.secret && property.max_length == MAX_VALUE_LENGTH);
                assert_eq!(known.property(property.name), Some(property));
            }
        }
    }

    #[test]
    fn a_rule_s_time_out_is_its_own_or_its_type_s() {
        let rule = |provider: &str, timeout_in_minutes| Action {
            name: ActionName::new("Rule").unwrap(),
            type_id: TypeId { provider: provider.into(), ..all()[0].id() },
            run_order: 1,
            configuration: [].into(),
            compute: Compute::default(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            role_arn: None,
            region: None,
            namespace: None,
            timeout_in_minutes,
            custom: None,
        };
        assert_eq!(rule("VariableCheck", None).timeout_minutes(), 60);
        assert_eq!(rule("DeploymentWindow", None).timeout_minutes(), 7 * 24 * 60);
        assert_eq!(rule("DeploymentWindow", Some(5)).timeout_minutes(), 5);
        assert_eq!(rule("LambdaInvoke", Some(5)).silence_timeout_minutes(), Some(20));
        assert_eq!(rule("Commands", None).silence_timeout_minutes(), None);
    }
}
