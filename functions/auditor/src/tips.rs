//! The log's last line, as the table has it.

use std::sync::Arc;

use async_trait::async_trait;
use audit::{PortError, Tip, Tips};
use store::{Expect, Key, Store, StoreError, Versioned, Write};

/// How often another writer may be first in a row.
const TRIES: usize = 20;

/// Notes the tip in the table.
pub struct TableTips {
    store: Arc<dyn Store>,
}

impl TableTips {
    /// The tip of the installation whose table this is.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store }
    }

    async fn found(&self) -> Result<Option<Versioned<Tip>>, PortError> {
        self.store.get(Key::AuditTip).await.map_err(failed)
    }
}

fn failed(error: StoreError) -> PortError {
    PortError(error.to_string())
}

#[async_trait]
impl Tips for TableTips {
    async fn load(&self) -> Result<Option<Tip>, PortError> {
        Ok(self.found().await?.map(|found| found.entity))
    }

    async fn note(&self, tip: &Tip) -> Result<(), PortError> {
        for _ in 0..TRIES {
            let expect = match self.found().await? {
                Some(found) if found.entity.object >= tip.object => return Ok(()),
                Some(found) => found.unchanged(),
                None => Expect::Absent,
            };
            match self.store.commit(vec![Write::put(tip.clone(), expect)]).await {
                Err(StoreError::Conflict(_)) => {}
                noted => return noted.map_err(failed),
            }
        }
        Err(PortError("the audit log's tip is always noted by another writer first".into()))
    }
}
