//! The names in a definition that the local stack must choose: roles, artifact stores, the pipeline's region, keys.

use std::collections::BTreeSet;

use anyhow::Result;
use local::{HOME, REGIONS, Stack};
use pipeline::Declaration;
use pipeline::declaration::{ArtifactStore, EncryptionKey};

/// Region by region: the author's home is the stack's, and what the author calls by the stack's name is the author's home.
#[derive(Clone, Debug)]
pub(super) struct Regions {
    home: String,
}

impl Regions {
    pub(super) fn new(home: &str) -> Self {
        Self { home: home.to_owned() }
    }

    pub(super) fn local(&self, region: &str) -> String {
        match region {
            _ if region == self.home => HOME.to_owned(),
            HOME => self.home.clone(),
            _ => region.to_owned(),
        }
    }
}

/// Where the artifacts of a region are kept on the local stack, which has stores in two regions; in others, `run` makes them.
pub(super) fn store(stack: &Stack, region: &str) -> Result<ArtifactStore> {
    let kind = "S3".to_owned();
    if !REGIONS.contains(&region) {
        return Ok(ArtifactStore { kind, location: format!("millrace-run-artifacts-{region}"), encryption_key: None });
    }
    let id = stack.artifact_key(region)?.to_owned();
    let encryption_key = Some(EncryptionKey { id, kind: "KMS".to_owned() });
    Ok(ArtifactStore { kind, location: stack.artifacts(region)?.to_owned(), encryption_key })
}

/// Puts the stack's names in place of the author's. `role`: the one role for everything; `store`: the store of a region.
pub(super) fn localize(
    declaration: &mut Declaration,
    regions: &Regions,
    role: &str,
    store: impl Fn(&str) -> Result<ArtifactStore>,
) -> Result<()> {
    role.clone_into(&mut declaration.role_arn);
    if let Some(only) = &mut declaration.artifact_store {
        *only = store(HOME)?;
    }
    if let Some(stores) = &mut declaration.artifact_stores {
        let local: Vec<_> = stores.keys().map(|region| regions.local(region)).collect();
        *stores = local.into_iter().map(|region| Ok((region.clone(), store(&region)?))).collect::<Result<_>>()?;
    }
    for stage in &mut declaration.stages {
        for action in &mut stage.actions {
            let region = action.region.as_deref().map(|region| regions.local(region));
            if action.role_arn.is_some() {
                action.role_arn = Some(role.to_owned());
            }
            let configuration = action.configuration.iter_mut().flatten();
            for (key, value) in configuration {
                match key.as_str() {
                    "RoleArn" => role.clone_into(value),
                    "KMSEncryptionKeyARN" => {
                        let key = store(region.as_deref().unwrap_or(HOME))?.encryption_key;
                        *value = key.map_or_else(|| "alias/aws/s3".to_owned(), |key| key.id);
                    }
                    _ => {}
                }
            }
            action.region = region;
        }
        let around = stage.before_entry.iter_mut().chain(&mut stage.on_success).flat_map(|it| &mut it.conditions);
        let failure = stage.on_failure.iter_mut().flat_map(|it| it.conditions.iter_mut().flatten());
        for rule in around.chain(failure).flat_map(|condition| condition.rules.iter_mut().flatten()) {
            if rule.role_arn.is_some() {
                rule.role_arn = Some(role.to_owned());
            }
            rule.region = rule.region.as_deref().map(|region| regions.local(region));
        }
    }
    Ok(())
}

/// The regions in which a localized pipeline keeps artifacts.
pub(super) fn regions(declaration: &Declaration) -> BTreeSet<&str> {
    let stores = declaration.artifact_stores.iter().flatten().map(|(region, _)| region.as_str());
    stores.chain([HOME]).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_authors_home_becomes_the_stacks_and_the_stacks_becomes_the_authors() {
        let store = json!({"type": "S3", "location": "theirs"});
        let actions = json!([
            {"name": "a", "roleArn": "r", "region": "us-east-1", "configuration": {"RoleArn": "r", "KMSEncryptionKeyARN": "k"}},
            {"name": "b", "region": "eu-west-1"}, {"name": "c", "region": "us-west-2"}, {"name": "d"}]);
        let mut declaration: Declaration = serde_json::from_value(json!({
            "name": "p", "roleArn": "r", "artifactStores": {"us-east-1": store, "eu-west-1": store, "us-west-2": store},
            "stages": [{"name": "s", "actions": actions}]}))
        .unwrap();
        let chosen = |region: &str| {
            let key = EncryptionKey { id: format!("key of {region}"), kind: "KMS".into() };
            Ok(ArtifactStore { kind: "S3".into(), location: format!("ours in {region}"), encryption_key: Some(key) })
        };
        localize(&mut declaration, &Regions::new("us-east-1"), "ours", chosen).unwrap();
        let stores = declaration.artifact_stores.as_ref().unwrap();
        let stores: Vec<_> = stores.values().map(|store| store.location.as_str()).collect();
        assert_eq!(stores, ["ours in eu-west-1", "ours in us-east-1", "ours in us-west-2"]);
        let actions = &declaration.stages[0].actions;
        let found: Vec<_> = actions.iter().map(|action| action.region.as_deref()).collect();
        assert_eq!(found, [Some("eu-west-1"), Some("us-east-1"), Some("us-west-2"), None]);
        assert_eq!((declaration.role_arn.as_str(), actions[0].role_arn.as_deref()), ("ours", Some("ours")));
        let configuration = actions[0].configuration.as_ref().unwrap();
        assert_eq!(
            (configuration["RoleArn"].as_str(), configuration["KMSEncryptionKeyARN"].as_str()),
            ("ours", "key of eu-west-1")
        );
        assert_eq!(regions(&declaration).len(), 3);
    }
}
