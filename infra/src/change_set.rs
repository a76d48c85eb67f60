//! One stack: what would change in it, and the change itself.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow, bail};
use aws_sdk_cloudformation::Client;
use aws_sdk_cloudformation::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_cloudformation::types::{
    Capability, Change, ChangeSetStatus, ChangeSetSummary, ChangeSetType, ExecutionStatus, Parameter, Stack,
};

use aws_sdk_cloudformation::primitives::DateTimeFormat as Format;

use crate::Account;
use crate::progress::{Progress, settled};
use crate::removal::delete;
use crate::stacks::{describe, is_good, outputs, parameters, status};
use crate::state::{Way, way};
use crate::template::Template;

/// Longer than CloudFormation ever takes to compare two templates.
const PATIENCE: Duration = Duration::from_secs(300);

/// What a change set is called, before the time at which it was made.
const PREFIX: &str = "millrace-";

/// A stack as it is to be.
pub struct Deployment<'a> {
    /// The name under which CloudFormation knows the stack in its region.
    pub name: String,
    /// Its template, in YAML or JSON.
    pub template: &'a str,
    /// Where CloudFormation reads the template if it is too long for a request.
    pub url: Option<String>,
    /// Values of the template's parameters. What is not among them keeps the value that the stack has, or its default.
    pub parameters: BTreeMap<String, String>,
    /// Whether what the template retains may never be replaced or removed, and the stack not be deleted without further ado.
    pub protected: bool,
}

/// What a deployment did to a stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was not there.
    Created,
    /// It was there, and its content or its parameters were not these.
    Updated,
    /// It was as it was to be already.
    Unchanged,
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Unchanged => "unchanged",
        })
    }
}

/// What will become of a stack.
pub(crate) struct Planned<'a> {
    pub deployment: Deployment<'a>,
    pub region: String,
    client: Client,
    /// On whose behalf, for whoever meets this deployment.
    caller: String,
    account: Account,
    pub step: Step,
}

pub(crate) enum Step {
    /// Nothing, since nothing would change.
    Nothing(Box<Stack>),
    /// A change set waits to be executed.
    Change(ChangeSet),
    /// A first creation failed in this state: the stack is removed and made anew.
    Anew(String),
}

/// A change set that waits to be executed.
pub(crate) struct ChangeSet {
    pub name: String,
    pub creates: bool,
    pub changes: Vec<Change>,
    /// Parameters that get another value: name, value before, value after.
    pub parameters: Vec<(String, String, String)>,
}

impl<'a> Planned<'a> {
    /// Finds out what the deployment would change. Nothing changes yet, but a change set may wait, in a stack made for it.
    pub async fn new(account: &Account, region: &str, caller: &str, deployment: Deployment<'a>) -> Result<Planned<'a>> {
        let (client, name) = (Client::new(&account.sdk(region)), deployment.name.as_str());
        let stack = describe(&client, name).await?;
        let way = match way(name, region, stack.as_ref().map(status)) {
            Ok(way) => way,
            Err(error) if stack.as_ref().is_some_and(|stack| status(stack).ends_with("_IN_PROGRESS")) => {
                return Err(error.context(under_way(&client, name).await));
            }
            Err(error) => return Err(error),
        };
        let anew = Step::Anew(stack.as_ref().map(status).unwrap_or_default().to_owned());
        let (region, caller) = (region.to_owned(), caller.to_owned());
        let mut planned = Self { deployment, region, client, caller, account: account.clone(), step: anew };
        planned.step = match way {
            Way::Anew => return Ok(planned),
            Way::Update => planned.compare(stack).await?,
            Way::Create => planned.compare(None).await?,
        };
        Ok(planned)
    }

    /// Makes a change set of the difference to `stack`, or to nothing.
    async fn compare(&self, stack: Option<Stack>) -> Result<Step> {
        let Self { client, deployment, region, .. } = self;
        let before = stack.as_ref().map(parameters).unwrap_or_default();
        let known = Template::parse(deployment.template)?;
        let known = known.parameters();
        let mut values: BTreeMap<_, _> = before
            .iter()
            .filter(|(name, _)| known.contains(name.as_str()))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        values.extend(deployment.parameters.clone());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let (name, creates) = (format!("{PREFIX}{now}"), stack.is_none());
        let mut create = client
            .create_change_set()
            .stack_name(&deployment.name)
            .change_set_name(&name)
            .change_set_type(if creates { ChangeSetType::Create } else { ChangeSetType::Update })
            .description(format!("millrace, for {}", self.caller))
            .capabilities(Capability::CapabilityIam)
            .set_parameters(Some(
                values.iter().map(|(name, value)| parameter(name, value, before.get(name))).collect(),
            ));
        create = match &deployment.url {
            Some(url) => create.template_url(url),
            None => create.template_body(deployment.template),
        };
        create
            .send()
            .await
            .with_context(|| format!("CloudFormation refuses the stack {} in {region}", deployment.name))?;
        let began = Instant::now();
        let (status, reason, changes) = loop {
            let (status, reason, changes) = self.look_at(&name).await?;
            if !matches!(status, ChangeSetStatus::CreatePending | ChangeSetStatus::CreateInProgress) {
                break (status, reason, changes);
            }
            if began.elapsed() > PATIENCE {
                bail!(
                    "CloudFormation still compares the stack {} in {region} after {} s",
                    deployment.name,
                    PATIENCE.as_secs()
                );
            }
            tokio::time::sleep(self.account.pause()).await;
        };
        if status == ChangeSetStatus::CreateComplete {
            let changed = values.into_iter().filter_map(|(name, value)| {
                let old = before.get(&name)?;
                (*old != value).then(|| (name, old.clone(), value))
            });
            let parameters = changed.collect();
            return Ok(Step::Change(ChangeSet { name, creates, changes, parameters }));
        }
        self.withdraw(&name, creates).await;
        match stack {
            Some(stack) if is_empty(&reason) => Ok(Step::Nothing(Box::new(stack))),
            _ => bail!("CloudFormation cannot change the stack {} in {region}: {reason}", deployment.name),
        }
    }

    async fn look_at(&self, change_set: &str) -> Result<(ChangeSetStatus, String, Vec<Change>)> {
        let mut changes = Vec::new();
        let mut next = None;
        loop {
            let page = self
                .client
                .describe_change_set()
                .stack_name(&self.deployment.name)
                .change_set_name(change_set)
                .set_next_token(next)
                .send()
                .await
                .with_context(|| format!("cannot look at the change set of the stack {}", self.deployment.name))?;
            let status = page.status().cloned().context("a change set without a status")?;
            let reason = page.status_reason().unwrap_or("no reason given").to_owned();
            changes.extend(page.changes.unwrap_or_default());
            next = page.next_token;
            if next.is_none() {
                return Ok((status, reason, changes));
            }
        }
    }

    /// Removes a change set, and the stack that was made for it unless somebody else's waits in it. What cannot be removed changes
    /// nothing.
    async fn withdraw(&self, change_set: &str, creates: bool) {
        let name = self.deployment.name.as_str();
        let _ = self.client.delete_change_set().stack_name(name).change_set_name(change_set).send().await;
        let listed = self.client.list_change_sets().stack_name(name).send().await;
        let is_other = |it: &ChangeSetSummary| it.change_set_name() != Some(change_set);
        let is_wanted = listed.is_ok_and(|listed| listed.summaries().iter().any(is_other));
        let shell = |stack: &Stack| status(stack) == "REVIEW_IN_PROGRESS" && !is_wanted;
        if creates && describe(&self.client, name).await.is_ok_and(|stack| stack.as_ref().is_some_and(shell)) {
            let _ = self.client.delete_stack().stack_name(name).send().await;
        }
    }

    /// Takes back what waits to be executed.
    pub async fn discard(&self) {
        if let Step::Change(change_set) = &self.step {
            self.withdraw(&change_set.name, change_set.creates).await;
        }
    }

    /// Does what is planned; `say` hears of each resource. Returns what became of the stack, and its outputs.
    pub async fn execute(&self, say: &mut (dyn FnMut(&str) + Send)) -> Result<(Outcome, BTreeMap<String, String>)> {
        match &self.step {
            Step::Nothing(stack) => {
                self.protect().await?;
                Ok((Outcome::Unchanged, outputs(stack)))
            }
            Step::Change(change_set) => self.change(change_set, say).await,
            Step::Anew(_) => {
                self.remove(say).await?;
                match self.compare(None).await? {
                    Step::Change(change_set) => self.change(&change_set, say).await,
                    _ => bail!("the stack {} cannot be made anew: its template has no resources", self.deployment.name),
                }
            }
        }
    }

    async fn change(
        &self,
        change_set: &ChangeSet,
        say: &mut (dyn FnMut(&str) + Send),
    ) -> Result<(Outcome, BTreeMap<String, String>)> {
        let Self { client, region, .. } = self;
        let name = self.deployment.name.as_str();
        if !change_set.creates {
            self.protect().await?;
        }
        if self.is_overtaken(change_set).await? {
            return Err(self.overtaken().await);
        }
        let mut progress = Progress::from_now(client, name).await?;
        let executed = client.execute_change_set().stack_name(name).change_set_name(&change_set.name).send().await;
        match executed.map_err(SdkError::into_service_error) {
            Ok(_) => {}
            Err(error)
                if error.is_change_set_not_found_exception() || error.is_invalid_change_set_status_exception() =>
            {
                return Err(self.overtaken().await);
            }
            Err(error) => return Err(error).with_context(|| format!("cannot change the stack {name} in {region}")),
        }
        let stack = settled(client, name, self.account.pause(), Some(&mut progress), say).await?;
        let stack = stack.with_context(|| format!("the stack {name} in {region} vanished while it was deployed"))?;
        let done = matches!(status(&stack), "CREATE_COMPLETE" | "UPDATE_COMPLETE");
        if !done {
            let reason = progress.first_failure().or_else(|| stack.stack_status_reason().map(str::to_owned));
            let reason = reason.unwrap_or_else(|| "CloudFormation gives no reason".into());
            let after =
                if is_good(&stack) { "It is as it was before" } else { "Deploying again says what to do about it" };
            bail!("the stack {name} in {region} is {}: {reason}. {after}", status(&stack));
        }
        self.protect().await?;
        let outputs = self.outputs(stack).await?;
        Ok((if change_set.creates { Outcome::Created } else { Outcome::Updated }, outputs))
    }

    /// Whether the stack is no longer as the change set was made for it. CloudFormation refuses to execute such a one; MiniStack does it,
    /// and makes resources twice.
    async fn is_overtaken(&self, change_set: &ChangeSet) -> Result<bool> {
        let stack = describe(&self.client, &self.deployment.name).await?;
        Ok(match stack.as_ref().map(status) {
            None | Some("REVIEW_IN_PROGRESS") => !change_set.creates,
            Some(status) => change_set.creates || status.ends_with("_IN_PROGRESS"),
        })
    }

    /// That somebody else was quicker, and who.
    async fn overtaken(&self) -> anyhow::Error {
        let (name, region) = (&self.deployment.name, &self.region);
        let who = under_way(&self.client, name).await;
        anyhow!("{who}").context(format!(
            "somebody else has deployed the stack {name} in {region} meanwhile. Nothing was done; deploy again"
        ))
    }

    /// The outputs of a stack that has just been changed. LocalStack says that it is done a moment before it has them.
    async fn outputs(&self, mut stack: Stack) -> Result<BTreeMap<String, String>> {
        let template = Template::parse(self.deployment.template)?;
        let began = Instant::now();
        loop {
            let found = outputs(&stack);
            if template.outputs().iter().all(|name| found.contains_key(*name))
                || began.elapsed() > Duration::from_secs(5)
            {
                return Ok(found);
            }
            tokio::time::sleep(self.account.pause()).await;
            let again = describe(&self.client, self.deployment.name.as_str()).await?;
            stack = again.with_context(|| format!("the stack {} vanished", self.deployment.name))?;
        }
    }

    /// Removes what a failed first creation has left. Nothing ever worked in it.
    async fn remove(&self, say: &mut (dyn FnMut(&str) + Send)) -> Result<()> {
        let Self { client, region, .. } = self;
        let name = self.deployment.name.as_str();
        let template = Template::parse(self.deployment.template)?;
        let retained = template.retained();
        let resources = client.describe_stack_resources().stack_name(name).send().await;
        for resource in resources.map(|found| found.stack_resources.unwrap_or_default()).unwrap_or_default() {
            let gone = resource.resource_status().is_some_and(|status| status.as_str() == "DELETE_COMPLETE");
            let (id, physical) = (resource.logical_resource_id(), resource.physical_resource_id().unwrap_or_default());
            if let Some(id) = id.filter(|id| !gone && !physical.is_empty() && retained.contains(id)) {
                say(&format!("  {id} stays, empty and unused: {physical}"));
            }
        }
        say(&format!("  removing what the failed creation of {name} has left"));
        delete(&self.account, region, name, say).await?;
        Ok(())
    }

    /// Forbids CloudFormation to replace or remove what is retained, and to delete the stack.
    async fn protect(&self) -> Result<()> {
        if !self.deployment.protected {
            return Ok(());
        }
        let (client, name) = (&self.client, self.deployment.name.as_str());
        let template = Template::parse(self.deployment.template)?;
        let retained: Vec<_> = template.retained().iter().map(|id| format!("LogicalResourceId/{id}")).collect();
        let policy = serde_json::json!({"Statement": [
            {"Effect": "Allow", "Principal": "*", "Action": "Update:*", "Resource": "*"},
            {"Effect": "Deny", "Principal": "*", "Action": ["Update:Replace", "Update:Delete"], "Resource": retained},
        ]});
        match client.set_stack_policy().stack_name(name).stack_policy_body(policy.to_string()).send().await {
            // LocalStack has no stack policies.
            Err(error) if error.code() == Some("InternalFailure") && self.account.endpoint().is_some() => {}
            set => {
                set.with_context(|| format!("cannot set the policy of the stack {name}"))?;
            }
        }
        let protect = client.update_termination_protection().stack_name(name).enable_termination_protection(true);
        protect.send().await.with_context(|| format!("cannot protect the stack {name} from deletion"))?;
        Ok(())
    }
}

/// A parameter of a change set. One that stays as it is `before` is left to CloudFormation: LocalStack would see a change where a number is
/// the template's default in one deployment, and the same number in text in the next.
fn parameter(name: &str, value: &str, before: Option<&String>) -> Parameter {
    let parameter = Parameter::builder().parameter_key(name);
    match before.is_some_and(|before| before == value) {
        true => parameter.use_previous_value(true).build(),
        false => parameter.parameter_value(value).build(),
    }
}

/// Whether this is why there is no change set: nothing would change.
fn is_empty(reason: &str) -> bool {
    reason.contains("didn't contain changes") || reason.contains("No updates are to be performed")
}

/// Who changes the stack, and since when, as far as its change sets tell.
async fn under_way(client: &Client, name: &str) -> String {
    let listed = client.list_change_sets().stack_name(name).send().await;
    let summaries = listed.map(|listed| listed.summaries.unwrap_or_default()).unwrap_or_default();
    let executed = summaries.iter().filter(|it| it.execution_status() != Some(&ExecutionStatus::Available));
    match executed.max_by_key(|it| it.creation_time().map(|time| time.secs())) {
        Some(latest) => {
            let since = latest.creation_time().and_then(|time| time.fmt(Format::DateTime).ok());
            let who = latest.description().filter(|text| !text.is_empty()).unwrap_or("not by millrace");
            format!("the last change of {name} began at {} ({who})", since.as_deref().unwrap_or("an unknown time"))
        }
        None => format!("nothing says who changes {name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_that_stays_as_it_is_is_left_to_cloudformation() {
        let before = "30".to_owned();
        let stays = parameter("LogRetentionDays", "30", Some(&before));
        assert_eq!((stays.use_previous_value(), stays.parameter_value()), (Some(true), None));
        for given in [parameter("LogRetentionDays", "7", Some(&before)), parameter("LogRetentionDays", "7", None)] {
            assert_eq!((given.use_previous_value(), given.parameter_value()), (None, Some("7")));
        }
    }

    #[test]
    fn both_of_cloudformations_words_for_nothing_to_do_are_known() {
        assert!(is_empty(
            "The submitted information didn't contain changes. Submit different information to create a change set."
        ));
        assert!(is_empty("No updates are to be performed."));
        assert!(!is_empty("Transform failed"));
    }
}
