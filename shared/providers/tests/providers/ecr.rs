use artifacts::write_zip;
use aws_lambda_events::eventbridge::EventBridgeEvent;
use driver::Task;
use engine::{RevisionOverride, Timestamp};
use providers::{Source, SourceChange};
use serde::Deserialize;
use serde_json::{Value, json};
use testkit::Aws;

use crate::{artifact, failed, put_off, registry, succeeded, task};

const DIGEST: &str = "sha256:7f5b2640fe6fb4f46592dfd3410c4a79dac4f89e4782432e0378abcd1234abcd";
const URI: &str = "444455556666.dkr.ecr.eu-west-1.amazonaws.com/team/shop";

fn source(configuration: &[(&str, &str)]) -> Task {
    let mut task = task("Source", "ECR", configuration);
    task.outputs = vec![artifact("Image")];
    task
}

fn prescribed(kind: &str, value: &str) -> Task {
    let mut task = source(&[("RepositoryName", "team/shop")]);
    let action = task.action.name.clone();
    task.overrides.push(RevisionOverride::new(action, kind, value));
    task
}

/// AWS whose repository has one image, whatever it is asked for.
fn pushed() -> Aws {
    let aws = Aws::default();
    let image = json!({"registryId": "444455556666", "repositoryName": "team/shop", "imageDigest": DIGEST,
        "imageTags": ["latest", "v7"], "imageSizeInBytes": 44_728_918, "imagePushedAt": 1_548_101_040.5});
    aws.on("DescribeImages", 200, json!({"imageDetails": [image]}).to_string());
    aws
}

fn asked(aws: &Aws) -> Value {
    aws.calls("DescribeImages").pop().unwrap().json()
}

#[tokio::test]
async fn the_image_of_a_tag_is_described_in_a_file_as_aws_does() {
    let aws = pushed();
    let done = succeeded(&registry(&aws), &source(&[("RepositoryName", "team/shop"), ("ImageTag", "v7")])).await;
    assert_eq!(asked(&aws), json!({"repositoryName": "team/shop", "imageIds": [{"imageTag": "v7"}]}));
    let call = &aws.calls("DescribeImages")[0];
    assert_eq!((call.role.as_str(), call.region.as_str()), ("pipeline", "eu-west-1"));

    let put = &aws.calls("PutObject")[0];
    assert_eq!((put.role.as_str(), put.path.as_str()), ("pipeline", "store-eu/shop/Image/abcdefghijklmnop"));
    let file = format!(
        r#"{{
  "ImageSizeInBytes": "44728918",
  "ImageDigest": "{DIGEST}",
  "Version": "1.0",
  "ImagePushedAt": "Mon Jan 21 20:04:00 UTC 2019",
  "RegistryId": "444455556666",
  "RepositoryName": "team/shop",
  "ImageURI": "{URI}@{DIGEST}",
  "ImageTags": [
    "latest",
    "v7"
  ]
}}"#
    );
    assert_eq!(put.body, write_zip([("imageDetail.json", file.as_str())]).unwrap());
    assert_eq!(done.outputs, [crate::made("Image", &put.body)]);

    let variable = |name: &str| done.variables.get(name).map(String::as_str);
    assert_eq!(done.variables.len(), 5);
    assert_eq!(variable("RegistryId"), Some("444455556666"));
    assert_eq!(variable("RepositoryName"), Some("team/shop"));
    assert_eq!(variable("ImageDigest"), Some(DIGEST));
    assert_eq!(variable("ImageTag"), Some("v7"));
    assert_eq!(variable("ImageURI"), Some(format!("{URI}@{DIGEST}").as_str()));
    let revision = done.revision.unwrap();
    assert_eq!((revision.id.as_str(), revision.summary.as_deref()), (DIGEST, Some("team/shop:v7")));
    assert_eq!(revision.created, Some(Timestamp(1_548_101_040_500)));
    let page = format!(
        "https://eu-west-1.console.aws.amazon.com/ecr/repositories/private/444455556666/team/shop/_/image/{DIGEST}/details?region=eu-west-1"
    );
    assert_eq!(revision.url, Some(page));
}

#[tokio::test]
async fn where_no_tag_is_named_latest_is_meant() {
    for configuration in [&[("RepositoryName", "r")][..], &[("RepositoryName", "r"), ("ImageTag", "")]] {
        let aws = pushed();
        let done = succeeded(&registry(&aws), &source(configuration)).await;
        assert_eq!(asked(&aws)["imageIds"], json!([{"imageTag": "latest"}]));
        assert_eq!(done.variables["ImageTag"], "latest");
        let action = source(configuration).action;
        assert_eq!((provider().watched)(&action, "eu-west-1").as_deref(), Some("ecr/eu-west-1/r:latest"));
    }
}

#[tokio::test]
async fn a_prescribed_digest_is_taken_and_nothing_else() {
    let aws = pushed();
    succeeded(&registry(&aws), &prescribed("IMAGE_DIGEST", DIGEST)).await;
    assert_eq!(asked(&aws)["imageIds"], json!([{"imageDigest": DIGEST}]));
    let error = failed(&registry(&aws), &prescribed("COMMIT_ID", "abc")).await;
    assert_eq!(error.code, "ConfigurationError");
    assert!(error.message.contains("COMMIT_ID") && error.message.contains("takes IMAGE_DIGEST"), "{}", error.message);
    let takes = |kind: &str| (provider().takes_revision)(&task("Source", "ECR", &[]).configuration, kind);
    assert!(takes("IMAGE_DIGEST").is_ok() && takes("S3_OBJECT_VERSION_ID").is_err());
}

#[tokio::test]
async fn what_is_missing_or_forbidden_is_named_and_what_passes_is_put_off() {
    let aws = Aws::default();
    let tagged = source(&[("RepositoryName", "team/shop"), ("ImageTag", "v7")]);
    let cases = [
        ("ImageNotFoundException", 400, "ConfigurationError"),
        ("RepositoryNotFoundException", 400, "ConfigurationError"),
        ("InvalidParameterException", 400, "ConfigurationError"),
        ("AccessDeniedException", 400, "PermissionError"),
    ];
    for (exception, status, code) in cases {
        aws.fail("DescribeImages", status, exception, "the words of ECR");
        let error = failed(&registry(&aws), &tagged).await;
        let expected =
            format!("DescribeImages of the image team/shop:v7 in eu-west-1 failed: {exception}: the words of ECR");
        assert_eq!((error.code.as_str(), error.message), (code, expected));
    }
    aws.fail("DescribeImages", 400, "ImageNotFoundException", "the words of ECR");
    let error = failed(&registry(&aws), &prescribed("IMAGE_DIGEST", DIGEST)).await;
    assert_eq!(error.code, "RevisionUnavailable");
    assert!(error.message.contains(&format!("team/shop@{DIGEST}")), "{}", error.message);
    // What emulators answer instead.
    aws.on("DescribeImages", 200, r#"{"imageDetails": []}"#);
    assert_eq!(failed(&registry(&aws), &prescribed("IMAGE_DIGEST", DIGEST)).await.code, "RevisionUnavailable");
    let error = failed(&registry(&aws), &tagged).await;
    assert_eq!(error.code, "ConfigurationError");
    assert!(error.message.contains("team/shop:v7 in eu-west-1"), "{}", error.message);
    for (exception, status) in [("ServerException", 500), ("ThrottlingException", 400)] {
        aws.fail("DescribeImages", status, exception, "Later.");
        assert!(put_off(&registry(&aws), &tagged).await.contains("team/shop:v7"));
    }
    assert!(aws.calls("PutObject").is_empty());
}

fn provider() -> Source {
    providers::find(&task("Source", "ECR", &[]).action).unwrap().source.unwrap()
}

/// Source: Amazon ECR user guide, 'Amazon ECR events and EventBridge'.
fn event(detail: Value) -> EventBridgeEvent<Value> {
    let event = json!({"version": "0", "id": "13cde686", "detail-type": "ECR Image Action", "source": "aws.ecr",
        "account": "444455556666", "time": "2019-11-16T01:54:34Z", "region": "eu-west-1", "resources": [],
        "detail": detail});
    EventBridgeEvent::deserialize(event).unwrap()
}

#[test]
fn a_push_of_the_tag_starts_who_watches_it_with_the_digest_that_was_pushed() {
    let push = json!({"result": "SUCCESS", "repository-name": "team/shop", "image-digest": DIGEST,
        "action-type": "PUSH", "image-tag": "v7"});
    let change = SourceChange {
        watched: "ecr/eu-west-1/team/shop:v7".into(),
        account: Some("444455556666".into()),
        revision: Some(("IMAGE_DIGEST", DIGEST.into())),
        token: "ecr#13cde686".into(),
        detail: format!("{URI}:v7"),
    };
    assert_eq!((provider().events.unwrap().change)(&event(push)).unwrap(), Some(change.clone()));
    let action = task("Source", "ECR", &[("RepositoryName", "team/shop"), ("ImageTag", "v7")]).action;
    assert_eq!((provider().watched)(&action, "eu-west-1"), Some(change.watched));
}

#[test]
fn what_is_no_push_of_a_tag_starts_nobody() {
    let untagged = json!({"result": "SUCCESS", "repository-name": "r", "image-digest": DIGEST, "action-type": "PUSH"});
    assert_eq!((provider().events.unwrap().change)(&event(untagged)).unwrap().unwrap().watched, "ecr/eu-west-1/r:");
    for (result, action) in [("SUCCESS", "DELETE"), ("FAILURE", "PUSH")] {
        let other = json!({"result": result, "repository-name": "r", "image-digest": DIGEST, "action-type": action,
            "image-tag": "latest"});
        assert_eq!((provider().events.unwrap().change)(&event(other)).unwrap(), None, "{result} {action}");
    }
    let nameless = json!({"result": "SUCCESS", "repository-name": "r", "action-type": "PUSH", "image-tag": "latest"});
    assert!((provider().events.unwrap().change)(&event(nameless)).unwrap_err().to_string().contains("image-digest"));
}
