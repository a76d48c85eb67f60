//! The real engine over items in memory, driven with the model's commands.
//!
//! It holds no rule: it keeps what decisions hold, does the outbox on the locks, and finds the ids that a command
//! means. Where the driver has a choice (which task first, whether an action is reported as started before it ends,
//! whether its worker takes the next ones in the same write), a seed decides; it must not be seen afterwards.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use engine::{
    ActionError, ActionStatus as Running, Context, Decision, End, Execution, ExecutionId, ExecutionStatus, Head,
    Incarnation, OutboxTask, Policy, Position, Progress, Refusal, Rollback, StageLocks, StageRun, Start, State,
    Success, Timestamp, TransitionChange, Trigger, WorkerId,
};
use pipeline::{ExecutionMode, Pipeline, PipelineType, RetryMode};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::command::{
    ActionStatus, Command, Mode, Place, Refused, Seen, SeenRun, SeenStage, Shape, StageStatus, Status, Visit,
};

/// A pipeline in the engine, with its items.
pub struct Adapter {
    /// The versions of the pipeline, from 1, which differ in their mode.
    versions: Vec<Arc<Pipeline>>,
    shape: Shape,
    head: Head,
    locks: StageLocks,
    executions: BTreeMap<ExecutionId, Execution>,
    stages: HashMap<(ExecutionId, usize, u16), StageRun>,
    /// The executions in the order of their starts.
    order: Vec<ExecutionId>,
    now: Timestamp,
    policy: Policy,
    rng: StdRng,
}

impl Adapter {
    /// The pipeline of that shape, without executions.
    ///
    /// # Errors
    /// When the shape is no valid declaration.
    pub fn new(shape: &Shape, seed: u64) -> Result<Self> {
        let pipeline = declare(shape)?;
        let head = Head {
            pipeline: pipeline.name().clone(),
            incarnation: Incarnation(Uuid::from_u128(1)),
            version: 1,
            created: Timestamp(0),
            updated: Timestamp(0),
            kind: PipelineType::V2,
            mode: pipeline.mode(),
            tags: BTreeMap::new(),
        };
        Ok(Self {
            locks: StageLocks::new(head.pipeline.clone(), head.incarnation),
            versions: vec![Arc::new(pipeline)],
            shape: shape.clone(),
            head,
            executions: BTreeMap::new(),
            stages: HashMap::new(),
            order: Vec::new(),
            now: Timestamp(1_000_000),
            policy: Policy::default(),
            rng: StdRng::seed_from_u64(seed),
        })
    }

    /// Has the engine do what the command asks, and all that follows from it.
    ///
    /// # Errors
    /// The outer one when the engine refuses what it must not, for example a task.
    pub fn apply(&mut self, command: &Command) -> Result<Result<(), Refused>> {
        self.now = self.now.plus(1_000);
        let answer = match *command {
            Command::Start => self.start()?,
            Command::Finish { run, stage, action, well } => self.finish(run, stage, action, well)?,
            Command::Close(stage) => self.transition(stage, Some("closed".into()))?,
            Command::Open(stage) => self.transition(stage, None)?,
            // The driver finds no head any more.
            Command::Stop { .. } | Command::Change(_) | Command::Month | Command::Delete if self.locks.deleted => {
                Err(Refused::NoPipeline)
            }
            Command::Stop { run, abandon } => {
                answered(self.decide(self.order[run], None, engine::Command::Stop { abandon, reason: None }))?
            }
            Command::Retry { run, stage, all } => self.retry(self.order[run], stage, all)?,
            Command::Rollback { target, stage } => self.roll_back(self.order[target], stage)?,
            Command::Change(mode) => {
                self.change(mode)?;
                Ok(())
            }
            Command::Month => {
                self.now = self.now.plus(31 * 24 * 60 * 60_000);
                Ok(())
            }
            Command::Delete => {
                let locks = self.locks.clone();
                let decision = self.with(|context| engine::delete(locks, context));
                self.keep(decision);
                Ok(())
            }
        };
        self.outbox()?;
        Ok(answer)
    }

    fn start(&mut self) -> Result<Result<(), Refused>> {
        let id = self.next_id();
        let start = Start {
            id,
            trigger: Trigger { kind: "StartPipelineExecution".into(), detail: String::new() },
            variables: BTreeMap::new(),
            overrides: Vec::new(),
        };
        let (pipeline, head, locks) = (self.current(), self.head.clone(), self.locks.clone());
        let started = self.with(|context| engine::start(pipeline, &head, locks, start, context));
        self.begun(id, started)
    }

    /// Keeps what begins an execution.
    fn begun(&mut self, id: ExecutionId, decided: Result<Decision, Refusal>) -> Result<Result<(), Refused>> {
        answered(decided.map(|decision| {
            self.keep(decision);
            self.order.push(id);
        }))
    }

    fn roll_back(&mut self, target: ExecutionId, stage: usize) -> Result<Result<(), Refused>> {
        if self.locks.deleted {
            return Ok(Err(Refused::NoPipeline));
        }
        let id = self.next_id();
        let target = self.executions[&target].clone();
        let attempt = self.stages.get(&(target.id, stage, target.attempts[stage])).cloned();
        let trigger = Trigger { kind: "ManualRollback".into(), detail: String::new() };
        let rollback = Rollback { id, stage: self.current().stages()[stage].name.clone(), trigger, target, attempt };
        let (pipeline, head, locks) = (self.current(), self.head.clone(), self.locks.clone());
        let begun = self.with(|context| engine::rollback(pipeline, &head, locks, rollback, context));
        self.begun(id, begun)
    }

    fn retry(&mut self, id: ExecutionId, stage: usize, all: bool) -> Result<Result<(), Refused>> {
        if self.locks.deleted {
            return Ok(Err(Refused::NoPipeline));
        }
        let attempt = self.executions[&id].attempts[stage];
        // The driver finds no attempt to load.
        if attempt == 0 {
            return Ok(Err(Refused::NotRetryable));
        }
        let mode = if all { RetryMode::AllActions } else { RetryMode::FailedActions };
        let name = self.current().stages()[stage].name.clone();
        let command = engine::Command::Retry { stage: name, mode, current: self.current() };
        answered(self.decide(id, Some((stage, attempt)), command))
    }

    fn current(&self) -> Arc<Pipeline> {
        self.versions[self.head.version as usize - 1].clone()
    }

    /// As the driver updates a pipeline.
    fn change(&mut self, mode: Mode) -> Result<()> {
        let pipeline = declare(&Shape { mode, ..self.shape.clone() })?;
        self.head.version += 1;
        self.head.mode = pipeline.mode();
        let (locks, version) = (self.locks.clone(), self.head.version);
        let decision = self.with(|context| engine::update(locks, version, &pipeline, context));
        self.keep(decision);
        self.versions.push(Arc::new(pipeline));
        Ok(())
    }

    fn next_id(&self) -> ExecutionId {
        let number = self.order.len() as u128 + 1;
        ExecutionId::from_random(Uuid::from_u128(number << 100 | number << 64))
    }

    fn transition(&mut self, stage: usize, disable: Option<String>) -> Result<Result<(), Refused>> {
        let stage = self.current().stages()[stage].name.clone();
        let locks = self.locks.clone();
        let change = TransitionChange { mode: self.head.mode, stage, disable, by: "somebody".into() };
        let changed = self.with(|context| engine::set_transition(locks, change, context));
        answered(changed.map(|decision| self.keep(decision)))
    }

    fn finish(&mut self, run: usize, stage: usize, action: usize, well: bool) -> Result<Result<(), Refused>> {
        let execution = self.order[run];
        let attempt = self.executions[&execution].attempts[stage].max(1);
        let visit = self.stages.get(&(execution, stage, attempt));
        let id = visit.map_or_else(|| execution.action(stage, action, attempt), |visit| visit.action_id(action));
        let at = Some((stage, attempt));
        let run = visit.and_then(|visit| visit.actions.get(action));
        let mut worker = WorkerId(Uuid::from_u128(self.rng.random()));
        match run.map(|run| run.status.clone()) {
            Some(Running::Requested) => {
                if let Err(refusal) = self.decide(execution, at, engine::Command::Claim { action: id, worker }) {
                    bail!("claim: {refusal:?}");
                }
            }
            Some(Running::Claimed { worker: owner, .. }) => worker = owner,
            _ => (),
        }
        let claimed = self.stages.get(&(execution, stage, attempt)).and_then(|stage| stage.actions.get(action));
        let claimed = claimed.is_some_and(|run| matches!(run.status, Running::Claimed { .. }));
        if claimed && self.rng.random_bool(0.5) {
            let poll = self.rng.random_bool(0.5);
            let started =
                engine::Command::Started { action: id, worker, report: Progress::default(), poll, event_source: None };
            if let Err(refusal) = self.decide(execution, at, started) {
                bail!("started: {refusal:?}");
            }
        }
        let end = if well {
            End::Succeeded(Success::default())
        } else {
            let error = ActionError { code: "JobFailed".into(), message: "no".into() };
            End::Failed { error, report: Progress::default() }
        };
        let next_worker = self.rng.random_bool(0.5).then_some(worker);
        answered(self.decide(execution, at, engine::Command::Finish { action: id, end, next_worker }))
    }

    /// Has the engine decide on an execution, at a stage and attempt or at those in which it is.
    fn decide(&mut self, id: ExecutionId, at: Option<(usize, u16)>, command: engine::Command) -> Result<(), Refusal> {
        let execution = self.executions[&id].clone();
        let key = match (at, execution.position) {
            (Some((stage, attempt)), _) => Some((id, stage, attempt)),
            (None, Position::In(stage)) => Some((id, stage, execution.attempts[stage])),
            _ => None,
        };
        let stage = key.and_then(|key| self.stages.get(&key).cloned());
        let pipeline = self.versions[execution.version as usize - 1].clone();
        // The driver loads the locks only when they are asked for.
        let mut state = State { pipeline, locks: None, execution, stage };
        let (locks, again) = (self.locks.clone(), command.clone());
        let decision = self.with(|context| match engine::decide(state.clone(), command, context) {
            Err(Refusal::LocksNeeded) => {
                state.locks = Some(locks);
                engine::decide(state, again, context)
            }
            decided => decided,
        })?;
        self.keep(decision);
        Ok(())
    }

    /// Does every task on the locks, in any order.
    fn outbox(&mut self) -> Result<()> {
        for _ in 0..1_000 {
            if self.locks.outbox.is_empty() {
                return Ok(());
            }
            let task = self.locks.outbox[self.rng.random_range(0..self.locks.outbox.len())].clone();
            let command = match &task {
                OutboxTask::Enter { stage, .. } => engine::Command::Enter { stage: stage.clone() },
                OutboxTask::Supersede { by, .. } => engine::Command::Supersede { by: *by },
                OutboxTask::Cancel { .. } => engine::Command::Cancel,
                OutboxTask::RollBack { .. } => bail!("no stage of the shape rolls back by itself"),
            };
            if let Err(refusal) = self.decide(task.execution(), None, command) {
                bail!("task {task:?}: {refusal:?}");
            }
        }
        bail!("the outbox do not end")
    }

    fn with<T>(&mut self, decide: impl FnOnce(&mut Context<'_>) -> T) -> T {
        let rng = &mut self.rng;
        let mut random = || Uuid::from_u128(rng.random());
        decide(&mut Context { now: self.now, policy: &self.policy, home: "eu-west-1", random: &mut random })
    }

    fn keep(&mut self, decision: Decision) {
        if let Some(locks) = decision.locks {
            self.locks = locks;
        }
        if let Some(execution) = decision.execution {
            self.executions.insert(execution.id, execution);
        }
        for stage in decision.stages {
            self.stages.insert((stage.execution, stage.stage, stage.attempt), stage);
        }
    }

    /// What can be seen now.
    ///
    /// # Errors
    /// When the items contradict themselves.
    pub fn seen(&self) -> Result<Seen> {
        let runs = self.order.iter().map(|id| self.seen_run(*id)).collect::<Result<_>>()?;
        let pipeline = self.current();
        let stages = pipeline.stages().iter().filter(|_| !self.locks.deleted);
        let stages = stages.map(|stage| self.seen_stage(stage)).collect::<Result<_>>()?;
        Ok(Seen { runs, stages })
    }

    fn seen_run(&self, id: ExecutionId) -> Result<SeenRun> {
        let execution = &self.executions[&id];
        let visits = execution.attempts.iter().enumerate().map(|(stage, attempt)| match attempt {
            0 => Ok(None),
            attempt => {
                let run = self.stages.get(&(id, stage, *attempt)).context("an attempt without an item")?;
                let actions = run.actions.iter().map(|action| match action.status {
                    Running::Pending => Ok(ActionStatus::Idle),
                    Running::Requested | Running::Claimed { .. } | Running::Running => Ok(ActionStatus::InProgress),
                    Running::Succeeded => Ok(ActionStatus::Succeeded),
                    Running::Failed => Ok(ActionStatus::Failed),
                    Running::Abandoned => Ok(ActionStatus::Abandoned),
                    Running::CarriedOver => bail!("an action of the latest attempt goes on in a later one"),
                });
                let status = match run.status {
                    // The API has no word for the second.
                    engine::StageStatus::InProgress | engine::StageStatus::Cancelling => StageStatus::InProgress,
                    engine::StageStatus::Succeeded => StageStatus::Succeeded,
                    engine::StageStatus::Failed => StageStatus::Failed,
                    engine::StageStatus::Cancelled => StageStatus::Cancelled,
                    engine::StageStatus::Stopping => StageStatus::Stopping,
                    engine::StageStatus::Stopped => StageStatus::Stopped,
                    engine::StageStatus::Skipped => bail!("no stage of the shape can be skipped"),
                };
                Ok(Some(Visit { status, actions: actions.collect::<Result<_>>()? }))
            }
        });
        Ok(SeenRun {
            status: match execution.status {
                ExecutionStatus::InProgress | ExecutionStatus::Cancelling => Status::InProgress,
                ExecutionStatus::Succeeded => Status::Succeeded,
                ExecutionStatus::Failed => Status::Failed,
                ExecutionStatus::Superseded => Status::Superseded,
                ExecutionStatus::Cancelled => Status::Cancelled,
                ExecutionStatus::Stopping => Status::Stopping,
                ExecutionStatus::Stopped => Status::Stopped,
            },
            place: match execution.position {
                Position::Waiting(stage) => Place::Before(stage),
                Position::In(stage) => Place::Inside(stage),
                Position::Out => Place::Out,
            },
            visits: visits.collect::<Result<_>>()?,
        })
    }

    fn seen_stage(&self, stage: &pipeline::Stage) -> Result<SeenStage> {
        let Some(lock) = self.locks.stages.get(&stage.name) else {
            return Ok(SeenStage { closed: false, locked_by: None, waiting: Vec::new(), latest: None });
        };
        let number = |id: ExecutionId| self.order.iter().position(|other| *other == id).context("an unknown execution");
        Ok(SeenStage {
            closed: lock.transition.disabled,
            locked_by: lock.holder.map(number).transpose()?,
            waiting: lock.waiting.iter().map(|waiting| number(waiting.execution)).collect::<Result<_>>()?,
            latest: lock.latest.map(|entry| number(entry.execution)).transpose()?,
        })
    }
}

/// The engine's answer in the model's words; what the engine must not say here is an error.
fn answered(answer: Result<(), Refusal>) -> Result<Result<(), Refused>> {
    Ok(Err(match answer {
        Ok(()) => return Ok(Ok(())),
        Err(Refusal::Nothing) => Refused::NoPipeline,
        Err(Refusal::UnknownAction(_) | Refusal::WrongState { .. }) => Refused::NotInProgress,
        Err(Refusal::TooManyExecutions(_)) => Refused::TooMany,
        Err(Refusal::NotStoppable { .. }) => Refused::NotStoppable,
        Err(Refusal::AlreadyStopping(_)) => Refused::StopsAlready,
        Err(Refusal::NotRetryable { .. }) => Refused::NotRetryable,
        Err(Refusal::NotLatest { .. }) => Refused::NotLatest,
        Err(Refusal::NotRollable { .. }) => Refused::NoRollback,
        Err(Refusal::Outdated(_)) => Refused::Outdated,
        Err(Refusal::NoTransitions) => Refused::NoTransitions,
        Err(Refusal::Busy(_)) => Refused::Busy,
        Err(refusal) => bail!("refused: {refusal:?}"),
    }))
}

/// A declaration of the shape: sources in the first stage, state machines in the others.
fn declare(shape: &Shape) -> Result<Pipeline> {
    let mode = match shape.mode {
        Mode::Superseded => ExecutionMode::Superseded,
        Mode::Queued => ExecutionMode::Queued,
        Mode::Parallel => ExecutionMode::Parallel,
    };
    let action = |stage: usize, (index, order): (usize, &u32)| {
        let mut action = json!({
            "name": format!("Action{index}"),
            "runOrder": order,
            "actionTypeId": {"category": "Invoke", "owner": "AWS", "provider": "StepFunctions", "version": "1"},
            "configuration": {"StateMachineArn": "arn:aws:states:eu-west-1:111122223333:stateMachine:m"},
        });
        if stage == 0 {
            action["actionTypeId"] = json!({"category": "Source", "owner": "AWS", "provider": "S3", "version": "1"});
            action["configuration"] = json!({"S3Bucket": "sources", "S3ObjectKey": format!("{index}.zip")});
            action["outputArtifacts"] = json!([{"name": format!("Source{index}")}]);
        }
        action
    };
    let stages: Vec<Value> = shape
        .stages
        .iter()
        .enumerate()
        .map(|(stage, orders)| {
            let actions: Vec<Value> = orders.iter().enumerate().map(|each| action(stage, each)).collect();
            json!({"name": format!("Stage{stage}"), "actions": actions})
        })
        .collect();
    let declaration: pipeline::Declaration = serde_json::from_value(json!({
        "name": "p",
        "roleArn": "arn:aws:iam::111122223333:role/release",
        "pipelineType": "V2",
        "executionMode": mode,
        "artifactStore": {"type": "S3", "location": "artifacts"},
        "stages": stages,
    }))?;
    Ok(Pipeline::try_from(declaration)?)
}
