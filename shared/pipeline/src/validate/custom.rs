//! Actions of the account's own types, and of third parties', against their definitions. Source: CodePipeline API,
//! `CreateCustomActionType`, `ActionConfigurationProperty`, `ArtifactDetails`.

use super::{Findings, missing_key, place, shown, unavailable, unknown_key};
use crate::catalogue;
use crate::custom::{Counts, Terms, Types};
use crate::declaration::{ActionDeclaration, Declaration};
use crate::invalid::Kind;
use crate::names::consists_of;
use crate::secrets::MASK;

/// Longest value of a property by which job workers poll. Source: CodePipeline API, `ActionConfigurationProperty`.
const QUERYABLE: std::ops::RangeInclusive<usize> = 1..=20;

/// Checks every action whose type the catalogue does not know.
pub(super) fn check(declaration: &Declaration, types: &Types, found: &mut Findings) {
    for (s, a, action) in super::actions(declaration) {
        let id = &action.action_type_id;
        let theirs = matches!(id.owner.as_deref(), Some("Custom" | "ThirdParty")) && catalogue::find(id).is_none();
        if !theirs {
            continue;
        }
        let path = place(s, a);
        match types.find(id) {
            Some(terms) => {
                artifacts(action, terms, &path, found);
                configuration(action, terms, &path, found);
            }
            None => {
                found.add(Kind::InvalidActionDeclaration, format_args!("{path}.actionTypeId"), unavailable(action));
            }
        }
    }
}

fn artifacts(action: &ActionDeclaration, terms: &Terms, path: &str, found: &mut Findings) {
    let mut check = |list: &str, length: usize, Counts { least, most }: Counts| {
        if !(usize::from(least)..=usize::from(most)).contains(&length) {
            let name = shown(&action.name);
            let message = format!("action {name} has {length} {list}, and {least} to {most} are allowed");
            found.add(Kind::InvalidActionDeclaration, format_args!("{path}.{list}"), message);
        }
    };
    check("inputArtifacts", action.input_artifacts.as_ref().map_or(0, Vec::len), terms.inputs);
    check("outputArtifacts", action.output_artifacts.as_ref().map_or(0, Vec::len), terms.outputs);
}

fn configuration(action: &ActionDeclaration, terms: &Terms, path: &str, found: &mut Findings) {
    let name = shown(&action.name);
    for (key, value) in action.configuration.iter().flatten() {
        let at = format_args!("{path}.configuration.{}", shown(key));
        let term = terms.properties.iter().find(|term| term.name == *key);
        if term.is_none() && !is_client(terms, key) {
            found.add(Kind::InvalidActionDeclaration, at, unknown_key(&name, key));
        }
        if terms.is_secret(key) && value == MASK {
            let message = format!("the configuration of action {name} has {MASK} for a secret that is not known yet");
            found.add(Kind::InvalidActionDeclaration, at, message);
        }
        if term.is_some_and(|term| term.queryable) && !consists_of(value, QUERYABLE, b"_-") {
            let message = format!(
                "job workers poll by {} of action {name}: it has 1 to 20 letters, digits, _ and -, and no variables",
                shown(key)
            );
            found.add(Kind::InvalidActionDeclaration, at, message);
        }
    }
    for term in terms.properties.iter().filter(|term| term.required) {
        if !action.configuration.as_ref().is_some_and(|configuration| configuration.contains_key(&term.name)) {
            let message = missing_key(&name, &shown(&term.name));
            found.add(Kind::InvalidActionDeclaration, format_args!("{path}.configuration"), message);
        }
    }
}

/// The pair that a third party's client is known by belongs to every action of theirs.
fn is_client(terms: &Terms, key: &str) -> bool {
    use crate::custom::{CLIENT_ID, CLIENT_TOKEN};
    terms.id.owner.as_deref() == Some("ThirdParty") && [CLIENT_ID, CLIENT_TOKEN].contains(&key)
}
