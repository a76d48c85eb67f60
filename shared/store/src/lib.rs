//! Where pipelines and their executions are kept: one table, and its in-memory twin.
//!
//! Everything stored is an [`Entity`] under a [`Key`]; each has a revision number that grows with every write. A commit
//! is a list of [`Write`]s of which all happen or none, each on the condition that the entity is still as it was read.
//! Both twins take keys, indexes and conditions from the same functions in `entity`, so what holds for one holds
//! for the other; one test suite runs on both.
//!
//! May touch `engine` and `pipeline` for the types, and (feature `dynamodb`) DynamoDB.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod cursor;
mod entity;
mod item;
mod memory;
mod origin;
mod parts;
mod secrets;
mod typed;
mod versions;

#[cfg(feature = "dynamodb")]
mod dynamo;

use async_trait::async_trait;
use engine::Timestamp;

#[cfg(feature = "dynamodb")]
pub use dynamo::DynamoStore;
pub use entity::{
    AUDIT_PARTITION, ActionRevision, Delivery, EXECUTION_PARTITIONS, Entity, Key, Listing, NOTICE_PARTITION, Notice,
    RuleOutcome, SeenRevision, Source, SourcePoll, StartToken, StoredDeclaration, StoredType, StoredWebhook,
    WEBHOOK_PARTITION, WebhookCalls, WebhookError,
};
pub use item::{DUE_SHARDS, MOST_WRITES};
pub use memory::MemoryStore;
pub use origin::ChangeOrigin;
pub use parts::{DeclarationPart, Parts, load_declaration};
pub use secrets::{NoSecrets, SecretOwner, Secrets, UNREADABLE};
pub use typed::Stored;
pub use versions::{PipelineVersion, PipelineVersions};

/// An entity, or what is known to be one of its type, as it was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Versioned<T = Entity> {
    /// Grows by one with each write.
    pub revision: u64,
    /// What the table held at that revision.
    pub entity: T,
}

impl<T> Versioned<T> {
    /// That nobody has written it since.
    pub fn unchanged(&self) -> Expect {
        Expect::Revision(self.revision)
    }
}

/// What an entity must be for a write to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Nothing may be under the key yet.
    Absent,
    /// It must be at this revision.
    Revision(u64),
    /// It may be anything: for entries that say the same thing whoever writes them.
    Any,
}

/// One change of a commit.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "a commit has a handful of writes, and nearly all are puts")]
pub enum Write {
    /// Writes the entity, in place of what was under its key.
    Put {
        /// What is written, under the key that it makes of itself.
        entity: Entity,
        /// What must be under the key before, or the commit fails.
        expect: Expect,
    },
    /// Removes what is under the key.
    Delete {
        /// The key of what is removed.
        key: Key,
        /// What must be under the key before, or the commit fails.
        expect: Expect,
    },
}

impl Write {
    /// The key that it changes.
    pub fn key(&self) -> Key {
        match self {
            Self::Put { entity, .. } => entity.key(),
            Self::Delete { key, .. } => key.clone(),
        }
    }
}

/// One page of a listing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// The entities in the listing's order.
    pub entities: Vec<Entity>,
    /// Where the next page begins, if there is one.
    pub next: Option<String>,
}

/// That an entity is due.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Due {
    /// When it became due, or will.
    pub at: Timestamp,
    /// The key of the locks or the stage attempt.
    pub key: Key,
}

/// What went wrong in the store.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Another writer was first (or the entity exists, or does not): read again and decide again.
    #[error("{0} was changed by another writer")]
    Conflict(String),
    /// An entity cannot be read as what it should be.
    #[error("the item {key} cannot be read: {cause}")]
    Corrupt {
        /// The key of the item, for the log.
        key: String,
        /// What kept it from being read.
        cause: String,
    },
    /// The cursor of a listing was not issued by this store.
    #[error("the page token is not valid")]
    Cursor,
    /// The store does not take it, however often it is tried: an item over 400 KB, two writes of one key.
    #[error("the store does not take it: {0}")]
    Refused(String),
    /// The store cannot be reached or is too busy; trying later may help.
    #[error("the store did not answer: {0}")]
    Unavailable(String),
}

/// Reads and conditional writes. The one source of truth of everything that runs.
#[async_trait]
pub trait Store: Send + Sync {
    /// Reads entities, strongly consistent, in the order of the keys.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`], [`StoreError::Corrupt`].
    async fn load(&self, keys: &[Key]) -> Result<Vec<Option<Versioned>>, StoreError>;

    /// Writes all or nothing. At most [`MOST_WRITES`] writes.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when a condition does not hold; [`StoreError::Refused`] when it has more
    /// than [`MOST_WRITES`] writes, two writes of one key, or an item over 400 KB; [`StoreError::Unavailable`].
    async fn commit(&self, writes: Vec<Write>) -> Result<(), StoreError>;

    /// Lists entities, a page of at most `limit` at a time. Listings by index may lag behind writes.
    ///
    /// # Errors
    /// [`StoreError::Cursor`] for a cursor that this listing did not give.
    async fn list(&self, listing: &Listing, after: Option<&str>, limit: usize) -> Result<Page, StoreError>;

    /// Entities of one shard (of [`DUE_SHARDS`]) that were or are due between the two times, both included: the most
    /// overdue first, at most `limit`. May lag behind writes.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn due(&self, shard: u64, from: Timestamp, to: Timestamp, limit: usize) -> Result<Vec<Due>, StoreError>;

    /// With what secrets are sealed before they come into this store.
    fn secrets(&self) -> &dyn Secrets {
        &NoSecrets
    }
}
