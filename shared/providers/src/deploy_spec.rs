//! The file that says how an artifact is installed on an instance. Source: CodePipeline user guide, 'Amazon EC2 action
//! reference', 'Deploy spec file reference'; CodeDeploy user guide, 'AppSpec 'files' section (EC2/On-Premises deployments
//! only)' and 'AppSpec 'permissions' section'.
//!
//! Version 0.1 has `scripts`; version 0.0 is CodeDeploy's AppSpec file, whose `hooks` become scripts before or after the
//! files are copied. What neither knows is passed over, as on AWS.

use serde::Deserialize;
use serde_yaml_ng::Value;

/// Seconds that a script may take where the file says nothing. Source: CodeDeploy user guide, 'AppSpec 'hooks' section'.
const USUAL_TIMEOUT: u32 = 3_600;

/// How an artifact is installed.
#[derive(Debug, PartialEq)]
pub(crate) struct DeploySpec {
    /// They run in the unpacked artifact.
    pub(crate) before: Vec<Script>,
    pub(crate) files: Vec<CopiedFile>,
    pub(crate) permissions: Vec<Permission>,
    pub(crate) after: Vec<Script>,
    /// Where the scripts after run; none: in the unpacked artifact.
    pub(crate) directory: Option<String>,
}

/// A script of the artifact.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub(crate) struct Script {
    pub(crate) location: String,
    /// In seconds.
    #[serde(default = "usual_timeout")]
    pub(crate) timeout: u32,
    /// The user; none: the agent's own, which is root.
    pub(crate) runas: Option<String>,
}

fn usual_timeout() -> u32 {
    USUAL_TIMEOUT
}

/// A file of the artifact, or the content of one of its directories, and the directory into which it goes.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub(crate) struct CopiedFile {
    pub(crate) source: String,
    pub(crate) destination: String,
}

/// Owner and mode of a copied file, or of everything in a directory.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub(crate) struct Permission {
    pub(crate) object: String,
    pub(crate) owner: Option<String>,
    pub(crate) group: Option<String>,
    #[serde(default, deserialize_with = "mode")]
    pub(crate) mode: Option<String>,
}

/// YAML reads `mode: 755` as a number.
fn mode<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) => Some(text),
        _ => None,
    })
}

/// The file as it is written.
#[derive(Deserialize)]
struct File {
    version: Option<Value>,
    files: Option<Vec<CopiedFile>>,
    permissions: Option<Vec<Permission>>,
    scripts: Option<Scripts>,
    hooks: Option<Hooks>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Scripts {
    before_deploy: Option<Vec<Script>>,
    after_deploy: Option<Vec<Script>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Hooks {
    application_stop: Option<Vec<Script>>,
    before_install: Option<Vec<Script>>,
    after_install: Option<Vec<Script>>,
    application_start: Option<Vec<Script>>,
    validate_service: Option<Vec<Script>>,
}

impl DeploySpec {
    /// All of the artifact goes into a directory, in which the script after runs.
    pub(crate) fn all_into(directory: &str, before: Option<&str>, after: &str) -> Self {
        let script = |location: &str| Script { location: location.to_owned(), timeout: USUAL_TIMEOUT, runas: None };
        Self {
            before: before.map(script).into_iter().collect(),
            files: vec![CopiedFile { source: "/".to_owned(), destination: directory.to_owned() }],
            permissions: Vec::new(),
            after: vec![script(after)],
            directory: Some(directory.to_owned()),
        }
    }

    /// # Errors
    /// What is wrong with the file, and where.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let file: File = serde_yaml_ng::from_str(text).map_err(|error| error.to_string())?;
        let version = match &file.version {
            Some(Value::Number(version)) => version.to_string(),
            Some(Value::String(version)) => version.clone(),
            _ => String::new(),
        };
        let (scripts, hooks) = (file.scripts.unwrap_or_default(), file.hooks.unwrap_or_default());
        let all = |lists: Vec<Option<Vec<Script>>>| lists.into_iter().flatten().flatten().collect();
        let (before, after) = match version.as_str() {
            "0.1" => (all(vec![scripts.before_deploy]), all(vec![scripts.after_deploy])),
            "0.0" => (
                all(vec![hooks.application_stop, hooks.before_install]),
                all(vec![hooks.after_install, hooks.application_start, hooks.validate_service]),
            ),
            _ => return Err("its version must be 0.0 or 0.1".to_owned()),
        };
        let (files, permissions) = (file.files.unwrap_or_default(), file.permissions.unwrap_or_default());
        let spec = Self { before, files, permissions, after, directory: None };
        if let Some(file) = spec.files.iter().find(|file| !file.destination.starts_with('/')) {
            return Err(format!("the destination {:?} must begin with /", file.destination));
        }
        if let Some(permission) = spec.permissions.iter().find(|permission| !permission.object.starts_with('/')) {
            return Err(format!("the object {:?} of its permissions must begin with /", permission.object));
        }
        Ok(spec)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(location: &str, timeout: u32, runas: Option<&str>) -> Script {
        Script { location: location.into(), timeout, runas: runas.map(str::to_owned) }
    }

    #[test]
    fn a_deploy_spec_has_files_and_scripts_before_and_after() {
        let spec = DeploySpec::parse(
            "version: 0.1\nfiles:\n  - source: /index.html\n    destination: /var/www/html/\npermissions:\n  \
             - {object: /var/www, owner: web, mode: 755, acls: [x]}\nscripts:\n  BeforeDeploy:\n    \
             - {location: scripts/stop, timeout: 300, runas: me}\n  AfterDeploy:\n    - location: scripts/start\n\
             hooks: {BeforeInstall: [{location: not/read}]}\nother: ignored\n",
        );
        let spec = spec.unwrap();
        assert_eq!(spec.before, [script("scripts/stop", 300, Some("me"))]);
        assert_eq!(spec.after, [script("scripts/start", 3_600, None)]);
        assert_eq!(spec.files, [CopiedFile { source: "/index.html".into(), destination: "/var/www/html/".into() }]);
        let (owner, mode) = (Some("web".to_owned()), Some("755".to_owned()));
        assert_eq!(spec.permissions, [Permission { object: "/var/www".into(), owner, group: None, mode }]);
    }

    #[test]
    fn the_hooks_of_an_appspec_file_become_scripts_in_their_order() {
        let hooks: String =
            ["ValidateService", "ApplicationStart", "ApplicationStop", "AfterInstall", "BeforeInstall", "X"]
                .map(|hook| format!("  {hook}:\n    - location: {hook}.sh\n"))
                .concat();
        let spec = DeploySpec::parse(&format!("version: 0.0\nos: linux\nhooks:\n{hooks}")).unwrap();
        let locations = |scripts: &[Script]| scripts.iter().map(|it| it.location.clone()).collect::<Vec<_>>();
        assert_eq!(locations(&spec.before), ["ApplicationStop.sh", "BeforeInstall.sh"]);
        assert_eq!(locations(&spec.after), ["AfterInstall.sh", "ApplicationStart.sh", "ValidateService.sh"]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, expected) in [
            ("files: []", "its version must be 0.0 or 0.1"),
            ("version: 2", "its version must be 0.0 or 0.1"),
            ("version: 0.1\nfiles:\n  - source: a", "missing field `destination` at line 3 column 5"),
            ("version: 0.1\nfiles: [{source: a, destination: b}]", "the destination \"b\" must begin with /"),
            ("version: 0.1\npermissions: [{object: b}]", "the object \"b\" of its permissions must begin with /"),
            ("version: 0.1\nscripts:\n  AfterDeploy: [{location: a, timeout: soon}]", "invalid type"),
            ("version: 0.1\n\tfiles: []", "line 2"),
            ("", "its version must be"),
        ] {
            let why = DeploySpec::parse(text).unwrap_err();
            assert!(why.contains(expected), "{text}: {why}");
        }
    }
}
