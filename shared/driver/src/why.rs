//! Reading what is needed to say why executions wait.

use engine::{Execution, Position};
use store::{Entity, Key, Versioned};

use crate::driver::Driver;
use crate::error::DriveError;

impl Driver {
    /// What each of the executions runs or waits for, a sentence for each thing. See [`engine::why`]. All that is needed is
    /// read at once.
    ///
    /// # Errors
    /// The store's.
    pub async fn why(&self, executions: &[&Execution]) -> Result<Vec<Vec<String>>, DriveError> {
        let keys = executions.iter().flat_map(|execution| {
            let index = if let Position::In(index) = execution.position { index } else { 0 };
            let attempt = execution.attempts.get(index).copied().unwrap_or(0);
            [
                Key::StageLocks(execution.pipeline.clone(), execution.incarnation),
                Key::Stage(execution.id, index, attempt),
            ]
        });
        let keys: Vec<Key> = keys.collect();
        let found = self.store.load(&keys).await?;
        let mut all = Vec::with_capacity(executions.len());
        for ((execution, key), found) in executions.iter().zip(keys.chunks(2)).zip(found.chunks(2)) {
            let [Some(Versioned { entity: Entity::StageLocks(locks), .. }), stage] = found else {
                return Err(DriveError::Missing(format!("{:?}", key[0])));
            };
            let stage = match stage {
                Some(Versioned { entity: Entity::Stage(stage), .. }) => Some(stage),
                _ => None,
            };
            let pipeline = self.pipeline_version(&execution.pipeline, execution.incarnation, execution.version).await?;
            all.push(engine::why(execution, &pipeline, locks, stage));
        }
        Ok(all)
    }
}
