//! The one error type of the API, with AWS's exception names, and its form in either protocol.

use crate::constraints::table;
use crate::protocol::Protocol;
use crate::{Operation, Response};

macro_rules! exceptions {
    (model { $($name:ident = $status:literal;)+ } common { $($shared:ident = $shared_status:literal;)+ }) => {
        /// The name of an error, as clients know it: the model's 42 exceptions and those that every AWS service may give.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[expect(missing_docs, reason = "the variants are the API's own names")]
        pub enum Exception {
            $($name,)+
            $($shared,)+
        }

        impl Exception {
            /// The exceptions of the CodePipeline model.
            pub const MODEL: &'static [Self] = &[$(Self::$name),+];
            /// The exceptions that any operation may answer with, though the model does not list them.
            pub const COMMON: &'static [Self] = &[$(Self::$shared),+];

            /// The name on the wire, such as `PipelineNotFoundException`.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)+
                    $(Self::$shared => stringify!($shared),)+
                }
            }

            /// The HTTP status under AWS JSON 1.1; [`ApiError::status`] knows the one difference between the protocols.
            pub const fn status(self) -> u16 {
                match self {
                    $(Self::$name => $status,)+
                    $(Self::$shared => $shared_status,)+
                }
            }
        }
    };
}

exceptions! {
model {
    ActionExecutionNotFoundException = 400;
    ActionNotFoundException = 400;
    ActionTypeAlreadyExistsException = 400;
    ActionTypeNotFoundException = 400;
    ApprovalAlreadyCompletedException = 400;
    ConcurrentModificationException = 400;
    ConcurrentPipelineExecutionsLimitExceededException = 400;
    ConditionNotOverridableException = 400;
    ConflictException = 409;
    DuplicatedStopRequestException = 400;
    InvalidActionDeclarationException = 400;
    InvalidApprovalTokenException = 400;
    InvalidArnException = 400;
    InvalidBlockerDeclarationException = 400;
    InvalidClientTokenException = 400;
    InvalidJobException = 400;
    InvalidJobStateException = 400;
    InvalidNextTokenException = 400;
    InvalidNonceException = 400;
    InvalidStageDeclarationException = 400;
    InvalidStructureException = 400;
    InvalidTagsException = 400;
    InvalidWebhookAuthenticationParametersException = 400;
    InvalidWebhookFilterPatternException = 400;
    JobNotFoundException = 400;
    LimitExceededException = 400;
    NotLatestPipelineExecutionException = 400;
    OutputVariablesSizeExceededException = 400;
    PipelineExecutionNotFoundException = 400;
    PipelineExecutionNotStoppableException = 400;
    PipelineExecutionOutdatedException = 400;
    PipelineNameInUseException = 400;
    PipelineNotFoundException = 400;
    PipelineVersionNotFoundException = 400;
    RequestFailedException = 400;
    ResourceNotFoundException = 400;
    StageNotFoundException = 400;
    StageNotRetryableException = 400;
    TooManyTagsException = 400;
    UnableToRollbackStageException = 400;
    ValidationException = 400;
    WebhookNotFoundException = 400;
}
common {
    SerializationException = 400;
    UnknownOperationException = 400;
    UnsupportedMediaTypeException = 415;
    RequestEntityTooLargeException = 413;
    AccessDeniedException = 400;
    ExpiredTokenException = 400;
    UnrecognizedClientException = 400;
    InvalidSignatureException = 400;
    ThrottlingException = 400;
    InternalFailure = 500;
    ServiceUnavailableException = 503;
}
}

impl Exception {
    /// An error of this name with a message that says what is wrong and where. It must hold no secret.
    pub fn because(self, message: impl Into<String>) -> ApiError {
        ApiError { exception: self, message: message.into() }
    }
}

impl std::fmt::Display for Exception {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Whether `operation` may answer with `exception`: the model lists it there, or it is common to all of AWS.
pub fn allowed(operation: Operation, exception: Exception) -> bool {
    Exception::COMMON.contains(&exception) || table().errors_of(operation).iter().any(|name| name == exception.name())
}

/// An error as a client of the API sees it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{exception}: {message}")]
pub struct ApiError {
    /// Which of the model's exceptions, or of AWS's common ones.
    pub exception: Exception,
    /// What is wrong, in words.
    pub message: String,
}

impl ApiError {
    /// The HTTP status in `protocol`. An unknown operation is 404 under Smithy RPC v2, where the path names it, and 400
    /// under AWS JSON, where a header does.
    pub const fn status(&self, protocol: Protocol) -> u16 {
        match (self.exception, protocol) {
            (Exception::UnknownOperationException, Protocol::RpcV2Cbor) => 404,
            (exception, _) => exception.status(),
        }
    }

    /// The response that carries this error.
    pub fn encode(&self, protocol: Protocol) -> Response {
        let body = match protocol {
            Protocol::AwsJson11 => {
                serde_json::json!({"__type": self.exception.name(), "message": self.message}).to_string().into_bytes()
            }
            Protocol::RpcV2Cbor => {
                let mut body = aws_smithy_cbor::Encoder::new(Vec::new());
                body.begin_map();
                // RPC v2 CBOR wants the absolute shape id, unlike AWS JSON.
                body.str("__type").str(&format!("com.amazonaws.codepipeline#{}", self.exception.name()));
                body.str("message").str(&self.message);
                body.end();
                body.into_writer()
            }
        };
        let mut response = protocol.response(self.status(protocol), body);
        let kind = http::HeaderValue::from_static(self.exception.name());
        response.headers_mut().insert("x-amzn-errortype", kind);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exceptions_are_exactly_the_models() {
        let ours: Vec<_> = Exception::MODEL.iter().map(|e| (e.name().to_owned(), e.status())).collect();
        let models: Vec<_> = table().errors.iter().map(|(name, status)| (name.clone(), *status)).collect();
        assert_eq!(ours, models);
    }

    #[test]
    fn an_operation_allows_what_the_model_lists_and_what_is_common() {
        assert!(allowed(Operation::GetPipeline, Exception::PipelineNotFoundException));
        assert!(!allowed(Operation::GetPipeline, Exception::WebhookNotFoundException));
        for &operation in Operation::ALL {
            assert!(allowed(operation, Exception::ValidationException), "{operation}");
            assert!(allowed(operation, Exception::ThrottlingException), "{operation}");
        }
    }

    #[test]
    fn an_error_in_json_has_a_bare_type_a_message_and_the_header() {
        for &exception in Exception::MODEL.iter().chain(Exception::COMMON) {
            let error = exception.because("no pipeline \"a\"");
            let response = error.encode(Protocol::AwsJson11);
            let body: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
            assert_eq!(body, serde_json::json!({"__type": exception.name(), "message": "no pipeline \"a\""}));
            assert_eq!(response.headers()["x-amzn-errortype"], exception.name());
            assert_eq!(response.headers()["content-type"], "application/x-amz-json-1.1");
            assert_eq!(response.status().as_u16(), exception.status());
        }
    }

    #[test]
    fn an_error_in_cbor_has_an_absolute_type_and_the_protocols_header() {
        for &exception in Exception::MODEL.iter().chain(Exception::COMMON) {
            let response = exception.because("gone").encode(Protocol::RpcV2Cbor);
            let body = crate::cbor::parse(response.body()).unwrap();
            let kind = format!("com.amazonaws.codepipeline#{}", exception.name());
            assert_eq!(body, serde_json::json!({"__type": kind, "message": "gone"}));
            assert_eq!(response.headers()["smithy-protocol"], "rpc-v2-cbor");
            assert_eq!(response.headers()["content-type"], "application/cbor");
        }
    }

    #[test]
    fn statuses_follow_the_protocol() {
        let status = |exception: Exception, protocol| exception.because("").status(protocol);
        assert_eq!(status(Exception::ConflictException, Protocol::AwsJson11), 409);
        assert_eq!(status(Exception::InternalFailure, Protocol::RpcV2Cbor), 500);
        assert_eq!(status(Exception::UnknownOperationException, Protocol::AwsJson11), 400);
        assert_eq!(status(Exception::UnknownOperationException, Protocol::RpcV2Cbor), 404);
    }
}
