//! Requests to S3, taken apart.

use aws_sdk_s3::primitives::ByteStream;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use sha2::{Digest, Sha256};

/// S3's `ChecksumSHA256` of these bytes.
pub fn sha256(data: &[u8]) -> String {
    aws_smithy_types::base64::encode(Sha256::digest(data))
}

/// A text without its percent-encoding.
pub fn decode(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8().unwrap().into_owned()
}

/// The body of a request as its sender meant it.
pub async fn body(request: &mut HttpRequest) -> Vec<u8> {
    let body = std::mem::replace(request.body_mut(), SdkBody::empty());
    let body = ByteStream::new(body).collect().await.unwrap().to_vec();
    let coding = request.headers().get("content-encoding").unwrap_or_default();
    if coding.contains("aws-chunked") { unchunk(&body) } else { body }
}

/// The content of a body in `aws-chunked` coding.
fn unchunk(mut body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    loop {
        let end = body.windows(2).position(|window| window == b"\r\n").unwrap();
        let head = std::str::from_utf8(&body[..end]).unwrap();
        let size = usize::from_str_radix(head.split(';').next().unwrap(), 16).unwrap();
        if size == 0 {
            return out;
        }
        out.extend(&body[end + 2..end + 2 + size]);
        body = &body[end + 4 + size..];
    }
}
