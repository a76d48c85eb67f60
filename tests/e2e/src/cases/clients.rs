//! Clients that people have on their machines: boto3 and the aws CLI, unchanged.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use local::HOME;
use serde_json::Value;

use crate::case::Case;
use crate::check::deployed;
use crate::declare::Action;
use crate::python;

const SCRIPT: &str = include_str!("../../clients/happy.py");

pub async fn boto3_and_cli(case: &Arc<Case>) -> Result<()> {
    boto3_and_cli_at(case, &case.stack.api_url).await
}

/// The same with another endpoint for CodePipeline.
pub(super) async fn boto3_and_cli_at(case: &Arc<Case>, endpoint: &str) -> Result<()> {
    let folder = python::clients().await?;
    let name = format!("{}-{}-{}", case.named("files"), case.stack.emulator.name(), std::process::id());
    let files = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&files)?;
    let result = both(case, endpoint, &folder, &files).await;
    std::fs::remove_dir_all(&files)?;
    result
}

async fn both(case: &Arc<Case>, endpoint: &str, folder: &Path, files: &Path) -> Result<()> {
    let target = case.bucket(HOME, "boto3-target").await?;
    let draft = case.draft("boto3").source().await?.stage("Gate", [Action::approval("Ask")]);
    let draft = draft.stage("Deploy", [Action::unpack("Unpack", &target)]);
    let script = files.join("happy.py");
    let declaration = files.join("boto3.json");
    std::fs::File::create(&script)?.write_all(SCRIPT.as_bytes())?;
    std::fs::write(&declaration, draft.json()?.to_string())?;
    let arguments = [script.to_string_lossy(), declaration.to_string_lossy()];
    let printed =
        python::client(case, endpoint, &folder.join("python"), &arguments.each_ref().map(AsRef::as_ref)).await?;
    assert!(printed.ends_with("Succeeded\n"), "{printed}");
    deployed(case, HOME, &target, &["assets/app.js", "assets/site.css", "index.html"]).await?;

    let target = case.bucket(HOME, "cli-target").await?;
    let draft = case.draft("cli").source().await?.stage("Deploy", [Action::unpack("Unpack", &target)]);
    let name = draft.handle().name;
    let declaration = files.join("cli.json");
    std::fs::write(&declaration, serde_json::json!({"pipeline": draft.json()?}).to_string())?;
    let input = format!("file://{}", declaration.display());
    let aws = |arguments: &[&str]| {
        let arguments: Vec<String> =
            ["codepipeline", "--output", "json"].iter().chain(arguments).map(|it| (*it).to_owned()).collect();
        let program = folder.join("aws");
        async move {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            let printed = python::client(case, endpoint, &program, &arguments).await?;
            Ok::<Value, anyhow::Error>(if printed.is_empty() { Value::Null } else { serde_json::from_str(&printed)? })
        }
    };
    let created = aws(&["create-pipeline", "--cli-input-json", &input]).await?;
    assert_eq!(created["pipeline"]["name"], name.as_str());
    assert_eq!(created["pipeline"]["version"], 1);
    let started = aws(&["start-pipeline-execution", "--name", &name]).await?;
    let id = started["pipelineExecutionId"].as_str().context("no id")?;
    draft.handle().ends(id, "Succeeded").await?;
    let state = aws(&["get-pipeline-state", "--name", &name]).await?;
    assert_eq!(state["stageStates"][1]["latestExecution"]["status"], "Succeeded");
    let listed = aws(&["list-pipelines"]).await?;
    let names: Vec<&str> =
        listed["pipelines"].as_array().into_iter().flatten().filter_map(|it| it["name"].as_str()).collect();
    assert!(names.contains(&name.as_str()), "{names:?}");
    let refused =
        aws(&["get-pipeline", "--name", "no-such-pipeline"]).await.err().context("there is no such pipeline")?;
    assert!(format!("{refused:#}").contains("PipelineNotFoundException"), "{refused:#}");
    aws(&["delete-pipeline", "--name", &name]).await?;
    deployed(case, HOME, &target, &["assets/app.js", "assets/site.css", "index.html"]).await
}
