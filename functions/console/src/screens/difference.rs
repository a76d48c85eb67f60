//! What differs between two definitions, line by line.

use std::time::Duration;

use maud::{Markup, html};
use pages::{escaped, shown};
use pipeline::{Declaration, Pipeline};
use similar::{Change, ChangeTag, TextDiff};

use crate::screens::scrolling;

/// Lines that are shown around what differs.
const AROUND: usize = 3;
/// For how long the smallest difference is looked for; then one that is larger than need be is taken.
const LOOKED_FOR: Duration = Duration::from_millis(300);
/// Lines that are shown of a difference.
const MOST: usize = 2_000;

/// A definition as it is shown and edited, with characters that nobody would see as JSON's escapes.
pub fn declared(declaration: &Declaration) -> String {
    escaped(&serde_json::to_string_pretty(declaration).unwrap_or_default()).into_owned()
}

/// The same as it is compared: without the number that each version gets when it is stored.
pub fn compared(pipeline: &Pipeline) -> String {
    declared(&Declaration { version: None, ..pipeline.masked() })
}

/// The difference between two texts, with words for whoever sees neither colours nor signs. Nothing where they are the same.
pub fn between(label: &str, old: &str, new: &str) -> Option<Markup> {
    if old == new {
        return None;
    }
    let (old, new) = (format!("{old}\n"), format!("{new}\n"));
    let diff = TextDiff::configure().timeout(LOOKED_FOR).diff_lines(&old, &new);
    let groups = diff.grouped_ops(AROUND);
    let changes = diff.iter_all_changes().map(|change| change.tag());
    let (gone, come) = changes.fold((0, 0), |(gone, come), tag| match tag {
        ChangeTag::Delete => (gone + 1, come),
        ChangeTag::Insert => (gone, come + 1),
        ChangeTag::Equal => (gone, come),
    });
    // None: lines that are the same, and not shown.
    let rows = groups.iter().enumerate().flat_map(|(index, group)| {
        let skipped = (index > 0).then_some(None);
        skipped.into_iter().chain(group.iter().flat_map(|op| diff.iter_changes(op)).map(Some))
    });
    let rows: Vec<Option<Change<&str>>> = rows.take(MOST + 1).collect();
    Some(html! {
        p class="small soft" { (lines(gone)) " removed, " (lines(come)) " added." }
        (scrolling(label, &html! {
            ol class="diff mono" {
                @for row in rows.iter().take(MOST) {
                    @match row {
                        Some(change) => (line(change.tag(), change.new_index().or(change.old_index()), change.value())),
                        None => li class="skipped" { span class="vh" { "lines that are the same" } "⋯" },
                    }
                }
                @if rows.len() > MOST { li class="skipped" { "There is more than can be shown here." } }
            }
        }))
    })
}

fn lines(count: usize) -> String {
    if count == 1 { "1 line".to_owned() } else { format!("{count} lines") }
}

fn line(tag: ChangeTag, index: Option<usize>, text: &str) -> Markup {
    let (class, sign, word) = match tag {
        ChangeTag::Delete => ("gone", "−", "removed: "),
        ChangeTag::Insert => ("come", "+", "added: "),
        ChangeTag::Equal => ("", " ", ""),
    };
    html! {
        li class=[(!class.is_empty()).then_some(class)] {
            span class="at" aria-hidden="true" { (index.map_or(0, |index| index + 1)) }
            span class="sign" aria-hidden="true" { (sign) }
            @if !word.is_empty() { span class="vh" { (word) } }
            code { (shown(text.trim_end_matches('\n'))) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_shown_with_its_surroundings() {
        let old: Vec<String> = (1..=40).map(|n| format!("line {n}")).collect();
        let mut new = old.clone();
        new[1] = "<b>two</b>".into();
        new.remove(30);
        let html = between("Difference", &old.join("\n"), &new.join("\n")).unwrap().into_string();
        assert!(html.contains("2 lines removed, 1 line added."), "{html}");
        assert!(html.contains("removed: </span><code>line 2<") && html.contains("added: </span><code>&lt;b&gt;two"));
        assert!(
            html.contains("<code>line 5<") && !html.contains("<code>line 6<") && html.contains("class=\"skipped\"")
        );
        assert!(between("Difference", "same", "same").is_none());
    }

    #[test]
    fn a_difference_of_any_size_has_an_end() {
        let text = |word: &str| (0..60_000).map(|n| format!("{word}{}", n * 7 % 1_000)).collect::<Vec<_>>().join("\n");
        let html = between("Difference", &text("a"), &text("b")).unwrap().into_string();
        assert!(html.contains("There is more") && html.len() < 500_000, "{} bytes", html.len());
    }
}
