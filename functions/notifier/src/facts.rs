//! What the table has of an execution about which something may be told.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use engine::{Execution, ExecutionId, Head, StageRun};
use pipeline::notification::{self, Rule};
use pipeline::{Pipeline, PipelineName};
use store::{Entity, Key};

use crate::Notifier;

/// An execution, its pipeline, and who is to hear of it.
#[derive(Debug)]
pub struct Facts {
    /// The pipeline as it is now: its tags are the rules.
    pub head: Head,
    /// The execution as it is now.
    pub execution: Execution,
    /// The rules, each with its name.
    pub rules: Vec<(String, Rule)>,
}

impl Facts {
    /// Reads an execution and the rules of its pipeline; none where either is gone, or the execution is another pipeline's.
    ///
    /// # Errors
    /// The store's.
    pub async fn read(notifier: &Notifier, pipeline: &PipelineName, id: ExecutionId) -> Result<Option<Self>> {
        let found = notifier.store.load(&[Key::Head(pipeline.clone()), Key::Execution(id)]).await?;
        let mut found = found.into_iter().map(|found| found.map(|found| found.entity));
        let (Some(Some(Entity::Head(head))), Some(Some(Entity::Execution(execution)))) = (found.next(), found.next())
        else {
            return Ok(None);
        };
        if (&head.pipeline, head.incarnation) != (&execution.pipeline, execution.incarnation) {
            return Ok(None);
        }
        let rules = notification::rules(&head.tags, notifier.own.as_ref());
        Ok(Some(Self { head, execution, rules }))
    }
}

impl Notifier {
    /// The version of the pipeline with which an execution started.
    ///
    /// # Errors
    /// The store's; when it is missing.
    pub async fn pipeline_of(&self, execution: &Execution) -> Result<Arc<Pipeline>> {
        let Execution { pipeline: name, incarnation, version, .. } = execution;
        let found = self.versions.get(&*self.store, name, *incarnation, *version).await?;
        Ok(found.with_context(|| format!("version {version} of pipeline {name} is missing from the table"))?.pipeline)
    }

    /// An attempt at a stage.
    ///
    /// # Errors
    /// The store's.
    pub async fn attempt(&self, execution: ExecutionId, stage: usize, attempt: u16) -> Result<Option<StageRun>> {
        let found = self.store.get::<StageRun>(Key::Stage(execution, stage, attempt)).await?;
        Ok(found.map(|found| found.entity))
    }
}
