//! The whole way: an object is put, and nothing else is done but approving.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use aws_sdk_codepipeline::types::{ActionExecutionDetail, TriggerType};
use local::{AWAY, HOME};

use crate::case::Case;
use crate::check::{deployed, encrypted, named};
use crate::declare::{Action, SOURCE_KEY};
use crate::zips;

pub async fn release_by_object(case: &Arc<Case>) -> Result<()> {
    let source = case.bucket(HOME, "source").await?;
    case.notify(&source).await?;
    let site = case.bucket(AWAY, "site").await?;
    let archive = case.bucket(HOME, "archive").await?;
    let mailbox = case.mailbox("approvals").await?;
    let pipeline = case
        .draft("release")
        .source_in(&source)
        .stage(
            "Test",
            [
                Action::check("Unit", "index.html").with("runOrder", 1),
                Action::machine("Integration", case.machine(HOME, "slow")?, "{}").with("runOrder", 1),
                Action::machine("Smoke", case.machine(HOME, "echo")?, "{}").with("runOrder", 2),
            ],
        )
        .stage("Approve", [Action::approval("Ask").set("NotificationArn", &mailbox.topic).set("CustomData", "Go?")])
        .stage("Load", [Action::machine("Load", case.machine(AWAY, "slow")?, r#"{"clients": 3}"#).away()])
        .stage(
            "Deploy",
            [
                Action::unpack("Site", &site).away().set("CacheControl", "max-age=60"),
                Action::archive("Archive", &archive, "site-#{codepipeline.PipelineExecutionId}.zip"),
            ],
        )
        .create()
        .await?;
    // Nothing is in the bucket yet.
    let first = pipeline.first().await?;
    pipeline.ends(&first, "Failed").await?;

    let put = zips::site()?;
    let version = case.put(HOME, &source, SOURCE_KEY, put.clone()).await?;
    let started = pipeline.another(&[&first]).await?;
    let id = started.pipeline_execution_id().context("no id")?.to_owned();
    let trigger = started.trigger().context("no trigger")?;
    assert_eq!(trigger.trigger_type(), Some(&TriggerType::CloudWatchEvent));
    assert!(trigger.trigger_detail().is_some_and(|detail| detail.contains(&source)), "{trigger:?}");

    let mail = mailbox.next().await?;
    assert_eq!(mail.approval["pipelineName"], pipeline.name.as_str());
    assert_eq!(mail.approval["customData"], "Go?");
    let answer = super::approval::send(&mail.link, "approve", "Ada", "Well done").await?;
    ensure!(answer.status == 200, "{}: {}", answer.status, answer.text());

    let ended = pipeline.ends(&id, "Succeeded").await?;
    let revision = ended.artifact_revisions().first().context("no revision")?;
    assert_eq!(revision.name(), Some("App"));
    assert_eq!(revision.revision_id(), Some(version.as_str()));

    in_order(&pipeline.actions(&id).await?, &version)?;
    let state = pipeline.state().await?;
    for stage in state.stage_states() {
        let latest = stage.latest_execution().context("a stage without an execution")?;
        assert_eq!((latest.status().as_str(), latest.pipeline_execution_id()), ("Succeeded", id.as_str()));
        assert!(stage.inbound_executions().is_empty());
    }
    let asked = pipeline.action("Ask").await?.context("no approval")?;
    assert_eq!(asked.summary(), Some("Well done"));
    assert!(asked.last_updated_by().is_some_and(|by| by.contains("Ada")) && asked.token().is_none(), "{asked:?}");

    deployed(case, AWAY, &site, &["assets/app.js", "assets/site.css", "index.html"]).await?;
    for ((name, content), content_type) in zips::SITE.iter().zip(["text/html", "text/javascript", "text/css"]) {
        let got = case.get(AWAY, &site, name).await?;
        assert_eq!((got.0.as_slice(), got.1.as_str()), (content.as_bytes(), content_type), "{name}");
    }
    let head = case.s3(AWAY).head_object().bucket(&site).key("index.html").send().await?;
    assert_eq!(head.cache_control(), Some("max-age=60"));
    let (archived, content_type) = case.get(HOME, &archive, &format!("site-{id}.zip")).await?;
    assert!(archived == put && content_type == "application/zip");

    let home = encrypted(case, &pipeline, HOME).await?;
    let away = encrypted(case, &pipeline, AWAY).await?;
    assert_eq!(home, away, "the copy has the key of what it was made from");
    assert_eq!(home.len(), 1);
    assert!(home[0].starts_with("release-release-by-o/App/"), "{home:?}");
    Ok(())
}

/// Stage after stage, run order after run order, and what has the same run order together.
fn in_order(actions: &[ActionExecutionDetail], version: &str) -> Result<()> {
    let time = |name: &str| -> Result<(f64, f64)> {
        let action = named(actions, name)?;
        assert_eq!(action.status().map(|status| status.as_str()), Some("Succeeded"), "{name}");
        let start = action.start_time().context("no start")?.as_secs_f64();
        Ok((start, action.last_update_time().context("no end")?.as_secs_f64()))
    };
    let groups: &[&[&str]] =
        &[&["Fetch"], &["Unit", "Integration"], &["Smoke"], &["Ask"], &["Load"], &["Site", "Archive"]];
    assert_eq!(actions.len(), groups.iter().map(|group| group.len()).sum::<usize>());
    let mut before = 0.0;
    for group in groups {
        let times: Vec<(f64, f64)> = group.iter().map(|name| time(name)).collect::<Result<_>>()?;
        for (name, (start, end)) in group.iter().zip(&times) {
            assert!(
                *start >= before && end >= start,
                "{name} ran from {start} to {end}, and those before it to {before}"
            );
        }
        let last_start = times.iter().map(|time| time.0).fold(f64::MIN, f64::max);
        let first_end = times.iter().map(|time| time.1).fold(f64::MAX, f64::min);
        assert!(last_start <= first_end, "{group:?} did not run together");
        before = times.iter().map(|time| time.1).fold(f64::MIN, f64::max);
    }

    let fetch = named(actions, "Fetch")?.output().context("no output")?;
    let result = fetch.execution_result().context("no result")?;
    assert_eq!(result.external_execution_id(), Some(version));
    assert_eq!(fetch.output_artifacts()[0].name(), Some("App"));
    assert_eq!(fetch.output_variables().and_then(|found| found.get("VersionId")).map(String::as_str), Some(version));
    let site = named(actions, "Site")?.input().context("no input")?;
    assert_eq!(site.region(), Some(AWAY));
    let input = site.input_artifacts()[0].s3_location().context("no place")?;
    let output = fetch.output_artifacts()[0].s3_location().context("no place")?;
    assert_eq!(input.key(), output.key());
    let machine = named(actions, "Load")?.output().and_then(|output| output.execution_result()).context("no result")?;
    assert!(machine.external_execution_id().is_some_and(|arn| arn.contains(":us-west-2:")), "{machine:?}");
    Ok(())
}
