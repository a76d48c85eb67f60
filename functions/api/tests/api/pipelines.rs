use aws_sdk_codepipeline::types::{
    ExecutionMode, PipelineExecutionStatus, PipelineType, SourceRevisionOverride, SourceRevisionType, Tag, TriggerType,
};
use conformance::world::{CALLER, World};
use serde_json::json;

use super::{client, in_both, refused, release};

fn tag(key: &str, value: &str) -> Tag {
    Tag::builder().key(key).value(value).build().unwrap()
}

#[tokio::test]
async fn a_pipeline_is_created_shown_and_started() {
    in_both(|_world, client| async move {
        let made =
            client.create_pipeline().pipeline(release("release", &[])).tags(tag("team", "blue")).send().await.unwrap();
        let pipeline = made.pipeline().unwrap();
        assert_eq!((pipeline.name(), pipeline.version()), ("release", Some(1)));
        assert_eq!(made.tags(), [tag("team", "blue")]);

        let found = client.get_pipeline().name("release").send().await.unwrap();
        assert_eq!(found.pipeline(), Some(pipeline));
        assert_eq!(pipeline.execution_mode(), Some(&ExecutionMode::Superseded));
        assert_eq!(pipeline.stages()[0].actions()[0].run_order(), Some(1));
        let metadata = found.metadata().unwrap();
        assert_eq!(metadata.pipeline_arn(), Some("arn:aws:codepipeline:eu-west-1:111122223333:release"));
        assert!(metadata.created().is_some() && metadata.created() == metadata.updated());

        let runs = client.list_pipeline_executions().pipeline_name("release").send().await.unwrap();
        let [run] = runs.pipeline_execution_summaries() else { panic!("it starts once by itself: {runs:?}") };
        let trigger = run.trigger().unwrap();
        assert_eq!(trigger.trigger_type(), Some(&TriggerType::CreatePipeline));
        assert_eq!(trigger.trigger_detail(), Some(CALLER));
    })
    .await;
}

#[tokio::test]
async fn a_declaration_that_breaks_a_rule_is_refused_with_its_place() {
    in_both(|_world, client| async move {
        let create =
            |changes: &[(&str, serde_json::Value)]| client.create_pipeline().pipeline(release("release", changes));
        let (code, message) = refused!(create(&[("/stages/1/name", json!("Source"))]));
        assert_eq!(code, "InvalidStageDeclarationException", "{message}");
        assert!(message.contains("pipeline.stages.2.member"), "{message}");

        let (code, message) = refused!(create(&[("/stages/3/actions/0/inputArtifacts", json!([{"name": "Lost"}]))]));
        assert_eq!(code, "InvalidActionDeclarationException", "{message}");
        assert!(message.contains("pipeline.stages.4.member.actions.1.member") && message.contains("Lost"), "{message}");

        let (code, message) = refused!(create(&[("/stages", json!([]))]));
        assert!(code.starts_with("Invalid") || code == "ValidationException", "{code}: {message}");

        let (code, message) = refused!(create(&[("/name", json!("no spaces"))]));
        assert_eq!(code, "ValidationException", "{message}");
        assert!(message.contains("'pipeline.name'"), "{message}");
        let (code, _) = refused!(client.get_pipeline().name("release"));
        assert_eq!(code, "PipelineNotFoundException", "nothing was left half done");
    })
    .await;
}

#[tokio::test]
async fn modes_other_than_superseded_need_a_v2_pipeline() {
    in_both(|world, client| async move {
        client.create_pipeline().pipeline(release("release", &[])).send().await.unwrap();
        for mode in ["QUEUED", "PARALLEL"] {
            let v1 = [("/executionMode", json!(mode)), ("/pipelineType", json!("V1"))];
            let v1 = release("release", &v1);
            let (code, message) = refused!(client.update_pipeline().pipeline(v1));
            assert_eq!(code, "InvalidStructureException");
            assert!(message.contains("executionMode"), "{message}");
            let v2 = release("release", &[("/executionMode", json!(mode))]);
            let updated = client.update_pipeline().pipeline(v2).send().await.unwrap().pipeline.unwrap();
            assert_eq!(updated.execution_mode().unwrap().as_str(), mode);
        }
        drop(world);
    })
    .await;
}

#[tokio::test]
async fn a_connection_shows_its_default_trigger_until_it_detects_no_changes() {
    in_both(|_world, client| async move {
        let source = |configuration: serde_json::Value| {
            let mut source = json!({
                "name": "Git",
                "actionTypeId":
                    {"category": "Source", "owner": "AWS", "provider": "CodeStarSourceConnection", "version": "1"},
                "configuration": {"ConnectionArn": "arn", "FullRepositoryId": "us/app", "BranchName": "main"},
                "outputArtifacts": [{"name": "App"}],
            });
            let given = configuration.as_object().unwrap().clone();
            source["configuration"].as_object_mut().unwrap().extend(given);
            let key = ("/stages/3/actions/0/configuration/ObjectKey", json!("app.zip"));
            release("release", &[("/stages/0/actions", json!([source])), key])
        };
        let made = client.create_pipeline().pipeline(source(json!({}))).send().await.unwrap().pipeline.unwrap();
        let [trigger] = made.triggers() else { panic!("one trigger: {made:?}") };
        assert_eq!(trigger.provider_type().as_str(), "CodeStarSourceConnection");
        let git = trigger.git_configuration().unwrap();
        assert_eq!(git.source_action_name(), "Git");
        assert!(git.push().is_empty() && git.pull_request().is_empty());
        let update = |declared| client.update_pipeline().pipeline(declared);
        let again = update(source(json!({}))).send().await.unwrap().pipeline.unwrap();
        assert_eq!(again.triggers(), made.triggers(), "an update that leaves it out");
        let off = update(source(json!({"DetectChanges": "false"}))).send().await.unwrap().pipeline.unwrap();
        assert!(off.triggers().is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_name_is_taken_once() {
    let world = World::new();
    let client = client(&world);
    client.create_pipeline().pipeline(release("release", &[])).send().await.unwrap();
    let (code, message) = refused!(client.create_pipeline().pipeline(release("release", &[])));
    assert_eq!(code, "PipelineNameInUseException");
    assert!(message.contains("release"), "{message}");
}

#[tokio::test]
async fn an_update_makes_the_next_version_and_the_old_one_stays() {
    in_both(|_world, client| async move {
        client.create_pipeline().pipeline(release("release", &[])).send().await.unwrap();
        let changed = release("release", &[("/version", json!(1)), ("/stages/3/name", json!("Production"))]);
        let updated = client.update_pipeline().pipeline(changed).send().await.unwrap();
        assert_eq!(updated.pipeline().unwrap().version(), Some(2));
        let stage = async |version: Option<i32>| {
            let found = client.get_pipeline().name("release").set_version(version).send().await.unwrap();
            found.pipeline().unwrap().stages()[3].name().to_owned()
        };
        assert_eq!(stage(Some(1)).await, "Deploy");
        assert_eq!(stage(None).await, "Production");
        let (code, message) = refused!(client.get_pipeline().name("release").version(3));
        assert_eq!(code, "PipelineVersionNotFoundException");
        assert!(message.contains("release") && message.contains('3'), "{message}");
        let (code, _) = refused!(client.get_pipeline().name("release").version(0));
        assert_eq!(code, "ValidationException");
    })
    .await;
}

#[tokio::test]
async fn updating_what_is_not_there_is_refused() {
    let world = World::new();
    let (code, message) = refused!(client(&world).update_pipeline().pipeline(release("gone", &[])));
    assert_eq!(code, "InvalidStructureException");
    assert!(message.contains("does not include a pipeline with the name 'gone'"), "{message}");
}

#[tokio::test]
async fn secrets_are_masked_and_stay_where_an_update_says_so() {
    let world = World::new();
    let client = client(&world);
    let source = json!({
        "name": "Fetch",
        "actionTypeId": {"category": "Source", "owner": "ThirdParty", "provider": "GitHub", "version": "1"},
        "configuration": {"Owner": "us", "Repo": "app", "Branch": "main", "OAuthToken": "hunter2"},
        "outputArtifacts": [{"name": "App"}],
    });
    let declared = release(
        "release",
        &[("/stages/0/actions", json!([source])), ("/stages/3/actions/0/configuration/ObjectKey", json!("app.zip"))],
    );
    let made = client.create_pipeline().pipeline(declared).send().await.unwrap();
    let shown = made.pipeline().unwrap();
    let token = |declaration: &aws_sdk_codepipeline::types::PipelineDeclaration| {
        declaration.stages()[0].actions()[0].configuration().unwrap()["OAuthToken"].clone()
    };
    assert_eq!(token(shown), "****");
    let updated = client.update_pipeline().pipeline(shown.clone()).send().await.unwrap();
    assert_eq!(token(updated.pipeline().unwrap()), "****");
    let found = client.get_pipeline().name("release").send().await.unwrap();
    assert_eq!(token(found.pipeline().unwrap()), "****");
    let listed = client.list_action_executions().pipeline_name("release").send().await.unwrap();
    assert!(!format!("{listed:?}").contains("hunter2"));
    let [fetch] = listed.action_execution_details() else { panic!("{listed:?}") };
    let input = fetch.input().unwrap();
    assert_eq!(input.configuration().unwrap()["OAuthToken"], "****");
    assert_eq!(input.resolved_configuration().unwrap()["OAuthToken"], "****");
    assert_eq!(input.resolved_configuration().unwrap()["Repo"], "app");
    let name = pipeline::PipelineName::new("release").unwrap();
    let kept = world.app.driver.pipeline(&name, None).await.unwrap();
    assert_eq!(kept.pipeline.stages()[0].actions[0].configuration["OAuthToken"], "hunter2", "the mask kept it");
}

#[tokio::test]
async fn a_deleted_pipeline_is_gone_and_may_be_deleted_again() {
    in_both(|_world, client| async move {
        client.create_pipeline().pipeline(release("release", &[])).send().await.unwrap();
        client.delete_pipeline().name("release").send().await.unwrap();
        client.delete_pipeline().name("release").send().await.unwrap();
        let missing = "The account with id '111122223333' does not include a pipeline with the name 'release'";
        let expected = ("PipelineNotFoundException".to_owned(), missing.to_owned());
        assert_eq!(refused!(client.get_pipeline().name("release")), expected);
        assert_eq!(refused!(client.get_pipeline_state().name("release")), expected);
        let missing = "Pipeline with name release does not exist in account 111122223333.";
        let started = refused!(client.start_pipeline_execution().name("release"));
        assert_eq!(started, ("PipelineNotFoundException".to_owned(), missing.to_owned()));
        assert_eq!(refused!(client.list_pipeline_executions().pipeline_name("release")), expected);
        assert_eq!(refused!(client.list_action_executions().pipeline_name("release")), expected);
    })
    .await;
}

#[tokio::test]
async fn a_pipeline_of_the_same_name_is_another_one() {
    let world = World::new();
    let client = client(&world);
    client.create_pipeline().pipeline(release("release", &[])).send().await.unwrap();
    client.start_pipeline_execution().name("release").send().await.unwrap();
    let old = client.list_pipeline_executions().pipeline_name("release").send().await.unwrap();
    let old = old.pipeline_execution_summaries()[0].pipeline_execution_id().unwrap().to_owned();
    client.delete_pipeline().name("release").send().await.unwrap();
    client.create_pipeline().pipeline(release("release", &[])).send().await.unwrap();
    let new = client.list_pipeline_executions().pipeline_name("release").send().await.unwrap();
    assert_eq!(new.pipeline_execution_summaries().len(), 1);
    let (code, _) = refused!(client.get_pipeline_execution().pipeline_name("release").pipeline_execution_id(old));
    assert_eq!(code, "PipelineExecutionNotFoundException");
}

#[tokio::test]
async fn pipelines_are_listed_by_pages() {
    in_both(|world, client| async move {
        for number in 0..7 {
            let name = format!("release-{number}");
            client.create_pipeline().pipeline(release(&name, &[])).send().await.unwrap();
        }
        let (mut names, mut token) = (Vec::new(), None);
        loop {
            let page = client.list_pipelines().max_results(3).set_next_token(token).send().await.unwrap();
            assert!(page.pipelines().len() <= 3);
            names.extend(page.pipelines().iter().map(|found| found.name().unwrap().to_owned()));
            assert!(page.pipelines().iter().all(|found| found.version() == Some(1)
                && found.pipeline_type() == Some(&PipelineType::V2)
                && found.execution_mode() == Some(&ExecutionMode::Superseded)
                && found.created().is_some()));
            match page.next_token() {
                Some(next) => token = Some(next.to_owned()),
                None => break,
            }
        }
        assert_eq!(names, (0..7).map(|number| format!("release-{number}")).collect::<Vec<_>>());
        let all = client.list_pipelines().send().await.unwrap();
        assert_eq!((all.pipelines().len(), all.next_token()), (7, None));
        let (code, _) = refused!(client.list_pipelines().next_token("nonsense"));
        assert_eq!(code, "InvalidNextTokenException");
        let (code, _) = refused!(client.list_pipelines().max_results(1_001));
        assert_eq!(code, "ValidationException");
        drop(world);
    })
    .await;
}

#[tokio::test]
async fn a_start_takes_variables_revisions_and_a_token() {
    in_both(|_world, client| async move {
        let variables = json!([{"name": "level", "defaultValue": "info"}, {"name": "target"}]);
        let declared = release("release", &[("/variables", variables)]);
        client.create_pipeline().pipeline(declared).send().await.unwrap();
        let none = client.list_pipeline_executions().pipeline_name("release").send().await.unwrap();
        assert!(none.pipeline_execution_summaries().is_empty(), "a variable without a value keeps it from starting");

        let variable = |name: &str, value: &str| {
            aws_sdk_codepipeline::types::PipelineVariable::builder().name(name).value(value).build().unwrap()
        };
        let start = || {
            client
                .start_pipeline_execution()
                .name("release")
                .variables(variable("target", "eu"))
                .client_request_token("11111111-2222-3333-4444-555555555555")
        };
        let first = start().send().await.unwrap();
        let again = start().send().await.unwrap();
        let id = first.pipeline_execution_id().unwrap();
        assert_eq!(again.pipeline_execution_id(), Some(id));

        let found =
            client.get_pipeline_execution().pipeline_name("release").pipeline_execution_id(id).send().await.unwrap();
        let execution = found.pipeline_execution().unwrap();
        let values: Vec<_> =
            execution.variables().iter().map(|it| (it.name().unwrap(), it.resolved_value().unwrap())).collect();
        assert_eq!(values, [("level", "info"), ("target", "eu")]);
        assert_eq!(execution.status(), Some(&PipelineExecutionStatus::InProgress));
        let trigger = execution.trigger().unwrap();
        assert_eq!(trigger.trigger_type(), Some(&TriggerType::StartPipelineExecution));
        assert_eq!(trigger.trigger_detail(), Some(CALLER));

        let refusal =
            |variables: Vec<_>| client.start_pipeline_execution().name("release").set_variables(Some(variables));
        for (variables, word) in [
            (vec![variable("unknown", "x"), variable("target", "eu")], "unknown"),
            (vec![variable("level", "debug")], "target"),
            (vec![variable("target", "eu"), variable("target", "us")], "twice"),
        ] {
            let (code, message) = refused!(refusal(variables));
            assert_eq!(code, "ValidationException");
            assert!(message.contains(word), "{message}");
        }
        let revision = SourceRevisionOverride::builder()
            .action_name("Publish")
            .revision_type(SourceRevisionType::S3ObjectVersionId)
            .revision_value("v7")
            .build()
            .unwrap();
        let start = client.start_pipeline_execution().name("release").variables(variable("target", "eu"));
        let (code, message) = refused!(start.source_revisions(revision));
        assert_eq!(code, "ValidationException");
        assert!(message.contains("Publish"), "{message}");
    })
    .await;
}

#[tokio::test]
async fn who_may_not_pass_a_role_creates_and_changes_nothing() {
    in_both(|world, client| async move {
        client.create_pipeline().pipeline(release("mine", &[])).send().await.unwrap();
        let role = "arn:aws:iam::111122223333:role/admin";
        world.nobody_passes(role);
        for place in ["/roleArn", "/stages/3/actions/0/roleArn"] {
            let declared = |name| release(name, &[(place, json!(role))]);
            let expected = format!(
                "User: {CALLER} is not authorized to perform: iam:PassRole on resource: {role} because no identity-based \
                 policy allows the iam:PassRole action"
            );
            let refusal = ("AccessDeniedException".to_owned(), expected);
            assert_eq!(refused!(client.create_pipeline().pipeline(declared("other"))), refusal);
            assert_eq!(refused!(client.update_pipeline().pipeline(declared("mine"))), refusal);
        }
        let (code, _) = refused!(client.get_pipeline().name("other"));
        assert_eq!(code, "PipelineNotFoundException");
        let mine = client.get_pipeline().name("mine").send().await.unwrap();
        assert_eq!(mine.pipeline().unwrap().version(), Some(1));
    })
    .await;
}

#[tokio::test]
async fn who_may_not_pass_the_role_that_a_pipeline_has_does_not_change_what_is_done_under_it() {
    in_both(|world, client| async move {
        client.create_pipeline().pipeline(release("mine", &[])).send().await.unwrap();
        world.nobody_passes("arn:aws:iam::111122223333:role/release");
        let changed = release("mine", &[("/stages/2/actions/0/configuration/FunctionName", json!("grant-me-all"))]);
        let (code, _) = refused!(client.update_pipeline().pipeline(changed));
        assert_eq!(code, "AccessDeniedException");
    })
    .await;
}
