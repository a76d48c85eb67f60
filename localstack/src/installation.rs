//! What is deployed on an emulator: the installation, a role for pipelines, and a project for commands.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use aws_sdk_codebuild::error::SdkError;
use aws_sdk_codebuild::types::{
    ArtifactsType, ComputeType, EnvironmentType, ProjectArtifacts, ProjectEnvironment, ProjectSource, SourceType,
};

use millrace::deploy::{Deployed, Plan, Wanted, region_stack};
use millrace::stacks::{describe, is_good, outputs};
use millrace::{Architecture, Deployment};

use crate::environment::{self, Endpoints};
use crate::options::Options;
use crate::paths::Paths;
use crate::sdk::{self, HOME, REGIONS};

/// Name of home.yaml's stack, and what the functions' names begin with.
pub(crate) const STACK: &str = "millrace";
/// Name of the CodeBuild project in whose builds Commands actions run: home.yaml's default.
pub const COMPUTE_PROJECT: &str = "millrace-compute";
/// Name of the stack with a role for pipelines.
const ROLE_STACK: &str = "millrace-pipeline-role";

/// This machine's, in Lambda's words: emulators run functions as they are.
pub const ARCHITECTURE: &str = Architecture::HERE.name();

/// Uploads and deploys what changed; returns the environment and a line about what changed.
pub(crate) async fn deploy(
    paths: &Paths,
    endpoints: &Endpoints,
    programs: &BTreeMap<String, PathBuf>,
    options: &Options,
) -> Result<(BTreeMap<String, String>, String)> {
    let account = sdk::account(&endpoints.aws)?;
    let wanted = Wanted {
        stack: STACK.to_owned(),
        regions: REGIONS.map(str::to_owned).into(),
        programs: programs.clone(),
        architecture: Architecture::HERE,
        parameters: parameters(options),
        // Whoever changes a function here wants to see it run.
        shift: None,
    };
    let plan = Plan::new(&account, &account.caller().await?, &wanted).await?;
    let Deployed(deployed) = plan.execute(&mut |_| ()).await?;
    let mut said: Vec<_> =
        deployed.iter().map(|(name, region, outcome, _)| format!("{name} in {region} {outcome}")).collect();

    let (.., home) = deployed.first().context("no stack was deployed")?;
    let given = |name: &str| -> Result<(String, String)> {
        let value = home.get(name).with_context(|| format!("home.yaml has no output {name}"))?;
        Ok((name.to_owned(), value.clone()))
    };
    let template = paths.source.join("samples/pipeline-role.yaml");
    let template = fs::read_to_string(&template).with_context(|| format!("cannot read {}", template.display()))?;
    let parameters =
        ["WorkerRoleArn", "ReplicatorRoleArn", "ApiRoleArn"].map(given).into_iter().collect::<Result<_>>()?;
    let role = Deployment { name: ROLE_STACK.to_owned(), template: &template, url: None, parameters, protected: false };
    let (outcome, role) = millrace::deploy::apply(&account, HOME, role).await?;
    said.push(format!("{ROLE_STACK} {outcome}"));
    let role = role.get("PipelineRoleArn").context("the role's stack has no role")?;
    for region in REGIONS {
        compute_project(&endpoints.codebuild, region, role).await?;
    }
    Ok((read_env(endpoints).await?, said.join(", ")))
}

/// The templates' parameters on a laptop.
fn parameters(options: &Options) -> BTreeMap<String, String> {
    let parameters = [
        // Nobody waits a minute for a repair on a laptop.
        ("LeaseSeconds", "10"),
        ("SweepSeconds", "2"),
        ("PollSeconds", "1"),
        ("LogRetentionDays", "1"),
        // What the aws CLI and boto3 call.
        ("JsonOnRoot", "true"),
    ];
    let mut parameters = BTreeMap::from(parameters.map(|(name, value)| (name.to_owned(), value.to_owned())));
    parameters.extend(options.parameters.clone());
    parameters
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

/// The environment, from the stacks' outputs.
pub(crate) async fn read_env(endpoints: &Endpoints) -> Result<BTreeMap<String, String>> {
    let home = standing(&endpoints.aws, HOME, STACK).await?;
    let mut regions = BTreeMap::new();
    for region in REGIONS {
        regions.insert(region.to_owned(), standing(&endpoints.aws, region, &region_stack(STACK)).await?);
    }
    let role = standing(&endpoints.aws, HOME, ROLE_STACK).await?;
    let role = role.get("PipelineRoleArn").context("the role's stack has no role")?;
    environment::variables(endpoints, &home, &regions, role)
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
