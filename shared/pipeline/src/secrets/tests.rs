use serde_json::json;

use super::*;
use crate::Pipeline;
use crate::custom::Types;
use crate::testing::example;

fn with_github(token: &str) -> Declaration {
    let mut declaration = example();
    declaration.stages[0].actions.push(
        serde_json::from_value(json!({
            "name": "Git", "actionTypeId": {"category": "Source", "owner": "ThirdParty", "provider": "GitHub", "version": "1"},
            "configuration": {"Owner": "o", "Repo": "r", "Branch": "****", "OAuthToken": token},
            "outputArtifacts": [{"name": "Code"}]
        }))
        .unwrap(),
    );
    declaration
}

fn configuration<'a>(declaration: &'a Declaration, key: &str) -> &'a str {
    &declaration.stages[0].actions[1].configuration.as_ref().unwrap()[key]
}

#[test]
fn secrets_are_masked_and_nothing_else() {
    let masked = with_github("s3cr3t").masked(&Types::default());
    assert_eq!(masked, with_github("****"));
    assert!(!serde_json::to_string(&masked).unwrap().contains("s3cr3t"));
    assert_eq!(example().masked(&Types::default()), example());
}

#[test]
fn an_update_with_the_mask_keeps_the_secret() {
    let before = with_github("s3cr3t");
    let updated = before.masked(&Types::default()).unmask_from(&before, &Types::default());
    assert_eq!(updated, before);
    Pipeline::try_from(updated).unwrap();
}

#[test]
fn an_update_with_a_new_secret_has_it() {
    let updated = with_github("new").unmask_from(&with_github("old"), &Types::default());
    assert_eq!(configuration(&updated, "OAuthToken"), "new");
}

#[test]
fn only_secrets_are_put_back() {
    let mut before = with_github("s3cr3t");
    before.stages[0].actions[1].configuration.as_mut().unwrap().insert("Branch".to_owned(), "main".to_owned());
    let updated = with_github("****").unmask_from(&before, &Types::default());
    assert_eq!(configuration(&updated, "Branch"), "****", "this is the branch's name");
    assert_eq!(configuration(&updated, "OAuthToken"), "s3cr3t");
}

#[test]
fn another_name_or_type_loses_the_secret() {
    let before = with_github("s3cr3t");
    let mut renamed = before.masked(&Types::default());
    renamed.stages[0].actions[1].name = "Other".to_owned();
    assert_eq!(configuration(&renamed.unmask_from(&before, &Types::default()), "OAuthToken"), "****");
    let mut moved = before.masked(&Types::default());
    moved.stages[0].name = "Other".to_owned();
    assert_eq!(configuration(&moved.unmask_from(&before, &Types::default()), "OAuthToken"), "****");
    let mut other = before.clone();
    other.stages[0].actions[1].action_type_id.provider = "GitHubEnterprise".to_owned();
    assert_eq!(
        configuration(&before.masked(&Types::default()).unmask_from(&other, &Types::default()), "OAuthToken"),
        "****"
    );
}
