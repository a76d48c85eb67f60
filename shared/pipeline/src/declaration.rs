//! The declaration of a pipeline as its author writes it: the members and JSON names of CodePipeline's
//! `PipelineDeclaration`, nothing checked yet. [`crate::Pipeline`] is the checked form.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::names::RoleArn;

/// A pipeline as declared. Source: CodePipeline API, `PipelineDeclaration`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Declaration {
    /// Name, unique in its region and account.
    #[serde(default)]
    pub name: String,
    /// The service role under which actions run that name no role of their own.
    #[serde(default)]
    pub role_arn: String,
    /// The one artifact store of a pipeline that stays in its region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_store: Option<ArtifactStore>,
    /// The artifact stores by region of a pipeline with cross-region actions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_stores: Option<BTreeMap<String, ArtifactStore>>,
    /// The stages in the order in which executions pass them.
    #[serde(default)]
    pub stages: Vec<StageDeclaration>,
    /// Assigned by the service: 1 at creation, one more at each update.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// `SUPERSEDED` (default), `QUEUED` or `PARALLEL`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution_mode: Option<String>,
    /// `V1` or `V2`; without it `V1`, or `V2` where parts of the declaration need that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline_type: Option<String>,
    /// Variables of the whole pipeline, which a start can set; only in pipelines of type V2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variables: Option<Vec<VariableDeclaration>>,
    /// Which pushes and pull requests start the pipeline; only in pipelines of type V2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub triggers: Option<Vec<TriggerDeclaration>>,
}

impl Declaration {
    /// Every role that the declaration names: the pipeline's, those of actions and of rules. What is no role's ARN is
    /// left out; such a declaration is not valid.
    pub fn roles(&self) -> BTreeSet<RoleArn> {
        let actions = self.stages.iter().flat_map(|stage| &stage.actions).filter_map(|it| it.role_arn.as_deref());
        let rules = self.stages.iter().flat_map(StageDeclaration::rules).filter_map(|it| it.role_arn.as_deref());
        let arns = [self.role_arn.as_str()].into_iter().chain(actions).chain(rules);
        arns.filter_map(|arn| RoleArn::new(arn).ok()).collect()
    }
}

impl StageDeclaration {
    /// The rules of all its conditions.
    fn rules(&self) -> impl Iterator<Item = &RuleDeclaration> {
        let around = self.before_entry.iter().chain(&self.on_success).flat_map(|it| &it.conditions);
        let failure = self.on_failure.iter().flat_map(|it| it.conditions.iter().flatten());
        around.chain(failure).flat_map(|condition| condition.rules.iter().flatten())
    }
}

/// Where artifacts of one region are kept.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ArtifactStore {
    /// The kind of store: `S3` is the only one.
    #[serde(default, rename = "type")]
    pub kind: String,
    /// The name of the bucket.
    #[serde(default)]
    pub location: String,
    /// The key that encrypts the artifacts; without it S3's own managed key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption_key: Option<EncryptionKey>,
}

/// A KMS key by id, ARN or alias ARN.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EncryptionKey {
    /// Key id, key ARN or alias ARN.
    #[serde(default)]
    pub id: String,
    /// The kind of key: `KMS` is the only one.
    #[serde(default, rename = "type")]
    pub kind: String,
}

/// A stage as declared. Source: CodePipeline API, `StageDeclaration`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StageDeclaration {
    /// The stage's name, unique in the pipeline.
    #[serde(default)]
    pub name: String,
    /// Reserved by AWS; kept as given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blockers: Option<Vec<serde_json::Value>>,
    /// The actions in the order in which they were written; `run_order` decides when they run.
    #[serde(default)]
    pub actions: Vec<ActionDeclaration>,
    /// What to do when the stage failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_failure: Option<FailureConditions>,
    /// Conditions checked when the stage succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_success: Option<Conditions>,
    /// Conditions checked before an execution enters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before_entry: Option<Conditions>,
}

/// `onFailure` of a stage: what happens when it fails. It has a `result` or `conditions`, not both.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FailureConditions {
    /// `ROLLBACK`, `RETRY` or `FAIL`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
    /// How to retry, where the result is `RETRY`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_configuration: Option<RetryConfiguration>,
    /// The conditions; at most one today.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conditions: Option<Vec<Condition>>,
}

/// How a failed stage is retried by itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RetryConfiguration {
    /// `FAILED_ACTIONS` or `ALL_ACTIONS`; without it all actions run again, as AWS's CDK documents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_mode: Option<String>,
}

/// `beforeEntry` or `onSuccess` of a stage.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Conditions {
    /// The conditions; at most one today.
    #[serde(default)]
    pub conditions: Vec<Condition>,
}

/// A condition: rules, and what happens when one of them does not hold (after a failure: when all of them hold).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// `SKIP` or `FAIL` before entry, `ROLLBACK` or `FAIL` after success or failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
    /// The rules, 1 to 5; the condition is met when all of them hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<Vec<RuleDeclaration>>,
}

/// A rule of a condition.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RuleDeclaration {
    /// The rule's name, unique in its condition.
    #[serde(default)]
    pub name: String,
    /// The rule type; its category is `Rule`.
    #[serde(default)]
    pub rule_type_id: TypeId,
    /// Settings of the rule; values may hold variables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configuration: Option<BTreeMap<String, String>>,
    /// Shell commands of the Commands rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commands: Option<Vec<String>>,
    /// Artifacts that the rule reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_artifacts: Option<Vec<InputArtifact>>,
    /// A role of the rule's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role_arn: Option<String>,
    /// The region in which the rule is checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Minutes after which the rule fails; without it the rule type's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_in_minutes: Option<u32>,
}

/// Which action (or rule) type: category, owner, provider, version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TypeId {
    /// `Source`, `Build`, `Test`, `Deploy`, `Invoke`, `Approval`, `Compute` or `Rule`.
    #[serde(default)]
    pub category: String,
    /// `AWS`, `ThirdParty` or `Custom`; a rule type may leave it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// The name of the provider, for example `S3`.
    #[serde(default)]
    pub provider: String,
    /// The version of the type, for example `1`; a rule type may leave it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// An action as declared. Source: CodePipeline API, `ActionDeclaration`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ActionDeclaration {
    /// The action's name, unique in its stage.
    #[serde(default)]
    pub name: String,
    /// Which action type this is.
    #[serde(default)]
    pub action_type_id: TypeId,
    /// 1 to 999, default 1: actions with the same number run side by side.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_order: Option<u32>,
    /// Settings; values may hold variables such as `#{SourceVariables.VersionId}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configuration: Option<BTreeMap<String, String>>,
    /// Shell commands of a Commands action.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commands: Option<Vec<String>>,
    /// The artifacts that the action makes; how many is a matter of its type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_artifacts: Option<Vec<OutputArtifact>>,
    /// The artifacts that the action reads, each made by an earlier action.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_artifacts: Option<Vec<InputArtifact>>,
    /// Variables that a Commands action exports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_variables: Option<Vec<String>>,
    /// A role of the action's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role_arn: Option<String>,
    /// The region in which the action runs; without it the pipeline's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Name under which the action's output variables can be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Minutes after which the action fails (manual approvals).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_in_minutes: Option<u32>,
    /// Environment variables of a Commands action.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment_variables: Option<Vec<EnvironmentVariable>>,
}

/// An environment variable of a Commands action.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EnvironmentVariable {
    /// The variable's name in the commands' environment.
    #[serde(default)]
    pub name: String,
    /// Its value, or the name of the secret that holds it.
    #[serde(default)]
    pub value: String,
    /// `PLAINTEXT` or `SECRETS_MANAGER`: what `value` is.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
}

/// An artifact that an action makes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OutputArtifact {
    /// Its name, unique in the pipeline.
    #[serde(default)]
    pub name: String,
    /// The files that a Commands action puts into it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<Vec<String>>,
}

/// An artifact that an action reads.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InputArtifact {
    /// The name that an earlier action gave it.
    #[serde(default)]
    pub name: String,
}

/// A variable of the whole pipeline, used as `#{variables.NAME}`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VariableDeclaration {
    /// The name, under which `#{variables.NAME}` finds the value.
    #[serde(default)]
    pub name: String,
    /// Its value where the start of an execution gives none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_value: Option<String>,
    /// What the author says about the variable; nothing depends on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// A trigger with filters. Source: CodePipeline API, `PipelineTriggerDeclaration`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TriggerDeclaration {
    /// Always `CodeStarSourceConnection`: no other source has triggers.
    #[serde(default)]
    pub provider_type: String,
    /// The source action and the filters of its events.
    #[serde(default)]
    pub git_configuration: GitConfiguration,
}

/// The events of a source action's repository that the trigger is for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GitConfiguration {
    /// The source action that the trigger is for.
    #[serde(default)]
    pub source_action_name: String,
    /// Filters on pushes, 1 to 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub push: Option<Vec<GitPushFilter>>,
    /// Filters on pull requests, 1 to 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_request: Option<Vec<GitPullRequestFilter>>,
}

/// A filter on pushes, by tag or by branch and file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GitPushFilter {
    /// Patterns for the tag that is pushed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Patterns>,
    /// Patterns for the branch that is pushed to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branches: Option<Patterns>,
    /// Patterns for the paths of changed files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_paths: Option<Patterns>,
}

/// A filter on pull requests, by event, branch and file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GitPullRequestFilter {
    /// Any of `OPEN`, `UPDATED` and `CLOSED`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<Vec<String>>,
    /// Patterns for the branch of the pull request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branches: Option<Patterns>,
    /// Patterns for the paths of changed files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_paths: Option<Patterns>,
}

/// Glob patterns to include and to exclude.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Patterns {
    /// At least one must match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub includes: Option<Vec<String>>,
    /// Patterns of which none may match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub excludes: Option<Vec<String>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_roles_of_the_pipeline_its_actions_and_its_rules_are_found() {
        let role = |name: &str| format!("arn:aws:iam::111122223333:role/{name}");
        let rule = |name: &str| Condition {
            result: None,
            rules: Some(vec![RuleDeclaration { role_arn: Some(role(name)), ..RuleDeclaration::default() }]),
        };
        let conditions = |name| Some(Conditions { conditions: vec![rule(name)] });
        let mut declaration = crate::testing::example();
        declaration.role_arn = role("pipeline");
        declaration.stages[0].actions[0].role_arn = Some(role("action"));
        declaration.stages[1].before_entry = conditions("entry");
        declaration.stages[1].on_success = conditions("success");
        let failure = FailureConditions { conditions: Some(vec![rule("failure")]), ..FailureConditions::default() };
        declaration.stages[1].on_failure = Some(failure);
        declaration.stages[1].actions[0].role_arn = Some("no role".into());
        let found: Vec<String> = declaration.roles().iter().map(ToString::to_string).collect();
        assert_eq!(found, ["action", "entry", "failure", "pipeline", "success"].map(role));
    }
}
