//! What happened, in numbers and words.

use std::collections::BTreeMap;
use std::fmt;

use engine::{ActionStatus, ExecutionStatus};
use store::{Entity, StoreError, Write};

/// Counts of what happened, in one world or many.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// Executions by their last status.
    pub executions: BTreeMap<&'static str, u64>,
    /// I/O steps and other choices of the scheduler.
    pub steps: u64,
    /// Keys that were read.
    pub loads: u64,
    /// Commits that took effect.
    pub commits: u64,
    /// Commits that lost a race.
    pub conflicts: u64,
    /// Invocations that died.
    pub crashes: u64,
    /// I/O steps at which a function stood still for longer than a lease.
    pub pauses: u64,
    /// Messages that were lost.
    pub lost: u64,
    /// Messages that came twice.
    pub doubled: u64,
    /// Runs of the sweeper.
    pub sweeps: u64,
    /// Starts of actions that providers saw, repeated ones as well.
    pub starts: u64,
    /// Polls that providers saw.
    pub polls: u64,
    /// Executions that polls of sources started.
    pub polled_starts: u64,
    /// Events with a service's own id that led to an action.
    pub announced: u64,
    /// Answers to approvals that were taken.
    pub approvals: u64,
    /// Approvals that nobody had to give, since nothing would change.
    pub approved_themselves: u64,
    /// Results of jobs that were taken.
    pub jobs: u64,
    /// Actions that asked to be started again: functions, and what runs in steps.
    pub continued: u64,
    /// Executions that clients stopped.
    pub stops: u64,
    /// Stages that clients retried.
    pub retries: u64,
    /// Of the retries, those that began while other actions of the stage ran.
    pub retries_beside_running: u64,
    /// Stages that clients rolled back.
    pub rollbacks: u64,
    /// Conditions that clients overrode.
    pub overrides: u64,
    /// Copies that the replicator made.
    pub copies: u64,
    /// Copies that actions had to make themselves.
    pub late_copies: u64,
    /// Objects that were put over artifacts and their copies.
    pub tampered: u64,
    /// Invocations that ended with an error.
    pub errors: u64,
}

impl Counts {
    /// Adds the counts of another world.
    pub fn add(&mut self, other: &Self) {
        for (status, count) in &other.executions {
            *self.executions.entry(status).or_default() += count;
        }
        let pairs = [
            (&mut self.steps, other.steps),
            (&mut self.loads, other.loads),
            (&mut self.commits, other.commits),
            (&mut self.conflicts, other.conflicts),
            (&mut self.crashes, other.crashes),
            (&mut self.pauses, other.pauses),
            (&mut self.lost, other.lost),
            (&mut self.doubled, other.doubled),
            (&mut self.sweeps, other.sweeps),
            (&mut self.starts, other.starts),
            (&mut self.polls, other.polls),
            (&mut self.polled_starts, other.polled_starts),
            (&mut self.announced, other.announced),
            (&mut self.approvals, other.approvals),
            (&mut self.approved_themselves, other.approved_themselves),
            (&mut self.jobs, other.jobs),
            (&mut self.continued, other.continued),
            (&mut self.stops, other.stops),
            (&mut self.retries, other.retries),
            (&mut self.retries_beside_running, other.retries_beside_running),
            (&mut self.rollbacks, other.rollbacks),
            (&mut self.overrides, other.overrides),
            (&mut self.copies, other.copies),
            (&mut self.late_copies, other.late_copies),
            (&mut self.tampered, other.tampered),
            (&mut self.errors, other.errors),
        ];
        for (mine, theirs) in pairs {
            *mine += theirs;
        }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total: u64 = self.executions.values().sum();
        let by: Vec<String> = self.executions.iter().map(|(status, count)| format!("{count} {status}")).collect();
        write!(
            f,
            "{total} executions ({}); {} starts of actions, {} polls, {} changes of sources polled, {} announced ends, {} approvals, {} that nobody had to give, {} job results, {} actions continued, \
             {} stops, {} retries ({} beside running actions), {} rollbacks, {} overrides, {} copies + {} late, {} artifacts overwritten; {} commits, {} conflicts, {} loads, {} steps; {} crashes, {} pauses, {} failed \
             invocations, {} events lost, {} doubled, {} sweeps",
            by.join(", "),
            self.starts,
            self.polls,
            self.polled_starts,
            self.announced,
            self.approvals,
            self.approved_themselves,
            self.jobs,
            self.continued,
            self.stops,
            self.retries,
            self.retries_beside_running,
            self.rollbacks,
            self.overrides,
            self.copies,
            self.late_copies,
            self.tampered,
            self.commits,
            self.conflicts,
            self.loads,
            self.steps,
            self.crashes,
            self.pauses,
            self.errors,
            self.lost,
            self.doubled,
            self.sweeps,
        )
    }
}

/// The name of an execution's status.
pub fn status(status: ExecutionStatus) -> &'static str {
    match status {
        ExecutionStatus::InProgress => "behind closed transitions",
        ExecutionStatus::Succeeded => "succeeded",
        ExecutionStatus::Failed => "failed",
        ExecutionStatus::Superseded => "superseded",
        ExecutionStatus::Cancelling => "cancelling",
        ExecutionStatus::Cancelled => "cancelled",
        ExecutionStatus::Stopping => "stopping",
        ExecutionStatus::Stopped => "stopped",
    }
}

/// A commit in one line.
pub fn describe(writes: &[Write], result: &Result<(), StoreError>) -> String {
    let words: Vec<String> = writes.iter().map(word).collect();
    let end = match result {
        Ok(()) => String::new(),
        Err(error) => format!("  -> {error}"),
    };
    format!("commit {}{end}", words.join("; "))
}

fn word(write: &Write) -> String {
    let entity = match write {
        Write::Delete { key, .. } => return format!("delete {key:?}"),
        Write::Put { entity, .. } => entity,
    };
    match entity {
        Entity::Execution(it) => format!("execution {} #{} {:?} {:?}", it.id, it.number, it.status, it.position),
        Entity::Stage(it) => {
            let actions: Vec<String> = it
                .runs()
                .map(|(_, run)| {
                    let status = match &run.status {
                        ActionStatus::Claimed { worker, until } => {
                            format!("Claimed({}, {})", &worker.to_string()[..8], until.0 - crate::world::BEGIN)
                        }
                        other => format!("{other:?}"),
                    };
                    format!("{}.{}={status}", run.name, run.turn)
                })
                .collect();
            format!("stage {}/{} {:?} [{}]", it.execution, it.name, it.status, actions.join(" "))
        }
        Entity::StageLocks(it) => {
            let locks: Vec<String> = it
                .stages
                .iter()
                .map(|(name, lock)| {
                    let waiting: Vec<u64> = lock.waiting.iter().map(|waiting| waiting.number).collect();
                    let closed = if lock.transition.disabled { " closed" } else { "" };
                    format!("{name}{closed} held by {:?}, waiting {waiting:?}", lock.holder)
                })
                .collect();
            format!("locks ({}) outbox {:?} deleted {}", locks.join("; "), it.outbox, it.deleted)
        }
        Entity::Head(it) => format!("head {} version {} of {}", it.pipeline, it.version, it.incarnation),
        other => format!("{} {:?}", other.kind(), other.key()),
    }
}
