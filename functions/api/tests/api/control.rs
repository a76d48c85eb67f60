//! Stop, retry, rollback, conditions and modes, as clients see them.

use aws_sdk_codepipeline::Client;
use aws_sdk_codepipeline::types::{
    ActionExecutionFilter, ActionExecutionStatus, ApprovalResult, ApprovalStatus, ConditionExecutionStatus,
    ConditionType, ExecutionMode, ExecutionType, PipelineExecutionStatus, PipelineExecutionSummary, RetryTrigger,
    RuleExecutionFilter, RuleExecutionStatus, StageExecutionStatus, StageRetryMode, StageState, StageTransitionType,
};
use conformance::world::{CALLER, World};
use serde_json::{Value, json};

use super::{in_both, refused, release};

async fn stage(client: &Client, index: usize) -> StageState {
    client.get_pipeline_state().name("release").send().await.unwrap().stage_states()[index].clone()
}

async fn last(client: &Client) -> PipelineExecutionSummary {
    let found = client.list_pipeline_executions().pipeline_name("release").send().await.unwrap();
    found.pipeline_execution_summaries()[0].clone()
}

/// A pipeline, changed, whose first execution has gone as far as it goes by itself.
async fn begun(world: &World, client: &Client, changes: &[(&str, Value)]) -> String {
    client.create_pipeline().pipeline(release("release", changes)).send().await.unwrap();
    world.work().await;
    last(client).await.pipeline_execution_id().unwrap().to_owned()
}

/// Without the approval and the function: an execution goes through, or fails where a deploy's bucket is `broken`.
fn straight(bucket: &str) -> Vec<(&'static str, Value)> {
    let deploy = |name: &str, bucket: &str| {
        json!({"name": name, "inputArtifacts": [{"name": "App"}],
            "configuration": {"BucketName": bucket, "Extract": "false", "ObjectKey": "app.zip"},
            "actionTypeId": {"category": "Deploy", "owner": "AWS", "provider": "S3", "version": "1"}})
    };
    vec![
        ("/stages/1", json!({"name": "Ask", "actions": [deploy("One", "site"), deploy("Two", bucket)]})),
        ("/stages/2", json!({"name": "Test", "actions": [deploy("Three", "site")]})),
    ]
}

#[tokio::test]
async fn an_execution_is_stopped_once() {
    in_both(|world, client| async move {
        let id = begun(&world, &client, &[]).await;
        let stop = |abandon| {
            let call = client.stop_pipeline_execution().pipeline_name("release").pipeline_execution_id(&id);
            call.abandon(abandon).reason("enough")
        };
        assert_eq!(stop(false).send().await.unwrap().pipeline_execution_id(), Some(id.as_str()));
        assert_eq!(last(&client).await.status(), Some(&PipelineExecutionStatus::Stopping));
        assert_eq!(stage(&client, 1).await.latest_execution().unwrap().status(), &StageExecutionStatus::Stopping);
        assert_eq!(refused!(stop(false)).0, "DuplicatedStopRequestException");
        stop(true).send().await.unwrap();
        let summary = last(&client).await;
        assert_eq!(summary.status(), Some(&PipelineExecutionStatus::Stopped));
        assert_eq!(summary.stop_trigger().unwrap().reason(), Some("enough"));
        let ask = stage(&client, 1).await;
        assert_eq!(ask.latest_execution().unwrap().status(), &StageExecutionStatus::Stopped);
        let action = ask.action_states()[0].latest_execution().unwrap().clone();
        assert_eq!(action.status(), Some(&ActionExecutionStatus::Abandoned));
        let (code, message) = refused!(stop(true));
        assert_eq!(code, "PipelineExecutionNotStoppableException");
        assert!(message.contains(&id) && message.contains("stopped"), "{message}");
        let unknown = client.stop_pipeline_execution().pipeline_name("release");
        let unknown = unknown.pipeline_execution_id("4f1c6a5e-7c5d-4f6e-8a63-2a9f4d1d6c11");
        assert_eq!(refused!(unknown).0, "PipelineExecutionNotStoppableException");
        let nowhere = client.stop_pipeline_execution().pipeline_name("other").pipeline_execution_id(&id);
        assert_eq!(refused!(nowhere).0, "PipelineNotFoundException");
        drop(world);
    })
    .await;
}

#[tokio::test]
async fn a_failed_stage_is_retried_and_shown_with_its_retries() {
    in_both(|world, client| async move {
        let id = begun(&world, &client, &straight("broken")).await;
        assert_eq!(last(&client).await.status(), Some(&PipelineExecutionStatus::Failed));
        let retry = |stage: &str, id: &str| {
            let call = client.retry_stage_execution().pipeline_name("release").stage_name(stage);
            call.pipeline_execution_id(id).retry_mode(StageRetryMode::FailedActions)
        };
        assert_eq!(retry("Ask", &id).send().await.unwrap().pipeline_execution_id(), Some(id.as_str()));
        world.work().await;
        assert_eq!(last(&client).await.status(), Some(&PipelineExecutionStatus::Failed), "the bucket is still broken");
        let retries = stage(&client, 1).await.retry_stage_metadata().unwrap().clone();
        assert_eq!(retries.manual_stage_retry_attempt(), Some(1));
        assert_eq!(retries.auto_stage_retry_attempt(), None);
        assert_eq!(retries.latest_retry_trigger(), Some(&RetryTrigger::ManualStageRetry));
        let found = client.list_action_executions().pipeline_name("release").send().await.unwrap();
        let of = |name: &str| {
            let all = found.action_execution_details().iter();
            all.filter(|it| it.action_name() == Some(name)).count()
        };
        assert_eq!((of("One"), of("Two")), (1, 2), "what succeeded did not run again");

        assert_eq!(refused!(retry("Nowhere", &id)).0, "StageNotFoundException");
        assert_eq!(refused!(retry("Source", &id)).0, "StageNotRetryableException");
        assert_eq!(refused!(retry("Test", &id)).0, "StageNotRetryableException");
        let unknown = "4f1c6a5e-7c5d-4f6e-8a63-2a9f4d1d6c11";
        assert_eq!(refused!(retry("Ask", unknown)).0, "NotLatestPipelineExecutionException");
        client.start_pipeline_execution().name("release").send().await.unwrap();
        world.work().await;
        assert_eq!(refused!(retry("Ask", &id)).0, "NotLatestPipelineExecutionException");
        client.update_pipeline().pipeline(release("release", &straight("site"))).send().await.unwrap();
        let latest = last(&client).await.pipeline_execution_id().unwrap().to_owned();
        let (code, message) = refused!(retry("Ask", &latest));
        assert_eq!(code, "StageNotRetryableException");
        assert!(message.contains("structure"), "{message}");
    })
    .await;
}

#[tokio::test]
async fn failed_actions_are_retried_at_once_while_an_approval_waits() {
    in_both(|world, client| async move {
        let approve = json!({"name": "Approve",
            "actionTypeId": {"category": "Approval", "owner": "AWS", "provider": "Manual", "version": "1"}});
        let mut changes = straight("broken");
        changes[0].1["actions"].as_array_mut().unwrap().push(approve);
        let id = begun(&world, &client, &changes).await;
        let retry = |mode| {
            let call = client.retry_stage_execution().pipeline_name("release").stage_name("Ask");
            call.pipeline_execution_id(&id).retry_mode(mode)
        };
        let executions = || async {
            let found = client.list_action_executions().pipeline_name("release").send().await.unwrap();
            let details = found.action_execution_details().to_vec();
            let of =
                |name: &str| details.iter().filter(|it| it.action_name() == Some(name)).cloned().collect::<Vec<_>>();
            (of("Two"), of("Approve"))
        };
        let before = executions().await.1;
        assert_eq!(refused!(retry(StageRetryMode::AllActions)).0, "ConflictException");
        for retries in 1..=2 {
            retry(StageRetryMode::FailedActions).send().await.unwrap();
            world.work().await;
            let (tried, approvals) = executions().await;
            assert_eq!(tried.len(), retries + 1, "tried again without waiting for the approval");
            assert_eq!(approvals.len(), 1);
            assert_eq!(approvals[0].status(), Some(&ActionExecutionStatus::InProgress));
            assert_eq!(approvals[0].action_execution_id(), before[0].action_execution_id(), "it goes on as it was");
            let ask = stage(&client, 1).await;
            assert_eq!(ask.latest_execution().unwrap().status(), &StageExecutionStatus::InProgress);
            let retried = ask.retry_stage_metadata().unwrap().manual_stage_retry_attempt();
            assert_eq!(retried, Some(retries as i32));
        }
        let token = stage(&client, 1).await.action_states()[2].latest_execution().unwrap().token().unwrap().to_owned();
        let result = ApprovalResult::builder().status(ApprovalStatus::Approved).summary("fine").build().unwrap();
        let answer = client.put_approval_result().pipeline_name("release").stage_name("Ask").action_name("Approve");
        answer.token(token).result(result).send().await.unwrap();
        assert_eq!(executions().await.1[0].status(), Some(&ActionExecutionStatus::Succeeded));
        assert_eq!(last(&client).await.status(), Some(&PipelineExecutionStatus::Failed), "the bucket is still broken");
    })
    .await;
}

#[tokio::test]
async fn a_stage_is_rolled_back_to_an_execution_that_succeeded_in_it() {
    in_both(|world, client| async move {
        let good = begun(&world, &client, &straight("site")).await;
        assert_eq!(last(&client).await.status(), Some(&PipelineExecutionStatus::Succeeded));
        let back = |stage: &str, target: &str| {
            client.rollback_stage().pipeline_name("release").stage_name(stage).target_pipeline_execution_id(target)
        };
        let id = back("Test", &good).send().await.unwrap().pipeline_execution_id().to_owned();
        world.work().await;
        let summary = last(&client).await;
        assert_eq!(summary.pipeline_execution_id(), Some(id.as_str()));
        assert_eq!(summary.status(), Some(&PipelineExecutionStatus::Succeeded));
        assert_eq!(summary.execution_type(), Some(&ExecutionType::Rollback));
        assert_eq!(summary.source_revisions()[0].revision_id(), Some("v1"), "the target's");
        assert_eq!(summary.trigger().unwrap().trigger_type().unwrap().as_str(), "ManualRollback");
        assert_eq!(summary.trigger().unwrap().trigger_detail(), Some(CALLER));
        let got = client.get_pipeline_execution().pipeline_name("release").pipeline_execution_id(&id).send().await;
        let got = got.unwrap().pipeline_execution.unwrap();
        let target = got.rollback_metadata().unwrap().rollback_target_pipeline_execution_id();
        assert_eq!(target, Some(good.as_str()));
        let latest = stage(&client, 2).await.latest_execution().unwrap().clone();
        assert_eq!((latest.pipeline_execution_id(), latest.r#type()), (id.as_str(), Some(&ExecutionType::Rollback)));
        let ran = client.list_action_executions().pipeline_name("release").send().await.unwrap();
        let newest = &ran.action_execution_details()[0];
        assert_eq!(newest.pipeline_execution_id(), Some(id.as_str()));
        assert_eq!(newest.input().unwrap().input_artifacts()[0].name(), Some("App"), "made by the target");

        assert_eq!(refused!(back("Source", &good)).0, "UnableToRollbackStageException");
        assert_eq!(refused!(back("Test", &id)).0, "UnableToRollbackStageException");
        assert_eq!(refused!(back("Nowhere", &good)).0, "StageNotFoundException");
        let unknown = "4f1c6a5e-7c5d-4f6e-8a63-2a9f4d1d6c11";
        assert_eq!(refused!(back("Test", unknown)).0, "PipelineExecutionNotFoundException");
        client.update_pipeline().pipeline(release("release", &straight("site"))).send().await.unwrap();
        assert_eq!(refused!(back("Test", &good)).0, "PipelineExecutionOutdatedException");
    })
    .await;
}

fn guarded(result: &str) -> Vec<(&'static str, Value)> {
    let rule = json!({"name": "Check", "ruleTypeId":
        {"category": "Rule", "owner": "AWS", "provider": "LambdaInvoke", "version": "1"},
        "configuration": {"FunctionName": "check"}});
    let mut changes = straight("site");
    changes[1].1["beforeEntry"] = json!({"conditions": [{"result": result, "rules": [rule]}]});
    changes
}

#[tokio::test]
async fn a_condition_is_shown_listed_decided_and_overridden() {
    in_both(|world, client| async move {
        let id = begun(&world, &client, &guarded("FAIL")).await;
        let overrule = |id: &str, kind| {
            let call = client.override_stage_condition().pipeline_name("release").stage_name("Test");
            call.pipeline_execution_id(id).condition_type(kind)
        };
        let state = stage(&client, 2).await.before_entry_condition_state().unwrap().clone();
        assert_eq!(state.latest_execution().unwrap().status(), Some(&ConditionExecutionStatus::InProgress));
        let rule = state.condition_states()[0].rule_states()[0].clone();
        assert_eq!(rule.rule_name(), Some("Check"));
        let execution = rule.latest_execution().unwrap();
        assert_eq!(execution.status(), Some(&RuleExecutionStatus::InProgress));

        // The rule's function says no.
        let details = aws_sdk_codepipeline::types::FailureDetails::builder();
        let details = details.r#type(aws_sdk_codepipeline::types::FailureType::JobFailed).message("too risky");
        let job = world.job(execution.rule_execution_id().unwrap()).await;
        let failure = client.put_job_failure_result().job_id(job).failure_details(details.build().unwrap());
        failure.send().await.unwrap();
        let test = stage(&client, 2).await;
        assert_eq!(test.latest_execution().unwrap().status(), &StageExecutionStatus::Failed);
        let condition = test.before_entry_condition_state().unwrap().latest_execution().unwrap().clone();
        assert_eq!(condition.status(), Some(&ConditionExecutionStatus::Failed));
        let filter = RuleExecutionFilter::builder().pipeline_execution_id(&id).build();
        let ran = client.list_rule_executions().pipeline_name("release").filter(filter).send().await.unwrap();
        let detail = &ran.rule_execution_details()[0];
        assert_eq!((detail.rule_name(), detail.stage_name()), (Some("Check"), Some("Test")));
        assert_eq!(detail.input().unwrap().rule_type_id().unwrap().provider(), "LambdaInvoke");
        let result = detail.output().unwrap().execution_result().unwrap();
        assert_eq!(result.error_details().unwrap().message(), Some("too risky"));

        assert_eq!(refused!(overrule(&id, ConditionType::OnSuccess)).0, "ConditionNotOverridableException");
        let unknown = "4f1c6a5e-7c5d-4f6e-8a63-2a9f4d1d6c11";
        let unknown = overrule(unknown, ConditionType::BeforeEntry);
        assert_eq!(refused!(unknown).0, "NotLatestPipelineExecutionException");
        overrule(&id, ConditionType::BeforeEntry).send().await.unwrap();
        world.work().await;
        assert_eq!(last(&client).await.status(), Some(&PipelineExecutionStatus::Succeeded));
        let condition = stage(&client, 2).await.before_entry_condition_state().unwrap().clone();
        let condition = condition.latest_execution().unwrap().clone();
        assert_eq!(condition.status(), Some(&ConditionExecutionStatus::Overridden));
        assert!(condition.summary().unwrap().contains(CALLER));
        assert_eq!(refused!(overrule(&id, ConditionType::BeforeEntry)).0, "ConditionNotOverridableException");
    })
    .await;
}

#[tokio::test]
async fn a_condition_that_skips_leaves_the_stage_out_and_cannot_be_overridden() {
    in_both(|world, client| async move {
        let id = begun(&world, &client, &guarded("SKIP")).await;
        let call = client.override_stage_condition().pipeline_name("release").stage_name("Test");
        let call = call.pipeline_execution_id(&id).condition_type(ConditionType::BeforeEntry);
        assert_eq!(refused!(call).0, "ConditionNotOverridableException");
        let state = stage(&client, 2).await.before_entry_condition_state().unwrap().clone();
        let job = state.condition_states()[0].rule_states()[0].latest_execution().unwrap().clone();
        let details = aws_sdk_codepipeline::types::FailureDetails::builder();
        let details = details.r#type(aws_sdk_codepipeline::types::FailureType::JobFailed).message("not today");
        let job = world.job(job.rule_execution_id().unwrap()).await;
        let failure = client.put_job_failure_result().job_id(job);
        failure.failure_details(details.build().unwrap()).send().await.unwrap();
        world.work().await;
        assert_eq!(stage(&client, 2).await.latest_execution().unwrap().status(), &StageExecutionStatus::Skipped);
        assert_eq!(last(&client).await.status(), Some(&PipelineExecutionStatus::Succeeded));
    })
    .await;
}

#[tokio::test]
async fn parallel_executions_have_no_common_state_and_approvals_of_their_own() {
    in_both(|world, client| async move {
        let first = begun(&world, &client, &[("/executionMode", json!("PARALLEL"))]).await;
        client.start_pipeline_execution().name("release").send().await.unwrap();
        world.work().await;
        let second = last(&client).await;
        assert_eq!(second.execution_mode(), Some(&ExecutionMode::Parallel));
        let ask = stage(&client, 1).await;
        assert!(ask.latest_execution().is_none() && ask.action_states()[0].latest_execution().is_none());
        // Where stages have no state, the token is the external execution id of the approval.
        let token = |id: &str| {
            let filter = ActionExecutionFilter::builder().pipeline_execution_id(id).build();
            let call = client.list_action_executions().pipeline_name("release").filter(filter);
            async move {
                let found = call.send().await.unwrap();
                let asked = found.action_execution_details().iter().find(|it| it.action_name() == Some("Approve"));
                let result = asked.unwrap().output().unwrap().execution_result().cloned();
                result.and_then(|result| result.external_execution_id)
            }
        };
        let (mine, other) = (token(&first).await.unwrap(), token(second.pipeline_execution_id().unwrap()).await);
        assert_ne!(Some(&mine), other.as_ref());
        let result = aws_sdk_codepipeline::types::ApprovalResult::builder().summary("no");
        let result = result.status(aws_sdk_codepipeline::types::ApprovalStatus::Rejected).build().unwrap();
        let put = client.put_approval_result().pipeline_name("release").stage_name("Ask").action_name("Approve");
        put.token(&mine).result(result).send().await.unwrap();
        let get = |id: &str| client.get_pipeline_execution().pipeline_name("release").pipeline_execution_id(id).send();
        let status = get(&first).await.unwrap().pipeline_execution.unwrap().status.unwrap();
        assert_eq!(status, PipelineExecutionStatus::Failed);
        assert_ne!(token(&first).await, Some(mine), "an approval that is over shows no token");
        let second = second.pipeline_execution_id().unwrap();
        let status = get(second).await.unwrap().pipeline_execution.unwrap().status.unwrap();
        assert_eq!(status, PipelineExecutionStatus::InProgress, "it was not asked");

        let disable = client.disable_stage_transition().pipeline_name("release").stage_name("Test");
        let disable = disable.transition_type(StageTransitionType::Inbound).reason("freeze");
        assert_eq!(refused!(disable).0, "ValidationException");
        let back = client.rollback_stage().pipeline_name("release").stage_name("Test");
        assert_eq!(refused!(back.target_pipeline_execution_id(&first)).0, "UnableToRollbackStageException");
    })
    .await;
}

#[tokio::test]
async fn the_state_keeps_the_last_run_of_an_action_until_it_runs_again() {
    in_both(|world, client| async move {
        let mut changes = straight("site");
        changes[0].1["actions"][1]["runOrder"] = json!(2);
        let first = begun(&world, &client, &changes).await;
        let shown = async |action: usize| {
            let state = stage(&client, 1).await;
            state.action_states()[action].latest_execution().unwrap().action_execution_id().unwrap().to_owned()
        };
        let before = [shown(0).await, shown(1).await];
        // The next execution fails in the first action.
        changes[0].1["actions"][0]["configuration"]["BucketName"] = json!("broken");
        let run = async |changes: &[(&'static str, Value)]| {
            client.update_pipeline().pipeline(release("release", changes)).send().await.unwrap();
            client.start_pipeline_execution().name("release").send().await.unwrap();
            world.work().await;
        };
        run(&changes).await;
        let state = stage(&client, 1).await;
        assert_ne!(state.latest_execution().unwrap().pipeline_execution_id(), first);
        assert_eq!(state.latest_execution().unwrap().status(), &StageExecutionStatus::Failed);
        let now = [shown(0).await, shown(1).await];
        assert_ne!(now[0], before[0], "it ran again");
        assert_eq!(now[1], before[1], "its turn has not come");
        let status = state.action_states()[1].latest_execution().unwrap().status();
        assert_eq!(status, Some(&ActionExecutionStatus::Succeeded));
        changes[0].1["actions"][0]["configuration"]["BucketName"] = json!("site");
        run(&changes).await;
        assert_ne!(shown(1).await, before[1]);
    })
    .await;
}

#[tokio::test]
async fn an_execution_that_goes_on_says_what_it_waits_for() {
    in_both(|world, client| async move {
        let id = begun(&world, &client, &[]).await;
        let get = || client.get_pipeline_execution().pipeline_name("release").pipeline_execution_id(&id).send();
        let why = get().await.unwrap().pipeline_execution.unwrap().status_summary.unwrap();
        assert!(why.starts_with("Action Approve in stage Ask waits for somebody to approve or reject it"), "{why}");
        let listed = async || last(&client).await.status_summary.unwrap();
        assert_eq!(listed().await, why, "the list says it as well");
        let stop = client.stop_pipeline_execution().pipeline_name("release").pipeline_execution_id(&id);
        stop.abandon(true).reason("enough").send().await.unwrap();
        let why = get().await.unwrap().pipeline_execution.unwrap().status_summary.unwrap();
        assert_eq!(why, "Stopped: enough");
        assert_eq!(listed().await, why);
        drop(world);
    })
    .await;
}

#[tokio::test]
async fn a_failed_execution_says_in_the_list_as_well_why_it_failed() {
    in_both(|world, client| async move {
        let id = begun(&world, &client, &straight("broken")).await;
        let get = client.get_pipeline_execution().pipeline_name("release").pipeline_execution_id(&id);
        let shown = get.send().await.unwrap().pipeline_execution.unwrap().status_summary.unwrap();
        let listed = last(&client).await;
        assert_eq!(listed.status(), Some(&PipelineExecutionStatus::Failed));
        assert_eq!(listed.status_summary(), Some(shown.as_str()));
        assert_eq!(shown, "Action Two in stage Ask failed: The bucket 'broken' is gone.");
    })
    .await;
}

#[tokio::test]
async fn a_full_queue_refuses_further_starts() {
    in_both(|world, client| async move {
        begun(&world, &client, &[("/executionMode", json!("QUEUED"))]).await;
        for _ in 1..pipeline::limits::CONCURRENT_EXECUTIONS {
            client.start_pipeline_execution().name("release").send().await.unwrap();
        }
        let (code, message) = refused!(client.start_pipeline_execution().name("release"));
        assert_eq!(code, "ConcurrentPipelineExecutionsLimitExceededException");
        assert!(message.contains("50"), "{message}");
        assert_eq!(stage(&client, 0).await.inbound_executions().len(), 48, "one is in it, one in the next stage");
        drop(world);
    })
    .await;
}
