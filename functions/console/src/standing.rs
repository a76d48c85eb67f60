//! How executions stand that have not ended: their own items do not say whether it is a person, a transition or another execution that
//! they wait for.

use std::collections::HashMap;

use driver::DriveError;
use engine::{Execution, ExecutionId, ExecutionStatus, Head, Position, StageLock};
use pages::State;
use store::{Entity, Key};

use crate::board::stage;
use crate::handler::Console;
use crate::version::Version;
use pictures::states::{self, Seen};

/// How executions stand of which more is known than their own items say.
#[derive(Debug, Default)]
pub struct Standings(HashMap<ExecutionId, Seen>);

impl Standings {
    /// How an execution stands.
    pub fn of(&self, execution: &Execution) -> Seen {
        self.0.get(&execution.id).copied().unwrap_or_else(|| states::execution(execution))
    }
}

impl Console {
    /// How executions of a pipeline stand. For those in progress, which are few, it reads the attempts in which they are, and the
    /// pipeline's locks where one waits: all by key and at once. What is read counts for the version.
    pub async fn standings(
        &self,
        head: &Head,
        executions: &[Execution],
        version: &mut Version,
    ) -> Result<Standings, DriveError> {
        let open = || executions.iter().filter(|it| it.status == ExecutionStatus::InProgress);
        let mut keys: Vec<Key> = open().filter_map(attempt).collect();
        if open().any(|it| matches!(it.position, Position::Waiting(_))) {
            keys.push(Key::StageLocks(head.pipeline.clone(), head.incarnation));
        }
        let (mut runs, mut locks) = (HashMap::new(), None);
        for found in self.load(&keys, version).await?.into_iter().flatten() {
            match found {
                Entity::StageLocks(found) => locks = Some(found),
                other => runs.extend(stage(other).map(|run| (run.execution, run))),
            }
        }
        let mut standings = Standings::default();
        for execution in open() {
            let of = self.stored(&head.pipeline, head, execution.version).await?;
            let seen = match (execution.position, runs.get(&execution.id), &locks) {
                (Position::In(_), Some(run), _) => states::stage(run, &of),
                (Position::Waiting(index), _, Some(locks)) => {
                    in_front(of.stages().get(index).and_then(|stage| locks.stages.get(&stage.name)))
                }
                _ => continue,
            };
            standings.0.insert(execution.id, seen);
        }
        Ok(standings)
    }
}

/// The attempt in which an execution is.
fn attempt(execution: &Execution) -> Option<Key> {
    let Position::In(index) = execution.position else { return None };
    let attempt = execution.attempts.get(index).copied().filter(|attempt| *attempt > 0)?;
    Some(Key::Stage(execution.id, index, attempt))
}

/// How an execution stands in front of a stage with this lock.
pub fn in_front(lock: Option<&StageLock>) -> Seen {
    match lock {
        Some(lock) if lock.transition.disabled => states::HELD,
        Some(lock) if lock.holder.is_some() => (State::Waiting, "waiting for the stage"),
        _ => (State::Waiting, State::Waiting.word()),
    }
}
