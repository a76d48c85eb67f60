//! Source/ECR: says which image a tag of a repository names, in a file that deploy actions read. Source: CodePipeline user
//! guide, 'Amazon ECR source action reference' and 'Image definitions file reference'.
//!
//! The image itself stays where it is. The artifact, the variable `ImageURI` and the revision name it by its digest, so
//! that all of an execution means one image, wherever the tag is moved. A push of the tag starts the pipeline with the
//! digest that was pushed.

use std::collections::BTreeMap;

use artifacts::write_zip;
use async_trait::async_trait;
use aws_lambda_events::eventbridge::EventBridgeEvent;
use aws_sdk_ecr::Client;
use aws_sdk_ecr::operation::describe_images::DescribeImagesError;
use aws_sdk_ecr::types::{ImageDetail, ImageIdentifier};
use driver::{Outcome, Task};
use engine::{Artifact, External, Progress, Revision, Success, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::configuration::{read, store};
use crate::console;
use crate::context::ActionContext;
use crate::error::{ClassifyError, ErrorClass, JOB_FAILED, ProviderError, REVISION_UNAVAILABLE};
use crate::permission::artifacts::WRITE_OUTPUTS;
use crate::permission::{Permission, Permissions};
use crate::provider::{
    Descriptor, Documentation, EntityPage, Implements, Provider, ProviderInfo, Source, SourceChange, SourceEvents,
    Tried, attempt_id, never_polled, unchanged,
};
use crate::starts::StartKind;

pub(crate) const PROVIDER: Descriptor = Descriptor {
    info: ProviderInfo {
        source: Some(Source {
            watched: |action, region| {
                let tag = action.configuration.get("ImageTag").filter(|tag| !tag.is_empty());
                let repository = action.configuration.get("RepositoryName")?;
                Some(watched(region, repository, tag.map_or(latest(), String::as_str)))
            },
            polled: never_polled,
            takes_revision,
            events: Some(SourceEvents {
                source: "aws.ecr",
                detail_types: &["ECR Image Action"],
                change,
                starts: STARTS,
            }),
        }),
        entity: Some(EntityPage { key: "RepositoryName", path: "ecr/repositories/{}/?region={region}" }),
        ..ProviderInfo::of(
            &[Implements::aws("Source", "ECR")],
            PERMISSIONS,
            Documentation {
                file: file!(),
                ends: "at once",
                tried: Tried::MiniStack,
                differs: "A push of the tag starts the pipeline without a rule of its own.",
            },
        )
    },
    provider: &Ecr,
    token: attempt_id,
};

const PERMISSIONS: Permissions = Permissions::of(&[
    &[Permission::new(&["ecr:DescribeImages"], |scope| {
        vec![scope.arn("ecr", &format!("repository/{}", scope.value_or_any("RepositoryName")))]
    })],
    WRITE_OUTPUTS,
]);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Configuration<'a> {
    repository_name: &'a str,
    #[serde(default = "latest")]
    image_tag: &'a str,
}

/// The tag that is meant where none is named.
fn latest() -> &'static str {
    "latest"
}

/// `SourceRevisionType`: the digest of an image.
const DIGEST: &str = "IMAGE_DIGEST";

fn watched(region: &str, repository: &str, tag: &str) -> String {
    format!("ecr/{region}/{repository}:{tag}")
}

/// An ECR source takes the digest of an image and nothing else. Source: CodePipeline API, `SourceRevisionOverride`.
fn takes_revision(_: &BTreeMap<String, String>, revision_type: &str) -> Result<(), &'static str> {
    if revision_type == DIGEST { Ok(()) } else { Err("an ECR source takes IMAGE_DIGEST") }
}

const STARTS: &[StartKind] = &[StartKind {
    what: "the tag of an ECR source is pushed",
    needs: "nothing",
    starts: "every pipeline that watches the tag, with the digest that was pushed; once for each push",
    trigger: "CloudWatchEvent",
    detail: "the image's address",
    test: ("tests/e2e/src/cases/triggers.rs", "started_by_image"),
}];

/// The detail of ECR's event. Source: Amazon ECR user guide, 'Amazon ECR events and EventBridge'.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct ImageAction {
    action_type: String,
    result: String,
    repository_name: String,
    #[serde(default)]
    image_digest: String,
    /// Empty where an image was pushed by its digest alone, as the parts of one for several architectures are: nobody
    /// watches that.
    #[serde(default)]
    image_tag: String,
}

fn change(event: &EventBridgeEvent<Value>) -> serde_json::Result<Option<SourceChange>> {
    let action = ImageAction::deserialize(&event.detail)?;
    if action.action_type != "PUSH" || action.result != "SUCCESS" {
        return Ok(None);
    }
    if action.image_digest.is_empty() {
        return Err(serde::de::Error::missing_field("image-digest"));
    }
    let region = event.region.as_deref().unwrap_or_default();
    let account = event.account.as_deref().unwrap_or_default();
    // An image can be given the same tag again after another one had it, so only the event's own id names the change.
    let token = event.id.as_ref().unwrap_or(&action.image_digest);
    Ok(Some(SourceChange {
        watched: watched(region, &action.repository_name, &action.image_tag),
        token: format!("ecr#{token}"),
        detail: format!("{}:{}", repository_uri(region, account, &action.repository_name), action.image_tag),
        account: event.account.clone(),
        revision: Some((DIGEST, action.image_digest)),
    }))
}

/// Source: Amazon ECR user guide, 'Private registries'.
fn repository_uri(region: &str, registry: &str, repository: &str) -> String {
    format!("{registry}.dkr.ecr.{region}.{}/{repository}", runtime::arn::service_domain(region))
}

/// The console's page of an image.
fn page(region: &str, registry: &str, repository: &str, digest: &str) -> String {
    let host = console::host(region);
    format!("{host}/ecr/repositories/private/{registry}/{repository}/_/image/{digest}/details?region={region}")
}

/// The name of the artifact's only file, as AWS's ECR source has it.
const FILE: &str = "imageDetail.json";

/// What is in the file. Sizes are texts there.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ImageDetails {
    image_size_in_bytes: String,
    image_digest: String,
    version: &'static str,
    /// For example `Mon Jan 21 20:04:00 UTC 2019`.
    image_pushed_at: String,
    registry_id: String,
    repository_name: String,
    #[serde(rename = "ImageURI")]
    image_uri: String,
    image_tags: Vec<String>,
}

impl ImageDetails {
    /// Of an image as ECR describes it; the error names what is not there.
    fn new(region: &str, repository: &str, found: &ImageDetail) -> Result<Self, &'static str> {
        let digest = found.image_digest().ok_or("imageDigest")?;
        let registry = found.registry_id().ok_or("registryId")?;
        let pushed = found.image_pushed_at().ok_or("imagePushedAt")?;
        let pushed = jiff::Timestamp::from_second(pushed.secs()).map_err(|_| "imagePushedAt")?;
        Ok(Self {
            image_size_in_bytes: found.image_size_in_bytes().unwrap_or_default().to_string(),
            image_digest: digest.to_owned(),
            version: "1.0",
            image_pushed_at: pushed.strftime("%a %b %d %H:%M:%S UTC %Y").to_string(),
            registry_id: registry.to_owned(),
            repository_name: repository.to_owned(),
            image_uri: format!("{}@{digest}", repository_uri(region, registry, repository)),
            image_tags: found.image_tags().to_vec(),
        })
    }
}

struct Ecr;

#[async_trait]
impl Provider for Ecr {
    async fn start(&self, context: ActionContext<'_>) -> Result<Outcome, ProviderError> {
        let task = context.task;
        let configuration: Configuration<'_> = read(task)?;
        let (bucket, encryption) = store(task)?;
        let output = task
            .outputs
            .first()
            .ok_or_else(|| ProviderError::configuration("an ECR source action needs one output artifact"))?;
        let client = Client::new(context.session().await?.config());
        let found = find(&client, task, &configuration).await?;
        let image = ImageDetails::new(&task.region, configuration.repository_name, &found).map_err(|missing| {
            ProviderError::failed(JOB_FAILED, format!("DescribeImages: ECR's answer has no {missing}"))
        })?;
        let content = serde_json::to_string_pretty(&image)
            .map_err(|error| ProviderError::failed(JOB_FAILED, format!("{FILE} cannot be written: {error}")))?;
        let zip = write_zip([(FILE, content.as_str())])?;
        let pin = context.artifact_store(bucket).await?.put_artifact(&output.key, zip, &encryption).await?;
        let created = found.image_pushed_at().and_then(|time| time.to_millis().ok()).map(Timestamp);
        Ok(Outcome::Succeeded(success(task, &configuration, image, created, Artifact { pin, ..output.clone() })))
    }

    async fn poll(&self, _: ActionContext<'_>) -> Result<Outcome, ProviderError> {
        unchanged()
    }
}

/// Looks for the image that the start of the execution prescribes, or that has the tag.
async fn find(client: &Client, task: &Task, configuration: &Configuration<'_>) -> Result<ImageDetail, ProviderError> {
    let mut id = ImageIdentifier::builder().image_tag(configuration.image_tag).build();
    let mut name = format!("{}:{}", configuration.repository_name, configuration.image_tag);
    let mut missing = ProviderError::configuration as fn(String) -> ProviderError;
    for revision in &task.overrides {
        takes_revision(&task.configuration, &revision.kind).map_err(|why| {
            ProviderError::configuration(format!("the start of the execution names a {}: {why}", revision.kind))
        })?;
        id = ImageIdentifier::builder().image_digest(&revision.value).build();
        name = format!("{}@{}", configuration.repository_name, revision.value);
        missing = |message| ProviderError::failed(REVISION_UNAVAILABLE, message);
    }
    let image = format!("the image {name} in {}", task.region);
    let described = client.describe_images().repository_name(configuration.repository_name).image_ids(id).send().await;
    match described {
        Ok(found) => {
            let found = found.image_details.unwrap_or_default().into_iter().next();
            found.ok_or_else(|| missing(format!("DescribeImages of {image} failed: there is no such image")))
        }
        Err(error) => {
            let not_found = error.as_service_error().is_some_and(DescribeImagesError::is_image_not_found_exception);
            Err(match ProviderError::aws("DescribeImages", image, &error) {
                ProviderError::Failed { message, .. } if not_found => missing(message),
                error => error,
            })
        }
    }
}

fn success(
    task: &Task,
    configuration: &Configuration<'_>,
    image: ImageDetails,
    created: Option<Timestamp>,
    output: Artifact,
) -> Success {
    let ImageDetails { image_digest: digest, registry_id: registry, repository_name: repository, .. } = image;
    let url = page(&task.region, &registry, &repository, &digest);
    let summary = format!("{repository}:{}", configuration.image_tag);
    let variables = [
        ("ImageDigest", digest.clone()),
        ("ImageTag", configuration.image_tag.to_owned()),
        ("ImageURI", image.image_uri),
        ("RegistryId", registry),
        ("RepositoryName", repository),
    ];
    Success {
        report: Progress {
            external: Some(External { id: digest.clone(), url: Some(url.clone()) }),
            summary: Some(summary.clone()),
            percent: None,
        },
        outputs: vec![output],
        variables: variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        revision: Some(Revision { id: digest, summary: Some(summary), url: Some(url), created, change: None }),
    }
}

impl ClassifyError for DescribeImagesError {
    fn class(&self) -> Option<ErrorClass> {
        Some(match self {
            Self::ImageNotFoundException(_)
            | Self::RepositoryNotFoundException(_)
            | Self::InvalidParameterException(_) => ErrorClass::Configuration,
            Self::ServerException(_) => ErrorClass::Retryable,
            _ => return None,
        })
    }
}
