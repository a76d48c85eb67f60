//! Which providers there are, which one runs an action, and what is the same for all of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use artifacts::ZipLimits;
use async_trait::async_trait;
use driver::{
    ActionExecutor, Clock, ExecutorError, NewestRevision, Outcome, SourceReader, SourceRules, Task, TaskInput,
};
use engine::{ActionError, Progress, Success};
use futures::{StreamExt, TryStreamExt, stream};
use pipeline::catalogue::rules;
use pipeline::git_trigger::GitEvent;
use pipeline::{Action, TypeId};
use runtime::{Clients, JobIds, Roles, SettingError, Settings, SystemClock};

use crate::approval_links::ApprovalLinks;
use crate::artifact_files::OpenArtifacts;
use crate::context::ActionContext;
use crate::error::{CONFIGURATION_ERROR, ProviderError};
use crate::permission::{Permission, Permissions};
use crate::provider::{ActionLog, Correlation, Descriptor, Implements, ProviderInfo, Source};
use crate::rules::{cloudwatch_alarm, deployment_window, variable_check};
use crate::{
    appconfig, approval, cloudformation, codebuild, codecommit, codedeploy, codedeploy_to_ecs, commands,
    connection_source, device_farm, ec2_deploy, ecr, ecr_build_and_publish, ecs, eks, elastic_beanstalk, github_source,
    inspector_scan, job_worker, lambda_deploy, lambda_executor, lambda_invoke, pipeline_invoke, s3_deploy, s3_source,
    service_catalog, stack_sets, step_functions,
};

/// The providers of CodePipeline's own action and rule types; job workers and Lambda executors are for all others.
const PROVIDERS: &[Descriptor] = &[
    appconfig::PROVIDER,
    approval::PROVIDER,
    cloudformation::PROVIDER,
    cloudwatch_alarm::PROVIDER,
    codebuild::PROVIDER,
    codecommit::PROVIDER,
    connection_source::PROVIDER,
    codedeploy::PROVIDER,
    codedeploy_to_ecs::PROVIDER,
    commands::PROVIDER,
    deployment_window::PROVIDER,
    ec2_deploy::PROVIDER,
    device_farm::PROVIDER,
    ecr::PROVIDER,
    ecr_build_and_publish::PROVIDER,
    ecs::PROVIDER,
    eks::PROVIDER,
    elastic_beanstalk::PROVIDER,
    github_source::PROVIDER,
    inspector_scan::PROVIDER,
    lambda_deploy::PROVIDER,
    lambda_invoke::PROVIDER,
    pipeline_invoke::PROVIDER,
    s3_deploy::PROVIDER,
    s3_source::PROVIDER,
    service_catalog::PROVIDER,
    stack_sets::PROVIDER,
    step_functions::PROVIDER,
    variable_check::PROVIDER,
];

/// Apart from [`PROVIDERS`], so that who uses only this is not linked with what runs actions.
static INFO: [ProviderInfo; PROVIDERS.len()] = {
    let mut all = [PROVIDERS[0].info; PROVIDERS.len()];
    let mut n = 0;
    while n < all.len() {
        all[n] = PROVIDERS[n].info;
        n += 1;
    }
    all
};

/// What there is to know about every provider.
pub fn all() -> &'static [ProviderInfo] {
    &INFO
}

/// What there is to know about the provider of an action; none for types that Millrace does not run, and for those of
/// the account and of third parties, which have no provider here.
pub fn find(action: &Action) -> Option<&'static ProviderInfo> {
    of_type(&action.type_id)
}

fn of_type(id: &TypeId) -> Option<&'static ProviderInfo> {
    all().iter().find(|info| info.types.iter().any(|it| same_type(it, id)))
}

/// The log of an action of this type with this configuration, in which variables stand for their values. None where it has none of its
/// own in CloudWatch Logs.
pub fn log(id: &TypeId, configuration: &BTreeMap<String, String>) -> Option<ActionLog> {
    (of_type(id)?.log)(configuration)
}

/// What the providers of sources say about their actions.
pub const SOURCES: SourceRules = SourceRules {
    watched: |action, region| (source(action)?.watched)(action, region),
    polled: |action, region| {
        // What a variable stands for is known in executions alone.
        let fixed = action.configuration.values().all(|value| !value.contains("#{"));
        fixed.then(|| (source(action)?.polled)(action, region)).flatten()
    },
    takes_revision: |action, revision_type| match source(action) {
        Some(source) => (source.takes_revision)(&action.configuration, revision_type),
        None => Err("Millrace does not run such sources yet, or they find their revisions by themselves"),
    },
};

/// What an action must be allowed: that of its provider, or of what does the jobs of its type. None for types that Millrace
/// does not run.
pub fn permissions(action: &Action) -> Option<&'static Permissions> {
    if let Some(info) = find(action) {
        return Some(&info.permissions);
    }
    let is_job = action.is_polled() || action.custom.is_some();
    is_job.then(|| if action.is_polled() { &JOB_WORKER } else { &LAMBDA_EXECUTOR })
}

/// What the actions of all types may need, those of the account and of third parties among them.
pub fn all_permissions() -> impl Iterator<Item = &'static Permission> {
    all().iter().map(|info| &info.permissions).chain([&JOB_WORKER, &LAMBDA_EXECUTOR]).flat_map(Permissions::all)
}

/// Apart from their descriptors, as [`INFO`] is.
static JOB_WORKER: Permissions = job_worker::PROVIDER.info.permissions;
static LAMBDA_EXECUTOR: Permissions = lambda_executor::PROVIDER.info.permissions;

fn source(action: &Action) -> Option<Source> {
    find(action)?.source
}

/// Rules may leave out owner and version, of which only one each exists.
fn same_type(implemented: &Implements, id: &TypeId) -> bool {
    let known = match rules::find(id) {
        Some(rule) => rule.id(),
        None => id.clone(),
    };
    implemented.id() == known
}

/// Runs every action type and every rule type that is built.
pub struct Registry {
    roles: Roles,
    job_ids: JobIds,
    approval_links: ApprovalLinks,
    zip_limits: ZipLimits,
    connection_secrets: String,
    local_code_host: Option<String>,
    compute_project: String,
    api_url: String,
    clients: Clients,
    clock: Arc<dyn Clock>,
}

impl Registry {
    /// A registry whose providers act under the roles of pipelines and actions; only the links of approvals are signed
    /// with the function's own context.
    ///
    /// # Errors
    /// [`SettingError::Missing`] for the account, the key of those links, the address to which they lead, or the API's;
    /// [`SettingError::Invalid`] for the limits of zips and the local code host.
    pub fn new(settings: &Settings, clients: &Clients) -> Result<Self, SettingError> {
        let approval_links = ApprovalLinks::new(settings, clients)?;
        let roles = Roles::of(settings, clients)?;
        let job_ids = JobIds::new(settings, clients)?;
        Ok(Self {
            roles,
            job_ids,
            approval_links,
            zip_limits: settings.zip_limits()?,
            connection_secrets: settings.connection_secrets(),
            local_code_host: settings.local_code_host()?,
            compute_project: settings.compute_project(),
            api_url: settings.api_url()?,
            clients: clients.clone(),
            clock: Arc::new(SystemClock),
        })
    }

    /// The same with another clock than the machine's.
    #[must_use]
    pub fn with_clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }

    fn context<'a>(&'a self, task: &'a Task, token: &'a str, open_artifacts: &'a OpenArtifacts) -> ActionContext<'a> {
        ActionContext {
            roles: &self.roles,
            job_ids: &self.job_ids,
            task,
            token,
            now: self.clock.now(),
            approval_links: &self.approval_links,
            zip_limits: self.zip_limits,
            open_artifacts,
            connection_secrets: &self.connection_secrets,
            local_code_host: self.local_code_host.as_deref(),
            compute_project: &self.compute_project,
            api_url: &self.api_url,
            clients: &self.clients,
        }
    }

    /// Brings the input artifacts to the action's region, as the pipeline's role. As a rule they are there already,
    /// since `replicator` copies them as soon as they are made. Answers them with what is to be read there.
    async fn bring_inputs(context: ActionContext<'_>) -> Result<Vec<TaskInput>, ProviderError> {
        let copies: Vec<_> = context.task.inputs.iter().map(|input| bring(context, input)).collect();
        stream::iter(copies).buffered(COPIES).try_collect().await
    }

    /// Success with artifacts that the provider has not recorded itself, since a function has stored them.
    async fn record_outputs(&self, task: &Task, outcome: Outcome) -> Result<Outcome, ProviderError> {
        match outcome {
            Outcome::Succeeded(success) if success.outputs.iter().any(|output| !output.pin.is_known()) => {
                let outputs = self.roles.pin_outputs(task).await?;
                Ok(Outcome::Succeeded(Success { outputs, ..success }))
            }
            outcome => Ok(outcome),
        }
    }

    async fn start(&self, descriptor: &Descriptor, task: &Task) -> Result<Outcome, ProviderError> {
        let token = (descriptor.token)(task)?;
        let open = OpenArtifacts::default();
        let inputs = Self::bring_inputs(self.context(task, &token, &open)).await?;
        let task = &Task { inputs, ..task.clone() };
        let outcome = descriptor.provider.start(self.context(task, &token, &open)).await?;
        let mut outcome = self.record_outputs(task, outcome).await?;
        if let (Outcome::Running { event_source, .. }, Some(events)) = (&mut outcome, descriptor.info.events)
            && matches!(events.correlation, Correlation::ExternalId(_))
        {
            *event_source = Some(events.source.to_owned());
        }
        Ok(outcome)
    }

    async fn poll(&self, descriptor: &Descriptor, task: &Task) -> Result<Outcome, ProviderError> {
        let token = (descriptor.token)(task)?;
        let open = OpenArtifacts::default();
        let outcome = descriptor.provider.poll(self.context(task, &token, &open)).await?;
        self.record_outputs(task, outcome).await
    }
}

/// Input artifacts that are copied at the same time.
const COPIES: usize = 5;

fn descriptor(action: &Action) -> Option<&'static Descriptor> {
    // The types of the account and of third parties exist: that has been looked up. CodePipeline's own third-party
    // types have no definition here.
    if action.is_polled() {
        return Some(&job_worker::PROVIDER);
    }
    if action.custom.is_some() {
        return Some(&lambda_executor::PROVIDER);
    }
    PROVIDERS.iter().find(|it| it.info.types.iter().any(|it| same_type(it, &action.type_id)))
}

async fn bring(context: ActionContext<'_>, input: &TaskInput) -> Result<TaskInput, ProviderError> {
    let artifact = &input.artifact;
    if artifact.bucket == input.bucket {
        return Ok(input.clone());
    }
    let from = context.pipeline_artifact_store(&artifact.region, &artifact.bucket).await?;
    let to = context.pipeline_artifact_store(&context.task.region, &input.bucket).await?;
    let key = artifacts::Encryption::key(input.key_id.as_deref().unwrap_or_default());
    let replica = artifacts::replicate(&from, &to, &artifact.key, &artifact.pin, &key).await?;
    Ok(TaskInput { pin: replica.pin, ..input.clone() })
}

fn not_built(task: &Task) -> Outcome {
    let id = &task.action.type_id;
    let what = match id.category.as_str() {
        rules::CATEGORY => format!("{} rules", id.provider),
        category => format!("{category}/{} actions", id.provider),
    };
    let owner = id.owner.as_deref().unwrap_or("-");
    let message = match (owner, id.provider.as_str()) {
        // Source: AWS OpsWorks user guide, 'AWS OpsWorks Stacks end of life FAQs'.
        ("AWS", "OpsWorks") => "AWS ended OpsWorks Stacks on May 26, 2024: deploy with CodeDeploy instead".to_owned(),
        ("ThirdParty", provider @ ("AlexaSkillsKit" | "Snyk")) => format!(
            "Millrace does not run {what}, whose job workers serve AWS alone: call {provider} from a build, a Lambda \
             function or a custom action instead"
        ),
        _ => {
            let version = id.version.as_deref().unwrap_or("-");
            format!("Millrace does not run {what} yet (owner {owner}, version {version})")
        }
    };
    let error = ActionError { code: CONFIGURATION_ERROR.to_owned(), message };
    Outcome::Failed { error, report: Progress::default() }
}

#[async_trait]
impl SourceReader for Registry {
    async fn newest(&self, task: &Task, validator: Option<&str>) -> Result<Option<NewestRevision>, ExecutorError> {
        let Some(descriptor) = descriptor(&task.action) else { return Ok(None) };
        let open = OpenArtifacts::default();
        descriptor.provider.newest(self.context(task, "", &open), validator).await.map_err(unanswered)
    }

    async fn changed_files(&self, task: &Task, event: &GitEvent) -> Result<Vec<String>, ExecutorError> {
        let Some(descriptor) = descriptor(&task.action) else { return Ok(Vec::new()) };
        let open = OpenArtifacts::default();
        descriptor.provider.changed_files(self.context(task, "", &open), event).await.map_err(unanswered)
    }
}

/// Of what nobody waits for it makes no difference whether it can ever be answered.
fn unanswered(error: ProviderError) -> ExecutorError {
    match error.into_failure() {
        Ok((error, _)) => ExecutorError(format!("{}: {}", error.code, error.message)),
        Err(text) => ExecutorError(text),
    }
}

fn outcome(result: Result<Outcome, ProviderError>) -> Result<Outcome, ExecutorError> {
    result.or_else(|error| {
        let (error, report) = error.into_failure().map_err(ExecutorError)?;
        Ok(Outcome::Failed { error, report })
    })
}

#[async_trait]
impl ActionExecutor for Registry {
    async fn start(&self, task: &Task) -> Result<Outcome, ExecutorError> {
        let Some(descriptor) = descriptor(&task.action) else { return Ok(not_built(task)) };
        outcome(self.start(descriptor, task).await)
    }

    async fn poll(&self, task: &Task) -> Result<Outcome, ExecutorError> {
        let Some(descriptor) = descriptor(&task.action) else { return Ok(not_built(task)) };
        outcome(self.poll(descriptor, task).await)
    }
}
