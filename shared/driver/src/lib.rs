//! The one way in which anything changes: load, decide, commit, dispatch.
//!
//! A [`Driver`] is given a [`store::Store`], a [`Dispatch`] and a [`Clock`]. Functions call its methods; each loads
//! what the rule needs, lets `engine` decide, commits on the condition that nothing changed meanwhile (else it
//! loads and decides again), and only then dispatches. `work` is the worker's loop over a [`ActionExecutor`]: what really
//! runs actions. `sweep` finds the intent that nobody took up.
//!
//! May touch `engine`, `store` (its trait) and the traits below; no AWS.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod action_types;
mod backoff;
mod commit;
mod control;
mod error;
mod history;
mod in_hand;
mod jobs;
mod pipelines;
mod ports;
mod replication;
mod resolve;
mod revision;
mod start;
mod succeeded;
mod sweep;
mod view;
mod webhooks;
mod why;
mod work;

pub use commit::{Driver, Setup};
pub use error::DriveError;
pub use history::{ActionExecutionView, ActionView, ExecutionView};
pub use jobs::{JobCaller, JobState, MOST_JOBS, Offered};
pub use pipelines::PipelineRecord;
pub use ports::{
    ActionExecutor, ArtifactStore, Clock, Dispatch, DispatchError, ExecutorError, Message, Outcome, SourceRules, Task,
    TaskInput,
};
pub use replication::Replication;
pub use revision::PutRevision;
pub use start::{StartRequest, Started};
pub use succeeded::{SucceededAfter, SucceededPage};
pub use view::{ApprovalAnswer, ApprovalView, JobResult, PipelineView, StageView};
pub use work::Worked;
