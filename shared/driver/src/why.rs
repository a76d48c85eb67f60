//! Why an execution waits.

use engine::{Execution, Position};
use store::{Entity, Key, Versioned};

use crate::commit::Driver;
use crate::error::DriveError;

impl Driver {
    /// What an execution that runs or waits does so for, a sentence for each thing. See [`engine::why`].
    ///
    /// # Errors
    /// The store's.
    pub async fn why(&self, execution: &Execution) -> Result<Vec<String>, DriveError> {
        let pipeline = self.pipeline_version(&execution.pipeline, execution.incarnation, execution.version).await?;
        let mut keys = vec![Key::StageLocks(execution.pipeline.clone(), execution.incarnation)];
        if let Position::In(index) = execution.position {
            keys.push(Key::Stage(execution.id, index, execution.attempts.get(index).copied().unwrap_or(0)));
        }
        let mut found = self.store.load(&keys).await?.into_iter();
        let Some(Some(Versioned { entity: Entity::StageLocks(locks), .. })) = found.next() else {
            return Err(DriveError::Missing(format!("{:?}", keys[0])));
        };
        let stage = found.next().flatten().and_then(|found| match found.entity {
            Entity::Stage(stage) => Some(stage),
            _ => None,
        });
        Ok(engine::why(execution, &pipeline, &locks, stage.as_ref()))
    }
}
