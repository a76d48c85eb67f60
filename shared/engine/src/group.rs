//! The actions of one run order, which start together.

use pipeline::{Action, Stage};
use uuid::Uuid;

use crate::command::Effect;
use crate::state::{ActionRun, ActionStatus, Outputs, StageRun};
use crate::step::Step;
use crate::time::Timestamp;

/// Requests all actions of one run order; `next` takes them at once.
pub(crate) fn request_group(
    step: &mut Step<'_, '_>,
    stage: &mut StageRun,
    declared: &Stage,
    order: u32,
    next: Option<Uuid>,
) {
    let (now, policy) = (step.now(), *step.context.policy);
    for (index, action) in declared.actions.iter().enumerate() {
        if action.run_order != order || stage.actions[index].status != ActionStatus::Pending {
            continue;
        }
        let token = is_approval(action).then(|| step.random());
        let run = &mut stage.actions[index];
        run.status = ActionStatus::Requested;
        run.requested = Some(now);
        run.updated = Some(now);
        run.check = Some(now.plus(policy.grace));
        run.deadline = Some(deadline(action, now, now));
        run.token = token;
        match next {
            Some(worker) => {
                take(run, worker, now.plus(policy.lease));
                step.claimed.push(stage.action_id(index));
            }
            None => step.effects.push(Effect::Run(stage.action_id(index))),
        }
    }
}

/// A stage attempt in which nothing has been requested yet.
pub(crate) fn pending(declared: &Stage) -> Vec<ActionRun> {
    declared
        .actions
        .iter()
        .map(|action| ActionRun {
            name: action.name.clone(),
            status: ActionStatus::Pending,
            requested: None,
            updated: None,
            deadline: None,
            check: None,
            claims: 0,
            turn: 0,
            continuation: None,
            job: None,
            token: None,
            external: None,
            summary: None,
            percent: None,
            updated_by: None,
            error: None,
            outputs: Vec::new(),
            variables: Outputs::None,
            revision: None,
        })
        .collect()
}

pub(crate) fn is_approval(action: &Action) -> bool {
    action.type_id.category == "Approval" && !action.is_polled()
}

/// When an action fails that was requested then and from which the last sign of life came now.
pub(crate) fn deadline(action: &Action, requested: Timestamp, now: Timestamp) -> Timestamp {
    let last = requested.plus_minutes(action.timeout_minutes());
    let silence = action.action_type().and_then(|kind| kind.silence_timeout_minutes);
    silence.map_or(last, |minutes| last.min(now.plus_minutes(minutes)))
}

/// Gives an action to a worker until a time.
pub(crate) fn take(run: &mut ActionRun, worker: Uuid, until: Timestamp) {
    run.status = ActionStatus::Claimed { worker, until };
    run.check = Some(until);
    run.claims += 1;
}
