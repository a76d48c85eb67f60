//! What is done to a pipeline's lanes as a whole: closing and opening the way into a stage, deleting the pipeline.

use pipeline::{ExecutionMode, StageName};

use crate::command::{Context, Decision, Effect, Refusal};
use crate::state::{Chore, Lanes, Transition};

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
    mut lanes: Lanes,
    change: TransitionChange,
    context: &mut Context<'_>,
) -> Result<Decision, Refusal> {
    if lanes.deleted {
        return Err(Refusal::Nothing);
    }
    let closed = lanes.lanes.get(&change.stage).is_some_and(|lane| lane.transition.disabled);
    if change.mode == ExecutionMode::Parallel && (change.disable.is_some() || !closed) {
        return Err(Refusal::NoTransitions);
    }
    lanes.lane(&change.stage).transition = Transition {
        disabled: change.disable.is_some(),
        reason: change.disable,
        changed_by: Some(change.by),
        changed_at: Some(context.now),
    };
    let known = lanes.chores.len();
    lanes.admit_next(&change.stage);
    lanes.plan_sweep(context.now, context.policy);
    let effects = lanes.chores[known..].iter().cloned().map(Effect::Chore).collect();
    Ok(Decision { lanes: Some(lanes), effects, ..Decision::default() })
}

/// Closes all lanes of a deleted pipeline; its executions are cancelled by chores.
pub fn delete(mut lanes: Lanes, context: &mut Context<'_>) -> Decision {
    lanes.deleted = true;
    lanes.deleted_at = Some(context.now);
    // A rollback that has not been made yet has nothing to cancel.
    let unborn: Vec<_> = lanes
        .chores
        .extract_if(.., |chore| matches!(chore, Chore::RollBack { .. }))
        .map(|chore| chore.execution())
        .collect();
    for lane in lanes.lanes.values_mut() {
        lane.holder = lane.holder.filter(|holder| !unborn.contains(holder));
    }
    let executions = lanes.active();
    let known = lanes.chores.len();
    lanes.chores.extend(executions.into_iter().map(|execution| Chore::Cancel { execution }));
    lanes.plan_sweep(context.now, context.policy);
    let effects = lanes.chores[known..].iter().cloned().map(Effect::Chore).collect();
    Decision { lanes: Some(lanes), effects, ..Decision::default() }
}
