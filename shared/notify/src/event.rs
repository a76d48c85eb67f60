//! State-change events. Source of their form: CodePipeline user guide, 'Monitoring CodePipeline events'.

use std::collections::BTreeMap;

use engine::{ActionRun, ActionStatus, Artifact, Execution, StageRun, Timestamp};
use pipeline::{Action, ArtifactName, Pipeline};
use serde_json::{Value, json};

use crate::changes::{StageChange, State};
use crate::time::exact;

/// A summary in an event is cut to this many characters, so that an event stays far below EventBridge's limit.
const SUMMARY_MOST: usize = 4_000;

/// An event to be published.
#[derive(Clone, Debug, PartialEq)]
pub struct StateChange {
    /// One of CodePipeline's three detail types.
    pub detail_type: &'static str,
    /// The pipeline's ARN.
    pub resource: String,
    /// When it happened.
    pub time: Timestamp,
    /// The detail.
    pub detail: Value,
}

/// What an event tells beside the item that changed.
#[derive(Clone, Copy, Debug)]
pub struct EventBuilder<'a> {
    /// The execution.
    pub execution: &'a Execution,
    /// Its version of the pipeline; only events of actions need it.
    pub pipeline: Option<&'a Pipeline>,
    /// The pipeline's ARN.
    pub arn: &'a str,
    /// The region in which pipelines live.
    pub home: &'a str,
    /// Artifacts made so far, as far as they are known: those that are not are named without their place.
    pub artifacts: &'a BTreeMap<ArtifactName, Artifact>,
    /// The stage attempt that failed, where one did.
    pub failed: Option<&'a StageRun>,
}

impl EventBuilder<'_> {
    /// The event of an execution's change.
    pub fn of_execution(&self, state: State) -> StateChange {
        let execution = self.execution;
        let mut detail = json!({
            "pipeline": execution.pipeline,
            "execution-id": execution.id,
            "start-time": exact(execution.started),
            "execution-trigger": {
                "trigger-type": execution.trigger.kind,
                "trigger-detail": execution.trigger.detail,
            },
            "state": state.as_str(),
            "version": number(execution.version),
            "pipeline-execution-attempt": number(execution.attempts.iter().copied().max().unwrap_or(1).max(1)),
        });
        if state == State::Failed
            && let Some(stage) = self.failed
        {
            detail["additionalAttributes"] = failure(stage);
        }
        let time = if state == State::Started { execution.started } else { execution.updated };
        self.event("CodePipeline Pipeline Execution State Change", time, detail)
    }

    /// The event of a change in a stage attempt of the execution.
    pub fn of_stage(&self, run: &StageRun, change: &StageChange) -> StateChange {
        match change {
            StageChange::Stage(state) => self.stage(run, *state),
            StageChange::Action(index, state) => self.action(run, *index, *state),
        }
    }

    fn stage(&self, run: &StageRun, state: State) -> StateChange {
        let mut detail = json!({
            "pipeline": run.pipeline,
            "execution-id": run.execution,
            "start-time": exact(run.started),
            "stage": run.name,
            "state": state.as_str(),
            "version": number(self.execution.version),
            "pipeline-execution-attempt": number(run.attempt),
        });
        if run.attempt > 1 {
            detail["stage-last-retry-attempt-time"] = exact(run.started).into();
        }
        if state == State::Failed {
            detail["additionalAttributes"] = failure(run);
        }
        let began = matches!(state, State::Started | State::Resumed);
        let time = if began { run.started } else { run.updated };
        self.event("CodePipeline Stage Execution State Change", time, detail)
    }

    fn action(&self, run: &StageRun, index: usize, state: State) -> StateChange {
        let Some(action) = run.actions.get(index) else {
            // Indices come from the same item.
            return self.stage(run, state);
        };
        let mut detail = json!({
            "pipeline": run.pipeline,
            "execution-id": run.execution,
            "start-time": exact(action.requested.unwrap_or(run.started)),
            "stage": run.name,
            "action-execution-id": run.action_id(index).first_turn(),
            "action": action.name,
            "state": state.as_str(),
            "version": number(self.execution.version),
            "pipeline-execution-attempt": number(run.attempt),
        });
        let stage = self.pipeline.and_then(|pipeline| pipeline.stages().get(run.stage));
        let declared = stage.and_then(|stage| stage.actions.get(index));
        if let Some(declared) = declared {
            detail["region"] = declared.region.as_ref().map_or(self.home, |region| region.as_str()).into();
            detail["type"] = json!({
                "owner": declared.type_id.owner.as_deref().unwrap_or("AWS"),
                "provider": declared.type_id.provider,
                "category": declared.type_id.category,
                "version": declared.type_id.version.as_deref().unwrap_or("1"),
            });
            self.inputs(declared, &mut detail);
        }
        if !action.outputs.is_empty() {
            detail["output-artifacts"] = action.outputs.iter().map(|made| place(&made.name, Some(made))).collect();
        }
        if let Some(result) = result(action).filter(|_| state != State::Started) {
            detail["execution-result"] = result;
        }
        let time = if state == State::Started { action.requested } else { action.updated };
        self.event("CodePipeline Action Execution State Change", time.unwrap_or(run.updated), detail)
    }

    fn inputs(&self, declared: &Action, detail: &mut Value) {
        if !declared.inputs.is_empty() {
            let known = |name: &ArtifactName| place(name, self.artifacts.get(name));
            detail["input-artifacts"] = declared.inputs.iter().map(known).collect();
        }
    }

    fn event(&self, detail_type: &'static str, time: Timestamp, detail: Value) -> StateChange {
        StateChange { detail_type, resource: self.arn.to_owned(), time, detail }
    }
}

/// AWS writes versions and attempts as `1.0`.
fn number(value: impl Into<f64>) -> Value {
    Value::from(value.into())
}

fn place(name: &ArtifactName, artifact: Option<&Artifact>) -> Value {
    match artifact {
        Some(artifact) => {
            json!({"name": name, "s3location": {"bucket": artifact.bucket, "key": artifact.key}})
        }
        None => json!({"name": name}),
    }
}

/// What the provider said of an action: `external-execution-id`, `-url`, `-summary`, and `error-code` where it failed.
fn result(action: &ActionRun) -> Option<Value> {
    let mut result = serde_json::Map::new();
    let mut put = |key: &str, value: Option<&str>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            result.insert(key.to_owned(), value.chars().take(SUMMARY_MOST).collect::<String>().into());
        }
    };
    let (external, revision) = (action.external.as_ref(), action.revision.as_ref());
    put("external-execution-id", external.map(|it| it.id.as_str()).or(revision.map(|it| it.id.as_str())));
    let url = external.and_then(|it| it.url.as_deref()).or(revision.and_then(|it| it.url.as_deref()));
    put("external-execution-url", url);
    let summary = action.summary.as_deref().or(revision.and_then(|it| it.summary.as_deref()));
    put("external-execution-summary", action.error.as_ref().map(|it| it.message.as_str()).or(summary));
    put("error-code", action.error.as_ref().map(|it| it.code.as_str()));
    (!result.is_empty()).then(|| result.into())
}

/// Which actions failed, and why, in the form that AWS's notification rules add to such events.
fn failure(stage: &StageRun) -> Value {
    let failed: Vec<Value> = stage
        .actions
        .iter()
        .filter(|action| action.status == ActionStatus::Failed)
        .map(|action| {
            let reason: String = action.error.iter().flat_map(|it| it.message.chars()).take(SUMMARY_MOST).collect();
            json!({"action": action.name, "additionalInformation": reason})
        })
        .collect();
    json!({"failedActionCount": failed.len(), "failedActions": failed, "failedStage": stage.name})
}

#[cfg(test)]
pub(crate) mod tests {
    use engine::{
        ActionError, ExecutionId, ExecutionStatus, External, Incarnation, Position, Revision, StageStatus, Trigger,
    };
    use pipeline::{ActionName, ExecutionMode, PipelineName, StageName};
    use uuid::Uuid;

    use super::*;

    const START: Timestamp = Timestamp(1_795_441_779_208);
    const END: Timestamp = Timestamp(1_795_441_869_981);

    pub(crate) fn execution() -> Execution {
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
    pub(crate) fn stage() -> StageRun {
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

    fn example() -> Pipeline {
        Pipeline::try_from(pipeline::testing::example()).unwrap()
    }

    fn app() -> BTreeMap<ArtifactName, Artifact> {
        let name = ArtifactName::new("App").unwrap();
        let artifact = Artifact {
            name: name.clone(),
            region: "eu-west-1".into(),
            bucket: "artifacts-bucket".into(),
            key: "release/App/x".into(),
        };
        BTreeMap::from([(name, artifact)])
    }

    fn with<T>(failed: Option<&StageRun>, tell: impl FnOnce(&EventBuilder<'_>) -> T) -> T {
        let (execution, pipeline, artifacts) = (execution(), example(), app());
        tell(&EventBuilder {
            execution: &execution,
            pipeline: Some(&pipeline),
            arn: "arn:aws:codepipeline:eu-west-1:123456789012:release",
            home: "eu-west-1",
            artifacts: &artifacts,
            failed,
        })
    }

    #[test]
    fn a_pipeline_event() {
        let event = with(None, |builder| builder.of_execution(State::Started));
        assert_eq!(event.detail_type, "CodePipeline Pipeline Execution State Change");
        assert_eq!(event.resource, "arn:aws:codepipeline:eu-west-1:123456789012:release");
        assert_eq!(event.time, START);
        let expected = r#"{"execution-id":"12345678-1234-8678-abcd-000000000000","execution-trigger":{"trigger-detail":"arn:aws:events:rule","trigger-type":"CloudWatchEvent"},"pipeline":"release","pipeline-execution-attempt":1.0,"start-time":"2026-11-23T13:49:39.208Z","state":"STARTED","version":3.0}"#;
        assert_eq!(event.detail.to_string(), expected);
    }

    #[test]
    fn a_failed_pipeline_names_stage_action_and_reason() {
        let stage = stage();
        let event = with(Some(&stage), |builder| builder.of_execution(State::Failed));
        assert_eq!(event.time, END);
        assert_eq!(event.detail["state"], "FAILED");
        let expected = json!({
            "failedActionCount": 1,
            "failedActions": [{"action": "Publish", "additionalInformation": "no such bucket: site-bucket"}],
            "failedStage": "Deploy",
        });
        assert_eq!(event.detail["additionalAttributes"], expected);
        let succeeded = with(Some(&stage), |builder| builder.of_execution(State::Succeeded));
        assert_eq!(succeeded.detail.get("additionalAttributes"), None);
    }

    #[test]
    fn a_stage_event() {
        let event = with(None, |builder| builder.of_stage(&stage(), &StageChange::Stage(State::Started)));
        assert_eq!(event.detail_type, "CodePipeline Stage Execution State Change");
        let expected = r#"{"execution-id":"12345678-1234-8678-abcd-000000000000","pipeline":"release","pipeline-execution-attempt":1.0,"stage":"Deploy","start-time":"2026-11-23T13:49:40.208Z","state":"STARTED","version":3.0}"#;
        assert_eq!(event.detail.to_string(), expected);
        let mut again = stage();
        again.attempt = 2;
        let event = with(None, |builder| builder.of_stage(&again, &StageChange::Stage(State::Resumed)));
        assert_eq!(event.detail["pipeline-execution-attempt"], 2.0);
        assert_eq!(event.detail["stage-last-retry-attempt-time"], "2026-11-23T13:49:40.208Z");
        let event = with(None, |builder| builder.of_stage(&stage(), &StageChange::Stage(State::Failed)));
        assert_eq!(event.detail["additionalAttributes"]["failedActions"][0]["action"], "Publish");
    }

    #[test]
    fn an_action_event_of_a_failure_has_its_reason() {
        let event = with(None, |builder| builder.of_stage(&stage(), &StageChange::Action(0, State::Failed)));
        assert_eq!(event.detail_type, "CodePipeline Action Execution State Change");
        assert_eq!(event.time, END);
        let expected = r#"{"action":"Publish","action-execution-id":"12345678-1234-8678-abcd-010000010000","execution-id":"12345678-1234-8678-abcd-000000000000","execution-result":{"error-code":"JobFailed","external-execution-id":"deploy-7","external-execution-summary":"no such bucket: site-bucket","external-execution-url":"https://example.com/7"},"input-artifacts":[{"name":"App","s3location":{"bucket":"artifacts-bucket","key":"release/App/x"}}],"pipeline":"release","pipeline-execution-attempt":1.0,"region":"eu-west-1","stage":"Deploy","start-time":"2026-11-23T13:49:41.208Z","state":"FAILED","type":{"category":"Deploy","owner":"AWS","provider":"S3","version":"1"},"version":3.0}"#;
        assert_eq!(event.detail.to_string(), expected);
    }

    #[test]
    fn an_action_event_of_a_start_has_no_result() {
        let event = with(None, |builder| builder.of_stage(&stage(), &StageChange::Action(0, State::Started)));
        assert_eq!(event.time, START.plus(2_000));
        assert_eq!(event.detail.get("execution-result"), None);
    }

    #[test]
    fn a_source_tells_its_revision_and_what_it_made() {
        let mut source = stage();
        source.stage = 0;
        source.name = StageName::new("Source").unwrap();
        let action = &mut source.actions[0];
        action.name = ActionName::new("Fetch").unwrap();
        (action.status, action.error, action.external, action.summary) = (ActionStatus::Succeeded, None, None, None);
        action.outputs = app().into_values().collect();
        action.revision = Some(Revision {
            id: "version-9".into(),
            summary: Some("Amazon S3 version id: version-9".into()),
            url: Some("https://example.com/9".into()),
            created: None,
        });
        let event = with(None, |builder| builder.of_stage(&source, &StageChange::Action(0, State::Succeeded)));
        assert_eq!(event.detail["type"]["category"], "Source");
        assert_eq!(event.detail["output-artifacts"][0]["s3location"]["bucket"], "artifacts-bucket");
        assert_eq!(event.detail.get("input-artifacts"), None);
        let result = &event.detail["execution-result"];
        assert_eq!(result["external-execution-id"], "version-9");
        assert_eq!(result["external-execution-summary"], "Amazon S3 version id: version-9");
        assert_eq!(result["external-execution-url"], "https://example.com/9");
        assert_eq!(result.get("error-code"), None);
    }

    #[test]
    fn a_long_reason_is_cut() {
        let mut long = stage();
        long.actions[0].error = Some(ActionError { code: "JobFailed".into(), message: "é".repeat(100_000) });
        let event = with(None, |builder| builder.of_stage(&long, &StageChange::Action(0, State::Failed)));
        assert!(event.detail.to_string().len() < 20_000);
    }
}
