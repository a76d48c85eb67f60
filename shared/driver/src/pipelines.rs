//! Creating, reading, changing and deleting pipelines.

use std::collections::BTreeMap;
use std::sync::Arc;

use engine::{Decision, ExecutionId, Head, Incarnation, StageLocks, Start, TransitionChange, Trigger};
use pipeline::{Action, ActionName, Declaration, Pipeline, PipelineName, StageName};
use store::{Entity, Expect, Key, Listing, Page, Source, StoreError, StoredDeclaration, Write};

use crate::backoff::UNCONTENDED;
use crate::commit::{Driver, entities};
use crate::error::DriveError;
use crate::start::variables;

/// A pipeline and one version of its declaration.
#[derive(Clone, Debug)]
pub struct PipelineRecord {
    /// Which version is current, tags, times.
    pub head: Head,
    /// The version asked for.
    pub version: u32,
    /// When the version was stored.
    pub stored: engine::Timestamp,
    /// The declaration.
    pub pipeline: Arc<Pipeline>,
}

impl PipelineRecord {
    /// The name of a stage of this version.
    ///
    /// # Errors
    /// [`DriveError::StageNotFound`].
    pub fn stage(&self, name: &str) -> Result<StageName, DriveError> {
        let stage = self.pipeline.stages().iter().find(|stage| stage.name.as_str() == name);
        stage.map(|stage| stage.name.clone()).ok_or_else(|| DriveError::StageNotFound {
            pipeline: self.head.pipeline.to_string(),
            stage: name.chars().take(100).collect(),
        })
    }
}

impl Driver {
    /// Stores a new pipeline and, in the same commit, starts its first execution; a pipeline with a variable that has
    /// no value by default does not start by itself.
    ///
    /// # Errors
    /// [`DriveError::Invalid`] for a declaration that breaks rules, [`DriveError::NameInUse`].
    pub async fn create_pipeline(
        &self,
        declaration: Declaration,
        tags: BTreeMap<String, String>,
        trigger: Trigger,
    ) -> Result<PipelineRecord, DriveError> {
        let types = self.types_of(&declaration).await?;
        let pipeline = Arc::new(Pipeline::with_types(declaration, &types)?);
        pipeline.check_home(&self.home)?;
        let now = self.clock.now();
        let head = Head {
            pipeline: pipeline.name().clone(),
            incarnation: Incarnation(self.clock.random()),
            version: 1,
            created: now,
            updated: now,
            kind: pipeline.kind(),
            mode: pipeline.mode(),
            tags,
        };
        let locks = StageLocks::new(head.pipeline.clone(), head.incarnation);
        let first = match variables(&pipeline, &BTreeMap::new()) {
            Err(_) => Decision { locks: Some(locks), ..Decision::default() },
            Ok(variables) => {
                let id = ExecutionId::from_random(self.clock.random());
                let start = Start { id, trigger, variables, overrides: Vec::new() };
                self.decide(|context| engine::start(pipeline.clone(), &head, locks, start, context))?
            }
        };
        let mut writes = vec![
            Write::Put { entity: Entity::Head(head.clone()), expect: Expect::Absent },
            self.declaration_write(&head, &pipeline).await?,
        ];
        writes.extend(entities(&first).map(|entity| Write::Put { entity, expect: Expect::Absent }));
        match self.commit_watching(writes, None, Some(&pipeline)).await {
            Ok(()) => self.follow(first.effects).await,
            Err(StoreError::Conflict(_)) => return Err(DriveError::NameInUse(head.pipeline.to_string())),
            Err(error) => return Err(error.into()),
        }
        Ok(PipelineRecord { version: 1, stored: now, head, pipeline })
    }

    /// Stores the next version of a pipeline, and has executions of earlier ones cancelled, except for those of mode PARALLEL.
    ///
    /// # Errors
    /// [`DriveError::Invalid`], [`DriveError::PipelineNotFound`].
    pub async fn update_pipeline(&self, declaration: Declaration) -> Result<PipelineRecord, DriveError> {
        let mut attempt = 0;
        loop {
            let name = PipelineName::new(declaration.name.clone())?;
            let (mut head, revision) = self.head(&name).await?;
            let before = self.pipeline_version(&name, head.incarnation, head.version).await?;
            let types = self.types_of(&declaration).await?;
            let secret = types.clone().or(before.types());
            let unmasked = declaration.clone().unmask_from(before.declaration(), &secret);
            let pipeline = Arc::new(Pipeline::with_types(unmasked, &types)?);
            pipeline.check_home(&self.home)?;
            head.version += 1;
            head.updated = self.clock.now();
            head.kind = pipeline.kind();
            head.mode = pipeline.mode();
            let (locks, locks_revision) = self.locks(&head).await?;
            let decision = self.decide(|context| engine::update(locks, head.version, &pipeline, context));
            let mut writes = vec![
                Write::Put { entity: Entity::Head(head.clone()), expect: Expect::Revision(revision) },
                self.declaration_write(&head, &pipeline).await?,
            ];
            let changed = entities(&decision);
            writes.extend(changed.map(|entity| Write::Put { entity, expect: Expect::Revision(locks_revision) }));
            match self.commit_watching(writes, Some(&before), Some(&pipeline)).await {
                Ok(()) => {
                    self.follow(decision.effects).await;
                    return Ok(PipelineRecord { version: head.version, stored: head.updated, head, pipeline });
                }
                Err(error) => self.back_off(&mut attempt, UNCONTENDED, error).await?,
            }
        }
    }

    /// The write of a version; the parts of a large one are written now, when nobody knows of them.
    async fn declaration_write(&self, head: &Head, pipeline: &Pipeline) -> Result<Write, StoreError> {
        let mut declaration = pipeline.declaration().clone();
        declaration.version = Some(head.version);
        let whole = StoredDeclaration {
            pipeline: head.pipeline.clone(),
            incarnation: head.incarnation,
            version: head.version,
            created: head.updated,
            declaration,
            types: pipeline.types().all().cloned().collect(),
            parts: None,
        };
        let (parts, stored) = whole.sealed(self.store.secrets()).await?.cut(self.clock.random())?;
        for part in parts {
            self.store.commit(vec![Write::Put { entity: Entity::Part(part), expect: Expect::Absent }]).await?;
        }
        Ok(Write::Put { entity: Entity::Declaration(stored), expect: Expect::Absent })
    }

    /// A write of the locks as they are. A head's revisions begin anew when a pipeline of the same name is created;
    /// this keeps a change of the deleted one from being written over it.
    async fn still_there(&self, head: &Head) -> Result<Write, DriveError> {
        let (locks, revision) = self.locks(head).await?;
        Ok(Write::Put { entity: Entity::StageLocks(locks), expect: Expect::Revision(revision) })
    }

    /// What a pipeline's source actions watch; those that are not to find changes by themselves watch nothing.
    pub(crate) fn sources(&self, pipeline: &Pipeline) -> Vec<Source> {
        let actions = pipeline.stages()[0].actions.iter().filter(|action| action.detects_changes());
        let source = |action: &Action| {
            let region = action.region.as_ref().map_or(self.home.as_str(), |region| region.as_str());
            Some(Source {
                watched: (self.sources.watched)(action, region)?,
                pipeline: pipeline.name().clone(),
                action: action.name.to_string(),
                detail: BTreeMap::new(),
            })
        };
        actions.filter_map(source).collect()
    }

    /// Commits a change of a head together with the change of what its sources watch. Apart from each other, a
    /// removal that comes late could take away what a later version or a new pipeline of that name needs.
    async fn commit_watching(
        &self,
        mut writes: Vec<Write>,
        before: Option<&Pipeline>,
        after: Option<&Pipeline>,
    ) -> Result<(), StoreError> {
        let sources = |pipeline: Option<&Pipeline>| pipeline.map(|it| self.sources(it)).unwrap_or_default();
        let (old, new) = (sources(before), sources(after));
        let keys: Vec<_> = new.iter().map(|source| Entity::Source(source.clone()).key()).collect();
        let mut watch: Vec<Write> =
            new.into_iter().map(|it| Write::Put { entity: Entity::Source(it), expect: Expect::Any }).collect();
        let free = store::MOST_WRITES.saturating_sub(writes.len());
        // More sources than that in one pipeline: what is written too early and not needed does no harm.
        for some in watch.split_off(watch.len().min(free)).chunks(store::MOST_WRITES) {
            self.store.commit(some.to_vec()).await?;
        }
        let stale = old.into_iter().map(|it| Entity::Source(it).key()).filter(|key| !keys.contains(key));
        // Nor does what stays.
        let unwatch = stale.map(|key| Write::Delete { key, expect: Expect::Any }).take(free - watch.len());
        writes.extend(watch);
        writes.extend(unwatch);
        self.store.commit(writes).await
    }

    /// The pipelines whose current version has a source action that watches this, with that action.
    ///
    /// # Errors
    /// The store's.
    pub async fn watchers(&self, watched: &str) -> Result<Vec<(PipelineName, ActionName)>, DriveError> {
        let listing = Listing::Sources(watched.to_owned());
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = self.store.list(&listing, after.as_deref(), 100).await?;
            for entity in page.entities {
                let Entity::Source(source) = entity else {
                    continue;
                };
                let record = match self.pipeline(&source.pipeline, None).await {
                    Err(DriveError::PipelineNotFound(_)) => continue,
                    record => record?,
                };
                if self.sources(&record.pipeline).contains(&source) {
                    found.push((source.pipeline, ActionName::new(source.action)?));
                }
            }
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(found),
            }
        }
    }

    /// A version of a pipeline, the current one by default.
    ///
    /// # Errors
    /// [`DriveError::PipelineNotFound`], [`DriveError::VersionNotFound`].
    pub async fn pipeline(&self, name: &PipelineName, version: Option<u32>) -> Result<PipelineRecord, DriveError> {
        let (head, _) = self.head(name).await?;
        let version = version.unwrap_or(head.version);
        let key = Key::Declaration(name.clone(), head.incarnation, version);
        let stored = match self.load_one(key).await?.map(|found| found.entity) {
            Some(Entity::Declaration(stored)) => stored.created,
            _ => {
                return Err(DriveError::VersionNotFound { pipeline: name.to_string(), version });
            }
        };
        let pipeline = self.pipeline_version(name, head.incarnation, version).await?;
        Ok(PipelineRecord { head, version, stored, pipeline })
    }

    /// A page of pipelines by name.
    ///
    /// # Errors
    /// [`StoreError::Cursor`] for a cursor that this store did not issue.
    pub async fn pipelines(&self, after: Option<&str>, limit: usize) -> Result<Page, DriveError> {
        Ok(self.store.list(&Listing::Pipelines, after, limit).await?)
    }

    /// Deletes a pipeline; executions that run are cancelled. A pipeline that is not there is no error, as on AWS.
    ///
    /// # Errors
    /// The store's.
    pub async fn delete_pipeline(&self, name: &PipelineName) -> Result<(), DriveError> {
        let mut attempt = 0;
        loop {
            let (head, revision) = match self.head(name).await {
                Err(DriveError::PipelineNotFound(_)) => return Ok(()),
                found => found?,
            };
            let (locks, locks_revision) = match self.locks(&head).await {
                Err(DriveError::PipelineNotFound(_)) => return Ok(()),
                found => found?,
            };
            let decision = self.decide(|context| engine::delete(locks, context));
            let Some(locks) = decision.locks else {
                return Ok(());
            };
            // What it watches is removed where it can be read; nothing hinders the deletion.
            let before = self.pipeline_version(name, head.incarnation, head.version).await.ok();
            let writes = vec![
                Write::Delete { key: Key::Head(name.clone()), expect: Expect::Revision(revision) },
                Write::Put { entity: Entity::StageLocks(locks), expect: Expect::Revision(locks_revision) },
            ];
            match self.commit_watching(writes, before.as_deref(), None).await {
                Ok(()) => {
                    self.follow(decision.effects).await;
                    return Ok(());
                }
                Err(error) => self.back_off(&mut attempt, UNCONTENDED, error).await?,
            }
        }
    }

    /// Changes a pipeline's tags. Answers whether it did: the change says whether what it made is to be stored.
    ///
    /// # Errors
    /// [`DriveError::PipelineNotFound`].
    pub async fn change_tags(
        &self,
        name: &PipelineName,
        change: impl Fn(&mut BTreeMap<String, String>) -> bool + Send + Sync,
    ) -> Result<bool, DriveError> {
        let mut attempt = 0;
        loop {
            let (mut head, revision) = self.head(name).await?;
            if !change(&mut head.tags) {
                return Ok(false);
            }
            let still_there = self.still_there(&head).await?;
            let write = Write::Put { entity: Entity::Head(head), expect: Expect::Revision(revision) };
            match self.store.commit(vec![write, still_there]).await {
                Ok(()) => return Ok(true),
                Err(error) => self.back_off(&mut attempt, UNCONTENDED, error).await?,
            }
        }
    }

    /// Closes (with a reason) or opens the inbound transition of a stage.
    ///
    /// # Errors
    /// [`DriveError::PipelineNotFound`], [`DriveError::StageNotFound`]; [`engine::Refusal::NoTransitions`].
    pub async fn set_transition(
        &self,
        name: &PipelineName,
        stage: &str,
        disable: Option<String>,
        by: String,
    ) -> Result<(), DriveError> {
        let mut attempt = 0;
        loop {
            let (head, _) = self.head(name).await?;
            let pipeline = self.pipeline_version(name, head.incarnation, head.version).await?;
            let declared = pipeline.stages().iter().find(|declared| declared.name.as_str() == stage);
            let not_found =
                || DriveError::StageNotFound { pipeline: name.to_string(), stage: stage.chars().take(100).collect() };
            let change = TransitionChange {
                mode: pipeline.mode(),
                stage: declared.ok_or_else(not_found)?.name.clone(),
                disable: disable.clone(),
                by: by.clone(),
            };
            let (locks, revision) = self.locks(&head).await?;
            let decision = self.decide(|context| engine::set_transition(locks, change, context))?;
            let Some(locks) = decision.locks else {
                return Ok(());
            };
            let write = Write::Put { entity: Entity::StageLocks(locks), expect: Expect::Revision(revision) };
            match self.store.commit(vec![write]).await {
                Ok(()) => {
                    self.follow(decision.effects).await;
                    return Ok(());
                }
                Err(error) => self.back_off(&mut attempt, UNCONTENDED, error).await?,
            }
        }
    }
}
