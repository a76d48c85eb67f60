//! What the table holds of an execution, for tests of what is told of it.

use std::collections::BTreeMap;

use engine::{
    ActionError, ActionRun, ActionStatus, Execution, ExecutionId, ExecutionStatus, External, Incarnation, Position,
    StageRun, StageStatus, Timestamp, Trigger,
};
use pipeline::{ActionName, ExecutionMode, PipelineName, StageName};
use uuid::Uuid;

/// When [`execution`] started.
pub const START: Timestamp = Timestamp(1_795_441_779_208);
/// When the action of [`execution`] failed.
pub const END: Timestamp = Timestamp(1_795_441_869_981);

/// An execution of the domain's example `release` that is in its second stage.
pub fn execution() -> Execution {
    Execution {
        id: ExecutionId::from_random(Uuid::from_u128(0x12345678_1234_5678_abcd_12345678abcd)),
        pipeline: PipelineName::new("release").unwrap(),
        incarnation: Incarnation(Uuid::from_u128(1)),
        version: 3,
        number: 1,
        mode: ExecutionMode::Superseded,
        status: ExecutionStatus::InProgress,
        summary: None,
        trigger: Trigger { kind: "CloudWatchEvent".into(), detail: "arn:aws:events:rule".into() },
        variables: BTreeMap::new(),
        overrides: vec![],
        revisions: vec![],
        started: START,
        updated: END,
        position: Position::In(1),
        attempts: vec![1, 1],
        stop: None,
        rollback: None,
    }
}

/// The stage `Deploy` of the example pipeline, its action just failed.
pub fn stage_run() -> StageRun {
    StageRun {
        execution: execution().id,
        pipeline: PipelineName::new("release").unwrap(),
        stage: 1,
        name: StageName::new("Deploy").unwrap(),
        attempt: 1,
        status: StageStatus::Failed,
        started: START.plus(1_000),
        updated: END,
        actions: vec![ActionRun {
            status: ActionStatus::Failed,
            requested: Some(START.plus(2_000)),
            updated: Some(END),
            external: Some(External { id: "deploy-7".into(), url: Some("https://example.com/7".into()) }),
            summary: Some("working".into()),
            error: Some(ActionError { code: "JobFailed".into(), message: "no such bucket: site-bucket".into() }),
            ..ActionRun::pending(ActionName::new("Publish").unwrap())
        }],
        conditions: vec![],
        retries: engine::Retries::default(),
        rolls_back: false,
    }
}
