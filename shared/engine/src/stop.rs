//! Ends that come from outside: a person stops an execution, or its pipeline is updated or deleted. What providers run
//! for actions that are given up goes on: CodePipeline sends them nothing.
//!
//! Source: CodePipeline user guide, 'Stop a pipeline execution', and API, `StopPipelineExecution`.

use crate::command::Refusal;
use crate::lifecycle;
use crate::state::{
    ActionStatus, CancelCause, ConditionStatus, Execution, ExecutionStatus, OutboxTask, Position, StageStatus, Stop,
};
use crate::step::Step;

/// A person stops the execution. With `abandon` what runs is given up, and the end is there at once; without, what runs
/// goes on to its end and nothing more is begun. Who waits in front of a stage has nothing that runs.
pub(crate) fn stop(step: &mut Step<'_, '_>, abandon: bool, reason: Option<String>) -> Result<(), Refusal> {
    let execution = step.execution();
    let id = execution.id;
    match (execution.status, &execution.stop) {
        (ExecutionStatus::InProgress | ExecutionStatus::Cancelling, None) => {}
        (ExecutionStatus::Stopping, Some(before)) if abandon && !before.abandon => {}
        (status, _) if status.is_open() => return Err(Refusal::AlreadyStopping(id)),
        (status, _) => return Err(Refusal::NotStoppable { execution: id, status: ended(status) }),
    }
    step.execution_mut().stop = Some(Stop { abandon, reason });
    match step.execution().position {
        Position::Waiting(index) => {
            let stage = step.pipeline.stages()[index].name.clone();
            lifecycle::end(step, ExecutionStatus::Stopped, summary(step.execution()), &stage)
        }
        Position::In(_) if abandon => {
            give_up(step, ActionStatus::Abandoned, ConditionStatus::Abandoned);
            stopped(step)
        }
        Position::In(_) => {
            if let Some(stage) = step.stage_mut() {
                stage.status = StageStatus::Stopping;
            }
            let summary = summary(step.execution());
            let execution = step.execution_mut();
            execution.status = ExecutionStatus::Stopping;
            execution.summary = summary;
            Ok(())
        }
        Position::Out => Err(Refusal::Nothing),
    }
}

/// Nothing runs any more in the stage of an execution that was stopped.
pub(crate) fn stopped(step: &mut Step<'_, '_>) -> Result<(), Refusal> {
    let all = |wanted: ActionStatus| {
        step.stage().is_some_and(|stage| stage.actions.iter().all(|action| action.status == wanted))
    };
    let failed = step.stage().is_some_and(|stage| stage.actions.iter().any(|it| it.status == ActionStatus::Failed));
    let status = match (failed, all(ActionStatus::Succeeded)) {
        (true, _) => StageStatus::Failed,
        (false, true) => StageStatus::Succeeded,
        (false, false) => StageStatus::Stopped,
    };
    let (_, name) = lifecycle::end_stage(step, status)?;
    lifecycle::record_revisions(step);
    lifecycle::end(step, ExecutionStatus::Stopped, summary(step.execution()), &name)
}

/// Gives up everything that runs in the stage at hand.
pub(crate) fn give_up(step: &mut Step<'_, '_>, actions: ActionStatus, conditions: ConditionStatus) {
    let now = step.now();
    let Some(stage) = step.stage_mut() else {
        return;
    };
    let running: Vec<u8> = stage.runs().filter(|(_, run)| run.status.in_flight()).map(|(place, _)| place).collect();
    for place in running {
        if let Some(run) = stage.run_mut(place) {
            run.status = actions.clone();
            run.check = None;
            run.updated = Some(now);
        }
    }
    for condition in stage.conditions.iter_mut().filter(|it| it.status == ConditionStatus::InProgress) {
        condition.status = conditions;
        condition.updated = now;
    }
}

fn summary(execution: &Execution) -> Option<String> {
    let reason = execution.stop.as_ref().and_then(|stop| stop.reason.as_deref()).filter(|reason| !reason.is_empty());
    Some(reason.map_or_else(|| "Stopped.".to_owned(), |reason| format!("Stopped: {reason}")))
}

fn ended(status: ExecutionStatus) -> &'static str {
    match status {
        ExecutionStatus::InProgress | ExecutionStatus::Cancelling | ExecutionStatus::Stopping => "in progress",
        ExecutionStatus::Succeeded => "succeeded",
        ExecutionStatus::Failed => "failed",
        ExecutionStatus::Superseded => "superseded",
        ExecutionStatus::Cancelled => "cancelled",
        ExecutionStatus::Stopped => "stopped",
    }
}

/// The task `Cancel`. After an update, what runs goes on to its end and nothing more is begun; an execution that is
/// being stopped ends as stopped.
///
/// Source: CodePipeline user guide, 'Set or change the pipeline execution mode'.
pub(crate) fn cancel(step: &mut Step<'_, '_>) -> Result<(), Refusal> {
    let id = step.execution().id;
    let cause = |task: &OutboxTask| match task {
        OutboxTask::Cancel { execution, cause } if *execution == id => Some(*cause),
        _ => None,
    };
    let locks = step.locks_mut()?;
    let asked = locks.outbox.iter().find_map(cause).ok_or(Refusal::Nothing)?;
    locks.done(|task| cause(task).is_some());
    let cause = if locks.deleted { CancelCause::PipelineDeleted } else { asked };
    match step.execution().position {
        Position::Out => Ok(()),
        Position::Waiting(index) => {
            let stage = step.pipeline.stages()[index].name.clone();
            lifecycle::end(step, ExecutionStatus::Cancelled, Some(cause.to_string()), &stage)
        }
        Position::In(_) if cause == CancelCause::PipelineDeleted => {
            give_up(step, ActionStatus::Abandoned, ConditionStatus::Cancelled);
            lifecycle::leave_cancelled(step)
        }
        Position::In(_) => {
            if step.execution().status == ExecutionStatus::InProgress {
                step.execution_mut().status = ExecutionStatus::Cancelling;
                if let Some(stage) = step.stage_mut() {
                    stage.status = StageStatus::Cancelling;
                }
            }
            Ok(())
        }
    }
}
