//! `PutApprovalResult`: answers to manual approvals.

use engine::{ApprovalToken, Approver};
use std::time::SystemTime;

use aws_sdk_codepipeline::operation::put_approval_result::{PutApprovalResultInput, PutApprovalResultOutput};
use aws_sdk_codepipeline::primitives::DateTime;
use aws_sdk_codepipeline::types::ApprovalStatus;
use driver::ApprovalAnswer;
use wire::{ApiError, Exception, Operation};

use crate::app::App;
use crate::convert;

/// Records the answer to an approval, by the token that its message or `GetPipelineState` gave.
pub async fn put(app: &App, caller: &str, input: PutApprovalResultInput) -> Result<PutApprovalResultOutput, ApiError> {
    let name = convert::pipeline_name(input.pipeline_name)?;
    let stage = input.stage_name.unwrap_or_default();
    let action = input.action_name.unwrap_or_default();
    let token = input.token.as_deref().unwrap_or_default().parse::<ApprovalToken>().map_err(|_| {
        Exception::InvalidApprovalTokenException
            .because(format!("The approval token is not valid for action {action} in stage {stage}"))
    })?;
    let result = input.result.ok_or_else(|| convert::invalid("result is missing"))?;
    let answer = ApprovalAnswer {
        approved: result.status == ApprovalStatus::Approved,
        summary: result.summary,
        by: Approver::Caller(caller.to_owned()),
    };
    app.driver
        .approve(&name, &stage, &action, token, answer)
        .await
        .map_err(app.refusal(Operation::PutApprovalResult))?;
    Ok(PutApprovalResultOutput::builder().approved_at(DateTime::from(SystemTime::now())).build())
}
