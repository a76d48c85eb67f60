//! Answering approvals: by the names of the action, as the API does, or by its id, as a link does.

use engine::{ActionId, ApprovalToken, Approver, Command, Execution, Refusal, StageLocks, StageRun};
use pipeline::PipelineName;
use store::{Key, Versioned};

use crate::driver::Driver;
use crate::error::{DriveError, short};
use crate::step::{Loaded, Place};
use crate::view::stage_key;

/// A person's answer to an approval.
#[derive(Clone, Debug)]
pub struct ApprovalAnswer {
    /// Whether the answer lets the execution go on; otherwise the action fails.
    pub approved: bool,
    /// The approver's comment, possibly empty.
    pub summary: String,
    /// The caller who signed the request, or whoever used the link.
    pub by: Approver,
}

impl Driver {
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
        let items = self.items(name, None).await?;
        let head = &items.head.entity;
        let pipeline = self.pipeline_version(name, head.incarnation, head.version).await?;
        let index = pipeline.stage_index(stage).ok_or_else(|| DriveError::no_stage(name, stage))?;
        if pipeline.stages()[index].actions.iter().all(|it| it.name.as_str() != action) {
            return Err(DriveError::no_such_action(name, stage, action));
        }
        let attempts = self.attempts(&items.locks.entity, stage).await?;
        let wrong = || Refusal::WrongToken { action: short(action), stage: short(stage) };
        let id = engine::asked(attempts.iter().map(|(_, run)| &run.entity), action, token).ok_or_else(wrong)?;
        let asked = attempts.into_iter().find(|(_, run)| run.entity.find(id).is_some());
        let (execution, run) = asked.ok_or_else(wrong)?;
        let Execution { pipeline, incarnation, version, .. } = &execution.entity;
        let pipeline = self.pipeline_version(pipeline, *incarnation, *version).await?;
        let known = Loaded::new(pipeline, execution, Some(run), Some(items.locks));
        self.answer(id, token, answer, Some(known)).await
    }

    /// The attempt that entered a stage last, and then those of executions of mode PARALLEL, which may all ask in it at
    /// once.
    async fn attempts(
        &self,
        locks: &StageLocks,
        stage: &str,
    ) -> Result<Vec<(Versioned<Execution>, Versioned<StageRun>)>, DriveError> {
        let latest = locks.stages.get(stage).and_then(|lock| lock.latest);
        let latest = latest.map(|entry| [Key::Execution(entry.execution), stage_key(&entry)]);
        let parallel = locks.running.iter().map(|id| Key::Execution(*id));
        let keys: Vec<Key> = latest.iter().flatten().cloned().chain(parallel).collect();
        let mut found = self.store.load(&keys).await?.into_iter();
        let mut attempts = Vec::new();
        if latest.is_some()
            && let (Some(execution), Some(run)) = (found.next().flatten(), found.next().flatten())
        {
            attempts.push((execution.typed()?, run.typed()?));
        }
        let (mut executions, mut keys) = (Vec::new(), Vec::new());
        for execution in found.flatten() {
            let execution = execution.typed::<Execution>()?;
            let Execution { id, pipeline, incarnation, version, attempts, .. } = &execution.entity;
            let index = self.pipeline_version(pipeline, *incarnation, *version).await?.stage_index(stage);
            if let Some((index, attempt)) = index.and_then(|index| Some((index, *attempts.get(index)?))) {
                keys.push(Key::Stage(*id, index, attempt));
                executions.push(execution);
            }
        }
        for (execution, run) in executions.into_iter().zip(self.store.load(&keys).await?) {
            if let Some(run) = run {
                attempts.push((execution, run.typed()?));
            }
        }
        Ok(attempts)
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
        self.answer(action, token, answer, None).await
    }

    async fn answer(
        &self,
        action: ActionId,
        token: ApprovalToken,
        ApprovalAnswer { approved, summary, by }: ApprovalAnswer,
        known: Option<Loaded>,
    ) -> Result<(), DriveError> {
        let command = Command::Approve { action, token, approved, summary, by };
        self.step(Place::Action(action), command, known).await.map(|_| ())
    }
}
