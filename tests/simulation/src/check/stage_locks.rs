//! Rules of a pipeline's locks: one execution in a stage, closed transitions, and that executions, stage attempts and
//! locks say the same after every commit.

use engine::{
    ActionStatus, Execution, ExecutionId, ExecutionStatus, Incarnation, OutboxTask, Position, StageLocks, StageRun,
    StageStatus,
};
use pipeline::{ActionName, ExecutionMode, StageName};

use super::{Checker, broken};

/// The locks are new or were changed.
pub(super) fn changed(
    before: Option<&StageLocks>,
    after: &StageLocks,
    comes_back: impl Fn(ExecutionId) -> bool,
) -> Result<(), String> {
    for (name, lock) in &after.stages {
        if !lock.waiting.is_sorted_by_key(|waiting| waiting.number) {
            return broken(format!("those who wait for {name} are not in their order: {:?}", lock.waiting));
        }
    }
    if !after.outbox.is_empty() && after.due.is_none() {
        return broken("there are outbox and no sweeper will look at them");
    }
    let Some(before) = before else {
        return Ok(());
    };
    if after.next_number < before.next_number {
        return broken("the numbers of executions go backwards");
    }
    if before.deleted && !after.deleted {
        return broken("a deleted pipeline comes back");
    }
    if before.outbox.iter().any(|task| after.outbox.contains(task)) && after.due > before.due {
        return broken(format!("the sweep for a task is put off from {:?} to {:?}", before.due, after.due));
    }
    for (name, lock) in &after.stages {
        let Some(old) = before.stages.get(name) else {
            continue;
        };
        let opened = lock.transition.changed_at.filter(|_| !lock.transition.disabled);
        let period = old.transition.changed_at.filter(|_| old.transition.disabled).zip(opened);
        let expired = period.is_some_and(|(closed, opened)| opened.since(closed) > 30 * 24 * 60 * 60_000);
        if expired && (!lock.waiting.is_empty() || lock.holder != old.holder) {
            return broken(format!("what waited in front of {name} for more than 30 days goes on"));
        }
        let closed = old.transition.disabled && lock.transition.disabled;
        let new = lock.holder.filter(|holder| Some(*holder) != old.holder);
        if let Some(new) = new.filter(|new| before.deleted || closed && !comes_back(*new)) {
            return broken(format!("{new} is let into {name} though the way is closed"));
        }
        if let Some(two) = old.holder.zip(new).filter(|(old, _)| still_in(after, *old, name)) {
            return broken(format!("{name} is given to {} while {} is in it", two.1, two.0));
        }
    }
    Ok(())
}

/// Whether the locks still say that an execution was let into a stage and has not entered it yet.
fn still_in(locks: &StageLocks, id: ExecutionId, stage: &StageName) -> bool {
    locks.outbox.iter().any(|task| match task {
        OutboxTask::RollBack { execution, stage: its, .. } => *execution == id && its == stage,
        _ => false,
    })
}

impl Checker {
    /// StageLocks, executions and stage attempts of one pipeline say the same.
    pub(super) fn agrees(&self, incarnation: Incarnation) -> Result<(), String> {
        let Some(locks) = self.locks.get(&incarnation) else {
            return broken("a pipeline has no locks");
        };
        let head = self.heads.get(&locks.pipeline).filter(|head| head.incarnation == incarnation);
        if let Some(head) = head.filter(|head| head.version != locks.version) {
            return broken(format!("the head is at version {}, the locks at {}", head.version, locks.version));
        }
        let executions: Vec<_> = self.executions.values().filter(|it| it.incarnation == incarnation).collect();
        for execution in &executions {
            let id = execution.id;
            let pipeline = self.pipeline(execution)?;
            let outbox: Vec<&OutboxTask> = locks.outbox.iter().filter(|task| task.execution() == id).collect();
            if execution.mode == ExecutionMode::Parallel {
                parallel(execution, locks)?;
                continue;
            }
            match execution.position {
                Position::Out => {
                    let waits = locks.stages.values().any(|lock| lock.waiting.iter().any(|it| it.execution == id));
                    let holds = locks.stages.values().any(|lock| lock.holder == Some(id));
                    if (waits || holds) && outbox.is_empty() && !locks.deleted {
                        return broken(format!("{id} has ended and still is in a lock: {locks:?}"));
                    }
                }
                Position::In(index) => {
                    let name = &pipeline.stages()[index].name;
                    let holder = locks.stages.get(name).and_then(|lock| lock.holder);
                    if holder != Some(id) {
                        return broken(format!("{id} is in {name}, which is held by {holder:?}"));
                    }
                    let attempt = execution.attempts[index];
                    let run = self.stages.get(&(id, index, attempt));
                    let expected = match execution.status {
                        ExecutionStatus::Stopping => StageStatus::Stopping,
                        ExecutionStatus::Cancelling => StageStatus::Cancelling,
                        _ => StageStatus::InProgress,
                    };
                    if run.is_none_or(|run| run.status != expected) {
                        return broken(format!("{id} is in {name} and its attempt is {run:?}"));
                    }
                }
                Position::Waiting(index) => {
                    let name = &pipeline.stages()[index].name;
                    let cancelled = outbox.iter().any(|task| matches!(task, OutboxTask::Cancel { .. }));
                    let Some(lock) = locks.stages.get(name) else {
                        // Stages that an update takes away have none any more.
                        if !outbox.is_empty() {
                            continue;
                        }
                        return broken(format!("{id} waits for {name}, which has no lock"));
                    };
                    let waits = lock.waiting.iter().filter(|it| it.execution == id).count();
                    let enters = lock.holder == Some(id)
                        && (locks.deleted || outbox.iter().any(|task| matches!(task, OutboxTask::Enter { .. })));
                    let overtaken = outbox.iter().any(|task| matches!(task, OutboxTask::Supersede { .. }));
                    let known = waits + usize::from(enters) + usize::from(overtaken);
                    if known != 1 && !(cancelled && (known == 0 || locks.deleted)) {
                        return broken(format!("{id} is in front of {name}, but nobody knows: {locks:?}"));
                    }
                    if waits > 0 && self.outdated(execution) && !locks.deleted {
                        return broken(format!("{id} waits for {name} and its pipeline was updated"));
                    }
                }
            }
        }
        for stage in self.stages.values().filter(|stage| stage.status.is_open()) {
            let here = executions.iter().find(|it| it.id == stage.execution);
            let Some(execution) = here else {
                continue;
            };
            if execution.position != Position::In(stage.stage) || !execution.status.is_open() {
                return broken(format!("{} runs in {} and is at {:?}", execution.id, stage.name, execution.position));
            }
        }
        let mut held: Vec<_> = self
            .stages
            .values()
            .filter(|stage| stage.status.is_open())
            .filter(|stage| executions.iter().any(|it| it.id == stage.execution && it.mode != ExecutionMode::Parallel))
            .map(|stage| (&stage.name, stage.execution))
            .collect();
        held.sort_unstable();
        if let Some(two) = held.windows(2).find(|two| two[0].0 == two[1].0) {
            return broken(format!("{} and {} run in {} at the same time", two[0].1, two[1].1, two[0].0));
        }
        self.last_runs_are_known(locks)?;
        self.one_waits(locks)
    }

    /// Remembers which run of each action was the last.
    pub(super) fn ran(&mut self, before: Option<&StageRun>, after: &StageRun) {
        let Some(execution) = self.executions.get(&after.execution) else {
            return;
        };
        if execution.mode == ExecutionMode::Parallel {
            return;
        }
        for (index, run) in after.actions.iter().enumerate().filter(|(_, run)| run.attempt == 0) {
            let began = before.is_none_or(|before| before.actions[index].status == ActionStatus::Pending);
            if began && run.status != ActionStatus::Pending {
                let key = (execution.incarnation, after.name.clone(), run.name.clone());
                self.last_runs.insert(key, after.action_id(index).first_turn());
            }
        }
    }

    /// `GetPipelineState` finds the last run of each action that ran in the current version.
    fn last_runs_are_known(&self, locks: &StageLocks) -> Result<(), String> {
        let of = |(incarnation, ..): &(Incarnation, StageName, ActionName)| *incarnation == locks.incarnation;
        for ((_, stage, action), id) in self.last_runs.iter().filter(|(key, _)| of(key)) {
            let current = self.executions.get(&id.execution).is_some_and(|it| it.version == locks.version);
            let Some(lock) = locks.stages.get(stage).filter(|_| current && !locks.deleted) else {
                continue;
            };
            let entries = lock.latest.iter().chain(lock.ended.iter().map(|ended| &ended.entry));
            let mut runs = entries.filter_map(|at| self.stages.get(&(at.execution, at.stage, at.attempt)));
            let shown = runs.find_map(|run| {
                let index = run.actions.iter().position(|it| it.name == *action)?;
                (run.actions[index].status != ActionStatus::Pending).then(|| run.action_id(index).first_turn())
            });
            if shown != Some(*id) {
                return broken(format!("the last run of {action} in {stage} is {id}, shown is {shown:?}: {lock:?}"));
            }
        }
        Ok(())
    }

    /// In SUPERSEDED mode at most one waits in front of a stage; whoever holds one is in it, or on its way.
    fn one_waits(&self, locks: &StageLocks) -> Result<(), String> {
        for (name, lock) in &locks.stages {
            let waiting = lock.waiting.iter().filter_map(|it| self.executions.get(&it.execution));
            if waiting.filter(|it| it.mode == ExecutionMode::Superseded).count() > 1 {
                return broken(format!("several wait for {name}: {:?}", lock.waiting));
            }
            let known = |id: ExecutionId| {
                let on_its_way = locks.outbox.iter().any(|task| task.execution() == id);
                on_its_way || self.executions.get(&id).is_some_and(|it| it.status.is_open())
            };
            if let Some(lost) = lock.holder.filter(|holder| !locks.deleted && !known(*holder)) {
                return broken(format!("{name} is held by {lost}, which does not run"));
            }
        }
        Ok(())
    }
}

/// An execution of mode PARALLEL is known as long as it runs, and is in no lock.
fn parallel(execution: &Execution, locks: &StageLocks) -> Result<(), String> {
    let id = execution.id;
    let in_locks =
        locks.stages.values().any(|lock| lock.holder == Some(id) || lock.waiting.iter().any(|it| it.execution == id));
    if in_locks {
        return broken(format!("{id} is of mode PARALLEL and in a lock: {locks:?}"));
    }
    if locks.running.contains(&id) != execution.status.is_open() {
        return broken(format!("{id} is {:?}, and the locks know of {:?}", execution.status, locks.running));
    }
    Ok(())
}
