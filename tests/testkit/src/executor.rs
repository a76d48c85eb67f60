//! An executor of actions that do what a test says.

use async_trait::async_trait;
use driver::{ActionExecutor, ExecutorError, Outcome, Task};

/// Starts each action by a function. Nothing is polled.
#[derive(Debug)]
pub struct TestExecutor<F>(F);

impl<F: Fn(&Task) -> Outcome + Send + Sync> TestExecutor<F> {
    /// With what becomes of an action as it starts.
    pub fn new(start: F) -> Self {
        Self(start)
    }
}

#[async_trait]
impl<F: Fn(&Task) -> Outcome + Send + Sync> ActionExecutor for TestExecutor<F> {
    async fn start(&self, task: &Task) -> Result<Outcome, ExecutorError> {
        Ok((self.0)(task))
    }

    async fn poll(&self, _: &Task) -> Result<Outcome, ExecutorError> {
        Err(ExecutorError("nothing here is polled".into()))
    }
}
