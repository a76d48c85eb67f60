//! Artifacts are what they were, whatever is stored under their keys later.

use artifacts::{Bucket, CopyOutcome, Encryption, Error, Settings, ZipBuilder, replicate};
use bytes::Bytes;
use engine::Pin;
use testkit::sha256;

use crate::fake::Fake;

const KEY: &str = "p/a/1";

/// A fake with versions or without, the store of its home region, and that of another.
fn stores(versioned: bool) -> (Fake, Bucket, Bucket) {
    let fake = Fake::default();
    fake.with(|state| state.versioned = versioned);
    let (home, away) = (fake.bucket("home", "eu-west-1"), fake.bucket("away", "us-west-2"));
    (fake, home, away)
}

async fn artifact(home: &Bucket) -> Pin {
    home.put_artifact(KEY, Bytes::from("good"), &Encryption::default()).await.unwrap()
}

#[tokio::test]
async fn an_artifact_is_recorded_with_its_version_and_the_sha256_that_s3_checks() {
    let (fake, home, _) = stores(true);
    let pin = artifact(&home).await;
    assert_eq!(pin, Pin { version: Some("version-1".into()), sha256: Some(sha256(b"good")) });
    let put = fake.with(|state| state.of("PutObject").pop().unwrap());
    assert_eq!(put.header("x-amz-checksum-sha256"), sha256(b"good"));
    assert_eq!(put.header("x-amz-server-side-encryption"), "aws:kms");
}

#[tokio::test]
async fn an_artifact_in_temporary_storage_is_recorded_and_checked_in_the_same_way() {
    let (fake, home, _) = stores(true);
    let zip = ZipBuilder::new("the tree", 1 << 20).unwrap();
    let file = zip.file("a".into(), false, Bytes::from("text")).await.unwrap().finish().await.unwrap();
    let content = std::fs::read(file.path()).unwrap();
    let pin = home.put_artifact(KEY, file, &Encryption::default()).await.unwrap();
    assert_eq!(pin, Pin { version: Some("version-1".into()), sha256: Some(sha256(&content)) });
    let put = fake.with(|state| state.of("PutObject").pop().unwrap());
    assert_eq!(put.header("x-amz-checksum-sha256"), sha256(&content));
    fake.with(|state| assert_eq!(state.objects["home/p/a/1"].data, content));
}

#[tokio::test]
async fn every_reader_gets_the_recorded_version_whatever_was_stored_later() {
    let (fake, home, _) = stores(true);
    let pin = artifact(&home).await;
    fake.add("home/p/a/1", b"evil");
    assert_eq!(home.read(KEY, &pin, 9).await.unwrap(), "good");
    let file = home.download(KEY, &pin, 9).await.unwrap();
    assert_eq!(std::fs::read(file.path()).unwrap(), b"good");
    let site = fake.bucket("site", "eu-west-1");
    let found = home.find(KEY, &pin).await.unwrap();
    site.copy(&found, "app.zip", &Settings::default()).await.unwrap();
    fake.with(|state| assert_eq!(state.objects["site/app.zip"].data, b"good"));
}

#[tokio::test]
async fn without_versions_another_content_is_refused_and_changes_nothing() {
    let (fake, home, away) = stores(false);
    let pin = artifact(&home).await;
    assert_eq!(home.read(KEY, &pin, 9).await.unwrap(), "good");
    fake.add("home/p/a/1", b"evil");
    fake.with(|state| state.calls.clear());
    let errors = [
        home.read(KEY, &pin, 9).await.unwrap_err(),
        home.download(KEY, &pin, 9).await.unwrap_err(),
        home.find(KEY, &pin).await.unwrap_err(),
        home.check_newest(KEY, &pin).await.unwrap_err(),
        replicate(&home, &away, KEY, &pin, &Encryption::default()).await.unwrap_err(),
    ];
    for error in errors {
        assert!(error.is_changed() && !error.is_retryable(), "{error}");
        assert_eq!(error.failure_type(), Some("RevisionOutOfSync"));
        let words = format!(
            "s3://home/p/a/1 (eu-west-1) is not the artifact that was recorded when the action that made it ended: its \
             SHA-256 was {} and is ",
            sha256(b"good")
        );
        assert!(error.to_string().starts_with(&words), "{error}");
    }
    let writes = ["PutObject", "CopyObject", "CreateMultipartUpload"];
    assert!(fake.with(|state| state.operations()).iter().all(|operation| !writes.contains(operation)));
}

#[tokio::test]
async fn a_version_that_is_gone_is_not_replaced_by_another() {
    let (fake, home, _) = stores(true);
    artifact(&home).await;
    let gone = Pin { version: Some("version-9".into()), sha256: Some(sha256(b"good")) };
    assert!(home.find(KEY, &gone).await.unwrap_err().is_not_found());
    assert!(home.read(KEY, &gone, 9).await.unwrap_err().is_not_found());
    assert_eq!(fake.with(|state| state.of("PutObject").len()), 1);
}

#[tokio::test]
async fn a_replica_is_taken_only_if_it_is_the_artifact() {
    for versioned in [true, false] {
        let (fake, home, away) = stores(versioned);
        let pin = artifact(&home).await;
        let made = replicate(&home, &away, KEY, &pin, &Encryption::default()).await.unwrap();
        assert_eq!((made.outcome, &made.pin.sha256), (CopyOutcome::Copied, &pin.sha256));
        let found = replicate(&home, &away, KEY, &pin, &Encryption::default()).await.unwrap();
        assert_eq!((found.outcome, &found.pin), (CopyOutcome::Found, &made.pin));
        // Metadata can be forged; a replica that differs is made again, and read by its own version.
        let metadata = fake.with(|state| state.objects["away/p/a/1"].headers.clone());
        fake.add("away/p/a/1", b"evil");
        fake.with(|state| state.objects.get_mut("away/p/a/1").unwrap().headers = metadata);
        let again = replicate(&home, &away, KEY, &pin, &Encryption::default()).await.unwrap();
        assert_eq!(again.outcome, CopyOutcome::Copied);
        assert_eq!(away.read(KEY, &again.pin, 9).await.unwrap(), "good");
        fake.add("away/p/a/1", b"evil");
        match away.read(KEY, &again.pin, 9).await {
            Ok(bytes) => assert!(versioned && bytes == "good"),
            Err(error) => assert!(!versioned && error.is_changed(), "{error}"),
        }
    }
}

#[tokio::test]
async fn without_a_recorded_sha256_no_replica_is_trusted() {
    let (_, home, away) = stores(true);
    let version = artifact(&home).await.version;
    let pin = Pin { version, sha256: None };
    let one = replicate(&home, &away, KEY, &pin, &Encryption::default()).await.unwrap();
    let two = replicate(&home, &away, KEY, &pin, &Encryption::default()).await.unwrap();
    assert_eq!((one.outcome, two.outcome), (CopyOutcome::Copied, CopyOutcome::Copied));
    assert_ne!(one.pin.version, two.pin.version);
}

#[tokio::test]
async fn what_somebody_else_stored_is_given_a_sha256_by_s3_itself() {
    let (fake, home, _) = stores(true);
    let key = Encryption::key("arn:aws:kms:eu-west-1:1:key/k");
    assert_eq!(home.pin(KEY, &key).await.unwrap(), None, "there is nothing");
    let settings = Settings {
        content_type: Some("application/zip".into()),
        metadata: [("who".to_owned(), "me".to_owned())].into(),
        ..Settings::default()
    };
    home.put(KEY, &b"built".to_vec().into(), &settings).await.unwrap();
    let stored = fake.with(|state| state.objects["home/p/a/1"].version.clone().unwrap());
    fake.with(|state| state.calls.clear());
    let pin = home.pin(KEY, &key).await.unwrap().unwrap();
    assert_eq!(pin.sha256, Some(sha256(b"built")));
    assert_ne!(pin.version, Some(stored.clone()));
    fake.with(|state| {
        assert_eq!(state.operations(), ["HeadObject", "CopyObject"], "no byte passes through");
        let copy = state.of("CopyObject").pop().unwrap();
        assert_eq!(copy.header("x-amz-copy-source"), format!("home/p/a/1?versionId={stored}"));
        assert_eq!(copy.header("x-amz-server-side-encryption-aws-kms-key-id"), key.key_id());
        let kept = &state.objects["home/p/a/1"].headers;
        assert_eq!((kept["content-type"].as_str(), kept["x-amz-meta-who"].as_str()), ("application/zip", "me"));
        assert_eq!(kept.len(), 2);
        state.calls.clear();
    });
    assert_eq!(home.pin(KEY, &key).await.unwrap(), Some(pin), "once is enough");
    assert_eq!(fake.with(|state| state.operations()), ["HeadObject"]);
}

#[tokio::test]
async fn a_reader_by_key_alone_is_told_when_something_else_is_the_newest() {
    let (fake, home, _) = stores(true);
    let pin = artifact(&home).await;
    home.check_newest(KEY, &pin).await.unwrap();
    let other = Pin { version: Some("of a replica".into()), ..pin.clone() };
    home.check_newest(KEY, &other).await.unwrap();
    fake.add("home/p/a/1", b"evil");
    let error = home.check_newest(KEY, &pin).await.unwrap_err();
    assert!(
        matches!(&error, Error::Changed { object, found, .. }
        if object.contains("version version-1") && found == "not known to S3"),
        "{error}"
    );
}

#[tokio::test]
async fn every_call_to_a_store_says_who_must_own_it_and_no_other_call_does() {
    let (fake, home, away) = stores(true);
    let (home, away) = (home.owned_by("111122223333"), away.owned_by("111122223333"));
    let (sources, site) = (fake.bucket("sources", "eu-west-1"), fake.bucket("site", "eu-west-1"));
    fake.add("sources/small", b"small");
    // Above the threshold everything goes in parts.
    fake.add("sources/large", b"larger than ten bytes");
    for key in ["small", "large"] {
        let source = sources.head(key, None).await.unwrap();
        let pin = home.copy_anew(&source, key, &Settings::encrypted(Encryption::default())).await.unwrap();
        home.read(key, &pin, 99).await.unwrap();
        replicate(&home, &away, key, &pin, &Encryption::default()).await.unwrap();
        let artifact = home.find(key, &pin).await.unwrap();
        site.copy(&artifact, key, &Settings::default()).await.unwrap();
    }
    artifact(&home).await;
    home.put("large", &artifacts::Content::from(vec![0; 11]), &Settings::default()).await.unwrap();
    fake.with(|state| state.faults.push(("UploadPart", "home/large", crate::fake::Fault::Answer(500, ""))));
    home.put("large", &artifacts::Content::from(vec![0; 11]), &Settings::default()).await.unwrap_err();
    home.head("missing", None).await.unwrap_err();
    let calls = fake.with(|state| state.calls.clone());
    let operations: std::collections::BTreeSet<_> = calls.iter().map(|call| call.operation).collect();
    assert_eq!(operations.len(), 9, "{operations:?}: all that there are");
    let owner = |ours: bool| if ours { "111122223333" } else { "" };
    let is_store = |path: &str| path.starts_with("home/") || path.starts_with("away/");
    for call in calls {
        let expected = owner(is_store(&call.path));
        assert_eq!(call.header("x-amz-expected-bucket-owner"), expected, "{} {}", call.operation, call.path);
        let source = call.header("x-amz-copy-source");
        let expected = owner(is_store(source));
        assert_eq!(call.header("x-amz-source-expected-bucket-owner"), expected, "{} of {source}", call.operation);
    }
}
