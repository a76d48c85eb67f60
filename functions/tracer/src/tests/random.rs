//! Whatever happens to executions, their traces are trees, tell of each attempt once, and are the same however late an event is.

use std::collections::BTreeMap;

use futures::executor::block_on;
use proptest::prelude::*;

use super::*;

#[derive(Clone, Copy, Debug)]
enum Step {
    Work,
    Pass(i64),
    Start,
    Answer { which: usize, approved: bool },
    Fail(&'static str),
    Heal,
    Retry { which: usize, stage: usize },
    Stop { which: usize, abandon: bool },
    Close(usize),
    Open(usize),
    RollBack { which: usize },
}

const STAGES: [&str; 4] = ["Source", "Build", "Ask", "Deploy"];

fn step() -> impl Strategy<Value = Step> {
    let which = 0..3_usize;
    prop_oneof![
        6 => Just(Step::Work),
        3 => (0..200_000_i64).prop_map(Step::Pass),
        1 => Just(Step::Start),
        4 => (which.clone(), prop::bool::weighted(0.8)).prop_map(|(which, approved)| Step::Answer { which, approved }),
        1 => prop::sample::select(vec!["Fetch", "A", "B", "C", "Publish"]).prop_map(Step::Fail),
        1 => Just(Step::Heal),
        4 => (which.clone(), 0..4_usize).prop_map(|(which, stage)| Step::Retry { which, stage }),
        1 => (which.clone(), any::<bool>()).prop_map(|(which, abandon)| Step::Stop { which, abandon }),
        1 => (1..4_usize).prop_map(Step::Close),
        1 => (1..4_usize).prop_map(Step::Open),
        1 => which.prop_map(|which| Step::RollBack { which }),
    ]
}

fn perform(world: &World, step: Step) {
    let of = |which: usize| {
        let all = world.executions();
        all[all.len().saturating_sub(1 + which % all.len())].id
    };
    // What is refused has not happened.
    match step {
        Step::Work => world.work(),
        Step::Pass(milliseconds) => world.clock.pass(milliseconds),
        Step::Start => drop(world.start()),
        Step::Answer { which, approved } => drop(world.answer(of(which), approved)),
        Step::Fail(name) => world.failing.lock().unwrap().push(name),
        Step::Heal => world.failing.lock().unwrap().clear(),
        Step::Retry { which, stage } => drop(world.retry(of(which), STAGES[stage])),
        Step::Stop { which, abandon } => drop(block_on(world.driver.stop(&world.name, of(which), abandon, None))),
        Step::Close(stage) => {
            let closed = world.driver.set_transition(&world.name, STAGES[stage], Some("no".into()), "me".into());
            drop(block_on(closed));
        }
        Step::Open(stage) => drop(block_on(world.driver.set_transition(&world.name, STAGES[stage], None, "me".into()))),
        Step::RollBack { which } => {
            let trigger = Trigger { kind: "ManualRollback".into(), detail: String::new() };
            drop(block_on(world.driver.roll_back(&world.name, "Deploy", of(which), trigger)));
        }
    }
}

/// A span without what depends on when it is made: for what a wait was.
fn lasting(span: &Span) -> Span {
    let mut span = span.clone();
    if span.name.starts_with("wait for") {
        span.name = String::new();
        span.attributes.retain(|it| it.key != "millrace.wait.for");
    }
    span
}

fn check(steps: &[Step]) {
    let world = World::new();
    let mut events = Vec::new();
    let mut told: BTreeMap<(Vec<u8>, Vec<u8>), Span> = BTreeMap::new();
    let mut seen = BTreeMap::new();
    for step in steps {
        perform(&world, *step);
        for execution in world.executions() {
            let state = (execution.status.is_open(), execution.updated);
            if seen.insert(execution.id, state) == Some(state) || execution.status.is_open() {
                continue;
            }
            let event = world.end(execution.id);
            events.push(event);
            let spans = world.trace(event);
            for span in &spans {
                let key = (span.trace_id.clone(), span.span_id.clone());
                let before = told.insert(key, span.clone());
                assert_eq!(before.as_ref().map_or_else(|| lasting(span), lasting), lasting(span), "the same again");
            }
        }
    }
    let all: Vec<Span> = told.values().cloned().collect();
    assert_trees(&all);
    for event in events.iter().rev() {
        for span in world.trace(*event) {
            let key = (span.trace_id.clone(), span.span_id.clone());
            assert_eq!(told.get(&key).map(lasting), Some(lasting(&span)), "late, in another order");
        }
    }
    for execution in world.executions().iter().filter(|it| !it.status.is_open()) {
        let trace: Vec<&Span> = all.iter().filter(|it| it.trace_id == crate::ids::trace(execution.id)).collect();
        let mut expected: Vec<String> = Vec::new();
        let stages = world.stages(execution.id);
        for run in &stages {
            let begun = run.runs().filter(|(_, it)| it.requested.is_some());
            expected.extend(begun.map(|(place, _)| run.id_at(place).first_turn().to_string()));
        }
        expected.sort();
        expected.dedup();
        let mut found: Vec<String> = trace.iter().map(|it| attribute(it, "cicd.pipeline.task.run.id")).collect();
        found.retain(|id| !id.is_empty());
        found.sort();
        assert_eq!(found, expected, "each attempt at an action once");
        let attempts = trace.iter().filter(|it| !attribute(it, "millrace.stage.status").is_empty());
        assert_eq!(attempts.count(), stages.len(), "each attempt at a stage once");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn traces_are_whole(steps in prop::collection::vec(step(), 1..60)) {
        check(&steps);
    }
}
