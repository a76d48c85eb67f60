//! Deploy/CodeDeploy: has CodeDeploy install an artifact on instances. Source: CodePipeline user guide, 'AWS CodeDeploy
//! deploy action reference'; CodeDeploy API, `CreateDeployment`.
//!
//! The revision is the very object that was recorded, by its version and its ETag: whatever is written over it while the
//! instances fetch it is refused by CodeDeploy's agent. The instances read it themselves, so their own role must be
//! allowed to, and to decrypt with the store's key.

use async_trait::async_trait;
use aws_sdk_codedeploy::types::{BundleType, RevisionLocation, RevisionLocationType, S3Location};
use driver::Outcome;
use serde::Deserialize;

use crate::codedeploy_deployments::{DEPLOY_TARGET, DEPLOYMENTS, Deployments, ENTITY, EVENTS};
use crate::configuration::{read, title};
use crate::context::ActionContext;
use crate::error::ProviderError;
use crate::permission::Permissions;
use crate::permission::artifacts::READ_INPUTS;
use crate::provider::{Descriptor, Documentation, Implements, Provider, ProviderInfo, Tried, attempt_id};

pub(crate) const PROVIDER: Descriptor = Descriptor {
    info: ProviderInfo {
        events: Some(EVENTS),
        entity: Some(ENTITY),
        deploy_target: Some(DEPLOY_TARGET),
        ..ProviderInfo::of(
            &[Implements::aws("Deploy", "CodeDeploy")],
            PERMISSIONS,
            Documentation {
                file: file!(),
                ends: "by event or poll",
                tried: Tried::ProviderEmulator,
                differs: "The deployment has a description, by which it is found again.",
            },
        )
    },
    provider: &CodeDeploy,
    token: attempt_id,
};

const PERMISSIONS: Permissions = Permissions::of(&[DEPLOYMENTS, READ_INPUTS]).beside(|_| {
    Some("the instances' own role needs s3:GetObject, s3:GetObjectVersion and kms:Decrypt for the artifact")
});

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Configuration<'a> {
    application_name: &'a str,
    deployment_group_name: &'a str,
}

struct CodeDeploy;

#[async_trait]
impl Provider for CodeDeploy {
    async fn start(&self, context: ActionContext<'_>) -> Result<Outcome, ProviderError> {
        let deployments = deployments(context).await?;
        if let Some(known) = deployments.reclaimed().await? {
            return Ok(known);
        }
        deployments.create(revision(context).await?).await
    }

    async fn poll(&self, context: ActionContext<'_>) -> Result<Outcome, ProviderError> {
        deployments(context).await?.poll(|id| [("DeploymentId".to_owned(), id.to_owned())].into()).await
    }
}

async fn deployments(context: ActionContext<'_>) -> Result<Deployments<'_>, ProviderError> {
    let Configuration { application_name, deployment_group_name } = read(context.task)?;
    Deployments::new(context, application_name, deployment_group_name).await
}

/// The input artifact, which must be the object that was recorded.
async fn revision(context: ActionContext<'_>) -> Result<RevisionLocation, ProviderError> {
    let input = context
        .task
        .inputs
        .first()
        .ok_or_else(|| ProviderError::configuration(format!("{} needs one input artifact", title(context.task))))?;
    let object = context.artifact_store(&input.bucket).await?.find(&input.artifact.key, &input.pin).await?;
    let location = S3Location::builder()
        .bucket(&input.bucket)
        .key(&input.artifact.key)
        .bundle_type(BundleType::Zip)
        .set_version(object.version_id)
        // CodeDeploy compares it without S3's quotes.
        .e_tag(object.etag.trim_matches('"'))
        .build();
    Ok(RevisionLocation::builder().revision_type(RevisionLocationType::S3).s3_location(location).build())
}
