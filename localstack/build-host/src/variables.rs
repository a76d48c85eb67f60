//! Environment variables of a build. Source: CodeBuild user guide, 'Environment variables in build environments', and
//! 'Build specification reference', `env`.

use std::collections::{BTreeMap, BTreeSet};

use artifacts::chain;
use aws_sdk_codebuild::types::{EnvironmentVariable, EnvironmentVariableType};

use crate::buildspec::Env;
use crate::cloud::{Cloud, Settings};
use crate::error::PhaseError;
use crate::plan::Plan;

/// Variables with their values.
#[derive(Debug, Default)]
pub(crate) struct Variables {
    pub values: BTreeMap<String, String>,
    /// Names of those that came from a parameter or a secret.
    pub secret: BTreeSet<String>,
}

impl Variables {
    /// Looks up what is kept elsewhere. A start's variables win over the project's, and both over the buildspec's.
    pub(crate) async fn resolve(
        env: &Env,
        declared: &[EnvironmentVariable],
        cloud: &Cloud,
    ) -> Result<Self, PhaseError> {
        let mut all: BTreeMap<&str, (EnvironmentVariableType, &str)> = BTreeMap::new();
        for (kind, variables) in [
            (EnvironmentVariableType::Plaintext, &env.variables),
            (EnvironmentVariableType::ParameterStore, &env.parameter_store),
            (EnvironmentVariableType::SecretsManager, &env.secrets_manager),
        ] {
            all.extend(variables.iter().map(|(name, value)| (name.as_str(), (kind.clone(), value.0.as_str()))));
        }
        for variable in declared {
            let kind = variable.r#type.clone().unwrap_or(EnvironmentVariableType::Plaintext);
            all.insert(&variable.name, (kind, &variable.value));
        }
        let mut resolved = Self::default();
        for (name, (kind, value)) in all {
            let value = match kind {
                EnvironmentVariableType::ParameterStore => parameter(cloud, value).await?,
                EnvironmentVariableType::SecretsManager => secret(cloud, value).await?,
                _ => {
                    resolved.values.insert(name.to_owned(), value.to_owned());
                    continue;
                }
            };
            resolved.secret.insert(name.to_owned());
            resolved.values.insert(name.to_owned(), value);
        }
        Ok(resolved)
    }

    /// Values that the log must not show.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = String> {
        self.secret.iter().filter_map(|name| self.values.get(name).cloned())
    }

    /// Whether a variable may be exported: none of a parameter or secret, none that begins with `AWS_`. Source: 'Build
    /// specification reference', `env/exported-variables`.
    pub(crate) fn may_export(&self, name: &str) -> bool {
        !self.secret.contains(name) && !name.starts_with("AWS_")
    }
}

fn failed(message: String) -> PhaseError {
    PhaseError { code: "Decrypted Variables Error", message }
}

async fn parameter(cloud: &Cloud, name: &str) -> Result<String, PhaseError> {
    let got = cloud.parameters.get_parameter().name(name).with_decryption(true).send().await;
    let got = got.map_err(|error| failed(format!("parameter {name} cannot be read: {}", chain(&error))))?;
    got.parameter.and_then(|it| it.value).ok_or_else(|| failed(format!("parameter {name} has no value")))
}

/// A reference to a secret: `secret-id:json-key:version-stage:version-id`.
#[derive(Debug, PartialEq, Eq)]
struct SecretRef<'a> {
    id: &'a str,
    key: Option<&'a str>,
    stage: Option<&'a str>,
    version: Option<&'a str>,
}

impl<'a> SecretRef<'a> {
    /// An id may be an ARN, which has six colons of its own.
    fn parse(reference: &'a str) -> Self {
        let colons = if reference.starts_with("arn:") { 6 } else { 0 };
        let end = reference.match_indices(':').nth(colons).map_or(reference.len(), |(at, _)| at);
        let (id, rest) = reference.split_at(end);
        let mut parts = rest.split(':').skip(1).map(|part| (!part.is_empty()).then_some(part));
        let mut next = || parts.next().flatten();
        Self { id, key: next(), stage: next(), version: next() }
    }
}

async fn secret(cloud: &Cloud, reference: &str) -> Result<String, PhaseError> {
    let SecretRef { id, key, stage, version } = SecretRef::parse(reference);
    let get = cloud.secrets.get_secret_value().secret_id(id);
    let get = get.set_version_stage(stage.map(str::to_owned)).set_version_id(version.map(str::to_owned));
    let got = get.send().await.map_err(|error| failed(format!("secret {id} cannot be read: {}", chain(&error))))?;
    let text = got.secret_string.ok_or_else(|| failed(format!("secret {id} is no text")))?;
    let Some(key) = key else { return Ok(text) };
    // What is wrong with the JSON is not said: the message would show a part of the secret.
    let json: serde_json::Value = serde_json::from_str(&text).map_err(|_| failed(format!("secret {id} is no JSON")))?;
    match json.get(key) {
        Some(serde_json::Value::String(value)) => Ok(value.clone()),
        Some(value) => Ok(value.to_string()),
        None => Err(failed(format!("secret {id} has no key {key}"))),
    }
}

/// The variables that CodeBuild itself sets, and what a client of AWS needs to reach the emulator. `folders` are those of
/// the secondary sources, `tools` is for what the build installs.
pub(crate) fn of_codebuild(
    plan: &Plan,
    settings: &Settings,
    source: &str,
    tools: &str,
    folders: &[(String, String)],
    started: i64,
) -> BTreeMap<String, String> {
    let (key, secret) = &settings.credentials;
    let region = &plan.names.region;
    let version = plan.source_version.as_deref().unwrap_or_default();
    let number = plan.names.number.to_string();
    let started = started.to_string();
    let fixed: [(&str, &str); 16] = [
        ("AWS_ACCESS_KEY_ID", key.as_str()),
        ("AWS_SECRET_ACCESS_KEY", secret),
        ("AWS_ENDPOINT_URL", &settings.endpoint),
        ("AWS_REGION", region),
        ("AWS_DEFAULT_REGION", region),
        ("CI", "true"),
        ("CODEBUILD_BUILD_ID", &plan.id),
        ("CODEBUILD_BUILD_ARN", &plan.arn),
        ("CODEBUILD_BUILD_NUMBER", &number),
        ("CODEBUILD_INITIATOR", &plan.names.initiator),
        ("CODEBUILD_LOG_PATH", plan.log.as_ref().map_or("", |it| &it.stream)),
        ("CODEBUILD_RESOLVED_SOURCE_VERSION", version),
        ("CODEBUILD_SOURCE_VERSION", version),
        ("CODEBUILD_SOURCE_REPO_URL", plan.source.location.as_deref().unwrap_or_default()),
        ("CODEBUILD_SRC_DIR", source),
        ("CODEBUILD_START_TIME", &started),
    ];
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    let mut variables: BTreeMap<String, String> = fixed.into_iter().map(owned).collect();
    // What a build installs for everybody is its own: in CodeBuild, nobody else is in its container.
    let path = std::env::var("PATH").unwrap_or_default();
    variables.insert("NPM_CONFIG_PREFIX".to_owned(), tools.to_owned());
    variables.insert("PATH".to_owned(), format!("{tools}/bin:{path}"));
    if let Some(key) = &plan.encryption_key {
        variables.insert("CODEBUILD_KMS_KEY_ID".to_owned(), key.clone());
    }
    for (identifier, folder) in folders {
        variables.insert(format!("CODEBUILD_SRC_DIR_{identifier}"), folder.clone());
    }
    variables
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secrets_reference_has_up_to_four_parts() {
        let all = SecretRef { id: "app", key: Some("token"), stage: Some("AWSPREVIOUS"), version: Some("v") };
        assert_eq!(SecretRef::parse("app:token:AWSPREVIOUS:v"), all);
        assert_eq!(SecretRef::parse("app"), SecretRef { id: "app", key: None, stage: None, version: None });
        assert_eq!(SecretRef::parse("app:::v"), SecretRef { id: "app", key: None, stage: None, version: Some("v") });
        let arn = "arn:aws:secretsmanager:eu-west-1:000000000000:secret:app-AbCdEf";
        assert_eq!(SecretRef::parse(arn).id, arn);
        let with_key = format!("{arn}:token");
        assert_eq!(SecretRef::parse(&with_key), SecretRef { id: arn, key: Some("token"), stage: None, version: None });
    }
}
