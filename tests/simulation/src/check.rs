//! What must hold. The checker sees every commit as it takes effect, every dispatch, every start of an action and
//! every answer to a client; it keeps its own picture of the table and compares each change with the rules.
//!
//! It knows the rules from `design.md` and the CodePipeline user guide, not from `engine`: of the engine it uses the
//! data types only.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use driver::{Message, Task};
use engine::{
    ActionId, ActionRun, ActionStatus, Approver, ConditionStatus, Execution, ExecutionId, Head, Incarnation, JobNonce,
    OutboxTask, Position, StageLocks, StageRun, Timestamp,
};
use pipeline::{ActionName, ExecutionMode, Pipeline, PipelineName, StageName};
use store::{Entity, Key, Write};

use crate::declare::watched;
use crate::outside::SERVICE_ID;

mod end;
mod executions;
mod jobs;
mod stage_locks;
mod stages;

/// One attempt at a stage: execution, index of the stage, attempt.
pub(crate) type Place = (ExecutionId, usize, u16);

/// The table as it should be, and what must be remembered of its past.
#[derive(Default)]
pub struct Checker {
    pub(crate) heads: BTreeMap<PipelineName, Head>,
    pub(crate) locks: BTreeMap<Incarnation, StageLocks>,
    pub(crate) pipelines: BTreeMap<(Incarnation, u32), Arc<Pipeline>>,
    pub(crate) executions: BTreeMap<ExecutionId, Execution>,
    pub(crate) stages: BTreeMap<Place, StageRun>,
    /// By pipeline and stages up to this one: the number that entered last.
    entered: BTreeMap<(Incarnation, Vec<String>), u64>,
    /// By pipeline, stage and action: which run of those that hold the stage was the last.
    last_runs: BTreeMap<(Incarnation, StageName, ActionName), ActionId>,
    /// Keys of the sources that pipelines watch.
    sources: BTreeSet<Key>,
    /// The services' ids that lead to actions.
    external_ids: BTreeSet<String>,
    /// The entries of all queues.
    entries: BTreeSet<Key>,
    /// By job: who was told that it is theirs.
    owners: BTreeMap<ActionId, JobNonce>,
    /// By pipeline and client token: what was started.
    tokens: BTreeMap<(Incarnation, String), ExecutionId>,
}

/// Whether an action has failed and another one runs.
pub(crate) fn fails_beside_others(stage: &StageRun) -> bool {
    let any = |is: fn(&ActionStatus) -> bool| stage.actions.iter().any(|run| is(&run.status));
    stage.status.is_open() && any(|status| *status == ActionStatus::Failed) && any(ActionStatus::in_flight)
}

fn broken<T>(what: impl Into<String>) -> Result<T, String> {
    Err(what.into())
}

impl Checker {
    /// Takes over what a commit changed, and checks the invariants on it.
    pub fn committed(&mut self, now: Timestamp, writes: &[Write]) -> Result<(), String> {
        let mut touched = Vec::new();
        let mut entered = Vec::new();
        let mut replaced: BTreeMap<Place, StageRun> = BTreeMap::new();
        let mut waiting = Vec::new();
        for write in writes {
            let entity = match write {
                Write::Delete { key: Key::Head(name), .. } => {
                    self.heads.remove(name);
                    continue;
                }
                Write::Delete { key, .. } => {
                    self.entries.remove(key);
                    self.sources.remove(key);
                    continue;
                }
                Write::Put { entity, .. } => entity,
            };
            match entity {
                Entity::Head(head) => self.head(head)?,
                Entity::Declaration(stored) => {
                    let types = stored.types.iter().cloned().collect();
                    let pipeline = Pipeline::with_types(stored.declaration.clone(), &types);
                    let pipeline = pipeline.map_err(|error| error.to_string())?;
                    let id = (stored.incarnation, stored.version);
                    if self.pipelines.insert(id, Arc::new(pipeline)).is_some() {
                        return broken(format!("version {} of {} was stored twice", stored.version, stored.pipeline));
                    }
                }
                Entity::StageLocks(after) => {
                    let before = self.locks.insert(after.incarnation, after.clone());
                    touched.push(after.incarnation);
                    stage_locks::changed(before.as_ref(), after, |id| self.comes_back(id, after, writes))?;
                }
                Entity::Execution(after) => {
                    let before = self.executions.insert(after.id, after.clone());
                    touched.push(after.incarnation);
                    self.execution_changed(before.as_ref(), after)?;
                }
                Entity::Stage(after) => {
                    let place = (after.execution, after.stage, after.attempt);
                    let before = self.stages.insert(place, after.clone());
                    if before.is_none() {
                        entered.push(place);
                    }
                    jobs::changed(before.as_ref(), after, now)?;
                    let declared = self.declared(after)?;
                    let execution = self.executions.get(&after.execution);
                    stages::changed(&declared, before.as_ref(), after, now)?;
                    stages::conditions(&declared, before.as_ref(), after, execution)?;
                    self.ran(before.as_ref(), after);
                    waiting.extend(self.waiting(after)?);
                    replaced.extend(before.map(|before| (place, before)));
                }
                Entity::Source(_) => _ = self.sources.insert(entity.key()),
                Entity::Job(_) => _ = self.entries.insert(entity.key()),
                Entity::ExternalId(it) => _ = self.external_ids.insert(it.id.clone()),
                Entity::Token(_) | Entity::Outputs(_) | Entity::ActionType(_) => {}
                Entity::Part(_) | Entity::Webhook(_) | Entity::Revision(_) | Entity::SourcePoll(_) => {}
                Entity::WebhookCalls(_) | Entity::Delivery(_) => {
                    return broken("the driver wrote what belongs to the door for webhooks");
                }
                Entity::RuleOutcome(_) | Entity::Notice(_) => {
                    return broken("the driver wrote what belongs to the notifier");
                }
                Entity::AuditTip(_) => {
                    return broken("the driver wrote the tip of the audit log, which is the auditor's");
                }
            }
        }
        for place in entered {
            self.enters(place)?;
            let (execution, stage, attempt) = place;
            let earlier = (execution, stage, attempt.saturating_sub(1));
            stages::taken_over(self.stages.get(&earlier), replaced.get(&earlier), &self.stages[&place])?;
        }
        for ((execution, stage, attempt), before) in &replaced {
            let next = self.stages.get(&(*execution, *stage, attempt + 1));
            stages::carried_over(Some(before), &self.stages[&(*execution, *stage, *attempt)], next)?;
        }
        self.watches()?;
        self.external_ids_lead_back(writes)?;
        self.all_found(&waiting)?;
        touched.sort_unstable();
        touched.dedup();
        touched.into_iter().try_for_each(|incarnation| self.agrees(incarnation))
    }

    /// Whether an execution gets a stage without having come to it through its transition: it ended there before, or
    /// rolls it back.
    fn comes_back(&self, id: ExecutionId, locks: &StageLocks, writes: &[Write]) -> bool {
        if let Some(before) = self.executions.get(&id) {
            return !before.status.is_open();
        }
        let task =
            locks.outbox.iter().any(|it| matches!(it, OutboxTask::RollBack { execution, .. } if *execution == id));
        let new = writes.iter().any(|write| match write {
            Write::Put { entity: Entity::Execution(it), .. } => it.id == id && it.rollback.is_some(),
            _ => false,
        });
        task || new
    }

    /// An execution of a pipeline, for clients who pick one: of those that are wanted, if there are any; the newest are
    /// picked most often.
    pub fn any_execution(
        &self,
        pipeline: &PipelineName,
        chance: f64,
        wanted: impl Fn(&Execution) -> bool,
    ) -> Option<&Execution> {
        let head = self.heads.get(pipeline)?;
        let mut all: Vec<&Execution> =
            self.executions.values().filter(|it| it.incarnation == head.incarnation).collect();
        if all.iter().any(|it| wanted(it)) {
            all.retain(|it| wanted(it));
        }
        all.sort_by_key(|it| std::cmp::Reverse(it.number));
        let index = (chance * chance * all.len() as f64) as usize;
        all.get(index).copied()
    }

    /// Whether an execution is in, or has ended in, a stage with a condition that is not met or not decided.
    pub fn is_held_up(&self, execution: &Execution) -> bool {
        let last = execution.attempts.iter().rposition(|attempts| *attempts > 0).unwrap_or(0);
        let attempt = execution.attempts.get(last).copied().unwrap_or(0);
        self.stages.get(&(execution.id, last, attempt)).is_some_and(|stage| {
            stage
                .conditions
                .iter()
                .any(|condition| matches!(condition.status, ConditionStatus::InProgress | ConditionStatus::Failed))
        })
    }

    /// The executions whose artifacts an execution may read.
    pub fn reads_of(&self, id: ExecutionId) -> Vec<ExecutionId> {
        let target = self.executions.get(&id).and_then(|it| it.rollback.as_ref()).map(|target| target.execution);
        std::iter::once(id).chain(target).collect()
    }

    fn head(&mut self, after: &Head) -> Result<(), String> {
        let name = &after.pipeline;
        if self.locks.get(&after.incarnation).is_some_and(|locks| locks.deleted) {
            return broken(format!("the deleted pipeline {name} comes back to life"));
        }
        match self.heads.insert(name.clone(), after.clone()) {
            Some(before) if before.incarnation != after.incarnation => {
                broken(format!("the pipeline {name} becomes another without having been deleted"))
            }
            Some(before) if after.version != before.version && after.version != before.version + 1 => {
                broken(format!("the pipeline {name} goes from version {} to {}", before.version, after.version))
            }
            _ => Ok(()),
        }
    }

    /// Whether an event with this id can be understood.
    pub fn knows_external_id(&self, id: &str) -> bool {
        self.external_ids.contains(id)
    }

    /// What has been started under a service's own id can be found by it, from the commit of the start on.
    fn external_ids_lead_back(&self, writes: &[Write]) -> Result<(), String> {
        for write in writes {
            let Write::Put { entity: Entity::Stage(stage), .. } = write else { continue };
            for (_, run) in stage.runs() {
                let external = run.external.as_ref().filter(|external| external.id.starts_with(SERVICE_ID));
                if let Some(external) = external.filter(|external| !self.external_ids.contains(&external.id)) {
                    return broken(format!("{} was started as {}, which leads nowhere", run.name, external.id));
                }
            }
        }
        Ok(())
    }

    /// What the current versions of all pipelines watch can be found by whoever sees it change.
    fn watches(&self) -> Result<(), String> {
        for head in self.heads.values() {
            let Some(pipeline) = self.pipelines.get(&(head.incarnation, head.version)) else {
                return broken(format!("version {} of {} is not stored", head.version, head.pipeline));
            };
            for action in &pipeline.stages()[0].actions {
                let watched = watched(action);
                if !self.sources.contains(&Key::Source(watched, head.pipeline.clone(), action.name.to_string())) {
                    return broken(format!("a change of the source {} of {} is not seen", action.name, head.pipeline));
                }
            }
        }
        Ok(())
    }

    /// Whether an execution is of an earlier version than its pipeline's current one, so that it must end.
    pub(crate) fn outdated(&self, execution: &Execution) -> bool {
        let version = self.locks.get(&execution.incarnation).map(|locks| locks.version);
        execution.mode != ExecutionMode::Parallel && version != Some(execution.version)
    }

    /// The execution's version of its pipeline.
    pub(crate) fn pipeline(&self, execution: &Execution) -> Result<Arc<Pipeline>, String> {
        let version = (execution.incarnation, execution.version);
        let missing = || format!("the execution {} runs a version that is not stored", execution.id);
        self.pipelines.get(&version).cloned().ok_or_else(missing)
    }

    fn declared(&self, stage: &StageRun) -> Result<pipeline::Stage, String> {
        let Some(execution) = self.executions.get(&stage.execution) else {
            return broken(format!("a stage attempt of {} which does not exist", stage.execution));
        };
        let pipeline = self.pipeline(execution)?;
        match pipeline.stages().get(stage.stage) {
            Some(declared) if declared.name == stage.name => Ok(declared.clone()),
            _ => broken(format!("{} has no stage {} named {}", stage.execution, stage.stage, stage.name)),
        }
    }

    /// How an action stands, in whatever attempt it is now.
    fn run(&self, action: ActionId) -> Option<&ActionRun> {
        let attempts = action.attempt..;
        let mut runs = attempts.map_while(|attempt| {
            self.stages.get(&(action.execution, usize::from(action.stage), attempt))?.run(action.action)
        });
        runs.find(|run| run.status != ActionStatus::CarriedOver)
    }

    /// Whether an action of an execution has failed while others of its stage run.
    pub fn is_failing(&self, execution: &Execution) -> bool {
        let Position::In(index) = execution.position else {
            return false;
        };
        let attempt = execution.attempts.get(index).copied().unwrap_or(0);
        self.stages.get(&(execution.id, index, attempt)).is_some_and(fails_beside_others)
    }

    /// Something is dispatched: what it says must have been committed.
    pub fn dispatched(&self, message: &Message) -> Result<(), String> {
        let action = match message {
            Message::Run { action } | Message::Poll { action, .. } | Message::Replicate { action, .. } => action,
            Message::PollSource { .. } | Message::CompareFiles { .. } => return broken("no source is asked here"),
        };
        let Some(run) = self.run(*action) else {
            return broken(format!("dispatched before its commit: {message:?}"));
        };
        let committed = match message {
            Message::Run { .. } => run.status != ActionStatus::Pending && run.turn >= action.turn,
            // Another poll may have asked for the next start in the meantime.
            Message::Poll { .. } => {
                run.turn > action.turn
                    || !matches!(
                        run.status,
                        ActionStatus::Pending | ActionStatus::Requested | ActionStatus::Claimed { .. }
                    )
            }
            Message::Replicate { artifact, .. } => run.outputs.iter().any(|output| output.name == *artifact),
            Message::PollSource { .. } | Message::CompareFiles { .. } => false,
        };
        if committed { Ok(()) } else { broken(format!("dispatched before its commit: {message:?}, which is {run:?}")) }
    }

    /// A provider is asked to start a task.
    pub fn started(&self, task: &Task, _now: Timestamp) -> Result<(), String> {
        let id = task.id;
        let run = self.run(id);
        if run.is_none_or(|run| matches!(run.status, ActionStatus::Pending)) {
            return broken(format!("{} ({id}) is started before its request was committed", task.action.name));
        }
        let Some(execution) = self.executions.get(&id.execution) else {
            return broken(format!("{id} is started for an execution that does not exist"));
        };
        let pipeline = self.pipeline(execution)?;
        // Every provider here gives out its own id as a variable, so what a reference must become can be foretold.
        let mut value = |reference: &pipeline::variables::Reference| match reference.namespace.as_str() {
            "codepipeline" => Some(id.execution.to_string()),
            "variables" => execution.variables.get(&reference.key).cloned(),
            namespace => {
                let (stage, action) = pipeline.namespace_owner(namespace)?;
                // One that rolls back sees what its target left.
                let (from, attempt) = execution.attempt_at(stage)?;
                let run = self.stages.get(&(from, stage, attempt))?;
                Some(crate::outside::identity(run.action_id(action)))
            }
        };
        for (key, text) in &task.action.configuration {
            let expected = pipeline::variables::resolve(text, &mut value).map_err(|error| error.to_string())?;
            if task.configuration.get(key) != Some(&expected) {
                let got = task.configuration.get(key);
                return broken(format!("{id} is started with {key} = {got:?}, expected {expected:?}"));
            }
        }
        Ok(())
    }

    /// A client was told that it started an execution.
    pub fn start_answered(&mut self, execution: ExecutionId, token: Option<String>) -> Result<(), String> {
        let Some(started) = self.executions.get(&execution) else {
            return broken(format!("the execution {execution} was promised and is not in the table"));
        };
        let Some(token) = token else {
            return Ok(());
        };
        match self.tokens.insert((started.incarnation, token.clone()), execution) {
            Some(before) if before != execution => {
                broken(format!("the token {token} started both {before} and {execution}"))
            }
            _ => Ok(()),
        }
    }

    /// A person was told that an answer was taken.
    pub fn answered(&self, action: ActionId, by: &Approver, approved: bool) -> Result<(), String> {
        let run = self.run(action);
        let wanted = if approved { ActionStatus::Succeeded } else { ActionStatus::Failed };
        match run {
            Some(run) if run.updated_by.as_ref() == Some(by) && run.status == wanted => Ok(()),
            other => broken(format!("{by} was told that {action} took the answer, and it is {other:?}")),
        }
    }

    /// The names under which an action can be found: pipeline, stage, action.
    pub fn names(&self, action: ActionId) -> Option<(PipelineName, String, String)> {
        let stage = self.stages.get(&(action.execution, usize::from(action.stage), action.attempt))?;
        let run = stage.actions.get(usize::from(action.action))?;
        Some((stage.pipeline.clone(), stage.name.to_string(), run.name.to_string()))
    }

    /// The key of some stage attempt, for an index that lags.
    pub fn any_stage(&self, chance: u64) -> Option<Key> {
        let index = usize::try_from(chance.checked_rem(self.stages.len() as u64)?).ok()?;
        let (execution, stage, attempt) = *self.stages.keys().nth(index)?;
        Some(Key::Stage(execution, stage, attempt))
    }

    /// When the sweeper will find something.
    pub fn due(&self) -> Option<i64> {
        let stages = self.stages.values().filter_map(StageRun::due);
        stages.chain(self.locks.values().filter_map(|locks| locks.due)).map(|due| due.0).min()
    }
}
