use std::collections::{BTreeMap, BTreeSet};

use pipeline::catalogue::{self, rules};
use providers::{ActionLog, DeployTarget};
use testkit::Aws;

use crate::{failed, input, registry, task};

#[tokio::test]
async fn a_type_that_is_not_built_says_so_and_asks_nobody() {
    let aws = Aws::default();
    let mut unbuilt = task("Test", "BlazeMeter", &[]);
    unbuilt.inputs = vec![input("App")];
    unbuilt.action.type_id.owner = Some("ThirdParty".into());
    let error = failed(&registry(&aws), &unbuilt).await;
    assert_eq!(error.code, "ConfigurationError");
    assert_eq!(error.message, "Millrace does not run Test/BlazeMeter actions yet (owner ThirdParty, version 1)");
    for (owner, category, provider, instead) in [
        ("AWS", "Deploy", "OpsWorks", "ended OpsWorks Stacks on May 26, 2024: deploy with CodeDeploy instead"),
        ("ThirdParty", "Deploy", "AlexaSkillsKit", "call AlexaSkillsKit from a build"),
        ("ThirdParty", "Invoke", "Snyk", "call Snyk from a build"),
    ] {
        let mut it = task(category, provider, &[]);
        it.action.type_id.owner = Some(owner.into());
        assert!(failed(&registry(&aws), &it).await.message.contains(instead), "{provider}");
    }
    let mut foreign = task("Invoke", "Lambda", &[]);
    foreign.action.type_id.owner = Some("ThirdParty".into());
    assert!(failed(&registry(&aws), &foreign).await.message.contains("owner ThirdParty"));
    assert!(aws.operations().is_empty());
}

#[tokio::test]
async fn a_role_that_cannot_be_assumed_is_named() {
    let aws = Aws::default();
    let mut source = task("Source", "S3", &[("S3Bucket", "src"), ("S3ObjectKey", "app.zip")]);
    source.outputs = vec![crate::artifact("App")];
    source.pipeline_role = "arn:aws:iam::111122223333:role/forbidden".into();
    let error = failed(&registry(&aws), &source).await;
    assert_eq!(error.code, "PermissionError");
    assert!(error.message.contains("role/forbidden") && error.message.contains("the words of STS"), "{error:?}");
    assert_eq!(aws.operations(), ["AssumeRole"]);
}

#[tokio::test]
async fn an_input_from_another_region_is_copied_first_under_the_pipelines_role() {
    let aws = Aws::default();
    aws.plain_object("store-us/shop/App/abcdefghijklmnop", b"not read here");
    let mut deploy = task("Deploy", "S3", &[("BucketName", "site"), ("Extract", "false"), ("ObjectKey", "app.bin")]);
    let mut it = input("App");
    it.artifact.region = "us-west-2".into();
    it.artifact.bucket = "store-us".into();
    it.key_id = Some("arn:aws:kms:eu-west-1:111122223333:key/k".into());
    deploy.inputs = vec![it];
    deploy.action_role = Some("arn:aws:iam::444455556666:role/deployer".into());
    crate::succeeded(&registry(&aws), &deploy).await;
    let copies = aws.calls("CopyObject");
    assert_eq!(copies.len(), 2);
    assert_eq!((copies[0].role.as_str(), copies[0].region.as_str()), ("pipeline", "eu-west-1"));
    assert_eq!(copies[0].path, "store-eu/shop/App/abcdefghijklmnop");
    assert_eq!(
        copies[0].header("x-amz-server-side-encryption-aws-kms-key-id"),
        "arn:aws:kms:eu-west-1:111122223333:key/k"
    );
    assert_eq!((copies[1].role.as_str(), copies[1].path.as_str()), ("deployer", "site/app.bin"));
    let heads = aws.calls("HeadObject");
    assert_eq!((heads[0].role.as_str(), heads[0].region.as_str()), ("pipeline", "us-west-2"));
}

#[test]
fn providers_and_catalogue_fit_together() {
    let types: Vec<_> = providers::all().iter().flat_map(|provider| provider.types).map(|it| it.id()).collect();
    let ids: BTreeSet<_> = types.iter().map(|id| format!("{id:?}")).collect();
    assert_eq!(ids.len(), types.len(), "no type has two providers");
    assert_eq!(types.iter().filter(|id| rules::find(id).is_some()).count(), 6);
    for id in types.iter().filter(|id| id.category != rules::CATEGORY) {
        let known = catalogue::find(id).unwrap_or_else(|| panic!("{id:?} is not in the catalogue"));
        assert!(!known.other_keys, "the keys of {id:?}, which is run, are known");
    }
}

#[test]
fn a_provider_names_what_its_types_have() {
    for provider in providers::all() {
        let categories: BTreeSet<_> = provider.types.iter().map(|it| it.category).collect();
        assert_eq!(provider.source.is_some(), categories.contains("Source"), "{categories:?}");
        if let Some(DeployTarget { key, .. }) = provider.deploy_target {
            assert!(categories.contains("Deploy"), "{categories:?}");
            assert!(
                provider.types.iter().all(|it| catalogue::find(&it.id()).unwrap().property(key).is_some()),
                "{key}"
            );
        }
        if let Some(page) = provider.entity {
            assert!(page.path.contains("{}") && page.path.contains("{region}"), "{page:?}");
            for it in provider.types.iter().filter(|it| it.category != rules::CATEGORY) {
                assert!(catalogue::find(&it.id()).unwrap().property(page.key).is_some(), "{it:?} has no {}", page.key);
            }
        }
    }
}

#[test]
fn a_provider_says_which_log_its_action_has() {
    let function = |name: &str| Some(ActionLog::Function { name: name.to_owned() });
    for (category, provider, configuration, log) in [
        ("Build", "CodeBuild", &[("ProjectName", "app")][..], Some(ActionLog::Build)),
        ("Test", "CodeBuild", &[("BatchEnabled", "false")], Some(ActionLog::Build)),
        ("Build", "CodeBuild", &[("BatchEnabled", "True")], None),
        ("Build", "ECRBuildAndPublish", &[], Some(ActionLog::Build)),
        ("Compute", "Commands", &[], Some(ActionLog::Build)),
        ("Deploy", "EKS", &[], Some(ActionLog::Build)),
        ("Invoke", "InspectorScan", &[], Some(ActionLog::Build)),
        ("Invoke", "Lambda", &[("FunctionName", "check:live")], function("check")),
        (
            "Invoke",
            "Lambda",
            &[("FunctionName", "arn:aws:lambda:eu-west-1:111122223333:function:check:7")],
            function("check"),
        ),
        ("Invoke", "Lambda", &[], None),
        ("Deploy", "S3", &[("BucketName", "site")], None),
        ("Deploy", "Rocket", &[], None),
    ] {
        let id = task(category, provider, &[]).action.type_id;
        let configuration: BTreeMap<String, String> =
            configuration.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        assert_eq!(providers::log(&id, &configuration), log, "{category}/{provider} {configuration:?}");
    }
}
