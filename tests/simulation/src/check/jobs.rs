//! Jobs that workers poll for: none is lost, and none has two owners.

use engine::{ActionId, ActionRun, ActionStatus, Job, JobNonce, Queue, StageRun, Timestamp};
use store::{Entity, Key};

use super::{Checker, broken};

/// A stage attempt is new or was changed: what may become of the jobs in it.
pub(super) fn changed(before: Option<&StageRun>, after: &StageRun, now: Timestamp) -> Result<(), String> {
    // What a new attempt takes over is compared with where it was.
    for (index, run) in after.actions.iter().enumerate().filter(|(_, run)| run.attempt == 0 || before.is_some()) {
        let old = before.and_then(|before| before.actions.get(index));
        if old.is_some_and(|old| presumed(old, run)) {
            return broken(format!("the job {} was nobody's and took a result", after.action_id(index)));
        }
        if let Some(old) = old.filter(|old| old.turn == run.turn) {
            same_job(old, run, now).map_err(|what| format!("job {}: {what}", after.action_id(index)))?;
        } else if run.job.as_ref().is_some_and(|job| job.nonce.is_some() || job.acknowledged) {
            return broken(format!("the new job {} is offered already", after.action_id(index)));
        }
    }
    Ok(())
}

/// Whether a job took a result that no worker had acknowledged. An action may end by time-out without one.
fn presumed(old: &ActionRun, run: &ActionRun) -> bool {
    let nobodys = old.status == ActionStatus::Running && old.job.as_ref().is_some_and(|job| !job.acknowledged);
    let reported = run.error.as_ref().is_some_and(|error| error.code == "JobFailed");
    nobodys && (run.status == ActionStatus::Succeeded || reported || run.turn != old.turn)
}

/// The same job from one commit to the next.
fn same_job(old: &ActionRun, run: &ActionRun, now: Timestamp) -> Result<(), String> {
    let (Some(before), Some(after)) = (&old.job, &run.job) else {
        return if old.job.is_some() { broken("it is gone") } else { Ok(()) };
    };
    if before.acknowledged && before != after {
        return broken(format!("{before:?} was acknowledged and becomes {after:?}"));
    }
    if before.nonce != after.nonce && before.free > now {
        return broken(format!("it is offered to another at {now:?}, while an offer holds: {before:?}"));
    }
    if after.acknowledged && !before.acknowledged && before.nonce != after.nonce {
        return broken("it is acknowledged with a nonce that nobody was offered");
    }
    if after.queued != before.queued {
        return broken("it loses its place in the queue");
    }
    Ok(())
}

impl Checker {
    /// The entries that the jobs of a stage attempt must have now.
    pub(super) fn waiting(&self, stage: &StageRun) -> Result<Vec<Key>, String> {
        let declared = self.declared(stage)?;
        let mut keys = Vec::new();
        for (index, (action, run)) in declared.actions.iter().zip(&stage.actions).enumerate() {
            if run.status != ActionStatus::Running || !action.is_polled() {
                continue;
            }
            let Some(job) = &run.job else {
                return broken(format!("{} runs without a job", run.name));
            };
            if !job.acknowledged {
                let queue = Queue { type_id: action.type_id.clone(), query: action.query().map(str::to_owned) };
                let (queued, free) = (job.queued, job.free);
                let job = Job { queue, queued, action: stage.action_id(index), free };
                keys.push(Entity::Job(job).key());
            }
        }
        Ok(keys)
    }

    /// Whoever polls will find these.
    pub(super) fn all_found(&self, waiting: &[Key]) -> Result<(), String> {
        match waiting.iter().find(|key| !self.entries.contains(*key)) {
            Some(lost) => broken(format!("the job of {lost:?} is lost: no queue has it")),
            None => Ok(()),
        }
    }

    /// Whether an entry of a queue was committed.
    pub(super) fn has_entry(&self, key: &Key) -> bool {
        self.entries.contains(key)
    }

    /// A worker was told that a job is its own.
    pub fn acknowledged(&mut self, job: ActionId, nonce: JobNonce) -> Result<(), String> {
        match self.owners.insert(job, nonce) {
            Some(other) if other != nonce => broken(format!("the job {job} has two owners")),
            _ => Ok(()),
        }
    }

    /// A result of a job was taken from this worker.
    pub fn reported(&self, job: ActionId, nonce: JobNonce) -> Result<(), String> {
        match self.owners.get(&job) {
            Some(owner) if *owner == nonce => Ok(()),
            other => broken(format!("the job {job} took a result of one that does not own it: {other:?}")),
        }
    }
}
