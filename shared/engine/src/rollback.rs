//! A stage goes back to an execution that succeeded in it: a new execution of that stage alone, with the artifacts and
//! variables of the other one.
//!
//! Source: CodePipeline user guide, 'Configuring stage rollback', and API, `RollbackStage`. Conditions are not asked: a
//! way back must not wait for a window to open. An execution that rolls back and fails just fails.

use std::sync::Arc;

use pipeline::{ExecutionMode, Pipeline, StageName};

use crate::command::{Context, Decision, Refusal, State};
use crate::id::ExecutionId;
use crate::lifecycle;
use crate::state::{
    Execution, ExecutionStatus, Head, OutboxTask, Position, RollbackTarget, StageLocks, StageRun, StageStatus, Trigger,
};
use crate::step::Step;
use crate::why;

/// What a rollback asks for.
#[derive(Clone, Debug)]
pub struct Rollback {
    /// The id of the execution that will roll the stage back.
    pub id: ExecutionId,
    /// The stage to roll back; not the source stage.
    pub stage: StageName,
    /// A person (`ManualRollback`) or the stage's failure (`AutomatedRollback`).
    pub trigger: Trigger,
    /// The execution to which it goes back.
    pub target: Execution,
    /// The latest attempt of that execution at the stage.
    pub attempt: Option<StageRun>,
}

/// Starts an execution that rolls a stage back; also the task [`OutboxTask::RollBack`], to which the stage is given already.
///
/// # Errors
/// [`Refusal::NotRollable`], [`Refusal::Outdated`], [`Refusal::PipelineUpdated`]. When the rollback was a task, [`Refusal::Nothing`] if it is done.
pub fn rollback(
    pipeline: Arc<Pipeline>,
    head: &Head,
    mut locks: StageLocks,
    rollback: Rollback,
    context: &mut Context<'_>,
) -> Result<Decision, Refusal> {
    let Rollback { id, stage, trigger, target, attempt } = rollback;
    let refused = |reason| Refusal::NotRollable { stage: stage.to_string(), reason };
    let index = pipeline.stage_index(stage.as_str()).ok_or_else(|| refused("the pipeline has no such stage"))?;
    if index == 0 {
        return Err(refused("it is the source stage"));
    }
    if pipeline.mode() == ExecutionMode::Parallel || target.mode == ExecutionMode::Parallel {
        return Err(refused("executions of mode PARALLEL cannot be rolled back"));
    }
    if locks.version != head.version {
        return Err(Refusal::PipelineUpdated);
    }
    if target.version != head.version || target.incarnation != head.incarnation {
        return Err(Refusal::Outdated(target.id));
    }
    if target.rollback.is_some() {
        return Err(refused("the target execution is a rollback itself"));
    }
    if attempt.is_none_or(|run| run.status != StageStatus::Succeeded) {
        return Err(refused("the target execution did not succeed in it"));
    }
    let lock = locks.lock(&stage);
    let reserved = lock.holder == Some(id);
    if lock.holder.is_some() && !reserved {
        return Err(refused("it is running"));
    }
    if locks.deleted {
        return Err(Refusal::Nothing);
    }
    locks.done(|task| matches!(task, OutboxTask::RollBack { execution, .. } if *execution == id));
    locks.give(&stage, id);
    let number = locks.next_number;
    locks.next_number += 1;
    let execution = Execution {
        id,
        pipeline: head.pipeline.clone(),
        incarnation: head.incarnation,
        version: head.version,
        number,
        mode: pipeline.mode(),
        status: ExecutionStatus::InProgress,
        summary: None,
        trigger,
        variables: target.variables,
        overrides: Vec::new(),
        revisions: target.revisions,
        started: context.now,
        updated: context.now,
        position: Position::Waiting(index),
        attempts: vec![0; pipeline.stages().len()],
        stop: None,
        rollback: Some(RollbackTarget {
            execution: target.id,
            attempts: target.attempts.into_iter().take(index).collect(),
        }),
    };
    let mut step = Step::new(State { pipeline, locks: Some(locks), execution, stage: None }, context);
    lifecycle::go_in(&mut step, index, None)?;
    Ok(step.into_decision())
}

impl StageLocks {
    /// A rollback that was to be made by a task cannot be: the stage goes to the next.
    pub(crate) fn give_up_rollback(&mut self, execution: ExecutionId) {
        let mine = |task: &OutboxTask| matches!(task, OutboxTask::RollBack { execution: it, .. } if *it == execution);
        let stage = self.outbox.iter().find(|task| mine(task)).and_then(|task| match task {
            OutboxTask::RollBack { stage, .. } => Some(stage.clone()),
            _ => None,
        });
        self.done(mine);
        if let Some(stage) = stage {
            self.release(&stage, execution);
        }
    }
}

/// Takes back the task of a rollback that cannot be made.
///
/// # Errors
/// [`Refusal::Nothing`] when there is no such task any more.
pub fn give_up_rollback(
    mut locks: StageLocks,
    execution: ExecutionId,
    context: &mut Context<'_>,
) -> Result<Decision, Refusal> {
    let before = locks.outbox.clone();
    locks.give_up_rollback(execution);
    if locks.outbox == before {
        return Err(Refusal::Nothing);
    }
    locks.plan_sweep(context.now, context.policy);
    let new = locks.outbox.iter().filter(|task| !before.contains(task)).cloned();
    let effects = new.map(crate::command::Effect::Outbox).collect();
    Ok(Decision { locks: Some(locks), effects, ..Decision::default() })
}

/// The stage at hand failed and is to be rolled back to what succeeded in it last. The stage is kept for the execution
/// that does it, so that nobody gets in between; it is made by a task, since the target's items are not at hand.
pub(crate) fn after_failure(step: &mut Step<'_, '_>) -> Result<(), Refusal> {
    let stage = step.stage_cloned()?;
    let (id, version) = (step.execution().id, step.execution().version);
    if lifecycle::has_no_future(step)? {
        return lifecycle::leave_failed(step, None);
    }
    let target = if lifecycle::parallel(step) {
        Err("executions of mode PARALLEL cannot be rolled back".to_owned())
    } else if stage.stage == 0 {
        Err("it is the source stage".to_owned())
    } else {
        match step.locks()?.stages.get(&stage.name).and_then(|lock| lock.succeeded) {
            None => Err("no execution has succeeded in it before".to_owned()),
            Some(last) if last.execution == id => Err("this execution is the last that succeeded in it".to_owned()),
            Some(last) if last.version != version => Err(format!(
                "the last execution that succeeded in it, {}, ran version {} of the pipeline, and this one version {version}",
                last.execution, last.version
            )),
            Some(last) => Ok(last),
        }
    };
    let target = match target {
        Ok(target) => target,
        Err(reason) => {
            return lifecycle::leave_failed(step, Some(&format!("The stage was not rolled back: {reason}.")));
        }
    };
    let rollback = ExecutionId::from_random(step.random());
    lifecycle::end_stage(step, StageStatus::Failed)?;
    lifecycle::record_revisions(step);
    lifecycle::change_locks(step, |locks| {
        locks.lock(&stage.name).holder = Some(rollback);
        locks.outbox.push(OutboxTask::RollBack {
            execution: rollback,
            stage: stage.name.clone(),
            target: target.execution,
            failed: id,
        });
    })?;
    let summary = format!("{} The stage goes back to execution {}.", why::failure(&stage), target.execution);
    lifecycle::ended(step, ExecutionStatus::Failed, Some(summary));
    Ok(())
}
