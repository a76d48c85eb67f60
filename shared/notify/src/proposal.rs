//! What an approval decides, in words for mails and pages.

use engine::{FoundRevision, LiveRevision, NewerExecution, Proposal, Revision, SourceChange};

use crate::compare::comparison;
use crate::time::minutes;

/// Characters of an id that are told: enough to know a commit by.
const ID: usize = 12;
/// Characters of a summary's first line that are told.
const SUMMARY: usize = 120;

/// A revision's id as people are told it.
#[must_use]
pub fn short_id(revision: &Revision) -> String {
    let id = revision.id.strip_prefix("sha256:").unwrap_or(&revision.id);
    id.chars().take(ID).collect()
}

/// The first line of a revision's summary, as far as it is told; none where there is none, or where it only repeats the id.
#[must_use]
pub fn subject(revision: &Revision) -> Option<String> {
    let line = revision.summary.as_deref()?.lines().map(str::trim).find(|line| !line.is_empty())?;
    if line.contains(&revision.id) {
        return None;
    }
    let short: String = line.chars().take(SUMMARY).collect();
    Some(if short.len() < line.len() { format!("{short}…") } else { short })
}

/// Where what would go on can be compared with what is live, if the host shows it.
#[must_use]
pub fn compare(change: &SourceChange, live: &LiveRevision) -> Option<String> {
    comparison(live.revision.as_ref()?, &change.proposed.revision)
}

/// That what would go on is what runs already, or what else there is to know that no revision tells; none where the revisions
/// say all.
#[must_use]
pub fn verdict(proposal: &Proposal) -> Option<&'static str> {
    let same = |change: &SourceChange| !change.live.is_empty() && change.live.iter().all(|it| is_live(change, it));
    if proposal.changes_nothing() {
        return Some("Nothing would change: the stages behind run all of this already.");
    }
    if proposal.sources.is_empty() || !proposal.sources.iter().all(same) {
        return None;
    }
    Some(match (proposal.other_version, proposal.other_variables) {
        (true, _) => "The stages behind run these revisions already, but by another version of the pipeline.",
        (false, true) => {
            "The stages behind run these revisions already, but with other values of the pipeline's variables."
        }
        (false, false) => "The stages behind run these revisions already, but a change set waits.",
    })
}

/// Whether these stages run what would go on.
#[must_use]
pub fn is_live(change: &SourceChange, live: &LiveRevision) -> bool {
    live.revision.as_ref().is_some_and(|it| it.id == change.proposed.revision.id)
}

/// What runs in some stages, without what would go on: "Staging and Prod run a1b2c3 (Fix the price)".
#[must_use]
pub fn runs(live: &LiveRevision) -> String {
    let stages = names(live);
    let verb = if live.stages.len() == 1 { "runs" } else { "run" };
    match &live.revision {
        None => format!("{stages}: nothing has come through yet"),
        Some(revision) => match subject(revision) {
            Some(subject) => format!("{stages} {verb} {} ({subject})", short_id(revision)),
            None => format!("{stages} {verb} {}", short_id(revision)),
        },
    }
}

/// The names of some stages: "Staging, Canary and Prod".
#[must_use]
pub fn names(live: &LiveRevision) -> String {
    match live.stages.as_slice() {
        [] => String::new(),
        [one] => one.to_string(),
        [first @ .., last] => {
            let first: Vec<String> = first.iter().map(ToString::to_string).collect();
            format!("{} and {last}", first.join(", "))
        }
    }
}

/// That a newer execution waits, and what a rejection would do.
#[must_use]
pub fn newer(newer: &NewerExecution) -> String {
    let found: Vec<String> = newer
        .revisions
        .iter()
        .map(|it| match subject(&it.revision) {
            Some(subject) => format!("{} {} ({subject})", it.action, short_id(&it.revision)),
            None => format!("{} {}", it.action, short_id(&it.revision)),
        })
        .collect();
    let with = if found.is_empty() { String::new() } else { format!(", with {}", found.join(", ")) };
    let started = minutes(newer.started);
    match newer.before_it {
        0 => format!(
            "A newer execution waits behind this one: started {started}{with}. It can go in when this one is rejected."
        ),
        before => format!(
            "Newer executions wait behind this one; the newest was started {started}{with}. {before} go in before it."
        ),
    }
}

/// The comment with which this execution is rejected in favour of the newest one; none where others would go in first.
#[must_use]
pub fn in_favour(newer: &NewerExecution) -> Option<String> {
    (newer.before_it == 0).then(|| format!("Rejected in favour of the newer execution {}", newer.execution))
}

/// What an approval decides, as paragraphs of a mail; empty where nothing is known.
pub(crate) fn text(proposal: &Proposal) -> String {
    let mut text = String::new();
    if !proposal.sources.is_empty() {
        text += "\nWhat would go on:\n";
    }
    for change in &proposal.sources {
        text += &format!("- {}: {}\n", change.source, line(&change.proposed));
        for found in &change.between {
            text += &format!("    since then also {}\n", line(found));
        }
        for live in change.live.iter().filter(|live| !is_live(change, live)) {
            text += &format!("    {}\n", runs(live));
            if let Some(address) = compare(change, live) {
                text += &format!("    Compare: {address}\n");
            }
        }
    }
    if let Some(verdict) = verdict(proposal) {
        text += &format!("\n{verdict}\n");
    }
    if !proposal.change_sets.is_empty() {
        text += "\nChange sets that wait:\n";
        for set in &proposal.change_sets {
            let summary = set.summary.as_deref().unwrap_or("what it would change is not known");
            text += &format!("- stack {}: {summary}\n", set.stack);
        }
    }
    if let Some(it) = &proposal.newer {
        text += &format!("\n{}\n", newer(it));
    }
    text
}

/// A revision in a line: id, subject, author.
fn line(found: &FoundRevision) -> String {
    let mut line = short_id(&found.revision);
    if let Some(subject) = subject(&found.revision) {
        line += &format!(" ({subject})");
    }
    if let Some(author) = &found.author {
        line += &format!(" by {author}");
    }
    line
}
