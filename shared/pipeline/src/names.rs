//! Names and ids that can only hold what CodePipeline allows.

use std::fmt;
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

/// A value that does not have the form its kind requires.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{value:?} is not a valid {kind}: it must match {pattern}")]
pub struct InvalidName {
    /// What the value should have been, for example `stage name`.
    pub kind: &'static str,
    /// The value, cut to 100 characters.
    pub value: String,
    /// The pattern it must match, with its length limits.
    pub pattern: &'static str,
}

/// True when every character is an ASCII letter, a digit or one of `others`, and their number is within `length`.
pub(crate) fn consists_of(value: &str, length: RangeInclusive<usize>, others: &[u8]) -> bool {
    length.contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || others.contains(&byte))
}

/// `arn:<partition>:iam::<account>:role/<path and name>`, at most 1024 characters.
fn is_role_arn(value: &str) -> bool {
    let mut parts = value.splitn(6, ':');
    let mut next = || parts.next().unwrap_or_default();
    let scheme = next() == "arn";
    let partition = next();
    let iam = next() == "iam" && next().is_empty();
    let account = next();
    let resource = next().strip_prefix("role/").unwrap_or_default();
    let suffixes = partition.strip_prefix("aws").map(|rest| rest.split('-').collect::<Vec<_>>());
    scheme
        && iam
        && suffixes.is_some_and(|words| {
            words
                .iter()
                .enumerate()
                .all(|(n, word)| if n == 0 { word.is_empty() } else { consists_of(word, 1..=1024, b"_") })
        })
        && account.len() == 12
        && account.bytes().all(|byte| byte.is_ascii_digit())
        && !resource.is_empty()
        && !resource.contains('\n')
        && value.chars().count() <= 1024
}

// Written as comparisons of bytes, not as regular expressions: compiling seven of those costs a function's cold start
// more than everything else in this crate. A test holds each one against its pattern.
macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $pattern:literal, $form:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Checks the value's form.
            ///
            /// # Errors
            /// [`InvalidName`] when it does not match.
            pub fn new(value: impl Into<String>) -> Result<Self, InvalidName> {
                let value = value.into();
                let form: fn(&str) -> bool = $form;
                if form(&value) {
                    Ok(Self(value))
                } else {
                    Err(InvalidName { kind: $kind, value: value.chars().take(100).collect(), pattern: $pattern })
                }
            }

            /// The pattern that values match.
            pub const PATTERN: &'static str = $pattern;

            /// The name as it was given, which has the form that the type demands.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;
            fn try_from(value: String) -> Result<Self, InvalidName> {
                Self::new(value)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

name!(
    /// Name of a pipeline. Source: CodePipeline API, `PipelineName`.
    PipelineName, "pipeline name", r"^[A-Za-z0-9.@\-_]{1,100}$",
    |value| consists_of(value, 1..=100, b".@-_"));
name!(
    /// Name of a stage. Source: CodePipeline API, `StageName`.
    StageName, "stage name", r"^[A-Za-z0-9.@\-_]{1,100}$",
    |value| consists_of(value, 1..=100, b".@-_"));
name!(
    /// Name of an action. Source: CodePipeline API, `ActionName`.
    ActionName, "action name", r"^[A-Za-z0-9.@\-_]{1,100}$",
    |value| consists_of(value, 1..=100, b".@-_"));
name!(
    /// Name of a webhook. Source: CodePipeline API, `WebhookName`.
    WebhookName, "webhook name", r"^[A-Za-z0-9.@\-_]{1,100}$",
    |value| consists_of(value, 1..=100, b".@-_"));
name!(
    /// Name of an artifact. Source: CodePipeline API, `ArtifactName`.
    ArtifactName, "artifact name", r"^[a-zA-Z0-9_\-]{1,100}$",
    |value| consists_of(value, 1..=100, b"-_"));
name!(
    /// Namespace of an action's output variables. Source: CodePipeline API, `ActionNamespace`.
    Namespace, "namespace", r"^[A-Za-z0-9@\-_]{1,100}$",
    |value| consists_of(value, 1..=100, b"@-_"));
name!(
    /// An AWS region. Source: CodePipeline API, `AWSRegionName`.
    Region, "region", r"^[a-z0-9-]{4,30}$",
    |value| consists_of(value, 4..=30, b"-") && !value.bytes().any(|byte| byte.is_ascii_uppercase()));
name!(
    /// ARN of an IAM role. Source: CodePipeline API, `RoleArn`.
    RoleArn, "role ARN", r"^arn:aws(-[A-Za-z0-9_]+)*:iam::[0-9]{12}:role/.+$", is_role_arn);

#[cfg(test)]
mod tests;
