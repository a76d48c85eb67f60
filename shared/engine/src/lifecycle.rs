//! From one stage to the next, and the ends of an execution.

use pipeline::{ConditionKind, ExecutionMode, StageName};

use crate::command::{Effect, Refusal};
use crate::group;
use crate::id::WorkerId;
use crate::state::{
    ActionRun, ActionStatus, CancelCause, EndedAttempt, Entry, ExecutionStatus, LastSuccess, OutboxTask, Position,
    Retries, SourceRevision, StageLocks, StageRun, StageStatus, Waiting,
};
use crate::step::Step;
use crate::why;

/// The stage's last action succeeded, and what must hold then does.
pub(crate) fn leave_succeeded(step: &mut Step<'_, '_>, next_worker: Option<WorkerId>) -> Result<(), Refusal> {
    if has_no_future(step)? {
        return leave_cancelled(step);
    }
    let (_, name) = end_stage(step, StageStatus::Succeeded)?;
    let execution = step.execution();
    let success = LastSuccess { execution: execution.id, version: execution.version };
    let rolled_back = execution.rollback.is_some();
    if !parallel(step) {
        let lock = step.locks_mut()?.lock(&name);
        lock.live = Some(success.execution);
        if !rolled_back {
            lock.succeeded = Some(success);
        }
    }
    if rolled_back {
        return end(step, ExecutionStatus::Succeeded, None, &name);
    }
    go_on(step, &name, next_worker)
}

/// A condition lets the execution go on without the stage.
pub(crate) fn leave_skipped(step: &mut Step<'_, '_>, next_worker: Option<WorkerId>) -> Result<(), Refusal> {
    if has_no_future(step)? {
        return leave_cancelled(step);
    }
    let (_, name) = end_stage(step, StageStatus::Skipped)?;
    go_on(step, &name, next_worker)
}

/// The execution ends in the stage, which failed. `besides` says why the failure had no other result, where the
/// declaration asks for something else.
pub(crate) fn leave_failed(step: &mut Step<'_, '_>, besides: Option<&str>) -> Result<(), Refusal> {
    if has_no_future(step)? {
        return leave_cancelled(step);
    }
    let (_, name) = end_stage(step, StageStatus::Failed)?;
    record_revisions(step);
    let cause = step.stage().map(why::failure);
    let summary = cause.into_iter().chain(besides.map(str::to_owned)).collect::<Vec<_>>().join(" ");
    end(step, ExecutionStatus::Failed, Some(summary), &name)
}

/// Nothing runs any more in the stage of an execution whose pipeline was updated or deleted.
pub(crate) fn leave_cancelled(step: &mut Step<'_, '_>) -> Result<(), Refusal> {
    let deleted = step.locks()?.deleted;
    let cause = if deleted { CancelCause::PipelineDeleted } else { CancelCause::PipelineUpdated };
    let (_, name) = end_stage(step, StageStatus::Cancelled)?;
    record_revisions(step);
    end(step, ExecutionStatus::Cancelled, Some(cause.to_string()), &name)
}

fn go_on(step: &mut Step<'_, '_>, name: &StageName, next_worker: Option<WorkerId>) -> Result<(), Refusal> {
    let Position::In(index) = step.execution().position else {
        return Err(Refusal::Nothing);
    };
    record_revisions(step);
    if index + 1 == step.pipeline.stages().len() {
        return end(step, ExecutionStatus::Succeeded, None, name);
    }
    release(step, name)?;
    arrive(step, index + 1, next_worker)
}

/// Ends the stage attempt at hand; answers which stage it is.
pub(crate) fn end_stage(step: &mut Step<'_, '_>, status: StageStatus) -> Result<(usize, StageName), Refusal> {
    let stage = step.stage_mut().ok_or(Refusal::Nothing)?;
    stage.status = status;
    let stage = step.stage_cloned()?;
    if let Some(attempt) = ended_attempt(step, &stage).filter(|_| !parallel(step)) {
        step.locks_mut()?.lock(&stage.name).ended(attempt);
    }
    Ok((stage.stage, stage.name))
}

/// How far an attempt came; none where it came to no action.
fn ended_attempt(step: &Step<'_, '_>, stage: &StageRun) -> Option<EndedAttempt> {
    let declared = &step.pipeline.stages().get(stage.stage)?.actions;
    let came = |run: &ActionRun| run.status != ActionStatus::Pending;
    let orders = declared.iter().zip(&stage.actions).filter(|(_, run)| came(run)).map(|(action, _)| action.run_order);
    let highest = orders.max()?;
    Some(EndedAttempt {
        entry: Entry { execution: stage.execution, stage: stage.stage, attempt: stage.attempt },
        version: step.execution().version,
        reached: (!stage.actions.iter().all(came)).then_some(highest),
    })
}

pub(crate) fn record_revisions(step: &mut Step<'_, '_>) {
    let found: Vec<SourceRevision> = step
        .stage()
        .iter()
        .flat_map(|stage| &stage.actions)
        .filter_map(|run| {
            Some(SourceRevision {
                action: run.name.clone(),
                artifact: run.outputs.first().map(|artifact| artifact.name.clone()),
                revision: run.revision.clone()?,
            })
        })
        .collect();
    if !found.is_empty() {
        step.execution_mut().revisions = found;
    }
}

/// Whether the execution neither holds stages nor waits for them.
pub(crate) fn parallel(step: &Step<'_, '_>) -> bool {
    step.execution().mode == ExecutionMode::Parallel
}

/// Whether the pipeline has been updated since the execution started. One of mode PARALLEL goes on nevertheless. Source:
/// CodePipeline user guide, 'Set or change the pipeline execution mode'.
pub(crate) fn outdated(step: &Step<'_, '_>) -> Result<bool, Refusal> {
    Ok(!parallel(step) && step.locks()?.version != step.execution().version)
}

/// Whether the pipeline was deleted or updated, so that the execution must begin nothing more; its task may not have
/// reached it yet. One of mode PARALLEL goes on until its task does.
pub(crate) fn has_no_future(step: &Step<'_, '_>) -> Result<bool, Refusal> {
    Ok(!parallel(step) && (step.locks()?.deleted || outdated(step)?))
}

fn release(step: &mut Step<'_, '_>, stage: &StageName) -> Result<(), Refusal> {
    if parallel(step) {
        return Ok(());
    }
    let id = step.execution().id;
    change_locks(step, |locks| locks.release(stage, id))
}

/// Changes the locks and passes on the outbox that come of it.
pub(crate) fn change_locks<T>(
    step: &mut Step<'_, '_>,
    change: impl FnOnce(&mut StageLocks) -> T,
) -> Result<T, Refusal> {
    let locks = step.locks_mut()?;
    let before = locks.outbox.clone();
    let answer = change(locks);
    let new: Vec<Effect> =
        locks.outbox.iter().filter(|task| !before.contains(task)).cloned().map(Effect::Outbox).collect();
    step.effects.extend(new);
    Ok(answer)
}

/// Ends the execution, which is in this stage or in front of it.
pub(crate) fn end(
    step: &mut Step<'_, '_>,
    status: ExecutionStatus,
    summary: Option<String>,
    stage: &StageName,
) -> Result<(), Refusal> {
    let id = step.execution().id;
    if parallel(step) {
        step.locks_mut()?.running.retain(|running| *running != id);
    } else {
        release(step, stage)?;
    }
    ended(step, status, summary);
    Ok(())
}

/// The execution has ended; the locks know already.
pub(crate) fn ended(step: &mut Step<'_, '_>, status: ExecutionStatus, summary: Option<String>) {
    let execution = step.execution_mut();
    execution.status = status;
    execution.summary = summary;
    execution.position = Position::Out;
}

/// Comes to the stage of this index: enters it, or waits in front of it.
pub(crate) fn arrive(step: &mut Step<'_, '_>, index: usize, next_worker: Option<WorkerId>) -> Result<(), Refusal> {
    if parallel(step) {
        return go_in(step, index, next_worker);
    }
    let name = step.pipeline.stages()[index].name.clone();
    let execution = step.execution();
    let me = Waiting { execution: execution.id, number: execution.number, since: step.now() };
    let mode = execution.mode;
    if change_locks(step, |locks| locks.arrive(&name, me, mode))? {
        go_in(step, index, next_worker)
    } else {
        step.execution_mut().position = Position::Waiting(index);
        Ok(())
    }
}

/// Makes the stage attempt and requests what comes first in it. The execution holds the stage already.
pub(crate) fn go_in(step: &mut Step<'_, '_>, index: usize, next_worker: Option<WorkerId>) -> Result<(), Refusal> {
    let pipeline = step.pipeline.clone();
    let declared = &pipeline.stages()[index];
    let mut stage = attempt(step, index)?;
    stage.actions = group::pending(declared);
    match declared.condition(ConditionKind::BeforeEntry).filter(|_| step.execution().rollback.is_none()) {
        Some(condition) => group::request_rules(step, &mut stage, ConditionKind::BeforeEntry, condition, next_worker),
        None => _ = group::request_next(step, &mut stage, declared, next_worker),
    }
    *step.entered_mut() = Some(stage);
    Ok(())
}

/// The execution's next attempt at a stage, empty; the execution and the locks know of it.
pub(crate) fn attempt(step: &mut Step<'_, '_>, index: usize) -> Result<StageRun, Refusal> {
    let pipeline = step.pipeline.clone();
    let name = &pipeline.stages()[index].name;
    let now = step.now();
    let execution = step.execution_mut();
    execution.position = Position::In(index);
    execution.attempts.resize(pipeline.stages().len(), 0);
    let Some(attempt) = execution.attempts[index].checked_add(1) else {
        return Err(Refusal::NotRetryable { stage: name.to_string(), reason: "it was retried too often" });
    };
    execution.attempts[index] = attempt;
    let id = execution.id;
    let stage = StageRun {
        execution: id,
        pipeline: execution.pipeline.clone(),
        stage: index,
        name: name.clone(),
        attempt,
        status: StageStatus::InProgress,
        started: now,
        updated: now,
        actions: Vec::new(),
        conditions: Vec::new(),
        retries: Retries::default(),
        rolls_back: execution.rollback.is_some(),
    };
    if !parallel(step) {
        step.locks_mut()?.lock(name).latest = Some(Entry { execution: id, stage: index, attempt });
    }
    Ok(stage)
}

/// The task `Enter`: the stage became free for an execution that waited.
pub(crate) fn enter(step: &mut Step<'_, '_>, stage: &StageName) -> Result<(), Refusal> {
    let id = step.execution().id;
    let task = OutboxTask::Enter { execution: id, stage: stage.clone() };
    if !step.locks()?.outbox.contains(&task) {
        return Err(Refusal::Nothing);
    }
    step.locks_mut()?.done(|other| *other == task);
    let waits = match step.execution().position {
        Position::Waiting(index) if step.pipeline.stages()[index].name == *stage => Some(index),
        _ => None,
    };
    match waits {
        Some(index) if !step.locks()?.deleted => go_in(step, index, None),
        // It ended while the task was on its way, and gave the stage back then.
        _ => Ok(()),
    }
}

/// The task `Supersede`: a newer execution took the place at which this one waited.
pub(crate) fn supersede(step: &mut Step<'_, '_>, by: crate::id::ExecutionId) -> Result<(), Refusal> {
    let id = step.execution().id;
    let mine = |task: &OutboxTask| matches!(task, OutboxTask::Supersede { execution, .. } if *execution == id);
    if !step.locks()?.outbox.iter().any(mine) {
        return Err(Refusal::Nothing);
    }
    step.locks_mut()?.done(mine);
    if matches!(step.execution().position, Position::Waiting(_)) {
        ended(step, ExecutionStatus::Superseded, Some(format!("Superseded by execution {by}.")));
    }
    Ok(())
}
