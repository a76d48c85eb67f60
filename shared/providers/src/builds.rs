//! Builds of CodeBuild: how an action has one started, finds it again, and learns how it ended. Source: CodeBuild API,
//! `StartBuild`, `StartBuildBatch`.
//!
//! CodeBuild knows an idempotency token for five minutes. Each build therefore has the attempt's id among its variables
//! ([`ATTEMPT`]), by which a build is found that a lost worker started.

use std::collections::BTreeMap;

use aws_sdk_codebuild::Client;
use aws_sdk_codebuild::operation::batch_get_build_batches::BatchGetBuildBatchesError;
use aws_sdk_codebuild::operation::batch_get_builds::BatchGetBuildsError;
use aws_sdk_codebuild::operation::list_build_batches_for_project::ListBuildBatchesForProjectError;
use aws_sdk_codebuild::operation::list_builds_for_project::ListBuildsForProjectError;
use aws_sdk_codebuild::operation::start_build::StartBuildError;
use aws_sdk_codebuild::operation::start_build_batch::StartBuildBatchError;
use aws_sdk_codebuild::primitives::DateTime;
use aws_sdk_codebuild::types::{
    Build, BuildBatch, ComputeType, EnvironmentType, EnvironmentVariable, ExportedEnvironmentVariable, LogsConfig,
    LogsLocation, PhaseContext, ProjectBuildBatchConfig, SortOrderType, StatusType,
};
use driver::{Outcome, Task};
use engine::{External, Progress, Success, Timestamp};
use runtime::Session;
use serde_json::Value;

use crate::build_artifacts::{BuildArtifacts, BuildSource, BuildSources, invalid};
use crate::configuration::non_empty;
use crate::console;
use crate::context::ActionContext;
use crate::error::{ClassifyError, ErrorClass, JOB_FAILED, ProviderError};
use crate::provider::{Correlation, Events};

/// What starting and watching builds of a project takes.
pub(crate) const BUILDS: &[&str] =
    &["codebuild:BatchGetBuilds", "codebuild:ListBuildsForProject", "codebuild:StartBuild"];
/// The same for batches of builds.
pub(crate) const BATCHES: &[&str] =
    &["codebuild:BatchGetBuildBatches", "codebuild:ListBuildBatchesForProject", "codebuild:StartBuildBatch"];
/// For the last lines of a failed build's log in its message.
pub(crate) const READ_LOG: &[&str] = &["logs:GetLogEvents"];

/// The variable of a build that holds the attempt's id.
const ATTEMPT: &str = "MILLRACE_ACTION_EXECUTION_ID";
/// Lines of a failed build's log in its message.
const LOG_LINES: usize = 10;
/// Lines of the log that are looked at for them: CodeBuild itself writes many after a command that failed.
const LOG_LINES_READ: i32 = 100;
/// How CodeBuild's own lines begin. They say of each phase how it ended, which the message says already.
const OWN_LINE: &str = "[Container] ";

/// The events that tell of a build's end.
pub(crate) const EVENTS: Events = Events {
    source: "aws.codebuild",
    detail_types: &["CodeBuild Build State Change", "CodeBuild Batch Build State Change"],
    correlation: Correlation::ExternalId(ended_build),
};

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
pub(crate) struct Overrides {
    pub(crate) buildspec: Option<String>,
    pub(crate) sources: BuildSources,
    pub(crate) artifacts: BuildArtifacts,
    pub(crate) variables: Vec<EnvironmentVariable>,
    pub(crate) combine_artifacts: bool,
    pub(crate) machine: Machine,
}

/// On what a build runs, and as whom. What is not set is as the project has it.
#[derive(Default)]
pub(crate) struct Machine {
    pub(crate) service_role: Option<String>,
    pub(crate) environment_type: Option<EnvironmentType>,
    pub(crate) compute_type: Option<ComputeType>,
    pub(crate) image: Option<String>,
    pub(crate) privileged: Option<bool>,
    pub(crate) timeout_minutes: Option<i32>,
    pub(crate) encryption_key: Option<String>,
    pub(crate) logs: Option<LogsConfig>,
}

/// The builds of a project, or its batches of builds.
pub(crate) struct Builds<'a> {
    pub(crate) client: &'a Client,
    pub(crate) project: &'a str,
    pub(crate) batch: bool,
}

impl Builds<'_> {
    /// The build that a lost worker has started already for this attempt.
    pub(crate) async fn known(&self, context: ActionContext<'_>) -> Result<Option<Outcome>, ProviderError> {
        let known = if context.task.reclaimed { self.find(context).await? } else { None };
        Ok(known.map(|run| running(context.task, &run)))
    }

    pub(crate) async fn start(
        &self,
        context: ActionContext<'_>,
        overrides: Overrides,
    ) -> Result<Outcome, ProviderError> {
        let attempt = EnvironmentVariable::builder().name(ATTEMPT).value(context.token).build().map_err(invalid)?;
        let mut variables = overrides.variables;
        variables.push(attempt);
        let BuildSources { primary, secondary } = overrides.sources;
        let (sources, versions): (Vec<_>, Vec<_>) = secondary.into_iter().unzip();
        let versions: Vec<_> = versions.into_iter().flatten().collect();
        let BuildSource { kind, location, version, auth } = primary;
        let nothing_started =
            || ProviderError::Retryable(format!("CodeBuild did not say what it started of {}", self.project));
        // StartBuild and StartBuildBatch take the same, and their builders have no trait in common.
        macro_rules! overriding {
            ($request:expr) => {
                $request
                    .project_name(self.project)
                    .idempotency_token(context.token)
                    .source_type_override(kind)
                    .set_source_location_override(location)
                    .set_source_version(version)
                    .set_source_auth_override(auth)
                    .set_secondary_sources_override(non_empty(sources))
                    .set_secondary_sources_version_override(non_empty(versions))
                    .artifacts_override(overrides.artifacts.primary)
                    .set_secondary_artifacts_override(non_empty(overrides.artifacts.secondary))
                    .set_environment_variables_override(Some(variables))
                    .set_buildspec_override(overrides.buildspec)
            };
        }
        if self.batch {
            let combined = ProjectBuildBatchConfig::builder().combine_artifacts(true).build();
            let combined = overrides.combine_artifacts.then_some(combined);
            let request = overriding!(self.client.start_build_batch()).set_build_batch_config_override(combined);
            let started = request.send().await;
            let started = started.map_err(|error| ProviderError::aws("StartBuildBatch", self.project, &error))?;
            let run = started.build_batch.map(Run::of_batch).ok_or_else(nothing_started)?;
            return Ok(running(context.task, &run));
        }
        let machine = overrides.machine;
        let started = overriding!(self.client.start_build())
            .set_service_role_override(machine.service_role)
            .set_environment_type_override(machine.environment_type)
            .set_compute_type_override(machine.compute_type)
            .set_image_override(machine.image)
            .set_privileged_mode_override(machine.privileged)
            .set_timeout_in_minutes_override(machine.timeout_minutes)
            .set_encryption_key_override(machine.encryption_key)
            .set_logs_config_override(machine.logs)
            .send()
            .await;
        let started = started.map_err(|error| ProviderError::aws("StartBuild", self.project, &error))?;
        let run = started.build_value.map(Run::of_build).ok_or_else(nothing_started)?;
        Ok(running(context.task, &run))
    }

    /// How the attempt's build stands.
    pub(crate) async fn poll(&self, context: ActionContext<'_>, session: &Session) -> Result<Outcome, ProviderError> {
        let task = context.task;
        let run = match &task.external {
            Some(external) => self.get(std::slice::from_ref(&external.id)).await?.pop(),
            None => self.find(context).await?,
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
                let lines = last_lines(session, &run).await;
                Err(failed(task, &run, &lines))
            }
        }
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
