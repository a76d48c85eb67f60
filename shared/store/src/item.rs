//! What is written for an entity, and the limits of a commit. Both twins check the same ones, so what the in-memory
//! twin takes, the table takes as well.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::{Entity, Key, StoreError, Write};

/// Most writes of a commit. DynamoDB takes 100 in a transaction, the DynamoDB Local that LocalStack runs on takes 10.
/// So few items can never be more than the 4 MB that a transaction may have.
pub const MOST_WRITES: usize = 10;
/// Bytes of an item with the names of its attributes. Source: DynamoDB developer guide, "Quotas".
const MOST_ITEM: usize = 400 * 1_024;
/// Bytes for the attributes' names, the numbers, the write's id and who caused it: never more than this.
const OVERHEAD: usize = 1_536;

/// Into how many shards what is due is divided, so that a step of one pipeline does not wait for another's.
pub const DUE_SHARDS: u64 = 8;

/// An entity as the table keeps it. The in-memory twin makes it only to see that it fits.
#[cfg_attr(not(feature = "dynamodb"), allow(dead_code))]
pub(crate) struct Item {
    pub pk: String,
    pub sk: String,
    pub kind: &'static str,
    pub body: String,
    /// Partition and sort key in the index `listing`.
    pub listing: Option<(String, String)>,
    /// Partition in the index `due`, and when, in milliseconds since 1970.
    pub due: Option<(String, i64)>,
    /// When DynamoDB may delete it, in seconds since 1970; none: it is kept.
    pub expires: Option<i64>,
}

/// The shard in which an entity is, when it is due.
pub(crate) fn due_shard(key: &Key) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.pair().0.hash(&mut hasher);
    hasher.finish() % DUE_SHARDS
}

/// The partition of the `due` index for this shard.
pub(crate) fn due_partition(shard: u64) -> String {
    format!("DUE#{shard}")
}

impl Item {
    fn of(entity: &Entity) -> Result<Self, StoreError> {
        let (pk, sk) = entity.key().pair();
        let refused = |cause: String| StoreError::Refused(format!("the {} {pk}/{sk} {cause}", entity.kind()));
        let body = entity.to_json().map_err(|error| refused(format!("cannot be written: {error}")))?;
        // Readers ask all partitions: an item may change its partition with the next release.
        let due = entity.due().map(|due| (due_partition(due_shard(&entity.key())), due.0));
        let item =
            Self { kind: entity.kind(), body, listing: entity.listing(), due, expires: entity.expires(), pk, sk };
        if item.size() > MOST_ITEM {
            return Err(StoreError::Refused(format!(
                "the {} {}/{} has {} bytes, more than the {MOST_ITEM} of an item",
                item.kind,
                item.pk,
                item.sk,
                item.size()
            )));
        }
        Ok(item)
    }

    fn size(&self) -> usize {
        let listing = self.listing.as_ref().map_or(0, |(pk, sk)| pk.len() + sk.len());
        self.pk.len() + self.sk.len() + self.kind.len() + self.body.len() + listing + OVERHEAD
    }
}

/// The items of a commit, none for a removal, in the order of the writes.
///
/// # Errors
/// [`StoreError::Refused`] when it has too many writes, two writes of one key, or too large an item.
pub(crate) fn items(writes: &[Write]) -> Result<Vec<Option<Item>>, StoreError> {
    if writes.len() > MOST_WRITES {
        return Err(StoreError::Refused(format!("a commit of {} writes, more than {MOST_WRITES}", writes.len())));
    }
    let mut seen = HashSet::new();
    let mut items = Vec::with_capacity(writes.len());
    for write in writes {
        let key = write.key();
        if seen.contains(&key) {
            let (pk, sk) = key.pair();
            return Err(StoreError::Refused(format!("a commit with two writes of {pk}/{sk}")));
        }
        seen.insert(key);
        let item = match write {
            Write::Put { entity, .. } => Some(Item::of(entity)?),
            Write::Delete { .. } => None,
        };
        items.push(item);
    }
    Ok(items)
}
