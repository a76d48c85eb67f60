//! The stack policy of a change set. CloudFormation's change sets have none, so CHANGE_SET_REPLACE keeps it in the artifact
//! store, the change set's description says which it is, and CHANGE_SET_EXECUTE sets it when the stack has been changed:
//! not before somebody has approved of the change set.

use artifacts::artifact_key;
use bytes::Bytes;
use driver::Task;
use engine::Pin;
use pipeline::{ArtifactName, InvalidName};

use crate::configuration::store;
use crate::context::ActionContext;
use crate::error::{JOB_FAILED, ProviderError};

/// Longest policy in bytes. Source: CloudFormation API, `SetStackPolicy`.
const LONGEST: u64 = 16_384;
/// Between the token and the policy's SHA-256.
const MARK: &str = " with the stack policy ";

/// Keeps the policy, and describes the change set of this attempt by it.
pub(crate) async fn keep(context: ActionContext<'_>, policy: String) -> Result<String, ProviderError> {
    let (bucket, encryption) = store(context.task)?;
    let key = key(context.task, context.token)?;
    let bucket = context.artifact_store(bucket).await?;
    let pin = bucket.put_artifact(&key, Bytes::from(policy), &encryption).await?;
    Ok(format!("{}{MARK}{}", context.token, pin.sha256.unwrap_or_default()))
}

/// The part of a change set's description that names its policy, if it has one.
pub(crate) fn named(description: &str) -> Option<&str> {
    description.contains(MARK).then_some(description)
}

/// The policy that a description names.
pub(crate) async fn read(context: ActionContext<'_>, description: &str) -> Result<String, ProviderError> {
    let unusable = || ProviderError::failed(JOB_FAILED, format!("{description:?} names no stack policy"));
    let (token, sha256) = description.split_once(MARK).ok_or_else(unusable)?;
    let (bucket, _) = store(context.task)?;
    let pin = Pin { version: None, sha256: Some(sha256.to_owned()) };
    let policy = context.artifact_store(bucket).await?.read(&key(context.task, token)?, &pin, LONGEST).await?;
    String::from_utf8(policy.to_vec()).map_err(|_| unusable())
}

fn key(task: &Task, token: &str) -> Result<String, ProviderError> {
    let name = name().map_err(|error| ProviderError::failed(JOB_FAILED, error.to_string()))?;
    Ok(artifact_key(&task.pipeline, &name, token))
}

/// As what policies lie in the artifact store.
pub(crate) fn name() -> Result<ArtifactName, InvalidName> {
    ArtifactName::new("StackPolicy")
}
