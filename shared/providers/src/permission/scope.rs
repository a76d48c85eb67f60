//! What permissions are derived from: an action, and where it runs.

use pipeline::{Action, ArtifactName, PipelineName, artifact_key};
use runtime::arn::partition;

/// An artifact store, as an action sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    /// The region that it is for.
    pub region: String,
    /// The name of the bucket, without a prefix.
    pub bucket: String,
    /// The id or ARN of its key; none: what S3 takes.
    pub key: Option<String>,
}

/// An action and where it runs.
#[derive(Clone, Debug)]
pub struct Scope<'a> {
    /// The pipeline of which it is an action: artifacts lie under its name.
    pub pipeline: &'a PipelineName,
    /// An action, or a rule.
    pub action: &'a Action,
    /// The region in which it runs.
    pub region: &'a str,
    /// The role under which it runs: its own, or the pipeline's.
    pub role: &'a str,
    /// The artifact store of that region, if the pipeline has one there.
    pub store: Option<Store>,
    /// The installation's home region.
    pub home: &'a str,
    /// The account of the installation: 12 digits.
    pub account: &'a str,
    /// The id of the installation's API; where it is not known, any.
    pub api: Option<&'a str>,
    /// How the names of the secrets begin that stand for connections.
    pub connection_secrets: &'a str,
    /// The name of the project in whose builds managed compute runs.
    pub compute_project: &'a str,
}

impl Scope<'_> {
    /// The value of a configuration key, with `*` for each variable; none where it is empty.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<String> {
        let value = self.action.configuration.get(key).filter(|value| !value.is_empty())?;
        Some(starred(value))
    }

    /// The same, with `*` where there is none.
    #[must_use]
    pub fn value_or_any(&self, key: &str) -> String {
        self.value(key).unwrap_or_else(|| "*".to_owned())
    }

    /// Whether a key may be `true`: it is, or a variable decides it.
    #[must_use]
    pub fn may_be_true(&self, key: &str) -> bool {
        self.value(key).is_some_and(|value| value.contains('*') || value.eq_ignore_ascii_case("true"))
    }

    /// The account of the role: that of the resources which actions name by their names.
    #[must_use]
    pub fn role_account(&self) -> &str {
        self.role.split(':').nth(4).unwrap_or("*")
    }

    /// The ARN of a resource of the role's account in the action's region.
    #[must_use]
    pub fn arn(&self, service: &str, resource: &str) -> String {
        let (region, account) = (self.region, self.role_account());
        format!("arn:{}:{service}:{region}:{account}:{resource}", partition(region))
    }

    /// What a configuration key names, by an ARN or by the name behind `kind` in one.
    #[must_use]
    pub fn named(&self, key: &str, service: &str, kind: &str) -> String {
        let value = self.value_or_any(key);
        if value.starts_with("arn:") { value } else { self.arn(service, &format!("{kind}{value}")) }
    }

    /// The ARN of objects, or of the bucket itself where the key is empty.
    #[must_use]
    pub fn object(&self, bucket: &str, key: &str) -> String {
        let partition = partition(self.region);
        if key.is_empty() {
            format!("arn:{partition}:s3:::{bucket}")
        } else {
            format!("arn:{partition}:s3:::{bucket}/{key}")
        }
    }

    /// The objects under which an artifact's versions lie.
    #[must_use]
    pub fn artifact(&self, bucket: &str, artifact: &ArtifactName) -> String {
        let key = artifact_key(self.pipeline, artifact, "");
        let folder = key.rsplit_once('/').map_or("", |(folder, _)| folder);
        self.object(bucket, &format!("{folder}/*"))
    }
}

/// A text in which each variable is a `*`.
pub(crate) fn starred(text: &str) -> String {
    let mut starred = String::new();
    let mut rest = text;
    while let Some((before, variable)) = rest.split_once("#{") {
        starred.push_str(before);
        let Some((_, after)) = variable.split_once('}') else {
            rest = &rest[before.len()..];
            break;
        };
        if !starred.ends_with('*') {
            starred.push('*');
        }
        rest = after;
    }
    starred.push_str(rest);
    starred
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_can_have_any_value() {
        assert_eq!(starred("app-#{variables.stage}.zip"), "app-*.zip");
        assert_eq!(starred("#{a.b}#{c.d}"), "*");
        assert_eq!(starred("#{open"), "#{open");
        assert_eq!(starred("plain"), "plain");
    }
}
