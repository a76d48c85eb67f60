//! What is kept of a pipeline and its executions: plain data, one struct an item of the table.

mod action;
mod artifact;
mod execution;
mod locks;
mod stage;
mod unset;

pub use action::{
    ActionError, ActionRun, ActionStatus, Approver, External, ExternalId, JobRun, Outputs, StoredOutputs,
};
pub use artifact::{Artifact, Pin};
pub use execution::{
    Execution, ExecutionStatus, Position, Revision, RevisionOverride, RollbackTarget, SourceRevision, Stop, Trigger,
};
pub use locks::{
    CancelCause, EndedAttempt, Entry, Head, LastSuccess, OutboxTask, StageLock, StageLocks, Transition, Waiting,
};
pub use stage::{ConditionRun, ConditionStatus, Retries, RetryTrigger, StageRun, StageStatus};
