//! A person overrides a condition.
//!
//! Source: CodePipeline API, `OverrideStageCondition`, and user guide, 'Configure conditions for a stage': rules that
//! run are given up and the stage proceeds; a condition that failed the stage can be overridden as long as no other
//! execution has come to the stage; one whose result is SKIP cannot.

use pipeline::{ConditionKind, RetryMode, StageName, StageResult};

use crate::command::Refusal;
use crate::group;
use crate::lifecycle;
use crate::retry;
use crate::stage;
use crate::state::{ActionStatus, ConditionStatus, ExecutionStatus, StageStatus};
use crate::step::Step;
use crate::stop;

/// Lets the execution go on as if the condition were met.
pub(crate) fn overrule(
    step: &mut Step<'_, '_>,
    name: &StageName,
    kind: ConditionKind,
    by: String,
) -> Result<(), Refusal> {
    let refused = |reason| Refusal::NotOverridable { stage: name.to_string(), reason };
    let run =
        step.stage().filter(|run| run.name == *name).ok_or_else(|| refused("the execution did not come to it"))?;
    let pipeline = step.pipeline.clone();
    let declared = stage::declared(&pipeline, step).and_then(|stage| stage.condition(kind));
    let condition = run.condition(kind).zip(declared);
    let Some((condition, declared)) = condition else {
        return Err(refused("the execution has not come to such a condition"));
    };
    if kind == ConditionKind::OnFailure {
        return Err(refused("conditions of failure have nothing to override"));
    }
    if declared.result == StageResult::Skip {
        return Err(refused("its result is SKIP"));
    }
    match (condition.status, step.execution().status, run.status) {
        (ConditionStatus::InProgress, ExecutionStatus::InProgress, StageStatus::InProgress) => {
            stop::give_up(step, ActionStatus::Abandoned, ConditionStatus::Overridden);
            overridden(step, kind, by);
            stage::after_condition(step, kind, true, None)
        }
        (ConditionStatus::Failed, ExecutionStatus::Failed, StageStatus::Failed) => {
            if lifecycle::outdated(step)? {
                return Err(refused("the pipeline was updated"));
            }
            after_failure(step, name, kind, by)
        }
        (ConditionStatus::InProgress | ConditionStatus::Failed, ..) => Err(refused("the execution ends or has ended")),
        (ConditionStatus::Succeeded, ..) => Err(refused("it is met")),
        (ConditionStatus::Overridden, ..) => Err(refused("it is overridden already")),
        (ConditionStatus::Abandoned | ConditionStatus::Cancelled, ..) => Err(refused("the execution was stopped")),
    }
}

fn overridden(step: &mut Step<'_, '_>, kind: ConditionKind, by: String) {
    let condition = step.stage_mut().and_then(|stage| stage.conditions.iter_mut().find(|it| it.kind == kind));
    if let Some(condition) = condition {
        condition.overridden_by = Some(by);
    }
}

/// The condition had failed the stage: its execution comes back, in an attempt of its own, and goes on from there.
fn after_failure(step: &mut Step<'_, '_>, name: &StageName, kind: ConditionKind, by: String) -> Result<(), Refusal> {
    retry::revive(step, name)?;
    let before = step.stage_cloned()?;
    let pipeline = step.pipeline.clone();
    let Some(declared) = pipeline.stages().get(before.stage) else {
        return Err(Refusal::Nothing);
    };
    let mut again = lifecycle::attempt(step, before.stage)?;
    again.actions = retry::taken_over(&before, RetryMode::FailedActions);
    again.retries = before.retries;
    let now = step.now();
    again.conditions = before.conditions.iter().cloned().map(|it| retry::taken(it, before.attempt)).collect();
    for condition in again.conditions.iter_mut().filter(|condition| condition.kind == kind) {
        condition.status = ConditionStatus::Overridden;
        condition.updated = now;
        condition.overridden_by = Some(by.clone());
    }
    if group::request_next(step, &mut again, declared, None) {
        *step.entered_mut() = Some(again);
        return Ok(());
    }
    // All its actions had succeeded: this attempt is over as it begins.
    step.begin(again);
    lifecycle::leave_succeeded(step, None)
}
