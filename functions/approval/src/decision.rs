//! What an approval decides, as a part of its page.

use engine::{ChangeSet, FoundRevision, LiveRevision, Proposal, SourceChange};
use maud::{Markup, html};
use notify::proposal::{compare, is_live, names, newer, short_id, subject, verdict};
use pages::{State, name, text};

use crate::page::{anchor, web};

/// What would change, and what waits behind it.
pub fn decision(proposal: &Proposal) -> Markup {
    html! {
        @if let Some(it) = &proposal.newer {
            div class="said waiting" { (State::Waiting.mark()) " " (name(&newer(it))) }
        }
        @if !proposal.sources.is_empty() {
            h2 { "What would go on" }
            ul class="revs" { @for change in &proposal.sources { li { (source(change)) } } }
        }
        @if let Some(verdict) = verdict(proposal) { p class="verdict" { strong { (verdict) } } }
        @if !proposal.change_sets.is_empty() {
            h2 { "Change sets that wait" }
            ul class="revs" { @for set in &proposal.change_sets { li { (change_set(set)) } } }
        }
    }
}

fn source(change: &SourceChange) -> Markup {
    html! {
        p { strong { (name(change.source.as_str())) } " " (revision(&change.proposed)) }
        @if !change.between.is_empty() {
            details {
                summary { "since then also " (change.between.len()) @if change.between.len() == 1 { " change" } @else { " changes" } }
                ul { @for found in &change.between { li { (revision(found)) } } }
            }
        }
        ul class="soft" { @for live in &change.live { li { (runs(change, live)) } } }
    }
}

fn revision(found: &FoundRevision) -> Markup {
    let short = short_id(&found.revision);
    html! {
        @match found.revision.url.as_deref().and_then(web) {
            Some(address) => (anchor(&address, &short)),
            None => code title=(found.revision.id) { (name(&short)) },
        }
        @if let Some(subject) = subject(&found.revision) { " " (name(&subject)) }
        @if let Some(author) = &found.author { " " span class="soft" { "by " (name(author)) } }
    }
}

fn runs(change: &SourceChange, live: &LiveRevision) -> Markup {
    let run = if live.stages.len() == 1 { " runs " } else { " run " };
    html! {
        (name(&names(live)))
        @match &live.revision {
            None => ": nothing has come through yet",
            Some(_) if is_live(change, live) => { (run) "this already" },
            Some(it) => {
                (run) (revision(&FoundRevision { revision: it.clone(), author: None }))
                @if let Some(address) = compare(change, live).as_deref().and_then(web) {
                    " · " (anchor(&address, "compare"))
                }
            },
        }
    }
}

fn change_set(set: &ChangeSet) -> Markup {
    html! {
        p { "Stack " strong { (name(&set.stack)) } ", made by " (name(set.action.as_str())) }
        (text(set.summary.as_deref().unwrap_or("What it would change is not known.")))
    }
}
