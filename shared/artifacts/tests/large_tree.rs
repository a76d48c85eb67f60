//! Repositories that are larger than memory should be, in a process of its own: how much memory their artifacts take.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use artifacts::{Bucket, Encryption, TempFile, ZipBuilder, ZipLimits, without_top_folder};
use aws_credential_types::Credentials;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::{BehaviorVersion, Region};
use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use testkit::{noise, peak_memory};
use zip::write::{SimpleFileOptions, ZipWriter};

const MIB: usize = 1 << 20;
const LIMIT: u64 = 1 << 30;

/// S3 that counts the bytes of the object which it is sent, and keeps none.
#[derive(Clone, Debug, Default)]
struct Counter(Arc<AtomicU64>);

impl HttpConnector for Counter {
    fn call(&self, mut request: HttpRequest) -> HttpConnectorFuture {
        let counter = self.clone();
        HttpConnectorFuture::new(async move {
            assert_eq!(request.method(), "PUT");
            let mut body = ByteStream::new(std::mem::replace(request.body_mut(), SdkBody::empty()));
            let mut size = 0;
            while let Some(piece) = body.try_next().await.unwrap() {
                size += piece.len() as u64;
            }
            counter.0.store(size, Ordering::Relaxed);
            Ok(HttpResponse::new(200.try_into().unwrap(), SdkBody::empty()))
        })
    }
}

/// A bucket, and how many bytes its last object has.
fn bucket() -> (Bucket, Counter) {
    let counter = Counter::default();
    let connector = SharedHttpConnector::new(counter.clone());
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .credentials_provider(Credentials::from_keys("test", "test", None))
        .region(Region::new("eu-west-1"))
        .endpoint_url("http://s3.test")
        .force_path_style(true)
        .retry_config(RetryConfig::disabled())
        .http_client(http_client_fn(move |_, _| connector.clone()))
        .build();
    let region = pipeline::Region::new("eu-west-1").unwrap();
    (Bucket::new(aws_sdk_s3::Client::from_conf(config), region, "store"), counter)
}

#[tokio::test]
async fn neither_a_tree_of_many_files_nor_a_large_archive_is_held_in_memory() {
    let (bucket, counter) = bucket();
    let before = peak_memory();

    let mut zip = ZipBuilder::new("the tree", LIMIT).unwrap();
    for number in 0..5_000_u64 {
        zip = zip.file(format!("src/{number}"), false, noise(number, 4096).into()).await.unwrap();
    }
    let tree = zip.finish().await.unwrap();
    let size = tree.size();
    assert!(size > 5_000 * 4096);
    bucket.put_artifact("tree.zip", tree, &Encryption::default()).await.unwrap();
    assert_eq!(counter.0.load(Ordering::Relaxed), size);
    let tree = (peak_memory() - before) / MIB;

    let file = tempfile::NamedTempFile::new().unwrap();
    let mut zip = ZipWriter::new(std::io::BufWriter::with_capacity(MIB, file.reopen().unwrap()));
    let stored = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for number in 0..128 {
        zip.start_file(format!("top/{number}"), stored).unwrap();
        zip.write_all(&noise(number, MIB)).unwrap();
    }
    zip.finish().unwrap().flush().unwrap();
    let body = ByteStream::from_path(file.path()).await.unwrap();
    let archive = TempFile::receive(body, "the archive", None, LIMIT).await.unwrap();
    let archive = without_top_folder(archive, "the archive", ZipLimits::default(), LIMIT).await.unwrap();
    let size = archive.size();
    assert!(size > 128 * MIB as u64);
    bucket.put_artifact("archive.zip", archive, &Encryption::default()).await.unwrap();
    assert_eq!(counter.0.load(Ordering::Relaxed), size);
    let archive = (peak_memory() - before) / MIB;

    // The lists of entries are in memory, and a few buffers.
    assert!(tree < 16, "{tree} MiB of memory for 5,000 files");
    assert!(archive < 32, "{archive} MiB of memory for an archive of 128 MiB");
}
