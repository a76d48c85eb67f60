//! What is asked of S3, what is made of its answers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod fake;
mod pins;
mod remote_zip;

use artifacts::{Content, CopyOutcome, Encryption, Error, Settings, replicate};
use engine::Pin;
use fake::{Fake, Fault, SMALL};
use testkit::sha256;

const DENIED: &str = "<Error><Code>AccessDenied</Code><Message>User: arn:aws:iam::1:role/r is not authorized to perform: s3:PutObject</Message></Error>";
const BUSY: &str = "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>";

fn kms() -> Settings {
    Settings::encrypted(Encryption::key("arn:aws:kms:eu-west-1:1:key/k"))
}

async fn as_file(fake: &Fake, data: &[u8]) -> Content {
    fake.add("lab/file", data);
    Content::File(fake.bucket("lab", "eu-west-1").download("file", &Pin::default(), u64::MAX).await.unwrap())
}

#[tokio::test]
async fn a_small_object_is_put_at_once_and_encrypted() {
    let fake = Fake::default();
    let store = fake.bucket("store", "eu-west-1");
    for (content, settings, key) in [
        (Content::from(b"memory".to_vec()), kms(), "arn:aws:kms:eu-west-1:1:key/k"),
        (as_file(&fake, b"memory").await, Settings::encrypted(Encryption::default()), "alias/aws/s3"),
    ] {
        store.put("p/a/1", &content, &settings).await.unwrap();
        let call = fake.with(|state| state.of("PutObject").pop().unwrap());
        assert_eq!((call.path.as_str(), call.body.as_slice()), ("store/p/a/1", b"memory".as_slice()));
        assert_eq!(call.header("x-amz-server-side-encryption"), "aws:kms");
        assert_eq!(call.header("x-amz-server-side-encryption-aws-kms-key-id"), key);
    }
}

#[tokio::test]
async fn settings_reach_s3_and_nothing_is_said_that_was_not_asked_for() {
    let fake = Fake::default();
    let settings = Settings {
        content_type: Some("text/html".into()),
        cache_control: Some("no-store".into()),
        acl: Some("public-read".into()),
        metadata: [("who".to_owned(), "me".to_owned())].into(),
        encryption: None,
    };
    let site = fake.bucket("site", "eu-west-1");
    site.put("index.html", &Content::from(b"<p>".to_vec()), &settings).await.unwrap();
    site.put("plain", &Content::from(b"x".to_vec()), &Settings::default()).await.unwrap();
    let calls = fake.with(|state| state.of("PutObject"));
    let sent = ["content-type", "cache-control", "x-amz-acl", "x-amz-meta-who"].map(|name| calls[0].header(name));
    assert_eq!(sent, ["text/html", "no-store", "public-read", "me"]);
    for name in ["cache-control", "x-amz-acl", "x-amz-server-side-encryption"] {
        assert_eq!(calls[1].header(name), "", "{name}");
    }
}

#[tokio::test]
async fn a_large_object_goes_in_parts_from_memory_and_from_a_file() {
    let fake = Fake::default();
    let data = b"0123456789abcdef-rest";
    for content in [Content::from(data.to_vec()), as_file(&fake, data).await] {
        fake.with(|state| state.calls.clear());
        fake.bucket("store", "eu-west-1").put("p/a/1", &content, &kms()).await.unwrap();
        fake.with(|state| {
            assert_eq!(state.objects["store/p/a/1"].data, data);
            assert_eq!(state.of("UploadPart").len(), 6);
            let begun = state.of("CreateMultipartUpload").pop().unwrap();
            assert_eq!(begun.header("x-amz-server-side-encryption"), "aws:kms");
            assert_eq!(begun.header("x-amz-server-side-encryption-aws-kms-key-id"), "arn:aws:kms:eu-west-1:1:key/k");
            state.objects.remove("store/p/a/1");
        });
    }
}

#[tokio::test]
async fn a_failed_part_takes_the_upload_back() {
    for failing in ["UploadPart", "CompleteMultipartUpload"] {
        let fake = Fake::default();
        fake.fault(failing, "store", Fault::Answer(403, DENIED));
        let store = fake.bucket("store", "eu-west-1");
        let error = store.put("p/a/1", &Content::from(vec![1; 30]), &kms()).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "{failing} of s3://store/p/a/1 (eu-west-1) failed: AccessDenied: User: arn:aws:iam::1:role/r is not \
                 authorized to perform: s3:PutObject (HTTP 403, request id REQUEST1)"
            )
        );
        assert!(error.is_denied() && !error.is_retryable());
        assert_eq!(fake.with(|state| state.open_uploads()), 0);
    }
}

#[tokio::test]
async fn reading_stops_at_the_limit() {
    let fake = Fake::default();
    fake.add("store/p/a/1", b"12345");
    let store = fake.bucket("store", "us-west-2");
    assert_eq!(store.read("p/a/1", &Pin::default(), 5).await.unwrap(), "12345");
    let file = store.download("p/a/1", &Pin::default(), 5).await.unwrap();
    assert_eq!((std::fs::read(file.path()).unwrap(), file.size()), (b"12345".to_vec(), 5));
    let path = file.path().to_owned();
    drop(file);
    assert!(!path.exists());
    for error in [
        store.read("p/a/1", &Pin::default(), 4).await.unwrap_err(),
        store.download("p/a/1", &Pin::default(), 4).await.unwrap_err(),
    ] {
        let text = "s3://store/p/a/1 (us-west-2) has 5 bytes, more than the 4 that are allowed here";
        assert_eq!(error.to_string(), text);
        assert!(!error.is_retryable());
    }
    // Without a length in the answer the bytes are counted all the same.
    fake.fault("GetObject", "store/p/a/2", Fault::Answer(200, "123456"));
    assert!(matches!(store.read("p/a/2", &Pin::default(), 5).await, Err(Error::TooLarge { size: 6, limit: 5, .. })));
    assert!(matches!(
        store.download("p/a/2", &Pin::default(), 5).await,
        Err(Error::TooLarge { size: 6, limit: 5, .. })
    ));
}

#[tokio::test]
async fn a_version_is_asked_for_by_its_id() {
    let fake = Fake::default();
    fake.add("sources/app.zip", b"1");
    let sources = fake.bucket("sources", "eu-west-1");
    sources.head("app.zip", Some("v/1")).await.unwrap();
    sources.read("app.zip", &Pin { version: Some("v/1".into()), sha256: None }, 9).await.unwrap();
    fake.with(|state| assert!(state.calls.iter().all(|call| call.query["versionId"] == "v/1")));
}

#[tokio::test]
async fn a_copy_is_made_inside_s3_and_found_the_next_time() {
    let fake = Fake::default();
    let etag = fake.add("sources/a b/ü+x.zip", b"small");
    let mut source = fake.bucket("sources", "us-west-2").head("a b/ü+x.zip", None).await.unwrap();
    source.version_id = Some("v+1".into());
    let store = fake.bucket("store", "eu-west-1");
    fake.with(|state| state.calls.clear());
    assert_eq!(store.copy(&source, "p/a/1", &kms()).await.unwrap(), CopyOutcome::Copied);
    let call = fake.with(|state| state.of("CopyObject").pop().unwrap());
    for (header, value) in [
        ("x-amz-copy-source", "sources/a%20b/%C3%BC%2Bx.zip?versionId=v%2B1"),
        ("x-amz-copy-source-if-match", etag.as_str()),
        ("x-amz-metadata-directive", "REPLACE"),
        ("x-amz-tagging-directive", "REPLACE"),
        ("x-amz-server-side-encryption", "aws:kms"),
        ("x-amz-server-side-encryption-aws-kms-key-id", "arn:aws:kms:eu-west-1:1:key/k"),
        ("x-amz-meta-millrace-source-bucket", "sources"),
        ("x-amz-meta-millrace-source-version", "v+1"),
    ] {
        assert_eq!(call.header(header), value, "{header}");
    }

    fake.with(|state| state.calls.clear());
    assert_eq!(store.copy(&source, "p/a/1", &kms()).await.unwrap(), CopyOutcome::Found);
    assert_eq!(fake.with(|state| state.operations()), ["HeadObject"]);
    // Another version, another key: another copy.
    source.version_id = Some("v2".into());
    assert_eq!(store.copy(&source, "p/a/1", &kms()).await.unwrap(), CopyOutcome::Copied);
    let other = Settings::encrypted(Encryption::default());
    assert_eq!(store.copy(&source, "p/a/1", &other).await.unwrap(), CopyOutcome::Copied);
    assert_eq!(store.copy(&source, "p/a/1", &other).await.unwrap(), CopyOutcome::Found);
    // Something else under the name is no copy.
    fake.add("store/p/a/1", b"SMALL");
    assert_eq!(store.copy(&source, "p/a/1", &other).await.unwrap(), CopyOutcome::Copied);
}

#[tokio::test]
async fn a_large_artifact_is_replicated_in_parts_that_no_function_sees() {
    let fake = Fake::default();
    let data = b"0123456789abcdef-rest";
    let etag = fake.add("home/p/a/1", data);
    let (home, away) = (fake.bucket("home", "eu-west-1"), fake.bucket("away", "us-west-2"));
    let key = Encryption::key("arn:aws:kms:us-west-2:1:key/w");
    let made = replicate(&home, &away, "p/a/1", &Pin::default(), &key).await.unwrap();
    assert_eq!(made.outcome, CopyOutcome::Copied);
    fake.with(|state| {
        assert_eq!(state.objects["away/p/a/1"].data, data);
        let begun = state.of("CreateMultipartUpload").pop().unwrap();
        assert_eq!(begun.header("x-amz-server-side-encryption-aws-kms-key-id"), key.key_id());
        assert_eq!(begun.header("host"), "us-west-2.s3.test");
        let mut ranges: Vec<String> = Vec::new();
        for call in state.of("UploadPartCopy") {
            assert_eq!(call.header("x-amz-copy-source"), "home/p/a/1");
            assert_eq!(call.header("x-amz-copy-source-if-match"), etag);
            assert!(call.body.is_empty());
            ranges.push(call.header("x-amz-copy-source-range").to_owned());
        }
        ranges.sort_by_key(|range| range.len());
        assert_eq!(ranges, ["bytes=0-3", "bytes=4-7", "bytes=8-11", "bytes=12-15", "bytes=16-19", "bytes=20-20"]);
        assert!(state.of("GetObject").is_empty() && state.of("PutObject").is_empty());
        state.calls.clear();
    });
    // What has been copied in the same parts has the same checksum over them.
    assert!(made.pin.sha256.as_ref().unwrap().ends_with("-6"));
    let again = replicate(&home, &away, "p/a/1", &made.pin, &key).await.unwrap();
    assert_eq!(again.outcome, CopyOutcome::Found);
    assert_eq!(fake.with(|state| state.operations()), ["HeadObject"]);
    assert_eq!(SMALL.threshold, 10, "this test is about an object above the threshold");
}

#[tokio::test]
async fn a_failed_copy_of_a_part_takes_the_upload_back_and_says_which() {
    let fake = Fake::default();
    fake.add("home/p/a/1", &[1; 12]);
    fake.fault("UploadPartCopy", "away", Fault::Answer(503, BUSY));
    let (home, away) = (fake.bucket("home", "eu-west-1"), fake.bucket("away", "us-west-2"));
    let error = replicate(&home, &away, "p/a/1", &Pin::default(), &Encryption::default()).await.unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("UploadPartCopy of part "), "{text}");
    assert!(text.ends_with(
        " of s3://home/p/a/1 (eu-west-1) to s3://away/p/a/1 (us-west-2) failed: SlowDown: Please reduce your request \
         rate. (HTTP 503, request id REQUEST1)"
    ), "{text}");
    assert!(error.is_retryable());
    fake.with(|state| {
        assert_eq!(state.open_uploads(), 0);
        assert!(!state.objects.contains_key("away/p/a/1"));
    });
}

#[tokio::test]
async fn an_upload_that_is_gone_because_it_is_complete_is_complete() {
    const GONE: &str =
        "<Error><Code>NoSuchUpload</Code><Message>The specified upload does not exist.</Message></Error>";
    let fake = Fake::default();
    fake.fault("CompleteMultipartUpload", "store/p/a/1", Fault::AfterWork(404, GONE));
    fake.fault("CompleteMultipartUpload", "store/p/a/2", Fault::Answer(404, GONE));
    let store = fake.bucket("store", "eu-west-1");
    store.put("p/a/1", &Content::from(vec![1; 30]), &kms()).await.unwrap();
    let error = store.put("p/a/2", &Content::from(vec![1; 30]), &kms()).await.unwrap_err();
    assert!(error.to_string().contains("NoSuchUpload: The specified upload does not exist."), "{error}");
}

#[tokio::test]
async fn an_object_replaced_meanwhile_is_refused_and_may_be_tried_again() {
    let fake = Fake::default();
    fake.add("sources/app.zip", b"one");
    let source = fake.bucket("sources", "eu-west-1").head("app.zip", None).await.unwrap();
    fake.add("sources/app.zip", b"two");
    let error = fake.bucket("store", "eu-west-1").copy(&source, "p/a/1", &kms()).await.unwrap_err();
    assert!(error.to_string().contains("PreconditionFailed"), "{error}");
    assert!(error.is_retryable() && !error.is_not_found());
}

#[tokio::test]
async fn who_may_write_but_not_look_can_copy() {
    let fake = Fake::default();
    fake.add("home/p/a/1", b"small");
    fake.fault("HeadObject", "away", Fault::Answer(403, ""));
    let (home, away) = (fake.bucket("home", "eu-west-1"), fake.bucket("away", "us-west-2"));
    let recorded = Pin { version: None, sha256: Some(sha256(b"small")) };
    let error = replicate(&home, &away, "p/a/1", &recorded, &Encryption::default()).await.unwrap_err();
    assert!(error.is_changed(), "a source that has lost its checksum is another object: {error}");
    let replica = replicate(&home, &away, "p/a/1", &Pin::default(), &Encryption::default()).await.unwrap();
    assert_eq!(replica.outcome, CopyOutcome::Copied);
    // But a source that may not be looked at is an error, about the source.
    let error = replicate(&away, &home, "p/a/1", &Pin::default(), &Encryption::default()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "HeadObject of s3://away/p/a/1 (us-west-2) failed: access denied, or the object is not there and listing the \
         bucket is not allowed (HTTP 403, request id REQUEST1)"
    );
    assert!(error.is_denied());
}

#[tokio::test]
async fn an_error_inside_a_success_is_an_error() {
    let fake = Fake::default();
    fake.add("home/p/a/1", b"small");
    fake.fault(
        "CopyObject",
        "away",
        Fault::Answer(
            200,
            "<Error><Code>InternalError</Code><Message>We encountered an internal error.</Message></Error>",
        ),
    );
    let (home, away) = (fake.bucket("home", "eu-west-1"), fake.bucket("away", "us-west-2"));
    let error = replicate(&home, &away, "p/a/1", &Pin::default(), &Encryption::default()).await.unwrap_err();
    assert!(error.to_string().contains("InternalError: We encountered an internal error."), "{error}");
    assert!(error.is_retryable(), "{error:?}");
    fake.with(|state| state.faults[0].2 = Fault::Answer(200, ""));
    let error = replicate(&home, &away, "p/a/1", &Pin::default(), &Encryption::default()).await.unwrap_err();
    assert!(error.is_retryable() && error.to_string().starts_with("CopyObject of s3://home/p/a/1"), "{error}");
}

#[tokio::test]
async fn what_is_missing_or_out_of_reach_is_said_in_plain_words() {
    let fake = Fake::default();
    let store = fake.bucket("store", "eu-west-1");
    let error = store.download("p/a/1", &Pin::default(), 1).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "GetObject of s3://store/p/a/1 (eu-west-1) failed: NoSuchKey: The specified key does not exist. \
         (HTTP 404, request id REQUEST1)"
    );
    assert!(error.is_not_found() && !error.is_retryable());
    // HEAD cannot say what is missing: GET is asked.
    let error = store.head("p/a/1", None).await.unwrap_err();
    assert!(error.is_not_found() && error.to_string().contains("(eu-west-1) failed: NoSuchKey: "), "{error}");
    let bucket = "<Error><Code>NoSuchBucket</Code><Message>The specified bucket does not exist</Message></Error>";
    fake.fault("GetObject", "store/p/a/2", Fault::Answer(404, bucket));
    assert!(store.head("p/a/2", None).await.unwrap_err().to_string().contains("NoSuchBucket: "));
    let version = "<Error><Code>NoSuchVersion</Code><Message>The specified version does not exist.</Message></Error>";
    fake.fault("GetObject", "store/p/a/3", Fault::Answer(404, version));
    let error = store.head("p/a/3", Some("v9")).await.unwrap_err();
    assert!(error.to_string().contains("p/a/3 (eu-west-1) version v9 failed: NoSuchVersion: "), "{error}");
    fake.fault("GetObject", "store/p/a/4", Fault::Answer(403, ""));
    let error = store.head("p/a/4", None).await.unwrap_err();
    assert!(error.is_not_found() && error.to_string().contains("S3 does not say which"), "{error}");

    for (path, status, body, words, again) in [
        ("store/1", 400, "<Error><Code>Odd</Code></Error>", "Odd: S3 gave no reason for status 400", false),
        ("store/2", 500, "<html>gateway</html>", "S3 gave no reason for status 500", true),
        (
            "store/3",
            400,
            "<Error><Code>ExpiredToken</Code><Message>Expired.</Message></Error>",
            "ExpiredToken: Expired.",
            true,
        ),
        ("store/4", 400, "<Error><Code>KMS.ThrottlingException</Code><Message>Slow.</Message></Error>", "Slow.", true),
        (
            "store/5",
            400,
            "<Error><Code>KMS.DisabledException</Code><Message>key is disabled.</Message></Error>",
            "disabled",
            false,
        ),
    ] {
        fake.fault("GetObject", path, Fault::Answer(status, body));
        let error = store.read(&path[6..], &Pin::default(), 1).await.unwrap_err();
        let text = error.to_string();
        assert!(text.contains(words) && !text.contains("unhandled"), "{text}");
        assert_eq!(error.is_retryable(), again, "{text}");
    }

    fake.fault("PutObject", "store", Fault::NoConnection);
    let error = store.put("p/a/1", &Content::from(b"x".to_vec()), &kms()).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("connection refused by the test"), "{text}");
    assert!(!text.contains('{') && !text.contains("unhandled"), "{text}");
    assert!(error.is_retryable());
}
