//! What is kept of the words about actions, so that no item outgrows DynamoDB.
//!
//! A stage may have 50 actions and 15 rules, and each may bring a summary, a failure's message, a revision with its own
//! summary, and pages to look at: more than an item of 400 KB, all together. Where they come to more than is left for
//! them, texts for people are cut, all to the same length; ids and what a job worker handed over are not.

use std::io::{self, Write};

use serde::Serialize;

use crate::state::{ActionRun, Execution, Revision, StageRun};

/// Bytes of an item's JSON; the rest of what DynamoDB allows is for keys and other attributes.
const ROOM: usize = 400_000;
/// The lengths to which texts are cut, in bytes, until there is room.
const LENGTHS: [usize; 4] = [1_000, 400, 100, 0];

/// Cuts what is too long of a stage attempt.
pub(crate) fn stage(stage: &mut StageRun) {
    for most in LENGTHS {
        if size(stage) <= ROOM {
            return;
        }
        let rules = stage.conditions.iter_mut().flat_map(|condition| &mut condition.rules);
        stage.actions.iter_mut().chain(rules).for_each(|run| cut_run(run, most));
    }
}

/// Cuts what is too long of an execution.
pub(crate) fn execution(execution: &mut Execution) {
    for most in LENGTHS {
        if size(execution) <= ROOM {
            return;
        }
        execution.revisions.iter_mut().for_each(|it| cut_revision(&mut it.revision, most));
    }
}

/// Bytes of a value in JSON, as the table keeps it. What cannot be written, the store refuses.
fn size(value: &impl Serialize) -> usize {
    let mut counter = Counter(0);
    match serde_json::to_writer(&mut counter, value) {
        Ok(()) => counter.0,
        Err(_) => 0,
    }
}

/// A writer that keeps the number of bytes and nothing else.
struct Counter(usize);

impl Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn cut_run(run: &mut ActionRun, most: usize) {
    cut(run.summary.as_mut(), most);
    cut(run.error.as_mut().map(|error| &mut error.message), most);
    if let Some(external) = &mut run.external {
        external.url.take_if(|url| url.len() > most);
    }
    if let Some(revision) = &mut run.revision {
        cut_revision(revision, most);
    }
}

fn cut_revision(revision: &mut Revision, most: usize) {
    cut(revision.summary.as_mut(), most);
    // Half an address leads nowhere.
    revision.url.take_if(|url| url.len() > most);
}

fn cut(text: Option<&mut String>, most: usize) {
    if let Some(text) = text {
        text.truncate(text.floor_char_boundary(most));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters() {
        let mut text = "aé漢😀".to_owned();
        for (most, left) in [(10, "aé漢😀"), (9, "aé漢"), (6, "aé漢"), (5, "aé"), (0, "")] {
            cut(Some(&mut text), most);
            assert_eq!(text, left);
        }
    }

    #[test]
    fn a_size_is_that_of_the_json() {
        for text in ["aé漢😀", "\"\\\n", "\u{1}\u{1f}", ""] {
            let value = [Some(text), None];
            assert_eq!(size(&value), serde_json::to_string(&value).unwrap().len());
        }
    }
}
