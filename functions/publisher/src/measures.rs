//! What changes tell of an installation as a whole. A batch that comes again is counted again.

use engine::ActionStatus;
use notify::StateChange;
use runtime::{Metrics, Unit};
use serde_json::Value;
use store::Entity;

/// Counts executions by their states, and failed actions by their providers, and how long both took.
pub fn of_event(event: &StateChange, metrics: &mut Metrics) {
    let state = event.detail["state"].as_str().unwrap_or_default();
    let began = event.detail["start-time"].as_str().and_then(|time| time.parse::<jiff::Timestamp>().ok());
    let took = began.map(|began| event.time.0.saturating_sub(began.as_millisecond()).max(0) as f64);
    let ended = took.filter(|_| matches!(state, "SUCCEEDED" | "FAILED"));
    match event.detail_type {
        "CodePipeline Pipeline Execution State Change" => {
            metrics.add_by(("State", state), "Executions", Unit::Count, 1.0);
            if let Some(took) = ended {
                metrics.add_by(("State", state), "ExecutionTime", Unit::Milliseconds, took);
            }
        }
        "CodePipeline Action Execution State Change" => {
            let provider = ("Provider", provider(&event.detail["type"]));
            if state == "FAILED" {
                metrics.add_by(provider, "ActionFailures", Unit::Count, 1.0);
            }
            if let Some(took) = ended {
                metrics.add_by(provider, "ActionTime", Unit::Milliseconds, took);
            }
        }
        _ => {}
    }
}

/// How long actions waited, from their turn until a worker took them up for the first time. In this installation the turn comes in
/// the write in which the action before ended, so it is also the gap between two actions.
pub fn of_change((old, new): &(Option<Entity>, Entity), metrics: &mut Metrics) {
    let Entity::Stage(new) = new else { return };
    let old = if let Some(Entity::Stage(old)) = old { Some(old) } else { None };
    for (index, run) in new.actions.iter().enumerate() {
        let claims = old.and_then(|old| old.actions.get(index)).map_or(0, |before| before.claims);
        let claimed = matches!(run.status, ActionStatus::Claimed { .. }) && claims == 0 && run.claims > 0;
        if let (Some(requested), Some(updated), true) = (run.requested, run.updated, claimed) {
            metrics.add("ActionWait", Unit::Milliseconds, updated.since(requested).max(0) as f64);
        }
    }
}

/// The provider of an action's type. An account's own types, and third parties', are as many as somebody makes: each kind is one.
fn provider(of: &Value) -> &str {
    match of["owner"].as_str() {
        Some("AWS") => of["provider"].as_str().unwrap_or_default(),
        owner => owner.unwrap_or("unknown"),
    }
}

#[cfg(test)]
mod tests {
    use engine::{Timestamp, WorkerId};
    use runtime::Settings;
    use serde_json::json;
    use testkit::samples::stage_run;
    use uuid::Uuid;

    use super::*;

    fn metrics() -> Metrics {
        let environment = |name| match name {
            "AWS_REGION" => Some("eu-west-1".into()),
            "MILLRACE_INSTALLATION" => Some("millrace".into()),
            _ => None,
        };
        Metrics::new(&Settings::read(environment).unwrap()).unwrap()
    }

    /// What is written, without what makes it a metric.
    fn written(metrics: &mut Metrics) -> Vec<Value> {
        let line = |line: &String| {
            let mut line: Value = serde_json::from_str(line).unwrap();
            let members = line.as_object_mut().unwrap();
            members.remove("_aws");
            members.remove("Installation");
            line
        };
        metrics.lines().iter().map(line).collect()
    }

    fn event(kind: &str, detail: Value) -> StateChange {
        let detail_type = match kind {
            "execution" => "CodePipeline Pipeline Execution State Change",
            "stage" => "CodePipeline Stage Execution State Change",
            _ => "CodePipeline Action Execution State Change",
        };
        let time = Timestamp(1_795_441_779_208);
        StateChange { detail_type, resource: String::new(), time, detail, awaited: false }
    }

    #[test]
    fn executions_are_counted_by_state_and_actions_by_provider_and_nothing_by_pipeline() {
        let began = "2026-11-23T13:49:39.108Z";
        let mut metrics = metrics();
        let of = |owner: &str, provider: &str| json!({"owner": owner, "provider": provider});
        for (kind, detail) in [
            ("execution", json!({"pipeline": "a", "state": "STARTED", "start-time": began})),
            ("execution", json!({"pipeline": "a", "state": "FAILED", "start-time": began})),
            ("execution", json!({"pipeline": "b", "state": "SUPERSEDED", "start-time": began})),
            ("stage", json!({"pipeline": "a", "state": "FAILED", "start-time": began})),
            ("action", json!({"pipeline": "a", "state": "STARTED", "type": of("AWS", "S3"), "start-time": began})),
            ("action", json!({"pipeline": "a", "state": "FAILED", "type": of("AWS", "S3"), "start-time": began})),
            (
                "action",
                json!({"pipeline": "a", "state": "SUCCEEDED", "type": of("Custom", "Ours"), "start-time": began}),
            ),
            ("action", json!({"pipeline": "a", "state": "CANCELED", "type": of("ThirdParty", "Theirs")})),
        ] {
            of_event(&event(kind, detail), &mut metrics);
        }
        let expected = [
            json!({"Provider": "Custom", "ActionTime": [100.0]}),
            json!({"Provider": "S3", "ActionFailures": [1.0], "ActionTime": [100.0]}),
            json!({"State": "FAILED", "Executions": [1.0], "ExecutionTime": [100.0]}),
            json!({"State": "STARTED", "Executions": [1.0]}),
            json!({"State": "SUPERSEDED", "Executions": [1.0]}),
        ];
        assert_eq!(written(&mut metrics), expected);
    }

    #[test]
    fn a_wait_ends_when_a_worker_takes_the_action_up_for_the_first_time() {
        let mut requested = stage_run();
        requested.actions[0].status = ActionStatus::Requested;
        requested.actions[0].requested = Some(Timestamp(1_000));
        requested.actions[0].updated = Some(Timestamp(1_000));
        let mut claimed = requested.clone();
        claimed.actions[0].status =
            ActionStatus::Claimed { worker: WorkerId(Uuid::from_u128(1)), until: Timestamp(9_000) };
        claimed.actions[0].claims = 1;
        claimed.actions[0].updated = Some(Timestamp(1_042));
        let mut again = claimed.clone();
        again.actions[0].claims = 2;
        again.actions[0].updated = Some(Timestamp(9_500));
        let mut metrics = metrics();
        let [requested, claimed, again] = [requested, claimed, again].map(Entity::Stage);
        of_change(&(None, requested.clone()), &mut metrics);
        of_change(&(Some(requested), claimed.clone()), &mut metrics);
        of_change(&(Some(claimed), again), &mut metrics);
        assert_eq!(written(&mut metrics), [json!({"ActionWait": [42.0]})]);
    }
}
