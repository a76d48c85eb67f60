//! Jobs of custom actions and of functions: polled for, acknowledged, looked at, reported.

use std::collections::BTreeMap;

use aws_sdk_codepipeline::operation::acknowledge_job::{AcknowledgeJobInput, AcknowledgeJobOutput};
use aws_sdk_codepipeline::operation::get_job_details::{GetJobDetailsInput, GetJobDetailsOutput};
use aws_sdk_codepipeline::operation::poll_for_jobs::{PollForJobsInput, PollForJobsOutput};
use aws_sdk_codepipeline::operation::put_job_failure_result::{PutJobFailureResultInput, PutJobFailureResultOutput};
use aws_sdk_codepipeline::operation::put_job_success_result::{PutJobSuccessResultInput, PutJobSuccessResultOutput};
use aws_sdk_codepipeline::types::{
    ActionTypeId, CurrentRevision, ExecutionDetails, FailureDetails, Job, JobDetails, JobStatus,
};
use driver::{DriveError, JobCaller, JobResult, JobState, MOST_JOBS, Offered};
use engine::{ActionError, ActionId, External, Progress, Revision};
use pipeline::TypeId;
use pipeline::variables::{InvalidOutputVariables, check_output_variables};
use runtime::JobIdError;
use wire::{ApiError, Exception, Operation};

use crate::app::App;
use crate::{convert, job_data, page};

/// Jobs for a worker of the account.
pub async fn poll(app: &App, input: PollForJobsInput) -> Result<PollForJobsOutput, ApiError> {
    let id = type_id(input.action_type_id)?;
    if id.owner.as_deref() != Some("Custom") {
        return Err(convert::invalid("PollForJobs is for action types of the owner Custom."));
    }
    let query = input.query_param.unwrap_or_default();
    let query = query.iter().next().map(|(name, value)| (name.as_str(), value.as_str()));
    let most = batch(input.max_batch_size);
    let offered = app.driver.poll_jobs(&id, query, most).await.map_err(app.refusal(Operation::PollForJobs))?;
    let mut jobs = Vec::with_capacity(offered.len());
    for Offered { task, nonce } in offered {
        let credentials = match job_data::credentials(app, &task).await {
            Ok(credentials) => credentials,
            Err(error) => {
                // What STS refuses for good fails the action; otherwise the offer lapses and the job is offered again.
                tracing::warn!(job = %task.id, %error, "not given out");
                if let Some(error) = error.action_error() {
                    app.driver.refuse_job(task.id, error).await.map_err(app.refusal(Operation::PollForJobs))?;
                }
                continue;
            }
        };
        let data = job_data::own(app, &task, credentials)?;
        let job = Job::builder().id(self::id(app, task.id).await?).data(data).nonce(nonce.to_string());
        jobs.push(job.account_id(&app.account).build());
    }
    Ok(PollForJobsOutput::builder().set_jobs(Some(jobs)).build())
}

/// How many jobs a poll gives out: one unless the request says otherwise.
pub fn batch(asked: Option<i32>) -> usize {
    page::size(Some(asked.unwrap_or(1)), MOST_JOBS)
}

/// A worker takes a job.
pub async fn acknowledge(app: &App, input: AcknowledgeJobInput) -> Result<AcknowledgeJobOutput, ApiError> {
    let operation = Operation::AcknowledgeJob;
    let id = job(app, operation, input.job_id).await?;
    let nonce = input.nonce.unwrap_or_default();
    let state = app.driver.acknowledge(id, &nonce, JobCaller::Account).await.map_err(app.refusal(operation))?;
    Ok(AcknowledgeJobOutput::builder().status(status(state)).build())
}

/// How a job stands, in the API's form.
pub fn status(state: JobState) -> JobStatus {
    match state {
        JobState::InProgress => JobStatus::InProgress,
        JobState::Succeeded => JobStatus::Succeeded,
        JobState::Failed => JobStatus::Failed,
    }
}

/// A job with fresh credentials.
pub async fn details(app: &App, input: GetJobDetailsInput) -> Result<GetJobDetailsOutput, ApiError> {
    let operation = Operation::GetJobDetails;
    let id = job(app, operation, input.job_id).await?;
    let (task, _) = app.driver.job(id, JobCaller::Account).await.map_err(app.refusal(operation))?;
    let credentials = job_data::credentials(app, &task).await.map_err(|error| job_data::no_credentials(&error))?;
    let details = JobDetails::builder()
        .id(self::id(app, id).await?)
        .data(job_data::own(app, &task, credentials)?)
        .account_id(&app.account)
        .build();
    Ok(GetJobDetailsOutput::builder().job_details(details).build())
}

/// An action type's id in the domain's form.
pub fn type_id(id: Option<ActionTypeId>) -> Result<TypeId, ApiError> {
    let id = id.ok_or_else(|| convert::invalid("actionTypeId is missing"))?;
    Ok(TypeId {
        category: id.category.as_str().to_owned(),
        owner: Some(id.owner.as_str().to_owned()),
        provider: id.provider,
        version: Some(id.version),
    })
}

/// A job succeeded, or asks to be continued.
pub async fn succeeded(app: &App, input: PutJobSuccessResultInput) -> Result<PutJobSuccessResultOutput, ApiError> {
    let operation = Operation::PutJobSuccessResult;
    let id = job(app, operation, input.job_id).await?;
    let variables: BTreeMap<String, String> = input.output_variables.unwrap_or_default().into_iter().collect();
    check_output_variables(&variables).map_err(|error| {
        let exception = match error {
            InvalidOutputVariables::TooLarge(_) => Exception::OutputVariablesSizeExceededException,
            InvalidOutputVariables::Key(_) => Exception::ValidationException,
        };
        exception.because(error.to_string())
    })?;
    let report = input.execution_details.map(progress).unwrap_or_default();
    let result = match input.continuation_token {
        Some(token) => JobResult::Continue { token, report },
        None => JobResult::Succeeded { report, variables, revision: input.current_revision.map(revision) },
    };
    app.driver.job_result(id, JobCaller::Account, result, &app.roles).await.map_err(app.refusal(operation))?;
    Ok(PutJobSuccessResultOutput::builder().build())
}

/// Ends a job's action as failed, with what its worker says.
pub async fn failed(app: &App, input: PutJobFailureResultInput) -> Result<PutJobFailureResultOutput, ApiError> {
    let operation = Operation::PutJobFailureResult;
    let id = job(app, operation, input.job_id).await?;
    let result = failure(input.failure_details)?;
    app.driver.job_result(id, JobCaller::Account, result, &app.roles).await.map_err(app.refusal(operation))?;
    Ok(PutJobFailureResultOutput::builder().build())
}

/// What a worker says about its failure.
pub fn failure(details: Option<FailureDetails>) -> Result<JobResult, ApiError> {
    let details = details.ok_or_else(|| convert::invalid("failureDetails is missing"))?;
    let error = ActionError { code: details.r#type.as_str().to_owned(), message: details.message };
    let external = details.external_execution_id.map(|id| External { id, url: None });
    Ok(JobResult::Failed { error, report: Progress { external, ..Progress::default() } })
}

/// The action whose job an id names. An action's own id, which others may know, names none.
pub async fn job(app: &App, operation: Operation, id: Option<String>) -> Result<ActionId, ApiError> {
    let id = id.unwrap_or_default();
    let action = app.job_ids.action(&id).await.map_err(|error| no_ids(&error))?;
    let unknown = || DriveError::JobNotFound(id.chars().take(100).collect());
    action.ok_or_else(unknown).map_err(app.refusal(operation))
}

/// The id under which an action's job is given out.
pub async fn id(app: &App, action: ActionId) -> Result<String, ApiError> {
    app.job_ids.job(action).await.map_err(|error| no_ids(&error))
}

fn no_ids(error: &JobIdError) -> ApiError {
    tracing::error!(%error, "no ids of jobs");
    Exception::InternalFailure.because("KMS did not give the key for the ids of jobs: try again.")
}

/// What a worker says about its progress.
pub fn progress(details: ExecutionDetails) -> Progress {
    Progress {
        external: details.external_execution_id.map(|id| External { id, url: None }),
        summary: details.summary,
        percent: details.percent_complete.and_then(|percent| u8::try_from(percent).ok()),
    }
}

/// The revision that a worker made or found.
pub fn revision(current: CurrentRevision) -> Revision {
    Revision {
        id: current.revision,
        summary: current.revision_summary,
        url: None,
        created: current.created.as_ref().map(convert::timestamp),
        change: Some(current.change_identifier),
    }
}
