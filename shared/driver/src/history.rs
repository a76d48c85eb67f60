//! What ran in an execution, as `ListActionExecutions` shows it.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use engine::{ActionId, ActionRun, ActionStatus, Artifact, Execution, StageRun};
use pipeline::{Action, Pipeline, PipelineName};
use store::Key;

use crate::driver::Driver;
use crate::error::DriveError;
use crate::resolve::made;
use crate::step::Stages;

/// An execution with everything that ran in it.
#[derive(Clone, Debug)]
pub struct ExecutionView {
    /// The execution as it stands.
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
    /// The declaration of the action, or of the rule in the form of an action.
    pub action: Action,
    /// Its configuration with variables resolved; none while some cannot be.
    pub configuration: Option<BTreeMap<String, String>>,
    /// The artifacts that it reads, as far as they exist.
    pub inputs: Vec<Artifact>,
    /// Its output variables, also where the stage's item does not hold them.
    pub variables: BTreeMap<String, String>,
}

/// One attempt at an action, found by its id.
#[derive(Clone, Debug)]
pub struct ActionExecutionView {
    /// The run with its status, times and external id.
    pub run: ActionRun,
    /// What it was given and left.
    pub view: ActionView,
}

impl ExecutionView {
    /// All attempts at actions and rules, each once, by its stage attempt and its place there: where it ran, or, if the
    /// stage was retried while it ran, where it went on.
    pub fn executed(&self) -> Vec<(&StageRun, u8)> {
        let mut seen = HashSet::new();
        let places = self.runs.iter().flat_map(|stage| stage.runs().map(move |(place, run)| (stage, place, run)));
        places
            .filter(|(_, _, run)| run.status != ActionStatus::CarriedOver)
            .filter(|(stage, place, _)| seen.insert(stage.id_at(*place).first_turn()))
            .map(|(stage, place, _)| (stage, place))
            .collect()
    }
}

impl Driver {
    /// One attempt at an action by its id, in this pipeline or in the one to which the id leads.
    ///
    /// # Errors
    /// [`DriveError::PipelineNotFound`]; [`DriveError::JobNotFound`] and [`DriveError::ExecutionNotFound`] for an action
    /// that is not there, is another pipeline's, or whose turn has not come. The error in place of an id that cannot be
    /// one comes after the pipeline's own.
    pub async fn action_execution(
        &self,
        pipeline: Option<&PipelineName>,
        id: Result<ActionId, DriveError>,
    ) -> Result<ActionExecutionView, DriveError> {
        if let (Some(name), Err(_)) = (pipeline, &id) {
            self.pipeline_head(name).await?;
        }
        let id = id?;
        let execution = match pipeline {
            Some(name) => self.execution(name, id.execution).await?,
            None => {
                let found = self.store.get::<Execution>(Key::Execution(id.execution)).await?;
                let found = found.ok_or_else(|| DriveError::no_execution(id.execution))?.entity;
                self.execution(&found.pipeline, id.execution).await?
            }
        };
        let view = self.execution_view(execution).await?;
        let is = |(run, place): &(&StageRun, u8)| run.id_at(*place).first_turn() == id.first_turn();
        let (run, _) = view.executed().into_iter().find(is).ok_or_else(|| DriveError::no_action(id))?;
        match (run.run(id.action), self.action_view(&view, run, id.action).await?) {
            (Some(action), Some(found)) if action.requested.is_some() => {
                Ok(ActionExecutionView { run: action.clone(), view: found })
            }
            _ => Err(DriveError::no_action(id)),
        }
    }

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
        let input = |name| view.pipeline.producer(name).and_then(|(stage, index)| made(&stages, name, stage, index));
        let inputs = declared.inputs.iter().filter_map(input).collect();
        let variables = self.outputs(run, usize::from(place)).await?;
        Ok(Some(ActionView { action: declared.clone(), configuration, inputs, variables }))
    }
}
