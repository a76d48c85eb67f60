//! Jobs of functions, of the account's job workers, and of third parties.

use serde_json::{Value, json};
use wire::Operation;

use super::prepare::{
    CLIENT_TOKEN, UNKNOWN_ACTION, acknowledged, called, jenkins, offered, polled, probe_offered, probe_queued,
    probe_taken, queued,
};
use super::{Case, Row, case, input, later};

/// Secrets are given in plain text, and credentials are valid for a limited time.
const IN_CLEAR: &str = "secret settings are in clear; the artifacts' credentials hold for an hour, and are left out for a job without artifacts";
const GONE: &str = "a job that is over, and one that its worker's time-out gave to another, is a JobNotFoundException";
const NO_ROLE: &str = "where the pipeline's role cannot be assumed the answer is InternalFailure, with the reason";

fn unknown(mut rest: Value) -> Case {
    rest["jobId"] = UNKNOWN_ACTION.into();
    input(rest)
}

/// A job's result, with the job's id.
fn result(rest: Value) -> Case {
    case(move |world| {
        let mut input = rest.clone();
        later(async move {
            input["jobId"] = called(world).await.into();
            input
        })
    })
}

/// The result of a job that its worker was offered and has not taken.
fn early(rest: Value) -> Case {
    case(move |world| {
        let mut input = rest.clone();
        later(async move {
            input["jobId"] = offered(world).await["id"].clone();
            input
        })
    })
}

/// The result of a job that has had one.
fn late(rest: Value) -> Case {
    case(move |world| {
        let mut input = rest.clone();
        later(async move {
            let job = called(world).await;
            world.done(Operation::PutJobSuccessResult, json!({"jobId": job})).await;
            input["jobId"] = job.into();
            input
        })
    })
}

pub(super) fn rows() -> Vec<Row> {
    let mut rows = own();
    rows.extend(results());
    rows.extend(third_party());
    rows
}

fn own() -> Vec<Row> {
    let nonce = || json!({"nonce": "1"});
    vec![
        Row {
            operation: Operation::PollForJobs,
            good: (
                case(|world| {
                    later(async move {
                        queued(world).await;
                        polled()
                    })
                }),
                &[
                    "/jobs/0/id",
                    "/jobs/0/nonce",
                    "/jobs/0/accountId",
                    "/jobs/0/data/actionConfiguration/configuration/Password",
                    "/jobs/0/data/pipelineContext/pipelineExecutionId",
                    "/jobs/0/data/inputArtifacts/0/location/s3Location/objectKey",
                    "/jobs/0/data/artifactCredentials/sessionToken",
                ],
            ),
            errors: vec![
                ("ActionTypeNotFoundException", input(polled())),
                (
                    "ValidationException",
                    case(|world| {
                        later(async move {
                            world.done(Operation::CreateCustomActionType, jenkins("1")).await;
                            let mut input = polled();
                            input["queryParam"] = json!({"Password": "sesame"});
                            input
                        })
                    }),
                ),
            ],
            never: &[],
            differences: &[
                "one job where maxBatchSize says nothing, and 10 at most; one call looks at 1,000 waiting jobs",
                "a job that is offered and not acknowledged within LeaseSeconds, 60 by default, is offered again with another nonce",
                "a type with a queryable property needs queryParam with that property",
                "a job whose pipeline's role cannot be assumed is not given out, and its action fails with PermissionError",
                "an action type of another owner than Custom is a ValidationException",
                IN_CLEAR,
            ],
        },
        Row {
            operation: Operation::AcknowledgeJob,
            good: (
                case(|world| {
                    later(async move {
                        let job = offered(world).await;
                        json!({"jobId": job["id"], "nonce": job["nonce"]})
                    })
                }),
                &["/status"],
            ),
            errors: vec![
                ("JobNotFoundException", unknown(nonce())),
                (
                    "InvalidNonceException",
                    case(|world| later(async move { json!({"jobId": offered(world).await["id"], "nonce": "1"}) })),
                ),
            ],
            never: &[],
            differences: &[
                "the status is InProgress, Succeeded or Failed: a job that waits has no worker to ask for it",
                "a nonce holds until the job is offered with another one",
            ],
        },
        Row {
            operation: Operation::GetJobDetails,
            good: (
                case(|world| later(async move { json!({"jobId": acknowledged(world).await}) })),
                &[
                    "/jobDetails/id",
                    "/jobDetails/accountId",
                    "/jobDetails/data/actionTypeId/provider",
                    "/jobDetails/data/artifactCredentials/accessKeyId",
                ],
            ),
            errors: vec![("JobNotFoundException", unknown(json!({})))],
            never: &[],
            differences: &[GONE, NO_ROLE, IN_CLEAR],
        },
    ]
}

fn results() -> Vec<Row> {
    let failure = json!({"failureDetails": {"type": "JobFailed", "message": "3 tests failed"}});
    vec![
        Row {
            operation: Operation::PutJobSuccessResult,
            good: (result(json!({"outputVariables": {"passed": "12"}})), &[]),
            errors: vec![
                ("JobNotFoundException", unknown(json!({}))),
                ("InvalidJobStateException", late(json!({}))),
                ("InvalidJobStateException", early(json!({}))),
                (
                    "OutputVariablesSizeExceededException",
                    result(json!({"outputVariables": {"report": "x".repeat(122_881)}})),
                ),
            ],
            never: &[],
            differences: &[],
        },
        Row {
            operation: Operation::PutJobFailureResult,
            good: (result(failure.clone()), &[]),
            errors: vec![
                ("JobNotFoundException", unknown(failure.clone())),
                ("InvalidJobStateException", late(failure.clone())),
                ("InvalidJobStateException", early(failure)),
            ],
            never: &[],
            differences: &[],
        },
    ]
}

/// An input about the job of a third party's action, with this token.
fn of(token: &'static str, rest: Value, over: bool) -> Case {
    case(move |world| {
        let mut input = rest.clone();
        later(async move {
            let job = probe_taken(world).await;
            if over {
                let done = json!({"jobId": job, "clientToken": CLIENT_TOKEN});
                world.done(Operation::PutThirdPartyJobSuccessResult, done).await;
            }
            input["jobId"] = job.into();
            input["clientToken"] = token.into();
            input
        })
    })
}

fn without(mut rest: Value) -> Case {
    rest["clientToken"] = CLIENT_TOKEN.into();
    unknown(rest)
}

/// An input about a job that was offered and not taken yet.
fn untaken(token: &'static str, nonce: Option<&'static str>) -> Case {
    case(move |world| {
        later(async move {
            let (job, real) = probe_offered(world).await;
            json!({"jobId": job, "nonce": nonce.unwrap_or(&real), "clientToken": token})
        })
    })
}

fn third_party() -> Vec<Row> {
    const OTHER: &str = "not-the-token";
    let failure = json!({"failureDetails": {"type": "JobFailed", "message": "It rains"}});
    let id = json!({"category": "Test", "owner": "ThirdParty", "provider": "Probe", "version": "1"});
    let poll = json!({"actionTypeId": id});
    let again = poll.clone();
    vec![
        Row {
            operation: Operation::PollForThirdPartyJobs,
            good: (
                case(move |world| {
                    let poll = again.clone();
                    later(async move {
                        probe_queued(world).await;
                        poll
                    })
                }),
                &["/jobs/0/jobId", "/jobs/0/clientId"],
            ),
            errors: vec![("ActionTypeNotFoundException", input(poll))],
            never: &[],
            differences: &[
                "clientId, and the token that goes with it, are settings of the action's configuration, ClientId and ClientToken",
                "one job where maxBatchSize says nothing, and 10 at most; all jobs of a type are in one queue",
                "a job that is offered and not acknowledged within LeaseSeconds, 60 by default, is offered again with another nonce",
                "an action type of another owner than ThirdParty is a ValidationException",
            ],
        },
        Row {
            operation: Operation::GetThirdPartyJobDetails,
            good: (
                of(CLIENT_TOKEN, json!({}), false),
                &[
                    "/jobDetails/id",
                    "/jobDetails/nonce",
                    "/jobDetails/data/actionConfiguration/configuration/Depth",
                    "/jobDetails/data/artifactCredentials/secretAccessKey",
                ],
            ),
            errors: vec![
                ("JobNotFoundException", without(json!({}))),
                ("InvalidClientTokenException", of(OTHER, json!({}), false)),
            ],
            never: &[(
                "InvalidJobException",
                "a job that is not there, is over or is no third party's is a JobNotFoundException",
            )],
            differences: &[GONE, NO_ROLE, IN_CLEAR],
        },
        Row {
            operation: Operation::AcknowledgeThirdPartyJob,
            good: (untaken(CLIENT_TOKEN, None), &["/status"]),
            errors: vec![
                ("JobNotFoundException", without(json!({"nonce": "1"}))),
                ("InvalidNonceException", untaken(CLIENT_TOKEN, Some("1"))),
                ("InvalidClientTokenException", untaken(OTHER, None)),
            ],
            never: &[],
            differences: &["the token is what the action's configuration has as ClientToken, a secret setting"],
        },
        Row {
            operation: Operation::PutThirdPartyJobSuccessResult,
            good: (
                of(
                    CLIENT_TOKEN,
                    json!({"continuationToken": "half", "executionDetails": {"percentComplete": 50}}),
                    false,
                ),
                &[],
            ),
            errors: vec![
                ("JobNotFoundException", without(json!({}))),
                ("InvalidClientTokenException", of(OTHER, json!({}), false)),
                ("InvalidJobStateException", of(CLIENT_TOKEN, json!({}), true)),
            ],
            never: &[],
            differences: &[
                "with a continuation token the action gets a new job with an id of its own, which is polled for",
            ],
        },
        Row {
            operation: Operation::PutThirdPartyJobFailureResult,
            good: (of(CLIENT_TOKEN, failure.clone(), false), &[]),
            errors: vec![
                ("JobNotFoundException", without(failure.clone())),
                ("InvalidClientTokenException", of(OTHER, failure.clone(), false)),
                ("InvalidJobStateException", of(CLIENT_TOKEN, failure, true)),
            ],
            never: &[],
            differences: &[],
        },
    ]
}
