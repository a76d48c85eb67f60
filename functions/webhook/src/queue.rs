//! The queue of `trigger`, which starts what is put there.

use anyhow::Context;
use driver::QueuedStart;

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
        let body = serde_json::to_string(start)?;
        let sent = self.sqs.send_message().queue_url(&self.url).message_body(body).send().await;
        sent.context("the start cannot be put into the queue")?;
        Ok(())
    }
}
