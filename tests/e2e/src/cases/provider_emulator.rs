//! Providers whose services neither emulator has, on a third one that has them: fakecloud, a program of its own, which
//! whoever runs the suite starts (`CONTRIBUTING.md` says how) and names by its address in `E2E_PROVIDERS`.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use aws_config::SdkConfig;
use aws_sdk_codecommit::primitives::Blob;
use aws_sdk_codecommit::types::FileModeTypeEnum;
use aws_sdk_codedeploy::types::ComputePlatform;
use aws_sdk_lambda::types::{Environment, LastUpdateStatus};
use local::HOME;

use crate::case::Case;
use crate::check::named;
use crate::declare::{ARTIFACT, Action};
use crate::runner::say;
use crate::wait::{PATIENCE, until};

/// The services that are asked of the third emulator, as their endpoints' variables call them.
const SERVICES: [&str; 4] = ["CODECOMMIT", "CODEDEPLOY", "ELASTIC_BEANSTALK", "CLOUDFORMATION"];
/// The only account of the third emulator.
const ACCOUNT: &str = "123456789012";
const TEMPLATE: &str = "Resources:\n  Queue:\n    Type: AWS::SQS::Queue\n";

/// A commit goes to instances, to an environment and to stack sets.
pub async fn deployed_to_what_emulators_lack(case: &Arc<Case>) -> Result<()> {
    let Ok(endpoint) = std::env::var("E2E_PROVIDERS") else {
        say("deployed_to_what_emulators_lack: not tried, E2E_PROVIDERS names no emulator of CodeCommit, CodeDeploy, \
             Elastic Beanstalk and stack sets");
        return Ok(());
    };
    let there = case.stack.sdk(HOME).into_builder().endpoint_url(&endpoint).build();
    let commit = make(case, &there).await?;
    let usual = ask(case, |variables| {
        variables.extend(SERVICES.map(|service| (format!("AWS_ENDPOINT_URL_{service}"), endpoint.clone())));
    })
    .await?;
    let ran = run(case, &commit).await;
    ask(case, |variables| *variables = usual).await?;
    ran
}

/// What the pipeline names, under the case's own names. Returns the id of the commit.
async fn make(case: &Case, there: &SdkConfig) -> Result<String> {
    let name = case.named("app");
    let commits = aws_sdk_codecommit::Client::new(there);
    commits.create_repository().repository_name(&name).send().await.context("is the emulator new?")?;
    let put = |path: &str, content: &str, parent: Option<String>, mode| {
        let put = commits.put_file().repository_name(&name).branch_name("main").file_path(path).file_mode(mode);
        put.file_content(Blob::new(content)).set_parent_commit_id(parent).send()
    };
    let first = put("template.yaml", TEMPLATE, None, FileModeTypeEnum::Normal).await?;
    let second = put("bin/run", "#!/bin/sh", Some(first.commit_id), FileModeTypeEnum::Executable).await?;

    let deploys = aws_sdk_codedeploy::Client::new(there);
    deploys.create_application().application_name(&name).compute_platform(ComputePlatform::Server).send().await?;
    let group = deploys.create_deployment_group().application_name(&name).deployment_group_name("prod");
    group.service_role_arn(format!("arn:aws:iam::{ACCOUNT}:role/deploy")).send().await?;

    let environments = aws_sdk_elasticbeanstalk::Client::new(there);
    environments.create_application().application_name(&name).send().await?;
    let environment = environments.create_environment().application_name(&name).environment_name(&name);
    environment.solution_stack_name("64bit Amazon Linux 2023 v4.0.0 running Python 3.11").send().await?;
    // Versions go to S3, which is the other emulator's.
    let storage = environments.create_storage_location().send().await?;
    case.plain_bucket(HOME, storage.s3_bucket().context("no bucket for versions")?).await?;
    Ok(second.commit_id)
}

/// Changes the environment of the function that runs actions. Returns what it was.
async fn ask(case: &Case, change: impl FnOnce(&mut HashMap<String, String>)) -> Result<HashMap<String, String>> {
    let functions = case.lambda.list_functions().send().await?;
    let worker = functions.functions().iter().filter_map(|it| it.function_name());
    let worker = worker.filter(|name| name.ends_with("worker")).min().context("no function is the worker")?;
    let found = case.lambda.get_function_configuration().function_name(worker).send().await?;
    let usual = found.environment.and_then(|it| it.variables).context("the worker has no environment")?;
    let mut variables = usual.clone();
    change(&mut variables);
    let environment = Environment::builder().set_variables(Some(variables)).build();
    case.lambda.update_function_configuration().function_name(worker).environment(environment).send().await?;
    until(
        PATIENCE,
        || "the worker does not take its environment".to_owned(),
        || async {
            let found = case.lambda.get_function_configuration().function_name(worker).send().await?;
            Ok(found.last_update_status.is_none_or(|it| it == LastUpdateStatus::Successful).then_some(()))
        },
    )
    .await?;
    Ok(usual)
}

async fn run(case: &Arc<Case>, commit: &str) -> Result<()> {
    let name = &case.named("app");
    let deploy = |action: &str, provider: &str| Action::new(action, "Deploy", provider).input(ARTIFACT);
    let source = Action::new("Fetch", "Source", "CodeCommit").set("RepositoryName", name).set("BranchName", "main");
    let pipeline = case
        .draft("elsewhere")
        .stage("Source", [source.output(ARTIFACT)])
        .stage(
            "Deploy",
            [
                deploy("Instances", "CodeDeploy").set("ApplicationName", name).set("DeploymentGroupName", "prod"),
                deploy("Environment", "ElasticBeanstalk").set("ApplicationName", name).set("EnvironmentName", name),
                deploy("Stacks", "CloudFormationStackSet")
                    .set("StackSetName", name)
                    .set("TemplatePath", &format!("{ARTIFACT}::template.yaml"))
                    .set("DeploymentTargets", ACCOUNT)
                    .set("Regions", "eu-west-1,us-west-2"),
            ],
        )
        .stage(
            "Further",
            [Action::new("More", "Deploy", "CloudFormationStackInstances")
                .set("StackSetName", name)
                .set("DeploymentTargets", ACCOUNT)
                .set("Regions", "eu-central-1")],
        )
        .create()
        .await?;
    let id = pipeline.first().await?;
    pipeline.ends(&id, "Succeeded").await?;
    let actions = pipeline.actions(&id).await?;
    for (action, words) in [
        ("Fetch", commit),
        ("Instances", "d-"),
        ("Environment", name.as_str()),
        ("Stacks", "Millrace-"),
        ("More", "Millrace-"),
    ] {
        let result = named(&actions, action)?.output().and_then(|output| output.execution_result());
        let external = result.and_then(|result| result.external_execution_id()).unwrap_or_default();
        ensure!(external.contains(words), "{action} ran as {external:?}");
    }
    Ok(())
}
