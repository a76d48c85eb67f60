use aws_sdk_codepipeline::Client;
use aws_sdk_codepipeline::operation::create_custom_action_type::builders::CreateCustomActionTypeFluentBuilder;
use aws_sdk_codepipeline::types::{
    ActionCategory, ActionConfigurationProperty, ActionOwner, ActionType, ActionTypeArtifactDetails,
    ActionTypeDeclaration, ActionTypeExecutor, ActionTypeIdentifier, ActionTypePermissions, ActionTypeProperty,
    ActionTypeSettings, ActionTypeUrls, ArtifactDetails, ExecutorConfiguration, ExecutorType,
    JobWorkerExecutorConfiguration, LambdaExecutorConfiguration, Tag,
};
use serde_json::{Value, json};

use super::{in_both, refused, release};

pub fn property(name: &str, required: bool, secret: bool, queryable: bool) -> ActionConfigurationProperty {
    ActionConfigurationProperty::builder()
        .name(name)
        .required(required)
        .key(required)
        .secret(secret)
        .queryable(queryable)
        .build()
        .unwrap()
}

fn counts(least: i32, most: i32) -> ArtifactDetails {
    ArtifactDetails::builder().minimum_count(least).maximum_count(most).build()
}

/// The custom type Build/Jenkins of this version: a queryable project, a secret password.
pub fn jenkins(client: &Client, version: &str) -> CreateCustomActionTypeFluentBuilder {
    let settings = ActionTypeSettings::builder()
        .entity_url_template("https://jenkins.example.com/job/{Config:ProjectName}/")
        .execution_url_template("https://jenkins.example.com/job/{Config:ProjectName}/{ExternalExecutionId}/")
        .build();
    client
        .create_custom_action_type()
        .category(ActionCategory::Build)
        .provider("Jenkins")
        .version(version)
        .settings(settings)
        .configuration_properties(property("ProjectName", true, false, true))
        .configuration_properties(property("Password", false, true, false))
        .input_artifact_details(counts(1, 1))
        .output_artifact_details(counts(0, 1))
}

/// A pipeline's changes that make the action `Call` one of Jenkins.
pub fn calls_jenkins(configuration: Value) -> [(&'static str, Value); 2] {
    let action = json!({
        "name": "Call",
        "actionTypeId": {"category": "Build", "owner": "Custom", "provider": "Jenkins", "version": "1"},
        "configuration": configuration,
        "inputArtifacts": [{"name": "App"}],
        "outputArtifacts": [{"name": "Built"}],
        "namespace": "Test",
    });
    [("/stages/2/actions", json!([action])), ("/stages/2/name", json!("Test"))]
}

async fn listed(client: &Client, owner: Option<ActionOwner>) -> Vec<ActionType> {
    let pages = client.list_action_types().set_action_owner_filter(owner).into_paginator().items().send();
    pages.collect::<Result<_, _>>().await.unwrap()
}

#[tokio::test]
async fn a_custom_type_is_created_listed_and_deleted() {
    in_both(|_, client| async move {
        let tag = Tag::builder().key("team").value("blue").build().unwrap();
        let created = jenkins(&client, "1").tags(tag).send().await.unwrap();
        assert_eq!(created.tags().len(), 1);
        let created = created.action_type().unwrap().clone();
        assert_eq!(created.id().unwrap().owner(), &ActionOwner::Custom);
        assert_eq!(created.action_configuration_properties().len(), 2);
        assert_eq!(created.input_artifact_details().unwrap().minimum_count(), 1);
        assert_eq!(listed(&client, Some(ActionOwner::Custom)).await, std::slice::from_ref(&created));
        let again = jenkins(&client, "1").send().await.unwrap();
        assert_eq!((again.action_type(), again.tags().len()), (Some(&created), 1), "the same once more is no error");
        let different = jenkins(&client, "1").configuration_properties(property("More", false, false, false));
        let (code, message) = refused!(different);
        assert_eq!(code, "ValidationException");
        assert!(message.contains("different definition"), "{message}");

        let delete =
            || client.delete_custom_action_type().category(ActionCategory::Build).provider("Jenkins").version("1");
        delete().send().await.unwrap();
        assert!(listed(&client, Some(ActionOwner::Custom)).await.is_empty());
        assert_eq!(refused!(delete()).0, "ValidationException");
        let different = jenkins(&client, "1").configuration_properties(property("More", false, false, false));
        let (code, message) = refused!(different);
        assert_eq!(code, "ValidationException");
        assert!(message.contains("never used before"), "{message}");
        let back = jenkins(&client, "1").send().await.unwrap();
        assert!(back.tags().is_empty(), "tags go with the deletion");
        assert_eq!(listed(&client, Some(ActionOwner::Custom)).await, [created]);
    })
    .await;
}

#[tokio::test]
async fn definitions_that_are_refused() {
    in_both(|_, client| async move {
        let base = || jenkins(&client, "1");
        for (wrong, part) in [
            (base().configuration_properties(property("Other", true, false, true)), "queryable"),
            (base().configuration_properties(property("Password", false, false, false)), "Password"),
            (base().input_artifact_details(counts(2, 1)), "inputArtifactDetails"),
            (base().input_artifact_details(counts(0, 6)), "5"),
            (base().version("1.0"), "version"),
            (
                base()
                    .settings(ActionTypeSettings::builder().entity_url_template("https://x/{Config:Password}").build()),
                "Password",
            ),
            (base().settings(ActionTypeSettings::builder().revision_url_template("javascript:x").build()), "https"),
        ] {
            let (code, message) = refused!(wrong);
            assert_eq!(code, "ValidationException");
            assert!(message.contains(part), "{message} says nothing of {part}");
        }
        let tag = Tag::builder().key("aws:x").value("y").build().unwrap();
        assert_eq!(refused!(base().tags(tag)).0, "InvalidTagsException");
        assert!(listed(&client, Some(ActionOwner::Custom)).await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn there_are_fifty_custom_types_at_most_and_lists_have_pages() {
    in_both(|_, client| async move {
        for version in 0..50 {
            jenkins(&client, &version.to_string()).send().await.unwrap();
        }
        assert_eq!(refused!(jenkins(&client, "50")).0, "LimitExceededException");
        assert_eq!(listed(&client, Some(ActionOwner::Custom)).await.len(), 50);
        let own = listed(&client, Some(ActionOwner::Aws)).await;
        assert!(own.iter().any(|it| it.id().unwrap().provider() == "S3") && own.len() > 20);
        let third = listed(&client, Some(ActionOwner::ThirdParty)).await;
        let all = listed(&client, None).await;
        assert_eq!(all.len(), own.len() + third.len() + 50);
        let first = client.list_action_types().send().await.unwrap();
        assert_eq!(first.action_types().len(), 50);
        let other = client.list_action_types().action_owner_filter(ActionOwner::Aws);
        let (code, _) = refused!(other.next_token(first.next_token().unwrap()));
        assert_eq!(code, "InvalidNextTokenException", "a token holds in its own listing only");

        let elsewhere = client.list_action_types().region_filter("us-west-2").send().await.unwrap();
        let elsewhere = elsewhere.action_types();
        assert!(elsewhere.iter().all(|it| it.id().unwrap().owner() == &ActionOwner::Aws));
        assert!(elsewhere.iter().all(|it| it.id().unwrap().category() != &ActionCategory::Source));
        assert_eq!(refused!(client.list_action_types().region_filter("no region")).0, "ValidationException");

        client
            .delete_custom_action_type()
            .category(ActionCategory::Build)
            .provider("Jenkins")
            .version("7")
            .send()
            .await
            .unwrap();
        jenkins(&client, "50").send().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn custom_types_have_tags() {
    in_both(|_, client| async move {
        jenkins(&client, "1").send().await.unwrap();
        let arn = "arn:aws:codepipeline:eu-west-1:111122223333:actiontype:Custom/Build/Jenkins/1";
        let tag = Tag::builder().key("team").value("blue").build().unwrap();
        client.tag_resource().resource_arn(arn).tags(tag.clone()).send().await.unwrap();
        let found = client.list_tags_for_resource().resource_arn(arn).send().await.unwrap();
        assert_eq!(found.tags(), std::slice::from_ref(&tag));
        client.untag_resource().resource_arn(arn).tag_keys("team").send().await.unwrap();
        assert!(client.list_tags_for_resource().resource_arn(arn).send().await.unwrap().tags().is_empty());
        let long =
            format!("arn:aws:codepipeline:eu-west-1:111122223333:actiontype:Custom/Build/{}/1", "x".repeat(3_000));
        for gone in [&arn.replace("/1", "/2"), &arn.replace("Custom", "AWS"), &long] {
            assert_eq!(refused!(client.list_tags_for_resource().resource_arn(gone)).0, "ResourceNotFoundException");
            assert_eq!(
                refused!(client.tag_resource().resource_arn(gone).tags(tag.clone())).0,
                "ResourceNotFoundException"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn pipelines_use_the_types_that_there_are() {
    in_both(|_, client| async move {
        let changes = calls_jenkins(json!({"ProjectName": "shop", "Password": "hunter2"}));
        let create = |changes: &[(&str, Value)]| client.create_pipeline().pipeline(release("release", changes));
        let (code, message) = refused!(create(&changes));
        assert_eq!(code, "InvalidActionDeclarationException");
        assert!(message.contains("Jenkins") && message.contains("not available"), "{message}");
        jenkins(&client, "1").send().await.unwrap();
        for configuration in [
            json!({}),
            json!({"ProjectName": "shop", "Color": "blue"}),
            json!({"ProjectName": "a shop"}),
            json!({"ProjectName": "shop", "Password": "****"}),
        ] {
            assert_eq!(refused!(create(&calls_jenkins(configuration))).0, "InvalidActionDeclarationException");
        }
        let mut none = calls_jenkins(json!({"ProjectName": "shop"}));
        none[0].1[0]["inputArtifacts"] = json!([]);
        assert_eq!(refused!(create(&none)).0, "InvalidActionDeclarationException");

        let shown = create(&changes).send().await.unwrap().pipeline().unwrap().clone();
        let password = |it: &aws_sdk_codepipeline::types::PipelineDeclaration| {
            it.stages()[2].actions()[0].configuration().unwrap()["Password"].clone()
        };
        assert_eq!(password(&shown), "****");
        assert_eq!(password(client.get_pipeline().name("release").send().await.unwrap().pipeline().unwrap()), "****");
        let updated = client.update_pipeline().pipeline(shown.clone()).send().await.unwrap();
        assert_eq!(password(updated.pipeline().unwrap()), "****");

        client
            .delete_custom_action_type()
            .category(ActionCategory::Build)
            .provider("Jenkins")
            .version("1")
            .send()
            .await
            .unwrap();
        let (code, _) = refused!(client.update_pipeline().pipeline(shown));
        assert_eq!(code, "InvalidActionDeclarationException", "a deleted type is not to be had");
        let state = client.get_pipeline_state().name("release").send().await.unwrap();
        let page = state.stage_states()[2].action_states()[0].entity_url();
        assert_eq!(page, Some("https://jenkins.example.com/job/shop/"));
    })
    .await;
}

/// The third party's type Test/Probe.
pub fn probe(executor: ActionTypeExecutor) -> ActionTypeDeclaration {
    let details = |least, most| ActionTypeArtifactDetails::builder().minimum_count(least).maximum_count(most).build();
    let property = |name: &str, no_echo| {
        ActionTypeProperty::builder()
            .name(name)
            .optional(false)
            .key(true)
            .no_echo(no_echo)
            .queryable(name == "Depth")
            .build()
            .unwrap()
    };
    ActionTypeDeclaration::builder()
        .description("Probes things")
        .executor(executor)
        .id(ActionTypeIdentifier::builder()
            .category(ActionCategory::Test)
            .owner("ThirdParty")
            .provider("Probe")
            .version("1")
            .build()
            .unwrap())
        .input_artifact_details(details(0, 6))
        .output_artifact_details(details(0, 0))
        .permissions(ActionTypePermissions::builder().allowed_accounts("*").build().unwrap())
        .properties(property("Depth", false))
        .properties(property("Pin", true))
        .urls(ActionTypeUrls::builder().configuration_url("https://probe.example.com").build())
        .build()
}

pub fn job_worker(timeout: Option<i32>) -> ActionTypeExecutor {
    let worker = JobWorkerExecutorConfiguration::builder().polling_accounts("111122223333").build();
    ActionTypeExecutor::builder()
        .configuration(ExecutorConfiguration::builder().job_worker_executor_configuration(worker).build())
        .r#type(ExecutorType::JobWorker)
        .set_job_timeout(timeout)
        .build()
        .unwrap()
}

#[tokio::test]
async fn a_third_party_s_type_is_defined_and_defined_anew() {
    in_both(|_, client| async move {
        let get = |owner: &str, provider: &str| {
            client.get_action_type().category(ActionCategory::Test).owner(owner).provider(provider).version("1")
        };
        assert_eq!(refused!(get("ThirdParty", "Probe")).0, "ActionTypeNotFoundException");
        client.update_action_type().action_type(probe(job_worker(Some(90)))).send().await.unwrap();
        let found = get("ThirdParty", "Probe").send().await.unwrap();
        assert_eq!(found.action_type(), Some(&probe(job_worker(Some(90)))));
        let function = "arn:aws:lambda:eu-west-1:111122223333:function:probe";
        let lambda = LambdaExecutorConfiguration::builder().lambda_function_arn(function).build().unwrap();
        let lambda = || {
            ActionTypeExecutor::builder()
                .configuration(ExecutorConfiguration::builder().lambda_executor_configuration(lambda.clone()).build())
        };
        let by_lambda = probe(lambda().r#type(ExecutorType::Lambda).policy_statements_template("{}").build().unwrap());
        client.update_action_type().action_type(by_lambda.clone()).send().await.unwrap();
        assert_eq!(get("ThirdParty", "Probe").send().await.unwrap().action_type(), Some(&by_lambda));
        let shown = listed(&client, Some(ActionOwner::ThirdParty)).await;
        let shown = shown.iter().find(|it| it.id().unwrap().provider() == "Probe").unwrap();
        assert!(shown.action_configuration_properties()[1].secret());

        let mixed = probe(lambda().r#type(ExecutorType::JobWorker).build().unwrap());
        assert_eq!(refused!(client.update_action_type().action_type(mixed)).0, "ValidationException");
        let no_json = probe(lambda().r#type(ExecutorType::Lambda).policy_statements_template("{").build().unwrap());
        assert_eq!(refused!(client.update_action_type().action_type(no_json)).0, "ValidationException");
        let too_short = probe(job_worker(Some(59)));
        assert_eq!(refused!(client.update_action_type().action_type(too_short)).0, "ValidationException");
        let mut ours = probe(job_worker(None));
        ours.id.as_mut().unwrap().owner = "AWS".into();
        assert_eq!(refused!(client.update_action_type().action_type(ours)).0, "ActionTypeNotFoundException");
        assert_eq!(refused!(get("AWS", "CodeBuild")).0, "ActionTypeNotFoundException");
        assert_eq!(refused!(get("Custom", "Probe")).0, "ValidationException");
    })
    .await;
}
