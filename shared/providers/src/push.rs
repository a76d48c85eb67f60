//! What a push that a host of code tells of means for a source action. Source: GitHub documentation, 'Webhook events and
//! payloads', `push`.

use pipeline::Action;
use serde_json::Value;

use crate::repository::COMMIT;

/// What a push means for a source action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// The action's branch is at this revision now: a `SourceRevisionType`, and its value.
    Revision(&'static str, String),
    /// The action's branch is gone: there is nothing to start with.
    Gone,
    /// It is no push to the action's branch, so that the action finds its revision by itself.
    Unknown,
}

/// What the body of a call, if it is a push of GitHub's, means for an action whose source is a branch at GitHub.
pub fn pushed(action: &Action, body: &Value) -> Pushed {
    let setting = |key: &str| action.configuration.get(key).map(String::as_str);
    let watched = match (action.type_id.owner.as_deref(), action.type_id.provider.as_str()) {
        (Some("ThirdParty"), "GitHub") => setting("Owner")
            .zip(setting("Repo"))
            .map(|(owner, repository)| format!("{owner}/{repository}"))
            .zip(setting("Branch")),
        (Some("AWS"), "CodeStarSourceConnection") => {
            setting("FullRepositoryId").map(str::to_owned).zip(setting("BranchName"))
        }
        _ => None,
    };
    let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str);
    let Some(((watched, branch), (repository, reference))) =
        watched.zip(text("/repository/full_name").zip(text("/ref")))
    else {
        return Pushed::Unknown;
    };
    // Names at GitHub are the same in capitals; those of branches are not.
    if !watched.eq_ignore_ascii_case(repository) || reference.strip_prefix("refs/heads/") != Some(branch) {
        return Pushed::Unknown;
    }
    let is_commit = |id: &str| matches!(id.len(), 40 | 64) && id.bytes().all(|digit| digit.is_ascii_hexdigit());
    match text("/after") {
        _ if body["deleted"] == true => Pushed::Gone,
        Some(after) if is_commit(after) && after.bytes().all(|digit| digit == b'0') => Pushed::Gone,
        Some(after) if is_commit(after) => Pushed::Revision(COMMIT, after.to_owned()),
        _ => Pushed::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use pipeline::Pipeline;
    use serde_json::json;

    use super::*;

    fn action(owner: &str, provider: &str, configuration: Value) -> Action {
        let mut declaration = pipeline::testing::example();
        let source = &mut declaration.stages[0].actions[0];
        let mut action = Pipeline::try_from(pipeline::testing::example()).unwrap().stages()[0].actions[0].clone();
        source.action_type_id.owner = Some(owner.into());
        source.action_type_id.provider = provider.into();
        action.type_id = source.action_type_id.clone();
        action.configuration = serde_json::from_value::<BTreeMap<_, _>>(configuration).unwrap();
        action
    }

    #[test]
    fn a_push_to_the_action_s_branch_has_its_commit() {
        let github = action("ThirdParty", "GitHub", json!({"Owner": "Us", "Repo": "app", "Branch": "main"}));
        let connection =
            action("AWS", "CodeStarSourceConnection", json!({"FullRepositoryId": "us/app", "BranchName": "main"}));
        let (commit, none) = ("a".repeat(40), "0".repeat(40));
        let push = |reference: &str, repository: &str, after: &str, deleted: bool| json!({"ref": reference, "after": after, "deleted": deleted, "repository": {"full_name": repository}});
        let (main, revision) = ("refs/heads/main", Pushed::Revision("COMMIT_ID", commit.clone()));
        for (body, meaning) in [
            (push(main, "us/app", &commit, false), revision),
            (push(main, "us/app", &none, true), Pushed::Gone),
            (push(main, "us/app", &none, false), Pushed::Gone),
            (push("refs/heads/dev", "us/app", &commit, false), Pushed::Unknown),
            (push("refs/tags/main", "us/app", &commit, false), Pushed::Unknown),
            (push(main, "us/other", &commit, false), Pushed::Unknown),
            (push(main, "us/app", "--upload-pack=x", false), Pushed::Unknown),
            (json!({"ref": main, "after": commit}), Pushed::Unknown),
            (json!(null), Pushed::Unknown),
        ] {
            assert_eq!(pushed(&github, &body), meaning, "{body}");
            assert_eq!(pushed(&connection, &body), meaning, "{body}");
        }
        let s3 = action("AWS", "S3", json!({"S3Bucket": "b", "S3ObjectKey": "k"}));
        assert_eq!(pushed(&s3, &push(main, "us/app", &commit, false)), Pushed::Unknown);
    }
}
