//! Invoke/CodePipeline: an execution of another pipeline of this installation. Source: CodePipeline user guide, 'AWS
//! CodePipeline invoke action reference'; CodePipeline API, `StartPipelineExecution`, `GetPipelineExecution`.
//!
//! It goes through the installation's own API, as the action's role, on the path that names the pipeline: so it is IAM
//! that decides which pipeline may start which. The attempt's id is the client request token, so that an attempt starts
//! one execution, however often it is asked to.
//!
//! CodePipeline's action ends as soon as it has started the execution. `WaitForCompletion` is a key of Millrace's own.

use async_trait::async_trait;
use aws_sdk_codepipeline::Client;
use aws_sdk_codepipeline::operation::get_pipeline_execution::GetPipelineExecutionError;
use aws_sdk_codepipeline::operation::start_pipeline_execution::StartPipelineExecutionError;
use aws_sdk_codepipeline::types::{
    PipelineExecution, PipelineExecutionStatus, PipelineVariable, SourceRevisionOverride, SourceRevisionType,
};
use driver::Outcome;
use engine::{External, Progress, Success};
use pipeline::PipelineName;
use runtime::PipelinePath;
use runtime::arn::partition;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::configuration::{read, shown, title};
use crate::context::ActionContext;
use crate::error::{ClassifyError, ErrorClass, JOB_FAILED, ProviderError};
use crate::permission::{Permission, Permissions, Scope};
use crate::provider::{
    Correlation, Descriptor, Documentation, Events, Implements, Provider, ProviderInfo, Tried, attempt_id,
};

pub(crate) const PROVIDER: Descriptor = Descriptor {
    info: ProviderInfo {
        events: Some(Events {
            source: notify::SOURCE,
            detail_types: &["CodePipeline Pipeline Execution State Change"],
            correlation: Correlation::ExternalId(ended_execution),
        }),
        ..ProviderInfo::of(
            &[Implements::aws("Invoke", "CodePipeline")],
            PERMISSIONS,
            Documentation {
                file: file!(),
                ends: "at once; with `WaitForCompletion` by event or poll",
                tried: Tried::Emulators,
                differs: "`WaitForCompletion` is Millrace's own: with `true` the action ends as the execution that it \
                          started does. The role needs `execute-api:Invoke` on the pipeline's path of the API. A \
                          pipeline cannot invoke itself.",
            },
        )
    },
    provider: &PipelineInvoke,
    token: attempt_id,
};

fn operation(scope: &Scope<'_>, operation: &str) -> Vec<String> {
    let (partition, home, account) = (partition(scope.home), scope.home, scope.account);
    let (api, pipeline) = (scope.api.unwrap_or("*"), scope.value_or_any("PipelineName"));
    vec![format!("arn:{partition}:execute-api:{home}:{account}:{api}/live/POST/pipelines/{pipeline}/{operation}")]
}

const PERMISSIONS: Permissions = Permissions::of(&[&[
    Permission::new(INVOKE, |scope| operation(scope, "StartPipelineExecution")),
    Permission::new(INVOKE, |scope| {
        if scope.may_be_true("WaitForCompletion") { operation(scope, "GetPipelineExecution") } else { Vec::new() }
    }),
]]);

const INVOKE: &[&str] = &["execute-api:Invoke"];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Configuration<'a> {
    pipeline_name: &'a str,
    source_revisions: Option<&'a str>,
    variables: Option<&'a str>,
    #[serde(default)]
    wait_for_completion: bool,
}

/// As `SourceRevisions` has them.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Revision {
    action_name: String,
    revision_type: String,
    revision_value: String,
}

/// As `Variables` has them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Variable {
    name: String,
    value: String,
}

/// The execution whose end an event tells.
fn ended_execution(detail: &Value) -> Option<String> {
    match detail.get("state")?.as_str()? {
        "SUCCEEDED" | "FAILED" | "SUPERSEDED" | "CANCELED" | "STOPPED" => {
            Some(detail.get("execution-id")?.as_str()?.to_owned())
        }
        _ => None,
    }
}

struct PipelineInvoke;

#[async_trait]
impl Provider for PipelineInvoke {
    async fn start(&self, context: ActionContext<'_>) -> Result<Outcome, ProviderError> {
        let configuration: Configuration<'_> = read(context.task)?;
        let variables = list("Variables", configuration.variables, r#"[{"name":"N","value":"V"}]"#)?;
        let revisions = list(
            "SourceRevisions",
            configuration.source_revisions,
            r#"[{"actionName":"A","revisionType":"COMMIT_ID","revisionValue":"V"}]"#,
        )?;
        let other = OtherPipeline::new(context, &configuration).await?;
        let id = other.start(variables, revisions).await?;
        if configuration.wait_for_completion {
            return Ok(Outcome::Running { report: report(&id, None), poll: true, event_source: None });
        }
        let summary = format!("The pipeline {} was started", other.name);
        Ok(Outcome::Succeeded(Success { report: report(&id, Some(summary)), ..Success::default() }))
    }

    async fn poll(&self, context: ActionContext<'_>) -> Result<Outcome, ProviderError> {
        let other = OtherPipeline::new(context, &read(context.task)?).await?;
        // A start that was not written down: this one finds what it started, as the token is the same.
        let Some(External { id, .. }) = &context.task.external else { return self.start(context).await };
        let found = other.execution(id).await?;
        let summary = found.status_summary.clone();
        match found.status {
            Some(PipelineExecutionStatus::Succeeded) => {
                let report = report(id, summary);
                Ok(Outcome::Succeeded(Success { report, ..Success::default() }))
            }
            Some(PipelineExecutionStatus::InProgress | PipelineExecutionStatus::Stopping) => {
                Ok(Outcome::Running { report: report(id, summary), poll: true, event_source: None })
            }
            status => Err(other.failed(id, &status.map_or_else(|| "Unknown".to_owned(), |it| it.to_string()), summary)),
        }
    }
}

/// The elements of a value that is a list in JSON; none where it is missing.
fn list<T: DeserializeOwned>(key: &str, value: Option<&str>, form: &str) -> Result<Vec<T>, ProviderError> {
    let Some(value) = value else { return Ok(Vec::new()) };
    serde_json::from_str(value).map_err(|error| {
        let value = shown(value);
        ProviderError::configuration(format!("{key} is {value:?}: it must be a list such as {form}: {error}"))
    })
}

fn report(id: &str, summary: Option<String>) -> Progress {
    Progress { external: Some(External { id: id.to_owned(), url: None }), summary, percent: None }
}

/// The pipeline that is invoked, behind the API.
struct OtherPipeline<'a> {
    context: ActionContext<'a>,
    name: PipelineName,
    client: Client,
}

impl<'a> OtherPipeline<'a> {
    async fn new(context: ActionContext<'a>, configuration: &Configuration<'_>) -> Result<Self, ProviderError> {
        let task = context.task;
        let name = PipelineName::new(configuration.pipeline_name)
            .map_err(|error| ProviderError::configuration(format!("PipelineName: {error}")))?;
        if name == task.pipeline {
            return Err(ProviderError::configuration(format!(
                "PipelineName is {:?}: {} cannot invoke the pipeline in which it runs itself",
                name.as_str(),
                title(task)
            )));
        }
        let home = context.clients.config().region().map(ToString::to_string).unwrap_or_default();
        if task.region != home {
            return Err(ProviderError::configuration(format!(
                "{} is in region {}, but all pipelines are in {home}",
                title(task),
                task.region
            )));
        }
        let session = context.session_in(&home).await?;
        let config = aws_sdk_codepipeline::config::Builder::from(session.config()).endpoint_url(context.api_url);
        Ok(Self { context, name, client: Client::from_conf(config.build()) })
    }

    fn path(&self, operation: &str) -> PipelinePath {
        PipelinePath::new(self.context.api_url, self.name.as_str(), operation)
    }

    fn described(&self) -> String {
        format!("the pipeline {}", self.name)
    }

    async fn start(&self, variables: Vec<Variable>, revisions: Vec<Revision>) -> Result<String, ProviderError> {
        let operation = "StartPipelineExecution";
        let incomplete =
            |error: aws_sdk_codepipeline::error::BuildError| ProviderError::configuration(error.to_string());
        let mut start =
            self.client.start_pipeline_execution().name(self.name.as_str()).client_request_token(self.context.token);
        for Variable { name, value } in variables {
            start = start.variables(PipelineVariable::builder().name(name).value(value).build().map_err(incomplete)?);
        }
        for Revision { action_name, revision_type, revision_value } in revisions {
            let revision = SourceRevisionOverride::builder()
                .action_name(action_name)
                .revision_type(SourceRevisionType::from(revision_type.as_str()))
                .revision_value(revision_value);
            start = start.source_revisions(revision.build().map_err(incomplete)?);
        }
        let started = start.customize().interceptor(self.path(operation)).send().await;
        let started = started.map_err(|error| ProviderError::aws(operation, self.described(), &error))?;
        started.pipeline_execution_id.ok_or_else(|| {
            ProviderError::failed(JOB_FAILED, format!("{operation}: the answer names no execution of {}", self.name))
        })
    }

    async fn execution(&self, id: &str) -> Result<PipelineExecution, ProviderError> {
        let operation = "GetPipelineExecution";
        let get = self.client.get_pipeline_execution().pipeline_name(self.name.as_str()).pipeline_execution_id(id);
        let found = get.customize().interceptor(self.path(operation)).send().await;
        let found = found.map_err(|error| {
            ProviderError::aws(operation, format!("execution {id} of {}", self.described()), &error)
        })?;
        found.pipeline_execution.ok_or_else(|| {
            ProviderError::failed(JOB_FAILED, format!("{operation}: the answer has no execution {id} of {}", self.name))
        })
    }

    fn failed(&self, id: &str, status: &str, summary: Option<String>) -> ProviderError {
        let why = summary.as_ref().map(|summary| format!(": {summary}")).unwrap_or_default();
        ProviderError::Failed {
            code: JOB_FAILED,
            message: format!("The execution {id} of {} ended as {status}{why}", self.described()),
            report: report(id, summary),
        }
    }
}

impl ClassifyError for StartPipelineExecutionError {
    fn class(&self) -> Option<ErrorClass> {
        Some(match self {
            Self::PipelineNotFoundException(_) | Self::ValidationException(_) => ErrorClass::Configuration,
            Self::ConcurrentPipelineExecutionsLimitExceededException(_) | Self::ConflictException(_) => {
                ErrorClass::Retryable
            }
            _ => return None,
        })
    }
}

impl ClassifyError for GetPipelineExecutionError {
    fn class(&self) -> Option<ErrorClass> {
        Some(match self {
            Self::PipelineExecutionNotFoundException(_) | Self::PipelineNotFoundException(_) => ErrorClass::Failed,
            Self::ValidationException(_) => ErrorClass::Configuration,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_end_of_an_execution_is_told_by_its_id() {
        let of = |state: &str| ended_execution(&json!({"pipeline": "p", "execution-id": "e7", "state": state}));
        for state in ["SUCCEEDED", "FAILED", "SUPERSEDED", "CANCELED", "STOPPED"] {
            assert_eq!(of(state).as_deref(), Some("e7"), "{state}");
        }
        for state in ["STARTED", "RESUMED", "STOPPING"] {
            assert_eq!(of(state), None, "{state}");
        }
        assert_eq!(ended_execution(&json!({})), None);
    }
}
