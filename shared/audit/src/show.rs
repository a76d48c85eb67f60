//! Records as people read them.

use std::fmt;

use crate::record::{Record, What};

impl fmt::Display for Record {
    /// One line: when, who, from where, what, of which pipeline, and what came of it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = self.time.replace('T', " ");
        write!(f, "{}  {}", time.trim_end_matches('Z'), visible(self.caller.as_deref().unwrap_or("somebody")))?;
        if let Some(source) = &self.source {
            write!(f, " at {}", visible(source))?;
        }
        let of = |f: &mut fmt::Formatter<'_>| match &self.pipeline {
            Some(pipeline) => write!(f, " of {}", visible(pipeline)),
            None => Ok(()),
        };
        match &self.what {
            What::Call { operation, result } => {
                write!(f, "  called {}", visible(operation))?;
                of(f)?;
                write!(f, ": {}", visible(result))?;
            }
            What::Change { change, item, key, states, .. } => {
                let done = match change.as_str() {
                    "INSERT" => "created",
                    "REMOVE" => "removed",
                    _ => "changed",
                };
                write!(f, "  {done} {} {}", visible(item), visible(key))?;
                of(f)?;
                if !states.is_empty() {
                    write!(f, ": {}", visible(&states.join(", ")))?;
                }
            }
        }
        match &self.request {
            Some(request) => write!(f, "  [{}]", visible(request)),
            None => Ok(()),
        }
    }
}

/// A text that a caller chose, without what a terminal would obey.
fn visible(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::tests::record;

    #[test]
    fn a_line_says_who_did_what() {
        let text = "2026-11-26 15:48:05.000  arn:aws:iam::111122223333:user/ada at 203.0.113.7  called \
                    StartPipelineExecution of pipeline-1: ok  [r]";
        assert_eq!(record(1).to_string(), text);
        let what = What::Change {
            change: "MODIFY".into(),
            item: "STAGE".into(),
            key: "E#1/STAGE#001#00001".into(),
            revision: Some(2),
            states: vec!["Deploy/Site SUCCEEDED".into(), "Deploy SUCCEEDED".into()],
            before: None,
            after: None,
        };
        let change = Record { what, source: None, request: None, caller: None, ..record(1) };
        let text = "2026-11-26 15:48:05.000  somebody  changed STAGE E#1/STAGE#001#00001 of pipeline-1: \
                    Deploy/Site SUCCEEDED, Deploy SUCCEEDED";
        assert_eq!(change.to_string(), text);
    }

    #[test]
    fn what_a_terminal_would_obey_is_not_printed() {
        let record = Record { caller: Some("a\u{1b}[2Jb\nc".into()), ..record(1) };
        assert!(!record.to_string().contains(['\u{1b}', '\n']));
    }
}
