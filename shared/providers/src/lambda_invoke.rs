//! Invoke/Lambda and Rule/LambdaInvoke: gives a function a job, whose result it reports itself. Source: CodePipeline user
//! guide, 'AWS Lambda invoke action reference' (the event) and 'LambdaInvoke', CodePipeline API, `PutJobSuccessResult`.
//!
//! The function is invoked asynchronously, and Lambda itself delivers such an event at
//! least once; a lost worker's attempt is therefore invoked again with the same job id, of which one result counts.
//! It is polled once, shortly before it times out: what is known of the function goes into the summary.

use async_trait::async_trait;
use aws_sdk_lambda::operation::RequestId;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::InvocationType;
use driver::{Outcome, Task};
use engine::{External, Progress};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::configuration::read;
use crate::console;
use crate::context::ActionContext;
use crate::error::ProviderError;
use crate::function_report::{function_report, name};
use crate::job::{account, credentials, data};
use crate::permission::artifacts::{JOB_INPUTS, PIN_OUTPUTS};
use crate::permission::{Permission, Permissions, Trust, everything};
use crate::provider::{
    ActionLog, Descriptor, Documentation, EntityPage, Implements, Provider, ProviderInfo, Tried, attempt_id,
};

pub(crate) const PROVIDER: Descriptor = Descriptor {
    info: ProviderInfo {
        entity: Some(EntityPage { key: "FunctionName", path: "lambda/home?region={region}#/functions/{}" }),
        log: |configuration| {
            let function = configuration.get("FunctionName")?;
            Some(ActionLog::Function { name: name(function).to_owned() })
        },
        ..ProviderInfo::of(
            &[Implements::aws("Invoke", "Lambda"), Implements::aws("Rule", "LambdaInvoke")],
            PERMISSIONS,
            Documentation {
                file: file!(),
                ends: "when the function puts its job's result",
                tried: Tried::Emulators,
                differs: "A function may be invoked again with the same job if a worker is lost; one result counts.",
            },
        )
    },
    provider: &LambdaInvoke,
    token: attempt_id,
};

const PERMISSIONS: Permissions = Permissions::of(&[
    &[
        Permission::new(&["lambda:InvokeFunction"], |scope| vec![scope.named("FunctionName", "lambda", "function:")]),
        Permission::new(&["cloudwatch:GetMetricData"], everything),
        Permission::new(&["logs:FilterLogEvents"], |scope| {
            let function = scope.value_or_any("FunctionName");
            vec![scope.arn("logs", &format!("log-group:/aws/lambda/{}:*", name(&function)))]
        }),
    ],
    JOB_INPUTS,
    PIN_OUTPUTS,
])
.trusting(Trust::Api);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Configuration<'a> {
    function_name: &'a str,
}

struct LambdaInvoke;

#[async_trait]
impl Provider for LambdaInvoke {
    async fn start(&self, context: ActionContext<'_>) -> Result<Outcome, ProviderError> {
        let task = context.task;
        let Configuration { function_name: function } = read(task)?;
        let credentials = credentials(context).await?;
        let job = context.job_ids.job(task.id).await?;
        let client = context.session().await?.lambda();
        let invoked = client
            .invoke()
            .function_name(function)
            .invocation_type(InvocationType::Event)
            .payload(Blob::new(event(task, &job, credentials).to_string()))
            .send()
            .await
            .map_err(|error| {
                ProviderError::aws("Invoke", format!("the function {function} in {}", task.region), &error)
            })?;
        let id = invoked.request_id().map_or_else(|| task.id.to_string(), str::to_owned);
        let url = Some(console::lambda_log(&task.region, name(function)));
        Ok(Outcome::Running {
            report: Progress { external: Some(External { id, url }), summary: None, percent: None },
            poll: false,
            event_source: None,
        })
    }

    async fn poll(&self, context: ActionContext<'_>) -> Result<Outcome, ProviderError> {
        let Configuration { function_name: function } = read(context.task)?;
        let summary = Some(function_report(context, function).await);
        let report = Progress { summary, ..Progress::default() };
        Ok(Outcome::Running { report, poll: false, event_source: None })
    }
}

/// What the function is given.
fn event(task: &Task, job: &str, credentials: Value) -> Value {
    let mut data = data(task);
    data["actionConfiguration"] = json!({"configuration": task.configuration});
    data["artifactCredentials"] = credentials;
    json!({"CodePipeline.job": {"id": job, "accountId": account(&task.pipeline_role), "data": data}})
}
