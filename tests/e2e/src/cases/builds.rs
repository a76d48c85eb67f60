//! Builds that really run, on the build host beside the emulator.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use aws_sdk_codebuild::types::{
    ArtifactsType, ComputeType, EnvironmentType, ProjectArtifacts, ProjectEnvironment, ProjectSource, SourceType,
};
use aws_sdk_ssm::types::ParameterType;
use futures::future::try_join;
use local::HOME;
use serde_json::json;

use crate::case::Case;
use crate::check::{deployed, fails_with, named};
use crate::declare::{Action, SOURCE_KEY};
use crate::wait::{PATIENCE, until};
use crate::zips;

/// A project as pipelines have them; returns its name.
pub(super) async fn project(case: &Case) -> Result<String> {
    let name = case.named("project");
    let environment = ProjectEnvironment::builder().r#type(EnvironmentType::LinuxContainer).image("any");
    case.codebuild
        .create_project()
        .name(&name)
        .source(ProjectSource::builder().r#type(SourceType::Codepipeline).build()?)
        .artifacts(ProjectArtifacts::builder().r#type(ArtifactsType::Codepipeline).build()?)
        .environment(environment.compute_type(ComputeType::BuildGeneral1Small).build()?)
        .service_role(case.role()?)
        .send()
        .await?;
    Ok(name)
}

/// Two inputs, one of them with a hyphen in its name; two outputs; variables into the build and out of it.
pub async fn builds_deployed(case: &Arc<Case>) -> Result<()> {
    const SPEC: &str = r#"
version: 0.2
env: {exported-variables: [VERSION]}
phases:
  build:
    commands:
      - VERSION=1.$(cat "$CODEBUILD_SRC_DIR_my_lib/number")
      - mkdir out && echo "$GREETING, version $VERSION" > out/index.html
      - echo "${#TOKEN} letters" > report.txt
artifacts:
  secondary-artifacts:
    web-site: {base-directory: out, files: ["**/*"]}
    report: {files: [report.txt]}
"#;
    let project = project(case).await?;
    let parameter = case.named("token");
    let secure = ParameterType::SecureString;
    case.parameters.put_parameter().name(&parameter).value("t0ken").r#type(secure).send().await?;
    let source = case.bucket(HOME, "source").await?;
    case.put(HOME, &source, SOURCE_KEY, zips::zipped(&[("buildspec.yml", SPEC)])?).await?;
    case.put(HOME, &source, "lib.zip", zips::zipped(&[("number", "7")])?).await?;
    let (site, reports) = (case.bucket(HOME, "site").await?, case.bucket(HOME, "reports").await?);
    let lib = Action::new("Lib", "Source", "S3").set("S3Bucket", &source).set("S3ObjectKey", "lib.zip");
    let variables = json!([
        {"name": "GREETING", "value": "#{variables.greeting}", "type": "PLAINTEXT"},
        {"name": "TOKEN", "value": parameter, "type": "PARAMETER_STORE"},
    ]);
    let build = Action::new("Compile", "Build", "CodeBuild")
        .set("ProjectName", &project)
        .set("PrimarySource", "App")
        .set("EnvironmentVariables", &variables.to_string())
        .with("inputArtifacts", json!([{"name": "App"}, {"name": "my-lib"}]))
        .with("outputArtifacts", json!([{"name": "web-site"}, {"name": "report"}]))
        .with("namespace", "Built");
    let pipeline = case
        .draft("builds")
        .variable("greeting", "Good morning")
        .stage("Source", [Action::s3_source(&source), lib.output("my-lib")])
        .stage("Build", [build])
        .stage(
            "Deploy",
            [
                Action::unpack("Site", &site).input("web-site"),
                Action::archive("Report", &reports, "#{Built.VERSION}.zip").input("report"),
            ],
        )
        .create()
        .await?;
    let id = pipeline.first().await?;
    pipeline.ends(&id, "Succeeded").await?;
    deployed(case, HOME, &site, &["index.html"]).await?;
    assert_eq!(case.get(HOME, &site, "index.html").await?.0, b"Good morning, version 1.7\n");
    deployed(case, HOME, &reports, &["1.7.zip"]).await?;
    let report = case.get(HOME, &reports, "1.7.zip").await?.0;
    assert_eq!(zips::unzipped(&report, "report.txt")?, "5 letters\n");
    let actions = pipeline.actions(&id).await?;
    let external = external_id(named(&actions, "Compile")?).context("no build is named")?;
    ensure!(external.starts_with(&format!("{project}:")), "{external}");
    Ok(())
}

fn external_id(action: &aws_sdk_codepipeline::types::ActionExecutionDetail) -> Option<String> {
    action.output()?.execution_result()?.external_execution_id().map(str::to_owned)
}

/// A command fails, and somebody stops a build: either fails the action, which says what happened.
pub async fn builds_that_fail(case: &Arc<Case>) -> Result<()> {
    let project = project(case).await?;
    let started = async |purpose: &str, command: &str| -> Result<_> {
        let spec = format!("version: 0.2\nphases: {{build: {{commands: [echo one of seven is red, {command}]}}}}\n");
        let source = case.draft(purpose).source_of(zips::zipped(&[("buildspec.yml", &spec)])?).await?;
        let build = Action::new("Compile", "Test", "CodeBuild").set("ProjectName", &project).input("App");
        let pipeline = source.stage("Test", [build]).stage("Next", [Action::approval("Never")]).create().await?;
        let id = pipeline.first().await?;
        Ok((pipeline, id))
    };
    let failing = async {
        let (pipeline, id) = started("command", "sh -c 'exit 3'").await?;
        let command = "Error while executing command: sh -c 'exit 3'. Reason: exit status 3";
        fails_with(&pipeline, &id, "Compile", "JobFailed", &["phase BUILD", command, "one of seven is red"]).await
    };
    let stopped = async {
        let (pipeline, id) = started("stop", "sleep 600").await?;
        let build = until(
            PATIENCE,
            || "no build is started".to_owned(),
            || async { Ok(external_id(named(&pipeline.actions(&id).await?, "Compile")?)) },
        )
        .await?;
        case.codebuild.stop_build().id(&build).send().await?;
        fails_with(&pipeline, &id, "Compile", "JobFailed", &[&build, "STOPPED"]).await
    };
    try_join(failing, stopped).await.map(|_| ())
}
