//! The items of the table: their keys and their places in the two indexes.
//!
//! | entity | pk | sk | `listing` index | `due` index |
//! |---|---|---|---|---|
//! | head | `P#name` | `HEAD` | `PIPELINES`, name | |
//! | declaration | `P#name` | `V#incarnation#version` | | |
//! | locks | `L#name` | `LOCKS#incarnation` | | while it has outbox |
//! | start token | `L#name` | `TOKEN#incarnation#token` | | |
//! | execution | `E#id` | `EXECUTION` | `P#name#incarnation`, newest first | |
//! | stage attempt | `E#id` | `STAGE#index#attempt` | | while actions are in flight |
//! | output variables | `E#id` | `OUTPUTS#action id` | | |
//! | source | `S#source key` | `name#action` | | |
//! | polled source | `L#name` | `POLL#incarnation#action` | `POLLED`, name and action | |
//! | reported revision | `P#name` | `REVISION#incarnation#action` | | |
//! | webhook | `WEBHOOKS` | name | | |
//! | calls of a webhook | `W#name` | `CALLS#when it was put first` | | |
//! | delivery | `W#receiver` | `DELIVERY#id` | | |
//! | action type | `T#owner` | `category#provider#version` | | |
//! | external id | `X#event source/region/id` | `ACTION` | | |
//! | queued job | `J#category#owner#provider#version#query` | `time/action id` | | |
//! | audit log's tip | `A#AUDIT` | `TIP` | | |
//! | outcome that a notification rule knows | `N#name` | `OUTCOME#incarnation#rule` | | |
//! | message of a notification rule | `N#name` | `NOTICE#incarnation#id` | | |
//!
//! What pipelines are is in other partitions than what becomes of them ([`EXECUTION_PARTITIONS`]), since the API alone may
//! write the former.

use std::collections::BTreeMap;

use audit::Tip;
use engine::{
    ActionId, Execution, ExecutionId, ExternalId, Head, Incarnation, Job, Queue, StageLocks, StageRun, StoredOutputs,
    Timestamp,
};
use pipeline::custom::{Definition, Terms};
use pipeline::webhook::{Secret, Webhook};
use pipeline::{ActionName, Declaration, PipelineName, TypeId, WebhookName};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::parts::{DeclarationPart, Parts};

/// What the partition keys begin with that executions are written under. Functions other than the API may write no others
/// (`dynamodb:LeadingKeys` in `infra/home.yaml`): none of them changes a pipeline, its roles or who may start it.
pub const EXECUTION_PARTITIONS: [&str; 4] = ["E#", "J#", "L#", "X#"];

/// What the partition key begins with that the unsigned door for webhooks writes under: nothing that runs or starts anything.
pub const WEBHOOK_PARTITION: &str = "W#";

/// What the partition key begins with that the auditor alone writes under, besides the API.
pub const AUDIT_PARTITION: &str = "A#";

/// What the partition key begins with that the notifier alone writes under, besides the API: what was told, and nothing that runs.
pub const NOTICE_PARTITION: &str = "N#";

/// Deleted pipelines' locks are kept for this many seconds, for executions that still end: 90 days.
const TOMBSTONE_SECONDS: i64 = 90 * 24 * 3_600;
/// External ids lead to their actions for this many seconds: 90 days, as no action takes longer than 60.
const EXTERNAL_ID_SECONDS: i64 = 90 * 24 * 3_600;
/// A delivery is remembered for this many seconds: 30 days, for as long as GitHub delivers one again (GitHub documentation,
/// 'Redelivering webhooks' has 3 days) and well beyond.
const DELIVERY_SECONDS: i64 = 30 * 24 * 3_600;
/// That a message was sent is remembered for this many seconds: 30 days, as no event lies in a queue for more than 14.
const NOTICE_SECONDS: i64 = 30 * 24 * 3_600;
/// What a notification rule knows is remembered for this many seconds without a new outcome: 400 days.
const OUTCOME_SECONDS: i64 = 400 * 24 * 3_600;
/// A start's client token is remembered for this many seconds: a day.
const TOKEN_SECONDS: i64 = 24 * 3_600;

/// A version of a pipeline's declaration; never changed once written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredDeclaration {
    /// The pipeline's name.
    pub pipeline: PipelineName,
    /// Which pipeline of that name.
    pub incarnation: Incarnation,
    /// The version's number, from 1; each update adds one.
    pub version: u32,
    /// When this version was stored.
    pub created: Timestamp,
    /// The declaration; of one in parts its name and role alone.
    pub declaration: Declaration,
    /// Where it is, if it is too large for this item. [`crate::load_declaration`] puts it together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parts: Option<Parts>,
    /// What the account's own action types said that it uses.
    #[serde(default)]
    pub types: Vec<Terms>,
}

/// An action type that CodePipeline itself does not offer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredType {
    /// Its definition as `CreateCustomActionType` or `UpdateActionType` gave it.
    pub definition: Definition,
    /// Tags of the type, values by key.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// When it was first stored.
    pub created: Timestamp,
    /// When it was deleted. The definition stays: under its id only the same may come back.
    #[serde(default)]
    pub deleted: Option<Timestamp>,
}

/// That a pipeline's source action watches something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// What is watched, for example `s3/bucket/key`. Made by the trigger's own rules.
    pub watched: String,
    /// The name of the pipeline that a change starts.
    pub pipeline: PipelineName,
    /// The name of the source action that watches.
    pub action: String,
    /// More about the source, as the trigger needs it.
    pub detail: BTreeMap<String, String>,
}

/// A source action whose source is polled for changes, and what was seen of it. The API makes and removes it with the pipeline's
/// version that asks for it; whoever polls notes what he saw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourcePoll {
    /// The name of the pipeline that a change starts.
    pub pipeline: PipelineName,
    /// Which pipeline of that name.
    pub incarnation: Incarnation,
    /// The name of the source action.
    pub action: ActionName,
    /// What is polled, for example `s3/bucket/key`: made by the source's own rules.
    pub polled: String,
    /// The execution that the pipeline's creation started: until something was seen, what that took is what is known.
    #[serde(default)]
    pub first: Option<ExecutionId>,
    /// What was seen last.
    #[serde(default)]
    pub seen: Option<SeenRevision>,
    /// The start for it, until it has been made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<PendingStart>,
}

/// The start of a pipeline for the revision that was seen of its source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingStart {
    /// CodePipeline's `SourceRevisionType`, for example `S3_OBJECT_VERSION_ID`.
    pub kind: String,
    /// What the start is known by: whoever makes it again starts nothing.
    pub token: String,
    /// What people see as the trigger's detail.
    pub detail: String,
}

/// What was seen of a source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenRevision {
    /// Its revision, for example an object's version.
    pub revision: String,
    /// What the source's service takes to tell whether anything has changed since, where it has such a thing: HTTP's ETag.
    #[serde(default)]
    pub validator: Option<String>,
}

/// The revision that was last reported for a source action.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActionRevision {
    /// The name of the pipeline that was started.
    pub pipeline: PipelineName,
    /// Which pipeline of that name.
    pub incarnation: Incarnation,
    /// The name of the source action.
    pub action: ActionName,
    /// The revision's id, as it was reported.
    pub revision: String,
    /// What made it the current one.
    pub change: String,
    /// When the revision was made, as the report says.
    pub created: Timestamp,
    /// The execution that it started.
    pub execution: ExecutionId,
}

/// A webhook. There are a few hundred in an account, so all lie in one partition, which is listed by name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredWebhook {
    /// Its definition as `PutWebhook` gave it.
    pub webhook: Webhook,
    /// The last part of its URL, which only who is to call knows. Another one when it is deleted and put again.
    pub key: Secret,
    /// Whether a third party is to be told to call it.
    pub registered: bool,
    /// Tags of the webhook, values by key.
    pub tags: BTreeMap<String, String>,
    /// When it was put first.
    pub created: Timestamp,
    /// When it was put last.
    pub updated: Timestamp,
}

/// What became of the calls of a webhook. It is apart from the webhook itself, which the API alone may write.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WebhookCalls {
    /// The webhook that was called, by its name.
    pub webhook: WebhookName,
    /// Which webhook of that name: when it was put first.
    pub created: Timestamp,
    /// When a call was last accepted.
    pub triggered: Option<Timestamp>,
    /// What was wrong with the last call that was refused since.
    pub error: Option<WebhookError>,
}

/// Why a call of a webhook was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookError {
    /// One word for programs, as `ListWebhooks` has it.
    pub code: String,
    /// The same for people. It quotes nothing of the call.
    pub message: String,
    /// When it was noted. While the same goes wrong again, it is not noted each time.
    pub at: Timestamp,
}

/// That something was delivered at the unsigned door and has been taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// To whom it was delivered.
    pub receiver: String,
    /// What tells deliveries to the receiver apart.
    pub id: String,
    /// When the delivery came.
    pub received: Timestamp,
}

/// The latest outcome of a pipeline, or of the stage that the rule is about, of which a notification rule knows. What comes later is
/// compared with it; the API removes it when the rule is changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleOutcome {
    /// The name of the pipeline.
    pub pipeline: PipelineName,
    /// Which pipeline of that name.
    pub incarnation: Incarnation,
    /// What stands behind `millrace:notify:` in the rule's tag.
    pub rule: String,
    /// The number of the execution that had this outcome: its place in the order of starts.
    pub number: u64,
    /// Which end of that execution it was: grows each time the execution comes back.
    pub run: u32,
    /// Whether it failed, so that a success after it is news.
    pub failed: bool,
    /// When the rule learned of it.
    pub at: Timestamp,
}

/// A message of a notification rule: that somebody is about to send it, or has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// The name of the pipeline.
    pub pipeline: PipelineName,
    /// Which pipeline of that name.
    pub incarnation: Incarnation,
    /// What tells the message from others of the pipeline: made of the rule and of what happened.
    pub id: String,
    /// Until when nobody else may send it.
    pub until: Timestamp,
    /// When it was sent, once it was.
    #[serde(default)]
    pub sent: Option<Timestamp>,
}

/// That a client token was used for a start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StartToken {
    /// The name of the pipeline that was started.
    pub pipeline: PipelineName,
    /// Which pipeline of that name.
    pub incarnation: Incarnation,
    /// The token: the caller's, or the driver's own for a reported revision.
    pub token: String,
    /// The execution that it started.
    pub execution: ExecutionId,
    /// When the start was decided; the token lapses a day later.
    pub created: Timestamp,
}

/// Anything that is kept in the table.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Entity {
    Head(Head),
    Declaration(StoredDeclaration),
    StageLocks(StageLocks),
    Token(StartToken),
    Execution(Execution),
    Stage(StageRun),
    Outputs(StoredOutputs),
    Source(Source),
    Part(DeclarationPart),
    Webhook(StoredWebhook),
    SourcePoll(SourcePoll),
    Revision(ActionRevision),
    ActionType(StoredType),
    Job(Job),
    ExternalId(ExternalId),
    AuditTip(Tip),
    WebhookCalls(WebhookCalls),
    Delivery(Delivery),
    RuleOutcome(RuleOutcome),
    Notice(Notice),
}

/// Where an entity is kept.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Key {
    /// A pipeline's head, by the pipeline's name.
    Head(PipelineName),
    /// A version of a declaration.
    Declaration(PipelineName, Incarnation, u32),
    /// A pipeline's locks: name, and which pipeline of that name.
    StageLocks(PipelineName, Incarnation),
    /// A start's client token: pipeline, which pipeline of that name, token.
    Token(PipelineName, Incarnation, String),
    /// An execution by its id.
    Execution(ExecutionId),
    /// A stage attempt: stage index, attempt.
    Stage(ExecutionId, usize, u16),
    /// Large output variables, by the attempt that made them.
    Outputs(ActionId),
    /// A source: what is watched, pipeline, action.
    Source(String, PipelineName, String),
    /// A part of a large declaration: the pipeline, the parts' common name, its place among them.
    Part(PipelineName, Uuid, u16),
    /// A webhook by its name, which is unique in the account and region.
    Webhook(WebhookName),
    /// A polled source: pipeline, which pipeline of that name, source action.
    SourcePoll(PipelineName, Incarnation, ActionName),
    /// The revision last reported for a source action.
    Revision(PipelineName, Incarnation, ActionName),
    /// An action type of the account's own or of a third party, by its id.
    ActionType(TypeId),
    /// A job in its queue: since when, which.
    Job(Queue, Timestamp, ActionId),
    /// The action for which a service runs something under an id of its own.
    ExternalId {
        /// The source of the service's events.
        source: String,
        /// The region in which it runs.
        region: String,
        /// The id that the service chose.
        id: String,
    },
    /// The last line of the audit log.
    AuditTip,
    /// What became of the calls of a webhook: its name, and when it was put first.
    WebhookCalls(WebhookName, Timestamp),
    /// A delivery: to whom, and what tells it from others.
    Delivery(String, String),
    /// What a notification rule knows: pipeline, which pipeline of that name, the rule's name.
    RuleOutcome(PipelineName, Incarnation, String),
    /// A message of a notification rule: pipeline, which pipeline of that name, what tells the message from others.
    Notice(PipelineName, Incarnation, String),
}

/// What can be listed with a query, without a scan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listing {
    /// Heads of all pipelines, by name.
    Pipelines,
    /// Executions of a pipeline, newest first.
    Executions(PipelineName, Incarnation),
    /// Stage attempts of an execution, by stage and attempt.
    Stages(ExecutionId),
    /// Source actions that watch this, for example `s3/bucket/key`.
    Sources(String),
    /// All sources that are polled, by pipeline and action.
    SourcePolls,
    /// All webhooks of the account, by name.
    Webhooks,
    /// Action types of an owner, by category, provider and version; the deleted ones as well.
    ActionTypes(String),
    /// Jobs of a queue, the oldest first.
    Jobs(Queue),
}

fn owner(id: &TypeId) -> &str {
    id.owner.as_deref().unwrap_or_default()
}

fn types_of(owner: &str) -> String {
    format!("T#{owner}")
}

fn type_sort(id: &TypeId) -> String {
    format!("{}#{}#{}", id.category, id.provider, id.version.as_deref().unwrap_or_default())
}

/// None of a type id's parts, nor a value by which jobs are polled, has a `#` in it.
fn jobs_of(Queue { type_id, query }: &Queue) -> String {
    let version = type_id.version.as_deref().unwrap_or_default();
    let query = query.as_deref().unwrap_or_default();
    format!("J#{}#{}#{}#{version}#{query}", type_id.category, owner(type_id), type_id.provider)
}

impl Key {
    /// Partition and sort key in the table.
    pub fn pair(&self) -> (String, String) {
        match self {
            Self::Head(name) => (format!("P#{name}"), "HEAD".into()),
            Self::Declaration(name, incarnation, version) => {
                (format!("P#{name}"), format!("V#{incarnation}#{version:010}"))
            }
            Self::StageLocks(name, incarnation) => (format!("L#{name}"), format!("LOCKS#{incarnation}")),
            Self::Token(name, incarnation, token) => (format!("L#{name}"), format!("TOKEN#{incarnation}#{token}")),
            Self::Execution(id) => (format!("E#{id}"), "EXECUTION".into()),
            Self::Stage(id, stage, attempt) => (format!("E#{id}"), format!("STAGE#{stage:03}#{attempt:05}")),
            Self::Outputs(action) => (format!("E#{}", action.execution), format!("OUTPUTS#{action}")),
            Self::Source(watched, name, action) => (format!("S#{watched}"), format!("{name}#{action}")),
            Self::Part(name, set, index) => (format!("P#{name}"), format!("PART#{set}#{index:05}")),
            Self::Webhook(name) => ("WEBHOOKS".into(), name.to_string()),
            Self::SourcePoll(name, incarnation, action) => {
                (format!("L#{name}"), format!("POLL#{incarnation}#{action}"))
            }
            Self::Revision(name, incarnation, action) => {
                (format!("P#{name}"), format!("REVISION#{incarnation}#{action}"))
            }
            Self::ActionType(id) => (types_of(owner(id)), type_sort(id)),
            Self::ExternalId { source, region, id } => (format!("X#{source}/{region}/{id}"), "ACTION".into()),
            Self::WebhookCalls(name, created) => {
                (format!("{WEBHOOK_PARTITION}{name}"), format!("CALLS#{:020}", created.0.max(0)))
            }
            Self::Delivery(receiver, id) => (format!("{WEBHOOK_PARTITION}{receiver}"), format!("DELIVERY#{id}")),
            Self::AuditTip => (format!("{AUDIT_PARTITION}AUDIT"), "TIP".into()),
            Self::RuleOutcome(name, incarnation, rule) => {
                (format!("{NOTICE_PARTITION}{name}"), format!("OUTCOME#{incarnation}#{rule}"))
            }
            Self::Notice(name, incarnation, id) => {
                (format!("{NOTICE_PARTITION}{name}"), format!("NOTICE#{incarnation}#{id}"))
            }
            Self::Job(queue, queued, action) => (jobs_of(queue), format!("{:020}/{action}", queued.0.max(0))),
        }
    }

    /// The key of an item that is due, from its partition and sort key: locks or a stage attempt.
    pub fn due_from(pk: &str, sk: &str) -> Option<Self> {
        if let (Some(name), Some(incarnation)) = (pk.strip_prefix("L#"), sk.strip_prefix("LOCKS#")) {
            return Some(Self::StageLocks(PipelineName::new(name).ok()?, incarnation.parse().ok()?));
        }
        let (stage, attempt) = sk.strip_prefix("STAGE#")?.split_once('#')?;
        Some(Self::Stage(pk.strip_prefix("E#")?.parse().ok()?, stage.parse().ok()?, attempt.parse().ok()?))
    }
}

impl Listing {
    /// Whether it reads the `listing` index (or the table itself), the partition, and the prefix of the sort key.
    pub(crate) fn range(&self) -> (bool, String, &'static str) {
        match self {
            Self::Pipelines => (true, "PIPELINES".into(), ""),
            Self::Executions(name, incarnation) => (true, format!("P#{name}#{incarnation}"), ""),
            Self::Stages(id) => (false, format!("E#{id}"), "STAGE#"),
            Self::Sources(watched) => (false, format!("S#{watched}"), ""),
            Self::SourcePolls => (true, "POLLED".into(), ""),
            Self::Webhooks => (false, "WEBHOOKS".into(), ""),
            Self::ActionTypes(owner) => (false, types_of(owner), ""),
            Self::Jobs(queue) => (false, jobs_of(queue), ""),
        }
    }
}

impl Entity {
    /// The key under which it is kept, made from its own members.
    pub fn key(&self) -> Key {
        match self {
            Self::Head(head) => Key::Head(head.pipeline.clone()),
            Self::Declaration(it) => Key::Declaration(it.pipeline.clone(), it.incarnation, it.version),
            Self::StageLocks(locks) => Key::StageLocks(locks.pipeline.clone(), locks.incarnation),
            Self::Token(it) => Key::Token(it.pipeline.clone(), it.incarnation, it.token.clone()),
            Self::Execution(execution) => Key::Execution(execution.id),
            Self::Stage(stage) => Key::Stage(stage.execution, stage.stage, stage.attempt),
            Self::Outputs(outputs) => Key::Outputs(outputs.action),
            Self::Source(source) => Key::Source(source.watched.clone(), source.pipeline.clone(), source.action.clone()),
            Self::Part(part) => Key::Part(part.pipeline.clone(), part.set, part.index),
            Self::Webhook(it) => Key::Webhook(it.webhook.name.clone()),
            Self::SourcePoll(it) => Key::SourcePoll(it.pipeline.clone(), it.incarnation, it.action.clone()),
            Self::Revision(it) => Key::Revision(it.pipeline.clone(), it.incarnation, it.action.clone()),
            Self::ActionType(it) => Key::ActionType(it.definition.id.clone()),
            Self::ExternalId(it) => {
                Key::ExternalId { source: it.source.clone(), region: it.region.clone(), id: it.id.clone() }
            }
            Self::AuditTip(_) => Key::AuditTip,
            Self::WebhookCalls(it) => Key::WebhookCalls(it.webhook.clone(), it.created),
            Self::Delivery(it) => Key::Delivery(it.receiver.clone(), it.id.clone()),
            Self::RuleOutcome(it) => Key::RuleOutcome(it.pipeline.clone(), it.incarnation, it.rule.clone()),
            Self::Notice(it) => Key::Notice(it.pipeline.clone(), it.incarnation, it.id.clone()),
            Self::Job(job) => Key::Job(job.queue.clone(), job.queued, job.action),
        }
    }

    /// The kind, as the item's attribute `kind` says it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Head(_) => "HEAD",
            Self::Declaration(_) => "DECLARATION",
            Self::StageLocks(_) => "LOCKS",
            Self::Token(_) => "TOKEN",
            Self::Execution(_) => "EXECUTION",
            Self::Stage(_) => "STAGE",
            Self::Outputs(_) => "OUTPUTS",
            Self::Source(_) => "SOURCE",
            Self::Part(_) => "PART",
            Self::Webhook(_) => "WEBHOOK",
            Self::SourcePoll(_) => "SOURCEPOLL",
            Self::Revision(_) => "REVISION",
            Self::ActionType(_) => "ACTIONTYPE",
            Self::ExternalId(_) => "EXTERNALID",
            Self::Job(_) => "JOB",
            Self::AuditTip(_) => "AUDITTIP",
            Self::WebhookCalls(_) => "WEBHOOKCALLS",
            Self::Delivery(_) => "DELIVERY",
            Self::RuleOutcome(_) => "RULEOUTCOME",
            Self::Notice(_) => "NOTICE",
        }
    }

    /// Its place in the `listing` index.
    pub(crate) fn listing(&self) -> Option<(String, String)> {
        match self {
            Self::Head(head) => Some(("PIPELINES".into(), head.pipeline.to_string())),
            Self::SourcePoll(it) => {
                Some(("POLLED".into(), format!("{}#{}#{}", it.pipeline, it.incarnation, it.action)))
            }
            // Newest first in an ascending index: the number counts down.
            Self::Execution(it) => {
                Some((format!("P#{}#{}", it.pipeline, it.incarnation), format!("{:020}", u64::MAX - it.number)))
            }
            _ => None,
        }
    }

    /// When the sweeper must look at it.
    pub(crate) fn due(&self) -> Option<Timestamp> {
        match self {
            Self::StageLocks(locks) => locks.due,
            Self::Stage(stage) => stage.due(),
            _ => None,
        }
    }

    /// When the table may forget it, in seconds since 1970.
    pub(crate) fn expires(&self) -> Option<i64> {
        match self {
            Self::Token(token) => Some(token.created.0 / 1_000 + TOKEN_SECONDS),
            Self::ExternalId(it) => Some(it.started.0 / 1_000 + EXTERNAL_ID_SECONDS),
            Self::Delivery(it) => Some(it.received.0 / 1_000 + DELIVERY_SECONDS),
            Self::RuleOutcome(it) => Some(it.at.0 / 1_000 + OUTCOME_SECONDS),
            Self::Notice(it) => Some(it.until.0 / 1_000 + NOTICE_SECONDS),
            Self::StageLocks(locks) if locks.deleted && locks.outbox.is_empty() => {
                let changed = locks.deleted_at.unwrap_or_default();
                Some(changed.0 / 1_000 + TOMBSTONE_SECONDS)
            }
            _ => None,
        }
    }

    /// The entity as JSON.
    ///
    /// # Errors
    /// None that is known: all maps have string keys.
    pub fn to_json(&self) -> serde_json::Result<String> {
        match self {
            Self::Head(it) => serde_json::to_string(it),
            Self::Declaration(it) => serde_json::to_string(it),
            Self::StageLocks(it) => serde_json::to_string(it),
            Self::Token(it) => serde_json::to_string(it),
            Self::Execution(it) => serde_json::to_string(it),
            Self::Stage(it) => serde_json::to_string(it),
            Self::Outputs(it) => serde_json::to_string(it),
            Self::Source(it) => serde_json::to_string(it),
            Self::Part(it) => serde_json::to_string(it),
            Self::Webhook(it) => serde_json::to_string(it),
            Self::SourcePoll(it) => serde_json::to_string(it),
            Self::Revision(it) => serde_json::to_string(it),
            Self::ActionType(it) => serde_json::to_string(it),
            Self::ExternalId(it) => serde_json::to_string(it),
            Self::Job(it) => serde_json::to_string(it),
            Self::AuditTip(it) => serde_json::to_string(it),
            Self::WebhookCalls(it) => serde_json::to_string(it),
            Self::Delivery(it) => serde_json::to_string(it),
            Self::RuleOutcome(it) => serde_json::to_string(it),
            Self::Notice(it) => serde_json::to_string(it),
        }
    }

    /// An entity from its kind and its JSON.
    ///
    /// # Errors
    /// When the kind is unknown or the JSON is not of that kind.
    pub fn from_json(kind: &str, body: &str) -> serde_json::Result<Self> {
        Ok(match kind {
            "HEAD" => Self::Head(serde_json::from_str(body)?),
            "DECLARATION" => Self::Declaration(serde_json::from_str(body)?),
            "LOCKS" => Self::StageLocks(serde_json::from_str(body)?),
            "TOKEN" => Self::Token(serde_json::from_str(body)?),
            "EXECUTION" => Self::Execution(serde_json::from_str(body)?),
            "STAGE" => Self::Stage(serde_json::from_str(body)?),
            "OUTPUTS" => Self::Outputs(serde_json::from_str(body)?),
            "SOURCE" => Self::Source(serde_json::from_str(body)?),
            "PART" => Self::Part(serde_json::from_str(body)?),
            "WEBHOOK" => Self::Webhook(serde_json::from_str(body)?),
            "SOURCEPOLL" => Self::SourcePoll(serde_json::from_str(body)?),
            "REVISION" => Self::Revision(serde_json::from_str(body)?),
            "ACTIONTYPE" => Self::ActionType(serde_json::from_str(body)?),
            "EXTERNALID" => Self::ExternalId(serde_json::from_str(body)?),
            "JOB" => Self::Job(serde_json::from_str(body)?),
            "AUDITTIP" => Self::AuditTip(serde_json::from_str(body)?),
            "WEBHOOKCALLS" => Self::WebhookCalls(serde_json::from_str(body)?),
            "DELIVERY" => Self::Delivery(serde_json::from_str(body)?),
            "RULEOUTCOME" => Self::RuleOutcome(serde_json::from_str(body)?),
            "NOTICE" => Self::Notice(serde_json::from_str(body)?),
            other => return Err(serde::de::Error::custom(format!("unknown kind {other:?}"))),
        })
    }
}
