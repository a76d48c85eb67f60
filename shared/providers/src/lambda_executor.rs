//! Actions of third parties whose type names a function as its executor: CodePipeline calls it with the job, and what it
//! answers is the result. Source: CodePipeline user guide, 'Integration model reference', 'Lambda integration model'.
//!
//! The function may be called again with the same job id when a worker was lost. One that needs more than a few minutes
//! answers `Continue`, and gets another job later. Its credentials reach the job's artifacts; what the type's
//! `policyStatementsTemplate` asks for besides is not given.

use std::collections::BTreeMap;

use async_trait::async_trait;
use aws_sdk_lambda::error::SdkError;
use aws_sdk_lambda::primitives::Blob;
use driver::{Outcome, Task};
use engine::{External, Progress, Success};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::configuration::title;
use crate::context::ActionContext;
use crate::error::{CONFIGURATION_ERROR, JOB_FAILED, PERMISSION_ERROR, ProviderError, REVISION_UNAVAILABLE};
use crate::job::{account, credentials, data};
use crate::permission::artifacts::{JOB_INPUTS, PIN_OUTPUTS};
use crate::permission::{Permission, Permissions, Trust};
use crate::provider::{Descriptor, Documentation, Provider, ProviderInfo, Tried, attempt_id, unchanged};

/// Most characters of what one job hands over to the next. Source: CodePipeline API, `ContinuationToken`.
const LONGEST_STATE: usize = 2_048;

/// Of all types that name a function; `registry` knows which those are.
pub(crate) const PROVIDER: Descriptor = Descriptor {
    info: ProviderInfo::of(
        &[],
        PERMISSIONS,
        Documentation {
            file: file!(),
            ends: "when the function answers",
            tried: Tried::Emulators,
            differs: "None known.",
        },
    ),
    provider: &LambdaExecutor,
    token: attempt_id,
};

const PERMISSIONS: Permissions = Permissions::of(&[
    &[Permission::new(&["lambda:InvokeFunction"], |scope| {
        scope.action.custom.as_ref().and_then(|terms| terms.function.clone()).into_iter().collect()
    })],
    JOB_INPUTS,
    PIN_OUTPUTS,
])
.trusting(Trust::Api);

struct LambdaExecutor;

#[async_trait]
impl Provider for LambdaExecutor {
    async fn start(&self, context: ActionContext<'_>) -> Result<Outcome, ProviderError> {
        let task = context.task;
        let function = task.action.custom.as_ref().and_then(|terms| terms.function.as_deref());
        let function =
            function.ok_or_else(|| ProviderError::configuration(format!("{} has no function", title(task))))?;
        // The function is the provider's, and may live in one region only.
        let region = function.split(':').nth(3).filter(|region| !region.is_empty()).unwrap_or(&task.region);
        let id = context.job_ids.job(task.id).await?;
        let job = job(context, &id, credentials(context).await?);
        let client = context.session_in(region).await?.lambda();
        let answered = client.invoke().function_name(function).payload(Blob::new(job.to_string())).send().await;
        let answered = answered.map_err(|error| match error {
            // It may still be running: calling it again would not make it faster.
            SdkError::TimeoutError(_) => ProviderError::failed(
                JOB_FAILED,
                format!("The function {function} did not answer in time; one that takes long must answer Continue"),
            ),
            error => ProviderError::aws("Invoke", format!("the function {function}"), &error),
        })?;
        let payload = answered.payload().map(Blob::as_ref).unwrap_or_default();
        if let Some(kind) = answered.function_error() {
            return Err(ProviderError::failed(
                JOB_FAILED,
                format!("The function {function} failed ({kind}): {}", words(payload)),
            ));
        }
        let result: Answer = serde_json::from_slice(payload).map_err(|error| {
            ProviderError::failed(
                JOB_FAILED,
                format!("The function {function} answered what is no job result: {error}"),
            )
        })?;
        result.outcome(task)
    }

    async fn poll(&self, _: ActionContext<'_>) -> Result<Outcome, ProviderError> {
        unchanged()
    }
}

/// What the function is given.
fn job(context: ActionContext<'_>, id: &str, credentials: Value) -> Value {
    let task = context.task;
    let mut data = data(task);
    data["actionConfiguration"] = json!(task.configuration);
    data["actionExecutionId"] = json!(context.token);
    data["actionCredentials"] = credentials;
    json!({"jobId": id, "accountId": account(&task.pipeline_role), "data": data})
}

/// The cause, as Lambda's runtimes tell it; otherwise all that the function said.
fn words(payload: &[u8]) -> String {
    let message = serde_json::from_slice::<Value>(payload).ok();
    let message = message.as_ref().and_then(|value| value.get("errorMessage")?.as_str());
    message.map_or_else(|| String::from_utf8_lossy(payload).into_owned(), str::to_owned)
}

/// What the function returns: the result of the job.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    result: String,
    failure_type: Option<String>,
    continuation: Option<Continuation>,
    status: Option<Status>,
    output_variables: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
struct Continuation {
    #[serde(alias = "State")]
    state: String,
}

#[derive(Default, Deserialize)]
struct Status {
    #[serde(alias = "ExternalExecutionId", rename = "externalExecutionId")]
    external: Option<String>,
    #[serde(alias = "Summary")]
    summary: Option<String>,
}

impl Answer {
    fn outcome(self, task: &Task) -> Result<Outcome, ProviderError> {
        let status = self.status.unwrap_or_default();
        let page = |id: &String| task.action.custom.as_ref()?.execution_page(&task.action.configuration, id);
        let external = status.external.map(|id| External { url: page(&id), id });
        let report = Progress { external, summary: status.summary.clone(), percent: None };
        match self.result.to_ascii_lowercase().as_str() {
            "success" => Ok(Outcome::Succeeded(Success {
                report,
                outputs: task.outputs.clone(),
                variables: self.output_variables.unwrap_or_default(),
                revision: None,
            })),
            "continue" => match self.continuation {
                Some(Continuation { state }) if state.chars().count() <= LONGEST_STATE => {
                    Ok(Outcome::Continue { token: state, report })
                }
                Some(_) => Err(invalid(format!("its continuation state has more than {LONGEST_STATE} characters"))),
                None => Err(invalid("its result is Continue, and it has no continuation".into())),
            },
            "fail" => {
                let message = status.summary.unwrap_or_else(|| "The function gave no reason.".to_owned());
                Err(ProviderError::Failed { code: failure(self.failure_type.as_deref()), message, report })
            }
            other => Err(invalid(format!("its result is {other:?}, and can be Success, Continue or Fail"))),
        }
    }
}

fn invalid(what: String) -> ProviderError {
    ProviderError::failed(JOB_FAILED, format!("The function's answer is no job result: {what}"))
}

/// CodePipeline's `FailureType` for what the function calls the failure.
fn failure(given: Option<&str>) -> &'static str {
    match given {
        Some("ConfigurationError") => CONFIGURATION_ERROR,
        // The integration model says it in the plural, the API in the singular.
        Some("PermissionsError" | "PermissionError") => PERMISSION_ERROR,
        Some("RevisionOutOfSync") => "RevisionOutOfSync",
        Some("RevisionUnavailable") => REVISION_UNAVAILABLE,
        Some("SystemUnavailable") => "SystemUnavailable",
        _ => JOB_FAILED,
    }
}
