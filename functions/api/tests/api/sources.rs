//! Revisions of sources, rule types, targets of deployments.

use aws_sdk_codepipeline::Client;
use aws_sdk_codepipeline::operation::put_action_revision::builders::PutActionRevisionFluentBuilder;
use aws_sdk_codepipeline::primitives::DateTime;
use aws_sdk_codepipeline::types::{
    ActionRevision, ApprovalResult, ApprovalStatus, PipelineDeclaration, SourceRevisionOverride, SourceRevisionType,
    TargetFilter, TargetFilterName, TriggerType,
};
use conformance::world::{CALLER, World};
use serde_json::{Value, json};

use super::{client, in_both, refused, release};

/// A pipeline whose source is at GitHub, beside one in S3.
fn reported(name: &str) -> PipelineDeclaration {
    let sources = json!([
        {
            "name": "Fetch",
            "actionTypeId": {"category": "Source", "owner": "ThirdParty", "provider": "GitHub", "version": "1"},
            "configuration": {"Owner": "us", "Repo": "app", "Branch": "main", "OAuthToken": "hunter2"},
            "outputArtifacts": [{"name": "App"}],
        },
        {
            "name": "Data",
            "actionTypeId": {"category": "Source", "owner": "AWS", "provider": "S3", "version": "1"},
            "configuration": {"S3Bucket": "data", "S3ObjectKey": "data.zip"},
            "outputArtifacts": [{"name": "Data"}],
        },
    ]);
    release(name, &[("/stages/0/actions", sources), ("/stages/3/actions/0/configuration/ObjectKey", json!("app.zip"))])
}

fn put(client: &Client, revision: &str) -> PutActionRevisionFluentBuilder {
    let revision = ActionRevision::builder()
        .revision_id(revision)
        .revision_change_id("change-1")
        .created(DateTime::from_secs(1_700_000_000))
        .build()
        .unwrap();
    client
        .put_action_revision()
        .pipeline_name("release")
        .stage_name("Source")
        .action_name("Fetch")
        .action_revision(revision)
}

#[tokio::test]
async fn an_object_starts_a_pipeline_unless_its_source_says_false_to_polling() {
    let world = World::new();
    let client = client(&world);
    let poll = "/stages/0/actions/0/configuration/PollForSourceChanges";
    client.create_pipeline().pipeline(release("release", &[])).send().await.unwrap();
    let watchers = async || {
        let declared = world.app.driver.pipeline(&pipeline::PipelineName::new("release").unwrap(), None).await.unwrap();
        let source = declared.pipeline.stages()[0].actions[0].configuration.clone();
        let watched = format!("s3/{}/{}", source["S3Bucket"], source["S3ObjectKey"]);
        world.app.driver.watchers(&watched, None).await.unwrap().len()
    };
    assert_eq!(watchers().await, 1, "left out means true");
    for (said, count) in [("false", 0), ("true", 1), ("False", 0)] {
        let declared = release("release", &[(poll, json!(said))]);
        client.update_pipeline().pipeline(declared).send().await.unwrap();
        assert_eq!(watchers().await, count, "{said}");
    }
}

#[tokio::test]
async fn a_new_revision_starts_an_execution_and_the_same_one_does_not() {
    in_both(|_world, client| async move {
        client.create_pipeline().pipeline(reported("release")).send().await.unwrap();
        let report = async |revision: &str| {
            let put = put(&client, revision).send().await.unwrap();
            (put.new_revision(), put.pipeline_execution_id().unwrap().to_owned())
        };
        let first = report("1").await;
        assert!(first.0);
        assert_eq!(report("1").await, (false, first.1.clone()));
        let second = report("2").await;
        assert!(second.0 && second.1 != first.1);
        let again = report("1").await;
        assert!(again.0 && again.1 != first.1, "it is another change when there was another revision meanwhile");
        assert!(report(&"r".repeat(1_500)).await.0);
        let runs = client.list_pipeline_executions().pipeline_name("release").send().await.unwrap();
        let runs = runs.pipeline_execution_summaries();
        assert_eq!(runs.len(), 5, "four, and the one at the pipeline's creation");
        let trigger = runs[0].trigger().unwrap();
        assert_eq!(trigger.trigger_type(), Some(&TriggerType::PutActionRevision));
        assert_eq!(trigger.trigger_detail(), Some(CALLER));
    })
    .await;
}

#[tokio::test]
async fn an_execution_shows_what_made_a_reported_revision_the_current_one() {
    in_both(|world, client| async move {
        client.create_pipeline().pipeline(reported("release")).send().await.unwrap();
        let id = put(&client, "7f3").send().await.unwrap().pipeline_execution_id.unwrap();
        world.work().await;
        let get = client.get_pipeline_execution().pipeline_name("release").pipeline_execution_id(id);
        let execution = get.send().await.unwrap().pipeline_execution.unwrap();
        let found = execution.artifact_revisions().iter().find(|it| it.name() == Some("App")).unwrap();
        assert_eq!((found.revision_id(), found.revision_change_identifier()), (Some("7f3"), Some("change-1")));
        assert_eq!(found.created(), Some(&DateTime::from_secs(1_700_000_000)));
    })
    .await;
}

#[tokio::test]
async fn a_report_whose_note_was_lost_starts_nothing_again() {
    let world = World::new();
    let client = client(&world);
    client.create_pipeline().pipeline(reported("release")).send().await.unwrap();
    let first = put(&client, "1").send().await.unwrap();
    // As if the process had died between the start and the note of it.
    let name = pipeline::PipelineName::new("release").unwrap();
    let incarnation = world.app.driver.pipeline_head(&name).await.unwrap().incarnation;
    let key = store::Key::Revision(name, incarnation, pipeline::ActionName::new("Fetch").unwrap());
    let lost = store::Write::Delete { key, expect: store::Expect::Revision(1) };
    world.app.driver.store().commit(vec![lost]).await.unwrap();
    let again = put(&client, "1").send().await.unwrap();
    assert_eq!((again.new_revision(), again.pipeline_execution_id()), (false, first.pipeline_execution_id()));
    assert!(put(&client, "2").send().await.unwrap().new_revision());
}

#[tokio::test]
async fn a_report_starts_nothing_that_a_start_would_not() {
    let world = World::new();
    let client = client(&world);
    let mut declared = wire::to_json(&reported("release")).unwrap();
    declared["variables"] = json!([{"name": "target"}]);
    let declared: PipelineDeclaration = wire::from_json(&declared).unwrap();
    client.create_pipeline().pipeline(declared).send().await.unwrap();
    let (code, message) = refused!(put(&client, "1"));
    assert_eq!(code, "ValidationException");
    assert!(message.contains("target"), "{message}");
    client.update_pipeline().pipeline(reported("release")).send().await.unwrap();
    assert!(put(&client, "1").send().await.unwrap().new_revision(), "what was refused is not remembered");
}

#[tokio::test]
async fn reports_that_are_refused() {
    in_both(|_world, client| async move {
        client.create_pipeline().pipeline(reported("release")).send().await.unwrap();
        assert_eq!(refused!(put(&client, "1").pipeline_name("gone")).0, "PipelineNotFoundException");
        assert_eq!(refused!(put(&client, "1").stage_name("Nowhere")).0, "StageNotFoundException");
        assert_eq!(refused!(put(&client, "1").action_name("Nothing")).0, "ActionNotFoundException");
        for (stage, action) in [("Source", "Data"), ("Deploy", "Publish"), ("Ask", "Approve")] {
            let (code, message) = refused!(put(&client, "1").stage_name(stage).action_name(action));
            assert_eq!(code, "ValidationException");
            assert!(message.contains(action), "{message}");
        }
        let runs = client.list_pipeline_executions().pipeline_name("release").send().await.unwrap();
        assert_eq!(runs.pipeline_execution_summaries().len(), 1, "nothing was started");
    })
    .await;
}

#[tokio::test]
async fn a_start_prescribes_revisions_of_its_sources_kinds_once_each() {
    in_both(|_world, client| async move {
        let allow = ("/stages/0/actions/0/configuration/AllowOverrideForS3ObjectKey", json!("true"));
        client.create_pipeline().pipeline(release("release", &[allow])).send().await.unwrap();
        client.create_pipeline().pipeline(release("fixed", &[])).send().await.unwrap();
        use SourceRevisionType as Kind;
        let start = |pipeline: &str, given: Vec<(&str, Kind)>| {
            let given = given.into_iter().map(|(action, kind)| {
                let given = SourceRevisionOverride::builder().action_name(action).revision_type(kind);
                given.revision_value("v7").build().unwrap()
            });
            client.start_pipeline_execution().name(pipeline).set_source_revisions(Some(given.collect()))
        };
        start("release", vec![("Fetch", Kind::S3ObjectVersionId), ("Fetch", Kind::S3ObjectKey)]).send().await.unwrap();
        start("fixed", vec![("Fetch", Kind::S3ObjectVersionId)]).send().await.unwrap();
        for (pipeline, given, word) in [
            ("release", vec![("Fetch", Kind::CommitId)], "COMMIT_ID"),
            ("release", vec![("Fetch", Kind::ImageDigest)], "S3"),
            ("release", vec![("Fetch", Kind::S3ObjectKey), ("Fetch", Kind::S3ObjectKey)], "two revisions"),
            ("release", vec![("Nothing", Kind::S3ObjectKey)], "Nothing"),
            ("release", vec![("Publish", Kind::S3ObjectVersionId)], "Publish"),
            ("fixed", vec![("Fetch", Kind::S3ObjectKey)], "AllowOverrideForS3ObjectKey"),
        ] {
            let (code, message) = refused!(start(pipeline, given));
            assert_eq!(code, "ValidationException");
            assert!(message.contains(word) && message.contains("sourceRevisions"), "{message}");
        }
    })
    .await;
}

#[tokio::test]
async fn rule_types_are_the_catalogue_s() {
    in_both(|_world, client| async move {
        let all = client.list_rule_types().rule_owner_filter("AWS".into()).region_filter("eu-west-1").send().await;
        let all = all.unwrap();
        let names: Vec<_> = all.rule_types().iter().map(|it| it.id().unwrap().provider()).collect();
        let known: Vec<_> = pipeline::catalogue::rules::all().iter().map(|it| it.provider).collect();
        assert_eq!(names, known);
        let window = all.rule_types().iter().find(|it| it.id().unwrap().provider() == "DeploymentWindow").unwrap();
        let keys: Vec<_> = window.rule_configuration_properties().iter().map(|it| (it.name(), it.required())).collect();
        assert_eq!(keys, [("Cron", true), ("TimeZone", false)]);
        let inputs = window.input_artifact_details().unwrap();
        assert_eq!((inputs.minimum_count(), inputs.maximum_count()), (0, 0));
        assert_eq!(refused!(client.list_rule_types().rule_owner_filter("Custom".into())).0, "ValidationException");
    })
    .await;
}

/// A release that has gone to its end. Gives the id of an action execution by the action's name.
async fn released(world: &World, client: &Client, action: &str, changes: &[(&str, Value)]) -> String {
    client.create_pipeline().pipeline(release("release", changes)).send().await.unwrap();
    world.work().await;
    let state = client.get_pipeline_state().name("release").send().await.unwrap();
    let waiting = state.stage_states()[1].action_states()[0].latest_execution().unwrap().clone();
    let answer = ApprovalResult::builder().summary("ok").status(ApprovalStatus::Approved).build().unwrap();
    let approve = client.put_approval_result().pipeline_name("release").stage_name("Ask").action_name("Approve");
    approve.token(waiting.token().unwrap()).result(answer).send().await.unwrap();
    world.work().await;
    let id = async |name: &str| {
        let ran = client.list_action_executions().pipeline_name("release").send().await.unwrap();
        let found = ran.action_execution_details().iter().find(|it| it.action_name() == Some(name)).unwrap();
        found.action_execution_id().unwrap().to_owned()
    };
    client.put_job_success_result().job_id(world.job(&id("Call").await).await).send().await.unwrap();
    world.work().await;
    id(action).await
}

#[tokio::test]
async fn a_deployment_by_codedeploy_has_its_group_as_its_target() {
    in_both(|world, client| async move {
        let changes = [
            ("/stages/3/actions/0/actionTypeId/provider", json!("CodeDeploy")),
            ("/stages/3/actions/0/configuration", json!({"ApplicationName": "shop", "DeploymentGroupName": "prod"})),
        ];
        let id = released(&world, &client, "Publish", &changes).await;
        let found = client.list_deploy_action_execution_targets().action_execution_id(&id).send().await.unwrap();
        let [target] = found.targets() else { panic!("{found:?}") };
        assert_eq!((target.target_id(), target.target_type()), (Some("prod"), Some("CodeDeployDeploymentGroup")));
    })
    .await;
}

#[tokio::test]
async fn a_deployment_to_s3_has_its_bucket_as_its_target() {
    in_both(|world, client| async move {
        let id = released(&world, &client, "Publish", &[]).await;
        let list = || client.list_deploy_action_execution_targets().action_execution_id(&id);
        let found = list().pipeline_name("release").send().await.unwrap();
        let [target] = found.targets() else { panic!("{found:?}") };
        assert_eq!((target.target_id(), target.status()), (Some("site"), Some("Succeeded")));
        assert!(target.start_time().is_some() && target.end_time().is_some());
        assert_eq!(list().send().await.unwrap().targets(), found.targets());
        let filter = |values: &[&str]| {
            let filter = TargetFilter::builder().name(TargetFilterName::TargetStatus);
            filter.set_values(Some(values.iter().map(|it| (*it).to_owned()).collect())).build()
        };
        assert_eq!(list().filters(filter(&["Failed", "Succeeded"])).send().await.unwrap().targets().len(), 1);
        assert_eq!(list().filters(filter(&["Failed"])).send().await.unwrap().targets().len(), 0);
        assert_eq!(refused!(list().next_token("nonsense")).0, "InvalidNextTokenException");
        assert_eq!(refused!(list().pipeline_name("gone")).0, "PipelineNotFoundException");
        client.create_pipeline().pipeline(release("other", &[])).send().await.unwrap();
        assert_eq!(refused!(list().pipeline_name("other")).0, "ActionExecutionNotFoundException");
        client.delete_pipeline().name("release").send().await.unwrap();
        assert_eq!(refused!(list()).0, "PipelineNotFoundException");
    })
    .await;
}

#[tokio::test]
async fn what_is_no_deployment_has_no_targets() {
    in_both(|world, client| async move {
        let id = released(&world, &client, "Fetch", &[]).await;
        let list = |id: &str| client.list_deploy_action_execution_targets().action_execution_id(id);
        let (code, message) = refused!(list(&id));
        assert_eq!(code, "ValidationException");
        assert!(message.contains("Fetch"), "{message}");
        let random = "11111111-2222-8333-8444-000000010000";
        for unknown in ["nonsense", random, &format!("{}0301{}", &id[..26], &id[30..])] {
            assert_eq!(refused!(list(unknown)).0, "ActionExecutionNotFoundException", "{unknown}");
        }
    })
    .await;
}
