use aws_sdk_codepipeline::Client;
use aws_sdk_codepipeline::types::{
    ActionCategory, ActionExecutionStatus, ActionOwner, ActionState, ActionTypeId, ApprovalResult, ApprovalStatus,
    ExecutionDetails, FailureDetails, FailureType, Job, JobStatus,
};
use conformance::cloud::{Stored, stored_pin};
use conformance::world::{ACCOUNT, World};
use serde_json::json;
use testkit::decode;

use super::action_types::{calls_jenkins, jenkins, job_worker, probe};
use super::{in_both, refused, release};

fn type_id(category: ActionCategory, owner: ActionOwner, provider: &str) -> ActionTypeId {
    ActionTypeId::builder().category(category).owner(owner).provider(provider).version("1").build().unwrap()
}

fn custom() -> ActionTypeId {
    type_id(ActionCategory::Build, ActionOwner::Custom, "Jenkins")
}

async fn action(client: &Client) -> ActionState {
    let state = client.get_pipeline_state().name("release").send().await.unwrap();
    state.stage_states()[2].action_states()[0].clone()
}

/// The pipeline waits for its approval.
async fn started(world: &World, client: &Client, changes: &[(&str, serde_json::Value)]) {
    client.create_pipeline().pipeline(release("release", changes)).send().await.unwrap();
    world.work().await;
}

/// It goes on to its third stage.
async fn approved(world: &World, client: &Client) {
    let state = client.get_pipeline_state().name("release").send().await.unwrap();
    let token = state.stage_states()[1].action_states()[0].latest_execution().unwrap().token().unwrap().to_owned();
    let yes = ApprovalResult::builder().summary("").status(ApprovalStatus::Approved).build().unwrap();
    let answer = client.put_approval_result().pipeline_name("release").stage_name("Ask").action_name("Approve");
    answer.token(token).result(yes).send().await.unwrap();
    world.work().await;
}

async fn arrived(world: &World, client: &Client, changes: &[(&str, serde_json::Value)]) {
    started(world, client, changes).await;
    approved(world, client).await;
}

/// The same with an action of Jenkins there, whose job waits.
async fn waiting(world: &World, client: &Client) {
    jenkins(client, "1").send().await.unwrap();
    arrived(world, client, &calls_jenkins(json!({"ProjectName": "shop", "Password": "hunter2"}))).await;
}

async fn poll(client: &Client) -> Option<Job> {
    let polled =
        client.poll_for_jobs().action_type_id(custom()).query_param("ProjectName", "shop").send().await.unwrap();
    assert!(polled.jobs().len() <= 1, "one where nothing is said");
    polled.jobs().first().cloned()
}

async fn acknowledge(client: &Client, job: &Job) -> Option<JobStatus> {
    let taken = client.acknowledge_job().job_id(job.id().unwrap()).nonce(job.nonce().unwrap()).send().await.unwrap();
    taken.status().cloned()
}

#[tokio::test]
async fn a_worker_polls_takes_and_reports_its_job() {
    in_both(|world, client| async move {
        waiting(&world, &client).await;
        let job = poll(&client).await.unwrap();
        let data = job.data().unwrap();
        assert_eq!(job.account_id(), Some(ACCOUNT));
        assert_eq!(data.action_type_id(), Some(&custom()));
        let configuration = data.action_configuration().unwrap().configuration().unwrap();
        assert_eq!(configuration["Password"], "hunter2", "secrets are for the worker");
        let context = data.pipeline_context().unwrap();
        assert_eq!(context.pipeline_name(), Some("release"));
        assert_eq!(context.pipeline_arn(), Some("arn:aws:codepipeline:eu-west-1:111122223333:release"));
        assert_eq!(context.stage().unwrap().name(), Some("Test"));
        let execution = action(&client).await.latest_execution().unwrap().action_execution_id().unwrap().to_owned();
        assert_eq!(context.action().unwrap().action_execution_id(), Some(execution.as_str()));
        let id = job.id().unwrap();
        assert_eq!(id, world.job(&execution).await);
        for refusal in [
            refused!(client.put_job_success_result().job_id(&execution)),
            refused!(client.get_job_details().job_id(&execution)),
            refused!(client.acknowledge_job().job_id(&execution).nonce(job.nonce().unwrap())),
        ] {
            assert_eq!(refusal.0, "JobNotFoundException", "an action's id, which many see, answers no job");
        }
        assert!(context.pipeline_execution_id().is_some());
        let place = |it: &aws_sdk_codepipeline::types::Artifact| {
            let place = it.location().unwrap().s3_location().unwrap();
            format!("{}/{}", place.bucket_name(), place.object_key())
        };
        let (input, output) = (place(&data.input_artifacts()[0]), place(&data.output_artifacts()[0]));
        assert!(input.starts_with("artifacts-bucket/release/App/") && output.contains("/Built/"), "{input} {output}");
        assert_eq!(data.artifact_credentials().unwrap().access_key_id(), "release");
        let asked = decode(&world.aws.calls("AssumeRole").pop().unwrap().text());
        let external_id = "ExternalId=arn:aws:codepipeline:eu-west-1:111122223333:release";
        assert!(asked.contains(&input) && asked.contains(&output) && asked.contains(external_id), "{asked}");
        assert!(poll(&client).await.is_none(), "it is offered to one worker at a time");

        assert_eq!(acknowledge(&client, &job).await, Some(JobStatus::InProgress));
        assert_eq!(acknowledge(&client, &job).await, Some(JobStatus::InProgress), "twice is once");
        let details = client.get_job_details().job_id(id).send().await.unwrap();
        let details = details.job_details().unwrap();
        assert_eq!(details.data().unwrap().action_configuration(), data.action_configuration());
        assert!(details.data().unwrap().artifact_credentials().is_some());

        let halfway = ExecutionDetails::builder().external_execution_id("17").percent_complete(50).build();
        let proceed = client.put_job_success_result().job_id(id).continuation_token("half");
        proceed.execution_details(halfway).send().await.unwrap();
        let now = action(&client).await.latest_execution().unwrap().clone();
        assert_eq!((now.percent_complete(), now.status()), (Some(50), Some(&ActionExecutionStatus::InProgress)));
        assert_eq!(now.external_execution_url(), Some("https://jenkins.example.com/job/shop/17/"));
        assert_eq!(refused!(client.put_job_success_result().job_id(id)).0, "InvalidJobStateException");
        assert_eq!(refused!(client.get_job_details().job_id(id)).0, "JobNotFoundException");

        let next = poll(&client).await.unwrap();
        assert_eq!(next.data().unwrap().continuation_token(), Some("half"));
        assert_ne!(next.id(), job.id());
        acknowledge(&client, &next).await;
        let done = client.put_job_success_result().job_id(next.id().unwrap()).output_variables("Tests", "12");
        done.send().await.unwrap();
        assert_eq!(acknowledge(&client, &next).await, Some(JobStatus::Succeeded));
        assert!(poll(&client).await.is_none());
        world.work().await;
        let ran = client.list_action_executions().pipeline_name("release").send().await.unwrap();
        let call = ran.action_execution_details().iter().find(|it| it.action_name() == Some("Call")).unwrap();
        assert_eq!(call.status(), Some(&ActionExecutionStatus::Succeeded));
        assert_eq!(call.output().unwrap().output_variables().unwrap()["Tests"], "12");
        assert_eq!(call.output().unwrap().output_artifacts()[0].name(), Some("Built"));
        for shown in [call.input().unwrap().configuration(), call.input().unwrap().resolved_configuration()] {
            assert_eq!(shown.unwrap()["Password"], "****");
        }
    })
    .await;
}

#[tokio::test]
async fn who_has_not_taken_a_job_cannot_report_it() {
    in_both(|world, client| async move {
        waiting(&world, &client).await;
        let first = poll(&client).await.unwrap();
        let id = first.id().unwrap();
        let failure = || {
            let details = FailureDetails::builder().r#type(FailureType::JobFailed).message("no").build().unwrap();
            client.put_job_failure_result().job_id(id).failure_details(details)
        };
        assert_eq!(refused!(client.put_job_success_result().job_id(id)).0, "InvalidJobStateException");
        assert_eq!(refused!(failure()).0, "InvalidJobStateException");
        for nonce in ["nonsense", "11111111-2222-4333-8444-555555555555"] {
            assert_eq!(refused!(client.acknowledge_job().job_id(id).nonce(nonce)).0, "InvalidNonceException");
        }
        world.clock.pass(60_000);
        let second = poll(&client).await.unwrap();
        assert_eq!(second.id(), first.id());
        let late = client.acknowledge_job().job_id(id).nonce(first.nonce().unwrap());
        assert_eq!(refused!(late).0, "InvalidNonceException", "the offer has lapsed");
        acknowledge(&client, &second).await;
        failure().send().await.unwrap();
        let failed = action(&client).await.latest_execution().unwrap().clone();
        assert_eq!(failed.status(), Some(&ActionExecutionStatus::Failed));
        assert_eq!(failed.error_details().unwrap().message(), Some("no"));
        assert_eq!(refused!(failure()).0, "InvalidJobStateException");
        let unknown = "11111111-2222-4333-8444-555555555555";
        assert_eq!(refused!(client.acknowledge_job().job_id(unknown).nonce("x")).0, "JobNotFoundException");
        assert_eq!(refused!(client.get_job_details().job_id(unknown)).0, "JobNotFoundException");
        let approval = client.get_pipeline_state().name("release").send().await.unwrap();
        let approval = approval.stage_states()[1].action_states()[0].latest_execution().unwrap().clone();
        let approval = world.job(approval.action_execution_id().unwrap()).await;
        assert_eq!(refused!(client.get_job_details().job_id(approval)).0, "JobNotFoundException", "it is no job");
    })
    .await;
}

#[tokio::test]
async fn polls_that_are_refused() {
    in_both(|world, client| async move {
        let poll = || client.poll_for_jobs().action_type_id(custom());
        assert_eq!(refused!(poll()).0, "ActionTypeNotFoundException");
        waiting(&world, &client).await;
        assert_eq!(refused!(poll()).0, "ValidationException", "the type has a queryable property");
        assert_eq!(refused!(poll().query_param("Password", "hunter2")).0, "ValidationException");
        assert_eq!(refused!(poll().query_param("ProjectName", "a shop")).0, "ValidationException");
        assert_eq!(refused!(poll().query_param("ProjectName", "shop").max_batch_size(0)).0, "ValidationException");
        let other = poll().query_param("ProjectName", "other").max_batch_size(1_000).send().await.unwrap();
        assert!(other.jobs().is_empty());
        for (owner, provider) in [(ActionOwner::Aws, "CodeBuild"), (ActionOwner::ThirdParty, "Probe")] {
            let wrong = client.poll_for_jobs().action_type_id(type_id(ActionCategory::Build, owner, provider));
            assert_eq!(refused!(wrong).0, "ValidationException");
        }
        client
            .delete_custom_action_type()
            .category(ActionCategory::Build)
            .provider("Jenkins")
            .version("1")
            .send()
            .await
            .unwrap();
        let deleted = poll().query_param("ProjectName", "shop");
        assert_eq!(refused!(deleted).0, "ActionTypeNotFoundException", "nobody gets the jobs of a deleted type");
    })
    .await;
}

#[tokio::test]
async fn an_action_of_a_deleted_type_fails_and_says_why() {
    in_both(|world, client| async move {
        jenkins(&client, "1").send().await.unwrap();
        started(&world, &client, &calls_jenkins(json!({"ProjectName": "shop"}))).await;
        let delete =
            client.delete_custom_action_type().category(ActionCategory::Build).provider("Jenkins").version("1");
        delete.send().await.unwrap();
        approved(&world, &client).await;
        let failed = action(&client).await.latest_execution().unwrap().clone();
        assert_eq!(failed.status(), Some(&ActionExecutionStatus::Failed));
        let error = failed.error_details().unwrap();
        assert!(
            error.message().unwrap().contains("Jenkins") && error.message().unwrap().contains("deleted"),
            "{error:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn a_job_whose_role_cannot_be_assumed_fails_its_action() {
    in_both(|world, client| async move {
        waiting(&world, &client).await;
        world.no_role_is_assumed();
        assert!(poll(&client).await.is_none());
        let failed = action(&client).await.latest_execution().unwrap().clone();
        assert_eq!(failed.status(), Some(&ActionExecutionStatus::Failed));
        assert_eq!(failed.error_details().unwrap().code(), Some("PermissionError"));
    })
    .await;
}

#[tokio::test]
async fn a_third_party_needs_its_client_s_token() {
    in_both(|world, client| async move {
        client.update_action_type().action_type(probe(job_worker(Some(60)))).send().await.unwrap();
        let client_id = "0e1f2a3b-1111-4222-8333-444455556666";
        let action_json = json!([{
            "name": "Call",
            "actionTypeId": {"category": "Test", "owner": "ThirdParty", "provider": "Probe", "version": "1"},
            "configuration": {"Depth": "3", "Pin": "1234", "ClientId": client_id, "ClientToken": "token-1"},
            "inputArtifacts": [{"name": "App"}],
            "namespace": "Test",
        }]);
        arrived(&world, &client, &[("/stages/2/actions", action_json)]).await;
        let shown = client.get_pipeline().name("release").send().await.unwrap();
        let shown = shown.pipeline().unwrap().stages()[2].actions()[0].configuration().unwrap().clone();
        assert_eq!(
            (shown["Pin"].as_str(), shown["ClientToken"].as_str(), shown["Depth"].as_str()),
            ("****", "****", "3")
        );

        let id = type_id(ActionCategory::Test, ActionOwner::ThirdParty, "Probe");
        let poll = || client.poll_for_third_party_jobs().action_type_id(id.clone()).max_batch_size(5);
        let jobs = poll().send().await.unwrap().jobs().to_vec();
        assert_eq!(jobs.len(), 1);
        assert_eq!(jobs[0].client_id(), Some(client_id));
        assert!(poll().send().await.unwrap().jobs().is_empty());
        let job = jobs[0].job_id().unwrap();
        let details = |token: &str| client.get_third_party_job_details().job_id(job).client_token(token);
        assert_eq!(refused!(details("token-2")).0, "InvalidClientTokenException");
        let given = details("token-1").send().await.unwrap().job_details().unwrap().clone();
        let data = given.data().unwrap();
        assert_eq!(data.action_configuration().unwrap().configuration().unwrap()["Pin"], "1234");
        let context = data.pipeline_context().unwrap();
        assert!(context.pipeline_arn().is_none() && context.pipeline_execution_id().is_none());
        assert_eq!(data.artifact_credentials().unwrap().session_token(), "token-of-release");

        let nonce = given.nonce().unwrap();
        let take = |nonce: &str, token: &str| {
            client.acknowledge_third_party_job().job_id(job).nonce(nonce).client_token(token)
        };
        assert_eq!(refused!(take(nonce, "token-2")).0, "InvalidClientTokenException");
        assert_eq!(refused!(take("nonsense", "token-1")).0, "InvalidNonceException");
        assert_eq!(take(nonce, "token-1").send().await.unwrap().status(), Some(&JobStatus::InProgress));
        assert_eq!(refused!(client.put_job_success_result().job_id(job)).0, "JobNotFoundException", "not that way");
        assert_eq!(refused!(client.get_job_details().job_id(job)).0, "JobNotFoundException");
        let succeed =
            |job: &str, token: &str| client.put_third_party_job_success_result().job_id(job).client_token(token);
        assert_eq!(refused!(succeed(job, "token-2")).0, "InvalidClientTokenException");

        // The worker dies: after the type's time-out another gets the job, and the first is too late.
        world.clock.pass(61_000);
        world.app.driver.sweep(std::time::Duration::from_secs(60)).await.unwrap();
        let jobs = poll().send().await.unwrap().jobs().to_vec();
        let next = jobs[0].job_id().unwrap();
        assert_ne!(next, job);
        assert_eq!(refused!(succeed(job, "token-1")).0, "InvalidJobStateException");
        let given = client.get_third_party_job_details().job_id(next).client_token("token-1").send().await.unwrap();
        let nonce = given.job_details().unwrap().nonce().unwrap().to_owned();
        client.acknowledge_third_party_job().job_id(next).nonce(nonce).client_token("token-1").send().await.unwrap();
        succeed(next, "token-1").send().await.unwrap();
        let done = action(&client).await.latest_execution().unwrap().clone();
        assert_eq!(done.status(), Some(&ActionExecutionStatus::Succeeded));
        for unknown in ["nonsense", "11111111-2222-4333-8444-555555555555"] {
            assert_eq!(refused!(succeed(unknown, "token-1")).0, "JobNotFoundException");
            let failure = FailureDetails::builder().r#type(FailureType::JobFailed).message("no").build().unwrap();
            let failure = client.put_third_party_job_failure_result().job_id(unknown).failure_details(failure);
            assert_eq!(refused!(failure.client_token("token-1")).0, "JobNotFoundException");
        }
    })
    .await;
}

#[tokio::test]
async fn an_input_that_was_overwritten_is_given_to_no_worker() {
    in_both(|world, client| async move {
        waiting(&world, &client).await;
        world.stores(Stored::Overwritten);
        assert!(poll(&client).await.is_none());
        let ended = action(&client).await.latest_execution().unwrap().clone();
        assert_eq!(ended.status(), Some(&ActionExecutionStatus::Failed));
        let error = ended.error_details().unwrap();
        assert_eq!(error.code(), Some("RevisionOutOfSync"));
        let message = error.message().unwrap();
        assert!(message.contains("artifacts-bucket/release/App/") && message.contains("version first"), "{message}");
        assert!(message.contains("its SHA-256 was c2hhMjU2 and is b3RoZXI="), "{message}");
        world.stores(Stored::Recorded);
        assert!(poll(&client).await.is_none(), "it has failed for good");
    })
    .await;
}

/// The artifacts that the action of the third stage has left.
async fn outputs(world: &World, client: &Client) -> Vec<engine::Artifact> {
    let ran = client.list_pipeline_executions().pipeline_name("release").send().await.unwrap();
    let id = ran.pipeline_execution_summaries()[0].pipeline_execution_id().unwrap().parse().unwrap();
    let stages = world.app.driver.stage_runs(id).await.unwrap();
    stages.iter().find(|stage| stage.name.as_str() == "Test").unwrap().actions[0].outputs.clone()
}

#[tokio::test]
async fn what_a_worker_stores_after_its_job_has_ended_changes_nothing() {
    in_both(|world, client| async move {
        waiting(&world, &client).await;
        let job = poll(&client).await.unwrap();
        acknowledge(&client, &job).await;
        client.put_job_success_result().job_id(job.id().unwrap()).send().await.unwrap();
        let left = outputs(&world, &client).await;
        assert_eq!((left[0].name.as_str(), &left[0].pin), ("Built", &stored_pin()));
        world.stores(Stored::Overwritten);
        assert_eq!(refused!(client.put_job_success_result().job_id(job.id().unwrap())).0, "InvalidJobStateException");
        assert_eq!(outputs(&world, &client).await, left);
    })
    .await;
}

#[tokio::test]
async fn what_a_worker_has_not_stored_is_no_artifact() {
    in_both(|world, client| async move {
        waiting(&world, &client).await;
        let job = poll(&client).await.unwrap();
        acknowledge(&client, &job).await;
        world.stores(Stored::Missing);
        client.put_job_success_result().job_id(job.id().unwrap()).send().await.unwrap();
        assert_eq!(outputs(&world, &client).await, []);
        assert_eq!(action(&client).await.latest_execution().unwrap().status(), Some(&ActionExecutionStatus::Succeeded));
    })
    .await;
}
