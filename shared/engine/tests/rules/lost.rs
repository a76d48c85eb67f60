//! What the sweeper does about lost events and lost workers.

use engine::{ActionStatus, Command, Effect, ExecutionStatus, Refusal};

use crate::rig::{MINUTE, Rig, pipeline};

fn rig() -> Rig {
    Rig::new(pipeline(&[("Test", &[("T", "StepFunctions", 1)])]))
}

#[test]
fn a_lost_event_is_sent_again_after_the_grace() {
    let mut rig = rig();
    let id = rig.start();
    assert_eq!(rig.apply(id, Command::Sweep), Err(Refusal::Nothing));
    rig.now = rig.now.plus(rig.policy.grace);
    rig.apply(id, Command::Sweep).unwrap();
    assert_eq!(rig.effects, [Effect::Run { action: rig.action(id, "Fetch"), delay: 0 }]);
    assert_eq!(rig.apply(id, Command::Sweep), Err(Refusal::Nothing), "not again before another grace");
}

#[test]
fn a_lost_worker_is_replaced_when_its_claim_runs_out() {
    let mut rig = rig();
    let id = rig.start();
    rig.claim(id, "Fetch", 1).unwrap();
    rig.now = rig.now.plus(rig.policy.lease);
    rig.apply(id, Command::Sweep).unwrap();
    assert_eq!(rig.status(id, "Fetch"), ActionStatus::Requested);
    assert_eq!(rig.effects, [Effect::Run { action: rig.action(id, "Fetch"), delay: 0 }], "under the same attempt id");
    rig.claim(id, "Fetch", 2).unwrap();
    assert_eq!(rig.run(id, "Fetch").claims, 2);
}

#[test]
fn a_lost_poll_is_made_up_for() {
    let mut rig = rig();
    let id = rig.start();
    rig.succeed(id, "Fetch");
    rig.claim(id, "T", 1).unwrap();
    rig.started(id, "T", 1, true).unwrap();
    let action = rig.action(id, "T");
    assert_eq!(rig.effects, [Effect::Poll { action, delay: rig.policy.poll_first, count: Some(0) }]);
    rig.now = rig.now.plus(rig.policy.poll_first + rig.policy.poll_most + rig.policy.grace);
    rig.apply(id, Command::Sweep).unwrap();
    assert_eq!(rig.effects, [Effect::Poll { action, delay: 0, count: None }], "one poll, not a second chain");
}

#[test]
fn an_action_ends_at_its_deadline_and_its_provider_is_told() {
    let mut rig = rig();
    let id = rig.start();
    rig.succeed(id, "Fetch");
    rig.claim(id, "T", 1).unwrap();
    rig.started(id, "T", 1, true).unwrap();
    let minutes = rig.pipeline.stages()[1].actions[0].timeout_minutes();
    rig.now = rig.now.plus(i64::from(minutes) * MINUTE);
    rig.apply(id, Command::Sweep).unwrap();
    assert_eq!(rig.status(id, "T"), ActionStatus::Failed);
    assert_eq!(rig.run(id, "T").error.as_ref().unwrap().code, "TimeoutError");
    assert!(rig.effects.contains(&Effect::Cancel(rig.action(id, "T"))));
    assert_eq!(rig.executions[&id].status, ExecutionStatus::Failed);
}

#[test]
fn nothing_is_due_in_a_stage_that_is_over() {
    let mut rig = rig();
    let id = rig.start();
    assert!(rig.stages[&(id, 0, 1)].due().is_some());
    rig.succeed(id, "Fetch");
    assert_eq!(rig.stages[&(id, 0, 1)].due(), None);
}

#[test]
fn a_provider_is_told_to_stop_if_anybody_may_have_started_it() {
    for claimed in [false, true] {
        let mut rig = rig();
        let id = rig.start();
        rig.succeed(id, "Fetch");
        if claimed {
            rig.claim(id, "T", 1).unwrap();
        }
        // The worker is lost: the action is to be started again, but nobody comes.
        rig.now = rig.now.plus(rig.policy.lease);
        rig.apply(id, Command::Sweep).unwrap();
        assert_eq!(rig.status(id, "T"), ActionStatus::Requested);
        let minutes = rig.pipeline.stages()[1].actions[0].timeout_minutes();
        rig.now = rig.now.plus(i64::from(minutes) * MINUTE);
        rig.apply(id, Command::Sweep).unwrap();
        assert_eq!(rig.status(id, "T"), ActionStatus::Failed);
        assert_eq!(rig.effects.contains(&Effect::Cancel(rig.action(id, "T"))), claimed);
    }
}
