//! A client that sends whatever a test wants, byte for byte.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(found, _)| found == name).map_or("", |(_, value)| value)
    }

    /// The exception's name and message in AWS JSON 1.1.
    pub fn exception(&self) -> (String, String) {
        let body: serde_json::Value = serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{self:?}"));
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        assert_eq!(self.header("x-amzn-errortype"), text("__type"), "{self:?}");
        (text("__type"), text("message"))
    }
}

/// Sends these bytes on a connection of their own; nothing, if the other side closes without an answer.
pub async fn raw(port: u16, bytes: &[u8]) -> Option<Answer> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    // Who is refused early may be unable to send the rest.
    let _ = stream.write_all(bytes).await;
    let mut all = Vec::new();
    let _ = stream.read_to_end(&mut all).await;
    let end = all.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = String::from_utf8(all[..end].to_vec()).unwrap();
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().unwrap();
    let headers = lines.map(|line| line.split_once(": ").unwrap());
    let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
    Some(Answer { status, headers, body: all[end + 4..].to_vec() })
}

/// Sends a request with these headers; `host` and `content-length` are added unless they are there.
pub async fn send(port: u16, line: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let mut head = format!("{line} HTTP/1.1\r\nconnection: close\r\n");
    let has = |name: &str| headers.iter().any(|(given, _)| given.eq_ignore_ascii_case(name));
    if !has("host") {
        head += &format!("host: 127.0.0.1:{port}\r\n");
    }
    if !has("content-length") && !has("transfer-encoding") {
        head += &format!("content-length: {}\r\n", body.len());
    }
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    let mut bytes = head.into_bytes();
    bytes.extend(b"\r\n");
    bytes.extend(body);
    raw(port, &bytes).await.expect("an answer")
}

pub const JSON: (&str, &str) = ("content-type", "application/x-amz-json-1.1");

/// What the aws CLI and boto3 send: AWS JSON 1.1 on `/`, signed for the service that they believe they call.
pub async fn call(port: u16, operation: &str, body: &str) -> Answer {
    let target = format!("CodePipeline_20150709.{operation}");
    let headers = [
        JSON,
        ("x-amz-target", target.as_str()),
        (
            "authorization",
            "AWS4-HMAC-SHA256 Credential=OTHER/20260101/us-east-1/codepipeline/aws4_request, SignedHeaders=host, Signature=00",
        ),
        ("x-amz-date", "20260101T000000Z"),
        ("x-amz-security-token", "the client's"),
        ("user-agent", "aws-cli/1"),
        ("amz-sdk-invocation-id", "i-1"),
        ("cookie", "secret=1"),
        ("accept-encoding", "gzip"),
    ];
    send(port, "POST /", &headers, body.as_bytes()).await
}
