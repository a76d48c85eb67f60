//! What people do to executions, and the conditions of stages.

use serde_json::{Value, json};
use wire::Operation;

use super::prepare::{
    FORGED, MANY, UNKNOWN, approve, checked, created, forbidden, newest, release, started, stopping, straight, with,
};
use super::{Case, LOST_RACE, Row, case, input, later};
use crate::world::World;

/// Why `ConflictException` does not occur.
const NO_CONFLICT: (&str, &str) = ("ConflictException", LOST_RACE);

/// The input that names the newest execution of a pipeline, in this member, after its first has gone as far as it goes.
fn newest_of(declaration: Value, member: &'static str, rest: Value) -> Case {
    case(move |world| {
        let (declaration, mut input) = (declaration.clone(), rest.clone());
        later(async move {
            created(world, declaration).await;
            input[member] = newest(world).await.into();
            input
        })
    })
}

/// This input where the pipeline exists.
fn there(declaration: Value, value: Value) -> Case {
    case(move |world| {
        let (declaration, value) = (declaration.clone(), value.clone());
        later(async move {
            created(world, declaration).await;
            value
        })
    })
}

pub(super) fn rows() -> Vec<Row> {
    vec![stop(), retry(), roll_back(), overrule(), rule_executions()]
}

fn stop() -> Row {
    let of = |abandon: bool| json!({"pipelineName": "release", "abandon": abandon, "reason": "Enough"});
    /// The same call after one of this kind.
    fn twice(abandon: bool) -> Case {
        case(move |world| {
            later(async move {
                created(world, release(&[])).await;
                stopping(world, abandon).await
            })
        })
    }
    Row {
        operation: Operation::StopPipelineExecution,
        good: (newest_of(release(&[]), "pipelineExecutionId", of(true)), &["/pipelineExecutionId"]),
        errors: vec![
            ("DuplicatedStopRequestException", twice(false)),
            ("PipelineExecutionNotStoppableException", twice(true)),
            ("PipelineExecutionNotStoppableException", {
                there(release(&[]), json!({"pipelineName": "release", "pipelineExecutionId": UNKNOWN}))
            }),
            ("PipelineNotFoundException", input(json!({"pipelineName": "gone", "pipelineExecutionId": UNKNOWN}))),
        ],
        never: &[NO_CONFLICT],
        differences: &[
            "an execution that is not there is a PipelineExecutionNotStoppableException",
            "an execution that waits in front of a stage is Stopped at once, and so is one that is stopped with abandon: Stopping is not seen between",
        ],
    }
}

/// A pipeline whose second stage fails.
fn broken() -> Value {
    straight("broken", &[])
}

fn retried(stage: &str) -> Value {
    json!({"pipelineName": "release", "stageName": stage, "retryMode": "FAILED_ACTIONS"})
}

fn all_retried(stage: &str) -> Value {
    json!({"pipelineName": "release", "stageName": stage, "retryMode": "ALL_ACTIONS"})
}

/// The input about the newest execution, after which this many others have begun.
async fn outnumbered(world: &World, mut input: Value, others: usize) -> Value {
    input["pipelineExecutionId"] = newest(world).await.into();
    started(world, others).await;
    input
}

fn retry() -> Row {
    let of = |stage: &str| newest_of(broken(), "pipelineExecutionId", retried(stage));
    let unknown = |pipeline: &str| json!({"pipelineName": pipeline, "stageName": "Ask", "pipelineExecutionId": UNKNOWN, "retryMode": "ALL_ACTIONS"});
    let both = straight("broken", &[]);
    let both = with(both.clone(), "/stages/1/actions", json!([both["stages"][1]["actions"][0], approve()]));
    Row {
        operation: Operation::RetryStageExecution,
        good: (of("Ask"), &["/pipelineExecutionId"]),
        errors: vec![
            ("PipelineNotFoundException", input(unknown("gone"))),
            ("StageNotFoundException", of("Nowhere")),
            ("StageNotRetryableException", of("Source")),
            ("NotLatestPipelineExecutionException", there(broken(), unknown("release"))),
            (
                "NotLatestPipelineExecutionException",
                case(|world| {
                    later(async move {
                        created(world, broken()).await;
                        let input = outnumbered(world, retried("Ask"), 1).await;
                        world.work().await;
                        input
                    })
                }),
            ),
            ("ConflictException", newest_of(both, "pipelineExecutionId", all_retried("Ask"))),
            (
                "ConcurrentPipelineExecutionsLimitExceededException",
                case(|world| {
                    later(async move {
                        created(world, straight("broken", &[("/executionMode", json!("QUEUED"))])).await;
                        outnumbered(world, retried("Ask"), MANY).await
                    })
                }),
            ),
        ],
        never: &[],
        differences: &[
            "ALL_ACTIONS is a ConflictException while actions of the stage run",
            "FAILED_ACTIONS is a StageNotRetryableException while the stage's failure condition is evaluated",
            "an execution that is not there is a NotLatestPipelineExecutionException",
            "the pipeline's structure has changed when the stage itself has: changes to other stages do not matter",
            "a condition that let the execution into the stage is not asked again",
        ],
    }
}

fn roll_back() -> Row {
    let of = |stage: &str| json!({"pipelineName": "release", "stageName": stage});
    let target =
        |pipeline: &str| json!({"pipelineName": pipeline, "stageName": "Test", "targetPipelineExecutionId": UNKNOWN});
    let good = |stage: &str| newest_of(straight("site", &[]), "targetPipelineExecutionId", of(stage));
    let parallel = straight("site", &[("/executionMode", json!("PARALLEL"))]);
    Row {
        operation: Operation::RollbackStage,
        good: (good("Test"), &["/pipelineExecutionId"]),
        errors: vec![
            ("PipelineNotFoundException", input(target("gone"))),
            ("StageNotFoundException", good("Nowhere")),
            ("PipelineExecutionNotFoundException", there(straight("site", &[]), target("release"))),
            ("UnableToRollbackStageException", good("Source")),
            ("UnableToRollbackStageException", newest_of(parallel, "targetPipelineExecutionId", of("Test"))),
            (
                "PipelineExecutionOutdatedException",
                case(move |world| {
                    let mut input = json!({"pipelineName": "release", "stageName": "Test"});
                    later(async move {
                        created(world, straight("site", &[])).await;
                        input["targetPipelineExecutionId"] = newest(world).await.into();
                        let update = json!({"pipeline": straight("site", &[])});
                        world.done(Operation::UpdatePipeline, update).await;
                        input
                    })
                }),
            ),
        ],
        never: &[NO_CONFLICT],
        differences: &[
            "the conditions of the stage are not evaluated by an execution that rolls back, and its own failure starts no other rollback",
            "the source stage and pipelines in PARALLEL mode are an UnableToRollbackStageException, a target of another version of the pipeline a PipelineExecutionOutdatedException",
        ],
    }
}

fn overruled(pipeline: &str, stage: &str, kind: &str) -> Value {
    json!({"pipelineName": pipeline, "stageName": stage, "pipelineExecutionId": UNKNOWN, "conditionType": kind})
}

fn overrule() -> Row {
    let of = |stage: &str, kind: &str| {
        newest_of(checked("FAIL", &[]), "pipelineExecutionId", overruled("release", stage, kind))
    };
    let skips = newest_of(checked("SKIP", &[]), "pipelineExecutionId", overruled("release", "Test", "BEFORE_ENTRY"));
    Row {
        operation: Operation::OverrideStageCondition,
        good: (of("Test", "BEFORE_ENTRY"), &[]),
        errors: vec![
            ("PipelineNotFoundException", input(overruled("gone", "Test", "BEFORE_ENTRY"))),
            ("StageNotFoundException", of("Nowhere", "BEFORE_ENTRY")),
            ("ConditionNotOverridableException", of("Test", "ON_SUCCESS")),
            ("ConditionNotOverridableException", skips),
            (
                "NotLatestPipelineExecutionException",
                there(checked("FAIL", &[]), overruled("release", "Test", "BEFORE_ENTRY")),
            ),
            (
                "ConcurrentPipelineExecutionsLimitExceededException",
                case(|world| {
                    later(async move {
                        created(world, checked("FAIL", &[("/executionMode", json!("QUEUED"))])).await;
                        forbidden(world).await;
                        outnumbered(world, overruled("release", "Test", "BEFORE_ENTRY"), MANY).await
                    })
                }),
            ),
        ],
        never: &[NO_CONFLICT],
        differences: &[
            "an execution that is not there is a NotLatestPipelineExecutionException",
            "a condition that has failed can be overridden while its execution is the latest in the stage: the stage is tried again, with the condition Overridden",
        ],
    }
}

fn rule_executions() -> Row {
    let filter = json!({"pipelineExecutionId": UNKNOWN});
    let forged = json!({"pipelineName": "release", "nextToken": FORGED});
    Row {
        operation: Operation::ListRuleExecutions,
        good: (
            case(|world| {
                later(async move {
                    created(world, checked("FAIL", &[])).await;
                    let latest = json!({"pipelineExecutionId": newest(world).await, "startTimeRange": "Latest"});
                    let filter = json!({"latestInPipelineExecution": latest});
                    json!({"pipelineName": "release", "maxResults": 1, "filter": filter})
                })
            }),
            &[
                "/ruleExecutionDetails/0/ruleName",
                "/ruleExecutionDetails/0/status",
                "/ruleExecutionDetails/0/input/ruleTypeId/provider",
                "/nextToken",
            ],
        ),
        errors: vec![
            ("PipelineNotFoundException", input(json!({"pipelineName": "gone"}))),
            (
                "PipelineExecutionNotFoundException",
                there(checked("FAIL", &[]), json!({"pipelineName": "release", "filter": filter})),
            ),
            ("InvalidNextTokenException", there(checked("FAIL", &[]), forged)),
        ],
        never: &[],
        differences: &[
            "the history is not cut off after 12 months",
            "latestInPipelineExecution with Latest means the latest attempt at each stage of that execution; it cannot be given together with pipelineExecutionId",
            "a rule that could not be evaluated is Failed",
        ],
    }
}
