//! Where dispatched messages wait for a test.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use driver::{ActionExecutor, Dispatch, DispatchError, Driver, Message};
use engine::Timestamp;

/// Keeps what is dispatched, without its delays, until a test asks for it.
#[derive(Debug, Default)]
pub struct Outbox(Mutex<VecDeque<Message>>);

impl Outbox {
    /// How many messages wait.
    pub fn waiting(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    /// Takes out the message that has waited longest.
    pub fn take(&self) -> Option<Message> {
        self.0.lock().unwrap().pop_front()
    }

    /// Works on each message as a worker does that has all the time in the world, and on what that dispatches, until
    /// nothing is left but what waits for people and jobs.
    pub async fn work(&self, driver: &Driver, executor: &dyn ActionExecutor) {
        while let Some(message) = self.take() {
            driver.work(message, executor, Timestamp(i64::MAX)).await.unwrap();
        }
    }
}

#[async_trait]
impl Dispatch for Outbox {
    async fn dispatch(&self, messages: Vec<(Message, Duration)>) -> Result<(), DispatchError> {
        self.0.lock().unwrap().extend(messages.into_iter().map(|(message, _)| message));
        Ok(())
    }
}
