//! Deploy/CodeDeployToECS: a blue/green deployment of an ECS service by CodeDeploy. Source: CodePipeline user guide, 'Amazon
//! ECS and CodeDeploy blue-green deploy action reference' and 'Image definitions file reference'.
//!
//! The images' URIs take the place of `<IMAGE1_NAME>` and the like in the task definition, which is registered; its ARN takes
//! the place of `<TASK_DEFINITION>` in the AppSpec file, which is the revision that CodeDeploy deploys. A placeholder that a
//! file does not have is no error, as on AWS: a build may have put in what it stands for.
//!
//! A worker that is lost after it registered the task definition leaves a revision that nothing runs: the next one
//! registers another, and only a deployment, which names exactly one of them, has an effect.

use std::collections::BTreeMap;

use async_trait::async_trait;
use aws_sdk_codedeploy::types::{AppSpecContent, RevisionLocation, RevisionLocationType};
use aws_sdk_ecs::operation::register_task_definition::builders::RegisterTaskDefinitionInputBuilder;
use driver::{Outcome, Task, TaskInput};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::artifact_files::{input, text};
use crate::codedeploy_deployments::{DEPLOY_TARGET, DEPLOYMENTS, Deployments, ENTITY, EVENTS};
use crate::configuration::{missing, read};
use crate::context::ActionContext;
use crate::ecs_task_definition::{self, REGISTER, Replacement};
use crate::error::ProviderError;
use crate::input_zip::label;
use crate::permission::Permissions;
use crate::permission::artifacts::READ_INPUTS;
use crate::provider::{Descriptor, Documentation, Implements, Provider, ProviderInfo, Tried, attempt_id};

/// Longest task definition and AppSpec file that is read. On AWS the whole artifact may have so many bytes. Source:
/// CodePipeline user guide, 'Troubleshooting CodePipeline'.
const LONGEST_FILE: u64 = 3 << 20;
/// Longest image definitions file. Source: CodePipeline user guide, 'Quotas'.
const LONGEST_IMAGE_DETAIL: u64 = 100 << 10;
/// Where an artifact names its image.
const IMAGE_DETAIL: &str = "imageDetail.json";
/// What the task definition's ARN replaces in the AppSpec file.
const TASK_DEFINITION: &str = "<TASK_DEFINITION>";

pub(crate) const PROVIDER: Descriptor = Descriptor {
    info: ProviderInfo {
        events: Some(EVENTS),
        entity: Some(ENTITY),
        deploy_target: Some(DEPLOY_TARGET),
        ..ProviderInfo::of(
            &[Implements::aws("Deploy", "CodeDeployToECS")],
            PERMISSIONS,
            Documentation {
                file: file!(),
                ends: "by event or poll",
                tried: Tried::OverTheWire,
                differs: "Members of a task definition that ECS does not know are refused. Artifacts may have more than 3 MB.",
            },
        )
    },
    provider: &CodeDeployToEcs,
    token: attempt_id,
};

const PERMISSIONS: Permissions = Permissions::of(&[DEPLOYMENTS, REGISTER, READ_INPUTS]);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Configuration<'a> {
    application_name: &'a str,
    deployment_group_name: &'a str,
    task_definition_template_artifact: &'a str,
    #[serde(default = "task_definition_file")]
    task_definition_template_path: &'a str,
    app_spec_template_artifact: &'a str,
    #[serde(default = "app_spec_file")]
    app_spec_template_path: &'a str,
    image1_artifact_name: Option<&'a str>,
    image1_container_name: Option<&'a str>,
    image2_artifact_name: Option<&'a str>,
    image2_container_name: Option<&'a str>,
    image3_artifact_name: Option<&'a str>,
    image3_container_name: Option<&'a str>,
    image4_artifact_name: Option<&'a str>,
    image4_container_name: Option<&'a str>,
}

fn task_definition_file() -> &'static str {
    "taskdef.json"
}

fn app_spec_file() -> &'static str {
    "appspec.yaml"
}

/// An image of an input artifact, and the name of its placeholder.
struct Image<'a> {
    input: &'a TaskInput,
    placeholder: &'a str,
}

impl<'a> Configuration<'a> {
    fn images(&self, task: &'a Task) -> Result<Vec<Image<'a>>, ProviderError> {
        let declared = [
            (1, self.image1_artifact_name, self.image1_container_name),
            (2, self.image2_artifact_name, self.image2_container_name),
            (3, self.image3_artifact_name, self.image3_container_name),
            (4, self.image4_artifact_name, self.image4_container_name),
        ];
        let image = |(n, artifact, placeholder): (u8, Option<&str>, Option<&'a str>)| {
            let [artifact_key, placeholder_key] = ["ArtifactName", "ContainerName"].map(|key| format!("Image{n}{key}"));
            match (artifact, placeholder) {
                (None, None) => None,
                (Some(artifact), Some(placeholder)) => {
                    Some(input(task, &artifact_key, artifact).map(|input| Image { input, placeholder }))
                }
                (Some(_), None) => Some(Err(ProviderError::configuration(missing(task, &placeholder_key)))),
                (None, Some(_)) => Some(Err(ProviderError::configuration(missing(task, &artifact_key)))),
            }
        };
        declared.into_iter().filter_map(image).collect()
    }
}

/// The file in an artifact that names its image. It may say more.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ImageDetail {
    #[serde(rename = "ImageURI")]
    image_uri: String,
}

struct CodeDeployToEcs;

#[async_trait]
impl Provider for CodeDeployToEcs {
    async fn start(&self, context: ActionContext<'_>) -> Result<Outcome, ProviderError> {
        let task = context.task;
        let configuration: Configuration<'_> = read(task)?;
        let images = configuration.images(task)?;
        let definition =
            input(task, "TaskDefinitionTemplateArtifact", configuration.task_definition_template_artifact)?;
        let app_spec = input(task, "AppSpecTemplateArtifact", configuration.app_spec_template_artifact)?;
        let deployments = deployments(context, &configuration).await?;
        if let Some(known) = deployments.reclaimed().await? {
            return Ok(known);
        }
        let definition = task_definition(context, definition, &configuration, &images).await?;
        let app_spec = text(context, app_spec, configuration.app_spec_template_path, LONGEST_FILE)
            .await
            .map_err(|error| unreadable("AppSpec file", app_spec, error))?;
        let arn = register(context, definition).await?;
        deployments.create(revision(app_spec.replace(TASK_DEFINITION, &arn))).await
    }

    async fn poll(&self, context: ActionContext<'_>) -> Result<Outcome, ProviderError> {
        let configuration = read(context.task)?;
        deployments(context, &configuration).await?.poll(|_| BTreeMap::new()).await
    }
}

async fn deployments<'a>(
    context: ActionContext<'a>,
    configuration: &Configuration<'a>,
) -> Result<Deployments<'a>, ProviderError> {
    Deployments::new(context, configuration.application_name, configuration.deployment_group_name).await
}

/// That a file cannot be read begins with the words that AWS has for it (and explains in 'Troubleshooting CodePipeline'), and
/// ends with what is wrong.
fn unreadable(file: &str, input: &TaskInput, error: ProviderError) -> ProviderError {
    let artifact = &input.artifact.name;
    match error {
        ProviderError::Failed { code, message, report } => ProviderError::Failed {
            code,
            message: format!("Exception while trying to read the {file} from: {artifact}: {message}"),
            report,
        },
        passing @ ProviderError::Retryable(_) => passing,
    }
}

async fn task_definition(
    context: ActionContext<'_>,
    artifact: &TaskInput,
    configuration: &Configuration<'_>,
    images: &[Image<'_>],
) -> Result<RegisterTaskDefinitionInputBuilder, ProviderError> {
    let path = configuration.task_definition_template_path;
    let template = text(context, artifact, path, LONGEST_FILE)
        .await
        .map_err(|error| unreadable("task definition artifact file", artifact, error))?;
    let mut replacements: Vec<Replacement> = Vec::new();
    for Image { input, placeholder } in images {
        replacements.push((format!("<{placeholder}>"), image_uri(context, input).await?));
    }
    ecs_task_definition::read(&template, &replacements).map_err(|error| {
        let artifact = label(artifact);
        ProviderError::configuration(format!("the file {path} in {artifact} is no task definition in JSON: {error}"))
    })
}

async fn image_uri(context: ActionContext<'_>, artifact: &TaskInput) -> Result<String, ProviderError> {
    let unreadable = |error| unreadable("image artifact file", artifact, error);
    let json = text(context, artifact, IMAGE_DETAIL, LONGEST_IMAGE_DETAIL).await.map_err(unreadable)?;
    let detail: ImageDetail = serde_json::from_str(&json).map_err(|error| {
        let artifact = label(artifact);
        let message =
            format!("the file {IMAGE_DETAIL} in {artifact} is not a JSON object that names an ImageURI: {error}");
        unreadable(ProviderError::configuration(message))
    })?;
    Ok(detail.image_uri)
}

/// Registers a task definition; the answer is the ARN of the new revision.
async fn register(
    context: ActionContext<'_>,
    definition: RegisterTaskDefinitionInputBuilder,
) -> Result<String, ProviderError> {
    let client = aws_sdk_ecs::Client::new(context.session().await?.config());
    let family = definition.get_family().clone().unwrap_or_default();
    let registered = definition.send_with(&client).await;
    let registered = registered.map_err(|error| ProviderError::aws("RegisterTaskDefinition", &family, &error))?;
    registered
        .task_definition
        .and_then(|it| it.task_definition_arn)
        .ok_or_else(|| ProviderError::Retryable(format!("ECS did not say which revision of {family} it registered")))
}

fn revision(app_spec: String) -> RevisionLocation {
    let sha256 = hex::encode(Sha256::digest(&app_spec));
    let content = AppSpecContent::builder().content(app_spec).sha256(sha256).build();
    RevisionLocation::builder().revision_type(RevisionLocationType::AppSpecContent).app_spec_content(content).build()
}
