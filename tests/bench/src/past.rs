//! Past executions, of which a pipeline has many after some years: copies of one that was run, under ids and numbers of
//! their own. To run ten thousand would take hours; what the table holds of them is the same.

use anyhow::{Context, Result, bail};
use engine::{ExecutionId, Incarnation, StageLocks, StageRun};
use futures::{StreamExt, TryStreamExt};
use pipeline::PipelineName;
use store::{DynamoStore, Entity, Expect, Key, Listing, Store, Versioned, Write};
use uuid::Uuid;

/// Executions that are written at the same time.
const AT_ONCE: usize = 8;
/// Stage attempts that are read of an execution: more than a pipeline of the bench has.
const MOST_STAGES: usize = 100;

/// Copies the execution until its pipeline has had `total`. Answers how many it had before.
///
/// # Errors
/// When the table does not hold what it should, or does not take it.
pub async fn copy_until(store: &DynamoStore, execution: &str, total: u64) -> Result<u64> {
    let id: ExecutionId = execution.parse()?;
    let Some(Versioned { entity: Entity::Execution(original), .. }) = load(store, Key::Execution(id)).await? else {
        bail!("there is no execution {id}");
    };
    let page = store.list(&Listing::Stages(id), None, MOST_STAGES).await?;
    let stages: Vec<StageRun> = page
        .entities
        .into_iter()
        .filter_map(|entity| if let Entity::Stage(stage) = entity { Some(stage) } else { None })
        .collect();
    // The numbers are taken first, as those of real executions are.
    let first = take_numbers(store, &original.pipeline, original.incarnation, total).await?;
    let write = |number: u64| {
        let id = ExecutionId::from_random(Uuid::new_v4());
        let execution = Entity::Execution(engine::Execution { id, number, ..original.clone() });
        let stages = stages.iter().map(|stage| Entity::Stage(StageRun { execution: id, ..stage.clone() }));
        let new = std::iter::once(execution).chain(stages);
        store.commit(new.map(|entity| Write::Put { entity, expect: Expect::Absent }).collect())
    };
    futures::stream::iter(first..=total).map(write).buffer_unordered(AT_ONCE).try_collect::<Vec<()>>().await?;
    Ok(first - 1)
}

async fn load(store: &DynamoStore, key: Key) -> Result<Option<Versioned>> {
    Ok(store.load(&[key]).await?.pop().flatten())
}

async fn take_numbers(
    store: &DynamoStore,
    pipeline: &PipelineName,
    incarnation: Incarnation,
    total: u64,
) -> Result<u64> {
    let found = load(store, Key::StageLocks(pipeline.clone(), incarnation)).await?;
    let Some(Versioned { entity: Entity::StageLocks(locks), revision }) = found else {
        bail!("the pipeline {pipeline} has no locks");
    };
    let first = locks.next_number;
    let locks = StageLocks { next_number: first.max(total + 1), ..locks };
    let write = Write::Put { entity: Entity::StageLocks(locks), expect: Expect::Revision(revision) };
    store.commit(vec![write]).await.context("the pipeline is not at rest")?;
    Ok(first)
}
