//! Whom rules tell: SNS topics and chats.
//!
//! A chat's address is a secret, since whoever knows it can write there: it is read for each message, goes nowhere but to that host,
//! and is in no log and no error. Sources of the forms: Slack, 'Sending messages using incoming webhooks' and 'Formatting message
//! text'; Microsoft Teams, 'Create incoming webhooks with Workflows' and the schema of Adaptive Cards.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use http::Uri;
use pipeline::notification::{Chat, Target};
use runtime::{Clients, Settings};
use serde_json::{Value, json};

use crate::line::Line;

/// Until a chat answers.
const PATIENCE: Duration = Duration::from_secs(5);
/// How much of a chat's answer an error quotes, in characters.
const QUOTED: usize = 200;

/// Sends lines to SNS topics and to chats, whose addresses it reads from Secrets Manager.
pub struct Receivers {
    sns: aws_sdk_sns::Client,
    secrets: aws_sdk_secretsmanager::Client,
    /// What the names of chats' secrets begin with.
    prefix: String,
    web: SharedHttpClient,
    /// Whether a chat may be reached without HTTPS: on an emulator.
    plain: bool,
    patience: Duration,
}

impl Receivers {
    /// Chats are reached without HTTPS only where the settings name an endpoint: on an emulator.
    pub fn new(settings: &Settings, clients: &Clients) -> Self {
        let plain = settings.endpoint_url().is_some();
        let web = clients.config().http_client().filter(|_| plain).unwrap_or_else(|| clients.web());
        Self {
            sns: aws_sdk_sns::Client::new(clients.config()),
            secrets: aws_sdk_secretsmanager::Client::new(clients.config()),
            prefix: settings.notify_secrets(),
            web,
            plain,
            patience: PATIENCE,
        }
    }

    /// Another patience, for tests.
    #[cfg(test)]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Sends a message once. `id` tells it from others, for programs that read the topic.
    ///
    /// # Errors
    /// When it was not taken, or nobody knows: the queue decides about another try.
    pub async fn send(&self, target: &Target, line: &Line, id: &str) -> Result<()> {
        match target {
            Target::Topic(arn) => Ok(notify::publish_line(&self.sns, arn, &line.subject, &line.whole(), id).await?),
            Target::Chat(chat, name) => self.post(*chat, name, line).await,
        }
    }

    async fn post(&self, chat: Chat, name: &str, line: &Line) -> Result<()> {
        let url = self.address(name).await?;
        let body = match chat {
            Chat::Slack => slack(line),
            Chat::Teams => teams(line),
        };
        let request = http::Request::post(url)
            .header("content-type", "application/json")
            .header("user-agent", "millrace")
            .body(body.to_string().into_bytes())?;
        let answer = runtime::post(self.web.clone(), request, self.patience).await?;
        if !(200..300).contains(&answer.status) {
            let said = String::from_utf8_lossy(&answer.body);
            let said: String = pages::shown(&said).chars().take(QUOTED).collect();
            bail!("it answered with status {}: {}", answer.status, said.trim());
        }
        Ok(())
    }

    async fn address(&self, name: &str) -> Result<Uri> {
        let secret = format!("{}{name}", self.prefix);
        let got = self.secrets.get_secret_value().secret_id(&secret).send().await;
        let got = got.with_context(|| format!("the secret {secret} cannot be read"))?;
        let url: Option<Uri> = got.secret_string().and_then(|url| url.trim().parse().ok());
        // The secret's content is in no message.
        let url = url.filter(|url| url.authority().is_some());
        let url = url.with_context(|| format!("the secret {secret} is not the URL of a webhook"))?;
        let https = url.scheme_str() == Some("https");
        ensure!(https || self.plain, "the secret {secret} is not the URL of a webhook that is reached by HTTPS");
        Ok(url)
    }
}

/// Slack's three characters that would begin a mention or a link are escaped, and other marks are switched off.
pub fn slack(line: &Line) -> Value {
    let text = line.whole().replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    json!({"text": text, "mrkdwn": false, "unfurl_links": false, "unfurl_media": false})
}

/// A card whose text is a run of a rich text block, in which nothing is markup.
pub fn teams(line: &Line) -> Value {
    let text = json!({"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": line.text}]});
    let mut card = json!({
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": [text],
    });
    if let Some(link) = &line.link {
        card["actions"] = json!([{"type": "Action.OpenUrl", "title": "Open", "url": link}]);
    }
    json!({
        "type": "message",
        "attachments": [{"contentType": "application/vnd.microsoft.card.adaptive", "content": card}],
    })
}
