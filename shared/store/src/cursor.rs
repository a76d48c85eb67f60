//! Where a page of a listing ended. A cursor says no more than the position in its own listing; the partition comes
//! from the listing that is asked, so no cursor leads anywhere else.
//!
//! | listing | cursor |
//! |---|---|
//! | pipelines, webhooks | name |
//! | executions | sort key in the index `/` execution id |
//! | stages, sources, polled sources, action types, jobs | sort key |

use engine::Timestamp;
use pipeline::{ActionName, PipelineName, TypeId, WebhookName};

use crate::{Key, Listing, StoreError};

/// What an action type's sort key begins with. Source: CodePipeline API, `ActionCategory`.
const CATEGORIES: [&str; 7] = ["Source", "Build", "Deploy", "Test", "Invoke", "Approval", "Compute"];

/// A position in a listing: the sort key there, and the key of the entity at which it stands.
#[cfg_attr(not(feature = "dynamodb"), allow(dead_code))]
pub(crate) struct Position {
    pub sort: String,
    pub key: Key,
}

/// The cursor of the page that ends with the entity of this key, which has this sort key in the listing.
pub(crate) fn encode(sort: &str, key: &Key) -> String {
    match key {
        Key::Execution(id) => format!("{sort}/{id}"),
        _ => sort.to_owned(),
    }
}

/// The position that a cursor names.
///
/// # Errors
/// [`StoreError::Cursor`] when it cannot be one of this listing's.
pub(crate) fn decode(listing: &Listing, cursor: &str) -> Result<Position, StoreError> {
    let position = match listing {
        Listing::Pipelines => {
            PipelineName::new(cursor).ok().map(|name| Position { sort: cursor.into(), key: Key::Head(name) })
        }
        Listing::Webhooks => {
            WebhookName::new(cursor).ok().map(|name| Position { sort: cursor.into(), key: Key::Webhook(name) })
        }
        Listing::Executions(..) => cursor.split_once('/').and_then(|(sort, id)| {
            let counted = sort.len() == 20 && sort.parse::<u64>().is_ok();
            Some(Position { sort: counted.then(|| sort.into())?, key: Key::Execution(id.parse().ok()?) })
        }),
        Listing::Stages(id) => {
            Key::due_from(&format!("E#{id}"), cursor).map(|key| Position { sort: cursor.into(), key })
        }
        Listing::Sources(watched) => cursor.split_once('#').and_then(|(name, action)| {
            let action = ActionName::new(action).ok()?;
            let key = Key::Source(watched.clone(), PipelineName::new(name).ok()?, action.into());
            Some(Position { sort: cursor.into(), key })
        }),
        Listing::SourcePolls => match cursor.split('#').collect::<Vec<_>>()[..] {
            [name, incarnation, action] => {
                let key = (PipelineName::new(name).ok(), incarnation.parse().ok(), ActionName::new(action).ok());
                let (Some(name), Some(incarnation), Some(action)) = key else { return Err(StoreError::Cursor) };
                Some(Position { sort: cursor.into(), key: Key::SourcePoll(name, incarnation, action) })
            }
            _ => None,
        },
        Listing::ActionTypes(owner) => match cursor.split('#').collect::<Vec<_>>()[..] {
            [category, provider, version] if CATEGORIES.contains(&category) => {
                let (category, provider, version) = (category.into(), provider.into(), Some(version.into()));
                let key = Key::ActionType(TypeId { category, owner: Some(owner.clone()), provider, version });
                Some(Position { sort: cursor.into(), key })
            }
            _ => None,
        },
        Listing::Jobs(queue) => cursor.split_once('/').and_then(|(queued, action)| {
            let key = Key::Job(queue.clone(), Timestamp(queued.parse().ok()?), action.parse().ok()?);
            (key.pair().1 == cursor).then(|| Position { sort: cursor.into(), key })
        }),
    };
    // `STAGE#1#1` names a stage as well, but is not how its key is written.
    let written = |it: &Position| match it.key {
        Key::Stage(..) => it.key.pair().1 == it.sort,
        _ => encode(&it.sort, &it.key) == cursor,
    };
    position.filter(written).ok_or(StoreError::Cursor)
}
