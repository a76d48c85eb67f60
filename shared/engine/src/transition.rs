//! What is done to a pipeline's locks as a whole: closing and opening the way into a stage, deleting the pipeline.

use pipeline::{ExecutionMode, StageName};

use crate::command::{Context, Decision, Effect, Refusal};
use crate::state::{OutboxTask, StageLocks, Transition};

/// A change of an inbound transition.
#[derive(Clone, Debug)]
pub struct TransitionChange {
    /// The mode of the pipeline's current version.
    pub mode: ExecutionMode,
    /// The stage into which it leads.
    pub stage: StageName,
    /// Close it, with this reason; or open it.
    pub disable: Option<String>,
    /// Who changes it.
    pub by: String,
}

/// Closes or opens a transition; what waits in front of it may enter when it opens.
///
/// # Errors
/// [`Refusal::Nothing`] when the pipeline has been deleted; [`Refusal::NoTransitions`] in PARALLEL mode, where none can be
/// closed. One that was closed before the mode became PARALLEL can be opened, for those who wait in front of it.
pub fn set_transition(
    mut locks: StageLocks,
    change: TransitionChange,
    context: &mut Context<'_>,
) -> Result<Decision, Refusal> {
    if locks.deleted {
        return Err(Refusal::Nothing);
    }
    let closed = locks.stages.get(&change.stage).is_some_and(|lock| lock.transition.disabled);
    if change.mode == ExecutionMode::Parallel && (change.disable.is_some() || !closed) {
        return Err(Refusal::NoTransitions);
    }
    locks.lock(&change.stage).transition = Transition {
        disabled: change.disable.is_some(),
        reason: change.disable,
        changed_by: Some(change.by),
        changed_at: Some(context.now),
    };
    let known = locks.outbox.len();
    locks.admit_next(&change.stage);
    locks.plan_sweep(context.now, context.policy);
    let effects = locks.outbox[known..].iter().cloned().map(Effect::Outbox).collect();
    Ok(Decision { locks: Some(locks), effects, ..Decision::default() })
}

/// Closes all locks of a deleted pipeline; its executions are cancelled by outbox.
pub fn delete(mut locks: StageLocks, context: &mut Context<'_>) -> Decision {
    locks.deleted = true;
    locks.deleted_at = Some(context.now);
    // A rollback that has not been made yet has nothing to cancel.
    let unborn: Vec<_> = locks
        .outbox
        .extract_if(.., |task| matches!(task, OutboxTask::RollBack { .. }))
        .map(|task| task.execution())
        .collect();
    for lock in locks.stages.values_mut() {
        lock.holder = lock.holder.filter(|holder| !unborn.contains(holder));
    }
    let executions = locks.active();
    let known = locks.outbox.len();
    locks.outbox.extend(executions.into_iter().map(|execution| OutboxTask::Cancel { execution }));
    locks.plan_sweep(context.now, context.policy);
    let effects = locks.outbox[known..].iter().cloned().map(Effect::Outbox).collect();
    Decision { locks: Some(locks), effects, ..Decision::default() }
}
