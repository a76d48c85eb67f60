//! The approver's mailbox: emulators send no mail, so it is a queue that is subscribed to the topic.

use anyhow::{Context, Result};
use aws_sdk_sqs::Client;
use local::{HOME, Stack};
use serde::Deserialize;

/// A queue that gets what the approval topic publishes.
pub(super) struct Mailbox {
    client: Client,
    url: String,
}

impl Mailbox {
    /// Opens it and throws away what earlier releases left in it.
    pub async fn open(stack: &Stack, url: &str) -> Result<Self> {
        let mailbox = Self { client: Client::new(&stack.sdk(HOME)), url: url.to_owned() };
        while mailbox.next().await?.is_some() {}
        Ok(mailbox)
    }

    /// The next mail, if one has come.
    pub async fn next(&self) -> Result<Option<Mail>> {
        let received =
            self.client.receive_message().queue_url(&self.url).send().await.context("cannot read the mailbox")?;
        let Some(message) = received.messages().first() else { return Ok(None) };
        let receipt = message.receipt_handle().context("a message without a receipt")?;
        self.client.delete_message().queue_url(&self.url).receipt_handle(receipt).send().await?;
        Mail::read(message.body().unwrap_or_default()).map(Some)
    }
}

/// An approval message ("JSON data format for manual approval notifications", CodePipeline user guide).
pub(super) struct Mail {
    subject: String,
    approval: Approval,
    /// The link to the page.
    pub link: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Approval {
    pipeline_name: String,
    stage_name: String,
    action_name: String,
    expires: String,
    approval_review_link: String,
    external_entity_link: Option<String>,
    custom_data: Option<String>,
}

#[derive(Deserialize)]
struct Message {
    approval: Approval,
}

/// What SNS wraps around a message to a queue.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Envelope {
    subject: Option<String>,
    message: String,
}

impl Mail {
    fn read(body: &str) -> Result<Self> {
        let envelope: Envelope = serde_json::from_str(body).context("the mail did not come from SNS")?;
        let Message { approval } =
            serde_json::from_str(&envelope.message).context("the mail is not about an approval")?;
        let link = approval.approval_review_link.clone();
        Ok(Self { subject: envelope.subject.unwrap_or_default(), approval, link })
    }

    /// The mail as the demo prints it: subject, names, the author's words, links.
    pub fn text(&self) -> String {
        let Approval { pipeline_name, stage_name, action_name, expires, .. } = &self.approval;
        let mut text = format!(
            "\n  Subject: {}\n\n  {pipeline_name} / {stage_name} / {action_name} waits for you, until {expires}\n",
            self.subject
        );
        if let Some(words) = &self.approval.custom_data {
            text += &format!("  {words}\n");
        }
        if let Some(link) = &self.approval.external_entity_link {
            text += &format!("  What is to be reviewed: {link}\n");
        }
        text + &format!("  Approve or reject: {}\n", self.link)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_shows_what_an_approver_must_know() {
        let message = serde_json::json!({"region": "eu-west-1", "consoleLink": "x", "approval": {
            "pipelineName": "demo", "stageName": "Release", "actionName": "Approve", "expires": "2026-11-30T12:00Z", "token": "secret",
            "approvalReviewLink": "http://127.0.0.1/approve?t=1", "customData": "Shall it?"}});
        let body =
            serde_json::json!({"Type": "Notification", "Subject": "APPROVAL NEEDED", "Message": message.to_string()})
                .to_string();
        let mail = Mail::read(&body).unwrap();
        assert_eq!(mail.link, "http://127.0.0.1/approve?t=1");
        for part in ["APPROVAL NEEDED", "demo / Release / Approve", "2026-11-30T12:00Z", "Shall it?", "approve?t=1"] {
            assert!(mail.text().contains(part), "{part} is missing in {}", mail.text());
        }
    }

    #[test]
    fn other_messages_are_no_mail() {
        assert!(Mail::read("{}").is_err());
        assert!(Mail::read(r#"{"Message": "hello"}"#).is_err());
    }
}
