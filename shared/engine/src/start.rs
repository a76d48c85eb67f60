//! Starting an execution: its pipeline variables, its place in the order of starts, and its first stage.

use std::collections::BTreeMap;
use std::sync::Arc;

use pipeline::{ExecutionMode, Pipeline, PipelineName, PipelineType, limits};

use crate::command::{Context, Decision, Refusal, State};
use crate::id::ExecutionId;
use crate::lifecycle;
use crate::state::{Execution, ExecutionStatus, Head, Position, RevisionOverride, StageLocks, Trigger};
use crate::step::Step;

/// What a start asks for.
#[derive(Clone, Debug)]
pub struct Start {
    /// A random id that the caller made for the new execution.
    pub id: ExecutionId,
    /// What people are shown as the cause of the start.
    pub trigger: Trigger,
    /// Values of all pipeline variables: [`start_variables`].
    pub variables: BTreeMap<String, String>,
    /// Revisions that source actions must use.
    pub overrides: Vec<RevisionOverride>,
}

/// Why a start's variables do not fit the pipeline's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidVariables {
    /// Pipelines of type V1 have no variables.
    #[error("Pipeline '{0}' is of type V1: variables need a pipeline of type V2.")]
    V1(PipelineName),
    /// The pipeline declares no such variable.
    #[error("Pipeline '{pipeline}' declares no variable '{variable}'.")]
    Unknown {
        /// The name of the pipeline.
        pipeline: PipelineName,
        /// The name that the start gives a value.
        variable: String,
    },
    /// A variable has a value neither by the start nor by default.
    #[error("Variable '{variable}' of pipeline '{pipeline}' has no default value: give one.")]
    Missing {
        /// The name of the pipeline.
        pipeline: PipelineName,
        /// The name of the variable that has no value.
        variable: String,
    },
}

/// The values of all pipeline variables: those that a start gives, the others by default. Source: CodePipeline API,
/// `StartPipelineExecution`, `PipelineVariableDeclaration`.
///
/// # Errors
/// [`InvalidVariables`], for the first that does not fit.
pub fn start_variables(
    pipeline: &Pipeline,
    given: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, InvalidVariables> {
    let declared = pipeline.declaration().variables.as_deref().unwrap_or_default();
    let name = || pipeline.name().clone();
    if !given.is_empty() && pipeline.kind() == PipelineType::V1 {
        return Err(InvalidVariables::V1(name()));
    }
    if let Some(unknown) = given.keys().find(|name| declared.iter().all(|variable| variable.name != **name)) {
        return Err(InvalidVariables::Unknown { pipeline: name(), variable: unknown.clone() });
    }
    let valued = declared.iter().map(|variable| {
        let value = given.get(&variable.name).or(variable.default_value.as_ref());
        let missing = || InvalidVariables::Missing { pipeline: name(), variable: variable.name.clone() };
        value.map(|value| (variable.name.clone(), value.clone())).ok_or_else(missing)
    });
    valued.collect()
}

/// Starts an execution of the pipeline's current version: in its first stage, or in front of it.
///
/// # Errors
/// [`Refusal::Nothing`] when the pipeline has been deleted; [`Refusal::PipelineUpdated`]; [`Refusal::TooManyExecutions`].
pub fn start(
    pipeline: Arc<Pipeline>,
    head: &Head,
    mut locks: StageLocks,
    start: Start,
    context: &mut Context<'_>,
) -> Result<Decision, Refusal> {
    if locks.deleted {
        return Err(Refusal::Nothing);
    }
    if locks.version != head.version {
        return Err(Refusal::PipelineUpdated);
    }
    let mode = pipeline.mode();
    // Source: CodePipeline user guide, 'Quotas'. In SUPERSEDED mode each stage has one execution in it and one in front.
    if mode != ExecutionMode::Superseded && locks.active().len() >= limits::CONCURRENT_EXECUTIONS {
        return Err(Refusal::TooManyExecutions(limits::CONCURRENT_EXECUTIONS));
    }
    if mode == ExecutionMode::Parallel {
        locks.running.push(start.id);
    }
    let number = locks.next_number;
    locks.next_number += 1;
    let execution = Execution {
        id: start.id,
        pipeline: head.pipeline.clone(),
        incarnation: head.incarnation,
        version: head.version,
        number,
        mode,
        status: ExecutionStatus::InProgress,
        summary: None,
        trigger: start.trigger,
        variables: start.variables,
        overrides: start.overrides,
        revisions: Vec::new(),
        started: context.now,
        updated: context.now,
        position: Position::Waiting(0),
        attempts: vec![0; pipeline.stages().len()],
        stop: None,
        rollback: None,
    };
    let mut step = Step::new(State { pipeline, locks: Some(locks), execution, stage: None }, context);
    // Its number is taken, whether or not it comes to hold a stage.
    step.locks_mut()?;
    lifecycle::arrive(&mut step, 0, None)?;
    Ok(step.into_decision())
}
