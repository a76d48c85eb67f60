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
