//! The pipeline in a file: what kind of file it is, and the declaration in it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use local::HOME;
use pipeline::Declaration;
use serde::Deserialize;
use serde_json::Value;

/// A pipeline as its author has it, with what belongs to it.
#[derive(Debug)]
pub struct Definition {
    pub(super) pipeline: Declaration,
    /// The region in which the author's pipeline is.
    pub(super) home: String,
}

/// CreatePipeline's input and GetPipeline's output.
#[derive(Deserialize)]
struct Document {
    pipeline: Value,
    metadata: Option<Metadata>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    pipeline_arn: Option<String>,
}

impl Definition {
    /// Reads the pipeline in `file`.
    pub(super) fn read(file: &Path, parameters: &BTreeMap<String, String>, wanted: Option<&str>) -> Result<Self> {
        let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        Self::of_json(&text, parameters, wanted).with_context(|| file.display().to_string())
    }

    fn of_json(text: &str, parameters: &BTreeMap<String, String>, wanted: Option<&str>) -> Result<Self> {
        let document: Value = serde_json::from_str(text).context("this is no JSON")?;
        ensure!(
            document.get("pipeline").is_some_and(Value::is_object),
            "there is no pipeline in it: neither the member \"pipeline\" of CreatePipeline's and GetPipeline's JSON nor the \
             \"Resources\" of a CloudFormation template"
        );
        if let Some(name) = parameters.keys().next() {
            bail!("unknown parameter {name}: only CloudFormation templates have parameters");
        }
        if let Some(wanted) = wanted {
            bail!("--pipeline {wanted} names a resource of a template, and this is no template");
        }
        let document: Document = serde_json::from_value(document)?;
        let pipeline: Declaration = serde_json::from_value(document.pipeline).context("pipeline")?;
        let arn = document.metadata.and_then(|it| it.pipeline_arn);
        let home = match arn.as_deref().and_then(|arn| arn.split(':').nth(3)) {
            Some(region) => region.to_owned(),
            None => home(&pipeline)?,
        };
        Ok(Self { pipeline, home })
    }
}

/// The pipeline's region, where the file does not say it: that of its artifact stores which no action names. Actions that
/// name no region run there.
fn home(pipeline: &Declaration) -> Result<String> {
    let Some(stores) = &pipeline.artifact_stores else { return Ok(HOME.to_owned()) };
    let named: Vec<_> =
        pipeline.stages.iter().flat_map(|stage| &stage.actions).filter_map(|action| action.region.as_deref()).collect();
    let left: Vec<_> = stores.keys().filter(|region| !named.contains(&region.as_str())).collect();
    match left.as_slice() {
        [region] => Ok((*region).clone()),
        _ if stores.contains_key(HOME) => Ok(HOME.to_owned()),
        _ => bail!(
            "pipeline.artifactStores: it cannot be told which of the regions {} is the pipeline's own; say it in \
             metadata.pipelineArn, as GetPipeline does",
            stores.keys().cloned().collect::<Vec<_>>().join(", ")
        ),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(document: &Value) -> Result<Definition> {
        Definition::of_json(&document.to_string(), &BTreeMap::new(), None)
    }

    fn stores(action: &[&str]) -> Value {
        let actions: Vec<_> = action.iter().map(|region| json!({"name": "a", "region": region})).collect();
        let store = json!({"type": "S3", "location": "b"});
        json!({"name": "p", "artifactStores": {"us-east-1": store, "us-east-2": store}, "stages": [{"name": "s", "actions": actions}]})
    }

    #[test]
    fn what_get_pipeline_answers_is_read() {
        let arn = "arn:aws:codepipeline:us-east-1:111122223333:p";
        let found = read(&json!({"pipeline": {"name": "p", "version": 3}, "metadata": {"pipelineArn": arn}})).unwrap();
        assert_eq!((found.pipeline.name.as_str(), found.home.as_str()), ("p", "us-east-1"));
    }

    #[test]
    fn the_pipelines_region_is_the_one_that_no_action_names() {
        assert_eq!(read(&json!({"pipeline": {"name": "p"}})).unwrap().home, HOME);
        assert_eq!(read(&json!({"pipeline": stores(&["us-east-1"])})).unwrap().home, "us-east-2");
        let error = format!("{:#}", read(&json!({"pipeline": stores(&["us-east-1", "us-east-2"])})).unwrap_err());
        assert!(error.contains("us-east-1, us-east-2") && error.contains("metadata.pipelineArn"), "{error}");
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said() {
        let error = |text: &str| format!("{:#}", Definition::of_json(text, &BTreeMap::new(), None).unwrap_err());
        assert!(error("{").contains("no JSON"));
        assert!(error("{}").contains("there is no pipeline in it"));
        assert!(error(r#"{"pipeline": {"stages": 1}}"#).contains("pipeline: invalid type"));
        let given = BTreeMap::from([("Branch".to_owned(), "main".to_owned())]);
        let unknown = Definition::of_json(r#"{"pipeline": {}}"#, &given, None).unwrap_err();
        assert!(unknown.to_string().contains("unknown parameter Branch"), "{unknown}");
    }
}
