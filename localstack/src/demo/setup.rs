//! Everything that must be there before the object is put.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use aws_sdk_codebuild::types::{
    ArtifactsType, ComputeType, EnvironmentType, ProjectArtifacts, ProjectEnvironment, ProjectSource, SourceType,
};
use aws_sdk_codepipeline::config::retry::RetryConfig;
use aws_sdk_codepipeline::error::ProvideErrorMetadata;
use aws_sdk_codepipeline::types::{PipelineDeclaration, PipelineExecutionStatus};
use aws_sdk_codepipeline::{Client, Error};
use aws_smithy_json::codec::JsonCodec;
use aws_smithy_schema::codec::Codec;
use local::{ARCHITECTURE, AWAY, HOME, Stack};

use millrace::output::outln;

/// The name of the demo's pipeline.
pub const PIPELINE: &str = "demo";
/// The name of the project that builds the site.
const PROJECT: &str = "millrace-demo";
/// The action that waits for a person: its stage and its name.
pub(super) const APPROVAL: (&str, &str) = ("Release", "Approve");
/// The object whose change starts it.
pub(super) const SOURCE_KEY: &str = "site.zip";

/// How long the run that comes with the pipeline's creation may take to fail. Work that is lost in a stack's first minute
/// waits for the sweeper to wake, once a minute, and then for a claim to run out, each time that its worker dies.
const FIRST_RUN_LIMIT: Duration = Duration::from_secs(180);

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

/// A client that goes on trying: a function may be killed while it answers, any number of times.
pub(super) fn client(stack: &Stack) -> Client {
    let patient = RetryConfig::standard().with_max_attempts(10).with_max_backoff(Duration::from_secs(2));
    Client::from_conf(stack.codepipeline().config().to_builder().retry_config(patient).build())
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
    values.insert("BuildProject".to_owned(), PROJECT.to_owned());
    let value =
        |name: &str| values.get(name).cloned().with_context(|| format!("the demo's stacks have no output {name}"));
    make_project(stack).await?;
    let source_bucket = value("SourceBucket")?;
    put_pipeline(stack, &source_bucket, declaration(&values)?).await?;
    Ok(Demo {
        source_bucket,
        site_bucket: value("SiteBucket")?,
        releases_bucket: value("ReleasesBucket")?,
        mailbox: value("MailboxUrl")?,
    })
}

/// Makes the project unless it is there: not by a template, since no emulator's CloudFormation knows of the build host.
async fn make_project(stack: &Stack) -> Result<()> {
    let config = aws_sdk_codebuild::config::Builder::from(&stack.sdk(HOME));
    let config = config.endpoint_url(stack.value("AWS_ENDPOINT_URL_CODEBUILD")?).build();
    let environment = ProjectEnvironment::builder().r#type(EnvironmentType::LinuxContainer);
    let environment = environment.image("aws/codebuild/standard:7.0").compute_type(ComputeType::BuildGeneral1Small);
    let created = aws_sdk_codebuild::Client::from_conf(config)
        .create_project()
        .name(PROJECT)
        .source(ProjectSource::builder().r#type(SourceType::Codepipeline).build()?)
        .artifacts(ProjectArtifacts::builder().r#type(ArtifactsType::Codepipeline).build()?)
        .environment(environment.build()?)
        .service_role(stack.value("MILLRACE_PIPELINE_ROLE")?)
        .send()
        .await;
    match created {
        Err(error) if error.as_service_error().is_some_and(|error| error.is_resource_already_exists_exception()) => {
            Ok(())
        }
        created => created.map(drop).context("cannot create the build project"),
    }
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

/// Creates the pipeline, or brings it up to date; nothing runs in it afterwards.
async fn put_pipeline(stack: &Stack, source: &str, declaration: PipelineDeclaration) -> Result<()> {
    let client = client(stack);
    let running = match running(&client).await {
        Err(error) if error.code() == Some("PipelineNotFoundException") => None,
        running => Some(running.context("cannot list the pipeline's executions")?),
    };
    match running {
        Some(false) => {
            client.update_pipeline().pipeline(declaration).send().await.context("cannot update the pipeline")?;
            return Ok(());
        }
        Some(true) => {
            outln!("an earlier release still waits: the pipeline is made anew")?;
            client.delete_pipeline().name(PIPELINE).send().await.context("cannot delete the pipeline")?;
        }
        None => {}
    }
    // Creating a pipeline starts it, on AWS too. That run must find no source and end before the demo's own begins.
    let removed = stack.s3(HOME).delete_object().bucket(source).key(SOURCE_KEY).send().await;
    removed.context("cannot empty the source bucket")?;
    client.create_pipeline().pipeline(declaration).send().await.context("cannot create the pipeline")?;
    let created = Instant::now();
    while self::running(&client).await.context("cannot list the pipeline's executions")? {
        if created.elapsed() > FIRST_RUN_LIMIT {
            bail!(
                "the pipeline's first run, which has no source, still goes on after {} s; see: cargo run -p local -- logs",
                FIRST_RUN_LIMIT.as_secs()
            );
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    Ok(())
}

/// Whether any execution of the pipeline goes on.
async fn running(client: &Client) -> Result<bool, Error> {
    let listed = client.list_pipeline_executions().pipeline_name(PIPELINE).send().await?;
    let in_progress = Some(&PipelineExecutionStatus::InProgress);
    Ok(listed.pipeline_execution_summaries().iter().any(|execution| execution.status() == in_progress))
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
            "BuildProject",
            "UnitTestFunction",
            "IntegrationTestArn",
            "LoadTestArn",
            "ApprovalTopicArn",
            "SiteBucket",
            "ReleasesBucket",
        ];
        let values = names.map(|name| (name.to_owned(), format!("the {name}"))).into();
        let declaration = declaration(&values).unwrap();
        assert_eq!(declaration.stages().len(), 6);
        let approval = declaration.stages().iter().find(|stage| stage.name() == APPROVAL.0).unwrap();
        assert_eq!(approval.actions()[0].name(), APPROVAL.1);
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
