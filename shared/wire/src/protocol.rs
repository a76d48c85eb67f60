//! Which protocol a request speaks and which operation it calls.

use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};

use crate::{ApiError, Exception, Operation, Response};

/// The service's name in paths and targets.
const SERVICE: &str = "CodePipeline_20150709";
const TARGET: HeaderName = HeaderName::from_static("x-amz-target");
const SMITHY_PROTOCOL: HeaderName = HeaderName::from_static("smithy-protocol");
const RPC_V2_CBOR: &str = "rpc-v2-cbor";
const JSON_TYPE: &str = "application/x-amz-json-1.1";
const CBOR_TYPE: &str = "application/cbor";

/// One of the two protocols that the public model names for CodePipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// AWS JSON 1.1: `X-Amz-Target: CodePipeline_20150709.{Operation}` on `/`, or on a path that names the operation.
    AwsJson11,
    /// Smithy RPC v2 CBOR on a path that names the operation.
    RpcV2Cbor,
}

impl Protocol {
    /// The protocol that the headers announce; AWS JSON 1.1 when they announce none, so that any refusal can be encoded.
    pub fn of(headers: &HeaderMap) -> Self {
        if headers.get(SMITHY_PROTOCOL).is_some_and(|value| value == RPC_V2_CBOR)
            || media_type(headers) == Some(CBOR_TYPE)
        {
            Self::RpcV2Cbor
        } else {
            Self::AwsJson11
        }
    }

    /// The content type of requests and answers.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::AwsJson11 => JSON_TYPE,
            Self::RpcV2Cbor => CBOR_TYPE,
        }
    }

    /// A response in this protocol around `body`.
    pub(crate) fn response(self, status: u16, body: Vec<u8>) -> Response {
        let mut response = Response::new(body);
        *response.status_mut() = http::StatusCode::from_u16(status).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
        if self == Self::RpcV2Cbor {
            response.headers_mut().insert(SMITHY_PROTOCOL, HeaderValue::from_static(RPC_V2_CBOR));
        }
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(self.media_type()));
        response
    }
}

/// What a request's path names. Policies allow requests by path, so a path is held against what the request does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Path<'a> {
    /// `/`: nothing. A header names the operation.
    Root,
    /// `/service/CodePipeline_20150709/operation/{Operation}`, which Smithy RPC v2 prescribes.
    Operation,
    /// `/pipelines/{pipeline}/{Operation}`: the pipeline as well. See [`crate::check_pipeline`].
    Pipeline(&'a str),
}

impl Path<'_> {
    /// The path itself, behind whatever base an API has. It is the inverse of what [`route`] finds in a path.
    pub fn to(self, operation: Operation) -> String {
        match self {
            Self::Root => "/".to_owned(),
            Self::Operation => format!("/service/{SERVICE}/operation/{operation}"),
            Self::Pipeline(pipeline) => format!("/pipelines/{pipeline}/{operation}"),
        }
    }
}

/// What a request calls, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call<'a> {
    /// How its body is encoded, and how the answer must be.
    pub protocol: Protocol,
    /// The operation that the path or the header names.
    pub operation: Operation,
    /// What the path itself names: the operation, the pipeline as well, or nothing.
    pub path: Path<'a>,
}

/// Finds what a request calls. Only the tail of `path` counts, as a stage of API Gateway may stand before it.
///
/// When the path names an operation, a target that names another one is refused: policies allow operations by path, and
/// the header must not get round them.
///
/// # Errors
/// `UnknownOperationException` when method, path or target name no operation, `UnsupportedMediaTypeException` when the
/// content type is not the protocol's. Encode them with [`Protocol::of`].
pub fn route<'a>(method: &http::Method, path: &'a str, headers: &HeaderMap) -> Result<Call<'a>, ApiError> {
    let unknown = |why: &str| Err(Exception::UnknownOperationException.because(why));
    if method != http::Method::POST {
        return unknown("Operations are called with POST.");
    }
    let (path, named) = named_in(path)?;
    let protocol = Protocol::of(headers);
    let expected = protocol.media_type();
    if media_type(headers) != Some(expected) {
        return Err(Exception::UnsupportedMediaTypeException.because(format!("The content type must be {expected}.")));
    }
    let target = headers.get(TARGET);
    let operation = match (protocol, named, target) {
        (Protocol::RpcV2Cbor, Some(operation), None) => {
            if headers.get(SMITHY_PROTOCOL).is_none_or(|value| value != RPC_V2_CBOR) {
                return unknown("The header smithy-protocol must be rpc-v2-cbor.");
            }
            operation
        }
        (Protocol::RpcV2Cbor, None, None) => return unknown("The path names no operation."),
        (Protocol::RpcV2Cbor, _, Some(_)) => {
            return unknown("X-Amz-Target has no place in Smithy RPC v2.");
        }
        (Protocol::AwsJson11, Some(operation), None) => operation,
        (Protocol::AwsJson11, None, None) => return unknown("X-Amz-Target is missing."),
        (Protocol::AwsJson11, named, Some(target)) => {
            let targeted = target.to_str().ok().and_then(|target| target.strip_prefix(SERVICE)?.strip_prefix('.'));
            match targeted.and_then(|name| name.parse().ok()) {
                None => {
                    return unknown("X-Amz-Target names no operation of CodePipeline_20150709.");
                }
                Some(operation) if named.is_some_and(|named| named != operation) => {
                    return unknown("X-Amz-Target and the path name different operations.");
                }
                Some(operation) => operation,
            }
        }
    };
    Ok(Call { protocol, operation, path })
}

/// What the tail of `path` names, with the operation, if it names one; none for a path like `/` or a bare stage.
fn named_in(path: &str) -> Result<(Path<'_>, Option<Operation>), ApiError> {
    let mut tail = path.rsplit('/');
    let operation = tail.next().unwrap_or_default().parse().ok();
    match (tail.next(), tail.next(), tail.next(), operation) {
        (Some("operation"), Some(SERVICE), Some("service"), Some(_)) => Ok((Path::Operation, operation)),
        (Some(pipeline), Some("pipelines"), Some(_), Some(_)) => Ok((Path::Pipeline(pipeline), operation)),
        _ if ["/operation/", "/pipelines/"].iter().any(|word| path.contains(word)) => {
            Err(Exception::UnknownOperationException.because("The path names no operation of CodePipeline_20150709."))
        }
        _ => Ok((Path::Root, None)),
    }
}

/// The content type without its parameters, when it is one that we know; names are compared without regard to case.
fn media_type(headers: &HeaderMap) -> Option<&'static str> {
    let value = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let name = value.split(';').next()?.trim();
    [JSON_TYPE, CBOR_TYPE].into_iter().find(|known| known.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Method;

    const PATH: &str = "/service/CodePipeline_20150709/operation/";

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()))
            .collect()
    }

    fn json(target: &str) -> HeaderMap {
        headers(&[("content-type", JSON_TYPE), ("x-amz-target", target)])
    }

    fn cbor() -> HeaderMap {
        headers(&[("content-type", CBOR_TYPE), ("smithy-protocol", RPC_V2_CBOR)])
    }

    fn refusal(path: &str, headers: &HeaderMap) -> Exception {
        route(&Method::POST, path, headers).unwrap_err().exception
    }

    #[test]
    fn every_operation_is_found_in_each_form_and_behind_any_stage() {
        for &operation in Operation::ALL {
            let target = json(&format!("CodePipeline_20150709.{operation}"));
            let by_target = Call { protocol: Protocol::AwsJson11, operation, path: Path::Root };
            for root in ["", "/", "/prod", "/restapis/abc123/prod/_user_request_/", "/_aws/execute-api/abc123/prod/"] {
                assert_eq!(route(&Method::POST, root, &target), Ok(by_target), "{root}");
            }
            for prefix in ["", "/prod", "/restapis/abc123/prod/_user_request_"] {
                let path = format!("{prefix}{PATH}{operation}");
                let of_a_pipeline = format!("{prefix}/pipelines/release/{operation}");
                for (path, named) in [(path, Path::Operation), (of_a_pipeline, Path::Pipeline("release"))] {
                    let call = |protocol| Ok(Call { protocol, operation, path: named });
                    assert_eq!(route(&Method::POST, &path, &cbor()), call(Protocol::RpcV2Cbor), "{path}");
                    assert_eq!(route(&Method::POST, &path, &target), call(Protocol::AwsJson11), "{path}");
                    let bare = headers(&[("content-type", "Application/X-Amz-Json-1.1; charset=utf-8")]);
                    assert_eq!(route(&Method::POST, &path, &bare), call(Protocol::AwsJson11), "{path}");
                }
            }
        }
    }

    #[test]
    fn a_path_leads_back_to_what_it_was_made_of() {
        for &operation in Operation::ALL {
            for path in [Path::Root, Path::Operation, Path::Pipeline("release")] {
                let target = json(&format!("CodePipeline_20150709.{operation}"));
                let call = Call { protocol: Protocol::AwsJson11, operation, path };
                assert_eq!(route(&Method::POST, &path.to(operation), &target), Ok(call));
            }
        }
    }

    #[test]
    fn a_target_cannot_get_round_the_path() {
        let target = json("CodePipeline_20150709.DeletePipeline");
        for path in [format!("{PATH}ListPipelines"), "/live/pipelines/release/GetPipeline".to_owned()] {
            assert_eq!(refusal(&path, &target), Exception::UnknownOperationException);
        }
    }

    #[test]
    fn what_names_no_operation_is_refused() {
        for (path, headers) in [
            ("/", json("CodePipeline_20150709.MakePipeline")),
            ("/", json("CodePipeline_20150709")),
            ("/", json("CodeBuild_20161006.StartBuild")),
            ("/", headers(&[("content-type", JSON_TYPE)])),
            ("/", cbor()),
            ("/service/CodePipeline_20150709/operation/", cbor()),
            ("/service/CodePipeline_20150709/operation/MakePipeline", cbor()),
            ("/service/CodePipeline_20150709/operation/ListPipelines/", cbor()),
            ("/service/CodeBuild_20161006/operation/ListPipelines", json("CodePipeline_20150709.ListPipelines")),
            ("/pipelines/release", json("CodePipeline_20150709.ListPipelines")),
            ("/pipelines/release/MakePipeline", json("CodePipeline_20150709.ListPipelines")),
            ("/pipelines/release/x/GetPipeline", json("CodePipeline_20150709.GetPipeline")),
            ("/service/CodePipeline_20150709/operation/ListPipelines", headers(&[("content-type", CBOR_TYPE)])),
            (
                "/service/CodePipeline_20150709/operation/ListPipelines",
                headers(&[
                    ("content-type", CBOR_TYPE),
                    ("smithy-protocol", RPC_V2_CBOR),
                    ("x-amz-target", "CodePipeline_20150709.ListPipelines"),
                ]),
            ),
        ] {
            assert_eq!(refusal(path, &headers), Exception::UnknownOperationException, "{path} {headers:?}");
        }
        let get = route(&Method::GET, "/", &json("CodePipeline_20150709.ListPipelines"));
        assert_eq!(get.unwrap_err().exception, Exception::UnknownOperationException);
    }

    #[test]
    fn a_foreign_content_type_is_refused() {
        for headers in [
            headers(&[("x-amz-target", "CodePipeline_20150709.ListPipelines")]),
            headers(&[("x-amz-target", "CodePipeline_20150709.ListPipelines"), ("content-type", "text/xml")]),
            headers(&[("smithy-protocol", RPC_V2_CBOR), ("content-type", JSON_TYPE)]),
        ] {
            assert_eq!(refusal(&format!("{PATH}ListPipelines"), &headers), Exception::UnsupportedMediaTypeException);
        }
    }

    #[test]
    fn a_refusal_can_always_be_encoded() {
        assert_eq!(Protocol::of(&HeaderMap::new()), Protocol::AwsJson11);
        assert_eq!(Protocol::of(&cbor()), Protocol::RpcV2Cbor);
        assert_eq!(Protocol::of(&headers(&[("smithy-protocol", RPC_V2_CBOR)])), Protocol::RpcV2Cbor);
    }
}
