//! Executions that succeeded in a stage. Source: CodePipeline API, `ListPipelineExecutions`, `succeededInStage`.
//!
//! No index says where an execution succeeded: it would have to be written at each crossing of each stage, for a filter
//! that people use when they look for the target of a rollback. What is read instead is bounded. Only executions of the
//! pipeline's current version count, and versions never go down from one start to the next (a start and an update both
//! write the locks, so one of them comes first): the newest ones are read, and the listing ends at the first older
//! version. How each stood in the stage is read by key, a batch for each page. One call looks at [`LOOKED_AT`] executions
//! at most; where that is not enough to fill a page, the page is shorter, possibly empty, and its token goes on from
//! there.

use engine::{Execution, StageStatus};
use pipeline::PipelineName;
use serde::{Deserialize, Serialize};
use store::{Entity, Key, Listing};

use crate::driver::Driver;
use crate::error::DriveError;

/// How many executions one call looks at, at most.
const LOOKED_AT: usize = 1_000;
/// How many are read at once: as many keys as a batch has.
const AT_ONCE: usize = 100;

/// Where the reading of executions stopped; the API's page token holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SucceededAfter {
    /// Where the reading of executions goes on.
    after: Option<String>,
    /// Only those with smaller numbers are new.
    below: Option<u64>,
}

/// A page of executions, newest first.
#[derive(Clone, Debug)]
pub struct SucceededPage {
    /// The executions that succeeded in the stage, possibly none.
    pub executions: Vec<Execution>,
    /// Where the next page begins, if there may be one.
    pub next: Option<SucceededAfter>,
}

impl Driver {
    /// Executions of a pipeline's current version that succeeded in a stage, newest first.
    ///
    /// # Errors
    /// [`DriveError::PipelineNotFound`], [`DriveError::StageNotFound`] for a stage that the current version does not
    /// have.
    pub async fn succeeded(
        &self,
        name: &PipelineName,
        stage: &str,
        from: Option<SucceededAfter>,
        size: usize,
    ) -> Result<SucceededPage, DriveError> {
        let record = self.pipeline(name, None).await?;
        let index = record.pipeline.stage_index(stage).ok_or_else(|| DriveError::no_stage(name, stage))?;
        let listing = Listing::Executions(name.clone(), record.head.incarnation);
        let (mut after, below) = from.map_or((None, None), |from| (from.after, from.below));
        let mut executions: Vec<Execution> = Vec::new();
        let mut looked_at = 0;
        loop {
            let page = self.store.list(&listing, after.as_deref(), AT_ONCE).await?;
            looked_at += page.entities.len();
            let read = page.entities.into_iter().filter_map(|entity| match entity {
                Entity::Execution(it) => Some(it),
                _ => None,
            });
            let mut older = false;
            let mut candidates: Vec<Execution> = Vec::new();
            for execution in read {
                older = older || execution.version < record.head.version;
                let new = below.is_none_or(|below| execution.number < below);
                if new && !older && execution.attempts.get(index).is_some_and(|attempt| *attempt > 0) {
                    candidates.push(execution);
                }
            }
            for execution in self.that_succeeded(candidates, index).await? {
                if executions.len() == size {
                    let below = executions.last().map(|last| last.number);
                    return Ok(SucceededPage { executions, next: Some(SucceededAfter { after, below }) });
                }
                executions.push(execution);
            }
            after = page.next;
            if after.is_none() || older {
                return Ok(SucceededPage { executions, next: None });
            }
            if looked_at >= LOOKED_AT {
                return Ok(SucceededPage { executions, next: Some(SucceededAfter { after, below: None }) });
            }
        }
    }

    /// Those whose latest attempt at the stage succeeded: there is none after one that did.
    async fn that_succeeded(&self, executions: Vec<Execution>, stage: usize) -> Result<Vec<Execution>, DriveError> {
        let keys: Vec<Key> = executions
            .iter()
            .map(|it| Key::Stage(it.id, stage, it.attempts.get(stage).copied().unwrap_or(0)))
            .collect();
        let runs = self.store.load(&keys).await?;
        let succeeded = |entity: &Entity| matches!(entity, Entity::Stage(run) if run.status == StageStatus::Succeeded);
        let found = executions.into_iter().zip(runs);
        Ok(found.filter_map(|(it, run)| run.filter(|run| succeeded(&run.entity)).map(|_| it)).collect())
    }
}
