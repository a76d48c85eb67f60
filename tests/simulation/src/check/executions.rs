//! Rules of executions: numbers, final states, superseding, the order in which stages are entered.

use engine::{Execution, ExecutionStatus, Position, StageStatus};
use pipeline::ExecutionMode;

use super::{Checker, Place, broken};

impl Checker {
    /// An execution is new or was changed.
    pub(super) fn execution_changed(&self, before: Option<&Execution>, after: &Execution) -> Result<(), String> {
        let id = after.id;
        let mut others =
            self.executions.values().filter(|other| other.incarnation == after.incarnation && other.id != id);
        let Some(before) = before else {
            self.started_by_poll(after)?;
            return match others.find(|other| other.number >= after.number) {
                Some(other) => broken(format!("{id} has the number {}, {} was before it", after.number, other.id)),
                None => Ok(()),
            };
        };
        if !before.status.is_open() {
            return self.comes_back_to_life(before, after);
        }
        if (before.number, before.version, before.mode, before.started)
            != (after.number, after.version, after.mode, after.started)
            || before.variables != after.variables
        {
            return broken(format!("the execution {id} changes what is fixed at its start"));
        }
        if after.status.is_open() == (after.position == Position::Out) {
            return broken(format!("the execution {id} is {:?} at {:?}", after.status, after.position));
        }
        if place(after.position) < place(before.position) {
            return broken(format!("the execution {id} goes back from {:?} to {:?}", before.position, after.position));
        }
        let moves = place(after.position) > place(before.position) && after.position != Position::Out;
        let ends = matches!(
            after.status,
            ExecutionStatus::Cancelling
                | ExecutionStatus::Cancelled
                | ExecutionStatus::Stopping
                | ExecutionStatus::Stopped
                | ExecutionStatus::Superseded
        );
        if self.outdated(after) && (moves || after.status != before.status && !ends) {
            return broken(format!(
                "the execution {id} goes on after its pipeline was updated: {before:?} to {after:?}"
            ));
        }
        if before.status == ExecutionStatus::Cancelling && !ends {
            return broken(format!("the execution {id} was to be cancelled and is {:?}", after.status));
        }
        if before.stop.is_some() && after.stop.is_none() {
            return broken(format!("the execution {id} forgets that it was stopped"));
        }
        if (after.status == ExecutionStatus::Stopping || after.status == ExecutionStatus::Stopped)
            && after.stop.is_none()
        {
            return broken(format!("the execution {id} is {:?} and nobody stopped it", after.status));
        }
        match after.status {
            ExecutionStatus::Superseded if before.mode != ExecutionMode::Superseded => {
                broken(format!("the execution {id} is superseded and its mode is {:?}", before.mode))
            }
            ExecutionStatus::Superseded => {
                let Position::Waiting(index) = before.position else {
                    return broken(format!("the execution {id} is superseded at {:?}", before.position));
                };
                let name = self.pipeline(after)?.stages()[index].name.clone();
                if others.all(|other| other.number < after.number || !self.came_to(other, &name)) {
                    return broken(format!("the execution {id} is superseded in front of {name} by no newer one"));
                }
                Ok(())
            }
            ExecutionStatus::Succeeded if after.stop.is_some() => {
                broken(format!("{id} succeeds though it was stopped"))
            }
            ExecutionStatus::Succeeded if after.rollback.is_none() => {
                let stages = self.pipeline(after)?.stages().len();
                if place(before.position).0 + 1 < stages {
                    return broken(format!("the execution {id} succeeds at {:?} of {stages}", before.position));
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// An execution that failed or was stopped goes on, in a further attempt at the stage in which it ended; nothing else
    /// changes after an end.
    fn comes_back_to_life(&self, before: &Execution, after: &Execution) -> Result<(), String> {
        let id = after.id;
        let failed = matches!(before.status, ExecutionStatus::Failed | ExecutionStatus::Stopped);
        let attempts = |execution: &Execution| execution.attempts.iter().map(|it| u32::from(*it)).sum::<u32>();
        if !failed || !after.status.is_open() && after.status != ExecutionStatus::Succeeded {
            return broken(format!("the execution {id} changes after its end: {before:?} to {after:?}"));
        }
        if self.outdated(after) {
            return broken(format!("the execution {id} comes back after its pipeline was updated"));
        }
        if attempts(after) <= attempts(before) || after.stop.is_some() {
            return broken(format!("the execution {id} comes back without another attempt: {after:?}"));
        }
        Ok(())
    }

    /// Whether an execution has ever been in front of a stage.
    fn came_to(&self, execution: &Execution, stage: &pipeline::StageName) -> bool {
        let Ok(pipeline) = self.pipeline(execution) else {
            return false;
        };
        let index = pipeline.stage_index(stage.as_str());
        // Where one ended that was superseded is not kept.
        index.is_some_and(|index| execution.position == Position::Out || place(execution.position).0 >= index)
    }

    /// An execution enters a stage: never after a newer one that took the same way.
    pub(super) fn enters(&mut self, entry: Place) -> Result<(), String> {
        let (id, index, attempt) = entry;
        let Some(execution) = self.executions.get(&id) else {
            return broken(format!("{id} enters a stage and does not exist"));
        };
        // Where all had succeeded but a condition, and that is overridden, the attempt is over as it begins.
        let over = attempt > 1 && self.stages.get(&entry).is_some_and(|stage| stage.status == StageStatus::Succeeded);
        let here = place(execution.position);
        let there = here == (index, 1) || over && here > (index, 1);
        if !there || execution.attempts.get(index) != Some(&attempt) {
            return broken(format!("{id} enters stage {index} and is {:?}", execution.position));
        }
        // Those of mode PARALLEL do not look at the locks on their way: a task cancels them.
        let parallel = execution.mode == ExecutionMode::Parallel;
        if !parallel && self.locks.get(&execution.incarnation).is_none_or(|locks| locks.deleted) {
            return broken(format!("{id} enters stage {index} of a deleted pipeline"));
        }
        if self.outdated(execution) {
            return broken(format!("{id} enters stage {index} after its pipeline was updated"));
        }
        if parallel || execution.rollback.is_some() {
            return Ok(());
        }
        let pipeline = self.pipeline(execution)?;
        let way = pipeline.stages()[..=index].iter().map(|stage| stage.name.to_string()).collect();
        let (number, incarnation) = (execution.number, execution.incarnation);
        match self.entered.insert((incarnation, way), number) {
            Some(before) if before > number || before == number && attempt == 1 => {
                broken(format!("{id} (number {number}) enters stage {index} after number {before}"))
            }
            _ => Ok(()),
        }
    }
}

/// Positions in the order in which an execution takes them.
fn place(position: Position) -> (usize, u8) {
    match position {
        Position::Waiting(index) => (index, 0),
        Position::In(index) => (index, 1),
        Position::Out => (usize::MAX, 0),
    }
}
