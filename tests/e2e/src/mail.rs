//! The mails that approvers get, read from a queue that is subscribed to the topic.

use std::sync::Arc;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::case::Case;
use crate::wait::{PATIENCE, until};

/// The mailbox of a topic's subscriber.
#[derive(Debug)]
pub struct Mailbox {
    case: Arc<Case>,
    /// The ARN of the topic that approval actions name.
    pub topic: String,
    queue: String,
}

/// An approval message, as far as a case looks at it.
#[derive(Debug)]
pub struct Mail {
    /// The link to the approval page.
    pub link: String,
    /// The member `approval` of the message.
    pub approval: Value,
}

impl Mailbox {
    pub(crate) const fn new(case: Arc<Case>, topic: String, queue: String) -> Self {
        Self { case, topic, queue }
    }

    /// Waits for the next mail.
    pub async fn next(&self) -> Result<Mail> {
        let bodies = until(
            PATIENCE,
            || "no approval message has come".to_owned(),
            || async {
                let bodies = self.case.receive(&self.queue).await?;
                Ok((!bodies.is_empty()).then_some(bodies))
            },
        );
        let body = bodies.await?.into_iter().next().unwrap_or_default();
        let envelope: Value = serde_json::from_str(&body)?;
        let message = envelope["Message"].as_str().context("the message did not come from SNS")?;
        let message: Value = serde_json::from_str(message).context("the message is not JSON")?;
        let approval = message["approval"].clone();
        let link = approval["approvalReviewLink"].as_str().context("the message has no link")?.to_owned();
        Ok(Mail { link, approval })
    }
}
