//! API Gateway's own errors, in words that say what to do.
//!
//! The API's function answers in the client's protocol; API Gateway itself with `application/json`, whatever was asked, and with
//! names of its own. Clients would make nothing of that. Source: API Gateway's developer guide, "Gateway response types".

use http::header::{CONTENT_TYPE, HeaderName};
use http::{Response, StatusCode};
use serde_json::Value;
use wire::{ApiError, Exception, Protocol};

use super::credentials::Credentials;
use super::url::ApiUrl;

const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");
/// How much of an error's text is handed on, in characters.
const LONGEST: usize = 1000;

/// A request that never came to the function, or an answer that never came from it.
#[derive(Debug)]
pub struct Refusal {
    status: StatusCode,
    /// The name in `x-amzn-errortype`.
    kind: String,
    /// API Gateway's own text.
    words: String,
}

impl Refusal {
    /// Nothing, if the function answered.
    pub fn of(answer: &Response<Vec<u8>>, protocol: Protocol) -> Option<Self> {
        let media_type = answer.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let media_type = media_type.split(';').next().unwrap_or_default().trim();
        if media_type.eq_ignore_ascii_case(protocol.media_type()) {
            return None;
        }
        Some(Self::read(answer))
    }

    /// Nothing, if the console answered: with a page, a picture, a text, or that there is nothing new.
    pub fn of_page(answer: &Response<Vec<u8>>) -> Option<Self> {
        let media_type = answer.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let is_page = ["text/html", "image/svg+xml", "text/markdown", "text/plain"]
            .iter()
            .any(|known| media_type.starts_with(known));
        let is_short = [StatusCode::NOT_MODIFIED, StatusCode::FOUND].contains(&answer.status());
        (!is_page && !is_short).then(|| Self::read(answer))
    }

    fn read(answer: &Response<Vec<u8>>) -> Self {
        let kind = answer.headers().get(ERROR_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let body: Value = serde_json::from_slice(answer.body()).unwrap_or_default();
        let words = body.get("message").or_else(|| body.get("Message")).and_then(Value::as_str).unwrap_or_default();
        Self {
            status: answer.status(),
            kind: kind.split(':').next().unwrap_or_default().to_owned(),
            words: words.chars().take(LONGEST).collect(),
        }
    }

    /// Whether AWS did not take the credentials themselves, so that others could do.
    pub fn is_of_credentials(&self) -> bool {
        self.is_expired() || self.is_unknown()
    }

    /// Whether another path may be open: the function was not called, and no policy says that it must not be. A policy that
    /// denies in so many words means the pipeline, not the path.
    pub fn is_of_path(&self) -> bool {
        self.status == StatusCode::FORBIDDEN && !self.is_of_credentials() && !self.words.contains("explicit deny")
    }

    fn is_expired(&self) -> bool {
        self.kind == "ExpiredTokenException" || self.words.contains("security token included in the request is expired")
    }

    fn is_unknown(&self) -> bool {
        self.kind == "UnrecognizedClientException"
            || self.words.contains("security token included in the request is invalid")
    }

    /// The same for the client. `arns`: what a policy would have to allow, any of them.
    pub fn exception(&self, url: &ApiUrl, arns: &[String]) -> ApiError {
        let said = match self.words.as_str() {
            "" => String::new(),
            words => format!(" API Gateway says: {words}"),
        };
        match self.status.as_u16() {
            403 if self.is_expired() => Exception::ExpiredTokenException.because(format!(
                "The proxy's AWS credentials have expired: log in with `aws sso login` (and --profile NAME, if it runs with \
                 one), and it goes on. Where they come from its environment, start it again with new ones.{said}"
            )),
            403 if self.is_unknown() => Exception::UnrecognizedClientException
                .because(format!("AWS does not take the proxy's credentials: {}.{said}", Credentials::HOW)),
            403 if self.kind == "MissingAuthenticationTokenException" => {
                Exception::UnknownOperationException.because(format!(
                    "There is no such path at {url}: is that the home stack's output ApiUrl, with its stage (/live)? \
                     Or does an older Millrace stand there?{said}"
                ))
            }
            403 if ["InvalidSignatureException", "IncompleteSignatureException"].contains(&self.kind.as_str()) => {
                Exception::InvalidSignatureException.because(format!(
                    "AWS does not take the proxy's signature: is this machine's clock right, does the secret key belong to \
                     the access key, and is the API in the region that was signed for?{said}"
                ))
            }
            401 | 403 => Exception::AccessDeniedException.because(format!(
                "The proxy's caller may not do this. A policy must allow execute-api:Invoke on {}, and neither a policy \
                 of the API nor a firewall may forbid it.{said}",
                arns.join(" or on ")
            )),
            413 => Exception::RequestEntityTooLargeException.because(format!("The request is too large.{said}")),
            429 => Exception::ThrottlingException.because(format!("API Gateway has had too many requests.{said}")),
            504 => Exception::ServiceUnavailableException.because(format!(
                "Millrace's API did not answer in time. It may have done what was asked: look before you ask again.{said}"
            )),
            500..=599 => Exception::InternalFailure.because(format!(
                "Millrace's API failed; the log of its function (the home stack's output ApiFunctionName) says why.{said}"
            )),
            status => Exception::UnknownOperationException.because(format!(
                "What answers at {url} is not Millrace's API (status {status}): is that the home stack's output ApiUrl?{said}"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, media_type: &str, kind: &str, body: &str) -> Response<Vec<u8>> {
        let answer = Response::builder().status(status).header("content-type", media_type).header(ERROR_TYPE, kind);
        answer.body(body.as_bytes().to_vec()).unwrap()
    }

    fn refusal(status: u16, kind: &str, words: &str) -> Refusal {
        let body = serde_json::json!({"message": words}).to_string();
        Refusal::of(&answer(status, "application/json", kind, &body), Protocol::AwsJson11).unwrap()
    }

    #[test]
    fn what_the_function_answers_is_no_refusal() {
        let json = answer(400, "application/x-amz-json-1.1", "ValidationException", "{}");
        assert!(Refusal::of(&json, Protocol::AwsJson11).is_none());
        assert!(Refusal::of(&json, Protocol::RpcV2Cbor).is_some());
        let cbor = answer(200, "Application/CBOR; x=y", "", "");
        assert!(Refusal::of(&cbor, Protocol::RpcV2Cbor).is_none());
    }

    #[test]
    fn each_error_of_api_gateway_says_what_to_do() {
        let (url, arns) = ("https://abc".parse().unwrap(), ["arn:1".to_owned(), "arn:2".to_owned()]);
        let denied = "User: arn:aws:iam::1:user/ada is not authorized to perform: execute-api:Invoke on resource: x";
        for (status, kind, words, exception, hint) in [
            (403, "AccessDeniedException", denied, "AccessDeniedException", "execute-api:Invoke on arn:1 or on arn:2"),
            (403, "ForbiddenException", "Forbidden", "AccessDeniedException", "firewall"),
            (403, "ExpiredTokenException", "", "ExpiredTokenException", "aws sso login"),
            (
                403,
                "AccessDeniedException",
                "The security token included in the request is expired",
                "ExpiredTokenException",
                "aws sso login",
            ),
            (403, "UnrecognizedClientException", "", "UnrecognizedClientException", "AWS_PROFILE"),
            (
                403,
                "AccessDeniedException",
                "The security token included in the request is invalid.",
                "UnrecognizedClientException",
                "AWS_PROFILE",
            ),
            (
                403,
                "MissingAuthenticationTokenException",
                "Missing Authentication Token",
                "UnknownOperationException",
                "/live",
            ),
            (403, "IncompleteSignatureException", "no date", "InvalidSignatureException", "clock"),
            (403, "InvalidSignatureException", "Signature expired", "InvalidSignatureException", "clock"),
            (413, "RequestTooLongException", "", "RequestEntityTooLargeException", "too large"),
            (429, "TooManyRequestsException", "Too Many Requests", "ThrottlingException", "too many"),
            (429, "LimitExceededException", "Limit Exceeded", "ThrottlingException", "Limit Exceeded"),
            (500, "InternalServerErrorException", "Internal server error", "InternalFailure", "ApiFunctionName"),
            (502, "InternalServerErrorException", "Internal server error", "InternalFailure", "ApiFunctionName"),
            (503, "", "", "InternalFailure", "log"),
            (
                504,
                "InternalServerErrorException",
                "Endpoint request timed out",
                "ServiceUnavailableException",
                "in time",
            ),
            (200, "", "", "UnknownOperationException", "not Millrace's API"),
            (301, "", "", "UnknownOperationException", "not Millrace's API"),
            (404, "", "", "UnknownOperationException", "ApiUrl"),
        ] {
            let error = refusal(status, kind, words).exception(&url, &arns);
            assert_eq!(error.exception.name(), exception, "{status} {kind}");
            assert!(
                error.message.contains(hint) && error.message.contains(words),
                "{status} {kind}: {}",
                error.message
            );
        }
    }

    #[test]
    fn another_path_is_tried_only_where_the_path_may_be_the_reason() {
        assert!(refusal(403, "AccessDeniedException", "not authorized to perform: execute-api:Invoke").is_of_path());
        assert!(refusal(403, "MissingAuthenticationTokenException", "").is_of_path());
        assert!(!refusal(403, "AccessDeniedException", "not authorized, with an explicit deny").is_of_path());
        assert!(!refusal(403, "ExpiredTokenException", "").is_of_path());
        assert!(!refusal(403, "UnrecognizedClientException", "").is_of_path());
        assert!(!refusal(502, "", "").is_of_path());
        assert!(!refusal(429, "", "").is_of_path());
    }

    #[test]
    fn a_body_that_is_no_json_does_no_harm() {
        let odd = answer(502, "text/html", "", "<html>\u{1}");
        let error = Refusal::of(&odd, Protocol::AwsJson11).unwrap().exception(&"https://abc".parse().unwrap(), &[]);
        assert_eq!(error.exception, Exception::InternalFailure);
    }
}
