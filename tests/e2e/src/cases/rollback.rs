//! A stage goes back to what an earlier execution deployed.

use std::sync::Arc;

use anyhow::{Context, Result};
use aws_sdk_codepipeline::types::{ExecutionType, PipelineExecutionSummary};
use local::HOME;
use serde_json::json;

use crate::case::Case;
use crate::declare::{Action, SOURCE_KEY};
use crate::pipeline::Pipeline;
use crate::zips;

/// A release of a site with this page, and perhaps a file that says that it is good.
fn site(page: &str, good: bool) -> Result<Vec<u8>> {
    let files = [("index.html", page), ("good.txt", "yes")];
    zips::zipped(if good { &files } else { &files[..1] })
}

async fn page(case: &Case, bucket: &str) -> Result<String> {
    Ok(String::from_utf8(case.get(HOME, bucket, "index.html").await?.0)?)
}

/// The rollback is an execution of its own, with the revisions of its target.
async fn is_rollback(pipeline: &Pipeline, rollback: &PipelineExecutionSummary, target: &str) -> Result<()> {
    assert_eq!(rollback.execution_type(), Some(&ExecutionType::Rollback));
    let back = rollback.rollback_metadata().and_then(|it| it.rollback_target_pipeline_execution_id());
    assert_eq!(back, Some(target));
    let listed = pipeline.executions().await?;
    let of = |id: Option<&str>| {
        let found = listed.iter().find(|it| it.pipeline_execution_id() == id);
        found.and_then(|it| it.source_revisions().first()).and_then(|it| it.revision_id()).map(str::to_owned)
    };
    let revision = of(rollback.pipeline_execution_id()).context("a rollback without a revision")?;
    assert_eq!(Some(revision), of(Some(target)));
    Ok(())
}

pub async fn rolled_back_by_hand(case: &Arc<Case>) -> Result<()> {
    let target = case.bucket(HOME, "target").await?;
    let draft = case.draft("hand").source_of(site("one", true)?).await?;
    let pipeline = draft.stage("Deploy", [Action::unpack("Unpack", &target)]).create().await?;
    let first = pipeline.first().await?;
    pipeline.ends(&first, "Succeeded").await?;
    case.put(HOME, &pipeline.bucket, SOURCE_KEY, site("two", true)?).await?;
    let second = pipeline.start().await?;
    pipeline.ends(&second, "Succeeded").await?;
    assert_eq!(page(case, &target).await?, "two");

    let back = case.pipelines.rollback_stage().pipeline_name(&pipeline.name).stage_name("Deploy");
    let back = back.target_pipeline_execution_id(&first).send().await?;
    pipeline.ends(back.pipeline_execution_id(), "Succeeded").await?;
    assert_eq!(page(case, &target).await?, "one");
    let rollback = pipeline.executions().await?.into_iter().next().context("no execution")?;
    assert_eq!(rollback.pipeline_execution_id(), Some(back.pipeline_execution_id()));
    is_rollback(&pipeline, &rollback, &first).await?;
    let ran = pipeline.actions(back.pipeline_execution_id()).await?;
    let ran: Vec<_> = ran.iter().filter_map(|action| action.action_name()).collect();
    assert_eq!(ran, ["Unpack"], "the source did not run");
    Ok(())
}

/// What was deployed does not pass its check: the stage deploys what was there before.
pub async fn rolled_back_by_itself(case: &Arc<Case>) -> Result<()> {
    let target = case.bucket(HOME, "target").await?;
    let draft = case.draft("itself").source_of(site("one", true)?).await?;
    let actions = [Action::unpack("Unpack", &target), Action::check("Check", "good.txt").with("runOrder", 2)];
    let draft = draft.stage("Deploy", actions).with("onFailure", json!({"result": "ROLLBACK"}));
    let pipeline = draft.create().await?;
    let first = pipeline.first().await?;
    pipeline.ends(&first, "Succeeded").await?;
    case.put(HOME, &pipeline.bucket, SOURCE_KEY, site("two", false)?).await?;
    let second = pipeline.start().await?;
    pipeline.ends(&second, "Failed").await?;
    pipeline.until_action(&second, "Unpack", "Succeeded").await?;

    let rollback = pipeline.another(&[&first, &second]).await?;
    let id = rollback.pipeline_execution_id().context("no id")?;
    pipeline.ends(id, "Succeeded").await?;
    assert_eq!(page(case, &target).await?, "one");
    let rollback = pipeline.executions().await?.into_iter().next().context("no execution")?;
    is_rollback(&pipeline, &rollback, &first).await?;
    let trigger = rollback.trigger().and_then(|trigger| trigger.trigger_type()).map(|it| it.as_str());
    assert_eq!(trigger, Some("AutomatedRollback"));
    Ok(())
}
