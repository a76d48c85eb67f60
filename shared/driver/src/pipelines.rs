//! Creating, reading, changing and deleting pipelines.

use std::collections::BTreeMap;
use std::sync::Arc;

use engine::{Head, Lanes, TransitionChange};
use pipeline::{ActionName, Declaration, Pipeline, PipelineName, StageName};
use store::{Entity, Expect, Key, Listing, Page, Source, StoreError, StoredDeclaration, Write};

use crate::commit::Driver;
use crate::error::DriveError;

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

/// The key under which the watchers of an S3 object are kept.
pub fn s3_source(bucket: &str, key: &str) -> String {
    format!("s3/{bucket}/{key}")
}

/// What a pipeline's source actions watch.
fn sources(pipeline: &Pipeline) -> Vec<Source> {
    pipeline.stages()[0]
        .actions
        .iter()
        .filter(|action| action.type_id.provider == "S3")
        .filter_map(|action| {
            let watched = s3_source(action.configuration.get("S3Bucket")?, action.configuration.get("S3ObjectKey")?);
            Some(Source {
                watched,
                pipeline: pipeline.name().clone(),
                action: action.name.to_string(),
                detail: BTreeMap::new(),
            })
        })
        .collect()
}

impl Driver {
    /// Stores a new pipeline.
    ///
    /// # Errors
    /// [`DriveError::Invalid`] for a declaration that breaks rules, [`DriveError::NameInUse`].
    pub async fn create_pipeline(
        &self,
        declaration: Declaration,
        tags: BTreeMap<String, String>,
    ) -> Result<PipelineRecord, DriveError> {
        let pipeline = Arc::new(Pipeline::try_from(declaration)?);
        let now = self.clock.now();
        let head = Head {
            pipeline: pipeline.name().clone(),
            incarnation: self.clock.random(),
            version: 1,
            created: now,
            updated: now,
            kind: pipeline.kind(),
            mode: pipeline.mode(),
            tags,
        };
        self.watch(&pipeline).await?;
        let lanes = Lanes::new(head.pipeline.clone(), head.incarnation);
        let created = self
            .store
            .commit(vec![
                Write::Put { entity: Entity::Head(head.clone()), expect: Expect::Absent },
                self.declaration_write(&head, &pipeline),
                Write::Put { entity: Entity::Lanes(lanes), expect: Expect::Absent },
            ])
            .await;
        match created {
            Ok(()) => Ok(PipelineRecord { version: 1, stored: now, head, pipeline }),
            Err(StoreError::Conflict(_)) => Err(DriveError::NameInUse(head.pipeline.to_string())),
            Err(error) => Err(error.into()),
        }
    }

    /// Stores the next version of a pipeline. Executions that run keep to theirs.
    ///
    /// # Errors
    /// [`DriveError::Invalid`], [`DriveError::PipelineNotFound`].
    pub async fn update_pipeline(&self, declaration: Declaration) -> Result<PipelineRecord, DriveError> {
        let mut attempt = 0;
        loop {
            let name = PipelineName::new(declaration.name.clone())?;
            let (mut head, revision) = self.head(&name).await?;
            let before = self.pipeline_version(&name, head.incarnation, head.version).await?;
            let unmasked = declaration.clone().unmask_from(before.declaration());
            let pipeline = Arc::new(Pipeline::try_from(unmasked)?);
            head.version += 1;
            head.updated = self.clock.now();
            head.kind = pipeline.kind();
            head.mode = pipeline.mode();
            self.watch(&pipeline).await?;
            let updated = self
                .store
                .commit(vec![
                    Write::Put { entity: Entity::Head(head.clone()), expect: Expect::Revision(revision) },
                    self.declaration_write(&head, &pipeline),
                ])
                .await;
            match updated {
                Ok(()) => {
                    self.unwatch(&before, Some(&pipeline)).await;
                    return Ok(PipelineRecord { version: head.version, stored: head.updated, head, pipeline });
                }
                Err(error) => self.again(&mut attempt, error).await?,
            }
        }
    }

    fn declaration_write(&self, head: &Head, pipeline: &Pipeline) -> Write {
        let mut declaration = pipeline.declaration().clone();
        declaration.version = Some(head.version);
        Write::Put {
            entity: Entity::Declaration(StoredDeclaration {
                pipeline: head.pipeline.clone(),
                incarnation: head.incarnation,
                version: head.version,
                created: head.updated,
                declaration,
            }),
            expect: Expect::Absent,
        }
    }

    /// Writes what the sources watch, before the version that needs it: an entry that no version needs does no
    /// harm, since whoever finds it asks the current version.
    async fn watch(&self, pipeline: &Pipeline) -> Result<(), StoreError> {
        let writes: Vec<Write> = sources(pipeline)
            .into_iter()
            .map(|source| Write::Put { entity: Entity::Source(source), expect: Expect::Any })
            .collect();
        for some in writes.chunks(store::MOST_WRITES) {
            self.store.commit(some.to_vec()).await?;
        }
        Ok(())
    }

    /// Removes what a version watched and the next does not. What stays by mistake does no harm.
    async fn unwatch(&self, before: &Pipeline, after: Option<&Pipeline>) {
        let still = after.map(sources).unwrap_or_default();
        let stale: Vec<Write> = sources(before)
            .into_iter()
            .filter(|source| !still.contains(source))
            .map(|source| Write::Delete { key: Entity::Source(source).key(), expect: Expect::Any })
            .collect();
        for some in stale.chunks(store::MOST_WRITES) {
            if let Err(error) = self.store.commit(some.to_vec()).await {
                tracing::warn!(%error, "stale sources stay");
            }
        }
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
                if sources(&record.pipeline).contains(&source) {
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
    /// [`StoreError::Cursor`] for a cursor that is none.
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
            let (lanes, lanes_revision) = self.lanes(&head).await?;
            let decision = self.decide(|context| engine::delete(lanes, context));
            let Some(lanes) = decision.lanes else {
                return Ok(());
            };
            let deleted = self
                .store
                .commit(vec![
                    Write::Delete { key: Key::Head(name.clone()), expect: Expect::Revision(revision) },
                    Write::Put { entity: Entity::Lanes(lanes), expect: Expect::Revision(lanes_revision) },
                ])
                .await;
            match deleted {
                Ok(()) => {
                    if let Ok(before) = self.pipeline_version(name, head.incarnation, head.version).await {
                        self.unwatch(&before, None).await;
                    }
                    self.follow(decision.effects).await;
                    return Ok(());
                }
                Err(error) => self.again(&mut attempt, error).await?,
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
            let write = Write::Put { entity: Entity::Head(head), expect: Expect::Revision(revision) };
            match self.store.commit(vec![write]).await {
                Ok(()) => return Ok(true),
                Err(error) => self.again(&mut attempt, error).await?,
            }
        }
    }

    /// Closes (with a reason) or opens the inbound transition of a stage.
    ///
    /// # Errors
    /// [`DriveError::PipelineNotFound`], [`DriveError::StageNotFound`].
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
            let not_found =
                || DriveError::StageNotFound { pipeline: name.to_string(), stage: stage.chars().take(100).collect() };
            pipeline.stage_index(stage).ok_or_else(not_found)?;
            let change = TransitionChange {
                stage: StageName::new(stage).map_err(|_| not_found())?,
                disable: disable.clone(),
                by: by.clone(),
            };
            let (lanes, revision) = self.lanes(&head).await?;
            let decision = self.decide(|context| engine::set_transition(lanes, change, context))?;
            let Some(lanes) = decision.lanes else {
                return Ok(());
            };
            let write = Write::Put { entity: Entity::Lanes(lanes), expect: Expect::Revision(revision) };
            match self.store.commit(vec![write]).await {
                Ok(()) => {
                    self.follow(decision.effects).await;
                    return Ok(());
                }
                Err(error) => self.again(&mut attempt, error).await?,
            }
        }
    }
}
