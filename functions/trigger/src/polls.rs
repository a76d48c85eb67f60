//! The minute's polls of sources. This function only asks for them: workers alone may act as pipelines.

use driver::{DriveError, Driver};
use serde_json::Value;

/// Whether an invocation is that of the rule which wakes this function once a minute: `{"request": "polls"}`.
pub fn are_requested(event: &Value) -> bool {
    event["request"] == "polls"
}

/// Asks for a poll of each source that is polled. Answers how many there are.
///
/// # Errors
/// The store's; what is missed comes with the next minute.
pub async fn request(driver: &Driver) -> Result<usize, DriveError> {
    let polls = driver.request_polls().await?;
    if polls > 0 {
        tracing::debug!(polls, "asked for");
    }
    Ok(polls)
}
