//! Revisions that a start prescribes for source actions. Source: CodePipeline API, `SourceRevisionOverride`; user guide,
//! 'Start a pipeline with a source revision override'.

use pipeline::{Action, ActionName, Pipeline};

use crate::id::{ActionId, ExecutionId};
use crate::state::{Revision, RevisionOverride};
use crate::step::Step;

/// The kind of an override that `PutActionRevision` made. No caller can name it: it is not one of CodePipeline's
/// `SourceRevisionType`s.
pub const PUT_REVISION: &str = "PutActionRevision";

/// Why a revision cannot be prescribed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidOverride {
    /// The first stage has no such action.
    #[error("The pipeline has no source action '{0}' whose revision could be prescribed (at sourceRevisions).")]
    UnknownAction(ActionName),
    /// The source takes no revision of this type.
    #[error("The action '{action}' takes no revision of type {kind}: {why} (at sourceRevisions).")]
    NotTaken {
        /// The source action whose revision was prescribed.
        action: ActionName,
        /// The `SourceRevisionType` that was asked for.
        kind: String,
        /// What it takes, or what its configuration lacks.
        why: &'static str,
    },
    /// The action is given two revisions of one kind.
    #[error("The action '{action}' is given two revisions of type {kind} (at sourceRevisions).")]
    Twice {
        /// The source action that was named twice.
        action: ActionName,
        /// The `SourceRevisionType` that was given twice.
        kind: String,
    },
}

/// Checks the revisions that a start prescribes: for each action at most one of a type, and of types that its provider
/// takes. Revisions that were reported for an action by `PutActionRevision` are taken by all sources that are not AWS's.
///
/// # Errors
/// [`InvalidOverride`], for the first that cannot be.
pub fn check_overrides(
    pipeline: &Pipeline,
    overrides: &[RevisionOverride],
    takes: impl Fn(&Action, &str) -> Result<(), &'static str>,
) -> Result<(), InvalidOverride> {
    let sources = &pipeline.stages()[0].actions;
    for (n, given) in overrides.iter().enumerate() {
        let action = sources.iter().find(|action| action.name == given.action && action.type_id.category == "Source");
        let action = action.ok_or_else(|| InvalidOverride::UnknownAction(given.action.clone()))?;
        if given.kind != PUT_REVISION || !takes_reports(action) {
            takes(action, &given.kind).map_err(|why| InvalidOverride::NotTaken {
                action: given.action.clone(),
                kind: given.kind.clone(),
                why,
            })?;
        }
        if overrides[..n].iter().any(|other| other.action == given.action && other.kind == given.kind) {
            return Err(InvalidOverride::Twice { action: given.action.clone(), kind: given.kind.clone() });
        }
    }
    Ok(())
}

/// What a report of a revision leads to.
#[derive(Clone, Debug, PartialEq)]
pub enum Reported {
    /// It is the one that was reported last, which started this execution.
    Known(ExecutionId),
    /// An execution is to be started with it.
    New(RevisionOverride),
}

/// What it means that a revision is reported for an action, given the one that was reported last with the execution that
/// it started; none where the action takes no reports. Source: CodePipeline API, `PutActionRevision`.
pub fn report_revision(action: &Action, revision: &str, last: Option<(&str, ExecutionId)>) -> Option<Reported> {
    if action.type_id.category != "Source" || !takes_reports(action) {
        return None;
    }
    Some(match last {
        Some((last, execution)) if last == revision => Reported::Known(execution),
        _ => Reported::New(RevisionOverride::new(action.name.clone(), PUT_REVISION, revision)),
    })
}

/// Sources of AWS's own find their revisions by themselves.
fn takes_reports(source: &Action) -> bool {
    source.type_id.owner.as_deref() != Some("AWS")
}

/// The revision for which `PutActionRevision` started the execution, where this is the action that it named: what its
/// job worked on, unless the job says otherwise.
pub(crate) fn put_for(step: &Step<'_, '_>, action: ActionId) -> Option<Revision> {
    let name = &step.declared(action)?.name;
    let given = step.execution().overrides.iter().find(|it| it.action == *name && it.kind == PUT_REVISION)?;
    Some(Revision {
        id: given.value.clone(),
        summary: None,
        url: None,
        created: given.created,
        change: given.change.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use pipeline::testing::example;

    /// The example with a source of this owner.
    fn with(owner: &str) -> Pipeline {
        let mut declaration = example();
        declaration.stages[0].actions[0].action_type_id.owner = Some(owner.into());
        Pipeline::try_from(declaration).unwrap()
    }

    fn check(pipeline: &Pipeline, overrides: &[(&str, &str)]) -> Result<(), InvalidOverride> {
        let overrides: Vec<_> = overrides
            .iter()
            .map(|(action, kind)| RevisionOverride::new(ActionName::new(*action).unwrap(), *kind, "1"))
            .collect();
        let takes = |_: &Action, kind: &str| match kind {
            "KEY" | "VERSION" => Ok(()),
            _ => Err("it takes KEY and VERSION"),
        };
        check_overrides(pipeline, &overrides, takes)
    }

    #[test]
    fn a_source_is_given_what_its_provider_takes() {
        let pipeline = with("AWS");
        assert_eq!(check(&pipeline, &[("Fetch", "KEY"), ("Fetch", "VERSION")]), Ok(()));
        for kind in ["COMMIT_ID", PUT_REVISION] {
            let refused = check(&pipeline, &[("Fetch", "KEY"), ("Fetch", kind)]).unwrap_err();
            assert!(matches!(&refused, InvalidOverride::NotTaken { .. }), "{refused:?}");
            assert!(refused.to_string().contains("it takes KEY and VERSION"), "{refused}");
        }
    }

    #[test]
    fn a_revision_can_be_reported_for_a_source_that_is_not_aws_s() {
        assert_eq!(check(&with("Custom"), &[("Fetch", PUT_REVISION)]), Ok(()));
    }

    #[test]
    fn an_action_is_given_one_revision_of_a_type() {
        let twice = [("Fetch", "VERSION"), ("Fetch", "KEY"), ("Fetch", "VERSION")];
        assert!(matches!(check(&with("AWS"), &twice), Err(InvalidOverride::Twice { .. })));
    }

    #[test]
    fn only_source_actions_have_revisions() {
        for action in ["Publish", "Nothing"] {
            let found = check(&with("AWS"), &[(action, "VERSION")]);
            assert!(matches!(found, Err(InvalidOverride::UnknownAction(_))), "{found:?}");
        }
    }
}
