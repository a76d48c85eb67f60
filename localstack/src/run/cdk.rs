//! What `cdk synth` writes: a folder with the templates of an app and lists of their assets.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use local::{ACCOUNT, HOME};
use serde_json::Value;

use super::template::{self, Template};

const TEMPLATE: &str = ".template.json";

/// The templates of the app's own stacks; those of the stages that it deploys are in folders of their own.
pub(super) fn read(folder: &Path, parameters: &BTreeMap<String, String>) -> Result<Vec<Template>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).context("cannot read the folder")? {
        files.push(entry.context("cannot read the folder")?.path());
    }
    files.sort();
    let mut templates = Vec::new();
    for file in files {
        let Some(stack) = file.file_name().and_then(|it| it.to_str()).and_then(|it| it.strip_suffix(TEMPLATE)) else {
            continue;
        };
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        templates.push(Template {
            document: template::parse(&text).with_context(|| file.display().to_string())?,
            parameters: parameters.clone(),
            stack: stack.to_owned(),
            folder: folder.to_owned(),
            assets: assets(folder, stack)?,
        });
    }
    ensure!(!templates.is_empty(), "this folder has no templates: is it what `cdk synth` writes, cdk.out?");
    Ok(templates)
}

/// The files and folders behind the keys under which the template of a stack finds them in S3.
fn assets(folder: &Path, stack: &str) -> Result<BTreeMap<String, PathBuf>> {
    let file = folder.join(format!("{stack}.assets.json"));
    let Ok(text) = fs::read_to_string(&file) else { return Ok(BTreeMap::new()) };
    let list: Value = serde_json::from_str(&text).with_context(|| file.display().to_string())?;
    let files = list["files"].as_object().into_iter().flatten().map(|(_, asset)| asset);
    let assets = files.filter_map(|asset| {
        let path = folder.join(asset["source"]["path"].as_str()?);
        let destinations = asset["destinations"].as_object()?.values();
        let keys = destinations.filter_map(|it| it["objectKey"].as_str());
        Some(keys.map(move |key| (filled(key), path.clone())).collect::<Vec<_>>())
    });
    Ok(assets.flatten().collect())
}

/// A file or folder that the app publishes to S3.
#[derive(Debug)]
pub(super) struct Published {
    pub bucket: String,
    pub key: String,
    /// That of the bucket, where the app says it.
    pub region: Option<String>,
    pub path: PathBuf,
    /// Whether it goes to an account that the app names, where the emulator lets nobody else read it.
    pub elsewhere: bool,
}

/// What the app publishes: the assets of the folder's stacks, and of the stages in folders of their own.
pub(super) fn published(folder: &Path) -> Result<Vec<Published>> {
    let mut published = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        let name = path.file_name().map(|it| it.to_string_lossy().into_owned()).unwrap_or_default();
        if path.is_dir() && name.starts_with("assembly-") {
            published.extend(self::published(&path)?);
        } else if name.ends_with(".assets.json") {
            let list: Value = serde_json::from_str(&fs::read_to_string(&path)?).with_context(|| name)?;
            for (_, asset) in list["files"].as_object().into_iter().flatten() {
                let path = folder.join(asset["source"]["path"].as_str().unwrap_or_default());
                for (_, to) in asset["destinations"].as_object().into_iter().flatten() {
                    let (Some(bucket), Some(key)) = (to["bucketName"].as_str(), to["objectKey"].as_str()) else {
                        continue;
                    };
                    let role = to["assumeRoleArn"].as_str().map(filled);
                    let elsewhere = role.is_some_and(|role| !role.contains(&format!(":{ACCOUNT}:")));
                    let (bucket, key) = (filled(bucket), filled(key));
                    let region = to["region"].as_str().map(str::to_owned);
                    published.push(Published { bucket, key, region, path: path.clone(), elsewhere });
                }
            }
        }
    }
    Ok(published)
}

/// An app that is bound to no account leaves account and region to whoever publishes.
fn filled(text: &str) -> String {
    text.replace("${AWS::AccountId}", ACCOUNT).replace("${AWS::Region}", HOME)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_templates_and_their_assets_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, content: &Value| fs::write(folder.path().join(name), content.to_string()).unwrap();
        write("manifest.json", &json!({"version": "1"}));
        assert!(read(folder.path(), &BTreeMap::new()).unwrap_err().to_string().contains("cdk.out"));
        write("Shop.template.json", &json!({"Resources": {}}));
        let destinations =
            json!({"current": {"objectKey": "a1.zip", "bucketName": "assets-${AWS::AccountId}-${AWS::Region}"}});
        let asset = json!({"source": {"path": "asset.a1", "packaging": "zip"}, "destinations": destinations});
        write("Shop.assets.json", &json!({"files": {"a1": asset}}));
        let found = read(folder.path(), &BTreeMap::new()).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].stack, "Shop");
        assert_eq!(found[0].assets["a1.zip"], folder.path().join("asset.a1"));
        fs::create_dir(folder.path().join("assembly-Test")).unwrap();
        fs::rename(folder.path().join("Shop.assets.json"), folder.path().join("assembly-Test/x.assets.json")).unwrap();
        let found = published(folder.path()).unwrap();
        assert_eq!(
            (found.len(), &found[0].bucket, found[0].key.as_str()),
            (1, &format!("assets-{ACCOUNT}-{HOME}"), "a1.zip")
        );
        assert!(found[0].path.ends_with("assembly-Test/asset.a1") && !found[0].elsewhere);
    }
}
