//! Deploy/ECS: a rolling deployment of new images to an ECS service. Source: CodePipeline user guide, 'Amazon Elastic
//! Container Service deploy action reference' and 'Image definitions file reference'; Amazon ECS API, `UpdateService`,
//! `Deployment`.
//!
//! The task definition that the service runs gets a new revision, in which the containers that the file names have the
//! images that it gives them; the service is updated to that revision, and the action ends with the deployment that ECS
//! makes of this. Other revisions of the family are ignored.
//!
//! ECS has no idempotency token here. Each revision is therefore tagged with the attempt's id ([`ATTEMPT`]), by which
//! the revision and its deployment are found that a lost worker left.

use std::collections::BTreeMap;

use async_trait::async_trait;
use aws_sdk_ecs::Client;
use aws_sdk_ecs::operation::describe_services::DescribeServicesError;
use aws_sdk_ecs::operation::describe_task_definition::DescribeTaskDefinitionError;
use aws_sdk_ecs::operation::describe_tasks::DescribeTasksError;
use aws_sdk_ecs::operation::list_tasks::ListTasksError;
use aws_sdk_ecs::operation::register_task_definition::RegisterTaskDefinitionError;
use aws_sdk_ecs::operation::update_service::UpdateServiceError;
use aws_sdk_ecs::types::{
    ContainerDefinition, Deployment, DeploymentRolloutState, DesiredStatus, Service, Tag, Task as EcsTask,
    TaskDefinition, TaskDefinitionField,
};
use driver::{Outcome, Task};
use engine::{External, Progress, Success};
use serde::Deserialize;
use serde_json::Value;

use crate::artifact_files;
use crate::configuration::{read, title};
use crate::console;
use crate::context::ActionContext;
use crate::ecs_task_definition::REGISTER;
use crate::error::{ClassifyError, ErrorClass, JOB_FAILED, ProviderError};
use crate::permission::artifacts::READ_INPUTS;
use crate::permission::{Permission, Permissions, Scope, condition, everything};
use crate::provider::{
    Correlation, Descriptor, Documentation, EntityPage, Events, Implements, Provider, ProviderInfo, Tried, attempt_id,
};

/// The tag of a task definition's revision that holds the id of the attempt that registered it.
const ATTEMPT: &str = "millrace:action-execution-id";
/// Longest image definitions file. Source: CodePipeline user guide, 'Image definitions file reference'.
const LONGEST_FILE: u64 = 100 << 10;
/// Minutes that a deployment may take where the configuration says nothing, and the most that it can say. Source: as
/// above, `DeploymentTimeout`.
const TIMEOUT: u32 = 60;
/// Messages of the service that a failure repeats.
const MESSAGES: usize = 3;

pub(crate) const PROVIDER: Descriptor = Descriptor {
    info: ProviderInfo {
        events: Some(Events {
            source: "aws.ecs",
            detail_types: &["ECS Deployment State Change"],
            correlation: Correlation::ExternalId(ended_deployment),
        }),
        entity: Some(EntityPage { key: "ClusterName", path: "ecs/v2/clusters/{}/services?region={region}" }),
        ..ProviderInfo::of(
            &[Implements::aws("Deploy", "ECS")],
            PERMISSIONS,
            Documentation {
                file: file!(),
                ends: "by event or poll",
                tried: Tried::MiniStack,
                differs: "Each revision of the task definition has a tag, by which it is found again.",
            },
        )
    },
    provider: &Ecs,
    token: attempt_id,
};

/// The name in an ARN, or the name itself.
fn short(scope: &Scope<'_>, key: &str) -> String {
    let value = scope.value_or_any(key);
    value.rsplit('/').next().unwrap_or(&value).to_owned()
}

const PERMISSIONS: Permissions = Permissions::of(&[
    &[
        Permission::new(&["ecs:DescribeServices", "ecs:UpdateService"], |scope| {
            let (cluster, service) = (short(scope, "ClusterName"), short(scope, "ServiceName"));
            vec![scope.arn("ecs", &format!("service/{cluster}/{service}"))]
        }),
        Permission::new(&["ecs:DescribeTasks"], |scope| {
            vec![scope.arn("ecs", &format!("task/{}/*", short(scope, "ClusterName")))]
        }),
        Permission::new(&["ecs:ListTasks"], everything).when(|scope| {
            let cluster = scope.arn("ecs", &format!("cluster/{}", short(scope, "ClusterName")));
            condition("ArnLike", "ecs:cluster", [cluster.as_str()])
        }),
        // Source: Service Authorization Reference, 'Amazon ECS': it has no resources.
        Permission::new(&["ecs:DescribeTaskDefinition"], everything),
    ],
    REGISTER,
    READ_INPUTS,
]);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Configuration<'a> {
    cluster_name: &'a str,
    service_name: &'a str,
    #[serde(default = "usual_file")]
    file_name: &'a str,
    #[serde(default = "usual_timeout")]
    deployment_timeout: u32,
}

fn usual_file() -> &'static str {
    "imagedefinitions.json"
}

fn usual_timeout() -> u32 {
    TIMEOUT
}

/// One container of an image definitions file.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ImageDefinition {
    name: String,
    image_uri: String,
}

/// The deployment that a state change is about, if it tells of an end. Source: Amazon ECS developer guide, 'Amazon ECS
/// service deployment state change events'.
fn ended_deployment(detail: &Value) -> Option<String> {
    let text = |key: &str| detail.get(key)?.as_str();
    let ended = ["SERVICE_DEPLOYMENT_COMPLETED", "SERVICE_DEPLOYMENT_FAILED"].contains(&text("eventName")?);
    text("deploymentId").filter(|_| ended).map(str::to_owned)
}

struct Ecs;

#[async_trait]
impl Provider for Ecs {
    async fn start(&self, context: ActionContext<'_>) -> Result<Outcome, ProviderError> {
        let (configuration, client) = prepare(context).await?;
        let service = OneService { client: &client, configuration: &configuration };
        let images = images(context, configuration.file_name).await?;
        let before = service.describe().await?;
        let left = match context.task.reclaimed {
            true => service.left_by(context.token, &before).await?,
            false => Left::Nothing,
        };
        let revision = match left {
            Left::Deployment(deployment) => return Ok(running(context.task, &configuration, &deployment)),
            Left::Revision(arn) => arn,
            Left::Nothing => service.register(context.token, &before, &images).await?,
        };
        let updated = service.update(&revision).await?;
        let deployment = updated.deployments().iter().find(|it| it.task_definition() == Some(&revision));
        let deployment = deployment.ok_or_else(|| {
            ProviderError::failed(JOB_FAILED, format!("UpdateService: ECS's answer has no deployment of {revision}"))
        })?;
        Ok(running(context.task, &configuration, deployment))
    }

    async fn poll(&self, context: ActionContext<'_>) -> Result<Outcome, ProviderError> {
        let task = context.task;
        let (configuration, client) = prepare(context).await?;
        let service = OneService { client: &client, configuration: &configuration };
        let now = service.describe().await?;
        let deployments = now.deployments();
        let id = task.external.as_ref().map(|external| external.id.as_str());
        let Some(deployment) = deployments.iter().find(|it| it.id() == id) else {
            let primary =
                deployments.iter().find(|it| is_primary(it)).and_then(Deployment::id).unwrap_or("another one");
            let id = id.unwrap_or("of this action");
            return Err(ProviderError::failed(JOB_FAILED, format!("The deployment {id} was replaced by {primary}")));
        };
        let ended = match deployment.rollout_state() {
            Some(DeploymentRolloutState::Completed) => return Ok(succeeded(task, &configuration, deployment)),
            Some(DeploymentRolloutState::Failed) => {
                let reason = deployment.rollout_state_reason().unwrap_or("ECS gives no reason");
                Some(format!("failed: {reason}"))
            }
            // Services whose deployments ECS does not roll out itself have no such state.
            None if deployments.len() == 1 && deployment.running_count() == deployment.desired_count() => {
                return Ok(succeeded(task, &configuration, deployment));
            }
            _ if !is_primary(deployment) => {
                let primary = deployments.iter().find(|it| is_primary(it)).and_then(Deployment::id);
                Some(format!("was replaced by {}", primary.unwrap_or("another one")))
            }
            _ if context.now >= context.requested().plus_minutes(configuration.deployment_timeout) => {
                Some(format!("has not ended within {} minutes", configuration.deployment_timeout))
            }
            _ => None,
        };
        match ended {
            None => Ok(running(task, &configuration, deployment)),
            Some(how) => {
                let causes = service.causes(&now, deployment).await;
                Err(failed(task, &configuration, deployment, &how, &causes))
            }
        }
    }
}

async fn prepare(context: ActionContext<'_>) -> Result<(Configuration<'_>, Client), ProviderError> {
    let configuration: Configuration<'_> = read(context.task)?;
    if !(1..=TIMEOUT).contains(&configuration.deployment_timeout) {
        return Err(ProviderError::configuration(format!(
            "DeploymentTimeout is {}: it must be a number of minutes from 1 to {TIMEOUT}",
            configuration.deployment_timeout
        )));
    }
    Ok((configuration, Client::new(context.session().await?.config())))
}

/// The image of each container that the file in the input artifact names.
async fn images(context: ActionContext<'_>, file: &str) -> Result<BTreeMap<String, String>, ProviderError> {
    let task = context.task;
    let input = task.inputs.first().ok_or_else(|| {
        ProviderError::configuration(format!("{} needs an input artifact with the file {file}", title(task)))
    })?;
    let text = artifact_files::text(context, input, file, LONGEST_FILE).await?;
    let definitions: Vec<ImageDefinition> = serde_json::from_str(&text).map_err(|error| {
        ProviderError::configuration(format!(
            "{file} in the input artifact {} is not a JSON list of containers with name and imageUri: {error}",
            input.artifact.name
        ))
    })?;
    let mut images = BTreeMap::new();
    for ImageDefinition { name, image_uri } in definitions {
        if images.insert(name.clone(), image_uri).is_some() {
            return Err(ProviderError::configuration(format!("{file} names the container {name} twice")));
        }
    }
    if images.is_empty() {
        return Err(ProviderError::configuration(format!("{file} names no container")));
    }
    Ok(images)
}

/// What a lost worker left.
enum Left {
    Nothing,
    /// The ARN of a revision that is in no deployment.
    Revision(String),
    Deployment(Box<Deployment>),
}

/// The service that an action deploys to.
struct OneService<'a> {
    client: &'a Client,
    configuration: &'a Configuration<'a>,
}

impl OneService<'_> {
    /// How messages call it.
    fn name(&self) -> String {
        format!("the service {} in the cluster {}", self.configuration.service_name, self.configuration.cluster_name)
    }

    async fn describe(&self) -> Result<Service, ProviderError> {
        let Configuration { cluster_name, service_name, .. } = self.configuration;
        let found = self.client.describe_services().cluster(*cluster_name).services(*service_name).send().await;
        let found = found.map_err(|error| ProviderError::aws("DescribeServices", self.name(), &error))?;
        let reason = found.failures().iter().find_map(|failure| failure.reason()).unwrap_or("ECS does not know it");
        let reason = format!("DescribeServices of {} failed: {reason}", self.name());
        found.services.unwrap_or_default().into_iter().next().ok_or_else(|| ProviderError::configuration(reason))
    }

    /// A task definition with its tags, by a revision's ARN or by its family: then the newest revision.
    async fn task_definition(&self, name: &str) -> Result<(TaskDefinition, Vec<Tag>), ProviderError> {
        let found = self.client.describe_task_definition().task_definition(name).include(TaskDefinitionField::Tags);
        let found = found.send().await.map_err(|error| ProviderError::aws("DescribeTaskDefinition", name, &error))?;
        let definition = found.task_definition.ok_or_else(|| {
            ProviderError::failed(JOB_FAILED, format!("DescribeTaskDefinition: ECS's answer does not have {name}"))
        })?;
        Ok((definition, found.tags.unwrap_or_default()))
    }

    async fn left_by(&self, token: &str, service: &Service) -> Result<Left, ProviderError> {
        let ours = |tags: &[Tag]| tags.iter().any(|tag| (tag.key(), tag.value()) == (Some(ATTEMPT), Some(token)));
        let mut family = None;
        for deployment in service.deployments() {
            let Some(revision) = deployment.task_definition() else { continue };
            let (definition, tags) = self.task_definition(revision).await?;
            if ours(&tags) {
                return Ok(Left::Deployment(Box::new(deployment.clone())));
            }
            family = family.or(definition.family);
        }
        let Some(family) = family else { return Ok(Left::Nothing) };
        let (newest, tags) = self.task_definition(&family).await?;
        Ok(newest.task_definition_arn.filter(|_| ours(&tags)).map_or(Left::Nothing, Left::Revision))
    }

    /// Registers a revision of the service's task definition with these images; its ARN.
    async fn register(
        &self,
        token: &str,
        service: &Service,
        images: &BTreeMap<String, String>,
    ) -> Result<String, ProviderError> {
        let current = service.task_definition().ok_or_else(|| {
            ProviderError::configuration(format!("{} has no task definition: ECS does not deploy it", self.name()))
        })?;
        let (definition, mut tags) = self.task_definition(current).await?;
        let containers = with_images(definition.container_definitions.unwrap_or_default(), images, current)?;
        tags.retain(|tag| tag.key() != Some(ATTEMPT));
        tags.push(Tag::builder().key(ATTEMPT).value(token).build());
        let registered = self
            .client
            .register_task_definition()
            .set_family(definition.family)
            .set_task_role_arn(definition.task_role_arn)
            .set_execution_role_arn(definition.execution_role_arn)
            .set_network_mode(definition.network_mode)
            .set_container_definitions(Some(containers))
            .set_volumes(definition.volumes)
            .set_placement_constraints(definition.placement_constraints)
            .set_requires_compatibilities(definition.requires_compatibilities)
            .set_cpu(definition.cpu)
            .set_memory(definition.memory)
            .set_tags(Some(tags))
            .set_pid_mode(definition.pid_mode)
            .set_ipc_mode(definition.ipc_mode)
            .set_proxy_configuration(definition.proxy_configuration)
            .set_ephemeral_storage(definition.ephemeral_storage)
            .set_runtime_platform(definition.runtime_platform)
            .set_enable_fault_injection(definition.enable_fault_injection)
            .send()
            .await
            .map_err(|error| {
                ProviderError::aws("RegisterTaskDefinition", format!("a revision after {current}"), &error)
            })?;
        registered.task_definition.and_then(|it| it.task_definition_arn).ok_or_else(|| {
            ProviderError::failed(JOB_FAILED, "RegisterTaskDefinition: ECS's answer has no taskDefinitionArn")
        })
    }

    /// Has the service run a revision, which begins a deployment unless it does so already.
    async fn update(&self, revision: &str) -> Result<Service, ProviderError> {
        let Configuration { cluster_name, service_name, .. } = self.configuration;
        let update = self.client.update_service().cluster(*cluster_name).service(*service_name);
        let updated = update.task_definition(revision).send().await;
        let updated = updated.map_err(|error| ProviderError::aws("UpdateService", self.name(), &error))?;
        updated.service.ok_or_else(|| ProviderError::failed(JOB_FAILED, "UpdateService: ECS's answer has no service"))
    }

    /// Why a deployment does not come to its end: what stopped its tasks, and what the service last said. Empty where
    /// neither is known.
    async fn causes(&self, service: &Service, deployment: &Deployment) -> Vec<String> {
        let stopped = self.stopped_task(deployment).await.unwrap_or_else(|error| {
            tracing::info!(?error, "why tasks were stopped is not known");
            None
        });
        let since = deployment.created_at();
        // The newest come first.
        let events = service.events().iter().filter(|event| event.created_at() >= since);
        let events = events.filter_map(|event| event.message.clone()).take(MESSAGES);
        stopped.into_iter().chain(events).collect()
    }

    /// What ECS says of a task of the deployment that has stopped.
    async fn stopped_task(&self, deployment: &Deployment) -> Result<Option<String>, ProviderError> {
        let Configuration { cluster_name, service_name, .. } = self.configuration;
        let listed = self.client.list_tasks().cluster(*cluster_name).service_name(*service_name);
        let listed = listed.desired_status(DesiredStatus::Stopped).send().await;
        let listed = listed.map_err(|error| ProviderError::aws("ListTasks", self.name(), &error))?;
        let arns = listed.task_arns.unwrap_or_default();
        if arns.is_empty() {
            return Ok(None);
        }
        let tasks = self.client.describe_tasks().cluster(*cluster_name).set_tasks(Some(arns)).send().await;
        let tasks = tasks.map_err(|error| ProviderError::aws("DescribeTasks", self.name(), &error))?;
        let of_deployment = |task: &&EcsTask| task.started_by() == deployment.id();
        Ok(tasks.tasks().iter().filter(of_deployment).max_by_key(|task| task.stopped_at().copied()).map(end_of))
    }
}

/// How a task ended, in ECS's words.
fn end_of(task: &EcsTask) -> String {
    let arn = task.task_arn().unwrap_or("a task");
    let id = arn.rsplit('/').next().unwrap_or(arn);
    let mut words = format!("Task {id} stopped: {}", task.stopped_reason().unwrap_or("ECS gives no reason"));
    for container in task.containers() {
        let exit = container.exit_code().filter(|code| *code != 0).map(|code| format!("exit code {code}"));
        let of_it: Vec<String> = exit.into_iter().chain(container.reason().map(str::to_owned)).collect();
        if !of_it.is_empty() {
            words = format!("{words}; container {}: {}", container.name().unwrap_or("-"), of_it.join(", "));
        }
    }
    words
}

/// The containers of a task definition with the images of these names. Each name must be a container's.
fn with_images(
    containers: Vec<ContainerDefinition>,
    images: &BTreeMap<String, String>,
    revision: &str,
) -> Result<Vec<ContainerDefinition>, ProviderError> {
    let names: Vec<&str> = containers.iter().filter_map(ContainerDefinition::name).collect();
    if let Some(missing) = images.keys().find(|name| !names.contains(&name.as_str())) {
        return Err(ProviderError::configuration(format!(
            "the image definitions file names the container {missing}, but those of the task definition {revision} are {}",
            names.join(", ")
        )));
    }
    let with_image = |mut container: ContainerDefinition| {
        let image = container.name().and_then(|name| images.get(name)).cloned();
        container.image = image.or(container.image);
        container
    };
    Ok(containers.into_iter().map(with_image).collect())
}

/// Whether a deployment is the one to which the service goes.
fn is_primary(deployment: &Deployment) -> bool {
    deployment.status() == Some("PRIMARY")
}

fn report(task: &Task, configuration: &Configuration<'_>, deployment: &Deployment) -> Progress {
    let Configuration { cluster_name, service_name, .. } = configuration;
    // Both can be given as ARNs.
    let name = |name: &str| name.rsplit('/').next().unwrap_or(name).to_owned();
    let url = console::ecs_service(&task.region, &name(cluster_name), &name(service_name));
    let id = deployment.id().unwrap_or_default().to_owned();
    let (running, desired) = (deployment.running_count(), deployment.desired_count());
    Progress {
        external: Some(External { id, url: Some(url) }),
        summary: Some(format!("{running} of {desired} tasks run")),
        percent: None,
    }
}

fn running(task: &Task, configuration: &Configuration<'_>, deployment: &Deployment) -> Outcome {
    Outcome::Running { report: report(task, configuration, deployment), poll: true, event_source: None }
}

fn succeeded(task: &Task, configuration: &Configuration<'_>, deployment: &Deployment) -> Outcome {
    Outcome::Succeeded(Success { report: report(task, configuration, deployment), ..Success::default() })
}

fn failed(
    task: &Task,
    configuration: &Configuration<'_>,
    deployment: &Deployment,
    how: &str,
    causes: &[String],
) -> ProviderError {
    let report = report(task, configuration, deployment);
    let state = report.summary.as_deref().unwrap_or_default();
    let mut message = format!("The deployment {} {how} ({state})", deployment.id().unwrap_or_default());
    for cause in causes {
        message = format!("{message}\n{cause}");
    }
    ProviderError::Failed { code: JOB_FAILED, message, report }
}

/// What all operations can answer. Source: Amazon ECS API, 'Common Errors'.
macro_rules! classify {
    ($($error:ident: $($configuration:ident)*;)*) => {$(
        impl ClassifyError for $error {
            fn class(&self) -> Option<ErrorClass> {
                match self {
                    Self::AccessDeniedException(_) => Some(ErrorClass::Permission),
                    Self::ServerException(_) => Some(ErrorClass::Retryable),
                    Self::ClientException(_) | Self::InvalidParameterException(_) => Some(ErrorClass::Configuration),
                    $(Self::$configuration(_) => Some(ErrorClass::Configuration),)*
                    _ => None,
                }
            }
        }
    )*};
}

classify! {
    DescribeServicesError: ClusterNotFoundException;
    DescribeTaskDefinitionError:;
    DescribeTasksError: ClusterNotFoundException;
    ListTasksError: ClusterNotFoundException ServiceNotFoundException;
    RegisterTaskDefinitionError: LimitExceededException;
    UpdateServiceError: ClusterNotFoundException ServiceNotActiveException ServiceNotFoundException
        NamespaceNotFoundException PlatformTaskDefinitionIncompatibilityException PlatformUnknownException
        UnsupportedFeatureException;
}
