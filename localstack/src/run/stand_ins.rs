//! Which actions a stand-in runs in place of their provider, and why.

use local::{ACCOUNT, HOME};
use pipeline::declaration::ActionDeclaration;
use pipeline::{Declaration, TypeId};

use super::here::{Found, Here, NewFunction, NewProject, place, region, service_place, value};
use super::plan::Plan;
use super::source::Source;
use super::worker;

/// Whether Millrace runs this type of action or rule.
pub(super) fn is_built(id: &TypeId) -> bool {
    providers::all().iter().any(|info| info.types.iter().any(|it| it.id() == *id))
}

/// Why the action cannot be run for real here; none: it can.
pub(super) fn choose(
    action: &ActionDeclaration,
    declaration: &Declaration,
    here: &Here,
    source: &Source,
) -> Option<String> {
    let id = &action.action_type_id;
    if id.owner.as_deref() == Some("Custom") {
        let why = || format!("no job worker for {} is here", id.provider);
        return (!here.action_types.contains(id)).then(why);
    }
    let because = |why: &str| Some(why.to_owned());
    let place = |name: &str| place(action.region.as_deref(), name);
    match (id.category.as_str(), id.provider.as_str()) {
        ("Source", "S3") => None,
        ("Source", "ECR") => because("there is no image here to push"),
        ("Source", "CodeStarSourceConnection") => no_repository(action, here),
        ("Source", "GitHub") => because("it reads github.com; --source is its content"),
        ("Source", "CodeCommit") => because("there is no CodeCommit here; --source is its content"),
        (_, "CodeDeploy" | "CodeDeployToECS" | "DeviceFarm" | "ElasticBeanstalk" | "ServiceCatalog") => {
            Some(format!("there is no {} here", id.provider.trim_end_matches("ToECS")))
        }
        (_, "AppConfig") => because("its application is on AWS"),
        (_, "EC2") => because("there are no instances here"),
        (_, "CloudFormationStackSet" | "CloudFormationStackInstances") => because("there are no stack sets here"),
        (_, "ECRBuildAndPublish") => because("there is no Docker in the builds here"),
        (_, "EKS") => because("there is no cluster here"),
        (_, "InspectorScan") => because("there is no Inspector here"),
        _ if !is_built(id) => Some(format!("{} actions are not built yet", id.provider)),
        (_, "CodeBuild") => match here.projects.get(&place(value(action, "ProjectName"))) {
            Some(Found::Makable(project)) => no_build(action, project, declaration, source),
            Some(Found::Missing(why)) => Some(why.clone()),
            _ => None,
        },
        (_, "Lambda") => {
            let function = here.functions.get(&place(value(action, "FunctionName")));
            reason(function).or_else(|| no_deploy(action, function))
        }
        (_, "StepFunctions") => reason(here.machines.get(&place(value(action, "StateMachineArn")))),
        (_, "CodePipeline") => {
            let name = value(action, "PipelineName");
            (!here.pipelines.contains(name)).then(|| format!("there is no pipeline {name} on the local stack"))
        }
        (_, "ECS") => reason(here.services.get(&service_place(action))),
        _ => None,
    }
}

fn reason<T>(found: Option<&Found<T>>) -> Option<String> {
    match found {
        Some(Found::Missing(why)) => Some(why.clone()),
        _ => None,
    }
}

/// Why the code host could not stand for the host of a connection.
fn no_repository(action: &ActionDeclaration, here: &Here) -> Option<String> {
    let name = value(action, "FullRepositoryId").split('/').count();
    let why = if here.connection.is_none() {
        "git is not installed"
    } else if value(action, "OutputArtifactFormat") == "CODEBUILD_CLONE_REF" {
        "the build host clones no repositories"
    } else if region(action) != HOME {
        "its connection is in another region"
    } else if name != 2 || value(action, "BranchName").contains("#{") {
        "the code host has OWNER/NAME and a branch"
    } else {
        return None;
    };
    Some(format!("{why}; --source is its content"))
}

/// Why new code, or another version, could not be deployed to a function.
fn no_deploy(action: &ActionDeclaration, function: Option<&Found<NewFunction>>) -> Option<String> {
    let is_deploy = action.action_type_id.category == "Deploy";
    let has = |key: &str| is_deploy && !value(action, key).is_empty();
    if has("Alarms") {
        return Some("its alarms watch what is on AWS".to_owned());
    }
    // What is made here has one version only.
    let is_new = matches!(function, Some(Found::Makable(_)));
    (is_new && has("PublishedTargetVersion")).then(|| "the version that it deploys is on AWS".to_owned())
}

/// Whether the action is a build that would deploy the stack of its own pipeline, as those of the CDK do.
pub(super) fn changes_pipeline(action: &ActionDeclaration, here: &Here) -> bool {
    let project = here.projects.get(&place(action.region.as_deref(), value(action, "ProjectName")));
    matches!(project, Some(Found::Makable(NewProject { buildspec: Some(text), .. })) if deploys_pipeline(text))
}

fn deploys_pipeline(buildspec: &str) -> bool {
    buildspec.contains("cdk -a") && buildspec.contains(" deploy ")
}

/// Why an action cannot be real that follows a stand-in: the stand-in has not made what its provider would have.
pub(super) fn follows_stand_in(action: &ActionDeclaration, plan: &Plan) -> Option<String> {
    let read = worker::wanted(action, action.configuration.as_ref()?);
    if let Some((artifact, file)) = read.into_iter().find(|(artifact, _)| !plan.true_artifacts.contains(artifact)) {
        return Some(format!("it reads {file} of {artifact}, which a stand-in has made"));
    }
    let stack = |it: &ActionDeclaration| {
        let is_stack = it.action_type_id.provider == "CloudFormation";
        is_stack.then(|| place(it.region.as_deref(), value(it, "StackName")))
    };
    let ours = stack(action)?;
    let is_stand_ins = plan.stand_ins.values().any(|it| stack(&it.action).as_ref() == Some(&ours));
    is_stand_ins.then(|| format!("a stand-in takes care of the stack {}", ours.1))
}

/// Why a project that is made here could not build the action's input.
fn no_build(
    action: &ActionDeclaration,
    project: &NewProject,
    declaration: &Declaration,
    source: &Source,
) -> Option<String> {
    if value(action, "BatchEnabled").eq_ignore_ascii_case("true") {
        return Some("the build host runs no batches".to_owned());
    }
    let overridden = Some(value(action, "BuildspecOverride")).filter(|it| !it.is_empty());
    let buildspec = overridden.or(project.buildspec.as_deref()).unwrap_or("buildspec.yml");
    if deploys_pipeline(buildspec) {
        let why = "the emulator has no stack of the pipeline to change: what the build would deploy is compared with what runs";
        return Some(why.to_owned());
    }
    if buildspec.contains('\n') || buildspec.trim_start().starts_with('{') || buildspec.starts_with("arn:") {
        return no_target(project, buildspec);
    }
    let first = action.input_artifacts.iter().flatten().next().map_or("", |it| it.name.as_str());
    let primary = Some(value(action, "PrimarySource")).filter(|it| !it.is_empty()).unwrap_or(first);
    let actions = declaration.stages.iter().flat_map(|stage| &stage.actions);
    let mut sources = actions.filter(|it| it.action_type_id.category == "Source");
    let is_content = sources.any(|it| it.output_artifacts.iter().flatten().any(|output| output.name == primary));
    // What another action makes may have the file: then the build shows it.
    match source.text(buildspec) {
        Some(text) => no_target(project, &text),
        None => is_content.then(|| format!("--source has no {buildspec}")),
    }
}

/// Why a build cannot be real whose commands push an image, or publish an asset of the CDK to another account.
fn no_target(project: &NewProject, commands: &str) -> Option<String> {
    if commands.contains("cdk-assets") {
        let targets = commands.split(':').skip(1).filter_map(|it| it.split_once('-'));
        let mut accounts = targets.map(|(account, _)| account).filter(|it| it.len() == 12 && it.parse::<u64>().is_ok());
        if let Some(account) = accounts.find(|it| *it != ACCOUNT) {
            return Some(format!(
                "its target is in the account {account}, and the emulator has one; `run` has published it"
            ));
        }
    }
    let pushes = ["docker push", "cdk-assets"].iter().any(|it| commands.contains(it));
    (project.privileged && pushes).then(|| "it pushes an image, and there is no registry here".to_owned())
}
