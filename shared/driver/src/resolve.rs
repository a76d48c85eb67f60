//! From an action of the table to a task for its provider: variables resolved, artifacts found.

use std::collections::{BTreeMap, HashMap};

use engine::{ActionError, ActionId, ActionStatus, Artifact, Execution, Outputs, Pin, StageRun, StoredOutputs};
use pipeline::declaration::EnvironmentVariable;
use pipeline::variables::{self, Reference};
use pipeline::{Action, ArtifactName, Compute, Pipeline};
use store::{Entity, Key};

use crate::driver::Driver;
use crate::error::DriveError;
use crate::ports::{Task, TaskInput};
use crate::step::{Loaded, Stages};

/// A task, or the reason why the action cannot be run.
pub(crate) type Resolved = Result<Box<Task>, ActionError>;

fn misconfigured(message: String) -> ActionError {
    ActionError { code: "ConfigurationError".into(), message }
}

impl Driver {
    /// Reads the stages before an action's own from which it takes variables and artifacts, or whose artifacts it asks a
    /// person about, as far as they have not been read yet. What an execution has left behind never changes again.
    pub(crate) async fn finished(&self, loaded: &Loaded, id: ActionId) -> Result<Stages, DriveError> {
        let Some(action) = loaded.state.pipeline.action(usize::from(id.stage), id.action) else {
            return Ok(Stages::new());
        };
        let mut needed = needed_stages(&loaded.state.pipeline, action);
        needed.extend(under_review(&loaded.state.pipeline, id).map(|(_, (stage, _))| stage));
        if engine::is_approval(action) {
            needed.extend(engine::change_sets_made(&loaded.state.pipeline, id));
        }
        needed.sort_unstable();
        needed.dedup();
        needed.retain(|index| *index < usize::from(id.stage) && !loaded.finished.contains_key(index));
        self.stages(&loaded.state.execution, needed).await
    }

    /// Everything that a provider needs to run an action.
    pub(crate) async fn task(&self, loaded: &mut Loaded, id: ActionId) -> Result<Resolved, DriveError> {
        let read = self.finished(loaded, id).await?;
        loaded.finished.extend(read);
        let (pipeline, execution) = (&loaded.state.pipeline, &loaded.state.execution);
        let stage = pipeline.stages().get(usize::from(id.stage));
        let Some((stage, action)) = stage.zip(pipeline.action(usize::from(id.stage), id.action)) else {
            return Err(DriveError::no_action(id));
        };
        let run = loaded.state.stage.as_ref().and_then(|stage| stage.find(id));
        let run = run.ok_or_else(|| DriveError::no_action(id))?;
        let stages = loaded.stages();
        let values = self.values(pipeline, execution, action, &stages).await?;
        let resolved = values.configuration(action).and_then(|it| Ok((it, values.compute(action)?)));
        let (configuration, compute) = match resolved {
            Ok(resolved) => resolved,
            Err(error) => return Ok(Err(error)),
        };
        let region = action.region.as_ref().map_or(self.home.as_str(), |region| region.as_str());
        let store = pipeline
            .store(region, &self.home)
            .map(|store| (store.location.clone(), store.encryption_key.as_ref().map(|key| key.id.clone())));
        let mut inputs = Vec::new();
        for name in &action.inputs {
            let producer = pipeline.producer(name);
            let Some(artifact) = producer.and_then(|(stage, index)| made(&stages, name, stage, index)) else {
                return Ok(Err(misconfigured(format!(
                    "The input artifact '{name}' was not made by the action that should make it."
                ))));
            };
            let Some((bucket, key_id)) = store.clone() else {
                return Ok(Err(misconfigured(format!(
                    "The pipeline has no artifact store in region {region}, where the action runs."
                ))));
            };
            let pin = if artifact.bucket == bucket { artifact.pin.clone() } else { Pin::default() };
            inputs.push(TaskInput { artifact, bucket, key_id, pin });
        }
        if store.is_none() && !action.outputs.is_empty() {
            return Ok(Err(misconfigured(format!(
                "The pipeline has no artifact store in region {region}, where the action runs."
            ))));
        }
        let outputs = planned_outputs(pipeline, action, id, &self.home);
        let proposal = match engine::is_approval(action) {
            true => Some(Box::new(self.proposal(loaded, id, &stages).await?)),
            false => None,
        };
        Ok(Ok(Box::new(Task {
            watched: self.sources(pipeline).into_iter().map(|source| source.watched).collect(),
            reviewed: reviewed(pipeline, id, &stages),
            approves_itself: proposal
                .as_ref()
                .is_some_and(|proposal| engine::approves_itself(&configuration, proposal, &self.policy)),
            proposal,
            configuration,
            compute,
            inputs,
            outputs,
            store,
            reclaimed: run.claims > 1,
            continuation: run.continuation.clone(),
            token: run.token,
            deadline: run.deadline,
            external: run.external.clone(),
            overrides: execution.overrides.iter().filter(|it| it.action == action.name).cloned().collect(),
            revisions: execution.revisions.iter().map(|it| (it.action.to_string(), it.revision.clone())).collect(),
            ..Task::declared(id, pipeline, execution.version, &stage.name, action, region)
        })))
    }

    /// The latest attempts at these stages, as the execution sees them.
    pub(crate) async fn stages(&self, execution: &Execution, needed: Vec<usize>) -> Result<Stages, DriveError> {
        let mut stages = Stages::new();
        let keys: Vec<Key> = needed
            .into_iter()
            .filter_map(|index| {
                let (execution, attempt) = execution.attempt_at(index)?;
                Some(Key::Stage(execution, index, attempt))
            })
            .collect();
        if !keys.is_empty() {
            for found in self.store.load(&keys).await?.into_iter().flatten() {
                if let Entity::Stage(stage) = found.entity {
                    stages.insert(stage.stage, stage);
                }
            }
        }
        Ok(stages)
    }

    /// An action's configuration with its variables resolved.
    pub(crate) async fn configuration(
        &self,
        pipeline: &Pipeline,
        execution: &Execution,
        action: &Action,
        stages: &Stages,
    ) -> Result<Result<BTreeMap<String, String>, ActionError>, DriveError> {
        Ok(self.values(pipeline, execution, action, stages).await?.configuration(action))
    }

    /// The values of all variables that an action's texts name.
    async fn values<'a>(
        &self,
        pipeline: &Pipeline,
        execution: &'a Execution,
        action: &Action,
        stages: &Stages,
    ) -> Result<Values<'a>, DriveError> {
        let mut outputs: HashMap<String, BTreeMap<String, String>> = HashMap::new();
        for reference in action.texts().flat_map(|text| variables::references(text)) {
            if outputs.contains_key(&reference.namespace) {
                continue;
            }
            if let Some((stage, index)) = pipeline.namespace_owner(&reference.namespace)
                && let Some(stage) = stages.get(&stage)
            {
                let found = self.outputs(stage, index).await?;
                outputs.insert(reference.namespace, found);
            }
        }
        Ok(Values { execution, outputs })
    }

    /// The output variables of a finished action.
    ///
    /// # Errors
    /// The store's.
    pub async fn outputs(&self, stage: &StageRun, action: usize) -> Result<BTreeMap<String, String>, DriveError> {
        let Some(run) = stage.actions.get(action).filter(|run| run.status == ActionStatus::Succeeded) else {
            return Ok(BTreeMap::new());
        };
        match &run.variables {
            Outputs::None => Ok(BTreeMap::new()),
            Outputs::Inline(variables) => Ok(variables.clone()),
            Outputs::Stored => {
                let id = stage.action_id(action).first_turn();
                let stored = self.store.get::<StoredOutputs>(Key::Outputs(id)).await?;
                let missing = || DriveError::Missing(format!("the output variables of action execution {id}"));
                Ok(stored.ok_or_else(missing)?.entity.variables)
            }
        }
    }
}

/// What variables are replaced with in the texts of an action.
struct Values<'a> {
    execution: &'a Execution,
    /// The output variables of the actions whose namespaces the texts name.
    outputs: HashMap<String, BTreeMap<String, String>>,
}

impl Values<'_> {
    /// `place`: where the text stands, for the message.
    fn resolve(&self, text: &str, place: impl std::fmt::Display) -> Result<String, ActionError> {
        let mut value = |reference: &Reference| match reference.namespace.as_str() {
            variables::CODEPIPELINE => {
                (reference.key == variables::PIPELINE_EXECUTION_ID).then(|| self.execution.id.to_string())
            }
            variables::VARIABLES => self.execution.variables.get(&reference.key).cloned(),
            namespace => self.outputs.get(namespace)?.get(&reference.key).cloned(),
        };
        variables::resolve(text, &mut value).map_err(|error| misconfigured(format!("{place}: {error}")))
    }

    fn configuration(&self, action: &Action) -> Result<BTreeMap<String, String>, ActionError> {
        let resolved = |(key, text): (&String, &String)| {
            Ok((key.clone(), self.resolve(text, format_args!("Configuration '{key}'"))?))
        };
        let configuration = action.configuration.iter().map(resolved).collect::<Result<_, ActionError>>()?;
        variables::check_configuration(&configuration).map_err(|error| misconfigured(error.to_string()))?;
        Ok(configuration)
    }

    fn compute(&self, action: &Action) -> Result<Compute, ActionError> {
        let command = |(place, text): (usize, &String)| self.resolve(text, format_args!("Command {}", place + 1));
        let variable = |it: &EnvironmentVariable| {
            let value = self.resolve(&it.value, format_args!("Environment variable '{}'", it.name))?;
            Ok(EnvironmentVariable { value, ..it.clone() })
        };
        let compute = Compute {
            commands: action.compute.commands.iter().enumerate().map(command).collect::<Result<_, _>>()?,
            environment: action.compute.environment.iter().map(variable).collect::<Result<_, ActionError>>()?,
            ..action.compute.clone()
        };
        let environment = compute.environment.iter().map(|it| it.name.len() + it.value.len());
        let bytes: usize = compute.commands.iter().map(String::len).chain(environment).sum();
        match bytes > variables::MAX_CONFIGURATION_BYTES {
            true => Err(misconfigured(format!(
                "the commands and environment variables with their variables resolved have {bytes} bytes, and {} are \
                 allowed",
                variables::MAX_CONFIGURATION_BYTES
            ))),
            false => Ok(compute),
        }
    }
}

/// The stages whose actions fill the variables and make the artifacts that an action uses.
fn needed_stages(pipeline: &Pipeline, action: &Action) -> Vec<usize> {
    let namespaces = action.texts().flat_map(|text| variables::references(text));
    let by_variable = namespaces.filter_map(|reference| pipeline.namespace_owner(&reference.namespace));
    let by_artifact = action.inputs.iter().filter_map(|artifact| pipeline.producer(artifact));
    by_variable.chain(by_artifact).map(|(stage, _)| stage).collect()
}

/// For an approval: the artifacts that actions behind it read and actions before it make, each with its maker's stage and
/// place.
fn under_review(pipeline: &Pipeline, id: ActionId) -> impl Iterator<Item = (&ArtifactName, (usize, usize))> {
    let here = usize::from(id.stage);
    let approval = pipeline.action(here, id.action).filter(|action| engine::is_approval(action));
    let behind = approval.into_iter().flat_map(move |approval| {
        pipeline.stages().iter().enumerate().skip(here).flat_map(move |(index, stage)| {
            stage.actions.iter().filter(move |it| index > here || it.run_order > approval.run_order)
        })
    });
    let mut names: Vec<&ArtifactName> = behind.flat_map(|action| &action.inputs).collect();
    names.sort_unstable();
    names.dedup();
    names.into_iter().filter_map(|name| Some((name, pipeline.producer(name)?)))
}

/// The artifacts that have been made before an approval and that actions behind it read.
pub(crate) fn reviewed(pipeline: &Pipeline, id: ActionId, stages: &Stages) -> Vec<Artifact> {
    let made = |(name, (stage, index)): (&ArtifactName, (usize, usize))| made(stages, name, stage, index);
    under_review(pipeline, id).filter_map(made).collect()
}

/// The artifact of this name as an action has made it.
pub(crate) fn made(stages: &Stages, name: &ArtifactName, stage: usize, action: usize) -> Option<Artifact> {
    stages.get(&stage)?.actions.get(action)?.outputs.iter().find(|artifact| artifact.name == *name).cloned()
}

/// Where an attempt at an action puts its output artifacts.
fn planned_outputs(pipeline: &Pipeline, action: &Action, id: ActionId, home: &str) -> Vec<Artifact> {
    let region = action.region.as_ref().map_or(home, |region| region.as_str());
    let Some(store) = pipeline.store(region, home) else {
        return Vec::new();
    };
    let attempt = id.first_turn().to_string();
    let place = |name: &ArtifactName| Artifact {
        name: name.clone(),
        region: region.to_owned(),
        bucket: store.location.clone(),
        key: pipeline::artifact_key(pipeline.name(), name, &attempt),
        pin: Pin::default(),
    };
    action.outputs.iter().map(place).collect()
}
