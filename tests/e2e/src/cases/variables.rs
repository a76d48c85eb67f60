//! What an action tells, and a later one uses.

use std::sync::Arc;

use anyhow::{Context, Result};
use local::HOME;
use serde_json::{Value, json};

use crate::case::Case;
use crate::check::{deployed, encrypted, named};
use crate::declare::Action;
use crate::zips;

pub async fn variables_flow(case: &Arc<Case>) -> Result<()> {
    let target = case.bucket(HOME, "target").await?;
    let machine = case.machine(HOME, "echo")?;
    let input = r##"{"bytes": "#{Unit.bytes}", "version": "#{Source.VersionId}", "flavour": "#{variables.flavour}"}"##;
    let pipeline = case
        .draft("flow")
        .source()
        .await?
        .variable("flavour", "vanilla")
        .stage(
            "Test",
            [
                Action::check("Unit", "index.html").with("namespace", "Unit"),
                Action::machine("Report", machine, input)
                    .output("Report")
                    .with("namespace", "Reported")
                    .with("runOrder", 2),
                Action::machine("FromFile", machine, "output.json")
                    .set("InputType", "FilePath")
                    .input("Report")
                    .output("Again")
                    .with("runOrder", 3),
            ],
        )
        .stage(
            "Deploy",
            [Action::archive(
                "Archive",
                &target,
                "#{variables.flavour}/#{Unit.bytes}/#{codepipeline.PipelineExecutionId}.zip",
            )
            .input("Again")],
        )
        .create()
        .await?;
    let id = pipeline.first().await?;
    pipeline.ends(&id, "Succeeded").await?;

    let actions = pipeline.actions(&id).await?;
    let variables = |name: &str| -> Result<_> {
        let output = named(&actions, name)?.output().context("no output")?;
        output.output_variables().cloned().context("no variables")
    };
    let source = variables("Fetch")?;
    let bytes = zips::SITE[0].1.len().to_string();
    assert_eq!(variables("Unit")?.get("bytes"), Some(&bytes));
    assert_eq!(variables("Report")?.get("StateMachineArn").map(String::as_str), Some(machine));
    let execution = variables("Report")?.get("ExecutionArn").cloned().context("no ExecutionArn")?;

    let given = json!({"bytes": bytes, "version": source["VersionId"], "flavour": "vanilla"});
    let report = named(&actions, "Report")?.input().context("no input")?;
    let configured = report.configuration().and_then(|it| it.get("Input")).map(String::as_str);
    assert_eq!(configured, Some(input), "as it was declared");
    let resolved = report.resolved_configuration().and_then(|it| it.get("Input")).context("not resolved")?;
    assert_eq!(serde_json::from_str::<Value>(resolved)?, given);
    let described = case.sfn.describe_execution().execution_arn(execution).send().await?;
    assert_eq!(serde_json::from_str::<Value>(described.input().context("no input")?)?, given);

    // Through an output artifact, a file of it as input, and another output artifact.
    let key = format!("vanilla/{bytes}/{id}.zip");
    deployed(case, HOME, &target, &[&key]).await?;
    let (object, _) = case.get(HOME, &target, &key).await?;
    assert_eq!(serde_json::from_str::<Value>(&zips::unzipped(&object, "output.json")?)?, given);
    assert_eq!(encrypted(case, &pipeline, HOME).await?.len(), 3);
    Ok(())
}
