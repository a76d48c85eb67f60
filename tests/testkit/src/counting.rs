//! A store that notes what is asked of it.

use std::sync::Mutex;

use async_trait::async_trait;
use engine::Timestamp;
use store::{Due, Key, Listing, MemoryStore, Page, Secrets, Store, StoreError, Versioned, Write};

/// A request to the table. What a store does without one (nothing read, nothing written) is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TableRequest {
    /// One read of all these keys.
    Read(Vec<Key>),
    /// One commit that writes or deletes all these keys.
    Write(Vec<Key>),
    /// A page of a listing.
    List(Listing),
    /// A page of what is due in a shard.
    Due(u64),
}

/// The in-memory store, which notes each request.
#[derive(Default)]
pub struct CountingStore {
    store: MemoryStore,
    requests: Mutex<Vec<TableRequest>>,
}

impl CountingStore {
    /// The requests since the last call, in their order.
    pub fn requests(&self) -> Vec<TableRequest> {
        std::mem::take(&mut *self.requests.lock().unwrap())
    }

    fn note(&self, request: TableRequest) {
        self.requests.lock().unwrap().push(request);
    }
}

#[async_trait]
impl Store for CountingStore {
    fn secrets(&self) -> &dyn Secrets {
        self.store.secrets()
    }

    async fn load(&self, keys: &[Key]) -> Result<Vec<Option<Versioned>>, StoreError> {
        if !keys.is_empty() {
            self.note(TableRequest::Read(keys.to_vec()));
        }
        self.store.load(keys).await
    }

    async fn commit(&self, writes: Vec<Write>) -> Result<(), StoreError> {
        if !writes.is_empty() {
            self.note(TableRequest::Write(writes.iter().map(Write::key).collect()));
        }
        self.store.commit(writes).await
    }

    async fn list(&self, listing: &Listing, after: Option<&str>, limit: usize) -> Result<Page, StoreError> {
        self.note(TableRequest::List(listing.clone()));
        self.store.list(listing, after, limit).await
    }

    async fn due(&self, shard: u64, from: Timestamp, to: Timestamp, limit: usize) -> Result<Vec<Due>, StoreError> {
        self.note(TableRequest::Due(shard));
        self.store.due(shard, from, to, limit).await
    }
}
