//! Deployments of CodeDeploy: two providers create them from different revisions. Source: CodeDeploy API, `CreateDeployment`,
//! `GetDeployment`, `BatchGetDeploymentTargets`; EventBridge, 'AWS CodeDeploy events'.
//!
//! CodeDeploy has no idempotency token. Each deployment therefore has the attempt's id in its description, by which a
//! deployment is found that a lost worker created, and no call that creates one is repeated without looking for it first.

use std::collections::BTreeMap;

use aws_sdk_codedeploy::Client;
use aws_sdk_codedeploy::config::Builder;
use aws_sdk_codedeploy::config::retry::RetryConfig;
use aws_sdk_codedeploy::operation::batch_get_deployment_targets::BatchGetDeploymentTargetsError;
use aws_sdk_codedeploy::operation::batch_get_deployments::BatchGetDeploymentsError;
use aws_sdk_codedeploy::operation::create_deployment::CreateDeploymentError;
use aws_sdk_codedeploy::operation::get_deployment::GetDeploymentError;
use aws_sdk_codedeploy::operation::list_deployment_targets::ListDeploymentTargetsError;
use aws_sdk_codedeploy::operation::list_deployments::ListDeploymentsError;
use aws_sdk_codedeploy::primitives::DateTime;
use aws_sdk_codedeploy::types::{
    ComputePlatform, DeploymentCreator, DeploymentInfo, DeploymentStatus, DeploymentTarget, LifecycleEvent,
    LifecycleEventStatus, RevisionLocation, TargetFilterName, TargetStatus, TimeRange,
};
use driver::Outcome;
use engine::{External, Progress, Success};
use serde_json::Value;

use crate::console;
use crate::context::ActionContext;
use crate::error::{ClassifyError, ErrorClass, JOB_FAILED, ProviderError};
use crate::permission::{Permission, everything};
use crate::provider::{Correlation, DeployTarget, EntityPage, Events};

/// Deployments that are described in one call, and targets. Source: CodeDeploy API, `BatchGetDeployments`,
/// `BatchGetDeploymentTargets`.
const DESCRIBED_AT_ONCE: usize = 25;
/// Lines of a failed script's log in the message; CodeDeploy keeps its last 4 KB.
const LOG_LINES: usize = 10;

/// What tells that a deployment has ended.
pub(crate) const EVENTS: Events = Events {
    source: "aws.codedeploy",
    detail_types: &["CodeDeploy Deployment State-change Notification"],
    correlation: Correlation::ExternalId(ended_deployment),
};
pub(crate) const ENTITY: EntityPage =
    EntityPage { key: "ApplicationName", path: "codesuite/codedeploy/applications/{}?region={region}" };
pub(crate) const DEPLOY_TARGET: DeployTarget =
    DeployTarget { key: "DeploymentGroupName", kind: "CodeDeployDeploymentGroup" };

/// What creating and watching deployments takes.
pub(crate) const DEPLOYMENTS: &[Permission] = &[
    Permission::new(
        &[
            "codedeploy:BatchGetDeployments",
            "codedeploy:CreateDeployment",
            "codedeploy:GetDeployment",
            "codedeploy:ListDeployments",
        ],
        |scope| {
            let (application, group) =
                (scope.value_or_any("ApplicationName"), scope.value_or_any("DeploymentGroupName"));
            vec![scope.arn("codedeploy", &format!("deploymentgroup:{application}/{group}"))]
        },
    ),
    // What creating a deployment asks for in turn. Source: CodeDeploy user guide, 'CodeDeploy permissions reference'.
    Permission::new(&["codedeploy:GetApplicationRevision", "codedeploy:RegisterApplicationRevision"], |scope| {
        vec![scope.arn("codedeploy", &format!("application:{}", scope.value_or_any("ApplicationName")))]
    }),
    Permission::new(&["codedeploy:GetDeploymentConfig"], |scope| vec![scope.arn("codedeploy", "deploymentconfig:*")]),
    // For a failed lifecycle event in the message. Source: Service Authorization Reference, 'AWS CodeDeploy': no resources.
    Permission::new(&["codedeploy:BatchGetDeploymentTargets", "codedeploy:ListDeploymentTargets"], everything),
];

/// The deployment that a state change is about, if it tells of an end. `START` and `READY` tell of none.
fn ended_deployment(detail: &Value) -> Option<String> {
    match detail.get("state")?.as_str()? {
        "SUCCESS" | "FAILURE" | "STOP" => Some(detail.get("deploymentId")?.as_str()?.to_owned()),
        _ => None,
    }
}

/// The deployments of a group, with whose context they are created.
pub(crate) struct Deployments<'a> {
    context: ActionContext<'a>,
    client: Client,
    application: &'a str,
    group: &'a str,
    /// What the description of this attempt's deployment says. It may have 100 characters. Source: CodeDeploy quotas.
    description: String,
}

impl<'a> Deployments<'a> {
    pub(crate) async fn new(
        context: ActionContext<'a>,
        application: &'a str,
        group: &'a str,
    ) -> Result<Self, ProviderError> {
        let client = Client::new(context.session().await?.config());
        let description = format!("Millrace action execution {}", context.token);
        Ok(Self { context, client, application, group, description })
    }

    /// How messages call the group.
    fn label(&self) -> String {
        format!("{}/{}", self.application, self.group)
    }

    /// What a lost worker created for this attempt, as the outcome of a start.
    pub(crate) async fn reclaimed(&self) -> Result<Option<Outcome>, ProviderError> {
        if !self.context.task.reclaimed {
            return Ok(None);
        }
        Ok(self.find().await?.map(|found| self.running(&found)))
    }

    pub(crate) async fn create(&self, revision: RevisionLocation) -> Result<Outcome, ProviderError> {
        // An answer that got lost does not say whether there is a deployment: the next start looks for it.
        let once = Builder::new().retry_config(RetryConfig::disabled());
        let created = self
            .client
            .create_deployment()
            .application_name(self.application)
            .deployment_group_name(self.group)
            .description(&self.description)
            .revision(revision)
            .customize()
            .config_override(once)
            .send()
            .await;
        match created {
            Ok(created) => {
                let id = created.deployment_id.ok_or_else(|| {
                    ProviderError::Retryable(format!("CodeDeploy did not say what it created for {}", self.label()))
                })?;
                Ok(running(self.report(id, None, None)))
            }
            Err(error) => {
                let busy =
                    error.as_service_error().is_some_and(CreateDeploymentError::is_deployment_limit_exceeded_exception);
                let refused = ProviderError::aws("CreateDeployment", self.label(), &error);
                // A group deploys once at a time, and what it deploys may be this attempt's, by a worker thought lost.
                let own = if busy { self.find().await? } else { None };
                own.map(|found| self.running(&found)).ok_or(refused)
            }
        }
    }

    /// How the action's deployment stands. `variables` are those of an action that succeeded, by its deployment's id.
    pub(crate) async fn poll(&self, variables: fn(&str) -> BTreeMap<String, String>) -> Result<Outcome, ProviderError> {
        let found = match &self.context.task.external {
            Some(external) => self.get(&external.id).await?,
            None => self.find().await?.ok_or_else(|| {
                ProviderError::failed(JOB_FAILED, format!("{} has no deployment of this action", self.label()))
            })?,
        };
        match found.status() {
            Some(DeploymentStatus::Succeeded) => Ok(Outcome::Succeeded(Success {
                report: self.progress(&found),
                variables: variables(found.deployment_id().unwrap_or_default()),
                ..Success::default()
            })),
            Some(DeploymentStatus::Failed | DeploymentStatus::Stopped) => Err(self.failed(&found).await),
            _ => Ok(self.running(&found)),
        }
    }

    async fn get(&self, id: &str) -> Result<DeploymentInfo, ProviderError> {
        let found = self.client.get_deployment().deployment_id(id).send().await;
        let found = found.map_err(|error| ProviderError::aws("GetDeployment", id, &error))?;
        let info = found.deployment_info.filter(|info| info.deployment_id() == Some(id) && info.status().is_some());
        info.ok_or_else(|| ProviderError::Retryable(format!("CodeDeploy did not say how the deployment {id} stands")))
    }

    /// The deployment that was created for this attempt, which none from before its request is.
    async fn find(&self) -> Result<Option<DeploymentInfo>, ProviderError> {
        let since = DateTime::from_millis(self.context.earliest_start().0);
        let mut next = None;
        loop {
            let listed = self
                .client
                .list_deployments()
                .application_name(self.application)
                .deployment_group_name(self.group)
                .create_time_range(TimeRange::builder().start(since).build())
                .set_next_token(next)
                .send()
                .await
                .map_err(|error| ProviderError::aws("ListDeployments", self.label(), &error))?;
            for ids in listed.deployments().chunks(DESCRIBED_AT_ONCE) {
                let found = self.client.batch_get_deployments().set_deployment_ids(Some(ids.to_vec())).send().await;
                let found = found.map_err(|error| ProviderError::aws("BatchGetDeployments", self.label(), &error))?;
                let own = found.deployments_info.unwrap_or_default().into_iter().find(|it| self.is_own(it));
                if own.is_some() {
                    return Ok(own);
                }
            }
            next = listed.next_token;
            if next.is_none() {
                return Ok(None);
            }
        }
    }

    /// What CodeDeploy itself deploys to undo this attempt's deployment is not the attempt's.
    fn is_own(&self, info: &DeploymentInfo) -> bool {
        info.description() == Some(self.description.as_str())
            && info.creator() != Some(&DeploymentCreator::CodeDeployRollback)
    }

    fn report(&self, id: String, summary: Option<String>, percent: Option<u8>) -> Progress {
        let url = Some(console::codedeploy(&self.context.task.region, &id));
        Progress { external: Some(External { id, url }), summary, percent }
    }

    fn progress(&self, info: &DeploymentInfo) -> Progress {
        let (summary, percent) = progress(info);
        self.report(info.deployment_id().unwrap_or_default().to_owned(), summary, percent)
    }

    fn running(&self, info: &DeploymentInfo) -> Outcome {
        running(self.progress(info))
    }

    async fn failed(&self, info: &DeploymentInfo) -> ProviderError {
        let id = info.deployment_id().unwrap_or_default();
        let status = info.status().map_or("-", DeploymentStatus::as_str);
        let mut message = format!("Deployment {id} of {} ended as {status}", self.label());
        if let Some(error) = info.error_information() {
            let words = [error.code().map(|code| code.as_str()), error.message()].into_iter().flatten();
            message = words.fold(message, |message, words| format!("{message}: {words}"));
        }
        let failed_event = self.failed_event(id).await;
        if let Some(event) = &failed_event {
            message = format!("{message}; {}", event.words);
        }
        if let Some(rollback) = info.rollback_info().and_then(|it| it.rollback_deployment_id()) {
            message = format!("{message}; CodeDeploy rolls it back by deployment {rollback}");
        }
        if let Some(lines) = failed_event.map(|event| event.log).filter(|lines| !lines.is_empty()) {
            message = format!("{message}. The last lines of the script's log:\n{lines}");
        }
        ProviderError::Failed { code: JOB_FAILED, message, report: self.progress(info) }
    }

    /// Which lifecycle event failed first; nothing where none did, or the role may not look.
    async fn failed_event(&self, id: &str) -> Option<FailedEvent> {
        match self.failed_targets(id).await {
            Ok(targets) => targets.iter().filter_map(FailedEvent::of).min_by_key(|event| event.ended),
            Err(error) => {
                tracing::info!(?error, id, "the targets of a failed deployment cannot be looked at");
                None
            }
        }
    }

    async fn failed_targets(&self, id: &str) -> Result<Vec<DeploymentTarget>, ProviderError> {
        let failed = vec![TargetStatus::Failed.as_str().to_owned()];
        let listed = self.client.list_deployment_targets().deployment_id(id);
        let listed = listed.target_filters(TargetFilterName::TargetStatus, failed).send().await;
        let mut ids = listed
            .map_err(|error| ProviderError::aws("ListDeploymentTargets", id, &error))?
            .target_ids
            .unwrap_or_default();
        ids.truncate(DESCRIBED_AT_ONCE);
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let found = self.client.batch_get_deployment_targets().deployment_id(id).set_target_ids(Some(ids)).send().await;
        let found = found.map_err(|error| ProviderError::aws("BatchGetDeploymentTargets", id, &error))?;
        Ok(found.deployment_targets.unwrap_or_default())
    }
}

fn running(report: Progress) -> Outcome {
    Outcome::Running { report, poll: true, event_source: None }
}

/// How far a deployment is, and the per cent. Only instances are counted: of an ECS service there is one.
fn progress(info: &DeploymentInfo) -> (Option<String>, Option<u8>) {
    let status = info.status().map(|status| status.as_str().to_owned());
    let on_instances = info.compute_platform().is_none_or(|platform| *platform == ComputePlatform::Server);
    let Some(seen) = info.deployment_overview().filter(|_| on_instances) else { return (status, None) };
    let all = seen.pending + seen.in_progress + seen.succeeded + seen.failed + seen.skipped + seen.ready;
    if all <= 0 {
        return (status, None);
    }
    let mut summary = format!("{} of {all} instances succeeded", seen.succeeded);
    for (count, what) in [(seen.failed, "failed"), (seen.skipped, "skipped")] {
        if count > 0 {
            summary = format!("{summary}, {count} {what}");
        }
    }
    (Some(summary), u8::try_from(seen.succeeded * 100 / all).ok())
}

/// The lifecycle event with which a target failed, in the words of CodeDeploy's agent.
struct FailedEvent {
    ended: Option<DateTime>,
    words: String,
    /// The last lines of its script's log.
    log: String,
}

impl FailedEvent {
    fn of(target: &DeploymentTarget) -> Option<Self> {
        let instance = target.instance_target().map(|it| (it.target_id(), it.lifecycle_events()));
        let (id, events) =
            instance.or_else(|| target.ecs_target().map(|it| (it.target_id(), it.lifecycle_events())))?;
        let event = events.iter().find(|event| event.status() == Some(&LifecycleEventStatus::Failed))?;
        Some(Self::new(id.unwrap_or("-"), event))
    }

    fn new(target: &str, event: &LifecycleEvent) -> Self {
        let mut words = format!("on {target}, {} failed", event.lifecycle_event_name().unwrap_or("-"));
        let mut log = String::new();
        if let Some(diagnostics) = event.diagnostics() {
            let script = diagnostics.script_name().filter(|name| !name.is_empty()).map(|name| format!("script {name}"));
            let code = diagnostics.error_code().map(|code| code.as_str().to_owned());
            let message = diagnostics.message().filter(|message| !message.is_empty()).map(str::to_owned);
            for part in [code, script, message].into_iter().flatten() {
                words = format!("{words}: {part}");
            }
            let lines: Vec<&str> = diagnostics.log_tail().unwrap_or_default().trim_end().lines().collect();
            log = lines[lines.len().saturating_sub(LOG_LINES)..].join("\n");
        }
        Self { ended: event.end_time().copied(), words, log }
    }
}

impl ClassifyError for CreateDeploymentError {
    fn class(&self) -> Option<ErrorClass> {
        match self {
            Self::ApplicationDoesNotExistException(_)
            | Self::DeploymentConfigDoesNotExistException(_)
            | Self::DeploymentGroupDoesNotExistException(_)
            | Self::InvalidApplicationNameException(_)
            | Self::InvalidComputePlatformException(_)
            | Self::InvalidDeploymentGroupNameException(_)
            | Self::InvalidEcsServiceException(_)
            | Self::InvalidLoadBalancerInfoException(_)
            | Self::InvalidRevisionException(_)
            | Self::InvalidRoleException(_)
            | Self::InvalidTrafficRoutingConfigurationException(_)
            | Self::RevisionDoesNotExistException(_) => Some(ErrorClass::Configuration),
            // Another deployment of the group may take days, and this one would then undo it.
            Self::DeploymentLimitExceededException(_) => Some(ErrorClass::Failed),
            _ => None,
        }
    }
}

impl ClassifyError for GetDeploymentError {
    fn class(&self) -> Option<ErrorClass> {
        match self {
            Self::DeploymentDoesNotExistException(_) => Some(ErrorClass::Failed),
            _ => None,
        }
    }
}

impl ClassifyError for ListDeploymentsError {
    fn class(&self) -> Option<ErrorClass> {
        match self {
            Self::ApplicationDoesNotExistException(_) | Self::DeploymentGroupDoesNotExistException(_) => {
                Some(ErrorClass::Configuration)
            }
            _ => None,
        }
    }
}

impl ClassifyError for BatchGetDeploymentsError {}
impl ClassifyError for ListDeploymentTargetsError {}
impl ClassifyError for BatchGetDeploymentTargetsError {}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_a_deployment_s_end_names_it() {
        let of = |state: &str| ended_deployment(&json!({"state": state, "deploymentId": "d-1", "region": "eu-west-1"}));
        for end in ["SUCCESS", "FAILURE", "STOP"] {
            assert_eq!(of(end).as_deref(), Some("d-1"));
        }
        for other in ["START", "READY", ""] {
            assert_eq!(of(other), None);
        }
        assert_eq!(ended_deployment(&json!({"state": "SUCCESS"})), None);
        assert_eq!(ended_deployment(&json!({"deploymentId": "d-1"})), None);
    }
}
