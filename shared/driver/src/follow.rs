//! What follows a commit: messages go out, and tasks for other executions are done.

use std::time::Duration;

use engine::{Command, Effect, OutboxTask, Refusal};

use crate::driver::Driver;
use crate::error::DriveError;
use crate::ports::Message;
use crate::step::Place;

impl Driver {
    /// Dispatches what follows a commit. Failures are only logged: everything can be found again in the table.
    pub(crate) async fn follow(&self, effects: Vec<Effect>) {
        let mut messages = Vec::new();
        let mut outbox = Vec::new();
        for effect in effects {
            let (message, delay) = match effect {
                Effect::Run { action, delay } => (Message::Run { action }, delay),
                Effect::Poll { action, delay, count } => (Message::Poll { action, count }, delay),
                Effect::Replicate { action, artifact } => (Message::Replicate { action, artifact }, 0),
                Effect::Outbox(task) => {
                    outbox.push(task);
                    continue;
                }
            };
            messages.push((message, Duration::from_millis(u64::try_from(delay).unwrap_or(0))));
        }
        if !messages.is_empty()
            && let Err(error) = self.dispatch.dispatch(messages).await
        {
            tracing::warn!(%error, "not dispatched; the sweeper will find it");
        }
        for task in outbox {
            if let Err(error) = Box::pin(self.do_outbox_task(&task)).await {
                tracing::warn!(%error, ?task, "task not done; the sweeper will find it");
            }
        }
    }

    /// Does to an execution what a change of the locks asks for.
    pub(crate) async fn do_outbox_task(&self, task: &OutboxTask) -> Result<(), DriveError> {
        let command = match task {
            OutboxTask::Enter { stage, .. } => Command::Enter { stage: stage.clone() },
            OutboxTask::Supersede { by, .. } => Command::Supersede { by: *by },
            OutboxTask::Cancel { .. } => Command::Cancel,
            OutboxTask::RollBack { .. } => return self.roll_back_after(task).await,
        };
        match self.step(Place::Current(task.execution()), command, None).await {
            Ok(_) | Err(DriveError::Refused(Refusal::Nothing)) => Ok(()),
            Err(error) => Err(error),
        }
    }
}
