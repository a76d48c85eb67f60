//! Messages between functions: at once by EventBridge, after a delay by SQS.

use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use aws_sdk_sqs::error::DisplayErrorContext;
use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use driver::{Dispatch, DispatchError, Message};

use crate::clients::Clients;
use crate::settings::{SettingError, Settings};

/// The `source` of events that only Millrace's own rules look for.
const SOURCE: &str = "millrace.internal";
/// Source: EventBridge API `PutEvents`, SQS API `SendMessageBatch`: entries in one request.
const BATCH: usize = 10;
/// Source: SQS API, `SendMessage`, `DelaySeconds`.
const LONGEST_DELAY: u64 = 900;

/// Sends messages without delay over the bus, all in one request where they are ten or fewer, and delayed ones over
/// the queue (delays are rounded up to whole seconds, 15 minutes at most).
#[derive(Clone, Debug)]
pub struct EventDispatch {
    clients: Clients,
    bus: String,
    queue: String,
}

impl EventDispatch {
    /// A dispatcher over the bus and the queue of the settings.
    ///
    /// # Errors
    /// [`SettingError::Missing`] for either.
    pub fn new(settings: &Settings, clients: &Clients) -> Result<Self, SettingError> {
        Ok(Self { clients: clients.clone(), bus: settings.bus()?, queue: settings.poll_queue_url()? })
    }

    async fn now(&self, entries: Vec<PutEventsRequestEntry>) -> Vec<String> {
        let mut faults = Vec::new();
        for batch in entries.chunks(BATCH) {
            match self.clients.eventbridge().put_events().set_entries(Some(batch.to_vec())).send().await {
                Ok(answer) if answer.failed_entry_count() == 0 => {}
                Ok(answer) => {
                    let first = answer.entries().iter().find_map(|entry| entry.error_code());
                    faults.push(format!(
                        "{} of {} events refused by bus {}: {}",
                        answer.failed_entry_count(),
                        batch.len(),
                        self.bus,
                        first.unwrap_or("no reason given")
                    ));
                }
                Err(error) => faults.push(format!("bus {}: {}", self.bus, DisplayErrorContext(&error))),
            }
        }
        faults
    }

    async fn later(&self, entries: Vec<SendMessageBatchRequestEntry>) -> Vec<String> {
        let mut faults = Vec::new();
        for batch in entries.chunks(BATCH) {
            let request = self.clients.sqs().send_message_batch().queue_url(&self.queue);
            match request.set_entries(Some(batch.to_vec())).send().await {
                Ok(answer) => faults.extend(
                    answer.failed().iter().map(|entry| format!("message refused by {}: {}", self.queue, entry.code())),
                ),
                Err(error) => faults.push(format!("queue {}: {}", self.queue, DisplayErrorContext(&error))),
            }
        }
        faults
    }
}

#[async_trait]
impl Dispatch for EventDispatch {
    async fn dispatch(&self, messages: Vec<(Message, Duration)>) -> Result<(), DispatchError> {
        let failed = |error: &dyn std::fmt::Display| DispatchError(error.to_string());
        let (mut now, mut later) = (Vec::new(), Vec::new());
        for (message, delay) in messages {
            let body = serde_json::to_string(&message).map_err(|error| failed(&error))?;
            if delay.is_zero() {
                let entry = PutEventsRequestEntry::builder()
                    .event_bus_name(&self.bus)
                    .source(SOURCE)
                    .detail_type(detail_type(&message))
                    .detail(body);
                now.push(entry.build());
            } else {
                let entry = SendMessageBatchRequestEntry::builder()
                    .id((later.len() % BATCH).to_string())
                    .delay_seconds(seconds(delay))
                    .message_body(body);
                later.push(entry.build().map_err(|error| failed(&error))?);
            }
        }
        let (mut faults, more) = tokio::join!(self.now(now), self.later(later));
        faults.extend(more);
        if faults.is_empty() { Ok(()) } else { Err(DispatchError(faults.join("; "))) }
    }
}

fn detail_type(message: &Message) -> &'static str {
    match message {
        Message::Run { .. } | Message::Poll { .. } | Message::PollSource { .. } | Message::CompareFiles { .. } => {
            "Work"
        }
        Message::Replicate { .. } => "Replicate",
    }
}

fn seconds(delay: Duration) -> i32 {
    let whole = delay.as_secs() + u64::from(delay.subsec_nanos() > 0);
    i32::try_from(whole.min(LONGEST_DELAY)).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use engine::{ActionId, ExecutionId};
    use serde_json::Value;
    use testkit::{Answer, Stub};
    use uuid::Uuid;

    use super::*;

    fn action(index: usize) -> ActionId {
        ExecutionId::from_random(Uuid::from_u128(7)).action(0, index, 1)
    }

    fn run(index: usize) -> (Message, Duration) {
        (Message::Run { action: action(index) }, Duration::ZERO)
    }

    fn poll(index: usize, delay: u64) -> (Message, Duration) {
        (Message::Poll { action: action(index), count: Some(1) }, Duration::from_millis(delay))
    }

    fn dispatcher(stub: &Stub) -> EventDispatch {
        let settings = Settings::read(|name| match name {
            "AWS_REGION" => Some("eu-west-1".into()),
            "MILLRACE_BUS" => Some("millrace".into()),
            "MILLRACE_POLL_QUEUE_URL" => Some("https://sqs.eu-west-1.amazonaws.com/123456789012/poll".into()),
            _ => None,
        });
        EventDispatch::new(&settings.unwrap(), &Clients::from_config(stub.config())).unwrap()
    }

    fn accepting() -> Stub {
        Stub::new(|request| match request.operation() {
            "PutEvents" => Answer::ok(r#"{"FailedEntryCount":0,"Entries":[]}"#),
            _ => Answer::ok(r#"{"Successful":[],"Failed":[]}"#),
        })
    }

    fn bodies(stub: &Stub, operation: &str) -> Vec<Value> {
        let asked = stub.requests();
        let asked = asked.iter().filter(|request| request.operation() == operation);
        asked.map(|request| serde_json::from_str(&request.body).unwrap()).collect()
    }

    #[tokio::test]
    async fn a_group_goes_in_one_request() {
        let stub = accepting();
        dispatcher(&stub).dispatch((0..10).map(run).collect()).await.unwrap();
        let sent = bodies(&stub, "PutEvents");
        assert_eq!(sent.len(), 1);
        let entries = sent[0]["Entries"].as_array().unwrap();
        assert_eq!(entries.len(), 10);
        assert_eq!(entries[3]["Source"], "millrace.internal");
        assert_eq!(entries[3]["DetailType"], "Work");
        assert_eq!(entries[3]["EventBusName"], "millrace");
        let message: Message = serde_json::from_str(entries[3]["Detail"].as_str().unwrap()).unwrap();
        assert_eq!(message, run(3).0);
        assert_eq!(stub.requests().len(), 1, "the queue is not asked for nothing");
    }

    #[tokio::test]
    async fn more_than_ten_go_in_several() {
        let stub = accepting();
        dispatcher(&stub).dispatch((0..23).map(run).collect()).await.unwrap();
        let sizes: Vec<usize> =
            bodies(&stub, "PutEvents").iter().map(|body| body["Entries"].as_array().unwrap().len()).collect();
        assert_eq!(sizes, [10, 10, 3]);
    }

    #[tokio::test]
    async fn delayed_messages_wait_in_the_queue() {
        let stub = accepting();
        let far = (poll(4, 0).0, Duration::from_secs(5_000));
        let copy = Message::Replicate { action: action(0), artifact: pipeline::ArtifactName::new("app").unwrap() };
        let messages = vec![run(0), poll(1, 1), poll(2, 1_000), poll(3, 1_001), far, (copy, Duration::ZERO)];
        dispatcher(&stub).dispatch(messages).await.unwrap();
        let queued = bodies(&stub, "SendMessageBatch");
        assert_eq!(queued.len(), 1);
        let entries = queued[0]["Entries"].as_array().unwrap();
        let delays: Vec<_> = entries.iter().map(|entry| entry["DelaySeconds"].as_i64().unwrap()).collect();
        assert_eq!(delays, [1, 1, 2, 900]);
        let message: Message = serde_json::from_str(entries[1]["MessageBody"].as_str().unwrap()).unwrap();
        assert_eq!(message, poll(2, 0).0);
        let events = bodies(&stub, "PutEvents");
        assert_eq!(events.len(), 1);
        assert_eq!(events[0]["Entries"][1]["DetailType"], "Replicate");
    }

    #[tokio::test]
    async fn what_is_refused_is_said() {
        let stub = Stub::new(|request| match request.operation() {
            "PutEvents" => {
                Answer::ok(r#"{"FailedEntryCount":1,"Entries":[{"EventId":"1"},{"ErrorCode":"ThrottlingException"}]}"#)
            }
            _ => Answer::ok(r#"{"Successful":[],"Failed":[{"Id":"0","SenderFault":false,"Code":"InternalError"}]}"#),
        });
        let error = dispatcher(&stub).dispatch(vec![run(0), run(1), poll(2, 5)]).await.unwrap_err().to_string();
        assert!(error.contains("1 of 2") && error.contains("ThrottlingException"), "{error}");
        assert!(error.contains("InternalError"), "{error}");
    }
}
