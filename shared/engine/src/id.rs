//! Ids that carry their own address.
//!
//! A job worker, a mail link or a provider event knows nothing but an id. So that no index has to be written for
//! it, the id of an action's attempt holds where the attempt stands: it is a UUID of version 8 (RFC 9562: the
//! content is the maker's own), whose first ten bytes are those of the pipeline execution and whose last six are
//! the place in it. An execution's id is the same UUID with a place of zeros.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// An id that is no UUID, or not of this form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an id that Millrace has given out")]
pub struct UnknownId(pub String);

/// Id of a pipeline execution.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ExecutionId(Uuid);

/// Id of one attempt at one action, CodePipeline's `actionExecutionId`; also the token under which its provider starts
/// it. It is no secret: events and pages show it. Its job goes by another id, which only the job's worker is given.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ActionId {
    /// The execution it belongs to.
    pub execution: ExecutionId,
    /// Index of the stage in the execution's version of the pipeline.
    pub stage: u8,
    /// Index of the action in the stage.
    pub action: u8,
    /// Which attempt at the stage, from 1.
    pub attempt: u16,
    /// How often a job has been continued: 0 for the first.
    pub turn: u16,
}

/// A UUID that stands for one kind of thing, so that it cannot be given where another kind is meant.
macro_rules! uuid_newtype {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}

uuid_newtype! {
    /// One invocation of the worker, random: the claim on an action names it.
    WorkerId
}
uuid_newtype! {
    /// The secret that a job worker is given with an offered job, and names when it acknowledges the job.
    JobNonce
}
uuid_newtype! {
    /// The secret that the answer to an approval must name. Source: CodePipeline API, `ApprovalToken`.
    ApprovalToken
}
uuid_newtype! {
    /// Tells a pipeline from a deleted one of the same name; random, made when the pipeline is created.
    Incarnation
}

const PLACE: usize = 10;

impl ExecutionId {
    /// Makes an id from 16 random bytes.
    pub fn from_random(random: Uuid) -> Self {
        let mut bytes = random.into_bytes();
        bytes[PLACE..].fill(0);
        Self(uuid::Builder::from_custom_bytes(bytes).into_uuid())
    }

    /// The id of an attempt at an action of this execution.
    pub fn action(self, stage: usize, action: usize, attempt: u16) -> ActionId {
        // A checked pipeline has at most 50 stages and 50 actions in a stage.
        ActionId { execution: self, stage: stage as u8, action: action as u8, attempt, turn: 0 }
    }
}

impl ActionId {
    /// The same attempt's job after one more continuation.
    #[must_use]
    pub fn next_turn(self) -> Self {
        Self { turn: self.turn.saturating_add(1), ..self }
    }

    /// The same attempt's first job: what CodePipeline calls the action execution id.
    #[must_use]
    pub fn first_turn(self) -> Self {
        Self { turn: 0, ..self }
    }

    /// The id as a UUID.
    pub fn uuid(self) -> Uuid {
        let mut bytes = self.execution.0.into_bytes();
        bytes[10] = self.stage;
        bytes[11] = self.action;
        bytes[12..14].copy_from_slice(&self.attempt.to_be_bytes());
        bytes[14..16].copy_from_slice(&self.turn.to_be_bytes());
        Uuid::from_bytes(bytes)
    }
}

fn parse(text: &str) -> Result<[u8; 16], UnknownId> {
    let unknown = || UnknownId(text.chars().take(100).collect());
    let uuid = Uuid::try_parse(text).map_err(|_| unknown())?;
    if text.len() == 36 && uuid.get_version_num() == 8 { Ok(uuid.into_bytes()) } else { Err(unknown()) }
}

impl FromStr for ExecutionId {
    type Err = UnknownId;
    fn from_str(text: &str) -> Result<Self, UnknownId> {
        let bytes = parse(text)?;
        if bytes[PLACE..].iter().all(|byte| *byte == 0) {
            Ok(Self(Uuid::from_bytes(bytes)))
        } else {
            Err(UnknownId(text.to_owned()))
        }
    }
}

impl FromStr for ActionId {
    type Err = UnknownId;
    fn from_str(text: &str) -> Result<Self, UnknownId> {
        let mut bytes = parse(text)?;
        let (stage, action) = (bytes[10], bytes[11]);
        let attempt = u16::from_be_bytes([bytes[12], bytes[13]]);
        let turn = u16::from_be_bytes([bytes[14], bytes[15]]);
        if attempt == 0 {
            return Err(UnknownId(text.to_owned()));
        }
        bytes[PLACE..].fill(0);
        Ok(Self { execution: ExecutionId(Uuid::from_bytes(bytes)), stage, action, attempt, turn })
    }
}

macro_rules! text {
    ($name:ident, $self:ident => $uuid:expr) => {
        impl fmt::Display for $name {
            fn fmt(&$self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&$uuid, f)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
        impl TryFrom<String> for $name {
            type Error = UnknownId;
            fn try_from(text: String) -> Result<Self, UnknownId> {
                text.parse()
            }
        }
        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.to_string()
            }
        }
    };
}
text!(ExecutionId, self => self.0);
text!(ActionId, self => self.uuid());

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_id_leads_back_to_its_place() {
        let execution = ExecutionId::from_random(Uuid::from_u128(0x1234_5678_9abc_def0_1234_5678_9abc_def0));
        let action = execution.action(49, 7, 300).next_turn();
        let text = action.to_string();
        assert_eq!(text.parse::<ActionId>().unwrap(), action);
        assert_eq!(execution.to_string().parse::<ExecutionId>().unwrap(), execution);
        assert_eq!(action.first_turn(), execution.action(49, 7, 300));
    }

    #[test]
    fn other_ids_are_refused() {
        let execution = ExecutionId::from_random(Uuid::from_u128(7));
        assert!(execution.to_string().parse::<ActionId>().is_err());
        assert!(execution.action(0, 0, 1).to_string().parse::<ExecutionId>().is_err());
        assert!("4f1c6a5e-7c5d-4f6e-8a63-2a9f4d1d6c11".parse::<ActionId>().is_err(), "a UUID of version 4");
        assert!("nonsense".parse::<ExecutionId>().is_err());
    }
}
