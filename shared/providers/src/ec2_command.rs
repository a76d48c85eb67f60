//! A command of Systems Manager's Run Command: how it is sent once, found again and reported. Source: Systems Manager API,
//! `SendCommand`, `Command`; Systems Manager user guide, 'Understanding command statuses' and 'Using targets and rate
//! controls to run commands at scale'.
//!
//! `SendCommand` has no idempotency token. The command's comment has the attempt's id, by which a command is found that a
//! lost worker sent, and no call that sends one is repeated without looking for it first.

use aws_sdk_ssm::Client;
use aws_sdk_ssm::config::Builder;
use aws_sdk_ssm::config::retry::RetryConfig;
use aws_sdk_ssm::operation::cancel_command::CancelCommandError;
use aws_sdk_ssm::operation::get_command_invocation::{GetCommandInvocationError, GetCommandInvocationOutput};
use aws_sdk_ssm::operation::list_command_invocations::ListCommandInvocationsError;
use aws_sdk_ssm::operation::list_commands::ListCommandsError;
use aws_sdk_ssm::operation::send_command::SendCommandError;
use aws_sdk_ssm::primitives::{DateTime, DateTimeFormat};
use aws_sdk_ssm::types::{
    Command, CommandFilter, CommandFilterKey, CommandInvocation, CommandInvocationStatus, CommandStatus, Target,
};
use driver::Outcome;
use engine::{External, Progress};
use serde_json::Value;

use crate::console;
use crate::context::ActionContext;
use crate::error::{ClassifyError, ErrorClass, JOB_FAILED, ProviderError};

pub(crate) const DOCUMENT: &str = "AWS-RunShellScript";
/// Instances that a command can name one by one. Source: Systems Manager API, `SendCommand`, `InstanceIds`.
pub(crate) const MOST_NAMED: usize = 50;
/// Longest that a command may run, in seconds. Source: the document's parameter `executionTimeout`.
const LONGEST_RUN: u32 = 172_800;
/// Failed instances whose output a failure repeats, and the lines of each.
pub(crate) const FAILED_SHOWN: usize = 3;
const LINES: usize = 10;

/// The command that an event is about, if it tells of an end. Source: EventBridge, 'Systems Manager Run Command events'.
pub(crate) fn ended_command(detail: &Value) -> Option<String> {
    let text = |key: &str| detail.get(key)?.as_str();
    let ended = ["Success", "Failed", "TimedOut", "Cancelled"].contains(&text("status")?);
    text("command-id").filter(|_| ended).map(str::to_owned)
}

/// Which instances a command goes to.
pub(crate) enum Recipients {
    Tagged(Target),
    Named(Vec<String>),
}

/// A command that is to be sent: what runs, where, and how much of it may go wrong.
pub(crate) struct Request {
    pub(crate) script: String,
    pub(crate) recipients: Recipients,
    /// For how many seconds it may run on an instance.
    pub(crate) seconds: u32,
    pub(crate) max_concurrency: Option<String>,
    pub(crate) max_errors: Option<String>,
}

/// The commands of an attempt.
pub(crate) struct RunCommand<'a> {
    pub(crate) context: ActionContext<'a>,
    pub(crate) client: &'a Client,
    /// How messages call the instances.
    pub(crate) label: String,
}

impl RunCommand<'_> {
    /// Sends a command whose comment is this.
    pub(crate) async fn send(&self, comment: &str, request: Request) -> Result<Command, ProviderError> {
        // An answer that got lost does not say whether there is a command: the next start looks for it.
        let once = Builder::new().retry_config(RetryConfig::disabled());
        let (targets, ids) = match request.recipients {
            Recipients::Tagged(target) => (Some(vec![target]), None),
            Recipients::Named(ids) => (None, Some(ids)),
        };
        let sent = self
            .client
            .send_command()
            .document_name(DOCUMENT)
            .set_targets(targets)
            .set_instance_ids(ids)
            .parameters("commands", vec![request.script])
            .parameters("executionTimeout", vec![request.seconds.clamp(1, LONGEST_RUN).to_string()])
            .comment(comment)
            .set_max_concurrency(request.max_concurrency)
            .set_max_errors(request.max_errors)
            .customize()
            .config_override(once)
            .send()
            .await
            .map_err(|error| ProviderError::aws("SendCommand", &self.label, &error))?;
        sent.command.filter(|command| command.command_id().is_some()).ok_or_else(|| {
            ProviderError::Retryable(format!("Systems Manager did not say what it sends to {}", self.label))
        })
    }

    /// The command with this id.
    pub(crate) async fn describe(&self, id: &str) -> Result<Command, ProviderError> {
        let found = self.client.list_commands().command_id(id).send().await;
        let found = found.map_err(|error| ProviderError::aws("ListCommands", id, &error))?;
        let command = found.commands.unwrap_or_default().into_iter().find(|command| command.command_id() == Some(id));
        // What was sent just now may not be listed yet.
        command.ok_or_else(|| ProviderError::Retryable(format!("Systems Manager does not list the command {id}")))
    }

    /// The command that was sent with this comment, which none from before the attempt's request is.
    pub(crate) async fn find(&self, comment: &str) -> Result<Option<Command>, ProviderError> {
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
            let page = page.map_err(|error| ProviderError::aws("ListCommands", &self.label, &error))?;
            let mut commands = page.commands.unwrap_or_default().into_iter();
            if let Some(own) = commands.find(|command| command.comment() == Some(comment)) {
                return Ok(Some(own));
            }
        }
        Ok(None)
    }

    /// Asks Systems Manager to end a command where it has not ended yet.
    pub(crate) async fn cancel(&self, id: &str) -> Result<(), ProviderError> {
        let cancelled = self.client.cancel_command().command_id(id).send().await;
        cancelled.map(drop).map_err(|error| ProviderError::aws("CancelCommand", id, &error))
    }

    pub(crate) fn report(&self, command: &Command) -> Progress {
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

    pub(crate) fn running(&self, command: &Command) -> Outcome {
        Outcome::Running { report: self.report(command), poll: true, event_source: None }
    }

    /// That a command has failed, with what its first failed instances say.
    pub(crate) async fn failed(&self, command: &Command) -> ProviderError {
        let id = command.command_id().unwrap_or_default();
        let status = command.status_details().or(command.status().map(CommandStatus::as_str)).unwrap_or("-");
        let report = self.report(command);
        let state = report.summary.as_deref().unwrap_or_default();
        let mut message = format!("The command {id} to {} ended as {status}: {state}", self.label);
        match self.failed_instances(id).await {
            Ok(instances) => instances.iter().for_each(|words| message = format!("{message}\n{words}")),
            Err(error) => tracing::info!(?error, id, "the output of failed instances cannot be looked at"),
        }
        ProviderError::Failed { code: JOB_FAILED, message, report }
    }

    async fn failed_instances(&self, id: &str) -> Result<Vec<String>, ProviderError> {
        let mut words = Vec::new();
        let invocations = self.invocations(id).await?;
        let failed = invocations.iter().filter(|it| {
            matches!(it.status(), Some(CommandInvocationStatus::Failed | CommandInvocationStatus::TimedOut))
        });
        for instance in failed.filter_map(|it| it.instance_id()).take(FAILED_SHOWN) {
            words.push(self.ending(id, instance).await?);
        }
        Ok(words)
    }

    /// How a command stands on each instance.
    pub(crate) async fn invocations(&self, id: &str) -> Result<Vec<CommandInvocation>, ProviderError> {
        let pages = self.client.list_command_invocations().command_id(id).into_paginator().items().send();
        let all = pages.collect::<Result<Vec<_>, _>>().await;
        all.map_err(|error| ProviderError::aws("ListCommandInvocations", id, &error))
    }

    /// How a command ended on an instance, with the last lines that it printed: on stderr, if there are any.
    pub(crate) async fn ending(&self, id: &str, instance: &str) -> Result<String, ProviderError> {
        let found = self.client.get_command_invocation().command_id(id).instance_id(instance).send().await;
        let found = found.map_err(|error| ProviderError::aws("GetCommandInvocation", instance, &error))?;
        Ok(ending(instance, &found))
    }
}

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
    CancelCommandError:;
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
}
