//! Build/CodeBuild, Test/CodeBuild and Rule/CodeBuild: a build of a CodeBuild project, or a batch of builds. Source:
//! CodePipeline user guide, 'AWS CodeBuild build and test action reference' and 'CodeBuild rule'.
//!
//! The project stays as it is, with whatever type of source: a build has the artifacts as [`crate::build_artifacts`] says,
//! and is started and watched as [`crate::builds`] says, by the action's role. The project's own role reads
//! and writes the artifacts.

use async_trait::async_trait;
use aws_sdk_codebuild::Client;
use aws_sdk_codebuild::types::{EnvironmentVariable, EnvironmentVariableType};
use driver::{Outcome, Task, TaskInput};
use serde::Deserialize;

use crate::build_artifacts::{BuildArtifacts, BuildSources, invalid};
use crate::builds::{BATCHES, BUILDS, Builds, EVENTS, Machine, Overrides, READ_LOG};
use crate::configuration::{read, title};
use crate::context::ActionContext;
use crate::error::ProviderError;
use crate::permission::artifacts::{PIN_OUTPUTS, READ_INPUTS};
use crate::permission::{Permission, Permissions, Scope};
use crate::provider::{
    ActionLog, Descriptor, Documentation, EntityPage, Implements, Provider, ProviderInfo, Tried, attempt_id,
};

pub(crate) const PROVIDER: Descriptor = Descriptor {
    info: ProviderInfo {
        events: Some(EVENTS),
        entity: Some(EntityPage { key: "ProjectName", path: "codesuite/codebuild/projects/{}?region={region}" }),
        // Each build of a batch has a log of its own.
        log: |configuration| {
            let is_batch = configuration.get("BatchEnabled").is_some_and(|value| value.eq_ignore_ascii_case("true"));
            (!is_batch).then_some(ActionLog::Build)
        },
        ..ProviderInfo::of(
            &[
                Implements::aws("Build", "CodeBuild"),
                Implements::aws("Test", "CodeBuild"),
                Implements::aws("Rule", "CodeBuild"),
            ],
            PERMISSIONS,
            Documentation {
                file: file!(),
                ends: "by event or poll",
                tried: Tried::BuildHost,
                differs: "Only AWS can use the source type CODEPIPELINE: the build has the artifacts as S3 objects, and one more variable. A hyphen in the name of a further input is an underscore in its variable.",
            },
        )
    },
    provider: &CodeBuild,
    token: attempt_id,
};

fn project(scope: &Scope<'_>) -> Vec<String> {
    vec![scope.named("ProjectName", "codebuild", "project/")]
}

const PERMISSIONS: Permissions = Permissions::of(&[
    &[
        Permission::new(BUILDS, |scope| {
            let always = scope.value("BatchEnabled").is_some_and(|value| value.eq_ignore_ascii_case("true"));
            if always { Vec::new() } else { project(scope) }
        }),
        Permission::new(BATCHES, |scope| if scope.may_be_true("BatchEnabled") { project(scope) } else { Vec::new() }),
        Permission::new(READ_LOG, |scope| {
            let project = scope.value_or_any("ProjectName");
            let name = project.rsplit('/').next().unwrap_or(&project);
            vec![scope.arn("logs", &format!("log-group:/aws/codebuild/{name}:*"))]
        }),
    ],
    READ_INPUTS,
    PIN_OUTPUTS,
])
.beside(|_| Some("the project's own role reads the input artifacts, and writes the output artifacts"));

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Configuration<'a> {
    project_name: &'a str,
    primary_source: Option<&'a str>,
    buildspec_override: Option<&'a str>,
    #[serde(default)]
    batch_enabled: bool,
    #[serde(default)]
    combine_artifacts: bool,
    environment_variables: Option<&'a str>,
}

/// One variable of the JSON list in the configuration key `EnvironmentVariables`.
#[derive(Deserialize)]
struct Variable {
    name: String,
    value: String,
    #[serde(rename = "type", default)]
    kind: VariableType,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum VariableType {
    #[default]
    Plaintext,
    ParameterStore,
    SecretsManager,
}

struct CodeBuild;

impl Configuration<'_> {
    fn builds<'a>(&'a self, client: &'a Client) -> Builds<'a> {
        Builds { client, project: self.project_name, batch: self.batch_enabled }
    }
}

#[async_trait]
impl Provider for CodeBuild {
    async fn start(&self, context: ActionContext<'_>) -> Result<Outcome, ProviderError> {
        let task = context.task;
        let configuration: Configuration<'_> = read(task)?;
        let client = Client::new(context.session().await?.config());
        let builds = configuration.builds(&client);
        if let Some(known) = builds.known(context).await? {
            return Ok(known);
        }
        let primary = primary(task, configuration.primary_source)?;
        let overrides = Overrides {
            buildspec: configuration.buildspec_override.map(str::to_owned),
            variables: variables(task, configuration.environment_variables)?,
            sources: BuildSources::of(context, Some(primary)).await?,
            artifacts: BuildArtifacts::of(task)?,
            combine_artifacts: configuration.combine_artifacts,
            machine: Machine::default(),
        };
        builds.start(context, overrides).await
    }

    async fn poll(&self, context: ActionContext<'_>) -> Result<Outcome, ProviderError> {
        let configuration: Configuration<'_> = read(context.task)?;
        let session = context.session().await?;
        let client = Client::new(session.config());
        configuration.builds(&client).poll(context, &session).await
    }
}

/// The input whose buildspec is run.
fn primary<'a>(task: &'a Task, name: Option<&str>) -> Result<&'a TaskInput, ProviderError> {
    match (name, task.inputs.as_slice()) {
        (None, [only]) => Ok(only),
        (None, _) => Err(ProviderError::configuration(format!(
            "{} has several input artifacts, so PrimarySource must name the one with the buildspec",
            title(task)
        ))),
        (Some(name), inputs) => inputs.iter().find(|input| input.artifact.name.as_str() == name).ok_or_else(|| {
            ProviderError::configuration(format!(
                "PrimarySource is {name:?}, which is no input artifact of {}",
                title(task)
            ))
        }),
    }
}
fn variables(task: &Task, json: Option<&str>) -> Result<Vec<EnvironmentVariable>, ProviderError> {
    let Some(json) = json else { return Ok(Vec::new()) };
    let declared: Vec<Variable> = serde_json::from_str(json).map_err(|error| {
        ProviderError::configuration(format!(
            "EnvironmentVariables of {} is not a JSON array of objects with name, value and type (PLAINTEXT, \
             PARAMETER_STORE or SECRETS_MANAGER): {error}",
            title(task)
        ))
    })?;
    let variable = |it: Variable| {
        let kind = match it.kind {
            VariableType::Plaintext => EnvironmentVariableType::Plaintext,
            VariableType::ParameterStore => EnvironmentVariableType::ParameterStore,
            VariableType::SecretsManager => EnvironmentVariableType::SecretsManager,
        };
        EnvironmentVariable::builder().name(it.name).value(it.value).r#type(kind).build().map_err(invalid)
    };
    declared.into_iter().map(variable).collect()
}
