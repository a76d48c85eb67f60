//! Zips that stay in their bucket.

use artifacts::{Content, Error, RemoteZip, ZipLimits, write_zip};
use engine::Pin;
use testkit::noise;

use crate::fake::{Fake, Fault};

const PATH: &str = "store/p/a/1";
const DENIED: &str = "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>";
const BUSY: &str = "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>";

async fn open(fake: &Fake) -> Result<RemoteZip, Error> {
    let store = fake.bucket("store", "eu-west-1");
    RemoteZip::open(&store, "p/a/1", &Pin::default(), "the artifact", ZipLimits::default()).await
}

/// First byte and length of each piece that was fetched.
fn pieces(fake: &Fake) -> Vec<(u64, u64)> {
    let calls = fake.with(|state| state.of("GetObject"));
    let piece = |range: &str| {
        let (first, last) = range.strip_prefix("bytes=").unwrap().split_once('-').unwrap();
        let first: u64 = first.parse().unwrap();
        (first, last.parse::<u64>().unwrap() + 1 - first)
    };
    calls.iter().map(|call| piece(call.header("range"))).collect()
}

#[tokio::test]
async fn a_small_zip_is_fetched_once_for_all_of_its_files() {
    let fake = Fake::default();
    let zip = write_zip([("a.txt", "one"), ("b/c.txt", "two")]).unwrap();
    fake.add(PATH, &zip);
    let remote = open(&fake).await.unwrap();
    for (name, content) in [("a.txt", "one"), ("./b//c.txt", "two"), ("a.txt", "one")] {
        assert_eq!(remote.read(name, 100).await.unwrap(), content);
    }
    assert_eq!(pieces(&fake), [(0, zip.len() as u64)]);
    assert_eq!(fake.with(|state| state.operations()), ["HeadObject", "GetObject"]);
}

#[tokio::test]
async fn of_a_large_zip_only_the_list_and_the_file_are_fetched() {
    let fake = Fake::default();
    let large = noise(7, 3 << 20);
    let files = [("large.bin", large.as_slice()), ("small.txt", b"small"), ("more.bin", &large[..1 << 20])];
    fake.add(PATH, &write_zip(files).unwrap());
    let remote = open(&fake).await.unwrap();
    assert_eq!(remote.read("small.txt", 100).await.unwrap(), "small");
    let fetched: u64 = pieces(&fake).iter().map(|(_, length)| length).sum();
    assert!(fetched <= 3 * (64 << 10), "{:?}", pieces(&fake));
    let before = pieces(&fake).len();
    assert_eq!(remote.read("large.bin", 4 << 20).await.unwrap(), large);
    assert!(pieces(&fake).len() - before <= 8, "pieces grow: {:?}", pieces(&fake));
    match remote.unpack("large.bin", 4 << 20).await.unwrap() {
        Content::File(file) => assert_eq!(std::fs::read(file.path()).unwrap(), large),
        Content::Memory(_) => panic!("3 MiB belong into a file"),
    }
}

#[tokio::test]
async fn a_long_list_of_entries_is_read_to_its_end() {
    let fake = Fake::default();
    let files: Vec<(String, String)> =
        (0..9_000).map(|n| (format!("folder/with/a/long/name/file-{n:05}.txt"), n.to_string())).collect();
    let zip = write_zip(files.iter().map(|(name, content)| (name.as_str(), content.as_str()))).unwrap();
    assert!(zip.len() > 1 << 20);
    fake.add(PATH, &zip);
    let remote = open(&fake).await.unwrap();
    for n in [0, 4_567, 8_999] {
        let (name, content) = &files[n];
        assert_eq!(remote.read(name, 100).await.unwrap(), content);
    }
}

#[tokio::test]
async fn what_is_wrong_with_the_zip_is_told_as_of_one_that_was_fetched() {
    let fake = Fake::default();
    fake.add(PATH, b"<html>");
    let error = open(&fake).await.unwrap_err();
    assert!(matches!(error, Error::Zip { .. }) && error.to_string().starts_with("the artifact: "), "{error}");
    fake.add(PATH, b"");
    assert!(open(&fake).await.unwrap_err().to_string().contains("the file is empty"));
    fake.add(PATH, &write_zip([("a.txt", "12345")]).unwrap());
    let remote = open(&fake).await.unwrap();
    assert!(remote.read("none.txt", 9).await.unwrap_err().to_string().contains("the zip has no file"));
    let error = remote.read("a.txt", 4).await.unwrap_err();
    assert!(matches!(error, Error::Zip { .. }), "{error}");
    assert_eq!(remote.read("a.txt", 5).await.unwrap(), "12345", "one failure is not another's");
}

#[tokio::test]
async fn what_s3_refuses_is_not_the_zip_s_fault() {
    let fake = Fake::default();
    let large = noise(7, 1 << 20);
    let zip = write_zip([("large.bin", large.as_slice()), ("a.txt", b"one")]).unwrap();
    let fault = |answer: Fault| {
        fake.with(|state| state.faults.clear());
        fake.fault("GetObject", PATH, answer);
    };
    fake.add(PATH, &zip);
    for (answer, retryable) in [(Fault::Answer(403, DENIED), false), (Fault::Answer(503, BUSY), true)] {
        fault(answer);
        let error = open(&fake).await.unwrap_err();
        assert!(matches!(error, Error::S3 { .. }) && error.is_retryable() == retryable, "{error}");
    }
    for answer in [Fault::NoConnection, Fault::Answer(206, "too short")] {
        fault(answer);
        assert!(open(&fake).await.unwrap_err().is_retryable());
    }
    fake.with(|state| state.faults.clear());
    let remote = open(&fake).await.unwrap();
    fault(Fault::Answer(503, BUSY));
    let error = remote.read("large.bin", 1 << 20).await.unwrap_err();
    assert!(error.is_retryable() && error.to_string().contains("SlowDown"), "{error}");
    fake.with(|state| state.faults.clear());
    // Somebody writes another object over it, in a bucket without versions.
    fake.add(PATH, &zip);
    let error = remote.read("large.bin", 1 << 20).await.unwrap_err().to_string();
    assert!(error.contains("PreconditionFailed") && error.contains(PATH), "{error}");
}

#[tokio::test]
async fn the_recorded_version_is_read_whatever_lies_above_it() {
    let fake = Fake::default();
    fake.with(|state| state.versioned = true);
    let put = |content: &'static str| {
        fake.add(PATH, &write_zip([("a.txt", content)]).unwrap());
        fake.with(|state| state.objects[PATH].version.clone())
    };
    let version = put("recorded");
    put("newer");
    let store = fake.bucket("store", "eu-west-1");
    let pin = Pin { version: version.clone(), sha256: None };
    let remote = RemoteZip::open(&store, "p/a/1", &pin, "the artifact", ZipLimits::default()).await.unwrap();
    assert_eq!(remote.read("a.txt", 100).await.unwrap(), "recorded");
    let asked = fake.with(|state| state.of("GetObject").pop().unwrap().query["versionId"].clone());
    assert_eq!(Some(asked), version);
}
