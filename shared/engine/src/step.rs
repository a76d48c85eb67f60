//! The working copy on which a decision is made.

use std::sync::Arc;

use pipeline::{Action, Pipeline};
use uuid::Uuid;

use crate::command::{Context, Decision, Effect, Refusal, State};
use crate::id::ActionId;
use crate::item_size;
use crate::queue::{self, Queue};
use crate::state::{ActionRun, ActionStatus, Execution, ExternalId, StageLocks, StageRun, StoredOutputs};
use crate::time::Timestamp;

/// One decision in the making. What is changed through it is marked and ends up in the [`Decision`].
pub(crate) struct Step<'a, 'b> {
    pub pipeline: Arc<Pipeline>,
    pub context: &'a mut Context<'b>,
    pub effects: Vec<Effect>,
    pub stored: Vec<StoredOutputs>,
    pub external_ids: Vec<ExternalId>,
    pub claimed: Vec<ActionId>,
    locks: Option<StageLocks>,
    execution: Execution,
    stage: Option<StageRun>,
    /// The stage attempt as it was read, once it has been changed: the queues follow the difference.
    before: Option<StageRun>,
    entered: Option<StageRun>,
    changed: Changed,
}

#[derive(Default)]
struct Changed {
    locks: bool,
    execution: bool,
    stage: bool,
}

impl<'a, 'b> Step<'a, 'b> {
    pub fn new(state: State, context: &'a mut Context<'b>) -> Self {
        Self {
            pipeline: state.pipeline,
            context,
            effects: Vec::new(),
            stored: Vec::new(),
            external_ids: Vec::new(),
            claimed: Vec::new(),
            locks: state.locks,
            execution: state.execution,
            stage: state.stage,
            before: None,
            entered: None,
            changed: Changed::default(),
        }
    }

    pub fn now(&self) -> Timestamp {
        self.context.now
    }

    pub fn execution(&self) -> &Execution {
        &self.execution
    }

    pub fn execution_mut(&mut self) -> &mut Execution {
        self.changed.execution = true;
        self.execution.updated = self.context.now;
        &mut self.execution
    }

    pub fn locks(&self) -> Result<&StageLocks, Refusal> {
        self.locks.as_ref().ok_or(Refusal::LocksNeeded)
    }

    pub fn locks_mut(&mut self) -> Result<&mut StageLocks, Refusal> {
        let locks = self.locks.as_mut().ok_or(Refusal::LocksNeeded)?;
        self.changed.locks = true;
        Ok(locks)
    }

    pub fn stage(&self) -> Option<&StageRun> {
        self.stage.as_ref()
    }

    pub fn stage_mut(&mut self) -> Option<&mut StageRun> {
        if !self.changed.stage {
            self.before.clone_from(&self.stage);
        }
        self.changed.stage = self.stage.is_some();
        if let Some(stage) = &mut self.stage {
            stage.updated = self.context.now;
        }
        self.stage.as_mut()
    }

    /// The stage attempt at hand, to be worked on as a whole and put back.
    pub fn stage_cloned(&self) -> Result<StageRun, Refusal> {
        self.stage.clone().ok_or(Refusal::Nothing)
    }

    /// Puts the stage attempt at hand back.
    pub fn put_stage(&mut self, stage: StageRun) {
        if let Some(kept) = self.stage_mut() {
            *kept = StageRun { updated: kept.updated, ..stage };
        }
    }

    /// Goes on with another stage attempt, which this decision makes.
    pub fn begin(&mut self, stage: StageRun) {
        self.stage = Some(stage);
        self.changed.stage = true;
    }

    /// The stage attempt that this decision makes.
    pub fn entered_mut(&mut self) -> &mut Option<StageRun> {
        &mut self.entered
    }

    /// The declaration of an action or rule of the current stage attempt.
    pub fn declared(&self, action: ActionId) -> Option<&Action> {
        self.pipeline.action(usize::from(action.stage), action.action)
    }

    /// The run of an action, if it is in the stage attempt at hand.
    pub fn run(&self, action: ActionId) -> Result<&ActionRun, Refusal> {
        let run = self.stage.as_ref().and_then(|stage| stage.find(action));
        run.filter(|run| run.status != ActionStatus::CarriedOver).ok_or(Refusal::UnknownAction(action))
    }

    /// The same, to be changed.
    pub fn run_mut(&mut self, action: ActionId) -> Result<&mut ActionRun, Refusal> {
        self.run(action)?;
        let now = self.context.now;
        let run =
            self.stage_mut().and_then(|stage| stage.run_mut(action.action)).ok_or(Refusal::UnknownAction(action))?;
        run.updated = Some(now);
        Ok(run)
    }

    /// Refuses a command because of what the action is.
    pub fn wrong_state(&self, action: ActionId, run: &ActionRun) -> Refusal {
        let stage = self.stage.as_ref().map(|stage| stage.name.to_string()).unwrap_or_default();
        if self.stage.as_ref().is_none_or(|stage| !stage.status.is_open()) && run.status.in_flight() {
            return Refusal::UnknownAction(action);
        }
        let status = match run.status {
            ActionStatus::Pending => "not started",
            ActionStatus::Requested | ActionStatus::Claimed { .. } | ActionStatus::Running => "in progress",
            ActionStatus::Succeeded => "succeeded",
            ActionStatus::Failed => "failed",
            ActionStatus::Abandoned => "abandoned",
            ActionStatus::CarriedOver => "carried over to the next attempt at the stage",
        };
        Refusal::WrongState { action: run.name.to_string(), stage, status }
    }

    pub fn random(&mut self) -> Uuid {
        (self.context.random)()
    }

    /// The queue of an action's jobs.
    fn queue(&self, stage: &StageRun, action: usize) -> Option<Queue> {
        let declared = self.pipeline.stages().get(stage.stage)?.actions.get(action)?;
        let query = declared.query().map(str::to_owned);
        declared.is_polled().then(|| Queue { type_id: declared.type_id.clone(), query })
    }

    pub fn into_decision(mut self) -> Decision {
        if let Some(locks) = &mut self.locks {
            locks.plan_sweep(self.context.now, self.context.policy);
        }
        let mut jobs = Vec::new();
        if let Some(stage) = self.stage.as_ref().filter(|_| self.changed.stage) {
            jobs = queue::changes(self.before.as_ref(), stage, |action| self.queue(stage, action));
        }
        let mut stages = Vec::new();
        stages.extend(self.stage.filter(|_| self.changed.stage));
        stages.extend(self.entered);
        stages.iter_mut().for_each(item_size::stage);
        if self.changed.execution {
            item_size::execution(&mut self.execution);
        }
        Decision {
            locks: self.locks.filter(|_| self.changed.locks),
            execution: self.changed.execution.then_some(self.execution),
            stages,
            jobs,
            stored: self.stored,
            external_ids: self.external_ids,
            effects: self.effects,
            claimed: self.claimed,
        }
    }
}
