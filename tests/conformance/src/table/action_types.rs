//! Action types.

use serde_json::{Value, json};
use wire::Operation;

use super::prepare::{FORGED, jenkins, probe, tags, with};
use super::{Case, NO_RACE, Row, case, input, later};

/// The call after this type of the account was created.
fn custom(value: Value) -> Case {
    case(move |world| {
        let value = value.clone();
        later(async move {
            world.done(Operation::CreateCustomActionType, jenkins("1")).await;
            value
        })
    })
}

fn id(owner: Option<&str>, provider: &str) -> Value {
    let mut id = json!({"category": "Test", "provider": provider, "version": "1"});
    if let Some(owner) = owner {
        id["owner"] = owner.into();
    }
    id
}

pub(super) fn rows() -> Vec<Row> {
    let mut rows = own();
    rows.extend(all());
    rows
}

fn own() -> Vec<Row> {
    let tagged = |tags: Value| {
        let mut input = jenkins("1");
        input["tags"] = tags;
        input
    };
    vec![
        Row {
            operation: Operation::CreateCustomActionType,
            good: (
                input(tagged(json!([{"key": "team", "value": "blue"}]))),
                &[
                    "/actionType/id/owner",
                    "/actionType/settings/entityUrlTemplate",
                    "/actionType/actionConfigurationProperties/1/secret",
                    "/actionType/inputArtifactDetails/minimumCount",
                    "/tags/0/key",
                ],
            ),
            errors: vec![
                ("InvalidTagsException", input(tagged(json!([{"key": "aws:team", "value": "blue"}])))),
                ("TooManyTagsException", input(tagged(tags(51)))),
                ("ValidationException", custom(with(jenkins("1"), "/configurationProperties/1/secret", false.into()))),
                (
                    "LimitExceededException",
                    case(|world| {
                        later(async move {
                            for version in 0..50 {
                                world.done(Operation::CreateCustomActionType, jenkins(&version.to_string())).await;
                            }
                            jenkins("50")
                        })
                    }),
                ),
            ],
            never: &[NO_RACE],
            differences: &[
                "the same definition once more is answered as the first time and changes nothing; a different one of the same category, provider and version is a ValidationException, also after a deletion",
                "the same definition brings a deleted type back, without its tags",
                "a property's type is kept and shown, but values are not checked against it",
            ],
        },
        Row {
            operation: Operation::DeleteCustomActionType,
            good: (custom(json!({"category": "Build", "provider": "Jenkins", "version": "1"})), &[]),
            errors: vec![("ValidationException", input(id(None, "Jenkins")))],
            never: &[NO_RACE],
            differences: &[
                "a type that is not there, or was deleted, is a ValidationException",
                "pipelines that use the type keep it until they are updated; their actions of it fail and say that it was deleted",
            ],
        },
    ]
}

fn all() -> Vec<Row> {
    vec![
        Row {
            operation: Operation::ListActionTypes,
            good: (
                case(|world| {
                    later(async move {
                        for version in 0..50 {
                            world.done(Operation::CreateCustomActionType, jenkins(&version.to_string())).await;
                        }
                        json!({})
                    })
                }),
                &[
                    "/nextToken",
                    "/actionTypes/0/id/provider",
                    "/actionTypes/0/inputArtifactDetails/maximumCount",
                    "/actionTypes/0/actionConfigurationProperties/0/name",
                ],
            ),
            errors: vec![("InvalidNextTokenException", input(json!({"nextToken": FORGED})))],
            never: &[],
            differences: &[
                "types come in the order of owner, category, provider and version, 50 on a page",
                "CodePipeline's own types have no descriptions and no settings",
                "CodePipeline's own types are listed whether they are built yet or not",
                "regionFilter with another region than Millrace's own gives the types whose actions can run there: never sources, and only those of the owner AWS",
            ],
        },
        Row {
            operation: Operation::GetActionType,
            good: (
                case(|world| {
                    later(async move {
                        world.done(Operation::UpdateActionType, json!({"actionType": probe()})).await;
                        id(Some("ThirdParty"), "Probe")
                    })
                }),
                &[
                    "/actionType/id/owner",
                    "/actionType/executor/jobTimeout",
                    "/actionType/executor/configuration/jobWorkerExecutorConfiguration/pollingAccounts/0",
                    "/actionType/properties/1/noEcho",
                    "/actionType/permissions/allowedAccounts/0",
                    "/actionType/urls/configurationUrl",
                ],
            ),
            errors: vec![("ActionTypeNotFoundException", input(id(Some("ThirdParty"), "Probe")))],
            never: &[],
            differences: &[
                "CodePipeline's own types, which no UpdateActionType defined, are an ActionTypeNotFoundException",
            ],
        },
        Row {
            operation: Operation::UpdateActionType,
            good: (input(json!({"actionType": probe()})), &[]),
            errors: vec![
                ("ActionTypeNotFoundException", input(json!({"actionType": with(probe(), "/id/owner", "AWS".into())}))),
                ("ValidationException", input(json!({"actionType": with(probe(), "/executor/type", "Lambda".into())}))),
            ],
            never: &[(
                "RequestFailedException",
                "the table is the only thing that is asked, and what is wrong with it is InternalFailure, as with every operation",
            )],
            differences: &[
                "the first update registers the type, which AWS's staff does on AWS; CodePipeline's own types cannot be updated",
                "an action whose type has a Lambda executor runs: the function is invoked as the pipeline's role, has five minutes to \
                 answer, and gets credentials for the job's artifacts only",
                "allowedAccounts, pollingAccounts and pollingServicePrincipals are kept and shown, and IAM decides who may poll; policyStatementsTemplate must be JSON, and is kept and shown",
            ],
        },
    ]
}
