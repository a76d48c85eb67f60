//! What ran in pipelines lately. What has ended stays as it is while the pipeline's locks do, so it is read once.

use std::collections::HashMap;
use std::sync::PoisonError;

use driver::DriveError;
use engine::{Execution, Head, Incarnation, StageLocks, StageRun};
use futures::future::try_join_all;
use pipeline::PipelineName;
use store::{Key, Listing};

use crate::board::{execution, stage};
use crate::handler::Console;
use crate::version::Version;

/// Executions of each pipeline that are read, the newest: as many as plots and figures are made of, and as are on the first page of
/// a history.
pub const MOST: usize = 30;
/// When what ended in more pipelines than this is remembered, all is forgotten.
const MOST_KNOWN: usize = 1_000;

/// What ran in a pipeline.
#[derive(Clone, Debug, Default)]
pub struct Recent {
    /// [`MOST`] of them at most, those that run among them; the newest comes first.
    pub executions: Vec<Execution>,
    /// Where the listing of executions goes on behind them; none where they are all.
    pub next: Option<String>,
    /// The newest execution's attempt at the first stage, which says who made the change.
    pub source: Option<StageRun>,
}

/// What ran in pipelines whose executions had all ended when their locks were of this revision: nothing else can have run before
/// they are of another.
pub type Ended = HashMap<(PipelineName, Incarnation), (u64, Recent)>;

impl Console {
    /// What ran lately in a pipeline, and its head. What is read of the pipeline counts for the version.
    ///
    /// # Errors
    /// [`DriveError::PipelineNotFound`]; the store's.
    pub async fn lately(&self, name: &PipelineName, version: &mut Version) -> Result<(Head, Recent), DriveError> {
        let (head, locks) = self.items(name, version).await?;
        let recent = self.recent(&[(&locks.entity, locks.revision)]).await?.pop().unwrap_or_default();
        Ok((head, recent))
    }

    /// What ran in each of the pipelines that have these locks, with their revisions.
    pub async fn recent(&self, pipelines: &[(&StageLocks, u64)]) -> Result<Vec<Recent>, DriveError> {
        let key = |locks: &StageLocks| (locks.pipeline.clone(), locks.incarnation);
        let mut all: Vec<Option<Recent>> = {
            let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
            let known = |(locks, revision): &(&StageLocks, u64)| match ended.get(&key(locks)) {
                Some((of, recent)) if of == revision => Some(recent.clone()),
                _ => None,
            };
            pipelines.iter().map(known).collect()
        };
        let unknown: Vec<usize> = (0..all.len()).filter(|place| all[*place].is_none()).collect();
        let listings: Vec<Listing> = unknown
            .iter()
            .map(|place| Listing::Executions(pipelines[*place].0.pipeline.clone(), pipelines[*place].0.incarnation))
            .collect();
        let pages = try_join_all(listings.iter().map(|it| self.driver.store().list(it, None, MOST))).await?;
        let found: Vec<Recent> = pages
            .into_iter()
            .map(|page| Recent {
                executions: page.entities.into_iter().filter_map(execution).collect(),
                next: page.next,
                source: None,
            })
            .collect();
        let first = |recent: &Recent| {
            let (execution, attempt) = recent.executions.first()?.attempt_at(0)?;
            Some(Key::Stage(execution, 0, attempt))
        };
        let keys: Vec<Option<Key>> = found.iter().map(first).collect();
        let wanted: Vec<Key> = keys.iter().flatten().cloned().collect();
        let read = if wanted.is_empty() { Vec::new() } else { self.driver.store().load(&wanted).await? };
        let mut read = read.into_iter();
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        if ended.len() >= MOST_KNOWN {
            ended.clear();
        }
        for ((place, mut recent), wanted) in unknown.into_iter().zip(found).zip(keys) {
            recent.source = wanted.and_then(|_| read.next().flatten()).and_then(|found| stage(found.entity));
            let (locks, revision) = pipelines[place];
            // The index may lag behind the locks.
            let whole = recent.executions.first().map_or(1, |newest| newest.number + 1) == locks.next_number;
            if whole && recent.executions.iter().all(|it| !it.status.is_open()) {
                ended.insert(key(locks), (revision, recent.clone()));
            }
            all[place] = Some(recent);
        }
        Ok(all.into_iter().map(Option::unwrap_or_default).collect())
    }
}
