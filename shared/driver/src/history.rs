//! What ran in an execution, as `ListActionExecutions` shows it.

use std::collections::BTreeMap;
use std::sync::Arc;

use engine::{Artifact, Execution, StageRun};
use pipeline::{Action, Pipeline};

use crate::commit::Driver;
use crate::error::DriveError;
use crate::resolve::Stages;

/// An execution with everything that ran in it.
#[derive(Clone, Debug)]
pub struct ExecutionView {
    /// The execution.
    pub execution: Execution,
    /// Its version of the pipeline.
    pub pipeline: Arc<Pipeline>,
    /// All stage attempts, in the order of stages and attempts.
    pub runs: Vec<StageRun>,
    /// What an execution that rolls back sees of its target's earlier stages.
    inherited: Stages,
}

/// What one attempt at an action was given, and what it left.
#[derive(Clone, Debug)]
pub struct ActionView {
    /// The action as declared.
    pub action: Action,
    /// Its configuration with variables resolved; none while some cannot be.
    pub configuration: Option<BTreeMap<String, String>>,
    /// The artifacts that it reads, as far as they exist.
    pub inputs: Vec<Artifact>,
    /// Its output variables.
    pub variables: BTreeMap<String, String>,
}

impl Driver {
    /// An execution with everything that ran in it.
    ///
    /// # Errors
    /// The store's.
    pub async fn execution_view(&self, execution: Execution) -> Result<ExecutionView, DriveError> {
        let pipeline = self.pipeline_version(&execution.pipeline, execution.incarnation, execution.version).await?;
        let runs = self.stage_runs(execution.id).await?;
        let earlier = execution.rollback.as_ref().map_or(0, |target| target.attempts.len());
        let inherited = self.stages(&execution, (0..earlier).collect()).await?;
        Ok(ExecutionView { execution, pipeline, runs, inherited })
    }

    /// One attempt at an action or rule, by its stage attempt and its place there; none where there is no such one.
    ///
    /// # Errors
    /// The store's.
    pub async fn action_view(
        &self,
        view: &ExecutionView,
        run: &StageRun,
        place: u8,
    ) -> Result<Option<ActionView>, DriveError> {
        let Some(declared) = view.pipeline.action(run.stage, place) else {
            return Ok(None);
        };
        // Later attempts replace earlier ones; of its own stage an action sees its own attempt.
        let mut stages = view.inherited.clone();
        stages.extend(view.runs.iter().map(|run| (run.stage, run.clone())));
        stages.insert(run.stage, run.clone());
        let configuration = self.configuration(&view.pipeline, &view.execution, declared, &stages).await?.ok();
        let made = |name| {
            let (stage, index) = view.pipeline.producer(name)?;
            stages.get(&stage)?.actions.get(index)?.outputs.iter().find(|artifact| artifact.name == *name).cloned()
        };
        let inputs = declared.inputs.iter().filter_map(made).collect();
        let variables = self.outputs(run, usize::from(place)).await?;
        Ok(Some(ActionView { action: declared.clone(), configuration, inputs, variables }))
    }
}
