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
            return beside_running(step, mode, current, refused);
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
    unchanged(step, run.stage, current, refused)?;
    revive(step, stage)?;
    again(step, mode, RetryTrigger::Manual, None)
}

/// A person has failed actions tried again while others of the stage run: those go on, in the new attempt from now on.
fn beside_running(
    step: &mut Step<'_, '_>,
    mode: RetryMode,
    current: &Pipeline,
    refused: impl Fn(&'static str) -> Refusal,
) -> Result<(), Refusal> {
    let execution = step.execution();
    let run = step.stage().ok_or_else(|| refused("it has not failed"))?;
    let any = |is: fn(&ActionStatus) -> bool| run.actions.iter().any(|action| is(&action.status));
    if !run.status.is_open() || !any(|status| *status == ActionStatus::Failed) {
        let retried = run.retries.latest.is_some() || any(|status| *status == ActionStatus::CarriedOver);
        return Err(refused(if retried { "it is being retried already" } else { "it has not failed" }));
    }
    if execution.stop.is_some() {
        return Err(refused("the execution is being stopped"));
    }
    if mode == RetryMode::AllActions {
        return Err(Refusal::Busy(run.name.to_string()));
    }
    // With nothing but rules in flight, the failure is being dealt with.
    if !any(ActionStatus::in_flight) {
        return Err(refused("its failure condition is still being evaluated"));
    }
    unchanged(step, run.stage, current, refused)?;
    if step.locks()?.deleted {
        return Err(Refusal::NotLatest { execution: execution.id, stage: run.name.to_string() });
    }
    again(step, mode, RetryTrigger::Manual, None)?;
    if let Some(stage) = step.stage_mut() {
        stage.status = StageStatus::Failed;
        for run in stage.actions.iter_mut().filter(|run| run.status.in_flight()) {
            run.status = ActionStatus::CarriedOver;
            run.check = None;
        }
    }
    Ok(())
}

/// Refuses a retry of a stage that the current version of the pipeline has in another form, or not at all, or whose
/// execution the change has ended.
fn unchanged(
    step: &Step<'_, '_>,
    stage: usize,
    current: &Pipeline,
    refused: impl Fn(&'static str) -> Refusal,
) -> Result<(), Refusal> {
    match step.pipeline.stages().get(stage) {
        Some(declared) if current.stages().contains(declared) && !lifecycle::outdated(step)? => Ok(()),
        _ => Err(refused(CHANGED)),
    }
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

/// The actions of the next attempt. Where only failed ones are tried again, those that succeeded keep their results, and
/// those that run go on.
pub(crate) fn taken_over(before: &StageRun, mode: RetryMode) -> Vec<ActionRun> {
    let stays = |run: &ActionRun| run.status == ActionStatus::Succeeded || run.status.in_flight();
    let action = |run: &ActionRun| match mode {
        RetryMode::FailedActions if stays(run) => taken_run(run.clone(), before.attempt),
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
