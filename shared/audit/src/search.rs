//! Looking for records.

use crate::record::{Record, What};

/// What somebody looks for; what is not set, is the same to them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// The whole name of the pipeline that a call or a change was about.
    pub pipeline: Option<String>,
    /// Part of the caller's ARN or name, in capital or small letters.
    pub by: Option<String>,
    /// The first time, as records have it.
    pub since: Option<String>,
    /// The last time, as records have it.
    pub until: Option<String>,
}

impl Filter {
    /// Whether this is one of those looked for.
    #[must_use]
    pub fn matches(&self, record: &Record) -> bool {
        let by = self.by.as_ref().map(|by| by.to_lowercase());
        // DynamoDB knows the second of a change: it may have been at the second's end.
        let second = |time: &str| time.get(..19).unwrap_or(time).to_owned();
        let since = match record.what {
            What::Call { .. } => self.since.clone(),
            What::Change { .. } => self.since.as_deref().map(second),
        };
        self.pipeline.as_ref().is_none_or(|pipeline| record.pipeline.as_ref() == Some(pipeline))
            && by.is_none_or(|by| record.caller.as_ref().is_some_and(|caller| caller.to_lowercase().contains(&by)))
            && since.is_none_or(|since| record.time >= since)
            && self.until.as_ref().is_none_or(|until| record.time <= *until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::tests::record;

    #[test]
    fn each_part_of_a_filter_narrows_it() {
        let found = |filter: Filter| filter.matches(&record(7));
        assert!(found(Filter::default()));
        for (pipeline, by, expected) in [
            (Some("pipeline-7"), None, true),
            (Some("pipeline"), None, false),
            (None, Some("ADA"), true),
            (None, Some("user/ada"), true),
            (None, Some("bob"), false),
            (Some("pipeline-7"), Some("bob"), false),
        ] {
            let filter =
                Filter { pipeline: pipeline.map(str::to_owned), by: by.map(str::to_owned), ..Filter::default() };
            assert_eq!(found(filter.clone()), expected, "{filter:?}");
        }
        let nobody = Record { caller: None, ..record(1) };
        assert!(!Filter { by: Some(String::new()), ..Filter::default() }.matches(&nobody));
    }

    #[test]
    fn a_change_of_the_same_second_is_found() {
        let call = record(1);
        let change = Record {
            what: What::Change {
                change: "MODIFY".into(),
                item: "EXECUTION".into(),
                key: "E#1/EXECUTION".into(),
                revision: Some(2),
                states: vec![],
                before: None,
                after: None,
            },
            ..record(1)
        };
        let since = |time: &str| Filter { since: Some(time.into()), ..Filter::default() };
        assert!(since("2026-11-26T15:48:05.000Z").matches(&call));
        assert!(!since("2026-11-26T15:48:05.500Z").matches(&call));
        assert!(since("2026-11-26T15:48:05.500Z").matches(&change));
        assert!(!since("2026-11-26T15:48:06.000Z").matches(&change));
        let until = |time: &str| Filter { until: Some(time.into()), ..Filter::default() };
        assert!(until("2026-11-26T15:48:05.000Z").matches(&call));
        assert!(!until("2026-11-26T15:48:04.999Z").matches(&call));
    }
}
