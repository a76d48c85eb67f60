//! State changes on the event bus, as a user's own rule gets them.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use aws_sdk_eventbridge::types::Target;
use local::HOME;
use serde_json::{Value, json};

use crate::case::Case;
use crate::declare::Action;
use crate::wait::{PATIENCE, until};

/// The URL of a queue into which a rule puts the state changes of a pipeline.
pub(super) async fn told(case: &Case, pipeline: &str) -> Result<String> {
    let (queue, arn) = case.queue("events").await?;
    let rule = case.named("rule");
    let pattern = json!({"source": ["millrace"], "detail": {"pipeline": [pipeline]}}).to_string();
    case.events.put_rule().name(&rule).event_pattern(pattern).send().await?;
    let target = Target::builder().id("queue").arn(arn).build()?;
    case.events.put_targets().rule(&rule).targets(target).send().await?;
    Ok(queue)
}

/// What a state change tells: of a pipeline, a stage or an action, which of them, and its new state.
pub(super) fn summary(event: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let kind = text(&event["detail-type"]).replace("CodePipeline ", "").replace(" Execution State Change", "");
    let detail = &event["detail"];
    let place = if kind == "Action" { text(&detail["action"]) } else { text(&detail["stage"]) };
    format!("{kind} {place} {}", text(&detail["state"]))
}

pub async fn state_changes(case: &Arc<Case>) -> Result<()> {
    let nowhere = case.named("nowhere");
    let draft = case.draft("told").source().await?;
    let draft = draft.stage("Test", [Action::machine("Try", case.machine(HOME, "echo")?, "{}")]);
    let draft = draft.stage("Deploy", [Action::unpack("Unpack", &nowhere)]);
    let name = draft.handle().name;

    let queue = told(case, &name).await?;
    let pipeline = draft.create().await?;
    let execution = pipeline.first().await?;
    pipeline.ends(&execution, "Failed").await?;

    let events: Mutex<Vec<Value>> = Mutex::default();
    let last = |event: &Value| {
        event["detail-type"] == "CodePipeline Pipeline Execution State Change" && event["detail"]["state"] == "FAILED"
    };
    until(
        PATIENCE,
        || "no event tells that the pipeline failed".to_owned(),
        || async {
            for body in case.receive(&queue).await? {
                let event = serde_json::from_str(&body)?;
                events.lock().unwrap_or_else(PoisonError::into_inner).push(event);
            }
            Ok(events.lock().unwrap_or_else(PoisonError::into_inner).iter().any(last).then_some(()))
        },
    )
    .await?;
    // A queue keeps no order: give the others a moment.
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let mut events = events.into_inner().unwrap_or_else(PoisonError::into_inner);
    for body in case.receive(&queue).await? {
        events.push(serde_json::from_str(&body)?);
    }

    let told: BTreeSet<String> = events.iter().map(summary).collect();
    let expected = [
        "Pipeline  STARTED",
        "Stage Source STARTED",
        "Action Fetch STARTED",
        "Action Fetch SUCCEEDED",
        "Stage Source SUCCEEDED",
        "Stage Test STARTED",
        "Action Try STARTED",
        "Action Try SUCCEEDED",
        "Stage Test SUCCEEDED",
        "Stage Deploy STARTED",
        "Action Unpack STARTED",
        "Action Unpack FAILED",
        "Stage Deploy FAILED",
        "Pipeline  FAILED",
    ];
    assert_eq!(told, expected.map(str::to_owned).into());

    for event in &events {
        assert_eq!(event["source"], "millrace");
        assert_eq!(event["region"], HOME);
        assert_eq!(event["account"], local::ACCOUNT);
        let arn = format!("arn:aws:codepipeline:{HOME}:{}:{name}", local::ACCOUNT);
        assert_eq!(event["resources"], json!([arn]));
        assert_eq!(event["detail"]["execution-id"], execution.as_str());
        assert_eq!(event["detail"]["version"], 1.0);
    }
    let failed =
        |kind: &str| events.iter().find(|event| summary(event).starts_with(kind) && summary(event).ends_with("FAILED"));
    let action = &failed("Action").map_or(&Value::Null, |event| &event["detail"]);
    let reason = action["execution-result"]["external-execution-summary"].as_str().unwrap_or_default();
    assert!(reason.contains(&nowhere), "the action's event does not say why: {action}");
    assert_eq!(action["type"], json!({"owner": "AWS", "category": "Deploy", "provider": "S3", "version": "1"}));
    let whole = &failed("Pipeline").map_or(&Value::Null, |event| &event["detail"]);
    assert_eq!(whole["pipeline"], name.as_str(), "{whole}");
    Ok(())
}
