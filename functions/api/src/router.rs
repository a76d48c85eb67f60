//! From a request to its operation and back.

use std::future::Future;

use lambda_http::http::HeaderValue;
use lambda_http::request::RequestContext;
use lambda_http::{Body, Request, RequestExt, Response};
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
    /// The API's own URL.
    base: String,
}

impl Origin {
    fn of(app: &App, request: &Request) -> Self {
        let (mut id, mut caller, mut api, mut stage) = (None, None, None, None);
        if let Some(RequestContext::ApiGatewayV1(context)) = request.request_context_ref() {
            id.clone_from(&context.request_id);
            caller.clone_from(&context.identity.user_arn);
            api.clone_from(&context.apiid);
            stage.clone_from(&context.stage);
        }
        let (api, stage) = (api.unwrap_or_default(), stage.unwrap_or_default());
        Self {
            id: id.unwrap_or_else(|| Uuid::new_v4().to_string()),
            caller: caller.unwrap_or_default(),
            base: links::base(app.endpoint.as_deref(), app.driver.home(), &api, &stage),
        }
    }
}

/// Answers one request.
pub async fn handle(app: &App, request: Request) -> Response<Body> {
    let origin = Origin::of(app, &request);
    let routed = wire::route(request.method(), request.uri().path(), request.headers());
    let protocol = routed.as_ref().map_or_else(|_| Protocol::of(request.headers()), |call| call.protocol);
    let operation = routed.as_ref().map_or("unknown", |call| call.operation.name());
    let answered = match &routed {
        // Boxed, since all operations together make a large future.
        Ok(call) => Box::pin(dispatch(app, *call, &origin, request.body().as_ref())).await,
        Err(error) => Err(error.clone()),
    };
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

async fn dispatch(app: &App, call: wire::Call<'_>, origin: &Origin, body: &[u8]) -> Result<wire::Response, ApiError> {
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
        Operation::CreatePipeline => run(call, body, |input| pipelines::create(app, caller, input)).await,
        Operation::GetPipeline => run(call, body, |input| pipelines::get(app, input)).await,
        Operation::UpdatePipeline => run(call, body, |input| pipelines::update(app, caller, input)).await,
        Operation::DeletePipeline => run(call, body, |input| pipelines::delete(app, input)).await,
        Operation::ListPipelines => run(call, body, |input| pipelines::list(app, input)).await,
        Operation::StartPipelineExecution => run(call, body, |input| executions::start(app, caller, input)).await,
        Operation::GetPipelineExecution => run(call, body, |input| executions::get(app, input)).await,
        Operation::ListPipelineExecutions => run(call, body, |input| executions::list(app, input)).await,
        Operation::GetPipelineState => run(call, body, |input| state::get(app, input)).await,
        Operation::ListActionExecutions => run(call, body, |input| actions::list(app, input)).await,
        Operation::PutApprovalResult => run(call, body, |input| approvals::put(app, caller, input)).await,
        Operation::CreateCustomActionType => run(call, body, |input| action_types::create(app, input)).await,
        Operation::DeleteCustomActionType => run(call, body, |input| action_types::delete(app, input)).await,
        Operation::ListActionTypes => run(call, body, |input| action_types::list(app, input)).await,
        Operation::GetActionType => run(call, body, |input| action_types::get(app, input)).await,
        Operation::UpdateActionType => run(call, body, |input| action_types::update(app, input)).await,
        Operation::PollForJobs => run(call, body, |input| jobs::poll(app, input)).await,
        Operation::AcknowledgeJob => run(call, body, |input| jobs::acknowledge(app, input)).await,
        Operation::GetJobDetails => run(call, body, |input| jobs::details(app, input)).await,
        Operation::PollForThirdPartyJobs => run(call, body, |input| third_party::poll(app, input)).await,
        Operation::AcknowledgeThirdPartyJob => run(call, body, |input| third_party::acknowledge(app, input)).await,
        Operation::GetThirdPartyJobDetails => run(call, body, |input| third_party::details(app, input)).await,
        Operation::PutThirdPartyJobSuccessResult => run(call, body, |input| third_party::succeeded(app, input)).await,
        Operation::PutThirdPartyJobFailureResult => run(call, body, |input| third_party::failed(app, input)).await,
        Operation::PutJobSuccessResult => run(call, body, |input| jobs::succeeded(app, input)).await,
        Operation::PutJobFailureResult => run(call, body, |input| jobs::failed(app, input)).await,
        Operation::EnableStageTransition => run(call, body, |input| transitions::enable(app, caller, input)).await,
        Operation::DisableStageTransition => run(call, body, |input| transitions::disable(app, caller, input)).await,
        Operation::StopPipelineExecution => run(call, body, |input| control::stop(app, input)).await,
        Operation::RetryStageExecution => run(call, body, |input| control::retry(app, input)).await,
        Operation::RollbackStage => run(call, body, |input| control::roll_back(app, caller, input)).await,
        Operation::OverrideStageCondition => {
            run(call, body, |input| control::override_condition(app, caller, input)).await
        }
        Operation::ListRuleExecutions => run(call, body, |input| conditions::list(app, input)).await,
        Operation::TagResource => run(call, body, |input| tags::tag(app, input)).await,
        Operation::UntagResource => run(call, body, |input| tags::untag(app, input)).await,
        Operation::ListTagsForResource => run(call, body, |input| tags::list(app, input)).await,
        Operation::PutWebhook => run(call, body, |input| webhooks::put(app, base, input)).await,
        Operation::ListWebhooks => run(call, body, |input| webhooks::list(app, base, input)).await,
        Operation::DeleteWebhook => run(call, body, |input| webhooks::delete(app, input)).await,
        Operation::RegisterWebhookWithThirdParty => run(call, body, |input| webhooks::register(app, input)).await,
        Operation::DeregisterWebhookWithThirdParty => run(call, body, |input| webhooks::deregister(app, input)).await,
        Operation::PutActionRevision => run(call, body, |input| revisions::put(app, caller, input)).await,
        Operation::ListRuleTypes => run(call, body, async |input| rule_types::list(input)).await,
        Operation::ListDeployActionExecutionTargets => run(call, body, |input| targets::list(app, input)).await,
    }
}

/// Decodes the input, runs the operation, encodes the output.
async fn run<I: Input, F: Future<Output = Result<I::Output, ApiError>>>(
    call: wire::Call<'_>,
    body: &[u8],
    operation: impl FnOnce(I) -> F,
) -> Result<wire::Response, ApiError> {
    let input = wire::decode(call.protocol, body)?;
    if let Path::Pipeline(pipeline) = call.path {
        wire::check_pipeline(pipeline, &input)?;
    }
    Ok(wire::encode(call.protocol, &operation(input).await?))
}
