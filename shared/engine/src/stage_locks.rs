//! Who holds a stage, who waits in front of it, and who overtakes whom.
//!
//! Source: CodePipeline user guide, 'How pipeline executions work': a stage holds one execution at a time and is
//! locked by it; executions wait in front of a locked stage or a closed transition. In SUPERSEDED mode one that waits
//! is overtaken by a newer one that comes to wait at the same place; in QUEUED mode all wait, the oldest goes first. In
//! PARALLEL mode executions neither hold nor wait. Where a pipeline's mode was changed, each execution keeps its own.

use std::collections::BTreeSet;

use pipeline::{ExecutionMode, Pipeline, StageName};

use crate::id::ExecutionId;
use crate::state::{OutboxTask, StageLock, StageLocks, Waiting};
use crate::time::{Policy, Timestamp};

impl StageLocks {
    /// The lock of a stage, made when it is first needed.
    pub(crate) fn lock(&mut self, stage: &StageName) -> &mut StageLock {
        self.stages.entry(stage.clone()).or_default()
    }

    /// The executions that run or wait.
    pub fn active(&self) -> BTreeSet<ExecutionId> {
        let in_lanes = self
            .stages
            .values()
            .flat_map(|lock| lock.holder.into_iter().chain(lock.waiting.iter().map(|waiting| waiting.execution)));
        in_lanes.chain(self.running.iter().copied()).collect()
    }

    /// Forgets the stages that a new version of the pipeline does not have, where nobody is in them or in front of them.
    pub fn forget_unused(&mut self, after: &Pipeline) {
        self.stages.retain(|name, lock| {
            let used = lock.holder.is_some() || !lock.waiting.is_empty();
            used || after.stage_index(name.as_str()).is_some()
        });
    }

    /// Puts an execution in front of a stage. Answers whether it may enter at once.
    pub(crate) fn arrive(&mut self, stage: &StageName, me: Waiting) -> bool {
        let lock = self.stages.entry(stage.clone()).or_default();
        let overtaken = arrivals(lock, me.clone());
        let overtakes = overtaken.iter().all(|loser| *loser != me.execution);
        // Who overtook: the newest of those in front of the stage.
        let newest = lock.waiting.iter().rev().find(|waiting| waiting.mode == ExecutionMode::Superseded);
        let by = newest.map_or(me.execution, |newest| newest.execution);
        self.outbox.extend(overtaken.into_iter().map(|execution| OutboxTask::Supersede { execution, by }));
        if overtakes && self.admits(stage) == Some(me.execution) {
            self.give(stage, me.execution);
            return true;
        }
        false
    }

    /// Who may enter a stage now: the first that waits, if the stage is free and its transition open.
    fn admits(&self, stage: &StageName) -> Option<ExecutionId> {
        let lock = self.stages.get(stage)?;
        if lock.holder.is_some() || lock.transition.disabled || self.deleted {
            return None;
        }
        lock.waiting.first().map(|waiting| waiting.execution)
    }

    /// Makes an execution the holder of a stage.
    pub(crate) fn give(&mut self, stage: &StageName, execution: ExecutionId) {
        let lock = self.lock(stage);
        lock.waiting.retain(|waiting| waiting.execution != execution);
        lock.holder = Some(execution);
    }

    /// Lets the next one in, by a task: its own items are not at hand.
    pub(crate) fn admit_next(&mut self, stage: &StageName) {
        if let Some(execution) = self.admits(stage) {
            self.give(stage, execution);
            self.outbox.push(OutboxTask::Enter { execution, stage: stage.clone() });
        }
    }

    /// Takes an execution out of a stage and from in front of it, and lets the next one in.
    pub(crate) fn release(&mut self, stage: &StageName, execution: ExecutionId) {
        let lock = self.lock(stage);
        lock.waiting.retain(|waiting| waiting.execution != execution);
        if lock.holder == Some(execution) {
            lock.holder = None;
        }
        self.admit_next(stage);
    }

    /// The task is done, or has become pointless.
    pub(crate) fn done(&mut self, is: impl Fn(&OutboxTask) -> bool) -> bool {
        let before = self.outbox.len();
        self.outbox.retain(|task| !is(task));
        self.outbox.len() != before
    }

    /// Sets when the sweeper must look for outbox. A later change does not put it off: in a busy pipeline the sweep
    /// for a lost task would never come.
    pub(crate) fn plan_sweep(&mut self, now: Timestamp, policy: &Policy) {
        let due = now.plus(policy.grace);
        self.due = (!self.outbox.is_empty()).then(|| self.due.map_or(due, |before| before.min(due)));
    }
}

/// Adds an arrival to those who wait, in the order of their starts; answers who is overtaken by it (perhaps the arrival
/// itself): of mode SUPERSEDED only the newest stays.
fn arrivals(lock: &mut StageLock, me: Waiting) -> Vec<ExecutionId> {
    let overtakes = me.mode == ExecutionMode::Superseded;
    lock.waiting.push(me);
    lock.waiting.sort_by_key(|waiting| waiting.number);
    if !overtakes {
        return Vec::new();
    }
    let superseded = |waiting: &Waiting| waiting.mode == ExecutionMode::Superseded;
    let newest = lock.waiting.iter().filter(|waiting| superseded(waiting)).map(|waiting| waiting.number).max();
    let stays = |waiting: &Waiting| !superseded(waiting) || Some(waiting.number) == newest;
    let overtaken = lock.waiting.iter().filter(|waiting| !stays(waiting)).map(|waiting| waiting.execution).collect();
    lock.waiting.retain(stays);
    overtaken
}
