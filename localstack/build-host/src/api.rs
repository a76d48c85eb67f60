//! The operations. Source: CodeBuild API, one page for each.

use std::sync::{Arc, Mutex};

use aws_config::SdkConfig;
use aws_sdk_codebuild::operation as op;
use aws_sdk_codebuild::types::{ProjectSortByType, SortOrderType};
use tokio::sync::Semaphore;

use crate::builds::{PAGE, Registry, page, project_name};
use crate::cloud::{Cloud, Settings};
use crate::error::{ApiError, Exception};
use crate::log::lock;
use crate::projects::{self, invalid};
use crate::run::Run;
use crate::server::Caller;
use crate::wire::{Input, decode, encode};

/// The host: its settings, and all that it knows.
#[derive(Debug)]
pub(crate) struct App {
    settings: Arc<Settings>,
    config: SdkConfig,
    registry: Mutex<Registry>,
    permits: Arc<Semaphore>,
}

impl App {
    pub(crate) fn new(settings: Settings) -> Self {
        let permits = Arc::new(Semaphore::new(settings.parallel.max(1)));
        Self { config: settings.config(), settings: Arc::new(settings), registry: Mutex::default(), permits }
    }

    pub(crate) fn stop_all(&self) {
        lock(&self.registry).stop_all();
    }

    /// Has an operation done, from the body of its call to that of its answer.
    pub(crate) fn call(&self, operation: &str, caller: &Caller, body: &[u8]) -> Result<Vec<u8>, ApiError> {
        match operation {
            "CreateProject" => run(body, |input| self.create_project(caller, input)),
            "UpdateProject" => run(body, |input| self.update_project(caller, input)),
            "DeleteProject" => run(body, |input| self.delete_project(caller, input)),
            "BatchGetProjects" => run(body, |input| self.get_projects(caller, input)),
            "ListProjects" => run(body, |input| self.list_projects(caller, input)),
            "StartBuild" => run(body, |input| self.start_build(caller, input)),
            "StopBuild" => run(body, |input| self.stop_build(caller, input)),
            "BatchGetBuilds" => run(body, |input| self.get_builds(caller, input)),
            "ListBuilds" => run(body, |input| self.list_builds(caller, input)),
            "ListBuildsForProject" => run(body, |input| self.list_builds_for_project(caller, input)),
            _ => Err(Exception::NotImplemented.because(format!(
                "{operation} is not among the operations of this build host: CreateProject, UpdateProject, DeleteProject, \
                 BatchGetProjects, ListProjects, StartBuild, StopBuild, BatchGetBuilds, ListBuilds, ListBuildsForProject."
            ))),
        }
    }

    fn create_project(
        &self,
        Caller { region, .. }: &Caller,
        input: op::create_project::CreateProjectInput,
    ) -> Result<op::create_project::CreateProjectOutput, ApiError> {
        let name = input.name.clone().unwrap_or_default();
        let arn = format!("arn:aws:codebuild:{region}:{}:project/{name}", self.settings.account);
        let project = projects::create(input, arn)?;
        let mut registry = lock(&self.registry);
        let key = (region.clone(), name);
        if registry.projects.contains_key(&key) {
            return Err(Exception::ResourceAlreadyExistsException
                .because(format!("Project already exists: {}", project.arn.unwrap_or_default())));
        }
        registry.projects.insert(key, project.clone());
        Ok(op::create_project::CreateProjectOutput::builder().project(project).build())
    }

    fn update_project(
        &self,
        Caller { region, .. }: &Caller,
        input: op::update_project::UpdateProjectInput,
    ) -> Result<op::update_project::UpdateProjectOutput, ApiError> {
        let name = project_name(input.name.as_deref().unwrap_or_default()).to_owned();
        let mut registry = lock(&self.registry);
        let project = registry.project(region, &name)?.clone();
        let project = projects::update(project, input)?;
        registry.projects.insert((region.clone(), name), project.clone());
        Ok(op::update_project::UpdateProjectOutput::builder().project(project).build())
    }

    /// A project that is not there is deleted as well: the API lists no error for it. Builds stay.
    fn delete_project(
        &self,
        Caller { region, .. }: &Caller,
        input: op::delete_project::DeleteProjectInput,
    ) -> Result<op::delete_project::DeleteProjectOutput, ApiError> {
        let name = input.name.ok_or_else(|| invalid("name is required"))?;
        lock(&self.registry).projects.remove(&(region.clone(), project_name(&name).to_owned()));
        Ok(op::delete_project::DeleteProjectOutput::builder().build())
    }

    fn get_projects(
        &self,
        Caller { region, .. }: &Caller,
        input: op::batch_get_projects::BatchGetProjectsInput,
    ) -> Result<op::batch_get_projects::BatchGetProjectsOutput, ApiError> {
        let registry = lock(&self.registry);
        let (mut found, mut missing) = (Vec::new(), Vec::new());
        for name in bounded("names", input.names)? {
            match registry.project(region, &name) {
                Ok(project) => found.push(project.clone()),
                Err(_) => missing.push(name),
            }
        }
        let output = op::batch_get_projects::BatchGetProjectsOutput::builder();
        Ok(output.set_projects(Some(found)).set_projects_not_found(Some(missing)).build())
    }

    fn list_projects(
        &self,
        Caller { region, .. }: &Caller,
        input: op::list_projects::ListProjectsInput,
    ) -> Result<op::list_projects::ListProjectsOutput, ApiError> {
        let registry = lock(&self.registry);
        let mut projects: Vec<_> = registry.projects.iter().filter(|((at, _), _)| at == region).collect();
        match input.sort_by {
            Some(ProjectSortByType::CreatedTime) => projects.sort_by_key(|(_, project)| project.created),
            Some(ProjectSortByType::LastModifiedTime) => projects.sort_by_key(|(_, project)| project.last_modified),
            _ => {}
        }
        if input.sort_order == Some(SortOrderType::Descending) {
            projects.reverse();
        }
        let names = projects.into_iter().map(|((_, name), _)| name.clone()).collect();
        let (names, next) = page(names, input.next_token.as_deref())?;
        let output = op::list_projects::ListProjectsOutput::builder();
        Ok(output.set_projects(Some(names)).set_next_token(next).build())
    }

    fn start_build(
        &self,
        caller: &Caller,
        input: op::start_build::StartBuildInput,
    ) -> Result<op::start_build::StartBuildOutput, ApiError> {
        let region = pipeline::Region::new(&caller.region).map_err(|error| invalid(error.to_string()))?;
        let (record, plan) = lock(&self.registry).start(caller, &self.settings.account, input)?;
        if let Some(plan) = plan {
            let cloud = Cloud::new(&self.config, region);
            let (settings, permits) = (Arc::clone(&self.settings), Arc::clone(&self.permits));
            tokio::spawn(Run::new(plan, Arc::clone(&record), settings, cloud).until_end(permits));
        }
        Ok(op::start_build::StartBuildOutput::builder().build_value(record.build()).build())
    }

    fn stop_build(
        &self,
        Caller { region, .. }: &Caller,
        input: op::stop_build::StopBuildInput,
    ) -> Result<op::stop_build::StopBuildOutput, ApiError> {
        let id = input.id.ok_or_else(|| invalid("id is required"))?;
        let registry = lock(&self.registry);
        let record = registry.record(region, &id);
        let record = record.ok_or_else(|| {
            Exception::ResourceNotFoundException.because(format!("Build cannot be found: {id} ({region})"))
        })?;
        record.stop.cancel();
        Ok(op::stop_build::StopBuildOutput::builder().build_value(record.build()).build())
    }

    fn get_builds(
        &self,
        Caller { region, .. }: &Caller,
        input: op::batch_get_builds::BatchGetBuildsInput,
    ) -> Result<op::batch_get_builds::BatchGetBuildsOutput, ApiError> {
        let (found, missing) = lock(&self.registry).get(region, bounded("ids", input.ids)?);
        let output = op::batch_get_builds::BatchGetBuildsOutput::builder();
        Ok(output.set_builds(Some(found)).set_builds_not_found(Some(missing)).build())
    }

    fn list_builds(
        &self,
        Caller { region, .. }: &Caller,
        input: op::list_builds::ListBuildsInput,
    ) -> Result<op::list_builds::ListBuildsOutput, ApiError> {
        let ids = lock(&self.registry).ids(region, None, input.sort_order.as_ref());
        let (ids, next) = page(ids, input.next_token.as_deref())?;
        Ok(op::list_builds::ListBuildsOutput::builder().set_ids(Some(ids)).set_next_token(next).build())
    }

    fn list_builds_for_project(
        &self,
        Caller { region, .. }: &Caller,
        input: op::list_builds_for_project::ListBuildsForProjectInput,
    ) -> Result<op::list_builds_for_project::ListBuildsForProjectOutput, ApiError> {
        let registry = lock(&self.registry);
        let name = input.project_name.as_deref().unwrap_or_default();
        registry.project(region, name)?;
        let ids = registry.ids(region, Some(project_name(name)), input.sort_order.as_ref());
        let (ids, next) = page(ids, input.next_token.as_deref())?;
        let output = op::list_builds_for_project::ListBuildsForProjectOutput::builder();
        Ok(output.set_ids(Some(ids)).set_next_token(next).build())
    }
}

/// Decodes the input, has the operation done, encodes the output.
fn run<I: Input>(body: &[u8], operation: impl FnOnce(I) -> Result<I::Output, ApiError>) -> Result<Vec<u8>, ApiError> {
    encode(&operation(decode(body)?)?)
}

/// A list of 1 to 100, as the batch operations take it.
fn bounded(name: &str, list: Option<Vec<String>>) -> Result<Vec<String>, ApiError> {
    let list = list.unwrap_or_default();
    match list.len() {
        1..=PAGE => Ok(list),
        count => Err(invalid(format!("{name} has {count} elements, and 1 to {PAGE} are taken"))),
    }
}
