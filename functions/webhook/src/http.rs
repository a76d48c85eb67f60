//! The door itself: what is delivered, within limits, and what is answered. It knows no receiver and checks no proof.

use std::net::IpAddr;

use lambda_http::http::{HeaderMap, StatusCode, header};
use lambda_http::request::RequestContext;
use lambda_http::{Body, Request, RequestExt, Response};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

/// Most bytes of a body. API Gateway and Lambda let not much more through (Lambda quotas, 'Invocation payload'), and GitHub's
/// largest push, of 2,048 commits, has about 3 MiB.
pub const LARGEST_BODY: usize = 4 << 20;

/// Most bytes of a path, and of the proof in the query.
const LARGEST_NAME: usize = 500;

/// A request to the door. Nothing in it is true because it says so.
#[derive(Debug)]
pub struct Delivery<'a> {
    /// What stands in the path behind `/webhooks/`, part by part: to whom it is delivered.
    pub path: Vec<String>,
    /// The proof that is a part of the receiver's URL: `key` in its query. It is not in the path, which may be logged.
    pub key: String,
    /// The address from which it comes, as API Gateway saw it: no header can say otherwise.
    pub source: Option<IpAddr>,
    /// API Gateway's id of the request.
    pub request: String,
    /// The body as it was sent, byte for byte: what a signature is over.
    pub body: &'a [u8],
    headers: &'a HeaderMap,
}

impl<'a> Delivery<'a> {
    /// # Errors
    /// The answer to what is beyond the limits.
    pub fn read(request: &'a Request) -> Result<Self, Answer> {
        let body = match request.body() {
            Body::Empty => &[],
            Body::Text(text) => text.as_bytes(),
            Body::Binary(bytes) => bytes.as_slice(),
            _ => return Err(Answer::TOO_LARGE),
        };
        if body.len() > LARGEST_BODY {
            return Err(Answer::TOO_LARGE);
        }
        let (parameters, query) = (request.path_parameters(), request.query_string_parameters());
        let (path, key) = (parameters.first("proxy").unwrap_or_default(), query.first("key").unwrap_or_default());
        if path.len() > LARGEST_NAME || key.len() > LARGEST_NAME {
            return Err(Answer::UNKNOWN);
        }
        let part = |part: &str| percent_decode_str(part).decode_utf8().map(|part| part.into_owned());
        let path = path.split('/').map(part).collect::<Result<_, _>>().map_err(|_| Answer::UNKNOWN)?;
        let (mut source, mut id) = (None, None);
        if let Some(RequestContext::ApiGatewayV1(context)) = request.request_context_ref() {
            source = context.identity.source_ip.as_deref().and_then(|address| address.parse().ok());
            id.clone_from(&context.request_id);
        }
        let (key, request_id) = (key.to_owned(), id.unwrap_or_default());
        Ok(Self { path, key, source, request: request_id, body, headers: request.headers() })
    }

    /// A header that is there once.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next()?.to_str().ok()?;
        values.next().is_none().then_some(value)
    }

    /// Whether a header is there at all, however often.
    pub fn has(&self, name: &str) -> bool {
        self.headers.contains_key(name)
    }

    /// The JSON in the body; of a form what is in its field `payload`, as GitHub sends it (GitHub documentation, 'Webhook
    /// events and payloads').
    ///
    /// # Errors
    /// The answer to a body that holds none.
    pub fn payload(&self) -> Result<Value, Answer> {
        let kind = self.header(header::CONTENT_TYPE.as_str()).unwrap_or_default();
        let form = kind.get(..FORM.len()).is_some_and(|kind| kind.eq_ignore_ascii_case(FORM));
        let read = if form {
            let mut fields = url::form_urlencoded::parse(self.body);
            fields.find(|(name, _)| name == "payload").and_then(|(_, text)| serde_json::from_str(&text).ok())
        } else {
            serde_json::from_slice(self.body).ok()
        };
        read.ok_or(Answer::NO_PAYLOAD)
    }
}

const FORM: &str = "application/x-www-form-urlencoded";

/// What a sender is told. GitHub shows it to those who may see the repository's settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status, by which a sender decides whether to deliver again.
    pub status: StatusCode,
    /// One sentence that repeats nothing of what was sent or kept.
    pub message: &'static str,
}

impl Answer {
    /// The start has been asked for.
    pub const ACCEPTED: Self = Self::ok("Accepted.");
    /// It was accepted before.
    pub const REPEATED: Self = Self::ok("This delivery was accepted before. Nothing is started again.");
    /// Nothing is to be started.
    pub const PASSED_OVER: Self = Self::ok("Nothing is to be started for this delivery.");
    /// There is no such receiver, or its key is another one: strangers are not told which.
    pub const UNKNOWN: Self = Self::no(StatusCode::NOT_FOUND, "There is nothing at this address.");
    /// The proof is missing or wrong.
    pub const UNPROVEN: Self = Self::no(StatusCode::FORBIDDEN, "This delivery does not prove from whom it comes.");
    /// The body has no JSON.
    pub const NO_PAYLOAD: Self =
        Self::no(StatusCode::BAD_REQUEST, "The body is not JSON, nor a form with JSON in its field payload.");
    /// The body is of another form than its host documents.
    pub const UNREADABLE: Self = Self::no(
        StatusCode::BAD_REQUEST,
        "The body is not what the host documents. It must be JSON: choose the content type application/json.",
    );
    /// The body is too large.
    pub const TOO_LARGE: Self = Self::no(StatusCode::PAYLOAD_TOO_LARGE, "The body is larger than 4 MiB.");
    /// The receiver cannot start anything as it is.
    pub const UNFIT: Self = Self::no(StatusCode::CONFLICT, "What is to be started does not fit this address any more.");

    const fn ok(message: &'static str) -> Self {
        Self { status: StatusCode::OK, message }
    }

    const fn no(status: StatusCode, message: &'static str) -> Self {
        Self { status, message }
    }

    /// As HTTP.
    ///
    /// # Errors
    /// None that is known.
    pub fn response(self) -> anyhow::Result<Response<Body>> {
        let response = Response::builder()
            .status(self.status)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::CACHE_CONTROL, "no-store")
            .header(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
        Ok(response.body(Body::from(json!({"message": self.message}).to_string()))?)
    }
}
