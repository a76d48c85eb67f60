//! With whose context a provider works.

use artifacts::{Bucket, ZipLimits};
use driver::Task;
use engine::Timestamp;
use pipeline::Region;
use runtime::{Clients, Identity, JobIdError, JobIds, RoleError, Roles, Session};

use crate::approval_links::ApprovalLinks;
use crate::artifact_files::OpenArtifacts;
use crate::error::{PERMISSION_ERROR, ProviderError};

/// Milliseconds by which a service's clock and ours may differ.
const CLOCKS_APART: i64 = 300_000;

/// A task, the roles under which it is done, and the time. Functions have no provider context of their own.
#[derive(Clone, Copy)]
pub(crate) struct ActionContext<'a> {
    pub(crate) roles: &'a Roles,
    pub(crate) job_ids: &'a JobIds,
    pub(crate) task: &'a Task,
    /// What the service is given to recognize this attempt when it is started again.
    pub(crate) token: &'a str,
    pub(crate) now: Timestamp,
    pub(crate) approval_links: &'a ApprovalLinks,
    pub(crate) zip_limits: ZipLimits,
    pub(crate) open_artifacts: &'a OpenArtifacts,
    /// How the names of the secrets begin that stand for connections.
    pub(crate) connection_secrets: &'a str,
    /// The address of the one code host that is reached without TLS.
    pub(crate) local_code_host: Option<&'a str>,
    /// The project in whose builds managed compute runs.
    pub(crate) compute_project: &'a str,
    /// The address of the installation's own API.
    pub(crate) api_url: &'a str,
    /// For what is not AWS; everything else is done with a [`Session`].
    pub(crate) clients: &'a Clients,
}

impl ActionContext<'_> {
    /// When the attempt was requested, as its time-out tells.
    pub(crate) fn requested(&self) -> Timestamp {
        let action = &self.task.action;
        let minutes = action.silence_timeout_minutes().unwrap_or_else(|| action.timeout_minutes());
        self.task.deadline.map_or(self.now, |deadline| deadline.plus(-60_000 * i64::from(minutes)))
    }

    /// Nothing that a service dates from before was started for this attempt.
    pub(crate) fn earliest_start(&self) -> Timestamp {
        self.requested().plus(-CLOCKS_APART)
    }

    /// The pipeline's role. Its sessions are named after the pipeline, so that its actions share them.
    pub(crate) fn pipeline(&self) -> Identity {
        Identity {
            pipeline_role: self.task.pipeline_role.clone(),
            action_role: None,
            pipeline: self.task.pipeline.to_string(),
        }
    }

    /// In the action's region, as the action's role where it has one, otherwise as the pipeline's.
    pub(crate) async fn session(&self) -> Result<Session, ProviderError> {
        self.session_in(&self.task.region).await
    }

    /// The same in another region.
    pub(crate) async fn session_in(&self, region: &str) -> Result<Session, ProviderError> {
        let identity = Identity { action_role: self.task.action_role.clone(), ..self.pipeline() };
        Ok(self.roles.session(&identity, region).await?)
    }

    /// A bucket in the action's region, as [`ActionContext::session`].
    pub(crate) async fn bucket(&self, name: &str) -> Result<Bucket, ProviderError> {
        bucket(&self.session().await?, &self.task.region, name)
    }

    /// An artifact store in the action's region, as [`ActionContext::session`]: a bucket of the account that has them.
    pub(crate) async fn artifact_store(&self, name: &str) -> Result<Bucket, ProviderError> {
        Ok(self.bucket(name).await?.owned_by(self.roles.artifact_account()))
    }

    /// An artifact store in any region, as the pipeline's role.
    pub(crate) async fn pipeline_artifact_store(&self, region: &str, name: &str) -> Result<Bucket, ProviderError> {
        let bucket = bucket(&self.roles.session(&self.pipeline(), region).await?, region, name)?;
        Ok(bucket.owned_by(self.roles.artifact_account()))
    }
}

fn bucket(session: &Session, region: &str, name: &str) -> Result<Bucket, ProviderError> {
    let region = Region::new(region).map_err(|error| ProviderError::configuration(error.to_string()))?;
    Ok(Bucket::new(session.s3(), region, name))
}

impl From<RoleError> for ProviderError {
    fn from(error: RoleError) -> Self {
        match error.action_error() {
            None => Self::Retryable(error.to_string()),
            Some(failure) if failure.code == PERMISSION_ERROR => Self::failed(PERMISSION_ERROR, failure.message),
            Some(failure) => Self::configuration(failure.message),
        }
    }
}

impl From<JobIdError> for ProviderError {
    fn from(error: JobIdError) -> Self {
        Self::Retryable(error.to_string())
    }
}
