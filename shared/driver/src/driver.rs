//! The driver: what it works with, and what it reads of pipelines.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use engine::{Context, Head, Incarnation, Policy, StageLocks, Timestamp};
use pipeline::{Pipeline, PipelineName};
use store::{Key, PipelineVersion, PipelineVersions, StartToken, Store, Versioned};

use crate::error::DriveError;
use crate::ports::{Clock, Dispatch, SourceRules};

/// When the incarnations of more pipelines than this are remembered, all are forgotten.
const MOST_KNOWN: usize = 10_000;

/// What a driver works with.
pub struct Setup {
    /// Where pipelines and executions are kept.
    pub store: Arc<dyn Store>,
    /// Sends messages to other functions after a commit.
    pub dispatch: Arc<dyn Dispatch>,
    /// Gives the time, random ids and pauses.
    pub clock: Arc<dyn Clock>,
    /// Lease, grace and poll periods, and who may approve.
    pub policy: Policy,
    /// The region in which pipelines live.
    pub home: String,
    /// What the providers of sources say about declarations.
    pub sources: SourceRules,
}

/// The one way in which anything changes.
pub struct Driver {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) dispatch: Arc<dyn Dispatch>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) policy: Policy,
    pub(crate) home: String,
    pub(crate) sources: SourceRules,
    versions: PipelineVersions,
    /// Under which incarnation a pipeline was last found: only a hint where its locks may be.
    incarnations: Mutex<HashMap<PipelineName, Incarnation>>,
}

/// What tells how a pipeline stands, read together. Of two items one may be older than the other: whoever writes either
/// on what both say must see that their versions agree, or write both on condition.
pub(crate) struct PipelineItems {
    pub head: Versioned<Head>,
    pub locks: Versioned<StageLocks>,
    /// The start for which the client token was used that was asked for.
    pub used: Option<StartToken>,
}

impl PipelineItems {
    /// The locks' key with their revision, as what a decision was made on.
    pub fn read(&self) -> HashMap<Key, u64> {
        HashMap::from([(locks_key(&self.head.entity), self.locks.revision)])
    }
}

fn locks_key(head: &Head) -> Key {
    Key::StageLocks(head.pipeline.clone(), head.incarnation)
}

impl Driver {
    /// A driver over these parts.
    pub fn new(setup: Setup) -> Self {
        Self {
            store: setup.store,
            dispatch: setup.dispatch,
            clock: setup.clock,
            policy: setup.policy,
            home: setup.home,
            sources: setup.sources,
            versions: PipelineVersions::default(),
            incarnations: Mutex::default(),
        }
    }

    /// The store, for reading only: whatever writes goes through the driver's own methods.
    pub fn store(&self) -> &dyn Store {
        self.store.as_ref()
    }

    /// The time as this driver's clock has it.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The region in which pipelines live.
    pub fn home(&self) -> &str {
        &self.home
    }

    /// Calls the engine with the time, chance and periods of this driver.
    pub(crate) fn decide<T>(&self, decide: impl FnOnce(&mut Context<'_>) -> T) -> T {
        let mut random = || self.clock.random();
        let mut context =
            Context { now: self.clock.now(), policy: &self.policy, home: &self.home, random: &mut random };
        decide(&mut context)
    }

    /// A stored version of a pipeline, with its time.
    pub(crate) async fn stored_version(
        &self,
        name: &PipelineName,
        incarnation: Incarnation,
        version: u32,
    ) -> Result<PipelineVersion, DriveError> {
        let found = self.versions.get(&*self.store, name, incarnation, version).await?;
        found.ok_or_else(|| DriveError::VersionNotFound { pipeline: name.to_string(), version })
    }

    /// A stored version of a pipeline.
    pub(crate) async fn pipeline_version(
        &self,
        name: &PipelineName,
        incarnation: Incarnation,
        version: u32,
    ) -> Result<Arc<Pipeline>, DriveError> {
        Ok(self.stored_version(name, incarnation, version).await?.pipeline)
    }

    /// A pipeline's head, if there is a pipeline of this name.
    ///
    /// # Errors
    /// [`DriveError::PipelineNotFound`].
    pub async fn pipeline_head(&self, name: &PipelineName) -> Result<Head, DriveError> {
        let head = self.store.get::<Head>(Key::Head(name.clone())).await?;
        Ok(head.ok_or_else(|| DriveError::no_pipeline(name))?.entity)
    }

    /// The head and the locks of a pipeline, and what was started with a client token.
    pub(crate) async fn items(&self, name: &PipelineName, token: Option<&str>) -> Result<PipelineItems, DriveError> {
        let mut incarnation = self.incarnations.lock().unwrap_or_else(PoisonError::into_inner).get(name).copied();
        loop {
            let mut keys = vec![Key::Head(name.clone())];
            if let Some(incarnation) = incarnation {
                keys.push(Key::StageLocks(name.clone(), incarnation));
                keys.extend(token.map(|token| Key::Token(name.clone(), incarnation, token.to_owned())));
            }
            let mut found = self.store.load(&keys).await?.into_iter();
            let head = found.next().flatten().map(Versioned::typed::<Head>).transpose()?;
            let head = head.ok_or_else(|| DriveError::no_pipeline(name))?;
            if incarnation == Some(head.entity.incarnation) {
                let locks = found.next().flatten().map(Versioned::typed::<StageLocks>).transpose()?;
                // Or it was deleted between the two reads.
                let locks = locks.filter(|locks| !locks.entity.deleted);
                let locks = locks.ok_or_else(|| DriveError::no_pipeline(name))?;
                let used = found.next().flatten().map(Versioned::typed::<StartToken>).transpose()?;
                return Ok(PipelineItems { head, locks, used: used.map(|used| used.entity) });
            }
            // The pipeline was not known, or another one of its name has been created: its other items are elsewhere.
            incarnation = Some(head.entity.incarnation);
            let mut known = self.incarnations.lock().unwrap_or_else(PoisonError::into_inner);
            if known.len() >= MOST_KNOWN {
                known.clear();
            }
            known.insert(name.clone(), head.entity.incarnation);
        }
    }
}
