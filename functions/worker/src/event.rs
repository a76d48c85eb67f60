//! What a worker is sent: messages from other functions, delayed polls from the queue, and events of providers.

use aws_lambda_events::eventbridge::EventBridgeEvent;
use aws_lambda_events::sqs::{SqsEvent, SqsMessage};
use driver::Message;
use providers::{Correlation, ProviderInfo};
use serde::Deserialize;
use serde_json::Value;

/// What is to be done, and the queue's id of the message where it comes from there.
#[derive(Clone, Debug, PartialEq)]
pub struct Received {
    /// Names the message to the queue, which keeps it when it is reported as failed.
    pub queue_id: Option<String>,
    /// What is to be done.
    pub request: Request,
}

/// What a worker is asked.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// A message that names its action.
    Message(Message),
    /// An event about something that a service has named: the action for which it was started is to be polled.
    External {
        /// As EventBridge has it, for example `aws.ecs`.
        source: String,
        /// Where the event, and what it is about, comes from.
        region: String,
        /// The id that the service chose, as in [`engine::External`].
        id: String,
    },
    /// An event of no action of ours.
    Nothing,
}

/// Reads an event of any of the three kinds. `providers`: those whose events are known.
pub fn read(event: &Value, providers: &[ProviderInfo]) -> Vec<Received> {
    if let Ok(queue) = SqsEvent::deserialize(event) {
        let received = |SqsMessage { message_id, body, .. }: SqsMessage| {
            let message = body.and_then(|body| serde_json::from_str(&body).ok());
            Received { queue_id: message_id, request: message.map_or(Request::Nothing, Request::Message) }
        };
        return queue.records.into_iter().map(received).collect();
    }
    let request = match EventBridgeEvent::<Value>::deserialize(event) {
        Ok(event) => of_the_bus(event, providers),
        Err(error) => {
            tracing::error!(%error, "neither an event of a bus nor messages of a queue");
            Request::Nothing
        }
    };
    vec![Received { queue_id: None, request }]
}

fn of_the_bus(event: EventBridgeEvent<Value>, providers: &[ProviderInfo]) -> Request {
    let Some(events) = providers.iter().filter_map(|it| it.events).find(|events| events.include(&event)) else {
        return serde_json::from_value(event.detail).map_or(Request::Nothing, Request::Message);
    };
    match events.correlation {
        // The event is only a hint: the poll asks the service itself.
        Correlation::AttemptId(attempt) => attempt(&event.detail)
            .map_or(Request::Nothing, |action| Request::Message(Message::Poll { action, count: None })),
        Correlation::ExternalId(external) => match (external(&event.detail), event.region) {
            (Some(id), Some(region)) => Request::External { source: event.source, region, id },
            _ => Request::Nothing,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::{ActionId, ExecutionId};
    use providers::Events;
    use serde_json::json;
    use uuid::Uuid;

    fn action() -> ActionId {
        ExecutionId::from_random(Uuid::from_u128(5)).action(1, 2, 3)
    }

    fn one(event: &Value) -> Request {
        let mut received = read(event, providers::all());
        assert_eq!((received.len(), &received[0].queue_id), (1, &None));
        received.remove(0).request
    }

    #[test]
    fn messages_of_the_bus() {
        let message = Message::Run { action: action() };
        let event = json!({"source": "millrace.internal", "detail-type": "Work", "detail": message});
        assert_eq!(one(&event), Request::Message(message));
        assert_eq!(one(&json!({"source": "aws.strange", "detail-type": "Strange", "detail": {}})), Request::Nothing);
        assert_eq!(one(&json!({})), Request::Nothing);
    }

    #[test]
    fn messages_of_the_queue_keep_their_names() {
        let message = Message::Poll { action: action(), count: Some(2) };
        let body = serde_json::to_string(&message).unwrap();
        let event = json!({"Records": [{"messageId": "m1", "body": body}, {"messageId": "m2", "body": "nonsense"}]});
        let expected = [
            Received { queue_id: Some("m1".into()), request: Request::Message(message) },
            Received { queue_id: Some("m2".into()), request: Request::Nothing },
        ];
        assert_eq!(read(&event, providers::all()), expected);
    }

    #[test]
    fn the_end_of_a_state_machine_is_a_hint_to_poll() {
        let event = |kind: &str, status: &str| {
            json!({"source": "aws.states", "detail-type": kind, "detail": {
                "status": status, "name": format!("prefix-{}", action())}})
        };
        let kind = "Step Functions Execution Status Change";
        let poll = Request::Message(Message::Poll { action: action(), count: None });
        assert_eq!(one(&event(kind, "SUCCEEDED")), poll);
        assert_eq!(one(&event(kind, "RUNNING")), Request::Nothing);
        assert_eq!(one(&event("Another", "SUCCEEDED")), Request::Nothing);
    }

    #[test]
    fn the_end_of_an_execution_is_one_for_which_another_pipeline_may_wait() {
        let event = |state: &str| {
            json!({"source": "millrace", "detail-type": "CodePipeline Pipeline Execution State Change",
                "region": "eu-west-1", "detail": {"pipeline": "child", "execution-id": "e7", "state": state}})
        };
        let (source, region, id) = ("millrace".into(), "eu-west-1".into(), "e7".into());
        assert_eq!(one(&event("FAILED")), Request::External { source, region, id });
        assert_eq!(one(&event("STARTED")), Request::Nothing);
    }

    #[test]
    fn an_event_with_the_service_s_own_id_asks_for_the_action_that_was_started_under_it() {
        let provider = ProviderInfo {
            events: Some(Events {
                source: "aws.builder",
                detail_types: &["Build State Change"],
                correlation: Correlation::ExternalId(|detail| Some(detail.get("build-id")?.as_str()?.to_owned())),
            }),
            ..providers::all()[0]
        };
        let event = |detail: Value| json!({"source": "aws.builder", "detail-type": "Build State Change", "region": "us-west-2", "detail": detail});
        let of = |event: Value| read(&event, &[provider]).remove(0).request;
        let (source, region, id) = ("aws.builder".into(), "us-west-2".into(), "b7".into());
        assert_eq!(of(event(json!({"build-id": "b7"}))), Request::External { source, region, id });
        assert_eq!(of(event(json!({}))), Request::Nothing);
    }
}
