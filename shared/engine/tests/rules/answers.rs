//! Approvals and jobs.

use engine::{
    ActionStatus, ApprovalToken, Approver, Command, Effect, ExecutionStatus, Progress, Refusal, WorkerId, asked,
};
use uuid::Uuid;

use crate::environment::{MINUTE, TestEnvironment, declared, good, pipeline};

fn waiting_for_approval() -> (TestEnvironment, engine::ExecutionId) {
    let mut env = TestEnvironment::new(pipeline(&[("Gate", &[("Ask", "Manual", 1), ("After", "StepFunctions", 2)])]));
    let id = env.start();
    env.succeed(id, "Fetch");
    env.claim(id, "Ask", 1).unwrap();
    env.started(id, "Ask", 1, false).unwrap();
    (env, id)
}

fn caller(arn: &str) -> Approver {
    Approver::Caller(arn.into())
}

fn answer(
    env: &mut TestEnvironment,
    id: engine::ExecutionId,
    token: ApprovalToken,
    approved: bool,
) -> Result<(), Refusal> {
    let action = env.action(id, "Ask");
    env.apply(id, Command::Approve { action, token, approved, summary: "because".into(), by: caller("ann") })
}

#[test]
fn an_answer_means_the_attempt_whose_token_it_names_and_otherwise_the_one_that_is_shown() {
    let (env, shown) = waiting_for_approval();
    let first = env.stage(shown, "Gate").clone();
    let mut other = first.clone();
    other.attempt = 2;
    other.actions[0].token = Some(ApprovalToken(Uuid::from_u128(77)));
    let runs = [first.clone(), other.clone()];
    assert_eq!(asked(&runs, "Ask", other.actions[0].token.unwrap()), Some(other.action_id(0)));
    assert_eq!(asked(&runs, "Ask", first.actions[0].token.unwrap()), Some(first.action_id(0)));
    assert_eq!(asked(&runs, "Ask", ApprovalToken(Uuid::nil())), Some(first.action_id(0)), "which will refuse it");
    assert_eq!(asked(&runs, "Other", ApprovalToken(Uuid::nil())), None);
}

#[test]
fn a_yes_goes_on() {
    let (mut env, id) = waiting_for_approval();
    let token = env.run(id, "Ask").token.unwrap();
    answer(&mut env, id, token, true).unwrap();
    assert_eq!(env.status(id, "Ask"), ActionStatus::Succeeded);
    assert_eq!(env.run(id, "Ask").updated_by, Some(caller("ann")));
    assert_eq!(env.run(id, "Ask").summary.as_deref(), Some("because"));
    assert_eq!(env.status(id, "After"), ActionStatus::Requested);
}

#[test]
fn a_no_fails_the_stage() {
    let (mut env, id) = waiting_for_approval();
    let token = env.run(id, "Ask").token.unwrap();
    answer(&mut env, id, token, false).unwrap();
    assert_eq!(env.executions[&id].status, ExecutionStatus::Failed);
    assert!(env.run(id, "Ask").error.as_ref().unwrap().message.contains("because"));
}

#[test]
fn another_token_is_refused_and_changes_nothing() {
    let (mut env, id) = waiting_for_approval();
    assert!(matches!(answer(&mut env, id, ApprovalToken(Uuid::nil()), true), Err(Refusal::WrongToken { .. })));
    assert_eq!(env.status(id, "Ask"), ActionStatus::Running);
}

#[test]
fn the_second_answer_is_refused() {
    let (mut env, id) = waiting_for_approval();
    let token = env.run(id, "Ask").token.unwrap();
    answer(&mut env, id, token, true).unwrap();
    assert!(matches!(answer(&mut env, id, token, false), Err(Refusal::AlreadyAnswered { .. })));
    assert_eq!(env.status(id, "Ask"), ActionStatus::Succeeded);
}

#[test]
fn an_answer_may_come_before_the_sender_has_written_that_it_asked() {
    let mut env = TestEnvironment::new(pipeline(&[("Gate", &[("Ask", "Manual", 1)])]));
    let id = env.start();
    env.succeed(id, "Fetch");
    env.claim(id, "Ask", 1).unwrap();
    let token = env.run(id, "Ask").token.unwrap();
    answer(&mut env, id, token, true).unwrap();
    assert!(env.started(id, "Ask", 1, false).is_err(), "the sender comes too late, and changes nothing");
    assert_eq!(env.executions[&id].status, ExecutionStatus::Succeeded);
}

#[test]
fn nobody_approves_what_is_no_approval() {
    let (mut env, id) = waiting_for_approval();
    let action = env.action(id, "After");
    let approve = Command::Approve {
        action,
        token: ApprovalToken(Uuid::nil()),
        approved: true,
        summary: String::new(),
        by: caller("x"),
    };
    assert!(matches!(env.apply(id, approve), Err(Refusal::WrongToken { .. })));
}

#[test]
fn an_approval_waits_seven_days_or_as_long_as_it_says() {
    for (minutes, expected) in [(None, 7 * 24 * 60), (Some(30), 30)] {
        let pipeline = declared(&[("Gate", &[("Ask", "Manual", 1)])], |declaration| {
            if let Some(minutes) = minutes {
                declaration["stages"][1]["actions"][0]["timeoutInMinutes"] = serde_json::json!(minutes);
            }
        });
        let mut env = TestEnvironment::new(pipeline);
        let id = env.start();
        env.succeed(id, "Fetch");
        env.claim(id, "Ask", 1).unwrap();
        env.started(id, "Ask", 1, false).unwrap();
        env.now = env.now.plus(expected * MINUTE - 1);
        assert_eq!(env.apply(id, Command::Sweep), Err(Refusal::Nothing));
        env.now = env.now.plus(1);
        env.apply(id, Command::Sweep).unwrap();
        assert_eq!(env.executions[&id].status, ExecutionStatus::Failed);
        let message = &env.run(id, "Ask").error.as_ref().unwrap().message;
        assert!(message.contains(&expected.to_string()), "{message}");
    }
}

fn job() -> (TestEnvironment, engine::ExecutionId) {
    let mut env = TestEnvironment::new(pipeline(&[("Test", &[("Job", "Lambda", 1)])]));
    let id = env.start();
    env.succeed(id, "Fetch");
    env.claim(id, "Job", 1).unwrap();
    env.started(id, "Job", 1, false).unwrap();
    (env, id)
}

#[test]
fn a_job_may_ask_to_be_continued() {
    let (mut env, id) = job();
    let first = env.action(id, "Job");
    let go_on = |action| Command::Continue { action, continuation: "half".into(), report: Progress::default() };
    env.apply(id, go_on(first)).unwrap();
    assert_eq!(env.status(id, "Job"), ActionStatus::Requested);
    assert_eq!(env.run(id, "Job").continuation.as_deref(), Some("half"));
    let second = first.next_turn();
    assert_eq!(env.effects, [Effect::Run { action: second, delay: 0 }], "it has taken its time");
    assert_eq!(env.apply(id, go_on(first)), Err(Refusal::StaleJob(first)));
    let finish = |action| Command::Finish { action, end: good(), next_worker: None };
    assert_eq!(env.apply(id, finish(first)), Err(Refusal::StaleJob(first)));
    let claim = |action| Command::Claim { action, worker: WorkerId(Uuid::from_u128(1)) };
    assert!(matches!(env.apply(id, claim(first)), Err(Refusal::WrongState { .. })), "a late message for the first job");
    env.apply(id, finish(second)).unwrap();
    assert_eq!(env.executions[&id].status, ExecutionStatus::Succeeded);
}

#[test]
fn a_silent_function_is_polled_before_its_time_out_which_says_what_was_heard() {
    let (mut env, id) = job();
    let action = env.action(id, "Job");
    env.now = env.now.plus(18 * MINUTE);
    env.apply(id, Command::Sweep).unwrap();
    assert_eq!(env.effects, [Effect::Poll { action, delay: 0, count: None }]);
    let report = Progress { summary: Some("it failed 3 times".into()), ..Progress::default() };
    env.apply(id, Command::Report { action, report }).unwrap();
    assert_eq!(env.status(id, "Job"), ActionStatus::Running);
    env.now = env.now.plus(2 * MINUTE);
    env.apply(id, Command::Sweep).unwrap();
    let error = env.run(id, "Job").error.as_ref().unwrap();
    assert_eq!(error.code, "TimeoutError");
    assert_eq!(error.message, "The action did not finish within 20 minutes. Last heard of it: it failed 3 times");
}

#[test]
fn a_function_must_not_be_silent_for_twenty_minutes() {
    let (mut env, id) = job();
    env.now = env.now.plus(19 * MINUTE);
    let action = env.action(id, "Job");
    let report = Progress::default();
    env.apply(id, Command::Continue { action, continuation: "more".into(), report }).unwrap();
    env.apply(id, Command::Claim { action: action.next_turn(), worker: WorkerId(Uuid::from_u128(1)) }).unwrap();
    env.now = env.now.plus(19 * MINUTE);
    let _ = env.apply(id, Command::Sweep);
    assert_ne!(env.status(id, "Job"), ActionStatus::Failed, "a sign of life starts the time anew");
    env.now = env.now.plus(MINUTE);
    env.apply(id, Command::Sweep).unwrap();
    assert_eq!(env.status(id, "Job"), ActionStatus::Failed);
}

#[test]
fn where_the_approver_must_be_somebody_else_nobody_approves_what_they_started() {
    let (mut env, id) = waiting_for_approval();
    env.policy.separate_approver = true;
    let token = env.run(id, "Ask").token.unwrap();
    let action = env.action(id, "Ask");
    let starter = "arn:aws:sts::111122223333:assumed-role/Admin/alice";
    env.executions.get_mut(&id).unwrap().trigger.detail = starter.into();
    let mut answer = |by: Approver, approved| {
        env.apply(id, Command::Approve { action, token, approved, summary: String::new(), by })
    };
    let own = answer(caller(starter), true).unwrap_err();
    assert!(matches!(&own, Refusal::OwnExecution { .. }) && own.to_string().contains(starter), "{own}");
    for unproven in [caller(""), Approver::Link { name: "somebody else".into() }] {
        assert!(matches!(answer(unproven, true), Err(Refusal::Unproven { .. })));
    }
    answer(caller("arn:aws:sts::111122223333:assumed-role/Reviewer/bob"), true).unwrap();
    assert_eq!(env.status(id, "Ask"), ActionStatus::Succeeded);
}

#[test]
fn who_started_an_execution_may_reject_it_and_so_may_a_link() {
    for by in [None, Some(Approver::Link { name: "ann".into() })] {
        let (mut env, id) = waiting_for_approval();
        env.policy.separate_approver = true;
        let token = env.run(id, "Ask").token.unwrap();
        let action = env.action(id, "Ask");
        let by = by.unwrap_or_else(|| caller(&env.executions[&id].trigger.detail));
        env.apply(id, Command::Approve { action, token, approved: false, summary: String::new(), by }).unwrap();
        assert_eq!(env.executions[&id].status, ExecutionStatus::Failed);
    }
}
