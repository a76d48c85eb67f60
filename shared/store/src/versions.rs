//! Versions of pipelines as they were stored. None ever changes, so each is read once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use engine::{Incarnation, Timestamp};
use pipeline::{Pipeline, PipelineName};

use crate::{Key, Store, StoreError, load_declaration};

/// When more than this many are remembered, all are forgotten.
const MOST: usize = 100;

/// A version of a pipeline.
#[derive(Clone, Debug)]
pub struct PipelineVersion {
    /// When this version was stored.
    pub created: Timestamp,
    /// The checked declaration of this version.
    pub pipeline: Arc<Pipeline>,
}

/// The versions that this process has read.
#[derive(Debug, Default)]
pub struct PipelineVersions(Mutex<HashMap<Key, PipelineVersion>>);

impl PipelineVersions {
    /// A version of a pipeline; none where there is no such one.
    ///
    /// # Errors
    /// The store's; [`StoreError::Corrupt`] when it cannot be read as a pipeline.
    pub async fn get(
        &self,
        store: &dyn Store,
        name: &PipelineName,
        incarnation: Incarnation,
        version: u32,
    ) -> Result<Option<PipelineVersion>, StoreError> {
        let key = Key::Declaration(name.clone(), incarnation, version);
        if let Some(known) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(Some(known.clone()));
        }
        let Some(stored) = load_declaration(store, key.clone()).await? else { return Ok(None) };
        let types = stored.types.into_iter().collect();
        let pipeline = Pipeline::stored(stored.declaration, types)
            .map_err(|error| StoreError::Corrupt { key: format!("{key:?}"), cause: error.to_string() })?;
        let read = PipelineVersion { created: stored.created, pipeline: Arc::new(pipeline) };
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(key, read.clone());
        Ok(Some(read))
    }
}
