//! Images in Amazon ECR, as the commands of a build name them.

use driver::Task;

use crate::error::ProviderError;
use crate::managed_compute::word;

/// The registry of an account's private repositories in the action's region.
pub(crate) fn registry(task: &Task) -> String {
    let role = task.action_role.as_ref().unwrap_or(&task.pipeline_role);
    let account = role.split(':').nth(4).unwrap_or_default();
    format!("{account}.dkr.ecr.{}.{}", task.region, runtime::arn::service_domain(&task.region))
}

/// Signs in to that registry.
pub(crate) fn sign_in(registry: &str) -> Result<String, ProviderError> {
    let registry = word(registry)?;
    Ok(format!("aws ecr get-login-password | docker login --username=AWS --password-stdin {registry}"))
}

/// Whether a text can be the tag of an image. Source: OCI Distribution Specification, 'Pulling manifests'.
pub(crate) fn is_tag(text: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (1..=128).contains(&text.len())
        && text.bytes().next().is_some_and(word)
        && text.bytes().all(|byte| word(byte) || byte == b'.' || byte == b'-')
}
