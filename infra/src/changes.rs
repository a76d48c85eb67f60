//! What a change set will do, in words.

use std::collections::BTreeSet;

use aws_sdk_cloudformation::types::{
    Change, ChangeAction, ChangeSource, EvaluationType, Replacement, ResourceChange, ResourceChangeDetail,
};

use crate::change_set::{ChangeSet, Planned, Step};

/// What is planned for a stack, a line for each resource.
pub(crate) fn lines(planned: &Planned<'_>) -> Vec<String> {
    let place = format!("{} in {}", planned.deployment.name, planned.region);
    match &planned.step {
        Step::Nothing(_) => vec![format!("{place}: nothing changes")],
        Step::Anew(status) => {
            vec![format!("{place} is {status}: its first creation failed. It will be removed, and made anew")]
        }
        Step::Change(change_set) => {
            let what = if change_set.creates { "is new" } else { "will change" };
            [format!("{place} {what}:")].into_iter().chain(of_change_set(change_set)).collect()
        }
    }
}

fn of_change_set(change_set: &ChangeSet) -> Vec<String> {
    let values = change_set.parameters.iter().map(|(name, old, new)| format!("  parameter {name}: {old:?} -> {new:?}"));
    let resources = change_set.changes.iter().filter_map(Change::resource_change);
    let (following, resources): (Vec<_>, Vec<_>) = resources.partition(|change| only_follows(change));
    let width = resources.iter().filter_map(|it| it.logical_resource_id()).map(str::len).max().unwrap_or_default();
    let mut lines: Vec<_> = values.chain(resources.into_iter().map(|change| of_resource(change, width))).collect();
    if !following.is_empty() {
        let names: Vec<_> = following.iter().filter_map(|change| change.logical_resource_id()).collect();
        lines.push(format!("  ? only if what they refer to gets another name: {}", names.join(", ")));
    }
    lines
}

/// Whether a resource is changed only because of an attribute of another, which CloudFormation does not know beforehand. Most
/// often it stays the same.
fn only_follows(change: &ResourceChange) -> bool {
    let follows = |detail: &ResourceChangeDetail| {
        detail.evaluation() == Some(&EvaluationType::Dynamic)
            && matches!(detail.change_source(), Some(ChangeSource::ResourceAttribute | ChangeSource::ResourceReference))
    };
    change.action() == Some(&ChangeAction::Modify)
        && change.replacement() != Some(&Replacement::True)
        && !change.details().is_empty()
        && change.details().iter().all(follows)
}

fn of_resource(change: &ResourceChange, width: usize) -> String {
    let verb = match (change.action(), change.replacement()) {
        (Some(ChangeAction::Add), _) => "+ add     ",
        (Some(ChangeAction::Remove), _) => "- remove  ",
        (Some(ChangeAction::Modify), Some(Replacement::True)) => "! replace ",
        (Some(ChangeAction::Modify), Some(Replacement::Conditional)) => "? replace ",
        (Some(ChangeAction::Modify), _) => "~ change  ",
        (Some(ChangeAction::Import), _) => "+ import  ",
        _ => "? unknown ",
    };
    let id = change.logical_resource_id().unwrap_or_default();
    let kind = change.resource_type().unwrap_or_default();
    let targets = change.details().iter().filter_map(|detail| detail.target());
    // What is no property has no name: tags, a policy about deletion.
    let names: BTreeSet<_> = targets
        .filter_map(|target| target.name().or_else(|| target.attribute().map(|attribute| attribute.as_str())))
        .collect();
    let line = format!("  {verb} {id:width$}  {kind}");
    if names.is_empty() { line } else { format!("{line}  ({})", names.into_iter().collect::<Vec<_>>().join(", ")) }
}

#[cfg(test)]
mod tests {
    use aws_sdk_cloudformation::types::{ResourceAttribute, ResourceChangeDetail, ResourceTargetDefinition};

    use super::*;

    fn detail(attribute: ResourceAttribute, name: Option<&str>) -> ResourceChangeDetail {
        let target = ResourceTargetDefinition::builder().attribute(attribute).set_name(name.map(str::to_owned));
        ResourceChangeDetail::builder().target(target.build()).build()
    }

    fn change(action: ChangeAction, replacement: Option<Replacement>, details: Vec<ResourceChangeDetail>) -> String {
        let change = ResourceChange::builder()
            .action(action)
            .set_replacement(replacement)
            .logical_resource_id("Queue")
            .resource_type("AWS::SQS::Queue")
            .set_details(Some(details));
        of_resource(&change.build(), 5)
    }

    #[test]
    fn a_line_says_what_becomes_of_a_resource_and_why() {
        assert_eq!(change(ChangeAction::Add, None, vec![]), "  + add      Queue  AWS::SQS::Queue");
        assert_eq!(change(ChangeAction::Remove, None, vec![]), "  - remove   Queue  AWS::SQS::Queue");
        let details = vec![
            detail(ResourceAttribute::Properties, Some("QueueName")),
            detail(ResourceAttribute::Properties, Some("QueueName")),
            detail(ResourceAttribute::Tags, None),
        ];
        assert_eq!(
            change(ChangeAction::Modify, Some(Replacement::True), details),
            "  ! replace  Queue  AWS::SQS::Queue  (QueueName, Tags)"
        );
        assert!(change(ChangeAction::Modify, Some(Replacement::Conditional), vec![]).starts_with("  ? replace"));
        assert!(change(ChangeAction::Modify, Some(Replacement::False), vec![]).starts_with("  ~ change"));
    }

    #[test]
    fn what_may_follow_another_resource_takes_one_line_together() {
        let of = |id: &str, evaluation: EvaluationType, source: ChangeSource| {
            let detail = ResourceChangeDetail::builder().evaluation(evaluation).change_source(source).build();
            let change = ResourceChange::builder().action(ChangeAction::Modify).replacement(Replacement::Conditional);
            Change::builder().resource_change(change.logical_resource_id(id).details(detail).build()).build()
        };
        let changes = vec![
            of("Rule", EvaluationType::Dynamic, ChangeSource::ResourceAttribute),
            of("Bus", EvaluationType::Dynamic, ChangeSource::DirectModification),
            of("Queue", EvaluationType::Static, ChangeSource::ResourceReference),
            of("Permission", EvaluationType::Dynamic, ChangeSource::ResourceReference),
        ];
        let set = ChangeSet { name: String::new(), creates: false, changes, parameters: vec![] };
        let lines = of_change_set(&set);
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert!(lines[2].ends_with(": Rule, Permission"), "{lines:?}");
    }

    #[test]
    fn changed_parameters_come_first() {
        let parameters = vec![("PollSeconds".to_owned(), "5".to_owned(), "3".to_owned())];
        let set = ChangeSet { name: String::new(), creates: false, changes: vec![], parameters };
        assert_eq!(of_change_set(&set), ["  parameter PollSeconds: \"5\" -> \"3\""]);
    }
}
