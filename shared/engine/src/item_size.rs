//! What is kept of the words about actions, so that no item outgrows DynamoDB.
//!
//! A stage may have 50 actions and 15 rules, and each may bring a summary, a failure's message, a revision with its own
//! summary, and pages to look at: more than an item of 400 KB, all together. Where they come to more than is left for
//! them, texts for people are cut, all to the same length; ids and what a job worker handed over are not.

use crate::state::{ActionRun, Execution, Outputs, Revision, StageRun};

/// Bytes of an item that texts and ids may have; the rest is for its numbers and members' names.
const ROOM: usize = 340_000;
/// Bytes of one run, beside its texts and ids: members' names, times, status.
const FRAME: usize = 600;
/// The lengths to which texts are cut, in bytes, until there is room.
const LENGTHS: [usize; 4] = [1_000, 400, 100, 0];

/// Cuts what is too long of a stage attempt.
pub(crate) fn stage(stage: &mut StageRun) {
    let size = |stage: &StageRun| stage.runs().map(|(_, run)| run_size(run)).sum::<usize>();
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
    let size = |execution: &Execution| {
        let variables: usize = execution.variables.iter().map(|(name, value)| json(name) + json(value) + 6).sum();
        let overrides: usize = execution.overrides.iter().map(|it| json(it.action.as_str()) + json(&it.value)).sum();
        let revisions: usize = execution.revisions.iter().map(|it| FRAME + revision_size(&it.revision)).sum();
        variables + overrides + revisions
    };
    for most in LENGTHS {
        if size(execution) <= ROOM {
            return;
        }
        execution.revisions.iter_mut().for_each(|it| cut_revision(&mut it.revision, most));
    }
}

fn run_size(run: &ActionRun) -> usize {
    let texts = [&run.summary, &run.continuation].into_iter().flatten().map(|text| json(text));
    let external = run.external.iter().map(|it| json(&it.id) + it.url.as_deref().map_or(0, json));
    let error = run.error.iter().map(|error| json(&error.message));
    let artifacts = run.outputs.iter().map(|it| {
        let pin: usize = [&it.pin.version, &it.pin.sha256].into_iter().flatten().map(|text| 20 + json(text)).sum();
        60 + json(it.name.as_str()) + json(&it.bucket) + json(&it.key) + pin
    });
    let variables = match &run.variables {
        Outputs::Inline(variables) => variables.iter().map(|(name, value)| json(name) + json(value) + 6).sum(),
        Outputs::None | Outputs::Stored => 0,
    };
    let revision = run.revision.iter().map(revision_size);
    let all: usize = texts.chain(external).chain(error).chain(artifacts).chain(revision).sum();
    FRAME + json(run.name.as_str()) + variables + all
}

fn revision_size(revision: &Revision) -> usize {
    let texts = [&revision.summary, &revision.url].into_iter().flatten().map(|text| json(text));
    json(&revision.id) + texts.sum::<usize>()
}

fn cut_run(run: &mut ActionRun, most: usize) {
    cut(run.summary.as_mut(), most);
    cut(run.error.as_mut().map(|error| &mut error.message), most);
    if let Some(external) = &mut run.external {
        external.url.take_if(|url| json(url) > most);
    }
    if let Some(revision) = &mut run.revision {
        cut_revision(revision, most);
    }
}

fn cut_revision(revision: &mut Revision, most: usize) {
    cut(revision.summary.as_mut(), most);
    // Half an address leads nowhere.
    revision.url.take_if(|url| json(url) > most);
}

fn cut(text: Option<&mut String>, most: usize) {
    if let Some(text) = text {
        let mut size = 0;
        let end = text.char_indices().find(|(_, char)| {
            size += json_char(*char);
            size > most
        });
        if let Some((end, _)) = end {
            text.truncate(end);
        }
    }
}

/// Bytes of a text in JSON, which escapes some characters.
fn json(text: &str) -> usize {
    text.chars().map(json_char).sum()
}

fn json_char(char: char) -> usize {
    match char {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        '\0'..='\u{1f}' => 6,
        _ => char.len_utf8(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_by_its_bytes_in_json() {
        for (text, size) in [("aé漢😀", 10), ("\"\\\n", 6), ("\u{1}\u{1f}", 12), ("", 0)] {
            assert_eq!(json(text), size);
            assert_eq!(serde_json::to_string(text).unwrap().len(), size + 2);
        }
        let mut text = "aé漢😀".to_owned();
        for (most, left) in [(10, "aé漢😀"), (9, "aé漢"), (6, "aé漢"), (5, "aé"), (0, "")] {
            cut(Some(&mut text), most);
            assert_eq!(text, left);
        }
    }
}
