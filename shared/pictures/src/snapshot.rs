//! What a picture shows of a pipeline.

use driver::{DriveError, Driver, PipelineView};
use engine::{Execution, StageRun};
use pages::State;
use pipeline::{Action, ExecutionMode, PipelineName, Stage};
use store::{Entity, Key};

use crate::states::{self, Seen};

/// A pipeline as it stands, as far as anybody may know who sees its picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The name as it was declared: drawings escape and cut it. So of stages and actions.
    pub pipeline: String,
    /// The stages of its current version, from left to right.
    pub stages: Vec<StageSnapshot>,
}

/// A stage as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageSnapshot {
    /// The name as it was declared; links to a badge of the stage carry it.
    pub name: String,
    /// How the attempt stands that entered last, with the word for it.
    pub seen: Seen,
    /// Whether the transition into it is closed.
    pub is_closed: bool,
    /// Whether an execution waits in front of the closed transition.
    pub is_held: bool,
    /// Its actions in the declaration's order.
    pub actions: Vec<ActionSnapshot>,
}

/// An action as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActionSnapshot {
    /// The name as it was declared, unique in the stage.
    pub name: String,
    /// Its group: actions with the same number run side by side.
    pub run_order: u32,
    /// Where it runs, if that is not the pipeline's home region.
    pub region: Option<String>,
    /// How it stands, with the word for it.
    pub seen: Seen,
}

impl Snapshot {
    /// Reads a pipeline: each stage with the attempt that entered it last, or, where executions share no stages, with that of
    /// the newest one.
    ///
    /// # Errors
    /// [`DriveError::PipelineNotFound`], and the store's.
    pub async fn read(driver: &Driver, name: &PipelineName) -> Result<Self, DriveError> {
        let view = driver.state(name).await?;
        let runs = match view.record.pipeline.mode() {
            ExecutionMode::Parallel => newest(driver, &view).await?,
            _ => view.stages.iter().filter_map(|stage| stage.latest.clone()).collect(),
        };
        let stages = view.record.pipeline.stages().iter().map(|declared| {
            // By name: an attempt may be of an earlier version.
            let run = runs.iter().find(|run| run.name == declared.name);
            let lock = view.locks.stages.get(&declared.name);
            let is_closed = lock.is_some_and(|lock| lock.transition.disabled);
            StageSnapshot {
                name: declared.name.to_string(),
                seen: run.map_or(NOTHING, |run| states::stage(run, &view.record.pipeline)),
                is_closed,
                is_held: is_closed && lock.is_some_and(|lock| !lock.waiting.is_empty()),
                actions: actions(declared, run, driver.home()),
            }
        });
        Ok(Self { pipeline: name.to_string(), stages: stages.collect() })
    }

    /// How the pipeline stands as a whole: what needs attention first.
    #[must_use]
    pub fn state(&self) -> State {
        states::whole(self.stages.iter().map(|stage| stage.seen.0), self.stages.iter().any(|stage| stage.is_held))
    }
}

const NOTHING: Seen = (State::DidNotRun, State::DidNotRun.word());

fn actions(declared: &Stage, run: Option<&StageRun>, home: &str) -> Vec<ActionSnapshot> {
    let seen = |action: &Action| {
        let run = run.and_then(|run| run.actions.iter().find(|it| it.name == action.name));
        run.map_or(NOTHING, |run| states::action(run, Some(action)))
    };
    let snapshot = |action: &Action| ActionSnapshot {
        name: action.name.to_string(),
        run_order: action.run_order,
        region: action.region.as_ref().map(ToString::to_string).filter(|region| region != home),
        seen: seen(action),
    };
    declared.actions.iter().map(snapshot).collect()
}

/// The attempts of the newest execution.
async fn newest(driver: &Driver, view: &PipelineView) -> Result<Vec<StageRun>, DriveError> {
    let Some(id) = driver.newest(&view.locks).await? else { return Ok(Vec::new()) };
    let found = driver.store().load(&[Key::Execution(id)]).await?.into_iter().flatten().next();
    let Some(Entity::Execution(Execution { attempts, .. })) = found.map(|found| found.entity) else {
        return Ok(Vec::new());
    };
    let attempts = attempts.iter().enumerate().filter(|(_, attempt)| **attempt > 0);
    let keys: Vec<Key> = attempts.map(|(stage, attempt)| Key::Stage(id, stage, *attempt)).collect();
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let found = driver.store().load(&keys).await?.into_iter().flatten();
    Ok(found.filter_map(|it| if let Entity::Stage(run) = it.entity { Some(run) } else { None }).collect())
}
