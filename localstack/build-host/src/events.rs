//! State changes on the default event bus. Source: CodeBuild user guide, 'Build notifications input format reference'.
//!
//! On AWS nobody but AWS may send events whose source begins with `aws.`. MiniStack refuses them as AWS does
//! (NotAuthorizedForSourceException, seen with 1.5.33); LocalStack's events service has no such rule. A build whose first
//! event is refused sends no more and goes on without: whoever waits for a build polls as well.

use std::sync::atomic::{AtomicBool, Ordering};

use artifacts::chain;
use aws_sdk_codebuild::primitives::{DateTime, DateTimeFormat};
use aws_sdk_codebuild::types::{Build, BuildPhase};
use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use serde_json::{Value, json};

const SOURCE: &str = "aws.codebuild";

fn time(at: Option<DateTime>) -> Option<String> {
    at.and_then(|it| it.fmt(DateTimeFormat::DateTime).ok())
}

/// What both kinds of event say of a build.
fn about(build: &Build) -> Value {
    let logs = build.logs.as_ref();
    json!({
        "project-name": build.project_name,
        "build-id": build.arn,
        "version": "1",
        "additional-information": {
            "build-complete": build.build_complete,
            "build-number": build.build_number,
            "build-start-time": time(build.start_time),
            "initiator": build.initiator,
            "source-version": build.source_version,
            "timeout-in-minutes": build.timeout_in_minutes,
            "logs": {
                "group-name": logs.and_then(|it| it.group_name.as_ref()),
                "stream-name": logs.and_then(|it| it.stream_name.as_ref()),
            },
        },
    })
}

fn state_change(build: &Build) -> Value {
    let mut detail = about(build);
    detail["build-status"] = json!(build.build_status.as_ref().map(|it| it.as_str()));
    detail["current-phase"] = json!(build.current_phase);
    detail
}

fn phase_change(build: &Build, phase: &BuildPhase) -> Value {
    let mut detail = about(build);
    detail["completed-phase"] = json!(phase.phase_type.as_ref().map(|it| it.as_str()));
    detail["completed-phase-status"] = json!(phase.phase_status.as_ref().map(|it| it.as_str()));
    detail["completed-phase-start"] = json!(time(phase.start_time));
    detail["completed-phase-end"] = json!(time(phase.end_time));
    detail["completed-phase-duration-seconds"] = json!(phase.duration_in_seconds);
    let contexts = phase.contexts.iter().flatten();
    let contexts: Vec<_> = contexts
        .map(|it| {
            let (code, message) = (it.status_code.as_deref(), it.message.as_deref());
            format!("{}: {}", code.unwrap_or_default(), message.unwrap_or_default())
        })
        .collect();
    detail["completed-phase-context"] = json!(format!("[{}]", contexts.join(", ")));
    detail
}

/// The events of one build.
#[derive(Debug)]
pub(crate) struct Events {
    client: Client,
    refused: AtomicBool,
}

impl Events {
    pub(crate) fn new(client: Client) -> Self {
        Self { client, refused: AtomicBool::new(false) }
    }

    /// Sends `CodeBuild Build State Change`.
    pub(crate) async fn state_change(&self, build: &Build) {
        self.send("CodeBuild Build State Change", build, state_change(build)).await;
    }

    /// Sends `CodeBuild Build Phase Change`.
    pub(crate) async fn phase_change(&self, build: &Build, phase: &BuildPhase) {
        self.send("CodeBuild Build Phase Change", build, phase_change(build, phase)).await;
    }

    async fn send(&self, kind: &str, build: &Build, detail: Value) {
        if self.refused.load(Ordering::Relaxed) {
            return;
        }
        let entry = PutEventsRequestEntry::builder()
            .source(SOURCE)
            .detail_type(kind)
            .set_resources(build.arn.clone().map(|arn| vec![arn]))
            .detail(detail.to_string())
            .build();
        match self.client.put_events().entries(entry).send().await {
            Ok(sent) if sent.failed_entry_count == 0 => return,
            Ok(sent) => tracing::debug!(entries = ?sent.entries, "the emulator does not take CodeBuild's events"),
            Err(error) => tracing::info!(error = chain(&error), "no events are sent for this build"),
        }
        self.refused.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_codebuild::types::{BuildPhaseType, PhaseContext, StatusType};

    #[test]
    fn details_have_codebuilds_members() {
        let build = Build::builder().project_name("app").arn("arn:aws:codebuild:eu-west-1:0:build/app:1");
        let build = build.build_status(StatusType::Failed).current_phase("COMPLETED").build();
        let state = state_change(&build);
        assert_eq!((&state["build-status"], &state["current-phase"]), (&json!("FAILED"), &json!("COMPLETED")));
        assert_eq!((&state["project-name"], &state["build-id"]), (&json!("app"), &json!(build.arn)));
        let context = PhaseContext::builder().status_code("CODE").message("why").build();
        let phase = BuildPhase::builder().phase_type(BuildPhaseType::Build).phase_status(StatusType::Failed);
        let phase = phase.start_time(DateTime::from_secs(0)).contexts(context).build();
        let change = phase_change(&build, &phase);
        assert_eq!(
            (&change["completed-phase"], &change["completed-phase-status"]),
            (&json!("BUILD"), &json!("FAILED"))
        );
        assert_eq!(change["completed-phase-context"], "[CODE: why]");
        assert_eq!(change["completed-phase-start"], "1970-01-01T00:00:00Z");
    }
}
