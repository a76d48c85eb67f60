//! The pipeline that tests begin with.

use serde_json::{Value, json};

/// An action of one of AWS's types.
pub fn action(name: &str, category: &str, provider: &str, configuration: Value) -> Value {
    json!({
        "name": name,
        "actionTypeId": {"category": category, "owner": "AWS", "provider": provider, "version": "1"},
        "configuration": configuration,
    })
}

/// Source in S3, approval, function, deployment to S3. `changes` sets values by JSON pointer.
pub fn release(name: &str, changes: &[(&str, Value)]) -> Value {
    let mut fetch = action("Fetch", "Source", "S3", json!({"S3Bucket": "sources", "S3ObjectKey": "app.zip"}));
    fetch["outputArtifacts"] = json!([{"name": "App"}]);
    fetch["namespace"] = json!("Source");
    let mut call = action("Call", "Invoke", "Lambda", json!({"FunctionName": "smoke-test"}));
    call["namespace"] = json!("Test");
    let configuration = json!({"BucketName": "site", "Extract": "false", "ObjectKey": "#{Source.VersionId}.zip"});
    let mut publish = action("Publish", "Deploy", "S3", configuration);
    publish["inputArtifacts"] = json!([{"name": "App"}]);
    let mut declaration = json!({
        "name": name,
        "roleArn": "arn:aws:iam::111122223333:role/release",
        "pipelineType": "V2",
        "artifactStore": {"type": "S3", "location": "artifacts-bucket"},
        "stages": [
            {"name": "Source", "actions": [fetch]},
            {"name": "Ask", "actions": [action("Approve", "Approval", "Manual", json!({}))]},
            {"name": "Test", "actions": [call]},
            {"name": "Deploy", "actions": [publish]},
        ],
    });
    for (pointer, value) in changes {
        match declaration.pointer_mut(pointer) {
            Some(found) => *found = value.clone(),
            None => {
                let (parent, key) = pointer.rsplit_once('/').unwrap();
                declaration.pointer_mut(parent).unwrap()[key] = value.clone();
            }
        }
    }
    declaration
}
