//! Approval/Manual: tells people, and leaves the answer to them. Source: CodePipeline user guide, 'Manage approval
//! actions in CodePipeline'.
//!
//! Without `NotificationArn` nobody is told, as on AWS; the approval waits all the same. A worker that is lost between
//! the message and the commit has another one send it again: two messages with the same link hurt nobody, none would.

use async_trait::async_trait;
use driver::{Outcome, Task};
use engine::Progress;
use notify::{ApprovalMessage, LinkError, Links, SendError, Ticket};
use runtime::{Clients, SettingError, Settings};

use crate::access::Rights;
use crate::configuration::{optional, title};
use crate::fault::{Fault, JOB_FAILED, PERMISSION_ERROR};
use crate::provider::Provider;

pub(crate) struct Approval {
    /// The region in which pipelines live.
    home: String,
    /// The address of the page on which approvals are answered.
    page: String,
    /// Signs links to it.
    links: Links,
}

impl Approval {
    pub(crate) fn new(settings: &Settings, clients: &Clients) -> Result<Self, SettingError> {
        Ok(Self {
            home: settings.region().to_owned(),
            page: settings.approval_url()?.to_owned(),
            links: Links::new(clients.kms().clone(), settings.hmac_key()?),
        })
    }

    async fn message(&self, task: &Task) -> Result<ApprovalMessage, Fault> {
        let (Some(token), Some(expires)) = (task.token, task.deadline) else {
            return Err(Fault::last(
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
        let review_link = self.links.make(&self.page, &ticket).await?;
        Ok(ApprovalMessage {
            region: self.home.clone(),
            pipeline: ticket.pipeline,
            stage: ticket.stage,
            action: ticket.action,
            token,
            expires,
            review_link,
            external_entity_link: optional(task, "ExternalEntityLink").map(str::to_owned),
            custom_data: optional(task, "CustomData").map(str::to_owned),
            revisions: task.revisions.clone(),
        })
    }
}

#[async_trait]
impl Provider for Approval {
    async fn start(&self, rights: Rights<'_>) -> Result<Outcome, Fault> {
        if let Some(topic) = optional(rights.task, "NotificationArn") {
            let region = topic_region(topic).ok_or_else(|| {
                Fault::configuration(format!("NotificationArn {topic:?} is not the ARN of an SNS topic"))
            })?;
            let sns = rights.session_in(region).await?.sns();
            self.message(rights.task).await?.send(&sns, topic).await?;
        }
        Ok(Outcome::Running { report: Progress::default(), poll: false })
    }
}

/// The region in `arn:aws:sns:REGION:ACCOUNT:NAME`.
fn topic_region(arn: &str) -> Option<&str> {
    match arn.split(':').collect::<Vec<_>>()[..] {
        ["arn", _, "sns", region, _, name] if !region.is_empty() && !name.is_empty() => Some(region),
        _ => None,
    }
}

impl From<LinkError> for Fault {
    fn from(error: LinkError) -> Self {
        match error {
            LinkError::Unavailable { .. } => Self::Retry(error.to_string()),
            _ => Self::configuration(error.to_string()),
        }
    }
}

impl From<SendError> for Fault {
    fn from(error: SendError) -> Self {
        match error.action_error() {
            None => Self::Retry(error.to_string()),
            Some(failure) if failure.code == PERMISSION_ERROR => Self::last(PERMISSION_ERROR, failure.message),
            Some(failure) => Self::configuration(failure.message),
        }
    }
}
