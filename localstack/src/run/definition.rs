//! The pipeline in a file: what kind of file it is, and the declaration in it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use local::HOME;
use pipeline::Declaration;
use serde::Deserialize;
use serde_json::Value;

use super::cdk;
use super::template::{self, Template};

/// A pipeline as its author has it, with what belongs to it.
#[derive(Debug)]
pub struct Definition {
    pub(super) pipeline: Declaration,
    /// The region in which the author's pipeline is.
    pub(super) home: String,
    /// Where it comes from a template: what else that has.
    pub(super) template: Option<Template>,
    /// Its logical id there.
    logical: String,
    /// What cannot be done here, in words.
    pub(super) left_out: Vec<String>,
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
    /// Reads the pipeline in `file`, which may be a CDK output folder.
    pub(super) fn read(file: &Path, parameters: &BTreeMap<String, String>, wanted: Option<&str>) -> Result<Self> {
        let here = || file.display().to_string();
        if file.is_dir() {
            return cdk::read(file, parameters).and_then(|all| Self::of_templates(all, wanted)).with_context(here);
        }
        let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        let document = template::parse(&text).context("this is neither JSON nor YAML").with_context(here)?;
        if document.get("Resources").is_none() {
            return Self::of_declaration(document, parameters, wanted).with_context(here);
        }
        let stack = file.file_stem().map(|it| it.to_string_lossy().into_owned()).unwrap_or_default();
        let template = Template {
            document,
            parameters: parameters.clone(),
            stack: stack_name(&stack),
            folder: file.parent().map(Path::to_path_buf).unwrap_or_default(),
            assets: BTreeMap::new(),
        };
        Self::of_templates(vec![template], wanted).with_context(here)
    }

    /// The one pipeline in the templates, or the one that is wanted.
    fn of_templates(templates: Vec<Template>, wanted: Option<&str>) -> Result<Self> {
        let mut found: Vec<(usize, String)> = Vec::new();
        for (index, template) in templates.iter().enumerate() {
            found.extend(template.pipelines().into_iter().map(|logical| (index, logical.to_owned())));
        }
        let all = found.iter().map(|(_, logical)| logical.as_str()).collect::<Vec<_>>().join(", ");
        ensure!(!found.is_empty(), "there is no AWS::CodePipeline::Pipeline in it");
        if let Some(wanted) = wanted {
            found.retain(|(_, logical)| logical == wanted);
            ensure!(!found.is_empty(), "--pipeline {wanted}: there is no such pipeline in it; there is {all}");
        }
        let [(index, logical)] = found.as_slice() else {
            bail!("there are several pipelines in it; choose one with --pipeline: {all}");
        };
        let logical = logical.clone();
        let template = templates.into_iter().nth(*index).context("no such template")?;
        template.check_parameters(&logical)?;
        let mut left_out = Vec::new();
        if template.disables_transitions(&logical) {
            left_out
                .push("DisableInboundStageTransitions: the release would wait for somebody to enable them".to_owned());
        }
        let mut pipeline = template.pipeline(&logical)?;
        give(&mut pipeline, &template.parameters)?;
        let home = home(&pipeline)?;
        Ok(Self { pipeline, home, template: Some(template), logical, left_out })
    }

    /// The pipeline as another output folder of the CDK has it; none: its stack is the same there.
    pub(super) fn changed_in(&self, folder: &Path) -> Result<Option<Self>> {
        let ours = self.template.as_ref().context("the pipeline is in no template")?;
        let theirs = Self::of_templates(cdk::read(folder, &ours.parameters)?, Some(&self.logical))?;
        let is_changed = theirs.template.as_ref().is_some_and(|it| it.document != ours.document);
        Ok(is_changed.then_some(theirs))
    }

    fn of_declaration(document: Value, parameters: &BTreeMap<String, String>, wanted: Option<&str>) -> Result<Self> {
        ensure!(
            document.get("pipeline").is_some_and(Value::is_object),
            "there is no pipeline in it: neither the member \"pipeline\" of CreatePipeline's and GetPipeline's JSON nor the \
             \"Resources\" of a CloudFormation template"
        );
        if let Some(wanted) = wanted {
            bail!("--pipeline {wanted} names a resource of a template, and this is no template");
        }
        let document: Document = serde_json::from_value(document)?;
        let mut pipeline: Declaration = serde_json::from_value(document.pipeline).context("pipeline")?;
        let variables: Vec<_> = pipeline.variables.iter().flatten().map(|it| &it.name).collect();
        if let Some(name) = parameters.keys().find(|name| !variables.contains(name)) {
            bail!(
                "unknown parameter {name}: the pipeline has no such variable, and this is no template with parameters"
            );
        }
        give(&mut pipeline, parameters)?;
        let arn = document.metadata.and_then(|it| it.pipeline_arn);
        let home = match arn.as_deref().and_then(|arn| arn.split(':').nth(3)) {
            Some(region) => region.to_owned(),
            None => home(&pipeline)?,
        };
        Ok(Self { pipeline, home, template: None, logical: String::new(), left_out: Vec::new() })
    }
}

/// Gives the pipeline's variables their values. The first execution begins with the pipeline's creation, where nobody can say
/// them: so they become the defaults.
fn give(pipeline: &mut Declaration, values: &BTreeMap<String, String>) -> Result<()> {
    for variable in pipeline.variables.iter_mut().flatten() {
        let name = &variable.name;
        if let Some(value) = values.get(name) {
            variable.default_value = Some(value.clone());
        }
        ensure!(
            variable.default_value.is_some(),
            "the pipeline's variable {name} has no default value; say it: --parameter {name}=VALUE"
        );
    }
    Ok(())
}

/// A name that a stack may have: letters, digits and hyphens, a letter first.
fn stack_name(file: &str) -> String {
    let name: String = file.chars().map(|it| if it.is_ascii_alphanumeric() { it } else { '-' }).collect();
    let name = name.trim_matches('-');
    if name.starts_with(|it: char| it.is_ascii_alphabetic()) { name.to_owned() } else { format!("stack-{name}") }
}

/// The pipeline's region, where the file does not say it: that of its only artifact store, or of the one that no action names.
/// Actions that name no region run there.
fn home(pipeline: &Declaration) -> Result<String> {
    let Some(stores) = &pipeline.artifact_stores else { return Ok(HOME.to_owned()) };
    let named: Vec<_> =
        pipeline.stages.iter().flat_map(|stage| &stage.actions).filter_map(|action| action.region.as_deref()).collect();
    let left: Vec<_> = stores.keys().filter(|it| stores.len() == 1 || !named.contains(&it.as_str())).collect();
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
        Definition::of_declaration(document.clone(), &BTreeMap::new(), None)
    }

    fn stores(action: &[&str]) -> Value {
        let actions: Vec<_> = action.iter().map(|region| json!({"name": "a", "region": region})).collect();
        let store = json!({"type": "S3", "location": "b"});
        json!({"name": "p", "artifactStores": {"us-east-1": store, "us-east-2": store}, "stages": [{"name": "s", "actions": actions}]})
    }

    #[test]
    fn a_pipeline_that_is_synthesised_otherwise_is_another_one() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str| {
            let pipeline = json!({"Type": "AWS::CodePipeline::Pipeline", "Properties": {"Name": name, "Stages": []}});
            let text = json!({"Resources": {"P": pipeline}}).to_string();
            fs::write(folder.path().join("Shop.template.json"), text).unwrap();
        };
        write("one");
        let one = Definition::read(folder.path(), &BTreeMap::new(), None).unwrap();
        assert!(one.changed_in(folder.path()).unwrap().is_none());
        write("other");
        assert_eq!(one.changed_in(folder.path()).unwrap().unwrap().pipeline.name, "other");
        fs::remove_file(folder.path().join("Shop.template.json")).unwrap();
        assert!(one.changed_in(folder.path()).unwrap_err().to_string().contains("no templates"));
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
    fn what_is_wrong_with_a_declaration_is_said() {
        let error = |document: &Value| format!("{:#}", read(document).unwrap_err());
        assert!(error(&json!({})).contains("there is no pipeline in it"));
        assert!(error(&json!({"pipeline": {"stages": 1}})).contains("pipeline: invalid type"));
        let given = BTreeMap::from([("Branch".to_owned(), "main".to_owned())]);
        let variables =
            json!({"pipeline": {"variables": [{"name": "Branch"}, {"name": "Other", "defaultValue": "x"}]}});
        assert!(error(&variables).contains("variable Branch has no default value; say it: --parameter Branch=VALUE"));
        let mut unknown = given.clone();
        unknown.extend([("Other".to_owned(), "y".to_owned()), ("Third".to_owned(), "z".to_owned())]);
        let refused = Definition::of_declaration(variables.clone(), &unknown, None).unwrap_err().to_string();
        assert!(refused.contains("unknown parameter Third"), "{refused}");
        let found = Definition::of_declaration(variables, &given, None).unwrap().pipeline.variables.unwrap();
        assert_eq!([&found[0], &found[1]].map(|it| it.default_value.as_deref()), [Some("main"), Some("x")]);
        let refused = Definition::of_declaration(json!({"pipeline": {}}), &given, None).unwrap_err();
        assert!(refused.to_string().contains("unknown parameter Branch"), "{refused}");
        let refused =
            Definition::of_declaration(json!({"pipeline": {}}), &BTreeMap::new(), Some("Release")).unwrap_err();
        assert!(refused.to_string().contains("--pipeline Release"), "{refused}");
    }

    fn template(pipelines: &[&str]) -> Template {
        let pipeline = json!({"Type": "AWS::CodePipeline::Pipeline", "Properties": {"Stages": []}});
        let resources = pipelines.iter().map(|logical| ((*logical).to_owned(), pipeline.clone())).collect();
        Template {
            document: json!({"Resources": Value::Object(resources)}),
            stack: "shop".into(),
            ..Template::default()
        }
    }

    #[test]
    fn one_pipeline_of_the_templates_is_chosen() {
        let choose = |templates: Vec<Template>, wanted: Option<&str>| {
            let found = Definition::of_templates(templates, wanted).map(|it| it.pipeline.name);
            found.map_err(|error| error.to_string())
        };
        assert_eq!(choose(vec![template(&[]), template(&["Release"])], None).unwrap(), "shop-Release");
        let several = vec![template(&["One"]), template(&["Two"])];
        assert_eq!(choose(vec![template(&["One", "Two"])], Some("Two")).unwrap(), "shop-Two");
        let error = choose(several, None).unwrap_err();
        assert!(error.contains("several") && error.contains("--pipeline: One, Two"), "{error}");
        let error = choose(vec![template(&["One"])], Some("Three")).unwrap_err();
        assert!(error.contains("--pipeline Three") && error.contains("there is One"), "{error}");
        assert!(choose(vec![template(&[])], None).unwrap_err().contains("no AWS::CodePipeline::Pipeline"));
    }

    #[test]
    fn a_stack_is_called_after_its_file() {
        assert_eq!(stack_name("my_pipeline.v2"), "my-pipeline-v2");
        assert_eq!(stack_name("01-codepipeline"), "stack-01-codepipeline");
    }
}
