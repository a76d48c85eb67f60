//! Invoke/Lambda and Rule/LambdaInvoke: gives a function a job, whose result it reports itself. Source: CodePipeline user
//! guide, 'AWS Lambda invoke action reference' (the event) and 'LambdaInvoke', CodePipeline API, `PutJobSuccessResult`.
//!
//! The job's id is the attempt's. The function is invoked asynchronously, and Lambda itself delivers such an event at
//! least once; a lost worker's attempt is therefore invoked again with the same job id, of which one result counts.

use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_lambda::operation::RequestId;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::InvocationType;
use driver::{Outcome, Task};
use engine::{External, Progress};
use serde_json::{Value, json};

use crate::access::Rights;
use crate::configuration::required;
use crate::console;
use crate::fault::Fault;
use crate::provider::Provider;

/// How long the job's credentials hold: the most that a role assumed by a role can have.
const CREDENTIALS: Duration = Duration::from_secs(3600);

pub(crate) struct LambdaInvoke;

#[async_trait]
impl Provider for LambdaInvoke {
    async fn start(&self, rights: Rights<'_>) -> Result<Outcome, Fault> {
        let task = rights.task;
        let function = required(task, "FunctionName")?;
        let policy = session_policy(task).to_string();
        let credentials = rights.roles.limited(&rights.pipeline(), &policy, CREDENTIALS).await?;
        let credentials = json!({
            "accessKeyId": credentials.access_key_id(),
            "secretAccessKey": credentials.secret_access_key(),
            "sessionToken": credentials.session_token(),
        });
        let client = rights.session().await?.lambda();
        let invoked = client
            .invoke()
            .function_name(function)
            .invocation_type(InvocationType::Event)
            .payload(Blob::new(event(task, credentials).to_string()))
            .send()
            .await
            .map_err(|error| Fault::aws("Invoke", format!("the function {function} in {}", task.region), &error))?;
        let id = invoked.request_id().map_or_else(|| task.id.to_string(), str::to_owned);
        let url = Some(console::lambda_log(&task.region, function));
        Ok(Outcome::Running {
            report: Progress { external: Some(External { id, url }), summary: None, percent: None },
            poll: false,
        })
    }
}

/// What the function is given.
fn event(task: &Task, credentials: Value) -> Value {
    let location =
        |bucket: &str, key: &str| json!({"type": "S3", "s3Location": {"bucketName": bucket, "objectKey": key}});
    let inputs = task.inputs.iter().map(|input| {
        json!({
            "name": input.artifact.name,
            "revision": null,
            "location": location(&input.bucket, &input.artifact.key),
        })
    });
    let outputs = task.outputs.iter().map(
        |output| json!({"name": output.name, "revision": null, "location": location(&output.bucket, &output.key)}),
    );
    let mut data = json!({
        "actionConfiguration": {"configuration": task.configuration},
        "inputArtifacts": inputs.collect::<Vec<_>>(),
        "outputArtifacts": outputs.collect::<Vec<_>>(),
        "artifactCredentials": credentials,
    });
    if let Some(token) = &task.continuation {
        data["continuationToken"] = json!(token);
    }
    if let Some((_, Some(key))) = &task.store {
        data["encryptionKey"] = json!({"id": key, "type": "KMS"});
    }
    json!({"CodePipeline.job": {"id": task.id, "accountId": account(&task.pipeline_role), "data": data}})
}

/// The account of a role's ARN.
fn account(role: &str) -> &str {
    role.split(':').nth(4).unwrap_or_default()
}

/// What the job's credentials allow, whatever else the pipeline's role may do: reading the input artifacts, writing the
/// output artifacts, and the store's key for that.
fn session_policy(task: &Task) -> Value {
    let partition = runtime::arn::partition(&task.region);
    let object = |bucket: &str, key: &str| format!("arn:{partition}:s3:::{bucket}/{key}");
    let inputs: Vec<String> = task.inputs.iter().map(|input| object(&input.bucket, &input.artifact.key)).collect();
    let outputs: Vec<String> = task.outputs.iter().map(|output| object(&output.bucket, &output.key)).collect();
    let mut statements = Vec::new();
    if !inputs.is_empty() {
        statements.push(json!({
            "Effect": "Allow", "Action": ["s3:GetObject", "s3:GetObjectVersion"], "Resource": inputs,
        }));
    }
    if !outputs.is_empty() {
        statements.push(json!({
            "Effect": "Allow", "Action": ["s3:PutObject", "s3:AbortMultipartUpload"], "Resource": outputs,
        }));
    }
    if statements.is_empty() {
        // A policy needs a statement, and a job without artifacts no rights.
        statements.push(json!({"Effect": "Deny", "Action": "*", "Resource": "*"}));
    } else {
        // Policies know keys by their key ARN only; where the store names its key otherwise, S3 must be the one to ask.
        let key = task.store.as_ref().and_then(|(_, key)| key.as_deref()).filter(|key| key.contains(":key/"));
        statements.push(json!({
            "Effect": "Allow",
            "Action": ["kms:Decrypt", "kms:GenerateDataKey", "kms:DescribeKey"],
            "Resource": key.unwrap_or("*"),
            "Condition": {"StringEquals": {
                "kms:ViaService": format!("s3.{}.{}", task.region, console::service_domain(&task.region)),
            }},
        }));
    }
    json!({"Version": "2012-10-17", "Statement": statements})
}
