//! The pipeline as a whole and its stages. Source: CodePipeline user guide, 'Pipeline structure reference', 'Quotas'
//! and 'Pipeline types'; which exception belongs to which rule was seen in AWS's answers.

use std::collections::HashSet;

use super::{Findings, mode, pipeline_type, place, shown};
use crate::catalogue;
use crate::declaration::{ActionDeclaration, Declaration, GitConfiguration, GitPushFilter};
use crate::invalid::Kind;
use crate::limits;
use crate::pipeline::{CONNECTION, ExecutionMode, PipelineType};

pub(super) fn check(declaration: &Declaration, found: &mut Findings) {
    sizes(declaration, found);
    sources(declaration, found);
    names(declaration, found);
    features_of_v2(declaration, found);
    triggers(declaration, found);
}

fn sizes(declaration: &Declaration, found: &mut Findings) {
    let stages = declaration.stages.len();
    if !limits::STAGES.contains(&stages) {
        let (least, most) = (limits::STAGES.start(), limits::STAGES.end());
        let message = if stages < *least {
            format!("Pipeline has only {stages} stage(s). There should be a minimum of {least} stages in a pipeline")
        } else {
            format!("Pipeline has too many stages. There can only be up to {most} stages in a pipeline")
        };
        found.add(Kind::InvalidStructure, "stages", message);
    }
    for (s, stage) in declaration.stages.iter().enumerate() {
        let actions = stage.actions.len();
        if !limits::ACTIONS_IN_STAGE.contains(&actions) {
            let (least, most) = (limits::ACTIONS_IN_STAGE.start(), limits::ACTIONS_IN_STAGE.end());
            let message =
                format!("a stage has {least} to {most} actions, and stage {} has {actions}", shown(&stage.name));
            found.add(Kind::InvalidStageDeclaration, format_args!("stages.{s}.member.actions", s = s + 1), message);
        }
    }
    let actions: usize = declaration.stages.iter().map(|stage| stage.actions.len()).sum();
    if actions > limits::ACTIONS_IN_PIPELINE {
        let most = limits::ACTIONS_IN_PIPELINE;
        found.add(
            Kind::InvalidStructure,
            "stages",
            format!("a pipeline has at most {most} actions, and this one has {actions}"),
        );
    }
}

fn sources(declaration: &Declaration, found: &mut Findings) {
    for (s, a, action) in super::actions(declaration) {
        let source = action.action_type_id.category == "Source";
        let path = format_args!("{}.actionTypeId.category", place(s, a));
        if s == 0 && !source {
            let name = shown(&action.name);
            let message =
                format!("Pipeline should start with a stage that only contains source actions, and {name} is not one");
            found.add(Kind::InvalidStructure, path, message);
        } else if s > 0 && source {
            let name = shown(&action.name);
            let message =
                format!("Source actions can only be included in the first stage of the pipeline, and {name} is one");
            found.add(Kind::InvalidStructure, path, message);
        }
    }
}

fn names(declaration: &Declaration, found: &mut Findings) {
    let mut stages = HashSet::new();
    for (s, stage) in declaration.stages.iter().enumerate() {
        if !stages.insert(stage.name.as_str()) {
            let message = format!("Stage name '{}' is used more than once", shown(&stage.name));
            found.add(Kind::InvalidStageDeclaration, format_args!("stages.{s}.member.name", s = s + 1), message);
        }
        let mut actions = HashSet::new();
        for (a, action) in stage.actions.iter().enumerate() {
            if !actions.insert(action.name.as_str()) {
                let message = format!(
                    "more than one action of stage {} has the name {}",
                    shown(&stage.name),
                    shown(&action.name)
                );
                found.add(Kind::InvalidActionDeclaration, format_args!("{}.name", place(s, a)), message);
            }
        }
    }
    let mut variables = HashSet::new();
    for (v, variable) in declaration.variables.iter().flatten().enumerate() {
        if !variables.insert(variable.name.as_str()) {
            let message = format!(
                "Variable names must be unique. The following variable name is already in use: {}",
                shown(&variable.name)
            );
            found.add(Kind::InvalidStructure, format_args!("variables.{v}.member.name", v = v + 1), message);
        }
    }
}

/// Whether the declaration has a part that only pipelines of type V2 can have: a mode, variables, triggers, conditions or
/// failure results of a stage, an action type. Source: CodePipeline user guide, 'What type of pipeline is right for me?'.
pub(super) fn has_parts_of_v2(declaration: &Declaration) -> bool {
    let conditions = declaration
        .stages
        .iter()
        .any(|stage| stage.before_entry.is_some() || stage.on_success.is_some() || stage.on_failure.is_some());
    let types = || {
        let mut known =
            super::actions(declaration).filter_map(|(_, _, action)| catalogue::find(&action.action_type_id));
        known.any(|known| known.v2_only)
    };
    mode(declaration) != ExecutionMode::Superseded
        || has_variables(declaration)
        || has_triggers(declaration)
        || conditions
        || types()
}

fn has_variables(declaration: &Declaration) -> bool {
    declaration.variables.as_ref().is_some_and(|variables| !variables.is_empty())
}

fn has_triggers(declaration: &Declaration) -> bool {
    declaration.triggers.as_ref().is_some_and(|triggers| !triggers.is_empty())
}

fn features_of_v2(declaration: &Declaration, found: &mut Findings) {
    if pipeline_type(declaration) == PipelineType::V2 {
        return;
    }
    if mode(declaration) != ExecutionMode::Superseded {
        found.add(
            Kind::InvalidStructure,
            "executionMode",
            "QUEUED or PARALLEL mode can only be used with V2 pipelines",
        );
    }
    if has_variables(declaration) {
        found.add(Kind::InvalidStructure, "variables", "Pipeline variable can only be used with V2 pipelines");
    }
    if has_triggers(declaration) {
        found.add(Kind::InvalidStructure, "triggers", "Triggers on tag can only be used with V2 pipelines");
    }
}

fn triggers(declaration: &Declaration, found: &mut Findings) {
    let mut sources = HashSet::new();
    for (t, trigger) in declaration.triggers.iter().flatten().enumerate() {
        let path = format!("triggers.{}.member.gitConfiguration", t + 1);
        let git = &trigger.git_configuration;
        let name = git.source_action_name.as_str();
        let connected = declaration.stages.first().is_some_and(|stage| {
            let named =
                |action: &ActionDeclaration| action.name == name && action.action_type_id.provider == CONNECTION;
            stage.actions.iter().any(named)
        });
        if !connected || !sources.insert(name) {
            let message = "Triggers for connection must reference a CodeStarSourceConnection action. Note that when you \
                           specify a trigger, you cant specify more than one trigger per source action.";
            found.add(Kind::InvalidStructure, format_args!("{path}.sourceActionName"), message);
        }
        if let Some(p) = git.push.iter().flatten().position(|push| !is_valid_filter(push, git)) {
            let message = "The trigger configuration for the source action is not valid. Make sure to choose valid \
                           filter combinations.";
            found.add(Kind::InvalidStructure, format_args!("{path}.push.{}.member", p + 1), message);
        }
    }
}

/// Whether the parts of a filter go together: tags are a filter of their own. AWS was seen to look away where the trigger
/// has filters on pull requests as well. Source: CodePipeline user guide, 'Add trigger with code push or pull request
/// event types'.
fn is_valid_filter(push: &GitPushFilter, git: &GitConfiguration) -> bool {
    let mixed = push.tags.is_some() && (push.branches.is_some() || push.file_paths.is_some());
    !mixed || git.pull_request.as_ref().is_some_and(|requests| !requests.is_empty())
}
