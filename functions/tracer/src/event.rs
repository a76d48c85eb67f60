//! What the queue delivers: state-change events of executions. The rule lets only those of ends through, but anybody who may put
//! events on the bus may have made one up, so nothing of it is believed but which execution it is about and when it ended.

use engine::{ExecutionId, Timestamp};
use serde_json::Value;

/// That an execution has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The execution that has ended.
    pub execution: ExecutionId,
    /// When, in full seconds: EventBridge cuts off what is less.
    pub time: Timestamp,
}

/// The ends of a delivery. What is none is logged and left out: it would be none the next time either.
pub fn read(event: &Value) -> Vec<Ended> {
    let mut ended = Vec::new();
    for message in event["Records"].as_array().into_iter().flatten() {
        match one(message["body"].as_str().unwrap_or_default()) {
            Some(end) => ended.push(end),
            None => tracing::error!(message = %message["messageId"], "not the end of an execution"),
        }
    }
    ended
}

fn one(body: &str) -> Option<Ended> {
    let event: Value = serde_json::from_str(body).ok()?;
    let time: jiff::Timestamp = event["time"].as_str()?.parse().ok()?;
    let execution = event["detail"]["execution-id"].as_str()?.parse().ok()?;
    Some(Ended { execution, time: Timestamp(time.as_second() * 1_000) })
}
