//! Revisions that a start prescribes for source actions. Source: CodePipeline API, `SourceRevisionOverride`; user guide,
//! 'Start a pipeline with a source revision override'.

use pipeline::{Action, ActionName, Pipeline};

use crate::id::ActionId;
use crate::state::{Revision, RevisionOverride};
use crate::step::Step;

/// The kind of an override that `PutActionRevision` made. No caller can name it: it is none of CodePipeline's
/// `SourceRevisionType`s.
pub const PUT_REVISION: &str = "PutActionRevision";

/// Why a revision cannot be prescribed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidOverride {
    /// The first stage has no such action.
    #[error("The pipeline has no source action '{0}' whose revision could be prescribed (at sourceRevisions).")]
    UnknownAction(ActionName),
    /// The source has no revisions of this kind.
    #[error(
        "A revision of type {kind} has no meaning for action '{action}', whose provider is {provider} (at sourceRevisions)."
    )]
    WrongKind {
        /// The action.
        action: ActionName,
        /// The kind asked for.
        kind: String,
        /// The action's provider.
        provider: String,
    },
    /// The action is given two revisions of one kind.
    #[error("The action '{action}' is given two revisions of type {kind} (at sourceRevisions).")]
    Twice {
        /// The action.
        action: ActionName,
        /// The kind.
        kind: String,
    },
    /// The action keeps to its own object key.
    #[error(
        "The action '{0}' takes no other object key: its AllowOverrideForS3ObjectKey is not true (at sourceRevisions)."
    )]
    KeyIsFixed(ActionName),
}

/// The kinds of revisions that an action's source has.
fn kinds(action: &Action) -> &'static [&'static str] {
    match (action.type_id.owner.as_deref(), action.type_id.provider.as_str()) {
        (Some("AWS"), "S3") => &["S3_OBJECT_VERSION_ID", "S3_OBJECT_KEY"],
        (Some("AWS"), "ECR") => &["IMAGE_DIGEST"],
        (Some("AWS"), "CodeCommit" | "CodeStarSourceConnection") => &["COMMIT_ID"],
        (Some("ThirdParty"), "GitHub") => &["COMMIT_ID", PUT_REVISION],
        (Some("Custom" | "ThirdParty"), _) => &[PUT_REVISION],
        _ => &[],
    }
}

/// Checks the revisions that a start prescribes. An S3 source may be given an object key and a version together; any
/// other takes one revision.
///
/// # Errors
/// [`InvalidOverride`], for the first that cannot be.
pub fn check_overrides(pipeline: &Pipeline, overrides: &[RevisionOverride]) -> Result<(), InvalidOverride> {
    let sources = &pipeline.stages()[0].actions;
    for (n, given) in overrides.iter().enumerate() {
        let action = sources.iter().find(|action| action.name == given.action && action.type_id.category == "Source");
        let action = action.ok_or_else(|| InvalidOverride::UnknownAction(given.action.clone()))?;
        if !kinds(action).contains(&given.kind.as_str()) {
            return Err(InvalidOverride::WrongKind {
                action: given.action.clone(),
                kind: given.kind.clone(),
                provider: action.type_id.provider.clone(),
            });
        }
        if overrides[..n].iter().any(|other| other.action == given.action && other.kind == given.kind) {
            return Err(InvalidOverride::Twice { action: given.action.clone(), kind: given.kind.clone() });
        }
        let allowed = action.configuration.get("AllowOverrideForS3ObjectKey").map(String::as_str) == Some("true");
        if given.kind == "S3_OBJECT_KEY" && !allowed {
            return Err(InvalidOverride::KeyIsFixed(given.action.clone()));
        }
    }
    Ok(())
}

/// The revision for which `PutActionRevision` started the execution, where this is the action that it named: what its
/// job worked on, unless the job says otherwise.
pub(crate) fn put_for(step: &Step<'_, '_>, action: ActionId) -> Option<Revision> {
    let name = &step.declared(action)?.name;
    let given = step.execution().overrides.iter().find(|it| it.action == *name && it.kind == PUT_REVISION)?;
    Some(Revision { id: given.value.clone(), summary: None, url: None, created: None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use pipeline::testing::example;

    /// The example with a source of this type.
    fn with(owner: &str, provider: &str, configuration: &[(&str, &str)]) -> Pipeline {
        let mut declaration = example();
        let action = &mut declaration.stages[0].actions[0];
        action.action_type_id.owner = Some(owner.into());
        action.action_type_id.provider = provider.into();
        action.namespace = None;
        action.configuration =
            Some(configuration.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect());
        declaration.stages[1].actions[0].configuration.as_mut().unwrap().insert("ObjectKey".into(), "app.zip".into());
        Pipeline::try_from(declaration).unwrap()
    }

    fn s3(allow: &str) -> Pipeline {
        let key = ("AllowOverrideForS3ObjectKey", allow);
        with("AWS", "S3", &[("S3Bucket", "b"), ("S3ObjectKey", "k"), key])
    }

    fn check(pipeline: &Pipeline, overrides: &[(&str, &str)]) -> Result<(), InvalidOverride> {
        let overrides: Vec<_> = overrides
            .iter()
            .map(|(action, kind)| RevisionOverride {
                action: ActionName::new(*action).unwrap(),
                kind: (*kind).into(),
                value: "1".into(),
            })
            .collect();
        check_overrides(pipeline, &overrides)
    }

    #[test]
    fn each_source_has_revisions_of_its_own_kinds() {
        let repository = [("RepositoryName", "app")];
        let connection = [("ConnectionArn", "arn"), ("FullRepositoryId", "us/app"), ("BranchName", "main")];
        let github = [("Owner", "us"), ("Repo", "app"), ("Branch", "main"), ("OAuthToken", "x")];
        let commit = [("RepositoryName", "app"), ("BranchName", "main")];
        for (pipeline, fitting) in [
            (s3("true"), &["S3_OBJECT_VERSION_ID", "S3_OBJECT_KEY"][..]),
            (with("AWS", "ECR", &repository), &["IMAGE_DIGEST"]),
            (with("AWS", "CodeCommit", &commit), &["COMMIT_ID"]),
            (with("AWS", "CodeStarSourceConnection", &connection), &["COMMIT_ID"]),
            (with("ThirdParty", "GitHub", &github), &["COMMIT_ID", PUT_REVISION]),
            (with("Custom", "Mine", &[]), &[PUT_REVISION]),
        ] {
            for kind in ["S3_OBJECT_VERSION_ID", "S3_OBJECT_KEY", "IMAGE_DIGEST", "COMMIT_ID", PUT_REVISION] {
                let found = check(&pipeline, &[("Fetch", kind)]);
                let provider = &pipeline.stages()[0].actions[0].type_id.provider;
                let wrong = matches!(found, Err(InvalidOverride::WrongKind { .. }));
                assert_eq!(wrong, !fitting.contains(&kind), "{provider} {kind}: {found:?}");
            }
        }
    }

    #[test]
    fn an_object_key_and_a_version_go_together_once_each() {
        let (key, version) = (("Fetch", "S3_OBJECT_KEY"), ("Fetch", "S3_OBJECT_VERSION_ID"));
        assert_eq!(check(&s3("true"), &[key, version]), Ok(()));
        assert!(matches!(check(&s3("true"), &[version, key, version]), Err(InvalidOverride::Twice { .. })));
    }

    #[test]
    fn an_object_key_needs_the_action_s_leave() {
        let key = ("Fetch", "S3_OBJECT_KEY");
        assert!(matches!(check(&s3("false"), &[key]), Err(InvalidOverride::KeyIsFixed(_))));
        assert_eq!(check(&s3("false"), &[("Fetch", "S3_OBJECT_VERSION_ID")]), Ok(()));
    }

    #[test]
    fn only_source_actions_have_revisions() {
        for action in ["Publish", "Nothing"] {
            let found = check(&s3("true"), &[(action, "S3_OBJECT_VERSION_ID")]);
            assert!(matches!(found, Err(InvalidOverride::UnknownAction(_))), "{found:?}");
        }
    }
}
