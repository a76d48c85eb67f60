//! Build/ECRBuildAndPublish: an image is built from a Dockerfile and pushed to Amazon ECR. Source: CodePipeline user guide,
//! 'ECRBuildAndPublish build action reference'.
//!
//! The commands run in a build of [`crate::managed_compute`] and are generated: every value is one word of the shell, and none
//! can become an option.

use async_trait::async_trait;
use driver::{Outcome, Task};
use runtime::arn::partition;
use serde::Deserialize;

use crate::builds::{EVENTS, Machine};
use crate::commands::environment;
use crate::configuration::{items, read, shown};
use crate::context::ActionContext;
use crate::error::ProviderError;
use crate::image_registry::{is_tag, registry, sign_in};
use crate::managed_compute::{self, BUILD, LONGEST_MINUTES, SECRETS, Work, variable, word};
use crate::permission::artifacts::{PIN_OUTPUTS, READ_INPUTS, WRITE_OUTPUTS};
use crate::permission::{Permission, Permissions, Scope, Trust, everything};
use crate::provider::{ActionLog, Descriptor, Documentation, Implements, Provider, ProviderInfo, Tried, attempt_id};

/// Output variables: the digest of the pushed image as `sha256:...`, and the repository as it was configured.
const DIGEST: &str = "ECRImageDigestId";
const REPOSITORY: &str = "ECRRepositoryName";
/// Public registries are in this region. Source: Amazon ECR Public user guide, 'Registry authentication'.
const PUBLIC_REGION: &str = "us-east-1";

pub(crate) const PROVIDER: Descriptor = Descriptor {
    info: ProviderInfo {
        events: Some(EVENTS),
        log: ActionLog::of_build,
        ..ProviderInfo::of(
            &[Implements::aws("Build", "ECRBuildAndPublish")],
            PERMISSIONS,
            Documentation {
                file: file!(),
                ends: "by event or poll",
                tried: Tried::OverTheWire,
                differs: "As for Commands actions. The build's context is the top of the input artifact, wherever the Dockerfile is. DockerFilePath may be the file or its folder.",
            },
        )
    },
    provider: &EcrBuildAndPublish,
    token: attempt_id,
};

fn is_public(scope: &Scope<'_>) -> bool {
    scope.value("RegistryType").is_some_and(|kind| kind == "public" || kind.contains('*'))
}

fn is_private(scope: &Scope<'_>) -> bool {
    scope.value("RegistryType").is_none_or(|kind| kind != "public")
}

const PERMISSIONS: Permissions =
    Permissions::of(&[
        &[
            Permission::new(&["ecr:GetAuthorizationToken"], |scope| {
                if is_private(scope) { everything(scope) } else { Vec::new() }
            }),
            Permission::new(
                &[
                    "ecr:BatchCheckLayerAvailability",
                    "ecr:CompleteLayerUpload",
                    "ecr:GetDownloadUrlForLayer",
                    "ecr:InitiateLayerUpload",
                    "ecr:PutImage",
                    "ecr:UploadLayerPart",
                ],
                |scope| {
                    let repository = format!("repository/{}", scope.value_or_any("ECRRepositoryName"));
                    if is_private(scope) { vec![scope.arn("ecr", &repository)] } else { Vec::new() }
                },
            ),
            Permission::new(
                &["ecr-public:DescribeRepositories", "ecr-public:GetAuthorizationToken", "sts:GetServiceBearerToken"],
                |scope| if is_public(scope) { everything(scope) } else { Vec::new() },
            ),
            Permission::new(
                &[
                    "ecr-public:BatchCheckLayerAvailability",
                    "ecr-public:CompleteLayerUpload",
                    "ecr-public:InitiateLayerUpload",
                    "ecr-public:PutImage",
                    "ecr-public:UploadLayerPart",
                ],
                |scope| {
                    let (partition, account) = (partition(scope.region), scope.role_account());
                    let repository = scope.value_or_any("ECRRepositoryName");
                    let arn = format!("arn:{partition}:ecr-public::{account}:repository/{repository}");
                    if is_public(scope) { vec![arn] } else { Vec::new() }
                },
            ),
        ],
        BUILD,
        SECRETS,
        READ_INPUTS,
        WRITE_OUTPUTS,
        PIN_OUTPUTS,
    ])
    .trusting(Trust::Build);

#[derive(Deserialize)]
struct Configuration<'a> {
    #[serde(rename = "ECRRepositoryName")]
    repository_name: &'a str,
    #[serde(rename = "DockerFilePath")]
    docker_file_path: Option<&'a str>,
    #[serde(rename = "ImageTags")]
    image_tags: Option<&'a str>,
    #[serde(rename = "RegistryType", default)]
    registry_type: RegistryType,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RegistryType {
    #[default]
    Private,
    Public,
}

impl Configuration<'_> {
    fn tags(&self) -> Result<Vec<&str>, ProviderError> {
        let tags = self.image_tags.unwrap_or("latest");
        let list: Vec<_> = items(tags).collect();
        if list.is_empty() || !list.iter().all(|tag| is_tag(tag)) {
            return Err(ProviderError::configuration(format!(
                "ImageTags is {:?}: it must be tags with commas between them, each of 1 to 128 letters, digits, _, . and -, \
                 the first neither . nor -",
                shown(tags)
            )));
        }
        Ok(list)
    }

    /// Signs in, and leaves in the shell's `REPOSITORY` where images go.
    fn repository(&self, task: &Task) -> Result<Vec<String>, ProviderError> {
        match self.registry_type {
            RegistryType::Private => {
                let registry = registry(task);
                let repository = word(&format!("{registry}/{}", self.repository_name))?;
                Ok(vec![sign_in(&registry)?, format!("REPOSITORY={repository}")])
            }
            RegistryType::Public => {
                let name = word(&format!("--repository-names={}", self.repository_name))?;
                let describe = format!("aws ecr-public describe-repositories --region={PUBLIC_REGION} {name}");
                Ok(vec![
                    format!(
                        "aws ecr-public get-login-password --region={PUBLIC_REGION} | \
                         docker login --username=AWS --password-stdin public.ecr.aws"
                    ),
                    format!("REPOSITORY=$({describe} --query='repositories[0].repositoryUri' --output=text)"),
                ])
            }
        }
    }

    fn commands(&self, task: &Task) -> Result<Vec<String>, ProviderError> {
        let tags = self.tags()?;
        let image = |tag: &str| format!("\"$REPOSITORY:{tag}\"");
        let first = tags.first().copied().unwrap_or_default();
        let all: Vec<_> = tags.iter().map(|tag| format!("--tag={}", image(tag))).collect();
        let mut commands = self.repository(task)?;
        commands.push(format!("DOCKERFILE={}", word(self.docker_file_path.unwrap_or("Dockerfile"))?));
        commands.push("if [ -d \"$DOCKERFILE\" ]; then DOCKERFILE=\"$DOCKERFILE/Dockerfile\"; fi".to_owned());
        commands.push(format!("docker build --file=\"$DOCKERFILE\" {} .", all.join(" ")));
        commands.extend(tags.iter().map(|tag| format!("docker push {}", image(tag))));
        commands.push(format!("{DIGEST}=$(docker inspect --format='{{{{index .RepoDigests 0}}}}' {})", image(first)));
        commands.push(format!("{DIGEST}=${{{DIGEST}#*@}}"));
        Ok(commands)
    }
}

struct EcrBuildAndPublish;

#[async_trait]
impl Provider for EcrBuildAndPublish {
    async fn start(&self, context: ActionContext<'_>) -> Result<Outcome, ProviderError> {
        let task = context.task;
        let configuration: Configuration<'_> = read(task)?;
        let mut environment = environment(&task.compute.environment)?;
        environment.push(variable(REPOSITORY, configuration.repository_name)?);
        let work = Work {
            commands: configuration.commands(task)?,
            environment,
            exported: vec![DIGEST.to_owned(), REPOSITORY.to_owned()],
            // For Docker's daemon.
            machine: Machine { privileged: Some(true), ..Machine::default() },
            ..Work::default()
        };
        managed_compute::start(context, None, LONGEST_MINUTES, work).await
    }

    async fn poll(&self, context: ActionContext<'_>) -> Result<Outcome, ProviderError> {
        managed_compute::poll(context, None).await
    }
}
