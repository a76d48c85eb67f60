//! API Gateway: an HTTP request becomes the event that a function is called with, and the function's answer an HTTP
//! response.

use api::App;
use lambda_http::{Body, IntoResponse};
use serde_json::{Value, json};
use wire::{Exception, Operation};

use crate::world::ACCOUNT;

/// The id that the gateway gives to every request.
pub const REQUEST: &str = "gateway-request-1";

/// The status, headers and body of a response.
pub type Response = (u16, Vec<(String, String)>, Vec<u8>);

/// Delivers a request of the one who signed it, if anybody did. Every answer must have the request's id, and an exception
/// that its operation may answer with.
pub async fn deliver(
    caller: Option<&str>,
    app: &App,
    path: &str,
    headers: &[(impl AsRef<str>, impl AsRef<str>)],
    body: &[u8],
) -> Response {
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (name.as_ref(), value.as_ref())).collect();
    let binary = headers.contains(&("content-type", "application/cbor"));
    let event = event(caller, path, &headers, body, binary);
    let request = lambda_http::request::from_str(&event.to_string()).unwrap();
    let (parts, body) = api::handle(app, request).await.into_response().await.into_parts();
    let body = match body {
        Body::Text(text) if !binary => text.into_bytes(),
        Body::Binary(bytes) if binary => bytes,
        other => panic!("API Gateway would not pass on {other:?}"),
    };
    let answered: Vec<(String, String)> =
        parts.headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
    assert_eq!(parts.headers["x-amzn-requestid"], REQUEST);
    match parts.headers.get("x-amzn-errortype") {
        Some(exception) => {
            let target = headers.iter().find(|(name, _)| *name == "x-amz-target");
            refused_as_documented(target.map_or(path, |(_, target)| target), exception.to_str().unwrap());
        }
        None => assert_eq!(parts.status, 200),
    }
    (parts.status.as_u16(), answered, body)
}

fn event(caller: Option<&str>, path: &str, headers: &[(&str, &str)], body: &[u8], binary: bool) -> Value {
    let mut event = json!({
        "resource": "/",
        "path": path,
        "httpMethod": "POST",
        "headers": {},
        "multiValueHeaders": {},
        "requestContext": {
            "accountId": ACCOUNT, "apiId": "abc123", "stage": "live", "requestId": REQUEST, "resourcePath": "/",
            "httpMethod": "POST", "identity": {"userArn": caller, "sourceIp": "127.0.0.1"}
        },
        "isBase64Encoded": binary,
        "body": if binary { in_base64(body) } else { json!(String::from_utf8_lossy(body)) },
    });
    for (name, value) in headers {
        event["headers"][name] = json!(value);
        event["multiValueHeaders"][name] = json!([value]);
    }
    event
}

/// Base64 as events hold it.
pub(crate) fn in_base64(bytes: &[u8]) -> Value {
    serde_json::to_value(Body::Binary(bytes.to_vec())).unwrap()
}

/// Whether the operation that a header or path names, if it is one, may answer with an exception.
fn refused_as_documented(named: &str, exception: &str) {
    let mut known = Exception::MODEL.iter().chain(Exception::COMMON);
    let exception = *known.find(|known| known.name() == exception).unwrap();
    if let Some(operation) = named.rsplit(['.', '/']).next().and_then(|name| name.parse::<Operation>().ok()) {
        assert!(wire::allowed(operation, exception), "{operation} answered {exception}");
    }
    assert_ne!(exception, Exception::InternalFailure, "{named}");
}
