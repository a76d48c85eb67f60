//! A pipeline: its roles, its artifact stores, and what its actions name.

use pipeline::{Pipeline, Region};
use providers::permission::{Scope, scope};

use super::bucket::{self, Wanted};
use super::finding::Findings;
use super::{Place, limits, named, notifications, resources, roles, rules};
use crate::role::installed;
use crate::{Account, Installation};

pub(super) async fn look(account: &Account, installation: &Installation, pipeline: &Pipeline, findings: &mut Findings) {
    let installed = match installed(account, installation).await {
        Ok(installed) => installed,
        Err(error) => {
            return findings.error(format!("the installation does not tell what it is: {error:#}"), "millrace deploy");
        }
    };
    findings.ok(format!("the pipeline {} has {} stages", pipeline.name(), pipeline.stages().len()));
    let place = Place { account, installation, number: &installed.account };
    roles::look(&place, pipeline, &installed, findings).await;
    stores(&place, pipeline, findings).await;
    limits::look(&place, pipeline, findings).await;
    rules::of_pipeline(&place, pipeline.name(), findings).await;
    for action in pipeline.stages().iter().flat_map(|stage| stage.everything()) {
        let role = action.role_arn.as_ref().unwrap_or(pipeline.role_arn()).as_str();
        let scope = scope(pipeline, &installed, action, role);
        if is_of_another_account(&place, &scope) {
            findings.warning(
                format!(
                    "what the action {} names is in the account {}, and was not looked at",
                    action.name,
                    scope.role_account()
                ),
                "run `millrace doctor` with credentials of that account",
            );
            continue;
        }
        named::look(&place, &scope, findings).await;
        notifications::look(&place, &scope, findings).await;
    }
}

fn is_of_another_account(place: &Place<'_>, scope: &Scope<'_>) -> bool {
    scope.role_account() != place.number
}

/// The artifact stores of all regions in which actions run.
async fn stores(place: &Place<'_>, pipeline: &Pipeline, findings: &mut Findings) {
    let home = place.account.home();
    let actions = pipeline.stages().iter().flat_map(|stage| stage.everything());
    let mut regions: Vec<&str> = actions.map(|action| action.region.as_ref().map_or(home, Region::as_str)).collect();
    regions.sort_unstable();
    regions.dedup();
    let owner = place.installation.parameter("ArtifactAccount").unwrap_or(place.number);
    for region in regions {
        let Some(store) = pipeline.store(region, home) else {
            let mend = "add it to artifactStores";
            findings.error(format!("actions run in {region}, for which the pipeline has no artifact store"), mend);
            continue;
        };
        let what = format!("the artifact store {}", store.location);
        let wanted = Wanted { region, owner: Some(owner), needs_versions: false, encrypted: false };
        let is_there = bucket::look(place, &what, &store.location, wanted, findings).await;
        if let Some(key) = store.encryption_key.as_ref().filter(|_| is_there) {
            resources::key(place, region, &format!("the key of {what}"), &key.id, findings).await;
        }
    }
}
