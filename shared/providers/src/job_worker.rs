//! Custom actions, and those of third parties: job workers poll for their jobs. Source: CodePipeline API, `PollForJobs`,
//! `PollForThirdPartyJobs`.
//!
//! Starting such an action is nothing but its being there: the commit that says that it runs puts its job into the queue.

use async_trait::async_trait;
use driver::Outcome;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::configuration::read;
use crate::context::ActionContext;
use crate::error::ProviderError;
use crate::permission::artifacts::{JOB_INPUTS, PIN_OUTPUTS};
use crate::permission::{Permissions, Trust};
use crate::provider::{Descriptor, Documentation, Provider, ProviderInfo, Tried, attempt_id, unchanged};

/// Of all types that job workers poll for; `registry` knows which those are.
pub(crate) const PROVIDER: Descriptor = Descriptor {
    info: ProviderInfo::of(
        &[],
        PERMISSIONS,
        Documentation {
            file: file!(),
            ends: "when a job worker reports",
            tried: Tried::Emulators,
            differs: "None known.",
        },
    ),
    provider: &JobWorker,
    token: attempt_id,
};

const PERMISSIONS: Permissions = Permissions::of(&[JOB_INPUTS, PIN_OUTPUTS]).trusting(Trust::Api);

/// What a third party's action says of the client for whom its jobs are.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Client {
    #[serde(rename = "ClientId")]
    _id: IgnoredAny,
    #[serde(rename = "ClientToken")]
    _token: IgnoredAny,
}

struct JobWorker;

#[async_trait]
impl Provider for JobWorker {
    async fn start(&self, context: ActionContext<'_>) -> Result<Outcome, ProviderError> {
        let task = context.task;
        if task.action.type_id.owner.as_deref() == Some("ThirdParty") {
            // Nobody could ever prove that the job is for them.
            read::<Client>(task)?;
        }
        unchanged()
    }

    async fn poll(&self, _: ActionContext<'_>) -> Result<Outcome, ProviderError> {
        unchanged()
    }
}
