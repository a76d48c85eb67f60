//! Jobs of Lambda actions, with the case itself as the worker.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_codepipeline::types::{CurrentRevision, ExecutionDetails, FailureDetails, FailureType};
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::{FunctionCode, Runtime};
use aws_sdk_s3::types::ServerSideEncryption;
use engine::{ActionRun, Timestamp};
use local::HOME;
use serde_json::Value;
use store::{DynamoStore, Entity, Expect, Key, Store, Write};

use crate::case::Case;
use crate::check::{deployed, encrypted, fails_with, named};
use crate::declare::Action;
use crate::fixture::Fixture;
use crate::wait::{PATIENCE, until};
use crate::zips;

/// Waits for the next event in the queue, with which a function was called.
pub(super) async fn event(case: &Case, queue: &str) -> Result<Value> {
    let bodies = until(
        PATIENCE,
        || "no job has come".to_owned(),
        || async {
            let bodies = case.receive(queue).await?;
            Ok((!bodies.is_empty()).then_some(bodies))
        },
    );
    Ok(serde_json::from_str(&bodies.await?[0])?)
}

/// Waits for the next job in the queue.
pub(super) async fn job(case: &Case, queue: &str) -> Result<Value> {
    Ok(event(case, queue).await?["CodePipeline.job"].take())
}

pub(super) fn id(job: &Value) -> Result<&str> {
    job["id"].as_str().context("a job without an id")
}

/// S3 with the credentials of a job.
pub(super) fn s3_with(case: &Case, key: &str, secret: &str, session: &str) -> aws_sdk_s3::Client {
    let credentials = Credentials::new(key, secret, Some(session.to_owned()), None, "job");
    let config = case.stack.sdk(HOME).into_builder();
    let config = config.credentials_provider(SharedCredentialsProvider::new(credentials)).build();
    let config = aws_sdk_s3::config::Builder::from(&config).force_path_style(true).build();
    aws_sdk_s3::Client::from_conf(config)
}

/// A job that asks to be called again, uses its artifacts and credentials, and hands on a variable.
pub async fn job_in_turns(case: &Arc<Case>) -> Result<()> {
    let (queue, _) = case.queue("jobs").await?;
    let target = case.bucket(HOME, "target").await?;
    let act = Action::function("Act", Fixture::FORWARD, &queue).input("App").output("Made").with("namespace", "Act");
    let deploy = Action::archive("Archive", &target, "#{Act.colour}.zip").input("Made");
    let pipeline = case.draft("turns").source().await?.stage("Act", [act]).stage("Deploy", [deploy]).create().await?;
    let execution = pipeline.first().await?;

    let one = job(case, &queue).await?;
    assert_eq!(one["accountId"], local::ACCOUNT);
    let data = &one["data"];
    assert_eq!(data["actionConfiguration"]["configuration"]["FunctionName"], Fixture::FORWARD);
    assert_eq!(data["inputArtifacts"][0]["name"], "App");
    assert!(data["continuationToken"].is_null());
    let running = pipeline.until_action(&execution, "Act", "InProgress").await?;
    let first = running.action_execution_id().context("no id")?.to_owned();
    let shown = case.pipelines.put_job_success_result().job_id(&first).send().await;
    let error = shown.err().context("an id that the state shows answers a job")?.into_service_error();
    assert!(error.is_job_not_found_exception(), "{error:?}");

    let details =
        ExecutionDetails::builder().summary("half of it").percent_complete(50).external_execution_id("mine-1");
    let put = case.pipelines.put_job_success_result().job_id(id(&one)?).continuation_token("page 2");
    put.execution_details(details.build()).send().await?;
    let again = case.pipelines.put_job_success_result().job_id(id(&one)?).send().await;
    let error = again.err().context("a job that asked to be continued is ended")?.into_service_error();
    assert!(error.is_invalid_job_state_exception(), "{error:?}");

    let two = job(case, &queue).await?;
    assert_eq!(two["data"]["continuationToken"], "page 2");
    assert_ne!(id(&one)?, id(&two)?);
    let shown = pipeline.action("Act").await?.context("no execution")?;
    assert_eq!((shown.percent_complete(), shown.summary()), (Some(50), Some("half of it")));

    // The job's own credentials open its input, and store its output under the store's key.
    let given = &two["data"]["artifactCredentials"];
    let text = |name: &str| given[name].as_str().unwrap_or_default().to_owned();
    let s3 = s3_with(case, &text("accessKeyId"), &text("secretAccessKey"), &text("sessionToken"));
    let place = |artifact: &Value| {
        let place = &artifact["location"]["s3Location"];
        let text = |name: &str| place[name].as_str().unwrap_or_default().to_owned();
        (text("bucketName"), text("objectKey"))
    };
    let (bucket, key) = place(&two["data"]["inputArtifacts"][0]);
    let input = s3.get_object().bucket(bucket).key(key).send().await?.body.collect().await?.to_vec();
    assert_eq!(zips::unzipped(&input, "index.html")?, zips::SITE[0].1);
    let made = zips::zipped(&[("made.txt", "by a job")])?;
    let (bucket, key) = place(&two["data"]["outputArtifacts"][0]);
    let encryption = two["data"]["encryptionKey"]["id"].as_str().context("no key")?;
    let put = s3.put_object().bucket(bucket).key(key).body(made.clone().into());
    put.server_side_encryption(ServerSideEncryption::AwsKms).ssekms_key_id(encryption).send().await?;

    let revision = CurrentRevision::builder().revision("r7").change_identifier("c7").build()?;
    let put = case.pipelines.put_job_success_result().job_id(id(&two)?).output_variables("colour", "teal");
    put.current_revision(revision).send().await?;
    pipeline.ends(&execution, "Succeeded").await?;
    deployed(case, HOME, &target, &["teal.zip"]).await?;
    assert_eq!(case.get(HOME, &target, "teal.zip").await?.0, made);
    let actions = pipeline.actions(&execution).await?;
    let act = named(&actions, "Act")?;
    assert_eq!(act.action_execution_id(), Some(first.as_str()), "one execution, whatever its turns");
    let output = act.output().context("no output")?;
    assert_eq!(output.output_variables().and_then(|found| found.get("colour")).map(String::as_str), Some("teal"));
    assert_eq!(output.output_artifacts()[0].name(), Some("Made"));
    assert_eq!(encrypted(case, &pipeline, HOME).await?.len(), 2);
    Ok(())
}

/// Reports that come late, twice, or about nothing.
pub async fn job_reports(case: &Arc<Case>) -> Result<()> {
    let (queue, _) = case.queue("jobs").await?;
    let act = Action::function("Act", Fixture::FORWARD, &queue).input("App");
    let draft = case.draft("reports").source().await?.stage("Act", [act]);
    let pipeline = draft.stage("Ask", [Action::approval("Ask")]).create().await?;
    let execution = pipeline.first().await?;
    let given = job(case, &queue).await?;

    let failure = |message: &str| FailureDetails::builder().r#type(FailureType::JobFailed).message(message).build();
    for nonsense in ["11111111-2222-4333-8444-555555555555", &execution] {
        let put = case.pipelines.put_job_success_result().job_id(nonsense).send().await;
        let error = put.err().context("a job that is none is taken")?.into_service_error();
        assert!(error.is_job_not_found_exception(), "{nonsense}: {error:?}");
        let put = case.pipelines.put_job_failure_result().job_id(nonsense).failure_details(failure("no")?).send().await;
        let error = put.err().context("a job that is none is taken")?.into_service_error();
        assert!(error.is_job_not_found_exception(), "{nonsense}: {error:?}");
    }
    case.pipelines.put_job_success_result().job_id(id(&given)?).send().await?;
    let twice = case.pipelines.put_job_success_result().job_id(id(&given)?).send().await;
    let error = twice.err().context("a second success is taken")?.into_service_error();
    assert!(error.is_invalid_job_state_exception(), "{error:?}");
    let late = case.pipelines.put_job_failure_result().job_id(id(&given)?).failure_details(failure("no")?).send().await;
    let error = late.err().context("a late failure is taken")?.into_service_error();
    assert!(error.is_invalid_job_state_exception(), "{error:?}");
    pipeline.until_action(&execution, "Ask", "InProgress").await?;
    pipeline.until_action(&execution, "Act", "Succeeded").await?;
    // An approval is no job.
    let ask = pipeline.action("Ask").await?.and_then(|ask| ask.action_execution_id).context("no id")?;
    let put = case.pipelines.put_job_success_result().job_id(&ask).send().await;
    let error = put.err().context("an approval is answered as a job")?.into_service_error();
    assert!(error.is_invalid_job_state_exception() || error.is_job_not_found_exception(), "{error:?}");
    pipeline.until_action(&execution, "Ask", "InProgress").await?;

    let act = Action::function("Act", Fixture::FORWARD, &queue).input("App");
    let failing = case.draft("refused").source().await?.stage("Act", [act]).create().await?;
    let execution = failing.first().await?;
    let given = job(case, &queue).await?;
    let put = case.pipelines.put_job_failure_result().job_id(id(&given)?);
    put.failure_details(failure("two tests are red")?).send().await?;
    fails_with(&failing, &execution, "Act", "JobFailed", &["two tests are red"]).await
}

/// A function that dies before it reports: when its action times out, the failure says what is known of it. Nobody waits
/// for twenty minutes here: the action's deadline is brought forward in the table.
pub async fn job_never_reported(case: &Arc<Case>) -> Result<()> {
    let function = case.named("raises");
    let code =
        zips::zipped(&[("raises.py", "def handler(event, context):\n    raise ValueError('no such customer')\n")])?;
    let create = case.lambda.create_function().function_name(&function).runtime(Runtime::Python312);
    let create = create.handler("raises.handler").role(case.role()?).timeout(30);
    create.code(FunctionCode::builder().zip_file(Blob::new(code)).build()).send().await?;
    let act = Action::function("Act", &function, "x");
    let pipeline = case.draft("silent").source().await?.stage("Act", [act]).create().await?;
    let execution = pipeline.first().await?;
    pipeline.until_action(&execution, "Act", "InProgress").await?;
    let group = format!("/aws/lambda/{function}");
    let logs = aws_sdk_cloudwatchlogs::Client::new(&case.stack.sdk(HOME));
    let failed = || async {
        let lines = logs.filter_log_events().log_group_name(&group).filter_pattern("ValueError").send().await?;
        Ok((!lines.events().is_empty()).then_some(()))
    };
    until(PATIENCE, || "the function does not fail".to_owned(), failed).await?;

    // The last poll, and when it was told what it found, the deadline.
    bring_forward(case, &execution, |run, now| run.check = Some(now)).await?;
    let polled = || async {
        let details = pipeline.actions(&execution).await?;
        let result = named(&details, "Act")?.output().and_then(|output| output.execution_result());
        Ok(result.and_then(|result| result.external_execution_summary()).is_some().then_some(()))
    };
    until(PATIENCE, || "the function was not polled".to_owned(), polled).await?;
    bring_forward(case, &execution, |run, now| run.deadline = Some(now)).await?;

    let words = ["did not finish", &group, "ValueError: no such customer"];
    fails_with(&pipeline, &execution, "Act", "TimeoutError", &words).await
}

/// Changes the times of the only action of an execution's second stage, which tells the sweeper when to look at it.
async fn bring_forward(case: &Case, execution: &str, change: impl Fn(&mut ActionRun, Timestamp)) -> Result<()> {
    let store =
        DynamoStore::new(aws_sdk_dynamodb::Client::new(&case.stack.sdk(HOME)), case.stack.value("MILLRACE_TABLE")?);
    let key = [Key::Stage(execution.parse()?, 1, 1)];
    let changed = || async {
        let found = store.load(&key).await?.pop().flatten().context("no stage attempt")?;
        let Entity::Stage(mut stage) = found.entity else { bail!("not a stage attempt: {:?}", found.entity) };
        let now = Timestamp(i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?);
        change(&mut stage.actions[0], now);
        let expect = Expect::Revision(found.revision);
        store.commit(vec![Write::Put { entity: Entity::Stage(stage), expect }]).await?;
        Ok(Some(()))
    };
    until(PATIENCE, || "the stage attempt could not be changed".to_owned(), changed).await
}
