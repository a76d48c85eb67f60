//! What actions name, and how near a pipeline is to its limits.

use millrace::Account;
use millrace::doctor::{Finding, Level, examine};
use serde_json::{Value, json};
use testkit::Aws;

use crate::world::{API, definition, healthy, result};

/// What is found in an AWS where all of this pipeline's actions are of services that `healthy` does not know.
async fn found_of(aws: &Aws, mode: &str, actions: &[Value]) -> Vec<Finding> {
    let mut definition = definition();
    definition["pipeline"]["pipelineType"] = "V2".into();
    definition["pipeline"]["executionMode"] = mode.into();
    definition["pipeline"]["stages"][1]["actions"] = actions.into();
    definition["pipeline"].as_object_mut().unwrap().remove("artifactStore");
    let store = |name: &str| json!({"type": "S3", "location": name});
    definition["pipeline"]["artifactStores"] = json!({"eu-west-1": store("store-eu"), "us-west-2": store("store-us")});
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pipeline.json");
    std::fs::write(&file, definition.to_string()).unwrap();
    let account = Account::new(aws.config()).unwrap();
    examine(&account, "millrace", Some(file.to_str().unwrap()), Some(API)).await.unwrap().all().to_vec()
}

fn deployment(provider: &str, configuration: Value) -> Value {
    let category = if provider == "DeviceFarm" { "Test" } else { "Deploy" };
    json!({
        "name": provider, "configuration": configuration, "inputArtifacts": [{"name": "App"}],
        "actionTypeId": {"category": category, "owner": "AWS", "provider": provider, "version": "1"},
        "region": if provider == "DeviceFarm" { "us-west-2" } else { "eu-west-1" },
    })
}

const POOL: &str = "arn:aws:devicefarm:us-west-2::devicepool:top";

/// An operation that looks at something, what it answers where that is there, how findings call it, and what mends it.
type Look = (&'static str, String, &'static str, &'static str);

/// An action of each service, and what looks at what it names.
fn services() -> Vec<(Value, Vec<Look>)> {
    let beanstalk = "<Environments><member><EnvironmentName>prod</EnvironmentName></member></Environments>";
    let group = json!({"ApplicationName": "shop", "DeploymentGroupName": "blue"});
    let configuration = json!({
        "Application": "abc1234", "Environment": "env1234", "ConfigurationProfile": "pro1234",
        "InputArtifactConfigurationPath": "flags.json", "DeploymentStrategy": "str1234",
    });
    let devices = json!({
        "AppType": "Android", "ProjectId": "p1", "App": "app.apk", "DevicePoolArn": POOL, "TestType": "BUILTIN_FUZZ",
    });
    let empty = || "{}".to_owned();
    vec![
        (
            deployment("CodeDeploy", group),
            vec![("GetDeploymentGroup", empty(), "deployment group shop/blue", "--deployment-group-name blue")],
        ),
        (
            deployment("ElasticBeanstalk", json!({"ApplicationName": "shop", "EnvironmentName": "prod"})),
            vec![(
                "DescribeEnvironments",
                result("DescribeEnvironments", beanstalk),
                "environment shop/prod",
                "create-environment --application-name shop",
            )],
        ),
        (
            deployment("AppConfig", configuration),
            vec![
                ("GetDeploymentStrategy", empty(), "deployment strategy str1234", "create-deployment-strategy"),
                ("GetEnvironment", empty(), "environment abc1234/env1234", "create-environment"),
                ("GetConfigurationProfile", empty(), "profile abc1234/pro1234", "create-configuration-profile"),
            ],
        ),
        (
            deployment("EKS", json!({"ClusterName": "mill", "ManifestFiles": "app.yaml"})),
            vec![("DescribeCluster", empty(), "cluster mill", "aws eks create-cluster --name mill")],
        ),
        (
            deployment("ServiceCatalog", json!({"ProductId": "prod-1", "ConfigurationFilePath": "product.json"})),
            vec![("DescribeProductAsAdmin", empty(), "product prod-1", "create-product")],
        ),
        (
            deployment("DeviceFarm", devices),
            vec![
                ("GetProject", empty(), "project p1", "create-project"),
                ("GetDevicePool", empty(), "device pool arn:aws:devicefarm", "list-device-pools --arn"),
            ],
        ),
    ]
}

#[tokio::test]
async fn what_actions_name_at_other_services_exists_or_is_missing() {
    for (action, looks) in services() {
        let provider = action["name"].as_str().unwrap().to_owned();
        for (missing, _, what, mend) in &looks {
            let aws = healthy();
            aws.on("BatchGetProjects", 200, r#"{"projects": [{"name": "millrace-compute"}]}"#);
            aws.on("ListPipelineExecutions", 200, "{}");
            for (operation, answer, ..) in &looks {
                aws.on(operation, 200, answer.clone());
            }
            let said = |all: &[Finding], level: Level| -> Vec<Finding> {
                all.iter().filter(|it| it.level == level && it.what.contains(what)).cloned().collect()
            };
            let all = found_of(&aws, "SUPERSEDED", std::slice::from_ref(&action)).await;
            assert_eq!(said(&all, Level::Ok).len(), 1, "{provider}: {all:#?}");
            match *missing {
                "DescribeEnvironments" => aws.on(missing, 200, result(missing, "<Environments/>")),
                "GetDeploymentGroup" => aws.fail(missing, 400, "DeploymentGroupDoesNotExistException", "none"),
                "GetProject" | "GetDevicePool" => aws.fail(missing, 400, "NotFoundException", "none"),
                _ => aws.fail(missing, 404, "ResourceNotFoundException", "none"),
            }
            let all = found_of(&aws, "SUPERSEDED", std::slice::from_ref(&action)).await;
            let errors = said(&all, Level::Error);
            assert!(
                matches!(errors.as_slice(), [one] if one.what.ends_with("does not exist")
                    && one.mend.as_deref().unwrap().contains(mend)),
                "{provider}: {all:#?}"
            );
            aws.fail(missing, 403, "AccessDeniedException", "no");
            let all = found_of(&aws, "SUPERSEDED", std::slice::from_ref(&action)).await;
            let warned = said(&all, Level::Warning);
            assert!(
                matches!(warned.as_slice(), [one] if one.mend.as_deref().unwrap().contains(missing)),
                "the statement that lets one look: {all:#?}"
            );
        }
    }
}

#[tokio::test]
async fn executions_near_the_limit_are_counted_where_there_is_one() {
    let executions = |running: usize| {
        let all = (0..60).map(|n| json!({"status": if n < running { "InProgress" } else { "Succeeded" }}));
        json!({"pipelineExecutionSummaries": all.collect::<Vec<_>>()}).to_string()
    };
    for (mode, running, level, words) in [
        ("PARALLEL", 39, Some(Level::Ok), "39 executions, and 50 are the most"),
        ("QUEUED", 40, Some(Level::Warning), "40 executions, and 50 are the most"),
        ("SUPERSEDED", 50, None, "executions, and 50 are the most"),
    ] {
        let aws = healthy();
        aws.on("ListPipelineExecutions", 200, executions(running));
        let ask = definition()["pipeline"]["stages"][1]["actions"][1].clone();
        let all = found_of(&aws, mode, &[ask]).await;
        let said = all.iter().find(|it| it.what.contains(words)).map(|it| it.level);
        assert_eq!(said, level, "{mode}: {all:#?}");
    }
}
