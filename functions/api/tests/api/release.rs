use aws_sdk_codepipeline::Client;
use aws_sdk_codepipeline::types::{
    ActionExecutionStatus, ActionState, ApprovalResult, ApprovalStatus, CurrentRevision, ExecutionDetails,
    FailureDetails, FailureType, PipelineExecutionStatus, StageExecutionStatus, StageState, StageTransitionType,
};
use conformance::world::{CALLER, World};
use serde_json::json;

use super::{client, in_both, refused, release};

async fn stages(client: &Client) -> Vec<StageState> {
    client.get_pipeline_state().name("release").send().await.unwrap().stage_states().to_vec()
}

async fn action(client: &Client, stage: usize) -> ActionState {
    stages(client).await[stage].action_states()[0].clone()
}

fn answer(status: ApprovalStatus) -> ApprovalResult {
    ApprovalResult::builder().summary("Looks good").status(status).build().unwrap()
}

async fn token(client: &Client) -> String {
    action(client, 1).await.latest_execution().unwrap().token().unwrap().to_owned()
}

/// A pipeline whose first execution waits for its approval.
async fn asked(world: &World, client: &Client) {
    client.create_pipeline().pipeline(release("release", &[])).send().await.unwrap();
    world.work().await;
}

/// The same, further on: the function has been called. Gives the job's id.
async fn called(world: &World, client: &Client) -> String {
    asked(world, client).await;
    approve(client, &token(client).await).send().await.unwrap();
    world.work().await;
    action(client, 2).await.latest_execution().unwrap().action_execution_id().unwrap().to_owned()
}

fn approve(
    client: &Client,
    token: &str,
) -> aws_sdk_codepipeline::operation::put_approval_result::builders::PutApprovalResultFluentBuilder {
    client
        .put_approval_result()
        .pipeline_name("release")
        .stage_name("Ask")
        .action_name("Approve")
        .token(token)
        .result(answer(ApprovalStatus::Approved))
}

async fn last(client: &Client) -> aws_sdk_codepipeline::types::PipelineExecutionSummary {
    let found = client.list_pipeline_executions().pipeline_name("release").send().await.unwrap();
    found.pipeline_execution_summaries()[0].clone()
}

#[tokio::test]
async fn the_state_before_anything_ran() {
    in_both(|world, client| async move {
        let variables = json!([{"name": "target"}]);
        client.create_pipeline().pipeline(release("release", &[("/variables", variables)])).send().await.unwrap();
        let state = client.get_pipeline_state().name("release").send().await.unwrap();
        assert_eq!((state.pipeline_name(), state.pipeline_version()), (Some("release"), Some(1)));
        assert!(state.created().is_some() && state.updated().is_some());
        let names: Vec<_> = state.stage_states().iter().map(|it| it.stage_name().unwrap()).collect();
        assert_eq!(names, ["Source", "Ask", "Test", "Deploy"]);
        for stage in state.stage_states() {
            assert!(stage.latest_execution().is_none() && stage.inbound_executions().is_empty());
            assert!(stage.inbound_transition_state().unwrap().enabled());
            assert!(stage.action_states()[0].latest_execution().is_none());
        }
        drop(world);
    })
    .await;
}

#[tokio::test]
async fn a_release_from_source_to_deploy() {
    in_both(|world, client| async move {
        asked(&world, &client).await;
        let execution = last(&client).await;
        let id = execution.pipeline_execution_id().unwrap().to_owned();
        assert_eq!(execution.status(), Some(&PipelineExecutionStatus::InProgress));
        assert_eq!(execution.source_revisions()[0].revision_id(), Some("v1"));

        let now = stages(&client).await;
        let of = |stage: &StageState| {
            stage.latest_execution().map(|it| (it.pipeline_execution_id().to_owned(), it.status().clone()))
        };
        assert_eq!(of(&now[0]), Some((id.clone(), StageExecutionStatus::Succeeded)));
        assert_eq!(of(&now[1]), Some((id.clone(), StageExecutionStatus::InProgress)));
        assert_eq!(of(&now[2]), None);
        let fetch = &now[0].action_states()[0];
        assert_eq!(fetch.current_revision().unwrap().revision_id(), "v1");
        assert_eq!(fetch.revision_url(), Some("https://example.com/v1"));
        let bucket = "https://eu-west-1.console.aws.amazon.com/s3/buckets/sources?region=eu-west-1";
        assert_eq!(fetch.entity_url(), Some(bucket));
        let latest = fetch.latest_execution().unwrap();
        assert_eq!(latest.status(), Some(&ActionExecutionStatus::Succeeded));
        assert!(latest.token().is_none() && latest.last_status_change().is_some());
        let waiting = now[1].action_states()[0].latest_execution().unwrap().clone();
        assert_eq!(waiting.status(), Some(&ActionExecutionStatus::InProgress));
        assert_eq!(waiting.external_execution_url(), Some("https://example.com/outside-1"));
        assert_eq!(waiting.summary(), Some("Under way"));
        let token = waiting.token().unwrap();

        let approved = approve(&client, token).send().await.unwrap();
        assert!(approved.approved_at().is_some());
        let done = action(&client, 1).await.latest_execution().unwrap().clone();
        assert_eq!(done.status(), Some(&ActionExecutionStatus::Succeeded));
        assert_eq!((done.summary(), done.last_updated_by()), (Some("Looks good"), Some(CALLER)));
        assert!(done.token().is_none(), "an approval that is over shows no token");

        world.work().await;
        let job = action(&client, 2).await.latest_execution().unwrap().action_execution_id().unwrap().to_owned();
        client
            .put_job_success_result()
            .job_id(world.job(&job).await)
            .execution_details(ExecutionDetails::builder().summary("12 passed").percent_complete(100).build())
            .output_variables("passed", "12")
            .send()
            .await
            .unwrap();
        world.work().await;

        let found =
            client.get_pipeline_execution().pipeline_name("release").pipeline_execution_id(&id).send().await.unwrap();
        let execution = found.pipeline_execution().unwrap();
        assert_eq!(execution.status(), Some(&PipelineExecutionStatus::Succeeded));
        let revision = &execution.artifact_revisions()[0];
        assert_eq!((revision.name(), revision.revision_id()), (Some("App"), Some("v1")));
        assert_eq!(revision.created().unwrap().secs(), 1);
        assert!(stages(&client).await.iter().all(|it| of(it) == Some((id.clone(), StageExecutionStatus::Succeeded))));

        let ran = client.list_action_executions().pipeline_name("release").send().await.unwrap();
        let ran = ran.action_execution_details();
        let names: Vec<_> = ran.iter().map(|it| it.action_name().unwrap()).collect();
        assert_eq!(names, ["Publish", "Call", "Approve", "Fetch"]);
        assert!(ran.iter().all(|it| it.status() == Some(&ActionExecutionStatus::Succeeded)));
        let publish = ran[0].input().unwrap();
        assert_eq!(publish.configuration().unwrap()["ObjectKey"], "#{Source.VersionId}.zip");
        assert_eq!(publish.resolved_configuration().unwrap()["ObjectKey"], "v1.zip");
        assert_eq!(publish.region(), Some("eu-west-1"));
        assert_eq!(publish.action_type_id().unwrap().provider(), "S3");
        let (read, made) = (&publish.input_artifacts()[0], &ran[3].output().unwrap().output_artifacts()[0]);
        assert_eq!(read, made);
        assert_eq!(made.name(), Some("App"));
        assert_eq!(made.s3_location().unwrap().bucket(), Some("artifacts-bucket"));
        assert!(made.s3_location().unwrap().key().unwrap().starts_with("release/App/"));
        let call = ran[1].output().unwrap();
        assert_eq!(call.output_variables().unwrap()["passed"], "12");
        assert_eq!(call.execution_result().unwrap().external_execution_summary(), Some("12 passed"));
        assert_eq!(ran[1].input().unwrap().namespace(), Some("Test"));
        assert_eq!(ran[2].updated_by(), Some(CALLER));
    })
    .await;
}

#[tokio::test]
async fn a_failure_says_why() {
    let world = World::new();
    let client = client(&world);
    let broken = release("release", &[("/stages/3/actions/0/configuration/BucketName", json!("broken"))]);
    client.create_pipeline().pipeline(broken).send().await.unwrap();
    world.work().await;
    approve(&client, &token(&client).await).send().await.unwrap();
    world.work().await;
    let job = action(&client, 2).await.latest_execution().unwrap().action_execution_id().unwrap().to_owned();
    client.put_job_success_result().job_id(world.job(&job).await).send().await.unwrap();
    world.work().await;
    assert_eq!(last(&client).await.status(), Some(&PipelineExecutionStatus::Failed));
    let failed = action(&client, 3).await.latest_execution().unwrap().clone();
    assert_eq!(failed.status(), Some(&ActionExecutionStatus::Failed));
    let error = failed.error_details().unwrap();
    assert_eq!((error.code(), error.message()), (Some("ConfigurationError"), Some("The bucket 'broken' is gone")));
    let ran = client.list_action_executions().pipeline_name("release").send().await.unwrap();
    let result = ran.action_execution_details()[0].output().unwrap().execution_result().unwrap();
    assert_eq!(result.error_details(), Some(error));
    assert_eq!(result.external_execution_id(), Some("outside-1"));
}

#[tokio::test]
async fn a_rejection_fails_the_action_and_is_answered_with_its_time() {
    in_both(|world, client| async move {
        asked(&world, &client).await;
        let rejected = approve(&client, &token(&client).await).result(answer(ApprovalStatus::Rejected));
        assert!(rejected.send().await.unwrap().approved_at().is_some());
        let failed = action(&client, 1).await.latest_execution().unwrap().clone();
        assert_eq!(failed.status(), Some(&ActionExecutionStatus::Failed));
        assert!(failed.error_details().unwrap().message().unwrap().contains("Looks good"));
        assert_eq!(last(&client).await.status(), Some(&PipelineExecutionStatus::Failed));
    })
    .await;
}

#[tokio::test]
async fn answers_to_approvals_that_are_refused() {
    in_both(|world, client| async move {
        asked(&world, &client).await;
        let good = token(&client).await;
        let wrong = "11111111-2222-4333-8444-555555555555";
        assert_eq!(refused!(approve(&client, wrong)).0, "InvalidApprovalTokenException");
        assert_eq!(refused!(approve(&client, &good).pipeline_name("gone")).0, "PipelineNotFoundException");
        assert_eq!(refused!(approve(&client, &good).stage_name("Nowhere")).0, "StageNotFoundException");
        assert_eq!(refused!(approve(&client, &good).action_name("Nothing")).0, "ActionNotFoundException");
        let other = approve(&client, &good).stage_name("Source").action_name("Fetch");
        assert_eq!(refused!(other).0, "InvalidApprovalTokenException", "no approval");
        let early = approve(&client, &good).stage_name("Deploy").action_name("Publish");
        assert_eq!(refused!(early).0, "InvalidApprovalTokenException", "nothing has run there");
        assert_eq!(refused!(approve(&client, "no token")).0, "ValidationException");

        client.create_pipeline().pipeline(release("other", &[])).send().await.unwrap();
        world.work().await;
        let elsewhere = approve(&client, &good).pipeline_name("other");
        assert_eq!(refused!(elsewhere).0, "InvalidApprovalTokenException", "another pipeline's token");

        approve(&client, &good).send().await.unwrap();
        let (code, message) = refused!(approve(&client, &good));
        assert_eq!(code, "ApprovalAlreadyCompletedException");
        assert!(message.contains("Approve") && message.contains("Ask"), "{message}");
    })
    .await;
}

#[tokio::test]
async fn a_job_fails_its_action_with_its_own_reason() {
    in_both(|world, client| async move {
        let job = world.job(&called(&world, &client).await).await;
        let details = FailureDetails::builder()
            .r#type(FailureType::JobFailed)
            .message("3 tests failed")
            .external_execution_id("run-9")
            .build()
            .unwrap();
        client.put_job_failure_result().job_id(&job).failure_details(details.clone()).send().await.unwrap();
        let failed = action(&client, 2).await.latest_execution().unwrap().clone();
        let error = failed.error_details().unwrap();
        assert_eq!((error.code(), error.message()), (Some("JobFailed"), Some("3 tests failed")));
        assert_eq!(failed.external_execution_id(), Some("run-9"));
        let again = client.put_job_failure_result().job_id(&job).failure_details(details);
        assert_eq!(refused!(again).0, "InvalidJobStateException");
        assert_eq!(refused!(client.put_job_success_result().job_id(&job)).0, "InvalidJobStateException");
    })
    .await;
}

#[tokio::test]
async fn a_job_that_is_continued_is_another_job() {
    in_both(|world, client| async move {
        let execution = called(&world, &client).await;
        let job = world.job(&execution).await;
        client
            .put_job_success_result()
            .job_id(&job)
            .continuation_token("half-way")
            .execution_details(ExecutionDetails::builder().percent_complete(50).build())
            .send()
            .await
            .unwrap();
        let latest = action(&client, 2).await.latest_execution().unwrap().clone();
        assert_eq!(latest.status(), Some(&ActionExecutionStatus::InProgress));
        assert_eq!(latest.percent_complete(), Some(50));
        assert_eq!(latest.action_execution_id(), Some(execution.as_str()), "the action execution stays the same");
        assert_eq!(refused!(client.put_job_success_result().job_id(&job)).0, "InvalidJobStateException");
        world.work().await;
        let next = execution.parse::<engine::ActionId>().unwrap().next_turn();
        let next = world.job(&next.to_string()).await;
        let revision =
            CurrentRevision::builder().revision("abc").change_identifier("1").revision_summary("Tested").build();
        client.put_job_success_result().job_id(next).current_revision(revision.unwrap()).send().await.unwrap();
        let done = action(&client, 2).await;
        assert_eq!(done.latest_execution().unwrap().status(), Some(&ActionExecutionStatus::Succeeded));
        assert_eq!(done.current_revision().unwrap().revision_id(), "abc");
    })
    .await;
}

#[tokio::test]
async fn results_of_jobs_that_are_refused() {
    in_both(|world, client| async move {
        let execution = called(&world, &client).await;
        // Everybody who sees the pipeline's state knows this id.
        assert_eq!(refused!(client.put_job_success_result().job_id(&execution)).0, "JobNotFoundException");
        let job = world.job(&execution).await;
        let details = FailureDetails::builder().r#type(FailureType::JobFailed).message("no").build().unwrap();
        for unknown in ["11111111-2222-4333-8444-555555555555", "11111111-2222-8333-8444-000000010000"] {
            assert_eq!(refused!(client.put_job_success_result().job_id(unknown)).0, "JobNotFoundException");
            let failure = client.put_job_failure_result().job_id(unknown).failure_details(details.clone());
            assert_eq!(refused!(failure).0, "JobNotFoundException");
        }
        let approval = action(&client, 1).await.latest_execution().unwrap().action_execution_id().unwrap().to_owned();
        assert_eq!(
            refused!(client.put_job_success_result().job_id(world.job(&approval).await)).0,
            "JobNotFoundException"
        );

        let large = client.put_job_success_result().job_id(&job).output_variables("report", "x".repeat(122_880));
        let (code, message) = refused!(large);
        assert_eq!(code, "OutputVariablesSizeExceededException");
        assert!(message.contains("122880"), "{message}");
        let misnamed = client.put_job_success_result().job_id(&job).output_variables("not a name", "x");
        assert_eq!(refused!(misnamed).0, "ValidationException");
        let most = client.put_job_success_result().job_id(&job).output_variables("report", "x".repeat(122_874));
        most.send().await.unwrap();
        let ran = client.list_action_executions().pipeline_name("release").send().await.unwrap();
        let call = ran.action_execution_details().iter().find(|it| it.action_name() == Some("Call")).unwrap();
        assert_eq!(call.output().unwrap().output_variables().unwrap()["report"].len(), 122_874);
    })
    .await;
}

#[tokio::test]
async fn a_closed_transition_holds_executions_until_it_is_opened() {
    in_both(|world, client| async move {
        client.create_pipeline().pipeline(release("release", &[])).send().await.unwrap();
        let disable = |pipeline: &str, stage: &str, kind: StageTransitionType| {
            client
                .disable_stage_transition()
                .pipeline_name(pipeline)
                .stage_name(stage)
                .transition_type(kind)
                .reason("Holiday")
        };
        disable("release", "Ask", StageTransitionType::Inbound).send().await.unwrap();
        world.work().await;
        let held = stages(&client).await[1].clone();
        let transition = held.inbound_transition_state().unwrap();
        assert!(!transition.enabled() && transition.last_changed_at().is_some());
        assert_eq!((transition.disabled_reason(), transition.last_changed_by()), (Some("Holiday"), Some(CALLER)));
        let id = last(&client).await.pipeline_execution_id().unwrap().to_owned();
        assert_eq!(held.inbound_execution().unwrap().pipeline_execution_id(), id);
        assert_eq!(held.inbound_executions().len(), 1);
        assert!(held.latest_execution().is_none());

        let enable = |pipeline: &str, stage: &str, kind: StageTransitionType| {
            client.enable_stage_transition().pipeline_name(pipeline).stage_name(stage).transition_type(kind)
        };
        enable("release", "Ask", StageTransitionType::Inbound).send().await.unwrap();
        world.work().await;
        let open = stages(&client).await[1].clone();
        assert!(open.inbound_transition_state().unwrap().enabled() && open.inbound_executions().is_empty());
        assert_eq!(open.latest_execution().unwrap().pipeline_execution_id(), id);

        let inbound = StageTransitionType::Inbound;
        for (code, _) in
            [refused!(disable("gone", "Ask", inbound.clone())), refused!(enable("gone", "Ask", inbound.clone()))]
        {
            assert_eq!(code, "PipelineNotFoundException");
        }
        for (code, message) in [
            refused!(disable("release", "Nowhere", inbound.clone())),
            refused!(enable("release", "Nowhere", inbound.clone())),
        ] {
            assert_eq!(code, "StageNotFoundException");
            assert!(message.contains("Nowhere"), "{message}");
        }
        for (code, message) in [
            refused!(disable("release", "Ask", StageTransitionType::Outbound)),
            refused!(enable("release", "Ask", StageTransitionType::Outbound)),
        ] {
            assert_eq!(code, "ValidationException");
            assert!(message.contains("inbound"), "{message}");
        }
    })
    .await;
}
