//! A build from its start to its end.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_sdk_codebuild::types::{
    ArtifactsType, BuildPhaseType, ExportedEnvironmentVariable, PhaseContext, SourceType, StatusType,
};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::buildspec::{Buildspec, Steps};
use crate::cloud::{Cloud, Settings};
use crate::error::PhaseError;
use crate::events::Events;
use crate::log::Log;
use crate::phases::Phase;
use crate::plan::Plan;
use crate::record::Record;
use crate::shell::{Shell, quoted};
use crate::sources;
use crate::upload::Upload;
use crate::variables::{Variables, of_codebuild};

/// Why a build did not go on with its phases.
enum Ended {
    /// The phase failed; the next one depends on the rules.
    Failed,
    /// Stopped or timed out: nothing more is run.
    Interrupted(StatusType),
}

/// A build that runs.
pub(crate) struct Run {
    plan: Plan,
    record: Arc<Record>,
    settings: Arc<Settings>,
    cloud: Cloud,
    log: Arc<Log>,
    events: Events,
    folder: PathBuf,
    deadline: Option<Instant>,
}

/// What is there once the sources are.
struct Prepared {
    spec: Buildspec,
    variables: Variables,
    shell: Shell,
}

impl Run {
    pub(crate) fn new(plan: Plan, record: Arc<Record>, settings: Arc<Settings>, cloud: Cloud) -> Self {
        let folder = settings.root.join(&plan.names.uuid);
        let log = Arc::new(Log::new(cloud.logs.clone(), plan.log.clone(), folder.join("output")));
        let events = Events::new(cloud.events.clone());
        Self { plan, record, settings, cloud, log, events, folder, deadline: None }
    }

    /// Runs the build as soon as `permits` lets it.
    pub(crate) async fn until_end(mut self, permits: Arc<Semaphore>) {
        self.events.state_change(&self.record.build()).await;
        self.end(BuildPhaseType::Submitted, StatusType::Succeeded, None).await;
        let queued = async { permits.acquire().await.map_err(|error| PhaseError::internal("queue the build", error)) };
        let permit = self.phase(BuildPhaseType::Queued, queued).await;
        let status = match permit {
            Ok(_permit) => self.with_permit().await,
            Err(Ended::Failed) => StatusType::Fault,
            Err(Ended::Interrupted(status)) => status,
        };
        self.record.complete(status);
        self.events.state_change(&self.record.build()).await;
    }

    async fn with_permit(&mut self) -> StatusType {
        let minutes = u32::try_from(self.plan.timeout_in_minutes).unwrap_or_default();
        self.deadline = Some(Instant::now() + self.settings.minute * minutes);
        self.log.open().await;
        let log = Arc::clone(&self.log);
        let sending = tokio::spawn(async move { log.keep_sending().await });
        let status = self.in_folder().await;
        sending.abort();
        self.log.read(true).await;
        self.log.send().await;
        if let Err(error) = tokio::fs::remove_dir_all(&self.folder).await {
            tracing::warn!(%error, folder = %self.folder.display(), "the folder of a build is left");
        }
        status
    }

    async fn in_folder(&self) -> StatusType {
        let provisioned = async {
            let made = tokio::fs::create_dir_all(self.source()).await;
            made.map_err(|error| PhaseError::internal("make the build's folder", error))
        };
        if let Err(ended) = self.phase(BuildPhaseType::Provisioning, provisioned).await {
            return ended.status();
        }
        let prepared = match self.phase(BuildPhaseType::DownloadSource, self.prepare()).await {
            Ok(prepared) => prepared,
            Err(ended) => {
                let interrupted = matches!(ended, Ended::Interrupted(_));
                self.phase_unless(interrupted, BuildPhaseType::Finalizing, async { Ok(()) }).await.ok();
                return ended.status();
            }
        };
        let Prepared { spec, variables, mut shell } = prepared;
        let status = self.phases(&spec, &shell).await;
        let interrupted = matches!(status, StatusType::Stopped | StatusType::TimedOut);
        if interrupted {
            // At once, so that what runs does nothing more.
            shell.kill();
        }
        let finalized = async {
            if !interrupted {
                let exported = self.exported(&spec, &variables, &shell).await;
                self.record.change(|build| build.exported_environment_variables = Some(exported));
            }
            shell.kill();
            Ok(())
        };
        match self.phase_unless(interrupted, BuildPhaseType::Finalizing, finalized).await {
            Err(Ended::Interrupted(status)) => status,
            _ => status,
        }
    }

    fn source(&self) -> PathBuf {
        self.folder.join("src")
    }

    /// Sources, buildspec, variables and the shell.
    async fn prepare(&self) -> Result<Prepared, PhaseError> {
        let plan = &self.plan;
        let source = self.source();
        if plan.source.r#type == SourceType::S3 {
            let location = plan.source.location.as_deref().unwrap_or_default();
            sources::fetch(&self.cloud, location, plan.source_version.as_deref(), &source).await?;
        }
        let mut folders = Vec::new();
        for (secondary, version) in &plan.secondary_sources {
            let identifier = secondary.source_identifier.clone().unwrap_or_default();
            let folder = self.folder.join("secondary").join(&identifier);
            let made = tokio::fs::create_dir_all(&folder).await;
            made.map_err(|error| PhaseError::internal("make a source's folder", error))?;
            if secondary.r#type == SourceType::S3 {
                let location = secondary.location.as_deref().unwrap_or_default();
                sources::fetch(&self.cloud, location, version.as_deref(), &folder).await?;
            }
            folders.push((identifier, folder.to_string_lossy().into_owned()));
        }
        let text = sources::buildspec(&self.cloud, plan.source.buildspec.as_deref(), &source).await?;
        let spec = Buildspec::parse(&text)?;
        for what in spec.not_done() {
            self.log.say(format_args!("This build host does not do what the buildspec asks for with {what}"));
        }
        let variables = Variables::resolve(&spec.env, &plan.variables, &self.cloud).await?;
        self.log.hide(variables.secrets());
        let started = self.record.build().start_time.and_then(|it| it.to_millis().ok());
        let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_millis();
        let started = started.unwrap_or_else(|| i64::try_from(now()).unwrap_or_default());
        let mut values: BTreeMap<String, String> = variables.values.clone();
        let (source_name, tools) = (source.to_string_lossy(), self.folder.join("tools"));
        let tools = tools.to_string_lossy();
        values.extend(of_codebuild(plan, &self.settings, &source_name, &tools, &folders, started));
        let program = spec.env.shell.program();
        let shell =
            Shell::start(program, &self.folder.join("state"), &source, &self.folder.join("output"), values).await;
        let shell = shell.map_err(|error| PhaseError::internal(format!("start {program}"), error))?;
        Ok(Prepared { spec, variables, shell })
    }

    /// From INSTALL to UPLOAD_ARTIFACTS. A phase that failed makes the build fail, also where `on-failure` lets it go on:
    /// CODEBUILD_BUILD_SUCCEEDING says so to the commands that follow.
    async fn phases(&self, spec: &Buildspec, shell: &Shell) -> StatusType {
        let nothing = Steps::default();
        let (mut phase, mut succeeding) = (Phase::Install, true);
        while phase != Phase::Finalizing {
            let steps = match phase {
                Phase::Install => spec.phases.install.as_ref(),
                Phase::PreBuild => spec.phases.pre_build.as_ref(),
                Phase::Build => spec.phases.build.as_ref(),
                Phase::PostBuild => spec.phases.post_build.as_ref(),
                Phase::UploadArtifacts | Phase::Finalizing => None,
            };
            let done = if phase == Phase::UploadArtifacts {
                self.phase(phase.kind(), self.upload(spec, shell)).await
            } else {
                self.phase(phase.kind(), self.steps(steps.unwrap_or(&nothing), shell, succeeding)).await
            };
            let failed = match done {
                Ok(()) => false,
                Err(Ended::Failed) => true,
                Err(Ended::Interrupted(status)) => return status,
            };
            succeeding &= !failed;
            phase = phase.next(failed, steps.and_then(|it| it.on_failure));
        }
        if succeeding { StatusType::Succeeded } else { StatusType::Failed }
    }

    /// The commands of a phase until one fails, and those of `finally` in any case.
    async fn steps(&self, steps: &Steps, shell: &Shell, succeeding: bool) -> Result<(), PhaseError> {
        let mut failed = None;
        for command in &steps.commands {
            if let Err(error) = self.command(&command.0, shell, succeeding).await {
                failed = Some(error);
                break;
            }
        }
        for command in &steps.finally {
            if let Err(error) = self.command(&command.0, shell, succeeding && failed.is_none()).await {
                failed.get_or_insert(error);
                break;
            }
        }
        failed.map_or(Ok(()), Err)
    }

    async fn command(&self, command: &str, shell: &Shell, succeeding: bool) -> Result<(), PhaseError> {
        self.log.say(format_args!("Running command {command}"));
        let ended = shell.run(command, succeeding).await;
        self.log.read(true).await;
        match ended {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => {
                let reason = status.code().map_or_else(|| status.to_string(), |code| format!("exit status {code}"));
                self.log.say(format_args!("Command did not exit successfully {command} {reason}"));
                Err(PhaseError::command(command, reason))
            }
            Err(error) => Err(PhaseError::command(command, error)),
        }
    }

    async fn upload(&self, spec: &Buildspec, shell: &Shell) -> Result<(), PhaseError> {
        let Self { plan, cloud, log, .. } = self;
        let source = self.source();
        let upload = Upload { plan, cloud, shell, log, source: &source };
        let wanted =
            |to: &&_| matches!(to, aws_sdk_codebuild::types::ProjectArtifacts { r#type: ArtifactsType::S3, .. });
        if let Some(to) = Some(&plan.artifacts).filter(wanted) {
            let files = spec.artifacts.as_ref().ok_or_else(|| PhaseError::client("the buildspec has no artifacts"))?;
            let written = upload.put(to, &files.primary()).await?;
            self.record.change(|build| build.artifacts = Some(written));
        }
        for to in plan.secondary_artifacts.iter().filter(wanted) {
            let identifier = to.artifact_identifier.as_deref().unwrap_or_default();
            let files = spec.artifacts.as_ref().and_then(|it| it.secondary_artifacts.get(identifier));
            let files = files.ok_or_else(|| {
                PhaseError::client(format!("no definition for secondary artifact {identifier} in the buildspec"))
            })?;
            let written = upload.put(to, files).await?;
            self.record.change(|build| build.secondary_artifacts.get_or_insert_default().push(written));
        }
        Ok(())
    }

    async fn exported(
        &self,
        spec: &Buildspec,
        variables: &Variables,
        shell: &Shell,
    ) -> Vec<ExportedEnvironmentVariable> {
        let mut exported = Vec::new();
        for name in &spec.env.exported_variables {
            let is_name = !name.starts_with(|it: char| it.is_ascii_digit())
                && !name.is_empty()
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            if !is_name || !variables.may_export(name) {
                self.log.say(format_args!("The variable {name} cannot be exported"));
                continue;
            }
            match shell.print(&format!("printf %s \"${{{name}-}}\"")).await {
                Ok(value) => exported.push(ExportedEnvironmentVariable::builder().name(name).value(value).build()),
                Err(error) => self.log.say(format_args!("The variable {} cannot be read: {error}", quoted(name))),
            }
        }
        exported
    }

    /// Waits until the build is stopped or its time is over.
    async fn interrupted(&self) -> StatusType {
        let over = async {
            match self.deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.record.stop.cancelled() => StatusType::Stopped,
            () = over => StatusType::TimedOut,
        }
    }

    async fn phase<T>(
        &self,
        kind: BuildPhaseType,
        work: impl Future<Output = Result<T, PhaseError>>,
    ) -> Result<T, Ended> {
        self.phase_unless(false, kind, work).await
    }

    /// Runs a phase, to be ended by a stop or a time-out unless that has happened already.
    async fn phase_unless<T>(
        &self,
        interrupted: bool,
        kind: BuildPhaseType,
        work: impl Future<Output = Result<T, PhaseError>>,
    ) -> Result<T, Ended> {
        self.record.begin(kind.clone());
        // Like CodeBuild's, the log begins with the sources and ends with the artifacts.
        let silent = [BuildPhaseType::Queued, BuildPhaseType::Provisioning, BuildPhaseType::Finalizing];
        let logged = !silent.contains(&kind);
        if logged {
            self.log.say(format_args!("Entering phase {kind}"));
        }
        let done = tokio::select! {
            biased;
            status = self.interrupted(), if !interrupted => Err(status),
            done = work => Ok(done),
        };
        let (status, context, result) = match done {
            Ok(Ok(value)) => (StatusType::Succeeded, None, Ok(value)),
            Ok(Err(error)) => {
                let message = self.log.masked(&error.message);
                let error = PhaseError { message, ..error };
                (StatusType::Failed, Some(error.context()), Err(Ended::Failed))
            }
            Err(status) => {
                let timed_out = status == StatusType::TimedOut;
                let over =
                    PhaseContext::builder().status_code("BUILD_TIMED_OUT").message("Build has timed out.").build();
                (status.clone(), timed_out.then_some(over), Err(Ended::Interrupted(status)))
            }
        };
        if logged {
            let code = context.as_ref().and_then(|it| it.status_code.clone()).unwrap_or_default();
            let message = context.as_ref().and_then(|it| it.message.clone()).unwrap_or_default();
            self.log.say(format_args!("Phase complete: {kind} State: {status}"));
            self.log.say(format_args!("Phase context status code: {code} Message: {message}"));
        }
        self.end(kind, status, context).await;
        result
    }

    async fn end(&self, kind: BuildPhaseType, status: StatusType, context: Option<PhaseContext>) {
        tracing::debug!(build = self.plan.id, phase = %kind, %status, "phase ended");
        if let Some(phase) = self.record.end(status, context) {
            self.events.phase_change(&self.record.build(), &phase).await;
        }
    }
}

impl Ended {
    fn status(self) -> StatusType {
        match self {
            Self::Failed => StatusType::Failed,
            Self::Interrupted(status) => status,
        }
    }
}
