//! A new execution.

use std::collections::BTreeMap;
use std::sync::Arc;

use pipeline::{ExecutionMode, Pipeline, limits};

use crate::command::{Context, Decision, Refusal, State};
use crate::id::ExecutionId;
use crate::lifecycle;
use crate::state::{Execution, ExecutionStatus, Head, Position, RevisionOverride, StageLocks, Trigger};
use crate::step::Step;

/// What a start asks for.
#[derive(Clone, Debug)]
pub struct Start {
    /// The new execution's id.
    pub id: ExecutionId,
    /// What started it.
    pub trigger: Trigger,
    /// Values of pipeline variables, complete and checked.
    pub variables: BTreeMap<String, String>,
    /// Revisions that source actions shall use.
    pub overrides: Vec<RevisionOverride>,
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
