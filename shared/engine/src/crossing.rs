//! From one stage to the next: locks, waiting, superseding, and the ends of an execution.
//!
//! Source: CodePipeline user guide, 'How pipeline executions work': a stage holds one execution at a time and is
//! locked by it; executions wait in front of a locked stage or a closed transition; in SUPERSEDED mode one that waits
//! is overtaken by a newer one that comes to wait at the same place; a failure unlocks the stage.

use pipeline::{ExecutionMode, StageName};
use uuid::Uuid;

use crate::command::{Effect, Refusal};
use crate::group;
use crate::id::ExecutionId;
use crate::state::{
    ActionStatus, Chore, Entry, ExecutionStatus, Lane, Lanes, Position, SourceRevision, StageRun, StageStatus, Waiting,
};
use crate::step::Step;
use crate::time::{Policy, Timestamp};

impl Lanes {
    /// The lane of a stage, made when it is first needed.
    pub(crate) fn lane(&mut self, stage: &StageName) -> &mut Lane {
        self.lanes.entry(stage.clone()).or_default()
    }

    /// Puts an execution in front of a stage. Answers whether it may enter at once.
    pub(crate) fn arrive(&mut self, mode: ExecutionMode, stage: &StageName, me: Waiting) -> bool {
        let lane = self.lanes.entry(stage.clone()).or_default();
        let overtaken = arrivals(mode, lane, me.clone());
        let overtakes = overtaken.iter().all(|loser| *loser != me.execution);
        // Who overtook: the newest of those in front of the stage.
        let by = lane.waiting.last().map_or(me.execution, |newest| newest.execution);
        self.chores.extend(overtaken.into_iter().map(|execution| Chore::Supersede { execution, by }));
        if overtakes && self.admits(stage) == Some(me.execution) {
            let lane = self.lane(stage);
            lane.waiting.retain(|waiting| waiting.execution != me.execution);
            lane.holder = Some(me.execution);
            return true;
        }
        false
    }

    /// Who may enter a stage now: the first that waits, if the stage is free and its transition open.
    fn admits(&self, stage: &StageName) -> Option<ExecutionId> {
        let lane = self.lanes.get(stage)?;
        if lane.holder.is_some() || lane.transition.disabled || self.deleted {
            return None;
        }
        lane.waiting.first().map(|waiting| waiting.execution)
    }

    /// Lets the next one in, by a chore: its own items are not at hand.
    pub(crate) fn admit_next(&mut self, stage: &StageName) {
        if let Some(execution) = self.admits(stage) {
            let lane = self.lane(stage);
            lane.waiting.retain(|waiting| waiting.execution != execution);
            lane.holder = Some(execution);
            self.chores.push(Chore::Enter { execution, stage: stage.clone() });
        }
    }

    /// Takes an execution out of a stage and from in front of it, and lets the next one in.
    fn release(&mut self, stage: &StageName, execution: ExecutionId) {
        let lane = self.lane(stage);
        lane.waiting.retain(|waiting| waiting.execution != execution);
        if lane.holder == Some(execution) {
            lane.holder = None;
        }
        self.admit_next(stage);
    }

    /// The chore is done, or has become pointless.
    fn done(&mut self, is: impl Fn(&Chore) -> bool) -> bool {
        let before = self.chores.len();
        self.chores.retain(|chore| !is(chore));
        self.chores.len() != before
    }

    /// Sets when the sweeper must look for chores. A later change does not put it off: in a busy pipeline the sweep
    /// for a lost chore would never come.
    pub(crate) fn plan_sweep(&mut self, now: Timestamp, policy: &Policy) {
        let due = now.plus(policy.grace);
        self.due = (!self.chores.is_empty()).then(|| self.due.map_or(due, |before| before.min(due)));
    }
}

/// Adds an arrival to those who wait; answers who is overtaken by it (perhaps the arrival itself).
fn arrivals(mode: ExecutionMode, lane: &mut Lane, me: Waiting) -> Vec<ExecutionId> {
    lane.waiting.push(me);
    lane.waiting.sort_by_key(|waiting| waiting.number);
    match mode {
        ExecutionMode::Superseded => {
            let newest = lane.waiting.split_off(lane.waiting.len() - 1);
            std::mem::replace(&mut lane.waiting, newest).into_iter().map(|waiting| waiting.execution).collect()
        }
        ExecutionMode::Queued | ExecutionMode::Parallel => Vec::new(),
    }
}

/// The stage's last action succeeded.
pub(crate) fn leave_succeeded(step: &mut Step<'_, '_>, next: Option<Uuid>) -> Result<(), Refusal> {
    let (index, name) = end_stage(step, StageStatus::Succeeded)?;
    if step.lanes()?.deleted {
        return end(step, ExecutionStatus::Cancelled, Some("The pipeline was deleted.".into()), &name);
    }
    record_revisions(step);
    if index + 1 == step.pipeline.stages().len() {
        return end(step, ExecutionStatus::Succeeded, None, &name);
    }
    release(step, &name)?;
    arrive(step, index + 1, next)
}

/// The stage's last action ended, and one had failed.
pub(crate) fn leave_failed(step: &mut Step<'_, '_>) -> Result<(), Refusal> {
    let (_, name) = end_stage(step, StageStatus::Failed)?;
    record_revisions(step);
    end(step, ExecutionStatus::Failed, None, &name)
}

fn end_stage(step: &mut Step<'_, '_>, status: StageStatus) -> Result<(usize, StageName), Refusal> {
    step.lanes()?;
    let stage = step.stage_mut().ok_or(Refusal::Nothing)?;
    stage.status = status;
    Ok((stage.stage, stage.name.clone()))
}

fn record_revisions(step: &mut Step<'_, '_>) {
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

fn release(step: &mut Step<'_, '_>, stage: &StageName) -> Result<(), Refusal> {
    let id = step.execution().id;
    change_lanes(step, |lanes| lanes.release(stage, id))
}

/// Changes the lanes and passes on the chores that come of it.
fn change_lanes<T>(step: &mut Step<'_, '_>, change: impl FnOnce(&mut Lanes) -> T) -> Result<T, Refusal> {
    let lanes = step.lanes_mut()?;
    let before = lanes.chores.clone();
    let answer = change(lanes);
    let new: Vec<Effect> =
        lanes.chores.iter().filter(|chore| !before.contains(chore)).cloned().map(Effect::Chore).collect();
    step.effects.extend(new);
    Ok(answer)
}

fn end(
    step: &mut Step<'_, '_>,
    status: ExecutionStatus,
    summary: Option<String>,
    stage: &StageName,
) -> Result<(), Refusal> {
    release(step, stage)?;
    let execution = step.execution_mut();
    execution.status = status;
    execution.summary = summary;
    execution.position = Position::Out;
    Ok(())
}

/// Comes to the stage of this index: enters it, or waits in front of it.
pub(crate) fn arrive(step: &mut Step<'_, '_>, index: usize, next: Option<Uuid>) -> Result<(), Refusal> {
    let name = step.pipeline.stages()[index].name.clone();
    let me = Waiting { execution: step.execution().id, number: step.execution().number, since: step.now() };
    let mode = step.execution().mode;
    if change_lanes(step, |lanes| lanes.arrive(mode, &name, me))? {
        go_in(step, index, next)
    } else {
        step.execution_mut().position = Position::Waiting(index);
        Ok(())
    }
}

/// Makes the stage attempt and requests its first group. The execution holds the stage already.
fn go_in(step: &mut Step<'_, '_>, index: usize, next: Option<Uuid>) -> Result<(), Refusal> {
    let pipeline = step.pipeline.clone();
    let declared = &pipeline.stages()[index];
    let now = step.now();
    let execution = step.execution_mut();
    execution.position = Position::In(index);
    execution.attempts.resize(pipeline.stages().len(), 0);
    execution.attempts[index] += 1;
    let (id, attempt) = (execution.id, execution.attempts[index]);
    let mut stage = StageRun {
        execution: id,
        pipeline: execution.pipeline.clone(),
        stage: index,
        name: declared.name.clone(),
        attempt,
        status: StageStatus::InProgress,
        started: now,
        updated: now,
        actions: group::pending(declared),
    };
    step.lanes_mut()?.lane(&declared.name).latest = Some(Entry { execution: id, stage: index, attempt });
    let first = declared.run_orders().first().copied().unwrap_or(1);
    group::request_group(step, &mut stage, declared, first, next);
    *step.entered_mut() = Some(stage);
    Ok(())
}

/// The chore `Enter`: the stage became free for an execution that waited.
pub(crate) fn enter(step: &mut Step<'_, '_>, stage: &StageName) -> Result<(), Refusal> {
    let id = step.execution().id;
    let chore = Chore::Enter { execution: id, stage: stage.clone() };
    if !step.lanes()?.chores.contains(&chore) {
        return Err(Refusal::Nothing);
    }
    step.lanes_mut()?.done(|other| *other == chore);
    let waits = match step.execution().position {
        Position::Waiting(index) if step.pipeline.stages()[index].name == *stage => Some(index),
        _ => None,
    };
    match waits {
        Some(index) if !step.lanes()?.deleted => go_in(step, index, None),
        // It ended while the chore was on its way: the stage goes to the next.
        _ => release(step, stage),
    }
}

/// The chore `Supersede`: a newer execution took the place at which this one waited.
pub(crate) fn supersede(step: &mut Step<'_, '_>, by: ExecutionId) -> Result<(), Refusal> {
    let id = step.execution().id;
    let mine = |chore: &Chore| matches!(chore, Chore::Supersede { execution, .. } if *execution == id);
    if !step.lanes()?.chores.iter().any(mine) {
        return Err(Refusal::Nothing);
    }
    step.lanes_mut()?.done(mine);
    if matches!(step.execution().position, Position::Waiting(_)) {
        let execution = step.execution_mut();
        execution.status = ExecutionStatus::Superseded;
        execution.summary = Some(format!("Superseded by execution {by}."));
        execution.position = Position::Out;
    }
    Ok(())
}

/// The chore `Cancel`: the pipeline was deleted.
pub(crate) fn cancel(step: &mut Step<'_, '_>) -> Result<(), Refusal> {
    let id = step.execution().id;
    let mine = |chore: &Chore| matches!(chore, Chore::Cancel { execution } if *execution == id);
    if !step.lanes()?.chores.iter().any(mine) {
        return Err(Refusal::Nothing);
    }
    step.lanes_mut()?.done(mine);
    let (Position::In(_) | Position::Waiting(_)) = step.execution().position else {
        return Ok(());
    };
    let mut running = Vec::new();
    if let Some(stage) = step.stage_mut().filter(|stage| stage.status == StageStatus::InProgress) {
        stage.status = StageStatus::Cancelled;
        for index in 0..stage.actions.len() {
            if stage.actions[index].status.in_flight() {
                running.push(stage.action_id(index));
                stage.actions[index].status = ActionStatus::Abandoned;
            }
        }
    }
    step.effects.extend(running.into_iter().map(Effect::Cancel));
    let execution = step.execution_mut();
    execution.status = ExecutionStatus::Cancelled;
    execution.summary = Some("The pipeline was deleted.".into());
    execution.position = Position::Out;
    Ok(())
}
