//! Everything that must be there before the object is put.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use aws_sdk_codepipeline::Client;
use aws_sdk_codepipeline::error::ProvideErrorMetadata;
use aws_sdk_codepipeline::types::PipelineDeclaration;
use aws_smithy_json::codec::JsonCodec;
use aws_smithy_schema::codec::Codec;
use local::{ARCHITECTURE, AWAY, HOME, Stack};

/// The demo's pipeline.
pub(super) const PIPELINE: &str = "demo";
/// The object whose change starts it.
pub(super) const SOURCE_KEY: &str = "site.zip";

const TEMPLATE: &str = include_str!("../../samples/demo.yaml");
const AWAY_TEMPLATE: &str = include_str!("../../samples/demo-away.yaml");
const INTEGRATION_TEST: &str = include_str!("../../samples/integration-test.asl.json");
const LOAD_TEST: &str = include_str!("../../samples/load-test.asl.json");
const DECLARATION: &str = include_str!("../../samples/pipeline.json");

/// What the demo works with.
#[derive(Debug)]
pub(super) struct Demo {
    pub source_bucket: String,
    pub site_bucket: String,
    pub releases_bucket: String,
    pub mailbox: String,
}

/// Deploys the demo's own stacks and brings the pipeline to its declaration.
pub(super) async fn prepare(stack: &Stack) -> Result<Demo> {
    let (bucket, key) = stack.upload("sample-test").await?;
    let api_id =
        stack.api_url.split('/').skip_while(|part| *part != "restapis").nth(1).context("the API's URL has no id")?;
    let parameters = [
        ("CodeBucket", bucket.as_str()),
        ("TestCode", &key),
        ("Architecture", ARCHITECTURE),
        ("EndpointUrl", &stack.endpoint),
        ("ApiId", api_id),
        ("ApiUrl", &stack.api_url),
        ("IntegrationTest", INTEGRATION_TEST),
        ("LoadTest", LOAD_TEST),
    ];
    let parameters = parameters.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let mut values = stack.deploy(HOME, "millrace-demo", TEMPLATE, parameters).await?;
    values.extend(stack.deploy(AWAY, "millrace-demo", AWAY_TEMPLATE, BTreeMap::new()).await?);
    for (name, variable) in [
        ("PipelineRole", "MILLRACE_PIPELINE_ROLE"),
        ("ArtifactsHome", "MILLRACE_ARTIFACTS_EU_WEST_1"),
        ("ArtifactsAway", "MILLRACE_ARTIFACTS_US_WEST_2"),
        ("ArtifactKeyHome", "MILLRACE_ARTIFACT_KEY_EU_WEST_1"),
        ("ArtifactKeyAway", "MILLRACE_ARTIFACT_KEY_US_WEST_2"),
    ] {
        values.insert(name.to_owned(), stack.value(variable)?.to_owned());
    }
    put_pipeline(&stack.codepipeline(), declaration(&values)?).await?;
    let value =
        |name: &str| values.get(name).cloned().with_context(|| format!("the demo's stacks have no output {name}"));
    Ok(Demo {
        source_bucket: value("SourceBucket")?,
        site_bucket: value("SiteBucket")?,
        releases_bucket: value("ReleasesBucket")?,
        mailbox: value("MailboxUrl")?,
    })
}

/// The sample's declaration, with `{Name}` replaced by its value.
fn declaration(values: &BTreeMap<String, String>) -> Result<PipelineDeclaration> {
    let mut text = DECLARATION.to_owned();
    for (name, value) in values {
        text = text.replace(&format!("{{{name}}}"), value);
    }
    PipelineDeclaration::deserialize(&mut JsonCodec::default().create_deserializer(text.as_bytes()))
        .context("samples/pipeline.json is no declaration")
}

/// Creates the pipeline, or brings it up to date.
async fn put_pipeline(client: &Client, declaration: PipelineDeclaration) -> Result<()> {
    match client.create_pipeline().pipeline(declaration.clone()).send().await {
        Ok(_) => Ok(()),
        Err(error) if error.code() == Some("PipelineNameInUseException") => {
            client.update_pipeline().pipeline(declaration).send().await.context("cannot update the pipeline")?;
            Ok(())
        }
        Err(error) => Err(error).context("cannot create the pipeline"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_is_a_declaration_and_every_placeholder_has_a_value() {
        let names = [
            "PipelineRole",
            "ArtifactsHome",
            "ArtifactsAway",
            "ArtifactKeyHome",
            "ArtifactKeyAway",
            "SourceBucket",
            "UnitTestFunction",
            "IntegrationTestArn",
            "LoadTestArn",
            "ApprovalTopicArn",
            "SiteBucket",
            "ReleasesBucket",
        ];
        let values = names.map(|name| (name.to_owned(), format!("the {name}"))).into();
        let declaration = declaration(&values).unwrap();
        assert_eq!(declaration.stages().len(), 5);
        let configured = declaration
            .stages()
            .iter()
            .flat_map(|stage| stage.actions())
            .flat_map(|action| action.configuration().into_iter().flatten());
        for (key, value) in configured {
            assert!(!value.starts_with('{') || key == "Input", "{key} is still {value}");
        }
        assert_eq!(declaration.role_arn(), "the PipelineRole");
        assert_eq!(declaration.artifact_stores().unwrap()["us-west-2"].location(), "the ArtifactsAway");
    }
}
