//! What people do to executions that run or have ended: stop, retry, roll back, override a condition.

use engine::{Command, Decision, Execution, ExecutionId, Head, OutboxTask, Refusal, Rollback, StageLocks, Trigger};
use pipeline::{ConditionKind, PipelineName, RetryMode, StageName};
use store::{Expect, Key, Write};

use crate::backoff::UNCONTENDED;
use crate::commit::{Driver, Place, entities};
use crate::error::DriveError;

impl Driver {
    /// Stops an execution: what runs in it goes on to its end, or is given up.
    ///
    /// # Errors
    /// [`DriveError::PipelineNotFound`], [`DriveError::ExecutionNotFound`]; [`Refusal::AlreadyStopping`],
    /// [`Refusal::NotStoppable`].
    pub async fn stop(
        &self,
        name: &PipelineName,
        id: ExecutionId,
        abandon: bool,
        reason: Option<String>,
    ) -> Result<(), DriveError> {
        self.execution(name, id).await?;
        self.step(Place::Current(id), Command::Stop { abandon, reason }, None).await.map(|_| ())
    }

    /// Has a failed stage tried again.
    ///
    /// # Errors
    /// [`DriveError::PipelineNotFound`], [`DriveError::StageNotFound`], [`DriveError::ExecutionNotFound`];
    /// [`Refusal::NotRetryable`], [`Refusal::NotLatest`], [`Refusal::Busy`], [`Refusal::TooManyExecutions`].
    pub async fn retry(
        &self,
        name: &PipelineName,
        stage: &str,
        id: ExecutionId,
        mode: RetryMode,
    ) -> Result<(), DriveError> {
        let record = self.pipeline(name, None).await?;
        let stage = record.stage(stage)?;
        let (_, place) = self.latest_attempt(name, &stage, id).await?;
        let never = Refusal::NotRetryable { stage: stage.to_string(), reason: "the execution did not come to it" };
        let place = place.ok_or(never)?;
        let command = Command::Retry { stage, mode, current: record.pipeline };
        self.step(place, command, None).await.map(|_| ())
    }

    /// Lets an execution go on though a condition is not met, or not decided yet.
    ///
    /// # Errors
    /// [`DriveError::PipelineNotFound`], [`DriveError::StageNotFound`], [`DriveError::ExecutionNotFound`];
    /// [`Refusal::NotOverridable`], [`Refusal::NotLatest`], [`Refusal::TooManyExecutions`].
    pub async fn override_condition(
        &self,
        name: &PipelineName,
        stage: &str,
        id: ExecutionId,
        kind: ConditionKind,
        by: String,
    ) -> Result<(), DriveError> {
        let stage = self.pipeline(name, None).await?.stage(stage)?;
        let (_, place) = self.latest_attempt(name, &stage, id).await?;
        let never = Refusal::NotOverridable { stage: stage.to_string(), reason: "the execution did not come to it" };
        let command = Command::Override { stage, kind, by };
        self.step(place.ok_or(never)?, command, None).await.map(|_| ())
    }

    /// Starts an execution that rolls a stage back to another one that succeeded in it. Answers the new one's id.
    ///
    /// # Errors
    /// [`DriveError::PipelineNotFound`], [`DriveError::StageNotFound`], [`DriveError::ExecutionNotFound`];
    /// [`Refusal::NotRollable`], [`Refusal::Outdated`].
    pub async fn roll_back(
        &self,
        name: &PipelineName,
        stage: &str,
        target: ExecutionId,
        trigger: Trigger,
    ) -> Result<ExecutionId, DriveError> {
        let stage = self.pipeline(name, None).await?.stage(stage)?;
        let id = ExecutionId::from_random(self.clock.random());
        let mut attempt = 0;
        loop {
            let (target, place) = self.latest_attempt(name, &stage, target).await?;
            let (head, _) = self.head(name).await?;
            let (locks, revision) = self.locks(&head).await?;
            let rollback = self.rollback(id, &stage, trigger.clone(), target, place).await?;
            let pipeline = self.pipeline_version(name, head.incarnation, head.version).await?;
            let decided = self.decide(|context| engine::rollback(pipeline, &head, locks, rollback, context));
            let decision = match decided {
                Err(Refusal::PipelineUpdated) => continue,
                decided => decided?,
            };
            match self.commit_on_locks(&decision, &head, revision).await {
                Ok(()) => {
                    self.follow(decision.effects).await;
                    return Ok(id);
                }
                Err(DriveError::Store(error)) => self.back_off(&mut attempt, UNCONTENDED, error).await?,
                Err(error) => return Err(error),
            }
        }
    }

    /// The task [`OutboxTask::RollBack`]: makes the execution to which the stage was given when it failed. If it cannot be
    /// made any more, since the pipeline has changed, the stage goes to the next.
    pub(crate) async fn roll_back_after(&self, task: &OutboxTask) -> Result<(), DriveError> {
        let OutboxTask::RollBack { execution: id, stage, target, failed } = task else {
            return Ok(());
        };
        let mut attempt = 0;
        loop {
            let failed = self.load(Place::Current(*failed)).await?.state.execution;
            let name = &failed.pipeline;
            let found = match self.head(name).await {
                Ok((head, _)) if head.incarnation == failed.incarnation => self.locks(&head).await.map(|it| (head, it)),
                Ok(_) => return Ok(()),
                Err(error) => Err(error),
            };
            let (head, (locks, revision)) = match found {
                Err(DriveError::PipelineNotFound(_)) => return Ok(()),
                found => found?,
            };
            if !locks.outbox.contains(task) {
                return Ok(());
            }
            let trigger = Trigger { kind: "AutomatedRollback".into(), detail: failed.id.to_string() };
            let decision = self.automatic(*id, stage, *target, trigger, &head, locks).await?;
            match self.commit_on_locks(&decision, &head, revision).await {
                Ok(()) => {
                    self.follow(decision.effects).await;
                    return Ok(());
                }
                Err(DriveError::Store(error)) => self.back_off(&mut attempt, UNCONTENDED, error).await?,
                Err(error) => return Err(error),
            }
        }
    }

    async fn automatic(
        &self,
        id: ExecutionId,
        stage: &StageName,
        target: ExecutionId,
        trigger: Trigger,
        head: &Head,
        locks: StageLocks,
    ) -> Result<Decision, DriveError> {
        let (target, place) = self.latest_attempt(&head.pipeline, stage, target).await?;
        let rollback = self.rollback(id, stage, trigger, target, place).await?;
        let pipeline = self.pipeline_version(&head.pipeline, head.incarnation, head.version).await?;
        let made = self.decide(|context| engine::rollback(pipeline, head, locks.clone(), rollback, context));
        match made {
            Ok(decision) => Ok(decision),
            Err(refusal) => {
                tracing::warn!(%refusal, execution = %id, "not rolled back");
                Ok(self.decide(|context| engine::give_up_rollback(locks, id, context))?)
            }
        }
    }

    async fn rollback(
        &self,
        id: ExecutionId,
        stage: &StageName,
        trigger: Trigger,
        target: Execution,
        place: Option<Place>,
    ) -> Result<Rollback, DriveError> {
        let attempt = match place {
            Some(place) => self.load(place).await?.state.stage,
            None => None,
        };
        Ok(Rollback { id, stage: stage.clone(), trigger, target, attempt })
    }

    /// Commits a decision of which only the locks were there before.
    async fn commit_on_locks(&self, decision: &Decision, head: &Head, revision: u64) -> Result<(), DriveError> {
        let key = Key::StageLocks(head.pipeline.clone(), head.incarnation);
        let writes = entities(decision)
            .map(|entity| {
                let expect = if entity.key() == key { Expect::Revision(revision) } else { Expect::Absent };
                Write::Put { entity, expect }
            })
            .collect();
        Ok(self.store.commit(writes).await?)
    }

    /// An execution, and its latest attempt at a stage of this name; none where it was never there.
    async fn latest_attempt(
        &self,
        name: &PipelineName,
        stage: &StageName,
        id: ExecutionId,
    ) -> Result<(Execution, Option<Place>), DriveError> {
        let execution = self.execution(name, id).await?;
        let pipeline = self.pipeline_version(name, execution.incarnation, execution.version).await?;
        let place = pipeline.stage_index(stage.as_str()).and_then(|index| {
            let attempt = execution.attempts.get(index).copied().filter(|attempt| *attempt > 0)?;
            Some(Place::Stage(id, index, attempt))
        });
        Ok((execution, place))
    }
}
