//! Rules of one stage attempt: run order, failure, ends that are final.

use engine::{ActionRun, ActionStatus, StageRun, StageStatus, Timestamp};
use pipeline::Stage;

use super::broken;

fn final_state(status: &ActionStatus) -> bool {
    matches!(status, ActionStatus::Succeeded | ActionStatus::Failed | ActionStatus::Abandoned)
}

/// A stage attempt is new or was changed.
pub(super) fn changed(
    declared: Stage,
    before: Option<&StageRun>,
    after: &StageRun,
    now: Timestamp,
) -> Result<(), String> {
    let place = format!("stage {} of {}", after.name, after.execution);
    if declared.actions.len() != after.actions.len() {
        return broken(format!("{place} has {} actions, declared are {}", after.actions.len(), declared.actions.len()));
    }
    if before.is_some_and(|before| before.status != StageStatus::InProgress) {
        return broken(format!("{place} changes after its end"));
    }
    for (index, (action, run)) in declared.actions.iter().zip(&after.actions).enumerate() {
        let old = before.map(|before| &before.actions[index]);
        let name = format!("{} in {place}", action.name);
        step(&name, old, run, now)?;
        let waited = old.is_none_or(|old| old.status == ActionStatus::Pending);
        if waited && run.status != ActionStatus::Pending {
            requested(&name, &declared, index, before, after)?;
        }
        if action.type_id.category == "Approval" && run.token.is_none() && run.requested.is_some() {
            return broken(format!("{name} is an approval without a token"));
        }
    }
    ended(&place, after)
}

/// One action from one commit to the next.
fn step(name: &str, old: Option<&ActionRun>, run: &ActionRun, now: Timestamp) -> Result<(), String> {
    let Some(old) = old else {
        return Ok(());
    };
    if final_state(&old.status) && old != run {
        return broken(format!("{name} changes after its end: {old:?} to {run:?}"));
    }
    if old.status != ActionStatus::Pending && run.status == ActionStatus::Pending {
        return broken(format!("{name} goes back to its beginning"));
    }
    if old.turn > run.turn || run.turn > old.turn + 1 {
        return broken(format!("{name} goes from turn {} to {}", old.turn, run.turn));
    }
    if old.token.is_some() && old.token != run.token {
        return broken(format!("{name} gets another token"));
    }
    if old.updated_by.is_some() && old.updated_by != run.updated_by {
        return broken(format!("{name} is answered twice"));
    }
    // What actions refer to and read is there in all worlds, so nothing but a lost result can make this.
    if let Some(error) = run.error.as_ref().filter(|error| error.code == "ConfigurationError") {
        return broken(format!("{name} fails: {}", error.message));
    }
    let timed_out = run.error.as_ref().is_some_and(|error| error.code == "TimeoutError");
    if timed_out && old.error.is_none() && old.deadline.is_none_or(|deadline| deadline > now) {
        return broken(format!("{name} fails by time-out before its time: {:?} at {now:?}", old.deadline));
    }
    if let (ActionStatus::Claimed { worker, until }, ActionStatus::Claimed { worker: new, .. }) =
        (&old.status, &run.status)
        && worker != new
        && *until > now
    {
        return broken(format!("{name} is taken from a worker whose claim still holds"));
    }
    Ok(())
}

/// An action's turn came.
fn requested(
    name: &str,
    declared: &Stage,
    index: usize,
    before: Option<&StageRun>,
    after: &StageRun,
) -> Result<(), String> {
    let order = declared.actions[index].run_order;
    for (other, run) in declared.actions.iter().zip(&after.actions) {
        if other.run_order < order && run.status != ActionStatus::Succeeded {
            return broken(format!("{name} is requested while {} before it is {:?}", other.name, run.status));
        }
        if other.run_order == order && run.status == ActionStatus::Pending {
            return broken(format!("{name} is requested without {} of the same group", other.name));
        }
    }
    let failed = |stage: &StageRun| stage.actions.iter().any(|run| run.status == ActionStatus::Failed);
    if failed(after) || before.is_some_and(failed) {
        return broken(format!("{name} is requested after a failure"));
    }
    if after.actions[index].deadline.is_none() {
        return broken(format!("{name} has no deadline"));
    }
    Ok(())
}

/// The stage's status agrees with its actions.
fn ended(place: &str, after: &StageRun) -> Result<(), String> {
    let mut in_flight = after.actions.iter().filter(|run| run.status.in_flight());
    let agrees = match after.status {
        StageStatus::InProgress => in_flight.next().is_some(),
        StageStatus::Succeeded => after.actions.iter().all(|run| run.status == ActionStatus::Succeeded),
        StageStatus::Failed => {
            in_flight.next().is_none() && after.actions.iter().any(|run| run.status == ActionStatus::Failed)
        }
        StageStatus::Cancelled => in_flight.next().is_none(),
    };
    if !agrees {
        return broken(format!("{place} is {:?} with {:?}", after.status, after.actions));
    }
    if after.status == StageStatus::InProgress && after.due().is_none() {
        return broken(format!("{place} runs and no sweeper will look at it"));
    }
    Ok(())
}
