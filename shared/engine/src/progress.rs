//! An action from its claim to its end, and what its end brings in its stage.

use pipeline::Action;

use crate::command::{Effect, End, Progress, Refusal, Success};
use crate::group::take;
use crate::id::{ActionId, WorkerId};
use crate::overrides;
use crate::stage;
use crate::state::{ActionError, ActionRun, ActionStatus, ExternalId, JobRun, Outputs, StoredOutputs};
use crate::step::Step;
use crate::time::Timestamp;

/// Output variables up to this many bytes stay in the stage's item: 50 actions of a stage with this much each keep it
/// far below DynamoDB's 400 KB.
const INLINE_BYTES: usize = 2_048;
/// Longest id of a service's, in bytes, that leads back to its action: it is part of a key. ARNs are shorter; an action
/// with a longer one is found to have ended by its polls.
const LONGEST_EXTERNAL_ID: usize = 1_024;
/// How long before its time-out an action is polled whose function has to report by itself and has not, in milliseconds:
/// longer than a sweep and a poll take.
const LAST_POLL: i64 = 120_000;
/// Error messages and summaries are cut to this many characters.
const MESSAGE_CHARACTERS: usize = 2_000;

/// A worker takes up an action. Only one claim holds at a time; a claim that has run out can be taken over.
pub(crate) fn claim(step: &mut Step<'_, '_>, action: ActionId, worker: WorkerId) -> Result<(), Refusal> {
    let (now, lease) = (step.now(), step.context.policy.lease);
    let run = step.run(action)?;
    let free = match &run.status {
        ActionStatus::Requested => true,
        ActionStatus::Claimed { until, .. } => *until <= now,
        _ => false,
    };
    if !free || run.turn != action.turn {
        return Err(step.wrong_state(action, run));
    }
    take(step.run_mut(action)?, worker, now.plus(lease));
    step.claimed.push(action);
    Ok(())
}

/// The claiming worker goes on for another lease.
pub(crate) fn renew(step: &mut Step<'_, '_>, action: ActionId, worker: WorkerId) -> Result<(), Refusal> {
    let until = step.now().plus(step.context.policy.lease);
    owned(step, action, worker)?;
    let run = step.run_mut(action)?;
    run.status = ActionStatus::Claimed { worker, until };
    run.check = Some(until);
    Ok(())
}

fn owned(step: &Step<'_, '_>, action: ActionId, worker: WorkerId) -> Result<(), Refusal> {
    let run = step.run(action)?;
    match &run.status {
        ActionStatus::Claimed { worker: owner, .. } if *owner == worker => Ok(()),
        ActionStatus::Claimed { .. } | ActionStatus::Requested => Err(Refusal::ClaimLost),
        _ => Err(step.wrong_state(action, run)),
    }
}

/// The action was started, and is now with its provider, a person or a job worker.
pub(crate) fn started(
    step: &mut Step<'_, '_>,
    action: ActionId,
    worker: WorkerId,
    report: Progress,
    poll: bool,
    event_source: Option<String>,
) -> Result<(), Refusal> {
    owned(step, action, worker)?;
    let now = step.now();
    let delay = step.context.policy.poll_delay(0);
    // The chain of polls does its own work; the sweeper only looks whether it still lives.
    let check = match poll {
        true => Some(now.plus(delay + step.context.policy.poll_most + step.context.policy.grace)),
        false => last_poll(step, action),
    };
    let polled = step.declared(action).is_some_and(Action::is_polled);
    let run = step.run_mut(action)?;
    run.status = ActionStatus::Running;
    run.check = check;
    apply(run, report);
    if polled {
        // Its job waits in its queue.
        run.job = Some(JobRun::queued(now));
    }
    if let Some(source) = event_source {
        remember_external_id(step, action, source)?;
    }
    if poll {
        step.effects.push(Effect::Poll { action, delay, count: Some(0) });
    }
    Ok(())
}

/// When an action that may not be silent for long is polled, so that its time-out can say what is known by then.
fn last_poll(step: &Step<'_, '_>, action: ActionId) -> Option<Timestamp> {
    step.declared(action)?.silence_timeout_minutes()?;
    let check = step.run(action).ok()?.deadline?.plus(-LAST_POLL);
    (check > step.now()).then_some(check)
}

/// Events of a service that knows the action by its own id only will be understood. The last start under an id counts.
fn remember_external_id(step: &mut Step<'_, '_>, action: ActionId, source: String) -> Result<(), Refusal> {
    let region = step.declared(action).and_then(|declared| declared.region.as_ref());
    let region = region.map_or_else(|| step.context.home.to_owned(), ToString::to_string);
    let external = step.run(action)?.external.as_ref();
    if let Some(id) = external.map(|external| external.id.clone()).filter(|id| id.len() <= LONGEST_EXTERNAL_ID) {
        let started = step.now();
        step.external_ids.push(ExternalId { source, region, id, action, started });
    }
    Ok(())
}

/// News of a running action.
pub(crate) fn report(step: &mut Step<'_, '_>, action: ActionId, report: Progress) -> Result<(), Refusal> {
    let run = step.run(action)?;
    if !run.status.in_flight() {
        return Err(step.wrong_state(action, run));
    }
    let mut news = run.clone();
    apply(&mut news, report.clone());
    if news == *run {
        return Err(Refusal::Nothing);
    }
    apply(step.run_mut(action)?, report);
    Ok(())
}

pub(crate) fn apply(run: &mut ActionRun, report: Progress) {
    if report.external.is_some() {
        run.external = report.external;
    }
    if let Some(summary) = report.summary {
        run.summary = Some(cut(&summary));
    }
    if report.percent.is_some() {
        run.percent = report.percent;
    }
}

fn cut(text: &str) -> String {
    text.chars().take(MESSAGE_CHARACTERS).collect()
}

/// An action ended; what follows in its stage, or behind it, is requested in the same decision.
pub(crate) fn finish(
    step: &mut Step<'_, '_>,
    action: ActionId,
    end: End,
    next_worker: Option<WorkerId>,
) -> Result<(), Refusal> {
    let run = step.run(action)?;
    if !run.status.in_flight() {
        return Err(step.wrong_state(action, run));
    }
    if run.turn != action.turn {
        return Err(Refusal::StaleJob(action));
    }
    let end = checked(end);
    match end {
        End::Succeeded(success) => succeed(step, action, success)?,
        End::Failed { error, report } => {
            let run = step.run_mut(action)?;
            apply(run, report);
            fail(run, error);
        }
    }
    stage::advance(step, next_worker)
}

/// What a success must keep to be one.
fn checked(end: End) -> End {
    match end {
        End::Succeeded(success) => match pipeline::variables::check_output_variables(&success.variables) {
            Ok(()) => End::Succeeded(success),
            Err(error) => End::Failed {
                error: ActionError { code: "ConfigurationError".into(), message: error.to_string() },
                report: success.report,
            },
        },
        failed => failed,
    }
}

pub(crate) fn fail(run: &mut ActionRun, error: ActionError) {
    run.status = ActionStatus::Failed;
    run.check = None;
    run.error = Some(ActionError { code: error.code, message: cut(&error.message) });
}

fn succeed(step: &mut Step<'_, '_>, action: ActionId, success: Success) -> Result<(), Refusal> {
    let home = step.context.home.to_owned();
    for artifact in &success.outputs {
        if !step.pipeline.copy_regions(&artifact.name, &home).is_empty() {
            step.effects.push(Effect::Replicate { action, artifact: artifact.name.clone() });
        }
    }
    let bytes: usize = success.variables.iter().map(|(key, value)| key.len() + value.len()).sum();
    let variables = match bytes {
        0 => Outputs::None,
        _ if bytes <= INLINE_BYTES => Outputs::Inline(success.variables),
        _ => {
            step.stored.push(StoredOutputs { action: action.first_turn(), variables: success.variables });
            Outputs::Stored
        }
    };
    let revision = success.revision.or_else(|| overrides::put_for(step, action));
    let run = step.run_mut(action)?;
    apply(run, success.report);
    run.status = ActionStatus::Succeeded;
    run.check = None;
    run.percent = None;
    run.outputs = success.outputs;
    run.variables = variables;
    run.revision = revision;
    Ok(())
}
