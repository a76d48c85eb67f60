//! Approval/Manual: tells people, and leaves the answer to them. Source: CodePipeline user guide, 'Manage approval
//! actions in CodePipeline'.
//!
//! Without `NotificationArn` nobody is told, as on AWS; the approval waits all the same. A worker that is lost between
//! the message and the commit has another one send it again: two messages with the same link hurt nobody, none would.

use async_trait::async_trait;
use driver::{Outcome, Task};
use engine::{Progress, Success};
use notify::{ApprovalMessage, LinkError, SendError, Ticket};
use serde::Deserialize;

use crate::approval_links::ApprovalLinks;
use crate::configuration::{read, title};
use crate::context::ActionContext;
use crate::error::{JOB_FAILED, PERMISSION_ERROR, ProviderError};
use crate::permission::{Permission, Permissions};
use crate::provider::{Descriptor, Documentation, Implements, Provider, ProviderInfo, Tried, attempt_id, unchanged};

pub(crate) const PROVIDER: Descriptor = Descriptor {
    info: ProviderInfo::of(
        &[Implements::aws("Approval", "Manual")],
        PERMISSIONS,
        Documentation {
            file: file!(),
            ends: "when a person answers",
            tried: Tried::Emulators,
            differs: "The message has a link that answers without a console login, where the installation has links. \
                      `ApproveUnchanged` is Millrace's own: with `true` the action succeeds at once, and asks nobody, where the \
                      stages behind it run the same revisions already, by the same version of the pipeline and with the same \
                      variables, and no change set waits.",
        },
    ),
    provider: &Approval,
    token: attempt_id,
};

const PERMISSIONS: Permissions = Permissions::of(&[&[Permission::new(&["sns:Publish"], |scope| {
    scope.value("NotificationArn").into_iter().collect()
})]]);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Configuration<'a> {
    notification_arn: Option<&'a str>,
    external_entity_link: Option<&'a str>,
    custom_data: Option<&'a str>,
}

async fn message(
    links: &ApprovalLinks,
    task: &Task,
    configuration: Configuration<'_>,
) -> Result<ApprovalMessage, ProviderError> {
    let (Some(token), Some(expires)) = (task.token, task.deadline) else {
        return Err(ProviderError::failed(
            JOB_FAILED,
            format!("{} was requested without a token or a time-out", title(task)),
        ));
    };
    let ticket = Ticket {
        action_id: task.id,
        token,
        expires,
        pipeline: task.pipeline.to_string(),
        stage: task.stage.to_string(),
        action: task.action.name.to_string(),
    };
    let review = links.review(&ticket).await?;
    Ok(ApprovalMessage {
        region: links.home().to_owned(),
        pipeline: ticket.pipeline,
        stage: ticket.stage,
        action: ticket.action,
        token,
        expires,
        review,
        external_entity_link: configuration.external_entity_link.map(str::to_owned),
        custom_data: configuration.custom_data.map(str::to_owned),
        proposal: task.proposal.as_deref().cloned().unwrap_or_default(),
        artifacts: task.reviewed.clone(),
    })
}

struct Approval;

#[async_trait]
impl Provider for Approval {
    async fn start(&self, context: ActionContext<'_>) -> Result<Outcome, ProviderError> {
        let configuration: Configuration<'_> = read(context.task)?;
        if context.task.approves_itself {
            let summary = Some("Approved by itself: nothing would change".to_owned());
            let report = Progress { summary, ..Progress::default() };
            return Ok(Outcome::Succeeded(Success { report, ..Success::default() }));
        }
        if let Some(topic) = configuration.notification_arn {
            let region = topic_region(topic).ok_or_else(|| {
                ProviderError::configuration(format!(
                    "NotificationArn is {topic:?}: it must be the ARN of an SNS topic"
                ))
            })?;
            let sns = context.session_in(region).await?.sns();
            let message = message(context.approval_links, context.task, configuration).await?;
            message.send(&sns, topic).await?;
        }
        unchanged()
    }

    async fn poll(&self, _: ActionContext<'_>) -> Result<Outcome, ProviderError> {
        unchanged()
    }
}

/// The region of an SNS topic's ARN; none for what is no such ARN.
fn topic_region(arn: &str) -> Option<&str> {
    match arn.split(':').collect::<Vec<_>>()[..] {
        ["arn", _, "sns", region, _, name] if !region.is_empty() && !name.is_empty() => Some(region),
        _ => None,
    }
}

impl From<LinkError> for ProviderError {
    fn from(error: LinkError) -> Self {
        match error {
            LinkError::Unavailable { .. } => Self::Retryable(error.to_string()),
            _ => Self::configuration(error.to_string()),
        }
    }
}

impl From<SendError> for ProviderError {
    fn from(error: SendError) -> Self {
        match error.action_error() {
            None => Self::Retryable(error.to_string()),
            Some(failure) if failure.code == PERMISSION_ERROR => Self::failed(PERMISSION_ERROR, failure.message),
            Some(failure) => Self::configuration(failure.message),
        }
    }
}
