//! The checked pipeline: what the engine, the API and the providers work with.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::catalogue::{self, ActionType, rules};
use crate::custom::{Terms, Types};
use crate::declaration::{
    ArtifactStore, Declaration, EnvironmentVariable, GitConfiguration, TriggerDeclaration, TypeId,
};
use crate::names::{ActionName, ArtifactName, Namespace, PipelineName, Region, RoleArn, StageName};

/// The provider of source actions that read a repository through a connection.
pub(crate) const CONNECTION: &str = "CodeStarSourceConnection";

/// How executions of one pipeline share its stages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ExecutionMode {
    /// A newer execution overtakes an older one that waits between stages.
    Superseded,
    /// Executions go one after another.
    Queued,
    /// Executions do not see each other.
    Parallel,
}

/// The type of a pipeline, which decides its features.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum PipelineType {
    /// The type without what `V2` adds, and the default.
    V1,
    /// The type with variables, triggers, modes and conditions.
    V2,
}

/// A pipeline whose declaration keeps every rule, or kept those of the time when it was stored ([`Pipeline::stored`]).
#[derive(Clone, Debug, PartialEq)]
pub struct Pipeline {
    pub(crate) declaration: Declaration,
    pub(crate) name: PipelineName,
    pub(crate) role_arn: RoleArn,
    pub(crate) stages: Vec<Stage>,
    pub(crate) mode: ExecutionMode,
    pub(crate) kind: PipelineType,
    pub(crate) types: Types,
}

/// A stage of a checked pipeline.
#[derive(Clone, Debug, PartialEq)]
pub struct Stage {
    /// The stage's name, unique in the pipeline.
    pub name: StageName,
    /// Its actions in the declaration's order.
    pub actions: Vec<Action>,
    /// What must hold before an execution enters.
    pub before_entry: Option<Condition>,
    /// What must hold when all actions have succeeded.
    pub on_success: Option<Condition>,
    /// What happens when the stage fails.
    pub on_failure: Option<Failure>,
}

/// A condition of a stage: rules, and what happens when one of them does not hold. Source: CodePipeline user guide,
/// 'Configure conditions for a stage'.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// What happens when the condition is not met.
    pub result: StageResult,
    /// Its rules, each in the form of an action of category `Rule`: a rule runs as an action does.
    pub rules: Vec<Action>,
}

/// What happens when a stage fails.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// The result; with a condition, that of the condition.
    pub result: StageResult,
    /// The condition, if the result depends on one.
    pub condition: Option<Condition>,
    /// What is retried, where the result is [`StageResult::Retry`].
    pub retry: RetryMode,
}

/// What comes of a condition that is not met, or of a failure. Source: CodePipeline API, `Result`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StageResult {
    /// The stage fails, and its execution with it.
    Fail,
    /// The stage fails and goes back to what succeeded in it last.
    Rollback,
    /// The stage is tried again, once.
    Retry,
    /// The execution goes on to the next stage.
    Skip,
}

/// Which actions a retry runs. Source: CodePipeline API, `StageRetryMode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryMode {
    /// Those that failed, and those that did not get their turn.
    FailedActions,
    /// All, from the stage's first.
    AllActions,
}

/// The conditions of a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum ConditionKind {
    /// Decided before the first action, when the execution holds the stage.
    BeforeEntry,
    /// Decided when all actions have succeeded.
    OnSuccess,
    /// Decided when the stage has failed.
    OnFailure,
}

/// Where rules begin among the places of a stage: an action's place is its index.
const FIRST_RULE: u8 = 100;
/// Places for the rules of one condition.
const RULES: u8 = 10;

impl ConditionKind {
    /// All of them, in the order in which a stage comes to them.
    pub const ALL: [Self; 3] = [Self::BeforeEntry, Self::OnSuccess, Self::OnFailure];

    /// The place of one of its rules in the stage.
    pub fn place(self, rule: usize) -> u8 {
        // A checked condition has at most five rules.
        FIRST_RULE + RULES * self as u8 + (rule as u8).min(RULES - 1)
    }

    /// Which rule is at this place of a stage; none: it is an action's.
    pub fn at(place: u8) -> Option<(Self, usize)> {
        let place = place.checked_sub(FIRST_RULE)?;
        Some((*Self::ALL.get(usize::from(place / RULES))?, usize::from(place % RULES)))
    }
}

/// An action of a checked pipeline.
#[derive(Clone, Debug, PartialEq)]
pub struct Action {
    /// Its name, unique in its stage.
    pub name: ActionName,
    /// The action type, or the rule type: then its category is `Rule`.
    pub type_id: TypeId,
    /// The group, 1 to 999: actions with the same number run side by side.
    pub run_order: u32,
    /// Settings, variables not yet resolved.
    pub configuration: BTreeMap<String, String>,
    /// What it runs on managed compute, variables not yet resolved.
    pub compute: Compute,
    /// The artifacts that it reads, in the declaration's order.
    pub inputs: Vec<ArtifactName>,
    /// The artifacts that it makes, in the declaration's order.
    pub outputs: Vec<ArtifactName>,
    /// A role of its own; none: it runs under the pipeline's.
    pub role_arn: Option<RoleArn>,
    /// The region in which it runs; none: the pipeline's home region.
    pub region: Option<Region>,
    /// Namespace of its output variables.
    pub namespace: Option<Namespace>,
    /// Minutes until it fails, where the declaration says so; otherwise the catalogue's default holds.
    pub timeout_in_minutes: Option<u32>,
    /// What the account's definition of its type says; none for CodePipeline's own types.
    pub custom: Option<Arc<Terms>>,
}

/// What an action or a rule has beside its configuration for the builds that run it; empty for all types that run none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Compute {
    /// Shell commands, one after another.
    pub commands: Vec<String>,
    /// Variables in their environment.
    pub environment: Vec<EnvironmentVariable>,
    /// The variables of the shell that become output variables.
    pub output_variables: Vec<String>,
    /// The files that the output artifact is made of, as patterns.
    pub files: Vec<String>,
}

impl Pipeline {
    /// The declaration as its author wrote it.
    pub fn declaration(&self) -> &Declaration {
        &self.declaration
    }
    /// The name of the pipeline, checked.
    pub fn name(&self) -> &PipelineName {
        &self.name
    }
    /// The role under which actions run that name none of their own.
    pub fn role_arn(&self) -> &RoleArn {
        &self.role_arn
    }
    /// The stages in order; at least two.
    pub fn stages(&self) -> &[Stage] {
        &self.stages
    }
    /// The execution mode; SUPERSEDED where the declaration names none.
    pub fn mode(&self) -> ExecutionMode {
        self.mode
    }
    /// The declared type, or the one that the declaration's parts ask for.
    pub fn kind(&self) -> PipelineType {
        self.kind
    }
    /// The action types of the account that it uses.
    pub fn types(&self) -> &Types {
        &self.types
    }
    /// The declaration with secrets masked: the form for answers.
    pub fn masked(&self) -> Declaration {
        self.declaration.masked(&self.types)
    }
    /// The triggers: those that are declared. Where none are, a pipeline of type V2 has one without filters for each source
    /// action that detects changes through a connection. Source: CodePipeline user guide, 'CodeStarSourceConnection';
    /// what AWS was seen to answer.
    pub fn triggers(&self) -> Vec<TriggerDeclaration> {
        let declared = self.declaration.triggers.as_deref().unwrap_or_default();
        if !declared.is_empty() || self.kind == PipelineType::V1 {
            return declared.to_vec();
        }
        let sources = self.stages.first().into_iter().flat_map(|stage| &stage.actions);
        let connected = sources.filter(|action| action.type_id.provider == CONNECTION && action.detects_changes());
        let trigger = |action: &Action| TriggerDeclaration {
            provider_type: CONNECTION.to_owned(),
            git_configuration: GitConfiguration {
                source_action_name: action.name.to_string(),
                ..GitConfiguration::default()
            },
        };
        connected.map(trigger).collect()
    }
    /// The position of a stage by its name.
    pub fn stage_index(&self, name: &str) -> Option<usize> {
        self.stages.iter().position(|stage| stage.name.as_str() == name)
    }
    /// The artifact store of a region; `home` is the region in which the pipeline lives, whose store a
    /// declaration with one `artifactStore` means.
    pub fn store(&self, region: &str, home: &str) -> Option<&ArtifactStore> {
        match (&self.declaration.artifact_stores, &self.declaration.artifact_store) {
            (Some(stores), _) => stores.get(region),
            (None, Some(store)) if region == home => Some(store),
            _ => None,
        }
    }
    /// What is at a place of a stage: an action by its index, or a rule by [`ConditionKind::place`].
    pub fn action(&self, stage: usize, place: u8) -> Option<&Action> {
        let stage = self.stages.get(stage)?;
        match ConditionKind::at(place) {
            Some((kind, rule)) => stage.condition(kind)?.rules.get(rule),
            None => stage.actions.get(usize::from(place)),
        }
    }
    /// Which action makes an artifact: (stage index, action index).
    pub fn producer(&self, artifact: &ArtifactName) -> Option<(usize, usize)> {
        self.find(|action| action.outputs.contains(artifact))
    }
    /// Which action fills a namespace: (stage index, action index).
    pub fn namespace_owner(&self, namespace: &str) -> Option<(usize, usize)> {
        self.find(|action| action.namespace.as_ref().is_some_and(|n| n.as_str() == namespace))
    }
    /// The regions other than the producer's own in which an artifact will be read, in order, each once.
    pub fn copy_regions(&self, artifact: &ArtifactName, home: &str) -> Vec<String> {
        let region_of = |action: &Action| action.region.as_ref().map_or(home, Region::as_str).to_owned();
        let Some((stage, action)) = self.producer(artifact) else { return Vec::new() };
        let made_in = region_of(&self.stages[stage].actions[action]);
        let mut regions: Vec<String> = self
            .stages
            .iter()
            .flat_map(Stage::everything)
            .filter(|action| action.inputs.contains(artifact))
            .map(region_of)
            .filter(|region| *region != made_in)
            .collect();
        regions.sort();
        regions.dedup();
        regions
    }

    fn find(&self, wanted: impl Fn(&Action) -> bool) -> Option<(usize, usize)> {
        self.stages.iter().enumerate().find_map(|(s, stage)| stage.actions.iter().position(&wanted).map(|a| (s, a)))
    }
}

impl Stage {
    /// The condition of this kind.
    pub fn condition(&self, kind: ConditionKind) -> Option<&Condition> {
        match kind {
            ConditionKind::BeforeEntry => self.before_entry.as_ref(),
            ConditionKind::OnSuccess => self.on_success.as_ref(),
            ConditionKind::OnFailure => self.on_failure.as_ref()?.condition.as_ref(),
        }
    }

    /// Its actions and the rules of its conditions.
    pub fn everything(&self) -> impl Iterator<Item = &Action> {
        let rules = ConditionKind::ALL.into_iter().filter_map(|kind| self.condition(kind));
        self.actions.iter().chain(rules.flat_map(|condition| &condition.rules))
    }

    /// The run orders that its actions use, ascending, each once.
    pub fn run_orders(&self) -> Vec<u32> {
        let mut orders: Vec<u32> = self.actions.iter().map(|action| action.run_order).collect();
        orders.sort_unstable();
        orders.dedup();
        orders
    }
}

impl Action {
    /// Every text in which variables are replaced by their values when it runs.
    pub fn texts(&self) -> impl Iterator<Item = &String> {
        let environment = self.compute.environment.iter().map(|variable| &variable.value);
        self.configuration.values().chain(&self.compute.commands).chain(environment)
    }

    /// What the catalogue says about its type; none for custom types.
    pub fn action_type(&self) -> Option<&'static ActionType> {
        catalogue::find(&self.type_id)
    }

    /// Whether a source action is to find changes by itself: unless `DetectChanges` or `PollForSourceChanges` is false.
    /// Source: CodePipeline user guide, 'CodeStarSourceConnection' and 'Default settings for the PollForSourceChanges
    /// parameter'.
    pub fn detects_changes(&self) -> bool {
        let off = |key: &str| self.configuration.get(key).is_some_and(|value| value.eq_ignore_ascii_case("false"));
        !off("DetectChanges") && !off("PollForSourceChanges")
    }

    /// Whether the value of a configuration key is shown to job workers only.
    pub fn is_secret(&self, key: &str) -> bool {
        match self.action_type() {
            Some(known) => known.property(key).is_some_and(|property| property.secret),
            None => self.custom.as_ref().is_some_and(|custom| custom.is_secret(key)),
        }
    }

    /// Whether job workers poll for its jobs: they run actions of custom types, and of third parties that say so.
    pub fn is_polled(&self) -> bool {
        match self.type_id.owner.as_deref() {
            Some("Custom") => true,
            Some("ThirdParty") => self.custom.as_ref().is_some_and(|custom| custom.function.is_none()),
            _ => false,
        }
    }

    /// The value by which job workers poll for its jobs, where its type has such a property.
    pub fn query(&self) -> Option<&str> {
        self.configuration.get(self.custom.as_ref()?.queryable()?).map(String::as_str)
    }

    /// Minutes after which it fails if it has not ended: its own where it has one, otherwise its type's.
    pub fn timeout_minutes(&self) -> u32 {
        self.timeout_in_minutes
            .or_else(|| self.action_type().map(|known| known.default_timeout_minutes))
            .or_else(|| rules::find(&self.type_id).map(|known| known.default_timeout_minutes))
            .unwrap_or(catalogue::CUSTOM_TIMEOUT_MINUTES)
    }

    /// Minutes of silence after which it fails, where its type has them: [`ActionType::silence_timeout_minutes`].
    pub fn silence_timeout_minutes(&self) -> Option<u32> {
        match self.action_type() {
            Some(known) => known.silence_timeout_minutes,
            None => rules::find(&self.type_id)?.silence_timeout_minutes,
        }
    }
}
