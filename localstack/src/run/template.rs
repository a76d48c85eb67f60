//! CloudFormation templates: reading them, and finding in them what a pipeline names.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use pipeline::{Declaration, TypeId};
use serde_json::{Map, Value, json};
use serde_yaml_ng::Value as Yaml;

use super::here::{NewFunction, NewProject, Variable};
use super::intrinsics::At;
use super::source;

const PIPELINE: &str = "AWS::CodePipeline::Pipeline";
const FUNCTIONS: &[&str] = &["AWS::Lambda::Function", "AWS::Serverless::Function"];
const MACHINES: &[&str] = &["AWS::StepFunctions::StateMachine", "AWS::Serverless::StateMachine"];

/// A template with the values of its parameters.
#[derive(Debug, Default)]
pub(super) struct Template {
    /// With every intrinsic function in its long form.
    pub document: Value,
    /// What was given for its parameters, and for the exports that it imports.
    pub parameters: BTreeMap<String, String>,
    /// The name that its stack would have.
    pub stack: String,
    /// The folder to which paths in it are relative.
    pub folder: PathBuf,
    /// What a CDK output folder has of the objects that the template reads from S3, by key.
    pub assets: BTreeMap<String, PathBuf>,
}

/// Reads a template's text, JSON or YAML.
pub(super) fn parse(text: &str) -> Result<Value> {
    if text.trim_start().starts_with('{') {
        return Ok(serde_json::from_str(text)?);
    }
    long(serde_yaml_ng::from_str(text)?)
}

/// YAML as JSON, short forms such as `!Ref` as `{"Ref": ...}`.
fn long(yaml: Yaml) -> Result<Value> {
    Ok(match yaml {
        Yaml::Null => Value::Null,
        Yaml::Bool(it) => it.into(),
        Yaml::Number(number) => serde_json::to_value(number)?,
        Yaml::String(text) => text.into(),
        Yaml::Sequence(list) => list.into_iter().map(long).collect::<Result<_>>()?,
        Yaml::Mapping(map) => Value::Object(
            map.into_iter()
                .map(|(key, value)| {
                    let key = match long(key)? {
                        Value::String(key) => key,
                        key @ (Value::Number(_) | Value::Bool(_)) => key.to_string(),
                        _ => bail!("a key of a mapping is no text"),
                    };
                    let value = long(value).with_context(|| key.clone())?;
                    Ok((key, value))
                })
                .collect::<Result<_>>()?,
        ),
        Yaml::Tagged(tagged) => {
            let tag = tagged.tag.to_string();
            let tag = tag.trim_start_matches('!');
            let value = long(tagged.value)?;
            match (tag, &value) {
                ("Ref" | "Condition", _) => json!({tag: value}),
                ("GetAtt", Value::String(path)) => {
                    let (resource, attribute) =
                        path.split_once('.').with_context(|| format!("!GetAtt {path} has no attribute"))?;
                    json!({"Fn::GetAtt": [resource, attribute]})
                }
                _ => json!({format!("Fn::{tag}"): value}),
            }
        }
    })
}

/// What makes the author's own names needless: roles, artifact stores and tokens, which the local stack chooses anyway. They are
/// often what only AWS knows.
fn without_theirs(value: &Value) -> Value {
    match value {
        Value::Array(list) => list.iter().map(without_theirs).collect(),
        Value::Object(members) => Value::Object(
            members
                .iter()
                .map(|(key, value)| {
                    let value = match key.as_str() {
                        "RoleArn" | "OAuthToken" => json!("local"),
                        "ArtifactStore" => json!({"Type": "S3", "Location": "local"}),
                        _ => without_theirs(value),
                    };
                    (key.clone(), value)
                })
                .collect(),
        ),
        other => other.clone(),
    }
}

/// The members of a declaration, from those of a template: `RoleArn` is `roleArn`, and scalars are texts but for two.
fn declaration(value: &Value) -> Value {
    let member = |(key, value): (&String, &Value)| {
        let mut letters = key.chars();
        let first = letters.next().map(|letter| letter.to_ascii_lowercase());
        let name: String = first.into_iter().chain(letters).collect();
        let value = match (name.as_str(), value) {
            ("runOrder" | "timeoutInMinutes", Value::String(text)) => {
                text.parse::<u32>().map_or_else(|_| value.clone(), Value::from)
            }
            ("runOrder" | "timeoutInMinutes", _) => value.clone(),
            ("configuration", Value::Object(keys)) => {
                Value::Object(keys.iter().map(|(key, value)| (key.clone(), text(value).into())).collect())
            }
            ("artifactStores", Value::Array(stores)) => Value::Object(
                stores
                    .iter()
                    .map(|store| (text(&store["Region"]), declaration(&store["ArtifactStore"])))
                    .collect::<Map<_, _>>(),
            ),
            _ => declaration(value),
        };
        (name, value)
    };
    match value {
        Value::Array(list) => list.iter().map(declaration).collect(),
        Value::Object(members) => Value::Object(members.iter().map(member).collect()),
        scalar => text(scalar).into(),
    }
}

/// A scalar as CloudFormation hands it over; anything else as JSON.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

impl Template {
    fn resources(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.document.get("Resources").and_then(Value::as_object).into_iter().flatten()
    }

    pub(super) fn resource(&self, logical: &str) -> Option<&Value> {
        self.document.get("Resources")?.get(logical)
    }

    /// The logical ids of its pipelines, without those whose condition is false.
    pub(super) fn pipelines(&self) -> Vec<&str> {
        let pipelines = self.resources().filter(|(_, it)| it["Type"] == PIPELINE && self.exists(it));
        pipelines.map(|(logical, _)| logical.as_str()).collect()
    }

    fn exists(&self, resource: &Value) -> bool {
        let Some(condition) = resource.get("Condition").and_then(Value::as_str) else { return true };
        self.condition(&json!({"Condition": condition}), &At::new("Condition")).unwrap_or(true)
    }

    /// The name of the parameter in Parameter Store by which the CDK's templates know that their account was bootstrapped.
    pub(super) fn bootstrap_version(&self) -> Option<&str> {
        let parameters = self.document.get("Parameters").and_then(Value::as_object).into_iter().flatten();
        let mut defaults = parameters.filter_map(|(_, parameter)| parameter.get("Default")?.as_str());
        defaults.find(|name| name.starts_with("/cdk-bootstrap/"))
    }

    /// Refuses parameters that are neither the template's nor variables of its pipeline with this logical id.
    pub(super) fn check_parameters(&self, logical: &str) -> Result<()> {
        let declared = self.document.get("Parameters").and_then(Value::as_object);
        let names: Vec<_> = declared.into_iter().flatten().map(|(name, _)| name.as_str()).collect();
        let imports = self.imports(&self.document);
        let variables = self.resource(logical).and_then(|it| it["Properties"]["Variables"].as_array());
        let variables: Vec<_> = variables.into_iter().flatten().map(|it| text(&it["Name"])).collect();
        for (name, value) in &self.parameters {
            if imports.contains(name) || variables.contains(name) {
                continue;
            }
            let Some(parameter) = declared.and_then(|it| it.get(name)) else {
                bail!(
                    "unknown parameter {name}: the template has {}",
                    if names.is_empty() { "none".into() } else { names.join(", ") }
                );
            };
            let allowed = parameter.get("AllowedValues").and_then(Value::as_array);
            let allowed: Option<Vec<_>> = allowed.map(|values| values.iter().map(text).collect());
            if let Some(allowed) = allowed.filter(|allowed| !allowed.contains(value)) {
                bail!("parameter {name} may be {}, and not {value}", allowed.join(", "));
            }
        }
        Ok(())
    }

    /// The names of the exports that the template imports.
    fn imports(&self, value: &Value) -> Vec<String> {
        match value {
            Value::Array(list) => list.iter().flat_map(|it| self.imports(it)).collect(),
            Value::Object(members) => {
                let name =
                    members.get("Fn::ImportValue").and_then(|it| self.text(it, &At::new("Fn::ImportValue")).ok());
                name.into_iter().chain(members.values().flat_map(|it| self.imports(it))).collect()
            }
            _ => Vec::new(),
        }
    }

    /// The declaration of the pipeline with this logical id.
    pub(super) fn pipeline(&self, logical: &str) -> Result<Declaration> {
        let at = At::new(&format!("Resources.{logical}.Properties"));
        let resource = self.resource(logical).context("no such resource")?;
        let mut properties = without_theirs(resource.get("Properties").with_context(|| at.to_string())?);
        if let Some(properties) = properties.as_object_mut() {
            // What is no part of the declaration.
            for name in ["Tags", "RestartExecutionOnUpdate", "DisableInboundStageTransitions"] {
                properties.remove(name);
            }
        }
        let mut declared = declaration(&self.resolve(&properties, &at)?);
        declared["name"] = self.physical(logical, &at)?.into();
        serde_json::from_value(declared).with_context(|| at.to_string())
    }

    /// Whether the pipeline begins with transitions disabled.
    pub(super) fn disables_transitions(&self, logical: &str) -> bool {
        self.resource(logical).is_some_and(|it| it["Properties"].get("DisableInboundStageTransitions").is_some())
    }

    /// The resource of one of these types with this name, and its place.
    fn find(&self, types: &[&str], name: &str) -> Option<(&Value, At)> {
        self.resources().find_map(|(logical, resource)| {
            let at = At::new(&format!("Resources.{logical}.Properties"));
            let fits = types.contains(&resource["Type"].as_str()?) && self.physical(logical, &at).ok()? == name;
            fits.then(|| (&resource["Properties"], at))
        })
    }

    /// The build project with this name, if the template has it.
    pub(super) fn project(&self, name: &str) -> Option<Result<NewProject>> {
        let (properties, at) = self.find(&["AWS::CodeBuild::Project"], name)?;
        Some(self.project_of(properties, &at))
    }

    fn project_of(&self, properties: &Value, at: &At) -> Result<NewProject> {
        let buildspec = properties.pointer("/Source/BuildSpec");
        let buildspec = buildspec.map(|it| self.text(it, &at.inside("Source.BuildSpec"))).transpose()?;
        let privileged = properties.pointer("/Environment/PrivilegedMode").is_some_and(|it| text(it) == "true");
        let buildspec = buildspec.filter(|it| !it.is_empty());
        let mut project = NewProject { buildspec, privileged, ..NewProject::default() };
        let at = at.inside("Environment.EnvironmentVariables");
        let variables = properties.pointer("/Environment/EnvironmentVariables").and_then(Value::as_array);
        for (index, variable) in variables.into_iter().flatten().enumerate() {
            match self.resolve(variable, &at.inside(&index.to_string())) {
                Ok(Value::Null) => {}
                Ok(variable) => project.variables.push(Variable {
                    name: text(&variable["Name"]),
                    value: text(&variable["Value"]),
                    kind: variable.get("Type").map_or_else(|| "PLAINTEXT".to_owned(), text),
                }),
                Err(error) => project.left_out.push(format!("an environment variable: {error:#}")),
            }
        }
        Ok(project)
    }

    /// The function with this name, if the template has it.
    pub(super) fn function(&self, name: &str) -> Option<Result<NewFunction>> {
        let (properties, at) = self.find(FUNCTIONS, name)?;
        Some(self.function_of(properties, &at))
    }

    fn function_of(&self, properties: &Value, at: &At) -> Result<NewFunction> {
        let property = |name: &str| -> Result<Option<String>> {
            properties.get(name).map(|it| self.text(it, &at.inside(name))).transpose()
        };
        let runtime = property("Runtime")?.with_context(|| format!("{at} has no Runtime"))?;
        let inline = properties.pointer("/Code/ZipFile").or_else(|| properties.get("InlineCode"));
        let code = match inline {
            Some(text) => {
                let extension = if runtime.starts_with("python") { "py" } else { "js" };
                source::zip_of(&format!("index.{extension}"), &self.text(text, &at.inside("Code.ZipFile"))?)?
            }
            None => self.code(properties, at)?,
        };
        let mut variables = BTreeMap::new();
        let mut left_out = Vec::new();
        let given = properties.pointer("/Environment/Variables").and_then(Value::as_object);
        for (name, value) in given.into_iter().flatten() {
            match self.text(value, &at.inside(&format!("Environment.Variables.{name}"))) {
                Ok(value) => drop(variables.insert(name.clone(), value)),
                Err(error) => left_out.push(format!("an environment variable: {error:#}")),
            }
        }
        let timeout = property("Timeout")?.and_then(|it| it.parse().ok());
        let handler = property("Handler")?.unwrap_or_default();
        Ok(NewFunction { runtime, handler, timeout, code, variables, left_out })
    }

    /// Code that lies beside the template: a folder or zip that it names, or an asset of the CDK.
    fn code(&self, properties: &Value, at: &At) -> Result<Vec<u8>> {
        let code = properties.get("Code").or_else(|| properties.get("CodeUri"));
        let code = self.resolve(code.with_context(|| format!("{at} has no Code"))?, &at.inside("Code"))?;
        let path = match (&code, code.get("S3Key").and_then(Value::as_str)) {
            (Value::String(path), _) if !path.contains("://") => self.folder.join(path),
            (_, Some(key)) => {
                self.assets.get(key).cloned().with_context(|| format!("{at}: its code is in S3, under {key}"))?
            }
            _ => bail!("{at}: its code is not here"),
        };
        read(&path).with_context(|| at.to_string())
    }

    /// A template of nothing but the ECS service with this name and its task definition.
    pub(super) fn service(&self, cluster: &str, service: &str) -> Option<Result<Value>> {
        let (properties, at) = self.find(&["AWS::ECS::Service"], service)?;
        Some(self.service_of(properties, &at, cluster, service))
    }

    fn service_of(&self, properties: &Value, at: &At, cluster: &str, service: &str) -> Result<Value> {
        let family = properties.get("TaskDefinition").with_context(|| format!("{at} has no TaskDefinition"))?;
        let family = self.text(family, &at.inside("TaskDefinition"))?;
        let (task, task_at) = self
            .find(&["AWS::ECS::TaskDefinition"], &family)
            .with_context(|| format!("{at}: the template has no task definition {family}"))?;
        let mut task = self.known(task, &task_at);
        task["Family"] = family.clone().into();
        let mut service = json!({"Cluster": cluster, "ServiceName": service, "TaskDefinition": family});
        // Nothing of networks and load balancers, which no service needs where no container runs.
        for name in ["DesiredCount", "DeploymentConfiguration", "LaunchType", "SchedulingStrategy"] {
            if let Some(value) = properties.get(name) {
                service[name] = self.known(value, &at.inside(name));
            }
        }
        Ok(json!({"Resources": {
            "TaskDefinition": {"Type": "AWS::ECS::TaskDefinition", "Properties": task},
            "Service": {"Type": "AWS::ECS::Service", "DependsOn": "TaskDefinition", "Properties": service},
        }}))
    }

    /// The value without what of it is known only on AWS.
    fn known(&self, value: &Value, at: &At) -> Value {
        let is_known = |it: &Value| !it.is_null();
        match self.resolve(value, at) {
            Ok(value) => value,
            Err(_) => match value {
                Value::Array(list) => list.iter().map(|it| self.known(it, at)).filter(is_known).collect(),
                // A function, as against an object with members.
                Value::Object(members) if members.keys().any(|it| it == "Ref" || it.starts_with("Fn::")) => Value::Null,
                Value::Object(members) => {
                    let members = members.iter().map(|(key, it)| (key.clone(), self.known(it, &at.inside(key))));
                    Value::Object(members.filter(|(_, it)| is_known(it)).collect())
                }
                _ => Value::Null,
            },
        }
    }

    /// The template's own action types, with their properties.
    pub(super) fn action_types(&self) -> Result<BTreeMap<TypeId, Value>> {
        let types = self.resources().filter(|(_, it)| it["Type"] == "AWS::CodePipeline::CustomActionType");
        let types = types.map(|(logical, resource)| {
            let at = At::new(&format!("Resources.{logical}.Properties"));
            let properties = self.resolve(&resource["Properties"], &at)?;
            let id = TypeId {
                category: text(&properties["Category"]),
                owner: Some("Custom".to_owned()),
                provider: text(&properties["Provider"]),
                version: Some(text(&properties["Version"])),
            };
            Ok((id, properties))
        });
        types.collect()
    }

    /// The definition of the state machine with this name, if the template has it.
    pub(super) fn machine(&self, name: &str) -> Option<Result<String>> {
        let (properties, at) = self.find(MACHINES, name)?;
        Some(self.machine_of(properties, &at))
    }

    fn machine_of(&self, properties: &Value, at: &At) -> Result<String> {
        let mut definition = if let Some(inline) = properties.get("DefinitionString") {
            self.text(inline, &at.inside("DefinitionString"))?
        } else if let Some(object) = properties.get("Definition") {
            self.resolve(object, &at.inside("Definition"))?.to_string()
        } else if let Some(path) = properties.get("DefinitionUri").and_then(Value::as_str) {
            let path = self.folder.join(path);
            std::fs::read_to_string(&path).with_context(|| format!("{at}: cannot read {}", path.display()))?
        } else {
            bail!("{at}: its definition is not here");
        };
        let substitutions = properties.get("DefinitionSubstitutions").and_then(Value::as_object);
        for (name, value) in substitutions.into_iter().flatten() {
            let value = self.text(value, &at.inside(&format!("DefinitionSubstitutions.{name}")))?;
            definition = definition.replace(&format!("${{{name}}}"), &value);
        }
        Ok(definition)
    }
}

/// A zip as it is, or a folder as a zip.
pub(super) fn read(path: &Path) -> Result<Vec<u8>> {
    if path.is_dir() {
        return source::zipped(path);
    }
    ensure!(path.is_file(), "{} is not there", path.display());
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::tests::TEMPLATE;

    fn template(text: &str, parameters: &[(&str, &str)]) -> Template {
        let parameters = parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Template { document: parse(text).unwrap(), parameters, stack: "shop".into(), ..Template::default() }
    }

    #[test]
    fn a_templates_pipeline_is_a_declaration() {
        let template = template(TEMPLATE, &[]);
        assert_eq!(template.pipelines(), ["Pipeline"]);
        let declaration = template.pipeline("Pipeline").unwrap();
        assert_eq!(declaration.name, "shop-Pipeline");
        assert_eq!(
            declaration.artifact_store.as_ref().unwrap().location,
            "local",
            "the bucket's own name is not needed"
        );
        let source = &declaration.stages[0].actions[0];
        assert_eq!(source.configuration.as_ref().unwrap()["PollForSourceChanges"], "false");
        assert_eq!(source.action_type_id.version.as_deref(), Some("1"));
        assert_eq!(declaration.stages[1].actions[1].run_order, Some(2));
    }

    #[test]
    fn stores_by_region_and_numbers_in_quotes_are_read() {
        let store = "{Type: S3, Location: !GetAtt Nobody.Knows}";
        let declared = template(
            &format!(
                "Resources: {{P: {{Type: AWS::CodePipeline::Pipeline, Properties: {{Name: p, RoleArn: !ImportValue x, \
                 ArtifactStores: [{{Region: us-east-1, ArtifactStore: {store}}}], Stages: [{{Name: s, Actions: \
                 [{{Name: a, RunOrder: '3', Configuration: {{Key: {{a: 1}}}}}}]}}]}}}}}}"
            ),
            &[],
        );
        let declared = declared.pipeline("P").unwrap();
        assert_eq!(declared.artifact_stores.unwrap()["us-east-1"].location, "local");
        let action = &declared.stages[0].actions[0];
        assert_eq!((action.run_order, action.configuration.as_ref().unwrap()["Key"].as_str()), (Some(3), "{\"a\":1}"));
    }

    #[test]
    fn parameters_must_be_the_templates() {
        let check = |parameters: &[(&str, &str)]| template(TEMPLATE, parameters).check_parameters("Pipeline");
        assert!(check(&[("Environment", "prod"), ("shared-Greeting", "hello")]).is_ok());
        let pipeline = "Resources: {P: {Type: AWS::CodePipeline::Pipeline, Properties: {Variables: [{Name: Env}]}}}";
        assert!(template(pipeline, &[("Env", "x")]).check_parameters("P").is_ok());
        let error = check(&[("Brunch", "main")]).unwrap_err().to_string();
        assert!(error.contains("unknown parameter Brunch") && error.contains("Branch"), "{error}");
        let error = check(&[("Environment", "moon")]).unwrap_err().to_string();
        assert_eq!(error, "parameter Environment may be test, prod, and not moon");
    }

    #[test]
    fn projects_functions_and_machines_are_found_by_their_names() {
        let template = template(TEMPLATE, &[("Environment", "prod")]);
        let project = template.project("shop-Build").unwrap().unwrap();
        assert!(project.buildspec.unwrap().contains("version: 0.2"));
        let variables: Vec<_> = project.variables.iter().map(|it| (it.name.as_str(), it.value.as_str())).collect();
        assert_eq!(variables, [("GREETING", "Good evening")]);
        assert!(project.left_out[0].contains("Api.ApiEndpoint"), "{:?}", project.left_out);
        let function = template.function("shop-check").unwrap().unwrap();
        assert_eq!((function.runtime.as_str(), function.timeout), ("python3.12", Some(10)));
        let machine = template.machine("shop-Load").unwrap().unwrap();
        assert!(machine.contains("\"Result\": \"prod\"") || machine.contains("\"Result\":\"prod\""), "{machine}");
        assert!(template.project("other").is_none());
    }

    #[test]
    fn a_service_is_made_without_what_only_aws_knows() {
        let text = "Resources: {S: {Type: AWS::ECS::Service, Properties: {TaskDefinition: !Ref T, DesiredCount: 2, \
                    LoadBalancers: [{TargetGroupArn: !GetAtt L.Arn}]}}, \
                    T: {Type: AWS::ECS::TaskDefinition, Properties: {ExecutionRoleArn: !GetAtt Nobody.Knows, \
                    ContainerDefinitions: [{Name: web, Image: nginx, Environment: [{Name: A, Value: !GetAtt L.Dns}]}]}}}";
        let made = template(text, &[]).service("c", "shop-S").unwrap().unwrap();
        let service = json!({"Cluster": "c", "ServiceName": "shop-S", "TaskDefinition": "shop-T", "DesiredCount": 2});
        assert_eq!(made["Resources"]["Service"]["Properties"], service);
        let containers = json!([{"Name": "web", "Image": "nginx", "Environment": [{"Name": "A"}]}]);
        let task = json!({"Family": "shop-T", "ContainerDefinitions": containers});
        assert_eq!(made["Resources"]["TaskDefinition"]["Properties"], task);
        assert!(template(text, &[]).service("c", "other").is_none());
    }

    #[test]
    fn a_template_of_the_cdk_asks_for_a_bootstrapped_account() {
        let text = "Parameters: {BootstrapVersion: {Type: 'AWS::SSM::Parameter::Value<String>', Default: /cdk-bootstrap/x/version}}";
        assert_eq!(template(text, &[]).bootstrap_version(), Some("/cdk-bootstrap/x/version"));
        assert_eq!(template(TEMPLATE, &[]).bootstrap_version(), None);
    }

    #[test]
    fn code_is_read_from_beside_the_template_and_from_assets() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("lambda")).unwrap();
        std::fs::write(folder.path().join("lambda/app.py"), "x").unwrap();
        let text = "Resources: {A: {Type: AWS::Serverless::Function, Properties: {Runtime: python3.12, CodeUri: lambda}}, \
                    B: {Type: AWS::Lambda::Function, Properties: {Runtime: python3.12, Code: {S3Bucket: b, S3Key: k}}}}";
        let mut template = Template { folder: folder.path().to_owned(), ..template(text, &[]) };
        assert!(!template.function("shop-A").unwrap().unwrap().code.is_empty());
        let missing = format!("{:#}", template.function("shop-B").unwrap().unwrap_err());
        assert!(missing.contains("Resources.B.Properties: its code is in S3, under k"), "{missing}");
        template.assets.insert("k".to_owned(), folder.path().join("lambda"));
        assert!(template.function("shop-B").unwrap().is_ok());
    }
}
