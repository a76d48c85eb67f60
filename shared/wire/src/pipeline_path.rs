//! Requests whose path names a pipeline: it must be the one that the request is for.

use aws_smithy_schema::serde::SerializableStruct;

use crate::{ApiError, Exception, Input, Operation, Protocol, cbor, json, to_json};

/// Refuses an input that is not for this pipeline, or for none: who may only call `/pipelines/release/...` must not
/// reach another pipeline through the body.
///
/// # Errors
/// `ValidationException`.
pub fn check_pipeline<I: Input + SerializableStruct>(pipeline: &str, input: &I) -> Result<(), ApiError> {
    let operation = I::OPERATION;
    let Some(member) = member(operation) else {
        return Err(Exception::ValidationException
            .because(format!("{operation} is not for one pipeline: it cannot be called on a path that names one.")));
    };
    match pipeline_of(input) {
        Some(name) if name == pipeline => Ok(()),
        _ => {
            let member = member.trim_start_matches('/').replace('/', ".");
            Err(Exception::ValidationException
                .because(format!("The path names another pipeline than the request does in '{member}'.")))
        }
    }
}

/// The pipeline that an input is for, if its operation is for one.
pub fn pipeline_of<I: Input + SerializableStruct>(input: &I) -> Option<String> {
    let json = to_json(input).ok()?;
    json.pointer(member(I::OPERATION)?)?.as_str().map(str::to_owned)
}

/// The pipeline that a body is for, if its operation is for one and the body can be read. Nothing is checked: what is wrong
/// with a body comes out where it is decoded.
pub fn pipeline_in(operation: Operation, protocol: Protocol, body: &[u8]) -> Option<String> {
    let member = member(operation)?;
    let value = match protocol {
        Protocol::AwsJson11 => json::parse(body).ok()?,
        Protocol::RpcV2Cbor => cbor::parse(body).ok()?,
    };
    value.pointer(member)?.as_str().map(str::to_owned)
}

/// Where an operation's input names the pipeline that it is for, as a JSON pointer.
fn member(operation: Operation) -> Option<&'static str> {
    match operation {
        Operation::CreatePipeline | Operation::UpdatePipeline => Some("/pipeline/name"),
        Operation::DeletePipeline
        | Operation::GetPipeline
        | Operation::GetPipelineState
        | Operation::StartPipelineExecution => Some("/name"),
        Operation::DisableStageTransition
        | Operation::EnableStageTransition
        | Operation::GetPipelineExecution
        | Operation::ListActionExecutions
        | Operation::ListDeployActionExecutionTargets
        | Operation::ListPipelineExecutions
        | Operation::ListRuleExecutions
        | Operation::OverrideStageCondition
        | Operation::PutActionRevision
        | Operation::PutApprovalResult
        | Operation::RetryStageExecution
        | Operation::RollbackStage
        | Operation::StopPipelineExecution => Some("/pipelineName"),
        Operation::AcknowledgeJob
        | Operation::AcknowledgeThirdPartyJob
        | Operation::CreateCustomActionType
        | Operation::DeleteCustomActionType
        | Operation::DeleteWebhook
        | Operation::DeregisterWebhookWithThirdParty
        | Operation::GetActionType
        | Operation::GetJobDetails
        | Operation::GetThirdPartyJobDetails
        | Operation::ListActionTypes
        | Operation::ListPipelines
        | Operation::ListRuleTypes
        | Operation::ListTagsForResource
        | Operation::ListWebhooks
        | Operation::PollForJobs
        | Operation::PollForThirdPartyJobs
        | Operation::PutJobFailureResult
        | Operation::PutJobSuccessResult
        | Operation::PutThirdPartyJobFailureResult
        | Operation::PutThirdPartyJobSuccessResult
        | Operation::PutWebhook
        | Operation::RegisterWebhookWithThirdParty
        | Operation::TagResource
        | Operation::UntagResource
        | Operation::UpdateActionType => None,
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_codepipeline::operation::create_pipeline::CreatePipelineInput;
    use aws_sdk_codepipeline::operation::delete_webhook::DeleteWebhookInput;
    use aws_sdk_codepipeline::operation::list_deploy_action_execution_targets::ListDeployActionExecutionTargetsInput;
    use aws_sdk_codepipeline::operation::start_pipeline_execution::StartPipelineExecutionInput;
    use aws_sdk_codepipeline::operation::stop_pipeline_execution::StopPipelineExecutionInput;
    use aws_sdk_codepipeline::types::PipelineDeclaration;

    use super::*;

    #[test]
    fn path_and_body_must_name_the_same_pipeline() {
        let start = StartPipelineExecutionInput::builder().name("release").build().unwrap();
        let stop = StopPipelineExecutionInput::builder().pipeline_name("release").pipeline_execution_id("x").build();
        let declared = PipelineDeclaration::builder().name("release").role_arn("r").set_stages(Some(vec![])).build();
        let create = CreatePipelineInput::builder().pipeline(declared.unwrap()).build().unwrap();
        for (pipeline, fits) in [("release", true), ("Release", false), ("releas", false), ("*", false), ("", false)] {
            assert_eq!(check_pipeline(pipeline, &start).is_ok(), fits);
            assert_eq!(check_pipeline(pipeline, stop.as_ref().unwrap()).is_ok(), fits);
            assert_eq!(check_pipeline(pipeline, &create).is_ok(), fits);
        }
        let error = check_pipeline("other", &create).unwrap_err();
        assert_eq!(error.exception, Exception::ValidationException);
        assert!(error.message.contains("'pipeline.name'"), "{}", error.message);
    }

    #[test]
    fn the_pipeline_of_a_body_is_found_in_each_protocol() {
        let json = |operation, body: &str| pipeline_in(operation, Protocol::AwsJson11, body.as_bytes());
        assert_eq!(json(Operation::GetPipeline, r#"{"name":"release"}"#).as_deref(), Some("release"));
        assert_eq!(json(Operation::CreatePipeline, r#"{"pipeline":{"name":"a"}}"#).as_deref(), Some("a"));
        // The last one counts, as it does when the body is decoded.
        assert_eq!(json(Operation::StopPipelineExecution, r#"{"pipelineName":"a","pipelineName":"b"}"#).unwrap(), "b");
        let mut body = aws_smithy_cbor::Encoder::new(Vec::new());
        body.begin_map().str("pipelineName").str("release").end();
        let found = pipeline_in(Operation::PutApprovalResult, Protocol::RpcV2Cbor, &body.into_writer());
        assert_eq!(found.as_deref(), Some("release"));
        for (operation, body) in [
            (Operation::DeleteWebhook, r#"{"name":"release"}"#),
            (Operation::GetPipeline, r#"{"pipelineName":"release"}"#),
            (Operation::GetPipeline, r#"{"name":7}"#),
            (Operation::GetPipeline, r#"{"name":"release""#),
            (Operation::GetPipeline, ""),
        ] {
            assert_eq!(json(operation, body), None, "{operation} {body}");
        }
    }

    #[test]
    fn what_names_no_pipeline_cannot_be_called_on_a_pipeline_s_path() {
        // A webhook's name is no pipeline's.
        let hook = DeleteWebhookInput::builder().name("release").build().unwrap();
        let error = check_pipeline("release", &hook).unwrap_err();
        assert!(error.message.contains("DeleteWebhook"), "{}", error.message);
        let targets = ListDeployActionExecutionTargetsInput::builder().action_execution_id("x").build().unwrap();
        assert!(check_pipeline("release", &targets).is_err(), "its pipelineName may be left out, but not here");
    }
}
