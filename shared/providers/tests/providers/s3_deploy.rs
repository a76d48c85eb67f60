use artifacts::write_zip;
use driver::Task;
use testkit::Aws;

use crate::{failed, input, put_off, registry, succeeded, task};

const INPUT: &str = "store-eu/shop/App/abcdefghijklmnop";

fn deploy(configuration: &[(&str, &str)]) -> Task {
    let mut all = vec![("BucketName", "site")];
    all.extend(configuration);
    let mut task = task("Deploy", "S3", &all);
    task.inputs = vec![input("App")];
    task
}

#[tokio::test]
async fn files_are_unpacked_with_their_content_types_and_settings() {
    let aws = Aws::default();
    let zip = write_zip([("index.html", "<p>"), ("a/ü.css", "p{}"), ("LICENSE", "free")]).unwrap();
    aws.plain_object(INPUT, &zip);
    let task = deploy(&[
        ("Extract", "true"),
        ("ObjectKey", "www/"),
        ("CannedACL", "public-read"),
        ("CacheControl", "public, max-age=60"),
        ("KMSEncryptionKeyARN", "arn:aws:kms:eu-west-1:111122223333:key/site"),
    ]);
    let done = succeeded(&registry(&aws), &task).await;
    assert_eq!(aws.paths("site"), ["www/LICENSE", "www/a/ü.css", "www/index.html"]);
    assert_eq!(aws.stored("site/www/index.html").data, b"<p>");
    assert_eq!(aws.stored("site/www/index.html").headers["content-type"], "text/html");
    assert_eq!(aws.stored("site/www/a/ü.css").headers["content-type"], "text/css");
    for put in aws.calls("PutObject") {
        assert_eq!(put.header("x-amz-acl"), "public-read");
        assert_eq!(put.header("cache-control"), "public, max-age=60");
        assert_eq!(
            put.header("x-amz-server-side-encryption-aws-kms-key-id"),
            "arn:aws:kms:eu-west-1:111122223333:key/site"
        );
        assert_eq!(put.role, "pipeline");
    }
    assert_eq!(done.report.summary.as_deref(), Some("Deployment Succeeded: 3 files"));
    assert_eq!(done.report.external.unwrap().id, "s3://site/www/");
    assert!(done.outputs.is_empty());
}

#[tokio::test]
async fn without_a_prefix_files_lie_at_the_root() {
    let aws = Aws::default();
    aws.plain_object(INPUT, &write_zip([("index.html", "<p>")]).unwrap());
    succeeded(&registry(&aws), &deploy(&[("Extract", "True")])).await;
    assert_eq!(aws.paths("site"), ["index.html"]);
    assert_eq!(aws.calls("PutObject")[0].header("x-amz-acl"), "");
    assert_eq!(aws.calls("PutObject")[0].header("x-amz-server-side-encryption"), "");
}

#[tokio::test]
async fn as_it_is_the_artifact_is_copied_and_every_repetition_finds_the_same_key() {
    let aws = Aws::default();
    aws.plain_object(INPUT, b"anything");
    let mut task = deploy(&[("Extract", "false"), ("ObjectKey", "releases/{datetime}/{uuid}.zip")]);
    let done = succeeded(&registry(&aws), &task).await;
    task.reclaimed = true;
    succeeded(&registry(&aws), &task).await;
    let key = format!("releases/2026-11-23_22-05-09/{}.zip", task.id);
    assert_eq!(aws.paths("site"), [key.as_str()]);
    assert_eq!(aws.calls("CopyObject").len(), 1);
    assert_eq!(aws.stored(&format!("site/{key}")).headers["content-type"], "application/zip");
    assert_eq!(done.report.external.unwrap().id, format!("s3://site/{key}"));
    assert!(aws.calls("GetObject").is_empty());
}

#[tokio::test]
async fn a_bad_zip_deploys_nothing() {
    let good = write_zip([("a.txt", "a"), ("b.txt", "bb".repeat(500).as_str())]).unwrap();
    let named: Vec<u8> = replace(&good, b"a.txt", b"../a1");
    // Behind the names and the flags: inside the compressed bytes of the second file.
    let mut damaged = good.to_vec();
    let at = damaged.windows(5).position(|window| window == b"b.txt").unwrap() + 6;
    damaged[at] ^= 0xff;
    for (bytes, words) in [(b"plain text".to_vec(), "not a zip"), (named, "climbs"), (damaged, "b.txt")] {
        let aws = Aws::default();
        aws.plain_object(INPUT, &bytes);
        let error = failed(&registry(&aws), &deploy(&[("Extract", "true")])).await;
        assert_eq!(error.code, "JobFailed");
        assert!(error.message.contains("input artifact App") && error.message.contains(words), "{}", error.message);
        assert!(aws.calls("PutObject").is_empty());
    }
}

fn replace(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    while let Some(at) = bytes.windows(from.len()).position(|window| window == from) {
        bytes[at..at + to.len()].copy_from_slice(to);
    }
    bytes
}

#[tokio::test]
async fn senseless_settings_are_refused_before_anything_is_done() {
    for (configuration, words) in [
        (&[("Extract", "perhaps")][..], "Extract"),
        (&[("Extract", "true"), ("CannedACL", "everybody")], "everybody"),
        (&[("Extract", "false")], "ObjectKey"),
        (&[("Extract", "false"), ("ObjectKey", "")], "ObjectKey"),
    ] {
        let aws = Aws::default();
        let error = failed(&registry(&aws), &deploy(configuration)).await;
        assert_eq!(error.code, "ConfigurationError");
        assert!(error.message.contains(words), "{}", error.message);
        assert!(aws.calls("PutObject").is_empty() && aws.calls("CopyObject").is_empty());
    }
}

#[tokio::test]
async fn a_missing_bucket_is_named_and_a_busy_one_is_tried_later() {
    let aws = Aws::default();
    aws.plain_object(INPUT, &write_zip([("index.html", "<p>")]).unwrap());
    let answer = |code: &str| format!("<Error><Code>{code}</Code><Message>The words of S3.</Message></Error>");
    aws.on("PutObject", 404, answer("NoSuchBucket"));
    let error = failed(&registry(&aws), &deploy(&[("Extract", "true")])).await;
    assert_eq!(error.code, "ConfigurationError");
    assert!(error.message.contains("s3://site/index.html") && error.message.contains("The words of S3"), "{error:?}");
    aws.on("PutObject", 403, answer("AccessDenied"));
    assert_eq!(failed(&registry(&aws), &deploy(&[("Extract", "true")])).await.code, "PermissionError");
    aws.on("PutObject", 503, answer("SlowDown"));
    assert!(put_off(&registry(&aws), &deploy(&[("Extract", "true")])).await.contains("SlowDown"));
}

#[tokio::test]
async fn a_deployment_into_the_pipeline_s_own_source_succeeds_with_a_warning() {
    let aws = Aws::default();
    aws.plain_object(INPUT, &write_zip([("app.zip", "a"), ("b", "b")]).unwrap());
    let warned = async |configuration: &[(&str, &str)]| {
        let mut task = deploy(configuration);
        task.watched = vec!["s3/site/www/app.zip".into()];
        let summary = succeeded(&registry(&aws), &task).await.report.summary.unwrap();
        assert!(summary.starts_with("Deployment Succeeded"), "{summary}");
        summary.contains("s3://site/www/app.zip is the source of this pipeline")
    };
    assert!(warned(&[("Extract", "true"), ("ObjectKey", "www")]).await);
    assert!(warned(&[("Extract", "false"), ("ObjectKey", "www/app.zip")]).await);
    assert!(!warned(&[("Extract", "true"), ("ObjectKey", "other")]).await);
    assert!(!warned(&[("Extract", "false"), ("ObjectKey", "app.zip")]).await);
}
