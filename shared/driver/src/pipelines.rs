//! Creating, reading, changing and deleting pipelines.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use engine::{Decision, ExecutionId, Head, Incarnation, StageLocks, Start, TransitionChange, Trigger};
use pipeline::{Action, ActionName, Declaration, Pipeline, PipelineName, StageName};
use store::{Entity, Expect, Key, Listing, Page, PipelineVersion, Source, StoreError, StoredDeclaration, Write};

use crate::commit::Change;
use crate::driver::Driver;
use crate::error::DriveError;

/// A pipeline and one version of its declaration.
#[derive(Clone, Debug)]
pub struct PipelineRecord {
    /// Which version is current, tags, times.
    pub head: Head,
    /// The version that was asked for, from 1; not always the current one.
    pub version: u32,
    /// When the version was stored.
    pub stored: engine::Timestamp,
    /// The checked declaration of that version.
    pub pipeline: Arc<Pipeline>,
}

impl PipelineRecord {
    /// The name of a stage of this version.
    ///
    /// # Errors
    /// [`DriveError::StageNotFound`].
    pub fn stage(&self, name: &str) -> Result<StageName, DriveError> {
        stage_name(&self.pipeline, name)
    }
}

/// What changes with a version among the items that say what its sources watch and poll.
struct SourceItems {
    new: Vec<Write>,
    stale: Vec<Key>,
}

fn stage_name(pipeline: &Pipeline, name: &str) -> Result<StageName, DriveError> {
    let stage = pipeline.stages().iter().find(|stage| stage.name.as_str() == name);
    Ok(stage.ok_or_else(|| DriveError::no_stage(pipeline.name(), name))?.name.clone())
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
        let pipeline = Arc::new(Pipeline::in_home(declaration, &types, &self.home)?);
        self.transact(|| {
            Box::pin(async {
                if self.store.get::<Head>(Key::Head(pipeline.name().clone())).await?.is_some() {
                    return Err(DriveError::NameInUse(pipeline.name().to_string()));
                }
                let now = self.clock.now();
                let head = Head {
                    pipeline: pipeline.name().clone(),
                    incarnation: Incarnation(self.clock.random()),
                    version: 1,
                    created: now,
                    updated: now,
                    kind: pipeline.kind(),
                    mode: pipeline.mode(),
                    tags: tags.clone(),
                };
                let locks = StageLocks::new(head.pipeline.clone(), head.incarnation);
                let mut execution = None;
                let first = match engine::start_variables(&pipeline, &BTreeMap::new()) {
                    Err(_) => Decision { locks: Some(locks), ..Decision::default() },
                    Ok(variables) => {
                        let id = ExecutionId::from_random(self.clock.random());
                        execution = Some(id);
                        let start = Start { id, trigger: trigger.clone(), variables, overrides: Vec::new() };
                        self.decide(|context| engine::start(pipeline.clone(), &head, locks, start, context))?
                    }
                };
                let polls = self.begin_polls(&head, &pipeline, execution).await?;
                let version = self.declaration_write(&head, &pipeline).await?;
                let record = PipelineRecord { version: 1, stored: now, head, pipeline: pipeline.clone() };
                let mut change = Change::decided(first, &HashMap::new(), record);
                change.writes.splice(0..0, [Write::put(change.answer.head.clone(), Expect::Absent), version]);
                let sources = SourceItems { new: self.source_writes(&pipeline, polls), stale: Vec::new() };
                self.watch(&mut change.writes, sources).await?;
                Ok(change)
            })
        })
        .await
    }

    /// What an update of `before` to this declaration would store: secrets that are masked in it stay as they were.
    ///
    /// # Errors
    /// [`DriveError::Invalid`] with everything that is wrong with it.
    pub async fn updated(&self, before: &Pipeline, declaration: Declaration) -> Result<Pipeline, DriveError> {
        let types = self.types_of(&declaration).await?;
        let secret = types.clone().or(before.types());
        let unmasked = declaration.unmask_from(before.declaration(), &secret);
        Ok(Pipeline::in_home(unmasked, &types, &self.home)?)
    }

    /// Stores the next version of a pipeline, and has executions of earlier ones cancelled, except for those of mode PARALLEL.
    /// A declaration with a version is stored only while that one is the current.
    ///
    /// # Errors
    /// [`DriveError::Invalid`] with everything that is wrong with it, [`DriveError::PipelineNotFound`], and [`DriveError::VersionIsOld`]
    /// where it names a version that is not the current one any more.
    pub async fn update_pipeline(&self, declaration: Declaration) -> Result<PipelineRecord, DriveError> {
        let name = PipelineName::new(declaration.name.clone())?;
        self.transact(|| {
            Box::pin(async {
                let items = self.items(&name, None).await?;
                let (read, known) = (items.read(), items.head.unchanged());
                let mut head = items.head.entity;
                if let Some(version) = declaration.version.filter(|version| *version != head.version) {
                    return Err(DriveError::VersionIsOld { pipeline: name.to_string(), version, newest: head.version });
                }
                let before = self.pipeline_version(&name, head.incarnation, head.version).await?;
                let pipeline = Arc::new(self.updated(&before, declaration.clone()).await?);
                head.version += 1;
                head.updated = self.clock.now();
                head.kind = pipeline.kind();
                head.mode = pipeline.mode();
                let locks = items.locks.entity;
                let decision = self.decide(|context| engine::update(locks, head.version, &pipeline, context));
                let polls = self.begin_polls(&head, &pipeline, None).await?;
                let stale = self.stale_sources(&head, &before, Some(&pipeline));
                let sources = SourceItems { new: self.source_writes(&pipeline, polls), stale };
                let version = self.declaration_write(&head, &pipeline).await?;
                let (number, stored) = (head.version, head.updated);
                let record = PipelineRecord { version: number, stored, head, pipeline: pipeline.clone() };
                let mut change = Change::decided(decision, &read, record);
                change.writes.splice(0..0, [Write::put(change.answer.head.clone(), known), version]);
                self.watch(&mut change.writes, sources).await?;
                Ok(change)
            })
        })
        .await
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
            self.store.commit(vec![Write::put(part, Expect::Absent)]).await?;
        }
        Ok(Write::put(stored, Expect::Absent))
    }

    /// What a pipeline's source actions watch; those that are not to find changes by themselves watch nothing.
    pub(crate) fn sources(&self, pipeline: &Pipeline) -> Vec<Source> {
        let actions = pipeline.stages()[0].actions.iter().filter(|action| pipeline.is_watched(action));
        let source = |action: &Action| {
            Some(Source {
                watched: (self.sources.watched)(action, self.region(action))?,
                pipeline: pipeline.name().clone(),
                action: action.name.to_string(),
                detail: BTreeMap::new(),
            })
        };
        actions.filter_map(source).collect()
    }

    /// The items of what a version's sources watch, and of what begins to be polled with it.
    fn source_writes(&self, pipeline: &Pipeline, polls: Vec<Write>) -> Vec<Write> {
        self.sources(pipeline).into_iter().map(|it| Write::put(it, Expect::Any)).chain(polls).collect()
    }

    /// The keys of what a version's sources watch and poll, and those of the next one do not.
    fn stale_sources(&self, head: &Head, before: &Pipeline, after: Option<&Pipeline>) -> Vec<Key> {
        let keys = |pipeline| self.sources(pipeline).into_iter().map(|it| Entity::Source(it).key());
        let kept: Vec<_> = after.into_iter().flat_map(keys).collect();
        let stale = keys(before).filter(|key| !kept.contains(key));
        stale.chain(self.end_polls(head, before, after)).collect()
    }

    /// Adds to a change of a head the change of what its sources watch. Apart from each other, a removal that comes late
    /// could take away what a later version or a new pipeline of that name needs.
    async fn watch(&self, writes: &mut Vec<Write>, sources: SourceItems) -> Result<(), StoreError> {
        let SourceItems { new: mut watch, stale } = sources;
        let free = store::MOST_WRITES.saturating_sub(writes.len());
        // More sources than that in one pipeline: what is written too early and not needed does no harm.
        for some in watch.split_off(watch.len().min(free)).chunks(store::MOST_WRITES) {
            self.store.commit(some.to_vec()).await?;
        }
        // Nor does what stays.
        let unwatch = stale.into_iter().map(|key| Write::Delete { key, expect: Expect::Any }).take(free - watch.len());
        writes.extend(watch);
        writes.extend(unwatch);
        Ok(())
    }

    /// The pipelines whose current version has a source action that watches this, with that action. `account`: in which it is,
    /// if what another account calls the same is another thing; an action looks where its role is from.
    ///
    /// # Errors
    /// The store's.
    pub async fn watchers(
        &self,
        watched: &str,
        account: Option<&str>,
    ) -> Result<Vec<(PipelineName, ActionName)>, DriveError> {
        let mut found = Vec::new();
        for source in self.store.all::<Source>(&Listing::Sources(watched.to_owned())).await? {
            let record = match self.pipeline(&source.pipeline, None).await {
                Err(DriveError::PipelineNotFound(_)) => continue,
                record => record?,
            };
            let here = account.is_none_or(|account| looks_into(&record.pipeline, &source.action) == Some(account));
            if here && self.sources(&record.pipeline).contains(&source) {
                found.push((source.pipeline, ActionName::new(source.action)?));
            }
        }
        Ok(found)
    }

    /// A version of a pipeline, the current one by default.
    ///
    /// # Errors
    /// [`DriveError::PipelineNotFound`], [`DriveError::VersionNotFound`].
    pub async fn pipeline(&self, name: &PipelineName, version: Option<u32>) -> Result<PipelineRecord, DriveError> {
        self.record(self.pipeline_head(name).await?, version).await
    }

    /// A version of the pipeline with this head, the current one by default.
    pub(crate) async fn record(&self, head: Head, version: Option<u32>) -> Result<PipelineRecord, DriveError> {
        let version = version.unwrap_or(head.version);
        let PipelineVersion { created, pipeline } =
            self.stored_version(&head.pipeline, head.incarnation, version).await?;
        Ok(PipelineRecord { head, version, stored: created, pipeline })
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
        let deleted = self.transact(|| {
            Box::pin(async {
                let items = self.items(name, None).await?;
                let (read, head) = (items.read(), items.head);
                let decision = self.decide(|context| engine::delete(items.locks.entity, context));
                let mut change = Change::decided(decision, &read, ());
                change.writes.insert(0, Write::Delete { key: Key::Head(name.clone()), expect: head.unchanged() });
                // What it watches and polls is removed with it. A version that cannot be understood does not prevent the deletion; one
                // that cannot be read just now does, since what is polled would be polled for ever.
                let head = &head.entity;
                let before = match self.pipeline_version(name, head.incarnation, head.version).await {
                    Err(error @ DriveError::Store(StoreError::Unavailable(_))) => return Err(error),
                    before => before.ok(),
                };
                let stale = before.map(|before| self.stale_sources(head, &before, None)).unwrap_or_default();
                self.watch(&mut change.writes, SourceItems { new: Vec::new(), stale }).await?;
                Ok(change)
            })
        });
        match deleted.await {
            Err(DriveError::PipelineNotFound(_)) => Ok(()),
            deleted => deleted,
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
        self.forget_outcomes(name, &change).await?;
        self.transact(|| {
            Box::pin(async {
                let items = self.items(name, None).await?;
                let known = items.head.unchanged();
                let mut head = items.head.entity;
                if !change(&mut head.tags) {
                    return Ok(Change::of(Vec::new(), false));
                }
                // A head's revisions begin anew when a pipeline of the same name is created: the locks, written as they are,
                // keep a change of the deleted one from being written over it.
                let locks = items.locks.unchanged();
                Ok(Change::of(vec![Write::put(head, known), Write::put(items.locks.entity, locks)], true))
            })
        })
        .await
    }

    /// Forgets what the notification rules that such a change would change know of the pipeline: a rule that is another one then
    /// begins anew. It comes before the change, so that whoever dies in between has a rule tell something again, and not never.
    async fn forget_outcomes(
        &self,
        name: &PipelineName,
        change: impl Fn(&mut BTreeMap<String, String>) -> bool,
    ) -> Result<(), DriveError> {
        let head = self.pipeline_head(name).await?;
        let mut tags = head.tags.clone();
        if !change(&mut tags) {
            return Ok(());
        }
        let key = |rule: &String| Key::RuleOutcome(name.clone(), head.incarnation, rule.clone());
        for rules in pipeline::notification::changed(&head.tags, &tags).chunks(store::MOST_WRITES) {
            let forgotten = rules.iter().map(|rule| Write::Delete { key: key(rule), expect: Expect::Any });
            self.store.commit(forgotten.collect()).await?;
        }
        Ok(())
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
        self.transact(|| {
            Box::pin(async {
                let items = self.items(name, None).await?;
                let (read, head) = (items.read(), &items.head.entity);
                let pipeline = self.pipeline_version(name, head.incarnation, head.version).await?;
                let change = TransitionChange {
                    mode: pipeline.mode(),
                    stage: stage_name(&pipeline, stage)?,
                    disable: disable.clone(),
                    by: by.clone(),
                };
                let locks = items.locks.entity;
                let decision = self.decide(|context| engine::set_transition(locks, change, context))?;
                Ok(Change::decided(decision, &read, ()))
            })
        })
        .await
    }
}

/// The account of the role as which an action of the first stage looks for changes.
fn looks_into<'a>(pipeline: &'a Pipeline, action: &str) -> Option<&'a str> {
    let action = pipeline.stages()[0].actions.iter().find(|it| it.name.as_str() == action)?;
    action.role_arn.as_ref().unwrap_or_else(|| pipeline.role_arn()).as_str().split(':').nth(4)
}
