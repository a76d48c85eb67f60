//! An S3 in memory, behind the SDK's HTTP interface: enough of it to see what is asked, and to refuse it.
//! What the real service and the emulators do with the same requests is for the e2e suite to see.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use artifacts::{Bucket, Parts};
use aws_credential_types::Credentials;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::{BehaviorVersion, Region, SharedHttpClient};
use aws_sdk_s3::primitives::SdkBody;
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use sha2::{Digest, Sha256};
use testkit::{decode, sha256};

type Headers = BTreeMap<String, String>;

/// A request as S3 saw it.
#[derive(Clone, Debug)]
pub struct Call {
    /// By its parts, for example `UploadPart`.
    pub operation: &'static str,
    /// `bucket/key`, still encoded.
    pub path: String,
    pub query: HashMap<String, String>,
    pub headers: Headers,
    pub body: Vec<u8>,
}

impl Call {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

#[derive(Clone, Debug)]
pub struct Stored {
    pub data: Vec<u8>,
    pub etag: String,
    pub headers: Headers,
    pub version: Option<String>,
    pub sha256: Option<String>,
}

#[derive(Default)]
struct Upload {
    headers: Headers,
    parts: BTreeMap<i32, Vec<u8>>,
}

/// What the fake does instead of its work.
#[derive(Clone)]
pub enum Fault {
    Answer(u16, &'static str),
    /// Does its work, then answers so.
    AfterWork(u16, &'static str),
    NoConnection,
}

#[derive(Default)]
pub struct State {
    /// The newest version of each object.
    pub objects: BTreeMap<String, Stored>,
    /// All versions, by path and version.
    versions: BTreeMap<(String, String), Stored>,
    /// Whether the buckets have versions.
    pub versioned: bool,
    uploads: BTreeMap<String, Upload>,
    pub calls: Vec<Call>,
    /// Operation, path that it begins with, what happens.
    pub faults: Vec<(&'static str, &'static str, Fault)>,
    made: usize,
}

impl State {
    pub fn open_uploads(&self) -> usize {
        self.uploads.len()
    }

    pub fn operations(&self) -> Vec<&'static str> {
        self.calls.iter().map(|call| call.operation).collect()
    }

    pub fn of(&self, operation: &str) -> Vec<Call> {
        self.calls.iter().filter(|call| call.operation == operation).cloned().collect()
    }

    fn store(&mut self, path: &str, data: Vec<u8>, headers: &Headers, sha256: Option<String>) -> Stored {
        self.made += 1;
        let etag = format!("\"etag-{}\"", self.made);
        let version = self.versioned.then(|| format!("version-{}", self.made));
        let kept = |name: &str| name == "content-type" || name.starts_with("x-amz-meta-");
        let headers = headers.iter().filter(|(name, _)| kept(name)).map(|(name, it)| (name.clone(), it.clone()));
        let stored = Stored { data, etag, headers: headers.collect(), version, sha256 };
        self.objects.insert(path.to_owned(), stored.clone());
        if let Some(version) = &stored.version {
            self.versions.insert((path.to_owned(), version.clone()), stored.clone());
        }
        stored
    }

    fn find(&self, path: &str, version: Option<&str>) -> Option<Stored> {
        match version {
            Some(version) if self.versioned => self.versions.get(&(path.to_owned(), version.to_owned())).cloned(),
            _ => self.objects.get(path).cloned(),
        }
    }
}

#[derive(Clone, Default)]
pub struct Fake(pub Arc<Mutex<State>>);

impl std::fmt::Debug for Fake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Fake")
    }
}

pub const SMALL: Parts = Parts { threshold: 10, size: 4, parallel: 3 };

impl Fake {
    pub fn bucket(&self, name: &str, region: &str) -> Bucket {
        let fake = self.clone();
        let http: SharedHttpClient = http_client_fn(move |_, _| SharedHttpConnector::new(fake.clone()));
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .credentials_provider(Credentials::from_keys("test", "test", None))
            .region(Region::new(region.to_owned()))
            .endpoint_url(format!("http://{region}.s3.test"))
            .force_path_style(true)
            .retry_config(RetryConfig::disabled())
            .http_client(http)
            .build();
        let region = pipeline::Region::new(region).unwrap();
        Bucket::new(aws_sdk_s3::Client::from_conf(config), region, name).with_parts(SMALL, SMALL)
    }

    pub fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.0.lock().unwrap())
    }

    /// An object that somebody has stored without a SHA-256; answers its ETag.
    pub fn add(&self, path: &str, data: &[u8]) -> String {
        self.with(|state| state.store(path, data.to_vec(), &Headers::new(), None)).etag
    }

    pub fn fault(&self, operation: &'static str, path: &'static str, fault: Fault) {
        self.with(|state| state.faults.push((operation, path, fault)));
    }
}

fn operation(method: &str, query: &HashMap<String, String>, headers: &Headers) -> &'static str {
    let copy = headers.contains_key("x-amz-copy-source");
    match (method, query.contains_key("uploadId"), query.contains_key("uploads")) {
        ("HEAD", ..) => "HeadObject",
        ("GET", ..) => "GetObject",
        ("POST", _, true) => "CreateMultipartUpload",
        ("POST", ..) => "CompleteMultipartUpload",
        ("DELETE", ..) => "AbortMultipartUpload",
        ("PUT", true, _) if copy => "UploadPartCopy",
        ("PUT", true, _) => "UploadPart",
        ("PUT", ..) if copy => "CopyObject",
        _ => "PutObject",
    }
}

type Answer = (u16, Headers, Vec<u8>);

fn xml(status: u16, body: impl Into<String>) -> Answer {
    (status, Headers::new(), body.into().into_bytes())
}

impl State {
    fn work(&mut self, call: &Call) -> Answer {
        let no_key =
            || xml(404, "<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message></Error>");
        let path = decode(&call.path);
        let source = call.headers.get("x-amz-copy-source").map(|source| match source.split_once("?versionId=") {
            Some((path, version)) => self.find(&decode(path), Some(&decode(version))),
            None => self.find(&decode(source), None),
        });
        let asks = |headers: &Headers| headers.get("x-amz-checksum-algorithm").is_some_and(|it| it == "SHA256");
        if let Some(found) = &source {
            match found {
                None => return no_key(),
                Some(found) if found.etag != call.header("x-amz-copy-source-if-match") => {
                    return xml(
                        412,
                        "<Error><Code>PreconditionFailed</Code><Message>At least one of the pre-conditions you specified did not hold</Message></Error>",
                    );
                }
                Some(_) => {}
            }
        }
        let id = call.query.get("uploadId").cloned().unwrap_or_default();
        let number = call.query.get("partNumber").map_or(0, |number| number.parse().unwrap());
        match call.operation {
            "HeadObject" | "GetObject" => {
                let version = call.query.get("versionId").map(String::as_str);
                let Some(found) = self.find(&path, version) else {
                    return if call.operation == "HeadObject" { xml(404, "") } else { no_key() };
                };
                if call.headers.get("if-match").is_some_and(|etag| *etag != found.etag) {
                    return xml(412, "<Error><Code>PreconditionFailed</Code><Message>Another one.</Message></Error>");
                }
                let range = call.headers.get("range").and_then(|range| {
                    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
                    Some(first.parse().ok()?..found.data.len().min(last.parse::<usize>().ok()? + 1))
                });
                let (status, data) = match range {
                    Some(range) => (206, found.data[range].to_vec()),
                    None => (200, found.data.clone()),
                };
                let mut headers = found.headers.clone();
                headers.insert("etag".into(), found.etag.clone());
                headers.insert("content-length".into(), data.len().to_string());
                headers.extend(found.version.clone().map(|version| ("x-amz-version-id".to_owned(), version)));
                if call.header("x-amz-checksum-mode") == "ENABLED" {
                    headers.extend(found.sha256.clone().map(|sha256| ("x-amz-checksum-sha256".to_owned(), sha256)));
                }
                (status, headers, if call.operation == "GetObject" { data } else { Vec::new() })
            }
            "PutObject" => {
                let sha256 = call.headers.get("x-amz-checksum-sha256").cloned();
                let put = self.store(&path, call.body.clone(), &call.headers, sha256);
                let mut headers = Headers::from([("etag".into(), put.etag)]);
                headers.extend(put.version.map(|version| ("x-amz-version-id".to_owned(), version)));
                (200, headers, Vec::new())
            }
            "CopyObject" => {
                let data = source.unwrap().unwrap().data;
                let sha256 = asks(&call.headers).then(|| sha256(&data));
                let put = self.store(&path, data, &call.headers, sha256);
                let sha256 = put.sha256.map(|it| format!("<ChecksumSHA256>{it}</ChecksumSHA256>")).unwrap_or_default();
                let body = format!("<CopyObjectResult><ETag>{}</ETag>{sha256}</CopyObjectResult>", put.etag);
                let headers = put.version.map(|version| ("x-amz-version-id".to_owned(), version));
                (200, headers.into_iter().collect(), body.into_bytes())
            }
            "CreateMultipartUpload" => {
                self.made += 1;
                let id = format!("upload-{}", self.made);
                self.uploads.insert(id.clone(), Upload { headers: call.headers.clone(), ..Upload::default() });
                xml(
                    200,
                    format!("<InitiateMultipartUploadResult><UploadId>{id}</UploadId></InitiateMultipartUploadResult>"),
                )
            }
            "AbortMultipartUpload" => {
                self.uploads.remove(&id);
                xml(204, "")
            }
            _ => {
                let Some(upload) = self.uploads.get_mut(&id) else {
                    return xml(
                        404,
                        "<Error><Code>NoSuchUpload</Code><Message>The specified upload does not exist.</Message></Error>",
                    );
                };
                match call.operation {
                    "UploadPart" => {
                        upload.parts.insert(number, call.body.clone());
                        (200, Headers::from([("etag".into(), format!("\"part-{number}\""))]), Vec::new())
                    }
                    "UploadPartCopy" => {
                        let range = call.header("x-amz-copy-source-range").trim_start_matches("bytes=").to_owned();
                        let (from, to) = range.split_once('-').unwrap();
                        let (from, to): (usize, usize) = (from.parse().unwrap(), to.parse().unwrap());
                        let data = source.unwrap().unwrap().data[from..=to].to_vec();
                        let sha256 = format!("<ChecksumSHA256>{}</ChecksumSHA256>", sha256(&data));
                        upload.parts.insert(number, data);
                        xml(200, format!("<CopyPartResult><ETag>\"part-{number}\"</ETag>{sha256}</CopyPartResult>"))
                    }
                    _ => {
                        let upload = self.uploads.remove(&id).unwrap();
                        let body = String::from_utf8(call.body.clone()).unwrap();
                        let listed: Vec<i32> = body
                            .split("<PartNumber>")
                            .skip(1)
                            .map(|part| part.split('<').next().unwrap().parse().unwrap())
                            .collect();
                        assert_eq!(listed, upload.parts.keys().copied().collect::<Vec<_>>(), "parts in their order");
                        let composite = asks(&upload.headers).then(|| {
                            let digests: Vec<u8> = upload.parts.values().flat_map(Sha256::digest).collect();
                            format!("{}-{}", sha256(&digests), upload.parts.len())
                        });
                        let data = upload.parts.into_values().flatten().collect();
                        let put = self.store(&path, data, &upload.headers, composite);
                        let sha256 = put.sha256.map(|it| format!("<ChecksumSHA256>{it}</ChecksumSHA256>"));
                        let headers = put.version.map(|version| ("x-amz-version-id".to_owned(), version));
                        let body = format!(
                            "<CompleteMultipartUploadResult><ETag>{}</ETag>{}</CompleteMultipartUploadResult>",
                            put.etag,
                            sha256.unwrap_or_default()
                        );
                        (200, headers.into_iter().collect(), body.into_bytes())
                    }
                }
            }
        }
    }

    fn answer(&mut self, call: Call) -> Result<Answer, ConnectorError> {
        self.calls.push(call.clone());
        let fault = self
            .faults
            .iter()
            .find(|(operation, path, _)| *operation == call.operation && call.path.starts_with(path))
            .map(|(_, _, fault)| fault.clone());
        match fault {
            None => Ok(self.work(&call)),
            Some(Fault::Answer(status, body)) => Ok(xml(status, body)),
            Some(Fault::AfterWork(status, body)) => {
                self.work(&call);
                Ok(xml(status, body))
            }
            Some(Fault::NoConnection) => {
                Err(ConnectorError::io(std::io::Error::other("connection refused by the test").into()))
            }
        }
    }
}

impl HttpConnector for Fake {
    fn call(&self, mut request: HttpRequest) -> HttpConnectorFuture {
        let fake = self.clone();
        HttpConnectorFuture::new(async move {
            let uri: http::Uri = request.uri().parse().unwrap();
            let mut headers: Headers =
                request.headers().iter().map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
            headers.insert("host".into(), uri.host().unwrap().to_owned());
            let query: HashMap<String, String> = uri
                .query()
                .unwrap_or_default()
                .split('&')
                .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
                .map(|(name, value)| (name.to_owned(), decode(value)))
                .collect();
            let method = request.method().to_owned();
            let body = testkit::body(&mut request).await;
            let operation = operation(&method, &query, &headers);
            let path = uri.path().trim_start_matches('/').to_owned();
            let (status, headers, body) =
                fake.with(|state| state.answer(Call { operation, path, query, headers, body }))?;
            let mut response = HttpResponse::new(status.try_into().unwrap(), SdkBody::from(body));
            response.headers_mut().insert("x-amz-request-id", "REQUEST1");
            for (name, value) in headers {
                if name.starts_with("x-amz-") || ["etag", "content-type", "content-length"].contains(&name.as_str()) {
                    response.headers_mut().insert(name, value);
                }
            }
            Ok(response)
        })
    }
}
