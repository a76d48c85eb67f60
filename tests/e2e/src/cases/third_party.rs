//! A third party's actions, with the case itself as that party.

use std::sync::Arc;

use anyhow::{Context, Result};
use aws_sdk_codepipeline::error::ProvideErrorMetadata;
use aws_sdk_codepipeline::types::{
    ActionCategory, ActionOwner, ActionTypeArtifactDetails, ActionTypeDeclaration, ActionTypeExecutor, ActionTypeId,
    ActionTypeIdentifier, ActionTypeProperty, ActionTypeUrls, CurrentRevision, ExecutionDetails, ExecutorConfiguration,
    ExecutorType, FailureDetails, FailureType, JobStatus, JobWorkerExecutorConfiguration, ThirdPartyJobDetails,
};
use serde_json::json;

use super::jobs::s3_with;
use crate::case::Case;
use crate::check::{fails_with, named};
use crate::declare::{ARTIFACT, Action};
use crate::pipeline::Pipeline;
use crate::wait::{PATIENCE, until};
use crate::zips;

/// What the party knows our account by, and the secret that goes with it.
const CLIENT: &str = "0e1f2a3b-1111-4222-8333-444455556666";
const TOKEN: &str = "a-token-of-the-client";

/// Registers the party's type of actions, which scan an artifact as deep as `Depth` says.
async fn register(case: &Case, provider: &str) -> Result<()> {
    let worker = JobWorkerExecutorConfiguration::builder().polling_accounts(local::ACCOUNT).build();
    let worker = ExecutorConfiguration::builder().job_worker_executor_configuration(worker).build();
    let executor = ActionTypeExecutor::builder().r#type(ExecutorType::JobWorker).configuration(worker).build()?;
    let id = ActionTypeIdentifier::builder().category(ActionCategory::Test).owner("ThirdParty");
    let id = id.provider(provider).version("1").build()?;
    let count = |count| ActionTypeArtifactDetails::builder().minimum_count(count).maximum_count(count).build();
    let depth = ActionTypeProperty::builder().name("Depth").optional(false).key(true).no_echo(false).build()?;
    let page = "https://scans.example.com/{Config:Depth}/{ExternalExecutionId}";
    let declaration = ActionTypeDeclaration::builder().id(id).executor(executor).properties(depth);
    let declaration = declaration.input_artifact_details(count(1)).output_artifact_details(count(0));
    let declaration = declaration.urls(ActionTypeUrls::builder().execution_url_template(page).build());
    case.pipelines.update_action_type().action_type(declaration.build()).send().await?;
    Ok(())
}

/// A pipeline with such an action.
async fn pipeline(case: &Arc<Case>, provider: &str) -> Result<Pipeline> {
    let id = json!({"category": "Test", "owner": "ThirdParty", "provider": provider, "version": "1"});
    let scan = Action::new("Scan", "Test", provider).with("actionTypeId", id).input(ARTIFACT).set("Depth", "3");
    let scan = scan.set("ClientId", CLIENT).set("ClientToken", TOKEN);
    case.draft("scanned").source().await?.stage("Test", [scan]).create().await
}

/// Polls until a job of our client's is offered.
async fn poll(case: &Case, provider: &str) -> Result<String> {
    let id = ActionTypeId::builder().category(ActionCategory::Test).owner(ActionOwner::ThirdParty);
    let id = id.provider(provider).version("1").build()?;
    let poll = case.pipelines.poll_for_third_party_jobs().action_type_id(id).max_batch_size(5);
    let jobs = until(
        PATIENCE,
        || format!("no job for {provider} has come"),
        || async {
            let jobs = poll.clone().send().await?.jobs.unwrap_or_default();
            Ok((!jobs.is_empty()).then_some(jobs))
        },
    )
    .await?;
    assert_eq!((jobs.len(), jobs[0].client_id()), (1, Some(CLIENT)));
    jobs[0].job_id.clone().context("a job without an id")
}

/// Looks at a job, with the client's token.
async fn details(case: &Case, job: &str) -> Result<ThirdPartyJobDetails> {
    let details = case.pipelines.get_third_party_job_details().job_id(job).client_token(TOKEN).send().await?;
    details.job_details.context("no details")
}

/// Looks at a job, and takes it.
async fn take(case: &Case, job: &str) -> Result<ThirdPartyJobDetails> {
    let details = details(case, job).await?;
    let take = case.pipelines.acknowledge_third_party_job().job_id(job).client_token(TOKEN);
    let taken = take.nonce(details.nonce().context("no nonce")?).send().await?;
    assert_eq!(taken.status(), Some(&JobStatus::InProgress));
    Ok(details)
}

fn failure(message: &str) -> Result<FailureDetails> {
    Ok(FailureDetails::builder().r#type(FailureType::JobFailed).message(message).build()?)
}

/// The exception with which a call is refused.
fn refusal<T>(answer: Result<T, impl ProvideErrorMetadata>) -> String {
    answer.err().and_then(|error| error.code().map(str::to_owned)).unwrap_or_default()
}

/// The party scans in two turns, as nobody can who does not know the client's token.
pub async fn third_party_in_turns(case: &Arc<Case>) -> Result<()> {
    let provider = "Scanner";
    register(case, provider).await?;
    let pipeline = pipeline(case, provider).await?;
    let execution = pipeline.first().await?;
    let one = poll(case, provider).await?;
    let nonce = details(case, &one).await?.nonce.context("no nonce")?;
    let wrong = "a-token-of-another";
    let call = &case.pipelines;
    let refused = [
        refusal(call.get_third_party_job_details().job_id(&one).client_token(wrong).send().await),
        refusal(call.acknowledge_third_party_job().job_id(&one).nonce(nonce).client_token(wrong).send().await),
        refusal(call.put_third_party_job_success_result().job_id(&one).client_token(wrong).send().await),
        refusal({
            let put = call.put_third_party_job_failure_result().job_id(&one).client_token(wrong);
            put.failure_details(failure("no")?).send().await
        }),
    ];
    assert_eq!(refused, ["InvalidClientTokenException"; 4]);

    let succeed = |job: &str| call.put_third_party_job_success_result().job_id(job).client_token(TOKEN);
    assert_eq!(refusal(succeed(&one).send().await), "InvalidJobStateException", "nobody has taken it");
    let given = take(case, &one).await?.data.context("a job without data")?;
    let configuration = given.action_configuration().and_then(|it| it.configuration()).context("no configuration")?;
    assert_eq!(configuration.get("Depth").map(String::as_str), Some("3"));
    assert!(given.continuation_token().is_none());
    let own = given.artifact_credentials().context("no credentials")?;
    let s3 = s3_with(case, own.access_key_id(), own.secret_access_key(), own.session_token());
    let place = given.input_artifacts().first().and_then(|it| it.location()).and_then(|it| it.s3_location());
    let place = place.context("no input")?;
    let input = s3.get_object().bucket(place.bucket_name()).key(place.object_key()).send().await?;
    let input = input.body.collect().await?.to_vec();
    assert_eq!(zips::unzipped(&input, "index.html")?, zips::SITE[0].1);

    let half = ExecutionDetails::builder().summary("half of it").percent_complete(50).external_execution_id("scan-7");
    succeed(&one).continuation_token("page 2").execution_details(half.build()).send().await?;
    let shown = pipeline.action("Scan").await?.context("no execution")?;
    assert_eq!((shown.percent_complete(), shown.summary()), (Some(50), Some("half of it")));
    assert_eq!(shown.external_execution_url(), Some("https://scans.example.com/3/scan-7"));
    assert_eq!(refusal(succeed(&one).send().await), "InvalidJobStateException", "it asked to be continued");

    let two = poll(case, provider).await?;
    assert_ne!(one, two);
    let again = take(case, &two).await?.data.context("a job without data")?;
    assert_eq!(again.continuation_token(), Some("page 2"));
    let action = again.pipeline_context().and_then(|it| it.action()).and_then(|it| it.action_execution_id());
    assert_eq!(action, shown.action_execution_id(), "one execution, whatever its turns");
    let revision = CurrentRevision::builder().revision("r7").change_identifier("c7").build()?;
    succeed(&two).current_revision(revision).send().await?;
    pipeline.ends(&execution, "Succeeded").await?;

    let actions = pipeline.actions(&execution).await?;
    let scan = named(&actions, "Scan")?;
    assert_eq!(scan.action_execution_id(), action);
    let shown = scan.input().and_then(|it| it.resolved_configuration()).context("no configuration")?;
    assert_eq!(shown.get("ClientToken").map(String::as_str), Some("****"));
    let revision = pipeline.stage("Test").await?.action_states()[0].current_revision().cloned();
    assert_eq!(revision.context("no revision")?.revision_id(), "r7");
    Ok(())
}

/// The party finds what it looked for.
pub async fn third_party_fails(case: &Arc<Case>) -> Result<()> {
    let provider = "Pessimist";
    register(case, provider).await?;
    let pipeline = pipeline(case, provider).await?;
    let execution = pipeline.first().await?;
    let job = poll(case, provider).await?;
    take(case, &job).await?;
    let put = case.pipelines.put_third_party_job_failure_result().job_id(&job).client_token(TOKEN);
    put.failure_details(failure("three holes in index.html")?).send().await?;
    fails_with(&pipeline, &execution, "Scan", "JobFailed", &["three holes in index.html"]).await
}
