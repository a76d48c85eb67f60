//! The API as its clients see it: the real SDK client, in both protocols, through API Gateway's event to the handler,
//! over a real driver and the in-memory store.

mod action_types;
mod audit;
mod control;
mod executions;
mod job_workers;
mod pipelines;
mod release;
mod secrets;
mod sources;
mod tags;
mod webhooks;
mod wire_level;

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex};

use aws_config::SdkConfig;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_codepipeline::Client;
use aws_sdk_codepipeline::config::http::{HttpRequest, HttpResponse};
use aws_sdk_codepipeline::config::retry::RetryConfig;
use aws_sdk_codepipeline::config::{BehaviorVersion, Config, Credentials, Region};
use aws_sdk_codepipeline::types::PipelineDeclaration;
use aws_smithy_cbor::protocol::RpcV2CborProtocol;
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn};
use aws_smithy_types::body::SdkBody;
use driver::{Driver, Outcome, Setup, Task};
use engine::{ActionError, Artifact, External, Pin, Policy, Progress, Revision, Success, Timestamp};
use lambda_http::{Body, IntoResponse};
use runtime::{Clients, JobIds, PassRole, Roles, Settings};
use serde_json::{Value, json};
use store::MemoryStore;
use testkit::{Outbox, TestClock, TestExecutor};
use wire::Operation;

use crate::app::App;
use crate::router::handle;

pub const ACCOUNT: &str = "111122223333";
pub const CALLER: &str = "arn:aws:iam::111122223333:user/ada";

/// AWS's sources find version `v1`, others take what was reported; approvals, functions and rules wait; a deploy to the
/// bucket `broken` fails.
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

/// Everything behind the API.
pub struct World {
    pub app: Arc<App>,
    pub store: Arc<MemoryStore>,
    pub sts: Sts,
    pub clock: Arc<TestClock>,
    outbox: Arc<Outbox>,
}

impl World {
    pub fn new() -> Self {
        let outbox = Arc::new(Outbox::default());
        let clock = Arc::new(TestClock::ticking(Timestamp(1_700_000_000_000)));
        let sts = Sts::default();
        let store = Arc::new(MemoryStore::new());
        let driver = Driver::new(Setup {
            store: store.clone(),
            dispatch: outbox.clone(),
            clock: clock.clone(),
            policy: Policy::default(),
            home: "eu-west-1".into(),
            sources: providers::SOURCES,
        });
        Self {
            app: Arc::new(App::new(driver, ACCOUNT, sts.roles(), sts.pass_role(), sts.job_ids()).with_root(true)),
            store,
            sts,
            clock,
            outbox,
        }
    }

    /// The id under which the job of an action execution is given out.
    pub async fn job(&self, action_execution: &str) -> String {
        self.app.job_ids.job(action_execution.parse().unwrap()).await.unwrap()
    }

    /// A client of the API by AWS JSON 1.1.
    pub fn client(&self) -> Client {
        Client::from_conf(self.config().build())
    }

    /// A client of the API by Smithy RPC v2 CBOR.
    pub fn cbor_client(&self) -> Client {
        Client::from_conf(self.config().protocol(RpcV2CborProtocol::new()).build())
    }

    fn config(&self) -> aws_sdk_codepipeline::config::Builder {
        let connector = SharedHttpConnector::new(TestConnector(self.app.clone()));
        Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-west-1"))
            .endpoint_url("https://gateway.example.com")
            .credentials_provider(Credentials::new("AKIDEXAMPLE", "secret", None, None, "test"))
            .retry_config(RetryConfig::disabled())
            .http_client(http_client_fn(move |_, _| connector.clone()))
    }

    /// Works on everything that was dispatched, until nothing is left but what waits for people and jobs.
    pub async fn work(&self) {
        self.outbox.work(&self.app.driver, &TestExecutor::new(start)).await;
    }
}

/// STS, which gives every role its credentials, or refuses them all; IAM, which says who may pass a role; KMS, which gives
/// the key for the ids of jobs; and S3.
#[derive(Clone, Debug, Default)]
pub struct Sts(Arc<Mutex<StsState>>);

#[derive(Debug, Default)]
struct StsState {
    asked: Vec<String>,
    refuses: bool,
    not_passed: Vec<String>,
    stored: Stored,
}

/// What S3 has under every key: what was recorded first, something that was put over it, or nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stored {
    #[default]
    Recorded,
    Overwritten,
    Nothing,
}

/// Which object S3 has under every key at first.
pub fn stored_pin() -> Pin {
    Pin { version: Some("first".into()), sha256: Some("c2hhMjU2".into()) }
}

impl Sts {
    fn roles(&self) -> Roles {
        Roles::new(&self.config(), ACCOUNT)
    }

    fn pass_role(&self) -> PassRole {
        PassRole::new(&settings(), &Clients::from_config(self.config())).unwrap()
    }

    fn job_ids(&self) -> JobIds {
        JobIds::new(&settings(), &Clients::from_config(self.config())).unwrap()
    }

    fn config(&self) -> SdkConfig {
        let connector = SharedHttpConnector::new(self.clone());
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-west-1"))
            .credentials_provider(SharedCredentialsProvider::new(Credentials::new("FUNCTION", "s", None, None, "test")))
            .retry_config(RetryConfig::disabled())
            .http_client(http_client_fn(move |_, _| connector.clone()))
            .build()
    }

    /// From now on nobody may pass this role.
    pub fn nobody_passes(&self, role: &str) {
        self.0.lock().unwrap().not_passed.push(role.to_owned());
    }

    /// From now on no role may be assumed.
    pub fn refuse(&self) {
        self.0.lock().unwrap().refuses = true;
    }

    /// From now on S3 has this.
    pub fn store(&self, stored: Stored) {
        self.0.lock().unwrap().stored = stored;
    }

    fn head_object(&self) -> HttpResponse {
        let (status, version, sha256) = match self.0.lock().unwrap().stored {
            Stored::Recorded => (200, "first", "c2hhMjU2"),
            Stored::Overwritten => (200, "second", "b3RoZXI="),
            Stored::Nothing => (404, "", ""),
        };
        let mut response = HttpResponse::new(status.try_into().unwrap(), SdkBody::empty());
        if status == 200 {
            for (name, value) in [
                ("x-amz-version-id", version),
                ("x-amz-checksum-sha256", sha256),
                ("etag", "\"e\""),
                ("content-length", "1"),
            ] {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }

    /// For which roles credentials were asked, decoded.
    pub fn asked(&self) -> Vec<String> {
        self.0.lock().unwrap().asked.clone()
    }
}

impl HttpConnector for Sts {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        if request.headers().get("x-amz-target").is_some_and(|target| target.ends_with(".GenerateMac")) {
            let mac = json!({"KeyId": "k", "Mac": in_base64(&[7; 32]), "MacAlgorithm": "HMAC_SHA_256"}).to_string();
            return HttpConnectorFuture::ready(Ok(HttpResponse::new(200.try_into().unwrap(), SdkBody::from(mac))));
        }
        if request.method() == "HEAD" {
            return HttpConnectorFuture::ready(Ok(self.head_object()));
        }
        let body = String::from_utf8_lossy(request.body().bytes().unwrap()).replace("%22", "\"").replace("%2F", "/");
        let body = body.replace("%3A", ":");
        let mut sts = self.0.lock().unwrap();
        if body.contains("Action=SimulatePrincipalPolicy") {
            return HttpConnectorFuture::ready(Ok(simulated(&body, &sts.not_passed)));
        }
        sts.asked.push(body);
        let (status, answer) = if sts.refuses {
            (403, "<ErrorResponse><Error><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>")
        } else {
            (
                200,
                "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>JOB</AccessKeyId>\
                 <SecretAccessKey>job-secret</SecretAccessKey><SessionToken>job-token</SessionToken>\
                 <Expiration>2999-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>",
            )
        };
        HttpConnectorFuture::ready(Ok(HttpResponse::new(status.try_into().unwrap(), SdkBody::from(answer))))
    }
}

fn settings() -> Settings {
    let settings = Settings::read(|name| match name {
        "AWS_REGION" => Some("eu-west-1".into()),
        "MILLRACE_ACCOUNT" => Some(ACCOUNT.into()),
        "MILLRACE_HMAC_KEY" => Some("hmac-key".into()),
        _ => None,
    });
    settings.unwrap()
}

/// What IAM decides about each role of a request.
fn simulated(body: &str, not_passed: &[String]) -> HttpResponse {
    let roles =
        body.split('&').filter(|part| part.starts_with("ResourceArns.")).filter_map(|part| part.split('=').nth(1));
    let results: String = roles
        .map(|role| {
            let decision = if not_passed.iter().any(|it| it == role) { "implicitDeny" } else { "allowed" };
            format!(
                "<member><EvalActionName>iam:PassRole</EvalActionName><EvalResourceName>{role}</EvalResourceName>\
                 <EvalDecision>{decision}</EvalDecision></member>"
            )
        })
        .collect();
    let answer = format!(
        "<SimulatePrincipalPolicyResponse><SimulatePrincipalPolicyResult><EvaluationResults>{results}\
         </EvaluationResults></SimulatePrincipalPolicyResult></SimulatePrincipalPolicyResponse>"
    );
    HttpResponse::new(200.try_into().unwrap(), SdkBody::from(answer))
}

/// Runs a test once in each protocol, each time in a world of its own.
pub async fn in_both<F: Future<Output = ()>>(test: impl Fn(World, Client) -> F) {
    let world = World::new();
    let client = world.client();
    test(world, client).await;
    let world = World::new();
    let client = world.cbor_client();
    test(world, client).await;
}

/// API Gateway: an HTTP request becomes an event, the handler's answer an HTTP response.
struct TestConnector(Arc<App>);

impl fmt::Debug for TestConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TestConnector")
    }
}

impl HttpConnector for TestConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let app = self.0.clone();
        HttpConnectorFuture::new(async move {
            let path = request.uri().split('/').skip(3).fold(String::new(), |path, part| path + "/" + part);
            let headers: Vec<(String, String)> =
                request.headers().iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            let (status, headers, body) = deliver(&app, &path, &headers, request.body().bytes().unwrap()).await;
            let mut response = HttpResponse::new(status.try_into().unwrap(), SdkBody::from(body));
            for (name, value) in headers {
                response.headers_mut().insert(name, value);
            }
            Ok(response)
        })
    }
}

/// Delivers one request as API Gateway does. Every answer must have a request id, and an exception that its operation
/// may answer with.
pub async fn deliver(
    app: &App,
    path: &str,
    headers: &[(String, String)],
    body: &[u8],
) -> (u16, Vec<(String, String)>, Vec<u8>) {
    deliver_of(Some(CALLER), app, path, headers, body).await
}

/// The same with who signed the request.
pub async fn deliver_of(
    caller: Option<&str>,
    app: &App,
    path: &str,
    headers: &[(String, String)],
    body: &[u8],
) -> (u16, Vec<(String, String)>, Vec<u8>) {
    let mut event = json!({
        "resource": "/",
        "path": path,
        "httpMethod": "POST",
        "headers": {},
        "multiValueHeaders": {},
        "requestContext": {
            "accountId": ACCOUNT, "apiId": "abc123", "stage": "live", "requestId": "gateway-request-1",
            "resourcePath": "/", "httpMethod": "POST", "identity": {"userArn": caller, "sourceIp": "127.0.0.1"}
        },
    });
    for (name, value) in headers {
        event["headers"][name] = json!(value);
        event["multiValueHeaders"][name] = json!([value]);
    }
    let binary = headers.iter().any(|(name, value)| name == "content-type" && value == "application/cbor");
    event["isBase64Encoded"] = json!(binary);
    event["body"] = if binary { in_base64(body) } else { json!(String::from_utf8_lossy(body)) };
    let request = lambda_http::request::from_str(&event.to_string()).unwrap();
    let response = handle(app, request).await.into_response().await;
    let (parts, body) = response.into_parts();
    let asked_binary = headers.iter().any(|(name, value)| name == "accept" && value == "application/cbor");
    let body = match body {
        Body::Text(text) => text.into_bytes(),
        // API Gateway turns base64 into bytes only for clients that accept the binary type.
        Body::Binary(bytes) if asked_binary || binary => bytes,
        other => panic!("API Gateway would not pass on {other:?}"),
    };
    assert_eq!(parts.headers["x-amzn-requestid"], "gateway-request-1");
    if let Some(exception) = parts.headers.get("x-amzn-errortype") {
        let named = headers.iter().find(|(name, _)| name == "x-amz-target").map_or(path, |(_, target)| target);
        let operation = named.rsplit(['.', '/']).next().and_then(|name| name.parse::<Operation>().ok());
        let exception = wire::Exception::MODEL
            .iter()
            .chain(wire::Exception::COMMON)
            .find(|known| known.name() == exception.to_str().unwrap())
            .unwrap();
        if let Some(operation) = operation {
            assert!(wire::allowed(operation, *exception), "{operation} answered {exception}");
        }
        assert_ne!(*exception, wire::Exception::InternalFailure, "{named}");
    } else {
        assert_eq!(parts.status, 200);
    }
    let headers =
        parts.headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
    (parts.status.as_u16(), headers, body)
}

/// Base64 as events hold it.
fn in_base64(bytes: &[u8]) -> Value {
    serde_json::to_value(Body::Binary(bytes.to_vec())).unwrap()
}

/// The exception's name and message of a call that was refused.
macro_rules! refused {
    ($call:expr) => {{
        use aws_sdk_codepipeline::error::ProvideErrorMetadata;
        let error = $call.send().await.expect_err("it should be refused");
        (error.code().unwrap_or_default().to_owned(), error.message().unwrap_or_default().to_owned())
    }};
}
pub(crate) use refused;

fn action(name: &str, category: &str, provider: &str, configuration: Value) -> Value {
    json!({
        "name": name,
        "actionTypeId": {"category": category, "owner": "AWS", "provider": provider, "version": "1"},
        "configuration": configuration,
    })
}

/// Source, approval, function, deploy; `changes` sets values by JSON pointer.
pub fn release(name: &str, changes: &[(&str, Value)]) -> PipelineDeclaration {
    let mut fetch = action("Fetch", "Source", "S3", json!({"S3Bucket": "sources", "S3ObjectKey": "app.zip"}));
    fetch["outputArtifacts"] = json!([{"name": "App"}]);
    fetch["namespace"] = json!("Source");
    let mut call = action("Call", "Invoke", "Lambda", json!({"FunctionName": "smoke-test"}));
    call["namespace"] = json!("Test");
    let configuration = json!({"BucketName": "site", "Extract": "false", "ObjectKey": "#{Source.VersionId}.zip"});
    let mut publish = action("Publish", "Deploy", "S3", configuration);
    publish["inputArtifacts"] = json!([{"name": "App"}]);
    let mut declaration = json!({
        "name": name,
        "roleArn": "arn:aws:iam::111122223333:role/release",
        "pipelineType": "V2",
        "artifactStore": {"type": "S3", "location": "artifacts-bucket"},
        "stages": [
            {"name": "Source", "actions": [fetch]},
            {"name": "Ask", "actions": [action("Approve", "Approval", "Manual", json!({}))]},
            {"name": "Test", "actions": [call]},
            {"name": "Deploy", "actions": [publish]},
        ],
    });
    for (pointer, value) in changes {
        match declaration.pointer_mut(pointer) {
            Some(found) => *found = value.clone(),
            None => {
                let (parent, key) = pointer.rsplit_once('/').unwrap();
                declaration.pointer_mut(parent).unwrap()[key] = value.clone();
            }
        }
    }
    wire::from_json(&declaration).unwrap()
}
