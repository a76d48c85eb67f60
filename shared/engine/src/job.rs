//! Jobs: their results, their continuation, and how job workers take them. Source: CodePipeline API,
//! `PutJobSuccessResult` (`continuationToken`), `PollForJobs`, `AcknowledgeJob`; `ActionTypeExecutor` (`jobTimeout`).
//!
//! A job that workers poll for is offered to one of them at a time, with a nonce. An offer that is not acknowledged
//! lapses after a lease, and the job is offered again with another nonce. Once acknowledged it belongs to that worker:
//! only then does a result count. Where its type has a time-out for jobs and nothing is heard within it, the action
//! gets a new job; the old one's id is worth nothing any more.

use pipeline::{Action, ConditionKind};
use subtle::ConstantTimeEq;
use uuid::Uuid;

use crate::command::{Effect, End, Progress, Refusal, Success};
use crate::group;
use crate::id::{ActionId, JobNonce};
use crate::progress;
use crate::state::{ActionError, ActionRun, ActionStatus, JobRun};
use crate::step::Step;
use crate::time::Timestamp;

/// Milliseconds until an action whose type names a function is continued. Source: CodePipeline user guide, 'Integration
/// model reference'.
const NEXT_JOB: i64 = 30_000;

/// Whether a third party may speak for a job: it must know the token that the action's configuration has for its client.
///
/// # Errors
/// [`Refusal::WrongClientToken`].
pub fn check_client(id: ActionId, action: &Action, token: &str) -> Result<(), Refusal> {
    let known = action.configuration.get(pipeline::custom::CLIENT_TOKEN);
    match known {
        Some(known) if bool::from(known.as_bytes().ct_eq(token.as_bytes())) => Ok(()),
        _ => Err(Refusal::WrongClientToken(id)),
    }
}

/// Whether an action's last job was offered with this nonce.
pub fn offered_with(run: &ActionRun, nonce: JobNonce) -> bool {
    run.job.as_ref().is_some_and(|job| same(job.nonce.map(|it| it.0), nonce.0))
}

/// The run of a job's action, if the job is its current one.
fn current<'a>(step: &'a Step<'_, '_>, action: ActionId) -> Result<&'a ActionRun, Refusal> {
    let run = step.run(action)?;
    if !run.status.in_flight() {
        return Err(step.wrong_state(action, run));
    }
    if run.turn != action.turn {
        return Err(Refusal::StaleJob(action));
    }
    Ok(run)
}

/// The same, if whoever speaks for the job may do so: one that is polled for must have been acknowledged.
fn owned<'a>(step: &'a Step<'_, '_>, action: ActionId) -> Result<&'a ActionRun, Refusal> {
    let run = current(step, action)?;
    let polled = step.declared(action).is_some_and(Action::is_polled);
    if polled && !run.job.as_ref().is_some_and(|job| job.acknowledged) {
        return Err(Refusal::NotAcknowledged(action));
    }
    Ok(run)
}

/// Ends the action of a job that was acknowledged or given to a function; for an `onFailure` rule see [`as_rule`].
pub(crate) fn result(step: &mut Step<'_, '_>, action: ActionId, end: End) -> Result<(), Refusal> {
    owned(step, action)?;
    progress::finish(step, action, as_rule(action, end), None)
}

/// What a job's result means for a rule of an `onFailure` condition, whose criterion is the function's error: there an
/// error meets the rule, and anything else does not. Source: CodePipeline user guide, 'How do stage conditions work?'.
fn as_rule(action: ActionId, end: End) -> End {
    let after_failure = ConditionKind::at(action.action).is_some_and(|(kind, _)| kind == ConditionKind::OnFailure);
    match end {
        End::Failed { error, report } if after_failure => {
            let summary = Some(format!("The function reported an error: {}", error.message));
            End::Succeeded(Success { report: Progress { summary, ..report }, ..Success::default() })
        }
        End::Succeeded(success) if after_failure => {
            let message = "the function reported no error, which is what the rule looks for after a failure".to_owned();
            End::Failed { error: ActionError { code: "JobFailed".to_owned(), message }, report: success.report }
        }
        end => end,
    }
}

/// The job is done, its action is not: another job is given out, with what this one handed over.
pub(crate) fn proceed(
    step: &mut Step<'_, '_>,
    action: ActionId,
    continuation: String,
    report: Progress,
) -> Result<(), Refusal> {
    let run = owned(step, action)?;
    let now = step.now();
    let deadline = |requested| step.declared(action).map(|declared| group::deadline(declared, requested, now));
    let deadline = run.requested.and_then(deadline);
    let polled = step.declared(action).is_some_and(Action::is_polled);
    // A function that puts its job's result by itself has taken its time.
    let called = step.declared(action).is_some_and(|declared| declared.custom.is_some());
    let delay = if called { NEXT_JOB } else { 0 };
    let check = now.plus(delay + step.context.policy.grace);
    let run = step.run_mut(action)?;
    run.deadline = deadline;
    run.continuation = Some(continuation);
    progress::apply(run, report);
    if polled {
        requeue(run, now);
        return Ok(());
    }
    run.status = ActionStatus::Requested;
    run.check = Some(check);
    run.claims = 0;
    run.turn = action.next_turn().turn;
    step.effects.push(Effect::Run { action: action.next_turn(), delay });
    Ok(())
}

/// The action gets its next job, which nobody has seen yet.
fn requeue(run: &mut ActionRun, now: Timestamp) {
    run.turn = run.turn.saturating_add(1);
    run.check = None;
    run.job = Some(JobRun::queued(now));
}

/// A worker polls: the job is its own to acknowledge, for the length of a lease.
pub(crate) fn offer(step: &mut Step<'_, '_>, action: ActionId, nonce: JobNonce) -> Result<(), Refusal> {
    let (now, lease) = (step.now(), step.context.policy.lease);
    let free = current(step, action)?.job.as_ref().is_some_and(|job| !job.acknowledged && job.free <= now);
    let run = step.run_mut(action)?;
    match &mut run.job {
        Some(job) if free => {
            job.nonce = Some(nonce);
            job.free = now.plus(lease);
            Ok(())
        }
        _ => Err(Refusal::JobTaken(action)),
    }
}

/// The worker takes the job that it was offered. Said twice, it changes nothing. `timeout`: milliseconds after which
/// the job passes to another worker when nothing is heard of it.
pub(crate) fn acknowledge(
    step: &mut Step<'_, '_>,
    action: ActionId,
    nonce: JobNonce,
    timeout: Option<i64>,
) -> Result<(), Refusal> {
    let now = step.now();
    let job = current(step, action)?.job.as_ref();
    let job = job.filter(|job| same(job.nonce.map(|it| it.0), nonce.0)).ok_or(Refusal::WrongNonce(action))?;
    if job.acknowledged {
        return Err(Refusal::Nothing);
    }
    let run = step.run_mut(action)?;
    run.check = timeout.map(|timeout| now.plus(timeout));
    if let Some(job) = &mut run.job {
        job.acknowledged = true;
    }
    Ok(())
}

/// The time of a job that was acknowledged has passed. Answers whether it was one; another is queued then.
pub(crate) fn lost(step: &mut Step<'_, '_>, action: ActionId) -> Result<bool, Refusal> {
    let now = step.now();
    let run = step.run(action)?;
    if run.status != ActionStatus::Running || !run.job.as_ref().is_some_and(|job| job.acknowledged) {
        return Ok(false);
    }
    requeue(step.run_mut(action)?, now);
    Ok(true)
}

/// Whether a secret is the one that is expected.
pub(crate) fn same(expected: Option<Uuid>, given: Uuid) -> bool {
    expected.is_some_and(|expected| expected.as_bytes().ct_eq(given.as_bytes()).into())
}
