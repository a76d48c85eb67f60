use driver::ActionExecutor;
use testkit::Aws;

use crate::{failed, input, registry, task};

#[tokio::test]
async fn a_type_that_is_not_built_says_so_and_asks_nobody() {
    let aws = Aws::default();
    let mut ecs = task("Deploy", "ECS", &[]);
    ecs.inputs = vec![input("App")];
    let error = failed(&registry(&aws), &ecs).await;
    assert_eq!(error.code, "ConfigurationError");
    assert_eq!(error.message, "Millrace does not run Deploy/ECS actions yet (owner AWS, version 1)");
    let mut foreign = task("Invoke", "Lambda", &[]);
    foreign.action.type_id.owner = Some("ThirdParty".into());
    assert!(failed(&registry(&aws), &foreign).await.message.contains("owner ThirdParty"));
    assert!(registry(&aws).cancel(&ecs).await.is_ok());
    assert!(aws.operations().is_empty());
}

#[tokio::test]
async fn a_role_that_cannot_be_assumed_is_named() {
    let aws = Aws::default();
    let mut source = task("Source", "S3", &[("S3Bucket", "src"), ("S3ObjectKey", "app.zip")]);
    source.outputs = vec![crate::artifact("App")];
    source.pipeline_role = "arn:aws:iam::111122223333:role/forbidden".into();
    let error = failed(&registry(&aws), &source).await;
    assert_eq!(error.code, "PermissionError");
    assert!(error.message.contains("role/forbidden") && error.message.contains("the words of STS"), "{error:?}");
    assert_eq!(aws.operations(), ["AssumeRole"]);
}

#[tokio::test]
async fn an_input_from_another_region_is_copied_first_under_the_pipelines_role() {
    let aws = Aws::default();
    aws.plain_object("store-us/shop/App/abcdefghijklmnop", b"not read here");
    let mut deploy = task("Deploy", "S3", &[("BucketName", "site"), ("Extract", "false"), ("ObjectKey", "app.bin")]);
    let mut it = input("App");
    it.artifact.region = "us-west-2".into();
    it.artifact.bucket = "store-us".into();
    it.key_id = Some("arn:aws:kms:eu-west-1:111122223333:key/k".into());
    deploy.inputs = vec![it];
    deploy.action_role = Some("arn:aws:iam::444455556666:role/deployer".into());
    crate::succeeded(&registry(&aws), &deploy).await;
    let copies = aws.calls("CopyObject");
    assert_eq!(copies.len(), 2);
    assert_eq!((copies[0].role.as_str(), copies[0].region.as_str()), ("pipeline", "eu-west-1"));
    assert_eq!(copies[0].path, "store-eu/shop/App/abcdefghijklmnop");
    assert_eq!(
        copies[0].header("x-amz-server-side-encryption-aws-kms-key-id"),
        "arn:aws:kms:eu-west-1:111122223333:key/k"
    );
    assert_eq!((copies[1].role.as_str(), copies[1].path.as_str()), ("deployer", "site/app.bin"));
    let heads = aws.calls("HeadObject");
    assert_eq!((heads[0].role.as_str(), heads[0].region.as_str()), ("pipeline", "us-west-2"));
}
