//! What the table has of an execution.

use std::sync::Arc;

use anyhow::{Context, Result};
use engine::{Execution, ExecutionId, StageLocks, StageRun, Timestamp};
use pipeline::{Action, ConditionKind, Pipeline};
use store::{Entity, Key, PipelineVersions, Store};

/// Attempts that are read at a time: each may be an item of 400 KB.
const AT_ONCE: usize = 25;

/// An execution and all of its attempts at stages.
#[derive(Debug)]
pub struct Record {
    /// The execution, with its status, trigger and revisions.
    pub execution: Execution,
    /// Its attempts, in the order in which they began.
    pub attempts: Vec<StageRun>,
    /// The locks of its pipeline as they are now; none once they are gone.
    pub locks: Option<StageLocks>,
    /// The version of the pipeline with which it started.
    pub pipeline: Arc<Pipeline>,
}

impl Record {
    /// Reads an execution; none where the table has no such one.
    ///
    /// # Errors
    /// When the table cannot be read, or what belongs to the execution is missing.
    pub async fn read(store: &dyn Store, versions: &PipelineVersions, id: ExecutionId) -> Result<Option<Self>> {
        let Some(Entity::Execution(execution)) = one(store, Key::Execution(id)).await? else { return Ok(None) };
        let (name, incarnation) = (&execution.pipeline, execution.incarnation);
        let version = versions.get(store, name, incarnation, execution.version).await?;
        let version = version
            .with_context(|| format!("version {} of pipeline {name} is missing from the table", execution.version))?;
        let locks = match one(store, Key::StageLocks(name.clone(), incarnation)).await? {
            Some(Entity::StageLocks(locks)) => Some(locks),
            _ => None,
        };
        let stages = execution.attempts.iter().enumerate();
        let keys: Vec<Key> =
            stages.flat_map(|(stage, last)| (1..=*last).map(move |attempt| Key::Stage(id, stage, attempt))).collect();
        let mut attempts = Vec::new();
        for keys in keys.chunks(AT_ONCE) {
            for found in store.load(keys).await?.into_iter().flatten() {
                if let Entity::Stage(run) = found.entity {
                    attempts.push(run);
                }
            }
        }
        attempts.sort_by_key(|run| (run.started, run.stage, run.attempt));
        Ok(Some(Self { execution, attempts, locks, pipeline: version.pipeline }))
    }

    /// The declaration of what is at a place of a stage: an action, or a rule of a condition.
    pub fn declared(&self, stage: usize, place: u8) -> Option<&Action> {
        let stage = self.pipeline.stages().get(stage)?;
        match ConditionKind::at(place) {
            Some((kind, rule)) => stage.condition(kind)?.rules.get(rule),
            None => stage.actions.get(usize::from(place)),
        }
    }

    /// The attempt at a stage of this number.
    pub fn attempt(&self, stage: usize, attempt: u16) -> Option<&StageRun> {
        self.attempts.iter().find(|run| (run.stage, run.attempt) == (stage, attempt))
    }
}

async fn one(store: &dyn Store, key: Key) -> Result<Option<Entity>> {
    Ok(store.load(&[key]).await?.pop().flatten().map(|found| found.entity))
}

/// The time from the start of an execution, or from when it came back, until it ended.
#[derive(Debug)]
pub struct Run<'a> {
    /// 0 for the first.
    pub index: usize,
    /// When the execution began, or came back.
    pub began: Timestamp,
    /// When the execution ended; none while it has not.
    pub ended: Option<Timestamp>,
    /// The attempts that began in it.
    pub attempts: &'a [StageRun],
}

impl Record {
    /// All runs of the execution. There are several where it had failed or was stopped, and somebody had a stage tried again or
    /// overrode a condition: each ends with an event of its own, and has a root span of its own.
    pub fn runs(&self) -> Vec<Run<'_>> {
        let came_back = (1..self.attempts.len()).filter(|index| self.comes_back(&self.attempts[*index]));
        let bounds: Vec<usize> = [0].into_iter().chain(came_back).chain([self.attempts.len()]).collect();
        let last = bounds.len() - 2;
        let run = |(index, bound): (usize, &[usize])| {
            let attempts = &self.attempts[bound[0]..bound[1]];
            let began = if index == 0 { Some(self.execution.started) } else { attempts.first().map(|it| it.started) };
            let ended = match index == last {
                true => Some(self.execution.updated).filter(|_| !self.execution.status.is_open()),
                false => attempts.last().map(|it| it.updated),
            };
            Run { index, began: began.unwrap_or(self.execution.started), ended, attempts }
        };
        bounds.windows(2).enumerate().map(run).collect()
    }

    /// The runs that an event of this time tells of: those that ended then or later, or else the last that has ended.
    ///
    /// An event's time has no fractions of a second, so that a run that followed within the same second is among them; it is told
    /// again after its own event. On an emulator the time may be that at which the event was published, after all of them.
    pub fn ended_at(&self, time: Timestamp) -> Vec<Run<'_>> {
        let mut runs = self.runs();
        runs.retain(|run| run.ended.is_some());
        let before = runs.iter().filter(|run| run.ended < Some(time)).count();
        runs.split_off(before.min(runs.len().saturating_sub(1)))
    }

    /// Whether the execution had ended before this attempt: it is not the first at its stage, did not come by itself, and took
    /// over nothing that was still running.
    fn comes_back(&self, run: &StageRun) -> bool {
        let before = run.attempt.checked_sub(1).and_then(|attempt| self.attempt(run.stage, attempt));
        before.is_some_and(|before| {
            let went_on = before.runs().any(|(_, run)| run.status == engine::ActionStatus::CarriedOver);
            run.retries.automatic == before.retries.automatic && !went_on
        })
    }
}
