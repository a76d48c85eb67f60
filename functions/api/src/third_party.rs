//! Jobs of third parties' actions: whoever asks for one must know the token of the client that it is for.

use aws_sdk_codepipeline::operation::acknowledge_third_party_job::{
    AcknowledgeThirdPartyJobInput, AcknowledgeThirdPartyJobOutput,
};
use aws_sdk_codepipeline::operation::get_third_party_job_details::{
    GetThirdPartyJobDetailsInput, GetThirdPartyJobDetailsOutput,
};
use aws_sdk_codepipeline::operation::poll_for_third_party_jobs::{
    PollForThirdPartyJobsInput, PollForThirdPartyJobsOutput,
};
use aws_sdk_codepipeline::operation::put_third_party_job_failure_result::{
    PutThirdPartyJobFailureResultInput, PutThirdPartyJobFailureResultOutput,
};
use aws_sdk_codepipeline::operation::put_third_party_job_success_result::{
    PutThirdPartyJobSuccessResultInput, PutThirdPartyJobSuccessResultOutput,
};
use aws_sdk_codepipeline::types::{ThirdPartyJob, ThirdPartyJobDetails};
use driver::{JobCaller, JobResult, Offered};
use pipeline::custom::CLIENT_ID;
use wire::{ApiError, Operation};

use crate::app::App;
use crate::{convert, job_data, jobs};

/// Offers jobs: the answer has their ids and clients, and a worker that knows the client's token gets the details.
pub async fn poll(app: &App, input: PollForThirdPartyJobsInput) -> Result<PollForThirdPartyJobsOutput, ApiError> {
    let id = jobs::type_id(input.action_type_id)?;
    if id.owner.as_deref() != Some("ThirdParty") {
        return Err(convert::invalid("PollForThirdPartyJobs is for action types of the owner ThirdParty."));
    }
    let most = jobs::batch(input.max_batch_size);
    let offered = app.driver.poll_jobs(&id, None, most).await.map_err(app.refusal(Operation::PollForThirdPartyJobs))?;
    let mut jobs = Vec::new();
    for Offered { task, .. } in offered {
        let client = task.configuration.get(CLIENT_ID).cloned();
        jobs.push(ThirdPartyJob::builder().set_client_id(client).job_id(jobs::id(app, task.id).await?).build());
    }
    Ok(PollForThirdPartyJobsOutput::builder().set_jobs(Some(jobs)).build())
}

/// A job with its nonce and fresh credentials.
pub async fn details(
    app: &App,
    input: GetThirdPartyJobDetailsInput,
) -> Result<GetThirdPartyJobDetailsOutput, ApiError> {
    let operation = Operation::GetThirdPartyJobDetails;
    let id = jobs::job(app, operation, input.job_id).await?;
    let token = input.client_token.unwrap_or_default();
    let caller = JobCaller::ThirdParty { token: &token };
    let (task, nonce) = app.driver.job(id, caller).await.map_err(app.refusal(operation))?;
    let credentials = job_data::credentials(app, &task).await.map_err(|error| job_data::no_credentials(&error))?;
    let details = ThirdPartyJobDetails::builder()
        .id(jobs::id(app, id).await?)
        .data(job_data::third_party(&task, credentials)?)
        .set_nonce(nonce.map(|nonce| nonce.to_string()))
        .build();
    Ok(GetThirdPartyJobDetailsOutput::builder().job_details(details).build())
}

/// A worker takes a job.
pub async fn acknowledge(
    app: &App,
    input: AcknowledgeThirdPartyJobInput,
) -> Result<AcknowledgeThirdPartyJobOutput, ApiError> {
    let operation = Operation::AcknowledgeThirdPartyJob;
    let id = jobs::job(app, operation, input.job_id).await?;
    let (nonce, token) = (input.nonce.unwrap_or_default(), input.client_token.unwrap_or_default());
    let caller = JobCaller::ThirdParty { token: &token };
    let state = app.driver.acknowledge(id, &nonce, caller).await.map_err(app.refusal(operation))?;
    Ok(AcknowledgeThirdPartyJobOutput::builder().status(jobs::status(state)).build())
}

/// A job succeeded, or asks to be continued.
pub async fn succeeded(
    app: &App,
    input: PutThirdPartyJobSuccessResultInput,
) -> Result<PutThirdPartyJobSuccessResultOutput, ApiError> {
    let operation = Operation::PutThirdPartyJobSuccessResult;
    let id = jobs::job(app, operation, input.job_id).await?;
    let report = input.execution_details.map(jobs::progress).unwrap_or_default();
    let result = match input.continuation_token {
        Some(token) => JobResult::Continue { token, report },
        None => {
            let revision = input.current_revision.map(jobs::revision);
            JobResult::Succeeded { report, variables: Default::default(), revision }
        }
    };
    let token = input.client_token.unwrap_or_default();
    let caller = JobCaller::ThirdParty { token: &token };
    app.driver.job_result(id, caller, result, &app.roles).await.map_err(app.refusal(operation))?;
    Ok(PutThirdPartyJobSuccessResultOutput::builder().build())
}

/// Ends a third party's job as failed, if the client token is its action's.
pub async fn failed(
    app: &App,
    input: PutThirdPartyJobFailureResultInput,
) -> Result<PutThirdPartyJobFailureResultOutput, ApiError> {
    let operation = Operation::PutThirdPartyJobFailureResult;
    let id = jobs::job(app, operation, input.job_id).await?;
    let result = jobs::failure(input.failure_details)?;
    let token = input.client_token.unwrap_or_default();
    let caller = JobCaller::ThirdParty { token: &token };
    app.driver.job_result(id, caller, result, &app.roles).await.map_err(app.refusal(operation))?;
    Ok(PutThirdPartyJobFailureResultOutput::builder().build())
}
