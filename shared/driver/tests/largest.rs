//! The largest legal pipeline is created and runs to its end over the in-memory store, which refuses what DynamoDB would:
//! items of more than 400 KB, commits of too many writes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use std::collections::BTreeMap;
use std::sync::Arc;

use driver::{Driver, Outcome, Setup, SourceRules, Task};
use engine::{ActionError, ExecutionStatus, External, Progress, Revision, StageStatus, Success, Timestamp, Trigger};
use futures::executor::block_on;
use pipeline::{Declaration, PipelineName};
use serde_json::{Value, json};
use store::{Entity, MemoryStore};
use testkit::{Outbox, TestClock, TestExecutor, setup};

/// Bytes of the names and values of an action's output variables together.
const OUTPUTS: usize = 122_880;

/// Every action leaves as much as it may.
struct Most {
    /// Whether the actions after the sources fail.
    fails: bool,
    /// What texts for people are made of.
    letter: char,
}

impl Most {
    fn text(&self, characters: usize) -> String {
        std::iter::repeat_n(self.letter, characters).collect()
    }

    fn report(&self) -> Progress {
        Progress {
            external: Some(External { id: "e".repeat(1_500), url: Some("u".repeat(2_048)) }),
            summary: Some(self.text(2_048)),
            percent: Some(100),
        }
    }

    fn start(&self, task: &Task) -> Outcome {
        let source = task.action.type_id.category == "Source";
        let report = self.report();
        if self.fails && !source {
            let error = ActionError { code: "JobFailed".into(), message: self.text(5_000) };
            return Outcome::Failed { error, report };
        }
        assert!(task.configuration.values().all(|value| value.len() <= 1_000), "resolved");
        // A short one to be referred to, and the rest of what is allowed.
        let mut variables = BTreeMap::from([("Id".to_owned(), "x".to_owned())]);
        variables.insert("Rest".to_owned(), "r".repeat(OUTPUTS - "Id".len() - "x".len() - "Rest".len()));
        let revision = source.then(|| Revision {
            id: "v".repeat(1_500),
            summary: Some(self.text(2_048)),
            url: Some("u".repeat(2_048)),
            created: Some(Timestamp(0)),
            change: None,
        });
        Outcome::Succeeded(Success { report, outputs: task.outputs.clone(), variables, revision })
    }
}

fn kind(category: &str, provider: &str) -> Value {
    json!({"category": category, "owner": "AWS", "provider": provider, "version": "1"})
}

/// 50 stages with 500 actions: 50 sources, a group of 50, the rest spread. Each action after the sources has a value of
/// 1,000 bytes, reads artifacts, makes one and uses the variables of others.
fn largest() -> Declaration {
    let per_stage = |stage: usize| match stage {
        0 | 1 => 50,
        _ if stage - 2 < 16 => 9,
        _ => 8,
    };
    let action = |stage: usize, action: usize| {
        let name = |stage: usize, action: usize| format!("A{stage}x{action}{}", "n".repeat(80));
        let mut declared = json!({
            "name": format!("action-{action}-{}", "n".repeat(85)),
            "namespace": format!("N{stage}x{action}"),
            "outputArtifacts": [{"name": name(stage, action)}],
        });
        if stage == 0 {
            declared["actionTypeId"] = kind("Source", "S3");
            declared["configuration"] = json!({"S3Bucket": "bucket", "S3ObjectKey": format!("{action:01000}")});
        } else {
            declared["actionTypeId"] = kind("Invoke", "Lambda");
            let reference = format!("#{{N{}x0.Id}}", stage - 1);
            let text = format!("{reference}{}", "c".repeat(1_000 - reference.len()));
            declared["configuration"] = json!({"FunctionName": "function", "UserParameters": text});
            declared["inputArtifacts"] = json!([{"name": name(stage - 1, 0)}, {"name": name(0, action)}]);
        }
        declared
    };
    let stages: Vec<Value> = (0..50)
        .map(|stage| {
            let actions: Vec<Value> = (0..per_stage(stage)).map(|index| action(stage, index)).collect();
            json!({"name": format!("stage-{stage}-{}", "n".repeat(85)), "actions": actions})
        })
        .collect();
    serde_json::from_value(json!({
        "name": "p".repeat(100),
        "roleArn": "arn:aws:iam::111122223333:role/release",
        "pipelineType": "V2",
        "artifactStore": {"type": "S3", "location": "artifacts"},
        "stages": stages,
    }))
    .unwrap()
}

struct World {
    driver: Driver,
    store: Arc<MemoryStore>,
    outbox: Arc<Outbox>,
    clock: Arc<TestClock>,
    name: PipelineName,
}

impl World {
    fn driver(store: &Arc<MemoryStore>, outbox: &Arc<Outbox>, clock: &Arc<TestClock>) -> Driver {
        let sources = SourceRules {
            watched: |action, _| action.configuration.get("S3ObjectKey").cloned(),
            polled: |_, _| None,
            takes_revision: |_, _| Ok(()),
        };
        Driver::new(Setup { sources, ..setup(store, outbox, clock) })
    }

    /// Creates the pipeline, which starts it.
    fn new() -> Self {
        let (store, outbox) = (Arc::new(MemoryStore::new()), Arc::new(Outbox::default()));
        let clock = Arc::new(TestClock::ticking(Timestamp(0)));
        let driver = Self::driver(&store, &outbox, &clock);
        let declaration = largest();
        let name = PipelineName::new(declaration.name.clone()).unwrap();
        let trigger = Trigger { kind: "CreatePipeline".into(), detail: "t".repeat(1_000) };
        block_on(driver.create_pipeline(declaration, BTreeMap::new(), trigger)).unwrap();
        Self { driver, store, outbox, clock, name }
    }

    /// The same, and workers do all that is to be done.
    fn run(actions: &Most) -> Self {
        let world = Self::new();
        block_on(world.outbox.work(&world.driver, &TestExecutor::new(|task| actions.start(task))));
        world
    }

    /// How the one execution and the stages that it came to stand.
    fn ended(&self) -> (ExecutionStatus, Vec<StageStatus>) {
        let page = block_on(self.driver.executions(&self.name, None, 10)).unwrap();
        let [Entity::Execution(execution)] = &page.entities[..] else { panic!("one execution") };
        let stages = block_on(self.driver.stage_runs(execution.id)).unwrap();
        (execution.status, stages.iter().map(|stage| stage.status).collect())
    }

    /// How often a stage's item was written.
    fn writes(&self, stage: usize) -> u64 {
        let found =
            self.store.dump().into_iter().find(|it| matches!(&it.entity, Entity::Stage(run) if run.stage == stage));
        found.unwrap().revision
    }

    /// The largest item of each kind, in bytes of its body.
    fn sizes(&self) -> BTreeMap<&'static str, usize> {
        let mut sizes = BTreeMap::new();
        for item in self.store.dump() {
            let size = item.entity.to_json().unwrap().len();
            let largest = sizes.entry(item.entity.kind()).or_default();
            *largest = size.max(*largest);
        }
        sizes
    }
}

#[test]
fn the_largest_pipeline_runs_to_its_end() {
    let begun = std::time::Instant::now();
    let world = World::run(&Most { fails: false, letter: 'a' });
    println!("{:?} in {:?}", world.sizes(), begun.elapsed());
    let (status, stages) = world.ended();
    assert_eq!(status, ExecutionStatus::Succeeded);
    assert_eq!(stages, [StageStatus::Succeeded; 50]);
    let state = block_on(world.driver.state(&world.name)).unwrap();
    assert_eq!(state.stages.len(), 50);
    // Its fifty actions are taken up as it is entered. Each end has variables in an item of their own, so that a commit
    // of ten items holds nine ends.
    assert_eq!(world.writes(1), 1 + 6, "ends that come together are written together");
}

#[test]
fn the_largest_declaration_is_read_as_it_was_written() {
    let world = World::new();
    // By a driver that has not seen it before.
    let record =
        block_on(World::driver(&world.store, &world.outbox, &world.clock).pipeline(&world.name, None)).unwrap();
    assert_eq!(record.pipeline.declaration(), &Declaration { version: Some(1), ..largest() });
}

#[test]
fn fifty_actions_can_fail_with_all_that_they_may_say() {
    // Of one byte in UTF-8, of four, and of six in JSON, which escapes it.
    for letter in ['a', '\u{1f600}', '\u{1}'] {
        let world = World::run(&Most { fails: true, letter });
        println!("{letter:?}: {:?}", world.sizes());
        assert_eq!(world.ended(), (ExecutionStatus::Failed, vec![StageStatus::Succeeded, StageStatus::Failed]));
    }
}
