//! What a change set would change, in a sentence that people read before they approve it.

use std::collections::BTreeMap;

use aws_sdk_cloudformation::operation::describe_change_set::DescribeChangeSetOutput;
use aws_sdk_cloudformation::types::{ChangeAction, Replacement, ResourceChange};

use super::Action;
use crate::error::ProviderError;

/// Pages of changes that are read: one has a megabyte at most, and a template 500 resources.
const MOST_PAGES: usize = 5;
/// Characters of the sentence; the engine cuts summaries at 2,000.
const LONGEST: usize = 1_500;

impl Action<'_> {
    /// What a change set that has been made would change. `found`: its first page.
    pub(super) async fn what_it_changes(&self, found: &DescribeChangeSetOutput) -> Result<String, ProviderError> {
        let (stack, name) = (self.configuration.stack_name, self.configuration.change_set(self.task)?);
        let mut changes: Vec<ResourceChange> = resources(found);
        let mut next = found.next_token().map(str::to_owned);
        for _ in 1..MOST_PAGES {
            let Some(token) = next else { break };
            let page =
                self.client.describe_change_set().change_set_name(name).stack_name(stack).next_token(token).send();
            let page = page.await.map_err(|error| ProviderError::aws("DescribeChangeSet", name, &error))?;
            changes.extend(resources(&page));
            next = page.next_token().map(str::to_owned);
        }
        Ok(sentence(&changes))
    }
}

fn resources(page: &DescribeChangeSetOutput) -> Vec<ResourceChange> {
    page.changes().iter().filter_map(|change| change.resource_change().cloned()).collect()
}

/// What becomes of a resource, the gravest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    Removed,
    Replaced,
    PerhapsReplaced,
    Changed,
    Added,
}

impl Fate {
    const fn word(self) -> &'static str {
        match self {
            Self::Removed => "removed",
            Self::Replaced => "replaced",
            Self::PerhapsReplaced => "perhaps replaced",
            Self::Changed => "changed",
            Self::Added => "added",
        }
    }

    fn of(change: &ResourceChange) -> Self {
        match (change.action(), change.replacement()) {
            (Some(ChangeAction::Remove), _) => Self::Removed,
            (Some(ChangeAction::Add | ChangeAction::Import), _) => Self::Added,
            (_, Some(Replacement::True)) => Self::Replaced,
            (_, Some(Replacement::Conditional)) => Self::PerhapsReplaced,
            // What depends on a nested stack is known only when that has changed.
            (Some(ChangeAction::Dynamic), _) => Self::PerhapsReplaced,
            _ => Self::Changed,
        }
    }
}

/// "2 removed (Jobs AWS::SQS::Queue, ...), 1 added (...)"; what does not fit is counted all the same.
fn sentence(changes: &[ResourceChange]) -> String {
    if changes.is_empty() {
        return "No resource is added, changed, replaced or removed".to_owned();
    }
    let mut by_fate: BTreeMap<Fate, Vec<String>> = BTreeMap::new();
    for change in changes {
        let id = change.logical_resource_id().unwrap_or("-");
        let kind = change.resource_type().unwrap_or("-");
        by_fate.entry(Fate::of(change)).or_default().push(format!("{id} {kind}"));
    }
    // Each kind of fate has its share, so that a long list of one does not hide another.
    let share = LONGEST / by_fate.len();
    let parts = by_fate.into_iter().map(|(fate, named)| {
        let (mut shown, mut length) = (Vec::new(), 0);
        for name in &named {
            length += name.chars().count() + 2;
            if length > share {
                break;
            }
            shown.push(name.as_str());
        }
        let more = if shown.len() < named.len() { ", ..." } else { "" };
        format!("{} {} ({}{more})", named.len(), fate.word(), shown.join(", "))
    });
    parts.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(action: ChangeAction, replacement: Option<Replacement>, id: &str) -> ResourceChange {
        let change = ResourceChange::builder().action(action).set_replacement(replacement);
        change.logical_resource_id(id).resource_type("AWS::SQS::Queue").build()
    }

    #[test]
    fn the_gravest_is_said_first() {
        let changes = [
            change(ChangeAction::Add, None, "New"),
            change(ChangeAction::Modify, Some(Replacement::False), "Same"),
            change(ChangeAction::Modify, Some(Replacement::True), "Other"),
            change(ChangeAction::Modify, Some(Replacement::Conditional), "Perhaps"),
            change(ChangeAction::Remove, None, "Old"),
            change(ChangeAction::Remove, None, "Older"),
        ];
        assert_eq!(
            sentence(&changes),
            "2 removed (Old AWS::SQS::Queue, Older AWS::SQS::Queue); 1 replaced (Other AWS::SQS::Queue); 1 perhaps replaced \
             (Perhaps AWS::SQS::Queue); 1 changed (Same AWS::SQS::Queue); 1 added (New AWS::SQS::Queue)"
        );
        assert!(sentence(&[]).starts_with("No resource"));
    }

    #[test]
    fn a_large_change_set_is_counted_whole_and_told_in_part() {
        let mut changes: Vec<_> =
            (0..500).map(|at| change(ChangeAction::Add, None, &format!("{at}{}", "x".repeat(200)))).collect();
        changes.push(change(ChangeAction::Remove, None, "Old"));
        let told = sentence(&changes);
        assert!(told.starts_with("1 removed (Old AWS::SQS::Queue); 500 added (0xxx"), "{told}");
        assert!(told.ends_with(", ...)") && told.chars().count() < 1_700, "{}", told.len());
    }
}
