//! Turns a change into events. What an event holds beside the record's own item is read from the table.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use anyhow::Context;
use engine::{Artifact, Execution, StageRun};
use notify::changes::{self, StageChange, State};
use notify::{EventBuilder, StateChange};
use pipeline::{ArtifactName, Pipeline};
use store::{Entity, Key, PipelineVersions, Store};

/// What was read for a batch of records, none where there is nothing. All of the batch was written before the first
/// reading, so that what was read for one record is new enough for the others.
#[derive(Default)]
pub struct Reads(HashMap<Key, Option<Arc<Entity>>>);

impl Reads {
    /// Those of the entities that exist, in the order of their keys.
    async fn load(&mut self, store: &dyn Store, keys: &[Key]) -> anyhow::Result<Vec<Arc<Entity>>> {
        let missing: Vec<Key> = keys.iter().filter(|key| !self.0.contains_key(*key)).cloned().collect();
        if !missing.is_empty() {
            let found = store.load(&missing).await?.into_iter().map(|found| found.map(|it| Arc::new(it.entity)));
            self.0.extend(missing.into_iter().zip(found));
        }
        Ok(keys.iter().filter_map(|key| self.0.get(key)?.clone()).collect())
    }
}

/// Turns changes of the table into state-change events.
pub struct EventReader {
    store: Arc<dyn Store>,
    home: String,
    account: String,
    versions: PipelineVersions,
}

impl EventReader {
    /// Makes events with what this store holds.
    pub fn new(store: Arc<dyn Store>, home: &str, account: &str) -> Self {
        Self { store, home: home.to_owned(), account: account.to_owned(), versions: PipelineVersions::default() }
    }

    /// The events of a change from the one entity, if it was there, to the other; most have none, and for those nothing is read.
    ///
    /// # Errors
    /// When what belongs to it cannot be read.
    pub async fn tell(&self, change: (Option<Entity>, Entity), reads: &mut Reads) -> anyhow::Result<Vec<StateChange>> {
        match change {
            (old, Entity::Execution(new)) => {
                let old = old.and_then(|old| if let Entity::Execution(it) = old { Some(it) } else { None });
                self.execution(&new, &changes::of_execution(old.as_ref(), &new), reads).await
            }
            (old, Entity::Stage(new)) => {
                let old = old.and_then(|old| if let Entity::Stage(it) = old { Some(it) } else { None });
                self.stage(&new, &changes::of_stage(old.as_ref(), &new), reads).await
            }
            _ => Ok(Vec::new()),
        }
    }

    async fn execution(
        &self,
        execution: &Execution,
        states: &[State],
        reads: &mut Reads,
    ) -> anyhow::Result<Vec<StateChange>> {
        let builder = EventBuilder {
            execution,
            pipeline: None,
            arn: &self.arn(execution),
            home: &self.home,
            artifacts: &BTreeMap::new(),
        };
        let mut told: Vec<_> = states.iter().map(|state| builder.of_execution(*state)).collect();
        if !execution.status.is_open() && !told.is_empty() && self.is_awaited(execution, reads).await? {
            told.iter_mut().for_each(|change| change.awaited = true);
        }
        Ok(told)
    }

    /// Whether an action of another pipeline has started the execution and written that down. If it has not yet, its poll
    /// finds the end.
    async fn is_awaited(&self, execution: &Execution, reads: &mut Reads) -> anyhow::Result<bool> {
        // Nothing is read for those that a change, an event or a rollback has started.
        if execution.trigger.kind != "StartPipelineExecution" {
            return Ok(false);
        }
        let (source, region) = (notify::SOURCE.to_owned(), self.home.clone());
        let key = Key::ExternalId { source, region, id: execution.id.to_string() };
        Ok(!reads.load(&*self.store, &[key]).await?.is_empty())
    }

    async fn stage(
        &self,
        run: &StageRun,
        changes: &[StageChange],
        reads: &mut Reads,
    ) -> anyhow::Result<Vec<StateChange>> {
        if changes.is_empty() {
            return Ok(Vec::new());
        }
        let found = reads.load(&*self.store, &[Key::Execution(run.execution)]).await?.pop();
        let Some(Entity::Execution(execution)) = found.as_deref() else {
            anyhow::bail!("the execution {} is missing from the table", run.execution);
        };
        let pipeline = self.pipeline(execution).await?;
        let artifacts = self.artifacts(&pipeline, execution, run, changes, reads).await?;
        let builder = EventBuilder {
            execution,
            pipeline: Some(&pipeline),
            arn: &self.arn(execution),
            home: &self.home,
            artifacts: &artifacts,
        };
        Ok(changes.iter().map(|change| builder.of_stage(run, change)).collect())
    }

    fn arn(&self, execution: &Execution) -> String {
        runtime::arn::pipeline(&self.home, &self.account, execution.pipeline.as_str())
    }

    async fn pipeline(&self, execution: &Execution) -> anyhow::Result<Arc<Pipeline>> {
        let Execution { pipeline: name, incarnation, version, .. } = execution;
        let found = self.versions.get(&*self.store, name, *incarnation, *version).await?;
        Ok(found.with_context(|| format!("version {version} of pipeline {name} is missing from the table"))?.pipeline)
    }

    /// Where the inputs of the actions that began or succeeded are stored: only those events name them.
    async fn artifacts(
        &self,
        pipeline: &Pipeline,
        execution: &Execution,
        run: &StageRun,
        changes: &[StageChange],
        reads: &mut Reads,
    ) -> anyhow::Result<BTreeMap<ArtifactName, Artifact>> {
        let named = |change: &StageChange, index: usize| matches!(change, StageChange::Action(of, State::Started | State::Succeeded) if *of == index);
        let changed = |index: usize| changes.iter().any(|change| named(change, index));
        let declared = pipeline.stages().get(run.stage).map_or(&[][..], |stage| &stage.actions);
        let inputs = declared.iter().enumerate().filter(|(index, _)| changed(*index)).flat_map(|(_, it)| &it.inputs);
        let mut makers: Vec<usize> =
            inputs.filter_map(|name| pipeline.producer(name)).map(|(stage, _)| stage).collect();
        makers.sort_unstable();
        makers.dedup();
        let earlier = makers.into_iter().filter(|stage| *stage != run.stage).filter_map(|stage| {
            let (from, attempt) = execution.attempt_at(stage)?;
            Some(Key::Stage(from, stage, attempt))
        });
        let found = reads.load(&*self.store, &earlier.collect::<Vec<_>>()).await?;
        let made = found
            .iter()
            .filter_map(|entity| stage_run(entity))
            .chain([run])
            .flat_map(|run| &run.actions)
            .flat_map(|action| &action.outputs);
        Ok(made.map(|artifact| (artifact.name.clone(), artifact.clone())).collect())
    }
}

fn stage_run(entity: &Entity) -> Option<&StageRun> {
    if let Entity::Stage(run) = entity { Some(run) } else { None }
}

#[cfg(test)]
pub(crate) mod tests {
    use engine::{ActionRun, ActionStatus, StageStatus};
    use pipeline::{ActionName, ArtifactName, StageName};
    use store::StoredDeclaration;
    use testkit::samples::{execution, stage_run};

    use super::*;

    pub fn declaration() -> StoredDeclaration {
        let execution = execution();
        StoredDeclaration {
            pipeline: execution.pipeline,
            incarnation: execution.incarnation,
            version: execution.version,
            created: execution.started,
            declaration: pipeline::testing::example(),
            parts: None,
            types: Vec::new(),
        }
    }

    /// The stage before [`stage_run`], which made what that one's action reads.
    pub fn source_run() -> StageRun {
        let artifact = Artifact {
            name: ArtifactName::new("App").unwrap(),
            region: "eu-west-1".into(),
            bucket: "artifacts-bucket".into(),
            key: "release/App/x".into(),
            pin: engine::Pin::default(),
        };
        let fetch = ActionRun {
            status: ActionStatus::Succeeded,
            outputs: vec![artifact],
            ..ActionRun::pending(ActionName::new("Fetch").unwrap())
        };
        StageRun {
            stage: 0,
            name: StageName::new("Source").unwrap(),
            status: StageStatus::Succeeded,
            actions: vec![fetch],
            ..stage_run()
        }
    }
}
