//! The one line that somebody is told: what, why, by which change, and where to look.

use engine::{Execution, Position, StageRun};
use notify::proposal::{short_id, subject};
use pages::{shown, took_words};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use pipeline::{Action, Pipeline};

use crate::Notifier;
use crate::facts::Facts;

/// What is told at most of a cause, or of what an approval says, in characters.
const WORDS: usize = 500;
/// Revisions that are told.
const REVISIONS: usize = 2;
/// What stays as it is in a part of a path: RFC 3986's unreserved characters.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// What has happened, in a few words of ASCII: a mail's subject.
    pub subject: String,
    /// The same with cause and change, on one line.
    pub text: String,
    /// The page on which it can be seen, where there is one.
    pub link: Option<String>,
}

impl Line {
    /// The whole, link and all, as plain text.
    pub fn whole(&self) -> String {
        match &self.link {
            Some(link) => format!("{} · {link}", self.text),
            None => self.text.clone(),
        }
    }
}

/// Where people have the console, if they have one.
#[derive(Clone, Debug)]
pub struct Console(pub Option<String>);

impl Console {
    /// The page of an execution; of one that somebody must act on, the pipeline's with its buttons.
    fn page(&self, execution: &Execution, acts: bool) -> Option<String> {
        let pipeline = utf8_percent_encode(execution.pipeline.as_str(), KEPT);
        let base = self.0.as_ref()?;
        let id = execution.id;
        Some(match acts {
            true => format!("{base}/pipelines/{pipeline}?execution={id}"),
            false => format!("{base}/pipelines/{pipeline}/executions/{id}"),
        })
    }
}

/// That a pipeline, or a stage of it, broke or is fixed.
pub fn of_outcome(notifier: &Notifier, facts: &Facts, failed: bool, stage: Option<&StageRun>) -> Line {
    let what = format!("{} {}", whom(facts, stage), if failed { "broke" } else { "is fixed" });
    make(notifier, facts, &what, &cause(facts, failed, stage), false)
}

/// That an execution, or its attempt at a stage, has come to a state.
pub fn of_state(notifier: &Notifier, facts: &Facts, state: &str, stage: Option<&StageRun>) -> Line {
    let words = match state {
        "STARTED" => "started",
        "RESUMED" => "goes on",
        "SUCCEEDED" => "succeeded",
        "FAILED" => "failed",
        "SUPERSEDED" => "was superseded",
        "CANCELED" => "was cancelled",
        "STOPPING" => "is being stopped",
        _ => "was stopped",
    };
    let what = format!("{} {words}", whom(facts, stage));
    make(notifier, facts, &what, &cause(facts, state == "FAILED", stage), false)
}

/// That an approval waits.
pub fn of_wait(notifier: &Notifier, facts: &Facts, run: &StageRun, action: &Action) -> Line {
    let what = format!("{} waits for a person: {} in stage {}", facts.head.pipeline, action.name, run.name);
    // With variables in it, it would have to be resolved; the page shows it.
    let said = action.configuration.get("CustomData").filter(|said| !said.contains("#{"));
    make(notifier, facts, &what, said.map_or("", String::as_str), true)
}

/// That an execution, or its attempt at a stage, takes longer than usual: how long so far, and how long usually, both without waits
/// for people, in milliseconds.
pub fn of_slow(
    notifier: &Notifier,
    facts: &Facts,
    stage: Option<&StageRun>,
    place: &str,
    (took, usual): (i64, i64),
) -> Line {
    let what = format!("{} takes longer than usual", whom(facts, stage));
    // Seconds say nothing here, and would be others with each try.
    let minutes = took / 60_000 * 60_000;
    let times = format!("{} so far, usually {}", took_words(minutes), took_words(usual));
    make(notifier, facts, &what, &format!("{times}{place}"), false)
}

/// Where an execution is, to be said behind how long it takes.
pub fn place(execution: &Execution, pipeline: &Pipeline) -> String {
    let name = |stage: usize| pipeline.stages().get(stage).map_or("", |stage| stage.name.as_str());
    match execution.position {
        Position::In(stage) => format!(", in stage {}", name(stage)),
        Position::Waiting(stage) => format!(", in front of stage {}", name(stage)),
        Position::Out => String::new(),
    }
}

/// That a rule is about a stage that is not there.
pub fn of_missing(notifier: &Notifier, facts: &Facts, rule: &str, stage: &str) -> Line {
    let (pipeline, version) = (&facts.head.pipeline, facts.execution.version);
    let what = format!("{pipeline}: notification rule {rule} is about no stage");
    let why = format!("version {version} of the pipeline has none of the name {stage}, so that nothing will be told");
    make(notifier, facts, &what, &why, false)
}

fn whom(facts: &Facts, stage: Option<&StageRun>) -> String {
    match stage {
        None => facts.head.pipeline.to_string(),
        Some(run) => format!("{}: stage {}", facts.head.pipeline, run.name),
    }
}

/// Why it failed, in the provider's words; they were masked before they came into the table.
fn cause(facts: &Facts, failed: bool, stage: Option<&StageRun>) -> String {
    match stage {
        _ if !failed => String::new(),
        None => facts.execution.summary.clone().unwrap_or_default(),
        Some(run) => engine::failure(run),
    }
}

fn make(notifier: &Notifier, facts: &Facts, what: &str, why: &str, acts: bool) -> Line {
    let why = one_line(why);
    let why = why.trim_end_matches('.');
    let said = if why.is_empty() { what.to_owned() } else { format!("{what}: {why}") };
    let text = [said].into_iter().chain(change(&facts.execution)).collect::<Vec<_>>().join(" · ");
    let subject = what.chars().filter(|character| matches!(character, ' '..='~')).take(100).collect();
    Line { subject, text, link: notifier.console.page(&facts.execution, acts) }
}

/// By which revisions, as far as they are known.
fn change(execution: &Execution) -> Option<String> {
    let known = execution.revisions.iter().map(|found| {
        let id = one_line(&short_id(&found.revision));
        match subject(&found.revision) {
            Some(subject) => format!("{id} {}", one_line(&subject)),
            None => id,
        }
    });
    let told: Vec<String> = known.take(REVISIONS).collect();
    let more = execution.revisions.len().saturating_sub(REVISIONS);
    let more = (more > 0).then(|| format!("{more} more"));
    (!told.is_empty()).then(|| told.into_iter().chain(more).collect::<Vec<_>>().join(", "))
}

/// A text of others on one line, with what would turn or hide the text around it made visible, and no longer than is told.
fn one_line(text: &str) -> String {
    let words: Vec<&str> =
        text.split(|character: char| character.is_whitespace()).filter(|it| !it.is_empty()).collect();
    let line = words.join(" ");
    let cut: String = line.chars().take(WORDS).collect();
    let cut = if cut.len() < line.len() { format!("{cut}…") } else { cut };
    shown(&cut).into_owned()
}

#[cfg(test)]
pub mod tests {
    use super::one_line;

    #[test]
    fn texts_of_others_stay_on_one_line_and_hide_nothing() {
        assert_eq!(one_line(" a\r\n\tb\u{2028}c  d "), "a b c d");
        assert_eq!(one_line("a\u{202e}b\u{0}"), "a[U+202E]b[U+0000]");
        assert_eq!(one_line(&"x".repeat(501)).chars().count(), 501);
        assert!(one_line(&"x".repeat(501)).ends_with('…'));
    }
}
