//! What a CloudFormation action deploys: the template, and the values that its configuration and its files give.
//! Sources: CodePipeline user guide, 'AWS CloudFormation deploy action reference'; CloudFormation user guide, 'Using
//! parameter override functions with CodePipeline pipelines'.

use aws_sdk_cloudformation::types::{Parameter, Tag};
use bytes::Bytes;
use driver::TaskInput;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::Action;
use crate::artifact_files::{input, located, text};
use crate::configuration::{missing, store, title};
use crate::context::ActionContext;
use crate::error::ProviderError;

/// Longest template that CloudFormation takes in a request, and from S3. Source: CloudFormation quotas.
const LONGEST_BODY: usize = 51_200;
const LONGEST_TEMPLATE: u64 = 1_048_576;
/// Longest `TemplateConfiguration`, and file for `Fn::GetParam`.
pub(crate) const LONGEST_FILE: u64 = 1_048_576;
/// Longest `ParameterOverrides`. Source: CodePipeline user guide, 'AWS CloudFormation deploy action reference'.
const LONGEST_OVERRIDES: usize = 1_024;
/// What is deployed: a template with its parameters, tags and policy.
pub(super) struct Deployment {
    /// The template itself, or where it is.
    pub(super) body: Option<String>,
    pub(super) url: Option<String>,
    pub(super) parameters: Vec<Parameter>,
    pub(super) tags: Vec<Tag>,
    pub(super) stack_policy: Option<String>,
}

/// The file that `TemplateConfiguration` names. Source: CloudFormation user guide, 'CodePipeline artifacts'.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TemplateConfiguration {
    #[serde(default)]
    parameters: Map<String, Value>,
    #[serde(default)]
    tags: Map<String, Value>,
    stack_policy: Option<Value>,
}

impl Action<'_> {
    /// Reads it all: nothing has been asked of CloudFormation yet.
    pub(super) async fn deployment(&self) -> Result<Deployment, ProviderError> {
        let path = self.configuration.template_path;
        let path = path.ok_or_else(|| ProviderError::configuration(missing(self.task, "TemplatePath")))?;
        let Template { body, url } = template(self.context, path).await?;
        let settings = self.template_configuration().await?;
        let mut parameters = settings.parameters;
        parameters.extend(self.overrides().await?);
        let parameter = |(key, value): (String, Value)| {
            Parameter::builder().parameter_key(key).parameter_value(plain(value)).build()
        };
        let tag = |(key, value): (String, Value)| Tag::builder().key(key).value(plain(value)).build();
        Ok(Deployment {
            body,
            url,
            parameters: parameters.into_iter().map(parameter).collect(),
            tags: settings.tags.into_iter().map(tag).collect(),
            stack_policy: settings.stack_policy.map(|policy| policy.to_string()),
        })
    }

    async fn template_configuration(&self) -> Result<TemplateConfiguration, ProviderError> {
        let Some(path) = self.configuration.template_configuration else {
            return Ok(TemplateConfiguration::default());
        };
        let (artifact, file) = located(self.task, "TemplateConfiguration", path)?;
        let content = text(self.context, artifact, file, LONGEST_FILE).await?;
        serde_json::from_str(&content).map_err(|error| {
            ProviderError::configuration(format!(
                "the file {path} is not a JSON object with Parameters, Tags and StackPolicy: {error}"
            ))
        })
    }

    /// `ParameterOverrides` with its functions resolved.
    async fn overrides(&self) -> Result<Map<String, Value>, ProviderError> {
        let Some(json) = self.configuration.parameter_overrides else { return Ok(Map::new()) };
        if json.len() > LONGEST_OVERRIDES {
            return Err(ProviderError::configuration(format!(
                "ParameterOverrides of {} has {} bytes; it may have {LONGEST_OVERRIDES}",
                title(self.task),
                json.len()
            )));
        }
        let declared: Map<String, Value> = serde_json::from_str(json).map_err(|error| {
            ProviderError::configuration(format!(
                "ParameterOverrides of {} is not a JSON object: {error}",
                title(self.task)
            ))
        })?;
        let mut resolved = Map::new();
        for (name, value) in declared {
            let value = match function(&value) {
                Some(("Fn::GetArtifactAtt", arguments)) => self.artifact_attribute(arguments)?.into(),
                Some(("Fn::GetParam", arguments)) => self.value_of_file(arguments).await?,
                _ => value,
            };
            resolved.insert(name, value);
        }
        Ok(resolved)
    }

    fn artifact_attribute(&self, arguments: &Value) -> Result<String, ProviderError> {
        let [artifact, attribute] = texts(arguments).ok_or_else(|| {
            ProviderError::configuration("Fn::GetArtifactAtt in ParameterOverrides needs [artifact, attribute]")
        })?;
        let input = input(self.task, "Fn::GetArtifactAtt", artifact)?;
        match attribute {
            "BucketName" => Ok(input.bucket.clone()),
            "ObjectKey" => Ok(input.artifact.key.clone()),
            "URL" => Ok(url(&self.task.region, &input.bucket, &input.artifact.key)),
            other => Err(ProviderError::configuration(format!(
                "Fn::GetArtifactAtt names {other:?}: an artifact has BucketName, ObjectKey and URL"
            ))),
        }
    }

    async fn value_of_file(&self, arguments: &Value) -> Result<Value, ProviderError> {
        let [artifact, file, key] = texts(arguments).ok_or_else(|| {
            ProviderError::configuration("Fn::GetParam in ParameterOverrides needs [artifact, JSON file, key]")
        })?;
        let input = input(self.task, "Fn::GetParam", artifact)?;
        let content = text(self.context, input, file, LONGEST_FILE).await?;
        let content: Value = serde_json::from_str(&content)
            .map_err(|error| ProviderError::configuration(format!("{artifact}::{file} is no JSON: {error}")))?;
        content.get(key).cloned().ok_or_else(|| {
            ProviderError::configuration(format!("{artifact}::{file} has no key {key:?}, which Fn::GetParam asks for"))
        })
    }
}

/// A template as a request takes it: itself, or where it is.
pub(crate) struct Template {
    pub(crate) body: Option<String>,
    pub(crate) url: Option<String>,
}

/// The template that `TemplatePath` names. One that is too long for a request is put beside its artifact.
pub(crate) async fn template(context: ActionContext<'_>, path: &str) -> Result<Template, ProviderError> {
    let task = context.task;
    let (artifact, file) = located(task, "TemplatePath", path)?;
    let template = text(context, artifact, file, LONGEST_TEMPLATE).await?;
    if template.len() <= LONGEST_BODY {
        return Ok(Template { body: Some(template), url: None });
    }
    Ok(Template { body: None, url: Some(template_url(context, artifact, template).await?) })
}

/// Puts a template beside the artifact that it comes from, where a service can read it as the role.
pub(crate) async fn template_url(
    context: ActionContext<'_>,
    artifact: &TaskInput,
    template: String,
) -> Result<String, ProviderError> {
    let task = context.task;
    let (bucket, encryption) = store(task)?;
    let key = format!("{}.{}.template", artifact.artifact.key, task.id.first_turn());
    context.artifact_store(bucket).await?.put_artifact(&key, Bytes::from(template), &encryption).await?;
    Ok(url(&task.region, bucket, &key))
}

fn url(region: &str, bucket: &str, key: &str) -> String {
    format!("https://{bucket}.s3.{region}.{}/{key}", runtime::arn::service_domain(region))
}

/// A function with its arguments, of an object that holds nothing else.
fn function(value: &Value) -> Option<(&str, &Value)> {
    let object = value.as_object().filter(|object| object.len() == 1)?;
    object.iter().next().map(|(name, arguments)| (name.as_str(), arguments))
}

fn texts<const N: usize>(arguments: &Value) -> Option<[&str; N]> {
    let texts: Option<Vec<&str>> = arguments.as_array()?.iter().map(Value::as_str).collect();
    texts?.try_into().ok()
}

/// A value as CloudFormation takes it: text, lists with commas.
fn plain(value: Value) -> String {
    match value {
        Value::String(text) => text,
        Value::Array(list) => list.into_iter().map(plain).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}
