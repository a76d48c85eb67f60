//! What an approval decides: reads what `engine::proposal` must know. Everything is read by key, but for one page of the
//! pipeline's newest executions.

use std::collections::{BTreeMap, HashMap};

use engine::{ActionId, Execution, ExecutionId, Proposal, ProposalFacts, StageLocks, StageRun, StageStatus};
use pipeline::{ExecutionMode, Pipeline};
use store::{Entity, Key, Listing};

use crate::driver::Driver;
use crate::error::DriveError;
use crate::step::{Loaded, Stages};

/// How many of the newest executions are looked at.
const LOOKED_AT: usize = 25;

impl Driver {
    /// What this approval decides. `stages`: the execution's own, as far as they have been read.
    pub(crate) async fn proposal(
        &self,
        loaded: &Loaded,
        approval: ActionId,
        stages: &Stages,
    ) -> Result<Proposal, DriveError> {
        let (pipeline, execution) = (&*loaded.state.pipeline, &loaded.state.execution);
        let locks = self.locks_of(loaded).await?;
        let behind = engine::stages_behind(pipeline, execution, approval);
        let listing = Listing::Executions(execution.pipeline.clone(), execution.incarnation);
        let page = self.store.list(&listing, None, LOOKED_AT).await?;
        let newest: Vec<Execution> = page.entities.into_iter().filter_map(execution_of).collect();

        let live = match execution.mode {
            ExecutionMode::Parallel => match engine::live_in_parallel(&newest) {
                Some(live) => self.run_by(live, pipeline, &behind).await?,
                None => BTreeMap::new(),
            },
            _ => live_in(loaded, &locks, &behind),
        };
        let stage = pipeline.stages().get(usize::from(approval.stage));
        let waiting = stage.map(|stage| locks.newer_than(execution, &stage.name)).unwrap_or_default();
        let mut known: HashMap<ExecutionId, Execution> = newest.iter().map(|it| (it.id, it.clone())).collect();
        known.insert(execution.id, execution.clone());
        let mut missing: Vec<ExecutionId> = live.values().chain(&waiting).copied().collect();
        missing.retain(|id| !known.contains_key(id));
        missing.sort_unstable();
        missing.dedup();
        let keys: Vec<Key> = missing.into_iter().map(Key::Execution).collect();
        let read = self.store.load(&keys).await?.into_iter().flatten();
        known.extend(read.filter_map(|it| execution_of(it.entity)).map(|it| (it.id, it)));
        let live: BTreeMap<usize, &Execution> =
            live.iter().filter_map(|(index, id)| Some((*index, known.get(id)?))).collect();

        let told = engine::between(execution, &live, &newest);
        let found_in = self.source_stages(std::iter::once(execution).chain(told)).await?;
        Ok(engine::proposal(&ProposalFacts {
            pipeline,
            execution,
            approval,
            stages: stages.iter().map(|(index, stage)| (*index, stage)).collect(),
            live,
            executions: &newest,
            found_in: &found_in,
            waiting: waiting.iter().filter_map(|id| known.get(id)).collect(),
        }))
    }

    /// Of these stages, those that an execution ran, with that execution: it may have skipped some.
    async fn run_by(
        &self,
        execution: &Execution,
        pipeline: &Pipeline,
        stages: &[usize],
    ) -> Result<BTreeMap<usize, ExecutionId>, DriveError> {
        let key = |index: &usize| {
            let (from, attempt) = execution.attempt_at(*index)?;
            Some(Key::Stage(from, *index, attempt))
        };
        let keys: Vec<Key> = stages.iter().filter_map(key).collect();
        let runs = self.store.load(&keys).await?.into_iter().flatten().filter_map(stage_of);
        let ran = |run: &StageRun| {
            // In another version of the pipeline another stage may be there.
            let same = pipeline.stages().get(run.stage).is_some_and(|stage| stage.name == run.name);
            same && run.status == StageStatus::Succeeded
        };
        Ok(runs.filter(ran).map(|run| (run.stage, execution.id)).collect())
    }

    async fn locks_of(&self, loaded: &Loaded) -> Result<StageLocks, DriveError> {
        if let Some(locks) = &loaded.state.locks {
            return Ok(locks.clone());
        }
        let key = Key::StageLocks(loaded.state.execution.pipeline.clone(), loaded.state.execution.incarnation);
        let found = self.store.get::<StageLocks>(key.clone()).await?;
        Ok(found.ok_or_else(|| DriveError::Missing(format!("{key:?}")))?.entity)
    }

    /// The source stages of executions: there it stands who made what they found.
    async fn source_stages<'a>(
        &self,
        executions: impl Iterator<Item = &'a Execution>,
    ) -> Result<Vec<StageRun>, DriveError> {
        let key = |it: &Execution| {
            let (execution, attempt) = it.attempt_at(0)?;
            Some(Key::Stage(execution, 0, attempt))
        };
        let keys: Vec<Key> = executions.filter_map(key).collect();
        Ok(self.store.load(&keys).await?.into_iter().flatten().filter_map(stage_of).collect())
    }
}

/// The executions that are live in these stages.
fn live_in(loaded: &Loaded, locks: &StageLocks, behind: &[usize]) -> BTreeMap<usize, ExecutionId> {
    let stages = loaded.state.pipeline.stages();
    let live = |index: &usize| locks.stages.get(&stages.get(*index)?.name)?.live();
    behind.iter().filter_map(|index| Some((*index, live(index)?))).collect()
}

fn execution_of(entity: Entity) -> Option<Execution> {
    match entity {
        Entity::Execution(execution) => Some(execution),
        _ => None,
    }
}

fn stage_of(found: store::Versioned<Entity>) -> Option<StageRun> {
    match found.entity {
        Entity::Stage(stage) => Some(stage),
        _ => None,
    }
}
