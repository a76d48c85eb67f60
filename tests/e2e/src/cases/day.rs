//! A day of somebody who has boto3, the aws CLI, and tools like Terraform and CDK, in one script.

use std::sync::Arc;

use anyhow::Result;
use local::HOME;
use serde_json::json;

use crate::case::Case;
use crate::declare::Action;
use crate::python;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/clients/day.py");

pub async fn scripted_day(case: &Arc<Case>) -> Result<()> {
    let python = python::clients().await?.join("python");
    let target = case.bucket(HOME, "target").await?;
    let draft = case.draft("day").source().await?.stage("Gate", [Action::approval("Ask")]);
    let draft = draft.stage("Deploy", [Action::unpack("Unpack", &target)]);
    let declared = case.draft("declared").source().await?.stage("Gate", [Action::approval("Ask")]);
    let plan = json!({"day": draft.json()?, "declared": declared.json()?}).to_string();
    let printed = python::client(case, &case.stack.api_url, &python, &[SCRIPT, &plan]).await?;
    assert!(printed.ends_with("done\n"), "{printed}");
    Ok(())
}
