//! Single actions against the catalogue: type, artifact counts, configuration, and members that only some types have.
//! Source: CodePipeline user guide, 'Action structure reference' and 'Quotas'.

use std::ops::RangeInclusive;

use super::{Findings, missing_key, pipeline_type, place, shown, unavailable, unknown_key};
use crate::catalogue::{self, ActionType, CUSTOM_ARTIFACTS, Needed};
use crate::custom::Types;
use crate::declaration::{ActionDeclaration, Declaration};
use crate::invalid::Kind;
use crate::limits;
use crate::pipeline::PipelineType;
use crate::secrets::MASK;

pub(super) fn check(declaration: &Declaration, types: Option<&Types>, found: &mut Findings) {
    let v1 = pipeline_type(declaration) == PipelineType::V1;
    for (s, a, action) in super::actions(declaration) {
        let path = place(s, a);
        let known = catalogue::find(&action.action_type_id);
        if known.is_none() && !may_be_unknown(action) {
            found.add(Kind::InvalidActionDeclaration, format_args!("{path}.actionTypeId"), unavailable(action));
        }
        if let Some(known) = known.filter(|known| known.v2_only && v1) {
            let message = format!("{} Action can only be used with V2 pipelines.", known.provider);
            found.add(Kind::InvalidActionDeclaration, format_args!("{path}.actionTypeId"), message);
        }
        if types.is_none_or(|types| types.find(&action.action_type_id).is_none()) {
            artifact_counts(action, known, &path, found);
        }
        configuration(action, known, &path, found);
        members(action, &path, found);
    }
}

/// Custom types are the account's own, and AWS's partners' are not all in the catalogue: whether such a type exists is
/// the API's to say. A partner cannot own a provider that is AWS's.
fn may_be_unknown(action: &ActionDeclaration) -> bool {
    let id = &action.action_type_id;
    match id.owner.as_deref() {
        Some("Custom") => true,
        Some("ThirdParty") => !catalogue::all().iter().any(|known| known.provider == id.provider),
        _ => false,
    }
}

fn artifact_counts(action: &ActionDeclaration, known: Option<&ActionType>, path: &str, found: &mut Findings) {
    let inputs = known.map_or(CUSTOM_ARTIFACTS, |known| known.inputs.clone());
    let outputs = known.map_or(CUSTOM_ARTIFACTS, |known| known.outputs.clone());
    let mut check = |list: &str, length: usize, allowed: RangeInclusive<usize>| {
        if !allowed.contains(&length) {
            let (name, least, most) = (shown(&action.name), allowed.start(), allowed.end());
            let message = format!("action {name} has {length} {list}, and {least} to {most} are allowed");
            found.add(Kind::InvalidActionDeclaration, format_args!("{path}.{list}"), message);
        }
    };
    check("inputArtifacts", action.input_artifacts.as_ref().map_or(0, Vec::len), inputs);
    check("outputArtifacts", action.output_artifacts.as_ref().map_or(0, Vec::len), outputs);
}

fn configuration(action: &ActionDeclaration, known: Option<&ActionType>, path: &str, found: &mut Findings) {
    let name = shown(&action.name);
    let keys = action.configuration.as_ref().map_or(0, std::collections::BTreeMap::len);
    if keys > limits::CONFIGURATION_KEYS {
        let most = limits::CONFIGURATION_KEYS;
        found.constraint(format_args!("{path}.configuration"), format!("has {keys} keys, and {most} are allowed"));
    }
    for (key, value) in action.configuration.iter().flatten() {
        let at = format_args!("{path}.configuration.{}", shown(key));
        if key.is_empty() || key.chars().count() > 50 {
            found.constraint(at, "a configuration key has 1 to 50 characters");
        }
        let property = known.and_then(|known| known.property(key));
        if known.is_some_and(|known| !known.other_keys) && property.is_none() {
            found.add(Kind::InvalidActionDeclaration, at, unknown_key(&name, key));
        }
        let most = property.map_or(catalogue::MAX_VALUE_LENGTH, |property| property.max_length);
        let length = value.chars().count();
        if length == 0 || length > most {
            found.constraint(at, format!("has {length} characters, and 1 to {most} are allowed"));
        }
        // A value without characters has been reported.
        if let Some(Err(expected)) = property.filter(|_| length > 0).map(|property| property.kind.check(value)) {
            let message = format!("the value of {} of action {name} {expected}", shown(key));
            found.add(Kind::InvalidActionDeclaration, at, message);
        }
        if property.is_some_and(|property| property.secret) && value == MASK {
            let message = format!("the configuration of action {name} has {MASK} for a secret that is not known yet");
            found.add(Kind::InvalidActionDeclaration, at, message);
        }
    }
    for property in known.into_iter().flat_map(|known| known.configuration).filter(|property| property.required) {
        if !action.configuration.as_ref().is_some_and(|configuration| configuration.contains_key(property.name)) {
            let message = missing_key(&name, property.name);
            found.add(Kind::InvalidActionDeclaration, format_args!("{path}.configuration"), message);
        }
    }
    needs(action, known, path, found);
}

/// What some values of the configuration require in addition. A variable may turn out to be such a value; only the run
/// shows it.
fn needs(action: &ActionDeclaration, known: Option<&ActionType>, path: &str, found: &mut Findings) {
    let name = shown(&action.name);
    let value = |key: &str| action.configuration.as_ref().and_then(|all| all.get(key));
    for need in known.into_iter().flat_map(|known| known.needs) {
        if !value(need.key).is_some_and(|value| value.eq_ignore_ascii_case(need.value)) {
            continue;
        }
        let (member, message) = match need.needed {
            Needed::Key(key) if value(key).is_none() => ("configuration", missing_key(&name, key)),
            Needed::InputArtifact if action.input_artifacts.as_ref().is_none_or(Vec::is_empty) => {
                ("inputArtifacts", format!("action {name} has no input artifact"))
            }
            Needed::Key(_) | Needed::InputArtifact => continue,
        };
        let message = format!("{message}, which the value {} of {} needs", need.value, need.key);
        found.add(Kind::InvalidActionDeclaration, format_args!("{path}.{member}"), message);
    }
}

fn members(action: &ActionDeclaration, path: &str, found: &mut Findings) {
    let name = shown(&action.name);
    let id = &action.action_type_id;
    let approval = id.category == "Approval" && id.provider == "Manual";
    if action.timeout_in_minutes.is_some() && !approval {
        let message = format!("timeoutInMinutes is for manual approvals, and action {name} is none");
        found.add(Kind::InvalidActionDeclaration, format_args!("{path}.timeoutInMinutes"), message);
    }
    let commands = id.provider == "Commands" && id.owner.as_deref() == Some("AWS");
    let mut only_for_commands = |member: &str, present: bool| {
        if present && !commands {
            let message = format!("{member} is for Commands actions, and action {name} is none");
            found.add(Kind::InvalidActionDeclaration, format_args!("{path}.{member}"), message);
        }
    };
    only_for_commands("commands", action.commands.is_some());
    only_for_commands("outputVariables", action.output_variables.is_some());
    // Source: CodePipeline user guide, 'Commands action reference', 'Environment variables'.
    for (v, variable) in (1..).zip(action.environment_variables.iter().flatten()) {
        let secret = variable.kind.as_deref() == Some("SECRETS_MANAGER");
        only_for_commands(&format!("environmentVariables.{v}.member.type"), secret);
    }
    for (o, artifact) in action.output_artifacts.iter().flatten().enumerate() {
        only_for_commands(&format!("outputArtifacts.{o}.member.files", o = o + 1), artifact.files.is_some());
    }
    if commands && action.commands.is_none() {
        let message = format!("action {name} has no commands");
        found.add(Kind::InvalidActionDeclaration, format_args!("{path}.commands"), message);
    }
    one_line(action.commands.as_deref(), Kind::InvalidActionDeclaration, &name, path, found);
    if approval && let Some(topic) = action.configuration.as_ref().and_then(|all| all.get("NotificationArn")) {
        notification(topic, &name, path, found);
    }
}

/// A command has one line. Source: CodePipeline user guide, 'Commands action reference', 'Considerations'.
pub(super) fn one_line(commands: Option<&[String]>, kind: Kind, name: &str, path: &str, found: &mut Findings) {
    for (c, _) in commands.into_iter().flatten().enumerate().filter(|(_, command)| command.contains(['\n', '\r'])) {
        let message =
            format!("command {} of {name} has several lines, and multi-line formats are not supported", c + 1);
        found.add(kind, format_args!("{path}.commands.{}.member", c + 1), message);
    }
}

/// The topic of an approval; one that is given by a variable is known only when the action runs.
fn notification(topic: &str, name: &str, path: &str, found: &mut Findings) {
    if !crate::variables::references(topic).is_empty() {
        return;
    }
    let parts: Vec<&str> = topic.splitn(6, ':').collect();
    let sns = matches!(parts[..], ["arn", partition, "sns", region, account, topic]
        if [partition, region, account, topic].iter().all(|part| !part.is_empty()));
    if !sns {
        let message = format!("the NotificationArn of action {name} is not the ARN of an SNS topic");
        found.add(Kind::InvalidActionDeclaration, format_args!("{path}.configuration.NotificationArn"), message);
    }
}
