//! A failed stage is tried again, by a person or by itself.
//!
//! Source: CodePipeline user guide, 'Retry a failed stage or failed actions in a stage' and 'Configure a stage for
//! automatic retry on failure'; API, `RetryStageExecution`.

use std::sync::Arc;

use pipeline::{ConditionKind, Pipeline, RetryMode, StageName, limits};

use crate::command::Refusal;
use crate::group;
use crate::id::WorkerId;
use crate::lifecycle;
use crate::state::{
    ActionRun, ActionStatus, ConditionRun, ConditionStatus, ExecutionStatus, RetryTrigger, StageRun, StageStatus,
};
use crate::step::Step;

const CHANGED: &str = "the pipeline's structure has changed";

/// A person has the stage at hand tried again. Its execution goes on from there.
pub(crate) fn by_hand(
    step: &mut Step<'_, '_>,
    stage: &StageName,
    mode: RetryMode,
    current: &Arc<Pipeline>,
) -> Result<(), Refusal> {
    let refused = |reason| Refusal::NotRetryable { stage: stage.to_string(), reason };
    let run =
        step.stage().filter(|run| run.name == *stage).ok_or_else(|| refused("the execution did not come to it"))?;
    let ended = match step.execution().status {
        ExecutionStatus::InProgress | ExecutionStatus::Stopping => {
            return while_others_run(step, mode, refused);
        }
        ExecutionStatus::Cancelling => return Err(refused(CHANGED)),
        ExecutionStatus::Failed => run.status == StageStatus::Failed,
        ExecutionStatus::Stopped => matches!(run.status, StageStatus::Failed | StageStatus::Stopped),
        ExecutionStatus::Succeeded | ExecutionStatus::Superseded | ExecutionStatus::Cancelled => false,
    };
    if !ended {
        return Err(refused("it has not failed in this execution"));
    }
    if mode == RetryMode::FailedActions && run.actions.iter().all(|action| action.status == ActionStatus::Succeeded) {
        return Err(refused("no action in it failed"));
    }
    let index = run.stage;
    let same =
        step.pipeline.stages().get(index).is_some_and(|declared| current.stages().iter().any(|now| now == declared));
    if !same || lifecycle::outdated(step)? {
        return Err(refused(CHANGED));
    }
    revive(step, stage)?;
    again(step, mode, RetryTrigger::Manual, None)
}

/// A person wants failed actions tried again while others of the stage still run: they go on, and the retry takes place
/// when they have ended. (CodePipeline begins it at once.)
fn while_others_run(
    step: &mut Step<'_, '_>,
    mode: RetryMode,
    refused: impl Fn(&'static str) -> Refusal,
) -> Result<(), Refusal> {
    let stopping = step.execution().stop.is_some();
    let Some(run) = step.stage().filter(|run| run.status.is_open()) else {
        return Err(refused("it has not failed"));
    };
    if !run.actions.iter().any(|action| action.status == ActionStatus::Failed) {
        return Err(refused("it has not failed"));
    }
    if stopping || run.retries.wanted {
        return Err(refused(if stopping { "the execution is being stopped" } else { "it will be retried already" }));
    }
    if mode == RetryMode::AllActions {
        return Err(Refusal::Busy(run.name.to_string()));
    }
    if let Some(run) = step.stage_mut() {
        run.retries.wanted = true;
    }
    Ok(())
}

/// Gives the stage at hand back to its execution, which had ended in it.
///
/// # Errors
/// [`Refusal::NotLatest`] when another has come to the stage since; [`Refusal::TooManyExecutions`].
pub(crate) fn revive(step: &mut Step<'_, '_>, stage: &StageName) -> Result<(), Refusal> {
    let execution = step.execution();
    let id = execution.id;
    let mode = execution.mode;
    let latest = step.stage().is_some_and(|run| execution.attempts.get(run.stage) == Some(&run.attempt));
    let not_latest = || Refusal::NotLatest { execution: id, stage: stage.to_string() };
    if !latest || step.locks()?.deleted {
        return Err(not_latest());
    }
    if mode != pipeline::ExecutionMode::Superseded && step.locks()?.active().len() >= limits::CONCURRENT_EXECUTIONS {
        return Err(Refusal::TooManyExecutions(limits::CONCURRENT_EXECUTIONS));
    }
    if lifecycle::parallel(step) {
        step.locks_mut()?.running.push(id);
    } else {
        let lock = step.locks()?.stages.get(stage).ok_or_else(not_latest)?;
        if lock.holder.is_some() || lock.latest.is_none_or(|latest| latest.execution != id) {
            return Err(not_latest());
        }
        step.locks_mut()?.give(stage, id);
    }
    let execution = step.execution_mut();
    execution.status = ExecutionStatus::InProgress;
    execution.summary = None;
    execution.stop = None;
    Ok(())
}

/// The next attempt at the stage at hand, which the execution holds.
pub(crate) fn again(
    step: &mut Step<'_, '_>,
    mode: RetryMode,
    trigger: RetryTrigger,
    next_worker: Option<WorkerId>,
) -> Result<(), Refusal> {
    let before = step.stage_cloned()?;
    let pipeline = step.pipeline.clone();
    let Some(declared) = pipeline.stages().get(before.stage) else {
        return Err(Refusal::Nothing);
    };
    let mut stage = lifecycle::attempt(step, before.stage)?;
    stage.actions = taken_over(&before, mode);
    stage.retries = before.retries;
    stage.retries.latest = Some(trigger);
    stage.retries.wanted = false;
    match trigger {
        RetryTrigger::Automatic => stage.retries.automatic += 1,
        RetryTrigger::Manual => stage.retries.manual = stage.retries.manual.saturating_add(1),
    }
    // A retry is no new entry: a condition that let the execution in is not asked again.
    let entered = before.condition(ConditionKind::BeforeEntry).filter(|condition| let_in(condition));
    stage.conditions = entered.cloned().map(|condition| taken(condition, before.attempt)).into_iter().collect();
    let condition = declared.condition(ConditionKind::BeforeEntry).filter(|_| step.execution().rollback.is_none());
    match condition.filter(|_| stage.conditions.is_empty()) {
        Some(condition) => group::request_rules(step, &mut stage, ConditionKind::BeforeEntry, condition, next_worker),
        None => _ = group::request_next(step, &mut stage, declared, next_worker),
    }
    *step.entered_mut() = Some(stage);
    Ok(())
}

/// The actions of the next attempt: those that succeeded keep their results, where only failed ones are tried again.
pub(crate) fn taken_over(before: &StageRun, mode: RetryMode) -> Vec<ActionRun> {
    let action = |run: &ActionRun| match (mode, &run.status) {
        (RetryMode::FailedActions, ActionStatus::Succeeded) => taken_run(run.clone(), before.attempt),
        _ => ActionRun::pending(run.name.clone()),
    };
    before.actions.iter().map(action).collect()
}

fn taken_run(run: ActionRun, attempt: u16) -> ActionRun {
    ActionRun { attempt: if run.attempt > 0 { run.attempt } else { attempt }, ..run }
}

/// A condition as a later attempt has it.
pub(crate) fn taken(condition: ConditionRun, attempt: u16) -> ConditionRun {
    let rules = condition.rules.into_iter().map(|rule| taken_run(rule, attempt)).collect();
    ConditionRun { rules, ..condition }
}

fn let_in(condition: &ConditionRun) -> bool {
    matches!(condition.status, ConditionStatus::Succeeded | ConditionStatus::Overridden)
}
