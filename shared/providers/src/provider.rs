//! What every provider does.

use async_trait::async_trait;
use driver::Outcome;

use crate::context::ActionContext;
use crate::error::ProviderError;

/// Runs the actions of one type.
#[async_trait]
pub(crate) trait Provider: Send + Sync {
    /// Starts an attempt, or does all of it. Input artifacts are in the action's region. Called again for the same
    /// attempt when a worker was lost.
    async fn start(&self, context: ActionContext<'_>) -> Result<Outcome, ProviderError>;

    /// Asks how it stands. Only what [`Outcome::Running`] told to poll is polled.
    async fn poll(&self, context: ActionContext<'_>) -> Result<Outcome, ProviderError> {
        let _ = context;
        Ok(Outcome::Running { report: engine::Progress::default(), poll: false })
    }

    /// Stops it, where the service can.
    async fn cancel(&self, context: ActionContext<'_>) -> Result<(), ProviderError> {
        let _ = context;
        Ok(())
    }
}
