//! From a record of the table's stream to one of the audit log. Source: DynamoDB streams API, `Record`.

use audit::{Record, What, exact, hash};
use notify::changes::{self, StageChange};
use serde_json::Value;
use store::{AUDIT_PARTITION, Entity};

/// What the stream names as the one who removes items whose time is over.
const TIME_TO_LIVE: &str = "dynamodb.amazonaws.com";

/// The change that the stream tells of; none for the log's own tip. Nothing that may be in an item makes this fail: what cannot
/// be read is recorded with as much as is known of it.
pub fn read(delivered: &Value) -> Option<Record> {
    let change = &delivered["dynamodb"];
    let partition = text(&change["Keys"]["pk"]["S"]).unwrap_or_default();
    if partition.starts_with(AUDIT_PARTITION) {
        return None;
    }
    let key = format!("{partition}/{}", text(&change["Keys"]["sk"]["S"]).unwrap_or_default());
    let (old, new) = (Image(&change["OldImage"]), Image(&change["NewImage"]));
    let image = if new.0.is_object() { new } else { old };
    let body: Value = image.body().and_then(|body| serde_json::from_str(body).ok()).unwrap_or_default();
    let expired = delivered["userIdentity"]["principalId"] == TIME_TO_LIVE;
    let by = |member: &str| text(&new.0["changed_by"]["M"][member]["S"]);
    let pipeline = [&body["pipeline"], &body["webhook"]["target_pipeline"]].into_iter().find_map(text);
    let seconds = change["ApproximateCreationDateTime"].as_f64().unwrap_or_default();
    let record = Record {
        id: text(&delivered["eventID"]).unwrap_or_default(),
        time: exact((seconds * 1_000.0) as i64),
        what: What::Change {
            change: text(&delivered["eventName"]).unwrap_or_default(),
            item: image.text("kind").unwrap_or_default().to_owned(),
            key,
            revision: image.0["rev"]["N"].as_str().and_then(|revision| revision.parse().ok()),
            states: states(old, new),
            before: old.body().map(hash),
            after: new.body().map(hash),
        },
        pipeline,
        execution: partition.strip_prefix("E#").map(str::to_owned),
        caller: by("caller").or(expired.then(|| TIME_TO_LIVE.to_owned())),
        source: by("source"),
        request: by("request"),
    };
    Some(record.bounded())
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

/// An item as it was before or after a change; null if it was not there.
#[derive(Clone, Copy)]
struct Image<'a>(&'a Value);

impl<'a> Image<'a> {
    fn text(self, name: &str) -> Option<&'a str> {
        self.0[name]["S"].as_str()
    }

    fn body(self) -> Option<&'a str> {
        self.text("body")
    }

    fn entity(self) -> Option<Entity> {
        match self.text("kind")? {
            kind @ ("EXECUTION" | "STAGE") => Entity::from_json(kind, self.body()?).ok(),
            _ => None,
        }
    }
}

/// What a change meant for an execution, or for a stage and its actions.
fn states(old: Image<'_>, new: Image<'_>) -> Vec<String> {
    match (old.entity(), new.entity()) {
        (old, Some(Entity::Execution(new))) => {
            let old = old.and_then(|old| if let Entity::Execution(it) = old { Some(it) } else { None });
            changes::of_execution(old.as_ref(), &new).iter().map(ToString::to_string).collect()
        }
        (old, Some(Entity::Stage(new))) => {
            let old = old.and_then(|old| if let Entity::Stage(it) = old { Some(it) } else { None });
            let told = |change: &StageChange| match change {
                StageChange::Stage(state) => format!("{} {state}", new.name),
                StageChange::Action(index, state) => {
                    let action = new.actions.get(*index).map_or("", |action| action.name.as_str());
                    format!("{}/{action} {state}", new.name)
                }
            };
            changes::of_stage(old.as_ref(), &new).iter().map(told).collect()
        }
        _ => Vec::new(),
    }
}
