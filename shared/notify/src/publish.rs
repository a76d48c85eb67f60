//! Putting state-change events on the bus: in batches, and again what EventBridge did not take.

use std::time::{Duration, SystemTime};

use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::error::DisplayErrorContext;
use aws_sdk_eventbridge::primitives::DateTime;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;

use crate::event::StateChange;

/// The events' source. AWS's own is `aws.codepipeline`, which nobody else may use.
pub const SOURCE: &str = "millrace";
/// Source: EventBridge API, `PutEvents`: at most 10 entries and 256 KB in a request.
const BATCH_ENTRIES: usize = 10;
const BATCH_BYTES: usize = 240_000;
/// How often a refused event is sent in all.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_millis(100);

/// Some events were not published.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} of the events could not be published to bus {bus}: {cause}", .indices.len())]
pub struct Unpublished {
    /// Which, by their place among those given.
    pub indices: Vec<usize>,
    /// Name or ARN of the bus to which events go.
    pub bus: String,
    /// Why the last of them was refused.
    pub cause: String,
}

/// Publishes events to a bus.
#[derive(Clone, Debug)]
pub struct Publisher {
    client: Client,
    bus: String,
    own: String,
}

impl Publisher {
    /// A publisher to `bus`, where anybody may listen, and to `own`, the installation's, for events that one of its actions
    /// awaits.
    pub fn new(client: Client, bus: impl Into<String>, own: impl Into<String>) -> Self {
        Self { client, bus: bus.into(), own: own.into() }
    }

    /// Publishes events, those that are refused up to three times.
    ///
    /// # Errors
    /// [`Unpublished`] says which were not.
    pub async fn publish(&self, events: &[StateChange]) -> Result<(), Unpublished> {
        let entries = |(index, event): (usize, &StateChange)| {
            let own = event.awaited.then(|| self.entry(event, &self.own));
            [self.entry(event, &self.bus)].into_iter().chain(own).map(move |entry| (index, entry)).collect::<Vec<_>>()
        };
        let mut open: Vec<(usize, PutEventsRequestEntry)> = events.iter().enumerate().flat_map(entries).collect();
        let mut cause = String::new();
        for attempt in 0..TRIES {
            if attempt > 0 {
                tokio::time::sleep(PAUSE * 2_u32.pow(attempt)).await;
            }
            let mut refused = Vec::new();
            for batch in batches(open) {
                if let Err(reason) = self.put(batch, &mut refused).await {
                    cause = reason;
                }
            }
            if refused.is_empty() {
                return Ok(());
            }
            open = refused;
        }
        let indices = open.into_iter().map(|(index, _)| index).collect();
        Err(Unpublished { indices, bus: self.bus.clone(), cause })
    }

    fn entry(&self, event: &StateChange, bus: &str) -> PutEventsRequestEntry {
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(event.time.0).unwrap_or(0));
        PutEventsRequestEntry::builder()
            .event_bus_name(bus)
            .source(SOURCE)
            .detail_type(event.detail_type)
            .resources(&event.resource)
            .time(DateTime::from(time))
            .detail(event.detail.to_string())
            .build()
    }

    async fn put(
        &self,
        batch: Vec<(usize, PutEventsRequestEntry)>,
        refused: &mut Vec<(usize, PutEventsRequestEntry)>,
    ) -> Result<(), String> {
        let entries = batch.iter().map(|(_, entry)| entry.clone()).collect();
        let answer = match self.client.put_events().set_entries(Some(entries)).send().await {
            Ok(answer) => answer,
            Err(error) => {
                refused.extend(batch);
                return Err(DisplayErrorContext(&error).to_string());
            }
        };
        if answer.failed_entry_count() == 0 {
            return Ok(());
        }
        let mut cause = String::new();
        for (place, entry) in batch.into_iter().enumerate() {
            if let Some(code) = answer.entries().get(place).and_then(|result| result.error_code()) {
                let message = answer.entries().get(place).and_then(|result| result.error_message());
                cause = format!("{code}: {}", message.unwrap_or_default());
                refused.push(entry);
            }
        }
        if refused.is_empty() { Ok(()) } else { Err(cause) }
    }
}

fn batches(entries: Vec<(usize, PutEventsRequestEntry)>) -> Vec<Vec<(usize, PutEventsRequestEntry)>> {
    let mut batches: Vec<Vec<(usize, PutEventsRequestEntry)>> = Vec::new();
    let mut bytes = 0;
    for entry in entries {
        // Besides the detail: source, detail type, time, resource.
        let size = entry.1.detail().map_or(0, str::len) + 500;
        match batches.last_mut() {
            Some(batch) if batch.len() < BATCH_ENTRIES && bytes + size <= BATCH_BYTES => {
                bytes += size;
                batch.push(entry);
            }
            _ => {
                bytes = size;
                batches.push(vec![entry]);
            }
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use engine::Timestamp;
    use serde_json::{Value, json};
    use testkit::{Answer, Stub};

    use super::*;

    fn events(count: usize, size: usize) -> Vec<StateChange> {
        let event = |index| StateChange {
            detail_type: "CodePipeline Stage Execution State Change",
            resource: "arn:aws:codepipeline:eu-west-1:123456789012:release".into(),
            time: Timestamp(1_795_441_779_208),
            detail: json!({"stage": index, "filling": "x".repeat(size)}),
            awaited: false,
        };
        (0..count).map(event).collect()
    }

    fn publisher(stub: &Stub) -> Publisher {
        Publisher::new(Client::new(&stub.config()), "default", "millrace")
    }

    fn batch_sizes(stub: &Stub) -> Vec<usize> {
        let sent = stub.requests();
        let sent = sent.iter().map(|request| serde_json::from_str::<Value>(&request.body).unwrap());
        sent.map(|body| body["Entries"].as_array().unwrap().len()).collect()
    }

    #[tokio::test]
    async fn events_are_sent_in_batches() {
        let stub = Stub::new(|_| Answer::ok(r#"{"FailedEntryCount":0,"Entries":[]}"#));
        publisher(&stub).publish(&events(23, 10)).await.unwrap();
        assert_eq!(batch_sizes(&stub), [10, 10, 3]);
        let first: Value = serde_json::from_str(&stub.requests()[0].body).unwrap();
        let entry = &first["Entries"][0];
        assert_eq!(entry["Source"], "millrace");
        assert_eq!(entry["EventBusName"], "default");
        assert_eq!(entry["Resources"], json!(["arn:aws:codepipeline:eu-west-1:123456789012:release"]));
        assert_eq!(entry["Time"], 1_795_441_779.208);
    }

    #[tokio::test]
    async fn what_an_action_awaits_goes_to_the_own_bus_too() {
        let stub = Stub::new(|_| Answer::ok(r#"{"FailedEntryCount":0,"Entries":[]}"#));
        let mut events = events(2, 10);
        events[1].awaited = true;
        publisher(&stub).publish(&events).await.unwrap();
        let body: Value = serde_json::from_str(&stub.requests()[0].body).unwrap();
        let sent: Vec<_> =
            body["Entries"].as_array().unwrap().iter().map(|it| (&it["EventBusName"], &it["Detail"])).collect();
        assert_eq!(sent.iter().map(|(bus, _)| *bus).collect::<Vec<_>>(), ["default", "default", "millrace"]);
        assert_eq!(sent[1].1, sent[2].1);
    }

    #[tokio::test]
    async fn large_events_go_in_more_requests() {
        let stub = Stub::new(|_| Answer::ok(r#"{"FailedEntryCount":0,"Entries":[]}"#));
        publisher(&stub).publish(&events(5, 100_000)).await.unwrap();
        assert_eq!(batch_sizes(&stub), [2, 2, 1]);
    }

    #[tokio::test]
    async fn only_what_was_refused_is_sent_again() {
        let stub = Stub::new(|request| {
            let body: Value = serde_json::from_str(&request.body).unwrap();
            let entries = body["Entries"].as_array().unwrap();
            // The second of three is refused once.
            let results: Vec<Value> = (0..entries.len())
                .map(|place| {
                    if entries.len() == 3 && place == 1 {
                        json!({"ErrorCode": "ThrottlingException", "ErrorMessage": "slow down"})
                    } else {
                        json!({"EventId": "1"})
                    }
                })
                .collect();
            let failed = usize::from(entries.len() == 3);
            Answer::ok(json!({"FailedEntryCount": failed, "Entries": results}).to_string())
        });
        publisher(&stub).publish(&events(3, 10)).await.unwrap();
        assert_eq!(batch_sizes(&stub), [3, 1]);
        assert!(stub.requests()[1].body.contains("\\\"stage\\\":1"), "{}", stub.requests()[1].body);
    }

    #[tokio::test]
    async fn what_stays_refused_is_named() {
        let stub = Stub::new(|request| {
            let body: Value = serde_json::from_str(&request.body).unwrap();
            let results: Vec<Value> = body["Entries"]
                .as_array()
                .unwrap()
                .iter()
                .map(|entry| {
                    if entry["Detail"].as_str().unwrap().contains("\"stage\":2") {
                        json!({"ErrorCode": "InternalFailure", "ErrorMessage": "sorry"})
                    } else {
                        json!({"EventId": "1"})
                    }
                })
                .collect();
            Answer::ok(json!({"FailedEntryCount": 1, "Entries": results}).to_string())
        });
        let error = publisher(&stub).publish(&events(4, 10)).await.unwrap_err();
        assert_eq!(error.indices, [2]);
        assert!(error.to_string().contains("InternalFailure: sorry"), "{error}");
        let down = Stub::new(|_| Answer { status: 500, body: "{}".into() });
        assert_eq!(publisher(&down).publish(&events(2, 10)).await.unwrap_err().indices, [0, 1]);
    }
}
