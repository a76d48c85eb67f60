//! Rules of one stage attempt: run order, failure, ends that are final.

use engine::{ActionRun, ActionStatus, ConditionRun, ConditionStatus, Execution, StageRun, StageStatus, Timestamp};
use pipeline::{ConditionKind, Stage};

use super::broken;

fn final_state(status: &ActionStatus) -> bool {
    matches!(status, ActionStatus::Succeeded | ActionStatus::Failed | ActionStatus::Abandoned)
}

/// A stage attempt is new or was changed.
pub(super) fn changed(
    declared: &Stage,
    before: Option<&StageRun>,
    after: &StageRun,
    now: Timestamp,
) -> Result<(), String> {
    let place = format!("stage {} of {}", after.name, after.execution);
    if declared.actions.len() != after.actions.len() {
        return broken(format!("{place} has {} actions, declared are {}", after.actions.len(), declared.actions.len()));
    }
    if before.is_some_and(|before| !before.status.is_open()) {
        return broken(format!("{place} changes after its end"));
    }
    for (index, (action, run)) in declared.actions.iter().zip(&after.actions).enumerate() {
        let old = before.map(|before| &before.actions[index]);
        let name = format!("{} in {place}", action.name);
        step(&name, old, run, now)?;
        let waited = old.is_none_or(|old| old.status == ActionStatus::Pending);
        if waited && run.status != ActionStatus::Pending && run.attempt == 0 {
            requested(&name, declared, index, before, after)?;
        }
        if action.type_id.category == "Approval" && run.token.is_none() && run.requested.is_some() {
            return broken(format!("{name} is an approval without a token"));
        }
    }
    for (at, run) in after.runs().filter(|(at, _)| usize::from(*at) >= after.actions.len()) {
        step(&format!("{} in {place}", run.name), before.and_then(|before| before.run(at)), run, now)?;
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

/// Checks that an action whose turn came was next by run order.
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

/// What a new attempt takes over from the one before has succeeded there (or is a rule that was decided) or runs, and
/// stays what it was. `earlier`: the attempt before, as this commit leaves it; `running`: as it was, if it ended now.
pub(super) fn taken_over(
    earlier: Option<&StageRun>,
    running: Option<&StageRun>,
    after: &StageRun,
) -> Result<(), String> {
    for (place, run) in after.runs().filter(|(_, run)| run.attempt > 0) {
        let goes_on = |stage: &&StageRun| stage.run(place).is_some_and(|run| run.status == ActionStatus::CarriedOver);
        let stage = if earlier.filter(goes_on).is_some() { running } else { earlier };
        let old = stage.and_then(|stage| Some((stage, stage.run(place)?)));
        let name = format!("{} in {} of {}", run.name, after.name, after.execution);
        let Some((earlier, old)) = old else {
            return broken(format!("{name} is taken over from nowhere"));
        };
        let rule = usize::from(place) >= after.actions.len();
        if run.status == ActionStatus::Pending || rule && run.status.in_flight() {
            return broken(format!("{name} is taken over and has not ended"));
        }
        if !rule && run.status != ActionStatus::Succeeded && !run.status.in_flight() {
            return broken(format!("{name} is taken over and has neither succeeded nor runs"));
        }
        let same = ActionRun { attempt: old.attempt, ..run.clone() } == *old;
        if !same || after.id_at(place) != earlier.id_at(place) {
            return broken(format!("{name} is taken over and changed: {old:?} to {run:?}"));
        }
    }
    Ok(())
}

/// What ran when the stage was retried goes on in the attempt after this one, which begins in the same commit, and nothing
/// of it stays behind.
pub(super) fn carried_over(before: Option<&StageRun>, after: &StageRun, next: Option<&StageRun>) -> Result<(), String> {
    for (place, run) in after.runs().filter(|(_, run)| run.status == ActionStatus::CarriedOver) {
        let name = format!("{} in {} of {}", run.name, after.name, after.execution);
        if !before.and_then(|before| before.run(place)).is_some_and(|old| old.status.in_flight()) {
            return broken(format!("{name} is carried over and did not run"));
        }
        if next.is_none_or(|next| next.id_at(place) != after.id_at(place)) {
            return broken(format!("{name} is carried over to nowhere"));
        }
    }
    Ok(())
}

/// Conditions: each is decided once, agrees with its rules, and comes where it belongs.
pub(super) fn conditions(
    declared: &Stage,
    before: Option<&StageRun>,
    after: &StageRun,
    execution: Option<&Execution>,
) -> Result<(), String> {
    let place = format!("stage {} of {}", after.name, after.execution);
    for condition in &after.conditions {
        let kind = condition.kind;
        let Some(rules) = declared.condition(kind).map(|condition| &condition.rules) else {
            return broken(format!("{place} has a condition {kind:?} that is not declared"));
        };
        if rules.len() != condition.rules.len() {
            return broken(format!("{place} has {} rules in {kind:?}", condition.rules.len()));
        }
        let old = before.and_then(|before| before.condition(kind));
        if old.is_some_and(|old| old.status != ConditionStatus::InProgress && old != condition) {
            return broken(format!("{kind:?} of {place} is decided again: {old:?} to {condition:?}"));
        }
        let all = |wanted: ActionStatus| condition.rules.iter().all(|rule| rule.status == wanted);
        let running = condition.rules.iter().any(|rule| rule.status.in_flight());
        let agrees = match condition.status {
            ConditionStatus::InProgress => running,
            ConditionStatus::Succeeded => all(ActionStatus::Succeeded),
            ConditionStatus::Failed => !running && !all(ActionStatus::Succeeded),
            ConditionStatus::Overridden => !running && condition.overridden_by.is_some(),
            ConditionStatus::Abandoned | ConditionStatus::Cancelled => !running,
        };
        if !agrees {
            return broken(format!("{kind:?} of {place} is {:?} with {:?}", condition.status, condition.rules));
        }
    }
    let met = |kind| {
        after.condition(kind).is_some_and(|condition: &ConditionRun| {
            matches!(condition.status, ConditionStatus::Succeeded | ConditionStatus::Overridden)
        })
    };
    let asked = execution.is_some_and(|execution| execution.rollback.is_none());
    let begun = after.actions.iter().any(|action| action.status != ActionStatus::Pending);
    if asked && begun && declared.before_entry.is_some() && !met(ConditionKind::BeforeEntry) {
        return broken(format!("actions of {place} begin though its entry condition is not met"));
    }
    if asked
        && after.status == StageStatus::Succeeded
        && declared.on_success.is_some()
        && !met(ConditionKind::OnSuccess)
        && execution.is_some_and(|execution| execution.stop.is_none())
    {
        return broken(format!("{place} succeeds though its success condition is not met"));
    }
    // Whatever is requested by this write is requested by an execution that nobody has stopped.
    let new = after.runs().find(|(place, run)| {
        let old = before.and_then(|before| before.run(*place)).is_some_and(|old| old.status != ActionStatus::Pending);
        !old && run.attempt == 0 && run.status.in_flight()
    });
    match new {
        Some((_, run)) if execution.is_some_and(|execution| execution.stop.is_some()) => {
            broken(format!("{} in {place} is requested after a stop", run.name))
        }
        Some((_, run)) if before.is_some_and(|before| before.status == StageStatus::Cancelling) => {
            broken(format!("{} in {place} is requested after an update", run.name))
        }
        _ => Ok(()),
    }
}

/// The stage's status agrees with what is in it.
fn ended(place: &str, after: &StageRun) -> Result<(), String> {
    let in_flight = after.runs().any(|(_, run)| run.status.in_flight());
    let failed = after.actions.iter().any(|run| run.status == ActionStatus::Failed);
    let unmet = after.conditions.iter().any(|condition| condition.status == ConditionStatus::Failed);
    let agrees = match after.status {
        StageStatus::InProgress | StageStatus::Stopping | StageStatus::Cancelling => in_flight,
        StageStatus::Succeeded => !in_flight && after.actions.iter().all(|run| run.status == ActionStatus::Succeeded),
        StageStatus::Failed => !in_flight && (failed || unmet),
        StageStatus::Skipped => !in_flight && unmet,
        StageStatus::Stopped | StageStatus::Cancelled => !in_flight,
    };
    if !agrees {
        return broken(format!("{place} is {:?} with {:?}, {:?}", after.status, after.actions, after.conditions));
    }
    if after.status.is_open() && after.due().is_none() {
        return broken(format!("{place} runs and no sweeper will look at it"));
    }
    Ok(())
}
