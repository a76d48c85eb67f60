//! Conditions of stages: what their rules find, and what follows.

use std::sync::Arc;

use anyhow::{Context, Result};
use aws_sdk_codepipeline::types::{
    ConditionExecutionStatus, ConditionType, RuleExecutionDetail, RuleExecutionFilter, RuleExecutionStatus,
    StageExecutionStatus,
};
use local::HOME;
use serde_json::{Value, json};

use crate::case::Case;
use crate::check::deployed;
use crate::declare::{ARTIFACT, Action};
use crate::fixture::Fixture;
use crate::pipeline::Pipeline;
use crate::zips::SITE;

pub(super) const FILES: &[&str] = &["assets/app.js", "assets/site.css", "index.html"];

/// One condition with one rule.
pub(super) fn condition(result: &str, rule: &str, provider: &str, configuration: &Value, inputs: &[&str]) -> Value {
    let inputs: Vec<Value> = inputs.iter().map(|name| json!({"name": name})).collect();
    json!({"conditions": [{"result": result, "rules": [{
        "name": rule, "configuration": configuration, "inputArtifacts": inputs,
        "ruleTypeId": {"category": "Rule", "owner": "AWS", "provider": provider, "version": "1"},
    }]}]})
}

/// Whether the variable `go` says yes.
fn go(result: &str) -> Value {
    let compare = json!({"Variable": "#{variables.go}", "Operator": "EQ", "Value": "yes"});
    condition(result, "Go", "VariableCheck", &compare, &[])
}

/// Whether the sample function finds the file in the artifact.
fn holds(rule: &str, file: &str) -> Value {
    let function = json!({"FunctionName": Fixture::CHECK, "UserParameters": file});
    condition("FAIL", rule, "LambdaInvoke", &function, &[ARTIFACT])
}

/// Which rules ran in an execution, the newest first.
pub(super) async fn rules(case: &Case, pipeline: &Pipeline, execution: &str) -> Result<Vec<RuleExecutionDetail>> {
    let filter = RuleExecutionFilter::builder().pipeline_execution_id(execution).build();
    let listed = case.pipelines.list_rule_executions().pipeline_name(&pipeline.name).filter(filter).send().await?;
    Ok(listed.rule_execution_details.unwrap_or_default())
}

/// The names of rules and how they ended.
pub(super) fn ends(rules: &[RuleExecutionDetail]) -> Vec<(&str, &str)> {
    rules
        .iter()
        .map(|rule| (rule.rule_name().unwrap_or("-"), rule.status().map_or("-", RuleExecutionStatus::as_str)))
        .collect()
}

/// A condition that does not hold leaves its stage out; one that holds does not.
pub async fn skipped_by_condition(case: &Arc<Case>) -> Result<()> {
    let target = case.bucket(HOME, "target").await?;
    let draft = case.draft("skip").source().await?.variable("go", "no");
    let draft = draft.stage("Maybe", [Action::archive("Archive", &target, "maybe.zip")]);
    let draft = draft.with("beforeEntry", go("SKIP"));
    let pipeline = draft.stage("Deploy", [Action::archive("Archive", &target, "always.zip")]).create().await?;
    let first = pipeline.first().await?;
    pipeline.ends(&first, "Succeeded").await?;
    deployed(case, HOME, &target, &["always.zip"]).await?;
    let stage = pipeline.stage("Maybe").await?;
    assert_eq!(stage.latest_execution().map(|it| it.status()), Some(&StageExecutionStatus::Skipped));
    let ran = rules(case, &pipeline, &first).await?;
    assert_eq!(ends(&ran), [("Go", "Failed")]);
    let input = ran[0].input().context("no input")?;
    let value =
        |all: Option<&std::collections::HashMap<String, String>>| all.and_then(|it| it.get("Variable")).cloned();
    assert_eq!(value(input.configuration()).as_deref(), Some("#{variables.go}"));
    assert_eq!(value(input.resolved_configuration()).as_deref(), Some("no"));

    let yes = aws_sdk_codepipeline::types::PipelineVariable::builder().name("go").value("yes").build()?;
    let second = case.pipelines.start_pipeline_execution().name(&pipeline.name).variables(yes).send().await?;
    let second = second.pipeline_execution_id.context("no id")?;
    pipeline.ends(&second, "Succeeded").await?;
    deployed(case, HOME, &target, &["always.zip", "maybe.zip"]).await?;
    assert_eq!(ends(&rules(case, &pipeline, &second).await?), [("Go", "Succeeded")]);
    Ok(())
}

/// A condition that fails its stage before entry, until somebody overrides it.
pub async fn failed_condition_overridden(case: &Arc<Case>) -> Result<()> {
    let target = case.bucket(HOME, "target").await?;
    let draft = case.draft("fail").source().await?.variable("go", "no");
    let draft = draft.stage("Deploy", [Action::unpack("Unpack", &target)]).with("beforeEntry", go("FAIL"));
    let pipeline = draft.create().await?;
    let id = pipeline.first().await?;
    pipeline.ends(&id, "Failed").await?;
    deployed(case, HOME, &target, &[]).await?;
    let stage = pipeline.stage("Deploy").await?;
    let state = stage.before_entry_condition_state().context("no condition")?;
    let condition = state.latest_execution().and_then(|it| it.status());
    assert_eq!(condition, Some(&ConditionExecutionStatus::Failed));
    let rule = state.condition_states()[0].rule_states()[0].latest_execution().context("the rule did not run")?;
    assert_eq!(rule.status(), Some(&RuleExecutionStatus::Failed));
    let why = rule.error_details().and_then(|it| it.message()).unwrap_or_default();
    assert!(why.contains("no") && why.contains("yes"), "{why}");

    let overrule = case.pipelines.override_stage_condition().pipeline_name(&pipeline.name).stage_name("Deploy");
    let overrule = overrule.pipeline_execution_id(&id).condition_type(ConditionType::BeforeEntry);
    overrule.clone().send().await?;
    pipeline.ends(&id, "Succeeded").await?;
    deployed(case, HOME, &target, FILES).await?;
    let stage = pipeline.stage("Deploy").await?;
    let state = stage.before_entry_condition_state().and_then(|it| it.latest_execution()).context("no condition")?;
    assert_eq!(state.status(), Some(&ConditionExecutionStatus::Overridden));
    let error = overrule.send().await.err().context("it is overridden twice")?.into_service_error();
    assert!(error.is_condition_not_overridable_exception(), "{error:?}");
    Ok(())
}

/// A function decides before the stage and behind it, with its job's credentials for the artifact.
pub async fn conditions_of_a_function(case: &Arc<Case>) -> Result<()> {
    let target = case.bucket(HOME, "target").await?;
    let draft = case.draft("function").source().await?;
    let draft = draft.stage("Deploy", [Action::unpack("Unpack", &target)]);
    let draft = draft.with("beforeEntry", holds("Page", SITE[0].0)).with("onSuccess", holds("Licence", "LICENSE"));
    let pipeline = draft.stage("After", [Action::archive("Never", &target, "never.zip")]).create().await?;
    let id = pipeline.first().await?;
    pipeline.ends(&id, "Failed").await?;
    deployed(case, HOME, &target, FILES).await?;
    let ran = rules(case, &pipeline, &id).await?;
    assert_eq!(ends(&ran), [("Licence", "Failed"), ("Page", "Succeeded")]);
    let result = ran[0].output().and_then(|it| it.execution_result()).context("no result")?;
    let why = result.error_details().and_then(|it| it.message()).unwrap_or_default();
    assert!(why.contains("the artifact has no LICENSE"), "{why}");
    let stage = pipeline.stage("Deploy").await?;
    let status = |state: Option<&aws_sdk_codepipeline::types::StageConditionState>| {
        state.and_then(|it| it.latest_execution()).and_then(|it| it.status()).cloned()
    };
    assert_eq!(status(stage.before_entry_condition_state()), Some(ConditionExecutionStatus::Succeeded));
    assert_eq!(status(stage.on_success_condition_state()), Some(ConditionExecutionStatus::Failed));

    let overrule = case.pipelines.override_stage_condition().pipeline_name(&pipeline.name).stage_name("Deploy");
    overrule.pipeline_execution_id(&id).condition_type(ConditionType::OnSuccess).send().await?;
    pipeline.ends(&id, "Succeeded").await?;
    Ok(())
}
