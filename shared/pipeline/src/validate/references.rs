//! Namespaces, and references to variables in the configurations of actions and rules. Source: CodePipeline user guide,
//! 'Variables reference'.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use super::conditions::{self, Placed};
use super::{Findings, place, run_order, shown};
use crate::declaration::Declaration;
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
        for (key, value) in action.configuration.iter().flatten() {
            let path = format!("{}.configuration.{}", place(s, a), shown(key));
            let at = |what: &str, text: &str| {
                format!(
                    "{FORM} The following pipeline execution variables are {what}. StageName=[{}], ActionName=[{}], \
                     ActionConfigurationKey=[{}], VariableReferenceText=[{}]",
                    shown(&declaration.stages[s].name),
                    shown(&action.name),
                    shown(key),
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
        for (key, value) in rule.configuration.iter().flatten() {
            let path = format!("{path}.configuration.{}", shown(key));
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
