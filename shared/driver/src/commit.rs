//! The driver itself: load, decide, commit, dispatch.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use engine::{
    ActionId, Command, Context, Decision, Effect, Execution, ExecutionId, Head, Incarnation, JobChange, OutboxTask,
    Policy, Position, Refusal, StageLocks, StageRun, State,
};
use pipeline::{Pipeline, PipelineName};
use store::{Entity, Expect, Key, MOST_WRITES, Store, StoreError, Versioned, Write};

use crate::backoff::contention;
use crate::error::DriveError;
use crate::ports::{Clock, Dispatch, Message, SourceRules};
use crate::resolve::Stages;

/// What a driver works with.
pub struct Setup {
    /// Where everything is kept.
    pub store: Arc<dyn Store>,
    /// How messages go out.
    pub dispatch: Arc<dyn Dispatch>,
    /// Time and chance.
    pub clock: Arc<dyn Clock>,
    /// The engine's periods.
    pub policy: Policy,
    /// The region in which pipelines live.
    pub home: String,
    /// What the providers of sources say about declarations.
    pub sources: SourceRules,
}

type Version = (PipelineName, Incarnation, u32);

/// The one way in which anything changes.
pub struct Driver {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) dispatch: Arc<dyn Dispatch>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) policy: Policy,
    pub(crate) home: String,
    pub(crate) sources: SourceRules,
    /// Declarations never change once stored, so they can be kept by version.
    pipelines: Mutex<HashMap<Version, Arc<Pipeline>>>,
}

/// Everything that a step read, with revisions to write it back on.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What is decided on.
    pub(crate) state: State,
    /// Earlier stages of the execution, as far as they were read, by index; none of them changes again.
    pub(crate) finished: Stages,
    pub(crate) revisions: HashMap<Key, u64>,
}

/// What was decided on several commands.
struct Together {
    /// What those change that were not refused; none if all were.
    decision: Option<Decision>,
    /// How many of the commands it is about.
    taken: usize,
    refused: Vec<Refusal>,
}

/// The commands can be decided on when the locks have been read.
struct LocksNeeded;

/// What a step did.
#[derive(Clone, Debug)]
pub struct Applied {
    /// The actions that the calling worker owns now.
    pub claimed: Vec<ActionId>,
    /// The items after the step: the stage attempt is the one of `claimed`, where there is one.
    pub loaded: Loaded,
    /// What is to be dispatched now.
    pub effects: Vec<Effect>,
}

/// Which stage attempt a command is about.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    /// The one in which this action is: that of its id, or a later one if the stage was retried while it ran.
    Action(ActionId),
    /// This one.
    Stage(ExecutionId, usize, u16),
    /// The execution's latest at this stage; it was this one when last seen.
    Latest(ExecutionId, usize, u16),
    /// The one in which the execution is, if any.
    Current(ExecutionId),
}

impl Place {
    fn execution(self) -> ExecutionId {
        match self {
            Self::Action(action) => action.execution,
            Self::Stage(execution, ..) | Self::Latest(execution, ..) | Self::Current(execution) => execution,
        }
    }

    fn stage_key(self) -> Option<Key> {
        match self {
            Self::Action(action) => Some(Key::Stage(action.execution, usize::from(action.stage), action.attempt)),
            Self::Stage(execution, stage, attempt) | Self::Latest(execution, stage, attempt) => {
                Some(Key::Stage(execution, stage, attempt))
            }
            Self::Current(_) => None,
        }
    }

    /// The stage attempt that is to be read in place of the one that was.
    fn elsewhere(self, execution: &Execution, read: Option<&StageRun>) -> Option<Key> {
        let latest = |index: usize| {
            let attempt = execution.attempts.get(index).copied()?;
            let is_read = read.is_some_and(|read| (read.stage, read.attempt) == (index, attempt));
            (!is_read).then_some(Key::Stage(execution.id, index, attempt))
        };
        match (self, execution.position) {
            (Self::Action(action), _) => {
                let attempt = read?.carried_over_to(action)?;
                Some(Key::Stage(action.execution, usize::from(action.stage), attempt))
            }
            (Self::Latest(_, index, _), _) | (Self::Current(_), Position::In(index)) => latest(index),
            (Self::Current(_) | Self::Stage(..), _) => None,
        }
    }
}

/// The entities that a decision writes.
pub(crate) fn entities(decision: &Decision) -> impl Iterator<Item = Entity> {
    let locks = decision.locks.iter().cloned().map(Entity::StageLocks);
    let execution = decision.execution.iter().cloned().map(Entity::Execution);
    let stages = decision.stages.iter().cloned().map(Entity::Stage);
    let stored = decision.stored.iter().cloned().map(Entity::Outputs);
    locks.chain(execution).chain(stages).chain(stored)
}

impl Driver {
    /// A driver over these parts.
    pub fn new(setup: Setup) -> Self {
        Self {
            store: setup.store,
            dispatch: setup.dispatch,
            clock: setup.clock,
            policy: setup.policy,
            home: setup.home,
            sources: setup.sources,
            pipelines: Mutex::new(HashMap::new()),
        }
    }

    /// The store, for reading.
    pub fn store(&self) -> &dyn Store {
        self.store.as_ref()
    }

    /// The region in which pipelines live.
    pub fn home(&self) -> &str {
        &self.home
    }

    /// Calls the engine with the time, chance and periods of this driver.
    pub(crate) fn decide<T>(&self, decide: impl FnOnce(&mut Context<'_>) -> T) -> T {
        let mut random = || self.clock.random();
        let mut context =
            Context { now: self.clock.now(), policy: &self.policy, home: &self.home, random: &mut random };
        decide(&mut context)
    }

    pub(crate) async fn load_one(&self, key: Key) -> Result<Option<Versioned>, StoreError> {
        Ok(self.store.load(&[key]).await?.pop().flatten())
    }

    /// A stored version of a pipeline.
    pub(crate) async fn pipeline_version(
        &self,
        name: &PipelineName,
        incarnation: Incarnation,
        version: u32,
    ) -> Result<Arc<Pipeline>, DriveError> {
        let id = (name.clone(), incarnation, version);
        if let Some(known) = self.pipelines.lock().unwrap_or_else(PoisonError::into_inner).get(&id) {
            return Ok(known.clone());
        }
        let key = Key::Declaration(name.clone(), incarnation, version);
        let Some(stored) = store::load_declaration(&*self.store, key).await? else {
            return Err(DriveError::VersionNotFound { pipeline: name.to_string(), version });
        };
        let types = stored.types.into_iter().collect();
        let pipeline = Arc::new(Pipeline::with_types(stored.declaration, &types)?);
        self.pipelines.lock().unwrap_or_else(PoisonError::into_inner).insert(id, pipeline.clone());
        Ok(pipeline)
    }

    /// The version of its pipeline that an execution runs.
    ///
    /// # Errors
    /// [`DriveError::ExecutionNotFound`]; the store's.
    pub async fn pipeline_of(&self, execution: ExecutionId) -> Result<Arc<Pipeline>, DriveError> {
        match self.load_one(Key::Execution(execution)).await? {
            Some(Versioned { entity: Entity::Execution(it), .. }) => {
                self.pipeline_version(&it.pipeline, it.incarnation, it.version).await
            }
            _ => Err(DriveError::no_execution(execution)),
        }
    }

    pub(crate) async fn load(&self, place: Place) -> Result<Loaded, DriveError> {
        let id = place.execution();
        let keys: Vec<Key> = std::iter::once(Key::Execution(id)).chain(place.stage_key()).collect();
        let mut revisions = HashMap::new();
        let (mut execution, mut stage) = (None, None);
        for found in self.store.load(&keys).await?.into_iter().flatten() {
            revisions.insert(found.entity.key(), found.revision);
            match found.entity {
                Entity::Execution(it) => execution = Some(it),
                Entity::Stage(it) => stage = Some(it),
                _ => {}
            }
        }
        let execution: Execution = execution.ok_or_else(|| DriveError::no_execution(id))?;
        while let Some(key) = place.elsewhere(&execution, stage.as_ref()) {
            let Some(Versioned { entity: Entity::Stage(it), revision }) = self.load_one(key.clone()).await? else {
                return Err(DriveError::Missing(format!("{key:?}")));
            };
            revisions.insert(key, revision);
            stage = Some(it);
        }
        let pipeline = self.pipeline_version(&execution.pipeline, execution.incarnation, execution.version).await?;
        let state = State { pipeline, locks: None, execution, stage };
        Ok(Loaded { state, finished: Stages::new(), revisions })
    }

    async fn load_locks(&self, loaded: &mut Loaded) -> Result<(), DriveError> {
        let key = Key::StageLocks(loaded.state.execution.pipeline.clone(), loaded.state.execution.incarnation);
        match self.load_one(key.clone()).await? {
            Some(Versioned { entity: Entity::StageLocks(locks), revision }) => {
                loaded.revisions.insert(key, revision);
                loaded.state.locks = Some(locks);
                Ok(())
            }
            _ => Err(DriveError::Missing(format!("{key:?}"))),
        }
    }

    /// One step of an execution, and what follows it.
    pub(crate) async fn step(
        &self,
        place: Place,
        command: Command,
        known: Option<Loaded>,
    ) -> Result<Applied, DriveError> {
        let mut applied = self.apply(place, command, known).await?;
        self.follow(std::mem::take(&mut applied.effects)).await;
        Ok(applied)
    }

    /// One step of an execution, up to its commit. `known` is what the caller has already read, or just written.
    pub(crate) async fn apply(
        &self,
        place: Place,
        command: Command,
        known: Option<Loaded>,
    ) -> Result<Applied, DriveError> {
        self.apply_together(place, &mut VecDeque::from([command]), known).await
    }

    /// Several steps in one stage attempt in one commit: as many of the first commands as one commit can hold, which
    /// are taken out. Those that are refused change nothing; the error is a refusal only where all of them are.
    pub(crate) async fn apply_together(
        &self,
        place: Place,
        commands: &mut VecDeque<Command>,
        known: Option<Loaded>,
    ) -> Result<Applied, DriveError> {
        let mut fresh = known.is_none();
        let mut loaded = match known {
            Some(loaded) => loaded,
            None => self.load(place).await?,
        };
        let mut attempt = 0;
        let mut began = self.clock.now();
        loop {
            let Together { decision, taken, refused } = match self.together(&loaded, commands) {
                Err(LocksNeeded) => {
                    self.load_locks(&mut loaded).await?;
                    continue;
                }
                Ok(together) => together,
            };
            // What is not fresh may be the reason for a refusal.
            if refused.is_empty() || fresh {
                let Some(decision) = decision else {
                    commands.drain(..taken);
                    return Err(refused.into_iter().next().unwrap_or(Refusal::Nothing).into());
                };
                match self.commit(&decision, Vec::new(), &mut loaded).await {
                    Ok(()) => {
                        commands.drain(..taken);
                        for refusal in refused {
                            tracing::debug!(%refusal, "late or doubled");
                        }
                        return Ok(Applied { claimed: decision.claimed, loaded, effects: decision.effects });
                    }
                    Err(error) => {
                        let contention = contention(loaded.state.stage.as_ref(), self.clock.now().since(began));
                        self.back_off(&mut attempt, contention, error).await?;
                    }
                }
            }
            began = self.clock.now();
            loaded = self.load(place).await?;
            fresh = true;
        }
    }

    /// Decides on commands one after another, each on what those before it leave.
    fn together(&self, loaded: &Loaded, commands: &VecDeque<Command>) -> Result<Together, LocksNeeded> {
        let mut state = loaded.state.clone();
        let mut together = Together { decision: None, taken: 0, refused: Vec::new() };
        for command in commands {
            match self.decide(|context| engine::decide(state.clone(), command.clone(), context)) {
                Err(Refusal::LocksNeeded) => return Err(LocksNeeded),
                Err(refusal) => together.refused.push(refusal),
                Ok(later) => {
                    if together.decision.as_ref().is_some_and(|earlier| earlier.items_with(&later) > MOST_WRITES) {
                        break;
                    }
                    state.follow(&later);
                    together.decision = Some(match together.decision.take() {
                        None => later,
                        Some(earlier) => earlier.and(later),
                    });
                }
            }
            together.taken += 1;
        }
        Ok(together)
    }

    /// Commits a decision with what else belongs to it, and brings `loaded` to what is now in the store.
    pub(crate) async fn commit(
        &self,
        decision: &Decision,
        mut writes: Vec<Write>,
        loaded: &mut Loaded,
    ) -> Result<(), StoreError> {
        let mut revisions = Vec::new();
        for entity in entities(decision) {
            let key = entity.key();
            let expect = loaded.revisions.get(&key).map_or(Expect::Absent, |revision| Expect::Revision(*revision));
            revisions.push((key.clone(), loaded.revisions.get(&key).copied().unwrap_or(0) + 1));
            writes.push(Write::Put { entity, expect });
        }
        // What an entry says follows from the stage's item, which is written under its own condition beside it.
        writes.extend(decision.jobs.iter().cloned().map(|change| match change {
            JobChange::Put(job) => Write::Put { entity: Entity::Job(job), expect: Expect::Any },
            JobChange::Remove(job) => {
                Write::Delete { key: Key::Job(job.queue, job.queued, job.action), expect: Expect::Any }
            }
        }));
        writes.extend(decision.external_ids.iter().cloned().map(|id| Write::Put {
            entity: Entity::ExternalId(id),
            // The last start under an id counts.
            expect: Expect::Any,
        }));
        if !writes.is_empty() {
            self.store.commit(writes).await?;
        }
        loaded.revisions.extend(revisions);
        loaded.state.follow(decision);
        Ok(())
    }

    /// Dispatches what follows a commit. Failures are only logged: everything can be found again in the table.
    pub(crate) async fn follow(&self, effects: Vec<Effect>) {
        let mut messages = Vec::new();
        let mut outbox = Vec::new();
        for effect in effects {
            let (message, delay) = match effect {
                Effect::Run { action, delay } => (Message::Run { action }, delay),
                Effect::Poll { action, delay, count } => (Message::Poll { action, count }, delay),
                Effect::Replicate { action, artifact } => (Message::Replicate { action, artifact }, 0),
                Effect::Outbox(task) => {
                    outbox.push(task);
                    continue;
                }
            };
            messages.push((message, Duration::from_millis(u64::try_from(delay).unwrap_or(0))));
        }
        if !messages.is_empty()
            && let Err(error) = self.dispatch.dispatch(messages).await
        {
            tracing::warn!(%error, "not dispatched; the sweeper will find it");
        }
        for task in outbox {
            if let Err(error) = Box::pin(self.do_outbox_task(&task)).await {
                tracing::warn!(%error, ?task, "task not done; the sweeper will find it");
            }
        }
    }

    /// Does to an execution what a change of the locks asks for.
    pub(crate) async fn do_outbox_task(&self, task: &OutboxTask) -> Result<(), DriveError> {
        let command = match task {
            OutboxTask::Enter { stage, .. } => Command::Enter { stage: stage.clone() },
            OutboxTask::Supersede { by, .. } => Command::Supersede { by: *by },
            OutboxTask::Cancel { .. } => Command::Cancel,
            OutboxTask::RollBack { .. } => return self.roll_back_after(task).await,
        };
        match self.step(Place::Current(task.execution()), command, None).await {
            Ok(_) | Err(DriveError::Refused(Refusal::Nothing)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The head and the locks of a pipeline.
    pub(crate) async fn head(&self, name: &PipelineName) -> Result<(Head, u64), DriveError> {
        match self.load_one(Key::Head(name.clone())).await? {
            Some(Versioned { entity: Entity::Head(head), revision }) => Ok((head, revision)),
            _ => Err(DriveError::PipelineNotFound(name.to_string())),
        }
    }

    pub(crate) async fn locks(&self, head: &Head) -> Result<(StageLocks, u64), DriveError> {
        let key = Key::StageLocks(head.pipeline.clone(), head.incarnation);
        match self.load_one(key).await? {
            Some(Versioned { entity: Entity::StageLocks(locks), revision }) if !locks.deleted => Ok((locks, revision)),
            // The pipeline was deleted between the two reads.
            _ => Err(DriveError::PipelineNotFound(head.pipeline.to_string())),
        }
    }
}
