//! What is deployed on an emulator: the functions, the templates of `infra/`, and a role for pipelines.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use aws_sdk_codebuild::error::SdkError;
use aws_sdk_codebuild::types::{
    ArtifactsType, ComputeType, EnvironmentType, ProjectArtifacts, ProjectEnvironment, ProjectSource, SourceType,
};

use millrace::stacks::{describe, is_good, outputs};

use crate::deploy::{Deployment, Outcome};
use crate::options::Options;
use crate::paths::Paths;
use crate::sdk::{self, ACCOUNT, HOME, REGIONS};
use crate::{environment, package};

/// Name of home.yaml's stack, and what the functions' names begin with.
pub(crate) const STACK: &str = "millrace";
/// Name of region.yaml's stack in each region.
const REGION_STACK: &str = "millrace-region";
/// Name of the CodeBuild project in whose builds Commands actions run: home.yaml's default.
pub const COMPUTE_PROJECT: &str = "millrace-compute";
/// Name of the stack with a role for pipelines.
const ROLE_STACK: &str = "millrace-pipeline-role";

/// This machine's, in Lambda's words: emulators run functions as they are.
pub const ARCHITECTURE: &str = if cfg!(target_arch = "aarch64") { "arm64" } else { "x86_64" };

/// Uploads and deploys what changed; returns the environment and a line about what changed.
pub(crate) async fn deploy(
    paths: &Paths,
    endpoint: &str,
    codebuild: &str,
    programs: &BTreeMap<String, PathBuf>,
    options: &Options,
) -> Result<(BTreeMap<String, String>, String)> {
    let target = Target::new(endpoint);
    make_bucket(&target.s3, &target.bucket, HOME).await?;
    let home_template = template(&paths.root.join("infra/home.yaml"))?;
    let region_template = template(&paths.root.join("infra/region.yaml"))?;
    let role_template = template(&paths.source.join("samples/pipeline-role.yaml"))?;
    let mut said = Vec::new();

    let parameters = parameters(&target, programs, options).await?;
    let home = Deployment { name: STACK, template: &home_template, parameters };
    let (outcome, home) = target.apply(HOME, &home).await?;
    said.push(format!("{STACK} {outcome}"));
    let given = |names: &[&str]| -> Result<BTreeMap<String, String>> {
        let value = |name: &str| home.get(name).cloned().with_context(|| format!("home.yaml has no output {name}"));
        names.iter().map(|name| Ok(((*name).to_owned(), value(name)?))).collect()
    };

    for region in REGIONS {
        let mut parameters = given(&["HomeBusArn"])?;
        parameters.insert("HomeRegion".into(), HOME.into());
        // The emulators' CodeBuild runs nothing: the build host has the project.
        parameters.insert("ComputeProject".into(), String::new());
        let deployment = Deployment { name: REGION_STACK, template: &region_template, parameters };
        let (outcome, _) = target.apply(region, &deployment).await?;
        said.push(format!("{REGION_STACK} in {region} {outcome}"));
    }

    let parameters = given(&["WorkerRoleArn", "ReplicatorRoleArn", "ApiRoleArn"])?;
    let (outcome, role) =
        target.apply(HOME, &Deployment { name: ROLE_STACK, template: &role_template, parameters }).await?;
    said.push(format!("{ROLE_STACK} {outcome}"));
    let role = role.get("PipelineRoleArn").context("the role's stack has no role")?;
    for region in REGIONS {
        compute_project(codebuild, region, role).await?;
    }
    Ok((read_env(endpoint, codebuild).await?, said.join(", ")))
}

fn template(file: &Path) -> Result<String> {
    fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}

/// Uploads the functions, and returns home.yaml's parameters.
async fn parameters(
    target: &Target,
    programs: &BTreeMap<String, PathBuf>,
    options: &Options,
) -> Result<BTreeMap<String, String>> {
    let mut parameters = BTreeMap::from(
        [
            ("CodeBucket", target.bucket.as_str()),
            ("EndpointUrl", &target.endpoint),
            ("Architecture", ARCHITECTURE),
            // Nobody waits a minute for a repair on a laptop.
            ("LeaseSeconds", "10"),
            ("SweepSeconds", "2"),
            ("PollSeconds", "1"),
            ("LogRetentionDays", "1"),
            // What the aws CLI and boto3 call.
            ("JsonOnRoot", "true"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
    for function in package::FUNCTIONS {
        let program = programs.get(*function).with_context(|| format!("cargo built no program {function}"))?;
        let key = package::upload(&target.s3, &target.bucket, function, program).await?;
        parameters.insert(package::code_parameter(function), key);
    }
    parameters.extend(options.parameters.clone());
    Ok(parameters)
}

/// The emulator to which stacks are deployed, and the bucket for their templates and functions.
pub(crate) struct Target {
    endpoint: String,
    /// A client for the bucket.
    pub s3: aws_sdk_s3::Client,
    /// Holds templates and functions, for every region's CloudFormation.
    pub bucket: String,
}

impl Target {
    pub fn new(endpoint: &str) -> Self {
        let s3 = sdk::s3(&sdk::config(endpoint, HOME));
        Self { endpoint: endpoint.to_owned(), s3, bucket: format!("millrace-code-{ACCOUNT}-{HOME}") }
    }

    /// Deploys, and returns what became of the stack and its outputs.
    pub async fn apply(
        &self,
        region: &str,
        deployment: &Deployment<'_>,
    ) -> Result<(Outcome, BTreeMap<String, String>)> {
        let key = deployment.template_key();
        self.s3
            .put_object()
            .bucket(&self.bucket)
            .key(&key)
            .body(deployment.template.as_bytes().to_vec().into())
            .send()
            .await
            .context("cannot upload a template")?;
        let client = aws_sdk_cloudformation::Client::new(&sdk::config(&self.endpoint, region));
        deployment.apply(&client, &format!("{}/{}/{key}", self.endpoint, self.bucket)).await
    }
}

/// Makes a bucket unless it is there.
async fn make_bucket(s3: &aws_sdk_s3::Client, bucket: &str, region: &str) -> Result<()> {
    if s3.head_bucket().bucket(bucket).send().await.is_ok() {
        return Ok(());
    }
    let place = aws_sdk_s3::types::CreateBucketConfiguration::builder().location_constraint(region.into()).build();
    s3.create_bucket()
        .bucket(bucket)
        .create_bucket_configuration(place)
        .send()
        .await
        .with_context(|| format!("cannot make the bucket {bucket}"))?;
    Ok(())
}

/// Makes the project in whose builds Commands actions run, unless the build host has it. It forgets projects when it ends.
async fn compute_project(codebuild: &str, region: &str, role: &str) -> Result<()> {
    let environment = ProjectEnvironment::builder().r#type(EnvironmentType::LinuxContainer);
    let environment = environment.image("this machine").compute_type(ComputeType::BuildGeneral1Small).build()?;
    let source = ProjectSource::builder().r#type(SourceType::NoSource).buildspec("version: 0.2\nphases: {}\n");
    let created = aws_sdk_codebuild::Client::new(&sdk::config(codebuild, region))
        .create_project()
        .name(COMPUTE_PROJECT)
        .source(source.build()?)
        .artifacts(ProjectArtifacts::builder().r#type(ArtifactsType::NoArtifacts).build()?)
        .environment(environment)
        .service_role(role)
        .send()
        .await;
    match created.map_err(SdkError::into_service_error) {
        Err(error) if !error.is_resource_already_exists_exception() => {
            Err(error).with_context(|| format!("cannot make the build project {COMPUTE_PROJECT} in {region}"))
        }
        _ => Ok(()),
    }
}

/// The environment, from the stacks' outputs; CodeBuild answers at an endpoint of its own.
pub(crate) async fn read_env(endpoint: &str, codebuild: &str) -> Result<BTreeMap<String, String>> {
    let home = standing(endpoint, HOME, STACK).await?;
    let mut regions = BTreeMap::new();
    for region in REGIONS {
        regions.insert(region.to_owned(), standing(endpoint, region, REGION_STACK).await?);
    }
    let role = standing(endpoint, HOME, ROLE_STACK).await?;
    environment::variables(
        endpoint,
        codebuild,
        &home,
        &regions,
        role.get("PipelineRoleArn").context("the role's stack has no role")?,
    )
}

/// Outputs of a stack that must stand.
async fn standing(endpoint: &str, region: &str, name: &str) -> Result<BTreeMap<String, String>> {
    let client = aws_sdk_cloudformation::Client::new(&sdk::config(endpoint, region));
    match describe(&client, name).await? {
        Some(stack) if is_good(&stack) => Ok(outputs(&stack)),
        _ => bail!(
            "the emulator answers, but the stack {name} does not stand in {region}; run: cargo run -p local -- up"
        ),
    }
}
