//! Random commands in random order: what must hold, holds after each.

use engine::{ActionStatus, ApprovalToken, Command, ExecutionStatus, Position, StageStatus};
use proptest::prelude::*;
use uuid::Uuid;

use crate::environment::{TestEnvironment, failed, good, pipeline};

#[derive(Clone, Debug)]
enum Deed {
    Start,
    Chores,
    Claim(usize, u8),
    Started(usize, u8),
    Succeed(usize),
    Fail(usize),
    Answer(usize, bool),
    Sweep(usize),
    Wait(i64),
}

fn deed() -> impl Strategy<Value = Deed> {
    let which = 0_usize..24;
    prop_oneof![
        2 => Just(Deed::Start),
        3 => Just(Deed::Chores),
        8 => (which.clone(), 0_u8..3).prop_map(|(a, w)| Deed::Claim(a, w)),
        4 => (which.clone(), 0_u8..3).prop_map(|(a, w)| Deed::Started(a, w)),
        8 => which.clone().prop_map(Deed::Succeed),
        1 => which.clone().prop_map(Deed::Fail),
        3 => (which.clone(), any::<bool>()).prop_map(|(a, yes)| Deed::Answer(a, yes)),
        2 => which.prop_map(Deed::Sweep),
        1 => (0_i64..100_000).prop_map(Deed::Wait),
    ]
}

const NAMES: [&str; 6] = ["Fetch", "A1", "A2", "B", "Ask", "P"];

fn holds(env: &TestEnvironment) -> Result<(), TestCaseError> {
    for (index, stage) in env.pipeline.stages().iter().enumerate() {
        let inside: Vec<_> = env
            .stages
            .values()
            .filter(|run| run.stage == index && run.status == StageStatus::InProgress)
            .map(|run| run.execution)
            .collect();
        prop_assert!(inside.len() <= 1, "two executions in {}", stage.name);
        let lock = env.locks.stages.get(&stage.name);
        if let Some(only) = inside.first() {
            prop_assert_eq!(lock.and_then(|lock| lock.holder), Some(*only));
        }
        prop_assert!(lock.is_none_or(|lock| lock.waiting.len() <= 1), "more than one waits");
    }
    for execution in env.executions.values() {
        let out = execution.position == Position::Out;
        prop_assert_eq!(execution.status != ExecutionStatus::InProgress, out);
        if let Position::Waiting(stage) = execution.position {
            let lock = &env.locks.stages[&env.pipeline.stages()[stage].name];
            let task = env.locks.outbox.iter().any(|task| task.execution() == execution.id);
            let waits = lock.waiting.iter().any(|waiting| waiting.execution == execution.id);
            prop_assert!(waits || task, "nobody knows of {}", execution.id);
        }
    }
    for run in env.stages.values() {
        let declared = &env.pipeline.stages()[run.stage];
        for (action, state) in declared.actions.iter().zip(&run.actions) {
            let earlier =
                declared.actions.iter().zip(&run.actions).filter(|(other, _)| other.run_order < action.run_order);
            if state.status != ActionStatus::Pending {
                prop_assert!(earlier.into_iter().all(|(_, other)| other.status == ActionStatus::Succeeded));
            }
            prop_assert!(!state.status.in_flight() || run.status != StageStatus::InProgress || run.due().is_some());
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn whatever_is_done_in_whatever_order(deeds in prop::collection::vec(deed(), 1..120)) {
        let mut env = TestEnvironment::new(pipeline(&[
            ("Test", &[("A1", "StepFunctions", 1), ("A2", "Lambda", 1), ("B", "StepFunctions", 2)]),
            ("Gate", &[("Ask", "Manual", 1)]),
            ("Prod", &[("P", "StepFunctions", 1)]),
        ]));
        let mut ids = vec![env.start()];
        for deed in deeds {
            let before = (env.executions.clone(), env.stages.clone(), env.locks.clone());
            let pick = |which: usize, ids: &[engine::ExecutionId]| (ids[which % 4 % ids.len()], NAMES[which % NAMES.len()]);
            let done = match deed {
                Deed::Start => {
                    ids.insert(0, env.start());
                    Ok(())
                }
                Deed::Chores => {
                    env.outbox();
                    Ok(())
                }
                Deed::Claim(which, worker) => {
                    let (id, name) = pick(which, &ids);
                    env.claim(id, name, worker.into())
                }
                Deed::Started(which, worker) => {
                    let (id, name) = pick(which, &ids);
                    env.started(id, name, worker.into(), true)
                }
                Deed::Succeed(which) => {
                    let (id, name) = pick(which, &ids);
                    env.finish(id, name, good())
                }
                Deed::Fail(which) => {
                    let (id, name) = pick(which, &ids);
                    env.finish(id, name, failed("no"))
                }
                Deed::Answer(which, approved) => {
                    let (id, _) = pick(which, &ids);
                    let action = env.action(id, "Ask");
                    let token = match env.status(id, "Ask") {
                        ActionStatus::Pending => ApprovalToken(Uuid::nil()),
                        _ => env.run(id, "Ask").token.unwrap(),
                    };
                    let (summary, by) = (String::new(), String::new());
                    env.apply(id, Command::Approve { action, token, approved, summary, by: engine::Approver::Caller(by) })
                }
                Deed::Sweep(which) => env.apply(pick(which, &ids).0, Command::Sweep),
                Deed::Wait(milliseconds) => {
                    env.now = env.now.plus(milliseconds);
                    Ok(())
                }
            };
            if done.is_err() {
                prop_assert_eq!(&before, &(env.executions.clone(), env.stages.clone(), env.locks.clone()));
            }
            for (id, old) in &before.0 {
                if old.status != ExecutionStatus::InProgress {
                    prop_assert_eq!(old, &env.executions[id], "a final state is final");
                }
            }
            holds(&env)?;
        }
    }
}
