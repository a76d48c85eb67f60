//! Constraints of single values: patterns, lengths, ranges, list sizes. Source: the CodePipeline API's shapes. The
//! API's own walk over its input reports the same before a declaration comes here; tools have no such walk.

use std::fmt::Display;
use std::ops::RangeInclusive;

use super::{Findings, place};
use crate::declaration::{ActionDeclaration, ArtifactStore, Declaration, Patterns, TriggerDeclaration, TypeId};
use crate::limits;
use crate::names::{ActionName, ArtifactName, Namespace, PipelineName, Region, RoleArn, StageName, consists_of};
use crate::variables::is_key;

pub(super) fn check(declaration: &Declaration, found: &mut Findings) {
    found.name(PipelineName::new(declaration.name.as_str()), "name");
    found.name(RoleArn::new(declaration.role_arn.as_str()), "roleArn");
    one_of(declaration.execution_mode.as_deref(), &["SUPERSEDED", "QUEUED", "PARALLEL"], "executionMode", found);
    one_of(declaration.pipeline_type.as_deref(), &["V1", "V2"], "pipelineType", found);
    if let Some(artifact_store) = &declaration.artifact_store {
        store(artifact_store, "artifactStore", found);
    }
    for (region, artifact_store) in declaration.artifact_stores.iter().flatten() {
        found.name(Region::new(region.as_str()), "artifactStores");
        store(artifact_store, &format!("artifactStores.{}.member", super::shown(region)), found);
    }
    for (s, stage) in declaration.stages.iter().enumerate() {
        found.name(StageName::new(stage.name.as_str()), format_args!("stages.{s}.member.name", s = s + 1));
        for (a, declared) in stage.actions.iter().enumerate() {
            action(declared, &place(s, a), found);
        }
    }
    variables(declaration, found);
    count(declaration.triggers.as_ref().map(Vec::len), 0..=limits::VARIABLES, "triggers", found);
    for (t, declared) in declaration.triggers.iter().flatten().enumerate() {
        trigger(declared, &format!("triggers.{t}.member.gitConfiguration", t = t + 1), found);
        one_of(
            Some(&declared.provider_type),
            &["CodeStarSourceConnection"],
            format_args!("triggers.{t}.member.providerType", t = t + 1),
            found,
        );
    }
}

fn store(store: &ArtifactStore, path: &str, found: &mut Findings) {
    one_of(Some(&store.kind), &["S3"], format_args!("{path}.type"), found);
    if !consists_of(&store.location, 3..=63, b"-.") {
        found.constraint(
            format_args!("{path}.location"),
            "the artifact store's location must be a bucket name: 3 to 63 letters, digits, - and .",
        );
    }
    if let Some(key) = &store.encryption_key {
        one_of(Some(&key.kind), &["KMS"], format_args!("{path}.encryptionKey.type"), found);
        length(Some(&key.id), 1..=400, format_args!("{path}.encryptionKey.id"), found);
    }
}

fn action(action: &ActionDeclaration, path: &str, found: &mut Findings) {
    found.name(ActionName::new(action.name.as_str()), format_args!("{path}.name"));
    let category = ["Source", "Build", "Deploy", "Test", "Invoke", "Approval", "Compute"];
    type_id(
        &action.action_type_id,
        &category,
        &["AWS", "ThirdParty", "Custom"],
        true,
        &format!("{path}.actionTypeId"),
        found,
    );
    within(action.run_order, limits::RUN_ORDER, format_args!("{path}.runOrder"), found);
    within(action.timeout_in_minutes, limits::TIMEOUT_MINUTES, format_args!("{path}.timeoutInMinutes"), found);
    if let Some(role) = &action.role_arn {
        found.name(RoleArn::new(role.as_str()), format_args!("{path}.roleArn"));
    }
    if let Some(region) = &action.region {
        found.name(Region::new(region.as_str()), format_args!("{path}.region"));
    }
    if let Some(namespace) = &action.namespace {
        found.name(Namespace::new(namespace.as_str()), format_args!("{path}.namespace"));
    }
    for (i, artifact) in action.input_artifacts.iter().flatten().enumerate() {
        found.name(
            ArtifactName::new(artifact.name.as_str()),
            format_args!("{path}.inputArtifacts.{i}.member.name", i = i + 1),
        );
    }
    for (o, artifact) in action.output_artifacts.iter().flatten().enumerate() {
        found.name(
            ArtifactName::new(artifact.name.as_str()),
            format_args!("{path}.outputArtifacts.{o}.member.name", o = o + 1),
        );
        texts(
            artifact.files.as_deref(),
            1..=10,
            1..=128,
            &format!("{path}.outputArtifacts.{o}.member.files", o = o + 1),
            found,
        );
    }
    texts(action.commands.as_deref(), 1..=50, 1..=1000, &format!("{path}.commands"), found);
    texts(action.output_variables.as_deref(), 1..=15, 1..=128, &format!("{path}.outputVariables"), found);
    let environment = action.environment_variables.as_ref();
    count(environment.map(Vec::len), 1..=10, format_args!("{path}.environmentVariables"), found);
    for (v, variable) in environment.into_iter().flatten().enumerate() {
        let path = format!("{path}.environmentVariables.{v}.member", v = v + 1);
        if !consists_of(&variable.name, 1..=128, b"_") {
            found.constraint(
                format_args!("{path}.name"),
                "an environment variable's name must have 1 to 128 letters, digits and _",
            );
        }
        length(Some(&variable.value), 1..=2000, format_args!("{path}.value"), found);
        one_of(variable.kind.as_deref(), &["PLAINTEXT", "SECRETS_MANAGER"], format_args!("{path}.type"), found);
    }
}

/// An action's or a rule's type. `complete`: all four parts are needed.
pub(super) fn type_id(
    id: &TypeId,
    categories: &[&str],
    owners: &[&str],
    complete: bool,
    path: &str,
    found: &mut Findings,
) {
    one_of(Some(&id.category), categories, format_args!("{path}.category"), found);
    if !consists_of(&id.provider, 1..=35, b"_-") {
        found.constraint(format_args!("{path}.provider"), "the provider must have 1 to 35 letters, digits, _ and -");
    }
    match &id.owner {
        None if complete => found.constraint(format_args!("{path}.owner"), "the owner is missing"),
        owner => one_of(owner.as_deref(), owners, format_args!("{path}.owner"), found),
    }
    match &id.version {
        None if complete => found.constraint(format_args!("{path}.version"), "the version is missing"),
        Some(version) if !consists_of(version, 1..=9, b"_-") => {
            found.constraint(format_args!("{path}.version"), "the version must have 1 to 9 letters, digits, _ and -");
        }
        _ => {}
    }
}

fn variables(declaration: &Declaration, found: &mut Findings) {
    count(declaration.variables.as_ref().map(Vec::len), 0..=limits::VARIABLES, "variables", found);
    for (v, variable) in declaration.variables.iter().flatten().enumerate() {
        if !is_key(&variable.name) {
            found.constraint(
                format_args!("variables.{v}.member.name", v = v + 1),
                "a variable's name must have 1 to 128 letters, digits, @, - and _",
            );
        }
        length(
            variable.default_value.as_deref(),
            1..=1000,
            format_args!("variables.{v}.member.defaultValue", v = v + 1),
            found,
        );
        length(
            variable.description.as_deref(),
            0..=200,
            format_args!("variables.{v}.member.description", v = v + 1),
            found,
        );
    }
}

fn trigger(trigger: &TriggerDeclaration, path: &str, found: &mut Findings) {
    let git = &trigger.git_configuration;
    found.name(ActionName::new(git.source_action_name.as_str()), format_args!("{path}.sourceActionName"));
    count(git.push.as_ref().map(Vec::len), 1..=3, format_args!("{path}.push"), found);
    for (p, push) in git.push.iter().flatten().enumerate() {
        let path = format!("{path}.push.{p}.member", p = p + 1);
        patterns(push.tags.as_ref(), &format!("{path}.tags"), found);
        patterns(push.branches.as_ref(), &format!("{path}.branches"), found);
        patterns(push.file_paths.as_ref(), &format!("{path}.filePaths"), found);
    }
    count(git.pull_request.as_ref().map(Vec::len), 1..=3, format_args!("{path}.pullRequest"), found);
    for (p, request) in git.pull_request.iter().flatten().enumerate() {
        let path = format!("{path}.pullRequest.{p}.member", p = p + 1);
        patterns(request.branches.as_ref(), &format!("{path}.branches"), found);
        patterns(request.file_paths.as_ref(), &format!("{path}.filePaths"), found);
        count(request.events.as_ref().map(Vec::len), 1..=3, format_args!("{path}.events"), found);
        for (e, event) in request.events.iter().flatten().enumerate() {
            let path = format_args!("{path}.events.{e}.member", e = e + 1);
            one_of(Some(event), &["OPEN", "UPDATED", "CLOSED"], path, found);
        }
    }
}

fn patterns(patterns: Option<&Patterns>, path: &str, found: &mut Findings) {
    let Some(patterns) = patterns else { return };
    texts(patterns.includes.as_deref(), 1..=8, 1..=255, &format!("{path}.includes"), found);
    texts(patterns.excludes.as_deref(), 1..=8, 1..=255, &format!("{path}.excludes"), found);
}

pub(super) fn texts(
    list: Option<&[String]>,
    items: RangeInclusive<usize>,
    characters: RangeInclusive<usize>,
    path: &str,
    found: &mut Findings,
) {
    count(list.map(<[String]>::len), items, path, found);
    for (n, text) in list.into_iter().flatten().enumerate() {
        length(Some(text), characters.clone(), format_args!("{path}.{n}.member", n = n + 1), found);
    }
}

pub(super) fn one_of(value: Option<&str>, allowed: &[&str], path: impl Display, found: &mut Findings) {
    if let Some(value) = value.filter(|value| !allowed.contains(value)) {
        found.constraint(path, format!("{:?} is not one of {}", super::shown(value), allowed.join(", ")));
    }
}

/// Characters, as the API counts them.
pub(super) fn length(text: Option<&str>, allowed: RangeInclusive<usize>, path: impl Display, found: &mut Findings) {
    let Some(length) = text.map(|text| text.chars().count()) else { return };
    if !allowed.contains(&length) {
        found.constraint(
            path,
            format!("has {length} characters, and {} to {} are allowed", allowed.start(), allowed.end()),
        );
    }
}

pub(super) fn count(length: Option<usize>, allowed: RangeInclusive<usize>, path: impl Display, found: &mut Findings) {
    if let Some(length) = length.filter(|length| !allowed.contains(length)) {
        found.constraint(
            path,
            format!("has {length} entries, and {} to {} are allowed", allowed.start(), allowed.end()),
        );
    }
}

pub(super) fn within(value: Option<u32>, allowed: RangeInclusive<u32>, path: impl Display, found: &mut Findings) {
    if let Some(value) = value.filter(|value| !allowed.contains(value)) {
        found.constraint(path, format!("is {value}, and {} to {} are allowed", allowed.start(), allowed.end()));
    }
}
