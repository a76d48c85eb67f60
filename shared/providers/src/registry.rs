//! Which provider runs an action, and what is the same for all of them.

use std::sync::Arc;

use async_trait::async_trait;
use driver::{ActionExecutor, Clock, ExecutorError, Outcome, Task, TaskInput};
use engine::{ActionError, Progress};
use futures::{StreamExt, TryStreamExt, stream};
use pipeline::catalogue::rules;
use runtime::{Clients, Roles, SettingError, Settings, SystemClock};

use crate::approval::Approval;
use crate::context::ActionContext;
use crate::error::{CONFIGURATION_ERROR, ProviderError};
use crate::job_worker::JobWorker;
use crate::lambda_executor::LambdaExecutor;
use crate::lambda_invoke::LambdaInvoke;
use crate::provider::Provider;
use crate::rules::{CloudWatchAlarm, DeploymentWindow, VariableCheck};
use crate::s3_deploy::S3Deploy;
use crate::s3_source::S3Source;
use crate::step_functions::StepFunctions;

/// Input artifacts that are copied at the same time.
const COPIES: usize = 5;

/// Runs every action type and every rule type that is built.
pub struct Registry {
    roles: Roles,
    approval: Approval,
    clock: Arc<dyn Clock>,
}

impl Registry {
    /// A registry whose providers act under the roles of pipelines and actions; only the links of approvals are signed
    /// with the function's own context.
    ///
    /// # Errors
    /// [`SettingError::Missing`] for the account, the key of those links, or the address to which they lead.
    pub fn new(settings: &Settings, clients: &Clients) -> Result<Self, SettingError> {
        let approval = Approval::new(settings, clients)?;
        let roles = Roles::new(clients.config(), settings.account()?);
        Ok(Self { roles, approval, clock: Arc::new(SystemClock) })
    }

    /// The same with another clock than the machine's.
    #[must_use]
    pub fn with_clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }

    fn provider(&self, task: &Task) -> Option<&dyn Provider> {
        let id = &task.action.type_id;
        if let Some(rule) = rules::find(id) {
            return match rule.provider {
                "CloudWatchAlarm" => Some(&CloudWatchAlarm),
                "DeploymentWindow" => Some(&DeploymentWindow),
                "LambdaInvoke" => Some(&LambdaInvoke),
                "VariableCheck" => Some(&VariableCheck),
                _ => None,
            };
        }
        // Their types exist: that has been looked up. CodePipeline's own third-party types have no definition here.
        if task.action.is_polled() {
            return Some(&JobWorker);
        }
        if task.action.custom.is_some() {
            return Some(&LambdaExecutor);
        }
        if id.version.as_deref() != Some("1") || id.owner.as_deref() != Some("AWS") {
            return None;
        }
        match (id.category.as_str(), id.provider.as_str()) {
            ("Source", "S3") => Some(&S3Source),
            ("Deploy", "S3") => Some(&S3Deploy),
            ("Approval", "Manual") => Some(&self.approval),
            ("Invoke", "StepFunctions") => Some(&StepFunctions),
            ("Invoke", "Lambda") => Some(&LambdaInvoke),
            _ => None,
        }
    }

    fn context<'a>(&'a self, task: &'a Task) -> ActionContext<'a> {
        ActionContext { roles: &self.roles, task, now: self.clock.now() }
    }

    /// Brings the input artifacts to the action's region, as the pipeline's role. As a rule they are there already,
    /// since `replicator` copies them as soon as they are made.
    async fn bring_inputs(&self, task: &Task) -> Result<(), ProviderError> {
        let context = self.context(task);
        stream::iter(task.inputs.iter().filter(|input| input.artifact.bucket != input.bucket))
            .map(Ok)
            .try_for_each_concurrent(COPIES, |input| bring(context, input))
            .await
    }
}

async fn bring(context: ActionContext<'_>, input: &TaskInput) -> Result<(), ProviderError> {
    let artifact = &input.artifact;
    let from = context.pipeline_bucket(&artifact.region, &artifact.bucket).await?;
    let to = context.pipeline_bucket(&context.task.region, &input.bucket).await?;
    let key = artifacts::Encryption::key(input.key_id.as_deref().unwrap_or_default());
    artifacts::replicate(&from, &to, &artifact.key, &key).await?;
    Ok(())
}

fn not_built(task: &Task) -> Outcome {
    let id = &task.action.type_id;
    let what = match id.category.as_str() {
        rules::CATEGORY => format!("{} rules", id.provider),
        category => format!("{category}/{} actions", id.provider),
    };
    let message = format!(
        "Millrace does not run {what} yet (owner {}, version {})",
        id.owner.as_deref().unwrap_or("-"),
        id.version.as_deref().unwrap_or("-"),
    );
    let error = ActionError { code: CONFIGURATION_ERROR.to_owned(), message };
    Outcome::Failed { error, report: Progress::default() }
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
        let Some(provider) = self.provider(task) else { return Ok(not_built(task)) };
        let started = async {
            self.bring_inputs(task).await?;
            provider.start(self.context(task)).await
        };
        outcome(started.await)
    }

    async fn poll(&self, task: &Task) -> Result<Outcome, ExecutorError> {
        let Some(provider) = self.provider(task) else { return Ok(not_built(task)) };
        outcome(provider.poll(self.context(task)).await)
    }

    async fn cancel(&self, task: &Task) -> Result<(), ExecutorError> {
        let Some(provider) = self.provider(task) else { return Ok(()) };
        match provider.cancel(self.context(task)).await.map_err(ProviderError::into_failure) {
            Ok(()) => Ok(()),
            Err(Ok((error, _))) => {
                // Nobody waits for the end of an action that was given up, and asking again would not help.
                tracing::warn!(action = %task.id, code = error.code, "not stopped: {}", error.message);
                Ok(())
            }
            Err(Err(message)) => Err(ExecutorError(message)),
        }
    }
}
