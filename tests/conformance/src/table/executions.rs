//! Executions, actions, approvals, revisions, transitions, rule types.

use serde_json::{Value, json};
use wire::Operation;

use super::prepare::{
    FORGED, MANY, UNKNOWN, UNKNOWN_ACTION, approval, created, deployed, github, newest, release, started, with,
};
use super::{Case, Row, case, input, later};

/// This input where the pipeline exists and waits for its approval.
fn there(value: Value) -> Case {
    case(move |world| {
        let value = value.clone();
        later(async move {
            created(world, release(&[])).await;
            value
        })
    })
}

/// The approval's answer, changed in one place.
fn answer(pointer: &'static str, value: &'static str) -> Case {
    case(move |world| {
        later(async move {
            created(world, release(&[])).await;
            with(approval(world).await, pointer, value.into())
        })
    })
}

/// A pipeline in this mode that has as many executions as it may.
fn full(mode: &'static str) -> Case {
    case(move |world| {
        later(async move {
            created(world, with_mode(release(&[]), mode)).await;
            started(world, MANY - 1).await;
            json!({"name": "release"})
        })
    })
}

fn with_mode(mut declaration: Value, mode: &str) -> Value {
    declaration["executionMode"] = mode.into();
    declaration
}

/// A transition's input where the pipeline has none.
fn parallel(value: Value) -> Case {
    case(move |world| {
        let value = value.clone();
        later(async move {
            created(world, with_mode(release(&[]), "PARALLEL")).await;
            value
        })
    })
}

fn reported(pipeline: &str, stage: &str, action: &str) -> Value {
    json!({
        "pipelineName": pipeline, "stageName": stage, "actionName": action,
        "actionRevision": {"revisionId": "7f3", "revisionChangeId": "1", "created": 1_700_000_000},
    })
}

fn revision(pipeline: &str, stage: &str, action: &str) -> Case {
    let given = reported(pipeline, stage, action);
    case(move |world| {
        let given = given.clone();
        later(async move {
            created(world, github()).await;
            given
        })
    })
}

fn transition(pipeline: &str, stage: &str) -> Value {
    json!({"pipelineName": pipeline, "stageName": stage, "transitionType": "Inbound"})
}

fn closed(pipeline: &str, stage: &str) -> Value {
    let mut input = transition(pipeline, stage);
    input["reason"] = "Holiday".into();
    input
}

fn targets(rest: Value) -> Case {
    case(move |world| {
        let mut input = rest.clone();
        later(async move {
            input["actionExecutionId"] = deployed(world).await.into();
            input
        })
    })
}

pub(super) fn rows() -> Vec<Row> {
    let mut rows = runs();
    rows.extend(answers());
    rows.extend(others());
    rows
}

fn runs() -> Vec<Row> {
    let gone = || input(json!({"pipelineName": "gone"}));
    vec![
        Row {
            operation: Operation::StartPipelineExecution,
            good: (
                there(json!({
                    "name": "release", "clientRequestToken": "once",
                    "sourceRevisions": [
                        {"actionName": "Fetch", "revisionType": "S3_OBJECT_VERSION_ID", "revisionValue": "v7"}
                    ],
                })),
                &["/pipelineExecutionId"],
            ),
            errors: vec![
                ("PipelineNotFoundException", input(json!({"name": "gone"}))),
                ("ConcurrentPipelineExecutionsLimitExceededException", full("QUEUED")),
                ("ConcurrentPipelineExecutionsLimitExceededException", full("PARALLEL")),
                (
                    "ValidationException",
                    there(json!({
                        "name": "release",
                        "sourceRevisions": [{"actionName": "Fetch", "revisionType": "COMMIT_ID", "revisionValue": "7f3"}],
                    })),
                ),
            ],
            never: &[(
                "ConflictException",
                "a start waits for nothing: what other calls do to the pipeline comes before or after it",
            )],
            differences: &[
                "a source revision of a kind that its action does not have, of no source action, or given twice is a ValidationException",
                "an S3_OBJECT_KEY needs AllowOverrideForS3ObjectKey in the action's configuration, and is refused at the start without it",
            ],
        },
        Row {
            operation: Operation::GetPipelineExecution,
            good: (
                case(|world| {
                    later(async move {
                        created(world, release(&[])).await;
                        json!({"pipelineName": "release", "pipelineExecutionId": newest(world).await})
                    })
                }),
                &[
                    "/pipelineExecution/status",
                    "/pipelineExecution/artifactRevisions/0/revisionId",
                    "/pipelineExecution/trigger/triggerType",
                ],
            ),
            errors: vec![
                ("PipelineNotFoundException", input(json!({"pipelineName": "gone", "pipelineExecutionId": UNKNOWN}))),
                (
                    "PipelineExecutionNotFoundException",
                    there(json!({"pipelineName": "release", "pipelineExecutionId": UNKNOWN})),
                ),
            ],
            never: &[],
            differences: &[],
        },
        Row {
            operation: Operation::ListPipelineExecutions,
            good: (
                case(|world| {
                    later(async move {
                        created(world, release(&[])).await;
                        world.done(Operation::StartPipelineExecution, json!({"name": "release"})).await;
                        world.work().await;
                        let filter = json!({"succeededInStage": {"stageName": "Source"}});
                        json!({"pipelineName": "release", "maxResults": 1, "filter": filter})
                    })
                }),
                &["/pipelineExecutionSummaries/0/status", "/nextToken"],
            ),
            errors: vec![
                ("PipelineNotFoundException", gone()),
                ("InvalidNextTokenException", there(json!({"pipelineName": "release", "nextToken": FORGED}))),
            ],
            never: &[],
            differences: &[
                "the history is not cut off after 12 months",
                "succeededInStage looks at 1,000 executions in one call: a page may be short or empty and have a token",
                "succeededInStage with a stage that the current version does not have, or without one, is a ValidationException",
            ],
        },
        Row {
            operation: Operation::ListActionExecutions,
            good: (
                case(|world| {
                    later(async move {
                        created(world, release(&[])).await;
                        let latest = json!({"pipelineExecutionId": newest(world).await, "startTimeRange": "Latest"});
                        json!({
                            "pipelineName": "release", "maxResults": 1,
                            "filter": {"latestInPipelineExecution": latest},
                        })
                    })
                }),
                &["/actionExecutionDetails/0/input/actionTypeId/provider", "/nextToken"],
            ),
            errors: vec![
                ("PipelineNotFoundException", gone()),
                (
                    "PipelineExecutionNotFoundException",
                    there(json!({"pipelineName": "release", "filter": {"pipelineExecutionId": UNKNOWN}})),
                ),
                ("InvalidNextTokenException", there(json!({"pipelineName": "release", "nextToken": FORGED}))),
            ],
            never: &[],
            differences: &[
                "the history is not cut off after 12 months",
                "latestInPipelineExecution with Latest means the latest attempt at each stage of that execution; it cannot be given together with pipelineExecutionId",
            ],
        },
        Row {
            operation: Operation::ListDeployActionExecutionTargets,
            good: (
                targets(
                    json!({"pipelineName": "release", "filters": [{"name": "TARGET_STATUS", "values": ["Succeeded"]}]}),
                ),
                &["/targets/0/targetId", "/targets/0/startTime"],
            ),
            errors: vec![
                (
                    "PipelineNotFoundException",
                    input(json!({"pipelineName": "gone", "actionExecutionId": UNKNOWN_ACTION})),
                ),
                ("ActionExecutionNotFoundException", input(json!({"actionExecutionId": UNKNOWN_ACTION}))),
                ("InvalidNextTokenException", targets(json!({"nextToken": FORGED}))),
            ],
            never: &[],
            differences: &[
                "the target of an S3 deployment is its bucket (targetType S3Bucket), that of a CodeDeploy deployment its group (CodeDeployDeploymentGroup), with the action's own status and times and no events; other deployments have no targets yet",
                "an action that is no deployment is a ValidationException",
            ],
        },
    ]
}

fn answers() -> Vec<Row> {
    vec![Row {
        operation: Operation::PutApprovalResult,
        good: (
            case(|world| {
                later(async move {
                    created(world, release(&[])).await;
                    approval(world).await
                })
            }),
            &["/approvedAt"],
        ),
        errors: vec![
            ("PipelineNotFoundException", answer("/pipelineName", "gone")),
            ("StageNotFoundException", answer("/stageName", "Nowhere")),
            ("ActionNotFoundException", answer("/actionName", "Nothing")),
            ("InvalidApprovalTokenException", answer("/token", "11111111-2222-4333-8444-555555555555")),
            (
                "ApprovalAlreadyCompletedException",
                case(|world| {
                    later(async move {
                        created(world, release(&[])).await;
                        let approval = approval(world).await;
                        world.done(Operation::PutApprovalResult, approval.clone()).await;
                        approval
                    })
                }),
            ),
        ],
        never: &[],
        differences: &[],
    }]
}

fn others() -> Vec<Row> {
    vec![
        Row {
            operation: Operation::PutActionRevision,
            good: (revision("release", "Source", "Fetch"), &["/newRevision", "/pipelineExecutionId"]),
            errors: vec![
                ("PipelineNotFoundException", revision("gone", "Source", "Fetch")),
                ("StageNotFoundException", revision("release", "Nowhere", "Fetch")),
                ("ActionNotFoundException", revision("release", "Source", "Nothing")),
                ("ValidationException", revision("release", "Deploy", "Publish")),
                (
                    "ConcurrentPipelineExecutionsLimitExceededException",
                    case(|world| {
                        later(async move {
                            created(world, with_mode(github(), "QUEUED")).await;
                            started(world, MANY - 1).await;
                            reported("release", "Source", "Fetch")
                        })
                    }),
                ),
            ],
            never: &[],
            differences: &[
                "newRevision is false when the revision is the one that was reported last for the action, and true otherwise",
                "an action that is no source, or whose owner is AWS, is a ValidationException",
            ],
        },
        Row {
            operation: Operation::DisableStageTransition,
            good: (there(closed("release", "Deploy")), &[]),
            errors: vec![
                ("PipelineNotFoundException", input(closed("gone", "Deploy"))),
                ("StageNotFoundException", there(closed("release", "Nowhere"))),
                ("ValidationException", parallel(closed("release", "Deploy"))),
            ],
            never: &[],
            differences: &[
                "an Outbound transition is a ValidationException, and so is any in PARALLEL mode, where executions wait for nothing",
            ],
        },
        Row {
            operation: Operation::EnableStageTransition,
            good: (there(transition("release", "Deploy")), &[]),
            errors: vec![
                ("PipelineNotFoundException", input(transition("gone", "Deploy"))),
                ("StageNotFoundException", there(transition("release", "Nowhere"))),
                ("ValidationException", parallel(transition("release", "Deploy"))),
            ],
            never: &[],
            differences: &[
                "an Outbound transition is a ValidationException, and so is any in PARALLEL mode, where executions wait for nothing",
                "what waits in front of a transition that was closed for more than 30 days does not go on, as on AWS; AWS does not say how it ends: here as Cancelled",
            ],
        },
        Row {
            operation: Operation::ListRuleTypes,
            good: (
                input(json!({"ruleOwnerFilter": "AWS", "regionFilter": "eu-west-1"})),
                &[
                    "/ruleTypes/0/id/provider",
                    "/ruleTypes/0/ruleConfigurationProperties/0/name",
                    "/ruleTypes/5/inputArtifactDetails",
                ],
            ),
            errors: vec![],
            never: &[("InvalidNextTokenException", "the input has no token: all rule types have room in one answer")],
            differences: &[
                "every region has the same rule types, so regionFilter leaves none out",
                "settings and properties have no descriptions and no links but that of the looked-at entity",
            ],
        },
    ]
}
