//! The queue of `trigger`, which starts what is put there.

use anyhow::Context;
use driver::{GitDelivery, QueuedStart};
use serde_json::json;

/// Takes what is to be started, and delivers it to `trigger` until it has been started.
#[derive(Clone, Debug)]
pub struct StartQueue {
    sqs: aws_sdk_sqs::Client,
    url: String,
}

impl StartQueue {
    /// The queue at this URL.
    pub fn new(sqs: aws_sdk_sqs::Client, url: String) -> Self {
        Self { sqs, url }
    }

    /// Puts a start there. Once it is there it is not lost any more.
    ///
    /// # Errors
    /// When the queue does not take it.
    pub async fn put(&self, start: &QueuedStart) -> anyhow::Result<()> {
        self.send(serde_json::to_string(start)?).await
    }

    /// Puts an event of a Git repository there, for all pipelines that it may start.
    ///
    /// # Errors
    /// When the queue does not take it.
    pub async fn put_git(&self, git: &GitDelivery) -> anyhow::Result<()> {
        self.send(json!({"git": git}).to_string()).await
    }

    async fn send(&self, body: String) -> anyhow::Result<()> {
        let sent = self.sqs.send_message().queue_url(&self.url).message_body(body).send().await;
        sent.context("the start cannot be put into the queue")?;
        Ok(())
    }
}
