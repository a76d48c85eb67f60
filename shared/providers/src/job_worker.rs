//! Custom actions, and those of third parties: job workers poll for their jobs. Source: CodePipeline API, `PollForJobs`,
//! `PollForThirdPartyJobs`.
//!
//! Starting such an action is nothing but its being there: the commit that says that it runs puts its job into the queue.

use async_trait::async_trait;
use driver::Outcome;
use engine::Progress;
use pipeline::custom::{CLIENT_ID, CLIENT_TOKEN};

use crate::configuration::required;
use crate::context::ActionContext;
use crate::error::ProviderError;
use crate::provider::Provider;

pub(crate) struct JobWorker;

#[async_trait]
impl Provider for JobWorker {
    async fn start(&self, context: ActionContext<'_>) -> Result<Outcome, ProviderError> {
        let task = context.task;
        if task.action.type_id.owner.as_deref() == Some("ThirdParty") {
            // Nobody could ever prove that the job is for them.
            required(task, CLIENT_ID)?;
            required(task, CLIENT_TOKEN)?;
        }
        Ok(Outcome::Running { report: Progress::default(), poll: false })
    }
}
