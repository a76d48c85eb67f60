//! What this machine has, or can make, of what the actions of a pipeline name.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use aws_sdk_codepipeline::types::ActionOwner;
use local::{ACCOUNT, HOME, Stack};
use pipeline::declaration::{ActionDeclaration, RuleDeclaration, StageDeclaration};
use pipeline::{Declaration, TypeId};
use serde_json::Value;

use super::resources;
use super::template::Template;

/// A region and a name in it.
pub(super) type Place = (String, String);

/// Something that an action names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found<T> {
    /// The local stack has it.
    There,
    /// It is not there, and this is what it takes to make it.
    Makable(T),
    /// It is not there, and cannot be made: why.
    Missing(String),
}

/// A CodeBuild project.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct NewProject {
    /// As the project has it: the text, a file of the source, or nothing for `buildspec.yml`.
    pub buildspec: Option<String>,
    /// Environment variables of all three types.
    pub variables: Vec<Variable>,
    /// Whether its builds may run Docker.
    pub privileged: bool,
    /// What of it is known only on AWS, in words.
    pub left_out: Vec<String>,
}

/// An environment variable of a CodeBuild project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Variable {
    pub name: String,
    pub value: String,
    /// `PLAINTEXT`, `PARAMETER_STORE` or `SECRETS_MANAGER`.
    pub kind: String,
}

/// A Lambda function.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct NewFunction {
    pub runtime: String,
    pub handler: String,
    /// Seconds after which it is ended; Lambda's own default where the template has none.
    pub timeout: Option<i32>,
    /// Its package, a zip.
    pub code: Vec<u8>,
    pub variables: BTreeMap<String, String>,
    /// What of it is known only on AWS, in words.
    pub left_out: Vec<String>,
}

/// What was found, by region and name.
#[derive(Debug, Default)]
pub(super) struct Here {
    pub projects: BTreeMap<Place, Found<NewProject>>,
    pub functions: BTreeMap<Place, Found<NewFunction>>,
    /// To be made of their definitions, in Amazon States Language.
    pub machines: BTreeMap<Place, Found<String>>,
    /// ECS services, as `cluster/service`, to be made by CloudFormation of these templates.
    pub services: BTreeMap<Place, Found<Value>>,
    /// Pipelines that are there and that actions invoke.
    pub pipelines: BTreeSet<String>,
    /// The account's own action types, and those that are to be made.
    pub action_types: BTreeSet<TypeId>,
    /// The template's own action types, with their properties, where their jobs are done.
    pub new_types: BTreeMap<TypeId, Value>,
    /// The ARN of the connection by which the code host is read; none without Git.
    pub connection: Option<String>,
}

/// The region in which an action runs.
pub(super) fn region(action: &ActionDeclaration) -> &str {
    action.region.as_deref().unwrap_or(HOME)
}

/// A value of the action's configuration; empty if there is none.
pub(super) fn value<'a>(action: &'a ActionDeclaration, key: &str) -> &'a str {
    action.configuration.as_ref().and_then(|it| it.get(key)).map_or("", String::as_str)
}

/// What names a resource: its name or its ARN, in either case without a version.
pub(super) fn plain_name(name: &str) -> &str {
    match name.split(':').collect::<Vec<_>>().as_slice() {
        ["arn", _, _, _, _, _, name, ..] => name,
        [name, ..] => name,
        [] => name,
    }
}

/// The place of a function or state machine that an action or a rule names.
pub(super) fn place(region: Option<&str>, name: &str) -> Place {
    (region.unwrap_or(HOME).to_owned(), plain_name(name).to_owned())
}

/// The ARN of a state machine on the local stack.
pub(super) fn machine_arn((region, name): &Place) -> String {
    format!("arn:aws:states:{region}:{ACCOUNT}:stateMachine:{name}")
}

/// The place of the ECS service that an action names, as `cluster/service`.
pub(super) fn service_place(action: &ActionDeclaration) -> Place {
    let service = format!("{}/{}", value(action, "ClusterName"), value(action, "ServiceName"));
    (region(action).to_owned(), service)
}

/// The rules of all conditions of a stage.
pub(super) fn rules(stage: &StageDeclaration) -> impl Iterator<Item = &RuleDeclaration> {
    let around = stage.before_entry.iter().chain(&stage.on_success).flat_map(|it| &it.conditions);
    let failure = stage.on_failure.iter().flat_map(|it| it.conditions.iter().flatten());
    around.chain(failure).flat_map(|condition| condition.rules.iter().flatten())
}

impl Here {
    /// Looks for everything that the pipeline's actions and rules name, on the stack and in the template. `does_jobs`: whether
    /// somebody does the jobs of the template's own action types.
    pub(super) async fn look(
        stack: &Stack,
        declaration: &Declaration,
        template: Option<&Template>,
        does_jobs: bool,
    ) -> Result<Self> {
        let mut here = Self { action_types: action_types(stack).await?, ..Self::default() };
        if stack.git_address()?.is_some() {
            here.connection = Some(stack.value("MILLRACE_CONNECTION")?.to_owned());
        }
        if let (true, Some(template)) = (does_jobs, template) {
            here.new_types = template.action_types()?;
            here.action_types.extend(here.new_types.keys().cloned());
        }
        for rule in declaration.stages.iter().flat_map(rules) {
            let value = |key| rule.configuration.as_ref().and_then(|it| it.get(key));
            let place = |name: &String| place(rule.region.as_deref(), name);
            match (rule.rule_type_id.provider.as_str(), value("FunctionName"), value("ProjectName")) {
                ("LambdaInvoke", Some(name), _) => here.function(stack, place(name), template).await,
                ("CodeBuild", _, Some(name)) => here.project(stack, place(name), template).await?,
                _ => {}
            }
        }
        for action in declaration.stages.iter().flat_map(|stage| &stage.actions) {
            let region = action.region.as_deref();
            match (action.action_type_id.provider.as_str(), action.action_type_id.category.as_str()) {
                ("CodeBuild", _) => here.project(stack, place(region, value(action, "ProjectName")), template).await?,
                ("Lambda", _) => {
                    here.function(stack, place(region, value(action, "FunctionName")), template).await;
                }
                ("StepFunctions", _) => {
                    here.machine(stack, place(region, value(action, "StateMachineArn")), template).await;
                }
                ("CodePipeline", _) => {
                    let name = value(action, "PipelineName");
                    if stack.codepipeline().get_pipeline().name(name).send().await.is_ok() {
                        here.pipelines.insert(name.to_owned());
                    }
                }
                ("ECS", _) => here.service(stack, action, template).await,
                _ => {}
            }
        }
        Ok(here)
    }

    async fn project(&mut self, stack: &Stack, place: Place, template: Option<&Template>) -> Result<()> {
        let client = resources::codebuild(stack, &place.0)?;
        let found = client.batch_get_projects().names(&place.1).send().await;
        let there = !found.context("the build host does not answer")?.projects().is_empty();
        let found = match template.and_then(|it| it.project(&place.1)) {
            _ if there => Found::There,
            Some(Ok(project)) => Found::Makable(project),
            Some(Err(why)) => Found::Missing(format!("{why:#}")),
            // The definition may name a project without having it: then its buildspec is expected where CodeBuild looks first.
            None => Found::Makable(NewProject::default()),
        };
        self.projects.insert(place, found);
        Ok(())
    }

    async fn function(&mut self, stack: &Stack, place: Place, template: Option<&Template>) {
        let client = aws_sdk_lambda::Client::new(&stack.sdk(&place.0));
        let there = client.get_function_configuration().function_name(&place.1).send().await.is_ok();
        let missing = || format!("there is no code here for the function {}", place.1);
        let found = found(there, template.and_then(|it| it.function(&place.1)), missing);
        self.functions.insert(place, found);
    }

    async fn service(&mut self, stack: &Stack, action: &ActionDeclaration, template: Option<&Template>) {
        let (cluster, service) = (value(action, "ClusterName"), value(action, "ServiceName"));
        let client = aws_sdk_ecs::Client::new(&stack.sdk(region(action)));
        let described = client.describe_services().cluster(cluster).services(service).send().await;
        // One that was deleted is described for some time.
        let (there, has_ecs) = match &described {
            Ok(described) => (described.services().iter().any(|it| it.status() != Some("INACTIVE")), true),
            Err(error) => (false, error.as_service_error().is_some_and(|it| it.is_cluster_not_found_exception())),
        };
        let missing = || format!("there is no service {cluster}/{service} here");
        let found = match template.filter(|_| has_ecs).and_then(|it| it.service(cluster, service)) {
            None if !has_ecs => Found::Missing("there is no ECS here".to_owned()),
            in_template => found(there, in_template, missing),
        };
        self.services.insert(service_place(action), found);
    }

    async fn machine(&mut self, stack: &Stack, place: Place, template: Option<&Template>) {
        let client = aws_sdk_sfn::Client::new(&stack.sdk(&place.0));
        let there = client.describe_state_machine().state_machine_arn(machine_arn(&place)).send().await.is_ok();
        let missing = || format!("there is no definition here of the state machine {}", place.1);
        let found = found(there, template.and_then(|it| it.machine(&place.1)), missing);
        self.machines.insert(place, found);
    }
}

fn found<T>(there: bool, in_template: Option<Result<T>>, missing: impl FnOnce() -> String) -> Found<T> {
    match in_template {
        _ if there => Found::There,
        Some(Ok(it)) => Found::Makable(it),
        Some(Err(why)) => Found::Missing(format!("{why:#}")),
        None => Found::Missing(missing()),
    }
}

async fn action_types(stack: &Stack) -> Result<BTreeSet<TypeId>> {
    let client = stack.codepipeline();
    let mut pages = client.list_action_types().action_owner_filter(ActionOwner::Custom).into_paginator().send();
    let mut found = BTreeSet::new();
    while let Some(page) = pages.next().await {
        let page = page.context("cannot list the action types")?;
        found.extend(page.action_types().iter().filter_map(|it| it.id()).map(|id| TypeId {
            category: id.category().as_str().to_owned(),
            owner: Some(id.owner().as_str().to_owned()),
            provider: id.provider().to_owned(),
            version: Some(id.version().to_owned()),
        }));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_arns_name_the_same() {
        assert_eq!(plain_name("check"), "check");
        assert_eq!(plain_name("check:live"), "check");
        assert_eq!(plain_name("arn:aws:lambda:us-east-1:111122223333:function:check:live"), "check");
        assert_eq!(plain_name("arn:aws:states:us-east-1:111122223333:stateMachine:load"), "load");
        assert_eq!(machine_arn(&place(None, "load")), format!("arn:aws:states:{HOME}:{ACCOUNT}:stateMachine:load"));
    }
}
