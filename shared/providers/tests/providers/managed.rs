//! What tests of managed compute share.

use driver::{ActionExecutor, Outcome, Task};
use serde_json::{Value, json};
use testkit::Aws;

use crate::registry;

pub const ID: &str = "millrace-compute:11111111-2222-3333-4444-555555555555";

/// A build of managed compute, as CodeBuild describes it.
pub fn described(what: &Value) -> Value {
    let arn = format!("arn:aws:codebuild:eu-west-1:111122223333:build/{ID}");
    let mut all = json!({"id": ID, "arn": arn, "buildStatus": "IN_PROGRESS", "currentPhase": "BUILD"});
    all.as_object_mut().unwrap().extend(what.as_object().unwrap().clone());
    all
}

/// AWS with input artifacts of these names, whose CodeBuild starts builds.
pub fn aws(inputs: &[&str]) -> Aws {
    let aws = Aws::default();
    for name in inputs {
        aws.object(&format!("store-eu/shop/{name}/abcdefghijklmnop"), "v1", b"a zip, for all that is asked of it");
    }
    aws.on("StartBuild", 200, json!({"build": described(&json!({"currentPhase": "QUEUED"}))}).to_string());
    aws
}

/// What StartBuild is sent for an action.
pub async fn started(aws: &Aws, task: &Task) -> Value {
    match registry(aws).start(task).await.unwrap() {
        Outcome::Running { report, poll: true, event_source } => {
            assert_eq!(event_source.as_deref(), Some("aws.codebuild"));
            assert_eq!(report.external.unwrap().id, ID);
        }
        other => panic!("{other:?}"),
    }
    aws.calls("StartBuild").last().unwrap().json()
}
