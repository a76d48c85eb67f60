//! Which copies of an artifact are to be made.

use std::sync::Arc;

use engine::{ActionId, Artifact};
use pipeline::{ArtifactName, Pipeline};

use crate::driver::Driver;
use crate::error::DriveError;
use crate::step::Place;

/// An artifact that is read in other regions than its own.
#[derive(Clone, Debug)]
pub struct Replication {
    /// The pipeline, whose role may copy it and whose stores the copies belong into.
    pub pipeline: Arc<Pipeline>,
    /// Where it is, as recorded when its action ended.
    pub artifact: Artifact,
    /// The regions that need a copy; none where it is read in its own region only.
    pub regions: Vec<String>,
}

impl Driver {
    /// What is to be copied of this name, out of what the action has made; none where the table knows of no such artifact.
    /// Whoever asks decides nothing else: place, version and regions are the table's.
    ///
    /// # Errors
    /// The store's.
    pub async fn replication(
        &self,
        action: ActionId,
        artifact: &ArtifactName,
    ) -> Result<Option<Replication>, DriveError> {
        let loaded = match self.load(Place::Action(action)).await {
            Err(DriveError::ExecutionNotFound(_)) => return Ok(None),
            loaded => loaded?,
        };
        let pipeline = loaded.state.pipeline;
        let run = loaded.state.stage.as_ref().and_then(|stage| stage.find(action));
        let made = run.and_then(|run| run.outputs.iter().find(|output| output.name == *artifact).cloned());
        let regions = pipeline.copy_regions(artifact, &self.home);
        Ok(made.map(|artifact| Replication { pipeline, artifact, regions }))
    }
}
