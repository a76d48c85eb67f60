//! A file of a zip that is larger than memory should be, in a process of its own: how much memory its upload takes.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use artifacts::{Bucket, Settings, Zip, ZipLimits};
use aws_credential_types::Credentials;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::{BehaviorVersion, Region};
use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use engine::Pin;
use testkit::peak_memory;
use zip::write::{SimpleFileOptions, ZipWriter};

const MIB: usize = 1 << 20;
const SIZE: usize = 320 * MIB;

/// S3 with one object, a file; of the parts that it is sent it keeps the first word and the length.
#[derive(Clone, Debug)]
struct Sink {
    file: PathBuf,
    parts: Arc<Mutex<BTreeMap<u32, (u64, usize)>>>,
}

impl HttpConnector for Sink {
    fn call(&self, mut request: HttpRequest) -> HttpConnectorFuture {
        let sink = self.clone();
        HttpConnectorFuture::new(async move {
            let uri = request.uri().to_owned();
            let (method, query) = (request.method().to_owned(), uri.split_once('?').map_or("", |(_, query)| query));
            let number = query.split('&').find_map(|pair| pair.strip_prefix("partNumber="));
            let body = match (method.as_str(), number) {
                ("GET", _) => ByteStream::from_path(&sink.file).await.unwrap().into_inner(),
                ("PUT", Some(number)) => {
                    let body = testkit::body(&mut request).await;
                    let first = u64::from_le_bytes(body[..8].try_into().unwrap());
                    sink.parts.lock().unwrap().insert(number.parse().unwrap(), (first, body.len()));
                    SdkBody::empty()
                }
                ("POST", _) if query.starts_with("uploads") => SdkBody::from(
                    "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>",
                ),
                ("POST", _) => {
                    SdkBody::from("<CompleteMultipartUploadResult><ETag>\"e\"</ETag></CompleteMultipartUploadResult>")
                }
                other => panic!("{other:?} was not expected"),
            };
            let mut response = HttpResponse::new(200.try_into().unwrap(), body);
            response.headers_mut().insert("etag", "\"e\"");
            Ok(response)
        })
    }
}

#[tokio::test]
async fn a_file_larger_than_memory_is_unpacked_into_a_bucket_in_parts() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut zip = ZipWriter::new(std::io::BufWriter::with_capacity(MIB, file.reopen().unwrap()));
    let stored = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    zip.start_file("installer.bin", stored).unwrap();
    for number in 0..SIZE / MIB {
        let words = (number * MIB / 8..(number + 1) * MIB / 8).flat_map(|word| (word as u64).to_le_bytes());
        zip.write_all(&words.collect::<Vec<u8>>()).unwrap();
    }
    zip.finish().unwrap().flush().unwrap();

    let sink = Sink { file: file.path().to_owned(), parts: Arc::default() };
    let parts = sink.parts.clone();
    let connector = SharedHttpConnector::new(sink);
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
    let bucket = Bucket::new(aws_sdk_s3::Client::from_conf(config), region, "site");
    let before = peak_memory();
    let limits = ZipLimits::default();
    let artifact = bucket.download("app.zip", &Pin::default(), limits.total_bytes).await.unwrap();
    let zip = Zip::open(artifact, "input artifact App", limits).await.unwrap();
    zip.verify().await.unwrap();
    let mut contents = zip.contents();
    let (entry, content) = contents.next().await.unwrap().unwrap();
    bucket.put_unpacked(&entry.name, content, &Settings::default()).await.unwrap();
    let taken = (peak_memory() - before) / MIB;

    let mut next = 0;
    for (number, (first, length)) in parts.lock().unwrap().iter() {
        assert_eq!(*first as usize * 8, next, "part {number} follows the one before it");
        next += length;
    }
    assert_eq!(next, SIZE);
    // Four parts of 16 MiB are under way, one is being filled, and each may be there twice while it is signed and sent.
    assert!(taken < 160, "{taken} MiB of memory for a file of {} MiB", SIZE / MIB);
}
