//! How many requests to the table a call of the API costs, and which.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::sync::Arc;

use driver::{ApprovalAnswer, Driver, Outcome, StartRequest, Task};
use engine::{ApprovalToken, Approver, ExecutionId, Progress, Success, Timestamp, Trigger};
use futures::executor::block_on;
use pipeline::{Declaration, PipelineName};
use serde_json::json;
use store::{Entity, Key};
use testkit::{CountingStore, Outbox, TableRequest, TestClock, TestExecutor, create, setup};

struct Environment {
    store: Arc<CountingStore>,
    outbox: Arc<Outbox>,
    clock: Arc<TestClock>,
    driver: Driver,
}

impl Environment {
    fn new() -> Self {
        let (store, outbox) = (Arc::new(CountingStore::default()), Arc::new(Outbox::default()));
        let clock = Arc::new(TestClock::standing(Timestamp(0)));
        let driver = Driver::new(setup(&store, &outbox, &clock));
        Self { store, outbox, clock, driver }
    }

    /// With a pipeline of this mode that was created by another process.
    fn with_pipeline(mode: &str) -> Self {
        let environment = Self::new();
        environment.create(mode);
        environment.store.requests();
        environment
    }

    fn create(&self, mode: &str) {
        let other = Driver::new(setup(&self.store, &self.outbox, &self.clock));
        block_on(create(&other, declaration(mode)));
    }

    fn start(&self, client_token: Option<&str>) -> ExecutionId {
        let request = StartRequest {
            pipeline: name(),
            trigger: Trigger { kind: "StartPipelineExecution".into(), detail: String::new() },
            variables: BTreeMap::new(),
            overrides: Vec::new(),
            client_token: client_token.map(str::to_owned),
        };
        block_on(self.driver.start(request)).unwrap().execution
    }

    fn requests(&self) -> Vec<String> {
        kinds(&self.store.requests())
    }

    /// The token of the approval of the execution of this index, the newest first.
    fn asked(&self, execution: usize) -> ApprovalToken {
        let page = block_on(self.driver.executions(&name(), None, 10)).unwrap();
        let Entity::Execution(execution) = &page.entities[execution] else { panic!("no execution") };
        let runs = block_on(self.driver.stage_runs(execution.id)).unwrap();
        runs[1].actions[0].token.unwrap()
    }

    fn approve(&self, token: ApprovalToken) {
        let answer = ApprovalAnswer { approved: true, summary: String::new(), by: Approver::Caller("me".into()) };
        block_on(self.driver.approve(&name(), "Gate", "Ask", token, answer)).unwrap();
    }

    fn work(&self) {
        block_on(self.outbox.work(&self.driver, &TestExecutor::new(run)));
    }
}

fn run(task: &Task) -> Outcome {
    if task.action.type_id.category == "Approval" {
        return Outcome::Running { report: Progress::default(), poll: false, event_source: None };
    }
    Outcome::Succeeded(Success { outputs: task.outputs.clone(), ..Success::default() })
}

fn name() -> PipelineName {
    PipelineName::new("release").unwrap()
}

/// A source, and a stage in which a person is asked and then something deployed.
fn declaration(mode: &str) -> Declaration {
    let kind = |category: &str, provider: &str| json!({"category": category, "owner": "AWS", "provider": provider, "version": "1"});
    serde_json::from_value(json!({
        "name": "release", "roleArn": "arn:aws:iam::111122223333:role/release", "pipelineType": "V2", "executionMode": mode,
        "artifactStore": {"type": "S3", "location": "artifacts"},
        "stages": [
            {"name": "Source", "actions": [{"name": "Fetch", "outputArtifacts": [{"name": "App"}],
                "actionTypeId": kind("Source", "S3"), "configuration": {"S3Bucket": "sources", "S3ObjectKey": "app.zip"}}]},
            {"name": "Gate", "actions": [
                {"name": "Ask", "actionTypeId": kind("Approval", "Manual")},
                {"name": "Deploy", "runOrder": 2, "actionTypeId": kind("Deploy", "S3"), "inputArtifacts": [{"name": "App"}],
                    "configuration": {"BucketName": "site", "Extract": "true"}},
            ]},
        ],
    }))
    .unwrap()
}

/// What was asked of the table since the last look, each request as what it read or wrote.
fn kinds(requests: &[TableRequest]) -> Vec<String> {
    let kind = |key: &Key| format!("{key:?}").split([' ', '(']).next().unwrap().to_owned();
    let kinds = |keys: &[Key]| {
        let mut kinds: Vec<String> = keys.iter().map(kind).collect();
        kinds.sort();
        kinds.join(" ")
    };
    let one = |request: &TableRequest| match request {
        TableRequest::Read(keys) => format!("read {}", kinds(keys)),
        TableRequest::Write(keys) => format!("write {}", kinds(keys)),
        other => format!("{other:?}"),
    };
    requests.iter().map(one).collect()
}

#[test]
fn a_start_is_one_read_and_one_transaction() {
    for mode in ["QUEUED", "PARALLEL"] {
        let environment = Environment::with_pipeline(mode);
        environment.start(None);
        environment.work();
        environment.requests();
        environment.start(None);
        assert_eq!(environment.requests(), ["read Head StageLocks", "write Execution Stage StageLocks"]);
        environment.work();
        environment.requests();
        environment.start(Some("token"));
        assert_eq!(environment.requests(), ["read Head StageLocks Token", "write Execution Stage StageLocks Token"]);
        environment.start(Some("token"));
        assert_eq!(environment.requests(), ["read Head StageLocks Token"], "it was started before");
    }
}

#[test]
fn a_process_that_does_not_know_the_pipeline_reads_what_it_needs_once() {
    let environment = Environment::with_pipeline("QUEUED");
    environment.start(None);
    let reads = ["read Head", "read Head StageLocks", "read Declaration", "write Execution StageLocks"];
    assert_eq!(environment.requests(), reads);
    // Another pipeline of the name: what was known of the first leads nowhere.
    block_on(environment.driver.delete_pipeline(&name())).unwrap();
    environment.create("QUEUED");
    environment.requests();
    environment.start(None);
    let reads = ["read Head StageLocks", "read Head StageLocks", "read Declaration", "write Execution StageLocks"];
    assert_eq!(environment.requests(), reads);
}

#[test]
fn the_state_of_a_pipeline_is_two_reads() {
    let environment = Environment::with_pipeline("QUEUED");
    environment.start(None);
    environment.work();
    environment.requests();
    block_on(environment.driver.state(&name())).unwrap();
    assert_eq!(environment.requests(), ["read Head StageLocks", "read Stage Stage"]);
}

#[test]
fn an_answer_to_an_approval_is_two_reads_and_a_write() {
    let environment = Environment::with_pipeline("QUEUED");
    environment.start(None);
    environment.work();
    let token = environment.asked(1);
    environment.requests();
    environment.approve(token);
    assert_eq!(environment.requests(), ["read Head StageLocks", "read Execution Stage", "write Stage"]);
}

#[test]
fn an_answer_to_one_of_many_approvals_is_three_reads_and_a_write() {
    let environment = Environment::with_pipeline("PARALLEL");
    for _ in 0..3 {
        environment.start(None);
    }
    environment.work();
    let token = environment.asked(1);
    environment.requests();
    environment.approve(token);
    let executions = "Execution Execution Execution Execution";
    let reads =
        ["read Head StageLocks".to_owned(), format!("read {executions}"), "read Stage Stage Stage Stage".to_owned()];
    assert_eq!(environment.requests(), [&reads[..], &["write Stage".to_owned()]].concat());
}

#[test]
fn a_worker_reads_once_what_its_actions_are_about() {
    let environment = Environment::with_pipeline("PARALLEL");
    environment.work();
    let listed = "List(Executions(PipelineName(\"release\"), Incarnation(00000000-0000-0001-0000-000000000001)))";
    let requests = [
        // The source is claimed; its end and the claim of the approval are one write.
        "read Execution Stage",
        "read Declaration",
        "write Stage",
        "write Execution Stage Stage",
        // What the approval decides: what is live, and what came since. What is under review is known from before.
        "read StageLocks",
        listed,
        "read Stage",
        // The approval has been asked for.
        "write Stage",
    ];
    assert_eq!(environment.requests(), requests);
}
