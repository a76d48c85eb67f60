//! Target groups of load balancers: which instances they have, and how those leave and come back. Source: Elastic Load
//! Balancing API (2015-12-01), `DescribeTargetGroups`, `DescribeTargetHealth`, `DeregisterTargets`, `RegisterTargets`,
//! `TargetHealth`.
//!
//! Both changes can be made again: a target that is registered already stays so, one that is gone already stays away.

use std::fmt;

use aws_sdk_elasticloadbalancingv2::Client;
use aws_sdk_elasticloadbalancingv2::operation::deregister_targets::DeregisterTargetsError;
use aws_sdk_elasticloadbalancingv2::operation::describe_target_groups::DescribeTargetGroupsError;
use aws_sdk_elasticloadbalancingv2::operation::describe_target_health::DescribeTargetHealthError;
use aws_sdk_elasticloadbalancingv2::operation::register_targets::RegisterTargetsError;
use aws_sdk_elasticloadbalancingv2::types::{
    TargetDescription, TargetHealth, TargetHealthDescription, TargetHealthReasonEnum, TargetHealthStateEnum,
    TargetTypeEnum,
};
use serde::{Deserialize, Serialize};

use crate::configuration::items;
use crate::error::{ClassifyError, ErrorClass, ProviderError};

/// `TargetGroupNameList`.
#[derive(Debug, Deserialize, PartialEq)]
#[serde(try_from = "&str")]
pub(crate) struct TargetGroupNames(pub(crate) Vec<String>);

impl TryFrom<&str> for TargetGroupNames {
    type Error = &'static str;

    fn try_from(list: &str) -> Result<Self, Self::Error> {
        let mut names: Vec<String> = Vec::new();
        for name in items(list) {
            // Source: Elastic Load Balancing API, `CreateTargetGroup`, `Name`.
            if name.len() > 32 || name.bytes().any(|byte| !byte.is_ascii_alphanumeric() && byte != b'-') {
                return Err("it must be names of target groups, no ARNs, with commas between them");
            }
            if !names.iter().any(|it| it == name) {
                names.push(name.to_owned());
            }
        }
        match names.is_empty() {
            true => Err("it names no target group"),
            false => Ok(Self(names)),
        }
    }
}

/// A target group that is there.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct TargetGroup {
    pub(crate) name: String,
    pub(crate) arn: String,
}

/// An instance as a target group has it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Target {
    pub(crate) instance: String,
    pub(crate) port: Option<i32>,
    /// Which QUIC servers have beside the port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) quic_server: Option<String>,
}

impl Target {
    fn description(&self) -> TargetDescription {
        TargetDescription::builder()
            .id(&self.instance)
            .set_port(self.port)
            .set_quic_server_id(self.quic_server.clone())
            .build()
    }

    fn of(description: TargetDescription) -> Self {
        let TargetDescription { id, port, quic_server_id, .. } = description;
        Self { instance: id.unwrap_or_default(), port, quic_server: quic_server_id }
    }
}

/// How a target stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Standing {
    /// It gets traffic, or would if its group were in use.
    Serving,
    /// Not yet, or not any more.
    NotServing,
    /// It finishes what it has, and is gone then.
    Leaving,
}

/// A target that its group has, and what Elastic Load Balancing says of it.
#[derive(Debug)]
pub(crate) struct Health {
    pub(crate) target: Target,
    pub(crate) standing: Standing,
    words: String,
}

impl Health {
    fn of(found: TargetHealthDescription) -> Self {
        let TargetHealth { state, reason, description, .. } =
            found.target_health.unwrap_or_else(|| TargetHealth::builder().build());
        let standing = match (&state, &reason) {
            (Some(TargetHealthStateEnum::Draining), _) => Standing::Leaving,
            // Nobody looks at its health: the group has no listener, or no health checks.
            (Some(TargetHealthStateEnum::Healthy | TargetHealthStateEnum::Unavailable), _)
            | (Some(TargetHealthStateEnum::Unused), Some(TargetHealthReasonEnum::NotInUse)) => Standing::Serving,
            _ => Standing::NotServing,
        };
        let state = state.as_ref().map_or("in no state", TargetHealthStateEnum::as_str);
        let reason = reason.as_ref().map(TargetHealthReasonEnum::as_str);
        let words = match (reason, description) {
            (Some(reason), Some(description)) => format!("{state} ({reason}: {description})"),
            (Some(why), None) => format!("{state} ({why})"),
            (None, Some(why)) => format!("{state} ({why})"),
            (None, None) => state.to_owned(),
        };
        Self {
            target: Target::of(found.target.unwrap_or_else(|| TargetDescription::builder().build())),
            standing,
            words,
        }
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

/// A target that was refused, and the words in which it was.
pub(crate) type Refused = (Target, String);

/// The service, in one region and under one role.
pub(crate) struct TargetGroups(pub(crate) Client);

impl TargetGroups {
    /// The group with this name, whose targets must be instances.
    pub(crate) async fn find(&self, name: &str) -> Result<TargetGroup, ProviderError> {
        let found = self.0.describe_target_groups().names(name).send().await;
        let found = found.map_err(|error| ProviderError::aws("DescribeTargetGroups", label(name), &error))?;
        let group = found.target_groups.unwrap_or_default().into_iter().find(|it| it.target_group_name() == Some(name));
        let none = || ProviderError::configuration(format!("DescribeTargetGroups: {} is not there", label(name)));
        let group = group.ok_or_else(none)?;
        match group.target_type() {
            Some(TargetTypeEnum::Instance) | None => {}
            Some(other) => {
                return Err(ProviderError::configuration(format!(
                    "{} has targets of type {other}: TargetGroupNameList takes groups with targets of type instance",
                    label(name)
                )));
            }
        }
        Ok(TargetGroup { name: name.to_owned(), arn: group.target_group_arn.ok_or_else(none)? })
    }

    /// All targets that a group has, and those that are leaving it.
    pub(crate) async fn health(&self, group: &TargetGroup) -> Result<Vec<Health>, ProviderError> {
        let found = self.0.describe_target_health().target_group_arn(&group.arn).send().await;
        let found = found.map_err(|error| ProviderError::aws("DescribeTargetHealth", label(&group.name), &error))?;
        Ok(found.target_health_descriptions.unwrap_or_default().into_iter().map(Health::of).collect())
    }

    /// Takes targets out. Those of which the group does not know are out.
    pub(crate) async fn deregister(&self, group: &TargetGroup, targets: &[Target]) -> Result<(), ProviderError> {
        if !self.deregister_together(group, targets).await? {
            for target in targets {
                self.deregister_together(group, std::slice::from_ref(target)).await?;
            }
        }
        Ok(())
    }

    /// Answers whether all of them are such as a group can have.
    async fn deregister_together(&self, group: &TargetGroup, targets: &[Target]) -> Result<bool, ProviderError> {
        let all = targets.iter().map(Target::description).collect();
        match self.0.deregister_targets().target_group_arn(&group.arn).set_targets(Some(all)).send().await {
            Ok(_) => Ok(true),
            Err(error) if error.as_service_error().is_some_and(DeregisterTargetsError::is_invalid_target_exception) => {
                Ok(false)
            }
            Err(error) => Err(ProviderError::aws("DeregisterTargets", label(&group.name), &error)),
        }
    }

    /// Brings targets back. Answers those that cannot come, since they are stopped or gone: one does not keep the others
    /// out.
    pub(crate) async fn register(
        &self,
        group: &TargetGroup,
        targets: &[Target],
    ) -> Result<Vec<Refused>, ProviderError> {
        if targets.is_empty() || self.register_together(group, targets).await?.is_none() {
            return Ok(Vec::new());
        }
        let mut refused = Vec::new();
        for target in targets {
            if let Some(words) = self.register_together(group, std::slice::from_ref(target)).await? {
                refused.push((target.clone(), words));
            }
        }
        Ok(refused)
    }

    /// Answers why one of them cannot be registered, where that is so.
    async fn register_together(
        &self,
        group: &TargetGroup,
        targets: &[Target],
    ) -> Result<Option<String>, ProviderError> {
        let all = targets.iter().map(Target::description).collect();
        match self.0.register_targets().target_group_arn(&group.arn).set_targets(Some(all)).send().await {
            Ok(_) => Ok(None),
            Err(error) => {
                let invalid = error.as_service_error().is_some_and(RegisterTargetsError::is_invalid_target_exception);
                let what = format!("{} with {}", named(targets.iter().map(|it| &it.instance)), label(&group.name));
                match ProviderError::aws("RegisterTargets", what, &error) {
                    ProviderError::Failed { message, .. } if invalid => Ok(Some(message)),
                    other => Err(other),
                }
            }
        }
    }
}

/// How messages call several: by the first of them.
pub(crate) fn named<T: fmt::Display>(all: impl IntoIterator<Item = T>) -> String {
    let mut all = all.into_iter();
    match (all.next(), all.count()) {
        (None, _) => "none".to_owned(),
        (Some(first), 0) => first.to_string(),
        (Some(first), more) => format!("{first} and {more} more"),
    }
}

/// How messages call a group.
fn label(name: &str) -> String {
    format!("the target group {name}")
}

/// What all operations can answer.
macro_rules! classify {
    ($($error:ident: $($configuration:ident)*;)*) => {$(
        impl ClassifyError for $error {
            fn class(&self) -> Option<ErrorClass> {
                match self {
                    $(Self::$configuration(_) => Some(ErrorClass::Configuration),)*
                    _ => None,
                }
            }
        }
    )*};
}

classify! {
    DeregisterTargetsError: InvalidTargetException TargetGroupNotFoundException;
    DescribeTargetGroupsError: LoadBalancerNotFoundException TargetGroupNotFoundException;
    DescribeTargetHealthError: InvalidTargetException TargetGroupNotFoundException;
    RegisterTargetsError: InvalidTargetException TargetGroupNotFoundException TooManyRegistrationsForTargetIdException
        TooManyTargetsException;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn target_groups_are_named_with_commas() {
        let names = |list: &str| TargetGroupNames::try_from(list).map(|names| names.0);
        assert_eq!(names("web, api-2,web,").unwrap(), ["web", "api-2"]);
        assert_eq!(names(",").unwrap_err(), "it names no target group");
        for wrong in ["arn:aws:elasticloadbalancing:eu-west-1:1:targetgroup/web/1", "a b", &"a".repeat(33)] {
            assert!(names(wrong).unwrap_err().contains("no ARNs"), "{wrong}");
        }
    }
}
