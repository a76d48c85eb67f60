//! What the log tells.

use serde::{Deserialize, Serialize};

/// Most characters of a text that a caller chose: no member of a record is longer.
const MOST: usize = 1_024;

/// A call that somebody made, or a change of an item of the table. It holds no configuration and no content, so no secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Tells records apart. Deliveries may be doubled: the same id is the same call or change.
    pub id: String,
    /// When it happened, in UTC, as [`exact`] writes it. Of a change DynamoDB knows only the second.
    pub time: String,
    /// What happened.
    #[serde(flatten)]
    pub what: What,
    /// The pipeline that it is about, as far as that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline: Option<String>,
    /// The id of the execution that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution: Option<String>,
    /// The ARN of who signed the call; of an approval by link, that it was one; of what a function does by itself, its name.
    /// None where nobody knows: DynamoDB does not tell who removed an item, but the call does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller: Option<String>,
    /// The address from which the call came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The id of the request, or of the function's invocation: the same for a call and the changes that it caused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
}

/// The two kinds of records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "lowercase")]
pub enum What {
    /// A call that was answered.
    Call {
        /// The operation's name, for example `StartPipelineExecution`.
        operation: String,
        /// `ok`, or the name of the exception; of a read `asked`, and if it was refused, the exception in a second record of the same
        /// request.
        result: String,
    },
    /// An item of the table that was written or removed.
    Change {
        /// DynamoDB's word: `INSERT`, `MODIFY` or `REMOVE`.
        change: String,
        /// The kind of the item, for example `EXECUTION`.
        item: String,
        /// The item's partition and sort key, with a slash between them.
        key: String,
        /// The item's revision after it, or before it was removed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        revision: Option<u64>,
        /// What it meant for the execution, the stage and its actions, for example `Deploy SUCCEEDED`.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        states: Vec<String>,
        /// The SHA-256 of the item's content before, in hexadecimal digits.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        before: Option<String>,
        /// The same of the content after.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<String>,
    },
}

impl Record {
    /// The record with every text cut to what a line may hold.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        let texts = [&mut self.pipeline, &mut self.execution, &mut self.caller, &mut self.source, &mut self.request];
        texts.into_iter().flatten().for_each(cut);
        match &mut self.what {
            What::Call { operation, result } => [operation, result].into_iter().for_each(cut),
            What::Change { change, item, key, states, .. } => {
                [change, item, key].into_iter().for_each(cut);
                states.iter_mut().for_each(cut);
            }
        }
        cut(&mut self.id);
        self
    }
}

fn cut(text: &mut String) {
    if let Some((end, _)) = text.char_indices().nth(MOST) {
        text.truncate(end);
    }
}

/// A time in milliseconds since 1970 as records have it, for example `2026-11-23T13:49:39.208Z`: in the order of the texts.
pub fn exact(milliseconds: i64) -> String {
    let time = jiff::Timestamp::from_millisecond(milliseconds).unwrap_or_default();
    time.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_callers_are_cut_between_characters() {
        let record = Record {
            id: "1".into(),
            time: exact(1_795_465_379_208),
            what: What::Call { operation: "StartPipelineExecution".into(), result: "ok".into() },
            pipeline: Some("é".repeat(2_000)),
            execution: None,
            caller: Some("arn".into()),
            source: None,
            request: None,
        };
        let bounded = record.clone().bounded();
        assert_eq!(bounded.pipeline, Some("é".repeat(MOST)));
        assert_eq!(Record { pipeline: None, ..bounded }, Record { pipeline: None, ..record });
    }
}
