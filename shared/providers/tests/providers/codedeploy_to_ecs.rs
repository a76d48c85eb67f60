use artifacts::write_zip;
use driver::{ActionExecutor, Outcome, Task};
use engine::External;
use serde_json::{Value, json};
use testkit::Aws;

use crate::{failed, input, put_off, registry, task};

const ID: &str = "d-75I7MBT7C";
const ARN: &str = "arn:aws:ecs:eu-west-1:111122223333:task-definition/web:8";
const IMAGE: &str = "111122223333.dkr.ecr.eu-west-1.amazonaws.com/web@sha256:0123";
const APP_SPEC: &str = "version: 0.0
Resources:
  - TargetService:
      Type: AWS::ECS::Service
      Properties:
        TaskDefinition: <TASK_DEFINITION>
        LoadBalancerInfo: {ContainerName: web, ContainerPort: 80}
";

fn definition() -> Value {
    json!({
        "family": "web",
        "executionRoleArn": "arn:aws:iam::111122223333:role/execution",
        "networkMode": "awsvpc",
        "requiresCompatibilities": ["FARGATE"],
        "cpu": "256",
        "memory": "512",
        "containerDefinitions": [
            {"name": "web", "image": "<IMAGE1_NAME>", "essential": true, "cpu": 0,
             "portMappings": [{"containerPort": 80, "protocol": "tcp"}],
             "environment": [{"name": "IMAGE", "value": "it is <IMAGE1_NAME>"}, {"name": "OTHER", "value": "<OTHER>"}],
             "dockerLabels": {"any": "x"}},
            {"name": "log", "image": "<LOG_IMAGE>", "cpu": 0},
        ],
    })
}

fn zip(aws: &Aws, name: &str, files: &[(&str, &str)]) {
    aws.plain_object(&format!("store-eu/shop/{name}/abcdefghijklmnop"), &write_zip(files.iter().copied()).unwrap());
}

/// The artifacts, and answers of ECS and CodeDeploy.
fn prepared() -> Aws {
    let aws = Aws::default();
    zip(&aws, "Source", &[("taskdef.json", &definition().to_string()), ("appspec.yaml", APP_SPEC)]);
    zip(&aws, "Web", &[("imageDetail.json", &json!({"ImageURI": IMAGE, "ImageTags": ["latest"]}).to_string())]);
    zip(&aws, "Log", &[("imageDetail.json", r#"{"ImageURI": "log:1"}"#)]);
    aws.on("RegisterTaskDefinition", 200, json!({"taskDefinition": {"taskDefinitionArn": ARN}}).to_string());
    aws.on("CreateDeployment", 200, json!({"deploymentId": ID}).to_string());
    aws
}

fn deploy(configuration: &[(&str, &str)]) -> Task {
    let mut all = vec![
        ("ApplicationName", "shop"),
        ("DeploymentGroupName", "prod"),
        ("TaskDefinitionTemplateArtifact", "Source"),
        ("AppSpecTemplateArtifact", "Source"),
        ("Image1ArtifactName", "Web"),
        ("Image1ContainerName", "IMAGE1_NAME"),
        ("Image4ArtifactName", "Log"),
        ("Image4ContainerName", "LOG_IMAGE"),
    ];
    all.extend(configuration);
    let task = task("Deploy", "CodeDeployToECS", &all);
    Task { inputs: ["Source", "Web", "Log"].map(input).into(), ..task }
}

async fn external(aws: &Aws, task: &Task) -> External {
    match registry(aws).start(task).await.unwrap() {
        Outcome::Running { report, poll: true, event_source } => {
            assert_eq!(event_source.as_deref(), Some("aws.codedeploy"));
            report.external.unwrap()
        }
        other => panic!("{other:?}"),
    }
}

/// That neither ECS nor CodeDeploy was asked for anything.
fn assert_nothing_done(aws: &Aws) {
    let s3_and_sts = ["GetObject", "HeadObject", "AssumeRole"];
    assert!(aws.operations().iter().all(|it| s3_and_sts.contains(&it.as_str())), "{:?}", aws.operations());
}

#[tokio::test]
async fn images_go_into_the_task_definition_and_its_arn_into_the_app_spec() {
    let aws = prepared();
    let mut task = deploy(&[]);
    task.action_role = Some("arn:aws:iam::444455556666:role/deployer".into());
    assert_eq!(external(&aws, &task).await.id, ID);
    let registered = &aws.calls("RegisterTaskDefinition")[0];
    assert_eq!((registered.role.as_str(), registered.region.as_str()), ("deployer", "eu-west-1"));
    let mut expected = definition();
    expected["containerDefinitions"][0]["image"] = json!(IMAGE);
    expected["containerDefinitions"][0]["environment"][0]["value"] = json!(format!("it is {IMAGE}"));
    expected["containerDefinitions"][1]["image"] = json!("log:1");
    assert_eq!(
        registered.json(),
        expected,
        "everything of the file, and only placeholders of the configuration differ"
    );
    let created = &aws.calls("CreateDeployment")[0];
    assert_eq!(created.role, "deployer");
    let content = APP_SPEC.replace("<TASK_DEFINITION>", ARN);
    let sha256 = "ead26aae0fac4dd6eb629c423f50921f8b3682ab856f75f2d54acf023889ee38";
    assert_eq!(
        created.json(),
        json!({
            "applicationName": "shop",
            "deploymentGroupName": "prod",
            "description": format!("Millrace action execution {}", task.id),
            "revision": {
                "revisionType": "AppSpecContent",
                "appSpecContent": {"content": content, "sha256": sha256},
            },
        })
    );
}

#[tokio::test]
async fn files_of_other_names_and_artifacts_and_an_app_spec_in_json_do_as_well() {
    let aws = prepared();
    let app_spec = r#"{"Resources": [{"TargetService": {"Properties": {"TaskDefinition": "<TASK_DEFINITION>"}}}]}"#;
    zip(&aws, "Log", &[("deploy/appspec.json", app_spec)]);
    zip(&aws, "Web", &[("ecs/task.json", r#"{"family": "web", "containerDefinitions": [{"image": "web:1"}]}"#)]);
    let mut task = deploy(&[
        ("TaskDefinitionTemplateArtifact", "Web"),
        ("TaskDefinitionTemplatePath", "ecs/task.json"),
        ("AppSpecTemplateArtifact", "Log"),
        ("AppSpecTemplatePath", "deploy/appspec.json"),
    ]);
    task.configuration.retain(|key, _| !key.starts_with("Image"));
    external(&aws, &task).await;
    let registered = aws.calls("RegisterTaskDefinition")[0].json();
    assert_eq!(registered["containerDefinitions"][0]["image"], "web:1", "an image that a build has put in stays");
    let created = aws.calls("CreateDeployment")[0].json();
    let content = created["revision"]["appSpecContent"]["content"].as_str().unwrap();
    assert_eq!(content, app_spec.replace("<TASK_DEFINITION>", ARN));
}

#[tokio::test]
async fn a_described_task_definition_is_registered_without_what_ecs_alone_says_of_it() {
    let aws = prepared();
    let mut described = definition();
    for (name, value) in [
        ("taskDefinitionArn", json!(ARN)),
        ("revision", json!(7)),
        ("status", json!("ACTIVE")),
        ("requiresAttributes", json!([{"name": "ecs.capability.task-eni"}])),
        ("compatibilities", json!(["EC2", "FARGATE"])),
        ("registeredAt", json!("2026-01-01T00:00:00+00:00")),
        ("registeredBy", json!("arn:aws:iam::111122223333:user/somebody")),
    ] {
        described[name] = value;
    }
    zip(&aws, "Source", &[("taskdef.json", &described.to_string()), ("appspec.yaml", APP_SPEC)]);
    external(&aws, &deploy(&[])).await;
    let registered = aws.calls("RegisterTaskDefinition")[0].json();
    let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&registered), names(&definition()));
}

#[tokio::test]
async fn a_file_that_cannot_be_used_is_named_with_what_is_wrong_before_anything_is_registered() {
    let task_definition = "Exception while trying to read the task definition artifact file from: Source: ";
    let image = "Exception while trying to read the image artifact file from: Web: ";
    let misspelt =
        json!({"family": "web", "containerDefinitions": [{"name": "web", "memoryReservaton": 5}]}).to_string();
    let long = "x".repeat(3 << 20);
    let long_detail = format!(r#"{{"ImageURI": "{}"}}"#, "x".repeat(100 << 10));
    let good = definition().to_string();
    for (artifact, files, expected) in [
        (
            "Source",
            vec![("appspec.yaml", APP_SPEC)],
            format!(r#"{task_definition}the input artifact Source: the zip has no file "taskdef.json""#),
        ),
        (
            "Source",
            vec![("taskdef.json", "family: web"), ("appspec.yaml", APP_SPEC)],
            "the file taskdef.json in the input artifact Source is no task definition in JSON: expected".to_owned(),
        ),
        (
            "Source",
            vec![("taskdef.json", misspelt.as_str()), ("appspec.yaml", APP_SPEC)],
            "in JSON: containerDefinitions[0].memoryReservaton: ECS's API has no such member".to_owned(),
        ),
        ("Source", vec![("taskdef.json", &format!("{long}y")), ("appspec.yaml", APP_SPEC)], task_definition.to_owned()),
        (
            "Source",
            vec![("taskdef.json", &good)],
            "Exception while trying to read the AppSpec file from: Source: the input artifact Source: the zip"
                .to_owned(),
        ),
        (
            "Web",
            vec![("imagedefinitions.json", "[]")],
            format!(r#"{image}the input artifact Web: the zip has no file "imageDetail.json""#),
        ),
        ("Web", vec![("imageDetail.json", "{")], format!("{image}the file imageDetail.json in the input artifact Web")),
        ("Web", vec![("imageDetail.json", r#"{"imageUri": "web:1"}"#)], "missing field `ImageURI`".to_owned()),
        ("Web", vec![("imageDetail.json", &long_detail)], image.to_owned()),
    ] {
        let aws = prepared();
        zip(&aws, artifact, &files);
        let error = failed(&registry(&aws), &deploy(&[])).await;
        assert!(error.message.contains(&expected), "{}", &error.message[..error.message.len().min(300)]);
        assert_nothing_done(&aws);
    }
}

#[tokio::test]
async fn what_is_wrong_with_the_configuration_is_said_before_anything_is_asked() {
    let aws = prepared();
    for (key, value, expected) in [
        ("Image1ContainerName", "", "needs a value for Image1ContainerName"),
        ("Image4ArtifactName", "", "needs a value for Image4ArtifactName"),
        ("Image1ArtifactName", "Other", r#"Image1ArtifactName names "Other", which is no input artifact"#),
        ("AppSpecTemplateArtifact", "Other", r#"AppSpecTemplateArtifact names "Other", which is no input artifact"#),
        ("TaskDefinitionTemplateArtifact", "", "needs a value for TaskDefinitionTemplateArtifact"),
        ("ApplicationName", "", "needs a value for ApplicationName"),
    ] {
        let error = failed(&registry(&aws), &deploy(&[(key, value)])).await;
        assert_eq!(error.code, "ConfigurationError");
        assert!(error.message.contains(expected), "{}", error.message);
    }
    assert!(aws.operations().is_empty());
}

#[tokio::test]
async fn a_reclaimed_attempt_registers_and_creates_nothing_if_it_has_its_deployment() {
    let aws = prepared();
    let task = Task { reclaimed: true, ..deploy(&[]) };
    aws.on("ListDeployments", 200, json!({"deployments": [ID]}).to_string());
    let found = |description: String| {
        let info =
            json!({"deploymentId": ID, "status": "InProgress", "computePlatform": "ECS", "description": description});
        aws.on("BatchGetDeployments", 200, json!({"deploymentsInfo": [info]}).to_string());
    };
    found(format!("Millrace action execution {}", task.id));
    assert_eq!(external(&aws, &task).await.id, ID);
    assert!(aws.calls("RegisterTaskDefinition").is_empty() && aws.calls("CreateDeployment").is_empty());
    found("somebody else's".to_owned());
    external(&aws, &task).await;
    assert_eq!((aws.calls("RegisterTaskDefinition").len(), aws.calls("CreateDeployment").len()), (1, 1));
}

#[tokio::test]
async fn what_ecs_refuses_is_told_in_its_words_and_what_passes_is_tried_again() {
    let aws = prepared();
    for (code, expected) in [
        ("ClientException", "ConfigurationError"),
        ("InvalidParameterException", "ConfigurationError"),
        ("AccessDeniedException", "PermissionError"),
    ] {
        aws.fail("RegisterTaskDefinition", 400, code, "the words of ECS");
        let error = failed(&registry(&aws), &deploy(&[])).await;
        assert_eq!(error.code, expected, "{code}");
        assert_eq!(error.message, format!("RegisterTaskDefinition of web failed: {code}: the words of ECS"));
    }
    for (status, code) in [(500, "ServerException"), (400, "ThrottlingException")] {
        aws.fail("RegisterTaskDefinition", status, code, "later");
        assert!(put_off(&registry(&aws), &deploy(&[])).await.contains(code));
    }
    aws.on("RegisterTaskDefinition", 200, "{}");
    assert!(put_off(&registry(&aws), &deploy(&[])).await.contains("did not say which revision of web it registered"));
    assert!(aws.calls("CreateDeployment").is_empty());
}

#[tokio::test]
async fn a_failure_names_the_hook_that_failed_and_a_success_has_no_variables() {
    let aws = prepared();
    let task = Task { external: Some(External { id: ID.into(), url: None }), ..deploy(&[]) };
    let gets = |status: &str| {
        let info = json!({"deploymentId": ID, "status": status, "computePlatform": "ECS",
            "errorInformation": {"code": "HOOK_EXECUTION_FAILURE", "message": "One of the lifecycle events failed"}});
        aws.on("GetDeployment", 200, json!({"deploymentInfo": info}).to_string());
    };
    gets("Failed");
    aws.on("ListDeploymentTargets", 200, json!({"targetIds": ["shop:web"]}).to_string());
    let event = json!({"lifecycleEventName": "AfterAllowTestTraffic", "status": "Failed",
        "diagnostics": {"errorCode": "UnknownError", "scriptName": "", "message": "The hook returned Failed", "logTail": ""}});
    let target = json!({"deploymentTargetType": "ECSTarget",
        "ecsTarget": {"targetId": "shop:web", "status": "Failed", "lifecycleEvents": [event]}});
    aws.on("BatchGetDeploymentTargets", 200, json!({"deploymentTargets": [target]}).to_string());
    let Outcome::Failed { error, report } = registry(&aws).poll(&task).await.unwrap() else { panic!() };
    assert_eq!(
        error.message,
        "Deployment d-75I7MBT7C of shop/prod ended as Failed: HOOK_EXECUTION_FAILURE: One of the lifecycle events failed; on \
         shop:web, AfterAllowTestTraffic failed: UnknownError: The hook returned Failed"
    );
    assert_eq!(report.summary.as_deref(), Some("Failed"));
    gets("Succeeded");
    let Outcome::Succeeded(done) = registry(&aws).poll(&task).await.unwrap() else { panic!() };
    assert!(done.variables.is_empty());
    assert_eq!(done.report.summary.as_deref(), Some("Succeeded"));
}
