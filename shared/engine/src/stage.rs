//! What follows in a stage when nothing in it runs any more: the next group of actions, a condition, or its end.
//!
//! Source: CodePipeline user guide, 'Configure conditions for a stage' and 'How do stage conditions work?': the entry
//! condition is decided when the execution holds the stage, the success condition when all actions have succeeded, the
//! failure condition when one has failed. A condition of entry or success has its result when a rule does not hold, one
//! of failure when all rules hold.

use pipeline::{ConditionKind, Pipeline, RetryMode, Stage, StageResult};

use crate::command::Refusal;
use crate::group;
use crate::id::WorkerId;
use crate::lifecycle;
use crate::retry;
use crate::rollback;
use crate::state::{ActionStatus, ConditionStatus, RetryTrigger, StageRun, StageStatus};
use crate::step::Step;
use crate::stop;

/// Something in the stage ended: looks what follows.
///
/// After a failure the actions that run go on to their end, but no further group starts.
pub(crate) fn advance(step: &mut Step<'_, '_>, next_worker: Option<WorkerId>) -> Result<(), Refusal> {
    let Some(stage) = step.stage() else {
        return Err(Refusal::Nothing);
    };
    if !stage.status.is_open() || stage.runs().any(|(_, run)| run.status.in_flight()) {
        return Ok(());
    }
    let decided = decided(stage);
    if let Some((kind, met)) = decided {
        settle(step, kind, if met { ConditionStatus::Succeeded } else { ConditionStatus::Failed });
    }
    // The stage's own status decides: the execution may have been read before it was stopped or cancelled.
    match step.stage().map(|stage| stage.status) {
        Some(StageStatus::Stopping) => return stop::stopped(step),
        Some(StageStatus::Cancelling) => return lifecycle::leave_cancelled(step),
        _ => {}
    }
    match decided {
        None => after_actions(step, next_worker),
        Some((kind, met)) => after_condition(step, kind, met, next_worker),
    }
}

/// The condition whose rules have all ended just now, and whether it is met.
fn decided(stage: &StageRun) -> Option<(ConditionKind, bool)> {
    let condition = stage.conditions.iter().find(|condition| condition.status == ConditionStatus::InProgress)?;
    Some((condition.kind, condition.rules.iter().all(|rule| rule.status == ActionStatus::Succeeded)))
}

/// Writes down how a condition was decided.
fn settle(step: &mut Step<'_, '_>, kind: ConditionKind, status: ConditionStatus) {
    let now = step.now();
    let condition = step.stage_mut().and_then(|stage| stage.conditions.iter_mut().find(|it| it.kind == kind));
    if let Some(condition) = condition {
        condition.status = status;
        condition.updated = now;
    }
}

/// Goes on after a condition was decided, with the result that it declares if it is not met
/// (for a failure condition: if it is met).
pub(crate) fn after_condition(
    step: &mut Step<'_, '_>,
    kind: ConditionKind,
    met: bool,
    next_worker: Option<WorkerId>,
) -> Result<(), Refusal> {
    match (kind, met) {
        (ConditionKind::BeforeEntry, true) => after_actions(step, next_worker),
        (ConditionKind::OnSuccess, true) => lifecycle::leave_succeeded(step, next_worker),
        (ConditionKind::OnFailure, false) => {
            let besides = "The failure condition is not met, so its result does not take effect.";
            lifecycle::leave_failed(step, Some(besides))
        }
        _ => {
            let pipeline = step.pipeline.clone();
            let result =
                declared(&pipeline, step).and_then(|stage| stage.condition(kind)).map(|condition| condition.result);
            engage(step, result.unwrap_or(StageResult::Fail), next_worker)
        }
    }
}

/// No action runs and no condition is open: the next group, or what all or one failing brings.
fn after_actions(step: &mut Step<'_, '_>, next_worker: Option<WorkerId>) -> Result<(), Refusal> {
    let pipeline = step.pipeline.clone();
    let Some(declared) = declared(&pipeline, step) else {
        return Err(Refusal::Nothing);
    };
    if step.stage().is_some_and(|stage| stage.actions.iter().any(|action| action.status == ActionStatus::Failed)) {
        return failed(step, next_worker);
    }
    let mut stage = step.stage_cloned()?;
    if group::request_next(step, &mut stage, declared, next_worker) {
        step.put_stage(stage);
        return Ok(());
    }
    match declared.condition(ConditionKind::OnSuccess).filter(|_| step.execution().rollback.is_none()) {
        Some(condition) => {
            group::request_rules(step, &mut stage, ConditionKind::OnSuccess, condition, next_worker);
            step.put_stage(stage);
            Ok(())
        }
        None => lifecycle::leave_succeeded(step, next_worker),
    }
}

/// The stage failed and is tried again at once, by the same execution; not in a pipeline that has been updated or deleted.
fn retry(step: &mut Step<'_, '_>, mode: RetryMode, next_worker: Option<WorkerId>) -> Result<(), Refusal> {
    if lifecycle::has_no_future(step)? {
        return lifecycle::leave_failed(step, None);
    }
    lifecycle::end_stage(step, StageStatus::Failed)?;
    retry::again(step, mode, RetryTrigger::Automatic, next_worker)
}

/// An action failed. An execution that rolls back just fails: it must not lead to another of its kind.
fn failed(step: &mut Step<'_, '_>, next_worker: Option<WorkerId>) -> Result<(), Refusal> {
    let pipeline = step.pipeline.clone();
    let failure = declared(&pipeline, step).and_then(|stage| stage.on_failure.as_ref());
    match failure.filter(|_| step.execution().rollback.is_none()) {
        None => {
            // The declaration asks for something that a rollback does not do.
            let besides = "Nothing followed by itself: this execution is a rollback.";
            lifecycle::leave_failed(step, failure.map(|_| besides))
        }
        Some(failure) => match &failure.condition {
            None => engage(step, failure.result, next_worker),
            Some(condition) => {
                let mut stage = step.stage_cloned()?;
                group::request_rules(step, &mut stage, ConditionKind::OnFailure, condition, next_worker);
                step.put_stage(stage);
                Ok(())
            }
        },
    }
}

/// Carries out what a condition or a failure leads to: fail, skip, roll back, or retry once.
fn engage(step: &mut Step<'_, '_>, result: StageResult, next_worker: Option<WorkerId>) -> Result<(), Refusal> {
    match result {
        StageResult::Fail => lifecycle::leave_failed(step, None),
        StageResult::Skip => lifecycle::leave_skipped(step, next_worker),
        StageResult::Rollback => rollback::after_failure(step),
        StageResult::Retry => {
            let pipeline = step.pipeline.clone();
            let failure = declared(&pipeline, step).and_then(|stage| stage.on_failure.as_ref());
            // One attempt is allowed. Source: CodePipeline API, `RetryStageMetadata`.
            let first = step.stage().is_some_and(|stage| stage.retries.automatic == 0);
            match failure.map(|failure| failure.retry).filter(|_| first) {
                Some(mode) => retry(step, mode, next_worker),
                None => lifecycle::leave_failed(
                    step,
                    Some("The stage was not retried again: one automatic retry is allowed."),
                ),
            }
        }
    }
}

/// The declaration of the stage at hand, in the execution's version of the pipeline.
pub(crate) fn declared<'a>(pipeline: &'a Pipeline, step: &Step<'_, '_>) -> Option<&'a Stage> {
    pipeline.stages().get(step.stage()?.stage)
}
