//! What a job's credentials allow: the artifacts of that job, and nothing else that the pipeline's role may do.

use std::time::Duration;

use aws_credential_types::Credentials;
use driver::Task;
use serde_json::{Value, json};

use crate::arn;
use crate::roles::{Identity, RoleError, Roles};

/// How long a job's credentials hold: the most that a role assumed by a role can have. Source: STS API, `AssumeRole`.
const HOLD: Duration = Duration::from_secs(3_600);

impl Roles {
    /// Credentials of the pipeline's role for a job, limited to its artifacts.
    ///
    /// # Errors
    /// [`RoleError`].
    pub async fn for_job(&self, task: &Task) -> Result<Credentials, RoleError> {
        let identity = Identity {
            pipeline_role: task.pipeline_role.clone(),
            action_role: None,
            pipeline: task.pipeline.to_string(),
        };
        self.limited(&identity, &session_policy(task).to_string(), HOLD).await
    }
}

/// Reading the input artifacts, writing the output artifacts, and the store's key for that.
fn session_policy(task: &Task) -> Value {
    let partition = arn::partition(&task.region);
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
                "kms:ViaService": format!("s3.{}.{}", task.region, arn::service_domain(&task.region)),
            }},
        }));
    }
    json!({"Version": "2012-10-17", "Statement": statements})
}
