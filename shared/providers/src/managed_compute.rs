//! Managed compute: what CodePipeline runs in builds of which nobody has a project. Source: CodePipeline user guide, 'Commands
//! action reference', and the pages of the other actions and rules that say 'managed CodeBuild compute'.
//!
//! Here the installation has one project for them in each region (`infra/region.yaml`), whose name is the setting
//! `MILLRACE_COMPUTE_PROJECT`. The project's own role may do nothing: each build is started by the action's role, or the
//! pipeline's, and with that same role as its own. That role must therefore trust `codebuild.amazonaws.com`, and needs
//! beside what [`crate::builds`] names `iam:PassRole` for itself, `logs:CreateLogGroup`, `logs:CreateLogStream` and
//! `logs:PutLogEvents` for `/aws/codepipeline/PIPELINE`, and the artifacts.
//!
//! CodeBuild takes a VPC from a project and from nowhere else. Actions with a `VpcId` run in a project of their own,
//! `NAME-VPCID`, and EKS actions with `Subnets` in `NAME-CLUSTERNAME` (`infra/compute-vpc.yaml`). It is not made by the action:
//! a project must have a role, and whoever may start its builds would have that role's rights.

use std::collections::BTreeSet;

use aws_sdk_codebuild::Client;
use aws_sdk_codebuild::operation::batch_get_projects::BatchGetProjectsError;
use aws_sdk_codebuild::types::{
    CloudWatchLogsConfig, EnvironmentVariable, LogsConfig, LogsConfigStatusType, VpcConfig,
};
use driver::{Outcome, Task};
use serde_json::json;

use crate::build_artifacts::{BuildArtifacts, BuildSources, invalid};
use crate::builds::{Builds, Machine, Overrides};
use crate::configuration::missing;
use crate::context::ActionContext;
use crate::error::{ClassifyError, ErrorClass, ProviderError};

/// The shortest time-out that CodeBuild takes. Source: CodeBuild API, `StartBuild`, `timeoutInMinutesOverride`.
const SHORTEST_TIMEOUT: u32 = 5;

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

/// The log group that CodePipeline has for the pipeline. The name of a log group cannot have an `@`.
fn log(task: &Task) -> Result<LogsConfig, ProviderError> {
    let cloud_watch = CloudWatchLogsConfig::builder()
        .status(LogsConfigStatusType::Enabled)
        .group_name(format!("/aws/codepipeline/{}", task.pipeline.as_str().replace('@', "_")))
        .stream_name(format!("{}/{}", task.stage, task.action.name))
        .build()
        .map_err(invalid)?;
    Ok(LogsConfig::builder().cloud_watch_logs(cloud_watch).build())
}

/// The network in which an action runs.
pub(crate) struct Network {
    /// What its project has behind the name of the usual one.
    suffix: String,
    /// None: that of the subnets.
    vpc: Option<String>,
    subnets: BTreeSet<String>,
    security_groups: BTreeSet<String>,
}

impl Network {
    /// The network of three configuration values, of which either all are there or none.
    ///
    /// # Errors
    /// When only some are.
    pub(crate) fn of_vpc(
        task: &Task,
        [vpc, subnets, security_groups]: [Option<&str>; 3],
    ) -> Result<Option<Self>, ProviderError> {
        let all = [("VpcId", vpc), ("Subnets", subnets), ("SecurityGroupIds", security_groups)];
        let Some([vpc, subnets, security_groups]) = together(task, all)? else { return Ok(None) };
        let vpc = vpc.trim().to_owned();
        Ok(Some(Self {
            suffix: vpc.clone(),
            vpc: Some(vpc),
            subnets: items(subnets).map(str::to_owned).collect(),
            security_groups: items(security_groups).map(str::to_owned).collect(),
        }))
    }

    /// The same for a cluster, whose actions name no VPC.
    ///
    /// # Errors
    /// When only one of both is there.
    pub(crate) fn of_cluster(
        task: &Task,
        cluster: &str,
        [subnets, security_groups]: [Option<&str>; 2],
    ) -> Result<Option<Self>, ProviderError> {
        let all = [("Subnets", subnets), ("SecurityGroupIds", security_groups)];
        let Some([subnets, security_groups]) = together(task, all)? else { return Ok(None) };
        Ok(Some(Self {
            suffix: cluster.to_owned(),
            vpc: None,
            subnets: items(subnets).map(str::to_owned).collect(),
            security_groups: items(security_groups).map(str::to_owned).collect(),
        }))
    }

    /// Whether the project's builds run in just this network.
    async fn check(&self, client: &Client, project: &str, region: &str) -> Result<(), ProviderError> {
        let found = client.batch_get_projects().names(project).send().await;
        let found = found.map_err(|error| ProviderError::aws("BatchGetProjects", project, &error))?;
        let Some(config) = found.projects().first().map(|it| it.vpc_config().cloned()) else {
            return Err(ProviderError::configuration(format!(
                "CodeBuild takes a VPC from a project only, and {region} has no project {project}: deploy \
                 infra/compute-vpc.yaml with {self}"
            )));
        };
        let found = config.as_ref().map(Self::of);
        let is_asked_for = |found: &Self| {
            (self.vpc.is_none() || self.vpc == found.vpc)
                && (&self.subnets, &self.security_groups) == (&found.subnets, &found.security_groups)
        };
        if found.as_ref().is_some_and(is_asked_for) {
            return Ok(());
        }
        let found = found.map_or_else(|| "no VPC".to_owned(), |found| found.to_string());
        Err(ProviderError::configuration(format!(
            "the builds of the project {project} run in {found}, and the action is to run in {self}: deploy \
             infra/compute-vpc.yaml with these"
        )))
    }

    fn of(config: &VpcConfig) -> Self {
        Self {
            suffix: String::new(),
            vpc: config.vpc_id().map(str::to_owned),
            subnets: config.subnets().iter().cloned().collect(),
            security_groups: config.security_group_ids().iter().cloned().collect(),
        }
    }
}

impl std::fmt::Display for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let list = |names: &BTreeSet<String>| names.iter().map(String::as_str).collect::<Vec<_>>().join(",");
        if let Some(vpc) = &self.vpc {
            write!(f, "VpcId {vpc}, ")?;
        }
        write!(f, "Subnets {}, SecurityGroupIds {}", list(&self.subnets), list(&self.security_groups))
    }
}

/// The values of keys that go together; none where no key has one.
fn together<'a, const N: usize>(
    task: &Task,
    all: [(&str, Option<&'a str>); N],
) -> Result<Option<[&'a str; N]>, ProviderError> {
    if all.iter().all(|(_, value)| value.is_none()) {
        return Ok(None);
    }
    if let Some((key, _)) = all.iter().find(|(_, value)| value.is_none()) {
        let names = all.map(|(key, _)| key).join(", ");
        return Err(ProviderError::configuration(format!("{}: {names} go together", missing(task, key))));
    }
    Ok(Some(all.map(|(_, value)| value.unwrap_or_default())))
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

/// The registry of an account's private repositories in the action's region.
pub(crate) fn registry(task: &Task) -> String {
    let role = task.action_role.as_ref().unwrap_or(&task.pipeline_role);
    let account = role.split(':').nth(4).unwrap_or_default();
    format!("{account}.dkr.ecr.{}.{}", task.region, runtime::arn::service_domain(&task.region))
}

/// Signs in to that registry.
pub(crate) fn sign_in(registry: &str) -> Result<String, ProviderError> {
    let registry = word(registry)?;
    Ok(format!("aws ecr get-login-password | docker login --username=AWS --password-stdin {registry}"))
}

/// Whether a text can be the tag of an image. Source: OCI Distribution Specification, 'Pulling manifests'.
pub(crate) fn is_tag(text: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (1..=128).contains(&text.len())
        && text.bytes().next().is_some_and(word)
        && text.bytes().all(|byte| word(byte) || byte == b'.' || byte == b'-')
}

/// The items of a value that is a list with commas.
pub(crate) fn items(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(str::trim).filter(|item| !item.is_empty())
}

impl ClassifyError for BatchGetProjectsError {
    fn class(&self) -> Option<ErrorClass> {
        match self {
            Self::InvalidInputException(_) => Some(ErrorClass::Configuration),
            _ => None,
        }
    }
}
