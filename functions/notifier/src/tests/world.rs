//! A driver in memory, a notifier over its store, and AWS and chats that remember what they were sent.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use driver::{ApprovalAnswer, Driver, Outcome, StartRequest, Task};
use engine::{
    ActionError, ActionStatus, Approver, Execution, ExecutionId, ExecutionStatus, Progress, Revision, StageRun,
    StageStatus, Success, Timestamp, Trigger,
};
use futures::executor::block_on;
use pipeline::{Declaration, PipelineName, RetryMode};
use runtime::{Clients, Settings};
use serde_json::{Value, json};
use store::{Entity, Key, MemoryStore, PipelineVersions, Store};
use testkit::{Aws, Outbox, TestClock, TestExecutor, setup};

use crate::Notifier;
use crate::ledger::Ledger;
use crate::line::Console;
use crate::receivers::Receivers;
use crate::slow::Reminders;

/// A second of the year 2026, in milliseconds.
const BEGIN: Timestamp = Timestamp(1_795_441_779_000);
/// The topic of rules that go to one.
pub const TOPIC: &str = "arn:aws:sns:eu-west-1:123456789012:millrace-team";

/// Stages `Source`, `Gate` with an approval where `gate` says so, and `Deploy`.
fn declaration(gate: bool) -> Declaration {
    let action = |name: &str, category: &str, provider: &str| json!({"name": name, "actionTypeId": {"category": category, "owner": "AWS", "provider": provider, "version": "1"}});
    let mut source = action("Fetch", "Source", "S3");
    source["configuration"] = json!({"S3Bucket": "bucket", "S3ObjectKey": "app.zip"});
    source["outputArtifacts"] = json!([{"name": "App"}]);
    let mut publish = action("Publish", "Deploy", "S3");
    publish["configuration"] = json!({"BucketName": "site", "Extract": "true"});
    publish["inputArtifacts"] = json!([{"name": "App"}]);
    let mut ask = action("Ask", "Approval", "Manual");
    ask["configuration"] = json!({"CustomData": "Is <this>\n& that good?"});
    let stage = |name: &str, action: Value| json!({"name": name, "actions": [action]});
    let mut stages = vec![stage("Source", source), stage("Deploy", publish)];
    if gate {
        stages.insert(1, stage("Gate", ask));
    }
    serde_json::from_value(json!({
        "name": "release", "roleArn": "arn:aws:iam::111122223333:role/release", "pipelineType": "V2",
        "executionMode": "SUPERSEDED", "artifactStore": {"type": "S3", "location": "artifacts"}, "stages": stages,
    }))
    .unwrap()
}

/// The pipeline `release` with notification rules, and whom they tell.
pub struct World {
    pub driver: Driver,
    pub store: Arc<MemoryStore>,
    outbox: Arc<Outbox>,
    pub clock: Arc<TestClock>,
    pub name: PipelineName,
    /// Whether the action `Publish` fails from now on.
    pub failing: Arc<Mutex<bool>>,
    pub aws: Aws,
    notifier: Notifier,
}

impl World {
    /// The pipeline with these rules, its first execution still at its source.
    pub fn new(rules: &[(&str, &str)], gate: bool) -> Self {
        let (store, outbox) = (Arc::new(MemoryStore::new()), Arc::new(Outbox::default()));
        let clock = Arc::new(TestClock::ticking(BEGIN));
        let driver = Driver::new(setup(&store, &outbox, &clock));
        let tags = rules.iter().map(|(name, rule)| (format!("millrace:notify:{name}"), (*rule).to_owned())).collect();
        let trigger = Trigger { kind: "CreatePipeline".into(), detail: String::new() };
        block_on(driver.create_pipeline(declaration(gate), tags, trigger)).unwrap();
        let aws = aws();
        let notifier = notifier(store.clone(), &clock, &aws);
        let name = PipelineName::new("release").unwrap();
        Self { driver, store, outbox, clock, name, failing: Arc::default(), aws, notifier }
    }

    /// Gives the installation a rule of its own.
    pub fn own(&mut self, rule: pipeline::notification::Rule) {
        self.notifier.own = Some(rule);
    }

    /// Workers do all that is to be done, each action in 250 ms.
    pub fn work(&self) {
        let start = |task: &Task| {
            self.clock.pass(250);
            if task.action.type_id.category == "Approval" {
                return Outcome::Running { report: Progress::default(), poll: false, event_source: None };
            }
            if task.action.name.as_str() == "Publish" && *self.failing.lock().unwrap() {
                let error = ActionError { code: "JobFailed".into(), message: "no such bucket:\n<site>".into() };
                return Outcome::Failed { error, report: Progress::default() };
            }
            let summary = Some("Fix *the* price\n\nAnd more".to_owned());
            let revision = Revision { id: "a1b2c3d4e5f6a7b8".into(), summary, url: None, created: None, change: None };
            let revision = task.action.type_id.category.eq("Source").then_some(revision);
            Outcome::Succeeded(Success { outputs: task.outputs.clone(), revision, ..Success::default() })
        };
        block_on(self.outbox.work(&self.driver, &TestExecutor::new(start)));
    }

    /// Starts an execution and does all that is to be done, with this end of `Publish`.
    pub fn run(&self, failing: bool) -> Execution {
        let request = StartRequest {
            pipeline: self.name.clone(),
            trigger: Trigger { kind: "StartPipelineExecution".into(), detail: "arn:aws:iam::1:user/me".into() },
            variables: [].into(),
            overrides: Vec::new(),
            client_token: None,
        };
        let id = block_on(self.driver.start(request)).unwrap().execution;
        *self.failing.lock().unwrap() = failing;
        self.work();
        self.execution(id)
    }

    pub fn retry(&self, execution: &Execution, failing: bool) -> Execution {
        *self.failing.lock().unwrap() = failing;
        block_on(self.driver.retry(&self.name, "Deploy", execution.id, RetryMode::FailedActions)).unwrap();
        self.work();
        self.execution(execution.id)
    }

    /// The first execution, when all of it is done.
    pub fn first(&self, failing: bool) -> Execution {
        *self.failing.lock().unwrap() = failing;
        self.work();
        let page = block_on(self.driver.executions(&self.name, None, 100)).unwrap();
        let first =
            page.entities.into_iter().find_map(|it| if let Entity::Execution(it) = it { Some(it) } else { None });
        first.unwrap()
    }

    pub fn execution(&self, id: ExecutionId) -> Execution {
        let found = block_on(self.store.load(&[Key::Execution(id)])).unwrap().pop().flatten().unwrap();
        if let Entity::Execution(it) = found.entity { it } else { panic!("not an execution") }
    }

    pub fn stage(&self, execution: ExecutionId, stage: usize, attempt: u16) -> StageRun {
        let found =
            block_on(self.store.load(&[Key::Stage(execution, stage, attempt)])).unwrap().pop().flatten().unwrap();
        if let Entity::Stage(it) = found.entity { it } else { panic!("not an attempt") }
    }

    /// Answers the approval of an execution, and does all that is to be done then.
    pub fn approve(&self, execution: ExecutionId) {
        self.answer(execution);
        self.work();
    }

    /// Answers the approval of an execution, which nobody works on then.
    pub fn answer(&self, execution: ExecutionId) {
        let run = self.stage(execution, 1, 1);
        assert_eq!(run.actions[0].status, ActionStatus::Running);
        let by = Approver::Caller("arn:aws:iam::1:user/you".into());
        let answer = ApprovalAnswer { approved: true, summary: "seen".into(), by };
        block_on(self.driver.approve_by_id(run.action_id(0), run.actions[0].token.unwrap(), answer)).unwrap();
    }

    /// Delivers an event; returns what the notifier answers.
    pub fn deliver(&self, event: &str) -> anyhow::Result<usize> {
        deliver(&self.notifier, event)
    }

    /// The lines that the topic got so far.
    pub fn lines(&self) -> Vec<String> {
        self.aws
            .calls("Publish")
            .iter()
            .filter(|call| call.status == 200)
            .map(|call| form(&call.text(), "Message"))
            .collect()
    }

    /// The same, each without link and change.
    pub fn told(&self) -> Vec<String> {
        self.lines().iter().map(|line| line.split(" · ").next().unwrap().to_owned()).collect()
    }

    /// The reminders that the notifier sent to itself: seconds, body.
    pub fn reminders(&self) -> Vec<(i64, String)> {
        let sent = self.aws.calls("SendMessage").into_iter().map(|call| call.json());
        sent.map(|sent| (sent["DelaySeconds"].as_i64().unwrap(), sent["MessageBody"].as_str().unwrap().to_owned()))
            .collect()
    }
}

/// Delivers a message to a notifier.
pub fn deliver(notifier: &Notifier, body: &str) -> anyhow::Result<usize> {
    let delivery = json!({"Records": [{"messageId": "1", "body": body}]});
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut dealt = runtime.block_on(notifier.deal(&delivery));
    dealt.failed.pop().map_or(Ok(dealt.sent), |(_, error)| Err(error))
}

/// AWS that takes every message, and has the addresses of two chats.
pub fn aws() -> Aws {
    let aws = Aws::default();
    aws.on(
        "Publish",
        200,
        "<PublishResponse><PublishResult><MessageId>1</MessageId></PublishResult></PublishResponse>",
    );
    aws.on("SendMessage", 200, r#"{"MessageId": "1", "MD5OfMessageBody": ""}"#);
    aws.reply("GetSecretValue", |call| {
        let (status, body) = match call.json()["SecretId"].as_str().unwrap() {
            "millrace/chats/team" => (200, json!({"SecretString": " https://hooks.example.com/T/secret?a=1\n"})),
            "millrace/chats/plain" => (200, json!({"SecretString": "http://hooks.example.com/T/secret"})),
            "millrace/chats/nonsense" => (200, json!({"SecretString": "T/secret"})),
            _ => (400, json!({"__type": "ResourceNotFoundException", "Message": "no such secret"})),
        };
        (status, [].into(), body.to_string().into_bytes())
    });
    aws.on(&format!("POST {CHAT}"), 200, "ok");
    aws
}

/// The address of the chats `team`.
pub const CHAT: &str = "https://hooks.example.com/T/secret?a=1";

/// A notifier over a store, whose receivers are these.
pub fn notifier(store: Arc<dyn Store>, clock: &Arc<TestClock>, aws: &Aws) -> Notifier {
    let clients = Clients::from_config(aws.config());
    let settings = Settings::read(|name| (name == "AWS_REGION").then(|| "eu-west-1".to_owned())).unwrap();
    Notifier {
        ledger: Ledger::new(store.clone(), clock.clone()),
        store,
        clock: clock.clone(),
        versions: PipelineVersions::default(),
        own: None,
        console: Console(Some("https://console.example.com".into())),
        receivers: Receivers::new(&settings, &clients).with_patience(Duration::from_millis(300)),
        reminders: Reminders::new(clients.sqs().clone(), "http://aws.test/notify".into()),
    }
}

/// A member of a form.
pub fn form(body: &str, name: &str) -> String {
    let value = body.split('&').find_map(|pair| pair.strip_prefix(&format!("{name}=")));
    testkit::decode(&value.unwrap_or_else(|| panic!("no {name} in {body}")).replace('+', " "))
}

fn event(detail_type: &str, time: Timestamp, detail: &Value) -> String {
    let time = jiff::Timestamp::from_millisecond(time.0 / 1_000 * 1_000).unwrap().to_string();
    json!({"source": "millrace", "detail-type": format!("CodePipeline {detail_type} Execution State Change"),
        "time": time, "detail": detail})
    .to_string()
}

/// The event of a state of an execution.
pub fn of_execution(execution: &Execution, state: &str) -> String {
    let detail = json!({"pipeline": execution.pipeline, "execution-id": execution.id, "state": state});
    event("Pipeline", execution.updated, &detail)
}

/// The event of the end of an execution.
pub fn ended(execution: &Execution) -> String {
    of_execution(execution, if execution.status == ExecutionStatus::Failed { "FAILED" } else { "SUCCEEDED" })
}

/// The event of a state of an attempt at a stage.
pub fn of_stage(run: &StageRun, state: &str) -> String {
    let detail = json!({"pipeline": run.pipeline, "execution-id": run.execution, "stage": run.name, "state": state,
        "pipeline-execution-attempt": f64::from(run.attempt)});
    event("Stage", run.updated, &detail)
}

/// The event of the end of an attempt at a stage.
pub fn stage_ended(run: &StageRun) -> String {
    of_stage(run, if run.status == StageStatus::Failed { "FAILED" } else { "SUCCEEDED" })
}

/// The event that the turn of a stage's first action has come.
pub fn asked(run: &StageRun) -> String {
    let detail = json!({"pipeline": run.pipeline, "execution-id": run.execution, "state": "STARTED",
        "action-execution-id": run.action_id(0).to_string()});
    event("Action", run.updated, &detail)
}
