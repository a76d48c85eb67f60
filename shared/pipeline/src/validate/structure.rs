//! The pipeline as a whole and its stages. Source: CodePipeline user guide, 'Pipeline structure reference', 'Quotas'
//! and 'Pipeline types'; which exception belongs to which rule was seen in AWS's answers.

use std::collections::HashSet;

use super::{Findings, mode, pipeline_type, shown};
use crate::declaration::Declaration;
use crate::invalid::Kind;
use crate::limits;
use crate::pipeline::{ExecutionMode, PipelineType};

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
        let message = format!("a pipeline has {least} to {most} stages, and this one has {stages}");
        found.add(Kind::InvalidStructure, "stages", message);
    }
    for (s, stage) in declaration.stages.iter().enumerate() {
        let actions = stage.actions.len();
        if !limits::ACTIONS_IN_STAGE.contains(&actions) {
            let (least, most) = (limits::ACTIONS_IN_STAGE.start(), limits::ACTIONS_IN_STAGE.end());
            let message =
                format!("a stage has {least} to {most} actions, and stage {} has {actions}", shown(&stage.name));
            found.add(Kind::InvalidStageDeclaration, format_args!("stages[{s}].actions"), message);
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
        let path = format_args!("stages[{s}].actions[{a}].actionTypeId.category");
        if s == 0 && !source {
            let message = format!("the first stage holds source actions only, and {} is none", shown(&action.name));
            found.add(Kind::InvalidStructure, path, message);
        } else if s > 0 && source {
            let message = format!("only the first stage holds source actions, and {} is one", shown(&action.name));
            found.add(Kind::InvalidStructure, path, message);
        }
    }
}

fn names(declaration: &Declaration, found: &mut Findings) {
    let mut stages = HashSet::new();
    for (s, stage) in declaration.stages.iter().enumerate() {
        if !stages.insert(stage.name.as_str()) {
            let message = format!("more than one stage has the name {}", shown(&stage.name));
            found.add(Kind::InvalidStageDeclaration, format_args!("stages[{s}].name"), message);
        }
        let mut actions = HashSet::new();
        for (a, action) in stage.actions.iter().enumerate() {
            if !actions.insert(action.name.as_str()) {
                let message = format!(
                    "more than one action of stage {} has the name {}",
                    shown(&stage.name),
                    shown(&action.name)
                );
                found.add(Kind::InvalidActionDeclaration, format_args!("stages[{s}].actions[{a}].name"), message);
            }
        }
    }
    let mut variables = HashSet::new();
    for (v, variable) in declaration.variables.iter().flatten().enumerate() {
        if !variables.insert(variable.name.as_str()) {
            let message = format!("more than one variable has the name {}", shown(&variable.name));
            found.add(Kind::InvalidStructure, format_args!("variables[{v}].name"), message);
        }
    }
}

fn features_of_v2(declaration: &Declaration, found: &mut Findings) {
    if pipeline_type(declaration) == PipelineType::V2 {
        return;
    }
    if mode(declaration) != ExecutionMode::Superseded {
        found.add(Kind::InvalidStructure, "executionMode", "QUEUED and PARALLEL need a pipeline of type V2");
    }
    if declaration.variables.as_ref().is_some_and(|variables| !variables.is_empty()) {
        found.add(Kind::InvalidStructure, "variables", "pipeline-level variables need a pipeline of type V2");
    }
    if declaration.triggers.as_ref().is_some_and(|triggers| !triggers.is_empty()) {
        found.add(Kind::InvalidStructure, "triggers", "triggers need a pipeline of type V2");
    }
}

fn triggers(declaration: &Declaration, found: &mut Findings) {
    for (t, trigger) in declaration.triggers.iter().flatten().enumerate() {
        let name = &trigger.git_configuration.source_action_name;
        let connected = declaration.stages.first().is_some_and(|stage| {
            stage
                .actions
                .iter()
                .any(|action| action.name == *name && action.action_type_id.provider == "CodeStarSourceConnection")
        });
        if !connected {
            let path = format_args!("triggers[{t}].gitConfiguration.sourceActionName");
            let message = format!("{} is not a CodeStarSourceConnection action of the first stage", shown(name));
            found.add(Kind::InvalidStructure, path, message);
        }
    }
}
