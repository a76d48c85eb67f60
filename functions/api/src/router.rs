//! From a request to its operation and back.

use std::future::Future;
use std::sync::OnceLock;

use aws_smithy_schema::serde::SerializableStruct;
use lambda_http::http::{HeaderMap, HeaderValue};
use lambda_http::request::RequestContext;
use lambda_http::{Body, Request, RequestExt, Response};
use runtime::CallLog;
use store::ChangeOrigin;
use uuid::Uuid;
use wire::{ApiError, Exception, Input, Operation, Path, Protocol};

use crate::app::App;
use crate::{
    action_types, actions, approvals, conditions, control, executions, jobs, links, pipelines, revisions, rule_types,
    state, tags, targets, third_party, transitions, webhooks,
};

/// What API Gateway says about a request.
struct Origin {
    /// API Gateway's id of the request, or a random one where there is none; answers carry it as `x-amzn-requestid`.
    id: String,
    /// The ARN of who signed it; empty where nobody did, which only an emulator lets through.
    caller: String,
    /// The address from which it came.
    source: Option<String>,
    /// The API's base URL, in which webhooks get theirs.
    base: String,
}

/// Names the version with which a change of a pipeline began: `UpdatePipeline` refuses it where another has been stored since.
const OF_VERSION: &str = "x-millrace-of-version";

impl Origin {
    fn of(app: &App, request: &Request) -> Self {
        let (mut id, mut caller, mut source, mut api, mut stage) = (None, None, None, None, None);
        if let Some(RequestContext::ApiGatewayV1(context)) = request.request_context_ref() {
            id.clone_from(&context.request_id);
            caller.clone_from(&context.identity.user_arn);
            source.clone_from(&context.identity.source_ip);
            api.clone_from(&context.apiid);
            stage.clone_from(&context.stage);
        }
        let (api, stage) = (api.unwrap_or_default(), stage.unwrap_or_default());
        Self {
            id: id.unwrap_or_else(|| Uuid::new_v4().to_string()),
            caller: caller.unwrap_or_default(),
            source,
            base: links::base(app.endpoint.as_deref(), app.driver.home(), &api, &stage),
        }
    }
}

fn of_version(headers: &HeaderMap) -> Result<Option<u32>, ApiError> {
    let number = |value: &HeaderValue| value.to_str().ok().and_then(|value| value.parse().ok());
    let wrong = || Exception::ValidationException.because(format!("The header {OF_VERSION} must be a number."));
    headers.get(OF_VERSION).map(|value| number(value).ok_or_else(wrong)).transpose()
}

impl Origin {
    /// The same as the table and the audit log keep it.
    fn of_changes(&self) -> ChangeOrigin {
        ChangeOrigin { caller: self.caller.clone(), source: self.source.clone(), request: self.id.clone() }
    }
}

/// Decodes a request of either protocol, has its operation done, and encodes the answer or the exception.
pub async fn handle(app: &App, request: Request) -> Response<Body> {
    let origin = Origin::of(app, &request);
    let routed = wire::route(request.method(), request.uri().path(), request.headers());
    let protocol = routed.as_ref().map_or_else(|_| Protocol::of(request.headers()), |call| call.protocol);
    let operation = routed.as_ref().map_or("unknown", |call| call.operation.name());
    let noted: OnceLock<Noted> = OnceLock::new();
    let answering = async {
        let answered = match &routed {
            Ok(call) => {
                let body = request.body().as_ref();
                let headers = request.headers();
                let routed = Routed { call: *call, origin: &origin, headers, body, calls: &app.calls, noted: &noted };
                // Boxed, since all operations together make a large future.
                Box::pin(dispatch(app, routed)).await
            }
            Err(error) => Err(error.clone()),
        };
        let result = answered.as_ref().map_or_else(|error| error.exception.name(), |_| "ok");
        let (pipeline, asked) = noted.get().map_or((None, false), |noted| (noted.pipeline.as_deref(), noted.asked));
        if answered.is_err() || !asked {
            app.calls.answered(operation, pipeline, result).await;
        }
        answered
    };
    let answered = origin.of_changes().scope(answering).await;
    let answer = answered.unwrap_or_else(|error| {
        tracing::info!(operation, request = %origin.id, exception = error.exception.name(), "refused");
        error.encode(protocol)
    });
    tracing::info!(operation, request = %origin.id, status = answer.status().as_u16(), "answered");
    delivered(answer, protocol, &origin.id)
}

/// The answer as API Gateway takes it: JSON as text, CBOR as bytes, which go there in base64.
fn delivered(answer: wire::Response, protocol: Protocol, id: &str) -> Response<Body> {
    let (mut parts, body) = answer.into_parts();
    if let Ok(id) = HeaderValue::from_str(id) {
        parts.headers.insert("x-amzn-requestid", id);
    }
    let body = match protocol {
        Protocol::AwsJson11 => {
            // lambda_http would take this content type for bytes.
            parts.headers.insert("x-lambda-http-content-encoding", HeaderValue::from_static("text"));
            Body::Text(String::from_utf8_lossy(&body).into_owned())
        }
        Protocol::RpcV2Cbor => Body::Binary(body),
    };
    Response::from_parts(parts, body)
}

/// A request on its way to its operation.
#[derive(Clone, Copy)]
struct Routed<'a> {
    call: wire::Call<'a>,
    origin: &'a Origin,
    headers: &'a HeaderMap,
    body: &'a [u8],
    calls: &'a CallLog,
    noted: &'a OnceLock<Noted>,
}

/// What is known of a call once its input is read.
struct Noted {
    /// The pipeline that it names.
    pipeline: Option<String>,
    /// Whether the audit log tells of it already.
    asked: bool,
}

async fn dispatch(app: &App, request: Routed<'_>) -> Result<wire::Response, ApiError> {
    let Routed { call, origin, .. } = request;
    if call.path == Path::Root && !app.root {
        return Err(Exception::UnknownOperationException.because(
            "This installation does not serve AWS JSON 1.1 on '/': call the operation on \
             /service/CodePipeline_20150709/operation/, or set the template's parameter JsonOnRoot.",
        ));
    }
    let Origin { caller, base, .. } = origin;
    if caller.is_empty() && app.endpoint.is_none() {
        return Err(Exception::AccessDeniedException.because("The request is not signed."));
    }
    match call.operation {
        Operation::CreatePipeline => run(request, |input| pipelines::create(app, caller, input)).await,
        Operation::GetPipeline => run(request, |input| pipelines::get(app, input)).await,
        Operation::UpdatePipeline => {
            let of = of_version(request.headers)?;
            run(request, |input| pipelines::update(app, caller, of, input)).await
        }
        Operation::DeletePipeline => run(request, |input| pipelines::delete(app, input)).await,
        Operation::ListPipelines => run(request, |input| pipelines::list(app, input)).await,
        Operation::StartPipelineExecution => run(request, |input| executions::start(app, caller, input)).await,
        Operation::GetPipelineExecution => run(request, |input| executions::get(app, input)).await,
        Operation::ListPipelineExecutions => run(request, |input| executions::list(app, input)).await,
        Operation::GetPipelineState => run(request, |input| state::get(app, input)).await,
        Operation::ListActionExecutions => run(request, |input| actions::list(app, input)).await,
        Operation::PutApprovalResult => run(request, |input| approvals::put(app, caller, input)).await,
        Operation::CreateCustomActionType => run(request, |input| action_types::create(app, input)).await,
        Operation::DeleteCustomActionType => run(request, |input| action_types::delete(app, input)).await,
        Operation::ListActionTypes => run(request, |input| action_types::list(app, input)).await,
        Operation::GetActionType => run(request, |input| action_types::get(app, input)).await,
        Operation::UpdateActionType => run(request, |input| action_types::update(app, input)).await,
        Operation::PollForJobs => run(request, |input| jobs::poll(app, input)).await,
        Operation::AcknowledgeJob => run(request, |input| jobs::acknowledge(app, input)).await,
        Operation::GetJobDetails => run(request, |input| jobs::details(app, input)).await,
        Operation::PollForThirdPartyJobs => run(request, |input| third_party::poll(app, input)).await,
        Operation::AcknowledgeThirdPartyJob => run(request, |input| third_party::acknowledge(app, input)).await,
        Operation::GetThirdPartyJobDetails => run(request, |input| third_party::details(app, input)).await,
        Operation::PutThirdPartyJobSuccessResult => run(request, |input| third_party::succeeded(app, input)).await,
        Operation::PutThirdPartyJobFailureResult => run(request, |input| third_party::failed(app, input)).await,
        Operation::PutJobSuccessResult => run(request, |input| jobs::succeeded(app, input)).await,
        Operation::PutJobFailureResult => run(request, |input| jobs::failed(app, input)).await,
        Operation::EnableStageTransition => run(request, |input| transitions::enable(app, caller, input)).await,
        Operation::DisableStageTransition => run(request, |input| transitions::disable(app, caller, input)).await,
        Operation::StopPipelineExecution => run(request, |input| control::stop(app, input)).await,
        Operation::RetryStageExecution => run(request, |input| control::retry(app, input)).await,
        Operation::RollbackStage => run(request, |input| control::roll_back(app, caller, input)).await,
        Operation::OverrideStageCondition => {
            run(request, |input| control::override_condition(app, caller, input)).await
        }
        Operation::ListRuleExecutions => run(request, |input| conditions::list(app, input)).await,
        Operation::TagResource => run(request, |input| tags::tag(app, input)).await,
        Operation::UntagResource => run(request, |input| tags::untag(app, input)).await,
        Operation::ListTagsForResource => run(request, |input| tags::list(app, input)).await,
        Operation::PutWebhook => run(request, |input| webhooks::put(app, base, input)).await,
        Operation::ListWebhooks => run(request, |input| webhooks::list(app, base, input)).await,
        Operation::DeleteWebhook => run(request, |input| webhooks::delete(app, input)).await,
        Operation::RegisterWebhookWithThirdParty => run(request, |input| webhooks::register(app, base, input)).await,
        Operation::DeregisterWebhookWithThirdParty => {
            run(request, |input| webhooks::deregister(app, base, input)).await
        }
        Operation::PutActionRevision => run(request, |input| revisions::put(app, caller, input)).await,
        Operation::ListRuleTypes => run(request, async |input| rule_types::list(input)).await,
        Operation::ListDeployActionExecutionTargets => run(request, |input| targets::list(app, input)).await,
    }
}

/// Decodes the input, runs the operation, encodes the output.
async fn run<I: Input + SerializableStruct, F: Future<Output = Result<I::Output, ApiError>>>(
    Routed { call, body, calls, noted, .. }: Routed<'_>,
    operation: impl FnOnce(I) -> F,
) -> Result<wire::Response, ApiError> {
    let input = wire::decode(call.protocol, body)?;
    let allowed = match call.path {
        Path::Pipeline(pipeline) => wire::check_pipeline(pipeline, &input),
        _ => Ok(()),
    };
    let asked = allowed.is_ok() && reads(call.operation);
    let noted = noted.get_or_init(|| Noted { pipeline: wire::pipeline_of(&input), asked });
    allowed?;
    // A read is noted while it is done, so that nobody waits for both. What comes of it is not known then: if it is refused,
    // that is noted besides.
    let answered = if asked {
        let noting = calls.answered(call.operation.name(), noted.pipeline.as_deref(), ASKED);
        tokio::join!(operation(input), noting).0
    } else {
        operation(input).await
    };
    Ok(wire::encode(call.protocol, &answered?))
}

/// What the audit log says of a read that has come in.
const ASKED: &str = "asked";

/// Whether an operation changes nothing.
fn reads(operation: Operation) -> bool {
    ["Get", "List"].iter().any(|reading| operation.name().starts_with(reading))
}
