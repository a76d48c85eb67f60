//! What people do to executions that run or have ended: stop, retry, roll back, override a condition.

use engine::{Command, Execution, ExecutionId, OutboxTask, Refusal, Rollback, Trigger};
use pipeline::{ConditionKind, PipelineName, RetryMode, StageName};

use crate::commit::Change;
use crate::driver::Driver;
use crate::error::DriveError;
use crate::step::Place;

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
        self.transact(|| {
            Box::pin(async {
                let rollback = self.rollback(name, id, &stage, trigger.clone(), target).await?;
                let items = self.items(name, None).await?;
                let (read, head) = (items.read(), &items.head.entity);
                let pipeline = self.pipeline_version(name, head.incarnation, head.version).await?;
                let locks = items.locks.entity;
                let decision = self.decide(|context| engine::rollback(pipeline, head, locks, rollback, context))?;
                Ok(Change::decided(decision, &read, id))
            })
        })
        .await
    }

    /// The task [`OutboxTask::RollBack`]: makes the execution to which the stage was given when it failed. If it cannot be
    /// made any more, since the pipeline has changed, the stage goes to the next.
    pub(crate) async fn roll_back_after(&self, task: &OutboxTask) -> Result<(), DriveError> {
        let OutboxTask::RollBack { execution: id, stage, target, failed } = task else {
            return Ok(());
        };
        let made = self.transact(|| {
            Box::pin(async {
                let failed = self.load(Place::Current(*failed)).await?.state.execution;
                let name = &failed.pipeline;
                let items = self.items(name, None).await?;
                let (read, head, locks) = (items.read(), &items.head.entity, items.locks.entity);
                if head.incarnation != failed.incarnation || !locks.outbox.contains(task) {
                    return Ok(Change::of(Vec::new(), ()));
                }
                let trigger = Trigger { kind: "AutomatedRollback".into(), detail: failed.id.to_string() };
                let rollback = self.rollback(name, *id, stage, trigger, *target).await?;
                let pipeline = self.pipeline_version(name, head.incarnation, head.version).await?;
                let made = self.decide(|context| engine::rollback(pipeline, head, locks.clone(), rollback, context));
                let decision = match made {
                    Err(refusal) if refusal != Refusal::PipelineUpdated => {
                        tracing::warn!(%refusal, execution = %id, "not rolled back");
                        self.decide(|context| engine::give_up_rollback(locks, *id, context))?
                    }
                    made => made?,
                };
                Ok(Change::decided(decision, &read, ()))
            })
        });
        match made.await {
            Err(DriveError::PipelineNotFound(_)) => Ok(()),
            made => made,
        }
    }

    async fn rollback(
        &self,
        name: &PipelineName,
        id: ExecutionId,
        stage: &StageName,
        trigger: Trigger,
        target: ExecutionId,
    ) -> Result<Rollback, DriveError> {
        let (target, place) = self.latest_attempt(name, stage, target).await?;
        let attempt = match place {
            Some(place) => self.load(place).await?.state.stage,
            None => None,
        };
        Ok(Rollback { id, stage: stage.clone(), trigger, target, attempt })
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
