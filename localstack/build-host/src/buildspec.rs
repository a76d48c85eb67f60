//! Buildspecs, version 0.2. Source: CodeBuild user guide, 'Build specification reference for CodeBuild'.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use serde_yaml_ng::Value;

use crate::error::PhaseError;

/// A buildspec as it stands in its file. A key that CodeBuild does not know is an error, which tells of a slip.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Buildspec {
    version: Text,
    pub run_as: Option<Text>,
    #[serde(default)]
    pub env: Env,
    pub proxy: Option<Value>,
    pub batch: Option<Value>,
    pub phases: Phases,
    pub reports: Option<Value>,
    pub artifacts: Option<PrimaryArtifacts>,
    pub cache: Option<Value>,
}

/// `env`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Env {
    #[serde(default)]
    pub shell: Shell,
    #[serde(default)]
    pub variables: BTreeMap<String, Text>,
    #[serde(default)]
    pub parameter_store: BTreeMap<String, Text>,
    #[serde(default)]
    pub secrets_manager: BTreeMap<String, Text>,
    #[serde(default)]
    pub exported_variables: Vec<String>,
    pub git_credential_helper: Option<Flag>,
}

/// `env/shell`, of those that Linux has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub(crate) enum Shell {
    #[default]
    #[serde(rename = "/bin/sh", alias = "sh")]
    Sh,
    #[serde(rename = "bash")]
    Bash,
}

impl Shell {
    pub(crate) const fn program(self) -> &'static str {
        match self {
            Self::Sh => "sh",
            Self::Bash => "bash",
        }
    }
}

/// `phases`. At least one must be there.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Phases {
    pub install: Option<Steps>,
    pub pre_build: Option<Steps>,
    pub build: Option<Steps>,
    pub post_build: Option<Steps>,
}

/// One phase: its commands, and what happens when one of them fails.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Steps {
    pub run_as: Option<Text>,
    pub on_failure: Option<OnFailure>,
    pub runtime_versions: Option<Value>,
    #[serde(default, deserialize_with = "one_or_many")]
    pub commands: Vec<Text>,
    #[serde(default, deserialize_with = "one_or_many")]
    pub finally: Vec<Text>,
}

/// `on-failure`. Its third form, RETRY, is refused here: a build that would be tried again must not look as if it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum OnFailure {
    Abort,
    Continue,
}

/// `artifacts`: the primary one, and others by their identifiers.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct PrimaryArtifacts {
    #[serde(default, deserialize_with = "one_or_many")]
    pub files: Vec<Text>,
    pub name: Option<Text>,
    #[serde(default)]
    pub discard_paths: Flag,
    pub base_directory: Option<Text>,
    #[serde(default, deserialize_with = "one_or_many")]
    pub exclude_paths: Vec<Text>,
    pub enable_symlinks: Option<Flag>,
    pub s3_prefix: Option<Text>,
    #[serde(default)]
    pub secondary_artifacts: BTreeMap<String, Artifacts>,
}

/// The files of an artifact.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Artifacts {
    #[serde(default, deserialize_with = "one_or_many")]
    pub files: Vec<Text>,
    pub name: Option<Text>,
    #[serde(default)]
    pub discard_paths: Flag,
    pub base_directory: Option<Text>,
    #[serde(default, deserialize_with = "one_or_many")]
    pub exclude_paths: Vec<Text>,
    pub enable_symlinks: Option<Flag>,
    pub s3_prefix: Option<Text>,
}

impl PrimaryArtifacts {
    /// The primary artifact alone.
    pub(crate) fn primary(&self) -> Artifacts {
        Artifacts {
            files: self.files.clone(),
            name: self.name.clone(),
            discard_paths: self.discard_paths,
            base_directory: self.base_directory.clone(),
            exclude_paths: self.exclude_paths.clone(),
            enable_symlinks: self.enable_symlinks,
            s3_prefix: self.s3_prefix.clone(),
        }
    }
}

/// A scalar, which YAML may take for a number or a boolean: `version: 0.2`, `PORT: 80`, the command `true`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Text(pub String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match Value::deserialize(from)? {
            Value::String(text) => Ok(Self(text)),
            Value::Bool(it) => Ok(Self(it.to_string())),
            Value::Number(it) => Ok(Self(it.to_string())),
            Value::Null => Err(serde::de::Error::custom("expected a string, found nothing")),
            _ => Err(serde::de::Error::custom("expected a string, found subkeys or a list instead")),
        }
    }
}

/// `yes` or `no`, which CodeBuild takes as YAML 1.1 does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Flag(pub bool);

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match Text::deserialize(from)?.0.to_ascii_lowercase().as_str() {
            "yes" | "true" | "on" => Ok(Self(true)),
            "no" | "false" | "off" => Ok(Self(false)),
            other => Err(serde::de::Error::custom(format!("expected yes or no, found {other:?}"))),
        }
    }
}

/// A list, of which CodeBuild also takes the only element alone.
fn one_or_many<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Text>, D::Error> {
    match Value::deserialize(from)? {
        Value::Sequence(items) => {
            items.into_iter().map(|it| Text::deserialize(it).map_err(serde::de::Error::custom)).collect()
        }
        one => Ok(vec![Text::deserialize(one).map_err(serde::de::Error::custom)?]),
    }
}

/// Whether what stands as `buildspec` of a project or a start is the document itself, and not the place of one. Source:
/// CodeBuild API, `ProjectSource.buildspec`: 'an inline buildspec definition, the path to an alternate buildspec file
/// relative to the value of CODEBUILD_SRC_DIR, or the path to an S3 bucket'.
pub(crate) fn is_inline(buildspec: &str) -> bool {
    buildspec.contains('\n') || buildspec.trim_start().starts_with('{')
}

impl Buildspec {
    /// Reads a buildspec and checks what serde cannot.
    pub(crate) fn parse(text: &str) -> Result<Self, PhaseError> {
        let spec: Self = serde_yaml_ng::from_str(text).map_err(|error| PhaseError::yaml(error.to_string()))?;
        if spec.version.0 != "0.2" {
            return Err(PhaseError::yaml(format!(
                "version is {}, and this build host runs version 0.2 only",
                spec.version.0
            )));
        }
        let phases = &spec.phases;
        let given = [&phases.install, &phases.pre_build, &phases.build, &phases.post_build];
        if given.iter().all(|phase| phase.is_none()) {
            return Err(PhaseError::yaml("phases names no phase: one of install, pre_build, build, post_build"));
        }
        if given.iter().copied().flatten().all(|it| it.commands.is_empty() && it.runtime_versions.is_none()) {
            return Err(PhaseError::yaml("no phase has commands"));
        }
        let mut seen: Vec<&String> = Vec::new();
        let env = &spec.env;
        for name in env.variables.keys().chain(env.parameter_store.keys()).chain(env.secrets_manager.keys()) {
            if seen.contains(&name) {
                return Err(PhaseError::yaml(format!("env declares the variable {name} twice")));
            }
            seen.push(name);
        }
        Ok(spec)
    }

    /// What it asks for that this host does not do.
    pub(crate) fn not_done(&self) -> Vec<&'static str> {
        let phases = [&self.phases.install, &self.phases.pre_build, &self.phases.build, &self.phases.post_build];
        let any = |wanted: fn(&Steps) -> bool| phases.iter().copied().flatten().any(wanted);
        [
            (self.run_as.is_some() || any(|it| it.run_as.is_some()), "run-as: commands run as the host's user"),
            (any(|it| it.runtime_versions.is_some()), "runtime-versions: commands find the tools of this machine"),
            (self.env.git_credential_helper.is_some(), "git-credential-helper"),
            (self.proxy.is_some(), "proxy"),
            (self.batch.is_some(), "batch"),
            (self.reports.is_some(), "reports"),
            (self.cache.is_some(), "cache"),
        ]
        .into_iter()
        .filter_map(|(asked, what)| asked.then_some(what))
        .collect()
    }
}

#[cfg(test)]
mod tests;
