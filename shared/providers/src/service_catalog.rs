//! Deploy/ServiceCatalog: a template becomes a new version of a product. Source: CodePipeline user guide, 'AWS Service
//! Catalog deploy action reference' and 'Tutorial: Create a pipeline that deploys to AWS Service Catalog'; Service Catalog
//! API, `CreateProvisioningArtifact`, `DescribeProvisioningArtifact`.
//!
//! Service Catalog reads the template from S3, so it is put beside its artifact. The attempt's id is the idempotency
//! token.

use async_trait::async_trait;
use aws_sdk_servicecatalog::Client;
use aws_sdk_servicecatalog::operation::create_provisioning_artifact::CreateProvisioningArtifactError;
use aws_sdk_servicecatalog::operation::describe_provisioning_artifact::DescribeProvisioningArtifactError;
use aws_sdk_servicecatalog::types::{
    ProvisioningArtifactDetail, ProvisioningArtifactProperties, ProvisioningArtifactType, Status,
};
use driver::{Outcome, Task, TaskInput};
use engine::{External, Progress, Success};
use serde::Deserialize;

use crate::artifact_files::text;
use crate::cloudformation::template_url;
use crate::configuration::{missing, read, title};
use crate::console;
use crate::context::ActionContext;
use crate::error::{ClassifyError, ErrorClass, JOB_FAILED, ProviderError};
use crate::permission::artifacts::{READ_INPUTS, WRITE_BESIDE_INPUTS};
use crate::permission::{Permission, Permissions, everything};
use crate::provider::{Descriptor, Documentation, EntityPage, Implements, Provider, ProviderInfo, Tried, attempt_id};

/// Longest template. Source: CloudFormation quotas.
const LONGEST_TEMPLATE: u64 = 1_048_576;
/// Longest file that `ConfigurationFilePath` names.
const LONGEST_FILE: u64 = 1_048_576;

pub(crate) const PROVIDER: Descriptor = Descriptor {
    info: ProviderInfo {
        entity: Some(EntityPage { key: "ProductId", path: "servicecatalog/home?region={region}#admin-products/{}" }),
        ..ProviderInfo::of(
            &[Implements::aws("Deploy", "ServiceCatalog")],
            PERMISSIONS,
            Documentation {
                file: file!(),
                ends: "at once or by poll",
                tried: Tried::OverTheWire,
                differs: "The template is put beside its artifact, where Service Catalog reads it.",
            },
        )
    },
    provider: &ServiceCatalog,
    token: attempt_id,
};

const PERMISSIONS: Permissions = Permissions::of(&[
    &[
        Permission::new(
            &["servicecatalog:CreateProvisioningArtifact", "servicecatalog:DescribeProvisioningArtifact"],
            |scope| vec![scope.arn("catalog", &format!("product/{}", scope.value_or_any("ProductId")))],
        ),
        // Service Catalog has the template looked at.
        Permission::new(&["cloudformation:ValidateTemplate"], everything),
    ],
    READ_INPUTS,
    WRITE_BESIDE_INPUTS,
]);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Configuration<'a> {
    product_id: &'a str,
    template_file_path: Option<&'a str>,
    product_version_name: Option<&'a str>,
    product_version_description: Option<&'a str>,
    product_type: Option<&'a str>,
    configuration_file_path: Option<&'a str>,
}

/// The file that `ConfigurationFilePath` names.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ConfigurationFile {
    product_version_name: String,
    product_version_description: Option<String>,
    product_type: String,
    properties: FileProperties,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct FileProperties {
    template_file_path: String,
}

/// A version of a product that is to be made.
struct Version {
    name: String,
    description: Option<String>,
    kind: String,
    /// The template's path in the artifact.
    template: String,
}

struct ServiceCatalog;

#[async_trait]
impl Provider for ServiceCatalog {
    async fn start(&self, context: ActionContext<'_>) -> Result<Outcome, ProviderError> {
        let configuration: Configuration<'_> = read(context.task)?;
        let product = configuration.product_id;
        let input =
            context.task.inputs.first().ok_or_else(|| {
                ProviderError::configuration(format!("{} needs one input artifact", title(context.task)))
            })?;
        let version = version(context, input, &configuration).await?;
        let template = text(context, input, &version.template, LONGEST_TEMPLATE).await?;
        let url = template_url(context, input, template).await?;
        let properties = ProvisioningArtifactProperties::builder()
            .name(&version.name)
            .set_description(version.description)
            .info("LoadTemplateFromURL", url)
            .r#type(ProvisioningArtifactType::from(version.kind.as_str()))
            .build();
        let create = client(context).await?.create_provisioning_artifact().product_id(product).parameters(properties);
        let created = create.idempotency_token(context.token).send().await;
        let created = created.map_err(|error| {
            let what = format!("the version {} of the product {product}", version.name);
            ProviderError::aws("CreateProvisioningArtifact", what, &error)
        })?;
        outcome(context.task, product, created.provisioning_artifact_detail, created.status)
    }

    async fn poll(&self, context: ActionContext<'_>) -> Result<Outcome, ProviderError> {
        // A start that was not written down: the token finds what it made.
        let Some(External { id, .. }) = &context.task.external else { return self.start(context).await };
        let Configuration { product_id: product, .. } = read(context.task)?;
        let describe = client(context).await?.describe_provisioning_artifact().product_id(product);
        let found = describe.provisioning_artifact_id(id).send().await;
        let found = found.map_err(|error| {
            ProviderError::aws("DescribeProvisioningArtifact", format!("{id} of the product {product}"), &error)
        })?;
        outcome(context.task, product, found.provisioning_artifact_detail, found.status)
    }
}

async fn client(context: ActionContext<'_>) -> Result<Client, ProviderError> {
    Ok(Client::new(context.session().await?.config()))
}

/// What the action's configuration, or the file that it names, says of the version.
async fn version(
    context: ActionContext<'_>,
    input: &TaskInput,
    configuration: &Configuration<'_>,
) -> Result<Version, ProviderError> {
    if let Some(path) = configuration.configuration_file_path {
        let content = text(context, input, in_artifact(path), LONGEST_FILE).await?;
        let file: ConfigurationFile = serde_json::from_str(&content).map_err(|error| {
            ProviderError::configuration(format!(
                "the file {path} is not a JSON object with ProductVersionName, ProductVersionDescription, ProductType \
                 and Properties, which has TemplateFilePath: {error}"
            ))
        })?;
        return Ok(Version {
            name: file.product_version_name,
            description: file.product_version_description,
            kind: file.product_type,
            template: in_artifact(&file.properties.template_file_path).to_owned(),
        });
    }
    let needed = |key: &str, value: Option<&str>| {
        let without =
            || ProviderError::configuration(format!("{} or ConfigurationFilePath", missing(context.task, key)));
        value.map(str::to_owned).ok_or_else(without)
    };
    Ok(Version {
        template: in_artifact(&needed("TemplateFilePath", configuration.template_file_path)?).to_owned(),
        name: needed("ProductVersionName", configuration.product_version_name)?,
        kind: needed("ProductType", configuration.product_type)?,
        description: configuration.product_version_description.map(str::to_owned),
    })
}

/// AWS's own example begins its path with a slash.
fn in_artifact(path: &str) -> &str {
    path.trim_start_matches('/')
}

fn outcome(
    task: &Task,
    product: &str,
    detail: Option<ProvisioningArtifactDetail>,
    status: Option<Status>,
) -> Result<Outcome, ProviderError> {
    let (id, name) = detail.and_then(|detail| detail.id.zip(detail.name)).ok_or_else(|| {
        let message = format!("Service Catalog did not say which version of the product {product} it made");
        ProviderError::failed(JOB_FAILED, message)
    })?;
    let url = console::service_catalog_product(&task.region, product);
    let summary = Some(format!("Version {name} ({id}) of the product {product}"));
    let report = Progress { external: Some(External { id: id.clone(), url: Some(url) }), summary, percent: None };
    match status {
        Some(Status::Available) => Ok(Outcome::Succeeded(Success { report, ..Success::default() })),
        Some(Status::Failed) => {
            let message = format!(
                "Service Catalog could not make the version {name} ({id}) of the product {product}, and gives no reason"
            );
            Err(ProviderError::Failed { code: JOB_FAILED, message, report })
        }
        _ => Ok(Outcome::Running { report, poll: true, event_source: None }),
    }
}

impl ClassifyError for CreateProvisioningArtifactError {
    fn class(&self) -> Option<ErrorClass> {
        match self {
            Self::InvalidParametersException(_)
            | Self::LimitExceededException(_)
            | Self::ResourceNotFoundException(_) => Some(ErrorClass::Configuration),
            _ => None,
        }
    }
}

impl ClassifyError for DescribeProvisioningArtifactError {
    fn class(&self) -> Option<ErrorClass> {
        match self {
            Self::InvalidParametersException(_) => Some(ErrorClass::Configuration),
            Self::ResourceNotFoundException(_) => Some(ErrorClass::Failed),
            _ => None,
        }
    }
}
