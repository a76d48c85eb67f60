//! Nothing is done with an artifact that is not what was recorded.

use artifacts::write_zip;
use driver::Task;
use testkit::Aws;

use crate::{failed, recorded, registry, task};

const INPUT: &str = "store-eu/shop/App/abcdefghijklmnop";

/// Each provider that reads an artifact, or hands one out.
fn readers(data: &[u8]) -> Vec<(Task, &'static str)> {
    let mut readers = vec![
        (task("Deploy", "S3", &[("BucketName", "site"), ("Extract", "true")]), "PutObject"),
        (task("Deploy", "S3", &[("BucketName", "site"), ("Extract", "false"), ("ObjectKey", "app.zip")]), "CopyObject"),
        (
            task(
                "Invoke",
                "StepFunctions",
                &[
                    ("StateMachineArn", "arn:aws:states:eu-west-1:111122223333:stateMachine:load"),
                    ("InputType", "FilePath"),
                    ("Input", "input.json"),
                ],
            ),
            "StartExecution",
        ),
        (task("Invoke", "Lambda", &[("FunctionName", "check")]), "Invoke"),
    ];
    for (task, _) in &mut readers {
        task.inputs = vec![recorded("App", data)];
    }
    readers
}

#[tokio::test]
async fn an_artifact_that_was_overwritten_after_its_approval_goes_nowhere() {
    let approved = write_zip([("input.json", "{}")]).unwrap();
    let other = write_zip([("input.json", "{\"evil\": true}")]).unwrap();
    for (task, operation) in readers(&approved) {
        let aws = Aws::default();
        aws.plain_object(INPUT, &other);
        let error = failed(&registry(&aws), &task).await;
        assert_eq!(error.code, "RevisionOutOfSync", "{operation}: {}", error.message);
        assert!(error.message.contains("s3://store-eu/shop/App/abcdefghijklmnop"), "{}", error.message);
        assert!(error.message.contains("is not the artifact that was recorded"), "{}", error.message);
        assert!(aws.calls(operation).is_empty(), "{operation}");
    }
}

#[tokio::test]
async fn a_replica_that_differs_is_made_again_and_the_recorded_artifact_is_deployed() {
    let approved = write_zip([("index.html", "good")]).unwrap();
    let aws = Aws::default();
    aws.plain_object("store-us/shop/App/abcdefghijklmnop", &approved);
    aws.plain_object(INPUT, &write_zip([("index.html", "evil")]).unwrap());
    let mut task = task("Deploy", "S3", &[("BucketName", "site"), ("Extract", "true")]);
    task.inputs = vec![recorded("App", &approved)];
    task.inputs[0].artifact.region = "us-west-2".into();
    task.inputs[0].artifact.bucket = "store-us".into();
    task.inputs[0].pin = engine::Pin::default();
    aws.checksummed("store-us/shop/App/abcdefghijklmnop");
    crate::succeeded(&registry(&aws), &task).await;
    assert_eq!(aws.stored("site/index.html").data, b"good");
    assert_eq!(aws.calls("CopyObject").len(), 1);
    crate::succeeded(&registry(&aws), &task).await;
    assert_eq!(aws.calls("CopyObject").len(), 1, "now it is there");
}
