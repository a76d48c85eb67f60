//! An execution: one item, beside its stage attempts.

use std::collections::BTreeMap;

use pipeline::{ActionName, ArtifactName, ExecutionMode, PipelineName};
use serde::{Deserialize, Serialize};

use crate::id::{ExecutionId, Incarnation};
use crate::state::unset::unset;
use crate::time::Timestamp;

/// Status of an execution. Source: CodePipeline API, `PipelineExecutionStatus`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExecutionStatus {
    /// It is inside a stage, or waits in front of one.
    InProgress,
    /// It went through its last stage, or the one that it rolled back.
    Succeeded,
    /// A stage failed, and nothing let the execution go on.
    Failed,
    /// A newer execution overtook it.
    Superseded,
    /// Its pipeline was updated while actions ran; they go on to their end, then it is cancelled. The API has no word
    /// for it and shows it as in progress.
    Cancelling,
    /// Its pipeline was updated or deleted before it had completed.
    Cancelled,
    /// Somebody stopped it; what runs goes on to its end.
    Stopping,
    /// It was stopped, and nothing in it runs any more.
    Stopped,
}

impl ExecutionStatus {
    /// Whether it has not ended.
    pub fn is_open(self) -> bool {
        matches!(self, Self::InProgress | Self::Cancelling | Self::Stopping)
    }
}

/// One pipeline execution.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Execution {
    /// The id that the API calls `pipelineExecutionId`.
    pub id: ExecutionId,
    /// The pipeline's name.
    pub pipeline: PipelineName,
    /// Which pipeline of that name.
    pub incarnation: Incarnation,
    /// The version with which it started; it keeps to it.
    pub version: u32,
    /// Its place in the order of starts, from 1.
    pub number: u64,
    /// The execution mode of the version with which it started.
    pub mode: ExecutionMode,
    /// How it stands; final once [`ExecutionStatus::is_open`] is false.
    pub status: ExecutionStatus,
    /// A sentence about the status.
    #[serde(default)]
    pub summary: Option<String>,
    /// The trigger that the API shows.
    pub trigger: Trigger,
    /// Pipeline variables with their values in this execution.
    #[serde(default)]
    pub variables: BTreeMap<String, String>,
    /// Revisions that the start prescribed, by source action.
    #[serde(default)]
    pub overrides: Vec<RevisionOverride>,
    /// What the source actions found.
    #[serde(default)]
    pub revisions: Vec<SourceRevision>,
    /// When the start was decided.
    pub started: Timestamp,
    /// When its status, stage or position last changed.
    pub updated: Timestamp,
    /// The stage that it is in or waits for.
    pub position: Position,
    /// By stage index: its latest attempt there; 0 where it never was.
    pub attempts: Vec<u16>,
    /// The last request to stop it, if there was one.
    #[serde(default)]
    pub stop: Option<Stop>,
    /// That it rolls one stage back.
    #[serde(default)]
    pub rollback: Option<RollbackTarget>,
}

/// That an execution was stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// Whether the actions that ran were given up.
    pub abandon: bool,
    /// The reason that the person gave, if any.
    #[serde(default)]
    pub reason: Option<String>,
}

/// What an execution that rolls a stage back takes from another one. It runs that stage alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RollbackTarget {
    /// The execution that succeeded in the stage before.
    pub execution: ExecutionId,
    /// Its attempts by stage index: where the artifacts and variables of earlier stages are.
    pub attempts: Vec<u16>,
}

impl Execution {
    /// Where the latest attempt at a stage is, as this execution sees it: (execution, attempt). None where there was
    /// none. One that rolls back sees its target's earlier stages.
    pub fn attempt_at(&self, stage: usize) -> Option<(ExecutionId, u16)> {
        let attempt = |attempts: &[u16]| attempts.get(stage).copied().filter(|attempt| *attempt > 0);
        match (attempt(&self.attempts), &self.rollback) {
            (Some(own), _) => Some((self.id, own)),
            (None, Some(target)) => Some((target.execution, attempt(&target.attempts)?)),
            (None, None) => None,
        }
    }
}

/// The stage that an execution is in or waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Position {
    /// In front of the stage of this index.
    Waiting(usize),
    /// In the stage of this index.
    In(usize),
    /// Nowhere any more: the status is final.
    Out,
}

/// The cause of a start, as the API's `ExecutionTrigger` shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trigger {
    /// CodePipeline's `TriggerType`, for example `StartPipelineExecution` or `CloudWatchEvent`.
    pub kind: String,
    /// For example the ARN of the caller or of the event rule.
    pub detail: String,
}

/// A revision that the start prescribed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RevisionOverride {
    /// The name of the source action that must use it.
    pub action: ActionName,
    /// CodePipeline's `SourceRevisionType`, for example `S3_OBJECT_VERSION_ID`.
    pub kind: String,
    /// For example the version id.
    pub value: String,
    /// The change identifier of a reported revision: see [`Revision::change`].
    #[serde(default, skip_serializing_if = "unset")]
    pub change: Option<String>,
    /// When the revision was made, where a report says so.
    #[serde(default, skip_serializing_if = "unset")]
    pub created: Option<Timestamp>,
}

impl RevisionOverride {
    /// A revision of which nothing but itself is known.
    pub fn new(action: ActionName, kind: impl Into<String>, value: impl Into<String>) -> Self {
        Self { action, kind: kind.into(), value: value.into(), change: None, created: None }
    }
}

/// What a source action found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SourceRevision {
    /// The name of the source action that found it.
    pub action: ActionName,
    /// The artifact that holds it.
    pub artifact: Option<ArtifactName>,
    /// The revision that was found.
    pub revision: Revision,
}

/// A revision of a source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Revision {
    /// Commit id, S3 version id, image digest.
    pub id: String,
    /// For example the commit message.
    #[serde(default)]
    pub summary: Option<String>,
    /// Where a person can look at it.
    #[serde(default)]
    pub url: Option<String>,
    /// When it was made, where the source tells.
    #[serde(default)]
    pub created: Option<Timestamp>,
    /// CodePipeline's `revisionChangeIdentifier`: the ETag of an S3 object, for example.
    #[serde(default, skip_serializing_if = "unset")]
    pub change: Option<String>,
}
