//! A small valid declaration for tests, here and in other crates (feature `testing`).

use serde_json::json;

use crate::declaration::Declaration;

/// Two stages: an S3 source with the namespace `Source`, and an S3 deploy of what it made. Type V2.
#[allow(clippy::expect_used, reason = "a constant that a test decodes")]
pub fn example() -> Declaration {
    serde_json::from_value(json!({
        "name": "release",
        "roleArn": "arn:aws:iam::111122223333:role/release",
        "pipelineType": "V2",
        "artifactStore": {"type": "S3", "location": "artifacts-bucket"},
        "stages": [
            {"name": "Source", "actions": [{
                "name": "Fetch",
                "actionTypeId": {"category": "Source", "owner": "AWS", "provider": "S3", "version": "1"},
                "namespace": "Source",
                "configuration": {"S3Bucket": "source-bucket", "S3ObjectKey": "app.zip"},
                "outputArtifacts": [{"name": "App"}]
            }]},
            {"name": "Deploy", "actions": [{
                "name": "Publish",
                "actionTypeId": {"category": "Deploy", "owner": "AWS", "provider": "S3", "version": "1"},
                "configuration": {"BucketName": "site-bucket", "Extract": "false", "ObjectKey": "#{Source.VersionId}.zip"},
                "inputArtifacts": [{"name": "App"}]
            }]}
        ]
    }))
    .expect("a constant declaration")
}

/// The same with a source of the type `GitHub` (owner `ThirdParty`) in place of S3: the branch `main` of `us/app`.
pub fn github_example() -> Declaration {
    let mut declaration = example();
    let source = &mut declaration.stages[0].actions[0];
    source.action_type_id.owner = Some("ThirdParty".into());
    source.action_type_id.provider = "GitHub".into();
    let configuration = [("Owner", "us"), ("Repo", "app"), ("Branch", "main"), ("OAuthToken", "hunter2")];
    source.configuration = Some(configuration.map(|(key, value)| (key.into(), value.into())).into());
    // A GitHub source has no variable `VersionId`, by which the example names what it deploys.
    declaration.stages[1].actions[0].configuration.get_or_insert_default().insert("ObjectKey".into(), "app.zip".into());
    declaration
}
