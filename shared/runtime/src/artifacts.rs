//! Artifacts that job workers and functions read and write themselves, looked at with the rights of the pipeline's role.

use artifacts::{Bucket, Encryption};
use async_trait::async_trait;
use driver::{ArtifactStore, ExecutorError, Task};
use engine::{ActionError, Artifact};
use pipeline::{InvalidName, Region};

use crate::roles::{Identity, RoleError, Roles};

/// Why an artifact could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// The role could not be assumed.
    #[error(transparent)]
    Role(#[from] RoleError),
    /// S3 refused, or the artifact is not what was recorded.
    #[error(transparent)]
    Store(#[from] artifacts::Error),
    /// The region's name is not valid.
    #[error(transparent)]
    Region(#[from] InvalidName),
}

impl ArtifactError {
    /// Why the action fails because of this; none when it is worth trying again.
    pub fn action_error(&self) -> Option<ActionError> {
        match self {
            Self::Role(error) => error.action_error(),
            Self::Store(error) => {
                error.failure_type().map(|code| ActionError { code: code.to_owned(), message: error.to_string() })
            }
            Self::Region(error) => {
                Some(ActionError { code: "ConfigurationError".to_owned(), message: error.to_string() })
            }
        }
    }
}

impl Roles {
    async fn artifact_bucket(&self, task: &Task, region: &str, name: &str) -> Result<Bucket, ArtifactError> {
        let identity = Identity {
            pipeline_role: task.pipeline_role.clone(),
            action_role: None,
            pipeline: task.pipeline.to_string(),
        };
        let session = self.session(&identity, region).await?;
        Ok(Bucket::new(session.s3(), Region::new(region)?, name).owned_by(self.artifact_account()))
    }

    /// Checks that a job's input artifacts are what they were: a worker reads its inputs by their keys alone, and so gets
    /// whatever was stored last.
    ///
    /// # Errors
    /// [`artifacts::Error::Changed`] among [`ArtifactError`].
    pub async fn check_job_inputs(&self, task: &Task) -> Result<(), ArtifactError> {
        for input in &task.inputs {
            // A copy has a version of its own, and the artifact's SHA-256.
            let pin = if input.pin.is_known() { &input.pin } else { &input.artifact.pin };
            let store = self.artifact_bucket(task, &task.region, &input.bucket).await?;
            store.check_newest(&input.artifact.key, pin).await?;
        }
        Ok(())
    }

    /// The output artifacts of a task, as far as they are there, each with its pin.
    ///
    /// # Errors
    /// [`ArtifactError`].
    pub async fn pin_outputs(&self, task: &Task) -> Result<Vec<Artifact>, ArtifactError> {
        let key = task.store.as_ref().and_then(|(_, key)| key.as_deref());
        let encryption = Encryption::key(key.unwrap_or_default());
        let mut pinned = Vec::with_capacity(task.outputs.len());
        for output in &task.outputs {
            let store = self.artifact_bucket(task, &output.region, &output.bucket).await?;
            if let Some(pin) = store.pin(&output.key, &encryption).await? {
                pinned.push(Artifact { pin, ..output.clone() });
            }
        }
        Ok(pinned)
    }
}

#[async_trait]
impl ArtifactStore for Roles {
    async fn stored_outputs(&self, task: &Task) -> Result<Result<Vec<Artifact>, ActionError>, ExecutorError> {
        match self.pin_outputs(task).await {
            Ok(outputs) => Ok(Ok(outputs)),
            Err(error) => match error.action_error() {
                Some(failure) => Ok(Err(failure)),
                None => Err(ExecutorError(error.to_string())),
            },
        }
    }
}
