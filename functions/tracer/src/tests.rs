//! Executions as the engine makes them, traced to a collector that takes the requests apart.

mod random;
mod sending;

use std::sync::{Arc, Mutex};

use driver::{Driver, Outcome, StartRequest, Task};
use engine::{ActionError, ActionStatus, Approver, ExecutionId, Progress, StageRun, Success, Timestamp, Trigger};
use futures::executor::block_on;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use pipeline::{Declaration, PipelineName, RetryMode};
use serde_json::json;
use store::{Entity, Key, MemoryStore, PipelineVersions, Store};
use testkit::collector::{assert_trees, attribute};
use testkit::{Outbox, TestClock, TestExecutor, create, setup};

use crate::event::Ended;
use crate::record::Record;
use crate::spans;

/// A second of the year 2026, in milliseconds.
pub const BEGIN: Timestamp = Timestamp(1_795_441_779_000);

/// Source; a stage in which two actions and an approval run side by side, and one action after them; an approval; a deploy.
pub fn declaration() -> Declaration {
    let action = |name: &str, category: &str, provider: &str, order: u32| {
        let mut action = json!({"name": name, "runOrder": order,
            "actionTypeId": {"category": category, "owner": "AWS", "provider": provider, "version": "1"}});
        if provider == "CodeBuild" {
            action["configuration"] = json!({"ProjectName": "p"});
            action["inputArtifacts"] = json!([{"name": "App"}]);
        }
        action
    };
    let mut source = action("Fetch", "Source", "S3", 1);
    source["configuration"] = json!({"S3Bucket": "bucket", "S3ObjectKey": "app.zip"});
    source["outputArtifacts"] = json!([{"name": "App"}]);
    let mut publish = action("Publish", "Deploy", "S3", 1);
    publish["configuration"] = json!({"BucketName": "site", "Extract": "true"});
    publish["inputArtifacts"] = json!([{"name": "App"}]);
    serde_json::from_value(json!({
        "name": "release", "roleArn": "arn:aws:iam::111122223333:role/release", "pipelineType": "V2",
        "executionMode": "SUPERSEDED", "artifactStore": {"type": "S3", "location": "artifacts"},
        "stages": [
            {"name": "Source", "actions": [source]},
            {"name": "Build", "actions": [action("A", "Build", "CodeBuild", 1), action("B", "Test", "CodeBuild", 1),
                action("Look", "Approval", "Manual", 1), action("C", "Build", "CodeBuild", 2)]},
            {"name": "Ask", "actions": [action("Approve", "Approval", "Manual", 1)]},
            {"name": "Deploy", "actions": [publish]},
        ],
    }))
    .unwrap()
}

/// A driver in memory, whose actions fail when their names are listed.
pub struct World {
    pub driver: Driver,
    pub store: Arc<MemoryStore>,
    outbox: Arc<Outbox>,
    pub clock: Arc<TestClock>,
    pub name: PipelineName,
    /// Names of the actions that fail from now on.
    pub failing: Arc<Mutex<Vec<&'static str>>>,
    versions: PipelineVersions,
}

impl World {
    /// The pipeline, its first execution still at its source.
    pub fn new() -> Self {
        let (store, outbox) = (Arc::new(MemoryStore::new()), Arc::new(Outbox::default()));
        let clock = Arc::new(TestClock::ticking(BEGIN));
        let driver = Driver::new(setup(&store, &outbox, &clock));
        block_on(create(&driver, declaration()));
        let name = PipelineName::new("release").unwrap();
        Self { driver, store, outbox, clock, name, failing: Arc::default(), versions: PipelineVersions::default() }
    }

    /// Workers do all that is to be done, each action in 250 ms.
    pub fn work(&self) {
        let start = |task: &Task| {
            self.clock.pass(250);
            let name = task.action.name.as_str();
            if task.action.type_id.category == "Approval" {
                return Outcome::Running { report: Progress::default(), poll: false, event_source: None };
            }
            if self.failing.lock().unwrap().contains(&name) {
                let error = ActionError { code: "JobFailed".into(), message: format!("{name} is red") };
                return Outcome::Failed { error, report: Progress::default() };
            }
            Outcome::Succeeded(Success { outputs: task.outputs.clone(), ..Success::default() })
        };
        block_on(self.outbox.work(&self.driver, &TestExecutor::new(start)));
    }

    pub fn start(&self) -> ExecutionId {
        let request = StartRequest {
            pipeline: self.name.clone(),
            trigger: Trigger { kind: "StartPipelineExecution".into(), detail: "arn:aws:iam::1:user/me".into() },
            variables: [].into(),
            overrides: Vec::new(),
            client_token: None,
        };
        block_on(self.driver.start(request)).unwrap().execution
    }

    /// All executions, the oldest first.
    pub fn executions(&self) -> Vec<engine::Execution> {
        let page = block_on(self.driver.executions(&self.name, None, 100)).unwrap();
        let mut all: Vec<_> = page
            .entities
            .into_iter()
            .filter_map(|found| if let Entity::Execution(it) = found { Some(it) } else { None })
            .collect();
        all.sort_by_key(|it| it.number);
        all
    }

    pub fn stages(&self, execution: ExecutionId) -> Vec<StageRun> {
        block_on(self.driver.stage_runs(execution)).unwrap()
    }

    /// Answers what waits for an answer in this execution; returns how many approvals that were.
    pub fn answer(&self, execution: ExecutionId, approved: bool) -> usize {
        let mut answered = 0;
        for run in self.stages(execution) {
            for (place, action) in run.runs().filter(|(_, it)| it.status == ActionStatus::Running) {
                let answer = driver::ApprovalAnswer {
                    approved,
                    summary: "seen".into(),
                    by: Approver::Caller("arn:aws:iam::1:user/you".into()),
                };
                let Some(token) = action.token else { continue };
                let done = block_on(self.driver.approve_by_id(run.id_at(place), token, answer));
                answered += usize::from(done.is_ok());
            }
        }
        answered
    }

    pub fn retry(&self, execution: ExecutionId, stage: &str) -> bool {
        block_on(self.driver.retry(&self.name, stage, execution, RetryMode::FailedActions)).is_ok()
    }

    /// The spans that an event of this time leads to.
    pub fn trace(&self, ended: Ended) -> Vec<Span> {
        let record = Record::read(&*self.store, &self.versions, ended.execution);
        let record = block_on(record).unwrap().unwrap();
        record.ended_at(ended.time).iter().flat_map(|run| spans::of_run(&record, run, "eu-west-1")).collect()
    }

    /// The event of the end that an execution has had last.
    pub fn end(&self, execution: ExecutionId) -> Ended {
        let found = block_on(self.store.load(&[Key::Execution(execution)])).unwrap().pop().flatten().unwrap();
        let Entity::Execution(it) = found.entity else { panic!("not an execution") };
        assert!(!it.status.is_open(), "it has not ended");
        Ended { execution, time: Timestamp(it.updated.0 / 1_000 * 1_000) }
    }
}

/// The span of this name; of several the first that began.
pub fn named<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    let found = spans.iter().filter(|span| span.name == name).min_by_key(|span| span.start_time_unix_nano);
    found.unwrap_or_else(|| panic!("no span {name} in {:?}", spans.iter().map(|it| &it.name).collect::<Vec<_>>()))
}

#[test]
fn a_release_is_a_tree_with_what_happened_in_it() {
    let world = World::new();
    world.work();
    let [execution] = &world.executions()[..] else { panic!("one execution") };
    world.clock.pass(3_600_000);
    assert_eq!(world.answer(execution.id, true), 1, "Look");
    world.work();
    world.clock.pass(7 * 24 * 3_600_000);
    assert_eq!(world.answer(execution.id, true), 1, "Approve");
    world.work();
    let spans = world.trace(world.end(execution.id));
    assert_trees(&spans);
    let mut names: Vec<_> = spans.iter().map(|span| span.name.as_str()).collect();
    names.sort_unstable();
    let expected =
        ["A", "Approve", "Ask", "B", "Build", "C", "Deploy", "Fetch", "Look", "Publish", "RUN release", "Source"];
    assert_eq!(names, expected);
    let root = named(&spans, "RUN release");
    assert_eq!(root.parent_span_id, [0_u8; 0]);
    assert_eq!(attribute(root, "cicd.pipeline.run.id"), execution.id.to_string());
    assert_eq!(attribute(root, "cicd.pipeline.result"), "success");
    assert_eq!(root.status, None);
    for (child, parent) in [("Source", "RUN release"), ("Fetch", "Source"), ("C", "Build"), ("Publish", "Deploy")] {
        assert_eq!(named(&spans, child).parent_span_id, named(&spans, parent).span_id, "{child}");
    }
    let ask = named(&spans, "Approve");
    assert_eq!(attribute(ask, "millrace.wait.for"), "person");
    assert!(ask.end_time_unix_nano - ask.start_time_unix_nano >= 7 * 24 * 3_600 * 1_000_000_000);
    let text = format!("{spans:?}");
    assert!(!text.contains("app.zip") && !text.contains("site"), "a configuration is in a span");
    let publish = named(&spans, "Publish");
    for (name, value) in [
        ("cicd.pipeline.task.name", "Publish"),
        ("cicd.pipeline.task.type", "deploy"),
        ("cicd.pipeline.task.run.result", "success"),
        ("millrace.action.provider", "S3"),
        ("millrace.action.region", "eu-west-1"),
        ("millrace.stage.name", "Deploy"),
        ("millrace.stage.attempt", "1"),
    ] {
        assert_eq!(attribute(publish, name), value, "{name}");
    }
}

#[test]
fn what_comes_back_after_its_end_is_traced_in_parts_with_links() {
    let world = World::new();
    world.failing.lock().unwrap().push("B");
    world.work();
    let execution = world.executions()[0].id;
    world.answer(execution, true);
    let first_end = world.end(execution);
    let first = world.trace(first_end);
    assert_trees(&first);
    let (root, b) = (named(&first, "RUN release"), named(&first, "B"));
    assert_eq!(attribute(root, "error.type"), "JobFailed");
    assert_eq!(attribute(b, "cicd.pipeline.task.run.result"), "failure");
    for span in [root, b, named(&first, "Build")] {
        let status = span.status.as_ref().unwrap();
        assert_eq!(status.code, i32::from(StatusCode::Error), "{}", span.name);
        assert!(status.message.contains("B is red"), "{}", status.message);
    }
    world.failing.lock().unwrap().clear();
    world.clock.pass(20_000);
    assert!(world.retry(execution, "Build"));
    assert_eq!(world.trace(first_end), first, "late, while it runs again");
    world.work();
    assert_eq!(world.answer(execution, true), 1);
    world.work();
    let second = world.trace(world.end(execution));
    let mut names: Vec<_> = second.iter().map(|span| span.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["Approve", "Ask", "B", "Build", "C", "Deploy", "Publish", "RUN release"], "A is not told again");
    assert_trees(&[first.clone(), second.clone()].concat());
    for name in ["RUN release", "Build", "B"] {
        let [link] = &named(&second, name).links[..] else { panic!("{name} has no link") };
        let before = named(&first, name);
        assert_eq!((&link.trace_id, &link.span_id), (&before.trace_id, &before.span_id), "{name}");
    }
    let published_late = Ended { time: world.end(execution).time.plus(9_000), ..first_end };
    assert_eq!(world.trace(published_late), second, "the last one");
    let all = world.trace(first_end);
    assert_eq!(all, [first, second].concat(), "an event that comes very late");
}

#[test]
fn what_is_retried_beside_what_runs_is_told_once() {
    let world = World::new();
    world.failing.lock().unwrap().push("B");
    world.work();
    let execution = world.executions()[0].id;
    world.failing.lock().unwrap().clear();
    assert!(world.retry(execution, "Build"), "Look still waits for its answer");
    world.work();
    world.clock.pass(5_000);
    assert_eq!(world.answer(execution, true), 1, "Look, which goes on in the second attempt");
    world.work();
    world.answer(execution, true);
    world.work();
    let spans = world.trace(world.end(execution));
    assert_trees(&spans);
    let count = |name: &str| spans.iter().filter(|span| span.name == name).count();
    assert_eq!((count("RUN release"), count("Build"), count("A"), count("B"), count("Look")), (1, 2, 1, 2, 1));
    let look = named(&spans, "Look");
    assert_eq!(attribute(look, "millrace.stage.attempt"), "1");
    assert_eq!(attribute(look, "cicd.pipeline.task.run.result"), "success");
}

#[test]
fn waits_say_for_what() {
    let world = World::new();
    block_on(world.driver.set_transition(&world.name, "Deploy", Some("holidays".into()), "me".into())).unwrap();
    world.work();
    let first = world.executions()[0].id;
    world.answer(first, true);
    world.work();
    let second = world.start();
    world.work();
    world.answer(second, true);
    world.work();
    world.clock.pass(60_000);
    world.answer(first, true);
    world.work();
    world.clock.pass(30_000);
    block_on(world.driver.set_transition(&world.name, "Deploy", None, "me".into())).unwrap();
    world.work();
    let spans = world.trace(world.end(first));
    assert_trees(&spans);
    let wait = named(&spans, "wait for transition");
    assert_eq!(attribute(wait, "millrace.stage.name"), "Deploy");
    assert!(wait.end_time_unix_nano - wait.start_time_unix_nano >= 30_000_000_000);
    // The second waited in front of Ask while the first was in it.
    world.answer(second, true);
    world.work();
    let spans = world.trace(world.end(second));
    assert_trees(&spans);
    let wait = named(&spans, "wait for lock");
    assert_eq!(attribute(wait, "millrace.wait.for"), "lock");
    assert_eq!(attribute(wait, "millrace.stage.name"), "Ask");
    assert!(wait.end_time_unix_nano - wait.start_time_unix_nano >= 60_000_000_000);
}

#[test]
fn a_rollback_leads_to_the_trace_of_its_target() {
    let world = World::new();
    let run = || {
        let id = world.executions().last().unwrap().id;
        world.work();
        for _ in 0..2 {
            world.answer(id, true);
            world.work();
        }
        id
    };
    let target = run();
    world.start();
    run();
    let trigger = Trigger { kind: "ManualRollback".into(), detail: "arn".into() };
    let back = block_on(world.driver.roll_back(&world.name, "Deploy", target, trigger)).unwrap();
    world.work();
    let (spans, earlier) = (world.trace(world.end(back)), world.trace(world.end(target)));
    assert_trees(&spans);
    let [link] = &named(&spans, "RUN release").links[..] else { panic!("no link") };
    let root = named(&earlier, "RUN release");
    assert_eq!((&link.trace_id, &link.span_id), (&root.trace_id, &root.span_id));
    assert_ne!(spans[0].trace_id, earlier[0].trace_id);
}
