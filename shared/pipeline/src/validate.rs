//! From a declaration to a pipeline: every rule, one file a subject. Each check looks at the whole declaration and
//! reports what it finds; none relies on another having passed.

use std::fmt::Display;

use crate::catalogue::rules;
use crate::custom::Types;
use crate::declaration::{self, ActionDeclaration, Declaration, FailureConditions, RuleDeclaration, StageDeclaration};
use crate::invalid::{Invalid, Kind, Violation};
use crate::names::{ActionName, ArtifactName, InvalidName, Namespace, PipelineName, Region, RoleArn, StageName};
use crate::pipeline::{
    Action, Compute, Condition, ExecutionMode, Failure, Pipeline, PipelineType, RetryMode, Stage, StageResult,
};

mod actions;
mod artifacts;
mod conditions;
mod constraints;
mod custom;
mod references;
mod stores;
mod structure;
#[cfg(test)]
mod tests;

impl TryFrom<Declaration> for Pipeline {
    type Error = Invalid;

    /// Checks every rule but those that the account's own action types make.
    ///
    /// # Errors
    /// [`Invalid`] with all violations.
    fn try_from(declaration: Declaration) -> Result<Self, Invalid> {
        checked(declaration, None, None)
    }
}

impl Pipeline {
    /// Checks every rule, with the action types that the account has.
    ///
    /// # Errors
    /// [`Invalid`] with all violations.
    pub fn with_types(declaration: Declaration, types: &Types) -> Result<Self, Invalid> {
        checked(declaration, Some(types), None)
    }

    /// Checks every rule, with the action types that the account has, of a pipeline that is to live in the region `home`.
    ///
    /// # Errors
    /// [`Invalid`] with all violations, those of [`Self::check_home`] behind the others.
    pub fn in_home(declaration: Declaration, types: &Types, home: &str) -> Result<Self, Invalid> {
        checked(declaration, Some(types), Some(home))
    }

    /// A version that was checked when it was stored, by the rules of that time: executions of it go on, whatever has
    /// been added to the rules since.
    ///
    /// # Errors
    /// [`Invalid`] when a name does not have the form of a name.
    pub fn stored(declaration: Declaration, types: Types) -> Result<Self, Invalid> {
        build(declaration, types)
    }

    /// Checks what depends on the region in which the pipeline lives: its artifact stores cover that region and all
    /// regions of actions, and only actions that can run elsewhere do.
    ///
    /// # Errors
    /// [`Invalid`] with all violations.
    pub fn check_home(&self, home: &str) -> Result<(), Invalid> {
        let mut found = Findings::default();
        stores::check_home(self.declaration(), home, &mut found);
        match Invalid::new(found.0) {
            Some(invalid) => Err(invalid),
            None => Ok(()),
        }
    }
}

fn checked(declaration: Declaration, types: Option<&Types>, home: Option<&str>) -> Result<Pipeline, Invalid> {
    let mut found = Findings::default();
    constraints::check(&declaration, &mut found);
    structure::check(&declaration, &mut found);
    conditions::check(&declaration, &mut found);
    actions::check(&declaration, types, &mut found);
    if let Some(types) = types {
        custom::check(&declaration, types, &mut found);
    }
    artifacts::check(&declaration, &mut found);
    stores::check(&declaration, &mut found);
    references::check(&declaration, &mut found);
    if let Some(home) = home {
        stores::check_home(&declaration, home, &mut found);
    }
    match Invalid::new(found.0) {
        Some(invalid) => Err(invalid),
        None => build(declaration, types.cloned().unwrap_or_default()),
    }
}

/// What the checks have found.
#[derive(Default)]
struct Findings(Vec<Violation>);

impl Findings {
    fn add(&mut self, kind: Kind, path: impl Display, message: impl Into<String>) {
        self.0.push(Violation { path: format!("pipeline.{path}"), kind, message: message.into() });
    }

    /// A violation of a shape's constraint.
    fn constraint(&mut self, path: impl Display, message: impl Into<String>) {
        self.add(Kind::Validation, path, message);
    }

    fn name<T>(&mut self, name: Result<T, InvalidName>, path: impl Display) {
        if let Err(invalid) = name {
            self.constraint(path, invalid.to_string());
        }
    }
}

/// A name in a message: what the caller sent, but not all of it.
fn shown(text: &str) -> String {
    text.chars().take(100).collect()
}

/// The mode that the declaration asks for; anything unknown is reported by `constraints`.
fn mode(declaration: &Declaration) -> ExecutionMode {
    match declaration.execution_mode.as_deref() {
        Some("QUEUED") => ExecutionMode::Queued,
        Some("PARALLEL") => ExecutionMode::Parallel,
        _ => ExecutionMode::Superseded,
    }
}

/// The type that the declaration asks for; anything unknown is reported by `constraints`. One that asks for none is of
/// type V2 if it has a part that only this type can have. Source: CodePipeline API, `PipelineDeclaration`.
fn pipeline_type(declaration: &Declaration) -> PipelineType {
    match declaration.pipeline_type.as_deref() {
        Some("V2") => PipelineType::V2,
        None if structure::has_parts_of_v2(declaration) => PipelineType::V2,
        _ => PipelineType::V1,
    }
}

fn run_order(action: &ActionDeclaration) -> u32 {
    action.run_order.unwrap_or(1)
}

/// The place of an action in the declaration, of these indices.
fn place(stage: usize, action: usize) -> String {
    format!("stages.{}.member.actions.{}.member", stage + 1, action + 1)
}

/// What AWS says of an action whose type it does not know, without the region that it adds.
fn unavailable(action: &ActionDeclaration) -> String {
    let id = &action.action_type_id;
    format!(
        "ActionType (Category: '{}', Provider: '{}', Owner: '{}', Version: '{}') in action '{}' is not available",
        shown(&id.category),
        shown(&id.provider),
        shown(id.owner.as_deref().unwrap_or_default()),
        shown(id.version.as_deref().unwrap_or_default()),
        shown(&action.name)
    )
}

/// What AWS says of a configuration without a key that it must have.
fn missing_key(action: &str, key: &str) -> String {
    format!("Action configuration for action '{action}' is missing required configuration '{key}'")
}

/// What AWS says of a configuration with a key that its type does not have.
fn unknown_key(action: &str, key: &str) -> String {
    format!("Action configuration for action '{action}' contains unknown configuration '{}'", shown(key))
}

/// Every action with its stage's index and its own.
fn actions(declaration: &Declaration) -> impl Iterator<Item = (usize, usize, &ActionDeclaration)> {
    declaration
        .stages
        .iter()
        .enumerate()
        .flat_map(|(s, stage)| stage.actions.iter().enumerate().map(move |(a, action)| (s, a, action)))
}

/// Makes the pipeline of a declaration that has been checked, now or when it was stored: its names have their forms. Were
/// one to disagree with its check, the declaration would be refused here.
fn build(declaration: Declaration, types: Types) -> Result<Pipeline, Invalid> {
    let (name, role_arn, stages) = parts(&declaration, &types).map_err(|invalid| {
        Invalid::from(Violation { path: "pipeline".to_owned(), kind: Kind::Validation, message: invalid.to_string() })
    })?;
    let (mode, kind) = (mode(&declaration), pipeline_type(&declaration));
    Ok(Pipeline { declaration, name, role_arn, stages, mode, kind, types })
}

fn parts(declaration: &Declaration, types: &Types) -> Result<(PipelineName, RoleArn, Vec<Stage>), InvalidName> {
    let stages = declaration.stages.iter().map(|declared| stage(declared, types)).collect::<Result<_, _>>()?;
    Ok((PipelineName::new(declaration.name.as_str())?, RoleArn::new(declaration.role_arn.as_str())?, stages))
}

fn stage(declared: &StageDeclaration, types: &Types) -> Result<Stage, InvalidName> {
    Ok(Stage {
        name: StageName::new(declared.name.as_str())?,
        actions: declared.actions.iter().map(|declared| action(declared, types)).collect::<Result<_, _>>()?,
        before_entry: declared.before_entry.as_ref().and_then(|it| condition(&it.conditions)).transpose()?,
        on_success: declared.on_success.as_ref().and_then(|it| condition(&it.conditions)).transpose()?,
        on_failure: declared.on_failure.as_ref().map(failure).transpose()?,
    })
}

/// What happens when a stage fails. A retry that does not say of what is of all actions. Source: AWS CDK,
/// `FailureConditions`; the API reference and the user guide are silent.
fn failure(declared: &FailureConditions) -> Result<Failure, InvalidName> {
    let condition = declared.conditions.as_deref().and_then(condition).transpose()?;
    let retry = declared.retry_configuration.as_ref().and_then(|it| it.retry_mode.as_deref());
    Ok(Failure {
        result: condition.as_ref().map_or_else(|| result(declared.result.as_deref()), |it| it.result),
        condition,
        retry: if retry == Some("FAILED_ACTIONS") { RetryMode::FailedActions } else { RetryMode::AllActions },
    })
}

/// The one condition that a list of them has.
fn condition(declared: &[declaration::Condition]) -> Option<Result<Condition, InvalidName>> {
    let declared = declared.first()?;
    let rules = declared.rules.iter().flatten().map(rule).collect::<Result<_, _>>();
    Some(rules.map(|rules| Condition { result: result(declared.result.as_deref()), rules }))
}

/// A result that is not given is a failure.
fn result(declared: Option<&str>) -> StageResult {
    match declared {
        Some("ROLLBACK") => StageResult::Rollback,
        Some("RETRY") => StageResult::Retry,
        Some("SKIP") => StageResult::Skip,
        _ => StageResult::Fail,
    }
}

fn rule(declared: &RuleDeclaration) -> Result<Action, InvalidName> {
    let inputs = declared.input_artifacts.iter().flatten().map(|artifact| ArtifactName::new(artifact.name.as_str()));
    // A declaration may leave out owner and version; a type that is not known has been refused.
    let known = rules::find(&declared.rule_type_id).map(rules::RuleType::id);
    let type_id = known.unwrap_or_else(|| declared.rule_type_id.clone());
    Ok(Action {
        name: ActionName::new(declared.name.as_str())?,
        type_id,
        run_order: 1,
        configuration: declared.configuration.clone().unwrap_or_default(),
        compute: Compute { commands: declared.commands.clone().unwrap_or_default(), ..Compute::default() },
        inputs: inputs.collect::<Result<_, _>>()?,
        outputs: Vec::new(),
        role_arn: declared.role_arn.as_deref().map(RoleArn::new).transpose()?,
        region: declared.region.as_deref().map(Region::new).transpose()?,
        namespace: None,
        timeout_in_minutes: declared.timeout_in_minutes,
        custom: None,
    })
}

fn action(declared: &ActionDeclaration, types: &Types) -> Result<Action, InvalidName> {
    let inputs = declared.input_artifacts.iter().flatten().map(|artifact| ArtifactName::new(artifact.name.as_str()));
    let made = || declared.output_artifacts.iter().flatten();
    let outputs = made().map(|artifact| ArtifactName::new(artifact.name.as_str()));
    Ok(Action {
        name: ActionName::new(declared.name.as_str())?,
        type_id: declared.action_type_id.clone(),
        run_order: run_order(declared),
        configuration: declared.configuration.clone().unwrap_or_default(),
        compute: Compute {
            commands: declared.commands.clone().unwrap_or_default(),
            environment: declared.environment_variables.clone().unwrap_or_default(),
            output_variables: declared.output_variables.clone().unwrap_or_default(),
            files: made().filter_map(|artifact| artifact.files.as_ref()).flatten().cloned().collect(),
        },
        inputs: inputs.collect::<Result<_, _>>()?,
        outputs: outputs.collect::<Result<_, _>>()?,
        role_arn: declared.role_arn.as_deref().map(RoleArn::new).transpose()?,
        region: declared.region.as_deref().map(Region::new).transpose()?,
        namespace: declared.namespace.as_deref().map(Namespace::new).transpose()?,
        timeout_in_minutes: declared.timeout_in_minutes,
        custom: types.find(&declared.action_type_id).cloned(),
    })
}
