//! What people and job workers look at, and how they answer.

use std::collections::BTreeMap;

use engine::{
    ActionError, ActionId, ActionRun, ActionStatus, ApprovalToken, Approver, Artifact, Command, End, Entry, Execution,
    ExecutionId, Head, Progress, Refusal, Revision, SourceRevision, StageLocks, StageRun, StageStatus, Success,
    Timestamp,
};
use pipeline::{Action, ExecutionMode, PipelineName, StageName};
use store::{Entity, Key, Listing, Page};

use crate::commit::{Driver, Loaded, Place};
use crate::error::{DriveError, no_job};
use crate::jobs::JobCaller;
use crate::pipelines::PipelineRecord;
use crate::ports::ArtifactStore;

/// A pipeline as `GetPipelineState` shows it.
#[derive(Clone, Debug)]
pub struct PipelineView {
    /// The pipeline at its current version.
    pub record: PipelineRecord,
    /// Who holds and who waits.
    pub locks: StageLocks,
    /// The stages in order.
    pub stages: Vec<StageView>,
}

/// A stage as `GetPipelineState` shows it.
#[derive(Clone, Debug)]
pub struct StageView {
    /// Its name.
    pub name: StageName,
    /// The attempt that entered last.
    pub latest: Option<StageRun>,
    /// Where that has not come to all actions: earlier attempts in which the others ran last, the newest first.
    pub earlier: Vec<StageRun>,
}

/// A person's answer to an approval.
#[derive(Clone, Debug)]
pub struct ApprovalAnswer {
    /// Yes or no.
    pub approved: bool,
    /// What the person wrote.
    pub summary: String,
    /// Who it was.
    pub by: Approver,
}

/// An approval as its page shows it.
#[derive(Clone, Debug)]
pub struct ApprovalView {
    /// The pipeline.
    pub pipeline: PipelineName,
    /// The stage.
    pub stage: StageName,
    /// The action as it stands.
    pub run: ActionRun,
    /// The stage attempt's status: an approval of an attempt that is over cannot be answered.
    pub stage_status: StageStatus,
    /// The artifacts that would go on.
    pub artifacts: Vec<Artifact>,
    /// The configuration with variables resolved, as far as possible.
    pub configuration: BTreeMap<String, String>,
    /// What the execution's sources found.
    pub revisions: Vec<SourceRevision>,
    /// When the execution started.
    pub started: Timestamp,
}

/// What a job worker or function reports.
#[derive(Clone, Debug)]
pub enum JobResult {
    /// The job and with it the action succeeded.
    Succeeded {
        /// What else is known.
        report: Progress,
        /// Output variables.
        variables: BTreeMap<String, String>,
        /// The revision that the job made or found.
        revision: Option<Revision>,
    },
    /// The job is done, its action shall be continued.
    Continue {
        /// What the next job shall be given.
        token: String,
        /// What else is known.
        report: Progress,
    },
    /// It failed.
    Failed {
        /// Why.
        error: engine::ActionError,
        /// What else is known.
        report: Progress,
    },
}

impl JobResult {
    /// With the page of the external execution that it names, where the action's type says where that is.
    fn linked(mut self, action: &Action) -> Self {
        let (Self::Succeeded { report, .. } | Self::Continue { report, .. } | Self::Failed { report, .. }) = &mut self;
        if let (Some(external), Some(custom)) = (&mut report.external, &action.custom) {
            external.url = custom.execution_page(&action.configuration, &external.id);
        }
        self
    }
}

impl Driver {
    /// An execution of a pipeline.
    ///
    /// # Errors
    /// [`DriveError::PipelineNotFound`], [`DriveError::ExecutionNotFound`] (also for another pipeline's execution).
    pub async fn execution(&self, name: &PipelineName, id: ExecutionId) -> Result<Execution, DriveError> {
        let (head, _) = self.head(name).await?;
        match self.load_one(Key::Execution(id)).await?.map(|found| found.entity) {
            Some(Entity::Execution(it)) if it.pipeline == *name && it.incarnation == head.incarnation => Ok(it),
            _ => Err(DriveError::no_execution(id)),
        }
    }

    /// A page of a pipeline's executions, newest first.
    ///
    /// # Errors
    /// [`DriveError::PipelineNotFound`]; the store's, for a cursor that this store did not issue.
    pub async fn executions(&self, name: &PipelineName, after: Option<&str>, limit: usize) -> Result<Page, DriveError> {
        let (head, _) = self.head(name).await?;
        let listing = Listing::Executions(name.clone(), head.incarnation);
        Ok(self.store.list(&listing, after, limit).await?)
    }

    /// All stage attempts of an execution, in the order of stages and attempts.
    ///
    /// # Errors
    /// The store's.
    pub async fn stage_runs(&self, execution: ExecutionId) -> Result<Vec<StageRun>, DriveError> {
        let (mut runs, mut after) = (Vec::new(), None);
        loop {
            let page = self.store.list(&Listing::Stages(execution), after.as_deref(), 100).await?;
            runs.extend(page.entities.into_iter().filter_map(|entity| match entity {
                Entity::Stage(run) => Some(run),
                _ => None,
            }));
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(runs),
            }
        }
    }

    /// A pipeline's stages with what is in and in front of them.
    ///
    /// # Errors
    /// [`DriveError::PipelineNotFound`].
    pub async fn state(&self, name: &PipelineName) -> Result<PipelineView, DriveError> {
        let record = self.pipeline(name, None).await?;
        let (locks, _) = self.locks(&record.head).await?;
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

    /// Answers the approval that waits in an action, by the action's names and its token.
    ///
    /// # Errors
    /// [`DriveError::PipelineNotFound`], [`DriveError::StageNotFound`], [`DriveError::ActionNotFound`];
    /// [`Refusal::WrongToken`], [`Refusal::AlreadyAnswered`].
    pub async fn approve(
        &self,
        name: &PipelineName,
        stage: &str,
        action: &str,
        token: ApprovalToken,
        answer: ApprovalAnswer,
    ) -> Result<(), DriveError> {
        let record = self.pipeline(name, None).await?;
        let (locks, _) = self.locks(&record.head).await?;
        let short = |text: &str| text.chars().take(100).collect::<String>();
        let Some(index) = record.pipeline.stage_index(stage) else {
            return Err(DriveError::StageNotFound { pipeline: name.to_string(), stage: short(stage) });
        };
        if record.pipeline.stages()[index].actions.iter().all(|it| it.name.as_str() != action) {
            return Err(DriveError::ActionNotFound {
                pipeline: name.to_string(),
                stage: short(stage),
                action: short(action),
            });
        }
        let wrong = Refusal::WrongToken { action: short(action), stage: short(stage) };
        let (asked, others) = self.attempts(&record, &locks, stage).await?;
        let of = |run: &StageRun| {
            let index = run.actions.iter().position(|it| it.name.as_str() == action)?;
            Some((run.action_id(index), run.actions[index].token))
        };
        // Executions of mode PARALLEL may all ask in this stage at once: the token tells which is meant.
        let meant = others.iter().filter_map(of).find(|(_, known)| *known == Some(token));
        match meant.or_else(|| asked.as_ref().and_then(of)) {
            Some((id, _)) => self.approve_by_id(id, token, answer).await,
            None => Err(wrong.into()),
        }
    }

    /// The attempt that entered a stage last, and those of executions of mode PARALLEL.
    async fn attempts(
        &self,
        record: &PipelineRecord,
        locks: &StageLocks,
        stage: &str,
    ) -> Result<(Option<StageRun>, Vec<StageRun>), DriveError> {
        let latest = locks.stages.get(stage).and_then(|lock| lock.latest).map(|entry| stage_key(&entry));
        let executions: Vec<Key> = locks.running.iter().map(|id| Key::Execution(*id)).collect();
        let mut keys: Vec<Key> = latest.iter().cloned().collect();
        for found in self.store.load(&executions).await?.into_iter().flatten() {
            let Entity::Execution(it) = found.entity else {
                continue;
            };
            let pipeline = self.pipeline_version(&record.head.pipeline, it.incarnation, it.version).await?;
            let attempt = pipeline.stage_index(stage).and_then(|index| Some((index, it.attempts.get(index).copied()?)));
            keys.extend(attempt.map(|(index, attempt)| Key::Stage(it.id, index, attempt)));
        }
        let mut runs = self.store.load(&keys).await?.into_iter().map(|found| match found.map(|found| found.entity) {
            Some(Entity::Stage(run)) => Some(run),
            _ => None,
        });
        let latest = latest.and_then(|_| runs.next().flatten());
        Ok((latest, runs.flatten().collect()))
    }

    /// Answers the approval of this attempt.
    ///
    /// # Errors
    /// [`Refusal::UnknownAction`], [`Refusal::WrongToken`], [`Refusal::AlreadyAnswered`].
    pub async fn approve_by_id(
        &self,
        action: ActionId,
        token: ApprovalToken,
        answer: ApprovalAnswer,
    ) -> Result<(), DriveError> {
        let command =
            Command::Approve { action, token, approved: answer.approved, summary: answer.summary, by: answer.by };
        self.step(Place::Action(action), command, None).await.map(|_| ())
    }

    /// The approval of this attempt.
    ///
    /// # Errors
    /// [`DriveError::ExecutionNotFound`], [`DriveError::JobNotFound`].
    pub async fn approval(&self, action: ActionId) -> Result<ApprovalView, DriveError> {
        let loaded = self.load(Place::Action(action)).await?;
        let stage = loaded.state.stage.as_ref().ok_or_else(|| DriveError::no_action(action))?;
        let run = stage.find(action).ok_or_else(|| DriveError::no_action(action))?;
        let declared = loaded.state.pipeline.action(stage.stage, action.action);
        let declared = declared.ok_or_else(|| DriveError::no_action(action))?;
        let configuration = self
            .resolved_configuration(&loaded.state.execution, &loaded.state.pipeline, declared)
            .await?
            .unwrap_or_default();
        let artifacts = self.reviewed(&loaded, action).await?;
        Ok(ApprovalView {
            artifacts,
            pipeline: loaded.state.execution.pipeline.clone(),
            stage: stage.name.clone(),
            run: run.clone(),
            stage_status: stage.status,
            configuration,
            revisions: loaded.state.execution.revisions.clone(),
            started: loaded.state.execution.started,
        })
    }

    /// Takes a job's result. The artifacts of a success are those that its worker has stored by now.
    ///
    /// # Errors
    /// [`DriveError::ArtifactStore`], [`DriveError::JobNotFound`]; [`Refusal::StaleJob`] and [`Refusal::WrongState`] for one that is over,
    /// [`Refusal::NotAcknowledged`] for one that belongs to no worker yet; [`Refusal::WrongClientToken`].
    pub async fn job_result(
        &self,
        id: ActionId,
        caller: JobCaller<'_>,
        result: JobResult,
        artifacts: &dyn ArtifactStore,
    ) -> Result<(), DriveError> {
        let mut loaded = self.load_job(id, caller).await?;
        let declared = loaded.state.pipeline.action(usize::from(id.stage), id.action);
        let declared = declared.ok_or_else(|| DriveError::no_action(id))?;
        let result = result.linked(declared);
        let command = match result {
            JobResult::Succeeded { report, variables, revision } => {
                let end = match self.job_outputs(&mut loaded, id, artifacts).await? {
                    Ok(outputs) => End::Succeeded(Success { report, outputs, variables, revision }),
                    Err(error) => End::Failed { error, report },
                };
                Command::Result { action: id, end }
            }
            JobResult::Continue { token, report } => {
                Command::Continue { action: id, continuation: token, delay: 0, report }
            }
            JobResult::Failed { error, report } => Command::Result { action: id, end: End::Failed { error, report } },
        };
        match self.step(Place::Action(id), command, Some(loaded)).await {
            Ok(_) => Ok(()),
            Err(error) => Err(no_job(error, id)),
        }
    }

    /// The artifacts that a job has stored. A job that is over is asked for none: the engine refuses its result.
    async fn job_outputs(
        &self,
        loaded: &mut Loaded,
        id: ActionId,
        artifacts: &dyn ArtifactStore,
    ) -> Result<Result<Vec<Artifact>, ActionError>, DriveError> {
        let declared = loaded.state.pipeline.action(usize::from(id.stage), id.action);
        let run = loaded.state.stage.as_ref().and_then(|stage| stage.run(id.action));
        let in_flight = run.is_some_and(|run| run.turn == id.turn && run.status.in_flight());
        if !in_flight || declared.is_none_or(|declared| declared.outputs.is_empty()) {
            return Ok(Ok(Vec::new()));
        }
        match self.task(loaded, id).await? {
            Ok(task) => artifacts.stored_outputs(&task).await.map_err(|error| DriveError::ArtifactStore(error.0)),
            Err(error) => Ok(Err(error)),
        }
    }

    /// Whether a pipeline of this name exists, with its head.
    ///
    /// # Errors
    /// [`DriveError::PipelineNotFound`].
    pub async fn pipeline_head(&self, name: &PipelineName) -> Result<Head, DriveError> {
        Ok(self.head(name).await?.0)
    }
}

fn stage_key(entry: &Entry) -> Key {
    Key::Stage(entry.execution, entry.stage, entry.attempt)
}
