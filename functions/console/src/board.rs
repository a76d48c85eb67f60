//! What stands and runs in a pipeline, read together.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use driver::DriveError;
use engine::{Entry, Execution, ExecutionId, ExecutionStatus, Head, Position, StageLock, StageLocks, StageRun};
use pictures::states::{self, Seen};
use pipeline::{ExecutionMode, Pipeline, PipelineName, Stage};
use store::{Entity, Key, Versioned};

use crate::handler::Console;
use crate::standing::in_front;
use crate::version::Version;

/// Executions in front of one stage that are read; of more it is said how many there are.
pub const WAITING: usize = 20;
/// Executions of mode PARALLEL that are listed, the newest.
pub const RUNNING: usize = 30;

/// A pipeline with what is in it.
#[derive(Debug)]
pub struct Board {
    /// Which version is current.
    pub head: Head,
    /// The current version, checked.
    pub pipeline: Arc<Pipeline>,
    /// Who holds and who waits.
    pub locks: StageLocks,
    /// The revision of that item.
    pub revision: u64,
    /// The stages from left to right.
    pub columns: Vec<Column>,
    /// Where the other executions are that run beside the chosen one.
    pub beside: Vec<Column>,
    /// What is in the stages and in front of them, by id.
    pub executions: HashMap<ExecutionId, Execution>,
    /// The one execution that the stages show, where they do not show who entered last.
    pub chosen: Option<ExecutionId>,
    /// Of all that was read.
    pub version: Version,
}

/// A stage, as it was declared for what runs in it.
#[derive(Debug)]
pub struct Column {
    /// The version that `run` is of; the current one where nothing ran.
    pub of: Arc<Pipeline>,
    /// The stage's index in the pipeline, from 0.
    pub index: usize,
    /// The attempt that it shows.
    pub run: Option<StageRun>,
    /// Who is in and in front of it; none in mode PARALLEL.
    pub lock: Option<StageLock>,
}

impl Column {
    /// What the pipeline's shown version declares of the stage.
    pub fn stage(&self) -> &Stage {
        &self.of.stages()[self.index]
    }
}

impl Board {
    /// Executions that have not ended, the oldest first.
    pub fn open(&self) -> Vec<&Execution> {
        let mut open: Vec<&Execution> = self.executions.values().filter(|it| it.status.is_open()).collect();
        open.sort_by_key(|it| it.number);
        open
    }

    /// How many executions have not ended; not all of them are read.
    pub fn count_open(&self) -> usize {
        let mut open: BTreeSet<ExecutionId> = self.open().into_iter().map(|it| it.id).collect();
        open.extend(&self.locks.running);
        open.extend(self.locks.stages.values().flat_map(|lock| &lock.waiting).map(|it| it.execution));
        open.len()
    }

    /// How an execution stands.
    pub fn seen(&self, execution: &Execution) -> Seen {
        match (execution.position, self.stage_of(execution)) {
            (_, Some((column, run))) => states::stage(run, &column.of),
            (Position::Waiting(index), None) if execution.status == ExecutionStatus::InProgress => {
                in_front(self.columns.get(index).and_then(|column| column.lock.as_ref()))
            }
            _ => states::execution(execution),
        }
    }

    /// The stage in which an execution is, with its attempt there, if that is among what was read.
    pub fn stage_of(&self, execution: &Execution) -> Option<(&Column, &StageRun)> {
        let Position::In(index) = execution.position else { return None };
        let columns = self.columns.iter().chain(&self.beside);
        let mut runs = columns.filter_map(|column| Some((column, column.run.as_ref()?)));
        runs.find(|(_, run)| run.execution == execution.id && run.stage == index)
    }
}

impl Console {
    /// Reads a pipeline with what is in it, or with one of its executions. `address` is the page's own.
    ///
    /// # Errors
    /// [`DriveError::PipelineNotFound`], [`DriveError::ExecutionNotFound`].
    pub async fn board(
        &self,
        name: &PipelineName,
        chosen: Option<ExecutionId>,
        address: &str,
    ) -> Result<Board, DriveError> {
        let mut version = Version::of(address);
        let (head, Versioned { revision, entity: locks }) = self.items(name, &mut version).await?;
        let pipeline = self.stored(name, &head, head.version).await?;
        let parallel = pipeline.mode() == ExecutionMode::Parallel;
        let chosen = match chosen {
            None if parallel => self.driver.newest(&locks).await?,
            chosen => chosen,
        };
        let mut board = Board {
            head,
            pipeline,
            locks,
            revision,
            columns: Vec::new(),
            beside: Vec::new(),
            executions: HashMap::new(),
            chosen,
            version,
        };
        match chosen {
            Some(id) => self.with_execution(&mut board, id).await?,
            None => self.with_latest(&mut board).await?,
        }
        Ok(board)
    }

    /// Each stage with who entered it last.
    async fn with_latest(&self, board: &mut Board) -> Result<(), DriveError> {
        let stages = board.pipeline.stages();
        let entries: Vec<Option<Entry>> =
            stages.iter().map(|stage| board.locks.stages.get(&stage.name).and_then(|lock| lock.latest)).collect();
        let locks = stages.iter().filter_map(|stage| board.locks.stages.get(&stage.name));
        let mut ids: BTreeSet<ExecutionId> = entries.iter().flatten().map(|entry| entry.execution).collect();
        for lock in locks {
            ids.extend(lock.holder);
            ids.extend(lock.waiting.iter().take(WAITING).map(|it| it.execution));
        }
        // The outbox has executions that are between two stages.
        ids.extend(board.locks.outbox.iter().take(WAITING).map(engine::OutboxTask::execution));
        let runs: Vec<Key> =
            entries.iter().flatten().map(|it| Key::Stage(it.execution, it.stage, it.attempt)).collect();
        let keys: Vec<Key> = runs.iter().cloned().chain(ids.into_iter().map(Key::Execution)).collect();
        let mut read = self.load(&keys, &mut board.version).await?.into_iter();
        let found: Vec<Option<StageRun>> =
            entries.iter().map(|entry| entry.and_then(|_| read.next().flatten()).and_then(stage)).collect();
        board.executions = read.flatten().filter_map(execution).map(|it| (it.id, it)).collect();
        for (index, run) in found.into_iter().enumerate() {
            let declared = &board.pipeline.stages()[index];
            let lock = Some(board.locks.stages.get(&declared.name).cloned().unwrap_or_default());
            let column = match run {
                Some(run) => {
                    let number = board.executions.get(&run.execution).map_or(board.head.version, |it| it.version);
                    let of = self.stored(&board.head.pipeline, &board.head, number).await?;
                    let index = run.stage;
                    // An item that does not fit its version is shown as one that did not run.
                    if of.stages().get(index).is_none() {
                        Column { of: board.pipeline.clone(), index, run: None, lock }
                    } else {
                        Column { of, index, run: Some(run), lock }
                    }
                }
                None => Column { of: board.pipeline.clone(), index, run: None, lock },
            };
            board.columns.push(column);
        }
        Ok(())
    }

    /// Each stage as one execution came to it.
    async fn with_execution(&self, board: &mut Board, id: ExecutionId) -> Result<(), DriveError> {
        let running = board.locks.running.iter().rev().take(RUNNING).filter(|it| **it != id);
        let keys: Vec<Key> = [id].iter().chain(running).map(|id| Key::Execution(*id)).collect();
        let read = self.load(&keys, &mut board.version).await?;
        board.executions = read.into_iter().flatten().filter_map(execution).map(|it| (it.id, it)).collect();
        let of_pipeline =
            |it: &&Execution| it.pipeline == board.head.pipeline && it.incarnation == board.head.incarnation;
        let shown = board.executions.get(&id).filter(of_pipeline);
        let shown = shown.ok_or_else(|| DriveError::ExecutionNotFound(id.to_string()))?.clone();
        let of = self.stored(&board.head.pipeline, &board.head, shown.version).await?;
        let attempts: Vec<Option<Key>> = (0..of.stages().len())
            .map(|index| {
                let attempt = shown.attempts.get(index).copied().filter(|attempt| *attempt > 0)?;
                Some(Key::Stage(id, index, attempt))
            })
            .collect();
        let keys: Vec<Key> = attempts.iter().flatten().cloned().collect();
        let mut read = self.load(&keys, &mut board.version).await?.into_iter();
        for (index, attempt) in attempts.into_iter().enumerate() {
            let run = attempt.and_then(|_| read.next().flatten()).and_then(stage);
            let lock = board.locks.stages.get(&of.stages()[index].name).cloned();
            let lock = if shown.mode == ExecutionMode::Parallel { None } else { lock };
            board.columns.push(Column { of: of.clone(), index, run, lock });
        }
        self.with_others(board, id).await
    }

    /// Where the executions are that run beside the chosen one.
    async fn with_others(&self, board: &mut Board, chosen: ExecutionId) -> Result<(), DriveError> {
        // In their order, so that the version is the same each time.
        let others: Vec<(u32, usize, Key)> = board
            .open()
            .into_iter()
            .filter(|it| it.id != chosen)
            .filter_map(|it| {
                let Position::In(index) = it.position else { return None };
                let attempt = it.attempts.get(index).copied().filter(|attempt| *attempt > 0)?;
                Some((it.version, index, Key::Stage(it.id, index, attempt)))
            })
            .collect();
        let keys: Vec<Key> = others.iter().map(|(.., key)| key.clone()).collect();
        let read = self.load(&keys, &mut board.version).await?;
        for ((number, index, _), run) in others.into_iter().zip(read) {
            let of = self.stored(&board.head.pipeline, &board.head, number).await?;
            board.beside.push(Column { of, index, run: run.and_then(stage), lock: None });
        }
        Ok(())
    }

    /// A pipeline's head and locks; where the locks may be is remembered, so that one read finds both.
    ///
    /// # Errors
    /// [`DriveError::PipelineNotFound`]; the store's.
    pub async fn items(
        &self,
        name: &PipelineName,
        version: &mut Version,
    ) -> Result<(Head, Versioned<StageLocks>), DriveError> {
        let missing = || DriveError::PipelineNotFound(name.to_string());
        let mut guess = self.incarnation(name);
        loop {
            let mut keys = vec![Key::Head(name.clone())];
            keys.extend(guess.map(|incarnation| Key::StageLocks(name.clone(), incarnation)));
            let mut found = self.driver.store().load(&keys).await?.into_iter();
            let head = found.next().flatten().map(Versioned::typed::<Head>).transpose()?.ok_or_else(missing)?;
            if guess == Some(head.entity.incarnation) {
                let locks = found.next().flatten().map(Versioned::typed::<StageLocks>).transpose()?;
                let locks = locks.filter(|locks| !locks.entity.deleted).ok_or_else(missing)?;
                version.item(Some(head.revision));
                version.item(Some(locks.revision));
                return Ok((head.entity, locks));
            }
            self.remember(name, head.entity.incarnation);
            guess = Some(head.entity.incarnation);
        }
    }

    /// Reads items, and adds their revisions to the version.
    pub async fn load(&self, keys: &[Key], version: &mut Version) -> Result<Vec<Option<Entity>>, DriveError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let found = self.driver.store().load(keys).await?;
        Ok(found
            .into_iter()
            .map(|item| {
                version.item(item.as_ref().map(|it| it.revision));
                item.map(|it| it.entity)
            })
            .collect())
    }
}

/// The stage attempt that an item is.
pub fn stage(entity: Entity) -> Option<StageRun> {
    match entity {
        Entity::Stage(run) => Some(run),
        _ => None,
    }
}

/// The execution that an item is.
pub fn execution(entity: Entity) -> Option<Execution> {
    match entity {
        Entity::Execution(it) => Some(it),
        _ => None,
    }
}
