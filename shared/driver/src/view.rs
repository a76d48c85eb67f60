//! What the API and the approval page show of pipelines, executions and approvals.

use std::collections::BTreeMap;

use engine::{
    ActionId, ActionRun, ActionStatus, Artifact, Entry, Execution, ExecutionId, Head, Proposal, SourceRevision,
    StageLocks, StageRun, StageStatus, State, Timestamp,
};
use pipeline::{ExecutionMode, PipelineName, StageName};
use store::{Entity, Key, Listing, Page, Versioned};

use crate::driver::Driver;
use crate::error::DriveError;
use crate::pipelines::PipelineRecord;
use crate::resolve::reviewed;
use crate::step::Place;

/// A pipeline as `GetPipelineState` shows it.
#[derive(Clone, Debug)]
pub struct PipelineView {
    /// The pipeline at its current version.
    pub record: PipelineRecord,
    /// Who holds and who waits.
    pub locks: StageLocks,
    /// The stages of the current version, in the declaration's order.
    pub stages: Vec<StageView>,
}

/// A stage as `GetPipelineState` shows it.
#[derive(Clone, Debug)]
pub struct StageView {
    /// The stage's name in the current version.
    pub name: StageName,
    /// The attempt that entered last.
    pub latest: Option<StageRun>,
    /// Where that has not come to all actions: earlier attempts in which the others ran last, the newest first.
    pub earlier: Vec<StageRun>,
}

/// An approval as its page shows it.
#[derive(Clone, Debug)]
pub struct ApprovalView {
    /// The pipeline's name.
    pub pipeline: PipelineName,
    /// The stage's name.
    pub stage: StageName,
    /// The action as it stands.
    pub run: ActionRun,
    /// The stage attempt's status: an approval of an attempt that is over cannot be answered.
    pub stage_status: StageStatus,
    /// The artifacts that would go on.
    pub artifacts: Vec<Artifact>,
    /// What an approval lets through, and what that would change.
    pub proposal: Proposal,
    /// The configuration with variables resolved, as far as possible.
    pub configuration: BTreeMap<String, String>,
    /// What the execution's sources found.
    pub revisions: Vec<SourceRevision>,
    /// When the execution that waits was started.
    pub started: Timestamp,
}

impl Driver {
    /// An execution of a pipeline.
    ///
    /// # Errors
    /// [`DriveError::PipelineNotFound`], [`DriveError::ExecutionNotFound`] (also for another pipeline's execution).
    pub async fn execution(&self, name: &PipelineName, id: ExecutionId) -> Result<Execution, DriveError> {
        let mut found = self.store.load(&[Key::Head(name.clone()), Key::Execution(id)]).await?.into_iter();
        let head = found.next().flatten().map(Versioned::typed::<Head>).transpose()?;
        let head = head.ok_or_else(|| DriveError::no_pipeline(name))?.entity;
        let execution = found.next().flatten().map(Versioned::typed::<Execution>).transpose()?.map(|it| it.entity);
        let of_pipeline = |it: &Execution| it.pipeline == *name && it.incarnation == head.incarnation;
        execution.filter(of_pipeline).ok_or_else(|| DriveError::no_execution(id))
    }

    /// A page of a pipeline's executions, newest first.
    ///
    /// # Errors
    /// [`DriveError::PipelineNotFound`]; the store's, for a cursor that this store did not issue.
    pub async fn executions(&self, name: &PipelineName, after: Option<&str>, limit: usize) -> Result<Page, DriveError> {
        let head = self.pipeline_head(name).await?;
        let listing = Listing::Executions(name.clone(), head.incarnation);
        Ok(self.store.list(&listing, after, limit).await?)
    }

    /// All stage attempts of an execution, in the order of stages and attempts.
    ///
    /// # Errors
    /// The store's.
    pub async fn stage_runs(&self, execution: ExecutionId) -> Result<Vec<StageRun>, DriveError> {
        Ok(self.store.all(&Listing::Stages(execution)).await?)
    }

    /// A pipeline's stages with what is in and in front of them.
    ///
    /// # Errors
    /// [`DriveError::PipelineNotFound`].
    pub async fn state(&self, name: &PipelineName) -> Result<PipelineView, DriveError> {
        let items = self.items(name, None).await?;
        let (record, locks) = (self.record(items.head.entity, None).await?, items.locks.entity);
        // Where executions do not share stages, none is the latest. Source: CodePipeline user guide, 'Set or change the
        // pipeline execution mode'.
        let shared = record.head.mode != ExecutionMode::Parallel;
        let entries: Vec<Option<Entry>> = record
            .pipeline
            .stages()
            .iter()
            .map(|stage| locks.stages.get(&stage.name).and_then(|lock| lock.latest).filter(|_| shared))
            .collect();
        let keys: Vec<Key> = entries.iter().flatten().map(stage_key).collect();
        let mut runs = self.store.load(&keys).await?.into_iter();
        let stages: Vec<StageView> = record
            .pipeline
            .stages()
            .iter()
            .zip(entries)
            .map(|(stage, entry)| {
                let latest = entry.and_then(|_| runs.next().flatten()).and_then(|found| match found.entity {
                    Entity::Stage(run) => Some(run),
                    _ => None,
                });
                StageView { name: stage.name.clone(), latest, earlier: Vec::new() }
            })
            .collect();
        let stages = self.with_earlier(stages, &locks).await?;
        Ok(PipelineView { record, locks, stages })
    }

    /// The newest execution of a pipeline: of those that run side by side, else of all. Where executions share no stages, it is
    /// the one that pages and pictures show.
    ///
    /// # Errors
    /// The store's.
    pub async fn newest(&self, locks: &StageLocks) -> Result<Option<ExecutionId>, DriveError> {
        if let Some(running) = locks.running.last() {
            return Ok(Some(*running));
        }
        let listing = Listing::Executions(locks.pipeline.clone(), locks.incarnation);
        let page = self.store.list(&listing, None, 1).await?;
        Ok(page.entities.iter().find_map(|entity| match entity {
            Entity::Execution(it) => Some(it.id),
            _ => None,
        }))
    }

    /// Reads the attempts in which actions ran last to which the latest attempt has not come.
    async fn with_earlier(&self, mut stages: Vec<StageView>, locks: &StageLocks) -> Result<Vec<StageView>, DriveError> {
        let mut keys = Vec::new();
        for (index, view) in stages.iter().enumerate() {
            let pending = |run: &StageRun| run.actions.iter().any(|action| action.status == ActionStatus::Pending);
            let Some(latest) = view.latest.as_ref().filter(|run| pending(run)) else {
                continue;
            };
            let ended = locks.stages.get(&view.name).into_iter().flat_map(|lock| &lock.ended);
            let latest = Key::Stage(latest.execution, latest.stage, latest.attempt);
            let earlier = ended.map(|ended| stage_key(&ended.entry)).filter(|key| *key != latest);
            keys.extend(earlier.map(|key| (index, key)));
        }
        let (of, keys): (Vec<usize>, Vec<Key>) = keys.into_iter().unzip();
        for (index, found) in of.into_iter().zip(self.store.load(&keys).await?) {
            if let Some(Entity::Stage(run)) = found.map(|found| found.entity) {
                stages[index].earlier.push(run);
            }
        }
        Ok(stages)
    }

    /// The approval of this attempt.
    ///
    /// # Errors
    /// [`DriveError::ExecutionNotFound`], [`DriveError::JobNotFound`].
    pub async fn approval(&self, action: ActionId) -> Result<ApprovalView, DriveError> {
        let mut loaded = self.load(Place::Action(action)).await?;
        loaded.finished = self.finished(&loaded, action).await?;
        let stage = loaded.state.stage.as_ref().ok_or_else(|| DriveError::no_action(action))?;
        let run = stage.find(action).ok_or_else(|| DriveError::no_action(action))?;
        let declared = loaded.state.pipeline.action(stage.stage, action.action);
        let declared = declared.ok_or_else(|| DriveError::no_action(action))?;
        let stages = loaded.stages();
        let State { pipeline, execution, .. } = &loaded.state;
        let configuration = self.configuration(pipeline, execution, declared, &stages).await?.unwrap_or_default();
        Ok(ApprovalView {
            artifacts: reviewed(pipeline, action, &stages),
            proposal: self.proposal(&loaded, action, &stages).await?,
            pipeline: loaded.state.execution.pipeline.clone(),
            stage: stage.name.clone(),
            run: run.clone(),
            stage_status: stage.status,
            configuration,
            revisions: loaded.state.execution.revisions.clone(),
            started: loaded.state.execution.started,
        })
    }
}

pub(crate) fn stage_key(entry: &Entry) -> Key {
    Key::Stage(entry.execution, entry.stage, entry.attempt)
}
