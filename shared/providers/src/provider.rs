//! What a provider is: the code that runs its actions, and what the rest of Millrace asks about it.

use std::collections::BTreeMap;

use async_trait::async_trait;
use aws_lambda_events::eventbridge::EventBridgeEvent;
use driver::{NewestRevision, Outcome, Task};
use engine::{ActionId, Progress};
use pipeline::git_trigger::GitEvent;
use pipeline::{Action, TypeId};
use serde_json::Value;

use crate::configuration::title;
use crate::context::ActionContext;
use crate::error::ProviderError;
use crate::permission::Permissions;
use crate::starts::StartKind;

/// Runs the actions of one provider.
#[async_trait]
pub(crate) trait Provider: Send + Sync {
    /// Starts an attempt, or does all of it. Input artifacts are in the action's region. Called again for the same
    /// attempt when a worker was lost: then [`ActionContext::token`] makes the service recognize it. Where the service
    /// knows no such token, `task.reclaimed` asks to look for what was started, by tag or description.
    async fn start(&self, context: ActionContext<'_>) -> Result<Outcome, ProviderError>;

    /// Asks the service how the action stands; [`unchanged`] where its end comes by another way.
    async fn poll(&self, context: ActionContext<'_>) -> Result<Outcome, ProviderError>;

    /// What the source of an action is now, for those that are polled ([`Source::polled`]); none where nothing is there, or where
    /// nothing has changed since the service gave this validator.
    async fn newest(
        &self,
        context: ActionContext<'_>,
        _validator: Option<&str>,
    ) -> Result<Option<NewestRevision>, ProviderError> {
        Err(ProviderError::configuration(format!("{} is no source that is polled", title(context.task))))
    }

    /// The paths of the files that an event changed in the repository of an action, for sources of which such events tell.
    async fn changed_files(&self, context: ActionContext<'_>, _: &GitEvent) -> Result<Vec<String>, ProviderError> {
        Err(ProviderError::configuration(format!("{} reads no repository through a connection", title(context.task))))
    }
}

/// The answer to a poll of an action whose end no poll can find: it ends with its start, or somebody reports it.
#[allow(clippy::unnecessary_wraps, reason = "the answer of a poll")]
pub(crate) fn unchanged() -> Result<Outcome, ProviderError> {
    Ok(Outcome::Running { report: Progress::default(), poll: false, event_source: None })
}

/// A provider. Each file of a provider exports one, and `registry` lists them.
pub(crate) struct Descriptor {
    pub(crate) info: ProviderInfo,
    pub(crate) provider: &'static dyn Provider,
    /// What the service is given to recognize an attempt that is started again.
    pub(crate) token: fn(&Task) -> Result<String, ProviderError>,
}

/// The id of an attempt: the token of all services that take any text.
#[allow(clippy::unnecessary_wraps, reason = "other tokens can be refused")]
pub(crate) fn attempt_id(task: &Task) -> Result<String, ProviderError> {
    Ok(task.id.first_turn().to_string())
}

/// What can be asked about a provider without the code that runs it, so that a function that only asks does not have
/// the SDKs of all services in it.
#[derive(Clone, Copy, Debug)]
pub struct ProviderInfo {
    /// The entries of the catalogue that it implements.
    pub types: &'static [Implements],
    /// The events of its service that tell of an action's end, if there are any.
    pub events: Option<Events>,
    /// For the provider of a source: what starts its pipelines.
    pub source: Option<Source>,
    /// The console's page of what an action works on.
    pub entity: Option<EntityPage>,
    /// What an action deploys to.
    pub deploy_target: Option<DeployTarget>,
    /// The log of an action of this configuration, in which variables stand for their values; none where it has none of its own in
    /// CloudWatch Logs.
    pub log: fn(&BTreeMap<String, String>) -> Option<ActionLog>,
    /// What its actions must be allowed.
    pub permissions: Permissions,
    /// What `PROVIDERS.md` says of it.
    pub documentation: Documentation,
}

/// What users are told of a provider.
#[derive(Clone, Copy, Debug)]
pub struct Documentation {
    /// Its file, from the project's top level.
    pub file: &'static str,
    /// When an action ends.
    pub ends: &'static str,
    /// Where its actions were tried.
    pub tried: Tried,
    /// What differs from AWS, in sentences.
    pub differs: &'static str,
}

/// Where a provider's actions were tried, besides the tests of its requests and answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tried {
    /// End to end on MiniStack and on LocalStack.
    Emulators,
    /// End to end on MiniStack; LocalStack's open edition does not have the service.
    MiniStack,
    /// End to end on the build host, beside either emulator.
    BuildHost,
    /// End to end on MiniStack beside fakecloud, an emulator that has the service; CI does not have it.
    ProviderEmulator,
    /// Nowhere: neither emulator has the service.
    OverTheWire,
}

impl ProviderInfo {
    pub(crate) const fn of(
        types: &'static [Implements],
        permissions: Permissions,
        documentation: Documentation,
    ) -> Self {
        Self {
            types,
            events: None,
            source: None,
            entity: None,
            deploy_target: None,
            log: |_| None,
            permissions,
            documentation,
        }
    }
}

/// An entry of the catalogue, by its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Implements {
    /// For example `Deploy`; `Rule` for types of rules.
    pub category: &'static str,
    /// `AWS` or `ThirdParty`, as in the catalogue.
    pub owner: &'static str,
    /// The provider's name in the catalogue, for example `S3`.
    pub provider: &'static str,
    /// The version in the catalogue, for example `1`.
    pub version: &'static str,
}

impl Implements {
    /// Version 1 of a type of AWS's own.
    pub(crate) const fn aws(category: &'static str, provider: &'static str) -> Self {
        Self { category, owner: "AWS", provider, version: "1" }
    }

    /// As a declaration writes it.
    pub fn id(&self) -> TypeId {
        TypeId {
            category: self.category.to_owned(),
            owner: Some(self.owner.to_owned()),
            provider: self.provider.to_owned(),
            version: Some(self.version.to_owned()),
        }
    }
}

/// Events of a service that tell of an action's end. They are hints: the action is polled when one comes.
#[derive(Clone, Copy, Debug)]
pub struct Events {
    /// EventBridge's `source`, for example `aws.states`.
    pub source: &'static str,
    /// The `detail-type`s of events that tell of an end, as EventBridge has them.
    pub detail_types: &'static [&'static str],
    /// Which action an event is about.
    pub correlation: Correlation,
}

impl Events {
    /// Whether an event is one of these.
    pub fn include(&self, event: &EventBridgeEvent<Value>) -> bool {
        event.source == self.source && self.detail_types.contains(&event.detail_type.as_str())
    }
}

/// How an event's detail names the action; none where it is not about the end of one.
#[derive(Clone, Copy, Debug)]
pub enum Correlation {
    /// By the attempt's id, which the service was given when the action was started.
    AttemptId(fn(&Value) -> Option<ActionId>),
    /// By an id that the service chose: the one in [`engine::External`]. It is committed with the action's start.
    ExternalId(fn(&Value) -> Option<String>),
}

/// What a source watches, and how it hears of changes.
#[derive(Clone, Copy, Debug)]
pub struct Source {
    /// The key of what an action in a region watches, the same as in [`SourceChange::watched`]; none where no change
    /// starts the pipeline.
    pub watched: fn(&Action, region: &str) -> Option<String>,
    /// The key of what is polled for an action in a region; none where nothing is.
    pub polled: fn(&Action, region: &str) -> Option<String>,
    /// Whether an execution can be started with a revision of a `SourceRevisionType` for an action of this configuration;
    /// otherwise why not.
    pub takes_revision: fn(&BTreeMap<String, String>, revision_type: &str) -> Result<(), &'static str>,
    /// The events that tell of changes; none where EventBridge hears of none.
    pub events: Option<SourceEvents>,
}

/// What is never polled, since events tell of all its changes.
pub(crate) fn never_polled(_: &Action, _: &str) -> Option<String> {
    None
}

/// Whether an action asks to be polled in so many words. Where events tell of changes, that is no default. Source: CodePipeline
/// user guide, 'Default settings for the PollForSourceChanges parameter', by which AWS's own is to poll.
pub(crate) fn asks_for_polls(action: &Action) -> bool {
    action.configuration.get("PollForSourceChanges").is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

/// Events of a service that tell of changes of what sources watch.
#[derive(Clone, Copy, Debug)]
pub struct SourceEvents {
    /// EventBridge's `source`, for example `aws.s3`.
    pub source: &'static str,
    /// EventBridge's `detail-type`s, for example `Object Created`.
    pub detail_types: &'static [&'static str],
    /// The change that an event tells of; none where it tells of something else that has happened. The error says what the
    /// event lacks.
    pub change: fn(&EventBridgeEvent<Value>) -> serde_json::Result<Option<SourceChange>>,
    /// What `TRIGGERS.md` says of them.
    pub starts: &'static [StartKind],
}

/// A change of something that sources watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceChange {
    /// The key of what has changed.
    pub watched: String,
    /// The account in which it is, where the key may mean another thing in each.
    pub account: Option<String>,
    /// What it is now: a `SourceRevisionType`, and its value.
    pub revision: Option<(&'static str, String)>,
    /// Names this change: a second event of it starts nothing again.
    pub token: String,
    /// What people see as the trigger's detail.
    pub detail: String,
}

/// A page of the AWS console about what one configuration key names.
#[derive(Clone, Copy, Debug)]
pub struct EntityPage {
    /// The configuration key whose value the page is about.
    pub key: &'static str,
    /// The page's path, in which `{}` stands for the key's value and `{region}` for the action's region.
    pub path: &'static str,
}

/// What a deploy action deploys to. Source: CodePipeline API, `DeployActionExecutionTarget`.
#[derive(Clone, Copy, Debug)]
pub struct DeployTarget {
    /// The configuration key that names it.
    pub key: &'static str,
    /// What it is, for example `S3Bucket`.
    pub kind: &'static str,
}

/// Which log of CloudWatch Logs is that of an action, for whoever reads it with rights of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ActionLog {
    /// The log of a build, whose id is the action's external id. CodeBuild says where it is.
    Build,
    /// What one call of a function has written; the call's request id is the action's external id.
    Function {
        /// The function's name, without version and alias.
        name: String,
    },
}

impl ActionLog {
    /// The log of whatever runs in a single build.
    #[allow(clippy::unnecessary_wraps, reason = "what a descriptor has for others too")]
    pub(crate) fn of_build(_: &BTreeMap<String, String>) -> Option<Self> {
        Some(Self::Build)
    }
}
