//! Entities to store.

use std::collections::BTreeMap;

use audit::Tip;
use engine::{
    ActionError, ActionRun, ActionStatus, ApprovalToken, Artifact, CancelCause, ConditionRun, ConditionStatus,
    Execution, ExecutionId, ExecutionStatus, External, ExternalId, Head, Incarnation, Job, JobNonce, JobRun,
    LastSuccess, OutboxTask, Outputs, Position, Queue, Retries, RetryTrigger, Revision, RevisionOverride,
    RollbackTarget, SourceRevision, StageLock, StageLocks, StageRun, StageStatus, Stop, StoredOutputs, Timestamp,
    Transition, Trigger, Waiting, WorkerId,
};
use pipeline::custom::{Counts, DefinedProperty, Definition, Executor, ExecutorKind, Urls};
use pipeline::webhook::{Authentication, Filter, JsonPath, Secret, Webhook};
use pipeline::{
    ActionName, ArtifactName, ConditionKind, ExecutionMode, PipelineName, PipelineType, StageName, TypeId, WebhookName,
};
use store::{
    ActionRevision, DeclarationPart, Delivery, Entity, Notice, RuleOutcome, SeenRevision, Source, SourcePoll,
    StartToken, StoredDeclaration, StoredType, StoredWebhook, WebhookCalls, WebhookError,
};
use uuid::Uuid;

/// What JSON, UTF-8 and DynamoDB each could trip over.
pub const TEXTS: [&str; 5] = ["", "Müllerstraße 漢字 🌊", "\"quoted\" \\ and \u{0} \u{7f}", "line\r\nline\t", "#{a.b}"];

pub fn name(name: &str) -> PipelineName {
    PipelineName::new(name).unwrap()
}

pub fn action(name: &str) -> ActionName {
    ActionName::new(name).unwrap()
}

pub fn stage_name(name: &str) -> StageName {
    StageName::new(name).unwrap()
}

/// Incarnation number `n` of a pipeline.
pub fn incarnation(n: u128) -> Incarnation {
    Incarnation(Uuid::from_u128(n))
}

/// Execution number `n`.
pub fn id(n: u64) -> ExecutionId {
    ExecutionId::from_random(Uuid::from_u128(u128::from(n) << 64 | u128::from(n)))
}

fn texts() -> BTreeMap<String, String> {
    TEXTS.iter().enumerate().map(|(n, text)| (format!("key{n}"), (*text).to_owned())).collect()
}

pub fn head(pipeline: &str) -> Head {
    Head {
        pipeline: name(pipeline),
        incarnation: incarnation(1),
        version: 3,
        created: Timestamp(1),
        updated: Timestamp(2),
        kind: PipelineType::V2,
        mode: ExecutionMode::Queued,
        tags: texts(),
    }
}

pub fn declaration(pipeline: &str, version: u32) -> StoredDeclaration {
    let declaration = serde_json::from_str(
        r#"{"name": "release", "roleArn": "arn:aws:iam::111122223333:role/release", "pipelineType": "V2",
            "stages": [{"name": "Source", "actions": [{"name": "Fetch", "runOrder": 1, "outputArtifacts": [{"name": "App"}],
              "actionTypeId": {"category": "Source", "owner": "AWS", "provider": "S3", "version": "1"},
              "configuration": {"S3Bucket": "bucket", "S3ObjectKey": "Gerät.zip"}}]}],
            "variables": [{"name": "target", "defaultValue": "", "description": "漢字"}]}"#,
    )
    .unwrap();
    StoredDeclaration {
        pipeline: name(pipeline),
        incarnation: incarnation(1),
        version,
        created: Timestamp(5),
        declaration,
        parts: None,
        types: vec![action_type("Jenkins").definition.terms()],
    }
}

pub fn locks(pipeline: &str, due: Option<i64>) -> StageLocks {
    let lock = StageLock {
        holder: Some(id(1)),
        waiting: vec![Waiting { execution: id(2), number: 2, since: Timestamp(7) }],
        succeeded: Some(LastSuccess { execution: id(7), version: 2 }),
        latest: Some(engine::Entry { execution: id(1), stage: 0, attempt: 2 }),
        ended: vec![engine::EndedAttempt {
            entry: engine::Entry { execution: id(8), stage: 0, attempt: 1 },
            version: 2,
            reached: Some(3),
        }],
        transition: Transition {
            disabled: true,
            reason: Some("Wartung".into()),
            changed_by: Some("arn:aws:iam::111122223333:user/ada".into()),
            changed_at: Some(Timestamp(8)),
        },
    };
    StageLocks {
        next_number: 9,
        stages: BTreeMap::from([(stage_name("Deploy"), lock), (stage_name("Test"), StageLock::default())]),
        running: vec![id(10)],
        outbox: if due.is_none() {
            Vec::new()
        } else {
            vec![
                OutboxTask::Enter { execution: id(3), stage: stage_name("Deploy") },
                OutboxTask::Supersede { execution: id(4), by: id(5) },
                OutboxTask::Cancel { execution: id(6), cause: CancelCause::PipelineUpdated },
                OutboxTask::RollBack { execution: id(7), stage: stage_name("Deploy"), target: id(8), failed: id(9) },
            ]
        },
        due: due.map(Timestamp),
        ..StageLocks::new(name(pipeline), incarnation(1))
    }
}

pub fn token(pipeline: &str, token: &str) -> StartToken {
    StartToken {
        pipeline: name(pipeline),
        incarnation: incarnation(1),
        token: token.into(),
        execution: id(1),
        created: Timestamp(1_764_000_000_000),
    }
}

pub fn execution(pipeline: &str, number: u64) -> Execution {
    Execution {
        id: id(number),
        pipeline: name(pipeline),
        incarnation: incarnation(1),
        version: 3,
        number,
        mode: ExecutionMode::Superseded,
        status: ExecutionStatus::InProgress,
        summary: Some(String::new()),
        trigger: Trigger { kind: "StartPipelineExecution".into(), detail: "arn:aws:iam::111122223333:user/ada".into() },
        variables: texts(),
        overrides: vec![RevisionOverride {
            change: Some("c1".into()),
            created: Some(Timestamp(5)),
            ..RevisionOverride::new(action("Fetch"), "S3_OBJECT_KEY", "a")
        }],
        revisions: vec![SourceRevision {
            action: action("Fetch"),
            artifact: Some(ArtifactName::new("App").unwrap()),
            revision: revision(),
        }],
        started: Timestamp(10),
        updated: Timestamp(11),
        position: Position::In(1),
        attempts: vec![1, 2, 0],
        stop: Some(Stop { abandon: true, reason: Some(TEXTS[1].into()) }),
        rollback: Some(RollbackTarget { execution: id(99), attempts: vec![1, 2] }),
    }
}

fn revision() -> Revision {
    Revision {
        id: "3f1c".into(),
        summary: Some("Grüße".into()),
        url: Some("https://example.com/3f1c".into()),
        created: Some(Timestamp(4)),
        change: Some("etag".into()),
    }
}

/// A stage attempt with an action in each status; with `check` one is in flight and looked at then.
pub fn stage(execution: ExecutionId, stage: usize, attempt: u16, check: Option<i64>) -> StageRun {
    let bare = |name: &str, status| ActionRun { status, ..ActionRun::pending(action(name)) };
    let mut actions = vec![
        bare("Pending", ActionStatus::Pending),
        ActionRun { variables: Outputs::Inline(texts()), ..bare("Done", ActionStatus::Succeeded) },
        ActionRun {
            error: Some(ActionError { code: "JobFailed".into(), message: TEXTS[2].into() }),
            requested: Some(Timestamp(1)),
            updated: Some(Timestamp(2)),
            claims: 2,
            turn: 3,
            continuation: Some("c".into()),
            job: Some(JobRun {
                queued: Timestamp(1),
                free: Timestamp(2),
                nonce: Some(JobNonce(Uuid::from_u128(78))),
                acknowledged: true,
            }),
            token: Some(ApprovalToken(Uuid::from_u128(77))),
            external: Some(External { id: "arn:x".into(), url: Some(String::new()) }),
            summary: Some(TEXTS[1].into()),
            percent: Some(100),
            updated_by: Some(engine::Approver::Link { name: "ada".into() }),
            outputs: vec![Artifact {
                name: ArtifactName::new("App").unwrap(),
                region: "eu-west-1".into(),
                bucket: "artifacts".into(),
                key: "release/App/x".into(),
                pin: engine::Pin::default(),
            }],
            variables: Outputs::Stored,
            revision: Some(revision()),
            ..bare("Failed", ActionStatus::Failed)
        },
        bare("GivenUp", ActionStatus::Abandoned),
    ];
    if let Some(check) = check {
        let claimed = ActionStatus::Claimed { worker: WorkerId(Uuid::from_u128(9)), until: Timestamp(check) };
        actions.push(ActionRun {
            check: Some(Timestamp(check)),
            deadline: Some(Timestamp(check + 1_000_000)),
            ..bare("InFlight", claimed)
        });
        actions.push(ActionRun { deadline: Some(Timestamp(check + 5)), ..bare("Later", ActionStatus::Running) });
    }
    StageRun {
        execution,
        pipeline: name("release"),
        stage,
        name: stage_name("Deploy"),
        attempt,
        status: StageStatus::InProgress,
        started: Timestamp(1),
        updated: Timestamp(2),
        actions,
        conditions: vec![ConditionRun {
            kind: ConditionKind::BeforeEntry,
            status: ConditionStatus::Overridden,
            updated: Timestamp(2),
            overridden_by: Some("ada".into()),
            rules: vec![ActionRun { attempt: 1, ..bare("Rule", ActionStatus::Abandoned) }],
        }],
        retries: Retries { automatic: 1, manual: 2, latest: Some(RetryTrigger::Manual) },
        rolls_back: true,
    }
}

/// Output variables of one attempt, of about this many bytes.
pub fn outputs(execution: ExecutionId, action: usize, bytes: usize) -> StoredOutputs {
    StoredOutputs {
        action: execution.action(0, action, 1),
        variables: BTreeMap::from([("empty".into(), String::new()), ("large".into(), "x".repeat(bytes))]),
    }
}

pub fn source(watched: &str, pipeline: &str, action: &str) -> Source {
    Source { watched: watched.into(), pipeline: name(pipeline), action: action.into(), detail: texts() }
}

pub fn webhook(webhook: &str) -> StoredWebhook {
    StoredWebhook {
        webhook: Webhook {
            name: WebhookName::new(webhook).unwrap(),
            target_pipeline: name("release"),
            target_action: action("Fetch"),
            filters: vec![Filter {
                json_path: JsonPath::new("$.ref").unwrap(),
                match_equals: Some("refs/heads/{Branch}".into()),
            }],
            authentication: Authentication::GithubHmac { secret: Secret::new(TEXTS[2]) },
        },
        key: Secret::new("key"),
        registered: true,
        tags: texts(),
        created: Timestamp(1),
        updated: Timestamp(2),
    }
}

/// A custom action type of this provider, with everything set.
pub fn action_type(provider: &str) -> StoredType {
    let id = TypeId {
        category: "Build".into(),
        owner: Some("Custom".into()),
        provider: provider.into(),
        version: Some("1".into()),
    };
    let property = DefinedProperty {
        name: "Projekt".into(),
        required: true,
        key: true,
        secret: false,
        queryable: true,
        description: Some(TEXTS[1].into()),
        kind: Some("String".into()),
    };
    let kind = ExecutorKind::JobWorker { accounts: Some(vec!["111122223333".into()]), principals: None };
    let definition = Definition {
        id,
        description: Some(TEXTS[2].into()),
        urls: Urls { entity: Some("https://example.com/{Config:Projekt}".into()), ..Urls::default() },
        properties: Some(vec![property]),
        inputs: Counts { least: 0, most: 5 },
        outputs: Counts { least: 1, most: 1 },
        executor: Some(Executor { kind, policy: None, job_timeout: Some(60) }),
        allowed_accounts: Some(vec!["*".into()]),
    };
    StoredType { definition, tags: texts(), created: Timestamp(1), deleted: Some(Timestamp(2)) }
}

/// A job of that type.
pub fn job(provider: &str, query: Option<&str>, queued: i64, n: u64) -> Job {
    Job {
        queue: Queue { type_id: action_type(provider).definition.id, query: query.map(str::to_owned) },
        queued: Timestamp(queued),
        action: id(n).action(1, 2, 1),
        free: Timestamp(queued + 5),
    }
}

pub fn external_id(source: &str, region: &str, id: &str) -> ExternalId {
    let [source, region, external] = [source, region, id].map(str::to_owned);
    ExternalId { source, region, id: external, action: self::id(1).action(0, 1, 1), started: Timestamp(7_000) }
}

/// One of every kind.
pub fn all() -> Vec<Entity> {
    vec![
        Entity::Head(head("release")),
        Entity::Declaration(declaration("release", 3)),
        Entity::StageLocks(locks("release", Some(40))),
        Entity::Token(token("release", "token")),
        Entity::Execution(execution("release", 1)),
        Entity::Stage(stage(id(1), 1, 2, Some(50))),
        Entity::Outputs(outputs(id(1), 0, 10)),
        Entity::Source(source("s3/bucket/Schlüssel.zip", "release", "Fetch")),
        Entity::Part(DeclarationPart {
            pipeline: name("release"),
            set: incarnation(3).0,
            index: 1,
            text: "漢\"}".into(),
        }),
        Entity::Webhook(webhook("push")),
        Entity::Revision(ActionRevision {
            pipeline: name("release"),
            incarnation: incarnation(1),
            action: action("Fetch"),
            revision: TEXTS[1].into(),
            change: TEXTS[2].into(),
            created: Timestamp(3),
            execution: id(1),
        }),
        Entity::SourcePoll(SourcePoll {
            pipeline: name("release"),
            incarnation: incarnation(1),
            action: action("Fetch"),
            polled: "s3/bucket/Schlüssel.zip".into(),
            first: Some(id(1)),
            seen: Some(SeenRevision { revision: TEXTS[1].into(), validator: Some("\"etag\"".into()) }),
        }),
        Entity::ActionType(action_type("Jenkins")),
        Entity::Job(job("Jenkins", Some("shop"), 7, 1)),
        Entity::ExternalId(external_id("aws.codebuild", "eu-west-1", "b:7")),
        Entity::AuditTip(Tip { object: 7, line: 40, hash: "ab".repeat(32) }),
        Entity::WebhookCalls(WebhookCalls {
            webhook: WebhookName::new("push").unwrap(),
            created: Timestamp(1),
            triggered: Some(Timestamp(2)),
            error: Some(WebhookError { code: "InvalidSignature".into(), message: TEXTS[1].into(), at: Timestamp(3) }),
        }),
        Entity::Delivery(Delivery { receiver: "push#1".into(), id: "ab".repeat(32), received: Timestamp(2) }),
        Entity::RuleOutcome(RuleOutcome {
            pipeline: name("release"),
            incarnation: incarnation(1),
            rule: "team".into(),
            number: 7,
            run: 3,
            failed: true,
            at: Timestamp(4),
        }),
        Entity::Notice(Notice {
            pipeline: name("release"),
            incarnation: incarnation(1),
            id: "ab".repeat(32),
            until: Timestamp(5),
            sent: Some(Timestamp(4)),
        }),
    ]
}
