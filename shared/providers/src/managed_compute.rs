//! Managed compute: what CodePipeline runs in builds of which nobody has a project. Source: CodePipeline user guide, 'Commands
//! action reference', and the pages of the other actions and rules that say 'managed CodeBuild compute'.
//!
//! Here the installation has one project for them in each region (`infra/region.yaml`), whose name is the setting
//! `MILLRACE_COMPUTE_PROJECT`. The project's own role may do nothing: each build is started by the action's role, or the
//! pipeline's, and with that same role as its own. That role must therefore trust `codebuild.amazonaws.com`.
//!
//! An action in a VPC runs in a project of its own: see [`crate::compute_network`].

use aws_sdk_codebuild::Client;
use aws_sdk_codebuild::types::{CloudWatchLogsConfig, EnvironmentVariable, LogsConfig, LogsConfigStatusType};
use driver::{Outcome, Task};
use pipeline::PipelineName;
use serde_json::json;

use crate::build_artifacts::{BuildArtifacts, BuildSources, invalid};
use crate::builds::{BUILDS, Builds, Machine, Overrides, READ_LOG};
use crate::compute_network::Network;
use crate::context::ActionContext;
use crate::error::ProviderError;
use crate::permission::artifacts::store_of_outputs;
use crate::permission::{PASS_ROLE, Permission, Scope, passed_to, starred};

/// Minutes that a build may take whose action has no other limit. Source: CodePipeline user guide, 'Quotas': what it names
/// no other time for has an hour.
pub(crate) const LONGEST_MINUTES: u32 = 60;

/// The shortest time-out that CodeBuild takes. Source: CodeBuild API, `StartBuild`, `timeoutInMinutesOverride`.
const SHORTEST_TIMEOUT: u32 = 5;

/// What starting, watching and being such a build takes.
pub(crate) const BUILD: &[Permission] = &[
    Permission::new(BUILDS, |scope| vec![project_arn(scope)]),
    Permission::new(PASS_ROLE, |scope| vec![scope.role.to_owned()]).when(|_| passed_to("codebuild.amazonaws.com")),
    Permission::new(READ_LOG, log_group),
    Permission::new(&["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"], log_group),
    // CodeBuild looks at the bucket before it stores artifacts there. Source: CodeBuild user guide, 'Allow CodeBuild to
    // interact with other AWS services'.
    Permission::new(&["s3:GetBucketAcl", "s3:GetBucketLocation"], store_of_outputs),
];

/// What looking at the network of its project takes.
pub(crate) const IN_NETWORK: &[Permission] = &[Permission::new(&["codebuild:BatchGetProjects"], |scope| {
    if scope.value("Subnets").is_some() { vec![project_arn(scope)] } else { Vec::new() }
})];

/// Secrets that are environment variables.
pub(crate) const SECRETS: &[Permission] = &[Permission::new(&["secretsmanager:GetSecretValue"], |scope| {
    let environment = scope.action.compute.environment.iter();
    let secrets = environment.filter(|variable| variable.kind.as_deref() == Some("SECRETS_MANAGER"));
    secrets.map(|variable| secret_arn(scope, &variable.value)).collect()
})];

/// The secret that an environment variable names: its ARN or name, before the first `:` that is followed by a JSON key.
/// Source: CodeBuild user guide, 'Build specification reference', `env/secrets-manager`.
fn secret_arn(scope: &Scope<'_>, reference: &str) -> String {
    let reference = starred(reference);
    match reference.starts_with("arn:") {
        true => reference.split(':').take(7).collect::<Vec<_>>().join(":"),
        // Secrets Manager ends the ARN with six characters of its own.
        false => {
            let name = reference.split(':').next().unwrap_or("*");
            scope.arn("secretsmanager", &format!("secret:{name}-??????"))
        }
    }
}

/// The project that runs an action: each network has one of its own.
fn project_arn(scope: &Scope<'_>) -> String {
    let project = scope.compute_project;
    let network = ["VpcId", "ClusterName"].into_iter().find_map(|key| scope.value(key));
    match network.filter(|_| scope.value("Subnets").is_some()) {
        Some(network) => scope.arn("codebuild", &format!("project/{project}-{network}")),
        None => scope.arn("codebuild", &format!("project/{project}")),
    }
}

fn log_group(scope: &Scope<'_>) -> Vec<String> {
    let group = scope.arn("logs", &format!("log-group:{}", group_name(scope.pipeline)));
    vec![format!("{group}:*"), group]
}

/// The log group that CodePipeline has for a pipeline. The name of a log group cannot have an `@`.
fn group_name(pipeline: &PipelineName) -> String {
    format!("/aws/codepipeline/{}", pipeline.as_str().replace('@', "_"))
}

/// What an action or rule has done for it.
#[derive(Default)]
pub(crate) struct Work {
    /// Run one after another in the folder of the first input artifact; the first that fails ends the build.
    pub(crate) commands: Vec<String>,
    pub(crate) environment: Vec<EnvironmentVariable>,
    /// The variables of the shell that become output variables.
    pub(crate) exported: Vec<String>,
    /// The files of the output artifact, as patterns; none: all files.
    pub(crate) files: Vec<String>,
    /// On what it runs. Role, log and key are set by [`start`].
    pub(crate) machine: Machine,
}

/// Starts the build. The action's own time-out ends it, and this many minutes where that allows more.
pub(crate) async fn start(
    context: ActionContext<'_>,
    network: Option<&Network>,
    longest: u32,
    work: Work,
) -> Result<Outcome, ProviderError> {
    let task = context.task;
    let client = Client::new(context.session().await?.config());
    let project = project(context, network);
    let builds = Builds { client: &client, project: &project, batch: false };
    if let Some(known) = builds.known(context).await? {
        return Ok(known);
    }
    if let Some(network) = network {
        network.check(&client, &project, &task.region).await?;
    }
    let minutes = task.action.timeout_minutes().min(longest).max(SHORTEST_TIMEOUT);
    let machine = Machine {
        service_role: Some(task.action_role.as_ref().unwrap_or(&task.pipeline_role).clone()),
        timeout_minutes: i32::try_from(minutes).ok(),
        encryption_key: task.store.as_ref().and_then(|(_, key)| key.clone()),
        logs: Some(log(task)?),
        ..work.machine
    };
    let overrides = Overrides {
        buildspec: Some(buildspec(task, &work.commands, &work.exported, &work.files)),
        sources: BuildSources::of(context, task.inputs.first()).await?,
        artifacts: BuildArtifacts::of(task)?,
        variables: work.environment,
        combine_artifacts: false,
        machine,
    };
    builds.start(context, overrides).await
}

/// How the build stands.
pub(crate) async fn poll(context: ActionContext<'_>, network: Option<&Network>) -> Result<Outcome, ProviderError> {
    let session = context.session().await?;
    let client = Client::new(session.config());
    Builds { client: &client, project: &project(context, network), batch: false }.poll(context, &session).await
}

fn project(context: ActionContext<'_>, network: Option<&Network>) -> String {
    let project = context.compute_project;
    network.map_or_else(|| project.to_owned(), |network| format!("{project}-{}", network.suffix))
}

/// A build that failed uploads nothing: CodeBuild itself would go on with the artifacts after a phase `build` that failed.
fn buildspec(task: &Task, commands: &[String], exported: &[String], files: &[String]) -> String {
    let mut spec = json!({
        "version": "0.2",
        "phases": {"build": {"on-failure": "ABORT", "commands": commands}},
    });
    if !exported.is_empty() {
        spec["env"] = json!({"exported-variables": exported});
    }
    if !task.outputs.is_empty() {
        // CodePipeline's own pages write `**/` for all files; to CodeBuild those are folders.
        let pattern = |file: &String| if file.ends_with('/') { format!("{file}*") } else { file.clone() };
        let files: Vec<_> = match files {
            [] => vec!["**/*".to_owned()],
            files => files.iter().map(pattern).collect(),
        };
        spec["artifacts"] = json!({"files": files});
    }
    spec.to_string()
}

fn log(task: &Task) -> Result<LogsConfig, ProviderError> {
    let cloud_watch = CloudWatchLogsConfig::builder()
        .status(LogsConfigStatusType::Enabled)
        .group_name(group_name(&task.pipeline))
        .stream_name(format!("{}/{}", task.stage, task.action.name))
        .build()
        .map_err(invalid)?;
    Ok(LogsConfig::builder().cloud_watch_logs(cloud_watch).build())
}

/// A text as one word of a shell, whatever is in it.
pub(crate) fn word(text: &str) -> Result<String, ProviderError> {
    let quoted = shlex::try_quote(text).map_err(|error| ProviderError::configuration(format!("{text:?}: {error}")))?;
    Ok(quoted.into_owned())
}

/// An environment variable of a build.
pub(crate) fn variable(name: &str, value: impl Into<String>) -> Result<EnvironmentVariable, ProviderError> {
    EnvironmentVariable::builder().name(name).value(value).build().map_err(invalid)
}
