//! What ran in the executions of a pipeline, actions or rules of conditions: the newest first, a page at a time.

use aws_sdk_codepipeline::types::{LatestInPipelineExecutionFilter, StartTimeRange};
use driver::{ActionView, ExecutionView};
use engine::{Execution, StageRun};
use pipeline::{ConditionKind, PipelineName};
use serde::{Deserialize, Serialize};
use store::Entity;
use wire::{ApiError, Operation};

use crate::app::App;
use crate::{control, convert, page};

/// Entries on a page at most, and by default. Source: CodePipeline API, `ListActionExecutions`, `ListRuleExecutions`.
const MOST: usize = 100;
/// How many executions are read at once.
const AT_ONCE: usize = 10;

/// The input of either list operation.
pub struct Query {
    /// The operation, which errors and tokens are made for.
    pub operation: Operation,
    /// The pipeline; its absence is an error, as for AWS.
    pub pipeline: Option<String>,
    /// The id of the only execution whose entries are wanted; none: all executions.
    pub execution: Option<String>,
    /// Only of this execution; and, if it says so, only of the latest attempt at each stage.
    pub latest: Option<LatestInPipelineExecutionFilter>,
    /// How many on a page.
    pub most: Option<i32>,
    /// The `nextToken` of the page before; none: the first page.
    pub token: Option<String>,
}

/// An entry as the API shows it: of an execution, a stage attempt in it, the place there, and what was run.
pub type Shown<'a, T> = &'a (dyn Fn(&ExecutionView, &StageRun, u8, &ActionView) -> Result<T, ApiError> + Sync);

/// The place of an action or rule in its execution: the newest has the largest. It does not change while the execution
/// goes on.
type Place = (i64, usize, u16, u8);

/// The last entry of a page.
#[derive(Serialize, Deserialize)]
struct Position {
    /// Where the reading of executions began with which the page ended.
    after: Option<String>,
    /// The number of the execution in which the page ended.
    number: u64,
    /// The entry's place in it.
    place: Place,
}

/// A page, and the token of the next.
///
/// # Errors
/// `PipelineNotFoundException`, `PipelineExecutionNotFoundException`, `InvalidNextTokenException`;
/// `ValidationException` for two executions.
pub async fn list<T>(app: &App, query: Query, shown: Shown<'_, T>) -> Result<(Vec<T>, Option<String>), ApiError> {
    let operation = query.operation;
    let name = convert::pipeline_name(query.pipeline)?;
    let (only, latest) = match (query.execution, query.latest) {
        (only, None) => (only, false),
        (None, Some(filter)) => (Some(filter.pipeline_execution_id), filter.start_time_range == StartTimeRange::Latest),
        (Some(_), Some(_)) => {
            return Err(convert::invalid(
                "filter has a pipelineExecutionId of its own and one in latestInPipelineExecution: give one of them",
            ));
        }
    };
    let scope = [name.as_str(), only.as_deref().unwrap_or_default(), if latest { "latest" } else { "all" }];
    let from: Option<Position> = page::position(operation, &scope, query.token.as_deref())?;
    let size = page::size(query.most, MOST);
    let mut listing = Pages { app, operation, latest, size, shown, entries: Vec::new(), last: None };
    let ended = match &only {
        Some(id) => {
            let id = control::execution(app, operation, &name, Some(id.clone())).await?;
            let execution = app.driver.execution(&name, id).await.map_err(app.refusal(operation))?;
            listing.add(None, execution, from.as_ref()).await?
        }
        None => listing.all(&name, from).await?,
    };
    let next = match listing.last.filter(|_| !ended) {
        Some(last) => Some(page::token(operation, &scope, last)?),
        None => None,
    };
    Ok((listing.entries, next))
}

/// A page in the making.
struct Pages<'a, T> {
    app: &'a App,
    operation: Operation,
    /// Only the latest attempt at each stage.
    latest: bool,
    size: usize,
    shown: Shown<'a, T>,
    entries: Vec<T>,
    last: Option<Position>,
}

impl<T> Pages<'_, T> {
    /// Adds from all executions. Answers whether the listing ended with this page.
    async fn all(&mut self, name: &PipelineName, from: Option<Position>) -> Result<bool, ApiError> {
        let mut after = from.as_ref().and_then(|from| from.after.clone());
        loop {
            let found = self.app.driver.executions(name, after.as_deref(), AT_ONCE).await;
            let found = found.map_err(self.app.refusal(self.operation))?;
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
        let refusal = self.app.refusal(self.operation);
        let view = self.app.driver.execution_view(execution).await.map_err(&refusal)?;
        let newest = |run: &StageRun| view.execution.attempts.get(run.stage) == Some(&run.attempt);
        let rules = self.operation == Operation::ListRuleExecutions;
        // What an attempt took over is shown where it ran; rules also where only latest attempts are.
        let executed: Vec<(&StageRun, u8)> = if rules && self.latest {
            view.runs.iter().flat_map(|run| run.runs().map(move |(place, _)| (run, place))).collect()
        } else {
            view.executed()
        };
        let mut places: Vec<(Place, &StageRun)> = executed
            .into_iter()
            .filter(|(run, place)| ConditionKind::at(*place).is_some() == rules && (!self.latest || newest(run)))
            .filter_map(|(run, place)| {
                Some(((run.run(place)?.requested?.0, run.stage, run.id_at(place).attempt, place), run))
            })
            .collect();
        places.sort_by_key(|(place, _)| std::cmp::Reverse(*place));
        for (place, run) in places {
            if from.is_some_and(|from| place >= from.place) {
                continue;
            }
            if self.entries.len() == self.size {
                return Ok(false);
            }
            if let Some(ran) = self.app.driver.action_view(&view, run, place.3).await.map_err(&refusal)? {
                self.entries.push((self.shown)(&view, run, place.3, &ran)?);
                self.last = Some(Position { after: after.clone(), number: view.execution.number, place });
            }
        }
        Ok(true)
    }
}
