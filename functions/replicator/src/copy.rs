//! The copies of one artifact.

use artifacts::{Bucket, CopyOutcome, Encryption};
use driver::Replication;
use engine::Artifact;
use futures::future::join_all;
use pipeline::{Pipeline, Region};
use runtime::{Identity, Roles};

/// Why an artifact is not in a region.
struct CopyError {
    message: String,
    /// Whether the same copy may succeed later.
    passes: bool,
}

impl CopyError {
    fn permanent(message: impl Into<String>) -> Self {
        Self { message: message.into(), passes: false }
    }
}

/// Copies an artifact to the stores of all regions that need it, all at the same time, as the pipeline's role.
///
/// # Errors
/// When a copy may succeed later: Lambda tries the whole again, and finds what is there. What is wrong for good is only
/// logged, since the action that reads the artifact will say it.
pub async fn everywhere(roles: &Roles, home: &str, replication: &Replication) -> anyhow::Result<()> {
    let Replication { pipeline, artifact, regions } = replication;
    let copies = regions.iter().map(|region| async move {
        let error = match to(roles, pipeline, home, artifact, region).await {
            Ok(outcome) => {
                tracing::info!(region, ?outcome, "copied");
                return None;
            }
            Err(error) => error,
        };
        tracing::warn!(region, error = %error.message, again = error.passes, "not copied");
        error.passes.then_some(error.message)
    });
    match join_all(copies).await.into_iter().flatten().reduce(|all, next| format!("{all}; {next}")) {
        None => Ok(()),
        Some(messages) => Err(anyhow::anyhow!(messages)),
    }
}

async fn to(
    roles: &Roles,
    pipeline: &Pipeline,
    home: &str,
    artifact: &Artifact,
    region: &str,
) -> Result<CopyOutcome, CopyError> {
    let store = pipeline
        .store(region, home)
        .ok_or_else(|| CopyError::permanent(format!("the pipeline has no artifact store in region {region}")))?;
    let identity = Identity {
        pipeline_role: pipeline.role_arn().to_string(),
        action_role: None,
        pipeline: pipeline.name().to_string(),
    };
    let from = bucket(roles, &identity, &artifact.region, &artifact.bucket).await?;
    let to = bucket(roles, &identity, region, &store.location).await?;
    let key = Encryption::from(store.encryption_key.as_ref());
    artifacts::replicate(&from, &to, &artifact.key, &artifact.pin, &key)
        .await
        .map(|replica| replica.outcome)
        .map_err(|error| CopyError { message: error.to_string(), passes: error.is_retryable() })
}

async fn bucket(roles: &Roles, identity: &Identity, region: &str, name: &str) -> Result<Bucket, CopyError> {
    let session = roles
        .session(identity, region)
        .await
        .map_err(|error| CopyError { message: error.to_string(), passes: error.action_error().is_none() })?;
    let region = Region::new(region).map_err(|error| CopyError::permanent(error.to_string()))?;
    Ok(Bucket::new(session.s3(), region, name).owned_by(roles.artifact_account()))
}
