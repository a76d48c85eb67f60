//! Deploy/CloudFormation: creates, updates, replaces or deletes a stack, or makes and executes a change set. Source:
//! CodePipeline user guide, 'AWS CloudFormation deploy action reference' and 'Using parameter override functions with
//! CodePipeline pipelines'; CloudFormation API.
//!
//! Every request carries the attempt's id as its client token, which CloudFormation shows in the stack's events: so an
//! attempt that is started again finds what it had asked for. Change sets have no token that can be read; theirs is in the
//! description.

mod change_set;
mod deployment;
mod errors;

use std::collections::BTreeMap;

use artifacts::write_zip;
use async_trait::async_trait;
use aws_sdk_cloudformation::Client;
use aws_sdk_cloudformation::error::ProvideErrorMetadata;
use aws_sdk_cloudformation::operation::describe_change_set::{DescribeChangeSetError, DescribeChangeSetOutput};
use aws_sdk_cloudformation::types::{Capability, ChangeSetStatus, ChangeSetType, Stack, StackEvent, StackStatus};
use driver::{Outcome, Task};
use engine::{ActionId, Artifact, External, Progress, Success};
use serde::Deserialize;
use serde_json::Value;

pub(crate) use self::deployment::{LONGEST_FILE, Template, template, template_url};
use runtime::arn::partition;

use crate::configuration::{missing, non_empty, read, store};
use crate::console;
use crate::context::ActionContext;
use crate::error::{JOB_FAILED, ProviderError};
use crate::permission::artifacts::{
    READ, READ_INPUTS, SEAL, WRITE, WRITE_BESIDE_INPUTS, WRITE_OUTPUTS, key_of_store, of_store,
};
use crate::permission::{PASS_ROLE, Permission, Permissions, Scope, passed_to};
use crate::provider::{
    Correlation, Descriptor, Documentation, EntityPage, Events, Implements, Provider, ProviderInfo, Tried,
};
use crate::stack_policy;

/// Client tokens begin with a letter, an attempt's id may not.
pub(crate) const TOKEN_PREFIX: &str = "Millrace-";
/// Behind the token of a request that deletes a failed stack, before another creates it anew.
const DELETE_SUFFIX: &str = "-delete";
/// What the next start is told after a failed stack was deleted; it goes by the stack's own state.
const DELETED: &str = "deleted";

pub(crate) const PROVIDER: Descriptor = Descriptor {
    info: ProviderInfo {
        events: Some(Events {
            source: "aws.cloudformation",
            detail_types: &["CloudFormation Stack Status Change"],
            correlation: Correlation::AttemptId(attempt_of),
        }),
        entity: Some(EntityPage {
            key: "StackName",
            path: "cloudformation/home?region={region}#/stacks?filteringText={}",
        }),
        ..ProviderInfo::of(
            &[Implements::aws("Deploy", "CloudFormation")],
            PERMISSIONS,
            Documentation {
                file: file!(),
                ends: "by event or poll",
                tried: Tried::Emulators,
                differs: "A template of more than 51,200 bytes is put beside its artifact. The stack policy of a change set is set when CHANGE_SET_EXECUTE has changed the stack.",
            },
        )
    },
    provider: &CloudFormation,
    token: client_token,
};

fn stack(scope: &Scope<'_>) -> Vec<String> {
    let name = scope.value_or_any("StackName");
    // A stack can also be named by its id.
    vec![if name.starts_with("arn:") { name } else { scope.arn("cloudformation", &format!("stack/{name}/*")) }]
}

/// The stack, if the action may have one of these modes.
fn in_mode(scope: &Scope<'_>, modes: &[&str]) -> Vec<String> {
    let mode = scope.value_or_any("ActionMode");
    if mode.contains('*') || modes.contains(&mode.as_str()) { stack(scope) } else { Vec::new() }
}

const PERMISSIONS: Permissions = Permissions::of(&[
    &[
        Permission::new(&["cloudformation:DescribeStackEvents", "cloudformation:DescribeStacks"], stack),
        Permission::new(&["cloudformation:CreateStack", "cloudformation:UpdateStack"], |scope| {
            in_mode(scope, &["CREATE_UPDATE", "REPLACE_ON_FAILURE"])
        }),
        Permission::new(&["cloudformation:DeleteStack"], |scope| {
            in_mode(scope, &["DELETE_ONLY", "REPLACE_ON_FAILURE"])
        }),
        Permission::new(&["cloudformation:CreateChangeSet", "cloudformation:DeleteChangeSet"], |scope| {
            in_mode(scope, &["CHANGE_SET_REPLACE"])
        }),
        Permission::new(&["cloudformation:DescribeChangeSet"], |scope| {
            in_mode(scope, &["CHANGE_SET_REPLACE", "CHANGE_SET_EXECUTE"])
        }),
        Permission::new(&["cloudformation:ExecuteChangeSet"], |scope| in_mode(scope, &["CHANGE_SET_EXECUTE"])),
        // A stack policy comes with the template's configuration, and with a change set that was made by another action.
        Permission::new(&["cloudformation:SetStackPolicy"], |scope| match scope.value("TemplateConfiguration") {
            Some(_) => in_mode(scope, &["CREATE_UPDATE", "REPLACE_ON_FAILURE", "CHANGE_SET_EXECUTE"]),
            None => in_mode(scope, &["CHANGE_SET_EXECUTE"]),
        }),
        // Transforms expand a template in a change set. Source: CloudFormation user guide, 'Control CloudFormation access',
        // resources of transforms.
        Permission::new(&["cloudformation:CreateChangeSet"], |scope| {
            let expands = scope.value("Capabilities").is_some_and(|it| it.contains("AUTO_EXPAND") || it.contains('*'));
            let transform = format!("arn:{}:cloudformation:{}:aws:transform/*", partition(scope.region), scope.region);
            expands.then_some(transform).into_iter().collect()
        }),
        Permission::new(PASS_ROLE, |scope| scope.value("RoleArn").into_iter().collect())
            .when(|_| passed_to("cloudformation.amazonaws.com")),
        Permission::new(READ, kept_policy),
        Permission::new(WRITE, |scope| match scope.value("TemplateConfiguration") {
            Some(_) if !in_mode(scope, &["CHANGE_SET_REPLACE"]).is_empty() => kept_policy(scope),
            _ => Vec::new(),
        }),
        Permission::new(SEAL, |scope| {
            kept_policy(scope).first().and_then(|_| key_of_store(scope)).into_iter().collect()
        })
        .when(of_store),
    ],
    READ_INPUTS,
    WRITE_BESIDE_INPUTS,
    WRITE_OUTPUTS,
])
.beside(|scope| {
    (scope.value("RoleArn").is_none())
        .then_some("without RoleArn, CloudFormation makes the resources of the template with the rights of this role")
});

/// Where a change set's stack policy is kept between the two actions.
fn kept_policy(scope: &Scope<'_>) -> Vec<String> {
    if in_mode(scope, &["CHANGE_SET_REPLACE", "CHANGE_SET_EXECUTE"]).is_empty() {
        return Vec::new();
    }
    let name = stack_policy::name().ok();
    let store = scope.store.as_ref().zip(name);
    store.map(|(store, name)| scope.artifact(&store.bucket, &name)).into_iter().collect()
}

#[allow(clippy::unnecessary_wraps, reason = "other tokens can be refused")]
pub(crate) fn client_token(task: &Task) -> Result<String, ProviderError> {
    Ok(format!("{TOKEN_PREFIX}{}", task.id.first_turn()))
}

/// The attempt that asked for the change whose end an event tells.
fn attempt_of(detail: &Value) -> Option<ActionId> {
    let status = detail.pointer("/status-details/status")?.as_str()?;
    if status.ends_with("_IN_PROGRESS") {
        return None;
    }
    let token = detail.get("client-request-token")?.as_str()?.strip_prefix(TOKEN_PREFIX)?;
    token.strip_suffix(DELETE_SUFFIX).unwrap_or(token).parse().ok()
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Configuration<'a> {
    action_mode: Mode,
    stack_name: &'a str,
    capabilities: Option<&'a str>,
    change_set_name: Option<&'a str>,
    output_file_name: Option<&'a str>,
    parameter_overrides: Option<&'a str>,
    role_arn: Option<&'a str>,
    template_configuration: Option<&'a str>,
    template_path: Option<&'a str>,
}

#[derive(Clone, Copy, Deserialize, PartialEq)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Mode {
    ChangeSetExecute,
    ChangeSetReplace,
    CreateUpdate,
    DeleteOnly,
    ReplaceOnFailure,
}

impl Configuration<'_> {
    fn change_set(&self, task: &Task) -> Result<&str, ProviderError> {
        self.change_set_name.ok_or_else(|| ProviderError::configuration(missing(task, "ChangeSetName")))
    }
}

/// The value of `Capabilities`: names with commas between them.
pub(crate) fn capabilities(names: Option<&str>) -> Option<Vec<Capability>> {
    names.map(|all| all.split(',').map(|one| Capability::from(one.trim())).collect())
}

struct CloudFormation;

#[async_trait]
impl Provider for CloudFormation {
    async fn start(&self, context: ActionContext<'_>) -> Result<Outcome, ProviderError> {
        let action = Action::new(context).await?;
        match action.configuration.action_mode {
            Mode::CreateUpdate | Mode::ReplaceOnFailure => action.create_or_update().await,
            Mode::DeleteOnly => action.delete().await,
            Mode::ChangeSetReplace => action.replace_change_set().await,
            Mode::ChangeSetExecute => action.execute_change_set().await,
        }
    }

    async fn poll(&self, context: ActionContext<'_>) -> Result<Outcome, ProviderError> {
        let action = Action::new(context).await?;
        match action.configuration.action_mode {
            Mode::ChangeSetReplace => action.look_at_change_set().await,
            _ => action.look_at_stack().await,
        }
    }
}

/// Says what is deployed. CreateStack, UpdateStack and CreateChangeSet take the same, and their builders have no trait in
/// common.
macro_rules! deploying {
    ($request:expr, $deployment:ident, $configuration:expr) => {
        $request
            .set_template_body($deployment.body)
            .set_template_url($deployment.url)
            .set_parameters(Some($deployment.parameters))
            .set_tags(non_empty($deployment.tags))
            .set_capabilities(capabilities($configuration.capabilities))
            .set_role_arn($configuration.role_arn.map(str::to_owned))
    };
}

/// An action, with whom its requests are made.
struct Action<'a> {
    context: ActionContext<'a>,
    task: &'a Task,
    configuration: Configuration<'a>,
    client: Client,
}

impl<'a> Action<'a> {
    async fn new(context: ActionContext<'a>) -> Result<Self, ProviderError> {
        let configuration = read(context.task)?;
        let client = Client::new(context.session().await?.config());
        Ok(Self { context, task: context.task, configuration, client })
    }

    /// The stack of this name or id; none if it does not exist or has been deleted.
    async fn stack(&self, name: &str) -> Result<Option<Stack>, ProviderError> {
        match self.client.describe_stacks().stack_name(name).send().await {
            Ok(found) => Ok(found.stacks.unwrap_or_default().into_iter().next()),
            // What is said of a name that no stack has; there is no type for it.
            Err(error) if error.code() == Some("ValidationError") => Ok(None),
            Err(error) => Err(ProviderError::aws("DescribeStacks", name, &error)),
        }
    }

    /// The newest events of a stack, the newest first.
    async fn events(&self, stack: &str) -> Result<Vec<StackEvent>, ProviderError> {
        let found = self.client.describe_stack_events().stack_name(stack).send().await;
        let found = found.map_err(|error| ProviderError::aws("DescribeStackEvents", stack, &error))?;
        Ok(found.stack_events.unwrap_or_default())
    }

    /// Whether this attempt brought an event about; none where the event says of no request.
    fn is_mine(&self, event: &StackEvent) -> Option<bool> {
        event.client_request_token().map(|token| token.starts_with(self.context.token))
    }

    /// Whether an earlier worker, which was lost, had this stack changed for this attempt.
    async fn was_asked_for(&self, stack: &Stack) -> Result<bool, ProviderError> {
        let id = stack.stack_id().unwrap_or(self.configuration.stack_name);
        Ok(self.task.reclaimed && self.events(id).await?.iter().any(|event| self.is_mine(event) == Some(true)))
    }

    async fn create_or_update(&self) -> Result<Outcome, ProviderError> {
        let name = self.configuration.stack_name;
        let found = self.stack(name).await?.filter(|stack| status(stack) != StackStatus::DeleteComplete);
        let Some(stack) = found.filter(|stack| status(stack) != StackStatus::ReviewInProgress) else {
            return self.create().await;
        };
        if self.was_asked_for(&stack).await? {
            return Ok(self.running(stack.stack_id()));
        }
        if self.configuration.action_mode == Mode::ReplaceOnFailure && has_failed(&stack) {
            let token = format!("{}{DELETE_SUFFIX}", self.context.token);
            return self.ask_to_delete(&stack, &token).await;
        }
        let deployment = self.deployment().await?;
        let updated = deploying!(self.client.update_stack(), deployment, self.configuration)
            .stack_name(name)
            .client_request_token(self.context.token)
            .set_stack_policy_body(deployment.stack_policy)
            .send()
            .await;
        match updated {
            Ok(updated) => Ok(self.running(updated.stack_id().or(stack.stack_id()))),
            Err(error) if changes_nothing(error.message()) => {
                self.deployed(&stack, Some("Nothing was to be changed")).await
            }
            Err(error) => Err(ProviderError::aws("UpdateStack", name, &error)),
        }
    }

    async fn create(&self) -> Result<Outcome, ProviderError> {
        let name = self.configuration.stack_name;
        let deployment = self.deployment().await?;
        let created = deploying!(self.client.create_stack(), deployment, self.configuration)
            .stack_name(name)
            .client_request_token(self.context.token)
            .set_stack_policy_body(deployment.stack_policy)
            .send()
            .await
            .map_err(|error| ProviderError::aws("CreateStack", name, &error))?;
        Ok(self.running(created.stack_id()))
    }

    async fn delete(&self) -> Result<Outcome, ProviderError> {
        match self.stack(self.configuration.stack_name).await? {
            Some(stack) if status(&stack) != StackStatus::DeleteComplete => {
                if self.was_asked_for(&stack).await? {
                    return Ok(self.running(stack.stack_id()));
                }
                self.ask_to_delete(&stack, self.context.token).await
            }
            _ => self.succeeded(self.report(None, Some("There was no such stack")), BTreeMap::new()).await,
        }
    }

    async fn ask_to_delete(&self, stack: &Stack, token: &str) -> Result<Outcome, ProviderError> {
        let name = self.configuration.stack_name;
        self.client
            .delete_stack()
            .stack_name(stack.stack_id().unwrap_or(name))
            .client_request_token(token)
            .set_role_arn(self.configuration.role_arn.map(str::to_owned))
            .send()
            .await
            .map_err(|error| ProviderError::aws("DeleteStack", name, &error))?;
        Ok(self.running(stack.stack_id()))
    }

    async fn change_set(&self, name: &str, stack: &str) -> Result<Option<DescribeChangeSetOutput>, ProviderError> {
        match self.client.describe_change_set().change_set_name(name).stack_name(stack).send().await {
            Ok(found) => Ok(Some(found)),
            Err(error)
                if error.as_service_error().is_some_and(DescribeChangeSetError::is_change_set_not_found_exception) =>
            {
                Ok(None)
            }
            // What is said of a stack that is not there; there is no type for it.
            Err(error) if error.code() == Some("ValidationError") => Ok(None),
            Err(error) => Err(ProviderError::aws("DescribeChangeSet", name, &error)),
        }
    }

    async fn replace_change_set(&self) -> Result<Outcome, ProviderError> {
        let (stack, name) = (self.configuration.stack_name, self.configuration.change_set(self.task)?);
        if let Some(existing) = self.change_set(name, stack).await? {
            if existing.description().is_some_and(|it| it.starts_with(self.context.token)) {
                return Ok(self.running(existing.stack_id()));
            }
            let deleted = self.client.delete_change_set().change_set_name(name).stack_name(stack).send().await;
            deleted.map_err(|error| ProviderError::aws("DeleteChangeSet", name, &error))?;
        }
        let exists = self.stack(stack).await?.is_some_and(|stack| {
            !matches!(status(&stack), StackStatus::DeleteComplete | StackStatus::ReviewInProgress)
        });
        let deployment = self.deployment().await?;
        let description = match deployment.stack_policy {
            Some(policy) => stack_policy::keep(self.context, policy).await?,
            None => self.context.token.to_owned(),
        };
        let created = deploying!(self.client.create_change_set(), deployment, self.configuration)
            .change_set_name(name)
            .stack_name(stack)
            .change_set_type(if exists { ChangeSetType::Update } else { ChangeSetType::Create })
            .client_token(self.context.token)
            .description(description)
            .send()
            .await
            .map_err(|error| ProviderError::aws("CreateChangeSet", name, &error))?;
        Ok(self.running(created.stack_id()))
    }

    async fn look_at_change_set(&self) -> Result<Outcome, ProviderError> {
        let (stack, name) = (self.configuration.stack_name, self.configuration.change_set(self.task)?);
        let Some(found) = self.change_set(name, stack).await? else {
            return Err(ProviderError::failed(JOB_FAILED, format!("The change set {name} of {stack} is gone")));
        };
        let report = self.report(found.stack_id(), None);
        match found.status() {
            Some(ChangeSetStatus::CreateComplete) => {
                let summary = Some(self.what_it_changes(&found).await?);
                self.succeeded(Progress { summary, ..report }, BTreeMap::new()).await
            }
            Some(ChangeSetStatus::Failed) if changes_nothing(found.status_reason()) => {
                let summary = Some("Nothing is to be changed".to_owned());
                self.succeeded(Progress { summary, ..report }, BTreeMap::new()).await
            }
            Some(ChangeSetStatus::Failed) => {
                let reason = found.status_reason().unwrap_or("CloudFormation gives no reason");
                let message = format!("The change set {name} of {stack} could not be made: {reason}");
                Err(ProviderError::Failed { code: JOB_FAILED, message, report })
            }
            _ => Ok(Outcome::Running { report, poll: true, event_source: None }),
        }
    }

    async fn execute_change_set(&self) -> Result<Outcome, ProviderError> {
        let (name, set) = (self.configuration.stack_name, self.configuration.change_set(self.task)?);
        let stack = self.stack(name).await?;
        if let Some(stack) = &stack
            && self.was_asked_for(stack).await?
        {
            return Ok(self.running(stack.stack_id()));
        }
        let (Some(stack), Some(found)) = (stack, self.change_set(set, name).await?) else {
            return Err(ProviderError::configuration(format!("the stack {name} has no change set {set}")));
        };
        let policy = found.description().and_then(stack_policy::named);
        if found.status() == Some(&ChangeSetStatus::Failed) && changes_nothing(found.status_reason()) {
            self.set_stack_policy(&stack, policy).await?;
            return self.deployed(&stack, Some("Nothing was to be changed")).await;
        }
        // The change set is gone when the stack has been changed: this is remembered until then.
        if let (Some(policy), None) = (policy, &self.task.continuation) {
            return Ok(Outcome::Continue { token: policy.to_owned(), report: Progress::default() });
        }
        self.client
            .execute_change_set()
            .change_set_name(set)
            .stack_name(name)
            .client_request_token(self.context.token)
            .send()
            .await
            .map_err(|error| ProviderError::aws("ExecuteChangeSet", set, &error))?;
        Ok(self.running(stack.stack_id()))
    }

    async fn set_stack_policy(&self, stack: &Stack, policy: Option<&str>) -> Result<(), ProviderError> {
        let Some(policy) = policy else { return Ok(()) };
        let id = stack.stack_id().unwrap_or(self.configuration.stack_name);
        let body = stack_policy::read(self.context, policy).await?;
        let set = self.client.set_stack_policy().stack_name(id).stack_policy_body(body).send().await;
        set.map_err(|error| ProviderError::aws("SetStackPolicy", id, &error))?;
        Ok(())
    }

    async fn look_at_stack(&self) -> Result<Outcome, ProviderError> {
        let mode = self.configuration.action_mode;
        let id = self.task.external.as_ref().map_or(self.configuration.stack_name, |external| &external.id);
        let Some(stack) = self.stack(id).await? else {
            return match mode {
                Mode::DeleteOnly => self.succeeded(Progress::default(), BTreeMap::new()).await,
                Mode::ReplaceOnFailure => Ok(self.create_next()),
                _ => Err(ProviderError::failed(JOB_FAILED, format!("The stack {id} is gone"))),
            };
        };
        match status(&stack) {
            StackStatus::DeleteComplete if mode == Mode::DeleteOnly => {
                self.succeeded(self.report(stack.stack_id(), None), BTreeMap::new()).await
            }
            StackStatus::DeleteComplete if mode == Mode::ReplaceOnFailure => Ok(self.create_next()),
            StackStatus::CreateComplete | StackStatus::UpdateComplete if mode != Mode::DeleteOnly => {
                if mode == Mode::ChangeSetExecute {
                    self.set_stack_policy(&stack, self.task.continuation.as_deref()).await?;
                }
                self.deployed(&stack, None).await
            }
            status if status.as_str().ends_with("_IN_PROGRESS") => Ok(self.running(stack.stack_id())),
            _ => Err(self.failed(&stack).await?),
        }
    }

    /// The stack that failed is deleted: the next start creates it anew.
    fn create_next(&self) -> Outcome {
        let summary = Some("The failed stack was deleted; it is created anew".to_owned());
        Outcome::Continue { token: DELETED.to_owned(), report: Progress { summary, ..Progress::default() } }
    }

    fn report(&self, stack: Option<&str>, summary: Option<&str>) -> Progress {
        let external = stack
            .map(|id| External { id: id.to_owned(), url: Some(console::cloudformation_stack(&self.task.region, id)) });
        Progress { external, summary: summary.map(str::to_owned), percent: None }
    }

    fn running(&self, stack: Option<&str>) -> Outcome {
        Outcome::Running { report: self.report(stack, None), poll: true, event_source: None }
    }

    /// The stack's outputs are the variables.
    async fn deployed(&self, stack: &Stack, summary: Option<&str>) -> Result<Outcome, ProviderError> {
        let outputs = stack.outputs().iter().filter_map(|it| Some((it.output_key.clone()?, it.output_value.clone()?)));
        self.succeeded(self.report(stack.stack_id(), summary), outputs.collect()).await
    }

    /// The variables are the content of the output artifact, which is there in every mode.
    async fn succeeded(&self, report: Progress, variables: BTreeMap<String, String>) -> Result<Outcome, ProviderError> {
        let mut artifacts = Vec::new();
        if let Some(artifact) = self.task.outputs.first() {
            let (bucket, encryption) = store(self.task)?;
            let content = serde_json::to_string(&variables)
                .map_err(|error| ProviderError::failed(JOB_FAILED, format!("outputs cannot be written: {error}")))?;
            // Without a name there is no file, but actions behind this one may still take the artifact.
            let file = self.configuration.output_file_name.map(|file| (file, content.as_str()));
            let zip = write_zip(file)?;
            let pin = self.context.artifact_store(bucket).await?.put_artifact(&artifact.key, zip, &encryption).await?;
            artifacts.push(Artifact { pin, ..artifact.clone() });
        }
        Ok(Outcome::Succeeded(Success { report, outputs: artifacts, variables, revision: None }))
    }

    /// What failed first, in CloudFormation's words.
    async fn failed(&self, stack: &Stack) -> Result<ProviderError, ProviderError> {
        let id = stack.stack_id().unwrap_or(self.configuration.stack_name);
        let requested = self.context.requested().0 / 1_000;
        let failed = |event: &&StackEvent| {
            let status = event.resource_status().map(|it| it.as_str()).unwrap_or_default();
            // An emulator may leave the request out. While it went on there was no other.
            let since = |event: &StackEvent| event.timestamp().is_some_and(|at| at.secs() >= requested);
            status.ends_with("_FAILED")
                && event.logical_resource_id() != stack.stack_name()
                && self.is_mine(event).unwrap_or_else(|| since(event))
        };
        let events = self.events(id).await?;
        let first = events.iter().rev().find(failed);
        let reason = first.map(|event| {
            format!(
                "{} ({}): {}",
                event.logical_resource_id().unwrap_or("-"),
                event.resource_type().unwrap_or("-"),
                event.resource_status_reason().unwrap_or("CloudFormation gives no reason")
            )
        });
        let reason = reason.or_else(|| stack.stack_status_reason().map(str::to_owned));
        let mut message = format!("The stack {} is {}", self.configuration.stack_name, status(stack));
        if let Some(reason) = reason {
            message = format!("{message}: {reason}");
        }
        Ok(ProviderError::Failed { code: JOB_FAILED, message, report: self.report(stack.stack_id(), None) })
    }
}

fn status(stack: &Stack) -> StackStatus {
    stack.stack_status().cloned().unwrap_or(StackStatus::CreateInProgress)
}

/// The states in which REPLACE_ON_FAILURE deletes a stack first. Source: CodePipeline user guide.
fn has_failed(stack: &Stack) -> bool {
    matches!(
        status(stack),
        StackStatus::RollbackComplete
            | StackStatus::RollbackFailed
            | StackStatus::CreateFailed
            | StackStatus::DeleteFailed
            | StackStatus::UpdateRollbackFailed
    )
}

/// Whether CloudFormation says that there is nothing to change. It has no code for it, only these texts.
fn changes_nothing(reason: Option<&str>) -> bool {
    reason.is_some_and(|reason| {
        reason.starts_with("No updates are to be performed")
            || reason.starts_with("The submitted information didn't contain changes")
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_stack_s_end_names_the_attempt_that_asked_for_it() {
        let id = engine::ExecutionId::from_random(uuid::Uuid::from_u128(7)).action(1, 0, 1);
        let event = |status: &str, token: &str| {
            attempt_of(&json!({"status-details": {"status": status}, "client-request-token": token}))
        };
        assert_eq!(event("UPDATE_COMPLETE", &format!("Millrace-{id}")), Some(id));
        assert_eq!(event("DELETE_COMPLETE", &format!("Millrace-{id}-delete")), Some(id));
        assert_eq!(event("UPDATE_IN_PROGRESS", &format!("Millrace-{id}")), None);
        for others in ["", "Console-CreateStack-1", "Millrace-", "Millrace-x"] {
            assert_eq!(event("UPDATE_COMPLETE", others), None);
        }
    }
}
