//! Pipelines.

use serde_json::json;
use wire::Operation;

use super::prepare::{FORGED, created, large, newest, release, tags};
use super::{NO_RACE, Row, case, input, later};
use crate::world::World;

/// A pipeline of this name whose source is polled for changes.
fn polled(name: &str) -> serde_json::Value {
    let poll = ("/stages/0/actions/0/configuration/PollForSourceChanges", json!("true"));
    release(&[("/name", json!(name)), poll])
}

/// As many as may be polled.
async fn all_polled(world: &World) {
    for number in 0..300 {
        world.done(Operation::CreatePipeline, json!({"pipeline": polled(&format!("polled-{number}"))})).await;
    }
}
/// Why `InvalidBlockerDeclarationException` does not occur.
const NO_BLOCKERS: (&str, &str) = (
    "InvalidBlockerDeclarationException",
    "AWS reserves blockers; whatever keeps the shape's constraints is stored and has no effect",
);

fn missing() -> super::Case {
    input(json!({"name": "gone"}))
}

pub(super) fn rows() -> Vec<Row> {
    let lost = ("/stages/3/actions/0/inputArtifacts", json!([{"name": "Lost"}]));
    let twice = ("/stages/1/name", json!("Source"));
    let one_stage = ("/stages", json!([release(&[])["stages"][0]]));
    let put =
        |change: &(&'static str, serde_json::Value)| input(json!({"pipeline": release(std::slice::from_ref(change))}));
    let update = |declaration: serde_json::Value| {
        case(move |world| {
            let declaration = declaration.clone();
            later(async move {
                created(world, release(&[])).await;
                json!({"pipeline": declaration})
            })
        })
    };
    vec![
        Row {
            operation: Operation::CreatePipeline,
            good: (
                input(json!({"pipeline": release(&[]), "tags": [{"key": "team", "value": "blue"}]})),
                &["/pipeline/version", "/pipeline/stages/3/actions/0/runOrder", "/tags/0/key"],
            ),
            errors: vec![
                ("InvalidActionDeclarationException", put(&lost)),
                ("InvalidStageDeclarationException", put(&twice)),
                ("InvalidStructureException", put(&one_stage)),
                (
                    "InvalidTagsException",
                    input(json!({"pipeline": release(&[]), "tags": [{"key": "aws:team", "value": "blue"}]})),
                ),
                ("TooManyTagsException", input(json!({"pipeline": release(&[]), "tags": tags(51)}))),
                (
                    "LimitExceededException",
                    case(|world| {
                        later(async move {
                            all_polled(world).await;
                            json!({"pipeline": polled("one-more")})
                        })
                    }),
                ),
                (
                    "PipelineNameInUseException",
                    case(|world| {
                        later(async move {
                            created(world, release(&[])).await;
                            json!({"pipeline": release(&[])})
                        })
                    }),
                ),
            ],
            never: &[NO_RACE, NO_BLOCKERS],
            differences: &[
                "the roles, buckets and keys that a declaration names are not looked at before an action uses them",
            ],
        },
        Row {
            operation: Operation::GetPipeline,
            good: (
                case(|world| {
                    later(async move {
                        created(world, release(&[])).await;
                        json!({"name": "release", "version": 1})
                    })
                }),
                &["/pipeline/name", "/metadata/pipelineArn", "/metadata/created"],
            ),
            errors: vec![
                ("PipelineNotFoundException", missing()),
                (
                    "PipelineVersionNotFoundException",
                    case(|world| {
                        later(async move {
                            created(world, release(&[])).await;
                            json!({"name": "release", "version": 2})
                        })
                    }),
                ),
            ],
            never: &[],
            differences: &["metadata has no pollingDisabledAt: polling is never disabled"],
        },
        Row {
            operation: Operation::UpdatePipeline,
            good: (update(large()), &["/pipeline/version"]),
            errors: vec![
                ("InvalidActionDeclarationException", update(release(&[lost]))),
                ("InvalidStageDeclarationException", update(release(&[twice]))),
                ("InvalidStructureException", update(release(&[one_stage]))),
                (
                    "LimitExceededException",
                    case(|world| {
                        later(async move {
                            created(world, release(&[])).await;
                            all_polled(world).await;
                            json!({"pipeline": polled("release")})
                        })
                    }),
                ),
            ],
            never: &[NO_BLOCKERS],
            differences: &[],
        },
        Row {
            operation: Operation::DeletePipeline,
            good: (
                case(|world| {
                    later(async move {
                        created(world, release(&[])).await;
                        json!({"name": "release"})
                    })
                }),
                &[],
            ),
            errors: vec![],
            never: &[NO_RACE],
            differences: &["executions that run are cancelled"],
        },
        Row {
            operation: Operation::ListPipelines,
            good: (
                case(|world| {
                    later(async move {
                        created(world, release(&[])).await;
                        created(world, release(&[("/name", json!("other"))])).await;
                        json!({"maxResults": 1})
                    })
                }),
                &["/pipelines/0/name", "/nextToken"],
            ),
            errors: vec![("InvalidNextTokenException", input(json!({"nextToken": FORGED})))],
            never: &[],
            differences: &["pipelines come in the order of their names"],
        },
        Row {
            operation: Operation::GetPipelineState,
            good: (
                case(|world| {
                    later(async move {
                        created(world, release(&[])).await;
                        newest(world).await;
                        json!({"name": "release"})
                    })
                }),
                &[
                    "/pipelineName",
                    "/stageStates/0/latestExecution/status",
                    "/stageStates/1/actionStates/0/latestExecution/token",
                    "/stageStates/1/inboundTransitionState/enabled",
                ],
            ),
            errors: vec![("PipelineNotFoundException", missing())],
            never: &[],
            differences: &[
                "an approval that is over shows no token",
                "a condition is never Errored: a rule that could not be evaluated is Failed, and so is its condition",
            ],
        },
    ]
}
