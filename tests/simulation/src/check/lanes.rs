//! Rules of a pipeline's lanes: one execution in a stage, closed transitions, and that executions, stage attempts and
//! lanes say the same after every commit.

use engine::{Chore, Execution, ExecutionId, ExecutionStatus, Lanes, Position, StageStatus};
use pipeline::{ExecutionMode, StageName};
use uuid::Uuid;

use super::{Checker, broken};

/// The lanes are new or were changed.
pub(super) fn changed(
    before: Option<&Lanes>,
    after: &Lanes,
    comes_back: impl Fn(ExecutionId) -> bool,
) -> Result<(), String> {
    for (name, lane) in &after.lanes {
        if !lane.waiting.is_sorted_by_key(|waiting| waiting.number) {
            return broken(format!("those who wait for {name} are not in their order: {:?}", lane.waiting));
        }
    }
    if !after.chores.is_empty() && after.due.is_none() {
        return broken("there are chores and no sweeper will look at them");
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
    if before.chores.iter().any(|chore| after.chores.contains(chore)) && after.due > before.due {
        return broken(format!("the sweep for a chore is put off from {:?} to {:?}", before.due, after.due));
    }
    for (name, lane) in &after.lanes {
        let Some(old) = before.lanes.get(name) else {
            continue;
        };
        let closed = old.transition.disabled && lane.transition.disabled;
        let new = lane.holder.filter(|holder| Some(*holder) != old.holder);
        if let Some(new) = new.filter(|new| before.deleted || closed && !comes_back(*new)) {
            return broken(format!("{new} is let into {name} though the way is closed"));
        }
        if let Some(two) = old.holder.zip(new).filter(|(old, _)| still_in(after, *old, name)) {
            return broken(format!("{name} is given to {} while {} is in it", two.1, two.0));
        }
    }
    Ok(())
}

/// Whether the lanes still say that an execution was let into a stage and has not entered it yet.
fn still_in(lanes: &Lanes, id: ExecutionId, stage: &StageName) -> bool {
    lanes.chores.iter().any(|chore| match chore {
        Chore::RollBack { execution, stage: its, .. } => *execution == id && its == stage,
        _ => false,
    })
}

impl Checker {
    /// Lanes, executions and stage attempts of one pipeline say the same.
    pub(super) fn agrees(&self, incarnation: Uuid) -> Result<(), String> {
        let Some(lanes) = self.lanes.get(&incarnation) else {
            return broken("a pipeline has no lanes");
        };
        let executions: Vec<_> = self.executions.values().filter(|it| it.incarnation == incarnation).collect();
        for execution in &executions {
            let id = execution.id;
            let pipeline = self.pipeline(execution)?;
            let chores: Vec<&Chore> = lanes.chores.iter().filter(|chore| chore.execution() == id).collect();
            if execution.mode == ExecutionMode::Parallel {
                parallel(execution, lanes)?;
                continue;
            }
            match execution.position {
                Position::Out => {
                    let waits = lanes.lanes.values().any(|lane| lane.waiting.iter().any(|it| it.execution == id));
                    let holds = lanes.lanes.values().any(|lane| lane.holder == Some(id));
                    if (waits || holds) && chores.is_empty() && !lanes.deleted {
                        return broken(format!("{id} has ended and still is in a lane: {lanes:?}"));
                    }
                }
                Position::In(index) => {
                    let name = &pipeline.stages()[index].name;
                    let holder = lanes.lanes.get(name).and_then(|lane| lane.holder);
                    if holder != Some(id) {
                        return broken(format!("{id} is in {name}, which is held by {holder:?}"));
                    }
                    let attempt = execution.attempts[index];
                    let run = self.stages.get(&(id, index, attempt));
                    let stopping = execution.status == ExecutionStatus::Stopping;
                    let expected = if stopping { StageStatus::Stopping } else { StageStatus::InProgress };
                    if run.is_none_or(|run| run.status != expected) {
                        return broken(format!("{id} is in {name} and its attempt is {run:?}"));
                    }
                }
                Position::Waiting(index) => {
                    let name = &pipeline.stages()[index].name;
                    let Some(lane) = lanes.lanes.get(name) else {
                        return broken(format!("{id} waits for {name}, which has no lane"));
                    };
                    let waits = lane.waiting.iter().filter(|it| it.execution == id).count();
                    let enters = lane.holder == Some(id)
                        && (lanes.deleted || chores.iter().any(|chore| matches!(chore, Chore::Enter { .. })));
                    let overtaken = chores.iter().any(|chore| matches!(chore, Chore::Supersede { .. }));
                    let cancelled = chores.iter().any(|chore| matches!(chore, Chore::Cancel { .. }));
                    if waits + usize::from(enters) + usize::from(overtaken) != 1 && !(lanes.deleted && cancelled) {
                        return broken(format!("{id} is in front of {name}, but nobody knows: {lanes:?}"));
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
        self.one_waits(lanes)
    }

    /// In SUPERSEDED mode at most one waits in front of a stage; whoever holds one is in it, or on its way.
    fn one_waits(&self, lanes: &Lanes) -> Result<(), String> {
        for (name, lane) in &lanes.lanes {
            let superseded = lane.waiting.iter().filter(|it| it.mode == ExecutionMode::Superseded).count();
            if superseded > 1 {
                return broken(format!("several wait for {name}: {:?}", lane.waiting));
            }
            let known = |id: ExecutionId| {
                let on_its_way = lanes.chores.iter().any(|chore| chore.execution() == id);
                on_its_way || self.executions.get(&id).is_some_and(|it| it.status.is_open())
            };
            if let Some(lost) = lane.holder.filter(|holder| !lanes.deleted && !known(*holder)) {
                return broken(format!("{name} is held by {lost}, which does not run"));
            }
        }
        Ok(())
    }
}

/// An execution of mode PARALLEL is known as long as it runs, and is in no lane.
fn parallel(execution: &Execution, lanes: &Lanes) -> Result<(), String> {
    let id = execution.id;
    let in_lanes =
        lanes.lanes.values().any(|lane| lane.holder == Some(id) || lane.waiting.iter().any(|it| it.execution == id));
    if in_lanes {
        return broken(format!("{id} is of mode PARALLEL and in a lane: {lanes:?}"));
    }
    if lanes.running.contains(&id) != execution.status.is_open() {
        return broken(format!("{id} is {:?}, and the lanes know of {:?}", execution.status, lanes.running));
    }
    Ok(())
}
