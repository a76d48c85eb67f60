//! A door with three webhooks of one pipeline, and what is sent to it.

use std::collections::BTreeMap;
use std::sync::Arc;

use driver::{Driver, QueuedStart, Setup};
use engine::Timestamp;
use hmac::{Hmac, KeyInit, Mac};
use lambda_http::Request;
use pipeline::testing::github_example;
use pipeline::webhook::{Authentication, Filter, IpRange, JsonPath, Secret, Webhook};
use pipeline::{ActionName, PipelineName, WebhookName};
use serde_json::{Value, json};
use sha1::Sha1;
use sha2::Sha256;
use store::{MemoryStore, StoredWebhook, WebhookCalls};
use testkit::{Answer, Outbox, Stub, TestClock, create, setup};

use crate::Receivers;
use crate::connections::Connections;
use crate::queue::StartQueue;
use crate::webhooks::Webhooks;

pub const SECRET: &str = "hunter3";
pub const COMMIT: &str = "0d1a26e67d8f5eaf1f6ba5c57fc3c7d91ac0fd1c";

/// What GitHub delivers of a push, in its shape.
pub fn push(reference: &str, after: &str) -> Value {
    json!({
        "ref": reference, "before": "6113728f27ae82c7b1a177c8d03f9e96e0adf246", "after": after,
        "created": false, "deleted": false, "forced": false, "base_ref": null,
        "compare": "https://github.com/us/app/compare/6113728f27ae...0d1a26e67d8f",
        "commits": [{"id": after, "message": "Faster", "added": [], "removed": [], "modified": ["src/main.rs"]}],
        "head_commit": {"id": after, "message": "Faster", "timestamp": "2026-11-26T10:00:00+01:00"},
        "repository": {"id": 1, "name": "app", "full_name": "us/app", "private": true, "default_branch": "main"},
        "pusher": {"name": "ada", "email": "ada@example.com"}, "sender": {"login": "ada", "id": 7},
    })
}

pub fn sha256(secret: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body);
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

pub fn sha1(secret: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha1>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body);
    format!("sha1={}", hex::encode(mac.finalize().into_bytes()))
}

/// A request as it is sent.
#[derive(Clone, Debug)]
pub struct Sent {
    pub path: String,
    pub key: String,
    pub headers: Vec<(String, String)>,
    pub source: String,
    pub body: String,
}

impl Sent {
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// As API Gateway gives it to the function.
    pub fn request(&self) -> Request {
        let mut headers: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (name, value) in &self.headers {
            headers.entry(name).or_default().push(value);
        }
        let event = json!({
            "resource": "/webhooks/{proxy+}", "path": format!("/webhooks/{}", self.path), "httpMethod": "POST",
            "headers": {}, "multiValueHeaders": headers, "pathParameters": {"proxy": self.path},
            "queryStringParameters": {"key": self.key}, "multiValueQueryStringParameters": {"key": [self.key]},
            "body": self.body, "isBase64Encoded": false,
            "requestContext": {
                "accountId": "111122223333", "apiId": "abc123", "stage": "live", "requestId": "r1",
                "resourcePath": "/webhooks/{proxy+}", "httpMethod": "POST", "identity": {"sourceIp": self.source},
            },
        });
        lambda_http::request::from_str(&event.to_string()).unwrap()
    }
}

pub struct World {
    pub receivers: Receivers,
    /// Another driver over the same table: the API's.
    pub driver: Driver,
    pub clock: Arc<TestClock>,
    pub queue: Stub,
    /// Secrets Manager, in which the connection `c-1` has a secret for deliveries.
    pub secrets: Stub,
}

fn deliveries_secret(request: &testkit::Request) -> Answer {
    let asked: Value = serde_json::from_str(&request.body).unwrap();
    match asked["SecretId"].as_str().unwrap() {
        "millrace/connections/c-1/deliveries" => Answer::ok(json!({"SecretString": SECRET}).to_string()),
        _ => Answer { status: 400, body: r#"{"__type": "ResourceNotFoundException", "message": "none"}"#.into() },
    }
}

impl World {
    /// The pipeline and its webhooks: `push` is signed, `ranged` comes from 192.0.2.0/24, `open` needs no proof.
    pub async fn new() -> Self {
        Self::with(|_| Answer::ok(r#"{"MessageId": "m"}"#)).await
    }

    pub async fn with(reply: impl Fn(&testkit::Request) -> Answer + Send + Sync + 'static) -> Self {
        let (store, outbox) = (Arc::new(MemoryStore::new()), Arc::new(Outbox::default()));
        let clock = Arc::new(TestClock::standing(Timestamp(1_700_000_000_000)));
        let driver = || Driver::new(Setup { sources: providers::SOURCES, ..setup(&store, &outbox, &clock) });
        let queue = Stub::new(reply);
        let sqs = runtime::Clients::from_config(queue.config()).sqs().clone();
        let starts = StartQueue::new(sqs, "https://queue".into());
        let webhooks = Webhooks::new(driver(), starts.clone(), "111122223333".into());
        let secrets = Stub::new(deliveries_secret);
        let client = aws_sdk_secretsmanager::Client::new(&secrets.config());
        let connections = Connections::new(driver(), starts, client, "millrace/connections/".into());
        let receivers = Receivers { webhooks, connections };
        let world = Self { receivers, driver: driver(), clock, queue, secrets };
        create(&world.driver, github_example()).await;
        world.put("push", Authentication::GithubHmac { secret: Secret::new(SECRET) }).await;
        world.put("ranged", Authentication::Ip { range: IpRange::new("192.0.2.0/24").unwrap() }).await;
        world.put("open", Authentication::Unauthenticated).await;
        world
    }

    pub async fn put(&self, name: &str, authentication: Authentication) {
        let filter =
            Filter { json_path: JsonPath::new("$.ref").unwrap(), match_equals: Some("refs/heads/{Branch}".into()) };
        let webhook = Webhook {
            name: WebhookName::new(name).unwrap(),
            target_pipeline: PipelineName::new("release").unwrap(),
            target_action: ActionName::new("Fetch").unwrap(),
            filters: vec![filter],
            authentication,
        };
        self.driver.put_webhook(webhook, None).await.unwrap();
    }

    pub async fn stored(&self, name: &str) -> StoredWebhook {
        self.driver.webhook(&WebhookName::new(name).unwrap()).await.unwrap()
    }

    pub async fn calls(&self, name: &str) -> Option<WebhookCalls> {
        self.driver.webhook_calls(&[&self.stored(name).await]).await.unwrap().remove(0)
    }

    /// The code of the last error that was noted.
    pub async fn error(&self, name: &str) -> Option<String> {
        Some(self.calls(name).await?.error?.code)
    }

    /// A request that knows the webhook's URL and proves nothing.
    pub async fn to(&self, name: &str, body: &Value) -> Sent {
        Sent {
            path: name.into(),
            key: self.stored(name).await.key.reveal().into(),
            headers: vec![("content-type".into(), "application/json".into())],
            source: "192.0.2.7".into(),
            body: body.to_string(),
        }
    }

    /// A delivery to the webhook `push`, with GitHub's signature of the body under its secret.
    pub async fn signed(&self, body: &Value) -> Sent {
        let sent = self.to("push", body).await;
        let signature = sha256(SECRET, sent.body.as_bytes());
        sent.with("x-hub-signature-256", signature)
    }

    /// The status of the answer.
    pub async fn deliver(&self, sent: &Sent) -> u16 {
        crate::open(&self.receivers, &sent.request()).await.unwrap().status().as_u16()
    }

    /// What was asked to be started so far.
    pub fn starts(&self) -> Vec<QueuedStart> {
        let start = |request: testkit::Request| {
            let message: Value = serde_json::from_str(&request.body).unwrap();
            assert_eq!(message["QueueUrl"], "https://queue");
            serde_json::from_str(message["MessageBody"].as_str().unwrap()).unwrap()
        };
        self.queue.requests().into_iter().map(start).collect()
    }
}
