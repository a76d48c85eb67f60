//! What is done to a pipeline's locks as a whole: closing and opening the way into a stage, updating and deleting the
//! pipeline.

use pipeline::{ExecutionMode, Pipeline, StageName};

use crate::command::{Context, Decision, Effect, Refusal};
use crate::id::ExecutionId;
use crate::state::{CancelCause, OutboxTask, StageLocks, Transition};
use crate::time::TRANSITION_DAYS;

/// A change of an inbound transition.
#[derive(Clone, Debug)]
pub struct TransitionChange {
    /// The mode of the pipeline's current version.
    pub mode: ExecutionMode,
    /// The stage into which it leads.
    pub stage: StageName,
    /// Close it, with this reason; or open it.
    pub disable: Option<String>,
    /// The ARN of the caller, kept as [`Transition::changed_by`].
    pub by: String,
}

/// Closes or opens a transition. What waits in front of it may enter when it opens, or is cancelled when that took too
/// long.
///
/// # Errors
/// [`Refusal::Nothing`] when the pipeline has been deleted; [`Refusal::NoTransitions`] in PARALLEL mode.
pub fn set_transition(
    mut locks: StageLocks,
    change: TransitionChange,
    context: &mut Context<'_>,
) -> Result<Decision, Refusal> {
    if locks.deleted {
        return Err(Refusal::Nothing);
    }
    if change.mode == ExecutionMode::Parallel {
        return Err(Refusal::NoTransitions);
    }
    let known = locks.outbox.len();
    let lock = locks.lock(&change.stage);
    // Closing it once more begins a new period.
    let closed = lock.transition.changed_at.filter(|_| lock.transition.disabled);
    let closed_for = closed.map_or(0, |since| context.now.since(since));
    let expired = change.disable.is_none() && closed_for > TRANSITION_DAYS * 24 * 60 * 60_000;
    let waited = if expired { std::mem::take(&mut lock.waiting) } else { Vec::new() };
    lock.transition = Transition {
        disabled: change.disable.is_some(),
        reason: change.disable,
        changed_by: Some(change.by),
        changed_at: Some(context.now),
    };
    locks.cancel(waited.into_iter().map(|waiting| waiting.execution), CancelCause::TransitionExpired);
    locks.admit_next(&change.stage);
    locks.plan_sweep(context.now, context.policy);
    let effects = locks.outbox[known..].iter().cloned().map(Effect::Outbox).collect();
    Ok(Decision { locks: Some(locks), effects, ..Decision::default() })
}

/// Makes another version of the pipeline the current one. Executions that are neither of mode PARALLEL nor inside a stage
/// are out of the locks at once, and all that are not of that mode are cancelled by tasks.
///
/// Source: CodePipeline user guide, 'Set or change the pipeline execution mode'.
pub fn update(mut locks: StageLocks, version: u32, after: &Pipeline, context: &mut Context<'_>) -> Decision {
    locks.version = version;
    locks.drop_unmade_rollbacks();
    let known = locks.outbox.len();
    let executions = locks.in_stages();
    locks.cancel(executions, CancelCause::PipelineUpdated);
    let new = locks.outbox.split_off(known);
    // Who was let in and is not inside yet never will be.
    let entering = |task: &mut OutboxTask| matches!(task, OutboxTask::Enter { .. });
    let let_in: Vec<ExecutionId> = locks.outbox.extract_if(.., entering).map(|task| task.execution()).collect();
    for lock in locks.stages.values_mut() {
        lock.waiting.clear();
        lock.holder = lock.holder.filter(|holder| !let_in.contains(holder));
    }
    let effects = new.iter().cloned().map(Effect::Outbox).collect();
    locks.outbox.extend(new);
    locks.forget_unused(after);
    locks.plan_sweep(context.now, context.policy);
    Decision { locks: Some(locks), effects, ..Decision::default() }
}

/// Closes all locks of a deleted pipeline; its executions are cancelled by tasks.
pub fn delete(mut locks: StageLocks, context: &mut Context<'_>) -> Decision {
    locks.deleted = true;
    locks.deleted_at = Some(context.now);
    locks.drop_unmade_rollbacks();
    let executions = locks.active();
    let known = locks.outbox.len();
    locks.cancel(executions, CancelCause::PipelineDeleted);
    locks.plan_sweep(context.now, context.policy);
    let effects = locks.outbox[known..].iter().cloned().map(Effect::Outbox).collect();
    Decision { locks: Some(locks), effects, ..Decision::default() }
}

impl StageLocks {
    fn cancel(&mut self, executions: impl IntoIterator<Item = ExecutionId>, cause: CancelCause) {
        for execution in executions {
            let task = OutboxTask::Cancel { execution, cause };
            if !self.outbox.contains(&task) {
                self.outbox.push(task);
            }
        }
    }

    /// Rollbacks whose executions have not been made yet will not be: there is nothing of them to cancel.
    fn drop_unmade_rollbacks(&mut self) {
        let unmade = |task: &mut OutboxTask| matches!(task, OutboxTask::RollBack { .. });
        let unmade: Vec<ExecutionId> = self.outbox.extract_if(.., unmade).map(|task| task.execution()).collect();
        for lock in self.stages.values_mut() {
            lock.holder = lock.holder.filter(|holder| !unmade.contains(holder));
        }
    }
}
