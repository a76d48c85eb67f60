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
    /// The stages in order.
    #[serde(default)]
    pub stages: Vec<StageDeclaration>,
    /// Assigned by the service: 1 at creation, one more at each update.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// `SUPERSEDED` (default), `QUEUED` or `PARALLEL`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution_mode: Option<String>,
    /// `V1` (default) or `V2`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline_type: Option<String>,
    /// Pipeline-level variables (V2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variables: Option<Vec<VariableDeclaration>>,
    /// Triggers with filters (V2).
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
    /// Always `S3`.
    #[serde(default, rename = "type")]
    pub kind: String,
    /// Bucket name.
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
    /// Always `KMS`.
    #[serde(default, rename = "type")]
    pub kind: String,
}

/// A stage as declared.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StageDeclaration {
    /// Unique in the pipeline.
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

/// `onFailure` of a stage.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FailureConditions {
    /// `ROLLBACK`, `FAIL`, `RETRY` or `SKIP`.
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
    /// `FAILED_ACTIONS` or `ALL_ACTIONS`. Without it `FAILED_ACTIONS`, which does least again: AWS's documentation does not
    /// say what it takes.
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

/// A condition: rules, and the result if one of them fails.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// What happens when the condition is not met.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
    /// The rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<Vec<RuleDeclaration>>,
}

/// A rule of a condition.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RuleDeclaration {
    /// Unique in its condition.
    #[serde(default)]
    pub name: String,
    /// Which rule this is.
    #[serde(default)]
    pub rule_type_id: TypeId,
    /// Settings of the rule.
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
    /// Minutes.
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
    /// `AWS`, `ThirdParty` or `Custom`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// For example `S3`.
    #[serde(default)]
    pub provider: String,
    /// For example `1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// An action as declared.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ActionDeclaration {
    /// Unique in its stage.
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
    /// What the action makes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_artifacts: Option<Vec<OutputArtifact>>,
    /// What the action reads.
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
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// Its value, or the name of the secret that holds it.
    #[serde(default)]
    pub value: String,
    /// `PLAINTEXT` or `SECRETS_MANAGER`.
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

/// A pipeline-level variable.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VariableDeclaration {
    /// Used as `#{variables.NAME}`.
    #[serde(default)]
    pub name: String,
    /// Its value where the start of an execution gives none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_value: Option<String>,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// A trigger with filters.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TriggerDeclaration {
    /// `CodeStarSourceConnection`.
    #[serde(default)]
    pub provider_type: String,
    /// The filters.
    #[serde(default)]
    pub git_configuration: GitConfiguration,
}

/// Filters of a trigger.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GitConfiguration {
    /// The source action that the trigger is for.
    #[serde(default)]
    pub source_action_name: String,
    /// Filters on pushes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub push: Option<Vec<GitPushFilter>>,
    /// Filters on pull requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_request: Option<Vec<GitPullRequestFilter>>,
}

/// Which pushes count.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GitPushFilter {
    /// By tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Patterns>,
    /// By branch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branches: Option<Patterns>,
    /// By changed file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_paths: Option<Patterns>,
}

/// Which pull requests count.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GitPullRequestFilter {
    /// `OPEN`, `UPDATED`, `CLOSED`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<Vec<String>>,
    /// By branch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branches: Option<Patterns>,
    /// By changed file.
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
    /// None may match.
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
