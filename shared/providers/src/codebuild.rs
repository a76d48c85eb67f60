//! Build/CodeBuild and Test/CodeBuild: a build of a CodeBuild project, or a batch of builds. Source: CodePipeline user guide,
//! 'AWS CodeBuild build and test action reference'; CodeBuild API, `StartBuild`, `StartBuildBatch`.
//!
//! Only CodePipeline itself can hand a build its artifacts as the source type `CODEPIPELINE`. Here the build's sources and
//! artifacts are overridden with the very objects in S3: each input with its version, the primary one as the project's
//! source and the others under their names ([`source_identifier`]); one output as the project's artifact, several as
//! secondary artifacts of their names. The project, with whatever type of source, stays as it is. An input that a source made
//! with `OutputArtifactFormat` `CODEBUILD_CLONE_REF` is a reference, from which the build clones the repository itself.
//!
//! CodeBuild knows an idempotency token for five minutes. Each build therefore has the attempt's id among its variables
//! ([`ATTEMPT`]), by which a build is found that a lost worker started.
//!
//! The role needs `codebuild:StartBuild`, `codebuild:BatchGetBuilds` and `codebuild:ListBuildsForProject` (for batches
//! `codebuild:StartBuildBatch`, `codebuild:BatchGetBuildBatches`, `codebuild:ListBuildBatchesForProject`), and, for the last
//! lines of a failed build's log in its message, `logs:GetLogEvents`. The project's own role reads and writes the artifacts.

use std::collections::BTreeMap;

use async_trait::async_trait;
use aws_sdk_codebuild::Client;
use aws_sdk_codebuild::operation::batch_get_build_batches::BatchGetBuildBatchesError;
use aws_sdk_codebuild::operation::batch_get_builds::BatchGetBuildsError;
use aws_sdk_codebuild::operation::list_build_batches_for_project::ListBuildBatchesForProjectError;
use aws_sdk_codebuild::operation::list_builds_for_project::ListBuildsForProjectError;
use aws_sdk_codebuild::operation::start_build::StartBuildError;
use aws_sdk_codebuild::operation::start_build_batch::StartBuildBatchError;
use aws_sdk_codebuild::primitives::DateTime;
use aws_sdk_codebuild::types::{
    ArtifactNamespace, ArtifactPackaging, ArtifactsType, Build, BuildBatch, EnvironmentVariable,
    EnvironmentVariableType, ExportedEnvironmentVariable, LogsLocation, PhaseContext, ProjectArtifacts,
    ProjectBuildBatchConfig, ProjectSource, ProjectSourceVersion, SortOrderType, SourceAuth, SourceAuthType,
    SourceType, StatusType,
};
use driver::{Outcome, Task, TaskInput};
use engine::{Artifact, External, Progress, Success, Timestamp};
use runtime::Session;
use serde::Deserialize;
use serde_json::Value;

use crate::configuration::{non_empty, read, title};
use crate::console;
use crate::context::ActionContext;
use crate::error::{ClassifyError, ErrorClass, JOB_FAILED, ProviderError};
use crate::provider::{
    Correlation, Descriptor, Documentation, EntityPage, Events, Implements, Provider, ProviderInfo, Tried, attempt_id,
};
use crate::repository::CloneReference;

/// The variable of a build that holds the attempt's id.
const ATTEMPT: &str = "MILLRACE_ACTION_EXECUTION_ID";
/// Lines of a failed build's log in its message.
const LOG_LINES: usize = 10;
/// Lines of the log that are looked at for them: CodeBuild itself writes many after a command that failed.
const LOG_LINES_READ: i32 = 100;
/// How CodeBuild's own lines begin. They say of each phase how it ended, which the message says already.
const OWN_LINE: &str = "[Container] ";

pub(crate) const PROVIDER: Descriptor = Descriptor {
    info: ProviderInfo {
        events: Some(Events {
            source: "aws.codebuild",
            detail_types: &["CodeBuild Build State Change", "CodeBuild Batch Build State Change"],
            correlation: Correlation::ExternalId(ended_build),
        }),
        entity: Some(EntityPage { key: "ProjectName", path: "codesuite/codebuild/projects/{}?region={region}" }),
        ..ProviderInfo::of(
            &[Implements::aws("Build", "CodeBuild"), Implements::aws("Test", "CodeBuild")],
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

/// The build that a state change is about, if it tells of an end.
fn ended_build(detail: &Value) -> Option<String> {
    let text = |key: &str| detail.get(key)?.as_str();
    let status = text("build-status").or_else(|| text("build-batch-status"))?;
    if status == StatusType::InProgress.as_str() {
        return None;
    }
    build_id(text("build-id").or_else(|| text("build-batch-id"))?)
}

/// `project:uuid` of a build's ARN.
fn build_id(arn: &str) -> Option<String> {
    arn.split_once(":build/").or_else(|| arn.split_once(":build-batch/")).map(|(_, id)| id.to_owned())
}

struct CodeBuild;

#[async_trait]
impl Provider for CodeBuild {
    async fn start(&self, context: ActionContext<'_>) -> Result<Outcome, ProviderError> {
        let task = context.task;
        let configuration: Configuration<'_> = read(task)?;
        let client = Client::new(context.session().await?.config());
        let builds =
            Builds { client: &client, project: configuration.project_name, batch: configuration.batch_enabled };
        let known = match task.reclaimed {
            true => builds.find(context).await?,
            false => None,
        };
        let started = match known {
            Some(run) => run,
            None => builds.start(context.token, Overrides::new(context, &configuration).await?).await?,
        };
        Ok(running(task, &started))
    }

    async fn poll(&self, context: ActionContext<'_>) -> Result<Outcome, ProviderError> {
        let task = context.task;
        let configuration: Configuration<'_> = read(task)?;
        let session = context.session().await?;
        let client = Client::new(session.config());
        let builds =
            Builds { client: &client, project: configuration.project_name, batch: configuration.batch_enabled };
        let run = match &task.external {
            Some(external) => builds.get(std::slice::from_ref(&external.id)).await?.pop(),
            None => builds.find(context).await?,
        };
        let Some(run) = run else {
            let what = task.external.as_ref().map_or("its build", |external| &external.id);
            return Err(ProviderError::failed(JOB_FAILED, format!("CodeBuild does not know {what} any more")));
        };
        match run.status {
            StatusType::InProgress => Ok(running(task, &run)),
            StatusType::Succeeded => Ok(Outcome::Succeeded(Success {
                report: report(task, &run),
                outputs: task.outputs.clone(),
                variables: run.exported.clone(),
                revision: None,
            })),
            _ => {
                let lines = last_lines(&session, &run).await;
                Err(failed(task, &run, &lines))
            }
        }
    }
}

/// A build or a batch of builds, as far as an action asks.
struct Run {
    id: String,
    arn: String,
    attempt: Option<String>,
    started: Option<Timestamp>,
    status: StatusType,
    /// The phase that it is in.
    phase: Option<String>,
    /// The phases that failed, with what CodeBuild says of them.
    failures: Vec<String>,
    exported: BTreeMap<String, String>,
    logs: Option<LogsLocation>,
}

fn contexts(phase: Option<&str>, status: Option<&StatusType>, contexts: &[PhaseContext]) -> Option<String> {
    let status = status?;
    if matches!(status, StatusType::Succeeded | StatusType::InProgress) {
        return None;
    }
    let words = contexts.iter().flat_map(|it| [it.status_code.as_deref(), it.message.as_deref()]).flatten();
    let words: Vec<&str> = words.map(str::trim).filter(|words| !words.is_empty()).collect();
    let phase = phase.unwrap_or("-");
    Some(match words.is_empty() {
        true => format!("phase {phase}: {status}"),
        false => format!("phase {phase}: {}", words.join(": ")),
    })
}

fn attempt_of(variables: &[EnvironmentVariable]) -> Option<String> {
    variables.iter().find(|variable| variable.name == ATTEMPT).map(|variable| variable.value.clone())
}

fn timestamp(time: DateTime) -> Option<Timestamp> {
    time.to_millis().ok().map(Timestamp)
}

fn exported(variables: &[ExportedEnvironmentVariable]) -> BTreeMap<String, String> {
    variables.iter().filter_map(|it| Some((it.name.clone()?, it.value.clone()?))).collect()
}

impl Run {
    fn of_build(build: Build) -> Self {
        let phases = build.phases.as_deref().unwrap_or_default();
        Self {
            attempt: build.environment.as_ref().and_then(|it| attempt_of(it.environment_variables())),
            failures: phases
                .iter()
                .filter_map(|it| {
                    let name = it.phase_type.as_ref().map(|name| name.as_str());
                    contexts(name, it.phase_status.as_ref(), it.contexts())
                })
                .collect(),
            exported: exported(build.exported_environment_variables.as_deref().unwrap_or_default()),
            started: build.start_time.and_then(timestamp),
            id: build.id.unwrap_or_default(),
            arn: build.arn.unwrap_or_default(),
            status: build.build_status.unwrap_or(StatusType::InProgress),
            phase: build.current_phase,
            logs: build.logs,
        }
    }

    fn of_batch(batch: BuildBatch) -> Self {
        let phases = batch.phases.as_deref().unwrap_or_default();
        let groups = batch.build_groups.as_deref().unwrap_or_default();
        let failed_builds = groups.iter().filter_map(|group| {
            let summary = group.current_build_summary.as_ref()?;
            let status = summary.build_status.as_ref()?;
            let bad = !matches!(status, StatusType::Succeeded | StatusType::InProgress);
            bad.then(|| format!("build {}: {status}", group.identifier.as_deref().unwrap_or("-")))
        });
        Self {
            attempt: batch.environment.as_ref().and_then(|it| attempt_of(it.environment_variables())),
            failures: failed_builds
                .chain(phases.iter().filter_map(|it| {
                    let name = it.phase_type.as_ref().map(|name| name.as_str());
                    contexts(name, it.phase_status.as_ref(), it.contexts())
                }))
                .collect(),
            exported: BTreeMap::new(),
            started: batch.start_time.and_then(timestamp),
            id: batch.id.unwrap_or_default(),
            arn: batch.arn.unwrap_or_default(),
            status: batch.build_batch_status.unwrap_or(StatusType::InProgress),
            phase: batch.current_phase,
            logs: None,
        }
    }
}

/// What of a project is different in the build of an action.
struct Overrides {
    buildspec: Option<String>,
    source: BuildSource,
    secondary: Vec<(ProjectSource, Option<ProjectSourceVersion>)>,
    artifacts: ProjectArtifacts,
    secondary_artifacts: Vec<ProjectArtifacts>,
    variables: Vec<EnvironmentVariable>,
    combine_artifacts: bool,
}

fn invalid(error: impl std::fmt::Display) -> ProviderError {
    ProviderError::configuration(error.to_string())
}

/// Where a build finds an input.
struct BuildSource {
    kind: SourceType,
    location: String,
    version: Option<String>,
    /// How the build signs in there, where it does not with its project's role.
    auth: Option<SourceAuth>,
}

impl BuildSource {
    /// The object of the artifact, or the repository to which it refers.
    async fn of(context: ActionContext<'_>, input: &TaskInput) -> Result<Self, ProviderError> {
        let store = context.artifact_store(&input.bucket).await?;
        Ok(match CloneReference::read(&store, input).await? {
            Some(reference) => Self {
                kind: SourceType::from(reference.source_type.as_str()),
                location: reference.source_location,
                version: Some(reference.source_version),
                auth: reference.connection_arn.map(by_connection).transpose()?,
            },
            None => Self {
                kind: SourceType::S3,
                location: format!("{}/{}", input.bucket, input.artifact.key),
                version: input.pin.version.clone(),
                auth: None,
            },
        })
    }
}

fn by_connection(arn: String) -> Result<SourceAuth, ProviderError> {
    SourceAuth::builder().r#type(SourceAuthType::Codeconnections).resource(arn).build().map_err(invalid)
}

/// How a build names a further input, as in `CODEBUILD_SRC_DIR_identifier`: by the artifact's name, with `_` in place of `-`.
/// CodeBuild refuses that character, since it takes letters, digits and `_` (API, `ProjectSource.sourceIdentifier`).
///
/// What CodePipeline does with such a name is not documented. By the build log in issue 15753 of aws/aws-cdk, it hands the
/// name on as it is, past the check that StartBuild makes for everybody else, and the build gets a variable that no shell
/// can read: `$CODEBUILD_SRC_DIR_my-src` is `$CODEBUILD_SRC_DIR_my` and then `-src`. With the underscore such a build runs
/// here too, and can read its variable. Identifiers of artifacts are the outputs' names as they are, since a buildspec
/// repeats them and no limit is documented for them.
fn source_identifier(artifact: &str) -> String {
    artifact.replace('-', "_")
}

/// A ZIP in S3 under exactly the key of an output artifact.
fn to_s3(artifact: &Artifact, identifier: Option<&str>) -> Result<ProjectArtifacts, ProviderError> {
    let (path, name) = artifact.key.rsplit_once('/').unwrap_or(("", &artifact.key));
    ProjectArtifacts::builder()
        .r#type(ArtifactsType::S3)
        .location(&artifact.bucket)
        .path(path)
        .name(name)
        .namespace_type(ArtifactNamespace::None)
        .packaging(ArtifactPackaging::Zip)
        .override_artifact_name(false)
        .encryption_disabled(false)
        .set_artifact_identifier(identifier.map(str::to_owned))
        .build()
        .map_err(invalid)
}

impl Overrides {
    async fn new(context: ActionContext<'_>, configuration: &Configuration<'_>) -> Result<Self, ProviderError> {
        let task = context.task;
        let primary = primary(task, configuration.primary_source)?;
        let mut variables = variables(task, configuration.environment_variables)?;
        variables.push(EnvironmentVariable::builder().name(ATTEMPT).value(context.token).build().map_err(invalid)?);
        let mut secondary = Vec::new();
        for input in task.inputs.iter().filter(|input| input.artifact.name != primary.artifact.name) {
            let name = input.artifact.name.as_str();
            let identifier = source_identifier(name);
            let taken = |(other, _): &(ProjectSource, _)| other.source_identifier() == Some(identifier.as_str());
            if secondary.iter().any(taken) {
                return Err(ProviderError::configuration(format!(
                    "{} has two input artifacts that are both {identifier} in a build: rename {name}",
                    title(task)
                )));
            }
            let BuildSource { kind, location, version, auth } = BuildSource::of(context, input).await?;
            let source = ProjectSource::builder().r#type(kind).location(location).set_auth(auth);
            let source = source.source_identifier(&identifier).build().map_err(invalid)?;
            let version = version.map(|version| {
                let version = ProjectSourceVersion::builder().source_identifier(&identifier).source_version(version);
                version.build().map_err(invalid)
            });
            secondary.push((source, version.transpose()?));
        }
        let (artifacts, secondary_artifacts) = match task.outputs.as_slice() {
            [] => {
                (ProjectArtifacts::builder().r#type(ArtifactsType::NoArtifacts).build().map_err(invalid)?, Vec::new())
            }
            [one] => (to_s3(one, None)?, Vec::new()),
            // A buildspec names the files of several artifacts by their names.
            several => (
                ProjectArtifacts::builder().r#type(ArtifactsType::NoArtifacts).build().map_err(invalid)?,
                several.iter().map(|it| to_s3(it, Some(it.name.as_str()))).collect::<Result<_, _>>()?,
            ),
        };
        Ok(Self {
            buildspec: configuration.buildspec_override.map(str::to_owned),
            source: BuildSource::of(context, primary).await?,
            secondary,
            artifacts,
            secondary_artifacts,
            variables,
            combine_artifacts: configuration.combine_artifacts,
        })
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

/// The builds of a project, or its batches of builds.
struct Builds<'a> {
    client: &'a Client,
    project: &'a str,
    batch: bool,
}

impl Builds<'_> {
    async fn start(&self, token: &str, overrides: Overrides) -> Result<Run, ProviderError> {
        let (sources, versions): (Vec<_>, Vec<_>) = overrides.secondary.into_iter().unzip();
        let versions: Vec<ProjectSourceVersion> = versions.into_iter().flatten().collect();
        let BuildSource { kind, location, version, auth } = overrides.source;
        let nothing_started =
            || ProviderError::Retryable(format!("CodeBuild did not say what it started of {}", self.project));
        // StartBuild and StartBuildBatch take the same, and their builders have no trait in common.
        macro_rules! overriding {
            ($request:expr) => {
                $request
                    .project_name(self.project)
                    .idempotency_token(token)
                    .source_type_override(kind)
                    .source_location_override(location)
                    .set_source_version(version)
                    .set_source_auth_override(auth)
                    .set_secondary_sources_override(non_empty(sources))
                    .set_secondary_sources_version_override(non_empty(versions))
                    .artifacts_override(overrides.artifacts)
                    .set_secondary_artifacts_override(non_empty(overrides.secondary_artifacts))
                    .set_environment_variables_override(Some(overrides.variables))
                    .set_buildspec_override(overrides.buildspec)
            };
        }
        if self.batch {
            let combined = ProjectBuildBatchConfig::builder().combine_artifacts(true).build();
            let combined = overrides.combine_artifacts.then_some(combined);
            let request = overriding!(self.client.start_build_batch()).set_build_batch_config_override(combined);
            let started = request.send().await;
            let started = started.map_err(|error| ProviderError::aws("StartBuildBatch", self.project, &error))?;
            return started.build_batch.map(Run::of_batch).ok_or_else(nothing_started);
        }
        let started = overriding!(self.client.start_build()).send().await;
        let started = started.map_err(|error| ProviderError::aws("StartBuild", self.project, &error))?;
        started.build_value.map(Run::of_build).ok_or_else(nothing_started)
    }

    /// The builds of these ids, as far as CodeBuild knows them.
    async fn get(&self, ids: &[String]) -> Result<Vec<Run>, ProviderError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let ids = Some(ids.to_vec());
        if self.batch {
            let found = self.client.batch_get_build_batches().set_ids(ids).send().await;
            let found = found.map_err(|error| ProviderError::aws("BatchGetBuildBatches", self.project, &error))?;
            return Ok(found.build_batches.unwrap_or_default().into_iter().map(Run::of_batch).collect());
        }
        let found = self.client.batch_get_builds().set_ids(ids).send().await;
        let found = found.map_err(|error| ProviderError::aws("BatchGetBuilds", self.project, &error))?;
        Ok(found.builds.unwrap_or_default().into_iter().map(Run::of_build).collect())
    }

    /// The build that was started for this attempt, which no build from before its request is.
    async fn find(&self, context: ActionContext<'_>) -> Result<Option<Run>, ProviderError> {
        let since = context.earliest_start();
        let mut next = None;
        loop {
            let (ids, after) = self.newest(next).await?;
            let builds = self.get(&ids).await?;
            let rest_is_older = builds.iter().any(|run| run.started.is_some_and(|started| started < since));
            let found = builds.into_iter().find(|run| run.attempt.as_deref() == Some(context.token));
            if found.is_some() || rest_is_older || after.is_none() {
                return Ok(found);
            }
            next = after;
        }
    }

    /// A page of the project's builds, the newest first: at most 100, as many as are described in one call. Source:
    /// CodeBuild API.
    async fn newest(&self, next: Option<String>) -> Result<(Vec<String>, Option<String>), ProviderError> {
        let order = SortOrderType::Descending;
        if self.batch {
            let listed = self.client.list_build_batches_for_project().project_name(self.project).sort_order(order);
            let listed = listed.set_next_token(next).send().await;
            let listed =
                listed.map_err(|error| ProviderError::aws("ListBuildBatchesForProject", self.project, &error))?;
            return Ok((listed.ids.unwrap_or_default(), listed.next_token));
        }
        let listed = self.client.list_builds_for_project().project_name(self.project).sort_order(order);
        let listed = listed.set_next_token(next).send().await;
        let listed = listed.map_err(|error| ProviderError::aws("ListBuildsForProject", self.project, &error))?;
        Ok((listed.ids.unwrap_or_default(), listed.next_token))
    }
}

fn report(task: &Task, run: &Run) -> Progress {
    let url = Some(console::codebuild(&task.region, &run.arn));
    let summary = run.phase.as_ref().map(|phase| format!("Phase {phase}"));
    Progress { external: Some(External { id: run.id.clone(), url }), summary, percent: None }
}

fn running(task: &Task, run: &Run) -> Outcome {
    Outcome::Running { report: report(task, run), poll: true, event_source: None }
}

fn failed(task: &Task, run: &Run, lines: &[String]) -> ProviderError {
    let mut message = format!("Build {} ended as {}", run.id, run.status);
    for failure in &run.failures {
        message = format!("{message}; {failure}");
    }
    if !lines.is_empty() {
        message = format!("{message}. The last lines that its commands printed:\n{}", lines.join("\n"));
    }
    ProviderError::Failed { code: JOB_FAILED, message, report: report(task, run) }
}

/// The last lines that a build's commands printed; nothing where it has no log or it may not be read.
async fn last_lines(session: &Session, run: &Run) -> Vec<String> {
    let Some((group, stream)) =
        run.logs.as_ref().and_then(|it| Some((it.group_name.as_ref()?, it.stream_name.as_ref()?)))
    else {
        return Vec::new();
    };
    let client = aws_sdk_cloudwatchlogs::Client::new(session.config());
    let read = client.get_log_events().log_group_name(group).log_stream_name(stream).limit(LOG_LINES_READ);
    match read.start_from_head(false).send().await {
        Ok(found) => {
            let messages = found.events.unwrap_or_default().into_iter().filter_map(|it| it.message);
            let mut lines: Vec<_> = messages.map(|it| it.trim_end().to_owned()).collect();
            lines.retain(|line| !line.is_empty() && !line.starts_with(OWN_LINE));
            lines.drain(..lines.len().saturating_sub(LOG_LINES));
            lines
        }
        Err(error) => {
            tracing::info!(%error, group, "the log of a failed build cannot be read");
            Vec::new()
        }
    }
}

impl ClassifyError for StartBuildError {
    fn class(&self) -> Option<ErrorClass> {
        match self {
            Self::InvalidInputException(_) | Self::ResourceNotFoundException(_) => Some(ErrorClass::Configuration),
            // So many builds of the account run: another will end.
            Self::AccountLimitExceededException(_) => Some(ErrorClass::Retryable),
            _ => None,
        }
    }
}

impl ClassifyError for StartBuildBatchError {
    fn class(&self) -> Option<ErrorClass> {
        match self {
            Self::InvalidInputException(_) | Self::ResourceNotFoundException(_) => Some(ErrorClass::Configuration),
            _ => None,
        }
    }
}

impl ClassifyError for BatchGetBuildsError {}
impl ClassifyError for BatchGetBuildBatchesError {}

impl ClassifyError for ListBuildsForProjectError {
    fn class(&self) -> Option<ErrorClass> {
        match self {
            Self::ResourceNotFoundException(_) => Some(ErrorClass::Configuration),
            _ => None,
        }
    }
}

impl ClassifyError for ListBuildBatchesForProjectError {
    fn class(&self) -> Option<ErrorClass> {
        match self {
            Self::ResourceNotFoundException(_) => Some(ErrorClass::Configuration),
            _ => None,
        }
    }
}
