//! Who holds a stage, who waits in front of it, and who overtakes whom.
//!
//! Source: CodePipeline user guide, 'How pipeline executions work': a stage holds one execution at a time and is
//! locked by it; executions wait in front of a locked stage or a closed transition. In SUPERSEDED mode one that waits
//! is overtaken by a newer one that comes to wait at the same place; in QUEUED mode all wait, the oldest goes first. In
//! PARALLEL mode executions neither hold nor wait. All who wait are of the pipeline's current version, and so of its mode:
//! an update cancels the others.

use std::collections::BTreeSet;

use pipeline::{ExecutionMode, Pipeline, StageName};

use crate::id::ExecutionId;
use crate::state::{EndedAttempt, OutboxTask, StageLock, StageLocks, Waiting};
use crate::time::{Policy, Timestamp};

/// Attempts that have ended and are remembered for a stage. More are needed only where the pipeline is updated again and
/// again while nothing comes through the stage, or where a stage has many groups and each failure comes earlier.
const MOST_ENDED: usize = 10;

impl StageLock {
    /// Remembers an attempt that has ended, and forgets those that came no further: each of their actions has run in it.
    pub(crate) fn ended(&mut self, attempt: EndedAttempt) {
        let further = |other: &EndedAttempt| match (other.reached, attempt.reached) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(other), Some(reached)) => other > reached,
        };
        let comparable = |other: &EndedAttempt| other.version == attempt.version || attempt.reached.is_none();
        self.ended.retain(|other| !comparable(other) || further(other));
        self.ended.insert(0, attempt);
        self.ended.truncate(MOST_ENDED);
    }
}

impl StageLocks {
    /// The lock of a stage, made when it is first needed.
    pub(crate) fn lock(&mut self, stage: &StageName) -> &mut StageLock {
        self.stages.entry(stage.clone()).or_default()
    }

    /// The executions that run or wait.
    pub fn active(&self) -> BTreeSet<ExecutionId> {
        self.in_stages().into_iter().chain(self.running.iter().copied()).collect()
    }

    /// The executions that hold a stage or wait for one: none of mode PARALLEL.
    pub(crate) fn in_stages(&self) -> BTreeSet<ExecutionId> {
        let of = |lock: &StageLock| -> Vec<ExecutionId> {
            lock.holder.into_iter().chain(lock.waiting.iter().map(|waiting| waiting.execution)).collect()
        };
        self.stages.values().flat_map(of).collect()
    }

    /// Forgets the stages that a new version of the pipeline does not have, where nobody is in them or in front of them.
    pub(crate) fn forget_unused(&mut self, after: &Pipeline) {
        self.stages.retain(|name, lock| {
            let used = lock.holder.is_some() || !lock.waiting.is_empty();
            used || after.stage_index(name.as_str()).is_some()
        });
    }

    /// Puts an execution in front of a stage, in the order of the starts: of mode SUPERSEDED only the newest stays there.
    /// Answers whether it may enter at once.
    pub(crate) fn arrive(&mut self, stage: &StageName, me: Waiting, mode: ExecutionMode) -> bool {
        let id = me.execution;
        let waiting = &mut self.stages.entry(stage.clone()).or_default().waiting;
        waiting.push(me);
        waiting.sort_by_key(|waiting| waiting.number);
        if mode == ExecutionMode::Superseded
            && let Some(newest) = waiting.pop()
        {
            let by = newest.execution;
            let overtaken = std::mem::replace(waiting, vec![newest]);
            let tasks = overtaken.into_iter().map(|it| OutboxTask::Supersede { execution: it.execution, by });
            self.outbox.extend(tasks);
        }
        let enters = self.admits(stage) == Some(id);
        if enters {
            self.give(stage, id);
        }
        enters
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
