//! Everything behind the API: a driver over the in-memory store, providers that do as their actions' names say, and AWS as
//! [`cloud`] plays it.

use std::sync::Arc;

use api::App;
use driver::{Driver, Outcome, Setup, Task};
use engine::{ActionError, Artifact, External, Progress, Revision, Success, Timestamp};
use runtime::{CallLog, Clients, JobIds, PassRole, Roles, Settings};
use serde_json::Value;
use store::MemoryStore;
use testkit::{Aws, Outbox, TestClock, TestExecutor, setup};
use wire::{Operation, Protocol};

use crate::cloud::{self, Stored, stored_pin};
use crate::{gateway, protocol};

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
    /// The handler under test.
    pub app: Arc<App>,
    /// The table, for tests that look into it or write behind the handler's back.
    pub store: Arc<MemoryStore>,
    /// The clock of the driver, which tests may move on.
    pub clock: Arc<TestClock>,
    /// What answers in AWS's place, and remembers what it was asked.
    pub aws: Aws,
    outbox: Arc<Outbox>,
}

/// The API over a driver and AWS.
fn app(driver: Driver, aws: &Aws) -> App {
    let settings = Settings::read(|name| match name {
        "AWS_REGION" => Some(REGION.into()),
        "MILLRACE_ACCOUNT" => Some(ACCOUNT.into()),
        "MILLRACE_HMAC_KEY" => Some("hmac-key".into()),
        "MILLRACE_AUDIT_QUEUE_URL" => Some("https://sqs.eu-west-1.amazonaws.com/111122223333/audit".into()),
        _ => None,
    });
    let (settings, clients) = (settings.unwrap(), Clients::from_config(aws.config()));
    let pass_role = PassRole::new(&settings, &clients).unwrap();
    let job_ids = JobIds::new(&settings, &clients).unwrap();
    let calls = CallLog::new(&settings, &clients).unwrap();
    App::new(driver, ACCOUNT, Roles::new(&aws.config(), ACCOUNT), pass_role, job_ids, calls, clients.web())
        .with_root(true)
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl World {
    /// A world without pipelines, whose clock advances by a millisecond whenever it is read.
    pub fn new() -> Self {
        let (aws, outbox) = (cloud::cloud(), Arc::new(Outbox::default()));
        let store = Arc::new(MemoryStore::new());
        let clock = Arc::new(TestClock::ticking(Timestamp(1_700_000_000_000)));
        let driver = Driver::new(Setup { sources: providers::SOURCES, ..setup(&store, &outbox, &clock) });
        Self { app: Arc::new(app(driver, &aws)), store, clock, aws, outbox }
    }

    /// Delivers a request of [`CALLER`]'s as API Gateway does.
    pub async fn deliver(
        &self,
        path: &str,
        headers: &[(impl AsRef<str>, impl AsRef<str>)],
        body: &[u8],
    ) -> gateway::Response {
        gateway::deliver(Some(CALLER), &self.app, path, headers, body).await
    }

    /// Calls an operation by its raw JSON input, through the gateway, in this protocol.
    pub async fn call(&self, protocol: Protocol, operation: Operation, input: &Value) -> Answer {
        let (path, headers) = protocol::address(protocol, operation.name());
        let body = protocol::body(protocol, operation, input);
        let (status, headers, body) = self.deliver(&path, &headers, &body).await;
        let error = headers.into_iter().find(|(name, _)| name == "x-amzn-errortype").map(|(_, value)| value);
        Answer { status, error, body: protocol::answer(protocol, &body) }
    }

    /// Calls an operation that must succeed, to prepare the world for another.
    pub async fn done(&self, operation: Operation, input: Value) -> Value {
        let answer = self.call(Protocol::AwsJson11, operation, &input).await;
        assert_eq!(answer.status, 200, "{operation}: {}", answer.body);
        answer.body
    }

    /// The id under which the job of an action or rule execution is given out.
    pub async fn job(&self, execution: &str) -> String {
        self.app.job_ids.job(execution.parse().unwrap()).await.unwrap()
    }

    /// Works on everything that was dispatched, until nothing is left but what waits for people and jobs.
    pub async fn work(&self) {
        self.outbox.work(&self.app.driver, &TestExecutor::new(start)).await;
    }

    /// From now on everybody may pass every role but this one.
    pub fn nobody_passes(&self, role: &str) {
        cloud::allow_to_pass_all_but(&self.aws, Some(role));
    }

    /// From now on no role may be assumed.
    pub fn no_role_is_assumed(&self) {
        let error = "<ErrorResponse><Error><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>";
        self.aws.on("AssumeRole", 403, error);
    }

    /// From now on S3 has this under every key.
    pub fn stores(&self, stored: Stored) {
        cloud::store(&self.aws, stored);
    }
}

/// AWS's sources find version `v1`, others take what was reported; approvals, jobs and rules wait; a deploy to the bucket
/// `broken` fails.
fn start(task: &Task) -> Outcome {
    let report = Progress {
        external: Some(External { id: "outside-1".into(), url: Some("https://example.com/outside-1".into()) }),
        summary: Some("Under way".into()),
        percent: None,
    };
    match (task.action.type_id.category.as_str(), task.configuration.get("BucketName").map(String::as_str)) {
        ("Source", _) => Outcome::Succeeded(Success {
            outputs: task.outputs.iter().map(|it| Artifact { pin: stored_pin(), ..it.clone() }).collect(),
            variables: [("VersionId".to_owned(), "v1".to_owned())].into(),
            revision: (task.action.type_id.owner.as_deref() == Some("AWS")).then(|| Revision {
                id: "v1".into(),
                summary: Some("First".into()),
                url: Some("https://example.com/v1".into()),
                created: Some(Timestamp(1_000)),
                change: None,
            }),
            ..Success::default()
        }),
        _ if task.action.is_polled() => {
            Outcome::Running { report: Progress::default(), poll: false, event_source: None }
        }
        ("Approval" | "Invoke" | "Rule", _) => Outcome::Running { report, poll: false, event_source: None },
        (_, Some("broken")) => Outcome::Failed {
            error: ActionError { code: "ConfigurationError".into(), message: "The bucket 'broken' is gone".into() },
            report,
        },
        _ => Outcome::Succeeded(Success { report, ..Success::default() }),
    }
}
