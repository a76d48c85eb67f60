//! Webhooks.

use serde_json::{Value, json};
use wire::Operation;

use super::prepare::{FORGED, created, github, release, tags, with};
use super::{Case, NO_RACE, Row, case, input, later};

fn webhook(name: &str) -> Value {
    json!({
        "name": name, "targetPipeline": "release", "targetAction": "Fetch",
        "filters": [{"jsonPath": "$.ref", "matchEquals": "refs/heads/{Branch}"}],
        "authentication": "GITHUB_HMAC", "authenticationConfiguration": {"SecretToken": "hunter3"},
    })
}

/// This input where the pipeline exists.
fn put(value: Value) -> Case {
    case(move |world| {
        let value = value.clone();
        later(async move {
            created(world, github()).await;
            value
        })
    })
}

/// A call that names the webhook `push`, of a pipeline with this source.
fn named(declaration: Value, member: &'static str) -> Case {
    case(move |world| {
        let declaration = declaration.clone();
        later(async move {
            created(world, declaration).await;
            let plain = with(webhook("push"), "/filters", json!([{"jsonPath": "$.ref"}]));
            world.done(Operation::PutWebhook, json!({"webhook": plain})).await;
            json!({member: "push"})
        })
    })
}

/// A call that names a webhook of a pipeline with a source at GitHub, which takes what it is told.
fn told(member: &'static str) -> Case {
    let named = named(github(), member);
    case(move |world| {
        let hooks = "https://api.github.com/repos/us/app/hooks";
        world.aws.on(&format!("GET {hooks}?per_page=100&page=1"), 200, "[]");
        world.aws.on(&format!("POST {hooks}"), 201, "{}");
        named(world)
    })
}

pub(super) fn rows() -> Vec<Row> {
    let whole = json!({"webhook": webhook("push")});
    vec![
        Row {
            operation: Operation::PutWebhook,
            good: (
                put(json!({"webhook": webhook("push"), "tags": [{"key": "team", "value": "blue"}]})),
                &["/webhook/url", "/webhook/arn", "/webhook/definition/filters/0/jsonPath", "/webhook/tags/0/key"],
            ),
            errors: vec![
                (
                    "InvalidWebhookAuthenticationParametersException",
                    put(with(whole.clone(), "/webhook/authenticationConfiguration", json!({}))),
                ),
                (
                    "InvalidWebhookFilterPatternException",
                    put(with(whole.clone(), "/webhook/filters/0/jsonPath", json!("ref"))),
                ),
                ("PipelineNotFoundException", input(whole.clone())),
                (
                    "InvalidTagsException",
                    put(json!({"webhook": webhook("push"), "tags": [{"key": "aws:team", "value": "blue"}]})),
                ),
                ("TooManyTagsException", put(json!({"webhook": webhook("push"), "tags": tags(51)}))),
                (
                    "LimitExceededException",
                    case(|world| {
                        later(async move {
                            created(world, github()).await;
                            for number in 0..300 {
                                let webhook = webhook(&format!("push-{number}"));
                                world.done(Operation::PutWebhook, json!({"webhook": webhook})).await;
                            }
                            json!({"webhook": webhook("one-more")})
                        })
                    }),
                ),
            ],
            never: &[NO_RACE],
            differences: &[
                "the URL is the API's own with /webhooks/{name}?key=..., and errorCode says of UNAUTHENTICATED that nobody proves anything",
                "a target action that the first stage does not have is a ValidationException",
                "a JSONPath begins with $ and has one deep scan at most, its filter expressions are those of RFC 9535, and functions in it are refused",
                "a placeholder in matchEquals must be a configuration key of the target action, and no secret one",
                "a SecretToken of **** keeps the one that the webhook has",
                "tags that are given replace those that the webhook has; none given leave them",
            ],
        },
        Row {
            operation: Operation::ListWebhooks,
            good: (
                case(|world| {
                    later(async move {
                        created(world, github()).await;
                        world.done(Operation::PutWebhook, json!({"webhook": webhook("push")})).await;
                        world.done(Operation::PutWebhook, json!({"webhook": webhook("tag")})).await;
                        json!({"MaxResults": 1})
                    })
                }),
                &["/webhooks/0/url", "/webhooks/0/definition/authenticationConfiguration/SecretToken", "/NextToken"],
            ),
            errors: vec![("InvalidNextTokenException", input(json!({"NextToken": FORGED})))],
            never: &[],
            differences: &[
                "webhooks come in the order of their names",
                "errorCode and errorMessage tell of the last call that was refused since one was accepted",
            ],
        },
        Row {
            operation: Operation::DeleteWebhook,
            good: (named(github(), "name"), &[]),
            errors: vec![],
            never: &[NO_RACE],
            differences: &[],
        },
        Row {
            operation: Operation::RegisterWebhookWithThirdParty,
            good: (told("webhookName"), &[]),
            errors: vec![
                ("WebhookNotFoundException", input(json!({"webhookName": "gone"}))),
                ("ValidationException", named(release(&[]), "webhookName")),
            ],
            never: &[],
            differences: &[
                "what GitHub refuses, and that it does not answer, is a ValidationException with the reason",
                "a target whose provider is not GitHub, and a missing name, are a ValidationException",
            ],
        },
        Row {
            operation: Operation::DeregisterWebhookWithThirdParty,
            good: (told("webhookName"), &[]),
            errors: vec![
                ("WebhookNotFoundException", input(json!({"webhookName": "gone"}))),
                ("ValidationException", named(release(&[]), "webhookName")),
            ],
            never: &[],
            differences: &["where the pipeline is gone, and with it the token, GitHub is not told"],
        },
    ]
}
