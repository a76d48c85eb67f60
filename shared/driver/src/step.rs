//! A step of an execution: what it must know is read, the engine decides on commands, and what they change is committed.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use engine::{
    ActionId, Command, Decision, Effect, Execution, ExecutionId, Position, Refusal, StageLocks, StageRun, State,
};
use pipeline::Pipeline;
use store::{Entity, Expect, Key, MOST_WRITES, Versioned, Write};

use crate::backoff;
use crate::commit::{Change, writes};
use crate::driver::Driver;
use crate::error::DriveError;

/// Stage attempts of one execution, by stage index, as far as they have been read.
pub(crate) type Stages = HashMap<usize, StageRun>;

/// Everything that a step read, with revisions to write it back on.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The pipeline, locks, execution and stage attempt, as the engine takes them.
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

/// What a step has committed, and what is left to do.
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
    /// The attempt at this stage: stage index, attempt from 1.
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

impl Loaded {
    /// Items that have been read: an execution with its version of the pipeline, and what else there is.
    pub(crate) fn new(
        pipeline: Arc<Pipeline>,
        execution: Versioned<Execution>,
        stage: Option<Versioned<StageRun>>,
        locks: Option<Versioned<StageLocks>>,
    ) -> Self {
        let mut revisions = HashMap::from([(Key::Execution(execution.entity.id), execution.revision)]);
        if let Some(Versioned { revision, entity: it }) = &stage {
            revisions.insert(Key::Stage(it.execution, it.stage, it.attempt), *revision);
        }
        if let Some(Versioned { revision, entity: it }) = &locks {
            revisions.insert(Key::StageLocks(it.pipeline.clone(), it.incarnation), *revision);
        }
        let (locks, stage) = (locks.map(|it| it.entity), stage.map(|it| it.entity));
        let state = State { pipeline, locks, execution: execution.entity, stage };
        Self { state, finished: Stages::new(), revisions }
    }

    /// All stages that have been read, that of the step among them.
    pub(crate) fn stages(&self) -> Stages {
        let mut stages = self.finished.clone();
        stages.extend(self.state.stage.iter().map(|stage| (stage.stage, stage.clone())));
        stages
    }

    fn locks_key(&self) -> Key {
        Key::StageLocks(self.state.execution.pipeline.clone(), self.state.execution.incarnation)
    }

    /// What is in the store once these writes of a decision have been committed.
    fn after(mut self, decision: &Decision, writes: &[Write]) -> Self {
        for write in writes {
            match write {
                Write::Put { entity, expect: Expect::Revision(before) } => {
                    self.revisions.insert(entity.key(), before + 1);
                }
                Write::Put { entity, expect: Expect::Absent } => {
                    self.revisions.insert(entity.key(), 1);
                }
                Write::Put { expect: Expect::Any, .. } | Write::Delete { .. } => {}
            }
        }
        self.state.follow(decision);
        // A stage that was left does not change any more, and those behind it read its artifacts.
        let now = self.state.stage.as_ref().map_or(0, |stage| stage.stage);
        let left = decision.stages.iter().filter(|stage| stage.stage < now);
        self.finished.extend(left.map(|stage| (stage.stage, stage.clone())));
        self
    }
}

impl Driver {
    /// What a step in this stage attempt must know; the locks are read when the engine asks for them.
    pub(crate) async fn load(&self, place: Place) -> Result<Loaded, DriveError> {
        self.load_with(place, None).await
    }

    /// The same, with the locks if they are already known to be needed.
    async fn load_with(&self, place: Place, locks: Option<Key>) -> Result<Loaded, DriveError> {
        let id = place.execution();
        let keys: Vec<Key> = std::iter::once(Key::Execution(id)).chain(place.stage_key()).chain(locks).collect();
        let (mut execution, mut stage, mut locks) = (None, None, None);
        for Versioned { revision, entity } in self.store.load(&keys).await?.into_iter().flatten() {
            match entity {
                Entity::Execution(entity) => execution = Some(Versioned { revision, entity }),
                Entity::Stage(entity) => stage = Some(Versioned { revision, entity }),
                Entity::StageLocks(entity) => locks = Some(Versioned { revision, entity }),
                _ => {}
            }
        }
        let execution: Versioned<Execution> = execution.ok_or_else(|| DriveError::no_execution(id))?;
        while let Some(key) = place.elsewhere(&execution.entity, stage.as_ref().map(|stage| &stage.entity)) {
            let found = self.store.get::<StageRun>(key.clone()).await?;
            stage = Some(found.ok_or_else(|| DriveError::Missing(format!("{key:?}")))?);
        }
        let Execution { pipeline, incarnation, version, .. } = &execution.entity;
        let pipeline = self.pipeline_version(pipeline, *incarnation, *version).await?;
        Ok(Loaded::new(pipeline, execution, stage, locks))
    }

    async fn load_locks(&self, loaded: &mut Loaded) -> Result<(), DriveError> {
        let key = loaded.locks_key();
        let found = self.store.get::<StageLocks>(key.clone()).await?;
        let locks = found.ok_or_else(|| DriveError::Missing(format!("{key:?}")))?;
        loaded.revisions.insert(key, locks.revision);
        loaded.state.locks = Some(locks.entity);
        Ok(())
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
        let (known, locks, tried) = (Mutex::new(known), OnceLock::new(), &*commands);
        let done = self.transact(|| {
            Box::pin(async {
                let known = known.lock().unwrap_or_else(PoisonError::into_inner).take();
                let mut fresh = known.is_none();
                let mut loaded = match known {
                    Some(known) => known,
                    None => self.load_with(place, locks.get().cloned()).await?,
                };
                let together = loop {
                    match self.together(&loaded, tried) {
                        Err(LocksNeeded) => self.load_locks(&mut loaded).await?,
                        // What is not fresh may be the reason for a refusal.
                        Ok(together) if !fresh && !together.refused.is_empty() => {
                            loaded = self.load(place).await?;
                            fresh = true;
                        }
                        Ok(together) => break together,
                    }
                };
                let Together { decision, taken, refused } = together;
                let Some(decision) = decision else {
                    return Ok(Change::of(Vec::new(), (taken, refused, None)));
                };
                if decision.locks.is_some() {
                    // Another try writes them as well.
                    locks.get_or_init(|| loaded.locks_key());
                }
                let contention = backoff::of_stage(loaded.state.stage.as_ref());
                let writes = writes(decision.clone(), &loaded.revisions);
                let loaded = loaded.after(&decision, &writes);
                let applied = Applied { claimed: decision.claimed, loaded, effects: decision.effects };
                Ok(Change { contention, ..Change::of(writes, (taken, refused, Some(applied))) })
            })
        });
        let (taken, refused, applied) = done.await?;
        commands.drain(..taken);
        let Some(applied) = applied else {
            return Err(refused.into_iter().next().unwrap_or(Refusal::Nothing).into());
        };
        for refusal in refused {
            tracing::debug!(%refusal, "late or doubled");
        }
        Ok(applied)
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
}
