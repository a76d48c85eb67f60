//! Commands, in builds of the installation's own project, and the rules that run builds: on the build host beside the emulator.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use futures::future::try_join;
use local::{COMPUTE_PROJECT, HOME};
use serde_json::{Value, json};

use super::builds::project;
use super::conditions::{condition, ends, rules};
use crate::case::Case;
use crate::check::{deployed, fails_with, named};
use crate::declare::{Action, SOURCE_KEY};
use crate::zips;

/// A Commands action `Make` of the first of these artifacts.
fn make(commands: &[&str], inputs: &[&str]) -> Action {
    let inputs: Vec<Value> = inputs.iter().map(|name| json!({"name": name})).collect();
    Action::new("Make", "Compute", "Commands").with("commands", commands).with("inputArtifacts", inputs)
}

/// One condition that holds when a command succeeds.
fn succeeds(rule: &str, command: &str) -> Value {
    let mut condition = condition("FAIL", rule, "Commands", &json!({}), &["App"]);
    condition["conditions"][0]["rules"][0]["commands"] = json!([command]);
    condition
}

/// One condition that holds when a build of the project succeeds.
fn builds(rule: &str, project: &str) -> Value {
    condition("FAIL", rule, "CodeBuild", &json!({"ProjectName": project}), &["App"])
}

/// Two inputs, files into the output artifact, variables into the commands and out of them, in both regions; a rule of
/// commands before the stage and one with a build behind it.
pub async fn commands_run(case: &Arc<Case>) -> Result<()> {
    let project = project(case).await?;
    let source = case.bucket(HOME, "source").await?;
    let spec = "version: 0.2\nphases: {build: {commands: [grep good motto]}}\n";
    let files = [("buildspec.yml", spec), ("motto", "as good as ever")];
    case.put(HOME, &source, SOURCE_KEY, zips::zipped(&files)?).await?;
    case.put(HOME, &source, "lib.zip", zips::zipped(&[("number", "7")])?).await?;
    let site = case.bucket(HOME, "site").await?;
    let lib = Action::new("Lib", "Source", "S3").set("S3Bucket", &source).set("S3ObjectKey", "lib.zip");
    let commands = [
        r#"VERSION=1.$(cat "$CODEBUILD_SRC_DIR_my_lib/number")"#,
        "mkdir -p out/deep && echo \"$GREETING, version $VERSION of #{variables.product}\" > out/deep/index.html",
        "touch out/page.txt not-in-the-artifact",
    ];
    let environment = json!([{"name": "GREETING", "value": "#{variables.greeting}; exit 1", "type": "PLAINTEXT"}]);
    let make = make(&commands, &["App", "my-lib"])
        .with("environmentVariables", environment)
        .with("outputArtifacts", json!([{"name": "Site", "files": ["out/**/*"]}]))
        .with("outputVariables", json!(["VERSION", "CODEBUILD_BUILD_ID"]))
        .with("namespace", "Made");
    // It reads the artifact in the other region, where the installation has its project too.
    let check = Action::new("Check", "Compute", "Commands").away().input("Site");
    let check = check.with("commands", json!(["test -f out/deep/index.html", "test #{Made.VERSION} = 1.7"]));
    let pipeline = case
        .draft("commands")
        .variable("greeting", "Good morning")
        .variable("product", "the mill")
        .stage("Source", [Action::s3_source(&source), lib.output("my-lib")])
        .stage("Build", [make])
        .with("beforeEntry", succeeds("Motto", "test -s motto"))
        .with("onSuccess", builds("Good", &project))
        .stage("Deploy", [check, Action::archive("Site", &site, "#{Made.VERSION}.zip").input("Site")])
        .create()
        .await?;
    let id = pipeline.first().await?;
    pipeline.ends(&id, "Succeeded").await?;
    deployed(case, HOME, &site, &["1.7.zip"]).await?;
    let made = case.get(HOME, &site, "1.7.zip").await?.0;
    assert_eq!(
        zips::unzipped(&made, "out/deep/index.html")?,
        "Good morning; exit 1, version 1.7 of the mill\n",
        "a value is no command"
    );
    assert_eq!(zips::unzipped(&made, "out/page.txt")?, "");
    ensure!(zips::unzipped(&made, "not-in-the-artifact").is_err());
    assert_eq!(ends(&rules(case, &pipeline, &id).await?), [("Good", "Succeeded"), ("Motto", "Succeeded")]);
    let actions = pipeline.actions(&id).await?;
    let output = named(&actions, "Make")?.output().context("no output")?;
    let result = output.execution_result().context("no result")?;
    let build = result.external_execution_id().unwrap_or_default();
    ensure!(build.starts_with(&format!("{COMPUTE_PROJECT}:")), "{build}");
    let variables = output.output_variables().context("no variables")?;
    assert_eq!(variables.get("CODEBUILD_BUILD_ID").map(String::as_str), Some(build));
    Ok(())
}

/// A command fails, in an action and in a rule before a stage; a build fails behind one.
pub async fn commands_that_fail(case: &Arc<Case>) -> Result<()> {
    let spec = "version: 0.2\nphases: {build: {commands: [echo no good, 'false']}}\n";
    let source = async |purpose: &str| case.draft(purpose).source_of(zips::zipped(&[("buildspec.yml", spec)])?).await;
    let action = async {
        let failing = make(&["echo one of seven is red", "sh -c 'exit 3'", "echo never"], &["App"]);
        let failing = failing.with("outputArtifacts", json!([{"name": "Site", "files": ["**/*"]}]));
        let draft = source("action").await?.stage("Build", [failing]).stage("Next", [Action::approval("Never")]);
        let pipeline = draft.create().await?;
        let id = pipeline.first().await?;
        let command = "Error while executing command: sh -c 'exit 3'. Reason: exit status 3";
        fails_with(&pipeline, &id, "Make", "JobFailed", &["phase BUILD", command, "one of seven is red"]).await?;
        let (store, _) = case.store(HOME)?;
        let prefix: String = pipeline.name.chars().take(20).collect();
        let kept = case.keys(HOME, store, &format!("{prefix}/Site/")).await?;
        ensure!(kept.is_empty(), "a failed build made an artifact: {kept:?}");
        Ok(())
    };
    let conditions = async {
        let project = project(case).await?;
        for (member, name, condition, words) in [
            ("beforeEntry", "Motto", succeeds("Motto", "echo nobody wrote it; test -s motto"), "nobody wrote it"),
            ("onSuccess", "Good", builds("Good", &project), "no good"),
        ] {
            let draft =
                source(&name.to_lowercase()).await?.stage("Build", [make(&["true"], &["App"])]).with(member, condition);
            let pipeline = draft.stage("Next", [Action::approval("Never")]).create().await?;
            let id = pipeline.first().await?;
            pipeline.ends(&id, "Failed").await?;
            let ran = rules(case, &pipeline, &id).await?;
            assert_eq!(ends(&ran), [(name, "Failed")]);
            let result = ran[0].output().and_then(|it| it.execution_result()).context("no result")?;
            let why = result.error_details().and_then(|it| it.message()).unwrap_or_default();
            ensure!(why.contains("Error while executing command") && why.contains(words), "{why}");
        }
        Ok(())
    };
    try_join(action, conditions).await.map(|_: ((), ())| ())
}
