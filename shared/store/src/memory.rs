//! The in-memory twin: the same keys, conditions and listings over a map.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use engine::Timestamp;

use crate::item::{due_shard, items};
use crate::{
    ChangeOrigin, Due, Entity, Expect, Key, Listing, Page, SecretOwner, Secrets, Store, StoreError, Versioned, Write,
    cursor,
};

/// Everything in memory. Lists and due items are never late here.
#[derive(Default)]
pub struct MemoryStore {
    items: Mutex<BTreeMap<(String, String), Versioned>>,
    changed_by: Mutex<BTreeMap<(String, String), Option<ChangeOrigin>>>,
}

impl MemoryStore {
    /// A store with nothing in it.
    pub fn new() -> Self {
        Self::default()
    }

    /// Everything in it, for checks from outside.
    pub fn dump(&self) -> Vec<Versioned> {
        self.items().values().cloned().collect()
    }

    /// Who caused the last write under a key.
    pub fn changed_by(&self, key: &Key) -> Option<ChangeOrigin> {
        self.changed_by.lock().unwrap_or_else(PoisonError::into_inner).get(&key.pair()).cloned().flatten()
    }

    fn items(&self) -> MutexGuard<'_, BTreeMap<(String, String), Versioned>> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn holds(expect: Expect, found: Option<&Versioned>) -> bool {
    match expect {
        Expect::Absent => found.is_none(),
        Expect::Revision(revision) => found.is_some_and(|found| found.revision == revision),
        Expect::Any => true,
    }
}

#[async_trait]
impl Store for MemoryStore {
    fn secrets(&self) -> &dyn Secrets {
        &MemorySecrets
    }

    async fn load(&self, keys: &[Key]) -> Result<Vec<Option<Versioned>>, StoreError> {
        let items = self.items();
        Ok(keys.iter().map(|key| items.get(&key.pair()).cloned()).collect())
    }

    async fn commit(&self, writes: Vec<Write>) -> Result<(), StoreError> {
        items(&writes)?;
        let mut items = self.items();
        for write in &writes {
            let (Write::Put { expect, .. } | Write::Delete { expect, .. }) = write;
            let pair = write.key().pair();
            if !holds(*expect, items.get(&pair)) {
                return Err(StoreError::Conflict(format!("{}/{}", pair.0, pair.1)));
            }
        }
        let mut changed_by = self.changed_by.lock().unwrap_or_else(PoisonError::into_inner);
        for write in writes {
            let pair = write.key().pair();
            changed_by.insert(pair.clone(), ChangeOrigin::current());
            match write {
                Write::Put { entity, .. } => {
                    let revision = items.get(&pair).map_or(0, |found| found.revision) + 1;
                    items.insert(pair, Versioned { revision, entity });
                }
                Write::Delete { .. } => {
                    items.remove(&pair);
                }
            }
        }
        Ok(())
    }

    async fn list(&self, listing: &Listing, after: Option<&str>, limit: usize) -> Result<Page, StoreError> {
        let (by_index, partition, prefix) = listing.range();
        let after = after.map(|after| cursor::decode(listing, after)).transpose()?;
        let items = self.items();
        let mut found: Vec<(String, &Entity)> = items
            .iter()
            .filter_map(|((pk, sk), item)| {
                let (pk, sk) = if by_index { item.entity.listing()? } else { (pk.clone(), sk.clone()) };
                (pk == partition && sk.starts_with(prefix)).then_some((sk, &item.entity))
            })
            .filter(|(sk, _)| after.as_ref().is_none_or(|after| *sk > after.sort))
            .collect();
        found.sort_by(|a, b| a.0.cmp(&b.0));
        let next =
            (found.len() > limit && limit > 0).then(|| cursor::encode(&found[limit - 1].0, &found[limit - 1].1.key()));
        Ok(Page { entities: found.into_iter().take(limit).map(|(_, entity)| entity.clone()).collect(), next })
    }

    async fn due(&self, shard: u64, from: Timestamp, to: Timestamp, limit: usize) -> Result<Vec<Due>, StoreError> {
        let items = self.items();
        let due = |item: &Versioned| Some(Due { at: item.entity.due()?, key: item.entity.key() });
        let mut found: Vec<Due> = items.values().filter_map(due).collect();
        found.retain(|due| (from..=to).contains(&due.at) && due_shard(&due.key) == shard);
        found.sort();
        found.truncate(limit);
        Ok(found)
    }
}

/// No encryption, but as much of it as others can notice: nothing that is kept shows a secret, and nobody opens another's.
#[derive(Debug)]
struct MemorySecrets;

#[async_trait]
impl Secrets for MemorySecrets {
    async fn seal(&self, owner: SecretOwner<'_>, texts: Vec<String>) -> Result<Vec<String>, StoreError> {
        let (kind, name) = owner.pair();
        let hidden = |text: &String| hex::encode(text);
        Ok(texts.iter().map(|text| format!("{kind}/{name}/{}", hidden(text))).collect())
    }

    async fn open(&self, owner: SecretOwner<'_>, sealed: Vec<String>) -> Result<Vec<String>, StoreError> {
        let (kind, name) = owner.pair();
        let open = |text: &String| {
            let hidden = text.strip_prefix(&format!("{kind}/{name}/"))?;
            String::from_utf8(hex::decode(hidden).ok()?).ok()
        };
        let opened: Option<Vec<String>> = sealed.iter().map(open).collect();
        opened.ok_or_else(|| StoreError::Corrupt { key: format!("{kind} {name}"), cause: "it was not sealed".into() })
    }
}
