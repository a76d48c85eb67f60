use driver::Task;
use serde_json::json;
use testkit::Aws;

use crate::codecommit::unpacked;
use crate::connection_source::{COMMIT, described, serves_archive};
use crate::{artifact, failed, made, registry, succeeded, task};

const BRANCH: &str = "GET https://api.github.com/repos/team/shop/commits/heads/main?per_page=1";

fn source(token: &str) -> Task {
    let configuration = [("Owner", "team"), ("Repo", "shop"), ("Branch", "main"), ("OAuthToken", token)];
    let mut task = task("Source", "GitHub", &configuration);
    task.action.type_id.owner = Some("ThirdParty".into());
    task.outputs = vec![artifact("Code")];
    task
}

fn github() -> Aws {
    let aws = Aws::default();
    aws.on(BRANCH, 200, described().to_string());
    serves_archive(&aws);
    aws
}

#[tokio::test]
async fn the_files_are_fetched_with_the_action_s_own_token() {
    let aws = github();
    let done = succeeded(&registry(&aws), &source("ghp_1")).await;
    assert_eq!(aws.calls(BRANCH)[0].header("authorization"), "Bearer ghp_1");
    assert!(aws.calls("GetSecretValue").is_empty());
    let stored = aws.stored("store-eu/shop/Code/abcdefghijklmnop").data;
    assert_eq!(done.outputs, [made("Code", &stored)]);
    assert_eq!(unpacked(&stored).len(), 2);
    let variables: Vec<_> = done.variables.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let address = format!("https://api.github.com/repos/team/shop/commits/{COMMIT}");
    let expected = [
        ("AuthorDate", "2011-04-14T16:00:49Z"),
        ("BranchName", "main"),
        ("CommitId", COMMIT),
        ("CommitMessage", "Faster start"),
        ("CommitUrl", address.as_str()),
        ("CommitterDate", "2011-04-14T17:00:49Z"),
        ("RepositoryName", "shop"),
    ];
    assert_eq!(variables, expected);
    assert_eq!(done.revision.unwrap().id, COMMIT);
}

#[tokio::test]
async fn a_token_that_is_refused_is_named_but_not_shown() {
    let aws = github();
    aws.on(BRANCH, 401, json!({"message": "Bad credentials"}).to_string());
    let error = failed(&registry(&aws), &source("ghp_1")).await;
    assert_eq!(error.code, "PermissionError");
    assert!(error.message.contains("Bad credentials") && error.message.contains("OAuthToken"), "{}", error.message);
    assert!(!error.message.contains("ghp_1"), "{}", error.message);
    let error = failed(&registry(&aws), &source("two words")).await;
    assert!(error.message.contains("characters that no token has"), "{}", error.message);
    assert!(!error.message.contains("two words"), "{}", error.message);
}
