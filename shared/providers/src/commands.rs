//! Compute/Commands and Rule/Commands: shell commands in a build of [`crate::managed_compute`]. Source: CodePipeline user
//! guide, 'Commands action reference' and 'Commands' (rule).
//!
//! The commands run in the folder of the first input artifact; the folder of a further one is in
//! `CODEBUILD_SRC_DIR_name`. Variables of the pipeline stand in commands as text: a value that somebody else chooses, such as
//! a commit's message, belongs into an environment variable.

use async_trait::async_trait;
use aws_sdk_codebuild::types::{ComputeType, EnvironmentType, EnvironmentVariable, EnvironmentVariableType};
use driver::{Outcome, Task};
use pipeline::declaration;
use serde::Deserialize;

use crate::build_artifacts::invalid;
use crate::builds::{EVENTS, Machine};
use crate::compute_network::Network;
use crate::configuration::read;
use crate::context::ActionContext;
use crate::error::ProviderError;
use crate::managed_compute::{self, BUILD, IN_NETWORK, SECRETS, Work};
use crate::permission::artifacts::{PIN_OUTPUTS, READ_INPUTS, WRITE_OUTPUTS};
use crate::permission::{Permissions, Trust};
use crate::provider::{ActionLog, Descriptor, Documentation, Implements, Provider, ProviderInfo, Tried, attempt_id};

/// Minutes after which a build of commands is ended. Source: CodePipeline user guide, 'Commands action reference'.
const LONGEST: u32 = 55;
/// The image of builds on Windows; those on Linux take the project's. Source: CodeBuild user guide, 'Docker images provided
/// by CodeBuild'.
const WINDOWS_IMAGE: &str = "aws/codebuild/windows-base:2022-1.0";

pub(crate) const PROVIDER: Descriptor = Descriptor {
    info: ProviderInfo {
        events: Some(EVENTS),
        log: ActionLog::of_build,
        ..ProviderInfo::of(
            &[Implements::aws("Compute", "Commands"), Implements::aws("Rule", "Commands")],
            PERMISSIONS,
            Documentation {
                file: file!(),
                ends: "by event or poll",
                tried: Tried::BuildHost,
                differs: "Runs in a build of the installation's own project, with the role of the action or the pipeline, which must trust CodeBuild. An action with VpcId needs a project for that VPC (infra/compute-vpc.yaml). An output artifact without files has all files. A hyphen in the name of a further input is an underscore in its variable.",
            },
        )
    },
    provider: &Commands,
    token: attempt_id,
};

const PERMISSIONS: Permissions =
    Permissions::of(&[BUILD, IN_NETWORK, SECRETS, READ_INPUTS, WRITE_OUTPUTS, PIN_OUTPUTS])
        .trusting(Trust::Build)
        .beside(|_| Some("the role needs whatever the commands do"));

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Configuration<'a> {
    environment_type: Option<Environment>,
    compute_type: Option<Compute>,
    vpc_id: Option<&'a str>,
    subnets: Option<&'a str>,
    security_group_ids: Option<&'a str>,
}

/// CodePipeline takes some of CodeBuild's environment types.
#[derive(Clone, Copy, Deserialize)]
enum Environment {
    #[serde(rename = "LINUX_CONTAINER")]
    Linux,
    #[serde(rename = "WINDOWS_SERVER_2022_CONTAINER")]
    Windows,
}

/// CodePipeline takes some of CodeBuild's compute types.
#[derive(Clone, Copy, Deserialize)]
enum Compute {
    #[serde(rename = "BUILD_GENERAL1_SMALL")]
    Small,
    #[serde(rename = "BUILD_GENERAL1_MEDIUM")]
    Medium,
    #[serde(rename = "BUILD_GENERAL1_LARGE")]
    Large,
}

impl Configuration<'_> {
    fn network(&self, task: &Task) -> Result<Option<Network>, ProviderError> {
        Network::of_vpc(task, [self.vpc_id, self.subnets, self.security_group_ids])
    }

    fn machine(&self) -> Machine {
        let compute_type = self.compute_type.map(|it| match it {
            Compute::Small => ComputeType::BuildGeneral1Small,
            Compute::Medium => ComputeType::BuildGeneral1Medium,
            Compute::Large => ComputeType::BuildGeneral1Large,
        });
        match self.environment_type {
            None => Machine { compute_type, ..Machine::default() },
            Some(Environment::Linux) => {
                Machine { environment_type: Some(EnvironmentType::LinuxContainer), compute_type, ..Machine::default() }
            }
            Some(Environment::Windows) => Machine {
                environment_type: Some(EnvironmentType::WindowsServer2022Container),
                image: Some(WINDOWS_IMAGE.to_owned()),
                compute_type,
                ..Machine::default()
            },
        }
    }
}

struct Commands;

#[async_trait]
impl Provider for Commands {
    async fn start(&self, context: ActionContext<'_>) -> Result<Outcome, ProviderError> {
        let task = context.task;
        let configuration: Configuration<'_> = read(task)?;
        let compute = &task.compute;
        let work = Work {
            commands: compute.commands.clone(),
            environment: environment(&compute.environment)?,
            exported: compute.output_variables.clone(),
            files: compute.files.clone(),
            machine: configuration.machine(),
        };
        managed_compute::start(context, configuration.network(task)?.as_ref(), LONGEST, work).await
    }

    async fn poll(&self, context: ActionContext<'_>) -> Result<Outcome, ProviderError> {
        let configuration: Configuration<'_> = read(context.task)?;
        managed_compute::poll(context, configuration.network(context.task)?.as_ref()).await
    }
}

/// The declared environment variables of an action as its build's.
pub(crate) fn environment(
    declared: &[declaration::EnvironmentVariable],
) -> Result<Vec<EnvironmentVariable>, ProviderError> {
    let variable = |it: &declaration::EnvironmentVariable| {
        // The API's words for the kinds are CodeBuild's.
        let kind = it.kind.as_deref().map_or(EnvironmentVariableType::Plaintext, EnvironmentVariableType::from);
        EnvironmentVariable::builder().name(&it.name).value(&it.value).r#type(kind).build().map_err(invalid)
    };
    declared.iter().map(variable).collect()
}
