//! An action's configuration as its provider reads it.

use driver::Task;
use engine::Timestamp;
use pipeline::catalogue::rules;

use crate::error::ProviderError;

/// The value of a key; an empty one counts as none.
pub(crate) fn optional<'a>(task: &'a Task, key: &str) -> Option<&'a str> {
    task.configuration.get(key).map(String::as_str).filter(|value| !value.is_empty())
}

/// The value of a key that must be there. Validation has seen that it is, but a variable can resolve to nothing.
pub(crate) fn required<'a>(task: &'a Task, key: &str) -> Result<&'a str, ProviderError> {
    optional(task, key).ok_or_else(|| ProviderError::configuration(format!("{} needs a value for {key}", title(task))))
}

/// `true` or `false` in any case; none: false.
pub(crate) fn flag(task: &Task, key: &str) -> Result<bool, ProviderError> {
    match optional(task, key) {
        None => Ok(false),
        Some(value) if value.eq_ignore_ascii_case("true") => Ok(true),
        Some(value) if value.eq_ignore_ascii_case("false") => Ok(false),
        Some(value) => Err(ProviderError::configuration(format!("{key} must be true or false, and is {value:?}"))),
    }
}

/// How messages call the action or rule.
pub(crate) fn title(task: &Task) -> String {
    if task.action.type_id.category == rules::CATEGORY {
        return format!("{} rule {}", task.action.type_id.provider, task.action.name);
    }
    format!("{}/{} action {}", task.action.type_id.category, task.action.type_id.provider, task.action.name)
}

/// When the attempt was requested: its time-out counts from there.
pub(crate) fn requested(task: &Task) -> Option<Timestamp> {
    task.deadline.map(|deadline| deadline.plus(-60_000 * i64::from(task.action.timeout_minutes())))
}

/// The artifact store of the action's region and its key.
pub(crate) fn store(task: &Task) -> Result<(&str, artifacts::Encryption), ProviderError> {
    let (bucket, key) = task.store.as_ref().ok_or_else(|| {
        ProviderError::configuration(format!("the pipeline has no artifact store in region {}", task.region))
    })?;
    Ok((bucket, artifacts::Encryption::key(key.as_deref().unwrap_or_default())))
}
