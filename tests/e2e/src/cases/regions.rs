//! One pipeline over three regions, with roles of two accounts.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use aws_sdk_codepipeline::config::{Credentials, SharedCredentialsProvider};
use local::{AWAY, HOME};
use serde_json::json;

use crate::case::Case;
use crate::check::{deployed, encrypted_in, named};
use crate::declare::{ARTIFACT, Action};
use crate::fixture::FAR;
use crate::iam;

/// An account that has nothing to do with the installation's.
const OTHER_ACCOUNT: &str = "222222222222";

pub async fn three_regions_and_two_accounts(case: &Arc<Case>) -> Result<()> {
    let far = case.bucket(FAR, "store").await?;
    let kms = aws_sdk_kms::Client::new(&case.stack.sdk(FAR));
    let key = kms.create_key().send().await?.key_metadata.and_then(|key| key.arn).context("a key without an ARN")?;

    // Who is in the other account: its key id is its number, to both emulators.
    let there = case.stack.sdk(AWAY).into_builder();
    let credentials = Credentials::from_keys(OTHER_ACCOUNT, "test", None);
    let there = there.credentials_provider(SharedCredentialsProvider::new(credentials)).build();
    let made = aws_sdk_sfn::Client::new(&there)
        .create_state_machine()
        .name(case.named("theirs"))
        .definition(r#"{"StartAt": "Echo", "States": {"Echo": {"Type": "Pass", "End": true}}}"#)
        .role_arn(iam::role(&there, "machine", &json!({"Service": "states.amazonaws.com"}), &[]).await?);
    let theirs = made.send().await.context("cannot make a state machine in the other account")?.state_machine_arn;
    ensure!(theirs.contains(OTHER_ACCOUNT), "{theirs} is not the other account's");

    let sites: Vec<(&str, String)> = [
        (HOME, case.bucket(HOME, "home").await?),
        (AWAY, case.bucket(AWAY, "away").await?),
        (FAR, case.bucket(FAR, "far").await?),
    ]
    .into();
    let deploys =
        sites.iter().map(|(region, site)| Action::unpack(&format!("In-{region}"), site).with("region", *region));
    let visit = Action::machine("Theirs", &theirs, "{}").away().input(ARTIFACT);
    let pipelines = json!({"AWS": case.role()?});
    let deployer = iam::role(&there, "deployer", &pipelines, &["states:*", "s3:GetObject*", "kms:Decrypt"]).await?;
    let visit = visit.with("roleArn", deployer);
    let pipeline = case
        .draft("regions")
        .store(FAR, &far, &key)
        .source()
        .await?
        .stage("Deploy", deploys)
        .stage("Visit", [visit])
        .create()
        .await?;
    let id = pipeline.first().await?;
    pipeline.ends(&id, "Succeeded").await?;

    let actions = pipeline.actions(&id).await?;
    let visited =
        named(&actions, "Theirs")?.output().and_then(|output| output.execution_result()).context("no result")?;
    let execution = visited.external_execution_id().unwrap_or_default();
    ensure!(execution.contains(OTHER_ACCOUNT) && execution.contains(AWAY), "it ran as {execution}");
    let fetched = named(&actions, "Fetch")?.output().context("no output")?.output_artifacts()[0].s3_location();
    let artifact = fetched.and_then(|place| place.key()).context("no artifact")?.to_owned();
    for (region, site) in &sites {
        deployed(case, region, site, &["assets/app.js", "assets/site.css", "index.html"]).await?;
        let (store, key) = if *region == FAR { (far.as_str(), key.as_str()) } else { case.store(region)? };
        let objects = encrypted_in(case, &pipeline, region, store, key).await?;
        assert_eq!(objects, [artifact.as_str()], "{region}");
    }
    Ok(())
}
