//! Functions whose code pipelines deploy.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aws_sdk_lambda::operation::get_alias::GetAliasOutput;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::{Environment, FunctionCode, LastUpdateStatus, Runtime, State};

use crate::case::Case;
use crate::check::{fails_with, named};
use crate::declare::{ARTIFACT, Action};
use crate::wait::{PATIENCE, until};
use crate::zips;

pub(super) const ALIAS: &str = "live";

/// The file `app.py` of a function that says this, and puts it as the variable of its job's result.
pub(super) fn code(word: &str) -> String {
    format!(
        r#"
import boto3, os
def handler(event, context):
    job = event.get("CodePipeline.job")
    if job:
        client = boto3.client("codepipeline", endpoint_url=os.environ["AWS_ENDPOINT_URL_CODEPIPELINE"])
        client.put_job_success_result(jobId=job["id"], outputVariables={{"Said": "{word}"}})
    return "{word}"
"#
    )
}

fn saying(word: &str) -> Result<Vec<u8>> {
    zips::zipped(&[("app.py", &code(word))])
}

/// A function that says `one`; its alias points at its first version.
pub(super) async fn function(case: &Case) -> Result<String> {
    let name = case.named("shop");
    let environment = Environment::builder()
        .variables("AWS_ENDPOINT_URL", &case.stack.endpoint)
        .variables("AWS_ENDPOINT_URL_CODEPIPELINE", &case.stack.api_url);
    let create = case.lambda.create_function().function_name(&name).runtime(Runtime::Python311).handler("app.handler");
    let create = create.role(case.role()?).timeout(30).environment(environment.build());
    let code = FunctionCode::builder().zip_file(Blob::new(saying("one")?)).build();
    create.code(code).send().await.context("cannot make the function")?;
    until(
        PATIENCE,
        || format!("the function {name} does not become active"),
        || async {
            let found = case.lambda.get_function_configuration().function_name(&name).send().await?;
            let settled = found.last_update_status.is_none_or(|status| status == LastUpdateStatus::Successful);
            Ok((settled && found.state.is_none_or(|state| state == State::Active)).then_some(()))
        },
    )
    .await?;
    let version = case.lambda.publish_version().function_name(&name).send().await?.version.context("no version")?;
    case.lambda.create_alias().function_name(&name).name(ALIAS).function_version(version).send().await?;
    Ok(name)
}

async fn alias(case: &Case, function: &str) -> Result<GetAliasOutput> {
    Ok(case.lambda.get_alias().function_name(function).name(ALIAS).send().await?)
}

/// What the alias's function says.
async fn said(case: &Case, function: &str) -> Result<String> {
    let invoked = case.lambda.invoke().function_name(function).qualifier(ALIAS).payload(Blob::new("{}")).send().await?;
    let payload = invoked.payload.context("no payload")?;
    Ok(serde_json::from_slice(payload.as_ref())?)
}

/// New code is published and has all traffic of the alias at once; then other code has half of it first.
pub async fn functions_deployed(case: &Arc<Case>) -> Result<()> {
    let name = function(case).await?;
    let deploy = |strategy: &str| {
        let action = Action::new("Deploy", "Deploy", "Lambda").set("FunctionName", &name).set("FunctionAlias", ALIAS);
        action.set("DeployStrategy", strategy).input(ARTIFACT).with("namespace", "Deployed")
    };
    assert_eq!(said(case, &name).await?, "one");
    let draft = case.draft("at-once").source_of(saying("two")?).await?.stage("Deploy", [deploy("AllAtOnce")]);
    let call = Action::function("Call", &format!("{name}:{ALIAS}"), "#{Deployed.FunctionVersion}");
    let pipeline = draft.stage("Call", [call]).create().await?;
    let first = pipeline.first().await?;
    pipeline.ends(&first, "Succeeded").await?;
    assert_eq!(said(case, &name).await?, "two");
    let actions = pipeline.actions(&first).await?;
    let output = |action: &str| named(&actions, action)?.output().context("no output");
    let variable = |action: &str, name: &str| -> Result<_> {
        Ok(output(action)?.output_variables().and_then(|variables| variables.get(name)).cloned())
    };
    assert_eq!(variable("Call", "Said")?.as_deref(), Some("two"), "the next stage calls the new code");
    let second = alias(case, &name).await?.function_version.context("no version")?;
    assert_eq!(variable("Deploy", "FunctionVersion")?, Some(second.clone()));
    let result = output("Deploy")?.execution_result().context("no result")?;
    assert_eq!(result.external_execution_id(), Some(format!("{name}:{second}").as_str()));

    let draft = case.draft("canary").source_of(saying("three")?).await?;
    let pipeline = draft.stage("Deploy", [deploy("Canary50Percent1Minute")]).create().await?;
    let weights = until(
        PATIENCE,
        || "the new version has no traffic".to_owned(),
        || async {
            Ok(alias(case, &name).await?.routing_config.and_then(|routing| routing.additional_version_weights))
        },
    );
    let weights: HashMap<String, f64> = weights.await?;
    let [(third, weight)] = weights.iter().collect::<Vec<_>>()[..] else { anyhow::bail!("{weights:?}") };
    ensure!(*weight == 0.5 && *third != second, "{weights:?}");
    let first = pipeline.first().await?;
    until(
        Duration::from_secs(120),
        || "the canary does not end".to_owned(),
        || async {
            let status = pipeline.execution(&first).await?.status;
            Ok(status.filter(|status| status.as_str() != "InProgress"))
        },
    )
    .await?;
    pipeline.ends(&first, "Succeeded").await?;
    let after = alias(case, &name).await?;
    ensure!(after.function_version() == Some(third), "{after:?}");
    ensure!(after.routing_config.is_none_or(|it| it.additional_version_weights.is_none_or(|it| it.is_empty())));
    assert_eq!(said(case, &name).await?, "three");

    let draft = case.draft("no-alias").source_of(saying("four")?).await?;
    let draft = draft.stage("Deploy", [deploy("AllAtOnce").set("FunctionAlias", "none")]);
    let pipeline = draft.stage("Next", [Action::approval("Never")]).create().await?;
    let first = pipeline.first().await?;
    let words = [format!("GetAlias of {name}:none failed: ResourceNotFoundException")];
    fails_with(&pipeline, &first, "Deploy", "ConfigurationError", &[&words[0]]).await
}
