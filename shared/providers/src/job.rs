//! What all functions that are given a job are told of it.

use aws_sdk_lambda::operation::invoke::InvokeError;
use driver::Task;
use serde_json::{Value, json};

use crate::context::ActionContext;
use crate::error::{ClassifyError, ErrorClass, ProviderError};

/// Credentials that reach the job's artifacts and nothing else. Nobody is given an artifact that is not what it was.
pub(crate) async fn credentials(context: ActionContext<'_>) -> Result<Value, ProviderError> {
    context.roles.check_job_inputs(context.task).await?;
    let credentials = context.roles.for_job(context.task).await?;
    Ok(json!({
        "accessKeyId": credentials.access_key_id(),
        "secretAccessKey": credentials.secret_access_key(),
        "sessionToken": credentials.session_token(),
    }))
}

/// The artifacts with their places and their key, and what the job before this one handed over.
pub(crate) fn data(task: &Task) -> Value {
    let artifact = |name: &str, bucket: &str, key: &str| {
        let location = json!({"type": "S3", "s3Location": {"bucketName": bucket, "objectKey": key}});
        json!({"name": name, "revision": null, "location": location})
    };
    let inputs = task.inputs.iter().map(|it| artifact(it.artifact.name.as_str(), &it.bucket, &it.artifact.key));
    let outputs = task.outputs.iter().map(|it| artifact(it.name.as_str(), &it.bucket, &it.key));
    let mut data =
        json!({"inputArtifacts": inputs.collect::<Vec<_>>(), "outputArtifacts": outputs.collect::<Vec<_>>()});
    if let Some(token) = &task.continuation {
        data["continuationToken"] = json!(token);
    }
    if let Some((_, Some(key))) = &task.store {
        data["encryptionKey"] = json!({"id": key, "type": "KMS"});
    }
    data
}

/// The account of a role's ARN.
pub(crate) fn account(role: &str) -> &str {
    role.split(':').nth(4).unwrap_or_default()
}

impl ClassifyError for InvokeError {
    fn class(&self) -> Option<ErrorClass> {
        Some(match self {
            Self::Ec2AccessDeniedException(_) | Self::KmsAccessDeniedException(_) => ErrorClass::Permission,
            Self::ResourceNotFoundException(_)
            | Self::InvalidParameterValueException(_)
            | Self::InvalidRequestContentException(_)
            | Self::InvalidRuntimeException(_)
            | Self::InvalidSecurityGroupIdException(_)
            | Self::InvalidSubnetIdException(_)
            | Self::InvalidZipFileException(_)
            | Self::KmsDisabledException(_)
            | Self::KmsInvalidStateException(_)
            | Self::KmsNotFoundException(_)
            | Self::ModeNotSupportedException(_)
            | Self::NoPublishedVersionException(_) => ErrorClass::Configuration,
            Self::TooManyRequestsException(_)
            | Self::Ec2ThrottledException(_)
            | Self::EniLimitReachedException(_)
            | Self::EniNotReadyException(_)
            | Self::ResourceConflictException(_)
            | Self::ResourceNotReadyException(_)
            | Self::ServiceException(_)
            | Self::SnapStartNotReadyException(_) => ErrorClass::Retryable,
            _ => return None,
        })
    }
}
