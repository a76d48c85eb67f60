//! Approvals and jobs.

use engine::{ActionStatus, Command, Effect, ExecutionStatus, Progress, Refusal};
use uuid::Uuid;

use crate::rig::{MINUTE, Rig, declared, good, pipeline};

fn waiting_for_approval() -> (Rig, engine::ExecutionId) {
    let mut rig = Rig::new(pipeline(&[("Gate", &[("Ask", "Manual", 1), ("After", "StepFunctions", 2)])]));
    let id = rig.start();
    rig.succeed(id, "Fetch");
    rig.claim(id, "Ask", 1).unwrap();
    rig.started(id, "Ask", 1, false).unwrap();
    (rig, id)
}

fn answer(rig: &mut Rig, id: engine::ExecutionId, token: Uuid, approved: bool) -> Result<(), Refusal> {
    let action = rig.action(id, "Ask");
    rig.apply(id, Command::Approve { action, token, approved, summary: "because".into(), by: "ann".into() })
}

#[test]
fn a_yes_goes_on() {
    let (mut rig, id) = waiting_for_approval();
    let token = rig.run(id, "Ask").token.unwrap();
    answer(&mut rig, id, token, true).unwrap();
    assert_eq!(rig.status(id, "Ask"), ActionStatus::Succeeded);
    assert_eq!(rig.run(id, "Ask").updated_by.as_deref(), Some("ann"));
    assert_eq!(rig.run(id, "Ask").summary.as_deref(), Some("because"));
    assert_eq!(rig.status(id, "After"), ActionStatus::Requested);
}

#[test]
fn a_no_fails_the_stage() {
    let (mut rig, id) = waiting_for_approval();
    let token = rig.run(id, "Ask").token.unwrap();
    answer(&mut rig, id, token, false).unwrap();
    assert_eq!(rig.executions[&id].status, ExecutionStatus::Failed);
    assert!(rig.run(id, "Ask").error.as_ref().unwrap().message.contains("because"));
}

#[test]
fn another_token_is_refused_and_changes_nothing() {
    let (mut rig, id) = waiting_for_approval();
    assert!(matches!(answer(&mut rig, id, Uuid::nil(), true), Err(Refusal::WrongToken { .. })));
    assert_eq!(rig.status(id, "Ask"), ActionStatus::Running);
}

#[test]
fn the_second_answer_is_refused() {
    let (mut rig, id) = waiting_for_approval();
    let token = rig.run(id, "Ask").token.unwrap();
    answer(&mut rig, id, token, true).unwrap();
    assert!(matches!(answer(&mut rig, id, token, false), Err(Refusal::AlreadyAnswered { .. })));
    assert_eq!(rig.status(id, "Ask"), ActionStatus::Succeeded);
}

#[test]
fn an_answer_may_come_before_the_sender_has_written_that_it_asked() {
    let mut rig = Rig::new(pipeline(&[("Gate", &[("Ask", "Manual", 1)])]));
    let id = rig.start();
    rig.succeed(id, "Fetch");
    rig.claim(id, "Ask", 1).unwrap();
    let token = rig.run(id, "Ask").token.unwrap();
    answer(&mut rig, id, token, true).unwrap();
    assert!(rig.started(id, "Ask", 1, false).is_err(), "the sender comes too late, and changes nothing");
    assert_eq!(rig.executions[&id].status, ExecutionStatus::Succeeded);
}

#[test]
fn nobody_approves_what_is_no_approval() {
    let (mut rig, id) = waiting_for_approval();
    let action = rig.action(id, "After");
    let approve =
        Command::Approve { action, token: Uuid::nil(), approved: true, summary: String::new(), by: "x".into() };
    assert!(matches!(rig.apply(id, approve), Err(Refusal::WrongToken { .. })));
}

#[test]
fn an_approval_waits_seven_days_or_as_long_as_it_says() {
    for (minutes, expected) in [(None, 7 * 24 * 60), (Some(30), 30)] {
        let pipeline = declared(&[("Gate", &[("Ask", "Manual", 1)])], |declaration| {
            if let Some(minutes) = minutes {
                declaration["stages"][1]["actions"][0]["timeoutInMinutes"] = serde_json::json!(minutes);
            }
        });
        let mut rig = Rig::new(pipeline);
        let id = rig.start();
        rig.succeed(id, "Fetch");
        rig.claim(id, "Ask", 1).unwrap();
        rig.started(id, "Ask", 1, false).unwrap();
        rig.now = rig.now.plus(expected * MINUTE - 1);
        assert_eq!(rig.apply(id, Command::Sweep), Err(Refusal::Nothing));
        rig.now = rig.now.plus(1);
        rig.apply(id, Command::Sweep).unwrap();
        assert_eq!(rig.executions[&id].status, ExecutionStatus::Failed);
        let message = &rig.run(id, "Ask").error.as_ref().unwrap().message;
        assert!(message.contains(&expected.to_string()), "{message}");
    }
}

fn job() -> (Rig, engine::ExecutionId) {
    let mut rig = Rig::new(pipeline(&[("Test", &[("Job", "Lambda", 1)])]));
    let id = rig.start();
    rig.succeed(id, "Fetch");
    rig.claim(id, "Job", 1).unwrap();
    rig.started(id, "Job", 1, false).unwrap();
    (rig, id)
}

#[test]
fn a_job_may_ask_to_be_continued() {
    let (mut rig, id) = job();
    let first = rig.action(id, "Job");
    let go_on =
        |action| Command::Continue { action, continuation: "half".into(), delay: 30_000, report: Progress::default() };
    rig.apply(id, go_on(first)).unwrap();
    assert_eq!(rig.status(id, "Job"), ActionStatus::Requested);
    assert_eq!(rig.run(id, "Job").continuation.as_deref(), Some("half"));
    let second = first.next_turn();
    assert_eq!(rig.effects, [Effect::Run { action: second, delay: 30_000 }]);
    let swept = rig.run(id, "Job").check.unwrap();
    assert_eq!(swept, rig.now.plus(30_000 + rig.policy.grace), "and not before it was to begin");
    assert_eq!(rig.apply(id, go_on(first)), Err(Refusal::StaleJob(first)));
    let finish = |action| Command::Finish { action, end: good(), next: None };
    assert_eq!(rig.apply(id, finish(first)), Err(Refusal::StaleJob(first)));
    let claim = |action| Command::Claim { action, worker: Uuid::from_u128(1) };
    assert!(matches!(rig.apply(id, claim(first)), Err(Refusal::WrongState { .. })), "a late message for the first job");
    rig.apply(id, finish(second)).unwrap();
    assert_eq!(rig.executions[&id].status, ExecutionStatus::Succeeded);
}

#[test]
fn a_function_must_not_be_silent_for_twenty_minutes() {
    let (mut rig, id) = job();
    rig.now = rig.now.plus(19 * MINUTE);
    let action = rig.action(id, "Job");
    let report = Progress::default();
    rig.apply(id, Command::Continue { action, continuation: "more".into(), delay: 0, report }).unwrap();
    rig.apply(id, Command::Claim { action: action.next_turn(), worker: Uuid::from_u128(1) }).unwrap();
    rig.now = rig.now.plus(19 * MINUTE);
    let _ = rig.apply(id, Command::Sweep);
    assert_ne!(rig.status(id, "Job"), ActionStatus::Failed, "a sign of life starts the time anew");
    rig.now = rig.now.plus(MINUTE);
    rig.apply(id, Command::Sweep).unwrap();
    assert_eq!(rig.status(id, "Job"), ActionStatus::Failed);
}
