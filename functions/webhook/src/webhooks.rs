//! Webhooks of CodePipeline's API: `PutWebhook` gives one its URL, and whoever calls it starts its pipeline.

use std::collections::BTreeMap;

use driver::{DriveError, Driver, QueuedStart, StartRequest};
use engine::{RevisionOverride, Timestamp, Trigger};
use pipeline::WebhookName;
use pipeline::webhook::{Authentication, Webhook};
use providers::Pushed;
use sha2::{Digest, Sha256};
use store::{ChangeOrigin, StoredWebhook};
use subtle::ConstantTimeEq;

use crate::http::{Answer, Delivery};
use crate::queue::StartQueue;
use crate::signature::is_signed;

/// The same body without a signature and without an id of the delivery is the same delivery for this many milliseconds: as
/// long as a sender tries again, but not so long that a script which always sends the same could start nothing any more.
const SAME_BODY: i64 = 5 * 60_000;

/// Receives what is delivered to webhooks.
pub struct Webhooks {
    driver: Driver,
    queue: StartQueue,
    account: String,
}

/// Why a call that knows the webhook's URL is refused: what its owner and the sender are told.
struct Refusal {
    code: &'static str,
    message: String,
    answer: Answer,
}

impl Refusal {
    fn new(code: &'static str, message: impl Into<String>, answer: Answer) -> Self {
        Self { code, message: message.into(), answer }
    }
}

/// What tells a delivery from others, and for how many milliseconds.
struct DeliveryId {
    id: String,
    lasts: i64,
}

impl Webhooks {
    /// Webhooks of this account, whose starts go into this queue.
    pub fn new(driver: Driver, queue: StartQueue, account: String) -> Self {
        Self { driver, queue, account }
    }

    /// Takes a delivery to the webhook of this name.
    ///
    /// # Errors
    /// When the table, the key or the queue cannot be reached: the sender may deliver again.
    pub async fn receive(&self, name: &str, delivery: &Delivery<'_>) -> anyhow::Result<Answer> {
        let Some(stored) = self.find(name, &delivery.key).await? else { return Ok(Answer::UNKNOWN) };
        match self.accepted(&stored, delivery).await? {
            Ok(answer) => Ok(answer),
            Err(Refusal { code, message, answer }) => {
                tracing::info!(webhook = name, code, request = delivery.request, "refused");
                self.driver.note_webhook_error(&stored, code, &message).await?;
                Ok(answer)
            }
        }
    }

    /// The webhook, if this is its key. Who does not know the key does not learn whether there is such a webhook.
    async fn find(&self, name: &str, key: &str) -> Result<Option<StoredWebhook>, DriveError> {
        let Ok(name) = WebhookName::new(name) else { return Ok(None) };
        match self.driver.webhook(&name).await {
            Ok(stored) if bool::from(stored.key.reveal().as_bytes().ct_eq(key.as_bytes())) => Ok(Some(stored)),
            Ok(_) | Err(DriveError::WebhookNotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn accepted(
        &self,
        stored: &StoredWebhook,
        delivery: &Delivery<'_>,
    ) -> anyhow::Result<Result<Answer, Refusal>> {
        let webhook = &stored.webhook;
        if let Some(refusal) = self.unproven(stored, delivery).await? {
            return Ok(Err(refusal));
        }
        // GitHub's way to try a new webhook. Source: GitHub documentation, 'Webhook events and payloads', `ping`.
        if delivery.header("x-github-event") == Some("ping") {
            return Ok(Ok(Answer::PASSED_OVER));
        }
        let body = match delivery.payload() {
            Ok(body) => body,
            Err(answer) => return Ok(Err(Refusal::new("InvalidPayload", answer.message, answer))),
        };
        let pipeline = match self.driver.pipeline(&webhook.target_pipeline, None).await {
            Ok(record) => record.pipeline,
            Err(error @ DriveError::PipelineNotFound(_)) => {
                return Ok(Err(Refusal::new("PipelineNotFound", error.to_string(), Answer::UNFIT)));
            }
            Err(error) => return Err(error.into()),
        };
        let unfit = |error: pipeline::webhook::InvalidTarget| {
            Ok(Err(Refusal::new("InvalidTarget", error.to_string(), Answer::UNFIT)))
        };
        let action = match webhook.passes(&pipeline, &body) {
            Ok(true) => match webhook.target(&pipeline) {
                Ok(action) => action,
                Err(error) => return unfit(error),
            },
            Ok(false) => return Ok(Ok(Answer::PASSED_OVER)),
            Err(error) => return unfit(error),
        };
        let overrides = match providers::pushed(action, &body) {
            Pushed::Gone => return Ok(Ok(Answer::PASSED_OVER)),
            Pushed::Unknown => Vec::new(),
            Pushed::Revision(kind, value) => vec![RevisionOverride::new(action.name.clone(), kind, value)],
        };
        self.start(stored, delivery, overrides).await.map(Ok)
    }

    /// Why the call does not prove that it may start the pipeline, if so.
    async fn unproven(&self, stored: &StoredWebhook, delivery: &Delivery<'_>) -> Result<Option<Refusal>, DriveError> {
        let refusal = match &stored.webhook.authentication {
            Authentication::GithubHmac { .. } => {
                let secret = self.driver.webhook_secret(stored).await?;
                let signed = secret.is_some_and(|secret| is_signed(delivery, secret.reveal()));
                let message =
                    "A call was not signed with the webhook's SecretToken (X-Hub-Signature-256 or X-Hub-Signature).";
                (!signed).then(|| Refusal::new("InvalidSignature", message, Answer::UNPROVEN))
            }
            Authentication::Ip { range } => {
                let within = delivery.source.is_some_and(|source| range.contains(source));
                let from = delivery.source.map_or_else(|| "an unknown address".to_owned(), |it| it.to_string());
                let message = format!("A call came from {from}, which is not in the AllowedIPRange {range}.");
                (!within).then(|| Refusal::new("SourceIpNotAllowed", message, Answer::UNPROVEN))
            }
            Authentication::Unauthenticated => None,
        };
        Ok(refusal)
    }

    /// Asks for the start, once for each delivery. Whoever dies before the note is made is delivered to again; the start's
    /// token then says that there was one.
    async fn start(
        &self,
        stored: &StoredWebhook,
        delivery: &Delivery<'_>,
        overrides: Vec<RevisionOverride>,
    ) -> anyhow::Result<Answer> {
        let Webhook { name, target_pipeline, .. } = &stored.webhook;
        let receiver = format!("{name}#{}", stored.created.0);
        let DeliveryId { id, lasts } = identify(&stored.webhook, delivery);
        let before = self.driver.delivered(&receiver, &id).await?;
        if before.is_some_and(|before| self.driver.now().since(before) < lasts) {
            return Ok(Answer::REPEATED);
        }
        let arn = runtime::arn::webhook(self.driver.home(), &self.account, name.as_str());
        let Timestamp(before) = before.unwrap_or_default();
        let start = QueuedStart {
            start: StartRequest {
                pipeline: target_pipeline.clone(),
                trigger: Trigger { kind: "Webhook".into(), detail: arn.clone() },
                variables: BTreeMap::new(),
                overrides,
                client_token: Some(format!("webhook#{receiver}#{id}#{before}")),
            },
            by: ChangeOrigin {
                caller: arn,
                source: delivery.source.map(|source| source.to_string()),
                request: delivery.request.clone(),
            },
        };
        self.queue.put(&start).await?;
        self.driver.note_webhook_triggered(stored, &receiver, &id).await?;
        tracing::info!(webhook = %name, pipeline = %target_pipeline, request = delivery.request, "accepted");
        Ok(Answer::ACCEPTED)
    }
}

/// What is signed is the body: whoever repeats it can change all headers, and GitHub sends no body twice, except to deliver
/// the same again. Without a signature there is nothing that a repetition could prove, and the sender's id of the delivery
/// says what it is.
fn identify(webhook: &Webhook, delivery: &Delivery<'_>) -> DeliveryId {
    let signed = matches!(webhook.authentication, Authentication::GithubHmac { .. });
    match delivery.header("x-github-delivery").filter(|_| !signed) {
        Some(id) => DeliveryId { id: hash(id.as_bytes()), lasts: i64::MAX },
        None => DeliveryId { id: hash(delivery.body), lasts: if signed { i64::MAX } else { SAME_BODY } },
    }
}

fn hash(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}
