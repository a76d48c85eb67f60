//! Artifact stores and regions. Source: CodePipeline user guide, 'Pipeline structure reference' and 'Add a
//! cross-Region action'; the exceptions are those of AWS's answers.

use std::collections::BTreeSet;

use super::{Findings, conditions, place, shown};
use crate::declaration::Declaration;
use crate::invalid::Kind;

pub(super) fn check(declaration: &Declaration, found: &mut Findings) {
    let regions = regions(declaration);
    match (&declaration.artifact_store, &declaration.artifact_stores) {
        (None, None) => found.constraint("artifactStore", "one of artifactStore and artifactStores is needed"),
        (Some(_), Some(_)) => found.constraint("artifactStores", "only one of artifactStore and artifactStores goes"),
        (Some(_), None) if regions.len() > 1 => found.constraint("artifactStore", SEVERAL_REGIONS),
        (Some(_), None) => {}
        (None, Some(stores)) => {
            for region in regions.into_iter().filter(|region| !stores.contains_key(*region)) {
                missing(region, found);
            }
            if stores.is_empty() {
                found.constraint("artifactStores", "has no artifact store");
            }
        }
    }
}

const SEVERAL_REGIONS: &str = "Your pipeline contains actions in more than one region. Use 'pipeline.artifactStores' instead of \
     'pipeline.artifactStore' to declare an artifact store, such as an artifact bucket, for each region where you have an \
     action.";

fn missing(region: &str, found: &mut Findings) {
    let message = format!(
        "Your pipeline must have an artifact store, such as an artifact bucket, for each region where you have an action. \
         The following region is missing in 'pipeline.artifactStores': {}.",
        shown(region)
    );
    found.constraint("artifactStores", message);
}

/// The regions that need a store: those of actions, and those of rules that read artifacts.
fn regions(declaration: &Declaration) -> BTreeSet<&str> {
    let actions = super::actions(declaration).filter_map(|(_, _, action)| action.region.as_deref());
    let rules = conditions::placed(declaration).map(|placed| placed.rule);
    let reading = rules.filter(|rule| rule.input_artifacts.as_ref().is_some_and(|inputs| !inputs.is_empty()));
    actions.chain(reading.filter_map(|rule| rule.region.as_deref())).collect()
}

pub(super) fn check_home(declaration: &Declaration, home: &str, found: &mut Findings) {
    match &declaration.artifact_stores {
        Some(stores) if !stores.contains_key(home) => missing(home, found),
        Some(_) => {}
        None if regions(declaration).iter().any(|region| *region != home) => {
            found.constraint("artifactStore", SEVERAL_REGIONS);
        }
        None => {}
    }
    for (s, a, action) in super::actions(declaration) {
        let id = &action.action_type_id;
        let elsewhere = action.region.as_deref().is_some_and(|region| region != home);
        if elsewhere && (id.category == "Source" || id.owner.as_deref() != Some("AWS")) {
            let message = format!(
                "action {} cannot run in another region: source actions, third-party and custom actions run in the pipeline's",
                shown(&action.name)
            );
            found.add(Kind::InvalidActionDeclaration, format_args!("{}.region", place(s, a)), message);
        }
    }
}
