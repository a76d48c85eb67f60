//! State-change events, member by member as AWS sends them. Source of their form: CodePipeline user guide, 'Monitoring
//! CodePipeline events'. What it calls additional attributes is in the messages of notification rules, not on the event bus.

use std::collections::BTreeMap;

use engine::{ActionRun, Artifact, Execution, StageRun, Timestamp};
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
    /// The pipeline's ARN, the one entry of the event's `resources`.
    pub resource: String,
    /// When the change was committed.
    pub time: Timestamp,
    /// The event's detail, with the members that AWS documents.
    pub detail: Value,
    /// Whether an action waits for what it tells: then the installation's own functions hear of it too.
    pub awaited: bool,
}

/// What an event tells beside the item that changed.
#[derive(Clone, Copy, Debug)]
pub struct EventBuilder<'a> {
    /// The execution that changed, or to which the stage attempt belongs.
    pub execution: &'a Execution,
    /// Its version of the pipeline; only events of actions need it.
    pub pipeline: Option<&'a Pipeline>,
    /// The pipeline's ARN.
    pub arn: &'a str,
    /// The region in which pipelines live.
    pub home: &'a str,
    /// Artifacts made so far, as far as they are known: those that are not are named without their place.
    pub artifacts: &'a BTreeMap<ArtifactName, Artifact>,
}

impl EventBuilder<'_> {
    /// The event of an execution's change.
    pub fn of_execution(&self, state: State) -> StateChange {
        let execution = self.execution;
        let mut detail = json!({
            "pipeline": execution.pipeline,
            "execution-id": execution.id,
            "start-time": exact(execution.started),
            "state": state.as_str(),
            "version": number(execution.version),
            "pipeline-execution-attempt": number(execution.attempts.iter().copied().max().unwrap_or(1).max(1)),
        });
        if state == State::Started {
            detail["execution-trigger"] =
                json!({"trigger-type": execution.trigger.kind, "trigger-detail": execution.trigger.detail});
        }
        let reason =
            execution.stop.as_ref().and_then(|stop| stop.reason.as_deref()).filter(|reason| !reason.is_empty());
        if let Some(reason) = reason.filter(|_| state == State::Stopping) {
            detail["stop-execution-comments"] = reason.into();
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
            "stage": run.name,
            "state": state.as_str(),
            "version": number(self.execution.version),
            "pipeline-execution-attempt": number(run.attempt),
        });
        if state != State::Resumed {
            detail["start-time"] = exact(run.started).into();
        }
        if run.attempt > 1 {
            detail["stage-last-retry-attempt-time"] = exact(run.started).into();
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
            if matches!(state, State::Started | State::Succeeded) {
                self.inputs(declared, &mut detail);
            }
        }
        if state == State::Succeeded && !action.outputs.is_empty() {
            detail["output-artifacts"] = action.outputs.iter().map(|made| place(&made.name, Some(made))).collect();
        }
        if !matches!(state, State::Abandoned | State::Canceled) {
            detail["start-time"] = exact(action.requested.unwrap_or(run.started)).into();
        }
        let ended = matches!(state, State::Succeeded | State::Failed);
        if let Some(result) = result(action).filter(|_| ended) {
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
        StateChange { detail_type, resource: self.arn.to_owned(), time, detail, awaited: false }
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

#[cfg(test)]
mod tests;
