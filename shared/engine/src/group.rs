//! What starts together: the actions of one run order, or the rules of one condition.

use pipeline::{Action, Condition, ConditionKind, Stage};

use crate::command::Effect;
use crate::id::{ApprovalToken, WorkerId};
use crate::kind::is_approval;
use crate::state::{ActionRun, ActionStatus, ConditionRun, ConditionStatus, StageRun};
use crate::step::Step;
use crate::time::Timestamp;

/// Requests the actions of the lowest run order that is still to come; `next` takes them at once. Answers whether there
/// are any.
pub(crate) fn request_next(
    step: &mut Step<'_, '_>,
    stage: &mut StageRun,
    declared: &Stage,
    next_worker: Option<WorkerId>,
) -> bool {
    let pending = |index: usize| stage.actions.get(index).is_some_and(|run| run.status == ActionStatus::Pending);
    let actions: Vec<(usize, &Action)> =
        declared.actions.iter().enumerate().filter(|(index, _)| pending(*index)).collect();
    let Some(order) = actions.iter().map(|(_, action)| action.run_order).min() else {
        return false;
    };
    for (index, action) in actions.into_iter().filter(|(_, action)| action.run_order == order) {
        request(step, stage, index as u8, action, next_worker);
    }
    true
}

/// Requests the rules of a condition.
pub(crate) fn request_rules(
    step: &mut Step<'_, '_>,
    stage: &mut StageRun,
    kind: ConditionKind,
    condition: &Condition,
    next_worker: Option<WorkerId>,
) {
    stage.conditions.retain(|earlier| earlier.kind != kind);
    stage.conditions.push(ConditionRun {
        kind,
        status: ConditionStatus::InProgress,
        updated: step.now(),
        overridden_by: None,
        rules: condition.rules.iter().map(|rule| ActionRun::pending(rule.name.clone())).collect(),
    });
    for (index, rule) in condition.rules.iter().enumerate() {
        request(step, stage, kind.place(index), rule, next_worker);
    }
}

fn request(step: &mut Step<'_, '_>, stage: &mut StageRun, place: u8, action: &Action, next_worker: Option<WorkerId>) {
    let (now, policy) = (step.now(), *step.context.policy);
    let token = is_approval(action).then(|| ApprovalToken(step.random()));
    let Some(run) = stage.run_mut(place) else {
        return;
    };
    run.status = ActionStatus::Requested;
    run.requested = Some(now);
    run.updated = Some(now);
    run.check = Some(now.plus(policy.grace));
    run.deadline = Some(deadline(action, now, now));
    run.token = token;
    if let Some(worker) = next_worker {
        take(run, worker, now.plus(policy.lease));
    }
    let id = stage.id_at(place);
    match next_worker {
        Some(_) => step.claimed.push(id),
        None => step.effects.push(Effect::Run { action: id, delay: 0 }),
    }
}

/// A stage attempt in which nothing has been requested yet.
pub(crate) fn pending(declared: &Stage) -> Vec<ActionRun> {
    declared.actions.iter().map(|action| ActionRun::pending(action.name.clone())).collect()
}

/// When an action fails that was requested then and from which the last sign of life came now.
pub(crate) fn deadline(action: &Action, requested: Timestamp, now: Timestamp) -> Timestamp {
    let last = requested.plus_minutes(action.timeout_minutes());
    action.silence_timeout_minutes().map_or(last, |minutes| last.min(now.plus_minutes(minutes)))
}

/// Gives an action to a worker until a time.
pub(crate) fn take(run: &mut ActionRun, worker: WorkerId, until: Timestamp) {
    run.status = ActionStatus::Claimed { worker, until };
    run.check = Some(until);
    run.claims += 1;
}
