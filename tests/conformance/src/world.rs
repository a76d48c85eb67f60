//! Everything behind the API: a driver over the in-memory store, and providers that do as their actions' names say.

use std::sync::Arc;

use api::App;
use driver::{Driver, Outcome, Setup, Task};
use engine::{ActionError, Policy, Progress, Revision, Success, Timestamp};
use lambda_http::{Body, IntoResponse};
use runtime::{Clients, JobIds, PassRole, Roles, Settings};
use serde_json::{Value, json};
use store::MemoryStore;
use testkit::{Outbox, Stub, TestClock, TestExecutor};
use wire::{Operation, Protocol};

use crate::protocol;

/// The account of every world.
pub const ACCOUNT: &str = "111122223333";
/// The region of every world.
pub const REGION: &str = "eu-west-1";
/// The ARN of the user who calls in every world.
pub const CALLER: &str = "arn:aws:iam::111122223333:user/ada";

/// An answer of the API.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The HTTP status of the answer.
    pub status: u16,
    /// The header that names an error.
    pub error: Option<String>,
    /// The body, decoded from either protocol.
    pub body: Value,
}

/// An API of its own, with an empty table.
pub struct World {
    app: App,
    outbox: Arc<Outbox>,
}

/// What STS answers: every role may be assumed.
const ASSUMED: &str = "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>JOB</AccessKeyId>\
    <SecretAccessKey>job-secret</SecretAccessKey><SessionToken>job-token</SessionToken>\
    <Expiration>2999-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>";

/// The API over a driver: every role may be assumed, nobody is asked about those who pass them, and KMS gives the key for
/// the ids of jobs.
fn app(driver: Driver) -> App {
    let aws = Stub::new(|request| match request.operation() {
        "GenerateMac" => {
            let mac = json!({"KeyId": "k", "Mac": Body::Binary(vec![7; 32]), "MacAlgorithm": "HMAC_SHA_256"});
            testkit::Answer::ok(mac.to_string())
        }
        _ => {
            assert!(request.body.contains("Action=AssumeRole"), "{}", request.body);
            testkit::Answer::ok(ASSUMED)
        }
    });
    let settings = Settings::read(|name| match name {
        "AWS_REGION" => Some(REGION.into()),
        "MILLRACE_ACCOUNT" => Some(ACCOUNT.into()),
        "MILLRACE_HMAC_KEY" => Some("hmac-key".into()),
        "MILLRACE_PASS_ROLE" => Some("unchecked".into()),
        _ => None,
    });
    let (settings, clients) = (settings.unwrap(), Clients::from_config(aws.config()));
    let pass_role = PassRole::new(&settings, &clients).unwrap();
    let job_ids = JobIds::new(&settings, &clients).unwrap();
    App::new(driver, ACCOUNT, Roles::new(&aws.config(), ACCOUNT), pass_role, job_ids).with_root(true)
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl World {
    /// A world without pipelines, whose clock advances by a millisecond whenever it is read.
    pub fn new() -> Self {
        let outbox = Arc::new(Outbox::default());
        let driver = Driver::new(Setup {
            store: Arc::new(MemoryStore::new()),
            dispatch: outbox.clone(),
            clock: Arc::new(TestClock::ticking(Timestamp(1_700_000_000_000))),
            policy: Policy::default(),
            home: REGION.into(),
            sources: providers::SOURCES,
        });
        Self { app: app(driver), outbox }
    }

    /// Calls an operation as API Gateway passes the call on.
    pub async fn call(&self, protocol: Protocol, operation: Operation, input: &Value) -> Answer {
        let (path, headers, body) = protocol::request(protocol, operation, input);
        let mut event = json!({
            "resource": "/", "path": path, "httpMethod": "POST", "headers": {}, "multiValueHeaders": {},
            "requestContext": {
                "accountId": ACCOUNT, "apiId": "abc123", "stage": "live", "requestId": "request-1", "resourcePath": "/",
                "httpMethod": "POST", "identity": {"userArn": CALLER, "sourceIp": "127.0.0.1"}
            },
        });
        for (name, value) in headers {
            event["headers"][name] = json!(value);
            event["multiValueHeaders"][name] = json!([value]);
        }
        let binary = protocol == Protocol::RpcV2Cbor;
        event["isBase64Encoded"] = json!(binary);
        event["body"] = match binary {
            // Base64, as events hold it.
            true => serde_json::to_value(Body::Binary(body)).unwrap(),
            false => String::from_utf8(body).unwrap().into(),
        };
        let request = lambda_http::request::from_str(&event.to_string()).unwrap();
        let (parts, body) = api::handle(&self.app, request).await.into_response().await.into_parts();
        let body = match body {
            Body::Text(text) if !binary => text.into_bytes(),
            Body::Binary(bytes) if binary => bytes,
            other => panic!("{operation}: API Gateway would not pass on {other:?}"),
        };
        Answer {
            status: parts.status.as_u16(),
            error: parts.headers.get("x-amzn-errortype").map(|name| name.to_str().unwrap().to_owned()),
            body: protocol::answer(protocol, &body),
        }
    }

    /// Calls an operation that must succeed, to prepare the world for another.
    pub async fn done(&self, operation: Operation, input: Value) -> Value {
        let answer = self.call(Protocol::AwsJson11, operation, &input).await;
        assert_eq!(answer.status, 200, "{operation}: {}", answer.body);
        answer.body
    }

    /// The id under which the job of an action or rule execution is given out.
    pub async fn job(&self, execution: &Value) -> String {
        self.app.job_ids.job(execution.as_str().unwrap().parse().unwrap()).await.unwrap()
    }

    /// Works on everything that was dispatched, until nothing is left but what waits for people and jobs.
    pub async fn work(&self) {
        self.outbox.work(&self.app.driver, &TestExecutor::new(start)).await;
    }
}

/// Sources find a revision; approvals, jobs and rules wait; an action of the name `Broken` fails.
fn start(task: &Task) -> Outcome {
    let report = Progress::default();
    match (task.action.type_id.category.as_str(), task.action.name.as_str()) {
        (_, "Broken") => Outcome::Failed {
            error: ActionError { code: "ConfigurationError".into(), message: "It is broken".into() },
            report,
        },
        ("Source", _) if task.action.type_id.owner.as_deref() == Some("AWS") => Outcome::Succeeded(Success {
            outputs: task.outputs.clone(),
            revision: Some(Revision { id: "v1".into(), summary: None, url: None, created: None, change: None }),
            ..Success::default()
        }),
        _ if task.action.is_polled() => Outcome::Running { report, poll: false, event_source: None },
        ("Source" | "Approval" | "Invoke" | "Rule", _) => Outcome::Running { report, poll: false, event_source: None },
        _ => Outcome::Succeeded(Success { report, ..Success::default() }),
    }
}
