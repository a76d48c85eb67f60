//! Namespaces, and references to variables in the configurations, commands and environments of actions and rules. Source: CodePipeline user guide,
//! 'Variables reference'.

use std::borrow::Cow;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};

use super::conditions::{self, Placed};
use super::{Findings, place, run_order, shown};
use crate::declaration::{ActionDeclaration, Declaration, RuleDeclaration};
use crate::invalid::Kind;
use crate::variables::{CODEPIPELINE, VARIABLES, references, without_namespace};

/// What AWS says about a malformed reference.
const FORM: &str =
    "Valid format for a pipeline execution variable reference is a namespace and a key separated by a period (.).";

pub(super) fn check(declaration: &Declaration, found: &mut Findings) {
    let namespaces = namespaces(declaration, found);
    let variables: HashSet<&str> =
        declaration.variables.iter().flatten().map(|variable| variable.name.as_str()).collect();
    for (s, a, action) in super::actions(declaration) {
        for Text { path, key, value } in texts_of_action(action) {
            let path = format!("{}.{path}", place(s, a));
            let at = |what: &str, text: &str| {
                format!(
                    "{FORM} The following pipeline execution variables are {what}. StageName=[{}], ActionName=[{}], \
                     ActionConfigurationKey=[{}], VariableReferenceText=[{}]",
                    shown(&declaration.stages[s].name),
                    shown(&action.name),
                    shown(&key),
                    shown(text)
                )
            };
            for name in without_namespace(value) {
                found.add(Kind::InvalidActionDeclaration, &path, at("not in this format", name));
            }
            for reference in references(value) {
                let refers = |why: &str| format!("action {} refers to {reference}: {why}", shown(&action.name));
                let (kind, message) = match reference.namespace.as_str() {
                    CODEPIPELINE => continue,
                    VARIABLES if s == 0 => {
                        (Kind::InvalidStructure, refers("source actions cannot use pipeline-level variables"))
                    }
                    VARIABLES if variables.contains(reference.key.as_str()) => continue,
                    VARIABLES => (Kind::InvalidStructure, refers("the pipeline declares no such variable")),
                    namespace => match namespaces.get(namespace) {
                        Some(owner) if *owner < (s, run_order(action)) => continue,
                        Some(_) => {
                            let why = "the action with this namespace does not run before";
                            (Kind::InvalidActionDeclaration, refers(why))
                        }
                        None => {
                            let text = format!("{}.{}", reference.namespace, reference.key);
                            (Kind::InvalidActionDeclaration, at("referencing a namespace that does not exist", &text))
                        }
                    },
                };
                found.add(kind, &path, message);
            }
        }
    }
    rules(declaration, &namespaces, &variables, found);
}

/// What a rule refers to has its value when the rule runs.
fn rules(
    declaration: &Declaration,
    namespaces: &HashMap<&str, (usize, u32)>,
    variables: &HashSet<&str>,
    found: &mut Findings,
) {
    for Placed { run, path, rule } in conditions::placed(declaration) {
        for Text { path: place, value, .. } in texts_of_rule(rule) {
            let path = format!("{path}.{place}");
            for name in without_namespace(value) {
                let message = format!("{FORM} Rule {} has #{{{}}}", shown(&rule.name), shown(name));
                found.add(Kind::InvalidStageDeclaration, &path, message);
            }
            for reference in references(value) {
                let why = match reference.namespace.as_str() {
                    CODEPIPELINE => continue,
                    VARIABLES if variables.contains(reference.key.as_str()) => continue,
                    VARIABLES => "the pipeline declares no such variable",
                    namespace => match namespaces.get(namespace) {
                        None => "no action has this namespace",
                        Some((owner, _)) if *owner < run => continue,
                        Some(_) => "the action with this namespace does not run before",
                    },
                };
                let message = format!("rule {} refers to {reference}: {why}", shown(&rule.name));
                found.add(Kind::InvalidStageDeclaration, &path, message);
            }
        }
    }
}

/// A text in which variables are replaced by their values.
struct Text<'a> {
    /// Where it stands in its action or rule.
    path: String,
    /// The configuration key, or what stands for one.
    key: Cow<'a, str>,
    value: &'a str,
}

fn texts_of_action(action: &ActionDeclaration) -> impl Iterator<Item = Text<'_>> {
    let environment = action.environment_variables.iter().flatten().enumerate().map(|(v, variable)| Text {
        path: format!("environmentVariables.{}.member.value", v + 1),
        key: Cow::from(&variable.name),
        value: &variable.value,
    });
    configured(action.configuration.as_ref()).chain(commands(action.commands.as_deref())).chain(environment)
}

fn texts_of_rule(rule: &RuleDeclaration) -> impl Iterator<Item = Text<'_>> {
    configured(rule.configuration.as_ref()).chain(commands(rule.commands.as_deref()))
}

fn configured(configuration: Option<&BTreeMap<String, String>>) -> impl Iterator<Item = Text<'_>> {
    configuration.into_iter().flatten().map(|(key, value)| Text {
        path: format!("configuration.{}", shown(key)),
        key: Cow::from(key),
        value,
    })
}

fn commands(commands: Option<&[String]>) -> impl Iterator<Item = Text<'_>> {
    commands.into_iter().flatten().enumerate().map(|(c, command)| Text {
        path: format!("commands.{}.member", c + 1),
        key: Cow::from("commands"),
        value: command,
    })
}

/// Who fills each namespace: stage index and run order.
fn namespaces<'a>(declaration: &'a Declaration, found: &mut Findings) -> HashMap<&'a str, (usize, u32)> {
    let artifacts: HashSet<&str> = super::actions(declaration)
        .flat_map(|(_, _, action)| action.output_artifacts.iter().flatten())
        .map(|artifact| artifact.name.as_str())
        .collect();
    let mut owners = HashMap::new();
    for (s, a, action) in super::actions(declaration) {
        let Some(namespace) = action.namespace.as_deref() else { continue };
        let reserved = namespace == CODEPIPELINE || namespace == VARIABLES;
        let taken = [(reserved, "is reserved"), (artifacts.contains(namespace), "is the name of an artifact")];
        for (_, why) in taken.iter().filter(|(wrong, _)| *wrong) {
            let message = format!("the namespace {} of action {} {why}", shown(namespace), shown(&action.name));
            found.add(Kind::InvalidActionDeclaration, format_args!("{}.namespace", place(s, a)), message);
        }
        match owners.entry(namespace) {
            Entry::Vacant(free) => _ = free.insert((s, run_order(action))),
            Entry::Occupied(_) => {
                let stage = &declaration.stages[s].name;
                let message = format!(
                    "Namespaces must be unique across the pipeline definition. The following occur more than once in the \
                     pipeline. StageName=[{}], ActionName=[{}], Namespace=[{}]",
                    shown(stage),
                    shown(&action.name),
                    shown(namespace)
                );
                found.add(Kind::InvalidActionDeclaration, format_args!("{}.namespace", place(s, a)), message);
            }
        }
    }
    owners
}
