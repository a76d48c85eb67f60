//! What the queue delivers: state-change events, and the notifier's own reminders.
//!
//! Anybody who may put events on the bus may have made one up, so nothing of an event is believed but what it is about: how that
//! stands is read from the table.

use engine::{ActionId, ExecutionId};
use pipeline::PipelineName;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a message of the queue says.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// Something of an execution has changed.
    Change(Change),
    /// It is time to look whether an execution still runs.
    Look(Look),
}

impl Message {
    /// The execution that it is about, and its pipeline's name.
    pub fn about(&self) -> (&PipelineName, ExecutionId) {
        match self {
            Self::Change(change) => (&change.pipeline, change.execution),
            Self::Look(look) => (&look.pipeline, look.look),
        }
    }
}

/// A change of state.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The pipeline whose rules are asked.
    pub pipeline: PipelineName,
    /// The execution in which the change took place.
    pub execution: ExecutionId,
    /// What of it has changed.
    pub of: Of,
    /// The word of CodePipeline's events, for example `FAILED`.
    pub state: String,
    /// When, as EventBridge writes it.
    pub time: String,
}

/// What has changed.
#[derive(Clone, Debug, PartialEq)]
pub enum Of {
    /// The execution as a whole: it began or ended.
    Execution,
    /// An attempt at the stage of this name.
    Stage(String, u16),
    /// An action, whose turn has come.
    Action(ActionId),
}

/// The reminder to look at an execution, or at its attempt at a stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Look {
    /// The execution that may take too long. The member's name tells reminders from events.
    pub look: ExecutionId,
    /// The pipeline that it runs.
    pub pipeline: PipelineName,
    /// The stage, by its place from 0, and the attempt; none where the whole execution is meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<(usize, u16)>,
    /// How long it usually takes, without waits for people, in milliseconds.
    pub usual: i64,
}

/// The messages of a delivery: id and body.
pub fn messages(delivery: &Value) -> impl Iterator<Item = (&str, &str)> {
    let messages = delivery["Records"].as_array().into_iter().flatten();
    messages.map(|it| (it["messageId"].as_str().unwrap_or_default(), it["body"].as_str().unwrap_or_default()))
}

/// What a body says; none for what is neither.
pub fn read(body: &str) -> Option<Message> {
    let event: Value = serde_json::from_str(body).ok()?;
    if event.get("look").is_some() {
        return serde_json::from_value(event).ok().map(Message::Look);
    }
    let detail = &event["detail"];
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let of = match event["detail-type"].as_str()? {
        "CodePipeline Pipeline Execution State Change" => Of::Execution,
        // AWS writes the attempt as 1.0.
        "CodePipeline Stage Execution State Change" => {
            let attempt = detail["pipeline-execution-attempt"].as_f64()?;
            Of::Stage(
                text(&detail["stage"])?,
                (1.0..=f64::from(u16::MAX)).contains(&attempt).then_some(attempt as u16)?,
            )
        }
        "CodePipeline Action Execution State Change" => {
            Of::Action(detail["action-execution-id"].as_str()?.parse().ok()?)
        }
        _ => return None,
    };
    Some(Message::Change(Change {
        pipeline: PipelineName::new(detail["pipeline"].as_str()?).ok()?,
        execution: detail["execution-id"].as_str()?.parse().ok()?,
        of,
        state: text(&detail["state"])?,
        time: text(&event["time"])?,
    }))
}
