//! Deploy/CloudFormationStackSet and Deploy/CloudFormationStackInstances: one template in many accounts and regions. Source:
//! CodePipeline user guide, 'CloudFormation StackSets deploy action reference'; CloudFormation API, `CreateStackSet`,
//! `UpdateStackSet`, `CreateStackInstances`, `UpdateStackInstances`.
//!
//! A stack set that does not exist is created, and then its first instances. One that exists gets the instances that it
//! lacks before it is updated, so that new instances begin with the old version, as in CodePipeline. Each of these is an
//! operation of the stack set whose id is made from the attempt's: starting it again finds it. A stack set does one
//! operation at a time, so while it does another one the action waits for its turn.

use async_trait::async_trait;
use aws_sdk_cloudformation::Client;
use aws_sdk_cloudformation::error::ProvideErrorMetadata;
use aws_sdk_cloudformation::operation::create_stack_instances::CreateStackInstancesError;
use aws_sdk_cloudformation::operation::create_stack_set::CreateStackSetError;
use aws_sdk_cloudformation::operation::describe_stack_set::DescribeStackSetError;
use aws_sdk_cloudformation::operation::describe_stack_set_operation::DescribeStackSetOperationError;
use aws_sdk_cloudformation::operation::list_stack_instances::ListStackInstancesError;
use aws_sdk_cloudformation::operation::list_stack_set_operation_results::ListStackSetOperationResultsError;
use aws_sdk_cloudformation::operation::update_stack_instances::UpdateStackInstancesError;
use aws_sdk_cloudformation::operation::update_stack_set::UpdateStackSetError;
use aws_sdk_cloudformation::types::{
    AutoDeployment, DeploymentTargets, Parameter, PermissionModels, StackSet, StackSetOperationPreferences,
    StackSetOperationResultStatus, StackSetOperationResultSummary, StackSetOperationStatus,
};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use driver::{Outcome, Task};
use engine::{ActionId, External, Progress, Success};
use runtime::arn::partition;
use serde::Deserialize;
use serde_json::Value;

use crate::artifact_files::{located, text};
use crate::cloudformation::{LONGEST_FILE, TOKEN_PREFIX, Template, capabilities, client_token, template};
use crate::configuration::{items, missing, read, shown};
use crate::console;
use crate::context::ActionContext;
use crate::error::{ClassifyError, ErrorClass, JOB_FAILED, ProviderError};
use crate::permission::artifacts::{READ_INPUTS, WRITE_BESIDE_INPUTS};
use crate::permission::{PASS_ROLE, Permission, Permissions, Scope, passed_to};
use crate::provider::{
    Correlation, Descriptor, Documentation, EntityPage, Events, Implements, Provider, ProviderInfo, Tried,
};

/// Behind the id of the operation that adds instances to a stack set before it is updated.
const INSTANCES_SUFFIX: &str = "-instances";
/// What the next start is told after the stack set has got the instances that it lacked.
const INSTANCES_ADDED: &str = "instances added";
/// Failed instances that a message names.
const NAMED: usize = 5;

pub(crate) const PROVIDER: Descriptor = Descriptor {
    info: ProviderInfo {
        events: Some(Events {
            source: "aws.cloudformation",
            detail_types: &["CloudFormation StackSet Operation Status Change"],
            correlation: Correlation::AttemptId(attempt_of),
        }),
        entity: Some(EntityPage {
            key: "StackSetName",
            path: "cloudformation/home?region={region}#/stacksets/{}/info",
        }),
        ..ProviderInfo::of(
            &[
                Implements::aws("Deploy", "CloudFormationStackSet"),
                Implements::aws("Deploy", "CloudFormationStackInstances"),
            ],
            PERMISSIONS,
            Documentation {
                file: file!(),
                ends: "by event or poll",
                tried: Tried::ProviderEmulator,
                differs: "While the stack set does another operation, the action waits for its turn.",
            },
        )
    },
    provider: &StackSets,
    token: client_token,
};

fn stack_set(scope: &Scope<'_>) -> Vec<String> {
    vec![scope.arn("cloudformation", &format!("stackset/{}:*", scope.value_or_any("StackSetName")))]
}

/// What operations on instances are allowed on. Source: Service Authorization Reference, 'AWS CloudFormation'.
fn instances(scope: &Scope<'_>) -> Vec<String> {
    let name = scope.value_or_any("StackSetName");
    let target = scope.arn("cloudformation", &format!("stackset-target/{name}:*"));
    let types = format!("arn:{}:cloudformation:{}::type/resource/*", partition(scope.region), scope.region);
    stack_set(scope).into_iter().chain([target, types]).collect()
}

fn is_of_stack_set(scope: &Scope<'_>) -> bool {
    scope.action.type_id.provider == "CloudFormationStackSet"
}

const PERMISSIONS: Permissions = Permissions::of(&[
    &[
        Permission::new(
            &[
                "cloudformation:DescribeStackSetOperation",
                "cloudformation:ListStackInstances",
                "cloudformation:ListStackSetOperationResults",
            ],
            stack_set,
        ),
        Permission::new(&["cloudformation:CreateStackSet", "cloudformation:DescribeStackSet"], |scope| {
            if is_of_stack_set(scope) { stack_set(scope) } else { Vec::new() }
        }),
        Permission::new(&["cloudformation:UpdateStackSet"], |scope| {
            if is_of_stack_set(scope) { instances(scope) } else { Vec::new() }
        }),
        Permission::new(&["cloudformation:CreateStackInstances"], |scope| {
            if scope.value("DeploymentTargets").is_some() { instances(scope) } else { Vec::new() }
        }),
        Permission::new(&["cloudformation:UpdateStackInstances"], |scope| {
            if is_of_stack_set(scope) { Vec::new() } else { instances(scope) }
        }),
        Permission::new(PASS_ROLE, |scope| scope.value("AdministrationRoleArn").into_iter().collect())
            .when(|_| passed_to("cloudformation.amazonaws.com")),
    ],
    READ_INPUTS,
    WRITE_BESIDE_INPUTS,
]);

/// The attempt that asked for the operation whose end an event tells. Source: CloudFormation user guide, 'StackSet
/// Operation Status Change event detail'.
fn attempt_of(detail: &Value) -> Option<ActionId> {
    let status = StackSetOperationStatus::from(detail.pointer("/status-details/status")?.as_str()?);
    if goes_on(&status) {
        return None;
    }
    let id = detail.get("stack-set-operation-id")?.as_str()?.strip_prefix(TOKEN_PREFIX)?;
    id.strip_suffix(INSTANCES_SUFFIX).unwrap_or(id).parse().ok()
}

fn goes_on(status: &StackSetOperationStatus) -> bool {
    use StackSetOperationStatus::{Queued, Running, Stopping};
    matches!(status, Queued | Running | Stopping)
}

/// Of both action types. Only a stack set has a template, and only its instances have parameters of their own.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Configuration<'a> {
    stack_set_name: &'a str,
    template_path: Option<&'a str>,
    description: Option<&'a str>,
    parameters: Option<&'a str>,
    parameter_overrides: Option<&'a str>,
    capabilities: Option<&'a str>,
    #[serde(default)]
    permission_model: PermissionModel,
    administration_role_arn: Option<&'a str>,
    execution_role_name: Option<&'a str>,
    organizations_auto_deployment: Option<OrganizationsAutoDeployment>,
    deployment_targets: Option<&'a str>,
    regions: Option<&'a str>,
    failure_tolerance_percentage: Option<u32>,
    max_concurrent_percentage: Option<u32>,
}

#[derive(Clone, Copy, Default, Deserialize, PartialEq)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum PermissionModel {
    #[default]
    SelfManaged,
    ServiceManaged,
}

#[derive(Clone, Copy, Deserialize, PartialEq)]
enum OrganizationsAutoDeployment {
    Enabled,
    Disabled,
    EnabledWithStackRetention,
}

/// Where instances are: in each of these regions for each target.
struct Instances {
    accounts: Option<Vec<String>>,
    units: Option<Vec<String>>,
    regions: Vec<String>,
}

impl Instances {
    fn targets(&self) -> Option<DeploymentTargets> {
        let units = self.units.clone()?;
        Some(DeploymentTargets::builder().set_organizational_unit_ids(Some(units)).build())
    }
}

struct StackSets;

#[async_trait]
impl Provider for StackSets {
    async fn start(&self, context: ActionContext<'_>) -> Result<Outcome, ProviderError> {
        let action = Action::new(context).await?;
        if action.is_of_instances() { action.put_instances().await } else { action.put_stack_set().await }
    }

    async fn poll(&self, context: ActionContext<'_>) -> Result<Outcome, ProviderError> {
        let action = Action::new(context).await?;
        let id = context.task.external.as_ref().map_or(context.token, |external| &external.id);
        action.look_at(id).await
    }
}

struct Action<'a> {
    context: ActionContext<'a>,
    task: &'a Task,
    configuration: Configuration<'a>,
    client: Client,
}

/// Puts what all operations on instances take into a request; their builders have no trait in common.
macro_rules! on_instances {
    ($action:ident, $request:expr, $instances:expr, $operation:expr) => {
        $request
            .stack_set_name($action.configuration.stack_set_name)
            .set_accounts($instances.accounts.clone())
            .set_deployment_targets($instances.targets())
            .set_regions(Some($instances.regions.clone()))
            .set_operation_preferences($action.preferences())
            .operation_id($operation)
    };
}

impl<'a> Action<'a> {
    async fn new(context: ActionContext<'a>) -> Result<Self, ProviderError> {
        let configuration: Configuration<'a> = read(context.task)?;
        for (key, value) in [
            ("FailureTolerancePercentage", configuration.failure_tolerance_percentage),
            ("MaxConcurrentPercentage", configuration.max_concurrent_percentage),
        ] {
            if let Some(value) = value.filter(|value| *value > 100) {
                return Err(ProviderError::configuration(format!("{key} is {value}: it must be at most 100")));
            }
        }
        let client = Client::new(context.session().await?.config());
        Ok(Self { context, task: context.task, configuration, client })
    }

    fn is_of_instances(&self) -> bool {
        self.task.action.type_id.provider == "CloudFormationStackInstances"
    }

    /// The operation that comes before the stack set's update.
    fn first_operation(&self) -> String {
        format!("{}{INSTANCES_SUFFIX}", self.context.token)
    }

    async fn put_stack_set(&self) -> Result<Outcome, ProviderError> {
        let instances = self.instances().await?;
        let Some(existing) = self.stack_set().await? else {
            self.create_stack_set().await?;
            return match &instances {
                Some(instances) => self.create_instances(instances, self.context.token.to_owned()).await,
                None => self.created_without_instances().await,
            };
        };
        if let Some(instances) = &instances
            && self.task.continuation.as_deref() != Some(INSTANCES_ADDED)
            && !self.all_exist(instances).await?
        {
            return self.create_instances(instances, self.first_operation()).await;
        }
        self.update_stack_set(&existing, instances.as_ref()).await
    }

    async fn put_instances(&self) -> Result<Outcome, ProviderError> {
        let instances = self.instances().await?;
        let instances =
            instances.ok_or_else(|| ProviderError::configuration(missing(self.task, "DeploymentTargets")))?;
        if !self.all_exist(&instances).await? {
            return self.create_instances(&instances, self.context.token.to_owned()).await;
        }
        let request = on_instances!(self, self.client.update_stack_instances(), instances, self.context.token);
        let overrides = self.parameters("ParameterOverrides", self.configuration.parameter_overrides).await?;
        let updated = request.set_parameter_overrides(overrides).send().await;
        self.begun("UpdateStackInstances", self.context.token, updated.err())
    }

    async fn stack_set(&self) -> Result<Option<StackSet>, ProviderError> {
        let name = self.configuration.stack_set_name;
        match self.client.describe_stack_set().stack_set_name(name).send().await {
            Ok(found) => Ok(found.stack_set),
            Err(error)
                if error.as_service_error().is_some_and(DescribeStackSetError::is_stack_set_not_found_exception) =>
            {
                Ok(None)
            }
            Err(error) => Err(ProviderError::aws("DescribeStackSet", name, &error)),
        }
    }

    async fn create_stack_set(&self) -> Result<(), ProviderError> {
        let Configuration { stack_set_name: name, ref permission_model, .. } = self.configuration;
        let Template { body, url } = self.template().await?;
        let created = self
            .client
            .create_stack_set()
            .stack_set_name(name)
            .set_description(self.configuration.description.map(str::to_owned))
            .set_template_body(body)
            .set_template_url(url)
            .set_parameters(self.parameters("Parameters", self.configuration.parameters).await?)
            .set_capabilities(capabilities(self.configuration.capabilities))
            .permission_model(match permission_model {
                PermissionModel::SelfManaged => PermissionModels::SelfManaged,
                PermissionModel::ServiceManaged => PermissionModels::ServiceManaged,
            })
            .set_administration_role_arn(self.configuration.administration_role_arn.map(str::to_owned))
            .set_execution_role_name(self.configuration.execution_role_name.map(str::to_owned))
            .set_auto_deployment(self.auto_deployment())
            .client_request_token(self.context.token)
            .send()
            .await;
        created.map_err(|error| ProviderError::aws("CreateStackSet", name, &error))?;
        Ok(())
    }

    async fn update_stack_set(
        &self,
        existing: &StackSet,
        instances: Option<&Instances>,
    ) -> Result<Outcome, ProviderError> {
        let name = self.configuration.stack_set_name;
        let Template { body, url } = self.template().await?;
        let description = self.configuration.description.or(existing.description());
        let updated = self
            .client
            .update_stack_set()
            .stack_set_name(name)
            .set_description(description.map(str::to_owned))
            .set_template_body(body)
            .set_template_url(url)
            .set_parameters(self.parameters("Parameters", self.configuration.parameters).await?)
            .set_capabilities(capabilities(self.configuration.capabilities))
            .set_administration_role_arn(self.configuration.administration_role_arn.map(str::to_owned))
            .set_execution_role_name(self.configuration.execution_role_name.map(str::to_owned))
            .set_auto_deployment(self.auto_deployment())
            .set_accounts(instances.and_then(|instances| instances.accounts.clone()))
            .set_deployment_targets(instances.and_then(Instances::targets))
            .set_regions(instances.map(|instances| instances.regions.clone()))
            .set_operation_preferences(self.preferences())
            .operation_id(self.context.token)
            .send()
            .await;
        self.begun("UpdateStackSet", self.context.token, updated.err())
    }

    async fn create_instances(&self, instances: &Instances, operation: String) -> Result<Outcome, ProviderError> {
        let overrides = self.parameters("ParameterOverrides", self.configuration.parameter_overrides).await?;
        let request = on_instances!(self, self.client.create_stack_instances(), instances, &operation);
        let created = request.set_parameter_overrides(overrides).send().await;
        self.begun("CreateStackInstances", &operation, created.err())
    }

    /// An operation has begun, by this request or by that of a lost worker.
    fn begun<E>(
        &self,
        request: &str,
        operation: &str,
        error: Option<SdkError<E, HttpResponse>>,
    ) -> Result<Outcome, ProviderError>
    where
        E: ClassifyError + IsKnownOperation + ProvideErrorMetadata + std::error::Error + 'static,
    {
        match error {
            Some(error) if !error.as_service_error().is_some_and(E::is_known_operation) => {
                Err(ProviderError::aws(request, format!("the stack set {}", self.configuration.stack_set_name), &error))
            }
            _ => Ok(self.running(operation, "Begun".to_owned())),
        }
    }

    /// Whether the stack set has an instance for each account and region; for organizational units, whose accounts nobody
    /// names, whether it has any in each region.
    async fn all_exist(&self, instances: &Instances) -> Result<bool, ProviderError> {
        let name = self.configuration.stack_set_name;
        let pages = self.client.list_stack_instances().stack_set_name(name).into_paginator().items().send();
        let there = pages.collect::<Result<Vec<_>, _>>().await;
        let there = there.map_err(|error| ProviderError::aws("ListStackInstances", name, &error))?;
        let exists = |account: Option<&String>, region: &String| {
            there.iter().any(|it| {
                it.region() == Some(region) && account.is_none_or(|account| it.account() == Some(account.as_str()))
            })
        };
        Ok(instances.regions.iter().all(|region| match &instances.accounts {
            Some(accounts) => accounts.iter().all(|account| exists(Some(account), region)),
            None => exists(None, region),
        }))
    }

    async fn look_at(&self, operation: &str) -> Result<Outcome, ProviderError> {
        let name = self.configuration.stack_set_name;
        let found = self.client.describe_stack_set_operation().stack_set_name(name).operation_id(operation);
        let found = found.send().await;
        let found = found.map_err(|error| ProviderError::aws("DescribeStackSetOperation", operation, &error))?;
        let found = found.stack_set_operation.ok_or_else(|| {
            ProviderError::failed(JOB_FAILED, format!("DescribeStackSetOperation: {operation} is not in the answer"))
        })?;
        let status = found.status().cloned().unwrap_or(StackSetOperationStatus::Running);
        let results = self.results(operation).await?;
        let done = results.iter().filter(|it| it.status() == Some(&StackSetOperationResultStatus::Succeeded)).count();
        let summary = format!("{done} of {} instances are done", results.len());
        match status {
            StackSetOperationStatus::Succeeded if operation.ends_with(INSTANCES_SUFFIX) => {
                let report = self.report(operation, summary);
                Ok(Outcome::Continue { token: INSTANCES_ADDED.to_owned(), report })
            }
            StackSetOperationStatus::Succeeded => {
                let id = found.stack_set_id().unwrap_or(name);
                let variables = [("OperationId", operation), ("StackSetId", id)];
                Ok(Outcome::Succeeded(Success {
                    report: self.report(operation, summary),
                    variables: variables.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
                    ..Success::default()
                }))
            }
            status if goes_on(&status) => Ok(self.running(operation, summary)),
            status => {
                let mut message = format!("The operation {operation} of the stack set {name} is {status} ({summary})");
                let reason = found.status_reason().map(|reason| format!(": {reason}"));
                message.push_str(&reason.unwrap_or_default());
                for failure in results.iter().filter_map(failure).take(NAMED) {
                    message = format!("{message}\n{failure}");
                }
                Err(ProviderError::Failed { code: JOB_FAILED, message, report: self.report(operation, summary) })
            }
        }
    }

    async fn results(&self, operation: &str) -> Result<Vec<StackSetOperationResultSummary>, ProviderError> {
        let name = self.configuration.stack_set_name;
        let results = self.client.list_stack_set_operation_results().stack_set_name(name).operation_id(operation);
        let results = results.into_paginator().items().send().collect::<Result<Vec<_>, _>>().await;
        results.map_err(|error| ProviderError::aws("ListStackSetOperationResults", operation, &error))
    }

    async fn created_without_instances(&self) -> Result<Outcome, ProviderError> {
        let created = self.stack_set().await?.and_then(|created| created.stack_set_id);
        let id = created.unwrap_or_else(|| self.configuration.stack_set_name.to_owned());
        let report = Progress { summary: Some("Created without instances".to_owned()), ..Progress::default() };
        Ok(Outcome::Succeeded(Success {
            report,
            variables: [("StackSetId".to_owned(), id)].into(),
            ..Success::default()
        }))
    }

    fn report(&self, operation: &str, summary: String) -> Progress {
        let url = console::stack_set_operation(&self.task.region, self.configuration.stack_set_name, operation);
        let external = Some(External { id: operation.to_owned(), url: Some(url) });
        Progress { external, summary: Some(summary), percent: None }
    }

    fn running(&self, operation: &str, summary: String) -> Outcome {
        Outcome::Running { report: self.report(operation, summary), poll: true, event_source: None }
    }

    async fn template(&self) -> Result<Template, ProviderError> {
        let path = self.configuration.template_path;
        let path = path.ok_or_else(|| ProviderError::configuration(missing(self.task, "TemplatePath")))?;
        template(self.context, path).await
    }

    fn preferences(&self) -> Option<StackSetOperationPreferences> {
        let percentage = |value: Option<u32>| value.and_then(|value| i32::try_from(value).ok());
        let tolerance = percentage(self.configuration.failure_tolerance_percentage);
        let concurrent = percentage(self.configuration.max_concurrent_percentage);
        let preferences = StackSetOperationPreferences::builder().set_failure_tolerance_percentage(tolerance);
        let preferences = preferences.set_max_concurrent_percentage(concurrent).build();
        (tolerance.is_some() || concurrent.is_some()).then_some(preferences)
    }

    fn auto_deployment(&self) -> Option<AutoDeployment> {
        let chosen = self.configuration.organizations_auto_deployment?;
        let enabled = chosen != OrganizationsAutoDeployment::Disabled;
        let deployment = AutoDeployment::builder().enabled(enabled);
        // Says what becomes of stacks, so it is refused where nothing is deployed by itself.
        let retains = enabled.then_some(chosen == OrganizationsAutoDeployment::EnabledWithStackRetention);
        Some(deployment.set_retain_stacks_on_account_removal(retains).build())
    }

    /// `DeploymentTargets` and `Regions`; none where the stack set is to have no instances yet.
    async fn instances(&self) -> Result<Option<Instances>, ProviderError> {
        let Configuration { deployment_targets, regions, .. } = self.configuration;
        let (targets, regions) = match (deployment_targets, regions) {
            (None, None) => return Ok(None),
            (Some(targets), Some(regions)) => (targets, regions),
            (Some(_), None) => return Err(ProviderError::configuration(missing(self.task, "Regions"))),
            (None, Some(_)) => return Err(ProviderError::configuration(missing(self.task, "DeploymentTargets"))),
        };
        let list = self.literal_or_file("DeploymentTargets", targets).await?;
        // Files may also hold a JSON list.
        let targets: Vec<String> = serde_json::from_str(&list).unwrap_or_else(|_| names(&list));
        let of_accounts = |target: &String| target.len() == 12 && target.bytes().all(|byte| byte.is_ascii_digit());
        let of_units = |target: &String| ["ou-", "r-"].iter().any(|prefix| target.starts_with(prefix));
        let (accounts, units) = match &targets {
            all if all.is_empty() => (None, None),
            all if all.iter().all(of_accounts) => (Some(targets), None),
            all if all.iter().all(of_units) => (None, Some(targets)),
            _ => (None, None),
        };
        if accounts.is_none() && units.is_none() {
            return Err(ProviderError::configuration(format!(
                "DeploymentTargets is {:?}: it must be a list of account ids, or one of organizational unit ids",
                shown(&list)
            )));
        }
        Ok(Some(Instances { accounts, units, regions: names(regions) }))
    }

    /// Parameters, from `ParameterKey=K,ParameterValue=V` with spaces between them, or from a JSON file of an artifact.
    async fn parameters(&self, key: &str, value: Option<&str>) -> Result<Option<Vec<Parameter>>, ProviderError> {
        let Some(value) = value else { return Ok(None) };
        let content = self.literal_or_file(key, value).await?;
        let parameters = match content.trim_start().starts_with('[') {
            true => serde_json::from_str::<Vec<DeclaredParameter>>(&content).map_err(|error| error.to_string()),
            false => literal_parameters(&content),
        };
        let parameters = parameters.map_err(|why| {
            ProviderError::configuration(format!(
                "{key} is {:?}: it must be ParameterKey=K,ParameterValue=V with spaces between parameters, or an input \
                 artifact's JSON file with a list of ParameterKey and ParameterValue: {why}",
                shown(&content)
            ))
        })?;
        Ok(Some(parameters.into_iter().map(DeclaredParameter::into_parameter).collect()))
    }

    /// A value as it stands, or the content of the file of an input artifact that it names.
    async fn literal_or_file(&self, key: &str, value: &str) -> Result<String, ProviderError> {
        let of_input = |artifact: &str| self.task.inputs.iter().any(|input| input.artifact.name.as_str() == artifact);
        if !value.split_once("::").is_some_and(|(artifact, _)| of_input(artifact)) {
            return Ok(value.to_owned());
        }
        let (input, file) = located(self.task, key, value)?;
        text(self.context, input, file, LONGEST_FILE).await
    }
}

/// Names with commas between them.
fn names(list: &str) -> Vec<String> {
    items(list).map(str::to_owned).collect()
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct DeclaredParameter {
    parameter_key: String,
    parameter_value: Option<String>,
    use_previous_value: Option<bool>,
}

impl DeclaredParameter {
    fn into_parameter(self) -> Parameter {
        Parameter::builder()
            .parameter_key(self.parameter_key)
            .set_parameter_value(self.parameter_value)
            .set_use_previous_value(self.use_previous_value)
            .build()
    }
}

/// Parameters one after another; a value goes on to the next ` ParameterKey=`, so that it may have spaces and commas.
fn literal_parameters(text: &str) -> Result<Vec<DeclaredParameter>, String> {
    const KEY: &str = "ParameterKey=";
    let text = text.trim().strip_prefix(KEY).ok_or_else(|| format!("it does not begin with {KEY}"))?;
    let parameter = |part: &str| {
        let (key, value) = part.trim_end().split_once(',').ok_or_else(|| format!("{part:?} has no value"))?;
        let (parameter_value, use_previous_value) = match value.split_once('=') {
            Some(("ParameterValue", value)) => (Some(value.to_owned()), None),
            Some(("UsePreviousValue", "true")) => (None, Some(true)),
            _ => return Err(format!("{key} has neither ParameterValue nor UsePreviousValue=true")),
        };
        Ok(DeclaredParameter { parameter_key: key.to_owned(), parameter_value, use_previous_value })
    };
    text.split(&format!(" {KEY}")).map(parameter).collect()
}

/// Why an instance failed; none for one that did not.
fn failure(result: &StackSetOperationResultSummary) -> Option<String> {
    if result.status() != Some(&StackSetOperationResultStatus::Failed) {
        return None;
    }
    let (account, region) = (result.account().unwrap_or("-"), result.region().unwrap_or("-"));
    Some(format!("{account} in {region}: {}", result.status_reason().unwrap_or("CloudFormation gives no reason")))
}

/// Whether an error says that the operation with this id has been asked for before.
trait IsKnownOperation {
    fn is_known_operation(&self) -> bool;
}

macro_rules! operations {
    ($($error:ident)*) => {$(
        impl IsKnownOperation for $error {
            fn is_known_operation(&self) -> bool {
                self.is_operation_id_already_exists_exception()
            }
        }

        impl ClassifyError for $error {
            fn class(&self) -> Option<ErrorClass> {
                if self.is_operation_in_progress_exception() || self.is_stale_request_exception() {
                    return Some(ErrorClass::Retryable);
                }
                let not_found = self.is_stack_set_not_found_exception();
                (not_found || self.is_invalid_operation_exception()).then_some(ErrorClass::Configuration)
            }
        }
    )*};
}

operations! { CreateStackInstancesError UpdateStackInstancesError UpdateStackSetError }

impl ClassifyError for CreateStackSetError {
    fn class(&self) -> Option<ErrorClass> {
        match self {
            Self::NameAlreadyExistsException(_)
            | Self::CreatedButModifiedException(_)
            | Self::LimitExceededException(_) => Some(ErrorClass::Configuration),
            _ => None,
        }
    }
}

impl ClassifyError for DescribeStackSetError {}
impl ClassifyError for DescribeStackSetOperationError {}
impl ClassifyError for ListStackInstancesError {
    fn class(&self) -> Option<ErrorClass> {
        self.is_stack_set_not_found_exception().then_some(ErrorClass::Configuration)
    }
}
impl ClassifyError for ListStackSetOperationResultsError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literal_parameters_may_have_spaces_and_commas_in_their_values() {
        let parameter = |key: &str, value: Option<&str>| DeclaredParameter {
            parameter_key: key.into(),
            parameter_value: value.map(str::to_owned),
            use_previous_value: value.is_none().then_some(true),
        };
        let text = "ParameterKey=A,ParameterValue=one two,three ParameterKey=B,ParameterValue= ParameterKey=C,UsePreviousValue=true";
        let expected = [parameter("A", Some("one two,three")), parameter("B", Some("")), parameter("C", None)];
        assert_eq!(literal_parameters(text).unwrap(), expected);
        for wrong in ["", "A=B", "ParameterKey=A", "ParameterKey=A,Value=b", "ParameterKey=A,UsePreviousValue=no"] {
            assert!(literal_parameters(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_operation_s_end_names_the_attempt_that_asked_for_it() {
        let id = engine::ExecutionId::from_random(uuid::Uuid::from_u128(7)).action(1, 0, 1);
        let event = |status: &str, operation: &str| {
            attempt_of(&serde_json::json!({"stack-set-operation-id": operation, "status-details": {"status": status}}))
        };
        for status in ["SUCCEEDED", "FAILED", "STOPPED"] {
            assert_eq!(event(status, &format!("Millrace-{id}")), Some(id));
            assert_eq!(event(status, &format!("Millrace-{id}-instances")), Some(id));
            assert_eq!(event(status, "6d1c9f7e-somebody-else"), None);
        }
        assert_eq!(event("RUNNING", &format!("Millrace-{id}")), None);
    }
}
