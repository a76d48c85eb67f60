//! Deploy/EC2: an artifact on instances that a tag names, by Systems Manager's Run Command. Source: CodePipeline user guide,
//! 'Amazon EC2 action reference'; Systems Manager API, `SendCommand`, `Command`; Systems Manager user guide, 'Understanding
//! command statuses' and 'Using targets and rate controls to run commands at scale'.
//!
//! One command goes to all instances. Systems Manager itself finds them by the tag, runs at most `MaxBatch` at a time, and
//! sends no more of it when `MaxError` is exceeded; its status is that of the action. What an instance does is in
//! `ec2_script`. The instances are counted beforehand by Systems Manager's own list of them, which knows EC2 instances and
//! other nodes and finds both by their tags: EC2's API, whose SDK is larger than all others together, is not asked.
//!
//! `SendCommand` has no idempotency token. The command's comment has the attempt's id, by which a command is found that a
//! lost worker sent, and no call that sends one is repeated without looking for it first.

use async_trait::async_trait;
use aws_sdk_ssm::Client;
use aws_sdk_ssm::config::Builder;
use aws_sdk_ssm::config::retry::RetryConfig;
use aws_sdk_ssm::operation::describe_instance_information::DescribeInstanceInformationError;
use aws_sdk_ssm::operation::get_command_invocation::{GetCommandInvocationError, GetCommandInvocationOutput};
use aws_sdk_ssm::operation::list_command_invocations::ListCommandInvocationsError;
use aws_sdk_ssm::operation::list_commands::ListCommandsError;
use aws_sdk_ssm::operation::send_command::SendCommandError;
use aws_sdk_ssm::primitives::{DateTime, DateTimeFormat};
use aws_sdk_ssm::types::{
    Command, CommandFilter, CommandFilterKey, CommandInvocationStatus, CommandStatus, InstanceInformationStringFilter,
    PlatformType, ResourceType, Target,
};
use aws_smithy_types::base64;
use driver::{Outcome, Task};
use engine::{External, Progress, Success};
use runtime::arn::partition;
use serde::Deserialize;
use serde_json::Value;

use crate::artifact_files;
use crate::configuration::{missing, read, title};
use crate::console;
use crate::context::ActionContext;
use crate::deploy_spec::DeploySpec;
use crate::ec2_script::{FOLDER, Source, hexadecimal, script};
use crate::error::{ClassifyError, ErrorClass, JOB_FAILED, ProviderError};
use crate::permission::artifacts::READ_INPUTS;
use crate::permission::{Conditions, Permission, Permissions, condition, everything};
use crate::provider::{
    Correlation, DeployTarget, Descriptor, Documentation, Events, Implements, Provider, ProviderInfo, Tried, attempt_id,
};

const DOCUMENT: &str = "AWS-RunShellScript";
/// Source: as above, 'The maximum fleet size supported is 500 instances'.
const MOST_INSTANCES: usize = 500;
/// Instances that a command can name one by one. Source: Systems Manager API, `SendCommand`, `InstanceIds`.
const MOST_NAMED: usize = 50;
/// Longest deploy spec file, and longest script that is made of it: with all else it is a document of at most 64 KB.
const LONGEST_FILE: u64 = 48 << 10;
/// Longest that a command may run, in seconds. Source: the document's parameter `executionTimeout`.
const LONGEST_RUN: u32 = 172_800;
/// Failed instances whose output a failure repeats, and the lines of each.
const FAILED_SHOWN: usize = 3;
const LINES: usize = 10;

pub(crate) const PROVIDER: Descriptor = Descriptor {
    info: ProviderInfo {
        events: Some(Events {
            source: "aws.ssm",
            detail_types: &["EC2 Command Status-change Notification"],
            correlation: Correlation::ExternalId(ended_command),
        }),
        deploy_target: Some(DeployTarget { key: "InstanceTagKey", kind: "InstanceTag" }),
        ..ProviderInfo::of(
            &[Implements::aws("Deploy", "EC2")],
            PERMISSIONS,
            Documentation {
                file: file!(),
                ends: "by event or poll",
                tried: Tried::OverTheWire,
                differs: "TargetGroupNameList is refused: instances are not taken out of target groups yet. The instances \
                          need the aws CLI, and unzip or Python. There is no log group of the pipeline: a failure repeats \
                          the last lines of three instances. Systems Manager chooses which instances come first. An \
                          action that is abandoned or timed out does not cancel its command.",
            },
        )
    },
    provider: &Ec2,
    token: attempt_id,
};

const PERMISSIONS: Permissions = Permissions::of(&[
    &[
        Permission::new(
            &[
                "ssm:DescribeInstanceInformation",
                "ssm:GetCommandInvocation",
                "ssm:ListCommandInvocations",
                "ssm:ListCommands",
            ],
            everything,
        ),
        Permission::new(SEND_COMMAND, |scope| {
            vec![format!("arn:{}:ssm:{}::document/{DOCUMENT}", partition(scope.region), scope.region)]
        }),
        Permission::new(SEND_COMMAND, |scope| match scope.value("InstanceType").as_deref() {
            Some("EC2") => vec![scope.arn("ec2", "instance/*")],
            Some("SSM_MANAGED_NODE") => vec![scope.arn("ssm", "managed-instance/*")],
            _ => vec![scope.arn("ec2", "instance/*"), scope.arn("ssm", "managed-instance/*")],
        })
        .when(|scope| {
            let key = scope.value_or_any("InstanceTagKey");
            // A key that is not known cannot be in the name of a condition.
            if key.contains('*') {
                return Conditions::new();
            }
            let value = scope.value("InstanceTagValue").unwrap_or_else(|| "*".to_owned());
            condition("StringLike", &format!("ssm:resourceTag/{key}"), [value.as_str()])
        }),
    ],
    READ_INPUTS,
])
.beside(|_| Some("the instances' own role needs s3:GetObject, s3:GetObjectVersion and kms:Decrypt for the artifact"));

const SEND_COMMAND: &[&str] = &["ssm:SendCommand"];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Configuration<'a> {
    instance_tag_key: &'a str,
    instance_tag_value: Option<&'a str>,
    instance_type: InstanceType,
    target_directory: Option<&'a str>,
    pre_script: Option<&'a str>,
    post_script: Option<&'a str>,
    deploy_spec: Option<&'a str>,
    max_batch: Option<MaxBatch>,
    max_error: Option<MaxError>,
    target_group_name_list: Option<&'a str>,
}

#[derive(Clone, Copy, Deserialize, PartialEq)]
enum InstanceType {
    #[serde(rename = "EC2")]
    Ec2,
    #[serde(rename = "SSM_MANAGED_NODE")]
    SsmManagedNode,
}

/// A number from one on, or a percentage.
#[derive(Deserialize)]
#[serde(try_from = "&str")]
struct MaxBatch(String);

/// A number, or a percentage.
#[derive(Deserialize)]
#[serde(try_from = "&str")]
struct MaxError(String);

impl TryFrom<&str> for MaxBatch {
    type Error = &'static str;

    fn try_from(text: &str) -> Result<Self, Self::Error> {
        let why = "it must be a number of instances from 1, or a percentage from 1% to 100%";
        amount(text, 1).map(Self).ok_or(why)
    }
}

impl TryFrom<&str> for MaxError {
    type Error = &'static str;

    fn try_from(text: &str) -> Result<Self, Self::Error> {
        amount(text, 0).map(Self).ok_or("it must be a number of instances, or a percentage from 0% to 100%")
    }
}

/// As Systems Manager takes it.
fn amount(text: &str, least: u32) -> Option<String> {
    let text = text.trim();
    let (digits, most) = text.strip_suffix('%').map_or((text, 999_999), |digits| (digits, 100));
    let number: u32 = digits.parse().ok().filter(|number| (least..=most).contains(number))?;
    Some(format!("{number}{}", &text[digits.len()..]))
}

/// The command that an event is about, if it tells of an end. Source: EventBridge, 'Systems Manager Run Command events'.
fn ended_command(detail: &Value) -> Option<String> {
    let text = |key: &str| detail.get(key)?.as_str();
    let ended = ["Success", "Failed", "TimedOut", "Cancelled"].contains(&text("status")?);
    text("command-id").filter(|_| ended).map(str::to_owned)
}

struct Ec2;

#[async_trait]
impl Provider for Ec2 {
    async fn start(&self, context: ActionContext<'_>) -> Result<Outcome, ProviderError> {
        let deploy = Deploy::new(context).await?;
        if context.task.reclaimed
            && let Some(found) = deploy.find().await?
        {
            return Ok(deploy.running(&found));
        }
        let script = deploy.script().await?;
        let target = deploy.target().await?;
        deploy.send(script, target).await
    }

    async fn poll(&self, context: ActionContext<'_>) -> Result<Outcome, ProviderError> {
        let deploy = Deploy::new(context).await?;
        let command = match &context.task.external {
            Some(external) => deploy.command(&external.id).await?,
            None => deploy.find().await?.ok_or_else(|| {
                let label = deploy.label();
                ProviderError::failed(JOB_FAILED, format!("Systems Manager has no command of this action for {label}"))
            })?,
        };
        match command.status() {
            Some(CommandStatus::Success) => {
                Ok(Outcome::Succeeded(Success { report: deploy.report(&command), ..Success::default() }))
            }
            Some(CommandStatus::Failed | CommandStatus::TimedOut | CommandStatus::Cancelled) => {
                Err(deploy.failed(&command).await)
            }
            _ => Ok(deploy.running(&command)),
        }
    }
}

/// Which instances a command goes to.
enum Instances {
    Tagged(Target),
    Named(Vec<String>),
}

struct Deploy<'a> {
    context: ActionContext<'a>,
    configuration: Configuration<'a>,
    client: Client,
    /// What the comment of this attempt's command says.
    comment: String,
}

impl<'a> Deploy<'a> {
    async fn new(context: ActionContext<'a>) -> Result<Self, ProviderError> {
        let configuration: Configuration<'_> = read(context.task)?;
        check(context.task, &configuration)?;
        let client = Client::new(context.session().await?.config());
        let comment = format!("Millrace action execution {}", context.token);
        Ok(Self { context, configuration, client, comment })
    }

    /// How messages call the instances.
    fn label(&self) -> String {
        let Configuration { instance_tag_key: key, instance_tag_value, .. } = &self.configuration;
        match instance_tag_value {
            Some(value) => format!("the instances with the tag {key}={value}"),
            None => format!("the instances with the tag {key}"),
        }
    }

    /// What each instance does.
    async fn script(&self) -> Result<String, ProviderError> {
        let task = self.context.task;
        let input = task.inputs.first();
        let input =
            input.ok_or_else(|| ProviderError::configuration(format!("{} needs an input artifact", title(task))))?;
        let Configuration { target_directory, pre_script, post_script, deploy_spec, .. } = self.configuration;
        let spec = match deploy_spec {
            Some(path) => {
                let text = artifact_files::text(self.context, input, path, LONGEST_FILE).await?;
                DeploySpec::parse(&text).map_err(|why| {
                    ProviderError::configuration(format!("the deploy spec file {path} cannot be used: {why}"))
                })?
            }
            None => {
                DeploySpec::all_into(target_directory.unwrap_or_default(), pre_script, post_script.unwrap_or_default())
            }
        };
        let object = self.context.artifact_store(&input.bucket).await?.find(&input.artifact.key, &input.pin).await?;
        let recorded = input.pin.sha256.as_deref().or(input.artifact.pin.sha256.as_deref());
        let source = Source {
            region: &task.region,
            bucket: &input.bucket,
            key: &input.artifact.key,
            version: object.version_id.as_deref(),
            sha256: recorded.and_then(|sha256| base64::decode(sha256).ok()).map(|bytes| hexadecimal(&bytes)),
        };
        let place = format!("{}/{}/{}", task.pipeline, task.stage, task.action.name);
        let script = script(&source, &spec, &place, FOLDER);
        if script.len() as u64 > LONGEST_FILE {
            return Err(ProviderError::configuration(format!(
                "what the deploy spec asks for is a script of {} bytes, and it may have {LONGEST_FILE}",
                script.len()
            )));
        }
        Ok(script)
    }

    /// The instances, which must be there: a command to nobody would succeed.
    async fn target(&self) -> Result<Instances, ProviderError> {
        let Configuration { instance_tag_key: key, instance_tag_value: value, instance_type, .. } = self.configuration;
        let (name, value) = match value {
            Some(value) => (format!("tag:{key}"), value),
            None => ("tag-key".to_owned(), key),
        };
        let filter = InstanceInformationStringFilter::builder().key(&name).values(value).build();
        let filter = filter.map_err(|error| ProviderError::configuration(error.to_string()))?;
        let mut pages = self.client.describe_instance_information().filters(filter).into_paginator().send();
        let (mut wanted, mut others) = (Vec::new(), 0);
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| ProviderError::aws("DescribeInstanceInformation", self.label(), &error))?;
            for found in page.instance_information_list.unwrap_or_default() {
                let is_managed_node = found.resource_type() == Some(&ResourceType::ManagedInstance);
                if is_managed_node != (instance_type == InstanceType::SsmManagedNode) {
                    others += 1;
                    continue;
                }
                let id = found.instance_id.unwrap_or_default();
                if found.platform_type.is_some_and(|platform| platform != PlatformType::Linux) {
                    return Err(ProviderError::configuration(format!("{id} of {} does not run Linux", self.label())));
                }
                wanted.push(id);
            }
            if wanted.len() > MOST_INSTANCES {
                break;
            }
        }
        let refused = |why: String| Err(ProviderError::configuration(format!("{}: {why}", self.label())));
        match (wanted.len(), others) {
            (0, _) => refused(format!("Systems Manager manages none in {}", self.context.task.region)),
            (count, _) if count > MOST_INSTANCES => refused(format!("they are more than {MOST_INSTANCES}")),
            (_, 0) => Ok(Instances::Tagged(Target::builder().key(name).values(value).build())),
            (count, _) if count <= MOST_NAMED => Ok(Instances::Named(wanted)),
            (count, others) => refused(format!(
                "{count} are of the InstanceType and {others} are not, and a command can name {MOST_NAMED} one by one: give \
                 them different tags"
            )),
        }
    }

    async fn send(&self, script: String, target: Instances) -> Result<Outcome, ProviderError> {
        // An answer that got lost does not say whether there is a command: the next start looks for it.
        let once = Builder::new().retry_config(RetryConfig::disabled());
        let timeout = self.context.task.action.timeout_minutes().saturating_mul(60).min(LONGEST_RUN);
        let (targets, ids) = match target {
            Instances::Tagged(target) => (Some(vec![target]), None),
            Instances::Named(ids) => (None, Some(ids)),
        };
        let sent = self
            .client
            .send_command()
            .document_name(DOCUMENT)
            .set_targets(targets)
            .set_instance_ids(ids)
            .parameters("commands", vec![script])
            .parameters("executionTimeout", vec![timeout.to_string()])
            .comment(&self.comment)
            .set_max_concurrency(self.configuration.max_batch.as_ref().map(|it| it.0.clone()))
            .set_max_errors(self.configuration.max_error.as_ref().map(|it| it.0.clone()))
            .customize()
            .config_override(once)
            .send()
            .await
            .map_err(|error| ProviderError::aws("SendCommand", self.label(), &error))?;
        let command = sent.command.filter(|command| command.command_id().is_some()).ok_or_else(|| {
            ProviderError::Retryable(format!("Systems Manager did not say what it sends to {}", self.label()))
        })?;
        Ok(self.running(&command))
    }

    async fn command(&self, id: &str) -> Result<Command, ProviderError> {
        let found = self.client.list_commands().command_id(id).send().await;
        let found = found.map_err(|error| ProviderError::aws("ListCommands", id, &error))?;
        let command = found.commands.unwrap_or_default().into_iter().find(|command| command.command_id() == Some(id));
        // What was sent just now may not be listed yet.
        command.ok_or_else(|| ProviderError::Retryable(format!("Systems Manager does not list the command {id}")))
    }

    /// The command that was sent for this attempt, which none from before its request is.
    async fn find(&self) -> Result<Option<Command>, ProviderError> {
        let since = DateTime::from_secs(self.context.earliest_start().0.div_euclid(1_000));
        let since = since.fmt(DateTimeFormat::DateTime).map_err(|error| ProviderError::Retryable(error.to_string()))?;
        let filter = |key: CommandFilterKey, value: &str| CommandFilter::builder().key(key).value(value).build();
        let filters: Result<Vec<_>, _> =
            [filter(CommandFilterKey::InvokedAfter, &since), filter(CommandFilterKey::DocumentName, DOCUMENT)]
                .into_iter()
                .collect();
        let filters = filters.map_err(|error| ProviderError::Retryable(error.to_string()))?;
        let mut pages = self.client.list_commands().set_filters(Some(filters)).into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| ProviderError::aws("ListCommands", self.label(), &error))?;
            let mut commands = page.commands.unwrap_or_default().into_iter();
            if let Some(own) = commands.find(|command| command.comment() == Some(&self.comment)) {
                return Ok(Some(own));
            }
        }
        Ok(None)
    }

    fn report(&self, command: &Command) -> Progress {
        let id = command.command_id().unwrap_or_default().to_owned();
        let url = Some(console::run_command(&self.context.task.region, &id));
        let (all, done, failed) = (command.target_count(), command.completed_count(), command.error_count());
        let summary = match failed {
            0 => format!("{done} of {all} instances are done"),
            _ => format!("{done} of {all} instances are done, {failed} of them failed"),
        };
        let percent = i64::from(done).saturating_mul(100).checked_div(i64::from(all));
        let percent = percent.and_then(|percent| u8::try_from(percent.min(100)).ok());
        Progress { external: Some(External { id, url }), summary: Some(summary), percent }
    }

    fn running(&self, command: &Command) -> Outcome {
        Outcome::Running { report: self.report(command), poll: true, event_source: None }
    }

    async fn failed(&self, command: &Command) -> ProviderError {
        let id = command.command_id().unwrap_or_default();
        let status = command.status_details().or(command.status().map(CommandStatus::as_str)).unwrap_or("-");
        let report = self.report(command);
        let state = report.summary.as_deref().unwrap_or_default();
        let mut message = format!("The command {id} to {} ended as {status}: {state}", self.label());
        match self.failed_instances(id).await {
            Ok(instances) => instances.iter().for_each(|words| message = format!("{message}\n{words}")),
            Err(error) => tracing::info!(?error, id, "the output of failed instances cannot be looked at"),
        }
        ProviderError::Failed { code: JOB_FAILED, message, report }
    }

    /// What the first failed instances say.
    async fn failed_instances(&self, command: &str) -> Result<Vec<String>, ProviderError> {
        let mut words = Vec::new();
        let mut pages = self.client.list_command_invocations().command_id(command).into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| ProviderError::aws("ListCommandInvocations", command, &error))?;
            let failed = page.command_invocations().iter().filter(|it| {
                matches!(it.status(), Some(CommandInvocationStatus::Failed | CommandInvocationStatus::TimedOut))
            });
            for instance in failed.filter_map(|it| it.instance_id()) {
                let found = self.client.get_command_invocation().command_id(command).instance_id(instance).send().await;
                let found = found.map_err(|error| ProviderError::aws("GetCommandInvocation", instance, &error))?;
                words.push(ending(instance, &found));
                if words.len() == FAILED_SHOWN {
                    return Ok(words);
                }
            }
        }
        Ok(words)
    }
}

/// How the command ended on an instance, with the last lines that it printed: on stderr, if there are any.
fn ending(instance: &str, found: &GetCommandInvocationOutput) -> String {
    let outputs = [found.standard_error_content(), found.standard_output_content()];
    let printed = outputs.into_iter().flatten().map(str::trim).find(|text| !text.is_empty()).unwrap_or_default();
    let lines: Vec<&str> = printed.lines().collect();
    let last = lines[lines.len().saturating_sub(LINES)..].join("\n");
    let status = found.status_details().unwrap_or("Failed");
    let code = found.response_code();
    match last.as_str() {
        "" => format!("{instance}: {status} (exit code {code})"),
        last => format!("{instance}: {status} (exit code {code}):\n{last}"),
    }
}

fn check(task: &Task, configuration: &Configuration<'_>) -> Result<(), ProviderError> {
    let refused = |why: String| Err(ProviderError::configuration(why));
    let Configuration { target_directory, pre_script, post_script, deploy_spec, target_group_name_list, .. } =
        configuration;
    if target_group_name_list.is_some() {
        return refused("TargetGroupNameList: instances are not taken out of target groups yet".to_owned());
    }
    let scripts = [("TargetDirectory", target_directory), ("PreScript", pre_script), ("PostScript", post_script)];
    if deploy_spec.is_some() {
        return match scripts.iter().find(|(_, value)| value.is_some()) {
            Some((key, _)) => refused(format!("{key} and DeploySpec have values: the file says all of it, or none")),
            None => Ok(()),
        };
    }
    match (target_directory, post_script) {
        (Some(directory), _) if !directory.starts_with('/') => {
            refused(format!("TargetDirectory is {directory:?}: it must begin with /"))
        }
        (Some(_), Some(_)) => Ok(()),
        (None, None) => refused(format!("{} needs TargetDirectory and PostScript, or DeploySpec", title(task))),
        (None, _) => refused(missing(task, "TargetDirectory")),
        (_, None) => refused(missing(task, "PostScript")),
    }
}

/// What all operations can answer.
macro_rules! classify {
    ($($error:ident: $($configuration:ident)*;)*) => {$(
        impl ClassifyError for $error {
            fn class(&self) -> Option<ErrorClass> {
                match self {
                    Self::InternalServerError(_) => Some(ErrorClass::Retryable),
                    $(Self::$configuration(_) => Some(ErrorClass::Configuration),)*
                    _ => None,
                }
            }
        }
    )*};
}

classify! {
    DescribeInstanceInformationError: InvalidFilterKey InvalidInstanceInformationFilterValue;
    GetCommandInvocationError:;
    ListCommandInvocationsError:;
    ListCommandsError:;
    SendCommandError: InvalidDocument InvalidInstanceId InvalidParameters MaxDocumentSizeExceeded UnsupportedPlatformType;
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_a_command_s_end_names_it() {
        let of = |status: &str| ended_command(&json!({"status": status, "command-id": "c-1"}));
        for end in ["Success", "Failed", "TimedOut", "Cancelled"] {
            assert_eq!(of(end).as_deref(), Some("c-1"));
        }
        for other in ["Pending", "InProgress", "Cancelling", ""] {
            assert_eq!(of(other), None);
        }
    }

    #[test]
    fn amounts_are_numbers_or_percentages() {
        for (text, batch, error) in [
            ("1", Some("1"), Some("1")),
            (" 25% ", Some("25%"), Some("25%")),
            ("100%", Some("100%"), Some("100%")),
            ("0", None, Some("0")),
            ("0%", None, Some("0%")),
            ("101%", None, None),
            ("-1", None, None),
            ("some", None, None),
            ("%", None, None),
        ] {
            assert_eq!(MaxBatch::try_from(text).ok().map(|it| it.0).as_deref(), batch, "{text}");
            assert_eq!(MaxError::try_from(text).ok().map(|it| it.0).as_deref(), error, "{text}");
        }
    }
}
