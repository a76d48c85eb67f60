//! A third party's actions that a function does.

use std::sync::Arc;

use anyhow::{Context, Result};
use aws_sdk_codepipeline::types::{
    ActionCategory, ActionTypeArtifactDetails, ActionTypeDeclaration, ActionTypeExecutor, ActionTypeIdentifier,
    ActionTypeProperty, ActionTypeUrls, ExecutorConfiguration, ExecutorType, LambdaExecutorConfiguration,
};
use local::{ACCOUNT, HOME};
use serde_json::{Value, json};

use super::jobs::{event, s3_with};
use crate::case::Case;
use crate::check::{fails_with, named};
use crate::declare::{ARTIFACT, Action};
use crate::fixture::Fixture;
use crate::wait::{PATIENCE, until};
use crate::zips;

/// Registers a type whose jobs the function [`Fixture::FORWARD`] does.
async fn register(case: &Case, provider: &str) -> Result<()> {
    let function = format!("arn:aws:lambda:{HOME}:{ACCOUNT}:function:{}", Fixture::FORWARD);
    let function = LambdaExecutorConfiguration::builder().lambda_function_arn(function).build()?;
    let function = ExecutorConfiguration::builder().lambda_executor_configuration(function).build();
    let executor = ActionTypeExecutor::builder().r#type(ExecutorType::Lambda).configuration(function).build()?;
    let id = ActionTypeIdentifier::builder().category(ActionCategory::Test).owner("ThirdParty");
    let id = id.provider(provider).version("1").build()?;
    let count = |count| ActionTypeArtifactDetails::builder().minimum_count(count).maximum_count(count).build();
    let mut declaration = ActionTypeDeclaration::builder().id(id).executor(executor);
    for (name, optional) in [("Queue", false), ("Answer", false), ("Next", true)] {
        let property = ActionTypeProperty::builder().name(name).optional(optional).key(false).no_echo(false);
        declaration = declaration.properties(property.build()?);
    }
    let page = "https://scans.example.com/{ExternalExecutionId}";
    let declaration = declaration.input_artifact_details(count(1)).output_artifact_details(count(0));
    let declaration = declaration.urls(ActionTypeUrls::builder().execution_url_template(page).build());
    case.pipelines.update_action_type().action_type(declaration.build()).send().await?;
    Ok(())
}

fn scan(provider: &str, name: &str, queue: &str, answer: &str) -> Action {
    let id = json!({"category": "Test", "owner": "ThirdParty", "provider": provider, "version": "1"});
    let action = Action::new(name, "Test", provider).with("actionTypeId", id).input(ARTIFACT);
    action.set("Queue", queue).set("Answer", answer)
}

/// The function asks to be called again, and is, with what it handed over; then it has a variable for others.
pub async fn executed_by_a_function(case: &Arc<Case>) -> Result<()> {
    register(case, "Executor").await?;
    let (queue, _) = case.queue("jobs").await?;
    let going_on = json!({
        "result": "Continue", "continuation": {"state": "page 2"},
        "status": {"externalExecutionId": "scan-7", "summary": "half of it"},
    });
    let done = json!({"result": "success", "status": {"summary": "all of it"}, "outputVariables": {"holes": "none"}});
    let target = case.bucket(HOME, "target").await?;
    let scan = scan("Executor", "Scan", &queue, &going_on.to_string()).set("Next", &done.to_string());
    let deploy = Action::archive("Archive", &target, "#{Scan.holes}.zip").input(ARTIFACT);
    let draft = case.draft("executed").source().await?.stage("Test", [scan.with("namespace", "Scan")]);
    let pipeline = draft.stage("Deploy", [deploy]).create().await?;
    let execution = pipeline.first().await?;

    let one = event(case, &queue).await?;
    assert_eq!(one["accountId"], ACCOUNT);
    assert!(one["data"]["continuationToken"].is_null());
    let text = |value: &Value| value.as_str().map(str::to_owned).context("a text is missing");
    let given = &one["data"]["actionCredentials"];
    let (key, secret) = (text(&given["accessKeyId"])?, text(&given["secretAccessKey"])?);
    let s3 = s3_with(case, &key, &secret, &text(&given["sessionToken"])?);
    let place = &one["data"]["inputArtifacts"][0]["location"]["s3Location"];
    let input = s3.get_object().bucket(text(&place["bucketName"])?).key(text(&place["objectKey"])?).send().await?;
    assert_eq!(zips::unzipped(&input.body.collect().await?.to_vec(), "index.html")?, zips::SITE[0].1);

    let waiting = until(
        PATIENCE,
        || "nothing says that it is to be continued".to_owned(),
        || async {
            let found = case.pipelines.get_pipeline_execution().pipeline_name(&pipeline.name);
            let found = found.pipeline_execution_id(&execution).send().await?.pipeline_execution;
            let why = found.and_then(|it| it.status_summary).unwrap_or_default();
            Ok(why.contains("asked to be continued").then_some(why))
        },
    );
    assert!(waiting.await?.contains("(half of it)"));
    let shown = pipeline.action("Scan").await?.context("no execution")?;
    assert_eq!(shown.external_execution_url(), Some("https://scans.example.com/scan-7"));

    let two = event(case, &queue).await?;
    assert_ne!(one["jobId"], two["jobId"]);
    assert_eq!(one["data"]["actionExecutionId"], two["data"]["actionExecutionId"]);
    assert_eq!(two["data"]["continuationToken"], "page 2");
    pipeline.ends(&execution, "Succeeded").await?;
    let scanned = pipeline.actions(&execution).await?;
    let scanned = named(&scanned, "Scan")?;
    assert_eq!(scanned.action_execution_id(), one["data"]["actionExecutionId"].as_str());
    case.s3(HOME).head_object().bucket(&target).key("none.zip").send().await?;
    Ok(())
}

/// A function that says that its job failed, and one that fails itself.
pub async fn functions_that_fail(case: &Arc<Case>) -> Result<()> {
    register(case, "Pessimistic").await?;
    let (queue, _) = case.queue("jobs").await?;
    let holes = json!({
        "result": "Fail", "failureType": "ConfigurationError", "status": {"summary": "three holes in index.html"},
    });
    for (name, answer, code, words) in [
        ("Told", holes.to_string(), "ConfigurationError", "three holes in index.html"),
        ("Broken", "no answer".to_owned(), "JobFailed", "made to fail"),
    ] {
        let scan = scan("Pessimistic", "Scan", &queue, &answer);
        let pipeline = case.draft(&name.to_lowercase()).source().await?.stage("Test", [scan]).create().await?;
        let execution = pipeline.first().await?;
        fails_with(&pipeline, &execution, "Scan", code, &[words]).await?;
    }
    Ok(())
}
