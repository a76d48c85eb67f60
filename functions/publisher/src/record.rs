//! What a record of the table's stream says. Source: DynamoDB streams API, `Record`.

use aws_lambda_events::dynamodb::EventRecord;
use serde_dynamo::{AttributeValue, Item};
use store::Entity;

/// The entity before and after, if the change is a write of an execution or a stage attempt.
///
/// # Errors
/// When an image cannot be read as what it says it is.
pub fn entities(record: &EventRecord) -> anyhow::Result<Option<(Option<Entity>, Entity)>> {
    match entity(&record.change.new_image)? {
        Some(new) => Ok(Some((entity(&record.change.old_image)?, new))),
        None => Ok(None),
    }
}

/// An image's entity; none for what has no events, and for an image that is not there.
fn entity(image: &Item) -> anyhow::Result<Option<Entity>> {
    match text(image, "kind") {
        kind @ ("EXECUTION" | "STAGE") => Ok(Some(Entity::from_json(kind, text(image, "body"))?)),
        _ => Ok(None),
    }
}

fn text<'a>(image: &'a Item, name: &str) -> &'a str {
    match image.get(name) {
        Some(AttributeValue::S(text)) => text,
        _ => "",
    }
}
