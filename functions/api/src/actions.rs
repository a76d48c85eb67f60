//! What ran: action executions, newest first.

use aws_sdk_codepipeline::operation::list_action_executions::{ListActionExecutionsInput, ListActionExecutionsOutput};
use aws_sdk_codepipeline::types::{
    ActionCategory, ActionExecutionDetail, ActionExecutionInput, ActionExecutionOutput, ActionExecutionResult,
    ActionExecutionStatus, ActionOwner, ActionTypeId, StartTimeRange,
};
use driver::{ActionView, ExecutionView};
use engine::{ActionStatus, Execution, StageRun};
use pipeline::{PipelineName, TypeId};
use serde::{Deserialize, Serialize};
use store::Entity;
use wire::{ApiError, Operation};

use crate::app::App;
use crate::{control, page, shape};

/// Action executions on a page at most, and by default. Source: CodePipeline API, `ListActionExecutions`.
const MOST: usize = 100;
/// How many executions are read at once.
const AT_ONCE: usize = 10;

/// An action's place in its execution: the newest has the largest. It does not change while the execution goes on.
type Place = (i64, usize, u16, usize);

/// The last action of a page.
#[derive(Serialize, Deserialize)]
struct Position {
    /// Where the reading of executions began with which the page ended.
    after: Option<String>,
    /// The number of the execution in which the page ended.
    number: u64,
    /// The action's place in it.
    place: Place,
}

/// A page of action executions of a pipeline, or of one of its executions.
pub async fn list(app: &App, input: ListActionExecutionsInput) -> Result<ListActionExecutionsOutput, ApiError> {
    let operation = Operation::ListActionExecutions;
    let name = shape::pipeline_name(input.pipeline_name)?;
    let (only, latest) = match input
        .filter
        .map(|filter| (filter.pipeline_execution_id, filter.latest_in_pipeline_execution))
    {
        None | Some((None, None)) => (None, false),
        Some((only, None)) => (only, false),
        Some((None, Some(filter))) => {
            (Some(filter.pipeline_execution_id), filter.start_time_range == StartTimeRange::Latest)
        }
        Some((Some(_), Some(_))) => {
            return Err(shape::invalid(
                "filter has a pipelineExecutionId of its own and one in latestInPipelineExecution: give one of them",
            ));
        }
    };
    let scope = [name.as_str(), only.as_deref().unwrap_or_default(), if latest { "latest" } else { "all" }];
    let from: Option<Position> = page::position(operation, &scope, input.next_token.as_deref())?;
    let mut listing = Pages { app, latest, size: page::size(input.max_results, MOST), details: Vec::new(), last: None };
    let ended = match &only {
        Some(id) => {
            let execution = one(app, &name, id).await?;
            listing.add(None, execution, from.as_ref()).await?
        }
        None => listing.all(&name, from).await?,
    };
    let next = match listing.last.filter(|_| !ended) {
        Some(last) => Some(page::token(operation, &scope, last)?),
        None => None,
    };
    Ok(ListActionExecutionsOutput::builder()
        .set_action_execution_details(Some(listing.details))
        .set_next_token(next)
        .build())
}

async fn one(app: &App, name: &PipelineName, id: &str) -> Result<Execution, ApiError> {
    let operation = Operation::ListActionExecutions;
    let id = control::execution(app, operation, name, Some(id.to_owned())).await?;
    app.driver.execution(name, id).await.map_err(app.refusal(operation))
}

/// A page in the making.
struct Pages<'a> {
    app: &'a App,
    /// Only the latest attempt at each stage.
    latest: bool,
    size: usize,
    details: Vec<ActionExecutionDetail>,
    last: Option<Position>,
}

impl Pages<'_> {
    /// Adds from all executions. Answers whether the listing ended with this page.
    async fn all(&mut self, name: &PipelineName, from: Option<Position>) -> Result<bool, ApiError> {
        let mut after = from.as_ref().and_then(|from| from.after.clone());
        loop {
            let found = self.app.driver.executions(name, after.as_deref(), AT_ONCE).await;
            let found = found.map_err(self.app.refusal(Operation::ListActionExecutions))?;
            for entity in found.entities {
                let Entity::Execution(execution) = entity else {
                    continue;
                };
                // Newer ones were on earlier pages, or started meanwhile.
                let number = execution.number;
                if from.as_ref().is_some_and(|from| number > from.number) {
                    continue;
                }
                let from = from.as_ref().filter(|from| from.number == number);
                if !self.add(after.clone(), execution, from).await? {
                    return Ok(false);
                }
            }
            match found.next {
                Some(next) => after = Some(next),
                None => return Ok(true),
            }
        }
    }

    /// Adds what ran in an execution. Answers whether all of it found its place on the page.
    async fn add(
        &mut self,
        after: Option<String>,
        execution: Execution,
        from: Option<&Position>,
    ) -> Result<bool, ApiError> {
        let refusal = self.app.refusal(Operation::ListActionExecutions);
        let view = self.app.driver.execution_view(execution).await.map_err(&refusal)?;
        let newest = |run: &StageRun| view.execution.attempts.get(run.stage) == Some(&run.attempt);
        let runs = view.runs.iter().filter(|run| !self.latest || newest(run));
        let mut places: Vec<(Place, &StageRun)> = runs.flat_map(places).collect();
        places.sort_by_key(|(place, _)| std::cmp::Reverse(*place));
        for (place, run) in places {
            if from.is_some_and(|from| place >= from.place) {
                continue;
            }
            if self.details.len() == self.size {
                return Ok(false);
            }
            let index = place.3;
            let Some(action) = self.app.driver.action_view(&view, run, index as u8).await.map_err(&refusal)? else {
                continue;
            };
            self.details.push(detail(self.app, &view, run, index, &action)?);
            self.last = Some(Position { after: after.clone(), number: view.execution.number, place });
        }
        Ok(true)
    }
}

/// The places of the actions of a stage attempt whose turn has come.
fn places(run: &StageRun) -> impl Iterator<Item = (Place, &StageRun)> {
    // What an attempt took over is shown where it ran.
    let ran = |(_, action): &(usize, &engine::ActionRun)| action.attempt == 0;
    run.actions.iter().enumerate().filter(ran).filter_map(move |(index, action)| {
        let requested = action.requested?;
        Some(((requested.0, run.stage, run.attempt, index), run))
    })
}

/// The status of an action execution; none for an action whose turn has not come.
pub fn status(status: &ActionStatus) -> Option<ActionExecutionStatus> {
    match status {
        ActionStatus::Pending => None,
        ActionStatus::Requested | ActionStatus::Claimed { .. } | ActionStatus::Running => {
            Some(ActionExecutionStatus::InProgress)
        }
        ActionStatus::Succeeded => Some(ActionExecutionStatus::Succeeded),
        ActionStatus::Failed => Some(ActionExecutionStatus::Failed),
        ActionStatus::Abandoned => Some(ActionExecutionStatus::Abandoned),
    }
}

fn detail(
    app: &App,
    view: &ExecutionView,
    stage: &StageRun,
    index: usize,
    action: &ActionView,
) -> Result<ActionExecutionDetail, ApiError> {
    let run = &stage.actions[index];
    Ok(ActionExecutionDetail::builder()
        .pipeline_execution_id(view.execution.id.to_string())
        .action_execution_id(stage.action_id(index).first_turn().to_string())
        .pipeline_version(i32::try_from(view.execution.version).unwrap_or(i32::MAX))
        .stage_name(stage.name.as_str())
        .action_name(run.name.as_str())
        .set_start_time(run.requested.map(shape::time))
        .set_last_update_time(run.updated.map(shape::time))
        .set_updated_by(run.updated_by.clone())
        .set_status(status(&run.status))
        .input(given(app, action)?)
        .output(left(run, action))
        .build())
}

fn given(app: &App, view: &ActionView) -> Result<ActionExecutionInput, ApiError> {
    let action = &view.action;
    let region = action.region.as_ref().map_or(app.driver.home(), |region| region.as_str());
    let resolved = view.configuration.as_ref().map(|resolved| shape::masked(action, resolved));
    Ok(ActionExecutionInput::builder()
        .action_type_id(type_id(&action.type_id)?)
        .set_configuration(Some(shape::masked(action, &action.configuration)))
        .set_resolved_configuration(resolved)
        .set_role_arn(action.role_arn.as_ref().map(ToString::to_string))
        .region(region)
        .set_input_artifacts(Some(view.inputs.iter().map(shape::artifact).collect()))
        .set_namespace(action.namespace.as_ref().map(ToString::to_string))
        .build())
}

fn left(run: &engine::ActionRun, view: &ActionView) -> ActionExecutionOutput {
    let external = run.external.as_ref();
    let result = ActionExecutionResult::builder()
        .set_external_execution_id(external.map(|external| external.id.clone()))
        .set_external_execution_summary(run.summary.clone())
        .set_external_execution_url(external.and_then(|external| external.url.clone()))
        .set_error_details(run.error.as_ref().map(shape::error))
        .build();
    ActionExecutionOutput::builder()
        .set_output_artifacts(Some(run.outputs.iter().map(shape::artifact).collect()))
        .execution_result(result)
        .set_output_variables(Some(view.variables.clone().into_iter().collect()))
        .build()
}

/// An action type's id in the API's form.
pub fn type_id(id: &TypeId) -> Result<ActionTypeId, ApiError> {
    ActionTypeId::builder()
        .category(ActionCategory::from(id.category.as_str()))
        .owner(ActionOwner::from(id.owner.as_deref().unwrap_or_default()))
        .provider(&id.provider)
        .version(id.version.as_deref().unwrap_or_default())
        .build()
        .map_err(shape::incomplete)
}
