//! The run of an action or rule, inside its stage attempt, and what it leaves.

use std::collections::BTreeMap;
use std::fmt;

use pipeline::ActionName;
use serde::{Deserialize, Serialize};

use crate::id::{ActionId, ApprovalToken, JobNonce, WorkerId};
use crate::state::artifact::Artifact;
use crate::state::execution::Revision;
use crate::state::unset::unset;
use crate::time::Timestamp;

/// Where an action's attempt stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ActionStatus {
    /// Its turn has not come.
    Pending,
    /// Nobody has taken it up yet.
    Requested,
    /// A worker is starting it, or does all its work itself.
    Claimed {
        /// The worker that owns it; another one's renewal or end is refused.
        worker: WorkerId,
        /// Until when the claim holds.
        until: Timestamp,
    },
    /// It is in progress: with its provider, a person or a job worker.
    Running,
    /// Its provider, an approver or a job worker reported success.
    Succeeded,
    /// It failed or timed out; [`ActionRun::error`] says why.
    Failed,
    /// It was given up before its end.
    Abandoned,
    /// The stage was retried while it ran: it goes on, under the same id, in the next attempt at the stage.
    CarriedOver,
}

impl ActionStatus {
    /// Whether somebody may still be working on it, or will.
    pub fn in_flight(&self) -> bool {
        matches!(self, Self::Requested | Self::Claimed { .. } | Self::Running)
    }
}

/// One attempt at one action.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActionRun {
    /// The action's name, or the rule's.
    pub name: ActionName,
    /// How far the attempt has come.
    pub status: ActionStatus,
    /// The attempt at the stage in which it was requested, where a later one took it over; 0: the attempt that it is in.
    #[serde(default, skip_serializing_if = "unset")]
    pub attempt: u16,
    /// When its turn came; none while it is pending.
    #[serde(default, skip_serializing_if = "unset")]
    pub requested: Option<Timestamp>,
    /// When anything of it last changed.
    #[serde(default, skip_serializing_if = "unset")]
    pub updated: Option<Timestamp>,
    /// When it fails by time-out.
    #[serde(default, skip_serializing_if = "unset")]
    pub deadline: Option<Timestamp>,
    /// When the sweeper must look at it next, while it is in flight.
    #[serde(default, skip_serializing_if = "unset")]
    pub check: Option<Timestamp>,
    /// How many claims were made; more than one means that a worker was lost.
    #[serde(default, skip_serializing_if = "unset")]
    pub claims: u32,
    /// How often a job was continued.
    #[serde(default, skip_serializing_if = "unset")]
    pub turn: u16,
    /// What its job handed over for the continuation.
    #[serde(default, skip_serializing_if = "unset")]
    pub continuation: Option<String>,
    /// Its job, where job workers poll for it.
    #[serde(default, skip_serializing_if = "unset")]
    pub job: Option<JobRun>,
    /// The secret that an approval's answer must name.
    #[serde(default, skip_serializing_if = "unset")]
    pub token: Option<ApprovalToken>,
    /// The provider's own id and page.
    #[serde(default, skip_serializing_if = "unset")]
    pub external: Option<External>,
    /// A sentence about the status.
    #[serde(default, skip_serializing_if = "unset")]
    pub summary: Option<String>,
    /// 0 to 100, where the provider or the job worker tells.
    #[serde(default, skip_serializing_if = "unset")]
    pub percent: Option<u8>,
    /// Who answered; only approvals have this.
    #[serde(default, skip_serializing_if = "unset")]
    pub updated_by: Option<Approver>,
    /// The cause, once it has failed.
    #[serde(default, skip_serializing_if = "unset")]
    pub error: Option<ActionError>,
    /// Output artifacts with their pins; empty until it has succeeded.
    #[serde(default, skip_serializing_if = "unset")]
    pub outputs: Vec<Artifact>,
    /// Output variables, here or in an item of their own.
    #[serde(default, skip_serializing_if = "unset")]
    pub variables: Outputs,
    /// What a source action found.
    #[serde(default, skip_serializing_if = "unset")]
    pub revision: Option<Revision>,
}

/// The current job of an action, where job workers poll for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobRun {
    /// Since when it waits in its queue.
    pub queued: Timestamp,
    /// From when on it may be offered: an offer that nobody acknowledges lapses.
    pub free: Timestamp,
    /// The secret of the last offer.
    #[serde(default)]
    pub nonce: Option<JobNonce>,
    /// Whether a worker has acknowledged that offer: the job is its own.
    #[serde(default)]
    pub acknowledged: bool,
}

impl JobRun {
    /// A job that nobody has seen yet.
    pub(crate) fn queued(now: Timestamp) -> Self {
        Self { queued: now, free: now, nonce: None, acknowledged: false }
    }
}

/// Who answered an approval. Its text is what people are shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Approver {
    /// Who signed the call: the ARN that IAM vouches for.
    Caller(String),
    /// Whoever had the link that was sent out. Nothing vouches for the name.
    Link {
        /// The name that was given.
        name: String,
    },
}

impl fmt::Display for Approver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Caller(arn) => f.write_str(arn),
            // Begins with words, so that a name that looks like an ARN is not taken for one.
            Self::Link { name } => write!(f, "approval link (name given: {name})"),
        }
    }
}

/// The provider's own name for what it runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct External {
    /// For example the ARN of a Step Functions execution.
    pub id: String,
    /// Where a person can look at it.
    #[serde(default, skip_serializing_if = "unset")]
    pub url: Option<String>,
}

/// The way back from an id that a service chose to the action for which it runs: events of the service have nothing else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExternalId {
    /// EventBridge's `source` of those events.
    pub source: String,
    /// The region of the action, and so of the events.
    pub region: String,
    /// The service's id, as in [`External`].
    pub id: String,
    /// The attempt that was started under this id.
    pub action: ActionId,
    /// When the action was started.
    pub started: Timestamp,
}

impl ExternalId {
    /// Whether both say where one id leads.
    pub(crate) fn same_id(&self, other: &Self) -> bool {
        (&self.source, &self.region, &self.id) == (&other.source, &other.region, &other.id)
    }
}

/// Why an action failed. `code` is one of CodePipeline's `FailureType`s or the provider's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionError {
    /// For example `JobFailed`, `ConfigurationError`, `PermissionError`, `TimeoutError`.
    pub code: String,
    /// The cause in the words of the provider.
    pub message: String,
}

/// Output variables of an action: small ones inside the stage's item, large ones in an item of their own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum Outputs {
    /// The action has left no output variables.
    #[default]
    None,
    /// All variables by name: 2 KB of keys and values at most.
    Inline(BTreeMap<String, String>),
    /// They are kept in [`StoredOutputs`], since they are larger than that.
    Stored,
}

/// Output variables that are too large for the stage's item.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredOutputs {
    /// The attempt that made them.
    pub action: ActionId,
    /// All output variables by name.
    pub variables: BTreeMap<String, String>,
}

impl ActionRun {
    /// A run whose turn has not come.
    pub fn pending(name: ActionName) -> Self {
        Self {
            name,
            status: ActionStatus::Pending,
            attempt: 0,
            requested: None,
            updated: None,
            deadline: None,
            check: None,
            claims: 0,
            turn: 0,
            continuation: None,
            job: None,
            token: None,
            external: None,
            summary: None,
            percent: None,
            updated_by: None,
            error: None,
            outputs: Vec::new(),
            variables: Outputs::None,
            revision: None,
        }
    }
}
