use aws_lambda_events::eventbridge::EventBridgeEvent;
use driver::Task;
use engine::{RevisionOverride, Timestamp};
use providers::{Source, SourceChange};
use serde::Deserialize;
use serde_json::{Value, json};
use testkit::Aws;

use crate::{artifact, failed, made, put_off, registry, succeeded, task};

fn source() -> Task {
    let mut task = task("Source", "S3", &[("S3Bucket", "src"), ("S3ObjectKey", "app v1.zip")]);
    task.outputs = vec![artifact("App")];
    task
}

fn prescribed(kind: &str, value: &str) -> Task {
    let mut task = source();
    let action = task.action.name.clone();
    task.overrides.push(RevisionOverride::new(action, kind, value));
    task
}

#[tokio::test]
async fn the_newest_version_becomes_the_artifact_without_passing_through() {
    let aws = Aws::default();
    aws.object("src/app v1.zip", "v1", b"old");
    aws.object("src/app v1.zip", "v2", b"new");
    let done = succeeded(&registry(&aws), &source()).await;
    assert_eq!(done.outputs, [made("App", b"new")]);
    assert_eq!(aws.stored("store-eu/shop/App/abcdefghijklmnop").data, b"new");
    let copy = &aws.calls("CopyObject")[0];
    assert_eq!(copy.header("x-amz-copy-source"), "src/app%20v1.zip?versionId=v2");
    assert_eq!(copy.header("x-amz-server-side-encryption"), "aws:kms");
    assert_eq!(copy.header("x-amz-server-side-encryption-aws-kms-key-id"), "arn:aws:kms:eu-west-1:111122223333:key/k");
    assert_eq!(copy.role, "pipeline");
    assert!(aws.calls("GetObject").is_empty() && aws.calls("PutObject").is_empty());
    let variables: Vec<_> = done.variables.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let expected = [("BucketName", "src"), ("ETag", "etag-v2"), ("ObjectKey", "app v1.zip"), ("VersionId", "v2")];
    assert_eq!(variables, expected);
    let revision = done.revision.unwrap();
    assert_eq!(revision.id, "v2");
    assert_eq!(revision.summary.as_deref(), Some("Amazon S3 version id: v2"));
    assert_eq!(revision.created, Some(Timestamp(1_795_467_600_000)));
    assert!(revision.url.unwrap().ends_with("/s3/object/src?region=eu-west-1&prefix=app%20v1.zip&versionId=v2"));
    assert_eq!(done.report.external.unwrap().id, "v2");
}

#[tokio::test]
async fn the_start_may_prescribe_the_version() {
    let aws = Aws::default();
    aws.object("src/app v1.zip", "v1", b"old");
    aws.object("src/app v1.zip", "v2", b"new");
    let done = succeeded(&registry(&aws), &prescribed("S3_OBJECT_VERSION_ID", "v1")).await;
    assert_eq!(done.revision.unwrap().id, "v1");
    assert_eq!(aws.stored("store-eu/shop/App/abcdefghijklmnop").data, b"old");
    let error = failed(&registry(&aws), &prescribed("S3_OBJECT_VERSION_ID", "v9")).await;
    assert_eq!(error.code, "RevisionUnavailable");
    assert!(error.message.contains("s3://src/app v1.zip"), "{}", error.message);
}

#[tokio::test]
async fn the_start_may_prescribe_another_key_only_where_the_action_allows_it() {
    let aws = Aws::default();
    aws.object("src/other.zip", "o1", b"other");
    let mut task = prescribed("S3_OBJECT_KEY", "other.zip");
    let error = failed(&registry(&aws), &task).await;
    assert_eq!(error.code, "ConfigurationError");
    assert!(error.message.contains("AllowOverrideForS3ObjectKey"), "{}", error.message);
    task.configuration.insert("AllowOverrideForS3ObjectKey".into(), "true".into());
    let done = succeeded(&registry(&aws), &task).await;
    assert_eq!(done.variables["ObjectKey"], "other.zip");
    aws.object("src/other.zip", "o2", b"newer");
    let action = task.action.name.clone();
    task.overrides.push(RevisionOverride::new(action, "S3_OBJECT_VERSION_ID", "o1"));
    let done = succeeded(&registry(&aws), &task).await;
    assert_eq!((&*done.variables["ObjectKey"], &*done.variables["VersionId"]), ("other.zip", "o1"), "both together");
    assert!(failed(&registry(&aws), &prescribed("COMMIT_ID", "abc")).await.message.contains("COMMIT_ID"));
}

#[tokio::test]
async fn a_bucket_without_versions_is_refused_and_named() {
    let aws = Aws::default();
    aws.plain_object("src/app v1.zip", b"data");
    let error = failed(&registry(&aws), &source()).await;
    assert_eq!(error.code, "ConfigurationError");
    assert!(error.message.contains("src") && error.message.contains("versioning"), "{}", error.message);
    assert!(aws.calls("CopyObject").is_empty());
}

#[tokio::test]
async fn what_is_missing_or_forbidden_is_named_and_what_passes_is_put_off() {
    let aws = Aws::default();
    let error = failed(&registry(&aws), &source()).await;
    assert_eq!(error.code, "ConfigurationError");
    assert!(
        error.message.contains("s3://src/app v1.zip (eu-west-1)") && error.message.contains("NoSuchKey"),
        "{}",
        error.message
    );
    aws.on("HeadObject", 403, "");
    assert_eq!(failed(&registry(&aws), &source()).await.code, "PermissionError");
    for status in [429, 500, 503] {
        aws.on("HeadObject", status, "");
        assert!(put_off(&registry(&aws), &source()).await.contains("s3://src/app v1.zip"));
    }
}

#[tokio::test]
async fn a_repeated_attempt_keeps_to_the_version_that_the_lost_worker_stored() {
    let aws = Aws::default();
    aws.object("src/app v1.zip", "v1", b"old");
    let mut task = source();
    succeeded(&registry(&aws), &task).await;
    aws.object("src/app v1.zip", "v2", b"new");
    task.reclaimed = true;
    let done = succeeded(&registry(&aws), &task).await;
    assert_eq!(done.revision.unwrap().id, "v1");
    assert_eq!(aws.stored("store-eu/shop/App/abcdefghijklmnop").data, b"old");
    assert_eq!(aws.calls("CopyObject").len(), 2, "what lies there may be anybody's");
}

#[tokio::test]
async fn an_action_with_its_own_role_uses_it() {
    let aws = Aws::default();
    aws.object("src/app v1.zip", "v1", b"data");
    let mut task = source();
    task.action_role = Some("arn:aws:iam::444455556666:role/reader".into());
    succeeded(&registry(&aws), &task).await;
    let roles = aws.calls("AssumeRole");
    assert!(roles[0].text().contains("ExternalId=arn%3Aaws%3Acodepipeline%3Aeu-west-1%3A111122223333%3Ashop"));
    assert_eq!((roles[0].role.as_str(), roles[1].role.as_str()), ("FUNCTION", "pipeline"));
    assert!(aws.calls("CopyObject").iter().chain(&aws.calls("HeadObject")).all(|call| call.role == "reader"));
}

fn changed(object: Value) -> SourceChange {
    let detail = json!({"bucket": {"name": "b"}, "object": object});
    let event = json!({"id": "e", "source": "aws.s3", "detail-type": "Object Created", "detail": detail});
    let event = EventBridgeEvent::deserialize(event).unwrap();
    (provider().events.unwrap().change)(&event).unwrap().unwrap()
}

fn provider() -> Source {
    providers::find(&task("Source", "S3", &[]).action).unwrap().source.unwrap()
}

#[test]
fn a_new_version_of_an_object_starts_who_watches_it() {
    let change = SourceChange {
        watched: "s3/b/a/b c.zip".into(),
        account: None,
        revision: Some(("S3_OBJECT_VERSION_ID", "v1".into())),
        token: "s3#v1".into(),
        detail: "arn:aws:s3:::b/a/b c.zip".into(),
    };
    let object = json!({"key": "a/b c.zip", "size": 3, "version-id": "v1", "sequencer": "0"});
    assert_eq!(changed(object), change);
    assert_eq!(changed(json!({"key": "a/b c.zip", "versionId": "v1"})), change, "an emulator's spelling");
    let action = task("Source", "S3", &[("S3Bucket", "b"), ("S3ObjectKey", "a/b c.zip")]).action;
    assert_eq!((provider().watched)(&action, "eu-west-1").as_deref(), Some("s3/b/a/b c.zip"));
}

/// Source: CloudTrail user guide, 'CloudTrail record contents'.
fn called(name: &str, error: Option<&str>) -> Result<Option<SourceChange>, serde_json::Error> {
    let version = json!({"x-amz-version-id": "v1", "x-amz-server-side-encryption": "AES256"});
    let mut detail = json!({
        "eventVersion": "1.08", "eventSource": "s3.amazonaws.com", "eventName": name, "awsRegion": "eu-west-1",
        "requestParameters": {"bucketName": "b", "key": "a/b c.zip", "x-amz-copy-source": "other/old.zip"},
        "responseElements": if error.is_some() { Value::Null } else { version }, "eventID": "3074546e", "readOnly": false,
        "resources": [
            {"type": "AWS::S3::Object", "ARN": "arn:aws:s3:::b/a/b c.zip"},
            {"type": "AWS::S3::Object", "ARN": "arn:aws:s3:::other/old.zip"},
            {"accountId": "111122223333", "type": "AWS::S3::Bucket", "ARN": "arn:aws:s3:::b"},
        ],
    });
    if let Some(error) = error {
        detail["errorCode"] = error.into();
    }
    let event = json!({"id": "e", "source": "aws.s3", "detail-type": "AWS API Call via CloudTrail", "detail": detail});
    (provider().events.unwrap().change)(&EventBridgeEvent::deserialize(event).unwrap())
}

#[test]
fn cloudtrail_tells_of_the_same_change_by_the_call_that_made_it() {
    let same = changed(json!({"key": "a/b c.zip", "size": 3, "version-id": "v1", "sequencer": "0"}));
    for name in ["PutObject", "CopyObject", "CompleteMultipartUpload"] {
        assert_eq!(called(name, None).unwrap().as_ref(), Some(&same), "{name}");
        assert_eq!(called(name, Some("AccessDenied")).unwrap(), None, "{name}");
    }
    for name in ["DeleteObject", "PutObjectTagging", "UploadPart", "GetObject"] {
        assert_eq!(called(name, None).unwrap(), None, "{name}");
    }
}

#[test]
fn without_versions_the_sequencer_tells_changes_apart() {
    let change = changed(json!({"key": "k", "sequencer": "17"}));
    assert_eq!((change.revision, change.token.as_str()), (None, "s3#17"));
    assert_eq!(changed(json!({"key": "k", "version-id": "null"})).revision, None);
}

#[test]
fn an_s3_source_takes_versions_and_where_it_is_allowed_other_keys() {
    let takes = |allow: &str, kind: &str| {
        let configuration = task("Source", "S3", &[("AllowOverrideForS3ObjectKey", allow)]).configuration;
        (provider().takes_revision)(&configuration, kind)
    };
    for allow in ["true", "false", ""] {
        assert_eq!(takes(allow, "S3_OBJECT_VERSION_ID"), Ok(()));
        assert_eq!(takes(allow, "S3_OBJECT_KEY").is_ok(), allow == "true");
        assert!(takes(allow, "COMMIT_ID").is_err());
    }
    assert!(takes("false", "S3_OBJECT_KEY").unwrap_err().contains("AllowOverrideForS3ObjectKey"));
}

#[tokio::test]
async fn the_uploader_s_summary_and_the_etag_are_of_the_revision() {
    let aws = Aws::default();
    aws.object("src/app v1.zip", "v1", b"data");
    let revision = succeeded(&registry(&aws), &source()).await.revision.unwrap();
    assert_eq!(revision.summary.as_deref(), Some("Amazon S3 version id: v1"));
    assert_eq!(revision.change.as_deref(), Some("etag-v1"));
    aws.describe("src/app v1.zip", "codepipeline-artifact-revision-summary", "Faster start");
    let success = succeeded(&registry(&aws), &source()).await;
    assert_eq!(success.revision.unwrap().summary.as_deref(), Some("Faster start"));
    assert_eq!(success.report.summary.as_deref(), Some("Faster start"));
}
