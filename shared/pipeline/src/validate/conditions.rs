//! Conditions and failure results of stages: their results, their rules against the catalogue, and what rules read.
//! Source: CodePipeline user guide, 'Stage conditions', 'Rule structure reference', 'Configuring stage retry' and
//! 'Configuring stage rollback', and the API's shapes.

use std::collections::{HashMap, HashSet};

use super::actions::one_line;
use super::constraints::{count, length, one_of, texts, type_id, within};
use super::{Findings, mode, pipeline_type, shown};
use crate::catalogue::rules::{self, RuleType};
use crate::declaration::{Condition, Declaration, RuleDeclaration, StageDeclaration};
use crate::invalid::Kind;
use crate::limits;
use crate::names::{ActionName, ArtifactName, Region, RoleArn};
use crate::pipeline::{ExecutionMode, PipelineType};

/// Every result that the API knows.
const RESULTS: &[&str] = &["ROLLBACK", "FAIL", "RETRY", "SKIP"];

/// A member of a stage that holds conditions.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Moment {
    BeforeEntry,
    OnSuccess,
    OnFailure,
}

impl Moment {
    fn name(self) -> &'static str {
        match self {
            Self::BeforeEntry => "beforeEntry",
            Self::OnSuccess => "onSuccess",
            Self::OnFailure => "onFailure",
        }
    }

    /// What can happen when its conditions say so.
    fn results(self) -> &'static [&'static str] {
        match self {
            Self::BeforeEntry => &["FAIL", "SKIP"],
            Self::OnSuccess | Self::OnFailure => &["ROLLBACK", "FAIL"],
        }
    }
}

/// The conditions of a stage, with the moment of each.
fn of(stage: &StageDeclaration) -> impl Iterator<Item = (Moment, &[Condition])> {
    let before = stage.before_entry.as_ref().map(|before| (Moment::BeforeEntry, before.conditions.as_slice()));
    let after = stage.on_success.as_ref().map(|after| (Moment::OnSuccess, after.conditions.as_slice()));
    let failure = stage.on_failure.as_ref().and_then(|failure| failure.conditions.as_deref());
    [before, after, failure.map(|conditions| (Moment::OnFailure, conditions))].into_iter().flatten()
}

/// A rule and where it stands.
pub(super) struct Placed<'a> {
    /// How many stages have run when it does: before a stage's entry, those before it. What an action has made of a
    /// stage that failed may be there.
    pub(super) run: usize,
    pub(super) path: String,
    pub(super) rule: &'a RuleDeclaration,
}

/// The rules of all conditions, each with its place.
pub(super) fn placed(declaration: &Declaration) -> impl Iterator<Item = Placed<'_>> {
    declaration.stages.iter().enumerate().flat_map(|(s, stage)| {
        of(stage).flat_map(move |(moment, conditions)| {
            conditions.iter().enumerate().flat_map(move |(c, condition)| {
                condition.rules.iter().flatten().enumerate().map(move |(r, rule)| Placed {
                    run: s + usize::from(moment != Moment::BeforeEntry),
                    path: format!(
                        "stages.{s}.member.{}.conditions.{c}.member.rules.{r}.member",
                        moment.name(),
                        s = s + 1,
                        c = c + 1,
                        r = r + 1
                    ),
                    rule,
                })
            })
        })
    })
}

pub(super) fn check(declaration: &Declaration, found: &mut Findings) {
    let v2 = pipeline_type(declaration) == PipelineType::V2;
    let parallel = mode(declaration) == ExecutionMode::Parallel;
    for (s, stage) in declaration.stages.iter().enumerate() {
        let path = format!("stages.{s}.member", s = s + 1);
        let declared = [
            ("beforeEntry", stage.before_entry.is_some()),
            ("onSuccess", stage.on_success.is_some()),
            ("onFailure", stage.on_failure.is_some()),
        ];
        for (name, _) in declared.iter().filter(|(_, declared)| *declared && !v2) {
            let message = "Stage level conditions can only be used with V2 pipelines.";
            found.add(Kind::InvalidStageDeclaration, format_args!("{path}.{name}"), message);
        }
        failure(stage, &format!("{path}.onFailure"), found);
        for (moment, all) in of(stage) {
            let path = format!("{path}.{}", moment.name());
            count(Some(all.len()), 1..=1, format_args!("{path}.conditions"), found);
            for (c, condition) in all.iter().enumerate() {
                let path = format!("{path}.conditions.{c}.member", c = c + 1);
                result(condition.result.as_deref(), moment.results(), moment, &path, found);
                rules_of(condition, &path, found);
            }
        }
        for moment in
            [Moment::OnSuccess, Moment::OnFailure].into_iter().filter(|moment| parallel && rolls_back(stage, *moment))
        {
            let message = match moment {
                Moment::OnFailure => {
                    "Failure conditions with rollback result type cannot be added to a PARALLEL pipeline.".to_owned()
                }
                _ => format!("stage {} cannot roll back in a pipeline of mode PARALLEL", shown(&stage.name)),
            };
            found.add(Kind::InvalidStageDeclaration, format_args!("{path}.{}", moment.name()), message);
        }
    }
    inputs(declaration, found);
}

fn rolls_back(stage: &StageDeclaration, moment: Moment) -> bool {
    let own = stage.on_failure.as_ref().filter(|_| moment == Moment::OnFailure).map(|failure| &failure.result);
    let conditions = of(stage).filter(|(other, _)| *other == moment).flat_map(|(_, conditions)| conditions);
    conditions.map(|condition| &condition.result).chain(own).any(|result| result.as_deref() == Some("ROLLBACK"))
}

fn failure(stage: &StageDeclaration, path: &str, found: &mut Findings) {
    let Some(failure) = &stage.on_failure else { return };
    result(failure.result.as_deref(), &["ROLLBACK", "RETRY", "FAIL"], Moment::OnFailure, path, found);
    if let Some(retry) = &failure.retry_configuration {
        let modes = ["FAILED_ACTIONS", "ALL_ACTIONS"];
        one_of(retry.retry_mode.as_deref(), &modes, format_args!("{path}.retryConfiguration.retryMode"), found);
        if failure.result.as_deref() != Some("RETRY") {
            let message =
                format!("onFailure of stage {} has a retryConfiguration without the result RETRY", shown(&stage.name));
            found.add(Kind::InvalidStageDeclaration, format_args!("{path}.retryConfiguration"), message);
        }
    }
    if failure.result.is_some() && failure.conditions.is_some() {
        let message = format!(
            "The following stage cannot have a failure exit gate configured with both top level result and conditions: \
             '{}'",
            shown(&stage.name)
        );
        found.add(Kind::InvalidStageDeclaration, path, message);
    }
}

fn result(result: Option<&str>, allowed: &[&str], moment: Moment, path: &str, found: &mut Findings) {
    one_of(result, RESULTS, format_args!("{path}.result"), found);
    if let Some(result) = result.filter(|result| RESULTS.contains(result) && !allowed.contains(result)) {
        let message = format!("the result of {} cannot be {result}, but {}", moment.name(), allowed.join(" or "));
        found.add(Kind::InvalidStageDeclaration, format_args!("{path}.result"), message);
    }
}

fn rules_of(condition: &Condition, path: &str, found: &mut Findings) {
    count(condition.rules.as_ref().map(Vec::len), 1..=5, format_args!("{path}.rules"), found);
    let skips = condition.result.as_deref() == Some("SKIP");
    let mut names = HashSet::new();
    for (r, rule) in condition.rules.iter().flatten().enumerate() {
        let path = format!("{path}.rules.{r}.member", r = r + 1);
        constraints(rule, &path, found);
        let known = rules::find(&rule.rule_type_id);
        against_catalogue(rule, known, &path, found);
        let mut wrong = |member: &str, message: String| {
            found.add(Kind::InvalidStageDeclaration, format_args!("{path}.{member}"), message);
        };
        if !names.insert(rule.name.as_str()) {
            wrong("name", format!("more than one rule of the condition has the name {}", shown(&rule.name)));
        }
        if let Some(known) = known.filter(|known| skips && !known.can_skip) {
            let message = format!("a condition with the result SKIP cannot have {} rules", known.provider);
            wrong("ruleTypeId.provider", message);
        }
    }
}

fn constraints(rule: &RuleDeclaration, path: &str, found: &mut Findings) {
    // A rule's name has the form of an action's. Source: CodePipeline API, `RuleName`.
    found.name(ActionName::new(rule.name.as_str()), format_args!("{path}.name"));
    type_id(&rule.rule_type_id, &[rules::CATEGORY], &[rules::OWNER], false, &format!("{path}.ruleTypeId"), found);
    count(
        rule.configuration.as_ref().map(std::collections::BTreeMap::len),
        0..=200,
        format_args!("{path}.configuration"),
        found,
    );
    for (key, value) in rule.configuration.iter().flatten() {
        let path = format!("{path}.configuration.{}", shown(key));
        length(Some(key), 1..=50, &path, found);
        length(Some(value), 1..=rules::MAX_VALUE_LENGTH, &path, found);
    }
    texts(rule.commands.as_deref(), 1..=50, 1..=1000, &format!("{path}.commands"), found);
    for (i, artifact) in rule.input_artifacts.iter().flatten().enumerate() {
        found.name(
            ArtifactName::new(artifact.name.as_str()),
            format_args!("{path}.inputArtifacts.{i}.member.name", i = i + 1),
        );
    }
    if let Some(role) = &rule.role_arn {
        found.name(RoleArn::new(role.as_str()), format_args!("{path}.roleArn"));
    }
    if let Some(region) = &rule.region {
        found.name(Region::new(region.as_str()), format_args!("{path}.region"));
    }
    within(rule.timeout_in_minutes, limits::TIMEOUT_MINUTES, format_args!("{path}.timeoutInMinutes"), found);
}

fn against_catalogue(rule: &RuleDeclaration, known: Option<&RuleType>, path: &str, found: &mut Findings) {
    let name = shown(&rule.name);
    let mut wrong = |member: &str, message: String| {
        found.add(Kind::InvalidStageDeclaration, format_args!("{path}.{member}"), message);
    };
    let Some(known) = known else {
        let id = &rule.rule_type_id;
        // Another category or owner has been reported already.
        if id.category == rules::CATEGORY && id.owner.as_deref().is_none_or(|owner| owner == rules::OWNER) {
            let version = id.version.as_deref().unwrap_or(rules::VERSION);
            let (provider, version) = (shown(&id.provider), shown(version));
            wrong(
                "ruleTypeId",
                format!("there is no rule type of provider {provider} and version {version} for rule {name}"),
            );
        }
        return;
    };
    for (key, value) in rule.configuration.iter().flatten() {
        let message = match known.property(key) {
            None => format!("the configuration of rule {name} has the unknown key {}", shown(key)),
            // A value without characters has been reported.
            Some(property) => match property.kind.check(value) {
                Err(expected) if !value.is_empty() => format!("the value of {} of rule {name} {expected}", shown(key)),
                _ => continue,
            },
        };
        wrong(&format!("configuration.{}", shown(key)), message);
    }
    let has = |key| rule.configuration.as_ref().is_some_and(|configuration| configuration.contains_key(key));
    for property in known.configuration.iter().filter(|property| property.required && !has(property.name)) {
        wrong("configuration", format!("the configuration of rule {name} lacks the key {}", property.name));
    }
    match (known.commands, &rule.commands) {
        (true, None) => wrong("commands", format!("rule {name} has no commands")),
        (false, Some(_)) => wrong("commands", format!("commands are for Commands rules, and rule {name} is none")),
        _ => {}
    }
    let inputs = rule.input_artifacts.as_ref().map_or(0, Vec::len);
    if !known.inputs.contains(&inputs) {
        let (least, most) = (known.inputs.start(), known.inputs.end());
        let message = format!("rule {name} has {inputs} inputArtifacts, and {least} to {most} are allowed");
        wrong("inputArtifacts", message);
    }
    one_line(rule.commands.as_deref(), Kind::InvalidStageDeclaration, &name, path, found);
}

/// What a rule reads is there when it runs.
fn inputs(declaration: &Declaration, found: &mut Findings) {
    let made: HashMap<&str, usize> = super::actions(declaration)
        .flat_map(|(s, _, action)| action.output_artifacts.iter().flatten().map(move |made| (made.name.as_str(), s)))
        .collect();
    for Placed { run, path, rule } in placed(declaration) {
        for (i, artifact) in rule.input_artifacts.iter().flatten().enumerate() {
            if made.get(artifact.name.as_str()).is_none_or(|stage| *stage >= run) {
                let message = format!(
                    "the input artifact {} of rule {} is not an output artifact of an action before it",
                    shown(&artifact.name),
                    shown(&rule.name)
                );
                let path = format_args!("{path}.inputArtifacts.{i}.member.name", i = i + 1);
                found.add(Kind::InvalidStageDeclaration, path, message);
            }
        }
    }
}
