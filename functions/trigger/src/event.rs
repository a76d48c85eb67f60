//! What an event asks to be started.

use std::collections::BTreeMap;

use aws_lambda_events::eventbridge::EventBridgeEvent;
use aws_lambda_events::sqs::{SqsEvent, SqsMessage};
use driver::{GitDelivery, QueuedStart};
use engine::RevisionOverride;
use pipeline::{ActionName, PipelineName};
use providers::SourceChange;
use serde::Deserialize;
use serde_json::Value;

/// What to start, and what makes a second delivery of the same event recognizable.
#[derive(Clone, Debug, PartialEq)]
pub enum StartSignal {
    /// Something has changed: start whoever watches it. None: something has happened that starts nobody.
    Changed(Option<SourceChange>),
    /// Start what the door for webhooks has put into the queue.
    Queued(Box<QueuedStart>),
    /// Start whoever watches the repository, if the event is one for which it is to start.
    Git(Box<GitDelivery>),
    /// Start a pipeline by its name.
    Named {
        /// The name of the pipeline to start.
        pipeline: PipelineName,
        /// Values for pipeline variables, by name.
        variables: BTreeMap<String, String>,
        /// Revisions of its source actions.
        overrides: Vec<RevisionOverride>,
        /// Names the event; none: its [`Delivery`] names it.
        token: Option<String>,
        /// What people see as the trigger's detail.
        detail: String,
    },
}

/// An event, and the name by which a second delivery of it is known where it has no id of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// The queue's id of the message; of an event that came by itself, the invocation's.
    pub name: String,
    /// The event as it came.
    pub body: String,
    /// Whether it comes from the queue.
    pub queued: bool,
}

/// What an invocation brings: messages of the queue, each with an event, or an event by itself.
pub fn deliveries(invocation: &str, event: &Value) -> Vec<Delivery> {
    let Ok(queue) = SqsEvent::deserialize(event) else {
        return vec![Delivery { name: invocation.to_owned(), body: event.to_string(), queued: false }];
    };
    let delivery = |message: SqsMessage| Delivery {
        name: message.message_id.unwrap_or_default(),
        body: message.body.unwrap_or_default(),
        queued: true,
    };
    queue.records.into_iter().map(delivery).collect()
}

/// An event that asks for nothing that this function knows.
#[derive(Debug, thiserror::Error)]
#[error("not an event that starts a pipeline: {0}")]
pub struct NotUnderstood(pub String);

/// Most characters of a trigger's detail. Source: CodePipeline API, `ExecutionTrigger`.
const LONGEST_DETAIL: usize = 1_024;

/// The detail of a `Start Pipeline` event, or the input that a rule of the user's own gives to this function. `variables`
/// and `sourceRevisions` are `StartPipelineExecution`'s own members, which a rule gives to a pipeline as its target on AWS.
/// `rule` is ours: AWS knows by itself which rule it is.
/// Others are refused: one that is misspelled would be lost without anybody knowing.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct StartPipeline {
    pipeline: PipelineName,
    #[serde(default)]
    variables: Vec<Variable>,
    #[serde(default)]
    source_revisions: Vec<SourceRevision>,
    /// The ARN of the rule, which EventBridge puts into an input where its template has `<aws.events.rule-arn>`.
    rule: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Variable {
    name: String,
    value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SourceRevision {
    action_name: ActionName,
    revision_type: String,
    revision_value: String,
}

/// Reads an event.
///
/// # Errors
/// [`NotUnderstood`], which says what is missing.
pub fn read(delivery: &Delivery) -> Result<StartSignal, NotUnderstood> {
    let event: Value = serde_json::from_str(&delivery.body).map_err(|error| NotUnderstood(error.to_string()))?;
    // No event of EventBridge's looks like that, and only functions of ours may write to the queue themselves.
    if delivery.queued && event.get("start").is_some() && event.get("source").is_none() {
        let queued = serde_json::from_value(event).map_err(|error| NotUnderstood(error.to_string()))?;
        return Ok(StartSignal::Queued(Box::new(queued)));
    }
    if delivery.queued && event.get("git").is_some() && event.get("source").is_none() {
        let git = serde_json::from_value(event["git"].clone()).map_err(|error| NotUnderstood(error.to_string()))?;
        return Ok(StartSignal::Git(Box::new(git)));
    }
    let text = |name: &str| event.get(name).and_then(Value::as_str);
    let mut sources = providers::all().iter().filter_map(|provider| provider.source?.events);
    let events = sources.find(|it| {
        text("source") == Some(it.source) && text("detail-type").is_some_and(|kind| it.detail_types.contains(&kind))
    });
    if let Some(events) = events {
        let change = EventBridgeEvent::deserialize(&event).and_then(|event| (events.change)(&event));
        let change =
            change.map_err(|error| NotUnderstood(format!("{}: {error}", text("detail-type").unwrap_or_default())))?;
        return Ok(StartSignal::Changed(change));
    }
    let (signal, source) = match text("detail-type") {
        Some("Start Pipeline") => (event["detail"].clone(), text("source").unwrap_or("unknown").to_owned()),
        _ => (event.clone(), "rule".to_owned()),
    };
    let start: StartPipeline = serde_json::from_value(signal).map_err(|error| NotUnderstood(error.to_string()))?;
    let detail = start.rule.map_or(source, |rule| rule.chars().take(LONGEST_DETAIL).collect());
    Ok(StartSignal::Named {
        pipeline: start.pipeline,
        variables: start.variables.into_iter().map(|variable| (variable.name, variable.value)).collect(),
        overrides: start.source_revisions.into_iter().map(revision).collect(),
        token: text("id").map(|id| format!("event#{id}")),
        detail,
    })
}

fn revision(given: SourceRevision) -> RevisionOverride {
    RevisionOverride::new(given.action_name, given.revision_type, given.revision_value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(body: &str) -> Result<StartSignal, NotUnderstood> {
        super::read(&Delivery { name: "m".into(), body: body.into(), queued: true })
    }

    #[test]
    fn the_queue_delivers_events_under_names_that_stay_the_same() {
        let event = json!({"id": "e", "source": "aws.s3"});
        let records = json!({"Records": [
            {"messageId": "m1", "body": event.to_string()}, {"messageId": "m2", "body": "nonsense"}]});
        let delivery = |name: &str, body: String, queued| Delivery { name: name.into(), body, queued };
        let expected = [delivery("m1", event.to_string(), true), delivery("m2", "nonsense".into(), true)];
        assert_eq!(deliveries("i", &records), expected);
        assert_eq!(deliveries("i", &event), [delivery("i", event.to_string(), false)]);
    }

    #[test]
    fn a_change_of_a_source_is_what_its_provider_makes_of_the_event() {
        let event = json!({"id": "e", "source": "aws.s3", "detail-type": "Object Created", "detail": {
            "bucket": {"name": "b"}, "object": {"key": "a/b c.zip", "size": 3, "version-id": "v1", "sequencer": "0"}}});
        let StartSignal::Changed(Some(change)) = read(&event.to_string()).unwrap() else { panic!("a change") };
        assert_eq!((change.watched.as_str(), change.token.as_str()), ("s3/b/a/b c.zip", "s3#v1"));
    }

    #[test]
    fn a_pipeline_is_started_by_name() {
        let event = json!({"id": "e1", "source": "mine", "detail-type": "Start Pipeline", "detail": {
            "pipeline": "p", "variables": [{"name": "Stage", "value": "beta"}],
            "sourceRevisions": [
                {"actionName": "Fetch", "revisionType": "S3_OBJECT_VERSION_ID", "revisionValue": "v1"}]}});
        let named = StartSignal::Named {
            pipeline: PipelineName::new("p").unwrap(),
            variables: BTreeMap::from([("Stage".into(), "beta".into())]),
            overrides: vec![RevisionOverride::new(ActionName::new("Fetch").unwrap(), "S3_OBJECT_VERSION_ID", "v1")],
            token: Some("event#e1".into()),
            detail: "mine".into(),
        };
        assert_eq!(read(&event.to_string()).unwrap(), named);
        let arn = "arn:aws:events:eu-west-1:111122223333:rule/nightly";
        let ruled = read(&json!({"pipeline": "p", "rule": arn}).to_string()).unwrap();
        assert!(matches!(ruled, StartSignal::Named { detail, .. } if detail == arn));
        let input = read(&json!({"pipeline": "p"}).to_string()).unwrap();
        assert!(matches!(input, StartSignal::Named { token: None, .. }));
    }

    #[test]
    fn anything_else_is_not_understood_and_the_reason_names_the_member() {
        for (event, reason) in [
            (json!({}), "missing field `pipeline`"),
            (json!(null), "null"),
            (json!({"source": "aws.s3", "detail-type": "Object Created", "detail": {}}), "missing field `bucket`"),
            (json!({"name": "p"}), "unknown field `name`, expected one of `pipeline`"),
            (json!({"pipeline": "p", "variable": []}), "unknown field `variable`"),
            (json!({"pipeline": "p", "variables": [{"name": "a"}]}), "missing field `value`"),
            (json!({"pipeline": "no spaces"}), "pipeline name"),
        ] {
            let error = read(&event.to_string()).unwrap_err().to_string();
            assert!(error.contains(reason), "{event}: {error}");
        }
        assert!(read("nonsense").is_err());
    }
}
