//! Jobs that job workers poll for: what is kept of them, and which of them are offered.
//!
//! A job belongs to an action that is `Running`. What may be done with it is decided by its [`JobRun`](crate::JobRun) in the stage's
//! item alone; a [`Job`] is its entry in a queue, so that a poll is a query. Entries are derived from the runs: each
//! decision compares the stage before and after, so that whatever ends an action takes its job out of the queue.

use pipeline::TypeId;
use serde::{Deserialize, Serialize};

use crate::id::ActionId;
use crate::state::{ActionRun, ActionStatus, StageRun};
use crate::time::Timestamp;

/// Which queue a job is in: that of its action type, and of the value by which it is polled.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Queue {
    /// The type of the actions whose jobs are in it.
    pub type_id: TypeId,
    /// The value of its queryable property, where it has one.
    #[serde(default)]
    pub query: Option<String>,
}

/// A job's entry in its queue.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// The queue in which the job waits.
    pub queue: Queue,
    /// Since when it waits there: the oldest is offered first.
    pub queued: Timestamp,
    /// The action execution id that the job goes by, turn included.
    pub action: ActionId,
    /// From when on it may be offered.
    pub free: Timestamp,
}

/// What a decision changes in the queues.
#[derive(Clone, Debug, PartialEq)]
pub enum JobChange {
    /// The entry is new, or says something else than before.
    Put(Job),
    /// The entry is to be removed.
    Remove(Job),
}

impl JobChange {
    /// Whether both change the same entry.
    pub(crate) fn same_entry(&self, other: &Self) -> bool {
        let (Self::Put(one) | Self::Remove(one), Self::Put(two) | Self::Remove(two)) = (self, other);
        (one.queued, one.action, &one.queue) == (two.queued, two.action, &two.queue)
    }
}

/// Entries that one decision changes at most, so that its commit stays small. What it must add comes first; what it
/// need not remove is removed when a poll meets it.
pub(crate) const MOST_CHANGES: usize = 4;

/// The entry that a run has while it waits in a queue.
fn entry(stage: &StageRun, index: usize, run: &ActionRun, queue: impl Fn(usize) -> Option<Queue>) -> Option<Job> {
    let job = run.job.as_ref().filter(|job| run.status == ActionStatus::Running && !job.acknowledged)?;
    Some(Job { queue: queue(index)?, queued: job.queued, action: stage.action_id(index), free: job.free })
}

/// What became of the queues between two states of one stage attempt.
pub(crate) fn changes(
    before: Option<&StageRun>,
    after: &StageRun,
    queue: impl Fn(usize) -> Option<Queue>,
) -> Vec<JobChange> {
    let same = before.filter(|before| before.attempt == after.attempt && before.stage == after.stage);
    let (mut added, mut removed) = (Vec::new(), Vec::new());
    // The job of an action that goes on in the next attempt keeps its entry, which names the job by its id.
    let stays = |run: &ActionRun| run.status != ActionStatus::CarriedOver;
    for (index, run) in after.actions.iter().enumerate().filter(|(_, run)| stays(run)) {
        let old = same.and_then(|before| entry(before, index, before.actions.get(index)?, &queue));
        let new = entry(after, index, run, &queue);
        if old == new {
            continue;
        }
        let moved = new
            .as_ref()
            .is_none_or(|new| old.as_ref().is_some_and(|old| (old.queued, old.action) != (new.queued, new.action)));
        removed.extend(old.filter(|_| moved).map(JobChange::Remove));
        added.extend(new.map(JobChange::Put));
    }
    added.extend(removed.into_iter().take(MOST_CHANGES.saturating_sub(added.len())));
    added
}
