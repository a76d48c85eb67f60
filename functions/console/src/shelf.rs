//! What stands and runs in many pipelines, read together.

use std::sync::Arc;

use driver::DriveError;
use engine::{Entry, ExecutionId, Head, StageLocks, StageRun};
use futures::future::try_join_all;
use pages::State;
use pictures::states;
use pipeline::{ExecutionMode, Pipeline, StageName};
use store::{Entity, Key, Listing, Versioned};

use crate::board::{execution, stage};
use crate::handler::Console;
use crate::recent::Recent;
use crate::version::Version;

/// Names that a search looks at, at most.
const SEARCHED: usize = 2_000;
/// Names that are listed at once.
const AT_ONCE: usize = 500;

/// A pipeline in a list.
#[derive(Debug)]
pub struct Row {
    /// Which version is current.
    pub head: Head,
    /// The current version, checked.
    pub pipeline: Arc<Pipeline>,
    /// Who holds and who waits.
    pub locks: StageLocks,
    /// The revision of that item.
    revision: u64,
    /// Its stages from left to right.
    pub stages: Vec<Cell>,
    /// What ran in it lately.
    pub recent: Recent,
}

/// A stage of a pipeline in a list.
#[derive(Debug)]
pub struct Cell {
    /// The stage, by its name in the version that is shown.
    pub name: StageName,
    /// How the attempt stands that entered last.
    pub state: State,
    /// The word for it.
    pub word: &'static str,
    /// The attempt that the cell is about.
    pub run: Option<StageRun>,
    /// Executions in front of it.
    pub waiting: usize,
    /// Whether its transition is closed.
    pub closed: bool,
}

/// Heads of pipelines, and where the list goes on.
#[derive(Debug)]
pub struct Heads {
    /// In the order of their names.
    pub heads: Vec<Head>,
    /// Behind which name the next page begins.
    pub next: Option<String>,
    /// Whether a search stopped before it had seen all names.
    pub cut: bool,
}

impl Row {
    /// How the pipeline stands as a whole: what needs attention first.
    pub fn state(&self) -> State {
        let held = self.stages.iter().any(Cell::is_held);
        states::whole(self.stages.iter().map(|cell| cell.state), held)
    }

    /// The stage that makes it stand as it does, and the word for that.
    pub fn place(&self) -> Option<(&Cell, &'static str)> {
        let state = self.state();
        let same = self.stages.iter().find(|cell| cell.state == state).map(|cell| (cell, cell.word));
        same.or_else(|| self.stages.iter().find(|cell| cell.is_held()).map(|cell| (cell, states::HELD.1)))
    }
}

impl Cell {
    /// Whether something waits in front of its closed transition.
    fn is_held(&self) -> bool {
        self.closed && self.waiting > 0
    }
}

impl Console {
    /// A page of heads; of those whose name has `search` in it.
    pub async fn heads(&self, search: &str, after: Option<&str>, limit: usize) -> Result<Heads, DriveError> {
        let wanted = search.to_lowercase();
        let (mut heads, mut after, mut looked_at) = (Vec::new(), after.map(str::to_owned), 0);
        loop {
            let at_once = if wanted.is_empty() { limit } else { AT_ONCE };
            let page = self.driver.store().list(&Listing::Pipelines, after.as_deref(), at_once).await?;
            looked_at += page.entities.len();
            for entity in page.entities {
                let Entity::Head(head) = entity else { continue };
                if !head.pipeline.as_str().to_lowercase().contains(&wanted) {
                    continue;
                }
                if heads.len() == limit {
                    let next = heads.last().map(|head: &Head| head.pipeline.to_string());
                    return Ok(Heads { heads, next, cut: false });
                }
                heads.push(head);
            }
            after = page.next;
            if wanted.is_empty() || after.is_none() || looked_at >= SEARCHED {
                let cut = !wanted.is_empty() && after.is_some();
                return Ok(Heads { heads, next: after, cut });
            }
        }
    }

    /// What stands in these pipelines, without what ran before; all that is read counts for the version.
    pub async fn rows(&self, heads: Vec<Head>, version: &mut Version) -> Result<Vec<Row>, DriveError> {
        let keys: Vec<Key> = heads.iter().map(|it| Key::StageLocks(it.pipeline.clone(), it.incarnation)).collect();
        let locks = if keys.is_empty() { Vec::new() } else { self.driver.store().load(&keys).await? };
        let found: Vec<(Head, Versioned<StageLocks>)> = heads
            .into_iter()
            .zip(locks)
            .filter_map(|(head, locks)| match locks {
                // Or it has just been deleted.
                Some(Versioned { revision, entity: Entity::StageLocks(entity) }) if !entity.deleted => {
                    Some((head, Versioned { revision, entity }))
                }
                _ => None,
            })
            .collect();
        let versions = found.iter().map(|(head, _)| self.stored(&head.pipeline, head, head.version));
        let pipelines = try_join_all(versions).await?;
        let mut rows = Vec::with_capacity(found.len());
        for ((head, locks), pipeline) in found.into_iter().zip(pipelines) {
            version.text(head.pipeline.as_str());
            version.item(Some(head.version.into()));
            version.item(Some(locks.revision));
            let Versioned { revision, entity: locks } = locks;
            rows.push(Row { head, pipeline, locks, revision, stages: Vec::new(), recent: Recent::default() });
        }
        self.fill(&mut rows, version).await?;
        Ok(rows)
    }

    /// The stages of each row.
    async fn fill(&self, rows: &mut [Row], version: &mut Version) -> Result<(), DriveError> {
        // In mode PARALLEL no execution is the latest in a stage: the row shows the newest that runs, or that ran.
        let newest = try_join_all(rows.iter().map(|row| self.newest_of(row))).await?;
        let ids: Vec<Key> = newest.iter().flatten().copied().map(Key::Execution).collect();
        let mut read = self.load(&ids, version).await?.into_iter();
        let mut entries: Vec<Vec<Option<Entry>>> = Vec::with_capacity(rows.len());
        for (row, id) in rows.iter().zip(newest) {
            let newest = id.and_then(|_| read.next().flatten()).and_then(execution);
            let of = |index: usize, name: &StageName| match (&newest, row.pipeline.mode()) {
                (Some(newest), ExecutionMode::Parallel) => {
                    let attempt = newest.attempts.get(index).copied().filter(|attempt| *attempt > 0)?;
                    Some(Entry { execution: newest.id, stage: index, attempt })
                }
                _ => row.locks.stages.get(name).and_then(|lock| lock.latest),
            };
            entries.push(row.pipeline.stages().iter().enumerate().map(|(index, it)| of(index, &it.name)).collect());
        }
        let keys: Vec<Key> =
            entries.iter().flatten().flatten().map(|it| Key::Stage(it.execution, it.stage, it.attempt)).collect();
        let mut read = self.load(&keys, version).await?.into_iter();
        for (row, entries) in rows.iter_mut().zip(entries) {
            for (declared, entry) in row.pipeline.stages().iter().zip(entries) {
                let run = entry.and_then(|_| read.next().flatten()).and_then(stage);
                let seen = run.as_ref().map(|run| states::stage(run, &row.pipeline));
                let (state, word) = seen.unwrap_or((State::DidNotRun, State::DidNotRun.word()));
                let lock = row.locks.stages.get(&declared.name);
                row.stages.push(Cell {
                    name: declared.name.clone(),
                    state,
                    word,
                    run,
                    waiting: lock.map_or(0, |lock| lock.waiting.len()),
                    closed: lock.is_some_and(|lock| lock.transition.disabled),
                });
            }
        }
        Ok(())
    }

    /// The execution that stands for a pipeline of mode PARALLEL.
    async fn newest_of(&self, row: &Row) -> Result<Option<ExecutionId>, DriveError> {
        match row.pipeline.mode() {
            ExecutionMode::Parallel => self.driver.newest(&row.locks).await,
            _ => Ok(None),
        }
    }

    /// Adds what ran before.
    pub async fn with_recent(&self, rows: &mut [Row]) -> Result<(), DriveError> {
        let locks: Vec<(&StageLocks, u64)> = rows.iter().map(|row| (&row.locks, row.revision)).collect();
        let recent = self.recent(&locks).await?;
        for (row, recent) in rows.iter_mut().zip(recent) {
            row.recent = recent;
        }
        Ok(())
    }
}
