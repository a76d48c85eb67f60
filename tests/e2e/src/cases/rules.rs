//! Rules that look at alarms and at the clock.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use aws_sdk_cloudwatch::types::{ComparisonOperator, StateValue, Statistic};
use aws_sdk_codepipeline::types::{
    ConditionExecutionStatus, ConditionType, RuleExecution, RuleExecutionStatus, StageState,
};
use local::HOME;
use serde_json::{Value, json};

use super::conditions::{FILES, condition, ends, rules};
use crate::case::Case;
use crate::check::deployed;
use crate::declare::Action;
use crate::pipeline::Pipeline;
use crate::wait::{PATIENCE, until};

/// An alarm over a metric that has no data, so that it stays in the state in which it is put.
pub(super) async fn alarm(case: &Case, purpose: &str, state: StateValue) -> Result<String> {
    let name = case.named(purpose);
    let put = case.cloudwatch.put_metric_alarm().alarm_name(&name).namespace("E2E").metric_name(purpose);
    let put = put.statistic(Statistic::Sum).period(86_400).evaluation_periods(1).threshold(1.0);
    let put = put.comparison_operator(ComparisonOperator::GreaterThanOrEqualToThreshold).treat_missing_data("ignore");
    put.send().await.with_context(|| format!("cannot make the alarm {name}"))?;
    set(case, &name, state).await?;
    Ok(name)
}

/// Puts an alarm into a state.
async fn set(case: &Case, alarm: &str, state: StateValue) -> Result<()> {
    let set = case.cloudwatch.set_alarm_state().alarm_name(alarm).state_value(state).state_reason("the test says so");
    set.send().await.with_context(|| format!("cannot set the state of the alarm {alarm}"))?;
    Ok(())
}

/// The latest execution of a rule of a stage, as `GetPipelineState` shows it.
fn latest(stage: &StageState, rule: &str) -> Option<RuleExecution> {
    let conditions = [stage.before_entry_condition_state(), stage.on_success_condition_state()].into_iter().flatten();
    let mut rules = conditions.flat_map(|it| it.condition_states()).flat_map(|it| it.rule_states());
    rules.find(|it| it.rule_name() == Some(rule)).and_then(|it| it.latest_execution()).cloned()
}

/// Waits until a rule waits and says so with these words, which the execution's summary repeats; returns that.
async fn until_waiting(pipeline: &Pipeline, id: &str, stage: &str, rule: &str, words: &str) -> Result<String> {
    let waits = |it: &RuleExecution| {
        it.status() == Some(&RuleExecutionStatus::InProgress) && it.summary().is_some_and(|it| it.contains(words))
    };
    until(
        PATIENCE,
        || format!("rule {rule} of {}, or its execution, does not wait with the words {words:?}", pipeline.name),
        || async {
            let waiting = latest(&pipeline.stage(stage).await?, rule).is_some_and(|it| waits(&it));
            let why = pipeline.execution(id).await?.status_summary.unwrap_or_default();
            Ok((waiting && why.contains(words)).then_some(why))
        },
    )
    .await
}

/// An alarm keeps an execution out of a stage; another one that goes off while it is watched ends a stage that succeeded.
pub async fn alarms_of_conditions(case: &Arc<Case>) -> Result<()> {
    let errors = alarm(case, "errors", StateValue::Alarm).await?;
    let latency = alarm(case, "latency", StateValue::Ok).await?;
    let target = case.bucket(HOME, "target").await?;
    let quiet = condition("FAIL", "Quiet", "CloudWatchAlarm", &json!({"AlarmName": errors}), &[]);
    let healthy = json!({"AlarmName": latency, "AlarmStates": "OK", "WaitTime": "10"});
    let healthy = condition("FAIL", "Healthy", "CloudWatchAlarm", &healthy, &[]);
    let draft = case.draft("alarms").source().await?.stage("Deploy", [Action::unpack("Unpack", &target)]);
    let pipeline = draft.with("beforeEntry", quiet).with("onSuccess", healthy).create().await?;
    let first = pipeline.first().await?;
    pipeline.ends(&first, "Failed").await?;
    deployed(case, HOME, &target, &[]).await?;
    let stage = pipeline.stage("Deploy").await?;
    let state = stage.before_entry_condition_state().and_then(|it| it.latest_execution()).context("no condition")?;
    assert_eq!(state.status(), Some(&ConditionExecutionStatus::Failed));
    let rule = latest(&stage, "Quiet").context("the rule did not run")?;
    let why = rule.error_details().and_then(|it| it.message()).unwrap_or_default();
    assert!(why.contains(&errors) && why.contains("in state ALARM"), "{why}");
    let arn = rule.external_execution_id().unwrap_or_default();
    assert!(arn.starts_with("arn:aws:cloudwatch:") && arn.ends_with(&format!(":alarm:{errors}")), "{arn}");

    set(case, &errors, StateValue::Ok).await?;
    let second = pipeline.start().await?;
    let watched = format!("The alarm {latency} is in state OK; is watched until the end of WaitTime");
    let why = until_waiting(&pipeline, &second, "Deploy", "Healthy", &watched).await?;
    assert!(why.contains("Before stage Deploy is left, rule Healthy"), "{why}");
    deployed(case, HOME, &target, FILES).await?;
    let rule = latest(&pipeline.stage("Deploy").await?, "Quiet").context("the rule did not run")?;
    assert_eq!(rule.summary(), Some(format!("The alarm {errors} is in state OK").as_str()));
    set(case, &latency, StateValue::Alarm).await?;
    pipeline.ends(&second, "Failed").await?;
    let rule = latest(&pipeline.stage("Deploy").await?, "Healthy").context("the rule did not run")?;
    let why = rule.error_details().and_then(|it| it.message()).unwrap_or_default();
    assert!(why.contains(&latency) && why.contains("in state ALARM"), "{why}");
    assert_eq!(ends(&rules(case, &pipeline, &first).await?), [("Quiet", "Failed")]);
    assert_eq!(ends(&rules(case, &pipeline, &second).await?), [("Healthy", "Failed"), ("Quiet", "Succeeded")]);
    Ok(())
}

/// Hours and minutes from UTC are such that a window of two hours there is never open in UTC at the same time.
const ZONE: (&str, &str, u64) = ("Asia/Kolkata", "UTC+05:30", 5 * 60 + 30);

/// The hour in that zone.
fn hour() -> Result<u64> {
    let minutes = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() / 60;
    Ok((minutes + ZONE.2) / 60 % 24)
}

/// Whether the zone's clock shows such a time.
fn window(rule: &str, cron: &str) -> Value {
    condition("FAIL", rule, "DeploymentWindow", &json!({"Cron": cron, "TimeZone": ZONE.0}), &[])
}

/// A stage whose window is open is entered; in front of another, which opens in half a day, the execution waits until
/// somebody overrides the condition.
pub async fn windows_of_conditions(case: &Arc<Case>) -> Result<()> {
    let target = case.bucket(HOME, "target").await?;
    let hour = hour()?;
    let (next, later) = ((hour + 1) % 24, (hour + 12) % 24);
    let draft = case.draft("windows").source().await?;
    let draft = draft.stage("Day", [Action::archive("Archive", &target, "day.zip")]);
    let draft = draft.with("beforeEntry", window("Open", &format!("* * {hour},{next} * * ?")));
    let draft = draft.stage("Night", [Action::archive("Late", &target, "night.zip")]);
    let pipeline = draft.with("beforeEntry", window("Closed", &format!("0 0 {later} * * ?"))).create().await?;
    let id = pipeline.first().await?;

    let opening = format!(" {later:02}:00 ({})", ZONE.1);
    let why = until_waiting(&pipeline, &id, "Night", "Closed", &opening).await?;
    assert!(why.contains("Before stage Night is entered, rule Closed"), "{why}");
    assert!(why.contains("Waits for the deployment window, which opens at"), "{why}");
    let open = latest(&pipeline.stage("Day").await?, "Open").context("the rule did not run")?;
    let since = open.summary().unwrap_or_default();
    assert!(since.contains("is open since") && since.ends_with(&format!("({})", ZONE.1)), "{since}");
    deployed(case, HOME, &target, &["day.zip"]).await?;

    let overrule = case.pipelines.override_stage_condition().pipeline_name(&pipeline.name).stage_name("Night");
    overrule.pipeline_execution_id(&id).condition_type(ConditionType::BeforeEntry).send().await?;
    pipeline.ends(&id, "Succeeded").await?;
    deployed(case, HOME, &target, &["day.zip", "night.zip"]).await?;
    let stage = pipeline.stage("Night").await?;
    let state = stage.before_entry_condition_state().and_then(|it| it.latest_execution()).context("no condition")?;
    assert_eq!(state.status(), Some(&ConditionExecutionStatus::Overridden));
    assert_eq!(ends(&rules(case, &pipeline, &id).await?), [("Closed", "Abandoned"), ("Open", "Succeeded")]);
    Ok(())
}
