//! Conditions and failure results of stages. Source: CodePipeline user guide, 'Stage conditions', and the API's shapes.

use super::shape::{count, length, one_of, texts, type_id, within};
use super::{Findings, mode, pipeline_type, shown};
use crate::declaration::{Condition, Declaration, RuleDeclaration, StageDeclaration};
use crate::invalid::Kind;
use crate::limits;
use crate::names::{ActionName, ArtifactName, Region, RoleArn};
use crate::pipeline::{ExecutionMode, PipelineType};

const RESULTS: &[&str] = &["ROLLBACK", "FAIL", "RETRY", "SKIP"];

pub(super) fn check(declaration: &Declaration, found: &mut Findings) {
    let v2 = pipeline_type(declaration) == PipelineType::V2;
    let parallel = mode(declaration) == ExecutionMode::Parallel;
    for (s, stage) in declaration.stages.iter().enumerate() {
        let path = format!("stages[{s}]");
        let declared = [
            ("beforeEntry", stage.before_entry.is_some()),
            ("onSuccess", stage.on_success.is_some()),
            ("onFailure", stage.on_failure.is_some()),
        ];
        for (name, _) in declared.iter().filter(|(_, declared)| *declared && !v2) {
            let message = format!("{name} of stage {} needs a pipeline of type V2", shown(&stage.name));
            found.add(Kind::InvalidStageDeclaration, format_args!("{path}.{name}"), message);
        }
        if let Some(before) = &stage.before_entry {
            conditions(Some(&before.conditions), &format!("{path}.beforeEntry.conditions"), found);
        }
        if let Some(after) = &stage.on_success {
            conditions(Some(&after.conditions), &format!("{path}.onSuccess.conditions"), found);
        }
        failure(stage, parallel, &format!("{path}.onFailure"), found);
    }
}

fn failure(stage: &StageDeclaration, parallel: bool, path: &str, found: &mut Findings) {
    let Some(failure) = &stage.on_failure else { return };
    one_of(failure.result.as_deref(), RESULTS, format_args!("{path}.result"), found);
    if let Some(retry) = &failure.retry_configuration {
        let modes = ["FAILED_ACTIONS", "ALL_ACTIONS"];
        one_of(retry.retry_mode.as_deref(), &modes, format_args!("{path}.retryConfiguration.retryMode"), found);
    }
    conditions(failure.conditions.as_deref(), &format!("{path}.conditions"), found);
    if failure.result.is_some() && failure.conditions.is_some() {
        let message =
            format!("onFailure of stage {} has a result and conditions, and only one of both goes", shown(&stage.name));
        found.add(Kind::InvalidStageDeclaration, path, message);
    }
    let results = failure.conditions.iter().flatten().map(|condition| &condition.result);
    if parallel && results.chain([&failure.result]).any(|result| result.as_deref() == Some("ROLLBACK")) {
        let message = format!("stage {} cannot roll back in a pipeline of mode PARALLEL", shown(&stage.name));
        found.add(Kind::InvalidStageDeclaration, path, message);
    }
}

fn conditions(conditions: Option<&[Condition]>, path: &str, found: &mut Findings) {
    count(conditions.map(<[Condition]>::len), 1..=1, path, found);
    for (c, condition) in conditions.into_iter().flatten().enumerate() {
        one_of(condition.result.as_deref(), RESULTS, format_args!("{path}[{c}].result"), found);
        count(condition.rules.as_ref().map(Vec::len), 1..=5, format_args!("{path}[{c}].rules"), found);
        for (r, declared) in condition.rules.iter().flatten().enumerate() {
            rule(declared, &format!("{path}[{c}].rules[{r}]"), found);
        }
    }
}

fn rule(rule: &RuleDeclaration, path: &str, found: &mut Findings) {
    // A rule's name has the form of an action's. Source: CodePipeline API, `RuleName`.
    found.name(ActionName::new(rule.name.as_str()), format_args!("{path}.name"));
    type_id(&rule.rule_type_id, &["Rule"], &["AWS"], false, &format!("{path}.ruleTypeId"), found);
    count(
        rule.configuration.as_ref().map(std::collections::BTreeMap::len),
        0..=200,
        format_args!("{path}.configuration"),
        found,
    );
    for (key, value) in rule.configuration.iter().flatten() {
        let path = format!("{path}.configuration.{}", shown(key));
        length(Some(key), 1..=50, &path, found);
        length(Some(value), 1..=10_000, &path, found);
    }
    texts(rule.commands.as_deref(), 1..=50, 1..=1000, &format!("{path}.commands"), found);
    for (i, artifact) in rule.input_artifacts.iter().flatten().enumerate() {
        found.name(ArtifactName::new(artifact.name.as_str()), format_args!("{path}.inputArtifacts[{i}].name"));
    }
    if let Some(role) = &rule.role_arn {
        found.name(RoleArn::new(role.as_str()), format_args!("{path}.roleArn"));
    }
    if let Some(region) = &rule.region {
        found.name(Region::new(region.as_str()), format_args!("{path}.region"));
    }
    within(rule.timeout_in_minutes, limits::TIMEOUT_MINUTES, format_args!("{path}.timeoutInMinutes"), found);
}
