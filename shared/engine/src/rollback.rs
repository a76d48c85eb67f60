//! A stage goes back to an execution that succeeded in it: a new execution of that stage alone, with the artifacts and
//! variables of the other one.
//!
//! Source: CodePipeline user guide, 'Configuring stage rollback', and API, `RollbackStage`. Conditions are not asked: a
//! way back must not wait for a window to open. An execution that rolls back and fails just fails.

use std::sync::Arc;

use pipeline::{ExecutionMode, Pipeline, StageName};

use crate::command::{Context, Decision, Refusal, State};
use crate::crossing;
use crate::id::ExecutionId;
use crate::state::{
    Chore, Execution, ExecutionStatus, Head, Lanes, Position, RollbackTarget, StageRun, StageStatus, Trigger,
};
use crate::step::Step;

/// What a rollback asks for.
#[derive(Clone, Debug)]
pub struct Rollback {
    /// The new execution's id.
    pub id: ExecutionId,
    /// Which stage.
    pub stage: StageName,
    /// What started it.
    pub trigger: Trigger,
    /// The execution to which it goes back.
    pub target: Execution,
    /// The latest attempt of that execution at the stage.
    pub attempt: Option<StageRun>,
}

/// Starts an execution that rolls a stage back; also the chore [`Chore::RollBack`], to which the stage is given already.
///
/// # Errors
/// [`Refusal::NotRollable`], [`Refusal::Outdated`]. When the rollback was a chore, [`Refusal::Nothing`] if it is done.
pub fn rollback(
    pipeline: Arc<Pipeline>,
    head: &Head,
    mut lanes: Lanes,
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
    if target.version != head.version || target.incarnation != head.incarnation {
        return Err(Refusal::Outdated(target.id));
    }
    if target.rollback.is_some() {
        return Err(refused("the target execution is a rollback itself"));
    }
    if attempt.is_none_or(|run| run.status != StageStatus::Succeeded) {
        return Err(refused("the target execution did not succeed in it"));
    }
    let lane = lanes.lane(&stage);
    let reserved = lane.holder == Some(id);
    if lane.holder.is_some() && !reserved {
        return Err(refused("it is running"));
    }
    if lanes.deleted {
        return Err(Refusal::Nothing);
    }
    lanes.done(|chore| matches!(chore, Chore::RollBack { execution, .. } if *execution == id));
    lanes.give(&stage, id);
    let number = lanes.next_number;
    lanes.next_number += 1;
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
    let mut step = Step::new(State { pipeline, lanes: Some(lanes), execution, stage: None }, context);
    crossing::go_in(&mut step, index, None)?;
    Ok(step.into_decision())
}

impl Lanes {
    /// A rollback that was to be made by a chore cannot be: the stage goes to the next.
    pub(crate) fn give_up_rollback(&mut self, execution: ExecutionId) {
        let mine = |chore: &Chore| matches!(chore, Chore::RollBack { execution: it, .. } if *it == execution);
        let stage = self.chores.iter().find(|chore| mine(chore)).and_then(|chore| match chore {
            Chore::RollBack { stage, .. } => Some(stage.clone()),
            _ => None,
        });
        self.done(mine);
        if let Some(stage) = stage {
            self.release(&stage, execution);
        }
    }
}

/// Takes back the chore of a rollback that cannot be made.
///
/// # Errors
/// [`Refusal::Nothing`] when there is no such chore any more.
pub fn give_up_rollback(
    mut lanes: Lanes,
    execution: ExecutionId,
    context: &mut Context<'_>,
) -> Result<Decision, Refusal> {
    let before = lanes.chores.clone();
    lanes.give_up_rollback(execution);
    if lanes.chores == before {
        return Err(Refusal::Nothing);
    }
    lanes.plan_sweep(context.now, context.policy);
    let new = lanes.chores.iter().filter(|chore| !before.contains(chore)).cloned();
    let effects = new.map(crate::command::Effect::Chore).collect();
    Ok(Decision { lanes: Some(lanes), effects, ..Decision::default() })
}

/// The stage at hand failed and is to be rolled back to what succeeded in it last. The stage is kept for the execution
/// that does it, so that nobody gets in between; it is made by a chore, since the target's items are not at hand.
pub(crate) fn after_failure(step: &mut Step<'_, '_>) -> Result<(), Refusal> {
    let stage = step.stage_cloned()?;
    let (id, version) = (step.execution().id, step.execution().version);
    if crossing::parallel(step) || stage.stage == 0 || step.lanes()?.deleted {
        return crossing::leave_failed(step);
    }
    let last = step.lanes()?.lanes.get(&stage.name).and_then(|lane| lane.succeeded);
    let Some(target) = last.filter(|last| last.version == version && last.execution != id) else {
        return crossing::leave_failed(step);
    };
    let rollback = ExecutionId::from_random(step.random());
    crossing::end_stage(step, StageStatus::Failed)?;
    crossing::record_revisions(step);
    crossing::change_lanes(step, |lanes| {
        lanes.lane(&stage.name).holder = Some(rollback);
        lanes.chores.push(Chore::RollBack {
            execution: rollback,
            stage: stage.name.clone(),
            target: target.execution,
            failed: id,
        });
    })?;
    let summary = format!("Stage {} failed and goes back to execution {}.", stage.name, target.execution);
    crossing::ended(step, ExecutionStatus::Failed, Some(summary));
    Ok(())
}
