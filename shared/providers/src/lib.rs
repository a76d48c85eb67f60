//! Providers: what really runs actions.
//!
//! There is one file for each provider, which exports one descriptor: what runs its actions, and what other crates ask
//! about it ([`ProviderInfo`]). [`Registry`] finds the provider of an action and is what the driver calls. Each
//! provider touches its own service only, under the pipeline's role or the action's role assumed from it
//! ([`runtime::Roles`]); artifacts go through the crate `artifacts`.
//!
//! | action type | file | ends |
//! |---|---|---|
//! | Source/S3 | `s3_source` | at once |
//! | Source/ECR | `ecr` | at once |
//! | Source/CodeCommit | `codecommit` | at once |
//! | Source/CodeStarSourceConnection | `connection_source` | at once |
//! | Source/GitHub, owner ThirdParty | `github_source` | at once |
//! | Build/CodeBuild, Test/CodeBuild | `codebuild` | by event or poll |
//! | Build/ECRBuildAndPublish | `ecr_build_and_publish` | by event or poll |
//! | Compute/Commands | `commands` | by event or poll |
//! | Test/DeviceFarm | `device_farm` | by poll |
//! | Deploy/S3 | `s3_deploy` | at once |
//! | Deploy/CloudFormation | `cloudformation` | by event or poll |
//! | Deploy/CloudFormationStackSet, Deploy/CloudFormationStackInstances | `stack_sets` | by event or poll |
//! | Deploy/ECS | `ecs` | by event or poll |
//! | Deploy/EKS | `eks` | by event or poll |
//! | Deploy/ElasticBeanstalk | `elastic_beanstalk` | by event or poll |
//! | Deploy/CodeDeploy, Deploy/CodeDeployToECS | `codedeploy`, `codedeploy_to_ecs` | by event or poll |
//! | Deploy/AppConfig | `appconfig` | by poll |
//! | Deploy/EC2 | `ec2_deploy`, `ec2_rollout`, `ec2_script`, `deploy_spec` | by event or poll |
//! | Deploy/Lambda | `lambda_deploy`, `lambda_traffic` | by poll |
//! | Approval/Manual | `approval` | when a person answers |
//! | Invoke/InspectorScan | `inspector_scan` | by event or poll |
//! | Deploy/ServiceCatalog | `service_catalog` | at once or by poll |
//! | Approval/Manual | `approval` | when a person answers |
//! | Invoke/CodePipeline | `pipeline_invoke` | at once; with `WaitForCompletion` by event or poll |
//! | Invoke/StepFunctions | `step_functions` | by event or poll; express state machines at once |
//! | owner Custom, ThirdParty | `job_worker` | when a job worker reports |
//! | owner ThirdParty, by a function | `lambda_executor` | when the function answers, or asks to be called again |
//! | Invoke/Lambda | `lambda_invoke` | when the function reports its job's result |
//! | Rule/... | `rules` | see there: the rules of stage conditions |
//!
//! A permanent error becomes [`driver::Outcome::Failed`], with one of CodePipeline's `FailureType`s, the service's own
//! message and the resource that it is about; a temporary one is a [`driver::ExecutorError`].
//!
//! ```no_run
//! # async fn example(driver: driver::Driver, message: driver::Message, until: engine::Timestamp) -> anyhow::Result<()> {
//! let settings = runtime::Settings::from_environment()?;
//! let clients = runtime::Clients::new(&settings).await;
//! let registry = providers::Registry::new(&settings, &clients)?;
//! driver.work(message, &registry, until).await?;
//! # Ok(()) }
//! ```
//!
//! To add a provider, write a file that exports a descriptor (what it says of itself makes `PROVIDERS.md`, and what it says
//! that IAM must allow the policies of `millrace role`), and add a line to the list in `registry`, the entry of its type to
//! [`pipeline::catalogue`], and rules for its service's events to the templates in `infra`. Tests check that these agree.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod appconfig;
mod approval;
mod approval_links;
mod artifact_files;
mod build_artifacts;
mod builds;
mod cloudformation;
mod code_host;
mod codebuild;
mod codecommit;
mod codedeploy;
mod codedeploy_deployments;
mod codedeploy_to_ecs;
mod commands;
mod compute_network;
mod configuration;
mod connection_source;
mod console;
mod context;
mod delivery;
mod deploy_spec;
mod device_farm;
mod ec2_command;
mod ec2_deploy;
mod ec2_fleet;
mod ec2_rollout;
mod ec2_rollout_plan;
mod ec2_script;
mod ec2_turn;
mod ecr;
mod ecr_build_and_publish;
mod ecs;
mod ecs_task_definition;
mod eks;
mod elastic_beanstalk;
mod error;
mod function_report;
mod github_hooks;
mod github_source;
mod image_registry;
mod input_zip;
mod inspector_scan;
mod job;
mod job_worker;
mod lambda_deploy;
mod lambda_executor;
mod lambda_invoke;
mod lambda_traffic;
mod managed_compute;
pub mod permission;
mod pipeline_invoke;
mod presigned;
mod provider;
mod push;
mod registry;
mod repository;
mod rules;
mod s3_deploy;
mod s3_source;
mod service_catalog;
mod stack_policy;
mod stack_sets;
mod starts;
mod step_functions;
mod target_groups;
mod web;

pub use connection_source::connected;
pub use console::entity_page;
pub use delivery::{Delivered, Undelivered, delivered};
pub use github_hooks::{GitHubHooks, HookError};
pub use provider::{
    ActionLog, Correlation, DeployTarget, Documentation, EntityPage, Events, Implements, ProviderInfo, Source,
    SourceChange, SourceEvents, Tried,
};
pub use push::{Pushed, pushed};
pub use registry::{Registry, SOURCES, all, all_permissions, find, log, permissions};
pub use starts::{StartKind, start_kinds};
