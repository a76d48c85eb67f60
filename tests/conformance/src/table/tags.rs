//! Tags.

use serde_json::{Value, json};
use wire::Operation;

use super::prepare::{FORGED, created, release, tags};
use super::{Case, NO_RACE, Row, case, input, later};

const ARN: &str = "arn:aws:codepipeline:eu-west-1:111122223333:release";
const GONE: &str = "arn:aws:codepipeline:eu-west-1:111122223333:gone";
/// Of the pattern, and yet no ARN of an account.
const ODD: &str = "arn:aws:codepipeline:eu-west-1:a-word:111122223333:release";

/// The call with this resource, and the rest of its input.
fn of(arn: &'static str, rest: Value) -> Case {
    case(move |world| {
        let mut input = rest.clone();
        input["resourceArn"] = arn.into();
        later(async move {
            created(world, release(&[])).await;
            input
        })
    })
}

pub(super) fn rows() -> Vec<Row> {
    let tag = |key: &str| json!({"tags": [{"key": key, "value": "blue"}]});
    let untag = |key: &str| json!({"tagKeys": [key]});
    vec![
        Row {
            operation: Operation::TagResource,
            good: (of(ARN, tag("team")), &[]),
            errors: vec![
                ("InvalidArnException", of(ODD, tag("team"))),
                ("InvalidTagsException", of(ARN, tag("aws:team"))),
                ("ResourceNotFoundException", of(GONE, tag("team"))),
                ("TooManyTagsException", of(ARN, json!({"tags": tags(51)}))),
            ],
            never: &[NO_RACE],
            differences: &[
                "a tag of a pipeline whose key begins with millrace:notify: is a notification rule; one that cannot be understood, or a \
                 topic that rules may not send to, is an InvalidTagsException, and so is such a tag of anything else; a pipeline has at \
                 most 10 of them",
            ],
        },
        Row {
            operation: Operation::UntagResource,
            good: (of(ARN, untag("team")), &[]),
            errors: vec![
                ("InvalidArnException", of(ODD, untag("team"))),
                ("InvalidTagsException", of(ARN, untag("aws:team"))),
                ("ResourceNotFoundException", of(GONE, untag("team"))),
            ],
            never: &[NO_RACE],
            differences: &[],
        },
        Row {
            operation: Operation::ListTagsForResource,
            good: (
                case(|world| {
                    later(async move {
                        created(world, release(&[])).await;
                        world.done(Operation::TagResource, json!({"resourceArn": ARN, "tags": tags(2)})).await;
                        json!({"resourceArn": ARN, "maxResults": 1})
                    })
                }),
                &["/tags/0/key", "/nextToken"],
            ),
            errors: vec![
                ("InvalidArnException", input(json!({"resourceArn": ODD}))),
                ("InvalidNextTokenException", of(ARN, json!({"nextToken": FORGED}))),
                ("ResourceNotFoundException", input(json!({"resourceArn": GONE}))),
            ],
            never: &[],
            differences: &["tags come in the order of their keys"],
        },
    ]
}
