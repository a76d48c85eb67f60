//! Results of jobs: what Lambda functions and job workers report.

use std::collections::BTreeMap;

use aws_sdk_codepipeline::operation::put_job_failure_result::{PutJobFailureResultInput, PutJobFailureResultOutput};
use aws_sdk_codepipeline::operation::put_job_success_result::{PutJobSuccessResultInput, PutJobSuccessResultOutput};
use aws_sdk_codepipeline::types::{CurrentRevision, ExecutionDetails};
use driver::{DriveError, JobResult};
use engine::{ActionError, ActionId, External, Progress, Revision};
use pipeline::variables::{InvalidOutputVariables, check_output_variables};
use wire::{ApiError, Exception, Operation};

use crate::app::App;
use crate::shape;

/// A job succeeded, or asks to be continued.
pub async fn succeeded(app: &App, input: PutJobSuccessResultInput) -> Result<PutJobSuccessResultOutput, ApiError> {
    let operation = Operation::PutJobSuccessResult;
    let id = job(app, operation, input.job_id)?;
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
    app.driver.job_result(id, result).await.map_err(app.refusal(operation))?;
    Ok(PutJobSuccessResultOutput::builder().build())
}

/// A job failed.
pub async fn failed(app: &App, input: PutJobFailureResultInput) -> Result<PutJobFailureResultOutput, ApiError> {
    let operation = Operation::PutJobFailureResult;
    let id = job(app, operation, input.job_id)?;
    let details = input.failure_details.ok_or_else(|| shape::invalid("failureDetails is missing"))?;
    let error = ActionError { code: details.r#type.as_str().to_owned(), message: details.message };
    let external = details.external_execution_id.map(|id| External { id, url: None });
    let result = JobResult::Failed { error, report: Progress { external, ..Progress::default() } };
    app.driver.job_result(id, result).await.map_err(app.refusal(operation))?;
    Ok(PutJobFailureResultOutput::builder().build())
}

fn job(app: &App, operation: Operation, id: Option<String>) -> Result<ActionId, ApiError> {
    let id = id.unwrap_or_default();
    let unknown = |_| DriveError::JobNotFound(id.chars().take(100).collect());
    id.parse().map_err(unknown).map_err(app.refusal(operation))
}

fn progress(details: ExecutionDetails) -> Progress {
    Progress {
        external: details.external_execution_id.map(|id| External { id, url: None }),
        summary: details.summary,
        percent: details.percent_complete.and_then(|percent| u8::try_from(percent).ok()),
    }
}

fn revision(current: CurrentRevision) -> Revision {
    Revision {
        id: current.revision,
        summary: current.revision_summary,
        url: None,
        created: current.created.as_ref().map(shape::timestamp),
    }
}
