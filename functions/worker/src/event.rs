//! What a worker is sent: messages from other functions, delayed polls from the queue, and provider events.

use driver::Message;
use engine::ActionId;
use serde_json::Value;

/// A message, and the queue's id for it where it comes from there.
#[derive(Clone, Debug, PartialEq)]
pub struct Received {
    /// Names the message to the queue, which keeps it when it is reported as failed.
    pub queue_id: Option<String>,
    /// The message; none where it is nothing for us.
    pub message: Option<Message>,
}

/// Reads an event of any of the three kinds.
pub fn read(event: &Value) -> Vec<Received> {
    if let Some(records) = event.get("Records").and_then(Value::as_array) {
        return records
            .iter()
            .map(|record| Received {
                queue_id: record.get("messageId").and_then(Value::as_str).map(str::to_owned),
                message: record.get("body").and_then(Value::as_str).and_then(|body| serde_json::from_str(body).ok()),
            })
            .collect();
    }
    let detail = event.get("detail").cloned().unwrap_or_default();
    let message = match event.get("source").and_then(Value::as_str) {
        Some("aws.states") => step_functions(&detail),
        _ => serde_json::from_value(detail).ok(),
    };
    vec![Received { queue_id: None, message }]
}

/// The execution's name ends with the attempt's id. The event is only a hint: the poll asks Step Functions itself.
fn step_functions(detail: &Value) -> Option<Message> {
    if detail.get("status").and_then(Value::as_str) == Some("RUNNING") {
        return None;
    }
    let name = detail.get("name").and_then(Value::as_str)?;
    let id = name.get(name.len().checked_sub(36)?..)?;
    let action: ActionId = id.parse().ok()?;
    Some(Message::Poll { action, count: None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::ExecutionId;
    use serde_json::json;
    use uuid::Uuid;

    fn action() -> ActionId {
        ExecutionId::from_random(Uuid::from_u128(5)).action(1, 2, 3)
    }

    #[test]
    fn messages_of_the_bus() {
        let message = Message::Run { action: action() };
        let event = json!({"source": "millrace.internal", "detail-type": "Work", "detail": message});
        assert_eq!(read(&event), [Received { queue_id: None, message: Some(message) }]);
    }

    #[test]
    fn messages_of_the_queue_keep_their_names() {
        let message = Message::Poll { action: action(), count: Some(2) };
        let body = serde_json::to_string(&message).unwrap();
        let event = json!({"Records": [{"messageId": "m1", "body": body}, {"messageId": "m2", "body": "nonsense"}]});
        let expected = [
            Received { queue_id: Some("m1".into()), message: Some(message) },
            Received { queue_id: Some("m2".into()), message: None },
        ];
        assert_eq!(read(&event), expected);
    }

    #[test]
    fn the_end_of_a_state_machine_is_a_hint_to_poll() {
        let event =
            |name: String, status: &str| json!({"source": "aws.states", "detail": {"status": status, "name": name}});
        let ended = read(&event(format!("prefix-{}", action()), "SUCCEEDED"));
        assert_eq!(ended[0].message, Some(Message::Poll { action: action(), count: None }));
        assert_eq!(read(&event(format!("prefix-{}", action()), "RUNNING"))[0].message, None);
        assert_eq!(read(&event("somebody else's".into(), "FAILED"))[0].message, None);
        assert_eq!(read(&event("é".repeat(30), "FAILED"))[0].message, None, "cut inside a character");
    }
}
