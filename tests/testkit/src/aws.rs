//! AWS as actions see it, and other hosts: S3 in memory, and answers that a test prepares, under the SDK's real clients.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex};

use aws_config::SdkConfig;
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;

use crate::config;
use crate::http::{body, decode, sha256};

/// A request as AWS saw it.
#[derive(Clone, Debug)]
pub struct Call {
    /// The name of the operation, for example `PutObject`; of a request to another host than AWS's, its method and
    /// address, for example `GET https://api.example.com/v1`.
    pub operation: String,
    /// The name for which it was signed, for example `s3`; nothing for another host.
    pub service: String,
    /// The status of the answer.
    pub status: u16,
    /// For which it was signed.
    pub region: String,
    /// The name of the role whose credentials signed it.
    pub role: String,
    /// Still encoded, without the slash in front.
    pub path: String,
    /// What stands behind the path's question mark, still encoded.
    pub query: String,
    /// Their names in small letters.
    pub headers: BTreeMap<String, String>,
    /// As it was sent, but in one piece.
    pub body: Vec<u8>,
}

impl Call {
    /// A header's value, or nothing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// The body, which must be JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The body, which must be UTF-8.
    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }
}

/// An object that the fake S3 holds.
#[derive(Clone, Debug, Default)]
pub struct Stored {
    /// The bytes of the object.
    pub data: Vec<u8>,
    /// `x-amz-version-id`, metadata and the like.
    pub headers: BTreeMap<String, String>,
}

#[derive(Default)]
struct State {
    /// Objects by `bucket/key`, and their versions by `bucket/key?version`.
    objects: BTreeMap<String, Stored>,
    calls: Vec<Call>,
    prepared: HashMap<String, Box<Prepared>>,
}

/// S3 in memory, STS, and prepared answers. It remembers what it was asked.
#[derive(Clone, Default)]
pub struct Aws(Arc<Mutex<State>>);

impl fmt::Debug for Aws {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Aws")
    }
}

impl Aws {
    /// An object whose newest version is `version`.
    pub fn object(&self, path: &str, version: &str, data: &[u8]) {
        let headers = BTreeMap::from([
            ("x-amz-version-id".to_owned(), version.to_owned()),
            ("etag".to_owned(), format!("\"etag-{version}\"")),
            ("last-modified".to_owned(), "Mon, 23 Nov 2026 21:00:00 GMT".to_owned()),
        ]);
        let stored = Stored { data: data.to_vec(), headers };
        let mut state = self.0.lock().unwrap();
        state.objects.insert(format!("{path}?{version}"), stored.clone());
        state.objects.insert(path.to_owned(), stored);
    }

    /// Gives all versions of an object metadata of its uploader's.
    pub fn describe(&self, path: &str, name: &str, value: &str) {
        let mut state = self.0.lock().unwrap();
        for (at, stored) in &mut state.objects {
            if at.split('?').next() == Some(path) {
                stored.headers.insert(format!("x-amz-meta-{name}"), value.to_owned());
            }
        }
    }

    /// An object in a bucket without versions.
    pub fn plain_object(&self, path: &str, data: &[u8]) {
        let headers = BTreeMap::from([("etag".to_owned(), "\"etag\"".to_owned())]);
        self.0.lock().unwrap().objects.insert(path.to_owned(), Stored { data: data.to_vec(), headers });
    }

    /// S3 has computed this object's SHA-256.
    pub fn checksummed(&self, path: &str) {
        let mut state = self.0.lock().unwrap();
        let object = state.objects.get_mut(path).unwrap();
        let sha256 = sha256(&object.data);
        object.headers.insert(CHECKSUM.into(), sha256);
    }

    /// An object that must be there, by `bucket/key`.
    pub fn stored(&self, path: &str) -> Stored {
        self.0.lock().unwrap().objects.get(path).cloned().unwrap_or_else(|| panic!("{path} is not there"))
    }

    /// The keys of a bucket, in their order.
    pub fn paths(&self, bucket: &str) -> Vec<String> {
        let state = self.0.lock().unwrap();
        state.objects.keys().filter_map(|path| path.strip_prefix(&format!("{bucket}/"))).map(str::to_owned).collect()
    }

    /// From now on an operation is answered so.
    pub fn on(&self, operation: &str, status: u16, body: impl Into<Vec<u8>>) {
        let body = body.into();
        self.reply(operation, move |_| plain(status, body.clone()));
    }

    /// From now on an operation is answered by a function.
    pub fn reply(&self, operation: &str, reply: impl Fn(&Call) -> Reply + Send + 'static) {
        self.0.lock().unwrap().prepared.insert(operation.to_owned(), Box::new(reply));
    }

    /// From now on an operation of a JSON service, or of Lambda, fails so.
    pub fn fail(&self, operation: &str, status: u16, code: &str, message: &str) {
        let body = serde_json::json!({"__type": code, "code": code, "message": message, "Message": message});
        self.on(operation, status, body.to_string());
    }

    /// The calls of an operation so far.
    pub fn calls(&self, operation: &str) -> Vec<Call> {
        self.0.lock().unwrap().calls.iter().filter(|call| call.operation == operation).cloned().collect()
    }

    /// All calls so far, in their order.
    pub fn all_calls(&self) -> Vec<Call> {
        self.0.lock().unwrap().calls.clone()
    }

    /// The names of all operations called so far.
    pub fn operations(&self) -> Vec<String> {
        self.0.lock().unwrap().calls.iter().map(|call| call.operation.clone()).collect()
    }

    /// What clients that talk to it are made from. Nothing is tried twice.
    pub fn config(&self) -> SdkConfig {
        config::of(self.clone(), Some("http://aws.test"))
    }
}

const CHECKSUM: &str = "x-amz-checksum-sha256";

/// The status, headers and body of an answer.
pub type Reply = (u16, BTreeMap<String, String>, Vec<u8>);

type Prepared = dyn Fn(&Call) -> Reply + Send;

fn plain(status: u16, body: impl Into<Vec<u8>>) -> Reply {
    (status, BTreeMap::new(), body.into())
}

/// The access key that it gives out is the role's name.
fn assume_role(body: &str) -> Reply {
    let arn = body.split('&').find_map(|pair| pair.strip_prefix("RoleArn=")).unwrap();
    let role = decode(arn).rsplit('/').next().unwrap().to_owned();
    if role == "forbidden" {
        let error = "<Code>AccessDenied</Code><Message>the words of STS</Message>";
        return plain(403, format!("<ErrorResponse><Error>{error}</Error></ErrorResponse>"));
    }
    plain(
        200,
        format!(
            "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>{role}</AccessKeyId>\
             <SecretAccessKey>secret-of-{role}</SecretAccessKey><SessionToken>token-of-{role}</SessionToken>\
             <Expiration>2999-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"
        ),
    )
}

impl State {
    fn s3(&mut self, call: &Call) -> Reply {
        let path = decode(&call.path);
        let version = call.query.split('&').find_map(|pair| pair.strip_prefix("versionId="));
        let object = version.map_or_else(|| path.clone(), |version| format!("{path}?{}", decode(version)));
        let missing = || plain(404, "<Error><Code>NoSuchKey</Code><Message>The words of S3.</Message></Error>");
        let mut kept: BTreeMap<String, String> = call
            .headers
            .iter()
            .filter(|(name, _)| name.starts_with("x-amz-meta-") || *name == "content-type")
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        kept.insert("etag".into(), format!("\"etag-{}\"", self.calls.len()));
        match call.operation.as_str() {
            "HeadObject" | "GetObject" => match self.objects.get(&object) {
                None => missing(),
                Some(found) => {
                    let mut headers = found.headers.clone();
                    let range = call.headers.get("range").map(|range| of_range(range, found.data.len()));
                    let (status, data) = match range {
                        Some(range) => (206, &found.data[range]),
                        None => (200, &found.data[..]),
                    };
                    headers.insert("content-length".into(), data.len().to_string());
                    let data = if call.operation == "GetObject" { data.to_vec() } else { Vec::new() };
                    (status, headers, data)
                }
            },
            "CopyObject" => {
                let source = decode(&call.header("x-amz-copy-source").replace("?versionId=", "?"));
                let Some(found) = self.objects.get(&source).cloned() else { return missing() };
                let sha256 = sha256(&found.data);
                kept.insert(CHECKSUM.into(), sha256.clone());
                self.objects.insert(path, Stored { data: found.data, headers: kept });
                let checksum = format!("<ChecksumSHA256>{sha256}</ChecksumSHA256>");
                plain(200, format!("<CopyObjectResult><ETag>\"copied\"</ETag>{checksum}</CopyObjectResult>"))
            }
            "PutObject" if call.header("if-none-match") == "*" && self.objects.contains_key(&path) => {
                plain(412, "<Error><Code>PreconditionFailed</Code><Message>The words of S3.</Message></Error>")
            }
            "PutObject" => {
                kept.extend(call.headers.get(CHECKSUM).map(|sha256| (CHECKSUM.to_owned(), sha256.clone())));
                self.objects.insert(path, Stored { data: call.body.clone(), headers: kept });
                (200, BTreeMap::from([("etag".into(), "\"put\"".into())]), Vec::new())
            }
            other => panic!("{other} was not expected"),
        }
    }

    fn answer(&mut self, call: Call) -> Reply {
        let index = self.calls.len();
        self.calls.push(call.clone());
        let reply = self.reply_to(&call);
        self.calls[index].status = reply.0;
        reply
    }

    fn reply_to(&mut self, call: &Call) -> Reply {
        if let Some(reply) = self.prepared.get(&call.operation) {
            return reply(call);
        }
        match (call.service.as_str(), call.operation.as_str()) {
            ("sts", "AssumeRole") => assume_role(&call.text()),
            ("s3", _) => self.s3(call),
            _ => panic!("no answer has been prepared for {}", call.operation),
        }
    }
}

/// The bytes that a header such as `bytes=0-99` asks for.
fn of_range(range: &str, length: usize) -> std::ops::Range<usize> {
    let (first, last) = range.strip_prefix("bytes=").and_then(|range| range.split_once('-')).unwrap();
    let end = length.min(last.parse::<usize>().unwrap() + 1);
    first.parse::<usize>().unwrap().min(end)..end
}

fn operation(
    service: &str,
    method: &str,
    (path, query): (&str, &str),
    headers: &BTreeMap<String, String>,
    body: &[u8],
) -> String {
    if let Some(target) = headers.get("x-amz-target") {
        return target.rsplit('.').next().unwrap().to_owned();
    }
    // Smithy's RPC v2 CBOR.
    if let Some((_, operation)) = path.split_once("/operation/") {
        return operation.to_owned();
    }
    match (service, method) {
        ("appconfig", _) => of_appconfig(method, path).to_owned(),
        ("eks", "GET") if path.starts_with("clusters/") => "DescribeCluster".to_owned(),
        ("lambda", _) => of_lambda(method, path).to_owned(),
        ("s3", "GET") if !path.trim_end_matches('/').contains('/') => of_bucket(query).to_owned(),
        ("s3", "HEAD") if !path.trim_end_matches('/').contains('/') => "HeadBucket".to_owned(),
        ("s3", "HEAD") => "HeadObject".to_owned(),
        ("s3", "GET") => "GetObject".to_owned(),
        ("s3", "PUT") if headers.contains_key("x-amz-copy-source") => "CopyObject".to_owned(),
        ("s3", "PUT") => "PutObject".to_owned(),
        // Paths of X-Ray are the names of its operations.
        ("xray", _) => path.to_owned(),
        _ => {
            let body = String::from_utf8_lossy(body);
            body.split('&').find_map(|pair| pair.strip_prefix("Action=")).unwrap_or_default().to_owned()
        }
    }
}

fn of_bucket(query: &str) -> &'static str {
    let names = query.split('&').map(|pair| pair.split('=').next().unwrap_or_default());
    let mut known = names.filter_map(|name| match name {
        "encryption" => Some("GetBucketEncryption"),
        "location" => Some("GetBucketLocation"),
        "notification" => Some("GetBucketNotificationConfiguration"),
        "versioning" => Some("GetBucketVersioning"),
        _ => None,
    });
    known.next().unwrap_or_else(|| panic!("GET ?{query} is not known of buckets"))
}

fn of_appconfig(method: &str, path: &str) -> &'static str {
    if (method, path.split('/').next()) == ("GET", Some("deploymentstrategies")) {
        return "GetDeploymentStrategy";
    }
    match (method, path.split('/').collect::<Vec<_>>()[..].get(2..).unwrap_or_default()) {
        ("GET", ["configurationprofiles", _]) => "GetConfigurationProfile",
        ("GET", ["environments", _]) => "GetEnvironment",
        ("POST", ["configurationprofiles", _, "hostedconfigurationversions"]) => "CreateHostedConfigurationVersion",
        ("GET", ["configurationprofiles", _, "hostedconfigurationversions"]) => "ListHostedConfigurationVersions",
        ("POST", ["environments", _, "deployments"]) => "StartDeployment",
        ("GET", ["environments", _, "deployments"]) => "ListDeployments",
        ("GET", ["environments", _, "deployments", _]) => "GetDeployment",
        _ => panic!("{method} {path} is not known of AppConfig"),
    }
}

fn of_lambda(method: &str, path: &str) -> &'static str {
    match (method, path.split('/').nth(1).unwrap_or_default()) {
        ("GET", "account-settings") => return "GetAccountSettings",
        ("GET", "event-source-mappings") => return "GetEventSourceMapping",
        _ => {}
    }
    match (method, path.split('/').collect::<Vec<_>>()[..].get(3..).unwrap_or_default()) {
        ("POST", ["invocations"]) => "Invoke",
        ("GET", ["configuration"]) => "GetFunctionConfiguration",
        ("PUT", ["code"]) => "UpdateFunctionCode",
        ("POST", ["versions"]) => "PublishVersion",
        ("GET", ["aliases", _]) => "GetAlias",
        ("PUT", ["aliases", _]) => "UpdateAlias",
        _ => panic!("{method} {path} is not known of Lambda"),
    }
}

impl HttpConnector for Aws {
    fn call(&self, mut request: HttpRequest) -> HttpConnectorFuture {
        let aws = self.clone();
        HttpConnectorFuture::new(async move {
            let headers: BTreeMap<String, String> =
                request.headers().iter().map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
            if let Some(address) = Some(request.uri()).filter(|uri| !uri.starts_with("http://aws.test")) {
                let operation = format!("{} {address}", request.method());
                let [service, region, role, path, query] = [const { String::new() }; 5];
                let body = body(&mut request).await;
                let call = Call { operation, service, status: 0, region, role, path, query, headers, body };
                return Ok(response(aws.0.lock().unwrap().answer(call)));
            }
            // AWS4-HMAC-SHA256 Credential=KEY/DATE/REGION/SERVICE/aws4_request, ...
            let scope = headers["authorization"].split("Credential=").nth(1).unwrap().split(',').next().unwrap();
            let [role, _, region, service, _] = scope.split('/').collect::<Vec<_>>()[..] else { panic!("{scope}") };
            let uri = request.uri().trim_start_matches("http://aws.test").trim_start_matches('/').to_owned();
            let (path, query) = uri.split_once('?').unwrap_or((&uri, ""));
            let method = request.method().to_owned();
            let body = body(&mut request).await;
            let call = Call {
                operation: operation(service, &method, (path, query), &headers, &body),
                service: service.to_owned(),
                status: 0,
                region: region.to_owned(),
                role: role.to_owned(),
                path: path.to_owned(),
                query: query.to_owned(),
                headers: headers.clone(),
                body,
            };
            Ok(response(aws.0.lock().unwrap().answer(call)))
        })
    }
}

fn response((status, headers, body): Reply) -> HttpResponse {
    let mut response = HttpResponse::new(status.try_into().unwrap(), SdkBody::from(body));
    for (name, value) in headers {
        response.headers_mut().insert(name, value);
    }
    response
}
