//! Pipelines with something in them, and requests for pages.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use console::{Answer, Asked, Console, Public};
use driver::{Driver, Outcome, StartRequest, Task};
use engine::{ActionError, Artifact, ExecutionId, Pin, Progress, Revision, Success, Timestamp, Trigger};
use lambda_http::http::{Method, StatusCode, header};
use notify::Macs;
use pictures::PublicLinks;
use pipeline::PipelineName;
use serde_json::{Value, json};
use store::MemoryStore;
use testkit::{Outbox, TestClock, TestExecutor, kms, setup};

/// When each world begins: 2026-11-26 19:00:00 UTC, in milliseconds.
pub const NOW: Timestamp = Timestamp(1_795_719_600_000);
/// What must stay text wherever it comes from.
pub const EVIL: &str = "<script>alert('x')</script>\"><img src=x onerror=y>\u{202e}gpj.exe\u{0}";

/// An installation in memory.
pub struct World {
    pub clock: Arc<TestClock>,
    pub outbox: Arc<Outbox>,
    pub driver: Driver,
    pub console: Console,
}

/// An action of one of AWS's types.
pub fn action(name: &str, category: &str, provider: &str, order: u32, configuration: Value) -> Value {
    json!({
        "name": name, "runOrder": order, "configuration": configuration,
        "actionTypeId": {"category": category, "owner": "AWS", "provider": provider, "version": "1"},
    })
}

/// With the artifacts that it reads and makes.
pub fn with(mut action: Value, inputs: &[&str], outputs: &[&str]) -> Value {
    let names = |names: &[&str]| names.iter().map(|name| json!({"name": name})).collect::<Vec<_>>();
    if !inputs.is_empty() {
        action["inputArtifacts"] = names(inputs).into();
    }
    if !outputs.is_empty() {
        action["outputArtifacts"] = names(outputs).into();
    }
    action
}

/// A source, a build, tests side by side, a gate, and deployments in two regions.
pub fn release(name: &str, mode: &str) -> Value {
    let mut source = with(
        action("Checkout", "Source", "S3", 1, json!({"S3Bucket": "sources", "S3ObjectKey": "app.zip"})),
        &[],
        &["App"],
    );
    source["namespace"] = json!("Source");
    let build =
        with(action("Compile", "Build", "CodeBuild", 1, json!({"ProjectName": "app-build"})), &["App"], &["Built"]);
    let test = |name: &str| action(name, "Invoke", "Lambda", 2, json!({"FunctionName": format!("{name}-tests")}));
    let lint = action("Check-licences", "Invoke", "Lambda", 3, json!({"FunctionName": "licences"}));
    let mut home = with(
        action("Deploy-home", "Deploy", "S3", 1, json!({"BucketName": "site", "Extract": "true"})),
        &["Built"],
        &[],
    );
    home["region"] = json!("eu-west-1");
    let mut away = with(
        action("Deploy-away", "Deploy", "S3", 1, json!({"BucketName": "site-us", "Extract": "true"})),
        &["Built"],
        &[],
    );
    away["region"] = json!("us-west-2");
    let smoke = action("Smoke-test", "Invoke", "Lambda", 2, json!({"FunctionName": "smoke"}));
    json!({
        "name": name, "roleArn": "arn:aws:iam::111122223333:role/release", "pipelineType": "V2", "executionMode": mode,
        "artifactStores": {
            "eu-west-1": {"type": "S3", "location": "artifacts-eu"}, "us-west-2": {"type": "S3", "location": "artifacts-us"}},
        "variables": [{"name": "Canary", "defaultValue": "10", "description": "Percent of the traffic at first"}],
        "stages": [
            {"name": "Source", "actions": [source]},
            {"name": "Build", "actions": [build, test("Unit"), test("Contract"), test("Browser"), lint]},
            {"name": "Release-gate", "actions": [action("Approve", "Approval", "Manual", 1, json!({"CustomData": EVIL}))]},
            {"name": "Production", "actions": [home, away, smoke]},
        ],
    })
}

/// What becomes of an action: sources find a commit, approvals wait, what is called so fails or runs on.
fn outcome(task: &Task) -> Outcome {
    let name = task.action.name.as_str();
    let message = if name == "Checkout" {
        "Lift the gate a little earlier, so that the wheel turns at once".to_owned()
    } else {
        format!("Lift the gate {EVIL}")
    };
    match (task.action.type_id.category.as_str(), name) {
        ("Approval", _) => Outcome::Running { report: Progress::default(), poll: false, event_source: None },
        (_, name) if name.starts_with("Slow") => {
            Outcome::Running { report: Progress::default(), poll: false, event_source: None }
        }
        (_, name) if name.starts_with("Fail") => Outcome::Failed {
            error: ActionError {
                code: "JobFailed".into(),
                message: format!("{EVIL} the tests did not pass: 3 of 412 failed\nexpected 4, found 5"),
            },
            report: Progress::default(),
        },
        ("Source", _) => Outcome::Succeeded(Success {
            outputs: task.outputs.iter().map(|it| Artifact { pin: pin(), ..it.clone() }).collect(),
            revision: Some(Revision {
                id: "3f2a9c1d5e7b".into(),
                summary: Some(json!({"ProviderType": "GitHub", "CommitMessage": message}).to_string()),
                url: Some("javascript:alert(1)".into()),
                created: None,
                change: None,
            }),
            variables: BTreeMap::from([
                ("VersionId".to_owned(), EVIL.to_owned()),
                ("AuthorDisplayName".to_owned(), "Ada Lovelace".to_owned()),
            ]),
            ..Success::default()
        }),
        _ => Outcome::Succeeded(Success {
            outputs: task.outputs.iter().map(|it| Artifact { pin: pin(), ..it.clone() }).collect(),
            ..Success::default()
        }),
    }
}

/// A number that is another one each time, and the same in each run of the test.
fn clock_step(clock: &TestClock) -> i64 {
    use driver::Clock as _;
    clock.now().0 / 1_000 % 37 * 1_000
}

fn pin() -> Pin {
    Pin { version: Some("v1".into()), sha256: Some("n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg=".into()) }
}

impl World {
    pub fn new() -> Self {
        let (clock, outbox, store) =
            (Arc::new(TestClock::standing(NOW)), Arc::new(Outbox::default()), Arc::new(MemoryStore::default()));
        let driver = || Driver::new(setup(&store, &outbox, &clock));
        let links = PublicLinks::new(Macs::new(aws_sdk_kms::Client::new(&kms().config()), "key-1"));
        let public = Public { links, api: "https://api.example/live".into(), account: "111122223333".into() };
        Self { console: Console::new(driver(), clock.clone(), public), driver: driver(), clock, outbox }
    }

    /// Creates a pipeline, and lets its first execution run as far as it comes.
    pub async fn create(&self, declaration: Value) -> PipelineName {
        let declaration: pipeline::Declaration = serde_json::from_value(declaration).unwrap();
        let record = testkit::create(&self.driver, declaration).await;
        self.work().await;
        record.head.pipeline
    }

    pub async fn work(&self) {
        let clock = self.clock.clone();
        let executor = TestExecutor::new(move |task: &Task| {
            // Time passes while it works, for each of another length. Hundreds that are quick take none: the worker's time would be over.
            if !task.action.name.as_str().starts_with("Quick") {
                clock.pass(
                    1_500
                        + (task.action.name.as_str().bytes().map(i64::from).sum::<i64>() * 7_919 + clock_step(&clock))
                            % 9_000,
                );
            }
            outcome(task)
        });
        self.outbox.work(&self.driver, &executor).await;
    }

    /// Starts another execution, which runs as far as it comes.
    pub async fn start(&self, pipeline: &PipelineName) -> ExecutionId {
        let trigger = Trigger {
            kind: "StartPipelineExecution".into(),
            detail: "arn:aws:sts::111122223333:assumed-role/Dev/ada".into(),
        };
        let request = StartRequest {
            pipeline: pipeline.clone(),
            trigger,
            variables: [].into(),
            overrides: vec![],
            client_token: None,
        };
        let started = self.driver.start(request).await.unwrap();
        self.work().await;
        started.execution
    }

    pub async fn ask(&self, address: &str, known: Option<&str>, live: bool) -> Answer {
        let (path, query) = address.split_once('?').unwrap_or((address, ""));
        let query = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let known = known.map(str::to_owned);
        self.console.answer(&Asked { method: &Method::GET, path, query, known, live, body: "" }).await
    }

    /// What is said of a text that was typed into the definition of a version.
    pub async fn check(&self, pipeline: &str, version: u32, body: &str) -> Answer {
        let path = format!("/console/check/{pipeline}");
        let query = [("version".to_owned(), version.to_string())].into();
        self.console.answer(&Asked { method: &Method::POST, path: &path, query, known: None, live: false, body }).await
    }

    /// A page that must be there; left as a file of this name.
    pub async fn page(&self, address: &str, file: &str) -> String {
        let answer = self.ask(address, None, false).await;
        assert_eq!(answer.status, StatusCode::OK, "{address}");
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("console");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(format!("{file}.html")), &answer.body).unwrap();
        answer.body
    }

    /// The version of a page.
    pub async fn version(&self, address: &str) -> String {
        let answer = self.ask(address, None, true).await;
        answer.headers.into_iter().find(|(name, _)| *name == header::ETAG).unwrap().1
    }
}
