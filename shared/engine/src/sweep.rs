//! What the sweeper does with one stage attempt: deadlines, lost workers, lost events.

use crate::command::{Effect, Refusal};
use crate::job;
use crate::progress;
use crate::queue;
use crate::stage;
use crate::state::{ActionError, ActionStatus};
use crate::step::Step;
use crate::time::Timestamp;

/// Looks at every action in flight whose time has come.
pub(crate) fn sweep(step: &mut Step<'_, '_>) -> Result<(), Refusal> {
    let now = step.now();
    let come = |time: Option<Timestamp>| time.is_some_and(|time| time <= now);
    let due: Vec<_> = step
        .stage()
        .filter(|stage| stage.due().is_some_and(|due| due <= now))
        .into_iter()
        .flat_map(|stage| stage.runs().map(|(place, run)| (stage.id_at(place), run)))
        .filter(|(_, run)| run.status.in_flight() && (come(run.check) || come(run.deadline)))
        .map(|(id, run)| (id, run.clone()))
        .collect();
    if due.is_empty() {
        return Err(Refusal::Nothing);
    }
    let mut requeued = 0;
    for (id, run) in due {
        let policy = *step.context.policy;
        if come(run.deadline) {
            let heard = run.summary.as_ref().map(|it| format!(" Last heard of it: {it}")).unwrap_or_default();
            let minutes = run.deadline.zip(run.requested).map_or(0, |(end, start)| end.since(start) / 60_000);
            let kept = step.run_mut(id)?;
            progress::fail(
                kept,
                ActionError {
                    code: "TimeoutError".into(),
                    message: format!("The action did not finish within {minutes} minutes.{heard}"),
                },
            );
            continue;
        }
        // Others of the same time stay due: a commit changes only so many entries of queues.
        if run.job.is_some() && requeued == queue::MOST_CHANGES {
            continue;
        }
        if job::lost(step, id)? {
            requeued += 1;
            continue;
        }
        let (status, check, effect) = match run.status {
            // The event was lost, or its worker died before it claimed; or the worker died after.
            ActionStatus::Requested | ActionStatus::Claimed { .. } => {
                (ActionStatus::Requested, now.plus(policy.grace), Effect::Run { action: id, delay: 0 })
            }
            _ => (
                ActionStatus::Running,
                now.plus(policy.poll_most + policy.grace),
                Effect::Poll { action: id, delay: 0, count: None },
            ),
        };
        let kept = step.run_mut(id)?;
        kept.status = status;
        kept.check = Some(check);
        step.effects.push(effect);
    }
    stage::advance(step, None)
}
