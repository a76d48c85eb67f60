//! The one way in which anything changes: load, decide, commit, dispatch.
//!
//! A [`Driver`] is given a [`store::Store`], a [`Dispatch`] and a [`Clock`]. Functions call its methods; each loads
//! what the rule needs, lets `engine` decide, commits on the condition that nothing changed in the meantime (otherwise
//! it loads and decides again), and only then dispatches. That loop is in `commit`, and there is no other. `step`
//! changes an execution, and `follow` does what comes after a commit. `work` is the worker's loop over an
//! [`ActionExecutor`], which really runs actions. `sweep` finds the intent that nobody took up.
//!
//! May touch `engine`, `store` (its trait) and the traits below, but not AWS.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod action_types;
mod approvals;
mod backoff;
mod commit;
mod control;
mod driver;
mod error;
mod follow;
mod git_starts;
mod history;
mod jobs;
mod pipelines;
mod ports;
mod proposal;
mod replication;
mod resolve;
mod revision;
mod source_polls;
mod start;
mod step;
mod succeeded;
mod sweep;
mod view;
mod webhook_calls;
mod webhooks;
mod why;
mod work;

pub use approvals::ApprovalAnswer;
pub use driver::{Driver, Setup};
pub use error::DriveError;
pub use git_starts::GitDelivery;
pub use history::{ActionExecutionView, ActionView, ExecutionView};
pub use jobs::{JobCaller, JobResult, JobState, MOST_JOBS, Offered};
pub use pipelines::PipelineRecord;
pub use ports::{
    ActionExecutor, ArtifactStore, Clock, Dispatch, DispatchError, ExecutorError, Message, NewestRevision, Outcome,
    SourceReader, SourceRules, Task, TaskInput,
};
pub use replication::Replication;
pub use revision::PutRevision;
pub use start::{QueuedStart, StartRequest, Started};
pub use succeeded::{SucceededAfter, SucceededPage};
pub use view::{ApprovalView, PipelineView, StageView};
pub use work::Worked;
