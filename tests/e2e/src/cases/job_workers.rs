//! A custom action, with the sample job worker as somebody would run it.

use std::sync::Arc;

use anyhow::{Context, Result};
use aws_sdk_codepipeline::types::{ActionCategory, ActionConfigurationProperty, ArtifactDetails};
use local::HOME;
use serde_json::json;

use crate::case::Case;
use crate::declare::{Action, Draft};
use crate::python;
use crate::zips::{self, SITE};

const WORKER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../localstack/samples/jenkins/job_worker.py");
const PASSWORD: &str = "a-secret-of-the-worker";

fn property(name: &str, queryable: bool, secret: bool) -> Result<ActionConfigurationProperty> {
    let property = ActionConfigurationProperty::builder().name(name).required(!secret).key(queryable);
    Ok(property.secret(secret).queryable(queryable).build()?)
}

/// The worker polls, builds with its job's credentials, reports progress and the end; what it made is deployed.
pub async fn jobs_of_a_custom_action(case: &Arc<Case>) -> Result<()> {
    jobs(case, "Checksums", |draft| draft).await
}

/// The same in a store that names no key: the worker leaves encryption to the bucket.
pub async fn jobs_of_a_custom_action_whose_store_has_no_key(case: &Arc<Case>) -> Result<()> {
    jobs(case, "PlainChecksums", Draft::without_store_keys).await
}

async fn jobs(case: &Arc<Case>, provider: &str, store: impl FnOnce(Draft) -> Draft) -> Result<()> {
    let python = python::clients().await?.join("python");
    let one = || ArtifactDetails::builder().minimum_count(1).maximum_count(1).build();
    let create = || -> Result<_> {
        let create = case.pipelines.create_custom_action_type().category(ActionCategory::Build).provider(provider);
        let create = create.version("1").input_artifact_details(one()).output_artifact_details(one());
        let create = create.configuration_properties(property("ProjectName", true, false)?);
        Ok(create.configuration_properties(property("Password", false, true)?))
    };
    create()?.send().await?;
    let target = case.bucket(HOME, "target").await?;
    let act = Action::new("Build", "Build", provider).set("ProjectName", "shop").set("Password", PASSWORD);
    let id = json!({"category": "Build", "owner": "Custom", "provider": provider, "version": "1"});
    let act = act.with("actionTypeId", id).with("namespace", "Build").input("App").output("Sums");
    let deploy = Action::archive("Archive", &target, "#{Build.Build}.zip").input("Sums");
    let draft = store(case.draft("worker")).source().await?.stage("Build", [act]).stage("Deploy", [deploy]);
    let pipeline = draft.create().await?;
    let execution = pipeline.first().await?;
    let kept = case.table_partition(&format!("P#{}", pipeline.name)).await?;
    assert!(kept.contains("Password") && !kept.contains(PASSWORD), "{kept}");

    let arguments = [WORKER, "--provider", provider, "--query", "ProjectName=shop", "--actions", "1"];
    let arguments: Vec<&str> = arguments.into_iter().chain(["--seconds", "60", "--pause", "0.2"]).collect();
    let printed = python::client(case, &case.stack.api_url, &python, &arguments).await?;
    assert!(printed.contains("built") && printed.contains("done") && !printed.contains(PASSWORD), "{printed}");
    pipeline.ends(&execution, "Succeeded").await?;

    let keys = case.keys(HOME, &target, "").await?;
    let (zip, _) = case.get(HOME, &target, keys.first().context("nothing was deployed")?).await?;
    let sums = zips::unzipped(&zip, "SHA256SUMS")?;
    assert_eq!(sums.lines().count(), SITE.len(), "{sums}");
    assert_eq!(zips::unzipped(&zip, "PROJECT")?, "shop\n");
    let ran = pipeline.actions(&execution).await?;
    let built = ran.iter().find(|it| it.action_name() == Some("Build")).context("the action did not run")?;
    let shown = format!("{built:?}");
    assert!(shown.contains("****") && !shown.contains(PASSWORD), "{shown}");
    let result = built.output().and_then(|output| output.execution_result()).context("no result")?;
    assert_eq!(keys[0], format!("{}.zip", result.external_execution_id().unwrap_or_default()));

    let delete = case.pipelines.delete_custom_action_type().category(ActionCategory::Build).provider(provider);
    delete.version("1").send().await?;
    Ok(())
}
